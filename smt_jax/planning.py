"""What a run will take before it is started: device hours, disk, and when it pays beside retrieval."""

import dataclasses

from smt_jax import lora
from smt_jax.chips import Chip
from smt_jax.config import ModelConfig, TrainConfig
from smt_jax.metrics import flops_per_token, matmul_parameters

_WIDTH = {'float32': 4, 'bfloat16': 2}
TOKEN_BYTES = 16  # assumed, on disk: 12 of records and the answers that they were cut from, 4 of packed rows


def parameters(model: ModelConfig) -> int:
  """All matrices' parameters, the embedding included (norms, a few thousandths of a percent, are left out)."""
  return matmul_parameters(model) + (0 if model.tie_word_embeddings else model.vocab_size * model.hidden_size)


def training_tokens(config: TrainConfig, synthetic: int) -> int:
  """Real tokens trained on: the budget, else the epochs over `synthetic` tokens (pools of equal size) and replay."""
  return config.token_budget or round(config.epochs * synthetic / (1 - config.mix.replay_fraction))


def device_hours(config: TrainConfig, tokens: int, chip: Chip, mfu: float) -> float:
  """Hours of one chip at a model FLOPs utilisation `mfu` (0 to 1)."""
  return tokens * flops_per_token(config.model, config.mix.sequence_length) / (chip.flops * mfu) / 3600


def checkpoint_bytes(config: TrainConfig) -> int:
  """Bytes on disk at most: the checkpoints that are kept and the one that is being written."""
  step, optimizer, all_weights = config.step, config.optimizer, parameters(config.model)
  moments = _WIDTH[optimizer.mu_dtype] + _WIDTH[optimizer.nu_dtype]
  if config.lora.rank:  # weights with the adapters added in, and the adapters in float32 with their moments
    one = all_weights * _WIDTH[step.compute_dtype] + lora.parameters(config.model, config.lora) * (4 + moments)
  else:
    one = all_weights * (_WIDTH[step.param_dtype] + moments)
  return one * (config.checkpoint.keep_last + config.checkpoint.keep_best + 1)


def corpus_bytes(synthetic: int) -> int:
  """About the bytes on disk of `synthetic` tokens: records, answers and packed rows."""
  return synthetic * TOKEN_BYTES


@dataclasses.dataclass(frozen=True)
class Retrieval:
  """A query of RAG beside one without: chunks of the documents in the prompt."""
  chunk_size: int = 512
  top_k: int = 5

  @property
  def tokens(self) -> int:
    """Prompt tokens that a closed-book query does without."""
    return self.chunk_size * self.top_k


def break_even(dollars: float, per_query: float) -> float:
  """Queries after which `dollars` spent once equal what retrieval costs more for each."""
  return dollars / per_query if per_query else float('inf')
