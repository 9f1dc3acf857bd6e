"""What the suites share: models by name, statistics, the peer's process, the two report files."""

import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import subprocess
from typing import Any

import jax

from data_gen.errors import UserError
from data_gen.jsonl import atomic_write, write_json
from smt_jax.config import ModelConfig

Row = dict[str, Any]

PRESETS = {
    'llama8b': ModelConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, max_position_embeddings=131072, rope_theta=500000.0,
        rope_scaling={'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
                      'original_max_position_embeddings': 8192},
        tie_word_embeddings=False),
    'tiny': ModelConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=1024, tie_word_embeddings=False),
}


def preset(name: str, layers: int = 0) -> ModelConfig:
  """A model's shapes; `layers`: another depth, for comparisons that need no whole model.

  Raises:
    UserError: an unknown name, a depth below 0.
  """
  if name not in PRESETS:
    raise UserError(f'--preset={name}: expected one of {", ".join(PRESETS)}')
  if layers < 0:
    raise UserError(f'--layers={layers}: expected 0 (the whole model) or more')
  return dataclasses.replace(PRESETS[name], num_hidden_layers=layers or PRESETS[name].num_hidden_layers)


def spread(seconds: list[float], work: float) -> Row:
  """Rates of `work` units in each of some times: the median's, and those of the slowest and fastest time in ten."""
  cuts = statistics.quantiles(seconds, n=10, method='inclusive') if len(seconds) > 1 else seconds * 9
  return {'per_second': work / statistics.median(seconds), 'per_second_p10': work / cuts[-1],
          'per_second_p90': work / cuts[0], 'seconds_median': statistics.median(seconds), 'timed': len(seconds)}


def run_peer(python: str, script: str, arguments: list[str], timeout: float) -> list[Row]:
  """The JSON lines that a peer's script prints, in a process of its own (so that its GPU memory comes back).

  Raises:
    UserError: the interpreter is missing, or the script failed or took too long; its last line is quoted.
  """
  path = pathlib.Path(__file__).parents[2] / 'launch' / 'peers' / script
  try:
    done = subprocess.run([python, str(path), *arguments], capture_output=True, text=True, timeout=timeout, check=False)
  except FileNotFoundError:
    raise UserError(f'--peer_python={python}: no such program') from None
  except subprocess.TimeoutExpired:
    raise UserError(f'--peer_timeout={timeout:.0f}: {script} took longer') from None
  rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]
  if done.returncode or not rows:
    said = done.stderr if done.returncode else done.stdout
    last = (said.strip().splitlines() or ['it printed nothing'])[-1]
    raise UserError(f'--peer_python={python}: {script} failed: {last}')
  return rows


def machine() -> Row:
  """Where figures were taken."""
  device = jax.devices()[0]
  return {'device': device.device_kind, 'devices': jax.device_count(), 'jax': jax.__version__,
          'date': datetime.datetime.now(datetime.UTC).date().isoformat()}


def write_report(out: str | os.PathLike[str], suite: str, found: Row, rows: list[Row], columns: list[str]) -> str:
  """OUT/<suite>.json with everything, OUT/<suite>.md with a table; returns the table."""
  out = pathlib.Path(out)
  lines = ['| ' + ' | '.join(columns) + ' |', '|' + '---|' * len(columns)]
  lines += ['| ' + ' | '.join(_cell(row.get(c)) for c in columns) + ' |' for row in rows]
  write_json(out / f'{suite}.json', found | {'rows': rows})
  heading = ', '.join(f'{k} {v}' for k, v in found['machine'].items())
  with atomic_write(out / f'{suite}.md') as f:
    f.write('\n'.join([f'# {suite}', '', heading, '', found['definition'], '', *lines, '']))
  return '\n'.join(lines)


def _cell(value: Any) -> str:
  if value is None:
    return ''
  if isinstance(value, float):
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.4g}'
  return str(value)
