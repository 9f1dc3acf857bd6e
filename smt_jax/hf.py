"""Hugging Face checkpoints <-> parameters, by one table read in both directions.

A linear layer is stored [out, in] by Hugging Face. Here the model width comes first, and heads lie apart from head dim.
So every tensor is either `theirs.reshape(ours)` or `theirs.T.reshape(ours)`; both are views, and a checkpoint of any
size streams through memory one tensor at a time.
"""

import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data_gen.errors import UserError
from data_gen.jsonl import write_json
from smt_jax import hf_config, safetensors_io
from smt_jax.config import ModelConfig
from smt_jax.mesh import path_name
from smt_jax.model import abstract

# Hugging Face's name, ours, and how many of our leading axes are the layer's input (0: in their order)
_TABLE = (
    ('model.embed_tokens.weight', 'embedding_VD', 0),
    ('model.layers.{}.input_layernorm.weight', 'blocks.{}.attention_norm_D', 0),
    ('model.layers.{}.self_attn.q_proj.weight', 'blocks.{}.attention.q_DHN', 1),
    ('model.layers.{}.self_attn.k_proj.weight', 'blocks.{}.attention.k_DKN', 1),
    ('model.layers.{}.self_attn.v_proj.weight', 'blocks.{}.attention.v_DKN', 1),
    ('model.layers.{}.self_attn.o_proj.weight', 'blocks.{}.attention.o_DHN', 0),
    ('model.layers.{}.self_attn.q_norm.weight', 'blocks.{}.attention.q_norm_N', 0),
    ('model.layers.{}.self_attn.k_norm.weight', 'blocks.{}.attention.k_norm_N', 0),
    ('model.layers.{}.post_attention_layernorm.weight', 'blocks.{}.mlp_norm_D', 0),
    ('model.layers.{}.mlp.gate_proj.weight', 'blocks.{}.mlp.gate_DF', 1),
    ('model.layers.{}.mlp.up_proj.weight', 'blocks.{}.mlp.up_DF', 1),
    ('model.layers.{}.mlp.down_proj.weight', 'blocks.{}.mlp.down_DF', 0),
    ('model.norm.weight', 'norm_D', 0),
    ('lm_head.weight', 'head_DV', 1),
)
_BUFFERS = '.rotary_emb.inv_freq'  # what old Llama files hold beside the weights; computed, never loaded
_TOKENIZER_FILES = (
    'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json', 'vocab.json',
    'merges.txt', 'tokenizer.model', 'chat_template.jinja', 'chat_template.json')
WEIGHT_DTYPES = {'float32': np.dtype(np.float32), 'float16': np.dtype(np.float16),
                 'bfloat16': safetensors_io.DTYPES['BF16']}


def mapping(config: ModelConfig) -> dict[str, tuple[str, int]]:
  """Our dotted name -> (Hugging Face's name, input axes) for every parameter of this model, in file order."""
  names = {path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(nnx.state(abstract(config), nnx.Param))}
  found = {}
  for theirs, ours, inputs in _TABLE:
    for layer in range(config.num_hidden_layers) if '{}' in ours else (0,):
      if ours.format(layer) in names:
        found[ours.format(layer)] = (theirs.format(layer), inputs)
  if set(found) != names:
    raise ValueError(f'parameters without an entry in the table: {sorted(names - set(found))}')
  return found


