"""cuDNN's fused attention on NVIDIA GPUs, called below JAX's public function for what that cannot ask: packed rows.

Dims: B batch, T query time, S key time, H query heads, K key-value heads, G = H / K, N head dim, X = B T tokens,
R slots for runs.

A run is a maximal stretch of tokens of one segment (padding is a segment too). cuDNN takes every run as a sequence of
its own, given where it begins and how long it is; what lies between documents is never multiplied. The number of slots
is fixed when compiling, and each costs time and memory whether used or not: in the backward pass so much that the rows
of a large batch go in groups. Where the data may have more runs than that, a batch that does goes through XLA attention
inside the same program: slower, as correct, and minutes more to compile, so callers say what their data have.

`jax.nn.dot_product_attention` has no argument for this (jax 0.10 to 0.12) and up to 0.11.0 JAX's own conversion of
offsets is wrong with fewer key heads than query heads (jax-ml/jax pull request 39521), so the primitives are bound
directly, with offsets made here.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from smt_jax.chips import chip_of
from smt_jax.mesh import device

try:
  from jax._src.cudnn import fused_attention_stablehlo as fused
except ImportError:  # a later JAX may move it; attention.py then takes another way
  fused: Any = None

# From JAX 0.12 on the primitives can change scores, and want to be told that they shall not.
_UNCHANGED = {name: None for name in ('score_mod_name', 'score_mod_jaxpr') if fused is not None
              and name in inspect.signature(fused._dot_product_attention_fwd_cuda_lowering).parameters}
TOKENS_A_RUN = 64  # as many slots as runs of this mean length need
_SHARE = 1 / 8  # of a device's memory, for one call's slots


def available(device: Any, dtype: Any, head_dim: int, packed: bool) -> bool:
  """Whether these kernels run there: half precision, heads of up to 128, Hopper or later for packed rows."""
  capability = str(getattr(device, 'compute_capability', '0')).split('.')[0]
  if fused is None or device.platform != 'gpu' or not capability.isdigit():  # AMD's are named gfx...
    return False
  return (int(capability) >= (9 if packed else 8) and jnp.dtype(dtype) in (jnp.bfloat16, jnp.float16)
          and head_dim % 8 == 0 and head_dim <= 128)


class Runs(NamedTuple):
  """Where the runs of all rows lie among the X tokens of the batch."""
  begins: jax.Array  # int32 [R + 1]; X in slots without a run
  lengths: jax.Array  # int32 [R]; 0 in slots without a run
  of_token: jax.Array  # int32 [X], the run of a token
  fit: jax.Array  # bool scalar: there are slots for all


def find_runs(segment_ids_BT: jax.Array, slots: int) -> Runs:
  """The runs of a batch, rows one after another; R = slots."""
  B, T = segment_ids_BT.shape
  starts_BT = jnp.concatenate(
      [jnp.ones((B, 1), bool), segment_ids_BT[:, 1:] != segment_ids_BT[:, :-1]], axis=1)
  of_token = jnp.cumsum(starts_BT.reshape(-1), dtype=jnp.int32) - 1
  begins = jnp.nonzero(starts_BT.reshape(-1), size=slots + 1, fill_value=B * T)[0].astype(jnp.int32)
  return Runs(begins, jnp.diff(begins), of_token, of_token[-1] < slots)


def causal(q_BTHN: jax.Array, k_BTKN: jax.Array, v_BTKN: jax.Array) -> jax.Array:
  """Causal attention of whole rows, [B, T, H, N]. Its residuals are named 'attention' for remat policies."""
  return _causal(q_BTHN, k_BTKN, v_BTKN)


@jax.custom_vjp
def _causal(q_BTHN, k_BTKN, v_BTKN):
  return _forward(q_BTHN, k_BTKN, v_BTKN, training=False)[0]


def _causal_forward(q_BTHN, k_BTKN, v_BTKN):
  out_BTHN, stats = (checkpoint_name(x, 'attention') for x in _forward(q_BTHN, k_BTKN, v_BTKN, training=True))
  return out_BTHN, (q_BTHN, k_BTKN, v_BTKN, out_BTHN, stats)


def _causal_backward(kept, d_out_BTHN):
  q_BTHN, k_BTKN, v_BTKN, out_BTHN, stats = kept
  return _backward(q_BTHN, k_BTKN, v_BTKN, out_BTHN, stats, d_out_BTHN)


_causal.defvjp(_causal_forward, _causal_backward)


def packed(q_BTHN: jax.Array, k_BTKN: jax.Array, v_BTKN: jax.Array, segment_ids_BT: jax.Array, fallback: Any,
           most_runs: int | None = None) -> jax.Array:
  """Causal attention inside the segments of packed rows, [B, T, H, N].

  Args:
    fallback: function of (q, k, v, segment ids) for batches with more runs than there are slots.
    most_runs: the runs of the fullest row that will ever come; None: not known. Rows with more come out wrong.
  """
  (B, T, H, N), K = q_BTHN.shape, k_BTKN.shape[2]
  chip, a_row = chip_of(device().device_kind), slots(T, most_runs)
  rows = rows_a_call(B, row_bytes(T, H, K, N, a_row), chip.memory if chip else 0)
  never = most_runs is not None and most_runs <= a_row
  run = functools.partial(_packed, None if never else fallback, rows * a_row)
  return in_groups(run, B // rows, q_BTHN, k_BTKN, v_BTKN, segment_ids_BT)


def slots(T: int, most_runs: int | None = None) -> int:
  """Runs for which a row of T tokens has slots, on average over a call's rows; `most_runs` as for `packed`."""
  return max(2, min(T // TOKENS_A_RUN, most_runs or T))  # for one, JAX would lower unpacked rows


def row_bytes(T: int, H: int, K: int, N: int, slots_a_row: int) -> int:
  """What the backward pass takes for a row beside its operands.

  XLA gives cuDNN every slot as a sequence that may be as long as a row, and no bound on the tokens of all. So each slot
  has a whole row of float32 sums for the gradient of the queries and, where several query heads share a key head, of
  the gradients of keys and values for every query head in half precision (cudnn-frontend's dQ_accum, dK_fullhead and
  dV_fullhead).
  """
  return slots_a_row * T * H * N * (8 if H != K else 4)


def rows_a_call(rows: int, bytes_a_row: int, memory: float) -> int:
  """Rows that go through the kernel at a time: as many as divide `rows` and leave memory to others.

  Args:
    memory: bytes of the device; 0: unknown, all rows go at once.
  """
  fit = [n for n in range(1, rows + 1) if rows % n == 0 and (not memory or n * bytes_a_row <= _SHARE * memory)]
  return max(fit, default=1)


def in_groups(run: Callable[..., jax.Array], groups: int, *arrays: jax.Array) -> jax.Array:
  """`run` on equal parts of the arrays' first axis, one after the other, also in the backward pass."""
  if groups == 1:
    return run(*arrays)
  parts = list(zip(*(jnp.split(x, groups) for x in arrays), strict=True))
  outs = [run(*parts[0])]
  for part in parts[1:]:
    part, outs[-1] = jax.lax.optimization_barrier((part, outs[-1]))
    outs.append(run(*part))
  return jnp.concatenate(outs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _packed(fallback, slots, q_BTHN, k_BTKN, v_BTKN, segment_ids_BT):
  return _packed_forward(fallback, slots, q_BTHN, k_BTKN, v_BTKN, segment_ids_BT)[0]


def _packed_forward(fallback, slots, q_BTHN, k_BTKN, v_BTKN, segment_ids_BT):
  B, T, H, _ = q_BTHN.shape
  runs = find_runs(segment_ids_BT, slots)

  def fast(q, k, v):
    out_BTHN, stats_RHT = _forward(q, k, v, runs, training=True)
    inside_X = jnp.arange(B * T) - runs.begins[runs.of_token]
    return out_BTHN, stats_RHT[runs.of_token, :, inside_X].T  # without the places that no token has: 1 / slots of it

  def slow(q, k, v):
    return fallback(q, k, v, segment_ids_BT), jnp.zeros((H, B * T), jnp.float32)

  out_BTHN, stats_HX = (checkpoint_name(x, 'attention')
                        for x in _either(fallback, runs, fast, slow, q_BTHN, k_BTKN, v_BTKN))
  return out_BTHN, (q_BTHN, k_BTKN, v_BTKN, segment_ids_BT, out_BTHN, stats_HX)


def _packed_backward(fallback, slots, kept, d_out_BTHN):
  q_BTHN, k_BTKN, v_BTKN, segment_ids_BT, out_BTHN, stats_HX = kept
  T = q_BTHN.shape[1]
  runs = find_runs(segment_ids_BT, slots)

  def fast(q, k, v, out, stats_HX, d_out):
    padded_HX = jnp.pad(stats_HX, ((0, 0), (0, T)))
    stats_RHT = jax.vmap(lambda begin: jax.lax.dynamic_slice_in_dim(padded_HX, begin, T, axis=1))(runs.begins[:-1])
    return _backward(q, k, v, out, stats_RHT, d_out, runs)

  def slow(q, k, v, out, stats_HX, d_out):
    del out, stats_HX
    return jax.vjp(lambda *qkv: fallback(*qkv, segment_ids_BT), q, k, v)[1](d_out)

  d_qkv = _either(fallback, runs, fast, slow, q_BTHN, k_BTKN, v_BTKN, out_BTHN, stats_HX, d_out_BTHN)
  return *d_qkv, None


def _either(fallback: Any, runs: Runs, fast: Callable[..., Any], slow: Callable[..., Any], *arrays: jax.Array) -> Any:
  return fast(*arrays) if fallback is None else jax.lax.cond(runs.fit, fast, slow, *arrays)


_packed.defvjp(_packed_forward, _packed_backward)


def decode(q_BKGN: jax.Array, keys_BKSN: jax.Array, values_BKSN: jax.Array, length_B: jax.Array) -> jax.Array:
  """Attention [B, K, G, N] of one new token a row over the first `length_B` places of a cache; no gradient.

  The G queries of a key head stand as G queries of one sequence, so that each key is read from memory once.
  """
  B, _, G, N = q_BKGN.shape
  none = jnp.zeros(0, q_BKGN.dtype)
  lengths = jnp.full((B,), G, jnp.int32), length_B.astype(jnp.int32)
  return fused._dot_product_attention_fwd_p.bind(
      q_BKGN, keys_BKSN, values_BKSN, none, *lengths, none, none, none, none,
      **_settings(N, fused.MaskType.PADDING, fused.AttentionLayout.BNTH), is_training=False)[0]


def _settings(head_dim: int, mask: Any, layout: Any) -> dict[str, Any]:
  return {'scale': head_dim**-0.5, 'seed': 0, 'dropout_rate': 0.0, 'variadic_args': (False, False),
          'mask_type': mask, 'layout': layout.value, 'sliding_window_length': None, **_UNCHANGED}


def _operands(q_BTHN: jax.Array, k_BTKN: jax.Array, runs: Runs | None) -> tuple[list[jax.Array], dict[str, Any]]:
  """(bias, lengths, offsets, page tables) and the static arguments of a call; what is not used has no elements."""
  none, N = jnp.zeros(0, q_BTHN.dtype), q_BTHN.shape[3]
  if runs is None:
    return [none] * 7, _settings(N, fused.MaskType.CAUSAL, fused.AttentionLayout.BTNH)
  B, X = q_BTHN.shape[0], q_BTHN.shape[0] * q_BTHN.shape[1]
  lengths = runs.lengths.reshape(B, -1)
  begins = jnp.pad(runs.begins, (0, B - 1), constant_values=X).reshape(B, -1)  # the kernel reads the first R + 1
  offsets = [begins * (x.shape[2] * N) for x in (q_BTHN, k_BTKN)]  # in elements
  return ([none, lengths, lengths, *offsets, none, none],
          _settings(N, fused.MaskType.PADDING_CAUSAL, fused.AttentionLayout.BTNH))


def _forward(q_BTHN, k_BTKN, v_BTKN, runs=None, *, training):
  operands, settings = _operands(q_BTHN, k_BTKN, runs)
  return fused._dot_product_attention_fwd_p.bind(
      q_BTHN, k_BTKN, v_BTKN, *operands, **settings, is_training=training)


def _backward(q_BTHN, k_BTKN, v_BTKN, out_BTHN, stats, d_out_BTHN, runs=None):
  operands, settings = _operands(q_BTHN, k_BTKN, runs)
  return tuple(fused._dot_product_attention_bwd_p.bind(
      q_BTHN, k_BTKN, v_BTKN, *operands, stats, out_BTHN, d_out_BTHN, **settings))
