"""The decoder: Llama 2 to 3.2 and Qwen3 (dense), which differ by configuration only.

Dims: B batch, T time, D model width, H query heads, K key-value heads, N head dim, F feed-forward width, V vocabulary.

Equal to Hugging Face's `LlamaForCausalLM` and `Qwen3ForCausalLM`; the tests hold it to 1e-4 in float32. Every
parameter is described once (`Spec`): shape, initialisation and logical axes all come from there. The model width leads
every matrix of a layer, for that is the axis that fsdp cuts: parts of a leading axis are gathered and scattered without
a transposition. Norms, rotary embedding and softmax are computed in float32 whatever the compute dtype.
"""

import copy
import dataclasses
import functools
import json
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.ad_checkpoint import checkpoint_name

from data_gen.errors import UserError
from smt_jax.attention import dot_product_attention
from smt_jax.config import ModelConfig
from smt_jax.linear import project
from smt_jax.mesh import active_mesh, constrain, path_name

Tree = Any
# attend(cache, layer, q_BTHN, k_BTKN, v_BTKN) -> (cache, out_BTHN): how keys are kept and masked is the caller's affair
Attend = Callable[[Tree, int | jax.Array, jax.Array, jax.Array, jax.Array], tuple[Tree, jax.Array]]

_REMAT = {
    'full': jax.checkpoint_policies.nothing_saveable,
    'attention': jax.checkpoint_policies.save_only_these_names('attention', 'gate', 'up'),
    'products': jax.checkpoint_policies.save_only_these_names('qkv', 'attention', 'residual', 'gate', 'up'),
}


@dataclasses.dataclass(frozen=True)
class Spec:
  """One parameter. `std` of None: ones (a norm's scale)."""
  shape: tuple[int, ...]
  axes: tuple[str | None, ...]
  std: float | None

  def init(self, rngs: nnx.Rngs, dtype: jnp.dtype) -> nnx.Param:
    if self.std is None:
      return nnx.Param(jnp.ones(self.shape, dtype))
    return nnx.Param(_normal(rngs.params(), self.shape, self.std, dtype))


@functools.partial(jax.jit, static_argnums=(1, 2, 3))  # one small program a shape, also when called op by op
def _normal(key: jax.Array, shape: tuple[int, ...], std: float, dtype: jnp.dtype) -> jax.Array:
  matrix = (shape[0], math.prod(shape[1:]))  # XLA compiles the generator several times faster for two axes than three
  return (std * jax.random.normal(key, matrix, jnp.float32)).astype(dtype).reshape(shape)


def _attention_specs(c: ModelConfig) -> dict[str, Spec]:
  D, H, K, N, std = c.hidden_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim, c.initializer_range
  specs = {
      'q_DHN': Spec((D, H, N), ('embed', 'heads', 'head_dim'), std),
      'k_DKN': Spec((D, K, N), ('embed', 'kv_heads', 'head_dim'), std),
      'v_DKN': Spec((D, K, N), ('embed', 'kv_heads', 'head_dim'), std),
      'o_DHN': Spec((D, H, N), ('embed', 'heads', 'head_dim'), std),
  }
  if c.qk_norm:
    specs |= {'q_norm_N': Spec((N,), (None,), None), 'k_norm_N': Spec((N,), (None,), None)}
  return specs


def _mlp_specs(c: ModelConfig) -> dict[str, Spec]:
  D, F, std = c.hidden_size, c.intermediate_size, c.initializer_range
  return {
      'gate_DF': Spec((D, F), ('embed', 'mlp'), std),
      'up_DF': Spec((D, F), ('embed', 'mlp'), std),
      'down_DF': Spec((D, F), ('embed', 'mlp'), std),
  }


def _norm_spec(c: ModelConfig) -> Spec:
  return Spec((c.hidden_size,), (None,), None)


def param_specs(config: ModelConfig) -> dict[str, Any]:
  """All parameters, nested and named as in the module (`blocks` by layer number)."""
  V, D, std = config.vocab_size, config.hidden_size, config.initializer_range
  block = {
      'attention_norm_D': _norm_spec(config), 'attention': _attention_specs(config),
      'mlp_norm_D': _norm_spec(config), 'mlp': _mlp_specs(config),
  }
  specs = {
      'embedding_VD': Spec((V, D), ('vocab', 'embed'), std),
      'blocks': dict.fromkeys(range(config.num_hidden_layers), block),
      'norm_D': _norm_spec(config),
  }
  if not config.tie_word_embeddings:
    specs['head_DV'] = Spec((D, V), ('embed', 'vocab'), std)
  return specs


