"""A checkpoint argument -> model and tokenizer: an Orbax directory (`DIR`, `DIR@STEP`) or a Hugging Face folder."""

import dataclasses
import os
import pathlib
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from data_gen import storage
from data_gen.errors import UserError
from data_gen.jsonl import read_json
from smt_jax import checkpoint, hf, hf_config
from smt_jax.config import MeshConfig, ModelConfig, from_dict
from smt_jax.data.tokenizer import load_tokenizer
from smt_jax.mesh import AxisRules, make_mesh, shardings
from smt_jax.model import Transformer, abstract, param_axes

PathLike = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """What a checkpoint argument names. `step` is None for Hugging Face folders."""
  kind: Literal['orbax', 'hf']
  folder: pathlib.Path
  step: int | None
  config: ModelConfig
  tokenizer_folder: pathlib.Path | None  # None: the checkpoint has no tokenizer
  shown: str = ''  # where it really lies, if `folder` is a copy

  @property
  def name(self) -> str:
    folder = self.shown or str(self.folder)
    return folder if self.step is None else f'{folder}@{self.step}'


def find(path: PathLike) -> Checkpoint:
  """Looks at a checkpoint argument without loading it.

  Raises:
    UserError: nothing there, neither kind of checkpoint, no such step, or a config that is refused.
  """
  text = os.fspath(path)
  folder, step = text, None
  if '@' in text and not os.path.exists(text):
    folder, _, tail = text.rpartition('@')
    if not tail.isdigit():
      raise UserError(f'{text}: expected one step after "@", as in {folder}@1000')
    step = int(tail)
  if storage.is_remote(folder):
    return dataclasses.replace(_find(*_staged(folder, step), text), shown=folder.rstrip('/'))
  return _find(pathlib.Path(folder), step, text)


def _staged(url: str, step: int | None) -> tuple[pathlib.Path, int | None]:
  """A remote checkpoint on this machine's disk; of a work directory the weights of one step and what goes with them."""
  names = storage.listdir(url)
  if not names:
    raise UserError(f'{url}: no such checkpoint folder')
  if 'checkpoints' not in names:
    return pathlib.Path(storage.local(url)), step
  step = _chosen(url, checkpoint.steps(url), step)
  where = f'{url.rstrip("/")}/checkpoints/{step}'
  for part in [f'{url.rstrip("/")}/{name}' for name in ('config.json', 'tokenizer') if name in names] + [
      f'{where}/meta', f'{where}/params']:
    params = storage.local(part)
  return pathlib.Path(params).parents[2], step


def _find(folder: pathlib.Path, step: int | None, text: str) -> Checkpoint:
  if not folder.is_dir():
    raise UserError(f'{text}: no such checkpoint folder')
  if (folder / 'checkpoints').is_dir():
    return _find_orbax(folder, step)
  if step is not None:
    raise UserError(f'{text}: {folder} holds no checkpoints/, so it has no steps to choose from')
  if not (folder / 'config.json').is_file():
    raise UserError(f'{folder}: expected a work directory (checkpoints/) or a Hugging Face folder (config.json)')
  return Checkpoint('hf', folder, None, hf_config.read_config(folder), folder if hf.has_tokenizer(folder) else None)


def _find_orbax(folder: pathlib.Path, step: int | None) -> Checkpoint:
  step = _chosen(folder, checkpoint.steps(folder), step)
  where = folder / 'config.json'
  raw = read_json(where)
  if not isinstance(raw, dict) or 'model' not in raw:
    raise UserError(f'{where}: field "model" is missing')
  config = from_dict(ModelConfig, raw['model'], f'{where}: model')
  tokenizer = folder / 'tokenizer'
  return Checkpoint('orbax', folder, step, config, tokenizer if hf.has_tokenizer(tokenizer) else None)


def _chosen(folder: PathLike, known: list[int], step: int | None) -> int:
  if not known:
    raise UserError(f'{folder}: holds no complete checkpoint yet')
  if step is not None and step not in known:
    raise UserError(f'{folder}: no checkpoint of step {step}; there are: {", ".join(map(str, known))}')
  return known[-1] if step is None else step


def expand(path: PathLike) -> list[str]:
  """`DIR@all` as one argument a step, ascending; anything else as it is."""
  text = os.fspath(path)
  if not text.endswith('@all') or pathlib.Path(text).exists():
    return [text]
  folder = text.removesuffix('@all')
  steps = checkpoint.steps(folder)
  if not steps:
    raise UserError(f'{folder}: holds no complete checkpoint')
  return [f'{folder}@{step}' for step in steps]


def load(path: PathLike, *, dtype: Any = None, mesh: jax.sharding.Mesh | None = None, rules: AxisRules | None = None,
         headless: bool = False) -> tuple[Transformer, Any]:
  """The model and its tokenizer (None where the checkpoint has none).

  Weights go leaf by leaf into their final place: besides the model, one tensor is in memory.

  Args:
    path: `DIR`, `DIR@STEP` or a Hugging Face folder.
    dtype: of the parameters; None: as stored (fp16 becomes float32, which holds it exactly).
    mesh: shards the parameters by `rules`; None: one device.
    headless: accept an untied model without output matrix (embedding models); its logits mean nothing.

  Raises:
    UserError: what `find` raises; damaged, contradictory or non-finite weights; a tokenizer that the embedding cannot
      hold.
  """
  found = find(path)
  tokenizer = open_tokenizer(found)
  config = dataclasses.replace(found.config)
  leaves = None
  if found.kind == 'hf':
    leaves = hf.read_leaves(found.folder, config, headless)
    if headless and 'head_DV' not in leaves:
      config.tie_word_embeddings = True
  stored = leaves['embedding_VD'].dtype if leaves else checkpoint.stored_dtype(found.folder, found.step or 0)
  wanted = jnp.dtype(dtype if dtype is not None else 'float32' if stored == jnp.float16 else stored)
  model = abstract(config, wanted)
  graph, like = nnx.split(model)
  if mesh is not None:
    like = jax.tree.map(lambda s, sharding: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding), like,
                        shardings(param_axes(config), like, mesh, rules))
  if leaves is not None:
    state = hf.place(leaves, like, found.name)
  else:
    state = hf.refuse_not_finite(checkpoint.restore_params(found.folder, found.step or 0, like), found.name)
  return nnx.merge(graph, state), tokenizer


def open_tokenizer(found: Checkpoint) -> Any:
  """The checkpoint's tokenizer, or None where it has none.

  Raises:
    UserError: it cannot be loaded, or has more tokens than the embedding has rows.
  """
  if found.tokenizer_folder is None:
    return None
  tokenizer = load_tokenizer(found.tokenizer_folder)
  if len(tokenizer) > found.config.vocab_size:
    raise UserError(f'{found.tokenizer_folder}: the tokenizer has {len(tokenizer)} tokens, but the embedding of '
                    f'{found.name} has {found.config.vocab_size} rows')
  return tokenizer


def load_over_devices(path: PathLike, *, dtype: Any = None, tensor: int = 1,
                      ) -> tuple[Transformer, Any, jax.sharding.Mesh | None]:
  """(model, tokenizer, mesh) over all accelerators: weights cut `tensor` ways, rows over the rest; one CPU: no mesh.

  Raises:
    UserError: what `load` raises; a `tensor` that does not divide the devices or the heads.
  """
  many = jax.device_count() > 1 and jax.default_backend() != 'cpu'
  mesh = make_mesh(MeshConfig(data=-1, fsdp=1, tensor=tensor)) if many or tensor > 1 else None
  model, tokenizer = load(path, dtype=dtype, mesh=mesh)
  return model, tokenizer, mesh
