"""Tunes chunk size, number and order of chunks on a fixed fifth of the documents:
python -m launch.tune_rag --benchmark=quality --questions=FILE --documents=FILE --checkpoint=DIR --out=DIR."""

from typing import cast

from absl import flags

from data_gen.errors import UserError
from data_gen.schema import Document, read_rows
from launch import app, evaluation, paths
from smt_jax.eval.prompts import SCORINGS, Scoring
from smt_jax.eval.retrieval import sweep
from smt_jax.eval.retrieval.rag import ORDERS, RETRIEVERS, RagSettings
from smt_jax.eval.settings import Settings
from smt_jax.eval.tune import MEASURES, tune

_BENCHMARK = flags.DEFINE_enum('benchmark', None, evaluation.BENCHMARKS, 'What the questions are.', required=True)
_QUESTIONS = paths.reads('questions', None, 'questions.jsonl; a fifth of its groups is tuned on.',
                         required=True)
_DOCUMENTS = paths.reads('documents', None, 'documents.jsonl; all of them are searched in.', required=True)
_MEASURE = flags.DEFINE_enum('measure', 'accuracy', MEASURES, 'Accuracy of the reader, or retrieval recall alone.')
_CHECKPOINT = flags.DEFINE_string('checkpoint', '', 'The reader, for --measure=accuracy.')
_DTYPE = flags.DEFINE_enum('dtype', '', ('', 'float32', 'bfloat16'), 'Compute in this type; default: as stored.')
_SCORING = flags.DEFINE_enum('scoring', 'cot', SCORINGS, 'How the reader answers.')
_NEW = flags.DEFINE_integer('max_new_tokens', 0, 'Longest reply; 0: as in launch.evaluate.')
_RETRIEVER = flags.DEFINE_enum('retriever', 'bm25', RETRIEVERS, 'How chunks are found.')
_EMBEDDER = flags.DEFINE_string('embedder', '', 'Qwen3-Embedding checkpoint for --retriever=dense or hybrid.')
_RERANKER = flags.DEFINE_string('reranker', '', 'Qwen3-Reranker checkpoint that orders the found chunks anew.')
_CHUNK_SIZES = flags.DEFINE_list('chunk_sizes', list(map(str, sweep.CHUNK_SIZES)), 'Sizes to try, in characters.')
_TOP_KS = flags.DEFINE_list('top_ks', list(map(str, sweep.TOP_KS)), 'Numbers of chunks to try.')
_CHUNK_ORDERS = flags.DEFINE_list('chunk_orders', list(sweep.ORDERS), f'Orders to try, of {", ".join(ORDERS)}.')
_OUT = paths.writes('out', None, 'Folder for tuning.json and the trials.', required=True)


def _numbers(name: str, values: list[str]) -> list[int]:
  if not values or not all(v.strip().isdigit() and int(v) > 0 for v in values):
    raise UserError(f'--{name}={",".join(values)}: expected whole numbers above 0 with commas between them')
  return [int(v) for v in values]


def main() -> None:
  base = RagSettings(_RETRIEVER.value, _EMBEDDER.value, _RERANKER.value)
  grid = list(sweep.grid(base, _numbers('chunk_sizes', _CHUNK_SIZES.value), _numbers('top_ks', _TOP_KS.value),
                         _CHUNK_ORDERS.value))
  questions = evaluation.read_questions(_QUESTIONS.value, _BENCHMARK.value)
  documents = list(read_rows(Document, _DOCUMENTS.value))
  reader, settings = None, None
  if _MEASURE.value == 'accuracy':
    if not _CHECKPOINT.value:
      raise UserError('--checkpoint: expected the reader, or --measure=recall to tune without one')
    from launch.readers import local_reader
    settings = Settings(_BENCHMARK.value, 'tuning', 'rag', cast(Scoring, _SCORING.value), rag=base,
                        max_new_tokens=_NEW.value, checkpoint=_CHECKPOINT.value)
    reader = local_reader(_CHECKPOINT.value, dtype=_DTYPE.value)
  trials = tune(questions, documents, grid, _OUT.value, measure=_MEASURE.value, reader=reader, settings=settings)
  for trial in trials:
    s = trial.settings
    print(f'{100 * trial.score:5.1f}%  chunk_size={s.chunk_size} top_k={s.top_k} chunk_order={s.order}')
  best = trials[0].settings
  print(f'best: --chunk_size={best.chunk_size} --top_k={best.top_k} --chunk_order={best.order}')


if __name__ == '__main__':
  app.run(main)
