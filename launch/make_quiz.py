"""Held-out questions on your own documents: `python -m launch.make_quiz --documents=FILE --records=GLOB --out=DIR`."""

import sys

from absl import flags

from data_gen.generators.factory import make_generator
from data_gen.quiz import QuizSettings, make_quiz
from data_gen.schema import Document, read_rows
from launch import app, hosted_flags, paths

_DOCUMENTS = paths.reads('documents', None, 'documents.jsonl to ask about.', required=True)
_OUT = paths.writes('out', None, 'Folder for questions.jsonl, skipped.jsonl and report.json.', required=True)
_GENERATOR = flags.DEFINE_enum('generator', 'openai', ['openai'], 'Who writes the questions: a model behind an '
                               'OpenAI-compatible API (the offline rules write no multiple choice).')
_RECORDS = paths.reads('records', '', 'Glob of the training records that the questions must not overlap with.')
_NUMBER = flags.DEFINE_integer('questions_per_document', 10, 'Questions for each document.')
_SAME = flags.DEFINE_bool('allow_same_generator', False, 'Let the generator of the training data write the quiz too.')
_MAX_DOCUMENT = flags.DEFINE_integer('max_document_tokens', 16384, 'Longer documents are divided into parts (counted '
                                     'at four characters a token), 0: never.')
_CONCURRENCY = flags.DEFINE_integer('max_concurrency', 64, 'Most requests in flight.')
_SEED = flags.DEFINE_integer('seed', 0, "Seed of the options' order.")


def main() -> None:
  settings = QuizSettings(
      per_document=_NUMBER.value, records=_RECORDS.value, same_generator=_SAME.value,
      max_document_tokens=_MAX_DOCUMENT.value, max_concurrency=hosted_flags.concurrency(_CONCURRENCY.value),
      seed=_SEED.value)
  documents = list(read_rows(Document, _DOCUMENTS.value))
  generator = make_generator(_GENERATOR.value, seed=_SEED.value, offline={},
                             hosted=hosted_flags.hosted(_CONCURRENCY.value))
  report = make_quiz(documents, _OUT.value, generator, settings)
  if not settings.records:
    print('warning: no --records were named, so nothing says that the training data do not hold these questions',
          file=sys.stderr)
  if report['same_generator']:
    print(f'warning: {report["generator"]} also wrote the training data; scores on this quiz flatter what was trained '
          'on it', file=sys.stderr)
  print(f'{report["questions"]} questions on {report["documents"]} documents by {report["generator"]}; '
        f'{report["overlapping"]} of {report["written"]} left out for their overlap with the records')
  if report['short_of']:
    print(f'warning: {len(report["short_of"])} documents have fewer than asked for', file=sys.stderr)
  print(f'questions: {_OUT.value}/questions.jsonl (labelled as generated)')


if __name__ == '__main__':
  app.run(main)
