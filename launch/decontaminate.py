"""Records against questions: `python -m launch.decontaminate --records=GLOB --questions=FILE --out=DIR`."""

import posixpath

from absl import flags

from data_gen import storage
from data_gen.decontaminate import decontaminate
from launch import app, paths

_RECORDS = paths.reads('records', None, 'Glob of records files, or several with commas between them.',
                       required=True)
_QUESTIONS = paths.reads('questions', None, 'questions.jsonl to compare with.', required=True)
_OUT = paths.writes('out', None, 'Folder for flagged.jsonl and report.json.', required=True)
_DOCUMENTS = paths.reads('documents', '', "The questions' documents: what a question only quotes from them "
                         'is no overlap; default: documents.jsonl beside the questions.')
_EMBEDDER = flags.DEFINE_string('embedder', '', 'Also find paraphrases, with a Qwen3-Embedding checkpoint.')
_SIMILARITY = flags.DEFINE_float('similarity', 0.9, 'Least cosine that makes a paraphrase of a question.')
_REMOVE = flags.DEFINE_bool('remove', False, 'Also write copies of the records files without the flagged records.')


def main() -> None:
  if storage.is_remote(_QUESTIONS.given) and not _DOCUMENTS.given:
    storage.local(posixpath.dirname(_QUESTIONS.given))  # with the documents that may lie beside them
  embed = None
  if _EMBEDDER.value:
    from smt_jax.eval.retrieval.qwen import QwenEmbedder
    embed = QwenEmbedder.load(_EMBEDDER.value).queries
  report = decontaminate(_RECORDS.value, _QUESTIONS.value, _OUT.value, _REMOVE.value, _DOCUMENTS.value or None, embed,
                         _SIMILARITY.value)
  print(f'{report["flagged"]:,} of {report["records"]:,} records flagged ({report["hit_rate"]:.3%}); they touch '
        f'{report["questions_hit"]:,} of {report["questions"]:,} questions')
  for method, row in report['by_method'].items():
    print(f'  {method}: {row["flagged"]:,} of {row["records"]:,} ({row["hit_rate"]:.3%})')
  if report['quotes_only']:
    print(f'  {report["quotes_only"]:,} more share no more with a question than what it quotes from its document: '
          'quotes.jsonl')
  print(f'report: {_OUT.value}/report.json, matches: {_OUT.value}/flagged.jsonl')


if __name__ == '__main__':
  app.run(main)
