"""Prefill and decode as pure functions of weights and slots; all that is compiled for generation is here.

Dims: B slots (rows of the batch), P prompts, M samples admitted, T tokens, S cache places, H, K, G, N as in the model.

A slot holds one continuation. Its last token is not in the cache yet: each step feeds it, writes its key and value at
place `length`, and chooses the next. So prefilling a prompt means all but its last token, and needs no logits.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike

from smt_jax import xla_flags
from smt_jax.attention import cached_attention, dot_product_attention, reads_cache_fused
from smt_jax.generation import cache as kv
from smt_jax.generation.sampling import choose
from smt_jax.mesh import use_rules
from smt_jax.model import Transformer

Weights = nnx.State  # the model's parameters


@dataclasses.dataclass(frozen=True)
class Program:
  """What is fixed when the functions here are compiled."""
  graph: nnx.GraphDef
  compute_dtype: Any
  attention: str = 'auto'
  eos: tuple[int, ...] = ()
  pad: int = 0  # fills rows; never seen by a real token
  mesh: jax.sharding.Mesh | None = None

  def model(self, weights: Weights) -> Transformer:
    return nnx.merge(self.graph, weights)

  @contextlib.contextmanager
  def context(self) -> Iterator[None]:
    """Float32 means float32 (GPUs and TPUs would use fewer bits in matrix products), and the mesh's shardings hold."""
    precision = 'float32' if self.compute_dtype == jnp.float32 else None
    with jax.default_matmul_precision(precision), use_rules(self.mesh) if self.mesh else contextlib.nullcontext():
      yield


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Slots:
  """The batch that is being decoded. All arrays [B] but the cache and the keys."""
  cache: kv.Cache
  token: jax.Array  # int32, last token, to be fed next
  length: jax.Array  # int32, tokens in the cache
  made: jax.Array  # int32, tokens generated
  budget: jax.Array  # int32, most tokens to generate
  active: jax.Array  # bool
  keys: jax.Array  # uint32 [B, 2], random streams
  temperature: jax.Array  # float32
  top_p: jax.Array  # float32
  top_k: jax.Array  # int32
  ignore_eos: jax.Array  # bool


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def empty_slots(program: Program, weights: Weights, rows: int, places: int) -> Slots:
  """Slots without work."""
  def zeros(kind: Any) -> jax.Array:
    return jnp.zeros((rows,), kind)
  with program.context():
    return Slots(
        cache=_empty_cache(program, weights, rows, places), token=zeros(jnp.int32), length=zeros(jnp.int32),
        made=zeros(jnp.int32), budget=zeros(jnp.int32), active=zeros(bool), keys=jnp.zeros((rows, 2), jnp.uint32),
        temperature=zeros(jnp.float32), top_p=jnp.ones((rows,), jnp.float32), top_k=zeros(jnp.int32),
        ignore_eos=zeros(bool))


def _empty_cache(program: Program, weights: Weights, rows: int, places: int) -> kv.Cache:
  config, dtype = program.model(weights).config, program.compute_dtype
  return kv.empty(config, rows, places, dtype, reads_cache_fused(dtype, config.head_dim, program.attention))


def grow(slots: Slots, places: int) -> Slots:
  """The same slots with a longer cache; the given ones are gone."""
  return dataclasses.replace(slots, cache=kv.grow(slots.cache, places))


@functools.cache
def _jit(function: Callable[..., Any], static: tuple[int, ...], names: tuple[str, ...] = ()) -> Callable[..., Any]:
  """`function` compiled with this platform's settings; it consumes the slots that it is given."""
  return jax.jit(function, static_argnums=static, static_argnames=names, donate_argnums=2,
                 compiler_options=xla_flags.known(jax.default_backend()) or None)


def admit(program: Program, weights: Weights, slots: Slots, tokens_PT: ArrayLike, source_M: ArrayLike,
          target_M: ArrayLike, new: Mapping[str, ArrayLike]) -> Slots:
  """Prefills prompts and puts their samples into slots.

  Args:
    tokens_PT: prompts without their last token, padded on the right (no key of a real token is ever behind padding).
    source_M: which prompt a sample continues.
    target_M: which slot it takes; a number beyond the last slot: none (filling up a fixed shape).
    new: [M] arrays for the fields of `Slots` by name.
  """
  return _jit(_admit, (0,))(program, weights, slots, tokens_PT, source_M, target_M, new)


