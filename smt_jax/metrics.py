"""What is logged of a run, and the arithmetic behind it.

Two files on purpose. `metrics.jsonl` has a line for every step and holds only what the run itself determines (losses,
norms, the rows' checksum): a run that was killed and resumed has the same file, byte for byte, as one that was not.
`timing.jsonl` has what the machine adds: seconds, tokens/s, MFU, memory.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from data_gen.jsonl import AppendLog
from smt_jax.chips import chip_of
from smt_jax.config import LogConfig, ModelConfig, TrainConfig

Row = dict[str, Any]


def matmul_parameters(model: ModelConfig) -> int:
  """Parameters that stand in a matrix product: all matrices, the output matrix once, no embedding lookup."""
  D, H, K, N = model.hidden_size, model.num_attention_heads, model.num_key_value_heads, model.head_dim
  layer = D * N * (H + 2 * K) + H * N * D + 3 * D * model.intermediate_size
  return model.num_hidden_layers * layer + D * model.vocab_size


def flops_per_token(model: ModelConfig, sequence_length: int) -> float:
  """Training FLOPs of one token: 6 x matmul parameters + 6 x layers x heads x head_dim x sequence.

  Attention is halved for causality; recomputation does not count; packed rows count as if they were one document.
  """
  attention = 6 * model.num_hidden_layers * model.num_attention_heads * model.head_dim * sequence_length
  return 6 * matmul_parameters(model) + attention


def recomputed_flops_per_token(model: ModelConfig, sequence_length: int, remat: str) -> float:
  """FLOPs of one token that a remat policy does again in the backward pass; no part of MFU."""
  D, H, K, N = model.hidden_size, model.num_attention_heads, model.num_key_value_heads, model.head_dim
  projections = 2 * D * N * (H + 2 * K)
  layer = {'none': 0.0, 'products': 0.0, 'attention': projections,
           'full': projections + 2 * H * N * sequence_length + 2 * (H * N * D + 3 * D * model.intermediate_size)}
  return model.num_hidden_layers * layer[remat]


def mfu(tokens_per_second: float, model: ModelConfig, sequence_length: int) -> float | None:
  """Model FLOPs utilisation over all devices: `flops_per_token` x tokens/s / peak; None on unknown devices."""
  chip = chip_of(jax.devices()[0].device_kind)
  return None if chip is None else (
      tokens_per_second * flops_per_token(model, sequence_length) / (chip.flops * jax.device_count()))


def memory_bytes() -> int:
  """Most memory in use so far: of the first local device, or of this process on a CPU."""
  stats = jax.local_devices()[0].memory_stats()
  if stats and 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def loss_row(sums: dict[str, np.ndarray], kinds: tuple[str, ...]) -> Row:
  """Sums by kind to means: `loss` over all loss tokens, and by kind what that kind's rows had (nothing: left out)."""
  tokens, total = np.asarray(sums['loss_tokens']), np.asarray(sums['loss_sum'], np.float64)
  here = [(k, float(s), int(n)) for k, s, n in zip(kinds, total, tokens) if n]
  return {
      'loss': float(total.sum() / max(1, tokens.sum())),
      'loss_by_kind': {k: s / n for k, s, n in here},
      'loss_tokens': {k: n for k, _, n in here},
  }


def train_row(step: int, metrics: dict[str, np.ndarray], kinds: tuple[str, ...], tokens: int,
              learning_rate: float) -> Row:
  """The line of one step; `tokens` counts real tokens seen up to and with it."""
  row = {'step': step, 'split': 'train', **loss_row(metrics, kinds)}
  row |= {'rows': {k: int(n) for k, n in zip(kinds, metrics['rows']) if n}, 'tokens': tokens,
          'learning_rate': learning_rate, 'grad_norm': float(metrics['grad_norm'])}
  if 'param_norm' in metrics:
    row['param_norm'] = float(metrics['param_norm'])
  return row | {'checksum': f'{int(metrics["checksum"]):08x}'}


