"""The engine: cached decoding equals whole forward passes, samples do not depend on their batch, ends are found."""

import collections
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from data_gen.errors import UserError
from smt_jax.config import MeshConfig, ModelConfig
from smt_jax.generation import sampling as sampling_lib
from smt_jax.generation.engine import Engine, logits
from smt_jax.generation.sampling import Sampling
from smt_jax.generation.shapes import ACCELERATOR, CPU, Shapes
from smt_jax.mesh import make_mesh, shardings
from smt_jax.model import Transformer, param_axes

CONFIG = ModelConfig(vocab_size=68, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, head_dim=8, initializer_range=0.3, max_position_embeddings=160,
                     qk_norm=True, model_type='qwen3', tie_word_embeddings=False)
RNG = np.random.default_rng(0)
PROMPTS = [RNG.integers(0, 68, n).tolist() for n in (5, 70, 1, 23, 96, 40, 2)]


@pytest.fixture(scope='module')
def model():
  return Transformer(CONFIG, rngs=nnx.Rngs(0))


@pytest.fixture(scope='module')
def engine(model):
  return Engine(model, eos_ids=[], max_batch=4)


@pytest.fixture(scope='module')
def greedy(engine):
  return engine.generate(PROMPTS, Sampling(max_new_tokens=40))


@pytest.fixture(scope='module')
def letters():
  """A tokenizer of 68 one-letter tokens."""
  backend = Tokenizer(models.WordLevel({chr(48 + i): i for i in range(68)}))
  backend.decoder = decoders.Fuse()
  return PreTrainedTokenizerFast(tokenizer_object=backend)


def whole_logits(model, ids):
  padded = np.zeros((1, 160), np.int32)
  padded[0, :len(ids)] = ids
  return np.asarray(logits(model, padded))[0, :len(ids)]


def test_cached_decoding_equals_whole_forward_passes(model, greedy):
  for prompt, (completion,) in zip(PROMPTS, greedy, strict=True):
    assert completion.finish_reason == 'length' and len(completion.ids) == 40
    whole = whole_logits(model, prompt + completion.ids)[len(prompt) - 1:-1]
    assert completion.ids == whole.argmax(-1).tolist()
    expected = np.take_along_axis(np.asarray(jax.nn.log_softmax(whole)), np.asarray(completion.ids)[:, None], 1)[:, 0]
    np.testing.assert_allclose(completion.logprobs, expected, atol=1e-5)


def test_logprobs_equal_whole_forward_passes(model, engine):
  for prompt, scores in zip(PROMPTS, engine.logprobs(PROMPTS), strict=True):
    log_probabilities = np.asarray(jax.nn.log_softmax(whole_logits(model, prompt)))
    expected = [log_probabilities[i, token] for i, token in enumerate(prompt[1:])]
    assert scores.dtype == np.float32 and scores.shape == (len(prompt) - 1,)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_options_in_one_row_equal_options_alone(engine):
  prompts = [PROMPTS[0], PROMPTS[3]]
  options = [[[1, 2, 3], [4], [5, 6]], [[7, 8, 9, 10, 11], [1, 2, 3]]]
  shared = engine.score_options(prompts, options)
  for prompt, of_prompt, found in zip(prompts, options, shared, strict=True):
    alone = engine.logprobs([prompt + option for option in of_prompt])
    for option, a, b in zip(of_prompt, alone, found, strict=True):
      np.testing.assert_allclose(b, a[-len(option):], atol=1e-5)
  np.testing.assert_allclose(engine.option_logprobs(prompts[0], options[0])[2], shared[0][2], atol=1e-5)


SAMPLED = Sampling(max_new_tokens=24, temperature=1.3, top_p=0.9, top_k=30, n=3, seed=7)