def read_leaves(folder: str | os.PathLike[str], config: ModelConfig, headless: bool = False) -> dict[str, np.ndarray]:
  """Every parameter as a view of the mapped files, under our dotted name, in our shape and the file's dtype.

  Args:
    headless: accept an untied model without its output matrix (embedding models are published so); the parameters
      then leave `head_DV` out.

  Raises:
    UserError: what `safetensors_io.read_folder` raises; an unmapped, missing or doubled key, or a wrong shape.
  """
  tensors = _normalised(safetensors_io.read_folder(folder), folder)
  shapes = {path_name(p): s.shape for p, s in
            jax.tree_util.tree_leaves_with_path(nnx.state(abstract(config), nnx.Param))}
  wanted = mapping(config)
  if headless:
    wanted.pop('head_DV', None)
    tensors.pop('lm_head.weight', None)
  if config.tie_word_embeddings:
    _drop_tied_copy(tensors, folder)
  by_theirs = {theirs: (ours, inputs) for ours, (theirs, inputs) in wanted.items()}
  for key in sorted(set(by_theirs) ^ set(tensors)):
    if key in tensors:
      raise UserError(f'{folder}: key "{key}" has no place in the model that config.json describes')
    raise UserError(f'{folder}: key "{key}" is missing')
  leaves = {}
  for key, (ours, inputs) in by_theirs.items():
    expected = hf_shape(shapes[ours], inputs)
    if tensors[key].shape != expected:
      raise UserError(f'{folder}: key "{key}" has shape {list(tensors[key].shape)}, '
                      f'config.json asks for {list(expected)}')
    leaves[ours] = (tensors[key].T if inputs else tensors[key]).reshape(shapes[ours])
  return leaves


def hf_shape(shape: tuple[int, ...], inputs: int) -> tuple[int, ...]:
  """The shape in which Hugging Face stores a parameter of ours."""
  if inputs:
    return int(np.prod(shape[inputs:])), int(np.prod(shape[:inputs]))
  return (shape[0], int(np.prod(shape[1:]))) if len(shape) > 2 else tuple(shape)


def to_hf_layout(array: np.ndarray, inputs: int) -> np.ndarray:
  """A parameter of ours in Hugging Face's layout; the inverse of what `read_leaves` does."""
  theirs = hf_shape(array.shape, inputs)
  return array.reshape(theirs[::-1]).T if inputs else array.reshape(theirs)


def contiguous(view: np.ndarray) -> np.ndarray:
  """The view itself where it lies in order, else a copy in order; JAX transposes several times faster than numpy."""
  if view.flags.c_contiguous:
    return view
  return np.asarray(jax.device_put(view, jax.local_devices(backend='cpu')[0]))


def _normalised(tensors: dict[str, np.ndarray], folder: Any) -> dict[str, np.ndarray]:
  """Keys with the prefix `model.`, which models saved without their head lack, and without computed buffers."""
  out: dict[str, np.ndarray] = {}
  for key, tensor in tensors.items():
    if key.endswith(_BUFFERS):
      continue
    full = f'model.{key}' if key.startswith(('embed_tokens.', 'layers.', 'norm.')) else key
    if full in out:
      raise UserError(f'{folder}: key "{full}" is doubled: it stands there with and without the prefix "model."')
    out[full] = tensor
  return out


def _drop_tied_copy(tensors: dict[str, np.ndarray], folder: Any) -> None:
  """Some tied models (Qwen3-0.6B) carry the embedding a second time as the head; it must be the same."""
  copy = tensors.pop('lm_head.weight', None)
  embedding = tensors.get('model.embed_tokens.weight')
  if copy is None or embedding is None:
    return
  if copy.shape != embedding.shape or not np.array_equal(copy.view(np.uint8), embedding.view(np.uint8)):
    raise UserError(f'{folder}: key "lm_head.weight" differs from "model.embed_tokens.weight", '
                    'but config.json has tie_word_embeddings=true')


def place(leaves: Mapping[str, np.ndarray], like: nnx.State, where: str) -> nnx.State:
  """Puts numpy leaves onto devices, one at a time, each device reading only its part.

  Args:
    leaves: dotted name -> array (views of mapped files).
    like: nnx.State of jax.ShapeDtypeStruct: dtype and, where set, sharding wanted.
    where: names the checkpoint in complaints.

  Raises:
    UserError: a weight that is not finite.
  """
  def one(path, target):
    leaf = leaves[path_name(path)]
    sharding = target.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    # a copy in any order: the runtime transposes several times faster than numpy, and must not keep the mapped file
    return jax.make_array_from_callback(leaf.shape, sharding, lambda index: np.array(leaf[index], target.dtype))
  return refuse_not_finite(jax.tree_util.tree_map_with_path(one, like), where)


