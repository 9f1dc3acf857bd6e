"""Suite `input`: how many tokens/s the input pipeline delivers to one host."""

import os

from smt_jax.benchmarks import common
from smt_jax.config import DataConfig
from smt_jax.data.benchmark import measure_input
from smt_jax.data.folder import PackedFolder
from smt_jax.data.mix import Mix

DEFINITION = ('Batches as a training run reads them, taken as fast as they come; positions are rows times sequence '
              'length, tokens leave padding out.')
COLUMNS = ['rows', 'rows_per_second', 'positions_per_second', 'tokens_per_second', 'seconds', 'steps', 'cores']


def run(out: str | os.PathLike[str], data: str, replay: str = '', *, rows: int = 16, steps: int = 50) -> str:
  """Measures the mix of packed folders; writes OUT/input.json and OUT/input.md; returns the table.

  Raises:
    UserError: folders that are missing or do not fit each other.
  """
  folder = PackedFolder(data)
  config = DataConfig(batch_size=rows, sequence_length=folder.sequence_length,
                      replay_fraction=0.1 if replay else 0.0,
                      ratios={s: 1.0 for s in folder.sources() if s != 'replay'})
  mix = Mix.open(data, replay, config, seed=0)
  row = {'rows': rows, 'cores': os.cpu_count(), **measure_input(mix, steps=steps)}
  return common.write_report(out, 'input', {'machine': common.machine(), 'definition': DEFINITION}, [row], COLUMNS)
