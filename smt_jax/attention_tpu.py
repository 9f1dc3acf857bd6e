"""Splash attention on TPUs: JAX's own Pallas kernel, which masks by segment and skips what no query sees.

Dims: B batch, T time, H query heads, K key-value heads, N head dim.
"""

from typing import Any

import jax
import jax.numpy as jnp

_BLOCKS = (512, 256, 128)  # largest first: what MaxText found fastest for 2,048 and more tokens, smaller for short rows


def available(head_dim: int, length: int) -> bool:
  """Whether the kernel takes such heads and rows."""
  return head_dim % 128 == 0 and length % _BLOCKS[-1] == 0


def causal(q_BTHN: jax.Array, k_BTKN: jax.Array, v_BTKN: jax.Array, segment_ids_BT: jax.Array | None = None, *,
           interpret: bool = False) -> jax.Array:
  """Causal attention, inside segments where they are given, [B, T, H, N]; residuals are named 'attention'.

  Args:
    interpret: run the kernel as plain JAX, on any platform (for tests).
  """
  from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
  from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks
  _, T, H, N = q_BTHN.shape
  b = next(b for b in _BLOCKS if T % b == 0)
  blocks = splash.BlockSizes(block_q=b, block_kv=b, block_kv_compute=b, block_q_dkv=b, block_kv_dkv=b,
                             block_kv_dkv_compute=b, block_q_dq=b, block_kv_dq=b)
  kernel = splash.make_splash_mha(
      masks.MultiHeadMask([masks.CausalMask((T, T))] * H), block_sizes=blocks, head_shards=1, q_seq_shards=1,
      residual_checkpoint_name='attention', interpret=interpret)
  scaled_BTHN = (q_BTHN.astype(jnp.float32) * N**-0.5).astype(q_BTHN.dtype)
  ids = None if segment_ids_BT is None else splash.SegmentIds(q=segment_ids_BT, kv=segment_ids_BT)
  attend: Any = jax.vmap(kernel)  # typed as if it could also return its residuals
  heads_first = (x.swapaxes(1, 2) for x in (scaled_BTHN, k_BTKN, v_BTKN))
  return attend(*heads_first, ids).swapaxes(1, 2).astype(q_BTHN.dtype)
