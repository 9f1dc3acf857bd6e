"""The step: its loss, its gradients under sharding and accumulation, its optimizer."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from train_fixtures import devices, random_batch, tiny_config, tiny_model

from smt_jax import optim
from smt_jax.config import MeshConfig, OptimizerConfig
from smt_jax.loss import chunk_count, summed_cross_entropy
from smt_jax.mesh import make_mesh
from smt_jax.state import init_state, make_setup
from smt_jax.step import checksum, compute_params, forward, make_train_step

RATE = np.float32(1e-2)
GOLDEN = [5.8462, 5.879, 5.8383, 5.8208, 5.8454]


def setup_for(config, n_devices=1):
  mesh = make_mesh(config.mesh, devices(n_devices))
  return make_setup(config, mesh, 4)


@functools.cache
def default():
  """Setup and compiled step of the unchanged configuration on one device."""
  setup = setup_for(tiny_config())
  return setup, make_train_step(setup)


def run(config=None, n_devices=1, steps=3, accumulation=1):
  """Metrics of some steps on the same few batches, and the weights after them on the host."""
  setup = setup_for(config, n_devices) if config else default()[0]
  state, step, history = init_state(setup), make_train_step(setup) if config else default()[1], []
  for i in range(steps):
    state, metrics = step(state, random_batch(accumulation=accumulation, seed=i), RATE)
    history.append(jax.device_get(metrics))
  return history, jax.device_get(jax.tree.leaves(state.params)), state


def mean_loss(metrics):
  return metrics['loss_sum'].sum() / metrics['loss_tokens'].sum()


def loss_inputs():
  rng = np.random.default_rng(0)
  hidden, unembedding = rng.normal(size=(4, 8, 16)), rng.normal(size=(16, 64))
  return jnp.float32(hidden), jnp.float32(unembedding), jnp.int32(rng.integers(-20, 64, (4, 8)))


@functools.cache
def plain_loss_and_gradients():
  return jax.jit(jax.value_and_grad(plain_loss, (0, 1)))(*loss_inputs())


def plain_loss(hidden, unembedding, labels):
  log_probs = jax.nn.log_softmax(hidden @ unembedding)
  picked = jnp.take_along_axis(log_probs, jnp.maximum(labels, 0)[..., None], -1)[..., 0]
  return -jnp.sum(jnp.where(labels >= 0, picked, 0.0))


@pytest.mark.parametrize('chunks', [1, 3])
def test_chunked_loss_and_gradients_equal_the_plain_ones(chunks):
  hidden, unembedding, labels = loss_inputs()
  expected, expected_grad = plain_loss_and_gradients()
  value, grad = jax.jit(jax.value_and_grad(
      lambda h, w: summed_cross_entropy(h, w, labels, chunks=chunks)[0], (0, 1)))(hidden, unembedding)
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  for a, b in zip(grad, expected_grad):
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize('sizes', [(1, 2, 2, 2)])
def test_sharded_loss_equals_the_plain_one(sizes):
  hidden, unembedding, labels = loss_inputs()
  mesh = make_mesh(MeshConfig(*sizes), devices(int(np.prod(sizes))))
  value, grad = jax.jit(jax.value_and_grad(
      lambda h, w: summed_cross_entropy(h, w, labels, chunks=3, mesh=mesh)[0], (0, 1)))(hidden, unembedding)
  expected, expected_grad = plain_loss_and_gradients()
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  for a, b in zip(grad, expected_grad):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_no_array_of_tokens_by_vocabulary_is_made():
  hidden = jax.ShapeDtypeStruct((4, 64, 16), jnp.float32)
  text = str(jax.make_jaxpr(jax.grad(lambda h, w: summed_cross_entropy(
      h, w, jnp.zeros((4, 64), jnp.int32), chunks=8)[0], (0, 1)))(hidden, jax.ShapeDtypeStruct((16, 999), jnp.float32)))
  assert '32,999]' in text and '256,999]' not in text and '4,64,999]' not in text


@pytest.mark.parametrize('tokens, asked, limit, count', [
    (8192, 0, 2**40, 2), (8192, 0, 2**30, 4), (1024, 0, 2**40, 1), (8192, 1, 2**30, 1), (3, 8, 0, 3)])
def test_large_logits_never_exist_at_once(tokens, asked, limit, count):
  assert chunk_count(tokens, 128256, asked, limit) == count


@pytest.fixture(scope='module')
def single():
  return run()


slow = pytest.mark.slow


@pytest.mark.parametrize('sizes', [
    (1, 8, 1, 1), (2, 2, 2, 1), pytest.param((1, 2, 2, 2), marks=slow), pytest.param((8, 1, 1, 1), marks=slow)])
def test_eight_devices_equal_one(single, sizes, capfd):
  history, params, _ = run(tiny_config(mesh=MeshConfig(*sizes)), n_devices=8)
  assert 'Involuntary full rematerialization' not in capfd.readouterr().err, 'the partitioner copies a whole tensor'
  for ours, theirs in zip(history, single[0]):
    np.testing.assert_allclose(mean_loss(ours), mean_loss(theirs), rtol=1e-5)
    np.testing.assert_allclose(ours['grad_norm'], theirs['grad_norm'], rtol=1e-4)
    assert ours['checksum'] == theirs['checksum']
  for a, b in zip(params, single[1]):
    np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize('accumulation', [2, pytest.param(4, marks=slow)])
def test_accumulation_equals_one_large_batch(single, accumulation):
  config = tiny_config(**{'step.accumulation_steps': accumulation})
  history, params, _ = run(config, n_devices=2, accumulation=accumulation)
  for ours, theirs in zip(history, single[0]):
    np.testing.assert_allclose(mean_loss(ours), mean_loss(theirs), rtol=1e-5)
    assert ours['checksum'] == theirs['checksum']
  for a, b in zip(params, single[1]):
    np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize('remat, scan', [
    ('attention', False), pytest.param('full', False, marks=slow), pytest.param('none', True, marks=slow),
    pytest.param('full', True, marks=slow)])
def test_recomputation_and_scan_change_nothing(single, remat, scan):
  history, _, _ = run(tiny_config(**{'step.remat': remat, 'step.scan_layers': scan}), steps=2)
  for ours, theirs in zip(history, single[0]):
    np.testing.assert_allclose(mean_loss(ours), mean_loss(theirs), rtol=1e-5)


def test_golden_losses():
  history, _, _ = run(steps=5)
  losses = [float(mean_loss(m)) for m in history]
  np.testing.assert_allclose(losses, GOLDEN, atol=2e-3, err_msg=(
      'The losses of the first five steps have changed. If the model, its initialisation, the optimizer or the '
      f'schedule were changed on purpose, write {[round(x, 4) for x in losses]} into GOLDEN and say so in the '
      'changelog; otherwise this is a bug.'))


def test_weights_and_moments_are_sharded_from_birth():
  setup = setup_for(tiny_config(), 8)
  state = init_state(setup)
  matrices = [x for x in jax.tree.leaves((state.params, state.opt_state)) if x.ndim > 1]
  assert len(matrices) == 3 * (7 * 2 + 1)
  for x in matrices:
    assert x.addressable_shards[0].data.size == x.size // 8, x.shape


def test_the_mean_is_over_loss_tokens_not_over_rows():
  """Eight times the same row gives the gradient of that row alone among rows without loss."""
  setup, step = default()
  batch = random_batch()
  same = {k: np.repeat(v[:, 1:2], 8, axis=1) for k, v in batch.items()}
  alone = same | {'labels': np.where(np.arange(8)[:, None] == 3, same['labels'], -100)}
  _, of_same = step(init_state(setup), same, RATE)
  _, of_alone = step(init_state(setup), alone, RATE)
  assert int(of_same['loss_tokens'].sum()) == 8 * int(of_alone['loss_tokens'].sum())
  np.testing.assert_allclose(of_same['grad_norm'], of_alone['grad_norm'], rtol=1e-5)


def test_a_step_that_is_not_finite_changes_nothing_for_good():
  setup, step = default()
  state = init_state(setup)
  state.params['norm_D'][...] = jnp.full(16, jnp.nan)
  state, metrics = step(state, random_batch(), RATE)
  assert not metrics['ok'] and int(state.step) == 0
  repaired = dataclasses.replace(state, params=init_state(setup).params)
  before = jax.device_get(jax.tree.leaves(repaired.params))
  after, metrics = step(repaired, random_batch(), RATE)  # a good step after a bad one: the host has yet to read of it
  assert not metrics['ok'] and int(after.step) == 0
  for a, b in zip(before, jax.tree.leaves(after.params)):
    np.testing.assert_array_equal(a, b)


def test_bfloat16_compute_keeps_float32_weights_and_norm_scales():
  setup = setup_for(tiny_config(**{'step.compute_dtype': 'bfloat16'}))
  state = init_state(setup)
  compute = compute_params(setup, state.params)
  assert {x.dtype for x in jax.tree.leaves(compute) if x.ndim > 1} == {jnp.dtype('bfloat16')}
  assert {x.dtype for x in jax.tree.leaves(compute) if x.ndim == 1} == {jnp.dtype('float32')}
  after, _ = jax.eval_shape(make_train_step(setup), state, random_batch(), RATE)
  assert {x.dtype for x in jax.tree.leaves(after.params)} == {jnp.dtype('float32')}
  micro = jax.tree.map(lambda x: x[0], random_batch())
  loss, sums = jax.jit(lambda p, b: forward(setup, p, state.frozen, b))(compute, micro)
  np.testing.assert_allclose(loss / sums['loss_tokens'].sum(), GOLDEN[0], rtol=5e-3)


def test_checksum_sees_order_and_content():
  batch = random_batch()
  swapped = {k: v[:, [1, 0, *range(2, 8)]] for k, v in batch.items() if k != 'row'} | {'row': batch['row']}
  changed = batch | {'tokens': batch['tokens'] + (np.arange(32) == 5)}
  values = {int(checksum(jax.tree.map(jnp.asarray, b))) for b in (batch, swapped, changed)}
  assert len(values) == 3
  moved = {k: v[:, ::-1] for k, v in batch.items()}  # other places in memory, same rows under the same numbers
  assert int(checksum(jax.tree.map(jnp.asarray, moved))) in values


def test_adamw_equals_optax():
  ours = optim.make_optimizer(OptimizerConfig(weight_decay=0.1))
  params = {'w': jnp.ones((4, 4)), 'norm': jnp.ones((4, 4)), 'v': jnp.ones(4)}
  mask = {'w': True, 'norm': False, 'v': False}
  theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(
      RATE, b1=0.9, b2=0.999, weight_decay=0.1, mask=mask))
  a, b, sa, sb = params, params, ours.init(params), theirs.init(params)
  rng = np.random.default_rng(0)
  one, other = jax.jit(ours.update), jax.jit(theirs.update)
  for i in range(5):
    grads = {k: jnp.float32(rng.normal(size=p.shape)) for k, p in params.items()}
    ua, sa = one(grads, sa, a)
    ub, sb = other(grads, sb, b)
    a, b = optim.apply_updates(a, ua, RATE, i), optax.apply_updates(b, ub)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
    np.testing.assert_allclose(x, y, rtol=1e-5)


def test_schedule_warms_up_and_ends_at_its_final_fraction():
  config = OptimizerConfig(learning_rate=1.0, warmup_fraction=0.1, final_learning_rate_fraction=0.2)
  rates = [optim.learning_rate(config, 100)(i) for i in range(101)]
  np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10, rtol=1e-6)
  assert rates[10] == 1.0 and all(a >= b for a, b in itertools.pairwise(rates[10:]))
  np.testing.assert_allclose(rates[100], 0.2, rtol=1e-5)
  linear = optim.learning_rate(dataclasses.replace(config, schedule='linear'), 100)
  np.testing.assert_allclose(linear(55), 0.6, rtol=1e-5)
  constant = optim.learning_rate(dataclasses.replace(config, schedule='constant'), 100)
  assert float(constant(99)) == 1.0


def small_updates(param_dtype, mu_dtype, nu_dtype, steps=2000):
  """2,000 updates at a learning rate of 5e-6 with gradients of one sign; weights and second moment after them."""
  config = OptimizerConfig(weight_decay=0.0, clip_norm=0.0, mu_dtype=mu_dtype, nu_dtype=nu_dtype)
  optimizer = optim.make_optimizer(config)
  params = {'w': jnp.full((32, 32), 0.02, param_dtype)}
  places = jnp.arange(32 * 32, dtype=jnp.float32).reshape(32, 32)

  @jax.jit
  def loop(params):
    def body(i, carry):
      params, state = carry
      noise = jnp.sin(1.7 * i + 2.3 * places)
      updates, state = optimizer.update({'w': 1e-3 * (1 + 0.7 * noise)}, state, params)
      return optim.apply_updates(params, updates, 5e-6, i), state
    return jax.lax.fori_loop(0, steps, body, (params, optimizer.init(params)))

  params, state = loop(params)
  return np.asarray(params['w'], np.float64), np.asarray(state[1].nu['w'], np.float64)


@pytest.fixture(scope='module')
def reference():
  return small_updates('float32', 'float32', 'float32')


def test_small_updates_survive_in_the_default_state(reference):
  weights, nu = small_updates('float32', 'bfloat16', 'float32')
  moved = 0.02 - reference[0].mean()
  assert moved > 5e-3  # the updates add up to a quarter of the weight
  np.testing.assert_allclose(0.02 - weights.mean(), moved, rtol=1e-3)
  np.testing.assert_allclose(nu.mean(), reference[1].mean(), rtol=1e-5)


def test_small_updates_survive_stochastic_rounding(reference):
  weights, nu = small_updates('bfloat16', 'bfloat16', 'bfloat16')
  np.testing.assert_allclose(0.02 - weights.mean(), 0.02 - reference[0].mean(), rtol=0.02)
  np.testing.assert_allclose(nu.mean(), reference[1].mean(), rtol=0.02)


def test_nearest_rounding_would_lose_them():
  """Why the two tests above exist: what plain bfloat16 does to such updates."""
  assert jnp.bfloat16(0.02) - jnp.bfloat16(5e-6) == jnp.bfloat16(0.02)


def test_stochastic_rounding_is_unbiased_and_exact_where_it_can_be():
  special = np.float32([0.0, -1.5, np.inf, -np.inf, np.nan])
  x = np.full(50_000, 1.0 + 2**-10, np.float32)  # an eighth of the way from 1 to the next bfloat16
  x[:5] = special
  rounded = np.asarray(jax.jit(optim.stochastic_round)(x, 7), np.float64)
  np.testing.assert_array_equal(rounded[:5], special)
  assert set(rounded[5:]) == {1.0, 1.0 + 2**-7}
  np.testing.assert_allclose((rounded[5:] > 1).mean(), 0.125, atol=0.006)


def test_no_decay_on_norms():
  setup = setup_for(tiny_config(model=tiny_model(qk_norm=True)))
  decayed = {}
  for path, flag in jax.tree_util.tree_flatten_with_path(optim.decay_mask(setup.shapes.params))[0]:
    decayed[optim.path_name(path)] = flag
  assert decayed['embedding_VD'] and decayed['blocks.1.mlp.down_DF']
  assert not any(flag for name, flag in decayed.items() if 'norm' in name)
  assert sum('norm' in name for name in decayed) == 2 * 4 + 1
