"""Replay data: `python -m launch.replay --source='corpus/*.jsonl.zst' --tokens=N --tokenizer=DIR --out=DIR`."""

from absl import flags

from data_gen.replay import make_replay
from launch import app, paths

_SOURCE = flags.DEFINE_string('source', None, 'Glob of text, JSONL (.gz, .zst) or parquet files of general text.',
                              required=True)
_TOKENS = flags.DEFINE_integer('tokens', None, 'Stop when the records hold this many tokens.', required=True)
_TOKENIZER = paths.reads('tokenizer', None, 'Folder of the tokenizer that counts: the student\'s.',
                         required=True)
_OUT = paths.writes('out', None, 'Folder for records.jsonl.', required=True)


def main() -> None:
  done = make_replay(_SOURCE.value, _TOKENS.value, _TOKENIZER.value, _OUT.value)
  if done.reused:
    print('nothing to do: the folder already holds this replay data')
  print(f'{done.records:,} records of {done.tokens:,} tokens from {done.files} files in {done.path}')
  if done.exhausted:
    print(f'note: the sources ended before --tokens={_TOKENS.value:,} were reached')


if __name__ == '__main__':
  app.run(main)