def rms_norm(x: jax.Array, scale: jax.Array, eps: float) -> jax.Array:
  """Root-mean-square norm over the last axis, in float32, returned in the dtype of `x`."""
  x32 = x.astype(jnp.float32)
  x32 = x32 * jax.lax.rsqrt(jnp.mean(x32 * x32, axis=-1, keepdims=True) + eps)
  return (x32 * scale.astype(jnp.float32)).astype(x.dtype)


def rope_frequencies(config: ModelConfig) -> np.ndarray:
  """Angular frequencies, float32 [N / 2]; `llama3` scaling as in Hugging Face's `_compute_llama3_parameters`.

  Rounded to float32 where Hugging Face rounds: at position 100,000 the last bit of a frequency turns a head by 0.01.

  Raises:
    UserError: a RoPE type other than 'default' and 'llama3'.
  """
  exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
  wavelengths = (config.rope_theta ** exponents.astype(np.float64)).astype(np.float32)  # in units of 2 pi
  frequencies = np.float32(1) / wavelengths
  scaling = config.rope_scaling or {'rope_type': 'default'}
  if scaling['rope_type'] == 'llama3':
    # long wavelengths are stretched by `factor`, short ones kept, those between interpolated
    low, high, factor = (np.float32(scaling[k]) for k in ('low_freq_factor', 'high_freq_factor', 'factor'))
    turns = np.float32(scaling['original_max_position_embeddings']) / (np.float32(2 * math.pi) / frequencies)
    keep = np.clip((turns - low) / (high - low), 0, 1)
    frequencies = (1 - keep) * frequencies / factor + keep * frequencies
  elif scaling['rope_type'] != 'default':
    raise UserError(f'rope_scaling.rope_type={scaling["rope_type"]!r}: expected default or llama3')
  return frequencies


def rotate(x_BTHN: jax.Array, cos_BTN: jax.Array, sin_BTN: jax.Array) -> jax.Array:
  """Rotary embedding, halves paired as in Hugging Face's `rotate_half`; `cos`, `sin` are float32 [B, T, N / 2]."""
  a, b = jnp.split(x_BTHN.astype(jnp.float32), 2, axis=-1)
  cos, sin = cos_BTN[:, :, None], sin_BTN[:, :, None]
  return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1).astype(x_BTHN.dtype)


class _Static:
  """A config as static data of a module: compared and hashed by value, so that jit finds its compiled programs."""

  def __init__(self, config: ModelConfig):
    self.config = copy.deepcopy(config)
    self._key = json.dumps(dataclasses.asdict(config), sort_keys=True)

  def __eq__(self, other: object) -> bool:
    return isinstance(other, _Static) and self._key == other._key

  def __hash__(self) -> int:
    return hash(self._key)


class Attention(nnx.Module):
  """Grouped-query attention with rotary positions; Qwen3 normalises each head's query and key first."""
  q_norm_N: nnx.Param
  k_norm_N: nnx.Param

  def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs, param_dtype: jnp.dtype):
    for name, spec in _attention_specs(config).items():
      setattr(self, name, spec.init(rngs, param_dtype))
    self.qk_norm, self.eps = config.qk_norm, config.rms_norm_eps

  def __call__(self, x_BTD, cos_sin, attend: Attend, cache: Tree, layer: int | jax.Array) -> tuple[jax.Array, Tree]:
    q_BTHN = project(self, 'q_DHN', 'btd,dhn->bthn', x_BTD)
    k_BTKN = project(self, 'k_DKN', 'btd,dkn->btkn', x_BTD)
    v_BTKN = project(self, 'v_DKN', 'btd,dkn->btkn', x_BTD)
    if self.qk_norm:
      q_BTHN = rms_norm(q_BTHN, self.q_norm_N[...], self.eps)
      k_BTKN = rms_norm(k_BTKN, self.k_norm_N[...], self.eps)
    q_BTHN, k_BTKN, v_BTKN = (checkpoint_name(x, 'qkv') for x in (
        rotate(q_BTHN, *cos_sin), rotate(k_BTKN, *cos_sin), v_BTKN))
    cache, out_BTHN = attend(cache, layer, q_BTHN, k_BTKN, v_BTKN)
    out_BTHN = checkpoint_name(out_BTHN, 'attention')
    return project(self, 'o_DHN', 'bthn,dhn->btd', out_BTHN), cache


