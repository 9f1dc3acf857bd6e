"""Keys and values of tokens that were seen.

Dims: B rows, K key-value heads, S places, N head dim, T new tokens.

A tuple of arrays, one a layer, each written in place. Rows and heads lie outermost, so that reading all of them is one
strided batch of matrix products. Values are [B, K, S, N]; keys are too where a fused kernel reads both, and
[B, K, N, S] elsewhere, as their product with a query reads them.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from smt_jax.config import ModelConfig
from smt_jax.mesh import constrain


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Cache:
  keys: tuple[jax.Array, ...]  # [B, K, N, S] by layer; [B, K, S, N] if fused
  values: tuple[jax.Array, ...]  # [B, K, S, N] by layer
  fused: bool = dataclasses.field(default=False, metadata={'static': True})


def empty(config: ModelConfig, rows: int, places: int, dtype: jnp.dtype, fused: bool = False) -> Cache:
  """A cache of zeros; `fused`: laid out for a fused kernel."""
  B, K, S, N = rows, config.num_key_value_heads, places, config.head_dim
  shape = (B, K, S, N) if fused else (B, K, N, S)
  layers = range(config.num_hidden_layers)
  return Cache(
      tuple(constrain(jnp.zeros(shape, dtype), 'batch', 'kv_heads', None, None) for _ in layers),
      tuple(constrain(jnp.zeros((B, K, S, N), dtype), 'batch', 'kv_heads', None, None) for _ in layers), fused)


def grow(cache: Cache, places: int) -> Cache:
  """The same with more places; the given one is gone, layer by layer, so that never two are held."""
  more = places - cache.values[0].shape[2]

  def moved(x: jax.Array, axis: int) -> jax.Array:
    longer = _pad(x, axis, more)
    x.delete()
    return longer
  return Cache(tuple(moved(k, 2 if cache.fused else 3) for k in cache.keys), tuple(moved(v, 2) for v in cache.values),
               cache.fused)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _pad(x: jax.Array, axis: int, more: int) -> jax.Array:
  return jnp.pad(x, [(0, more if i == axis else 0) for i in range(x.ndim)])


def put_token(cache: Cache, layer: int, place_B: jax.Array, k_BKN: jax.Array, v_BKN: jax.Array) -> Cache:
  """Writes one token a row, at that row's own place."""
  rows, keys = jnp.arange(place_B.shape[0]), cache.keys[layer]
  keys = (keys.at[rows, :, place_B] if cache.fused else keys.at[rows, :, :, place_B]).set(k_BKN)
  return _replaced(cache, layer, keys, cache.values[layer].at[rows, :, place_B].set(v_BKN))


def put_start(cache: Cache, layer: int, k_BTKN: jax.Array, v_BTKN: jax.Array) -> Cache:
  """Makes T tokens a row the whole content of a layer."""
  keys = k_BTKN.transpose((0, 2, 1, 3) if cache.fused else (0, 2, 3, 1))
  return _replaced(cache, layer, keys, v_BTKN.transpose(0, 2, 1, 3))


def _replaced(cache: Cache, layer: int, keys: jax.Array, values: jax.Array) -> Cache:
  return Cache((*cache.keys[:layer], keys, *cache.keys[layer + 1:]),
               (*cache.values[:layer], values, *cache.values[layer + 1:]), cache.fused)


def admit(cache: Cache, new: Cache, source_M: jax.Array, target_M: jax.Array) -> Cache:
  """Copies rows `source_M` of `new` over rows `target_M`; a target beyond the last row is left out."""
  T = new.values[0].shape[2]

  def put(x: jax.Array, fresh: jax.Array, places_last: bool) -> jax.Array:
    places = x.at[target_M, :, :, :T] if places_last else x.at[target_M, :, :T]
    return places.set(fresh[source_M], mode='drop')
  return Cache(tuple(put(k, n, not cache.fused) for k, n in zip(cache.keys, new.keys)),
               tuple(put(v, n, False) for v, n in zip(cache.values, new.values)), cache.fused)