def test_a_sample_does_not_depend_on_its_batch(engine, greedy):
  together = engine.generate(PROMPTS, SAMPLED)
  alone = engine.generate(PROMPTS[3:4], SAMPLED)
  reversed_ = engine.generate(PROMPTS[::-1], SAMPLED)[::-1]
  assert [[c.ids for c in p] for p in together] == [[c.ids for c in p] for p in reversed_]
  assert [c.ids for c in together[3]] == [c.ids for c in alone[0]]
  assert len({tuple(c.ids) for p in together for c in p}) == 3 * len(PROMPTS)  # no two samples share their noise
  assert engine.generate(PROMPTS[1:2], Sampling(max_new_tokens=40))[0][0].ids == greedy[1][0].ids
  other = engine.generate(PROMPTS[3:4], Sampling(**{**vars(SAMPLED), 'seed': 8}))
  assert other[0][0].ids != alone[0][0].ids


def test_samples_follow_the_filtered_distribution():
  logits_V = jnp.asarray([2.0, 1.5, 1.0, 0.0, -1.0, -3.0])
  n, temperature, top_p, top_k = 20000, 0.8, 0.85, 4

  def draw(top_p, top_k):
    tokens, logprobs = sampling_lib.choose(
        jnp.tile(logits_V, (n, 1)), jnp.stack([jnp.arange(n, dtype=jnp.uint32)] * 2, 1), jnp.zeros(n, int),
        jnp.full(n, temperature), jnp.full(n, top_p), jnp.full(n, top_k), random=True, filtered=True)
    np.testing.assert_allclose(logprobs, jax.nn.log_softmax(logits_V)[tokens], atol=1e-5)
    return np.bincount(np.asarray(tokens), minlength=6) / n

  p = np.exp(np.asarray(logits_V) / temperature)
  np.testing.assert_allclose(draw(1.0, 0), p / p.sum(), atol=0.015)
  of_top_k = np.where(np.arange(6) < top_k, p, 0) / p[:top_k].sum()
  np.testing.assert_allclose(draw(1.0, top_k), of_top_k, atol=0.015)
  kept = int(np.searchsorted(np.cumsum(of_top_k), top_p)) + 1  # of what top_k leaves, as in transformers
  np.testing.assert_allclose(draw(top_p, top_k), np.where(np.arange(6) < kept, p, 0) / p[:kept].sum(), atol=0.015)
  np.testing.assert_allclose(draw(1e-6, 0), [1, 0, 0, 0, 0, 0])


def test_end_tokens_end_a_continuation(model, greedy):
  ids = greedy[1][0].ids
  ends = [ids[5], ids[17]]
  first = min(ids.index(e) for e in ends)
  completion = Engine(model, eos_ids=ends, max_batch=4).generate(PROMPTS[1:2], Sampling(max_new_tokens=40))[0][0]
  assert completion.ids == ids[:first] and completion.finish_reason == 'stop'
  assert len(completion.logprobs) == first
  on = Engine(model, eos_ids=ends, max_batch=4).generate(PROMPTS[1:2], Sampling(max_new_tokens=40, ignore_eos=True))
  assert on[0][0].ids == ids and on[0][0].finish_reason == 'length'


@pytest.mark.parametrize('begins', [33, 0])  # in the second look of the host at the batch; at once
def test_stop_strings_end_a_continuation_in_the_middle_of_its_tokens(engine, letters, begins):
  sampling = Sampling(max_new_tokens=40, temperature=1.0, seed=1)
  whole = engine.generate(PROMPTS[1:2], sampling, tokenizer=letters)[0][0]
  text = letters.decode(whole.ids)
  assert whole.text == text and whole.finish_reason == 'length'
  stop = text[begins:begins + 3]
  assert text.index(stop) == begins
  completion = engine.generate(PROMPTS[1:2], dataclasses.replace(sampling, stop=(stop, 'never there')),
                               tokenizer=letters)[0][0]
  assert completion.text == text[:begins] and completion.finish_reason == 'stop'
  assert completion.ids == whole.ids[:begins + len(stop)]


