"""Weights in and out of an Orbax work directory one tensor at a time, for models larger than memory."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from data_gen.errors import UserError
from smt_jax import checkpoint


@dataclasses.dataclass(frozen=True)
class Lazy:
  """A tensor that is made when it is its turn. `fingerprint` is that of its values (`checkpoint.fingerprints`)."""
  shape: tuple[int, ...]
  dtype: np.dtype
  make: Callable[[], np.ndarray]

  @property
  def size(self) -> int:
    return int(np.prod(self.shape))

  @property
  def nbytes(self) -> int:
    return self.size * self.dtype.itemsize


class _OneByOne(ocp.type_handlers.NumpyHandler):
  """Orbax's own writer for numpy arrays, given one at a time instead of all at once."""

  def __init__(self):
    super().__init__(deepcopy_host_arrays=False)
    self.fingerprints: dict[str, list[Any]] = {}

  async def _background_serialize(self, values: Any, infos: Any, args: Any = None):
    for value, info, arg in zip(values, infos, args or [ocp.SaveArgs()] * len(values)):
      array = value.make()
      self.fingerprints[info.name] = [str(array.dtype), _bit_sum(array)]
      await super()._background_serialize([array], [info], [arg])
      del array


def _bit_sum(array: np.ndarray) -> int:
  """As `checkpoint.fingerprints`, on the host."""
  unsigned = {2: np.uint16, 4: np.uint32}[array.dtype.itemsize]
  return int(np.sum(array.reshape(-1).view(unsigned), dtype=np.uint32))


def save(workdir: pathlib.Path, leaves: Mapping[str, Lazy], meta: Mapping[str, Any]) -> None:
  """Writes a checkpoint of step 0 without optimizer state: a start for training, or weights to use.

  Uncompressed: weights hardly compress, and so it goes at the disk's speed.

  Raises:
    UserError: it cannot be written.
  """
  handler = _OneByOne()
  registry = ocp.type_handlers.create_type_handler_registry(
      (Lazy, handler), (jax.Array, ocp.type_handlers.ArrayHandler()))
  where = (checkpoint.folder(workdir.absolute()) / '0')
  where.mkdir(parents=True)
  try:
    pytree = ocp.PyTreeCheckpointHandler(type_handler_registry=registry, use_compression=False)
    with ocp.Checkpointer(pytree) as saver:
      saver.save(where / 'params', args=ocp.args.PyTreeSave(dict(leaves)))
    (where / 'meta').mkdir()
    content = {'step': 0, **meta, 'fingerprints': {'params': handler.fingerprints}}
    (where / 'meta' / 'metadata').write_text(json.dumps(content))
    (where / checkpoint.COMPLETE).write_text('')  # should it be copied to a bucket
  except OSError as e:
    raise UserError(f'{where}: cannot write ({e.strerror or e})') from e


def sources(workdir: pathlib.Path, step: int) -> dict[str, Lazy]:
  """The tensors of a checkpoint, each read when it is made.

  Raises:
    UserError: (when made) a tensor that is damaged.
  """
  where = checkpoint.folder(workdir.absolute()) / str(step) / 'params'
  meta = checkpoint.read_meta(workdir, step)
  saved = meta.get('fingerprints', {}).get('params', {})
  shapes = ocp.PyTreeCheckpointHandler().metadata(where).tree

  def source(name: str) -> Lazy:
    dtype = np.dtype(shapes[name].dtype)

    def make() -> np.ndarray:
      try:
        array = ocp.PyTreeCheckpointHandler().restore(where, args=ocp.args.PyTreeRestore(
            item={name: 0}, restore_args={name: ocp.RestoreArgs(restore_type=np.ndarray)}, partial_restore=True))[name]
      except Exception as e:  # whatever a damaged file makes the libraries raise
        raise UserError(f'{where}: tensor "{name}" cannot be restored ({type(e).__name__}: {e})') from e
      if name in saved and saved[name] != [str(array.dtype), _bit_sum(array)]:
        raise UserError(f'{where}: tensor "{name}" is not what was saved')
      return array
    return Lazy(tuple(shapes[name].shape), dtype, make)
  return {name: source(name) for name in shapes}
