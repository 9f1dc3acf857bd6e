"""Tunes the RAG arm on a fixed fifth of the documents, by the reader's accuracy or by retrieval recall alone."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import PathLike, write_json
from data_gen.schema import Document, Question
from smt_jax.eval.retrieval.rag import Models, Rag, RagSettings
from smt_jax.eval.retrieval.sweep import Trial, split_for_tuning, sweep
from smt_jax.eval.runner import evaluate
from smt_jax.eval.settings import Settings

MEASURES = ('accuracy', 'recall')


def tune(questions: Sequence[Question], documents: Sequence[Document], grid: Sequence[RagSettings], out: PathLike, *,
         measure: str = 'accuracy', reader: Any = None, settings: Settings | None = None,
         tokenizer: Any = None, temperatures: Sequence[float] = (), samples: int = 4) -> list[Trial]:
  """Tries every setting on the questions of the tuning documents; the index always holds all documents.

  Writes `tuning.json` (the trials, best first, and the groups that were tuned on) and, by accuracy, one evaluation a
  setting under `trials/`; an interrupted sweep goes on where it was.

  Args:
    grid: the settings to try, e.g. `list(sweep.grid(RagSettings()))`.
    measure: 'accuracy' (strict, of `reader`) or 'recall' (evidence shown; documents found where none is marked).
    reader, settings: who reads and how, for 'accuracy'; the mode must be 'rag'.
    tokenizer: only for chunks in tokens.
    temperatures: to read at with the best of these settings, after them; above 0 with `samples` replies each.

  Raises:
    UserError: nothing to tune on, no reader for 'accuracy', whatever the evaluation refuses.
  """
  if measure not in MEASURES:
    raise UserError(f'--measure={measure}: expected one of {", ".join(MEASURES)}')
  if any(t < 0 for t in temperatures):
    raise UserError(f'--temperatures={min(temperatures):g}: expected 0 or more')
  if measure == 'accuracy' and (reader is None or settings is None):
    raise UserError('--measure=accuracy: needs a reader; without one use --measure=recall')
  chosen, rest = split_for_tuning(questions)  # by all groups, so that it is the fifth that results leave out
  asked = [q for q in chosen if not q.metadata.get('filing_missing')]
  if not asked:
    raise UserError('--documents: holds no document of the fifth that is tuned on')
  out, models = pathlib.Path(out), Models()
  indexed: list[Rag] = []  # the last index: neighbours in the grid share it

  def score(one: RagSettings) -> float:
    rag = indexed[-1].showing(one) if indexed else None
    if rag is None:
      rag = Rag(documents, one, models, out / 'embeddings', tokenizer)
      indexed[:] = [rag]
    if measure == 'recall':
      found = rag.recall(asked, rag.retrieve(asked))
      return found.document if found.evidence is None else found.evidence
    return read(one, rag, None)

  def read(one: RagSettings, rag: Rag, temperature: float | None) -> float:
    assert settings is not None
    so = dataclasses.replace(settings, rag=one)
    if temperature is not None:
      so = dataclasses.replace(so, temperature=temperature, samples=samples if temperature > 0 else 1)
    folder = _name(one) + ('' if temperature is None else f'_t{temperature:g}')
    result = evaluate(so, asked, documents, reader, out / 'trials' / folder, retrieve=rag.retrieve)
    return result['accuracy']['strict']

  trials = sweep(grid, score)
  if temperatures and measure == 'accuracy':
    best = trials[0].settings
    rag = Rag(documents, best, models, out / 'embeddings', tokenizer)
    warmer = [Trial(best, read(best, rag, t), t) for t in temperatures]
    trials = sorted([*trials, *warmer], key=lambda t: -t.score)  # stable: of equal scores the simpler one
  write_json(out / 'tuning.json', {
    'measure': measure, 'n_questions': len(asked), 'n_questions_kept_back': len(rest),
    'groups': sorted({q.group for q in asked}),
    'trials': [{'score': t.score, 'temperature': t.temperature, **dataclasses.asdict(t.settings)} for t in trials]})
  return trials


def _name(s: RagSettings) -> str:
  return f'{s.retriever}{"_reranked" if s.reranker else ""}_{s.chunk_size}_{s.unit}_{s.top_k}_{s.order}'
