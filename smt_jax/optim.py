"""AdamW as an optax chain whose state says its precision.

`optax.scale_by_adam` keeps the second moment in the weights' dtype and rounds to nearest. Below float32 that stalls: at
b2 = 0.999 an update moves the moment by less than half a bfloat16 step, and nearest rounding throws it away. Here both
moments have a dtype of their own, the arithmetic is float32, and whatever is kept in bfloat16 is rounded stochastically
(Gupta et al. 2015, arXiv 1502.02551), which is unbiased.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from smt_jax.config import OptimizerConfig
from smt_jax.mesh import path_name

Tree = Any


def learning_rate(config: OptimizerConfig, total_steps: int) -> Callable[[int], float]:
  """The learning rate of the update after `count` updates: linear warm-up, then the schedule. Computed on the host.

  Warm-up lasts `warmup_fraction * total_steps` steps and its first step is not zero; the last step of the run comes
  just before the schedule reaches `final_learning_rate_fraction`, as in Hugging Face's schedules.
  """
  warmup, final = round(config.warmup_fraction * total_steps), config.final_learning_rate_fraction
  shapes = {'cosine': lambda t: 0.5 * (1 + math.cos(math.pi * t)), 'linear': lambda t: 1 - t}

  def schedule(count: int) -> float:
    if count < warmup:
      return config.learning_rate * (count + 1) / warmup
    if config.schedule == 'constant':
      return config.learning_rate
    progress = min(1.0, (count - warmup) / max(1, total_steps - warmup))
    return config.learning_rate * (final + (1 - final) * shapes[config.schedule](progress))

  return schedule


def global_norm(tree: Tree) -> jax.Array:
  """float32 Euclidean norm of all leaves together; the sum is taken in float32 whatever the leaves' dtype."""
  return jnp.sqrt(sum(jnp.sum(jnp.square(x.astype(jnp.float32))) for x in jax.tree.leaves(tree)))


def clip_by_global_norm(max_norm: float) -> optax.GradientTransformation:
  """Scales gradients so that their float32 global norm is at most `max_norm`; 0 or less: no clipping."""

  def update(updates: Tree, state: Tree, params: Tree = None) -> tuple[Tree, Tree]:
    del params
    factor = jnp.minimum(1.0, max_norm / jnp.maximum(global_norm(updates), 1e-30))
    return jax.tree.map(lambda g: g.astype(jnp.float32) * factor, updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update) if max_norm > 0 else optax.identity()


class AdamState(NamedTuple):
  count: jax.Array  # int32 scalar, updates done
  mu: Tree
  nu: Tree


def scale_by_adam(b1: float, b2: float, eps: float, mu_dtype: str, nu_dtype: str) -> optax.GradientTransformation:
  """Adam (Kingma & Ba 2015) with bias correction; moments kept in the given dtypes, computed in float32."""

  def init(params: Tree) -> AdamState:
    zeros = lambda dtype: jax.tree.map(lambda p: jnp.zeros(p.shape, dtype), params)  # noqa: E731
    return AdamState(jnp.zeros([], jnp.int32), zeros(mu_dtype), zeros(nu_dtype))

  def update(updates: Tree, state: Any, params: Tree = None) -> tuple[Tree, AdamState]:
    del params
    count = state.count + 1
    c1, c2 = (1 / (1 - b ** count.astype(jnp.float32)) for b in (b1, b2))  # two divisions an element fewer
    f32 = lambda x: x.astype(jnp.float32)  # noqa: E731
    mu = jax.tree.map(lambda g, m: b1 * f32(m) + (1 - b1) * f32(g), updates, state.mu)
    nu = jax.tree.map(lambda g, v: b2 * f32(v) + (1 - b2) * jnp.square(f32(g)), updates, state.nu)
    direction = jax.tree.map(lambda m, v: m * c1 / (jnp.sqrt(v * c2) + eps), mu, nu)
    return direction, AdamState(count, cast(mu, mu_dtype, count, 1), cast(nu, nu_dtype, count, 2))

  return optax.GradientTransformation(init, update)


