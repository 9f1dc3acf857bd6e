"""Several processes as one run: start-up from the environment, and whose rows are whose."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from data_gen.errors import UserError
from smt_jax.chips import chip_of
from smt_jax.mesh import batch_sharding

# our own variables for plain machines, named as in JAX's documentation
_VARIABLES = ('COORDINATOR_ADDRESS', 'NUM_PROCESSES', 'PROCESS_ID')


def initialize(environment: dict[str, str] | None = None) -> bool:
  """Joins the processes of a run; True where there are several. Call it before anything else touches JAX.

  Explicit variables (`COORDINATOR_ADDRESS=host:port NUM_PROCESSES=n PROCESS_ID=i`) come first, then what JAX finds by
  itself: SLURM, Open MPI, TPU pods (`SMT_SEVERAL_HOSTS=1` says that this is one, where no variable shows it).

  Raises:
    UserError: a part of the explicit variables only, a value that is no number, or no answer from the coordinator.
  """
  env = os.environ if environment is None else environment
  given = [name for name in _VARIABLES if env.get(name)]
  if given and len(given) < len(_VARIABLES):
    missing = ', '.join(n for n in _VARIABLES if n not in given)
    raise UserError(f'environment: {", ".join(given)} is set but not {missing}; set all three or none')
  if not given and not _several(env):
    return False
  arguments: dict[str, Any] = {}
  if given:
    try:
      arguments = {'coordinator_address': env['COORDINATOR_ADDRESS'], 'num_processes': int(env['NUM_PROCESSES']),
                   'process_id': int(env['PROCESS_ID'])}
    except ValueError as e:
      raise UserError(f'environment: NUM_PROCESSES and PROCESS_ID must be whole numbers ({e})') from None
  if devices := slurm_devices(env):
    arguments['local_device_ids'] = devices
  if 'cpu' in env.get('JAX_PLATFORMS', ''):
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  try:
    jax.distributed.initialize(**arguments, initialization_timeout=300, heartbeat_timeout_seconds=30)
  except (RuntimeError, ValueError) as e:
    raise UserError(f'jax.distributed: cannot join the other processes ({" ".join(str(e).split())[:300]})') from e
  return True


def _several(env: Mapping[str, str]) -> bool:
  """Whether a cluster's variables speak of more than one process."""
  counted = ('SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE')
  return (any(int(env.get(name, 1)) > 1 for name in counted) or ',' in env.get('TPU_WORKER_HOSTNAMES', '')
          or bool(env.get('MEGASCALE_COORDINATOR_ADDRESS')) or env.get('SMT_SEVERAL_HOSTS') == '1')


def slurm_devices(env: Mapping[str, str]) -> list[int] | None:
  """This task's GPUs where SLURM started one task on a node: all of them. JAX would take the first alone."""
  tasks = env.get('SLURM_STEP_TASKS_PER_NODE') or env.get('SLURM_TASKS_PER_NODE', '')  # as in 1(x4)
  gpus = env.get('SLURM_GPUS_ON_NODE', '')
  return list(range(int(gpus))) if tasks.split('(')[0] == '1' and gpus.isdigit() and int(gpus) else None


@contextlib.contextmanager
def leaving_together() -> Iterator[None]:
  """Ends this process at once when the block fails, if there are others.

  They wait for it in a collective; an orderly exit would in turn wait for them. Without its heartbeat they end too.
  """
  try:
    yield
  except Exception as e:
    if jax.process_count() == 1:
      raise
    if isinstance(e, UserError):
      print(f'error: {e}', file=sys.stderr)
    else:
      traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


def row_share(mesh: Mesh, batch_size: int) -> tuple[int, int]:
  """(index, count): this process feeds part `index` of `count` equal contiguous parts of every batch.

  Processes that hold the same rows (a tensor axis across hosts) share an index.

  Raises:
    UserError: the processes' rows are not equal contiguous parts.
  """
  sharding = NamedSharding(mesh, P(*batch_sharding(mesh).spec[:1]))
  covered: dict[int, set[tuple[int, int]]] = {}
  for device, index in sharding.devices_indices_map((batch_size,)).items():
    start, stop, _ = index[0].indices(batch_size)
    covered.setdefault(device.process_index, set()).add((start, stop))
  spans = {p: (min(s for s, _ in parts), max(e for _, e in parts)) for p, parts in covered.items()}
  distinct = sorted(set(spans.values()))
  size = batch_size // len(distinct)
  if distinct != [(i * size, (i + 1) * size) for i in range(len(distinct))]:
    raise UserError(f'--config.mesh: hosts hold unequal or interleaved rows ({distinct}); put data and fsdp outermost')
  return distinct.index(spans[jax.process_index()]), len(distinct)


def device_memory(mesh: Mesh) -> int | None:
  """Bytes of a device, the least that any process finds; None where they are unknown (CPUs). All processes must ask.

  A process sees the limit of its own devices alone; of described ones the data sheet speaks.
  """
  local = next((d for d in mesh.devices.flat if d in jax.local_devices()), None)
  chip = chip_of(mesh.devices.flat[0].device_kind)
  sheet = int(chip.memory) if chip else 0
  if local is None or local.platform == 'cpu':
    return sheet or None
  try:
    found = (local.memory_stats() or {}).get('bytes_limit') or sheet
  except jax.errors.JaxRuntimeError:
    found = sheet  # a backend that does not count
  return least(found // 2**20) * 2**20 or None


def least(value: int) -> int:
  """The least value (below 2^31) of all processes."""
  if jax.process_count() == 1:
    return value
  from jax.experimental import multihost_utils
  return int(multihost_utils.process_allgather(np.array(value, np.int32)).min())


def everywhere(value: bool) -> bool:
  """True on every process if it is True on all of them."""
  if jax.process_count() == 1:
    return value
  from jax.experimental import multihost_utils
  return bool(multihost_utils.process_allgather(np.array(value)).all())


def agree(value: bool) -> bool:
  """True on every process if it is True on process 0: for decisions that depend on a clock."""
  if jax.process_count() == 1:
    return value
  from jax.experimental import multihost_utils
  return bool(multihost_utils.broadcast_one_to_all(np.array(value)))
