"""The train state: what a run changes, its shapes and shardings before it exists, and how it comes to be."""

import dataclasses
import functools
import math
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from data_gen.errors import UserError
from smt_jax import lora, optim
from smt_jax.config import TrainConfig
from smt_jax.distributed import device_memory
from smt_jax.linear import LoraParam
from smt_jax.mesh import AxisRules, path_name, replicated, shardings
from smt_jax.model import abstract, param_axes, param_specs

Tree = Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TrainState:
  """Everything that a step reads and writes.

  Attributes:
    step: int32, updates done.
    ok: bool; once a loss or gradient was not finite it is False, and the state stays as it was before that step.
    params: what is trained: all weights in `step.param_dtype`, or the adapters in float32.
    opt_state: optax state.
    frozen: the weights under adapters in `step.compute_dtype`; without adapters an empty State.
  """
  step: jax.Array
  ok: jax.Array
  params: nnx.State
  opt_state: Tree
  frozen: nnx.State


@dataclasses.dataclass(frozen=True)
class Setup:
  """What is fixed over a run and shared by its programs: structure, mesh, optimizer, shapes and shardings.

  Attributes:
    shapes: of jax.ShapeDtypeStruct with shardings.
    device_memory: bytes of a device, the same on every process as programs depend on it; None: unknown.
    most_runs: of the data's fullest row, see `attention.dot_product_attention`; None: unknown.
  """
  config: TrainConfig
  mesh: Mesh
  optimizer: optax.GradientTransformation
  graphdef: nnx.GraphDef
  shapes: TrainState
  n_kinds: int
  device_memory: int | None
  most_runs: int | None = None

  @property
  def shardings(self) -> TrainState:
    return jax.tree.map(lambda x: x.sharding, self.shapes)

  @property
  def weights(self) -> nnx.State:
    """Shapes of the model's weights, trained or frozen."""
    return self.shapes.frozen if self.config.lora.rank else self.shapes.params


def make_setup(config: TrainConfig, mesh: Mesh, n_kinds: int, rules: AxisRules | None = None,
               most_runs: int | None = None) -> Setup:
  """Shapes and shardings of a run's state; allocates nothing. `most_runs` as in `Setup`.

  Raises:
    UserError: a tensor that the mesh does not divide, an unknown LoRA target, a large state that would lie whole on
      every device.
  """
  optimizer = optim.make_optimizer(config.optimizer)
  if config.lora.rank:
    model = lora.attach(abstract(config.model, jnp.dtype(config.step.compute_dtype)), config.lora)
    graphdef, params, frozen = nnx.split(model, LoraParam, nnx.Param)
    axes, frozen_axes = lora.axes_and_stds(config.model, params)[0], param_axes(config.model)
  else:
    graphdef, params = nnx.split(abstract(config.model, jnp.dtype(config.step.param_dtype)), nnx.Param)
    axes, frozen, frozen_axes = param_axes(config.model), nnx.State({}), nnx.State({})
  cuts = shardings(axes, params, mesh, rules)
  scalar: Any = replicated(mesh)
  shapes = jax.eval_shape(functools.partial(_at_start, optimizer), params, frozen)
  cuts = TrainState(scalar, scalar, cuts, optim.state_shardings(optimizer, params, cuts, scalar),
                    shardings(frozen_axes, frozen, mesh, rules))
  shapes = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, cuts)
  _check_whole(config, mesh, shapes)
  return Setup(config, mesh, optimizer, graphdef, shapes, n_kinds, device_memory(mesh), most_runs)


_WHOLE = 4 * 2**30  # bytes of a state that need no cutting


