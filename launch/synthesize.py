"""Documents into synthetic records: `python -m launch.synthesize --documents=FILE --tokenizer=DIR --out=DIR`."""

from absl import flags

from data_gen.diversity import Embedding
from data_gen.estimate import estimate_calls, plan_lines
from data_gen.generators import factory
from data_gen.methods.prompts import ORDERS
from data_gen.pilot import pilot
from data_gen.schema import Document, read_rows
from data_gen.synthesize import SPREADS, Settings, make_job, summary_lines, synthesize
from data_gen.text import load_tokenizer
from launch import app, hosted_flags, paths

_DOCUMENTS = paths.reads('documents', None, 'documents.jsonl to write about.', required=True)
_OUT = paths.writes('out', None, 'Folder for records.<method>.jsonl, rejected.jsonl and summary.json; a larger '
                    'budget on the same folder extends the run.', required=True)
_METHODS = flags.DEFINE_list('methods', ['qa', 'active_reading', 'focal'], 'Methods, in the order in which they run.')
_GENERATOR = flags.DEFINE_enum('generator', 'offline', list(factory.NAMES), 'Who answers: rules on this machine, or a '
                               'model behind an OpenAI-compatible API.')
_TOKENIZER = paths.reads('tokenizer', None, "Folder of the student's tokenizer, in whose tokens budgets count.",
                         required=True)
_BUDGET = flags.DEFINE_string('tokens_per_method', '8x', 'Tokens of records for each method: a number, or a multiple '
                              'of the source such as 100x.')
_SPREAD = flags.DEFINE_enum('spread', 'length', list(SPREADS), 'Tokens for each document: in proportion to its length, '
                            'or the same.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the generator and of the orders that are drawn.')
_MAX_DOCUMENT = flags.DEFINE_integer('max_document_tokens', 16384, 'Longer documents are divided into parts, '
                                     '0: never.')
_PER_CALL = flags.DEFINE_integer('questions_per_call', 8, 'Question-answer pairs that one request asks for.')
_CONCURRENCY = flags.DEFINE_integer('max_concurrency', 64, 'Most requests in flight.')
_PROMPTS = paths.reads('prompts_dir', '', "Folder of prompt files that replace the project's own.")
_ORDER = flags.DEFINE_enum('prompt_order', 'document_first', list(ORDERS), 'Document before the instruction, so that '
                           'prefix caches hit, or after it as first published.')
_NAME_SOURCES = flags.DEFINE_bool('name_sources', True, 'Head records that do not name their document with its title.')
_DROP = flags.DEFINE_bool('drop_duplicates', False, 'Drop near duplicates too (MinHash); exact ones always are.')
_STRENGTH = flags.DEFINE_enum('offline_strength', 'medium', ['weak', 'medium', 'strong', 'ideal'], 'Offline generator: '
                              'how much it covers, how varied and how correct it is.')
_BIAS = flags.DEFINE_float('offline_bias', None, "Offline generator: salience bias in place of the preset's.")
_ERRORS = flags.DEFINE_float('offline_errors', None, "Offline generator: error rate in place of the preset's.")
_OMISSIONS = flags.DEFINE_float('offline_omissions', None, "Offline generator: omission rate in place of the preset's.")
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Only say what would be asked: calls and tokens by method.')
_PILOT = flags.DEFINE_integer('pilot', 0, 'Ask about the first N documents only, and extrapolate to all.')
_QUALITY = flags.DEFINE_bool('quality', True, 'Also write quality.json and samples_page.html.')
_EMBEDDER = flags.DEFINE_string('vendi_embedder', '', 'Checkpoint of a Qwen3-Embedding model by which the Vendi score '
                                'in quality.json compares texts; empty: hashed TF-IDF.')


def _embedding() -> Embedding | None:
  if not _EMBEDDER.value:
    return None
  from smt_jax.eval.retrieval.qwen import QwenEmbedder
  return QwenEmbedder.load(_EMBEDDER.value).documents, _EMBEDDER.value


def main() -> None:
  settings = Settings(
      methods=tuple(_METHODS.value), tokens_per_method=_BUDGET.value, spread=_SPREAD.value, seed=_SEED.value,
      max_document_tokens=_MAX_DOCUMENT.value, questions_per_call=_PER_CALL.value,
      max_concurrency=hosted_flags.concurrency(_CONCURRENCY.value), prompts_dir=_PROMPTS.value,
      prompt_order=_ORDER.value,
      name_sources=_NAME_SOURCES.value, drop_duplicates=_DROP.value)
  documents = list(read_rows(Document, _DOCUMENTS.value))
  tokenizer = load_tokenizer(_TOKENIZER.value)
  price = hosted_flags.price() if _GENERATOR.value == 'openai' else None
  if _DRY_RUN.value:
    print('\n'.join(plan_lines(estimate_calls(make_job(documents, tokenizer, settings), price=price))))
    if _GENERATOR.value == 'openai' and price is None:
      print(hosted_flags.NO_PRICE)
    return
  generator = factory.make_generator(
      _GENERATOR.value, seed=_SEED.value, hosted=hosted_flags.hosted(_CONCURRENCY.value),
      offline={'preset': _STRENGTH.value, 'salience_bias': _BIAS.value, 'error_rate': _ERRORS.value,
               'omission_rate': _OMISSIONS.value})
  if _PILOT.value:
    plans = pilot(documents, _OUT.value, generator, tokenizer, settings, _PILOT.value, price)
    for name, plan in plans.items():
      print(f'{name}:', *plan_lines(plan), sep='\n')
    return
  summary = synthesize(documents, _OUT.value, generator, tokenizer, settings, quality=_QUALITY.value,
                       embedding=_embedding())
  for line in summary_lines(summary):
    print(line)
  print(f'records: {_OUT.value}/records.*.jsonl')


if __name__ == '__main__':
  app.run(main)
