"""Typed configuration of a training run.

A recipe in `configs/` is a function that returns a `TrainConfig`; flags override single fields
(`--config.optimizer.learning_rate=1e-3`); `validate` then checks the whole once, before anything is built, and the
resolved value is written as JSON beside every checkpoint and result.
"""

import dataclasses
import types
import typing
from typing import Any

from data_gen.errors import UserError


@dataclasses.dataclass
class ModelConfig:
  """A decoder of the Llama family; fields are named as in Hugging Face's config.json.

  Qwen3 differs from Llama by `qk_norm`, an explicit `head_dim` and its constants.
  """
  vocab_size: int = 2048  # 0: the tokenizer's, rounded up to a multiple of 64
  hidden_size: int = 192
  intermediate_size: int = 512
  num_hidden_layers: int = 8
  num_attention_heads: int = 6
  num_key_value_heads: int = 3
  head_dim: int = 32
  max_position_embeddings: int = 2048
  rope_theta: float = 10000.0
  rope_scaling: dict[str, Any] | None = None  # {'rope_type': 'llama3', 'factor': ..., ...} or None
  rms_norm_eps: float = 1e-5
  tie_word_embeddings: bool = True
  qk_norm: bool = False
  initializer_range: float = 0.02
  model_type: str = 'llama'  # 'llama' or 'qwen3': what is written into config.json on export
  bos_token_id: int | None = None
  eos_token_id: tuple[int, ...] = ()
  pad_token_id: int | None = None


@dataclasses.dataclass
class MeshConfig:
  """Sizes of the mesh axes; one of them may be -1 (all devices that are left)."""
  data: int = 1
  fsdp: int = -1
  tensor: int = 1
  context: int = 1


@dataclasses.dataclass
class DataConfig:
  """How packed rows are mixed into batches.

  `ratios` weigh the kinds (or sources) of `TrainConfig.data` by tokens; replay takes `replay_fraction` of all tokens.
  """
  ratios: dict[str, float] = dataclasses.field(default_factory=lambda: {'qa': 1.0, 'document': 1.0})
  replay_fraction: float = 0.1
  batch_size: int = 16  # rows a step, over all hosts
  sequence_length: int = 2048
  document_masking: bool = True  # attention stays inside a packed segment
  prefetch: int = 4  # batches read ahead


@dataclasses.dataclass
class OptimizerConfig:
  """AdamW with linear warm-up and a schedule to `final_learning_rate_fraction`."""
  learning_rate: float = 5e-6
  schedule: str = 'cosine'  # 'cosine', 'linear', 'constant'
  warmup_fraction: float = 0.05
  final_learning_rate_fraction: float = 0.0
  weight_decay: float = 0.01
  b1: float = 0.9
  b2: float = 0.999
  eps: float = 1e-8
  clip_norm: float = 1.0
  mu_dtype: str = 'float32'
  nu_dtype: str = 'float32'


@dataclasses.dataclass
class LoraConfig:
  """Low-rank adaptation; rank 0 trains every weight."""
  rank: int = 0
  alpha: float = 32.0
  targets: tuple[str, ...] = ('q', 'k', 'v', 'o', 'gate', 'up', 'down')


@dataclasses.dataclass
class StepConfig:
  """How one step is computed."""
  param_dtype: str = 'float32'
  compute_dtype: str = 'bfloat16'
  attention: str = 'auto'  # 'auto', 'xla', 'cudnn', 'pallas'
  remat: str = 'auto'  # 'auto', 'none', 'products', 'attention', 'full'
  loss_chunks: int = 0  # 0: chosen so that one chunk of logits stays small
  scan_layers: bool = False
  accumulation_steps: int = 1
  whole_state: bool = False  # let every device hold all of a large state (data parallelism alone)


@dataclasses.dataclass
class CheckpointConfig:
  """When checkpoints are written and which stay."""
  every_steps: int = 0  # 0: only the last
  every_minutes: float = 0.0
  keep_last: int = 2
  keep_best: int = 0
  asynchronous: bool = True


