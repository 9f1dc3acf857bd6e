"""A copy of the training state beside it on the devices: what a checkpoint is written from while training goes on.

Without it a save holds the steps until everything has gone to the host: 80 GB took 69 s (docs/performance.md, log 22).
"""

import logging
from typing import Any

import jax
import jax.numpy as jnp
import psutil

_log = logging.getLogger(__name__)
Arrays = dict[Any, jax.Array]

_SLACK = 0.02  # of a device's memory, left for fragmentation
_copy = jax.jit(jnp.copy)


def snapshot(arrays: Arrays) -> Arrays | None:
  """Copies of all arrays in their shardings; None where a device of this process has no room for them.

  Room is what was left when the device was at its fullest, so that the next step still fits beside the copies.
  """
  if any(needed > _room(device) for device, needed in _bytes_by_device(arrays).items()):
    return None
  try:
    return {name: _copy(x) for name, x in arrays.items()}
  except jax.errors.JaxRuntimeError as e:
    if 'RESOURCE_EXHAUSTED' not in str(e):
      raise
    _log.info('no room for a copy of the state after all')
    return None


def _bytes_by_device(arrays: Arrays) -> dict[Any, int]:
  found: dict[Any, int] = {}
  for x in arrays.values():
    for shard in x.addressable_shards:
      found[shard.device] = found.get(shard.device, 0) + shard.data.nbytes
  return found


def _room(device: Any) -> float:
  """Bytes that were free at the fullest moment; of a CPU's its share of what the machine has left now."""
  if device.platform == 'cpu':
    return psutil.virtual_memory().available / 2 / jax.local_device_count()
  stats = device.memory_stats() or {}
  limit = stats.get('bytes_limit', 0)
  return limit * (1 - _SLACK) - stats.get('peak_bytes_in_use', limit)
