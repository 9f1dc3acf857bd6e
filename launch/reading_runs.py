"""The runs of docs/reading_a_run.md: python -m launch.reading_runs --out=DIR --plots=docs/reading_a_run

Trains a tiny model on synthetic data about a few fictional documents, once as it should be and then with one thing
wrong at a time, and plots what launch.train logged of each. Some minutes on one CPU core; run again, it goes on.
"""

import contextlib
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from absl import flags

from data_gen.errors import UserError
from launch import app, paths
from smt_jax.config import TrainConfig, get

_OUT = paths.writes('out', None, 'Folder of data and runs.', required=True)
_PLOTS = paths.writes('plots', None, 'Folder for NAME.svg of each run.', required=True)
_RUNS = flags.DEFINE_list('runs', [], 'Only these runs; empty: all.')
_TOKENIZER = 'configs/world_base'
_TOKENS = 120_000
# What each run does differently from the healthy one.
RUNS = {
    'healthy': {},
    'rate_too_high': {'optimizer.learning_rate': 0.3},
    'rate_too_low': {'optimizer.learning_rate': 3e-6},
    'repetition': {'data': 'few', 'token_budget': 4 * _TOKENS},
    'input_bound': {'mix.prefetch': 1, 'token_budget': _TOKENS // 3},  # and slow rows: `_slow_rows`
    'not_finite': {'optimizer.learning_rate': 1e6, 'optimizer.clip_norm': 0.0, 'optimizer.schedule': 'constant'},
}


def main() -> None:
  unknown = sorted(set(_RUNS.value) - set(RUNS))
  if unknown:
    raise UserError(f'--runs={unknown[0]}: expected some of {", ".join(RUNS)}')
  from smt_jax.eval.report import plots, watch
  from smt_jax.train import train
  out = pathlib.Path(_OUT.value)
  _data(out)
  for name in _RUNS.value or RUNS:
    if not (out / name / 'mix.json').exists():
      try:
        with _slow_rows() if name == 'input_bound' else contextlib.nullcontext():
          result = train(_config(out, RUNS[name]), out / name)
        print(f'{name}: {result.status} at step {result.step}, loss {result.loss}', flush=True)
      except UserError as e:  # of not_finite the message is what there is to see
        print(f'{name}: {e}', flush=True)
        continue
    plots.save(watch.watch_plot(out / name), pathlib.Path(_PLOTS.value), name)
    (pathlib.Path(_PLOTS.value) / f'{name}.png').unlink()  # one form is enough to keep


@contextlib.contextmanager
def _slow_rows() -> Iterator[None]:
  """Every row takes a fifth of a second, as from a disk far away."""
  from smt_jax.data.folder import RowSource
  read = RowSource.__getitem__

  def slow(self: RowSource, row: int) -> Any:
    time.sleep(0.2)
    return read(self, row)
  RowSource.__getitem__ = slow
  try:
    yield
  finally:
    RowSource.__getitem__ = read


def _data(out: pathlib.Path) -> None:
  """OUT/many and OUT/few: packed records about twelve documents and about one."""
  from data_gen.generators.factory import make_generator
  from data_gen.prepare import prepare
  from data_gen.schema import Document, read_rows
  from data_gen.synthesize import Settings, synthesize
  from data_gen.text import load_tokenizer
  from smt_jax.data.pack import pack
  if not (out / 'world' / 'documents.jsonl').exists():
    prepare('world', 'study:seed=90,documents=12', out / 'world', None, _TOKENIZER, {})
  documents = list(read_rows(Document, out / 'world' / 'documents.jsonl'))
  settings = Settings(methods=('qa', 'focal'), tokens_per_method='4x')
  for name, chosen in (('many', documents), ('few', documents[:1])):
    synthesize(chosen, out / f'{name}_records', make_generator('offline', seed=0, offline={}, hosted={}),
               load_tokenizer(_TOKENIZER), settings, quality=False)
    pack([f'{out}/{name}_records/records.*.jsonl'], _TOKENIZER, out / name, 128, held_out=0.15)


def _config(out: pathlib.Path, changes: dict[str, Any]) -> TrainConfig:
  from configs import debug
  config = debug.get_config()
  config.tokenizer, config.token_budget, config.mix.replay_fraction = _TOKENIZER, _TOKENS, 0.0
  config.checkpoint.every_steps, config.log.tensorboard, config.log.eval_every_steps = 0, False, 10
  for path, value in ({'data': 'many'} | changes).items():
    parent, _, field = path.rpartition('.')
    setattr(get(config, parent) if parent else config, field, value)
  config.data = str(out / config.data)
  return config


if __name__ == '__main__':
  app.run(main)