def cast(tree: Tree, dtype: Any, count: jax.Array, stream: int) -> Tree:
  """float32 leaves in `dtype`; bfloat16 is rounded stochastically, reproducibly in (count, stream, leaf)."""
  if jnp.dtype(dtype) != jnp.bfloat16:
    return jax.tree.map(lambda x: x.astype(dtype), tree)
  leaves, structure = jax.tree.flatten(tree)
  return jax.tree.unflatten(
      structure, [stochastic_round(x, _seed(count, stream, i)) for i, x in enumerate(leaves)])


def stochastic_round(x: jax.Array, seed: jax.typing.ArrayLike) -> jax.Array:
  """float32 -> bfloat16, up or down with probability in proportion to closeness; infinities and nan stay.

  The noise is a hash of seed (uint32 scalar, every bit of it well mixed) and place, a dozen integer operations that
  disappear behind the memory traffic of an update. Threefry's hundred would take as long as the whole update of an 8B
  model.
  """
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
  place = jnp.zeros(x.shape, jnp.uint32)
  for axis, size in enumerate(x.shape):
    place = place * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
  noise = _mixed(place ^ jnp.asarray(seed, jnp.uint32)) >> 16
  rounded = jax.lax.bitcast_convert_type(((bits + noise) >> 16).astype(jnp.uint16), jnp.bfloat16)
  return jnp.where(jnp.isfinite(x), rounded, x.astype(jnp.bfloat16))


def _mixed(x: jax.Array) -> jax.Array:
  """A bijection of uint32 in which every input bit changes every output bit (constants: C. Wellons' lowbias32)."""
  x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
  x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
  return x ^ (x >> 16)


def _seed(count: jax.typing.ArrayLike, stream: int, leaf: int) -> jax.Array:
  return _mixed(_mixed(jnp.asarray(count).astype(jnp.uint32)) + jnp.uint32((stream << 24) + leaf))


def apply_updates(params: Tree, updates: Tree, rate: jax.typing.ArrayLike, count: jax.typing.ArrayLike) -> Tree:
  """params - rate * updates in float32; bfloat16 weights are rounded stochastically, or small updates would vanish."""
  def one(p: jax.Array, u: jax.Array, i: int) -> jax.Array:
    total = p.astype(jnp.float32) - rate * u
    return stochastic_round(total, _seed(count, 3, i)) if p.dtype == jnp.bfloat16 else total.astype(p.dtype)

  leaves, structure = jax.tree.flatten(params)
  return jax.tree.unflatten(structure, [one(p, u, i) for i, (p, u) in enumerate(zip(leaves, jax.tree.leaves(updates)))])


def decay_mask(params: Tree) -> Tree:
  """True for the tensors that weight decay shrinks: all but norm scales and other vectors."""
  return jax.tree_util.tree_map_with_path(lambda path, p: p.ndim > 1 and 'norm' not in path_name(path), params)


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
  """Clipping, Adam, decoupled weight decay (Loshchilov & Hutter 2019).

  The updates are still to be multiplied by minus the learning rate, which is an argument of the step: so runs of other
  lengths and learning rates share one compiled program.
  """
  return optax.chain(
      clip_by_global_norm(config.clip_norm),
      scale_by_adam(config.b1, config.b2, config.eps, config.mu_dtype, config.nu_dtype),
      optax.add_decayed_weights(config.weight_decay, mask=decay_mask))


def state_shardings(optimizer: optax.GradientTransformation, params: Tree, param_shardings: Tree, other: Any) -> Tree:
  """Shardings of the optimizer's state: moments like their weights, everything else `other`.

  `jit(optimizer.init)` without these would put whole moments on every device.
  """
  shapes = jax.eval_shape(optimizer.init, params)
  return optax.tree_map_params(
      optimizer, lambda _, s: s, shapes, param_shardings, transform_non_params=lambda _: other)