def refuse_not_finite(state: nnx.State, where: str) -> nnx.State:
  """Returns the weights as they came, or raises UserError naming the first that holds NaN or infinity."""
  for path, weight in jax.tree_util.tree_leaves_with_path(state):
    count = int(_not_finite(weight))  # one after the other: many collectives in flight can deadlock on CPU devices
    if count:
      raise UserError(f'{where}: weight "{path_name(path)}" holds {count} values that are NaN or infinite')
  return state


@jax.jit
def _not_finite(x: jax.Array) -> jax.Array:
  return jnp.sum(~jnp.isfinite(x), dtype=jnp.int32)


def export(target: str | os.PathLike[str], config: ModelConfig, leaves: Mapping[str, Any], dtype: str,
           tokenizer: str | os.PathLike[str] | None = None, shard_bytes: int = 5 * 10**9) -> None:
  """Writes a folder that transformers (and so vLLM) loads: config, generation config, weights, tokenizer.

  The folder appears under its name only when it is complete.

  Args:
    leaves: dotted name -> array, or a function without arguments that makes it when it is its turn.
    dtype: a key of `WEIGHT_DTYPES`.
    tokenizer: folder whose tokenizer files are copied.

  Raises:
    UserError: the target exists already, or cannot be written.
  """
  target = pathlib.Path(target)
  check_target(target)
  partial = target.with_name(f'.{target.name}.partial')
  shutil.rmtree(partial, ignore_errors=True)
  try:
    partial.mkdir(parents=True)
    safetensors_io.write_folder(partial, _exported(config, leaves, WEIGHT_DTYPES[dtype]), shard_bytes)
    write_json(partial / 'config.json', hf_config.to_hf(config, dtype))
    write_json(partial / 'generation_config.json', hf_config.generation_config(config))
    if tokenizer is not None:
      copy_tokenizer(tokenizer, partial)
    if target.exists():
      target.rmdir()  # empty, as checked
    os.replace(partial, target)
  except OSError as e:
    raise UserError(f'{target}: cannot write ({e.strerror or e})') from e
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def check_target(target: pathlib.Path) -> None:
  """Raises UserError where something stands under the name of a new folder."""
  if target.is_file() or (target.is_dir() and any(target.iterdir())):
    raise UserError(f'{target}: exists already; name a new folder')


def _exported(config: ModelConfig, leaves: Mapping[str, Any], dtype: np.dtype) -> Iterator[tuple]:
  shapes = {path_name(p): s.shape for p, s in
            jax.tree_util.tree_leaves_with_path(nnx.state(abstract(config), nnx.Param))}
  for ours, (theirs, inputs) in mapping(config).items():
    def source(ours=ours, inputs=inputs):
      leaf = leaves[ours]() if callable(leaves[ours]) else leaves[ours]
      return contiguous(to_hf_layout(np.asarray(leaf).astype(dtype, copy=False), inputs))
    yield theirs, hf_shape(shapes[ours], inputs), dtype, source


def copy_tokenizer(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
  """Copies the tokenizer files of a folder, as they are."""
  for name in _TOKENIZER_FILES:
    if (pathlib.Path(source) / name).is_file():
      shutil.copyfile(pathlib.Path(source) / name, pathlib.Path(target) / name)


def has_tokenizer(folder: str | os.PathLike[str]) -> bool:
  """Whether a folder holds the files of a tokenizer."""
  return any((pathlib.Path(folder) / name).is_file() for name in ('tokenizer.json', 'tokenizer.model', 'vocab.json'))
