"""Questions, documents and a mode to tasks: what is asked, with which context, and what cannot be asked."""

import dataclasses
import random
from collections.abc import Callable, Sequence

from data_gen.errors import UserError
from data_gen.schema import Document, Question
from smt_jax.eval import prompts
from smt_jax.eval.reader import Messages
from smt_jax.eval.retrieval.chunking import Chunk
from smt_jax.eval.settings import Settings

# The chunks to show for each question, in the order in which they are shown (`retrieval.rag.Rag.retrieve`).
Retrieve = Callable[[Sequence[Question]], list[list[Chunk]]]


@dataclasses.dataclass(frozen=True)
class Task:
  """A question ready to be asked.

  Attributes:
    context: pieces of text in the order shown, None closed book.
    retrieved: the chunks in the context, in the same order.
    excluded: why the question leaves this mode; such tasks are listed and counted nowhere.
  """
  question: Question
  documents: tuple[Document, ...]
  context: tuple[str, ...] | None = None
  retrieved: tuple[Chunk, ...] | None = None
  excluded: str | None = None

  def messages(self, settings: Settings, order: Sequence[int], few_shot: Sequence[prompts.Example] = ()) -> Messages:
    question = prompts.permuted(self.question, order)
    return prompts.render(question, self.documents, self.context, settings.scoring, few_shot, settings.mode)


@dataclasses.dataclass(frozen=True)
class Ask:
  """One prompt: a task with its options in one order. `key` names it in the log and seeds its sampling."""
  task: int
  permutation: int
  order: tuple[int, ...]  # shown option i is the question's option order[i]
  options: tuple[str, ...]  # as shown; empty where there are none
  messages: Messages
  key: str


def build_tasks(settings: Settings, questions: Sequence[Question], documents: Sequence[Document],
                retrieve: Retrieve | None = None) -> list[Task]:
  """One task a question, in order.

  Args:
    retrieve: finds the chunks to read; needed for mode 'rag'.

  Raises:
    UserError: a question names a document that is not there (and does not say that its filing is missing); mode
      'rag' without a retriever.
  """
  by_id = {d.id: d for d in documents}
  tasks = [_task(settings, question, by_id) for question in questions]
  if settings.mode == 'rag':
    return _with_retrieval(tasks, retrieve)
  if settings.distractors:
    return _with_distractors(settings, tasks, documents)
  return tasks


def check_asked(settings: Settings, tasks: Sequence[Task]) -> None:
  """Raises UserError where no question can be asked in this mode: such a result would hold no figure."""
  if all(task.excluded is not None for task in tasks):
    first = f'"{tasks[0].question.id}": {tasks[0].excluded}' if tasks else 'there is none'
    raise UserError(f'--mode={settings.mode}: none of the {len(tasks)} questions can be asked ({first})')


def _task(settings: Settings, question: Question, by_id: dict[str, Document]) -> Task:
  missing = [i for i in question.document_ids if i not in by_id]
  known_missing = bool(question.metadata.get('filing_missing'))
  if missing and not known_missing:
    raise UserError(f'question "{question.id}" names document "{missing[0]}", which is not in the documents file')
  named = tuple(by_id[i] for i in question.document_ids if i in by_id)
  evidence = prompts.oracle_context(question, named)
  if missing and settings.mode in ('rag', 'full_document'):
    return Task(question, named, excluded='its document is not there')
  if not named and settings.mode == 'full_document':  # retrieval searches in all documents and needs none named
    return Task(question, named, excluded='it names no document')
  if settings.mode == 'oracle':
    if not evidence:
      return Task(question, named, excluded='neither evidence nor its document is there')
    return Task(question, named, tuple(evidence))
  if settings.mode == 'full_document':
    return Task(question, named, tuple(prompts.full_context(named)))
  return Task(question, named)


def _with_distractors(settings: Settings, tasks: Sequence[Task], documents: Sequence[Document]) -> list[Task]:
  """Whole documents of other groups among the right ones; choice and order depend on seed and question alone."""
  groups: dict[str, set[str]] = {}
  for task in tasks:
    for i in task.question.document_ids:
      groups.setdefault(i, set()).add(task.question.group)
  out = []
  for task in tasks:
    if task.excluded is not None:
      out.append(task)
      continue
    own = set(task.question.document_ids)
    others = [d for d in documents if d.id not in own and task.question.group not in groups.get(d.id, ())]
    if len(others) < settings.distractors:
      raise UserError(f'--distractors={settings.distractors}: there are only {len(others)} documents of other groups '
                      f'than that of question "{task.question.id}"')
    rng = random.Random(f'{settings.seed}:{task.question.id}:distractors')
    mixed = [*task.documents, *rng.sample(others, settings.distractors)]
    rng.shuffle(mixed)
    out.append(dataclasses.replace(task, context=tuple(prompts.full_context(mixed))))
  return out


def _with_retrieval(tasks: list[Task], retrieve: Retrieve | None) -> list[Task]:
  if retrieve is None:
    raise UserError('--mode=rag: expected documents to search in')
  asked = [i for i, task in enumerate(tasks) if task.excluded is None]
  found = retrieve([tasks[i].question for i in asked]) if asked else []
  for i, chunks in zip(asked, found, strict=True):
    tasks[i] = dataclasses.replace(tasks[i], context=tuple(c.text for c in chunks), retrieved=tuple(chunks))
  return tasks


def make_asks(settings: Settings, tasks: Sequence[Task], few_shot: Sequence[prompts.Example]) -> list[Ask]:
  """Every prompt of the evaluation, in order: questions, and for each its permutations."""
  asks = []
  for index, task in enumerate(tasks):
    if task.excluded is None:
      orders = prompts.option_orders(task.question, settings.permutations, settings.seed)
      for p, order in enumerate(orders):
        options = tuple((task.question.options or ())[i].strip() for i in order)
        asks.append(Ask(index, p, tuple(order), options, task.messages(settings, order, few_shot),
                        f'{task.question.id}#{p}'))
  return asks
