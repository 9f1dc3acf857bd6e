"""The miniature world: a small base model and the arms that teach it the study documents. Two CPU cores, minutes a run.

  python -m launch.train --config=configs/world.py:base --workdir=BASE --config.tokenizer=TOKENIZER --config.data=...
  python -m launch.train --config=configs/world.py:smt --workdir=RUN --config.init=BASE --config.data=... \
      --config.replay=... --config.token_budget=...

Variants: `base` (background documents, fresh weights), and the arms at equal tokens: `smt` (QAs and documents 1:1),
`qa` (QAs only), `documents` (documents only).
"""

from data_gen.errors import UserError
from smt_jax.config import DataConfig, LogConfig, ModelConfig, OptimizerConfig, StepConfig, TrainConfig

_RATIOS = {
    'smt': {'qa': 1.0, 'document': 1.0},
    'qa': {'qa': 1.0},
    'documents': {'document': 1.0},
}


def get_config(variant: str = 'smt') -> TrainConfig:
  if variant == 'base':
    return _base()
  if variant not in _RATIOS:
    raise UserError(f'--config=configs/world.py:{variant}: expected one of base, {", ".join(_RATIOS)}')
  return TrainConfig(
      epochs=1.0,
      mix=DataConfig(ratios=_RATIOS[variant], batch_size=2, sequence_length=576),
      optimizer=OptimizerConfig(learning_rate=6e-4),
      step=StepConfig(compute_dtype='float32'),
      log=LogConfig(every_steps=5),
  )


def _base() -> TrainConfig:
  # Small enough for arms on two cores. The tokenizer's ids 1 and 5 end a text and a turn (data_gen/world/tokenizer.py).
  return TrainConfig(
      epochs=1.0,
      model=ModelConfig(vocab_size=0, hidden_size=256, intermediate_size=512, num_hidden_layers=6,
                        num_attention_heads=8, num_key_value_heads=8, head_dim=32, eos_token_id=(1, 5)),
      mix=DataConfig(ratios={'qa': 16.0, 'document': 1.0}, replay_fraction=0.0, batch_size=16, sequence_length=1024),
      optimizer=OptimizerConfig(learning_rate=1.5e-3, weight_decay=0.1, b2=0.98),
      log=LogConfig(every_steps=20),
  )
