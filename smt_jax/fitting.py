"""What a step would take on machines that cannot be compiled for, and what to change where it does not fit."""

import copy
import dataclasses
import math
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from data_gen.errors import UserError
from data_gen.jsonl import AppendLog, read_jsonl
from smt_jax import compile_check, memory
from smt_jax.chips import Topology
from smt_jax.config import TrainConfig, get, validate
from smt_jax.data.layout import SOURCES
from smt_jax.mesh import batch_parts, make_mesh
from smt_jax.state import Setup, make_setup

_GIB = 2**30


def check(config: TrainConfig, topology: Topology) -> compile_check.Check:
  """The step compiled for `topology` where that can be done here, else an estimate, labelled so.

  Raises:
    UserError: an impossible mesh or batch; a step that does not fit, with the smallest change that would.
  """
  validate(_filled(config))
  try:
    found = (compile_check.check if compile_check.compiles_here(topology) else estimated)(config, topology)
  except compile_check.DoesNotFit as e:
    raise UserError(_refusal(config, topology, e.used)) from None
  if not found.fits:
    raise UserError(_refusal(config, topology, found.memory_bytes, found.how))
  return found


def run_all(runs: Sequence[tuple[str, TrainConfig, Topology]], out: str = '') -> None:
  """Checks (name, config, topology) one after the other and prints each; with `out` as JSON lines in a file too.

  What stands in the file is printed but not checked again.

  Raises:
    UserError: as `check`, when all have had their turn.
  """
  refused: list[str] = []
  done = {row['name']: row for _, row in read_jsonl(out)} if out and os.path.exists(out) else {}
  for name, config, topology in runs:
    if name in done:
      print(f'{name}: stands in {out}', flush=True)
      continue
    started = time.monotonic()
    try:
      found = check(config, topology)
    except UserError as e:
      refused.append(f'{name}: {e}' if name else str(e))
      if name:
        print(refused[-1], flush=True)
      continue
    print('\n'.join(([name] if name else []) + lines(found)), flush=True)
    if out:
      with AppendLog(out) as log:
        log.append({'name': name, **dataclasses.asdict(found), 'compile_seconds': round(time.monotonic() - started)})
  if refused:
    raise UserError(refused[0] if len(refused) == 1 else f'{len(refused)} of {len(runs)} are refused, as said above')


def _filled(config: TrainConfig) -> TrainConfig:
  """With names for what a run reads: the shape of a step does not depend on them."""
  return dataclasses.replace(config, init='checkpoint', tokenizer='', data='data', replay='replay')


def estimated(config: TrainConfig, topology: Topology) -> compile_check.Check:
  """The figures of a step by arithmetic alone; needs as many (CPU) devices as the topology has chips."""
  setup = described(config, topology)
  compile_check.batch_shapes(config, setup.mesh)  # for its complaints
  remat = policy(setup, topology)
  parts = memory.estimate(setup, remat, topology.chip.memory, topology.chip)
  held = compile_check.state_bytes(setup.shapes) | {
      name.replace('_', ' '): size for name, size in dataclasses.asdict(parts).items() if name != 'state' and size}
  return compile_check.finished(setup, topology, 'estimate', remat, held, traffic(setup))


def described(config: TrainConfig, topology: Topology) -> Setup:
  """The run's shapes and shardings on as many devices as `topology` has chips, of whatever kind there are here.

  Raises:
    UserError: what `make_mesh` and `make_setup` raise; fewer devices than chips.
  """
  devices = _stand_ins(topology.chips)
  if len(devices) < topology.chips:
    raise UserError(f'--topology={topology}: its estimate needs {topology.chips} devices of any kind, here are '
                    f'{len(devices)}; set XLA_FLAGS=--xla_force_host_platform_device_count={topology.chips}')
  return make_setup(config, make_mesh(config.mesh, devices[:topology.chips]), len(SOURCES))


def _stand_ins(wanted: int) -> list[Any]:
  """Devices to lay shapes out on: this machine's or, where they are too few, its CPU as often as JAX was told."""
  devices = jax.devices()
  if len(devices) >= wanted:
    return devices
  try:
    return jax.devices('cpu')
  except RuntimeError:  # JAX_PLATFORMS leaves them out
    return devices


def policy(setup: Setup, topology: Topology) -> str:
  """The remat policy that the run would take on chips of this kind."""
  if setup.config.step.remat != 'auto':
    return setup.config.step.remat
  return memory.least_recomputing(setup, topology.chip.memory, topology.chip)


