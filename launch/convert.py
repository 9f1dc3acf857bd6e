"""Converts a checkpoint between Hugging Face's form and a work directory.

  python -m launch.convert --source=Llama-3.1-8B-Instruct --target=llama --to=orbax
  python -m launch.convert --source=runs/smt@1000 --target=llama-smt --to=hf --dtype=bfloat16
"""

from absl import flags

from launch import paths
from launch.app import run

_SOURCE = flags.DEFINE_string(
    'source', None, 'Checkpoint: a Hugging Face folder or a work directory (DIR, DIR@STEP).', required=True)
_TARGET = paths.writes('target', None, 'New folder to write.', required=True)
_TO = flags.DEFINE_enum(
    'to', None, ['orbax', 'hf'], 'Form to write: a work directory, or a folder for transformers and vLLM.',
    required=True)
_DTYPE = flags.DEFINE_enum(
    'dtype', '', ['', 'float32', 'bfloat16', 'float16'], 'Dtype of the weights written; empty: as they are stored.')
_SHARD_GB = flags.DEFINE_float(
    'shard_gb', 5.0, 'Largest safetensors file, in units of 10^9 bytes.', lower_bound=0.0)


def main() -> None:
  from smt_jax import convert
  if _TO.value == 'orbax':
    target = convert.to_orbax(_SOURCE.value, _TARGET.value, _DTYPE.value or None)
  else:
    target = convert.to_hf(_SOURCE.value, _TARGET.value, _DTYPE.value or None, int(_SHARD_GB.value * 10**9))
  print(f'checkpoint: {target}')


if __name__ == '__main__':
  run(main)
