"""Attention of one new token a row over its cached keys and values, as a Triton kernel written in Pallas.

Dims: B rows, K key-value heads, G queries a key head, S places, N head dim, C places of one block, P parts of the
places.

Decoding reads every key and value once and computes next to nothing, so all that counts is reading at full bandwidth:
the G queries of a key head go together, places behind a row's length are never read, and where rows and heads are too
few to fill a GPU each row's places are cut into parts whose results are added up afterwards (as in Flash-Decoding).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

_QUERIES = 16  # the smallest matrix that tensor cores multiply; smaller groups are padded
_BLOCKS = (128, 64, 32, 16)
_PROGRAMS = 512  # enough to fill a GPU several times over
_MASKED = -1e30


def available(device: Any, dtype: Any, head_dim: int, places: int = _BLOCKS[-1]) -> bool:
  """Whether the kernel runs there: NVIDIA, Ampere or later, half precision, places in multiples of 16."""
  capability = str(getattr(device, 'compute_capability', '0')).split('.')[0]
  return (device.platform == 'gpu' and capability.isdigit() and int(capability) >= 8
          and jnp.dtype(dtype) in (jnp.bfloat16, jnp.float16) and head_dim in (32, 64, 128, 256)
          and places % _BLOCKS[-1] == 0)


def decode(q_BKGN: jax.Array, keys_BKSN: jax.Array, values_BKSN: jax.Array, length_B: jax.Array, *, block: int = 0,
           parts: int = 0, warps: int = 4, stages: int = 3, interpret: bool = False) -> jax.Array:
  """Attention [B, K, G, N] over the first `length_B` (1 or more) places, softmax in float32; no gradient.

  Args:
    block, parts: places of a block, parts of a row; 0: chosen.
    interpret: run as plain JAX, on any platform (for tests).
  """
  B, K, G, N = q_BKGN.shape
  S = keys_BKSN.shape[2]
  block = block or next(b for b in _BLOCKS if S % (b * max(1, parts)) == 0)
  if not parts:
    wanted = max(1, _PROGRAMS // (B * K))
    parts = max(p for p in range(1, min(wanted, S // block) + 1) if S % (p * block) == 0)
  padded = -(-G // _QUERIES) * _QUERIES
  q = jnp.pad(q_BKGN, ((0, 0), (0, 0), (0, padded - G), (0, 0)))
  whole = pl.BlockSpec((None, None, padded, N), lambda b, k, p: (b, k, 0, 0))
  part = pl.BlockSpec((None, None, S // parts, N), lambda b, k, p: (b, k, p, 0))
  sums = pl.BlockSpec((None, None, None, padded), lambda b, k, p: (p, b, k, 0))
  out_PBKGN, top_PBKG, sum_PBKG = pl.pallas_call(
      functools.partial(_kernel, block=block, scale=N**-0.5),
      grid=(B, K, parts),
      in_specs=[pl.BlockSpec((None,), lambda b, k, p: (b,)), whole, part, part],
      out_specs=[pl.BlockSpec((None, None, None, padded, N), lambda b, k, p: (p, b, k, 0, 0)), sums, sums],
      out_shape=[jax.ShapeDtypeStruct((parts, B, K, padded, N), jnp.float32)]
      + [jax.ShapeDtypeStruct((parts, B, K, padded), jnp.float32)] * 2,
      compiler_params=None if interpret else _compiler_params(warps, stages),
      interpret=interpret, name='decode_attention')(length_B.astype(jnp.int32), q, keys_BKSN, values_BKSN)
  share_PBKG = jnp.exp(top_PBKG - top_PBKG.max(axis=0))
  out_BKGN = jnp.sum(out_PBKGN * share_PBKG[..., None], axis=0)
  out_BKGN /= jnp.sum(sum_PBKG * share_PBKG, axis=0)[..., None]
  return out_BKGN[:, :, :G].astype(q_BKGN.dtype)


def _compiler_params(warps: int, stages: int) -> Any:
  from jax.experimental.pallas import triton
  return triton.CompilerParams(num_warps=warps, num_stages=stages)


def _kernel(length_ref, q_ref, k_ref, v_ref, out_ref, top_ref, sum_ref, *, block, scale):
  """One part of one key head of one row: sums that are not normalised yet, and the largest score."""
  G, N = q_ref.shape
  first = pl.program_id(2) * k_ref.shape[0]
  inside = jnp.clip(length_ref[...] - first, 0, k_ref.shape[0])
  q_GN = q_ref[...]

  def add(i, carry):
    out_GN, top_G, sum_G = carry
    places = pl.ds(i * block, block)
    scores_GC = _product(q_GN, k_ref[places, :], 1) * scale
    seen_C = i * block + jnp.arange(block) < inside
    scores_GC = jnp.where(seen_C[None, :], scores_GC, _MASKED)
    new_G = jnp.maximum(top_G, scores_GC.max(axis=1))
    weights_GC, keep_G = jnp.exp(scores_GC - new_G[:, None]), jnp.exp(top_G - new_G)
    more_GN = _product(weights_GC.astype(v_ref.dtype), v_ref[places, :], 0)
    return out_GN * keep_G[:, None] + more_GN, new_G, sum_G * keep_G + weights_GC.sum(axis=1)

  nothing = jnp.zeros((G, N), jnp.float32), jnp.full((G,), _MASKED, jnp.float32), jnp.zeros((G,), jnp.float32)
  out_ref[...], top_ref[...], sum_ref[...] = jax.lax.fori_loop(0, pl.cdiv(inside, block), add, nothing)


def _product(a: jax.Array, b: jax.Array, axis: int) -> jax.Array:
  """a times b, summed over a's last axis and b's `axis`, in float32."""
  return jax.lax.dot_general(a, b, (((1,), (axis,)), ((), ())), preferred_element_type=jnp.float32)