def traffic(setup: Setup) -> dict[str, float]:
  """Bytes that a device sends in a step, by kind: ring algorithms, weights and gradients in compute dtype.

  fsdp gathers the weights for the forward and again for the backward pass of every micro-batch and scatters their
  gradients; data adds the gradients up; tensor adds up activations twice a layer and pass.
  """
  config, shape = setup.config, setup.mesh.shape
  fsdp, data, tensor = shape['fsdp'], shape['data'] * shape['context'], shape['tensor']
  micro, dtype = config.step.accumulation_steps, config.step.compute_dtype
  trained = memory.local_bytes(setup.shapes.params, dtype)
  gathered = memory.local_bytes(setup.weights, dtype) * (fsdp - 1)
  tokens = (config.mix.batch_size * config.mix.sequence_length // batch_parts(setup.mesh) // shape['context'])
  activations = 4 * config.model.num_hidden_layers * tokens * config.model.hidden_size * 2
  found = {'all-gather': 2.0 * micro * gathered,
           'reduce-scatter': float(micro * trained * (fsdp - 1)),
           'all-reduce': 2 * trained * (data - 1) / data + 2 * activations * (tensor - 1) / tensor}
  return {kind: size for kind, size in found.items() if size}


def changes(config: TrainConfig, parts: int) -> Iterator[tuple[str, TrainConfig]]:
  """(flags, config): changes that take less memory; those that cost time come before those that change the run.

  Args:
    parts: into how many parts of the mesh the rows are cut.
  """
  policies = memory.POLICIES if config.step.remat == 'auto' else memory.POLICIES[
      memory.POLICIES.index(config.step.remat) + 1:]
  rows = config.mix.batch_size // parts
  accumulations = [a for a in (config.step.accumulation_steps * 2**i for i in range(1, 10)) if rows % a == 0]
  smallest: dict[str, Any] = {'step.remat': 'full'}
  if accumulations:
    smallest['step.accumulation_steps'] = accumulations[-1]
  found: list[dict[str, Any]] = [{'step.remat': p} for p in policies]
  found += [{'step.accumulation_steps': a} for a in accumulations]
  found += [{'step.remat': 'full', 'step.accumulation_steps': a} for a in accumulations]
  if config.mix.document_masking and config.step.attention != 'xla':  # slower, but takes nothing by the slot for a run
    more: tuple[dict[str, Any], ...] = ({}, {'step.remat': 'full'}, smallest)
    found += [{'step.attention': 'xla'} | m for m in more]
  if config.optimizer.mu_dtype != 'bfloat16':
    found += [{'optimizer.mu_dtype': 'bfloat16'}, {'optimizer.mu_dtype': 'bfloat16'} | smallest]
  if not config.lora.rank:
    found += [{'lora.rank': 64}, {'lora.rank': 64} | smallest]
  for change in found:
    yield ' '.join(f'--config.{path}={value}' for path, value in change.items()), _changed(config, change)


def _changed(config: TrainConfig, change: dict[str, object]) -> TrainConfig:
  config = copy.deepcopy(config)
  for path, value in change.items():
    parent, _, name = path.rpartition('.')
    setattr(get(config, parent), name, value)
  return config


def _refusal(config: TrainConfig, topology: Topology, used: int, how: str = 'compiled') -> str:
  """One line: what it takes, what there is, and the smallest change that fits by the estimate.

  Args:
    used: bytes a device; 0: the compiler found no program and did not say how much it would take.
  """
  setup, memory_bytes = described(config, topology), topology.chip.memory
  ours = _needs(setup, topology)
  takes = f'{used / _GIB:.1f} GiB' if used else 'more than there is'
  used = used or max(ours, int(memory_bytes))  # else what was refused could be the advice
  scale = used / ours if how == 'compiled' else 1.0  # the compiler's word where there is one
  said = f'{topology}: the step does not fit: {takes} a device ({how}), there are {memory_bytes / _GIB:.1f} GiB'
  for flags, changed in changes(config, batch_parts(setup.mesh)):
    same = changed.optimizer == config.optimizer and changed.lora == config.lora  # and so are all arrays of the state
    smaller = dataclasses.replace(setup, config=changed) if same else described(changed, topology)
    if scale * _needs(smaller, topology) <= memory.USABLE * memory_bytes:
      return f'{said}; the smallest change that would fit, by the estimate: {flags}'
  times = scale * ours / (memory.USABLE * memory_bytes)
  return f'{said}; no setting makes it fit: take about {topology.chips * 2 ** math.ceil(math.log2(times))} chips'


def _needs(setup: Setup, topology: Topology) -> int:
  """Bytes a device by the estimate."""
  return memory.estimate(setup, policy(setup, topology), topology.chip.memory, topology.chip).total


def lines(found: compile_check.Check) -> list[str]:
  """What a person reads."""
  label = {'compiled': 'compiled by the real compiler',
           'estimate': 'ESTIMATE: arithmetic, not a compilation (these devices are not here)'}[found.how]
  mesh = ' x '.join(f'{axis}={size}' for axis, size in found.mesh.items())
  rows = [f'{found.topology}: slice {found.slice_name}, {found.chips} chips ({label})',
          f'  mesh {mesh}, {found.batch_size} rows a step, remat {found.remat}', '  bytes a device']
  rows += [f'    {name:<18} {size / _GIB:9.3f} GiB' for name, size in found.memory.items()]
  rows += [f'    {"all":<18} {found.memory_bytes / _GIB:9.3f} GiB of {found.available_bytes / _GIB:.2f}',
           '  bytes a device sends in a step']
  rows += [f'    {kind:<18} {size / 1e9:9.3f} GB' for kind, size in sorted(found.collective_bytes.items())]
  rows += [f'  FLOPs a device and step: {found.useful_flops:.4g} of the model, {found.computed_flops:.4g} with what is '
           'recomputed' + (f", {found.compiler_flops:.4g} in the compiler's count (loops once, kernels not)"
                           if found.compiler_flops else ''),
           '  roofline: ' + ', '.join(f'{part} {1e3 * s:.1f} ms' for part, s in found.seconds.items()) +
           f'; MFU is at most {100 * found.mfu_bound:.1f}% (the slowest of them at its data sheet\'s rate)']
  if found.counted:
    rows.insert(-1, f'  in the compiled program, loops counted: {found.counted["flops"]:.4g} FLOPs in matrix products '
                f'(kernels not), {found.counted["bytes"] / 1e9:.1f} GB of memory read and written')
  return rows
