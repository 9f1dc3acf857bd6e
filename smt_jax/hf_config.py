"""Hugging Face's config.json <-> ModelConfig.

Reads the forms of transformers 4 (`rope_theta`, `rope_scaling`) and 5 (`rope_parameters`). What the model cannot
compute is refused by name rather than run wrongly. Writes a form that both versions read without a warning.
"""

import os
import pathlib
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import read_json
from smt_jax.config import ModelConfig

_ARCHITECTURES = {
    'LlamaForCausalLM': 'llama', 'LlamaModel': 'llama', 'Qwen3ForCausalLM': 'qwen3', 'Qwen3Model': 'qwen3',
}
_LLAMA3_KEYS = ('factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings')
# what transformers assumes where config.json says nothing
_DEFAULTS: dict[str, dict[str, Any]] = {
    'llama': {'rms_norm_eps': 1e-6, 'max_position_embeddings': 2048, 'rope_theta': 10000.0},
    'qwen3': {'rms_norm_eps': 1e-6, 'max_position_embeddings': 32768, 'rope_theta': 10000.0, 'head_dim': 128},
}


def read_config(folder: str | os.PathLike[str]) -> ModelConfig:
  """The model that a Hugging Face folder describes; end tokens as in generation_config.json where there is one.

  Raises:
    UserError: a missing or malformed file or field; an architecture or an option that the model does not have.
  """
  folder = pathlib.Path(folder)
  path = folder / 'config.json'
  config = from_hf(read_json(path), str(path))
  generation = folder / 'generation_config.json'
  if generation.exists():
    eos = _token_ids(read_json(generation), 'eos_token_id', str(generation))
    config.eos_token_id = eos or config.eos_token_id
  return config


