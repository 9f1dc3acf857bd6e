"""Evaluates one arm: python -m launch.evaluate --benchmark=quality --questions=FILE --documents=FILE --checkpoint=DIR
--arm=NAME --mode=closed_book --out=DIR. Run again after an interruption, it asks only what is missing."""

import sys
from typing import Any

from absl import flags

from data_gen import benchmarks
from data_gen.errors import UserError
from launch import app, evaluation, paths, reader_flags
from smt_jax.eval.prompts import MODES, SCORINGS
from smt_jax.eval.retrieval.rag import ORDERS

flags.adopt_module_key_flags(reader_flags)
_BENCHMARK = flags.DEFINE_enum('benchmark', None, benchmarks.ASKED, 'What the questions are; "custom" for your own.',
                               required=True)
_QUESTIONS = paths.reads('questions', None, 'questions.jsonl of launch.prepare, or your own.', required=True)
_DOCUMENTS = paths.reads('documents', None, 'documents.jsonl: names the questions\' documents, gives context.')
_CHECKPOINT = flags.DEFINE_string('checkpoint', '', 'Model: work directory (DIR, DIR@STEP, DIR@all for every step) or '
                                  'Hugging Face folder.')
_ARM = flags.DEFINE_string('arm', None, 'Name of this arm in tables.', required=True)
_MODE = flags.DEFINE_enum('mode', 'closed_book', MODES, 'What the reader is shown beside the question; no_context and '
                          'options_only are baselines that name no document or hide the question too.')
_SCORING = flags.DEFINE_enum('scoring', 'cot', SCORINGS, 'Reasoning then a letter, a letter at once, or the '
                             'log-probability of each option.')
_SAMPLES = flags.DEFINE_integer('samples', 1, 'Replies a question.')
_PERMUTATIONS = flags.DEFINE_integer('permutations', 1, 'Orders of the options; the first is the original one.')
_TEMPERATURE = flags.DEFINE_float('temperature', None, 'Default: 0 for one sample, 0.3 for several.')
_TOP_P = flags.DEFINE_float('top_p', 1.0, 'Nucleus sampling.')
_NEW = flags.DEFINE_integer('max_new_tokens', 0, 'Longest reply; 0: 1024 for cot, 64 for letter, less if small.')
_CHUNK_SIZE = flags.DEFINE_integer('chunk_size', 1024, 'Longest chunk.')
_CHUNK_ORDER = flags.DEFINE_enum('chunk_order', 'best_last', ORDERS, 'Order of the chunks in the prompt.')
_TOP_K = flags.DEFINE_integer('top_k', 8, 'Chunks shown.')
_EMBEDDINGS = paths.writes('embeddings', '', 'Folder of cached embeddings, which arms may share (they go by '
                           'content); default: OUT/embeddings.')
_SEARCH_IN = paths.reads('search_in', '', 'Search in these documents or records (glob) instead of --documents, '
                         'e.g. the synthetic corpus.')
_FEW_SHOT = flags.DEFINE_integer('few_shot', 0, 'Examples before each question.')
_EXAMPLES = paths.reads('few_shot_questions', '', 'Questions to take them from, on documents not evaluated.')
_EXAMPLE_DOCUMENTS = paths.reads('few_shot_documents', '', 'The documents of those questions.')
_DISTRACTORS = flags.DEFINE_integer('distractors', 0, 'With --mode=full_document: documents of other groups (patients) '
                                    'among the right ones.')
_JUDGE_ENDPOINT = flags.DEFINE_string('judge_endpoint', '', 'Endpoint of the judge of answers without options.')
_JUDGE_MODEL = flags.DEFINE_string('judge_model', '', 'Name of the judge at its endpoint.')
_JUDGE_CHECKPOINT = flags.DEFINE_string('judge_checkpoint', '', 'Instead of an endpoint: a checkpoint that judges.')
_JUDGE_KEY = flags.DEFINE_string('judge_api_key_env', 'OPENAI_API_KEY', 'Environment variable with the judge\'s key.')
_OUT = paths.writes('out', None, 'Folder for results.json and items.jsonl.', required=True)
_LIMIT = flags.DEFINE_integer('limit', 0, 'Only the first N questions; 0: all.')
_SEED = flags.DEFINE_integer('seed', 0, 'Of sampling and of the orders of options.')


def config_values(**values: Any) -> dict[str, Any]:
  """Flag values for `evaluation.run` from Python: this program's defaults with some of them replaced.

  Raises:
    UserError: there is no such flag.
  """
  own = {flag.name: flag.default for flag in flags.FLAGS.get_key_flags_for_module(sys.modules[__name__])}
  unknown = sorted(set(values) - set(own))
  if unknown:
    raise UserError(f'--{unknown[0]}: launch.evaluate has no such flag')
  return own | values


def main() -> None:
  evaluation.run(paths.local_values(flags.FLAGS.flag_values_dict()))


if __name__ == '__main__':
  app.run(main)
