"""What a run starts from: fresh weights with a tokenizer, or a checkpoint with its own."""

import dataclasses
from typing import Any

import jax
from flax import nnx

from data_gen import storage
from data_gen.errors import UserError
from smt_jax import loading
from smt_jax.config import ModelConfig, TrainConfig
from smt_jax.data.mix import Mix
from smt_jax.data.tokenizer import load_tokenizer, pad_id, tokenizer_fingerprint
from smt_jax.state import Setup, fresh_weights

_ROUND_VOCABULARY = 64  # an automatic vocabulary size is a multiple of this, so that meshes divide it


@dataclasses.dataclass(frozen=True)
class Start:
  """A configuration whose open ends are tied: `model` and paths as they are, and the tokenizer that belongs to them."""
  config: TrainConfig
  tokenizer: Any

  def check_data(self, mix: Mix) -> None:
    """Raises UserError where the rows were packed with another tokenizer."""
    if mix.tokenizer_fingerprint != tokenizer_fingerprint(self.tokenizer):
      flag = 'init' if self.config.init else 'tokenizer'
      raise UserError(f'--config.data={self.config.data}: packed with another tokenizer than that of '
                      f'--config.{flag}={getattr(self.config, flag)}')

  def weights(self, setup: Setup) -> nnx.State:
    """The weights before the first step, each tensor read or made straight into its sharding."""
    if not self.config.init:
      return fresh_weights(setup)
    dtype = jax.tree.leaves(setup.weights)[0].dtype
    model, _ = loading.load(self.config.init, dtype=dtype, mesh=setup.mesh)
    return nnx.state(model, nnx.Param)


def resolve(config: TrainConfig) -> Start:
  """Finds out the model's shape and the tokenizer; reads no weights.

  Raises:
    UserError: a checkpoint or tokenizer that is not there or does not fit the model.
  """
  config = dataclasses.replace(config, **{
      name: storage.absolute(getattr(config, name)) for name in ('init', 'tokenizer', 'data', 'replay')
      if getattr(config, name)})
  if not config.init:
    tokenizer = load_tokenizer(config.tokenizer)
    return Start(dataclasses.replace(config, model=_fitted(config.model, tokenizer)), tokenizer)
  found = loading.find(config.init)
  if found.tokenizer_folder is None:
    raise UserError(f'--config.init={config.init}: the checkpoint has no tokenizer')
  tokenizer = loading.open_tokenizer(found)
  return Start(dataclasses.replace(config, model=_fitted(found.config, tokenizer)), tokenizer)


def _fitted(model: ModelConfig, tokenizer: Any) -> ModelConfig:
  """The model with a vocabulary that holds the tokenizer's, and its special ids."""
  size = max(tokenizer.get_vocab().values()) + 1
  if not model.vocab_size:
    model = dataclasses.replace(model, vocab_size=-(-size // _ROUND_VOCABULARY) * _ROUND_VOCABULARY)
  if model.vocab_size < size:
    raise UserError(f'--config.model.vocab_size={model.vocab_size}: the tokenizer has {size} ids')
  eos = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
  return dataclasses.replace(
      model, bos_token_id=tokenizer.bos_token_id if model.bos_token_id is None else model.bos_token_id,
      eos_token_id=model.eos_token_id or eos,
      pad_token_id=pad_id(tokenizer) if model.pad_token_id is None else model.pad_token_id)
