"""Suite `train`: tokens/s of the training step on random weights and rows, beside a Hugging Face step.

Dims: A micro-batches, B rows, T time.

MFU: (6 x matmul parameters + 6 x layers x heads x head_dim x sequence) FLOPs a token, attention halved for causality,
over the chip's dense bfloat16 peak; recomputation does not count, nor does packing make attention smaller.
"""

import dataclasses
import gc
import os
import statistics
import time
from typing import Any

import jax
import numpy as np

from data_gen.errors import UserError
from smt_jax import chips, memory, metrics, xla_flags
from smt_jax.benchmarks import common, trace
from smt_jax.config import DataConfig, MeshConfig, ModelConfig, OptimizerConfig, StepConfig, TrainConfig
from smt_jax.data.layout import SOURCES
from smt_jax.data.rows import most_runs
from smt_jax.feed import place
from smt_jax.mesh import make_mesh
from smt_jax.state import Setup, init_state, make_setup
from smt_jax.step import make_train_step

DEFINITION = (__doc__ or '').split('\n\n')[-1].replace('\n', ' ').strip()
STATES = {
    'default': (StepConfig(), OptimizerConfig(mu_dtype='bfloat16')),
    'bf16': (StepConfig(param_dtype='bfloat16'), OptimizerConfig(mu_dtype='bfloat16', nu_dtype='bfloat16')),
}
COLUMNS = ['who', 'state', 'rows', 'per_second', 'per_second_p10', 'per_second_p90', 'mfu', 'ms', 'memory_gb', 'timed',
           'compile_seconds', 'remat']
_RATE = np.float32(1e-5)
TRACED = ['computing_ms', 'communicating_ms', 'exposed_ms', 'idle_ms']  # as `trace` defines them


@dataclasses.dataclass(frozen=True)
class Variant:
  """One configuration of our step, written 'STATE[+packed]': 'default+packed'.

  default: float32 weights and second moment, bfloat16 first moment. bf16: all of it bfloat16 (stochastically rounded).
  packed: rows hold several documents and attention stays inside each.
  """
  name: str

  @property
  def packed(self) -> bool:
    return self.name.endswith('+packed')

  @property
  def state(self) -> str:
    return self.name.removesuffix('+packed')

  def config(self, model: ModelConfig, rows: int, length: int, remat: str, attention: str) -> TrainConfig:
    if self.state not in STATES:
      raise UserError(f'--variants={self.name}: expected {" or ".join(STATES)}, each with or without +packed')
    step, optimizer = STATES[self.state]
    return TrainConfig(
        model=model, mesh=MeshConfig(fsdp=-1), optimizer=optimizer,
        mix=DataConfig(batch_size=rows, sequence_length=length, document_masking=self.packed),
        step=dataclasses.replace(step, remat=remat, attention=attention))


def random_rows(model: ModelConfig, rows: int, length: int, packed: bool, mean: int = 300, seed: int = 0,
                ) -> dict[str, np.ndarray]:
  """Rows like packed ones, [rows, T]: documents of log-normal length (mean `mean` tokens), or one a row."""
  rng = np.random.default_rng(seed)
  tokens = rng.integers(0, model.vocab_size, (rows, length), dtype=np.int32)
  segments = np.ones((rows, length), np.int32)
  for row in segments if packed else []:
    starts = np.cumsum(np.maximum(8, rng.lognormal(np.log(mean) - 0.18, 0.6, size=length)).astype(int))
    row[:] = 1 + np.searchsorted(starts, np.arange(length), side='right')
  first = np.concatenate([np.ones((rows, 1), bool), segments[:, 1:] != segments[:, :-1]], axis=1)
  begins = np.maximum.accumulate(np.where(first, np.arange(length), 0), axis=1)
  labels = np.where(np.roll(first, -1, axis=1), -100, np.roll(tokens, -1, axis=1))
  return {'tokens': tokens, 'labels': labels.astype(np.int32), 'segment_ids': segments,
          'positions': (np.arange(length) - begins).astype(np.int32), 'record_ids': segments,
          'kinds': np.zeros(rows, np.int32), 'row': np.arange(rows, dtype=np.int32)}


class Loop:
  """The compiled step run again and again; a step's metrics are read while the next one runs, as in training.

  Attributes:
    state: the state after the last step sent.
    ends: when each step's metrics were there, by `time.perf_counter`.
    values: metrics of the last step.
  """

  def __init__(self, program: Any, setup: Setup, batch: Any):
    self._program, self._batch, self.state = program, batch, init_state(setup)
    self.values: Any = None
    self.ends: list[float] = []
    # Several CPU devices share one thread pool, in which the collectives of two steps in flight can deadlock.
    self._lockstep = jax.default_backend() == 'cpu' and jax.device_count() > 1

  def run(self, steps: int) -> None:
    for _ in range(steps):
      before = self.values
      self.state, self.values = self._program(self.state, self._batch, _RATE)
      if self._lockstep:
        jax.block_until_ready(self.values)
      if before is not None:
        jax.block_until_ready(before)
        self.ends.append(time.perf_counter())

  def run_to_the_end(self, steps: int) -> None:
    self.run(steps)
    jax.block_until_ready(self.values)


