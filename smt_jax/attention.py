"""Causal attention with grouped queries: one function, the fastest correct kernel for the platform and the masking.

Dims: B batch, T query time, S key time, H query heads, K key-value heads, G = H / K queries a key head, N head dim.

| platform | plain causal rows | packed rows (segment ids) | explicit mask |
|---|---|---|---|
| NVIDIA, Hopper or later | cuDNN | cuDNN, every document a sequence of its own | XLA |
| NVIDIA, Ampere | cuDNN | XLA | XLA |
| TPU | splash attention | splash attention with segment ids | XLA |
| others, float32 on GPUs, sequences cut over the mesh | XLA | XLA | XLA |

What a kernel cannot mask it is not given: no row ever reaches a kernel that would attend across packed documents.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from data_gen.errors import UserError
from smt_jax import attention_cudnn, attention_decode, attention_tpu
from smt_jax.mesh import AxisRules, active_mesh, device

IMPLEMENTATIONS = ('auto', 'xla', 'cudnn', 'pallas')
_SCORE_BYTES = 256 * 2**20  # the XLA path computes its float32 scores in blocks of queries no larger than this
_CAUSAL_BLOCKS, _CAUSAL_FROM = 4, 128  # causal rows of so many tokens are cut in so many blocks of queries
_MASKED = -1e30  # finite: a fully masked row softmaxes to something, never to NaN


def dot_product_attention(
    q_BTHN: jax.Array,
    k_BSKN: jax.Array,
    v_BSKN: jax.Array,
    *,
    segment_ids_BT: jax.Array | None = None,
    most_runs: int | None = None,
    mask_BTS: jax.Array | None = None,
    causal: bool = True,
    impl: str = 'auto',
) -> jax.Array:
  """Attention output [B, T, H, N] in the dtype of `q_BTHN`; scores and softmax in float32.

  Query head h reads key head h // (H / K), as in Hugging Face's `repeat_kv`.

  Args:
    q_BTHN: queries, rotated.
    k_BSKN: keys, rotated; S == T unless `mask_BTS` says which keys are meant.
    v_BSKN: values.
    segment_ids_BT: int, packed segments, each one stretch of its row; a token sees only its own segment. 0 is
      padding, which sees only padding.
    most_runs: the most segments, padding among them, that any row will have; None: not known. cuDNN takes less memory
      and compiles sooner with it, and is wrong where a row has more.
    mask_BTS: bool, further restricts what is seen (True: seen). Always the XLA path.
    causal: a query sees no later key (by index).
    impl: 'auto' (the fastest that is correct here), 'xla', 'cudnn' (NVIDIA GPUs) or 'pallas' (splash attention, TPUs).

  Raises:
    UserError: an unknown `impl`, or a kernel that cannot do here what is asked for.
  """
  if impl not in IMPLEMENTATIONS:
    raise UserError(f'attention={impl!r}: expected one of {", ".join(IMPLEMENTATIONS)}')
  whole = causal and mask_BTS is None and q_BTHN.shape[1] == k_BSKN.shape[1] > 1
  kernel = _kernel(q_BTHN, segment_ids_BT is not None) if whole else 'xla'
  if impl in ('cudnn', 'pallas') and impl != kernel:
    what = 'an explicit mask' if not whole else 'plain rows' if segment_ids_BT is None else 'packed documents'
    raise UserError(f"attention={impl!r} cannot do {what} with {q_BTHN.dtype} heads of {q_BTHN.shape[3]} on "
                    f"{device().device_kind}; use attention='auto' or 'xla'")
  if impl == 'xla' or kernel == 'xla':
    return _xla(q_BTHN, k_BSKN, v_BSKN, segment_ids_BT, mask_BTS, causal)
  return _on_devices(kernel, q_BTHN, k_BSKN, v_BSKN, segment_ids_BT, most_runs)


def reads_cache_fused(dtype: jnp.dtype, head_dim: int, impl: str = 'auto') -> bool:
  """Whether `cached_attention` has a fused kernel here, which wants keys as [B, K, S, N] like values."""
  pallas = attention_decode.available(device(), dtype, head_dim)
  return {'auto': _cache_by_cudnn(dtype, head_dim) or pallas,
          'cudnn': _cache_by_cudnn(dtype, head_dim),
          'pallas': pallas}.get(impl, False)


def _cache_by_cudnn(dtype: jnp.dtype, head_dim: int) -> bool:
  return attention_cudnn.available(device(), dtype, head_dim, packed=True)


def cached_attention(q_BKGN: jax.Array, keys: jax.Array, values_BKSN: jax.Array, length_B: jax.Array,
                     fused: bool, impl: str = 'auto') -> jax.Array:
  """Attention [B, K, G, N] of one new token a row over the first `length_B` (1 or more) places of a cache.

  Args:
    keys: [B, K, S, N] if `fused`, else [B, K, N, S].
    fused: use the kernel that `reads_cache_fused` speaks of.
  """
  S, N = values_BKSN.shape[2:]
  kernel = None
  if fused and impl != 'pallas' and _cache_by_cudnn(values_BKSN.dtype, N):
    kernel = attention_cudnn.decode
  elif fused and attention_decode.available(device(), values_BKSN.dtype, N, S):
    kernel = attention_decode.decode
  if kernel:
    rules = AxisRules()
    heads = rules.spec(('batch', 'kv_heads', None, None))
    return _sharded(kernel, (heads, heads, heads, rules.spec(('batch',))), heads)(
        q_BKGN, keys, values_BKSN, length_B)
  scores_BKGS = jnp.einsum('bkgn,bksn->bkgs' if fused else 'bkgn,bkns->bkgs', q_BKGN, keys,
                           preferred_element_type=jnp.float32)
  seen_BS = jnp.arange(S) < length_B[:, None]
  scores_BKGS = jnp.where(seen_BS[:, None, None], scores_BKGS * N**-0.5, _MASKED)
  weights_BKGS = jax.nn.softmax(scores_BKGS, axis=-1)
  return jnp.einsum('bkgs,bksn->bkgn', weights_BKGS.astype(values_BKSN.dtype), values_BKSN)


def _kernel(q_BTHN: jax.Array, packed: bool) -> str:
  """The fastest implementation that is correct for causal rows of a platform."""
  mesh = active_mesh()
  T, N = q_BTHN.shape[1], q_BTHN.shape[3]
  if mesh and mesh.shape['context'] > 1:  # both kernels want whole rows
    return 'xla'
  if attention_cudnn.available(device(), q_BTHN.dtype, N, packed):
    return 'cudnn'
  return 'pallas' if device().platform == 'tpu' and attention_tpu.available(N, T) else 'xla'


def _on_devices(kernel: str, q_BTHN, k_BTKN, v_BTKN, segment_ids_BT, most_runs) -> jax.Array:
  """A kernel on every device's own rows and heads."""
  if kernel == 'pallas':
    run = attention_tpu.causal
  elif segment_ids_BT is None:
    run = attention_cudnn.causal
  else:
    run = functools.partial(attention_cudnn.packed, fallback=_segments_by_xla, most_runs=most_runs)
  rules = AxisRules()
  heads = rules.spec(('batch', None, 'heads', None))
  if segment_ids_BT is None:
    return _sharded(run, (heads,) * 3, heads)(q_BTHN, k_BTKN, v_BTKN)
  specs = (heads, heads, heads, rules.spec(('batch', None)))
  return _sharded(run, specs, heads)(q_BTHN, k_BTKN, v_BTKN, segment_ids_BT)