class RunLog:
  """Writes the two files, TensorBoard events and, where asked for, Weights & Biases. For one process only."""

  def __init__(self, workdir: str | os.PathLike[str], config: LogConfig, start_step: int):
    self._config = config
    folder = pathlib.Path(workdir)
    for name in ('metrics.jsonl', 'timing.jsonl'):
      forget_after(folder / name, start_step)
    self._metrics, self._timing = AppendLog(folder / 'metrics.jsonl'), AppendLog(folder / 'timing.jsonl')
    self._board = self._wandb = None
    if config.tensorboard:
      import tensorboardX  # takes a second to import
      self._board = tensorboardX.SummaryWriter(str(folder / 'tensorboard'), purge_step=start_step + 1 or None)
    if config.wandb_project:
      import wandb
      # one id for one folder: a resumed run goes on under it, and folders of the same name are told apart
      self._wandb = wandb.init(project=config.wandb_project, dir=str(folder), resume='allow', name=folder.name,
                               id=hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12])

  def metrics(self, row: Row) -> None:
    """A line that the run determines: `train_row`, or a held-out row with split 'validation'."""
    self._metrics.append(row)
    if row['split'] != 'train' or row['step'] % self._config.every_steps == 0:
      self._scalars(row['split'], row)

  def timing(self, row: Row) -> None:
    """A line that the machine determines."""
    self._timing.append(row)
    self._scalars('timing', row)

  def _scalars(self, group: str, row: Row) -> None:
    flat = {}
    for name, value in row.items():
      for inner, number in (value.items() if isinstance(value, dict) else [('', value)]):
        if isinstance(number, int | float) and name != 'step':
          flat[f'{group}/{name}/{inner}'.rstrip('/')] = number
    if self._board:
      for name, number in flat.items():
        self._board.add_scalar(name, number, row['step'])
    if self._wandb:
      self._wandb.log(flat, step=row['step'])

  def sync(self) -> None:
    """On disk: called before a checkpoint, so that no checkpoint is ahead of the log."""
    self._metrics.sync()
    self._timing.sync()

  def close(self) -> None:
    self._metrics.close()
    self._timing.close()
    if self._board:
      self._board.close()
    if self._wandb:
      self._wandb.finish()


class Clock:
  """Where the time of the steps goes. What `paused` covers (saving, evaluation) and compilation count for no step."""

  def __init__(self, config: TrainConfig):
    self._config = config
    self.compile_seconds = 0.0
    self._since: float | None = None  # end of the last step; None: the next one starts the clock
    self._reset()

  def _reset(self) -> None:
    self._steps, self._tokens, self._seconds, self._wait = 0, 0, 0.0, 0.0

  def step(self, tokens: int, wait: float) -> None:
    """A step has ended; the first after a start or a pause only starts the clock."""
    now = time.perf_counter()
    if self._since is not None:
      self._steps, self._tokens = self._steps + 1, self._tokens + tokens
      self._seconds, self._wait = self._seconds + now - self._since, self._wait + wait
    self._since = now

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    yield
    self._since = None

  def row(self, step: int) -> Row:
    """The timing line of the steps since the last one; rates are missing where no whole step was timed.

    `input_wait_seconds` is host time spent waiting for rows, `compute_seconds` the rest; both a step.
    """
    row: Row = {'step': step, 'memory_bytes': memory_bytes(), 'compile_seconds': round(self.compile_seconds, 3)}
    if self._steps:
      speed = self._tokens / self._seconds
      row |= {'tokens_per_second': speed, 'step_seconds': self._seconds / self._steps,
              'input_wait_seconds': self._wait / self._steps,
              'compute_seconds': max(0.0, self._seconds - self._wait) / self._steps}
      used = mfu(speed, self._config.model, self._config.mix.sequence_length)
      if used is not None:
        row['mfu'] = used
    self._reset()
    return row


def forget_after(path: pathlib.Path, step: int) -> None:
  """Cuts the lines of steps after `step` (and a torn last line) off a log: those steps are run again."""
  if not path.exists():
    return
  with open(path, 'rb+') as f:
    end = 0
    for line in f:
      try:
        if not line.endswith(b'\n') or json.loads(line)['step'] > step:
          break
      except ValueError:
        break
      end += len(line)
    f.truncate(end)
