"""Tunes chunk size, number and order of chunks (and temperature) on a fixed fifth of the documents:
python -m launch.tune_rag --benchmark=quality --questions=FILE --documents=FILE --checkpoint=DIR --out=DIR."""

from collections.abc import Mapping
from typing import Any, cast

from absl import flags

from data_gen import benchmarks
from data_gen.errors import UserError
from data_gen.schema import Document, read_rows
from launch import app, evaluation, paths, reader_flags
from smt_jax.eval.prompts import SCORINGS, Scoring
from smt_jax.eval.retrieval import sweep
from smt_jax.eval.retrieval.rag import ORDERS, RagSettings
from smt_jax.eval.settings import Settings
from smt_jax.eval.tune import MEASURES, tune

flags.adopt_module_key_flags(reader_flags)
_BENCHMARK = flags.DEFINE_enum('benchmark', None, benchmarks.ASKED, 'What the questions are.', required=True)
_QUESTIONS = paths.reads('questions', None, 'questions.jsonl; a fifth of its groups is tuned on.',
                         required=True)
_DOCUMENTS = paths.reads('documents', None, 'documents.jsonl; all of them are searched in.', required=True)
_MEASURE = flags.DEFINE_enum('measure', 'accuracy', MEASURES, 'Accuracy of the reader, or retrieval recall alone.')
_CHECKPOINT = flags.DEFINE_string('checkpoint', '', 'The reader, for --measure=accuracy.')
_SCORING = flags.DEFINE_enum('scoring', 'cot', SCORINGS, 'How the reader answers.')
_NEW = flags.DEFINE_integer('max_new_tokens', 0, 'Longest reply; 0: as in launch.evaluate.')
_CHUNK_SIZES = flags.DEFINE_list('chunk_sizes', list(map(str, sweep.CHUNK_SIZES)), 'Sizes to try, in --chunk_unit.')
_TOP_KS = flags.DEFINE_list('top_ks', list(map(str, sweep.TOP_KS)), 'Numbers of chunks to try.')
_CHUNK_ORDERS = flags.DEFINE_list('chunk_orders', list(sweep.ORDERS), f'Orders to try, of {", ".join(ORDERS)}.')
_TEMPERATURES = flags.DEFINE_list('temperatures', [], 'Then read at these temperatures too, e.g. 0.3,0.7, with the '
                                  'best of the settings.')
_SAMPLES = flags.DEFINE_integer('samples', 4, 'Replies a question at temperatures above 0.', lower_bound=1)
_OUT = paths.writes('out', None, 'Folder for tuning.json and the trials.', required=True)


def _numbers(name: str, values: list[str]) -> list[int]:
  if not values or not all(v.strip().isdigit() and int(v) > 0 for v in values):
    raise UserError(f'--{name}={",".join(values)}: expected whole numbers above 0 with commas between them')
  return [int(v) for v in values]


def _degrees() -> list[float]:
  try:
    return [float(t) for t in _TEMPERATURES.value]
  except ValueError:
    given = ','.join(_TEMPERATURES.value)
    raise UserError(f'--temperatures={given}: expected numbers with commas between them') from None


def _reader(f: Mapping[str, Any]) -> Any:
  if not (f['checkpoint'] or f['endpoint']):
    raise UserError('--checkpoint: expected the reader (or an --endpoint), or --measure=recall to tune without one')
  evaluation.check_reader(f)
  return evaluation.make_reader(f, f['checkpoint'])


def main() -> None:
  f = paths.local_values(flags.FLAGS.flag_values_dict())
  base = RagSettings(f['retriever'], f['embedder'], f['reranker'], unit=f['chunk_unit'], overlap=f['chunk_overlap'],
                     candidates=f['candidates'])
  grid = list(sweep.grid(base, _numbers('chunk_sizes', _CHUNK_SIZES.value), _numbers('top_ks', _TOP_KS.value),
                         _CHUNK_ORDERS.value))
  temperatures = _degrees()
  questions = evaluation.read_questions(_QUESTIONS.value, _BENCHMARK.value)
  documents = list(read_rows(Document, _DOCUMENTS.value))
  tokenizer = evaluation.chunk_tokenizer(f['chunk_unit'], f['chunk_tokenizer'], f['checkpoint'])
  reader, settings = None, None
  if _MEASURE.value == 'accuracy':
    reader = _reader(f)
    settings = Settings(_BENCHMARK.value, 'tuning', 'rag', cast(Scoring, _SCORING.value), rag=base, plain=f['plain'],
                        max_new_tokens=_NEW.value, checkpoint=f['checkpoint'] or f'{f["endpoint"]} {f["model"]}')
  trials = tune(questions, documents, grid, _OUT.value, measure=_MEASURE.value, reader=reader, settings=settings,
                tokenizer=tokenizer, temperatures=temperatures, samples=_SAMPLES.value)
  for trial in trials:
    print(f'{100 * trial.score:5.1f}%  {_flags(trial)}')
  print(f'best: {_flags(trials[0], "--")}')


def _flags(trial: sweep.Trial, dash: str = '') -> str:
  """A trial's choices as flags of launch.evaluate."""
  s = trial.settings
  chosen = {'chunk_size': s.chunk_size, 'top_k': s.top_k, 'chunk_order': s.order}
  chosen |= {'chunk_unit': s.unit} if s.unit != 'characters' else {}
  if trial.temperature is not None:
    chosen |= {'temperature': trial.temperature, 'samples': _SAMPLES.value if trial.temperature > 0 else 1}
  return ' '.join(f'{dash}{name}={value}' for name, value in chosen.items())


if __name__ == '__main__':
  app.run(main)
