"""Checkpoints: Orbax around weights, optimizer state and what a run needs to go on exactly.

`WORKDIR/checkpoints/STEP/` holds the items `params` and `opt_state` (flat: one array a tensor, under its dotted name)
and `meta` (JSON: step, on which alone the rows to come depend, tokens, ... and a fingerprint of every array). With LoRA
`params` are the weights with the adapters added in, so that readers need not know of them, and the item `adapters` is
what training goes on from. A checkpoint appears under its step only when it is complete; one that was damaged later is
caught by its fingerprints on restoring.
"""

import concurrent.futures
import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import nnx
from orbax.checkpoint._src.serialization import types as serialization  # where a handler's callback is declared
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN, PreservationPolicy

from data_gen import storage
from data_gen.errors import UserError
from smt_jax import distributed, orbax_noise
from smt_jax.config import CheckpointConfig
from smt_jax.mesh import path_name
from smt_jax.snapshot import Snapshots, copy_of, reserve_host
from smt_jax.state import TrainState

Tree = Any
COMPLETE = 'commit_success.txt'  # Orbax's own mark on gs://
_CHUNK_BYTES = 64 * 2**20  # large tensors are written in such pieces, so that several threads read them
_HOST_GB = 4  # of each item at a time, on their way from a copy on the devices to the disk
PathLike = str | os.PathLike[str]
_log = logging.getLogger(__name__)


def folder(workdir: PathLike) -> epath.Path:
  """Where the checkpoints are; absolute on local disks, as Orbax reads no other paths."""
  root = epath.Path(workdir) / 'checkpoints'
  return root if storage.is_remote(workdir) else root.absolute()


def steps(workdir: PathLike) -> list[int]:
  """Steps with a complete checkpoint, ascending; empty where there is none."""
  root = folder(workdir)
  if storage.is_remote(workdir):  # no folder appears there at once: the last file written says that it is complete
    found = (url.split('/')[-2] for url in storage.matches(f'{root}/*/{COMPLETE}'))
    return sorted(int(name) for name in found if name.isdigit())
  return sorted(int(p.name) for p in root.iterdir() if p.name.isdigit()) if root.exists() else []


def latest_step(workdir: PathLike) -> int | None:
  """The newest complete checkpoint's step, or None."""
  found = steps(workdir)
  return found[-1] if found else None


def read_meta(workdir: PathLike, step: int) -> dict[str, Any]:
  """What `Checkpointer.save` was given as `meta`, with `step`.

  Raises:
    UserError: there is no such checkpoint, or its description cannot be read.
  """
  path = folder(workdir) / str(step) / 'meta' / 'metadata'
  try:
    return json.loads(path.read_text())
  except FileNotFoundError:
    known = ', '.join(map(str, steps(workdir))) or 'none'
    raise UserError(f'{workdir}: no checkpoint of step {step}; there are: {known}') from None
  except ValueError as e:
    raise UserError(f'{path}: damaged ({e})') from None


def stored_dtype(workdir: PathLike, step: int) -> np.dtype:
  """The dtype in which a checkpoint holds its weights."""
  saved = ocp.PyTreeCheckpointHandler().metadata(folder(workdir) / str(step) / 'params').tree
  return np.dtype(next(iter(saved.values())).dtype)


def restore_params(workdir: PathLike, step: int, abstract: nnx.State, verify: bool = True) -> nnx.State:
  """The weights of one checkpoint, alone.

  Args:
    abstract: nnx.State of jax.ShapeDtypeStruct; dtype and sharding say how the weights are wanted.
    verify: compare fingerprints (only where the dtype is the one saved).

  Raises:
    UserError: no such checkpoint, other tensors or shapes than `abstract`, or damaged files.
  """
  meta = read_meta(workdir, step)
  flat = flatten(abstract)
  try:
    restored = _restore_item(folder(workdir) / str(step) / 'params', flat)
  except UserError:
    raise
  except Exception as e:
    raise UserError(f'{folder(workdir) / str(step)}: cannot be restored ({_line(e)})') from e
  if verify:
    _verify({'params': restored}, meta)
  return _unflatten(abstract, restored)