@dataclasses.dataclass
class LogConfig:
  """What is watched and how often."""
  every_steps: int = 10
  eval_every_steps: int = 0
  eval_rows: int = 64  # held-out rows per kind
  profile_at_step: int = 0
  tensorboard: bool = True
  wandb_project: str = ''


@dataclasses.dataclass
class TrainConfig:
  """One training run. `init`, `data`, `replay`, `token_budget` and `seed` are the flags every recipe takes."""
  init: str = ''  # checkpoint to start from; empty: fresh weights of `model`
  tokenizer: str = ''  # only with fresh weights; otherwise the checkpoint's own
  data: str = ''  # folder written by launch.pack
  replay: str = ''  # folder written by launch.pack; empty: no replay
  token_budget: int = 0  # tokens to train on; 0: `epochs` passes over the longer pool
  epochs: float = 2.0
  seed: int = 0
  model: ModelConfig = dataclasses.field(default_factory=ModelConfig)  # ignored with `init`
  mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
  mix: DataConfig = dataclasses.field(default_factory=DataConfig)
  optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
  lora: LoraConfig = dataclasses.field(default_factory=LoraConfig)
  step: StepConfig = dataclasses.field(default_factory=StepConfig)
  checkpoint: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
  log: LogConfig = dataclasses.field(default_factory=LogConfig)


def to_dict(config: Any) -> dict[str, Any]:
  """The config as JSON-able values; tuples become lists."""
  return dataclasses.asdict(config)


def from_dict(cls: type, values: dict[str, Any], where: str = 'config') -> Any:
  """Builds a config from JSON values.

  Raises:
    UserError: an unknown key or a value of the wrong type, named with its full path.
  """
  if not isinstance(values, dict):
    raise UserError(f'{where}: expected an object, found {type(values).__name__}')
  hints = typing.get_type_hints(cls)
  unknown = sorted(set(values) - set(hints))
  if unknown:
    raise UserError(f'{where}.{unknown[0]}: unknown key; known are {", ".join(sorted(hints))}')
  return cls(**{k: _coerce(hints[k], v, f'{where}.{k}') for k, v in values.items()})


def _coerce(hint: Any, value: Any, where: str) -> Any:
  if dataclasses.is_dataclass(hint):
    return from_dict(typing.cast(type, hint), value, where)
  origin = typing.get_origin(hint)
  if origin in (typing.Union, types.UnionType):
    inner = [a for a in typing.get_args(hint) if a is not type(None)]
    return None if value is None else _coerce(inner[0], value, where)
  if origin is tuple and isinstance(value, list | tuple):
    return tuple(_coerce(typing.get_args(hint)[0], v, where) for v in value)
  if origin is dict and isinstance(value, dict):
    of = typing.get_args(hint)[1]
    return {k: _coerce(of, v, f'{where}.{k}') for k, v in value.items()}
  if hint is Any:
    return value
  if hint is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  plain = origin or hint
  if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
    raise UserError(f'{where}: expected {plain.__name__}, found {value!r}')
  return value


_CHOICES = {
    'optimizer.schedule': ('cosine', 'linear', 'constant'),
    'optimizer.mu_dtype': ('float32', 'bfloat16'),
    'optimizer.nu_dtype': ('float32', 'bfloat16'),
    'step.param_dtype': ('float32', 'bfloat16'),
    'step.compute_dtype': ('float32', 'bfloat16'),
    'step.attention': ('auto', 'xla', 'cudnn', 'pallas'),
    'step.remat': ('auto', 'none', 'products', 'attention', 'full'),
    'model.model_type': ('llama', 'qwen3'),
}

_POSITIVE = (
    'mix.batch_size', 'mix.sequence_length', 'mix.prefetch', 'step.accumulation_steps',
    'model.hidden_size', 'model.intermediate_size', 'model.num_hidden_layers', 'model.num_attention_heads',
    'model.num_key_value_heads', 'model.head_dim', 'model.max_position_embeddings', 'optimizer.learning_rate',
    'log.every_steps', 'checkpoint.keep_last')


