"""Compiles a run's whole training step for a machine that is not there, and says what it would take.

For TPUs this is the real compiler (the `libtpu` package) on any machine; for the GPUs of this machine it is XLA's. What
it counts: bytes a device by what they hold, FLOPs, bytes over memory and links, and from them the roofline.
"""

import dataclasses
import os
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from data_gen.errors import UserError
from smt_jax import hlo, memory, metrics
from smt_jax.chips import Topology
from smt_jax.config import TrainConfig
from smt_jax.data.layout import SOURCES
from smt_jax.mesh import batch_parts, batch_sharding, make_mesh
from smt_jax.state import Setup, TrainState, make_setup
from smt_jax.step import ROW_FIELDS, make_train_step


@dataclasses.dataclass(frozen=True)
class Check:
  """What one device holds and does in one step; bytes and FLOPs are those of one device."""
  topology: str
  slice_name: str
  chips: int
  mesh: dict[str, int]
  remat: str
  state_bytes: dict[str, int]  # weights, optimizer, frozen
  temporary_bytes: int  # the compiler's peak beside the state: activations, gradients, gathered weights
  memory_bytes: int  # all of it
  available_bytes: int
  useful_flops: float  # of the model, as in metrics.flops_per_token
  computed_flops: float  # with what is recomputed
  compiler_flops: float  # as the compiler counts them: kernels not at all, the body of a loop once
  collective_bytes: dict[str, float]  # sent, by kind of collective, loops counted
  seconds: dict[str, float]  # compute and links, each alone and at the data sheet's rate
  mfu_bound: float  # useful FLOPs over the slower of the two, if the other hides behind it

  @property
  def fits(self) -> bool:
    return self.memory_bytes <= self.available_bytes


def devices_of(topology: Topology) -> list[Any]:
  """Devices to compile for: described ones for TPUs, this machine's for GPUs.

  Raises:
    UserError: libtpu is missing or refuses the shape; these GPUs are not here.
  """
  if topology.chip.platform == 'gpu':
    here = [d for d in jax.devices() if d.platform == 'gpu']
    if len(here) < topology.chips:
      raise UserError(f'--topology={topology}: this machine has {len(here)} GPUs')
    return here[:topology.chips]
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')  # no metadata server is asked outside of Google Cloud
  from jax.experimental import topologies
  try:
    return list(topologies.get_topology_desc(platform='tpu', topology_name=str(topology)).devices)
  except Exception as e:
    text = ' '.join(str(e).split())
    if 'libtpu' in text.lower() and 'not' in text.lower():
      raise UserError('launch.compile_check for TPUs needs the package libtpu: pip install "smt-jax[tpu]"') from None
    raise UserError(f'--topology={topology}: the TPU compiler refuses it ({text[:200]})') from None


def batch_shapes(config: TrainConfig, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
  """Shapes of a step's batch, [A, B, T] and [A, B], with their shardings."""
  A, T = config.step.accumulation_steps, config.mix.sequence_length
  B = config.mix.batch_size // A
  if B % batch_parts(mesh):
    raise UserError(f'--config.mix.batch_size={config.mix.batch_size}: a micro-batch has {B} rows, expected a multiple '
                    f'of the {batch_parts(mesh)} parts of the mesh (data x fsdp)')
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
  """Compiles the step of `config` for `topology`.

  Raises:
    UserError: the mesh does not fit the chips, a tensor is not divisible, or memory does not suffice (with what the
      compiler says that it needs, and the smallest change that takes less).
  """
  setup = make_setup(config, make_mesh(config.mesh, devices_of(topology)), len(SOURCES))
  try:
    compiled = compile_step(setup)
  except jax.errors.JaxRuntimeError as e:
    text = ' '.join(str(e).split())
    if 'RESOURCE_EXHAUSTED' not in text and 'out of memory' not in text.lower():
      raise
    used = re.search(r'[Uu]sed ([\d.]+[KMGT]?) of ([\d.]+[KMGT]?)', text)
    raise UserError(f'{topology}: the step does not fit' + (f': it uses {used[1]} of {used[2]}' if used else '') +
                    f' of memory a chip; {smaller(setup)}') from None
  return report(setup, compiled, topology)


def report(setup: Setup, compiled: Any, topology: Topology) -> Check:
  """The figures of a compiled step."""
  config, chip = setup.config, topology.chip
  analysis, cost = compiled.memory_analysis(), compiled.cost_analysis()
  total = (analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
           + analysis.temp_size_in_bytes + analysis.generated_code_size_in_bytes)
  links = hlo.collective_bytes(compiled.as_text(), topology.chips)
  remat = memory.remat_policy(setup)
  tokens = config.mix.batch_size * config.mix.sequence_length / topology.chips
  useful = tokens * metrics.flops_per_token(config.model, config.mix.sequence_length)
  computed = useful + tokens * metrics.recomputed_flops_per_token(config.model, config.mix.sequence_length, remat)
  seconds = {'compute': computed / chip.flops, 'links': sum(links.values()) / chip.link}
  return Check(
      topology=str(topology), slice_name=topology.name, chips=topology.chips, mesh=dict(setup.mesh.shape), remat=remat,
      state_bytes=state_bytes(setup.shapes), temporary_bytes=analysis.temp_size_in_bytes, memory_bytes=total,
      available_bytes=int(chip.memory), useful_flops=useful, computed_flops=computed,
      compiler_flops=float(cost.get('flops', 0)), collective_bytes=links, seconds=seconds,
      mfu_bound=useful / chip.flops / max(seconds.values()))


def state_bytes(shapes: TrainState) -> dict[str, int]:
  """Bytes of the state on one device, by part."""
  return {'weights': memory.local_bytes(shapes.params), 'optimizer': memory.local_bytes(shapes.opt_state),
          'frozen': memory.local_bytes(shapes.frozen)}


def smaller(setup: Setup) -> str:
  """The smallest change that takes less memory, as advice."""
  config = setup.config
  remat = memory.remat_policy(setup)
  rows = config.mix.batch_size // config.step.accumulation_steps // batch_parts(setup.mesh)
  if remat != 'full':
    return f'try --config.step.remat={memory.POLICIES[memory.POLICIES.index(remat) + 1]}'
  if rows > 1:
    return f'try --config.step.accumulation_steps={2 * config.step.accumulation_steps}'
  if config.optimizer.mu_dtype != 'bfloat16':
    return 'try --config.optimizer.mu_dtype=bfloat16'
  return 'use more chips, or --config.lora.rank=64'