def measure(variant: Variant, config: TrainConfig, *, steps: int = 20, warmup: int = 3,
            options: xla_flags.Options | None = None, traced: bool = False) -> common.Row:
  """Times single steps of the real train step, from one's end to the next one's.

  Args:
    options: compiler settings over those of `xla_flags`; a value of None takes one away.
    traced: adds what `trace` finds in three more steps, of the GPU that computes for longest, and all under 'devices'.

  Raises:
    UserError: the loss is not finite.
  """
  mesh, peak = make_mesh(config.mesh), metrics.memory_bytes()
  T = config.mix.sequence_length
  host = random_rows(config.model, config.mix.batch_size, T, variant.packed)
  setup = make_setup(config, mesh, len(SOURCES), most_runs=most_runs(host['segment_ids']))
  batch = place({k: x[None] for k, x in host.items()}, mesh, lead=1)
  wanted = xla_flags.options(jax.default_backend(), mesh.size) | (options or {})
  begun = time.perf_counter()
  lowered = make_train_step(setup).lower(setup.shapes, batch, _RATE)
  program = xla_flags.compile_with(lowered, wanted)
  compile_seconds = time.perf_counter() - begun
  loop = Loop(program, setup, batch)
  loop.run(warmup + steps + 1)
  seconds = np.diff(loop.ends[warmup - 1:]).tolist()
  devices = trace.traced(loop.run_to_the_end) if traced else []
  values = jax.device_get(loop.values)
  if not values['ok']:
    raise UserError(f'{variant.name}: the loss is not finite')
  row = common.spread(seconds, config.mix.batch_size * T / jax.device_count())
  sizes = program.memory_analysis()
  row |= {'who': 'smt-jax', 'state': variant.name, 'rows': config.mix.batch_size, 'sequence': T,
          'mfu': metrics.mfu(row['per_second'] * jax.device_count(), config.model, T),
          'ms': 1000 * statistics.median(seconds), 'compile_seconds': round(compile_seconds, 1),
          'memory_gb': metrics.memory_bytes() / 1e9 if metrics.memory_bytes() > peak else None,  # not another variant's
          'remat': memory.remat_policy(setup),
          'program_gb': (sizes.argument_size_in_bytes + sizes.temp_size_in_bytes) / 1e9 if sizes else None,
          'loss': float(values['loss_sum'].sum() / values['loss_tokens'].sum())}
  if devices:
    row |= {name: devices[0][name] for name in TRACED} | {'devices': devices}
  del loop, program
  gc.collect()
  return row


def run(out: str | os.PathLike[str], *, preset: str = 'llama8b', layers: int = 0, sequence_length: int = 2048,
        rows: int = 4, variants: tuple[str, ...] = ('default', 'default+packed', 'bf16'), remat: str = 'auto',
        steps: int = 20, attention: str = 'auto', options: xla_flags.Options | None = None, traced: bool = False,
        peer_python: str = '', peer_timeout: float = 900, peer_arguments: tuple[str, ...] = ()) -> str:
  """Measures the peer, then our variants; writes OUT/train.json and OUT/train.md; returns the table.

  Args:
    rows: sequences a GPU.
    options, traced: see `measure`.

  Raises:
    UserError: an unknown preset or variant, a peer that fails.
  """
  chips.reserve_memory()
  model = common.preset(preset, layers)
  chosen = [Variant(name) for name in variants]
  for variant in chosen:
    variant.config(model, rows, sequence_length, remat, attention)
  found = []

  def report() -> str:
    whole = {'machine': common.machine(), 'definition': DEFINITION}
    return common.write_report(out, 'train', whole, found, COLUMNS + TRACED * traced)
  if peer_python:
    found += common.run_peer(peer_python, 'hf_train.py', [
        f'--preset={preset}', f'--layers={model.num_hidden_layers}', f'--sequence={sequence_length}',
        f'--steps={steps}', *peer_arguments], peer_timeout)
    report()  # a later failure loses nothing that was measured
  for variant in chosen:
    config = variant.config(model, rows * jax.device_count(), sequence_length, remat, attention)
    found.append(measure(variant, config, steps=steps, options=options, traced=traced))
    report()
  return report()
