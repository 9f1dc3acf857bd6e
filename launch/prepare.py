"""Documents and benchmarks in: `python -m launch.prepare --benchmark=quality --source=FILE_OR_DIR --out=DIR`."""

from absl import flags

from data_gen import benchmarks
from data_gen.errors import UserError
from data_gen.prepare import prepare
from launch import app, paths

_BENCHMARK = flags.DEFINE_enum('benchmark', None, list(benchmarks.NAMES), 'What to read; "files" for documents of your '
                               'own.', required=True)
_SOURCE = paths.reads('source', None, 'File or folder to read (a glob, or several with commas between them).',
                      required=True)
_OUT = paths.writes('out', None, 'Folder for documents.jsonl, questions.jsonl and skipped.jsonl.', required=True)
_QUESTIONS = paths.reads('questions', None, 'With --benchmark=files: your questions, in the form of '
                         'questions.jsonl; they are checked and copied.')
_TOKENIZER = paths.reads('tokenizer', None, 'Folder of the tokenizer to count with; words are counted without.')
_OPTIONS = flags.DEFINE_list('options', [], "The benchmark's own options as name=value, e.g. filings=all for "
                             'financebench.')


def main() -> None:
  options = {}
  for option in _OPTIONS.value:
    name, equals, value = option.partition('=')
    if not equals:
      raise UserError(f'--options={option}: expected name=value')
    options[name] = value
  summary = prepare(_BENCHMARK.value, _SOURCE.value, _OUT.value, _QUESTIONS.value, _TOKENIZER.value, options)
  for line in summary.lines():
    print(line)


if __name__ == '__main__':
  app.run(main)
