"""The one place where a question becomes a prompt, for every arm, mode and scoring.

A prompt is (context, the name of the document, question, options, one instruction). The instruction depends on the
scoring alone, so that base, retrieval, trained and trained + retrieval readers are told the same words and differ in
nothing but the context. The same function renders few-shot examples and the base model's multiple-choice examples.
"""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any, Literal

from data_gen.errors import UserError
from data_gen.schema import Document, Question

Mode = Literal['closed_book', 'rag', 'oracle', 'full_document', 'no_context', 'options_only']
Scoring = Literal['cot', 'letter', 'logprob']
MODES: tuple[Mode, ...] = ('closed_book', 'rag', 'oracle', 'full_document', 'no_context', 'options_only')
SCORINGS: tuple[Scoring, ...] = ('cot', 'letter', 'logprob')
LETTERS = 'ABCDEFGHIJ'

_CHOICE_INSTRUCTION: dict[str, str] = {
    'cot': 'Think step by step, then end with "Answer: X", where X is the letter of the one correct option.',
    'letter': 'Reply with "Answer: X" alone, where X is the letter of the one correct option.',
    'logprob': 'Reply with "Answer: " and the text of the one correct option.',
}
_OPEN_INSTRUCTION: dict[str, str] = {
    'cot': 'Think step by step, then end with "Answer: " and the answer in one line.',
    'letter': 'Reply with "Answer: " and the answer in one line.',
}
REPLY_START = 'Answer:'


@dataclasses.dataclass(frozen=True)
class Example:
  """A few-shot example: a question on a document that is not evaluated, and the reply it should get."""
  question: Question
  documents: tuple[Document, ...]
  reply: str
  context: tuple[str, ...] | None = None


def render(question: Question, documents: Sequence[Document], context: Sequence[str] | None = None,
           scoring: Scoring = 'cot', few_shot: Sequence[Example] = (), mode: Mode = 'closed_book',
           ) -> list[dict[str, str]]:
  """One question as chat messages: example turns if any, then one user message.

  Args:
    question: the question (through `permuted` for another order of its options).
    documents: the documents it is about; they are named, never quoted here.
    context: text to read, in the order shown; None where nothing is given.
    scoring: decides the instruction and nothing else.
    few_shot: examples, rendered in the same way.
    mode: only the baselines matter here: 'no_context' leaves the document unnamed, 'options_only' hides the question.

  Raises:
    UserError: log-probability scoring of a question without options.
  """
  messages = []
  for example in few_shot:
    messages.append({'role': 'user',
                     'content': _content(example.question, example.documents, example.context, scoring, mode)})
    messages.append({'role': 'assistant', 'content': example.reply})
  messages.append({'role': 'user', 'content': _content(question, documents, context, scoring, mode)})
  return messages


def _content(question: Question, documents: Sequence[Document], context: Sequence[str] | None, scoring: Scoring,
             mode: Mode) -> str:
  parts = []
  if context:
    parts.append('Context:\n' + '\n\n'.join(piece.strip() for piece in context) + '\n\n')
  name = identity(question, documents)
  if name and mode not in ('no_context', 'options_only'):
    parts.append(f'About {name}:\n')
  if mode != 'options_only':
    parts.append(question.question.strip() + '\n')
  if question.options is None:
    if scoring not in _OPEN_INSTRUCTION:
      raise UserError(f'--scoring={scoring}: question "{question.id}" has no options; expected cot or letter')
    return ''.join(parts) + _OPEN_INSTRUCTION[scoring]
  parts += [f'{letter}. {option.strip()}\n' for letter, option in zip(LETTERS, question.options)]
  return ''.join(parts) + _CHOICE_INSTRUCTION[scoring]


def identity(question: Question, documents: Sequence[Document]) -> str:
  """What names the documents of a question: `"Title" by Author (1955)`, or `metadata.identity` where that is given."""
  given = question.metadata.get('identity')
  if isinstance(given, str) and given.strip():
    return given.strip()
  return ' and '.join(dict.fromkeys(document_name(document) for document in documents))


def document_name(document: Document) -> str:
  """`"Title" by Author (year or date)`, without the parts that are not known."""
  by = f' by {document.author.strip()}' if document.author.strip() else ''
  date = f' ({document.date.strip()})' if document.date.strip() else ''
  return f'"{document.title.strip()}"{by}{date}'


def oracle_context(question: Question, documents: Sequence[Document]) -> list[str]:
  """The gold evidence under the name of its document; the whole documents where the benchmark marks no evidence."""
  pieces = question.metadata.get('evidence') or ()
  evidence = list(dict.fromkeys(text for piece in pieces if (text := _evidence_text(piece, documents))))
  if not evidence:
    return full_context(documents)
  name = identity(question, documents)
  return [f'{name}\n' + '\n'.join(evidence)] if name else evidence


def full_context(documents: Sequence[Document]) -> list[str]:
  """Each whole document under its name."""
  return [f'{document_name(document)}\n{document.text.strip()}' for document in documents]


def _evidence_text(piece: Any, documents: Sequence[Document]) -> str:
  """A quotation, `text` of an object (FinanceBench: with its page), or a span of a document (LongHealth)."""
  if isinstance(piece, dict):
    start, end = piece.get('start'), piece.get('end')
    if not piece.get('text') and isinstance(start, int) and isinstance(end, int):
      return next((d.text[start:end].strip() for d in documents if d.id == piece.get('document_id')), '')
    piece = piece.get('text') or piece.get('evidence_text') or ''
  return piece.strip() if isinstance(piece, str) else ''


def reply(question: Question, scoring: Scoring, reasoning: str = '') -> str:
  """The reply that a perfect reader gives: reasoning (for 'cot'), then the answer as the instruction asks for it."""
  if question.options is None:
    answer = str(question.answer)
  elif scoring == 'logprob':
    answer = question.options[int(question.answer)].strip()
  else:
    answer = LETTERS[int(question.answer)]
  head = f'{reasoning.strip()}\n' if scoring == 'cot' and reasoning.strip() else ''
  return f'{head}{REPLY_START} {answer}'


def permuted(question: Question, order: Sequence[int]) -> Question:
  """The question with its options in another order: shown option i is original option `order[i]`."""
  if question.options is None or list(order) == list(range(len(question.options))):
    return question
  return dataclasses.replace(question, options=tuple(question.options[i] for i in order),
                             answer=list(order).index(int(question.answer)))


def option_orders(question: Question, count: int, seed: int = 0) -> list[list[int]]:
  """`count` orders of a question's options: the original first, then cyclic shifts, then shuffles.

  The sequence of shifts is drawn from the question's id and the seed and from nothing else, so that it does not
  depend on the other questions; with n options, n orders put the right answer under every letter once.
  """
  if question.options is None:
    return [[]]
  n = len(question.options)
  if count == 1:
    return [list(range(n))]
  rng = random.Random(f'{seed}:{question.id}')
  orders = [list(range(n))]
  shifts = list(range(1, n))
  rng.shuffle(shifts)
  orders += [[(i + shift) % n for i in range(n)] for shift in shifts]
  while len(orders) < count:
    orders.append(rng.sample(range(n), n))
  return orders[:count]
