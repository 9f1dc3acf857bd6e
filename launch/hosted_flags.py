"""The flags of every program that asks a model behind an OpenAI-compatible API, and what is made of them."""

from typing import Any

from absl import flags

from data_gen.estimate import Price
from data_gen.generators.hosted.prices import find_price
from data_gen.generators.hosted.settings import OPENAI_URL
from launch import paths

_BASE_URL = flags.DEFINE_string('base_url', OPENAI_URL, 'Hosted generator: root of an OpenAI-compatible API.')
_MODEL = flags.DEFINE_string('model', '', 'Hosted generator: the model, by the name it has there.')
_KEY = flags.DEFINE_string('api_key_env', 'OPENAI_API_KEY', 'Hosted generator: the environment variable that holds the '
                           'key; the key itself is never a flag.')
_COST = flags.DEFINE_float('max_cost_usd', 0.0, 'Hosted generator: no request is sent that could take the cost beyond '
                           'this many dollars, counting requests in flight and lost ones at their worst; 0: no bound.')
_REQUESTS = flags.DEFINE_integer('requests_per_minute', 0, "Hosted generator: the provider's limit; 0: as its response "
                                 'headers say.')
_TOKENS = flags.DEFINE_integer('tokens_per_minute', 0, "Hosted generator: the provider's limit; 0: as its response "
                               'headers say.')
_TIMEOUT = flags.DEFINE_float('request_timeout', 600.0, 'Hosted generator: seconds after which a request counts as '
                              'lost.')
_OUTAGE = flags.DEFINE_float('max_outage', 3600.0, 'Hosted generator: seconds without any answer after which the run '
                             'ends.')
_PRICES = paths.reads('prices', '', 'Hosted generator: a price table that goes before the one of the project '
                      '(data_gen/generators/prices.json shows its form).')
_BATCH = flags.DEFINE_bool('batch_api', False, 'Hosted generator: collect requests into batches (at most providers '
                           'half the price, answers within a day).')
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 20000, 'Hosted generator: most requests in one batch.')
_POLL = flags.DEFINE_float('poll_seconds', 30.0, 'Hosted generator: seconds between two looks at a batch.')

NO_PRICE = 'no price of --model is known, so no dollars: name a table with --prices'


def hosted(max_concurrency: int) -> dict[str, Any]:
  """The keyword arguments of `generators.hosted.make`."""
  return {
      'base_url': _BASE_URL.value, 'model': _MODEL.value, 'api_key_env': _KEY.value, 'max_cost_usd': _COST.value,
      'max_concurrency': max_concurrency, 'requests_per_minute': _REQUESTS.value, 'tokens_per_minute': _TOKENS.value,
      'request_timeout': _TIMEOUT.value, 'max_outage': _OUTAGE.value, 'prices': _PRICES.value,
      'batch': _BATCH.value, 'batch_size': _BATCH_SIZE.value, 'poll_seconds': _POLL.value}


def concurrency(wanted: int) -> int:
  """Requests that may be asked at once: in batches as many as one batch holds."""
  return max(wanted, _BATCH_SIZE.value) if _BATCH.value else wanted


def price() -> Price | None:
  """(prompt, cached, completion tokens) -> dollars of --model; None where its price is not known.

  Raises:
    UserError: a price table that is none.
  """
  found = find_price(_MODEL.value, _PRICES.value) if _MODEL.value else None
  if found is None:
    return None
  return (found.in_batch() if _BATCH.value else found).cost
