"""Trains a small byte-level BPE tokenizer on documents or records and writes it as a Hugging Face folder."""

from absl import flags

from data_gen.errors import UserError
from data_gen.world.tokenizer import texts_of, train_tokenizer
from launch import paths
from launch.app import run

_SOURCE = paths.reads('source', None, 'Glob of JSONL files with documents or records to train on.',
                      required=True)
_VOCAB_SIZE = flags.DEFINE_integer('vocab_size', 2048, 'Number of tokens, special ones included.')
_NUMBERS = flags.DEFINE_list('numbers', [], 'Ranges of numbers with a token each, such as 10-999,1600-1949.')
_OUT = paths.writes('out', None, 'Folder to write.', required=True)


def _range(text: str) -> tuple[int, int]:
  low, dash, high = text.partition('-')
  if not dash or not (low.isdecimal() and high.isdecimal()):
    raise UserError(f'--numbers={text}: expected LOW-HIGH')
  return int(low), int(high)


def main() -> None:
  size = train_tokenizer(texts_of(_SOURCE.value), _VOCAB_SIZE.value, _OUT.value,
                         [_range(text) for text in _NUMBERS.value])
  print(f'{size} tokens -> {_OUT.value}')


if __name__ == '__main__':
  run(main)
