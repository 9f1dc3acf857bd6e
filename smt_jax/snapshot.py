"""A copy of the training state beside it on the devices: what a checkpoint is written from while training goes on.

Without it a save holds the steps until everything has gone to the host: 80 GB took 69 s (docs/performance.md, log 22).
On its way the copy passes through pinned host memory, which is taken before the first step.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import psutil
from jax.sharding import SingleDeviceSharding

from smt_jax.distributed import everywhere

_log = logging.getLogger(__name__)
Tree = Any

_SLACK = 0.02  # of a device's memory, left for fragmentation
copy_of = jax.jit(jnp.copy)


class Snapshots:
  """Copies of a state, one at a time: who asks for the next has let go of the one before."""

  def __init__(self):
    self._free: dict[Any, float] = {}  # by device, before the first copy: later the fullest moment has one in it

  def take(self, arrays: Tree) -> Tree | None:
    """A copy of a tree of arrays, in their shardings; None, on every process, where a device has no room for it.

    Room is what was left when the device was at its fullest, so that the next step still fits beside the copy: the
    first time must come after a step.
    """
    if not everywhere(all(needed <= self._room(device) for device, needed in _bytes_by_device(arrays).items())):
      return None
    try:
      return jax.tree.map(copy_of, arrays)
    except jax.errors.JaxRuntimeError as e:
      if 'RESOURCE_EXHAUSTED' not in str(e):
        raise
      _log.info('no room for a copy of the state after all')
      return None

  def _room(self, device: Any) -> float:
    if device.platform == 'cpu':
      return free(device)
    return self._free.setdefault(device, free(device))


def free(device: Any) -> float:
  """Bytes that were free at the device's fullest moment; of a CPU's, its share of half of what the machine has now."""
  if device.platform == 'cpu':
    return psutil.virtual_memory().available / 2 / jax.local_device_count()
  stats = device.memory_stats() or {}
  limit = stats.get('bytes_limit', 0)
  return limit * (1 - _SLACK) - stats.get('peak_bytes_in_use', limit)


def reserve_host(trees: Iterable[Tree], limit: float) -> None:
  """Lets the runtime pin as much host memory as up to `limit` bytes of each tree take, for it keeps what it pinned.

  Pinning while steps run holds up their launches: 13 s for the first save of 28 GB (docs/performance.md, log 23).
  """
  pinned: list[jax.Array] = []
  try:
    for x in itertools.chain.from_iterable(_first(tree, limit) for tree in trees):
      pinned.append(jax.device_put(x, SingleDeviceSharding(x.device, memory_kind='pinned_host')))
    jax.block_until_ready(pinned)
  except jax.errors.JaxRuntimeError as e:
    if 'RESOURCE_EXHAUSTED' not in str(e):
      raise
    _log.info('not as much pinned host memory as saves will ask for')
  for x in pinned:
    x.delete()


def _first(tree: Tree, limit: float) -> Iterator[jax.Array]:
  """This process's shards of the arrays of a tree, in order, while they take no more than `limit` bytes."""
  for shard in (shard for x in jax.tree.leaves(tree) for shard in x.addressable_shards):
    limit -= shard.data.nbytes
    if limit < 0:
      return
    yield shard.data


def _bytes_by_device(arrays: Tree) -> dict[Any, int]:
  found: dict[Any, int] = {}
  for x in jax.tree.leaves(arrays):
    for shard in x.addressable_shards:
      found[shard.device] = found.get(shard.device, 0) + shard.data.nbytes
  return found