class Mlp(nnx.Module):
  """SwiGLU."""

  def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs, param_dtype: jnp.dtype):
    for name, spec in _mlp_specs(config).items():
      setattr(self, name, spec.init(rngs, param_dtype))

  def __call__(self, x_BTD) -> jax.Array:
    gate_BTF = checkpoint_name(project(self, 'gate_DF', 'btd,df->btf', x_BTD), 'gate')
    up_BTF = checkpoint_name(project(self, 'up_DF', 'btd,df->btf', x_BTD), 'up')
    return project(self, 'down_DF', 'btf,df->btd', jax.nn.silu(gate_BTF) * up_BTF)


class Block(nnx.Module):
  """One layer: attention and feed-forward, each on the normed residual stream."""

  def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs, param_dtype: jnp.dtype):
    self.attention_norm_D = _norm_spec(config).init(rngs, param_dtype)
    self.attention = Attention(config, rngs=rngs, param_dtype=param_dtype)
    self.mlp_norm_D = _norm_spec(config).init(rngs, param_dtype)
    self.mlp = Mlp(config, rngs=rngs, param_dtype=param_dtype)
    self.eps = config.rms_norm_eps

  def __call__(self, x_BTD, cos_sin, attend: Attend, cache: Tree, layer: int | jax.Array) -> tuple[jax.Array, Tree]:
    normed_BTD = rms_norm(x_BTD, self.attention_norm_D[...], self.eps)
    attended_BTD, cache = self.attention(normed_BTD, cos_sin, attend, cache, layer)
    x_BTD = checkpoint_name(x_BTD + attended_BTD, 'residual')
    return x_BTD + self.mlp(rms_norm(x_BTD, self.mlp_norm_D[...], self.eps)), cache


def constrained(block: Block, specs: dict[str, Any]) -> Block:
  """The block with its weights, and so their gradients, pinned to the sharding they are stored in.

  Inside a loop over layers the partitioner would otherwise give every device every layer's whole gradient.
  """
  if active_mesh() is None:
    return block

  def pin(path: Any, weight: jax.Array) -> jax.Array:
    spec = functools.reduce(lambda tree, name: tree.get(name, {}), path_name(path).split('.'), specs)
    return constrain(weight, *spec.axes) if isinstance(spec, Spec) else weight  # adapters have no Spec

  return jax.tree_util.tree_map_with_path(pin, block)


