"""The decoder: who sees whom, the one description of its parameters, and that its knobs change speed only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data_gen.errors import UserError
from smt_jax import attention, model
from smt_jax.config import ModelConfig

CONFIGS = {
    'llama': ModelConfig(vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                         num_attention_heads=3, num_key_value_heads=1, head_dim=10, initializer_range=0.2),
    'qwen3': ModelConfig(vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, head_dim=8, initializer_range=0.2,
                         qk_norm=True, tie_word_embeddings=False),
}
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 61, (2, 16)))


@pytest.fixture(params=CONFIGS, scope='module')
def decoder(request):
  return model.Transformer(CONFIGS[request.param], rngs=nnx.Rngs(0))


_forward = jax.jit(lambda m, tokens, arrays: m(tokens, **arrays))


def logits(decoder, tokens, **arrays):
  """Compiled forward pass; `arrays` are positions and segments."""
  return _forward(decoder, tokens, arrays)


def influence(decoder, **kwargs):
  """Which input position moves which output position: bool [T out, T in] of the first row, by gradient."""
  graph, state = nnx.split(decoder)
  x_TD = state['embedding_VD'][...][TOKENS[0]]

  def output(x_TD):
    # a vocabulary of its own for every position, so that one embedding row is one input position
    own = nnx.merge(graph, nnx.merge_state(state, nnx.State({'embedding_VD': nnx.Param(x_TD)})))
    return own.hidden(jnp.arange(16)[None], **kwargs)[0].sum(-1)

  return np.abs(jax.jit(jax.jacrev(output))(x_TD)).sum(-1) > 0


def test_a_token_sees_itself_and_all_before_and_nothing_later(decoder):
  np.testing.assert_array_equal(influence(decoder), np.tril(np.ones((16, 16), bool)))


def test_packed_segments_are_isolated(decoder):
  segments = np.asarray([1] * 5 + [2] * 7 + [0] * 4)
  expected = np.tril(segments[:, None] == segments[None])
  seen = influence(decoder, segment_ids_BT=jnp.asarray(segments)[None])
  np.testing.assert_array_equal(seen, expected)


def test_a_packed_segment_equals_the_segment_alone(decoder):
  packed = jnp.concatenate([TOKENS[0, :6], TOKENS[1, :10]])[None]
  positions = jnp.concatenate([jnp.arange(6), jnp.arange(10)])[None]
  segments = jnp.asarray([1] * 6 + [2] * 10)[None]
  together = logits(decoder, packed, positions_BT=positions, segment_ids_BT=segments)[0]
  np.testing.assert_allclose(together[:6], logits(decoder, TOKENS[:1, :6])[0], atol=2e-5)
  np.testing.assert_allclose(together[6:], logits(decoder, TOKENS[1:, :10])[0], atol=2e-5)


def test_rotary_positions_are_relative(decoder):
  near = jnp.broadcast_to(jnp.arange(16), TOKENS.shape)
  plain = logits(decoder, TOKENS, positions_BT=near)
  np.testing.assert_allclose(logits(decoder, TOKENS, positions_BT=near + 100), plain, atol=2e-4)
  assert jnp.abs(logits(decoder, TOKENS, positions_BT=near * 3) - plain).max() > 1e-2


def test_remat_and_scan_change_neither_loss_nor_gradient():
  decoder = model.Transformer(CONFIGS['llama'], rngs=nnx.Rngs(0))
  graph, state = nnx.split(decoder)

  def loss_and_gradient(**kwargs):
    return jax.jit(jax.value_and_grad(lambda s: jnp.square(nnx.merge(graph, s)(TOKENS, **kwargs)).mean()))(state)

  plain = loss_and_gradient()
  for kwargs in ({'remat': 'attention'}, {'remat': 'products'}, {'remat': 'full', 'scan': True}):
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(loss_and_gradient(**kwargs)), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_blocks_of_queries_equal_the_whole(monkeypatch):
  rng = np.random.default_rng(1)
  q, k, v = (jnp.asarray(rng.normal(size=(2, 32, heads, 8)), jnp.float32) for heads in (6, 3, 3))
  segments = jnp.asarray(np.repeat([[1, 2], [3, 0]], 16, axis=1))

  def run(q):
    return jnp.square(attention.dot_product_attention(q, k, v, segment_ids_BT=segments)).sum()
  whole = jax.value_and_grad(run)(q)
  monkeypatch.setattr(attention, '_SCORE_BYTES', 4 * 2 * 6 * 8 * 32)
  in_blocks = jax.value_and_grad(run)(q)
  assert 'scan' in str(jax.make_jaxpr(run)(q))  # the blocks were really taken
  for a, b in zip(whole, in_blocks, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_attention_refuses_what_a_kernel_cannot_mask():
  x = jnp.ones((1, 8, 2, 8))
  with pytest.raises(UserError, match=r'cudnn.*packed'):
    attention.dot_product_attention(x, x, x, segment_ids_BT=jnp.ones((1, 8), int), impl='cudnn')
  with pytest.raises(UserError, match='expected one of auto'):
    attention.dot_product_attention(x, x, x, impl='flash')


@pytest.mark.parametrize('name', CONFIGS)
def test_specs_axes_abstract_and_real_parameters_agree(name):
  config = CONFIGS[name]
  real = nnx.state(model.Transformer(config, rngs=nnx.Rngs(0), param_dtype=jnp.bfloat16), nnx.Param)
  shapes = nnx.state(model.abstract(config, jnp.bfloat16), nnx.Param)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), real) == jax.tree.map(lambda x: (x.shape, x.dtype), shapes)
  ranks = jax.tree.map(lambda leaf, axes: len(axes) == leaf.ndim, real, model.param_axes(config))
  assert jax.tree.leaves(ranks) and all(jax.tree.leaves(ranks))
  names = {axis for spec in jax.tree.leaves(model.param_specs(config), is_leaf=lambda x: isinstance(x, model.Spec))
           for axis in spec.axes}
  assert names == {'vocab', 'embed', 'heads', 'kv_heads', 'head_dim', 'mlp', None}
  assert sum(np.prod(x.shape) for x in jax.tree.leaves(real)) == sum(
      np.prod(s.shape) for s in jax.tree.leaves(model.param_specs(config), is_leaf=lambda x: isinstance(x, model.Spec)))


def test_bfloat16_compute_stays_near_float32_and_logits_stay_float32(decoder):
  forward = jax.jit(lambda m, dtype: m(TOKENS, compute_dtype=dtype), static_argnums=1)
  exact, rough = forward(decoder, jnp.float32), forward(decoder, jnp.bfloat16)
  assert rough.dtype == jnp.float32
  assert 1e-4 < jnp.abs(exact - rough).max() < 0.05 * exact.std() + 0.05


def test_equal_configs_share_one_compiled_program():
  graphs = {nnx.graphdef(model.Transformer(CONFIGS['llama'], rngs=nnx.Rngs(seed))) for seed in (0, 1)}
  assert len(graphs) == 1
  assert nnx.graphdef(model.Transformer(CONFIGS['qwen3'], rngs=nnx.Rngs(0))) not in graphs