def _sharded(run: Callable[..., jax.Array], in_specs: tuple[P, ...], out_specs: P) -> Callable[..., jax.Array]:
  """`run` on every device's own part."""
  mesh = active_mesh()
  if mesh is None or mesh.size == 1:
    return run
  return jax.shard_map(run, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def _segments_by_xla(q_BTHN, k_BTKN, v_BTKN, segment_ids_BT) -> jax.Array:
  return _xla(q_BTHN, k_BTKN, v_BTKN, segment_ids_BT, None, True)


def _xla(q_BTHN, k_BSKN, v_BSKN, segment_ids_BT, mask_BTS, causal) -> jax.Array:
  """Plain XLA attention; in blocks of queries (recomputed in the backward pass) where the scores would be large."""
  B, T, H, _ = q_BTHN.shape
  S = k_BSKN.shape[1]
  block = T
  while block % 2 == 0 and 4 * B * H * block * S > _SCORE_BYTES:
    block //= 2

  def attend(start, block, S):
    """Attention of `block` queries over the first `S` keys."""
    q = jax.lax.dynamic_slice_in_dim(q_BTHN, start, block, axis=1)
    seen_BTS = jnp.ones((1, block, S), bool)
    if causal:
      seen_BTS &= (start + jnp.arange(block))[:, None] >= jnp.arange(S)
    if segment_ids_BT is not None:
      own_BT = jax.lax.dynamic_slice_in_dim(segment_ids_BT, start, block, axis=1)
      seen_BTS &= own_BT[:, :, None] == segment_ids_BT[:, None, :S]
    if mask_BTS is not None:
      seen_BTS &= jax.lax.dynamic_slice_in_dim(mask_BTS[:, :, :S], start, block, axis=1)
    return _block(q, k_BSKN[:, :S], v_BSKN[:, :S], seen_BTS)

  if block == T:
    if not causal or S != T or T % _CAUSAL_BLOCKS or T < _CAUSAL_FROM:
      return attend(0, T, S)
    step = T // _CAUSAL_BLOCKS  # keys behind the last query of a block are not even multiplied
    return jnp.concatenate([attend(start, step, start + step) for start in range(0, T, step)], axis=1)
  out = jax.lax.map(jax.checkpoint(lambda start: attend(start, block, S)), jnp.arange(0, T, block))
  return out.swapaxes(0, 1).reshape(q_BTHN.shape)  # out is [T / block, B, block, H, N]


def _block(q_BTHN, k_BSKN, v_BSKN, seen_BTS) -> jax.Array:
  # Batch dimensions lead and a key head's queries lie in one matrix: XLA's CPU matmuls run several times faster so, and
  # elsewhere it is the layout that the compiler picks by itself. Normalising after the values are summed saves a pass.
  B, T, H, N = q_BTHN.shape
  S, K = k_BSKN.shape[1:3]
  q_BKGTN = q_BTHN.reshape(B, T, K, H // K, N).transpose(0, 2, 3, 1, 4)
  k_BKSN, v_BKSN = k_BSKN.swapaxes(1, 2), v_BSKN.swapaxes(1, 2)
  scores_BKQS = jnp.einsum('bkqn,bksn->bkqs', q_BKGTN.reshape(B, K, -1, N), k_BKSN,
                           preferred_element_type=jnp.float32) * N**-0.5
  scores_BKGTS = jnp.where(seen_BTS[:, None, None], scores_BKQS.reshape(B, K, H // K, T, S), _MASKED)
  top_BKGT1 = jax.lax.stop_gradient(scores_BKGTS.max(axis=-1, keepdims=True))
  weights_BKGTS = jnp.exp(scores_BKGTS - top_BKGT1)
  sums_BKGT = weights_BKGTS.sum(axis=-1)
  out_BKQN = jnp.einsum('bkqs,bksn->bkqn', weights_BKGTS.reshape(B, K, -1, S).astype(v_BKSN.dtype), v_BKSN,
                        preferred_element_type=jnp.float32)
  out_BKGTN = out_BKQN.reshape(q_BKGTN.shape) / sums_BKGT[..., None]
  return out_BKGTN.transpose(0, 3, 1, 2, 4).reshape(B, T, H, N).astype(q_BTHN.dtype)