class _Background(serialization.DefaultSerializationStatusCallback):
  """Lets arrays go to the host after `save` has returned, a part of them at a time, while `safe()` says so."""

  def __init__(self, safe: Callable[[], bool]):
    self._safe = safe

  def key_priority(self, _: Any) -> serialization.TransferPriority:
    priority = serialization.TransferPriority
    return priority.ASYNCHRONOUS_DEPRIORITIZED if self._safe() else priority.SYNCHRONOUS


class Checkpointer:
  """Saves and restores the train state of one work directory.

  Args:
    merge: with LoRA, gives the weights with the adapters added in for a state.
  """

  def __init__(self, workdir: PathLike, config: CheckpointConfig,
               merge: Callable[[TrainState], nnx.State] | None = None):
    self._workdir, self._merge = epath.Path(workdir), merge
    self._trained = 'adapters' if merge else 'params'  # the item that holds TrainState.params
    self._snapshots, self._asynchronous, self._copied = Snapshots(), config.asynchronous, False
    self._manager = self._open(config)

  def _open(self, config: CheckpointConfig) -> ocp.CheckpointManager:
    keep: list[PreservationPolicy] = [LatestN(config.keep_last)]
    if config.keep_best:
      keep.append(BestN(get_metric_fn=lambda m: -m['loss'], n=config.keep_best,
                        keep_checkpoints_without_metrics=False))
    options = ocp.CheckpointManagerOptions(
        preservation_policy=AnyPreservationPolicy(keep), enable_async_checkpointing=config.asynchronous,
        save_root_metadata=False, cleanup_tmp_directories=True)
    # Random weights shrink by a tenth, for 40% of the processor time of reading them (docs/performance.md).
    arrays = ocp.type_handlers.create_type_handler_registry(
        (jax.Array, ocp.type_handlers.ArrayHandler(callback=_Background(lambda: self._copied))))
    handlers: dict[str, Any] = {
        name: ocp.PyTreeCheckpointHandler(use_compression=False, save_device_host_concurrent_gb=_HOST_GB,
                                          type_handler_registry=arrays)
        for name in ('params', 'adapters', 'opt_state')}
    return ocp.CheckpointManager(folder(storage.absolute(self._workdir)), options=options,
                                 item_handlers=handlers | {'meta': ocp.JsonCheckpointHandler()})

  def prepare(self, state: TrainState) -> None:
    """Compiles what `save` runs and pins its host memory, so that the first save stops no step for longer."""
    merged = self._merge(state) if self._merge else None
    leaves = jax.tree.leaves((state.params, state.opt_state, merged))
    kinds = {(x.shape, x.dtype, x.sharding): x for x in leaves}
    arrays = {str(i): x for i, x in enumerate(kinds.values())}
    fingerprints(arrays)
    jax.block_until_ready([copy_of(x) for x in kinds.values()])
    if self._asynchronous and jax.default_backend() == 'gpu':  # elsewhere Orbax goes through memory of another kind
      reserve_host((state.params, state.opt_state), 2e9 * _HOST_GB)  # a part is let go when the next one has come

  def save(self, step: int, state: TrainState, meta: dict[str, Any], loss: float | None = None) -> None:
    """Writes a checkpoint, in the background where the configuration says so; nothing if the step is there already.

    `state` may be donated to the next step as soon as this returns, which in the background is when it has been copied
    on the devices, or, where they have no room for that, to the host.

    Args:
      loss: held-out loss, by which `keep_best` ranks.

    Raises:
      UserError: this checkpoint, or the one before it in the background, cannot be written.
    """
    if distributed.agree(step in self._manager.all_steps()):  # what others see may lag behind on a shared disk
      return
    items = {self._trained: flatten(state.params), 'opt_state': flatten(state.opt_state)}
    merged = {'params': flatten(self._merge(state))} if self._merge else {}
    meta = {'step': step, **meta, 'fingerprints': {k: fingerprints(v) for k, v in (items | merged).items()}}
    with self._writing(), orbax_noise.of_saves():
      self._manager.wait_until_finished()  # or there would be two copies
      copy = self._snapshots.take(items) if self._asynchronous else None
      self._copied, items = copy is not None, (copy or items) | merged
      self._manager.save(
          step, metrics=None if loss is None else {'loss': loss}, force=True,
          args=ocp.args.Composite(meta=ocp.args.JsonSave(meta),
                                  **{k: ocp.args.PyTreeSave(v, save_args=_in_chunks(v)) for k, v in items.items()}))

  @contextlib.contextmanager
  def _writing(self) -> Iterator[None]:
    try:
      yield
    except Exception as e:  # orbax and tensorstore have many ways to say that a disk is full
      raise UserError(f'{folder(self._workdir)}: the checkpoint could not be written ({_line(e)})') from e

  def restore(self, shapes: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
    """The newest checkpoint that is whole, in the shardings of `shapes`, and its meta; None where there is none.

    A damaged one is set aside as `STEP.damaged`, saying so, and the one before it is used; all processes agree on
    which. Frozen weights are none of its business: those of the returned state are the shapes it was given.

    Raises:
      UserError: there are checkpoints, but none of them can be used, now or at an earlier try; one is of another model,
        or cannot be read for a reason that may pass (no memory, no permission, a disk or store that does not answer).
    """
    with orbax_noise.of_failed_reads():
      return self._newest_whole(shapes)

  def _newest_whole(self, shapes: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
    found, root = steps(self._workdir), folder(self._workdir)
    for step in reversed(found):
      error = read = None
      try:
        read = self._read_step(step, shapes)
      except OtherModelError:
        raise
      except Exception as e:  # whatever a damaged file makes the libraries raise
        if _may_pass(e):
          raise UserError(f'{root / str(step)}: cannot be read now ({_line(e)})') from e
        error = e
      if distributed.everywhere(read is not None) and read is not None:
        try:
          return self._verified(*read, shapes)
        except UserError as e:  # on every process, as the fingerprints are of whole tensors
          error = e
      self._set_aside(root / str(step), _line(error) if error else 'another process cannot read it')
    if damaged := _names(root, '*.damaged*'):
      raise UserError(f'{root}: none of the checkpoints can be restored ({", ".join(damaged)}); to begin again, take '
                      'another --workdir')
    return None

  def _set_aside(self, where: epath.Path, reason: str) -> None:
    if jax.process_index() == 0:
      before = len(_names(where.parent, f'{where.name}.damaged*'))
      where.rename(where.with_name(f'{where.name}.damaged' + (f'.{before + 1}' if before else '')))
    _log.warning('checkpoint %s is damaged and set aside: %s', where, reason)
    distributed.everywhere(True)  # it is gone before anybody looks what is left
    self._manager.reload()

  def _read_step(self, step: int, shapes: TrainState) -> tuple[dict[str, Any], dict[str, dict[str, jax.Array]]]:
    """The meta of a checkpoint and its tensors by item, not yet compared with their fingerprints."""
    meta = read_meta(self._workdir, step)
    where = folder(self._workdir) / str(step)
    wanted = {self._trained: shapes.params, 'opt_state': shapes.opt_state}
    with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:  # one alone leaves the disk idle at its ends
      items = dict(zip(wanted, pool.map(lambda k: _restore_item(where / k, flatten(wanted[k])), wanted)))
    return meta, items

  def _verified(self, meta: dict[str, Any], items: dict[str, dict[str, jax.Array]],
                shapes: TrainState) -> tuple[TrainState, dict[str, Any]]:
    _verify(items, meta)
    scalar = shapes.step.sharding
    return TrainState(
        step=jax.device_put(np.int32(meta['step']), scalar), ok=jax.device_put(np.bool_(True), scalar),
        params=_unflatten(shapes.params, items[self._trained]),
        opt_state=_unflatten(shapes.opt_state, items['opt_state']), frozen=shapes.frozen), meta

  def wait(self) -> None:
    """Until what was saved is on disk.

    Raises:
      UserError: it could not be written (a full disk, say).
    """
    with self._writing():
      self._manager.wait_until_finished()

  def close(self) -> None:
    self._manager.close()


def _names(root: epath.Path, pattern: str) -> list[str]:
  return sorted(p.name for p in root.glob(pattern)) if root.exists() else []


def flatten(tree: Tree) -> dict[str, Any]:
  """A tree as {dotted name: leaf}."""
  return {path_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _in_chunks(flat: dict[str, Any]) -> dict[str, ocp.SaveArgs]:
  return dict.fromkeys(flat, ocp.SaveArgs(chunk_byte_size=_CHUNK_BYTES))


def _unflatten(like: Tree, flat: dict[str, Any]) -> Tree:
  return jax.tree_util.tree_map_with_path(lambda path, _: flat[path_name(path)], like)


class OtherModelError(UserError):
  """A checkpoint, whole as it may be, that holds other tensors or shapes than the model has."""


def _restore_item(where: epath.Path, target: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
  handler = ocp.PyTreeCheckpointHandler()
  saved = handler.metadata(where).tree
  for name in sorted(set(saved) ^ set(target)):
    raise OtherModelError(f'{where}: tensor "{name}" is ' + ('not in the model' if name in saved else 'missing'))
  for name, shape in target.items():
    if tuple(saved[name].shape) != tuple(shape.shape):
      raise OtherModelError(f'{where}: tensor "{name}" has shape {tuple(saved[name].shape)}, '
                            f'the model has {tuple(shape.shape)}')
  one_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  restore_args = {k: ocp.ArrayRestoreArgs(sharding=s.sharding or one_device, global_shape=s.shape, dtype=s.dtype)
                  for k, s in target.items()}
  return handler.restore(where, args=ocp.args.PyTreeRestore(item=target, restore_args=restore_args))


@jax.jit
def _bit_sum(x: jax.Array) -> jax.Array:
  unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize]
  bits = x.astype(jnp.uint8) if x.dtype == bool else jax.lax.bitcast_convert_type(x, unsigned)
  return jnp.sum(bits.astype(jnp.uint32), dtype=jnp.uint32)


def fingerprints(arrays: dict[str, jax.Array]) -> dict[str, list[Any]]:
  """Per array its dtype and the sum of its bit patterns modulo 2^32: independent of sharding, other after a flip."""
  # one after the other: many collectives in flight on several CPU devices can deadlock (they share a thread pool)
  return {k: [str(x.dtype), int(_bit_sum(x))] for k, x in arrays.items()}


def _verify(items: dict[str, dict[str, jax.Array]], meta: dict[str, Any]) -> None:
  for name, arrays in items.items():
    expected = meta.get('fingerprints', {}).get(name, {})
    for key, (dtype, value) in fingerprints(arrays).items():
      if key in expected and expected[key][0] == dtype and expected[key][1] != value:
        raise UserError(f'step {meta["step"]}, {name}: tensor "{key}" is not what was saved')


# An unreadable place on a disk (EIO) counts as damage; a network disk that is stale or silent may be back.
_MAY_PASS = ('RESOURCE_EXHAUSTED', 'PERMISSION_DENIED', 'UNAUTHENTICATED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED',
             *(f"os_error_code='{code}'" for code in (errno.ESTALE, errno.ETIMEDOUT)))


def _may_pass(e: Exception) -> bool:
  """Whether an error says nothing about the checkpoint: no memory, no permission, a disk or store that is away."""
  damage = FileNotFoundError | IsADirectoryError | NotADirectoryError
  if isinstance(e, OSError) and not isinstance(e, damage) and e.errno != errno.EIO:
    return True
  return isinstance(e, MemoryError) or any(sign in str(e) for sign in _MAY_PASS)


def _line(e: BaseException) -> str:
  return f'{type(e).__name__}: {" ".join(str(e).split())[:300]}'
