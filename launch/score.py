"""Log-probabilities of given token sequences.

  python -m launch.score --checkpoint=runs/smt --input=ids.jsonl --output=logprobs.jsonl

Lines of the input: {"ids": [1, 15, 7]}; of the output: {"logprobs": [-2.1, -0.3]}, natural logarithms of the
probability of each token but the first given those before it.
"""

from absl import flags
from tqdm import tqdm

from launch import paths
from launch.app import run

_CHECKPOINT = flags.DEFINE_string(
    'checkpoint', None, 'Work directory (DIR, DIR@STEP) or Hugging Face folder.', required=True)
_INPUT = paths.reads('input', None, 'File of lines {"ids": [...]}.', required=True)
_OUTPUT = paths.writes('output', None, 'File to write, lines {"logprobs": [...]}.', required=True)
_DTYPE = flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'Dtype of weights and computation.')
_TENSOR = flags.DEFINE_integer('tensor', 1, 'Devices over which the weights are cut.', lower_bound=1)
_MAX_BATCH = flags.DEFINE_integer('max_batch', 0, 'Most rows at once; 0: by the memory.', lower_bound=0)


def main() -> None:
  from smt_jax.score import score
  with tqdm(unit=' sequences', disable=None) as bar:
    def show(p) -> None:
      bar.total = p.total
      bar.set_postfix_str(f'{p.tokens_per_second:,.0f} tokens/s')
      bar.update(p.done - bar.n)
    count = score(_CHECKPOINT.value, _INPUT.value, _OUTPUT.value, dtype=_DTYPE.value, tensor=_TENSOR.value,
                  max_batch=_MAX_BATCH.value, progress=show)
  print(f'scored {count:,} sequences: {_OUTPUT.value}')


if __name__ == '__main__':
  run(main)