_NOT_NEGATIVE = (
    'step.loss_chunks', 'checkpoint.every_steps', 'checkpoint.every_minutes', 'checkpoint.keep_best',
    'log.eval_every_steps', 'log.eval_rows', 'log.profile_at_step', 'optimizer.weight_decay', 'optimizer.eps')


def get(config: Any, path: str) -> Any:
  """The field at a dotted path."""
  for name in path.split('.'):
    config = getattr(config, name)
  return config


def validate(config: TrainConfig) -> TrainConfig:
  """Checks values and combinations before anything is built.

  Raises:
    UserError: one line naming the flag and what was expected.
  """
  def refuse(path: str, expected: str) -> None:
    raise UserError(f'--config.{path}={get(config, path)!r}: expected {expected}')

  for path, choices in _CHOICES.items():
    if get(config, path) not in choices:
      refuse(path, 'one of ' + ', '.join(choices))
  for path in _POSITIVE:
    if not get(config, path) > 0:
      refuse(path, 'a value above 0')
  for path in _NOT_NEGATIVE:
    if get(config, path) < 0:
      refuse(path, 'a value of 0 or above')
  if not config.data:
    refuse('data', 'a folder written by launch.pack')
  if not 0 <= config.mix.replay_fraction < 1:
    refuse('mix.replay_fraction', 'a share from 0 to below 1')
  if config.mix.replay_fraction > 0 and not config.replay:
    refuse('replay', 'a packed replay folder, or --config.mix.replay_fraction=0')
  if not config.mix.ratios or any(r < 0 for r in config.mix.ratios.values()) or not any(config.mix.ratios.values()):
    refuse('mix.ratios', 'weights of 0 or more, one of them above 0')
  if config.token_budget < 0:
    refuse('token_budget', 'a number of tokens, or 0 for whole epochs')
  if config.token_budget == 0 and config.epochs <= 0:
    refuse('epochs', 'a value above 0 when token_budget is 0')
  if not config.init and not config.tokenizer:
    refuse('tokenizer', 'a tokenizer folder, as no --config.init names a checkpoint')
  if config.init and config.tokenizer:
    refuse('tokenizer', 'nothing, as the tokenizer comes with --config.init')
  for path in ('optimizer.b1', 'optimizer.b2'):
    if not 0 <= get(config, path) < 1:
      refuse(path, 'a value from 0 to below 1')
  if config.lora.rank < 0:
    refuse('lora.rank', '0 (train all weights) or a rank above 0')
  if config.lora.rank and not (config.lora.alpha > 0 and config.lora.targets):
    refuse('lora', 'alpha above 0 and at least one target')
  for target in config.lora.targets:
    if target not in LoraConfig.targets:
      refuse('lora.targets', 'some of ' + ', '.join(LoraConfig.targets))
  if config.checkpoint.keep_best and not config.log.eval_every_steps:
    refuse('checkpoint.keep_best', '0, or --config.log.eval_every_steps above 0')
  if config.model.num_attention_heads % config.model.num_key_value_heads:
    refuse('model.num_key_value_heads', f'a divisor of num_attention_heads={config.model.num_attention_heads}')
  if config.mix.batch_size % config.step.accumulation_steps:
    refuse('step.accumulation_steps', f'a divisor of batch_size={config.mix.batch_size}')
  if not 0 <= config.optimizer.warmup_fraction < 1:
    refuse('optimizer.warmup_fraction', 'a share from 0 to below 1')
  axes = dataclasses.asdict(config.mesh)
  if sum(size == -1 for size in axes.values()) > 1 or any(size == 0 or size < -1 for size in axes.values()):
    raise UserError(f'--config.mesh: {axes}: sizes must be 1 or more, at most one of them -1')
  return config
