"""The device mesh, and the one place that says which tensor axis lies on which mesh axis.

A tensor's axes have logical names ('embed', 'heads', 'batch', ...); `AxisRules` maps them to mesh axes. Changing how a
run is sharded means changing this mapping or the mesh sizes, nothing else.
"""

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from data_gen.errors import UserError
from smt_jax.config import MeshConfig

AXES = ('data', 'fsdp', 'tensor', 'context')
MeshAxes = str | tuple[str, ...] | None
Tree = Any


@dataclasses.dataclass(frozen=True)
class AxisRules:
  """Logical axis -> mesh axis (or several, or None: replicated).

  Weights are cut along `embed` over fsdp (ZeRO-3) and along heads, mlp and vocab over tensor (Megatron). Activations
  are cut along batch over data and fsdp together, along the sequence over context.
  """
  batch: MeshAxes = ('data', 'fsdp')
  lookup: MeshAxes = 'data'  # rows of embeddings as they come from a table that is cut along `embed`
  sequence: MeshAxes = 'context'
  vocab: MeshAxes = 'tensor'
  embed: MeshAxes = 'fsdp'
  heads: MeshAxes = 'tensor'
  kv_heads: MeshAxes = 'tensor'
  head_dim: MeshAxes = None
  mlp: MeshAxes = 'tensor'
  rank: MeshAxes = None  # the inner axis of a LoRA pair
  layers: MeshAxes = None

  def spec(self, axes: Sequence[str | None], where: str = 'tensor') -> P:
    """The partition of a tensor with these logical axes.

    Raises:
      UserError: a logical or mesh axis that does not exist; a mesh axis used twice in one tensor.
    """
    known = {f.name for f in dataclasses.fields(self)}
    entries, used = [], set()
    for axis in axes:
      if axis is not None and axis not in known:
        raise UserError(f'{where}: logical axis "{axis}" does not exist; known are {", ".join(sorted(known))}')
      entry = getattr(self, axis) if axis is not None else None
      for name in _names(entry):
        if name not in AXES:
          raise UserError(f'{where}: axis "{axis}" is mapped to mesh axis "{name}", which does not exist; '
                          f'the mesh has {", ".join(AXES)}')
        if name in used:
          raise UserError(f'{where}: mesh axis "{name}" is used by two axes of {tuple(axes)}')
        used.add(name)
      entries.append(entry)
    return P(*entries)


def _names(entry: MeshAxes) -> tuple[str, ...]:
  return () if entry is None else (entry,) if isinstance(entry, str) else entry


def mesh_sizes(config: MeshConfig, n_devices: int) -> tuple[int, ...]:
  """Sizes in the order of `AXES`, with -1 resolved.

  Raises:
    UserError: the sizes do not multiply to the number of devices.
  """
  sizes = [getattr(config, axis) for axis in AXES]
  given = math.prod(s for s in sizes if s != -1)
  if -1 in sizes:
    if n_devices % given:
      named = ' x '.join(f'{a}={s}' for a, s in zip(AXES, sizes) if s != -1)
      raise UserError(f'--config.mesh: {named} = {given} does not divide the {n_devices} devices')
    sizes[sizes.index(-1)] = n_devices // given
  if math.prod(sizes) != n_devices:
    named = ' x '.join(f'{a}={s}' for a, s in zip(AXES, sizes))
    raise UserError(f'--config.mesh: {named} = {math.prod(sizes)}, but there are {n_devices} devices')
  return tuple(sizes)


def make_mesh(config: MeshConfig, devices: Sequence[Any] | None = None) -> Mesh:
  """A mesh with the axes data, fsdp, tensor and context, all of them `AxisType.Auto`.

  Devices of several TPU slices are laid out so that only the data axis (or, where that is too small, fsdp) crosses
  the slow links between slices; on GPUs, whose device order follows the hosts, the outermost axis crosses hosts.

  Raises:
    UserError: the sizes do not fit the devices or the slices.
  """
  devices = list(jax.devices() if devices is None else devices)
  sizes = mesh_sizes(config, len(devices))
  slices = len({getattr(d, 'slice_index', 0) for d in devices})
  if devices[0].platform == 'tpu' and slices > 1:
    grid = _across_slices(sizes, slices, devices)
  elif devices[0].platform == 'tpu':
    grid = mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
  else:
    grid = np.array(devices).reshape(sizes)
  return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def _across_slices(sizes: Sequence[int], slices: int, devices: Sequence[Any]) -> np.ndarray:
  inside, between = list(sizes), [1] * len(sizes)
  for i in (AXES.index('data'), AXES.index('fsdp')):
    if inside[i] % slices == 0:
      inside[i], between[i] = inside[i] // slices, slices
      return mesh_utils.create_hybrid_device_mesh(inside, between, devices, allow_split_physical_axes=True)
  raise UserError(f'--config.mesh: with {slices} slices, data or fsdp must be a multiple of {slices}; '
                  f'they are {inside[0]} and {inside[1]}')


