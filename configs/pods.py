"""The paper's run of Llama 3.1 8B by machine: python -m launch.train --config=configs/pods.py:v5p_32 --config.init=...

A preset is CHIP_COUNT or CHIP_COUNT_large. The first is the paper's step, 16 rows of 2,048 tokens; `large` takes 128
rows and the square root of 8 times the learning rate (see quality.py). `python -m launch.compile_check --preset=v5p`
checks them; docs/scaling.md has their table.

Rows are cut over data x fsdp, so 16 rows occupy at most 16 parts of a mesh; more chips than that share a row over
`tensor` (Llama has 8 key heads, so at most 8) and then `context`.
"""

import dataclasses

from configs import quality
from data_gen.errors import UserError
from smt_jax.chips import parse_topology
from smt_jax.config import LoraConfig, MeshConfig, TrainConfig

_SHAPES = {'v5e': {16: '4x4', 32: '4x8', 64: '8x8', 256: '16x16'},
           'v6e': {16: '4x4', 32: '4x8', 64: '8x8', 256: '16x16'},
           'v5p': {16: '2x2x4', 32: '2x4x4', 64: '4x4x4', 256: '4x8x8'}}
_FAITHFUL = {16: (16, 1, 1), 32: (16, 2, 1), 64: (16, 4, 1), 256: (16, 8, 2)}  # chips -> fsdp, tensor, context
_LARGE = {16: (16, 1, 1), 32: (32, 1, 1), 64: (64, 1, 1), 256: (128, 2, 1)}


@dataclasses.dataclass(frozen=True)
class Preset:
  """A machine and how the run lies on it."""
  topology: str
  fsdp: int
  tensor: int = 1
  context: int = 1
  large: bool = False
  accumulation_steps: int = 1
  lora_rank: int = 0


def _presets() -> dict[str, Preset]:
  found: dict[str, Preset] = {}
  for chip, shapes in _SHAPES.items():
    for chips, shape in shapes.items():
      found[f'{chip}_{chips}'] = Preset(f'{chip}:{shape}', *_FAITHFUL[chips])
      found[f'{chip}_{chips}_large'] = Preset(f'{chip}:{shape}', *_LARGE[chips], large=True,
                                              accumulation_steps=_MICRO.get(f'{chip}_{chips}', 1))
  found['v5e_16_large'] = dataclasses.replace(found['v5e_16_large'], fsdp=8, tensor=2, accumulation_steps=16)
  found['h100_1'] = Preset('h100:1', 1, lora_rank=64)  # all weights' state alone is 80 GB
  found['h200_1'] = Preset('h200:1', 1)
  for chip in ('h100', 'h200'):
    for chips in (4, 8):
      found[f'{chip}_{chips}'] = Preset(f'{chip}:{chips}', chips)
      found[f'{chip}_{chips}_large'] = Preset(f'{chip}:{chips}', chips, large=True,
                                              accumulation_steps=_MICRO.get(f'{chip}_{chips}', 1))
  return found


# micro-batches of the large step where 128 rows do not fit at once
_MICRO = {'v5e_16': 8, 'v5e_32': 4, 'v5e_64': 2, 'v6e_16': 4, 'v6e_32': 2, 'h100_4': 8, 'h100_8': 4, 'h200_4': 4,
          'h200_8': 2}
PRESETS = _presets()


def get_config(variant: str) -> TrainConfig:
  """The configuration of a preset; `launch.train` still needs --config.init, --config.data and --config.replay."""
  if variant not in PRESETS:
    raise UserError(f'--config=configs/pods.py:{variant}: expected one of {", ".join(PRESETS)}')
  preset = PRESETS[variant]
  config = quality.get_config('large_batch' if preset.large else 'llama8b')
  config.mesh = MeshConfig(data=1, fsdp=preset.fsdp, tensor=preset.tensor, context=preset.context)
  config.step.accumulation_steps = preset.accumulation_steps
  config.step.scan_layers = parse_topology(preset.topology).chip.platform == 'tpu'  # one layer to compile, not 32
  if preset.lora_rank:
    config.lora = LoraConfig(rank=preset.lora_rank)
    config.optimizer.learning_rate = 1e-4  # adapters learn at rates some twenty times those of whole weights
  return config


def named(beginning: str) -> list[str]:
  """Presets by exact name, by the beginning of their names, or 'all'.

  Raises:
    UserError: none of that name.
  """
  if beginning in PRESETS:
    return [beginning]
  found = [name for name in PRESETS if beginning == 'all' or name.startswith(beginning)]
  if not found:
    raise UserError(f'--preset={beginning}: expected all, or a name or its beginning from {", ".join(PRESETS)}')
  return found
