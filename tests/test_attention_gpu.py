"""Kernels on a GPU against float32 attention on the same values; skipped without one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smt_jax import attention, attention_cudnn
from smt_jax.data import rows

pytestmark = pytest.mark.skipif(jax.default_backend() != 'gpu', reason='no GPU')


@pytest.fixture(scope='module')
def hopper():
  if not attention_cudnn.available(jax.devices()[0], jnp.bfloat16, 128, packed=True):
    pytest.skip('no Hopper')


def inputs(B=3, T=512, H=8, K=2, N=128, seed=0):
  keys = jax.random.split(jax.random.key(seed), 4)
  shapes = [(B, T, H, N), (B, T, K, N), (B, T, K, N), (B, T, H, N)]
  return [jax.random.normal(k, s, jnp.float32).astype(jnp.bfloat16) for k, s in zip(keys, shapes)]


def segments(B, T, runs, seed=0):
  """Rows of `runs` segments of random length, the last one padding."""
  rng = np.random.default_rng(seed)
  ids = np.zeros((B, T), np.int32)
  for row in ids:
    ends = np.sort(rng.choice(np.arange(1, T), runs, replace=False))
    for i, (a, b) in enumerate(zip([0, *ends[:-1]], ends)):
      row[a:b] = i + 1
  return jnp.asarray(ids)


def with_gradient(attend, q, k, v, d_out):
  out, pull = jax.vjp(attend, q, k, v)
  return [np.asarray(x, np.float32) for x in (out, *pull(d_out.astype(out.dtype)))]


def check(attend, *arguments, tolerance=1.5e-2):
  """Output and gradients within bfloat16's error of the float32 reference, in relative Euclidean norm."""
  q, k, v, d_out, *ids = arguments
  with jax.default_device(jax.local_devices(backend='cpu')[0]):
    full = [jnp.asarray(np.asarray(x), jnp.float32) for x in (q, k, v, d_out)]
    rows = {'segment_ids_BT': jnp.asarray(np.asarray(ids[0]))} if ids else {}
    reference = with_gradient(jax.jit(functools.partial(attention.dot_product_attention, impl='xla', **rows)), *full)
  ours = with_gradient(attend, q, k, v, d_out)
  for name, a, b in zip(('out', 'd_q', 'd_k', 'd_v'), ours, reference):
    assert np.isfinite(a).all(), name
    assert np.linalg.norm(a - b) < tolerance * np.linalg.norm(b), name


def test_causal_rows(hopper):
  check(jax.jit(functools.partial(attention.dot_product_attention, impl='cudnn')), *inputs())


@pytest.mark.parametrize('T, N, H, K, runs', [
    (512, 128, 8, 2, 5), (384, 64, 6, 3, 11), (384, 64, 6, 3, 5), (1024, 128, 4, 4, 1)])
@pytest.mark.parametrize('known', [False, True])
def test_packed_rows(hopper, T, N, H, K, runs, known):
  ids = segments(3, T, runs)
  most = rows.most_runs(np.asarray(ids)) if known else None
  attend = jax.jit(functools.partial(attention.dot_product_attention, segment_ids_BT=ids, most_runs=most, impl='cudnn'))
  check(attend, *inputs(T=T, N=N, H=H, K=K), ids)


@pytest.mark.parametrize('most_runs', [None, 6])
def test_packed_rows_in_groups(hopper, monkeypatch, most_runs):
  """As rows of a large batch go; four rows, two at a time."""
  monkeypatch.setattr(attention_cudnn, 'rows_a_call', lambda rows, *_: rows // 2)
  ids = segments(4, 512, 5)
  attend = jax.jit(functools.partial(attention.dot_product_attention, segment_ids_BT=ids, most_runs=most_runs,
                                     impl='cudnn'))
  check(attend, *inputs(B=4), ids)


def test_a_row_of_one_document(hopper):
  attend = jax.jit(functools.partial(attention.dot_product_attention, segment_ids_BT=jnp.ones((3, 512), jnp.int32),
                                     most_runs=1, impl='cudnn'))
  check(attend, *inputs(), jnp.ones((3, 512), jnp.int32))


def test_more_documents_than_slots_are_masked_too(hopper):
  ids = segments(2, 256, 200)
  assert not attention_cudnn.find_runs(ids, 2 * 4).fit  # 4 slots a row for 256 tokens
  attend = jax.jit(functools.partial(attention.dot_product_attention, segment_ids_BT=ids, impl='cudnn'))
  check(attend, *inputs(B=2, T=256), ids)


def test_nothing_crosses_documents(hopper):
  """Other tokens in one document change nothing of another's output and gradients (summed in any order)."""
  q, k, v, d_out = inputs(T=256)
  ids = segments(3, 256, 4)
  attend = jax.jit(functools.partial(attention.dot_product_attention, segment_ids_BT=ids))
  first = np.asarray(ids == 1)
  noise = jnp.where(first[:, :, None, None], 3.0, 0.0).astype(jnp.bfloat16)
  a, b = with_gradient(attend, q, k, v, d_out), with_gradient(attend, q + noise, k - noise, v + noise, d_out)
  for x, y in zip(a, b):
    np.testing.assert_allclose(x[~first], y[~first], rtol=2e-2, atol=2e-3)
    assert np.abs(x[first] - y[first]).max() > 0.1


@pytest.mark.parametrize('impl', ['cudnn', 'pallas'])
def test_decoding_reads_each_rows_own_places(hopper, impl):
  B, S, H, K, N = 5, 320, 8, 2, 128
  q, keys, values, _ = inputs(B=B, T=S, H=H, K=K, N=N)
  lengths = jnp.asarray([1, 7, 128, 319, 320])
  q_BKGN = q[:, 0].reshape(B, K, H // K, N)
  fused = attention.cached_attention(q_BKGN, keys.swapaxes(1, 2), values.swapaxes(1, 2), lengths, fused=True, impl=impl)
  f32 = lambda x: x.astype(jnp.float32)  # noqa: E731
  with jax.default_matmul_precision('float32'):
    reference = attention.cached_attention(f32(q_BKGN), f32(keys).transpose(0, 2, 3, 1), f32(values).swapaxes(1, 2),
                                           lengths, fused=False)
  error = np.linalg.norm(np.asarray(f32(fused) - reference)) / np.linalg.norm(np.asarray(reference))
  assert error < 1e-2
