"""What a run will take: python -m launch.plan --config=... --documents=FILE --tokenizer=DIR --price=0.15,0.60

Dollars of generation, device hours and dollars of training, disk, and the number of queries after which it
costs less than retrieval. Every assumption is printed; most are flags.
"""

from absl import flags

from data_gen.errors import UserError
from data_gen.estimate import estimate_calls, plan_lines
from data_gen.schema import Document, read_rows
from data_gen.synthesize import Settings, make_job
from data_gen.text import load_tokenizer
from launch import app, config_flag, paths

_CONFIG = config_flag.define('config')
_DOCUMENTS = paths.reads('documents', None, 'documents.jsonl to be taught.', required=True)
_TOKENIZER = paths.reads('tokenizer', None, "Folder of the student's tokenizer.", required=True)
_PRICE = flags.DEFINE_list('price', [], 'Dollars per million tokens of the generator: PROMPT,OUTPUT or '
                           'PROMPT,OUTPUT,CACHED; without it no dollars of generation.')
_METHODS = flags.DEFINE_list('methods', ['qa', 'active_reading', 'focal'], 'Methods of launch.synthesize.')
_BUDGET = flags.DEFINE_string('tokens_per_method', '100x', 'Tokens of records for each method, or a multiple of the '
                              'source.')
_CHIP = flags.DEFINE_string('chip', 'h200', 'What trains: a chip of launch.compile_check.')
_MFU = flags.DEFINE_float('mfu', 0.5, 'Assumed model FLOPs utilisation of training.', lower_bound=0.01, upper_bound=1.0)
_HOUR = flags.DEFINE_float('device_hour', 3.0, 'Assumed dollars of one chip and hour.', lower_bound=0.0)
_QUERY = flags.DEFINE_float('query_price', 0.1, 'Assumed dollars per million prompt tokens where questions are '
                            'answered: what retrieval pays for its chunks.', lower_bound=0.0)
_CHUNK = flags.DEFINE_integer('chunk_size', 512, 'Tokens of a chunk that retrieval puts into the prompt.')
_TOP_K = flags.DEFINE_integer('top_k', 5, 'Chunks of one query.')


def main() -> None:
  config = config_flag.read(_CONFIG)
  from smt_jax import planning
  from smt_jax.chips import CHIPS
  if _CHIP.value not in CHIPS:
    raise UserError(f'--chip={_CHIP.value}: expected one of {", ".join(CHIPS)}')
  prices = _prices()
  job = make_job(list(read_rows(Document, _DOCUMENTS.value)), load_tokenizer(_TOKENIZER.value),
                 Settings(methods=tuple(_METHODS.value), tokens_per_method=_BUDGET.value))
  plan = estimate_calls(job, price=prices)
  print('\n'.join(plan_lines(plan)))
  generation = sum(row.dollars or 0.0 for row in plan)
  synthetic = sum(row.record_tokens for row in plan)
  tokens = planning.training_tokens(config, synthetic)
  hours = planning.device_hours(config, tokens, CHIPS[_CHIP.value], _MFU.value)
  rag = planning.Retrieval(_CHUNK.value, _TOP_K.value)
  per_query = rag.tokens * _QUERY.value / 1e6
  spent = generation + hours * _HOUR.value
  print(f'generation: ${generation:,.2f}' if prices else 'generation: no --price, so no dollars')
  print(f'training: {tokens:,} tokens, {hours:,.2f} {_CHIP.value} hours at {100 * _MFU.value:.0f}% MFU (assumed), '
        f'${hours * _HOUR.value:,.2f} at ${_HOUR.value:.2f} an hour (assumed)')
  print(f'disk: {planning.checkpoint_bytes(config) / 1e9:,.1f} GB of checkpoints, about '
        f'{planning.corpus_bytes(synthetic) / 1e9:,.1f} GB of records, answers and packed rows '
        f'({planning.TOKEN_BYTES} bytes a token, assumed)')
  print(f'retrieval: {rag.tokens:,} more prompt tokens a query ({rag.top_k} x {rag.chunk_size}), ${per_query:.6f} at '
        f'${_QUERY.value:.2f} a million (assumed); even after {planning.break_even(spent, per_query):,.0f} queries')


def _prices():
  if not _PRICE.value:
    return None
  try:
    given = [float(p) / 1e6 for p in _PRICE.value]
  except ValueError:
    given = []
  if len(given) not in (2, 3) or not all(p >= 0 for p in given):
    raise UserError(f'--price={",".join(_PRICE.value)}: expected PROMPT,OUTPUT or PROMPT,OUTPUT,CACHED in dollars per '
                    'million tokens')
  prompt, output, cached = [*given, given[0]][:3]
  return lambda p, c, o: (p - c) * prompt + c * cached + o * output


if __name__ == '__main__':
  app.run(main)