def shardings(axes: Tree, shapes: Tree, mesh: Mesh, rules: AxisRules | None = None) -> Tree:
  """NamedShardings for a tree of tensors.

  Args:
    axes: tree of tuples of logical axis names, of the structure of `shapes`.
    shapes: tree of anything with `.shape`.

  Raises:
    UserError: what `AxisRules.spec` raises; an axis that its mesh axes do not divide, naming tensor and axis.
  """
  rules = rules or AxisRules()

  def one(path: Any, shaped: Any, names: tuple[str | None, ...]) -> NamedSharding:
    where = f'tensor {path_name(path)}'
    if len(names) != len(shaped.shape):
      raise UserError(f'{where}: shape {tuple(shaped.shape)} has {len(shaped.shape)} axes, {names} names {len(names)}')
    spec = rules.spec(names, where)
    for name, size, entry in zip(names, shaped.shape, spec):
      parts = math.prod(mesh.shape[a] for a in _names(entry))
      if size % parts:
        raise UserError(f'{where}: axis "{name}" of size {size} is not divisible by mesh axis '
                        f'{"x".join(_names(entry))}={parts}')
    return NamedSharding(mesh, spec)

  is_axes = lambda x: isinstance(x, tuple) and all(a is None or isinstance(a, str) for a in x)  # noqa: E731
  flat_axes = jax.tree.leaves(axes, is_leaf=is_axes)
  flat_shapes, structure = jax.tree_util.tree_flatten_with_path(shapes)
  if len(flat_axes) != len(flat_shapes):
    raise ValueError(f'{len(flat_shapes)} tensors but {len(flat_axes)} descriptions of axes')
  return jax.tree.unflatten(structure, [one(path, s, a) for (path, s), a in zip(flat_shapes, flat_axes)])


def path_name(path: Any) -> str:
  """'blocks.0.mlp.up_DF' for a jax key path; the value inside an nnx variable adds no name."""
  parts = (getattr(k, 'key', getattr(k, 'name', getattr(k, 'idx', k))) for k in path)
  return '.'.join(str(p) for p in parts if p != 'value')


def batch_sharding(mesh: Mesh, rules: AxisRules | None = None, lead: int = 0) -> NamedSharding:
  """Sharding of int32 [..., B, T] rows; `lead` unsharded axes stand before the batch axis."""
  spec = (rules or AxisRules()).spec(('batch', 'sequence'))
  return NamedSharding(mesh, P(*(None,) * lead, *spec))


def batch_parts(mesh: Mesh, rules: AxisRules | None = None) -> int:
  """Into how many parts the batch axis is cut."""
  return math.prod(mesh.shape[a] for a in _names((rules or AxisRules()).batch))


def replicated(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, P())


_ACTIVE: contextvars.ContextVar[tuple[Mesh, AxisRules] | None] = contextvars.ContextVar('active_rules', default=None)


@contextlib.contextmanager
def use_rules(mesh: Mesh, rules: AxisRules | None = None) -> Iterator[None]:
  """Makes `constrain` act while a function is traced."""
  token = _ACTIVE.set((mesh, rules or AxisRules()))
  try:
    yield
  finally:
    _ACTIVE.reset(token)


def active_mesh() -> Mesh | None:
  """The mesh of the `use_rules` that is being traced, None outside."""
  active = _ACTIVE.get()
  return active[0] if active else None


def device() -> Any:
  """One of the devices that the program being traced is for (not always of the machine that traces it)."""
  mesh = active_mesh()
  return mesh.devices.flat[0] if mesh else jax.local_devices()[0]


def constrain(x: jax.Array, *axes: str | None) -> jax.Array:
  """Pins an activation to its sharding, so that the partitioner gathers weights rather than cutting activations.

  Does nothing outside `use_rules` or on one device: the model runs unchanged in evaluation and tests.
  """
  active = _ACTIVE.get()
  if active is None or active[0].size == 1:
    return x
  mesh, rules = active
  return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, rules.spec(axes)))
