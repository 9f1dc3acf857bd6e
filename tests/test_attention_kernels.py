"""Kernels for accelerators as far as a CPU runs them: the TPU's and the decoder's interpreted, packing's arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

from smt_jax import attention, attention_cudnn, attention_decode, attention_tpu


def random(*shape, seed=0):
  return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape), jnp.float32)


def test_splash_attention_equals_xla():
  B, T, H, K, N = 2, 128, 2, 1, 128
  q, k, v = random(B, T, H, N), random(B, T, K, N, seed=1), random(B, T, K, N, seed=2)
  ids = jnp.asarray([[1] * 50 + [2] * 60 + [0] * 18, [1] * 128], jnp.int32)
  run = lambda attend: jax.value_and_grad(lambda q, k, v: jnp.sum(jnp.sin(attend(q, k, v))), (0, 1, 2))(q, k, v)  # noqa: E731
  ours = run(lambda *qkv: attention_tpu.causal(*qkv, ids, interpret=True))
  reference = run(lambda *qkv: attention.dot_product_attention(*qkv, segment_ids_BT=ids, impl='xla'))
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(reference), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('parts', [0, 1, 4])
def test_decoding_kernel_equals_xla(parts):
  B, S, H, K, N = 5, 256, 6, 2, 32
  q, k, v = random(B, K, H // K, N), random(B, K, S, N, seed=1), random(B, K, S, N, seed=2)
  lengths = jnp.asarray([1, 7, 64, S - 1, S])
  ours = attention_decode.decode(q, k, v, lengths, parts=parts, interpret=True)
  np.testing.assert_allclose(ours, attention.cached_attention(q, k.swapaxes(2, 3), v, lengths, False), atol=1e-5)
  np.testing.assert_allclose(ours, attention.cached_attention(q, k, v, lengths, True), atol=1e-5)  # no kernel here


def test_places_behind_a_rows_length_do_not_matter():
  q, k, v = random(2, 2, 4, 32), random(2, 2, 64, 32, seed=1), random(2, 2, 64, 32, seed=2)
  lengths = jnp.asarray([5, 33])
  behind = jnp.arange(64)[:, None] >= lengths[:, None, None, None]
  changed = attention_decode.decode(q, k + 9 * behind, v - 9 * behind, lengths, interpret=True)
  np.testing.assert_array_equal(changed, attention_decode.decode(q, k, v, lengths, interpret=True))


def test_runs_of_packed_rows():
  runs = attention_cudnn.find_runs(jnp.asarray([[1, 1, 2, 0], [1, 1, 1, 1]]), 6)
  np.testing.assert_array_equal(runs.begins, [0, 2, 3, 4, 8, 8, 8])  # the row's end is a run's end
  np.testing.assert_array_equal(runs.lengths, [2, 1, 1, 4, 0, 0])
  np.testing.assert_array_equal(runs.of_token, [0, 0, 1, 2, 3, 3, 3, 3])
  assert runs.fit and not attention_cudnn.find_runs(jnp.asarray([[1, 2, 3, 4]]), 3).fit
  assert attention_cudnn.find_runs(jnp.asarray([[1, 2, 3, 4]]), 4).fit


@pytest.mark.parametrize('most_runs, slots, ways', [(None, 4, 2), (9, 4, 2), (4, 4, 1), (3, 3, 1), (1, 2, 1)])
def test_packed_rows_become_cudnn_calls_with_their_masks(most_runs, slots, ways):
  """The program for a GPU, lowered here: one call each way that is told the runs, XLA attention beside it if needed."""
  x = lambda heads: jax.ShapeDtypeStruct((2, 256, heads, 64), jnp.bfloat16)  # noqa: E731
  ids = jax.ShapeDtypeStruct((2, 256), jnp.int32)

  def loss(q, k, v, ids):
    return attention_cudnn.packed(q, k, v, ids, attention._segments_by_xla, most_runs).astype(jnp.float32).sum()
  text = jax.jit(jax.grad(loss, (0, 1, 2))).trace(x(4), x(2), x(2), ids).lower(lowering_platforms=('cuda',)).as_text()
  calls = [line for line in text.splitlines() if '__cudnn$fmha' in line]
  assert len(calls) == 2 and (' stablehlo.exponential' in text) == (ways == 2)
  for line in calls:
    assert 'PADDING_CAUSAL' in line and f'max_seg_per_batch\\22: {slots}' in line


class Device:
  def __init__(self, platform, capability):
    self.platform, self.compute_capability = platform, capability


@pytest.mark.parametrize('device, plain, packed', [
    (Device('gpu', '9.0'), True, True), (Device('gpu', '10.0'), True, True), (Device('gpu', '8.0'), True, False),
    (Device('gpu', '7.5'), False, False), (Device('gpu', 'gfx942'), False, False), (Device('cpu', ''), False, False),
])
def test_where_cudnn_is_used(device, plain, packed):
  can = lambda **kwargs: attention_cudnn.available(device, jnp.bfloat16, 128, **kwargs)  # noqa: E731
  assert can(packed=False) == plain and can(packed=True) == packed
  assert not attention_cudnn.available(device, jnp.float32, 128, packed=False)
  assert not attention_cudnn.available(device, jnp.bfloat16, 256, packed=False)


@pytest.mark.parametrize('remat', [None, 'attention'])
def test_groups_of_rows_are_as_good_as_all_at_once(remat):
  """With the policies of the model, which look for names inside."""
  rng = np.random.default_rng(0)
  q, k, v = (jnp.asarray(rng.normal(size=(6, 16, heads, 8)), jnp.float32) for heads in (4, 2, 2))
  segments = jnp.asarray(np.sort(rng.integers(1, 4, (6, 16)), axis=1), jnp.int32)

  def run(q, k, v, segments):
    return checkpoint_name(attention.dot_product_attention(q, k, v, segment_ids_BT=segments, impl='xla'), 'attention')

  def results(groups):
    def loss(q, k, v):
      return jnp.sum(jnp.sin(attention_cudnn.in_groups(run, groups, q, k, v, segments)))

    if remat:
      loss = jax.checkpoint(loss, policy=jax.checkpoint_policies.save_only_these_names(remat))
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(q, k, v)

  for ours, wanted in zip(jax.tree.leaves(results(3)), jax.tree.leaves(results(1))):
    np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5)


def test_a_group_waits_for_the_one_before():
  def loss(x):
    return jnp.sum(attention_cudnn.in_groups(jnp.sin, 3, x))
  assert str(jax.make_jaxpr(jax.grad(loss))(jnp.ones((6, 4)))).count('optimization_barrier') == 2 + 2  # there and back


@pytest.mark.parametrize('rows, memory, expected', [
    (16, 144e9, 8), (5, 144e9, 5), (12, 144e9, 6), (4, 81e9, 4), (16, 0, 16), (7, 81e9, 1), (1, 1e9, 1)])
def test_rows_that_go_through_cudnn_at_a_time(rows, memory, expected):
  """2.1 GB a row of 2,048 tokens with the heads of 8B, an eighth of the memory for all."""
  row = attention_cudnn.row_bytes(2048, 32, 8, 128, attention_cudnn.slots(2048))
  assert row == 2**31 and attention_cudnn.rows_a_call(rows, row, memory) == expected
