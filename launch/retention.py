"""Measures what training cost elsewhere: python -m launch.retention --before=BASE --after=DIR --text='held_out/*.txt'
--questions=mmlu.jsonl --out=DIR. Writes retention.json."""

import glob
import pathlib

from absl import flags

from data_gen.errors import UserError
from data_gen.jsonl import write_json
from data_gen.readers.stream import stream_texts
from launch import app, paths

_BEFORE = flags.DEFINE_string('before', None, 'Checkpoint that training began with.', required=True)
_AFTER = flags.DEFINE_string('after', None, 'Checkpoint after training.', required=True)
_TEXT = paths.reads('text', '', 'Files (glob) of general text that was in no training data: text, JSONL with '
                    '"text", parquet.')
_MAX_MB = flags.DEFINE_float('max_mb', 4.0, 'Most text that is read, in millions of bytes; 0: all.')
_WINDOW = flags.DEFINE_integer('window', 2048, 'Most tokens that a prediction sees.')
_QUESTIONS = paths.reads('questions', '', 'Multiple-choice questions, one {"question", "options", "answer"} a '
                         'line.')
_PLAIN = flags.DEFINE_bool('plain', False, 'Leave the chat template unused.')
_DTYPE = flags.DEFINE_enum('dtype', '', ('', 'float32', 'bfloat16'), 'Compute in this type; default: as stored.')
_TENSOR = flags.DEFINE_integer('tensor', 1, 'Cut the model over so many devices; the rest share the rows.')
_OUT = paths.writes('out', None, 'Folder for retention.json.', required=True)


def main() -> None:
  from smt_jax import loading
  from smt_jax.eval import retention
  from smt_jax.serving.engine import open_engine
  if not (_TEXT.value or _QUESTIONS.value):
    raise UserError('--text: expected held-out text, or --questions')
  if _MAX_MB.value < 0 or _WINDOW.value < 2:
    raise UserError(f'--max_mb={_MAX_MB.value} --window={_WINDOW.value}: expected 0 or more, and 2 or more')
  files = sorted(map(pathlib.Path, glob.glob(_TEXT.value, recursive=True))) if _TEXT.value else []
  if _TEXT.value and not files:
    raise UserError(f'--text={_TEXT.value}: matches no file')
  pieces = (retention.Text(path.name if path.suffix == '.txt' else f'{path.name}:{number}', text)
            for path in files for number, text in stream_texts(path))
  texts = retention.limit_texts(pieces, round(_MAX_MB.value * 1e6))
  questions = retention.read_questions(_QUESTIONS.value) if _QUESTIONS.value else []
  names = [loading.find(path).name for path in (_BEFORE.value, _AFTER.value)]

  def measure(path: str) -> retention.Measured:  # one model in memory at a time
    return retention.measure(open_engine(path, dtype=_DTYPE.value, tensor=_TENSOR.value), texts, questions,
                             _WINDOW.value, _PLAIN.value)
  found = retention.compare(measure(_BEFORE.value), measure(_AFTER.value), questions)
  out = pathlib.Path(_OUT.value) / 'retention.json'
  write_json(out, {'before': names[0], 'after': names[1], **found})
  for line in retention.summary(found):
    print(line)
  print(out)


if __name__ == '__main__':
  app.run(main)
