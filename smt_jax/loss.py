"""Cross-entropy without the logits.

Dims: B batch, T time, D model width, V vocabulary, N tokens of one device, C tokens of one chunk.

For a 128k vocabulary the float32 logits of one 16 x 2048 step are 16.8 GB. Here they exist for one chunk of tokens at a
time, and each chunk's gradient is taken while its logits are at hand (the loss is a sum, so its gradient needs nothing
from later): nothing is recomputed in the backward pass, as in Liger's fused linear cross-entropy (arXiv 2410.10989).

Under a mesh the function runs per device (`shard_map`): every device sums the gradient of the output matrix over its
own chunks and the devices add theirs up once, where the partitioner left alone would add up after every chunk.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from smt_jax.chips import chip_of
from smt_jax.mesh import device

IGNORE = -100  # label of a token without loss
_CHUNK_BYTES = 2**30  # float32 logits of a chunk, on accelerators of little memory ...
_CHUNK_BYTES_CPU = 2**24  # ... and so few that they fit a CPU's cache


def summed_cross_entropy(
    hidden_BTD: jax.Array,
    unembedding_DV: jax.Array,
    labels_BT: jax.Array,
    *,
    chunks: int = 0,
    mesh: Mesh | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Sum of the next-token losses, in nats, and the loss of each token.

  Args:
    hidden_BTD: final hidden states; their dtype is the dtype of the matrix products (which accumulate in float32).
    unembedding_DV: output matrix in the same dtype.
    labels_BT: int32 target ids; `IGNORE` (or anything negative) takes no part.
    chunks: number of chunks a device cuts its tokens into; 0: as many as keep one chunk's logits small.
    mesh: where the arrays are sharded: batch over data and fsdp, time over context, vocabulary over tensor.

  Returns:
    float32 scalar sum, differentiable in the first two arguments; float32 [B, T], 0 where ignored, not differentiable.
  """
  mesh = mesh if mesh is not None and mesh.size > 1 else None
  total, nll_BT = _summed(hidden_BTD, unembedding_DV, labels_BT, chunks, mesh)
  return total, jax.lax.stop_gradient(nll_BT)


def _without_gradient(hidden_BTD, unembedding_DV, labels_BT, chunks, mesh) -> tuple[jax.Array, jax.Array]:
  (nll_BT,) = _on_devices(False, chunks, mesh)(hidden_BTD, unembedding_DV, labels_BT)
  return jnp.sum(nll_BT), nll_BT


_summed = jax.custom_vjp(_without_gradient, nondiff_argnums=(3, 4))


def _forward(hidden_BTD, unembedding_DV, labels_BT, chunks, mesh):
  nll_BT, *gradients = _on_devices(True, chunks, mesh)(hidden_BTD, unembedding_DV, labels_BT)
  return (jnp.sum(nll_BT), nll_BT), gradients


def _backward(chunks, mesh, gradients, cotangents):
  del chunks, mesh
  scale = cotangents[0]
  d_hidden, d_unembedding = ((scale * g.astype(jnp.float32)).astype(g.dtype) for g in gradients)
  return d_hidden, d_unembedding, None


_summed.defvjp(_forward, _backward)


def _on_devices(with_gradient: bool, chunks: int, mesh: Mesh | None) -> Any:
  """The per-device function, wrapped for the mesh."""
  if mesh is None:
    return functools.partial(_local, with_gradient, chunks, None)
  rows = P(('data', 'fsdp'), 'context')
  hidden, unembedding = P(*rows, None), P(None, 'tensor')
  outputs = (rows, hidden, P('fsdp', 'tensor')) if with_gradient else (rows,)
  return jax.shard_map(functools.partial(_local, with_gradient, chunks, mesh), mesh=mesh,
                       in_specs=(hidden, unembedding, rows), out_specs=outputs, check_vma=False)


