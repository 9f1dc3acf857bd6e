"""Tuning of the RAG arm on a fixed fifth of the documents, so that it is compared at its best.

The fifth is the same for every arm, seed and benchmark version: it is drawn from the names of the groups alone.
Results on the other four fifths are what should be quoted for a tuned arm.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from data_gen.errors import UserError
from data_gen.schema import Question
from smt_jax.eval.retrieval.rag import RagSettings

# EntiGraph's sweep, chunk sizes in characters.
CHUNK_SIZES = (256, 512, 1024)
TOP_KS = (1, 2, 4, 8, 16)
ORDERS = ('best_last', 'best_first')


@dataclasses.dataclass(frozen=True)
class Trial:
  settings: RagSettings
  score: float
  temperature: float | None = None  # of the reader; None: as its settings have it


def tuning_groups(groups: Iterable[str], fraction: float = 0.2) -> set[str]:
  """The groups (articles, patients, filings) to tune on: the `fraction` whose hashed names sort first, at least one."""
  ordered = sorted(set(groups), key=lambda g: hashlib.sha256(g.encode()).hexdigest())
  if not ordered:
    raise UserError('--questions: there is no question to tune on')
  return set(ordered[:max(1, round(fraction * len(ordered)))])


def split_for_tuning(questions: Sequence[Question], fraction: float = 0.2) -> tuple[list[Question], list[Question]]:
  """(questions to tune on, the others), by whole groups."""
  tuned = tuning_groups((q.group for q in questions), fraction)
  return [q for q in questions if q.group in tuned], [q for q in questions if q.group not in tuned]


def grid(base: RagSettings, chunk_sizes: Sequence[int] = CHUNK_SIZES, top_ks: Sequence[int] = TOP_KS,
         orders: Sequence[Any] = ORDERS) -> Iterator[RagSettings]:
  """All combinations; chunk sizes vary slowest, so that neighbours share an index. One chunk has one order."""
  for chunk_size, top_k, order in itertools.product(chunk_sizes, top_ks, orders):
    if top_k > 1 or order == orders[0]:
      yield dataclasses.replace(base, chunk_size=chunk_size, top_k=top_k, order=order)


def sweep(settings: Iterable[RagSettings], score: Callable[[RagSettings], float]) -> list[Trial]:
  """Scores every setting, best first; of equal scores the one that shows the reader less text.

  Args:
    settings: those to try, e.g. `grid(RagSettings())`.
    score: accuracy (or recall) of a setting on the tuning questions.
  """
  trials = [Trial(s, float(score(s))) for s in settings]
  if not trials:
    raise UserError('the sweep has no setting to try')
  return sorted(trials, key=lambda t: (-t.score, t.settings.chunk_size * t.settings.top_k))