def from_hf(raw: dict[str, Any], where: str = 'config.json') -> ModelConfig:
  """Checks and translates the content of a config.json. Raises as `read_config`."""
  if not isinstance(raw, dict):
    raise UserError(f'{where}: expected an object, found {type(raw).__name__}')
  family = _family(raw, where)
  _refuse_what_we_lack(raw, where)
  raw = _DEFAULTS[family] | {k: v for k, v in raw.items() if v is not None}
  heads = _number(raw, 'num_attention_heads', int, where)
  hidden = _number(raw, 'hidden_size', int, where)
  raw.setdefault('num_key_value_heads', heads)
  raw.setdefault('head_dim', hidden // heads)
  kv_heads = _number(raw, 'num_key_value_heads', int, where)
  if heads % kv_heads:
    raise UserError(f'{where}: num_attention_heads={heads} is not a multiple of num_key_value_heads={kv_heads}')
  theta, scaling = _rope(raw, where)
  return ModelConfig(
      vocab_size=_number(raw, 'vocab_size', int, where),
      hidden_size=hidden,
      intermediate_size=_number(raw, 'intermediate_size', int, where),
      num_hidden_layers=_number(raw, 'num_hidden_layers', int, where),
      num_attention_heads=heads,
      num_key_value_heads=kv_heads,
      head_dim=_number(raw, 'head_dim', int, where),
      max_position_embeddings=_number(raw, 'max_position_embeddings', int, where),
      rope_theta=theta,
      rope_scaling=scaling,
      rms_norm_eps=_number(raw, 'rms_norm_eps', float, where),
      tie_word_embeddings=bool(raw.get('tie_word_embeddings', False)),
      qk_norm=family == 'qwen3',
      initializer_range=float(raw.get('initializer_range', 0.02)),
      model_type=family,
      bos_token_id=next(iter(_token_ids(raw, 'bos_token_id', where)), None),
      eos_token_id=_token_ids(raw, 'eos_token_id', where),
      pad_token_id=next(iter(_token_ids(raw, 'pad_token_id', where)), None))


def to_hf(config: ModelConfig, dtype: str) -> dict[str, Any]:
  """The content of config.json for weights of `dtype` ('float32', 'bfloat16', 'float16')."""
  eos = list(config.eos_token_id)
  raw = {
      'architectures': ['Qwen3ForCausalLM' if config.model_type == 'qwen3' else 'LlamaForCausalLM'],
      'model_type': config.model_type,
      'vocab_size': config.vocab_size,
      'hidden_size': config.hidden_size,
      'intermediate_size': config.intermediate_size,
      'num_hidden_layers': config.num_hidden_layers,
      'num_attention_heads': config.num_attention_heads,
      'num_key_value_heads': config.num_key_value_heads,
      'head_dim': config.head_dim,
      'max_position_embeddings': config.max_position_embeddings,
      'rope_theta': config.rope_theta,
      'rope_scaling': config.rope_scaling,
      'rms_norm_eps': config.rms_norm_eps,
      'tie_word_embeddings': config.tie_word_embeddings,
      'initializer_range': config.initializer_range,
      'hidden_act': 'silu',
      'attention_bias': False,
      'attention_dropout': 0.0,
      'use_cache': True,
      'bos_token_id': config.bos_token_id,
      'eos_token_id': eos[0] if len(eos) == 1 else eos or None,
      'pad_token_id': config.pad_token_id,
      'dtype': dtype,
  }
  raw |= {'use_sliding_window': False} if config.model_type == 'qwen3' else {'mlp_bias': False}
  return raw


def generation_config(config: ModelConfig) -> dict[str, Any]:
  """The content of generation_config.json: the special tokens; greedy unless the caller asks otherwise."""
  eos = list(config.eos_token_id)
  ids = {'bos_token_id': config.bos_token_id, 'eos_token_id': eos[0] if len(eos) == 1 else eos or None,
         'pad_token_id': config.pad_token_id}
  return {'_from_model_config': True} | {k: v for k, v in ids.items() if v is not None}


def _family(raw: dict[str, Any], where: str) -> str:
  named = raw.get('architectures') or []
  if not isinstance(named, list) or not all(isinstance(n, str) for n in named):
    raise UserError(f'{where}: field "architectures" should be a list of strings, found {named!r}')
  for name in named:
    if name not in _ARCHITECTURES:
      raise UserError(f'{where}: architecture {name} is not supported; supported are LlamaForCausalLM (Llama 2 to 3.2) '
                      'and Qwen3ForCausalLM (dense)')
  family = raw.get('model_type') or (_ARCHITECTURES[named[0]] if named else None)
  if family not in _DEFAULTS:
    raise UserError(f'{where}: model_type {family!r} is not supported; supported are llama and qwen3 (dense)')
  if any(_ARCHITECTURES[name] != family for name in named):
    raise UserError(f'{where}: model_type {family!r} contradicts architectures {named}')
  return family


def _refuse_what_we_lack(raw: dict[str, Any], where: str) -> None:
  for key in ('attention_bias', 'mlp_bias'):
    if raw.get(key):
      raise UserError(f'{where}: {key}=true is not supported: the model has no such bias')
  if raw.get('use_sliding_window') or 'sliding_attention' in (raw.get('layer_types') or ()):
    raise UserError(f'{where}: sliding-window attention is in use, which is not supported')
  other = [t for t in raw.get('layer_types') or () if t != 'full_attention']
  if other:
    raise UserError(f'{where}: layer_types holds {other[0]!r}, which is not supported; expected full_attention alone')
  for key in ('num_experts', 'num_local_experts', 'n_routed_experts'):
    if raw.get(key):
      raise UserError(f'{where}: {key}={raw[key]}: mixture-of-experts models are not supported')
  if raw.get('hidden_act', 'silu') not in ('silu', 'swish'):
    raise UserError(f'{where}: hidden_act={raw["hidden_act"]!r} is not supported, expected silu')
  if raw.get('quantization_config'):
    method = raw['quantization_config'].get('quant_method', 'unknown')
    raise UserError(f'{where}: quantised weights ({method}) are not supported; use the bf16, fp16 or fp32 checkpoint')
  if raw.get('partial_rotary_factor', 1.0) not in (None, 1.0):
    raise UserError(f'{where}: partial_rotary_factor={raw["partial_rotary_factor"]} is not supported')


def _rope(raw: dict[str, Any], where: str) -> tuple[float, dict[str, Any] | None]:
  """(theta, scaling or None) from either version's fields."""
  if 'rope_parameters' in raw:
    name, given = 'rope_parameters', raw['rope_parameters']
  else:
    name, given = 'rope_scaling', raw.get('rope_scaling') or {}
  if not isinstance(given, dict) or any(isinstance(v, dict) for v in given.values()):
    raise UserError(f'{where}: {name}={given!r} is not supported, expected one object for all layers')
  given = {'rope_theta': raw['rope_theta']} | given
  theta = _number(given, 'rope_theta', float, f'{where}: {name}')
  if given.get('partial_rotary_factor', 1.0) != 1.0:
    raise UserError(f'{where}: {name}.partial_rotary_factor={given["partial_rotary_factor"]} is not supported')
  kind = given.get('rope_type', given.get('type', 'default'))
  if kind == 'default':
    return theta, None
  if kind != 'llama3':
    raise UserError(f'{where}: {name}.rope_type={kind!r} is not supported; supported are default and llama3')
  scaling: dict[str, Any] = {'rope_type': 'llama3'}
  for key in _LLAMA3_KEYS:
    scaling[key] = _number(given, key, int if key.startswith('original') else float, f'{where}: {name}')
  return theta, scaling


def _number(raw: dict[str, Any], key: str, kind: type, where: str) -> Any:
  value = raw.get(key)
  if value is None:
    raise UserError(f'{where}: field "{key}" is missing')
  if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0 or kind(value) != value:
    expected = 'a whole number above 0' if kind is int else 'a number above 0'
    raise UserError(f'{where}: field "{key}" should be {expected}, found {value!r}')
  return kind(value)


def _token_ids(raw: dict[str, Any], key: str, where: str) -> tuple[int, ...]:
  value = raw.get(key)
  ids = [] if value is None else value if isinstance(value, list) else [value]
  if not all(isinstance(i, int) and not isinstance(i, bool) for i in ids):
    raise UserError(f'{where}: field "{key}" should be a token id or a list of them, found {value!r}')
  return tuple(i for i in ids if i >= 0)