def _local(with_gradient, chunks, mesh, hidden_BTD, unembedding_DV, labels_BT) -> tuple[jax.Array, ...]:
  """Losses (and gradients) of one device's tokens; its vocabulary may be a part of the whole."""
  (B, T, D), V = hidden_BTD.shape, unembedding_DV.shape[1]
  N = B * T
  chunks = chunk_count(N, V, chunks)
  C = -(-N // chunks)
  hidden_ND = _padded(hidden_BTD.reshape(N, D), C * chunks)
  labels_N = _padded(labels_BT.reshape(N), C * chunks, IGNORE)
  if mesh is not None and mesh.shape['tensor'] > 1:  # ids of other devices' parts become ids that match no column
    labels_N = jnp.where(labels_N < 0, IGNORE, labels_N - jax.lax.axis_index('tensor') * V)
    valid_N = _padded(labels_BT.reshape(N), C * chunks, IGNORE) >= 0
  else:
    valid_N = labels_N >= 0
  across = _across(mesh)

  def chunk(d_unembedding_DV, inputs) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    hidden_CD, labels_C, valid_C = inputs
    logits_CV = jnp.einsum('cd,dv->cv', hidden_CD, unembedding_DV, preferred_element_type=jnp.float32)
    hit_CV = labels_C[:, None] == jnp.arange(V)
    max_C = across(jnp.max(logits_CV, axis=1), jax.lax.pmax)
    exp_CV = jnp.exp(logits_CV - max_C[:, None])
    sum_C = across(jnp.sum(exp_CV, axis=1), jax.lax.psum)
    target_C = across(jnp.sum(jnp.where(hit_CV, logits_CV, 0.0), axis=1), jax.lax.psum)
    nll_C = jnp.where(valid_C, max_C + jnp.log(sum_C) - target_C, 0.0)
    if not with_gradient:
      return d_unembedding_DV, (nll_C,)
    d_logits_CV = jnp.where(valid_C[:, None], exp_CV / sum_C[:, None] - hit_CV, 0.0).astype(hidden_CD.dtype)
    d_hidden_CD = across(jnp.einsum('cv,dv->cd', d_logits_CV, unembedding_DV,
                                    preferred_element_type=jnp.float32), jax.lax.psum)
    d_unembedding_DV += jnp.einsum('cd,cv->dv', hidden_CD, d_logits_CV, preferred_element_type=jnp.float32)
    return d_unembedding_DV, (nll_C, d_hidden_CD.astype(hidden_CD.dtype))

  start = jnp.zeros((D, V) if with_gradient else (), jnp.float32)
  inputs = (hidden_ND.reshape(chunks, C, D), labels_N.reshape(chunks, C), valid_N.reshape(chunks, C))
  if chunks == 1:
    d_unembedding_DV, outputs = chunk(start, jax.tree.map(lambda x: x[0], inputs))
  else:
    d_unembedding_DV, outputs = jax.lax.scan(chunk, start, inputs)
  nll_BT = outputs[0].reshape(-1)[:N].reshape(B, T)
  if not with_gradient:
    return (nll_BT,)
  d_hidden_BTD = outputs[1].reshape(-1, D)[:N].reshape(B, T, D)
  return nll_BT, d_hidden_BTD, _summed_over_rows(d_unembedding_DV.astype(unembedding_DV.dtype), mesh)


def chunk_count(n_tokens: int, vocabulary: int, asked: int = 0, limit: int = 0) -> int:
  """Chunks for `n_tokens` tokens of a device; `limit` is in bytes, 0: by the device.

  Two at least where all logits would take more than `_CHUNK_BYTES`, so that they do not exist however large the memory.
  """
  if asked:
    return min(asked, n_tokens)
  limit, logits = limit or _chunk_bytes(), 4 * n_tokens * vocabulary
  return min(n_tokens, max(1 + (logits > _CHUNK_BYTES), math.ceil(logits / limit)))


def chunk_bytes(memory: float) -> int:
  """Bytes of a chunk's logits on an accelerator with so much memory: long chunks make for the faster products."""
  return max(_CHUNK_BYTES, int(memory / 32))


def _chunk_bytes() -> int:
  if device().platform == 'cpu':
    return _CHUNK_BYTES_CPU
  chip = chip_of(device().device_kind)
  return chunk_bytes(chip.memory if chip else 0)


def _padded(x, length, value=0):
  return x if len(x) == length else jnp.pad(x, [(0, length - len(x))] + [(0, 0)] * (x.ndim - 1), constant_values=value)


def _across(mesh: Mesh | None) -> Any:
  """Reduces over the parts of the vocabulary."""
  if mesh is None or mesh.shape['tensor'] == 1:
    return lambda x, reduce: x
  return lambda x, reduce: reduce(x, 'tensor')


def _summed_over_rows(d_DV: jax.Array, mesh: Mesh | None) -> jax.Array:
  """Adds up the devices' parts, in compute dtype like all gradients; each keeps its own cut of the model width."""
  if mesh is None:
    return d_DV
  d_DV = jax.lax.psum(d_DV, ('data', 'context'))
  return jax.lax.psum_scatter(d_DV, 'fsdp', scatter_dimension=0, tiled=True)


def sums_by_kind(nll_BT: jax.Array, labels_BT: jax.Array, kinds_B: jax.Array, n_kinds: int) -> dict[str, jax.Array]:
  """Per kind of row: `loss_sum` float32 [n_kinds] in nats and `loss_tokens` int32 [n_kinds]."""
  is_kind_BK = kinds_B[:, None] == jnp.arange(n_kinds)
  return {
      'loss_sum': jnp.sum(jnp.where(is_kind_BK, jnp.sum(nll_BT, axis=1)[:, None], 0.0), axis=0),
      'loss_tokens': jnp.sum(jnp.where(is_kind_BK, jnp.sum(labels_BT >= 0, axis=1)[:, None], 0), axis=0),
  }
