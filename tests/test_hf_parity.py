"""Logits and greedy continuations equal those of transformers in float32, for every family, and mutations do not."""

import dataclasses
import pathlib

import hf_models
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from smt_jax import loading
from smt_jax.generation.engine import Engine
from smt_jax.generation.sampling import Sampling
from smt_jax.model import Transformer, abstract

GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'parity.npz'
TOLERANCE = 1e-4

_forward = jax.jit(lambda model, ids, kwargs: model(ids, **kwargs))


def logits(model: Transformer, ids: np.ndarray, **kwargs) -> np.ndarray:
  return np.asarray(_forward(model, ids, kwargs))


@pytest.fixture(scope='module')
def loaded(tmp_path_factory):
  """Our models by case, each loaded once."""
  cache = {}

  def load(name):
    if name not in cache:
      folder = hf_models.write(tmp_path_factory.mktemp(name), hf_models.CASES[name])
      cache[name] = folder, loading.load(folder)[0]
    return cache[name]
  return load


@pytest.mark.parametrize('name', hf_models.CASES)
def test_logits_equal_the_golden_ones_of_transformers(loaded, name):
  golden = np.load(GOLDEN)[name]
  assert golden.std() >= 1
  ours = logits(loaded(name)[1], hf_models.token_ids(hf_models.CASES[name]))
  np.testing.assert_allclose(ours[:, ::9], golden, atol=TOLERANCE, rtol=0)


def swapped_groups(state, config):
  """Query heads in another order: each then reads the wrong key head."""
  for block in state['blocks'].values():
    q = block['attention']['q_DHN']
    q[...] = jnp.roll(q[...], 1, axis=1)


def without_qk_norm(state, config):
  for block in state['blocks'].values():
    for name in ('q_norm_N', 'k_norm_N'):
      block['attention'][name][...] = jnp.ones_like(block['attention'][name][...])


CONFIG_MUTATIONS = {
    'theta': ('llama2', lambda c: dataclasses.replace(c, rope_theta=c.rope_theta * 1.01)),
    'scaling off': ('llama3.1', lambda c: dataclasses.replace(c, rope_scaling=None)),
    'scaling factor': ('llama3.1', lambda c: dataclasses.replace(c, rope_scaling=c.rope_scaling | {'factor': 9.0})),
    'high frequencies': ('llama3.2', lambda c: dataclasses.replace(
        c, rope_scaling=c.rope_scaling | {'high_freq_factor': 4.1})),
    'epsilon': ('llama2', lambda c: dataclasses.replace(c, rms_norm_eps=5e-4)),
    'q/k epsilon': ('qwen3-small', lambda c: dataclasses.replace(c, rms_norm_eps=1e-4)),
}
STATE_MUTATIONS = {
    'q/k norm': ('qwen3-large', without_qk_norm),
    'head grouping': ('llama3.1', swapped_groups),
}


@pytest.mark.parametrize('mutation', [*CONFIG_MUTATIONS, *STATE_MUTATIONS])
def test_a_mutated_model_is_caught(loaded, mutation):
  name, mutate = {**CONFIG_MUTATIONS, **STATE_MUTATIONS}[mutation]
  model = loaded(name)[1]
  state = jax.tree.map(lambda x: x, nnx.state(model))
  config = model.config
  if mutation in CONFIG_MUTATIONS:
    config = mutate(config)
  else:
    mutate(state, config)
  mutated = nnx.merge(nnx.graphdef(abstract(config)), state)
  ours = logits(mutated, hf_models.token_ids(hf_models.CASES[name]))
  assert np.abs(ours[:, ::9] - np.load(GOLDEN)[name]).max() > 10 * TOLERANCE


@pytest.fixture(scope='module')
def theirs(loaded):
  """Transformers' models by case."""
  torch = pytest.importorskip('torch')
  import transformers

  def load(name, dtype='float32'):
    model = transformers.AutoModelForCausalLM.from_pretrained(loaded(name)[0], dtype=getattr(torch, dtype))
    return model.eval()
  return load


def run(model, ids, **kwargs):
  import torch
  with torch.no_grad():
    return model(torch.tensor(ids).long(), **{k: torch.tensor(v) for k, v in kwargs.items()}).logits.float().numpy()


@pytest.mark.parametrize('name', hf_models.CASES)
def test_logits_equal_those_of_the_installed_transformers(loaded, theirs, name):
  ids = hf_models.token_ids(hf_models.CASES[name])
  expected = run(theirs(name), ids)
  assert expected.std() >= 1
  np.testing.assert_allclose(logits(loaded(name)[1], ids), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize('name', hf_models.CASES)
def test_padded_batches_equal_those_of_transformers(loaded, theirs, name):
  ids = hf_models.token_ids(hf_models.CASES[name])
  real = np.ones_like(ids)
  real[0, :37] = 0  # padded on the left, as for generation
  real[1, 80:] = 0  # and on the right
  positions = np.maximum(np.cumsum(real, axis=1) - 1, 0)
  expected = run(theirs(name), ids, attention_mask=real, position_ids=positions)
  ours = logits(loaded(name)[1], ids, positions_BT=positions, segment_ids_BT=real)
  np.testing.assert_allclose(ours[real == 1], expected[real == 1], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize('name', hf_models.CASES)
def test_greedy_continuations_of_100_tokens_are_identical(loaded, theirs, name):
  import torch
  from transformers import GenerationConfig
  ids = hf_models.token_ids(hf_models.CASES[name], rows=1, length=20)
  greedy = GenerationConfig(max_new_tokens=100, do_sample=False, eos_token_id=None, pad_token_id=0)
  model = theirs(name)
  model.generation_config = greedy  # else the end token of config.json comes back
  expected = model.generate(torch.tensor(ids).long(), attention_mask=torch.ones(1, 20, dtype=torch.long))
  ours = Engine(loaded(name)[1], eos_ids=[]).generate(ids.tolist(), Sampling(max_new_tokens=100))[0][0].ids
  assert len(ours) == 100
  assert ours == expected[0, 20:].tolist()


@pytest.mark.parametrize('name', hf_models.CASES)
def test_bfloat16_errs_no_more_than_transformers_does(loaded, theirs, name):
  ids = hf_models.token_ids(hf_models.CASES[name])
  exact = run(theirs(name), ids)
  their_error = run(theirs(name, 'bfloat16'), ids) - exact
  model = loading.load(loaded(name)[0], dtype='bfloat16')[0]
  our_error = np.asarray(jax.jit(lambda m: m(ids, compute_dtype=jnp.bfloat16))(model)) - exact
  assert np.sqrt((our_error**2).mean()) <= np.sqrt((their_error**2).mean())
