"""Compiles a run's whole training step for a machine that is not there, and says what it would take.

For TPUs this is the real compiler (the `libtpu` package) on any machine; for GPUs of this machine's kind, no more than
it has, it is XLA's; for GPUs that are elsewhere there is an estimate, labelled so. What is counted: bytes a device by
what they hold, FLOPs, bytes over links, and from them the roofline.
"""

import dataclasses
import importlib.util
import os
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from data_gen.errors import UserError
from smt_jax import hlo, hlo_cost, memory, metrics
from smt_jax.chips import Topology, chip_of
from smt_jax.config import TrainConfig
from smt_jax.data.layout import SOURCES
from smt_jax.feed import check_rows
from smt_jax.mesh import batch_sharding, make_mesh
from smt_jax.state import Setup, TrainState, make_setup
from smt_jax.step import ROW_FIELDS, make_train_step


@dataclasses.dataclass(frozen=True)
class Check:
  """What one device holds and does in one step; bytes and FLOPs are those of one device."""
  topology: str
  slice_name: str
  chips: int
  how: str  # 'compiled' or 'estimate'
  mesh: dict[str, int]
  batch_size: int  # rows a step, over all devices
  remat: str
  memory: dict[str, int]  # bytes by what they hold: arguments by part, temporaries, generated code
  available_bytes: int
  useful_flops: float  # of the model, as in metrics.flops_per_token
  computed_flops: float  # with what is recomputed
  compiler_flops: float  # as the compiler counts them: kernels not at all, the body of a loop once; 0: not compiled
  counted: dict[str, float]  # 'flops' of matrix products and 'bytes' of memory, loops counted; empty: not compiled
  collective_bytes: dict[str, float]  # sent, by kind of collective, loops counted
  seconds: dict[str, float]  # compute, links and (compiled) memory, each alone and at the data sheet's rate
  mfu_bound: float  # useful FLOPs over the slowest of them, if the others hide behind it

  @property
  def memory_bytes(self) -> int:
    return sum(self.memory.values())

  @property
  def fits(self) -> bool:
    return self.memory_bytes <= self.available_bytes


def gpus_of(topology: Topology) -> list[Any]:
  """The GPUs of this machine that are of the topology's chip, at most as many as it has; another chip's are none."""
  return [d for d in jax.devices() if d.platform == 'gpu' and chip_of(d.device_kind) == topology.chip][:topology.chips]


def compiles_here(topology: Topology) -> bool:
  """Whether programs for `topology` can be compiled on this machine: for TPUs (by libtpu), for GPUs that are here."""
  return topology.chip.platform == 'tpu' or len(gpus_of(topology)) == topology.chips


def devices_of(topology: Topology) -> list[Any]:
  """Devices to compile for: described ones for TPUs, this machine's for GPUs.

  Raises:
    UserError: libtpu is missing or refuses the shape; these GPUs are not here.
  """
  if topology.chip.platform == 'gpu':
    here = gpus_of(topology)
    if len(here) < topology.chips:
      raise UserError(f'--topology={topology}: this machine has {len(here)} GPUs of that kind')
    return here
  if importlib.util.find_spec('libtpu') is None:
    raise UserError(f'--topology={topology}: TPU programs are compiled by the package libtpu, which is not installed: '
                    'pip install libtpu')
  for name, value in _DESCRIBED.items():
    os.environ.setdefault(name, value)
  from jax.experimental import topologies
  try:
    return list(topologies.get_topology_desc(platform='tpu', topology_name=str(topology)).devices)
  except Exception as e:
    raise UserError(f'--topology={topology}: the TPU compiler refuses it ({" ".join(str(e).split())[:200]})') from None


# No metadata server is asked, nothing is logged, and several processes may describe a slice at the same time.
_DESCRIBED = {'TPU_SKIP_MDS_QUERY': '1', 'TPU_ACCELERATOR_TYPE': 'v5p-8', 'TPU_WORKER_HOSTNAMES': 'localhost',
              'TPU_WORKER_ID': '0', 'TPU_STDERR_LOG_LEVEL': '3', 'TPU_MIN_LOG_LEVEL': '3',
              'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'}