class Transformer(nnx.Module):
  """A decoder-only language model."""

  def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs, param_dtype: jnp.dtype = jnp.float32):
    specs = param_specs(config)
    self.static = _Static(config)
    self.embedding_VD = specs['embedding_VD'].init(rngs, param_dtype)
    self.blocks = nnx.List([Block(config, rngs=rngs, param_dtype=param_dtype)
                            for _ in range(config.num_hidden_layers)])
    self.norm_D = specs['norm_D'].init(rngs, param_dtype)
    if not config.tie_word_embeddings:
      self.head_DV = specs['head_DV'].init(rngs, param_dtype)

  @property
  def config(self) -> ModelConfig:
    return self.static.config

  def unembedding_DV(self) -> jax.Array:
    """Output matrix [D, V] in the parameters' dtype; the embedding's transpose where they are tied."""
    return self.embedding_VD[...].T if self.config.tie_word_embeddings else self.head_DV[...]

  def stacked(self) -> Block:
    """All layers as one block whose parameters have a leading layer axis: what a loop over layers reads."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *self.blocks)

  def run(self, tokens_BT, positions_BT, attend: Attend, cache: Tree = None, *, compute_dtype: jnp.dtype = jnp.float32,
          remat: str = 'none', stacked: Block | None = None) -> tuple[jax.Array, Tree]:
    """Final hidden states and the cache, with a caller's attention: whole rows, or a KV cache when decoding.

    Args:
      cache: whatever `attend` keeps, handed from layer to layer.
      stacked: `self.stacked()`; the layers then run as a loop, which compiles one of them instead of all.
    """
    specs = param_specs(self.config)['blocks'][0]
    angles_BTN = positions_BT[..., None].astype(jnp.float32) * rope_frequencies(self.config)
    cos_sin = jnp.cos(angles_BTN), jnp.sin(angles_BTN)
    x_BTD = constrain(self.embedding_VD[...][tokens_BT].astype(compute_dtype), 'lookup', 'sequence', 'embed')
    x_BTD = constrain(x_BTD, 'batch', 'sequence', None)

    def apply(carry, block_and_layer):
      x_BTD, cache = carry
      block, layer = block_and_layer
      x_BTD, cache = constrained(block, specs)(x_BTD, cos_sin, attend, cache, layer)
      return (constrain(x_BTD, 'batch', 'sequence', None), cache), None

    if remat != 'none':
      apply = jax.checkpoint(apply, policy=_REMAT[remat])
    carry = (x_BTD, cache)
    if stacked is not None:
      carry, _ = jax.lax.scan(apply, carry, (stacked, jnp.arange(len(self.blocks))))
    else:
      for layer, block in enumerate(self.blocks):
        with jax.named_scope('block'):
          carry, _ = apply(carry, (block, layer))
    x_BTD, cache = carry
    return rms_norm(x_BTD, self.norm_D[...], self.config.rms_norm_eps), cache

  def hidden(self, tokens_BT, *, positions_BT=None, segment_ids_BT=None, most_runs: int | None = None,
             compute_dtype: jnp.dtype = jnp.float32, attention: str = 'auto', remat: str = 'none',
             scan: bool = False) -> jax.Array:
    """Final hidden states [B, T, D] in `compute_dtype`, after the last norm.

    Args:
      tokens_BT: int32 token ids.
      positions_BT: int32 rotary positions; 0, 1, 2, ... along each row if not given.
      segment_ids_BT: int32 packed segments; attention stays inside a segment. None: the whole row is one.
      most_runs: how many of them the fullest row has, see `attention.dot_product_attention`.
      compute_dtype: dtype of activations and of the weights as they are used.
      attention: kernel, see `attention.dot_product_attention`.
      remat: what the backward pass recomputes: 'none', 'products' (norms and activations, no matrix product),
        'attention' (all but attention output, gate and up), 'full'.
      scan: compile one layer and loop over it; costs a copy of the weights into a stack.
    """
    if positions_BT is None:
      positions_BT = jnp.broadcast_to(jnp.arange(tokens_BT.shape[1]), tokens_BT.shape)

    def attend(cache, layer, q_BTHN, k_BTKN, v_BTKN):
      return cache, dot_product_attention(q_BTHN, k_BTKN, v_BTKN, segment_ids_BT=segment_ids_BT, most_runs=most_runs,
                                          impl=attention)
    hidden_BTD, _ = self.run(tokens_BT, positions_BT, attend, compute_dtype=compute_dtype, remat=remat,
                             stacked=self.stacked() if scan else None)
    return hidden_BTD

  def logits(self, hidden: jax.Array) -> jax.Array:
    """Hidden states [..., D] to float32 logits [..., V]."""
    return jnp.einsum('...d,dv->...v', hidden, self.unembedding_DV().astype(hidden.dtype),
                      preferred_element_type=jnp.float32)

  def __call__(self, tokens_BT, **kwargs) -> jax.Array:
    """Logits [B, T, V], float32. Arguments as `hidden`. For long rows and large vocabularies chunk `logits` instead."""
    return self.logits(self.hidden(tokens_BT, **kwargs))


def abstract(config: ModelConfig, param_dtype: jnp.dtype = jnp.float32) -> Transformer:
  """The model with `jax.ShapeDtypeStruct` leaves: shapes and dtypes without memory."""
  def build() -> Transformer:
    rngs: Any = _OneKey()
    return Transformer(config, rngs=rngs, param_dtype=param_dtype)

  return nnx.eval_shape(build)


class _OneKey:
  """For shapes, where nothing is drawn: splitting keys is most of the time that building a model takes."""

  def __init__(self):
    self._key = jax.random.key(0)

  def params(self) -> jax.Array:
    return self._key


def param_axes(config: ModelConfig) -> nnx.State:
  """Logical axis names of every parameter: the structure of `nnx.state(model, nnx.Param)`, tuples for leaves.

  Names: 'vocab', 'embed', 'heads', 'kv_heads', 'head_dim', 'mlp', and None for what is always whole. Use it as
  `jax.tree.map(lambda leaf, axes: ..., nnx.state(model, nnx.Param), param_axes(config))`.
  """
  specs = param_specs(config)

  def axes(path, _):
    found: Any = specs
    for key in path[:-1]:  # the last key is the Param's own value
      found = found[key.key]
    return found.axes
  return jax.tree_util.tree_map_with_path(axes, nnx.state(abstract(config), nnx.Param))
