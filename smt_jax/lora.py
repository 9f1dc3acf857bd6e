"""Low-rank adaptation: every projection of a layer may get a trained pair beside its frozen weight.

The paper reports that LoRA limits how much is learned; here it is an option on the same step, so that this can be seen,
and so that an 8B model trains on one 80 GB GPU.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from smt_jax.config import LoraConfig, ModelConfig
from smt_jax.linear import LoraParam
from smt_jax.mesh import path_name
from smt_jax.model import Transformer, param_specs

# target: where the weight is in a layer, its name, the letters of its axes (in the name's suffix) that are inputs
TARGETS = {
    'q': ('attention', 'q_DHN', 'D'), 'k': ('attention', 'k_DKN', 'D'), 'v': ('attention', 'v_DKN', 'D'),
    'o': ('attention', 'o_DHN', 'HN'), 'gate': ('mlp', 'gate_DF', 'D'), 'up': ('mlp', 'up_DF', 'D'),
    'down': ('mlp', 'down_DF', 'F'),
}

_INPUTS = {name: inputs for _, name, inputs in TARGETS.values()}


def _adapted(model: Transformer, config: LoraConfig) -> Iterator[tuple[nnx.Module, str, Any, str]]:
  """(module, weight's name, its Spec, its input axes) of every adapted weight."""
  specs = param_specs(model.config)['blocks'][0]
  for block in model.blocks:
    for part, name, inputs in (TARGETS[t] for t in config.targets):
      yield getattr(block, part), name, specs[part][name], inputs


def attach(model: Transformer, config: LoraConfig) -> Transformer:
  """Adds adapters to an abstract model, as float32 `jax.ShapeDtypeStruct`; returns the model."""
  scale = config.alpha / config.rank
  for module, name, spec, inputs in _adapted(model, config):
    into, out = _split(name, inputs, spec.shape)
    a, b = (*into, config.rank), (config.rank, *out)
    setattr(module, f'{name}_a', LoraParam(jax.ShapeDtypeStruct(a, jnp.float32), scale=scale))
    setattr(module, f'{name}_b', LoraParam(jax.ShapeDtypeStruct(b, jnp.float32), scale=scale))
  return model


def parameters(model: ModelConfig, config: LoraConfig) -> int:
  """Parameters of all adapters."""
  block, total = param_specs(model)['blocks'][0], 0
  for part, name, inputs in (TARGETS[t] for t in config.targets):
    into, out = _split(name, inputs, block[part][name].shape)
    total += config.rank * (math.prod(into) + math.prod(out))
  return total * model.num_hidden_layers


def _split(name: str, inputs: str, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
  """Values of the axes of a weight: those of its inputs, those of its outputs."""
  named = list(zip(name.rpartition('_')[2], values))
  return [v for axis, v in named if axis in inputs], [v for axis, v in named if axis not in inputs]


def axes_and_stds(config: ModelConfig, adapters: nnx.State) -> tuple[nnx.State, nnx.State]:
  """Logical axes and initial standard deviations of the adapters, as trees like `adapters`.

  `a` starts as noise of standard deviation 1 / sqrt(3 inputs), that of PEFT's uniform initialisation, `b` as zeros: the
  adapted model starts as the model itself.
  """
  specs = param_specs(config)['blocks'][0]

  def find(path: Any, of: str) -> tuple[list[Any], list[Any], bool]:
    part, name = (k.key for k in path[2:4])
    weight, side = name[:-2], name[-1]
    return *_split(weight, _INPUTS[weight], getattr(specs[part][weight], of)), side == 'a'

  def axes(path: Any, _: Any) -> tuple[str | None, ...]:
    into, out, is_a = find(path, 'axes')
    return (*into, 'rank') if is_a else ('rank', *out)

  def std(path: Any, _: Any) -> float:
    into, _, is_a = find(path, 'shape')
    return 1 / math.sqrt(3 * math.prod(into)) if is_a else 0.0

  return jax.tree_util.tree_map_with_path(axes, adapters), jax.tree_util.tree_map_with_path(std, adapters)


@functools.partial(jax.jit, static_argnums=0)
def _add(name: str, weight: jax.Array, a: jax.Array, b: jax.Array, scale: float) -> jax.Array:
  axes = name.rpartition('_')[2].lower()
  into, out = (''.join(part) for part in _split(name, _INPUTS[name], axes))
  change = jnp.einsum(f'{into}r,r{out}->{axes}', a, b, precision=jax.lax.Precision.HIGHEST) * scale
  return (weight.astype(jnp.float32) + change).astype(weight.dtype)


def merged(config: LoraConfig, adapters: nnx.State, frozen: nnx.State) -> nnx.State:
  """The weights with their adapters added in: what evaluation and export read. The arguments stay as they are."""
  pairs = {path_name(path): x for path, x in jax.tree_util.tree_flatten_with_path(adapters)[0]}

  def one(path: Any, weight: jax.Array) -> jax.Array:
    name = path_name(path)
    if f'{name}_a' not in pairs:
      return weight
    return _add(name.rpartition('.')[2], weight, pairs[f'{name}_a'], pairs[f'{name}_b'], config.alpha / config.rank)

  return jax.tree_util.tree_map_with_path(one, frozen)