def _admit(program, weights, slots, tokens_PT, source_M, target_M, new):
  with program.context():
    fresh = _empty_cache(program, weights, *tokens_PT.shape)

    def attend(cache, layer, q_BTHN, k_BTKN, v_BTKN):
      out_BTHN = dot_product_attention(q_BTHN, k_BTKN, v_BTKN, impl=program.attention)
      return kv.put_start(cache, layer, k_BTKN, v_BTKN), out_BTHN

    positions_PT = jnp.broadcast_to(jnp.arange(tokens_PT.shape[1]), tokens_PT.shape)
    _, fresh = program.model(weights).run(tokens_PT, positions_PT, attend, fresh,
                                          compute_dtype=program.compute_dtype)

  fields = {name: getattr(slots, name).at[target_M].set(value, mode='drop') for name, value in new.items()}
  return dataclasses.replace(slots, cache=kv.admit(slots.cache, fresh, source_M, target_M), **fields)


def decode(program: Program, weights: Weights, slots: Slots, steps: int, *, random: bool, filtered: bool,
           ) -> tuple[Slots, jax.Array, jax.Array]:
  """Up to `steps` tokens for every active slot; ends early when none is active.

  Returns:
    The slots (given ones are donated), tokens [B, steps] (-1 where a slot made none; an end token is given back) and
    their log-probabilities [B, steps].
  """
  run = _jit(_decode, (0, 3), ('random', 'filtered'))
  return run(program, weights, slots, steps, random=random, filtered=filtered)


def _decode(program, weights, slots, steps, *, random, filtered):
  model = program.model(weights)
  B = slots.token.shape[0]

  def go_on(carry):
    step, slots, _, _ = carry
    return (step < steps) & jnp.any(slots.active)

  def one(carry):
    step, slots, tokens, logprobs = carry
    attend = functools.partial(_attend_cached, program.attention, slots.length)
    hidden_BTD, cache = model.run(slots.token[:, None], slots.length[:, None], attend, slots.cache,
                                  compute_dtype=program.compute_dtype)
    token_B, logprob_B = choose(model.logits(hidden_BTD[:, 0]), slots.keys, slots.made, slots.temperature,
                                slots.top_p, slots.top_k, random=random, filtered=filtered)
    ended_B = jnp.isin(token_B, jnp.asarray(program.eos or (-1,))) & ~slots.ignore_eos
    tokens = tokens.at[:, step].set(jnp.where(slots.active, token_B, -1))
    logprobs = logprobs.at[:, step].set(logprob_B)
    on = slots.active.astype(jnp.int32)
    made_B = slots.made + on
    slots = dataclasses.replace(
        slots, cache=cache, token=jnp.where(slots.active, token_B, slots.token), length=slots.length + on, made=made_B,
        active=slots.active & ~ended_B & (made_B < slots.budget))
    return step + 1, slots, tokens, logprobs

  with program.context():
    carry = (jnp.int32(0), slots, jnp.full((B, steps), -1, jnp.int32), jnp.zeros((B, steps), jnp.float32))
    _, slots, tokens, logprobs = jax.lax.while_loop(go_on, one, carry)
  return slots, tokens, logprobs


def _attend_cached(impl, place_B, cache, layer, q_BTHN, k_BTKN, v_BTKN):
  """One new token a row: writes it at its place, and lets it see all places up to its own."""
  cache = kv.put_token(cache, layer, place_B, k_BTKN[:, 0], v_BTKN[:, 0])
  B, K, _, N = cache.values[layer].shape
  out_BKGN = cached_attention(q_BTHN.reshape(B, K, -1, N), cache.keys[layer], cache.values[layer], place_B + 1,
                              cache.fused, impl)
  return cache, out_BKGN.reshape(q_BTHN.shape)
