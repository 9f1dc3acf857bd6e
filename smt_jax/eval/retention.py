"""What training cost elsewhere: loss on held-out general text and accuracy on general questions, before and after."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from data_gen.errors import UserError
from data_gen.jsonl import PathLike, read_jsonl
from data_gen.schema import Question
from smt_jax.eval import prompts, stats
from smt_jax.eval.local import LocalReader
from smt_jax.eval.reader import OptionScore
from smt_jax.eval.scoring import unique_best
from smt_jax.generation.engine import Engine


@dataclasses.dataclass(frozen=True)
class Text:
  """A piece of held-out text; texts of one `group` (a book, a site) are resampled together."""
  group: str
  text: str


@dataclasses.dataclass(frozen=True)
class Measured:
  """One model's figures.

  Attributes:
    nll: negative log-probability of every predicted token, nats, float64 [T].
    groups: group of each of them, [T].
    ids_hash: of the tokens predicted; two models can be compared token by token where it is equal.
    n_bytes: UTF-8 bytes of the texts.
    correct: by scoring ('raw': sum of log-probabilities, 'normalised': mean over tokens), float64 [Q].
  """
  nll: np.ndarray
  groups: list[str]
  ids_hash: int
  n_bytes: int
  correct: dict[str, np.ndarray]


def measure(engine: Engine, texts: Sequence[Text], questions: Sequence[Question], window: int = 2048,
            plain: bool = False) -> Measured:
  """Reads all texts in windows and scores all options of all questions.

  Args:
    engine: with its tokenizer.
    window: most tokens that a prediction sees; at most the model's positions.
    plain: leave the chat template unused for the questions.

  Raises:
    UserError: a window below 2; a question that does not fit the model's positions.
  """
  if window < 2:
    raise UserError(f'--window={window}: expected 2 or more')
  tokenizer = engine.tokenizer
  window = min(window, engine.config.max_position_embeddings)
  sequences: list[list[int]] = []
  groups: list[str] = []
  for text in texts:
    for sequence in windows(_encode(tokenizer, text.text), tokenizer.bos_token_id, window):
      sequences.append(sequence)
      groups += [text.group] * (len(sequence) - 1)
  scores = engine.logprobs(sequences) if sequences else []
  nll = -np.concatenate([np.asarray(s, np.float64) for s in scores]) if scores else np.zeros(0)
  ids = hash(tuple(token for sequence in sequences for token in sequence))
  return Measured(nll, groups, ids, sum(len(t.text.encode()) for t in texts),
                  _answer(LocalReader(engine, tokenizer, plain), questions))


def windows(ids: Sequence[int], bos: int | None, size: int) -> list[list[int]]:
  """Cuts a text into sequences of at most `size` tokens in which every token but the first is predicted once.

  Each begins with the BOS token, or, where there is none, with the last token of the one before.
  """
  out, start = [], 0 if bos is not None else 1
  while start < len(ids):
    head = bos if bos is not None else ids[start - 1]
    out.append([head, *ids[start:start + size - 1]])
    start += size - 1
  return out


def _encode(tokenizer: Any, text: str) -> list[int]:
  return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


def _answer(reader: LocalReader, questions: Sequence[Question]) -> dict[str, np.ndarray]:
  scores: dict[int, list[OptionScore]] = {}
  asked = [prompts.render(q, (), scoring='logprob', mode='no_context') for q in questions]
  options = [[option.strip() for option in q.options or ()] for q in questions]
  for q, length in zip(questions, reader.prompt_tokens(asked, options) if questions else ()):
    if reader.max_positions is not None and length > reader.max_positions:
      raise UserError(f'question "{q.id}" has {length} tokens, but the model has {reader.max_positions} positions')
  reader.option_scores(asked, options, scores.__setitem__)
  values = {'raw': lambda s: s.logprob, 'normalised': lambda s: s.logprob / s.tokens}
  return {name: np.asarray([float(unique_best([value(s) for s in scores[i]]) == q.answer)
                            for i, q in enumerate(questions)])
          for name, value in values.items()}


def compare(before: Measured, after: Measured, questions: Sequence[Question]) -> dict[str, Any]:
  """Both models' figures and their paired differences (after minus before) with 95% intervals over groups.

  Raises:
    UserError: the models' tokenizers cut the texts differently.
  """
  out: dict[str, Any] = {}
  if len(before.nll) or len(after.nll):
    if before.ids_hash != after.ids_hash or len(before.nll) != len(after.nll):
      raise UserError('--before and --after: their tokenizers differ, so their losses cannot be compared by token')
    change = stats.mean_interval(after.nll - before.nll, before.groups, bounds=(-math.inf, math.inf))
    out['text'] = {
        'n_tokens': len(before.nll), 'n_groups': len(set(before.groups)), 'before': _loss(before),
        'after': _loss(after), 'loss_change': _json(change),
        'perplexity_ratio': math.exp(change.estimate)}
  if questions:
    groups = [q.group for q in questions]
    out['questions'] = {
        'n_questions': len(questions), 'chance': float(np.mean([1 / len(q.options or ()) for q in questions])),
        **{name: _accuracy(before.correct[name], after.correct[name], groups) for name in before.correct}}
  return out


def _loss(measured: Measured) -> dict[str, float]:
  loss = float(measured.nll.mean())
  return {'loss': loss, 'perplexity': math.exp(loss),
          'bits_per_byte': float(measured.nll.sum()) / math.log(2) / measured.n_bytes}


def _accuracy(before: np.ndarray, after: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
  by_group = {}
  for group in dict.fromkeys(groups):
    own = np.asarray([g == group for g in groups])
    by_group[group] = {'n': int(own.sum()), 'before': float(before[own].mean()), 'after': float(after[own].mean())}
  return {'before': float(before.mean()), 'after': float(after.mean()),
          'change': _json(stats.paired_difference(after, before, list(map(str, range(len(before)))))),
          'mcnemar': stats.mcnemar(after, before), 'by_group': by_group}


def _json(interval: stats.Interval) -> dict[str, Any]:
  """Without infinities, which JSON does not have: None where there is no interval."""
  return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in interval.to_json().items()}


def read_questions(path: PathLike) -> list[Question]:
  """Multiple-choice questions in a plain form, one JSON object a line.

  `{"question": "...", "options": ["...", "..."], "answer": 1}`; `answer` is a 0-based index, a letter or the text of
  an option. `choices` may stand for `options`, `subject` for `group`; `id` and `group` may be left out. So MMLU's
  rows fit as they are, and so does questions.jsonl.

  Raises:
    UserError: a malformed line, fewer than two options or more than letters, an answer that is none or several of them.
  """
  out = []
  for number, row in read_jsonl(path):
    where = f'{path}:{number}'
    options = row.get('options', row.get('choices'))
    if not isinstance(row.get('question'), str) or not row['question'].strip():
      raise UserError(f'{where}: field "question" should be a string that is not empty')
    if (not isinstance(options, list) or not 2 <= len(options) <= len(prompts.LETTERS)
        or not all(isinstance(o, str) and o.strip() for o in options)):
      raise UserError(f'{where}: field "options" should hold 2 to {len(prompts.LETTERS)} strings that are not empty')
    group = row.get('group') or row.get('subject') or 'all'
    out.append(Question(str(row.get('id', number)), (), str(group), row['question'], tuple(options),
                        _index(row.get('answer'), options, where)))
  if not out:
    raise UserError(f'{path}: holds no question')
  return out


def _index(answer: Any, options: Sequence[str], where: str) -> int:
  letters = prompts.LETTERS[:len(options)]
  if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
    return answer
  if isinstance(answer, str):
    named = answer.strip()
    readings = {i for i, option in enumerate(options) if option.strip() == named}
    if len(named) == 1 and named in letters:
      readings.add(letters.index(named))
    elif readings and named.isdecimal() and int(named) < len(options):
      readings.add(int(named))
    if len(readings) > 1:
      raise UserError(f'{where}: field "answer" is ambiguous: {answer!r} may stand for options '
                      f'{" and ".join(map(str, sorted(readings)))} (counted from 0); give a whole number')
    if readings:
      return readings.pop()
  raise UserError(f'{where}: field "answer" should be 0 to {len(options) - 1}, {letters[0]} to {letters[-1]}, or the '
                  f'text of one option; found {answer!r}')


def limit_texts(texts: Iterable[Text], max_bytes: int) -> list[Text]:
  """The first texts up to so many bytes, the last one cut at a character; 0: all of them."""
  out, left = [], max_bytes
  for text in texts:
    if not text.text.strip():
      continue
    size = len(text.text.encode())
    if max_bytes and size > left:
      cut = text.text.encode()[:left].decode(errors='ignore')
      return [*out, Text(text.group, cut)] if cut.strip() else out
    out.append(text)
    left -= size
  return out


def summary(found: dict[str, Any]) -> list[str]:
  """A few lines on `compare`'s result."""
  lines = []
  if 'text' in found:
    t = found['text']
    lines.append(f'perplexity {t["before"]["perplexity"]:.3f} -> {t["after"]["perplexity"]:.3f} on {t["n_tokens"]} '
                 f'tokens; loss {t["loss_change"]["estimate"]:+.4f} {_interval(t["loss_change"])}')
  if 'questions' in found:
    q = found['questions']
    for name in ('normalised', 'raw'):
      lines.append(f'accuracy ({name}) {100 * q[name]["before"]:.1f}% -> {100 * q[name]["after"]:.1f}% of '
                   f'{q["n_questions"]} questions; change {100 * q[name]["change"]["estimate"]:+.1f} points '
                   f'{_interval(q[name]["change"], 100)}')
  return lines


def _interval(interval: dict[str, Any], scale: float = 1.0) -> str:
  if interval['low'] is None or interval['high'] is None:
    return '[no interval: one group]'
  return f'[{scale * interval["low"]:+.4g}, {scale * interval["high"]:+.4g}]'