def _check_whole(config: TrainConfig, mesh: Mesh, shapes: TrainState) -> None:
  """Refuses a large state that every one of several devices would hold whole, unless that was asked for."""
  if mesh.size == 1 or mesh.shape['fsdp'] * mesh.shape['tensor'] > 1 or config.step.whole_state:
    return
  whole = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves((shapes.params, shapes.opt_state)))
  if whole > _WHOLE:
    raise UserError(f'--config.mesh: fsdp and tensor are 1, so weights and moments, {whole / 2**30:.0f} GiB, would lie '
                    f'whole on each of {mesh.size} devices; cut them (--config.mesh.data=1 --config.mesh.fsdp=-1), or '
                    'allow it with --config.step.whole_state=True')


def _at_start(optimizer: optax.GradientTransformation, params: nnx.State, frozen: nnx.State) -> TrainState:
  return TrainState(jnp.zeros([], jnp.int32), jnp.ones([], bool), params, optimizer.init(params), frozen)


def init_state(setup: Setup, weights: nnx.State | None = None) -> TrainState:
  """The state before the first step, every array created in its final sharding.

  Args:
    weights: weights to start from, like `setup.weights`; None: fresh ones from `config.seed`.
  """
  weights = fresh_weights(setup) if weights is None else weights
  params, frozen = (fresh_adapters(setup), weights) if setup.config.lora.rank else (weights, nnx.State({}))
  return jax.jit(functools.partial(_at_start, setup.optimizer), out_shardings=setup.shardings,
                 donate_argnums=(0, 1))(params, frozen)


def fresh_weights(setup: Setup) -> nnx.State:
  """Random weights from `config.seed`, distributed as the model initialises itself, each created in its sharding."""
  specs: Any = param_specs(setup.config.model)

  def std(path: Any, _: Any) -> float | None:
    keys = (int(k) if k.isdigit() else k for k in path_name(path).split('.'))
    return functools.reduce(lambda tree, key: tree[key], keys, specs).std

  return _drawn(setup, setup.weights, std)


def fresh_adapters(setup: Setup) -> nnx.State:
  """LoRA pairs that change nothing yet."""
  stds = lora.axes_and_stds(setup.config.model, setup.shapes.params)[1]
  by_name = {path_name(path): std for path, std in jax.tree_util.tree_flatten_with_path(stds)[0]}
  return _drawn(setup, setup.shapes.params, lambda path, _: by_name[path_name(path)])


def _drawn(setup: Setup, shapes: nnx.State, std: Callable[[Any, Any], float | None]) -> nnx.State:
  """Normal noise of the standard deviation that `std` gives for a path; None: ones.

  The CPU draws with NumPy: XLA needs longer to compile the random bits of a small model than NumPy to draw them.
  """
  draw = _draw_with_numpy if jax.default_backend() == 'cpu' else _draw_with_jax

  def one(path: Any, shape: jax.ShapeDtypeStruct) -> jax.Array:
    scale = std(path, shape)
    if not scale:
      return jnp.full(shape.shape, 1 if scale is None else 0, shape.dtype, device=shape.sharding)
    return draw(setup.config.seed, zlib.crc32(path_name(path).encode()), scale, shape)

  return jax.tree_util.tree_map_with_path(one, shapes)


def _draw_with_numpy(seed: int, stream: int, std: float, shape: jax.ShapeDtypeStruct) -> jax.Array:
  generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream])))
  whole = (std * generator.standard_normal(shape.shape, np.float32)).astype(shape.dtype)
  return jax.make_array_from_callback(shape.shape, shape.sharding, lambda index: whole[index])


def _draw_with_jax(seed: int, stream: int, std: float, shape: jax.ShapeDtypeStruct) -> jax.Array:
  key = jax.random.fold_in(jax.random.key(seed), stream)
  return _normal(shape.shape, shape.dtype, shape.sharding)(key, std)


@functools.cache
def _normal(shape: tuple[int, ...], dtype: Any, sharding: Any) -> Callable[[jax.Array, float], jax.Array]:
  """A program a shape, not one for the whole model."""
  return jax.jit(lambda key, std: (std * jax.random.normal(key, shape, jnp.float32)).astype(dtype),
                 out_shardings=sharding)
