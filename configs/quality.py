"""The paper's run (arXiv 2603.23562): an instruct model on synthetic QAs and documents about QuALITY's articles.

  python -m launch.train --config=configs/quality.py:llama8b --workdir=RUN --config.init=Llama-3.1-8B-Instruct \
      --config.data=PACKED --config.replay=PACKED_REPLAY

16 rows of 2,048 tokens a step, AdamW (betas 0.9 and 0.999, weight decay 0.01), two epochs, 10% replay. Learning rate
5e-6, cosine to 0 and 5% warm-up are EntiGraph's (arXiv 2409.07431): every value that the paper states equals theirs.

Variants name the student and with it the memory that the state takes (float32 weights and second moment, bfloat16 first
moment: 10 bytes a parameter, and 4 more while a step runs). `llama8b` needs one GPU of 141 GB (compiled: 122 of 134
GiB) or four of 80 GB; `large_batch` is the same run in 128 rows a step, for pods, with the learning rate scaled by
the square root.
"""

import math

from configs import models
from data_gen.errors import UserError
from smt_jax.config import CheckpointConfig, DataConfig, LogConfig, OptimizerConfig, StepConfig, TrainConfig

_STUDENTS = {'llama8b': models.llama8b, 'qwen1_7b': models.qwen1_7b, 'qwen4b': models.qwen4b, 'qwen8b': models.qwen8b,
             'qwen14b': models.qwen14b, 'large_batch': models.llama8b}
_LARGE = 8


def get_config(variant: str = 'llama8b') -> TrainConfig:
  if variant not in _STUDENTS:
    raise UserError(f'--config=configs/quality.py:{variant}: expected one of {", ".join(_STUDENTS)}')
  scale = _LARGE if variant == 'large_batch' else 1
  return TrainConfig(
      epochs=2.0,
      model=_STUDENTS[variant](),  # for planning: a run takes that of its --config.init
      mix=DataConfig(ratios={'qa': 1.0, 'document': 1.0}, replay_fraction=0.1, batch_size=16 * scale,
                     sequence_length=2048),
      optimizer=OptimizerConfig(learning_rate=5e-6 * math.sqrt(scale), schedule='cosine', warmup_fraction=0.05,
                                weight_decay=0.01, b1=0.9, b2=0.999, mu_dtype='bfloat16'),
      step=StepConfig(param_dtype='float32', compute_dtype='bfloat16'),
      checkpoint=CheckpointConfig(every_minutes=20, keep_last=2),
      log=LogConfig(every_steps=10, eval_every_steps=500),
  )