def test_a_continuation_ends_where_the_positions_end(engine):
  prompt = RNG.integers(0, 68, 150).tolist()
  completion = engine.generate([prompt], Sampling(max_new_tokens=40))[0][0]
  assert len(completion.ids) == 10 and completion.finish_reason == 'length'


def test_a_sharded_model_generates_and_scores_the_same(model, engine, greedy):
  mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
  graph, state = nnx.split(model)
  sharded = nnx.merge(graph, jax.device_put(state, shardings(param_axes(CONFIG), state, mesh)))
  on_mesh = Engine(sharded, mesh=mesh, eos_ids=[], max_batch=4)
  found = on_mesh.generate(PROMPTS, Sampling(max_new_tokens=40))
  assert [p[0].ids for p in found] == [p[0].ids for p in greedy]
  for a, b in zip(on_mesh.logprobs(PROMPTS), engine.logprobs(PROMPTS), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_progress_counts_to_the_end(engine):
  seen = []
  engine.generate(PROMPTS, Sampling(max_new_tokens=40), progress=seen.append)
  assert seen[-1].done == seen[-1].total == len(PROMPTS) and seen[-1].tokens == 40 * len(PROMPTS)
  assert [p.done for p in seen] == sorted(p.done for p in seen) and len(seen) > 1
  assert seen[-1].tokens_per_second > 0 and seen[-1].eta_seconds == 0


@pytest.mark.parametrize(('prompts', 'sampling', 'message'), [
    ([[1, 2], []], Sampling(), 'prompt 1: is empty'),
    ([[1] * 160], Sampling(), 'prompt 0: has 160 tokens, but the model has 160 positions'),
    ([[1, 68]], Sampling(), 'token id 68 is outside the vocabulary of 68'),
    ([[1, -1]], Sampling(), 'token id -1 is outside'),
    ([[1]], Sampling(temperature=-1), 'temperature=-1: expected 0 or more'),
    ([[1]], Sampling(top_p=0), 'top_p=0: expected above 0'),
    ([[1]], Sampling(max_new_tokens=0), 'max_new_tokens=0'),
    ([[1]], Sampling(stop=('',)), 'stop='),
    ([[1]], Sampling(stop=('x',)), 'stop strings need a tokenizer'),
])
def test_bad_requests_are_refused_by_name(engine, prompts, sampling, message):
  with pytest.raises(UserError, match=message):
    engine.generate(prompts, sampling)


def test_bad_sequences_are_refused_by_name(engine, model):
  with pytest.raises(UserError, match='sequence 1: has 161 tokens'):
    engine.logprobs([[1, 2], [3] * 161])
  with pytest.raises(UserError, match='prompt 0, option 1: is empty'):
    engine.score_options([[1]], [[[2], []]])
  with pytest.raises(UserError, match='end token 68'):
    Engine(model, eos_ids=[68])


def test_shapes_are_few_and_close():
  for shapes in (CPU, ACCELERATOR):
    lengths = collections.Counter(shapes.length(n) for n in range(1, 8193))
    assert len(lengths) < 32
    assert all(n <= shapes.length(n) <= max(shapes.smallest, n * (1 + 1 / shapes.per_octave)) for n in range(1, 8193))
  assert Shapes(parts=6).rows(4) == 6 and [CPU.rows(n) for n in (1, 2, 5, 64)] == [1, 4, 16, 64]
  assert [ACCELERATOR.slots(n) for n in (3, 65, 448, 449)] == [4, 128, 448, 512]
  assert [ACCELERATOR.slots_within(n) for n in (1, 63, 127, 507)] == [1, 32, 64, 448]
  assert [CPU.slots(65), CPU.slots_within(63)] == [256, 16] and Shapes(parts=6).slots_within(4) == 6
  assert CPU.rows_that_fit(64) * 64 <= CPU.prefill_tokens and CPU.rows_that_fit(10**6) == 1