def batch_shapes(config: TrainConfig, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of a step's batch, [A, B, T] and [A, B], with their shardings."""
  check_rows(config, mesh)
  A, T = config.step.accumulation_steps, config.mix.sequence_length
  B = config.mix.batch_size // A
  rows = batch_sharding(mesh, lead=1)
  flat = jax.NamedSharding(mesh, jax.P(*rows.spec[:2]))
  return {name: jax.ShapeDtypeStruct((A, B, T), jnp.int32, sharding=rows) for name in ROW_FIELDS} | {
      name: jax.ShapeDtypeStruct((A, B), jnp.int32, sharding=flat) for name in ('kinds', 'row')}


def compile_step(setup: Setup) -> Any:
  """The compiled step; nothing is allocated."""
  lowered = make_train_step(setup).lower(setup.shapes, batch_shapes(setup.config, setup.mesh),
                                         jax.ShapeDtypeStruct((), np.float32))
  return lowered.compile(compiler_options=COUNTABLE.get(setup.mesh.devices.flat[0].platform))


# Gathers hidden inside matrix products would be counted as something else. Memory and traffic are the same.
COUNTABLE = {'tpu': {'xla_jf_spmd_threshold_for_windowed_einsum_mib': '1000000'}}


def check(config: TrainConfig, topology: Topology) -> Check:
  """Compiles the step of `config` for `topology`, for the data whose packed rows take the most memory there.

  Raises:
    UserError: the mesh does not fit the chips, a tensor is not divisible, the batch is not.
    DoesNotFit: the compiler says that memory does not suffice.
  """
  setup = make_setup(config, make_mesh(config.mesh, devices_of(topology)), len(SOURCES))
  setup = dataclasses.replace(setup, most_runs=memory.hungriest_runs(setup, topology.chip))
  try:
    compiled = compile_step(setup)
  except jax.errors.JaxRuntimeError as e:
    text = ' '.join(str(e).split())
    if 'RESOURCE_EXHAUSTED' not in text and 'out of memory' not in text.lower():
      raise
    used = re.search(r'[Uu]sed ([\d.]+)([KMGT]?) of ([\d.]+[KMGT]?)', text)
    raise DoesNotFit(int(float(used[1]) * _UNITS[used[2]]) if used else 0) from e
  return report(setup, compiled, topology)


_UNITS = {'': 1, 'K': 2**10, 'M': 2**20, 'G': 2**30, 'T': 2**40}


class DoesNotFit(Exception):
  """The compiler found no program within the memory; `used`: bytes of its best one, 0 where it does not say."""

  def __init__(self, used: int):
    super().__init__(f'the step takes {used} bytes')
    self.used = used


def report(setup: Setup, compiled: Any, topology: Topology) -> Check:
  """The figures of a compiled step."""
  analysis, cost, text = compiled.memory_analysis(), compiled.cost_analysis() or {}, compiled.as_text()
  parts = state_bytes(setup.shapes)
  held = parts | {
      'batch': max(0, analysis.argument_size_in_bytes - sum(parts.values())),
      'temporaries': analysis.temp_size_in_bytes,
      'outputs': max(0, analysis.output_size_in_bytes - analysis.alias_size_in_bytes),
      'generated code': analysis.generated_code_size_in_bytes}
  return finished(setup, topology, 'compiled', memory.remat_policy(setup), held,
                  hlo.collective_bytes(text, topology.chips), float(cost.get('flops', 0)), hlo_cost.costs(text))


def finished(setup: Setup, topology: Topology, how: str, remat: str, held: dict[str, int], links: dict[str, float],
             compiler_flops: float = 0.0, counted: dict[str, float] | None = None) -> Check:
  """A Check with its roofline."""
  config, chip = setup.config, topology.chip
  tokens = config.mix.batch_size * config.mix.sequence_length / topology.chips
  useful = tokens * metrics.flops_per_token(config.model, config.mix.sequence_length)
  computed = useful + tokens * metrics.recomputed_flops_per_token(config.model, config.mix.sequence_length, remat)
  seconds = {'compute': computed / chip.flops, 'links': sum(links.values()) / chip.link}
  if counted:
    seconds['memory'] = counted['bytes'] / chip.bandwidth
  return Check(
      topology=str(topology), slice_name=topology.name, chips=topology.chips, how=how, mesh=dict(setup.mesh.shape),
      batch_size=config.mix.batch_size, remat=remat, memory=held, available_bytes=int(chip.memory), useful_flops=useful,
      computed_flops=computed, compiler_flops=compiler_flops, counted=counted or {}, collective_bytes=links,
      seconds=seconds, mfu_bound=useful / chip.flops / max(seconds.values()))


def state_bytes(shapes: TrainState) -> dict[str, int]:
  """Bytes of the state on one device, by part."""
  found = {'weights': memory.local_bytes(shapes.params), 'optimizer': memory.local_bytes(shapes.opt_state),
           'frozen weights': memory.local_bytes(shapes.frozen)}
  return {part: size for part, size in found.items() if size}
