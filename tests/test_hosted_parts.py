"""The parts of the hosted generator one by one: prices, ledger, limits, concurrency, breaker, parameters, outcomes."""

import json
import random

import pytest

from data_gen.errors import UserError
from data_gen.generators.base import Request, Sampling
from data_gen.generators.hosted.breaker import Breaker
from data_gen.generators.hosted.concurrency import Concurrency
from data_gen.generators.hosted.ledger import Ledger, prompt_bound
from data_gen.generators.hosted.limits import Bucket, Limits, duration
from data_gen.generators.hosted.outcomes import Answer, BadRequest, Failed, Fatal, of_status, of_success, retry_after
from data_gen.generators.hosted.prices import Price, find_price
from data_gen.generators.hosted.rules import Parameters
from data_gen.generators.hosted.settings import HostedSettings, read_key


class Clock:
  """A clock that stands still until it is moved."""

  def __init__(self):
    self.now = 100.0

  def __call__(self) -> float:
    return self.now


def request(text: str = 'a question', **sampling) -> Request:
  return Request('t', ({'role': 'user', 'content': text},), {}, Sampling(**sampling))


def test_price_of_dated_and_prefixed_names():
  plain = find_price('gpt-4.1-mini')
  assert plain and plain == find_price('gpt-4.1-mini-2025-04-14') == find_price('openai/gpt-4.1-mini')
  assert plain.source and plain.date
  assert find_price('nobody/knows-this') is None


def test_own_prices_go_first_and_costs_add_up(tmp_path):
  path = tmp_path / 'prices.json'
  path.write_text(json.dumps({'date': 'today', 'source': 'me', 'models': {
      'gpt-4.1-mini': {'prompt': 1, 'output': 3}, 'x': {'prompt': 2, 'cached': 0.5, 'output': 8, 'batch': 0.5}}}))
  assert find_price('gpt-4.1-mini', path).cached == 1  # no discount is named, so none is assumed
  price = find_price('x', path)
  assert price.cost(1_000_000, 400_000, 100_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.8)
  assert price.in_batch().cost(1_000_000, 0, 0) == pytest.approx(1.0)
  assert find_price('gpt-4o', path)  # the project's table is still there


@pytest.mark.parametrize('content, said', [
    ('nonsense', 'not valid JSON'), ('[]', 'expected {"date"'), ('{"models": {"m": 3}}', '"m": expected an object'),
    ('{"models": {"m": {"prompt": -1, "output": 1}}}', '"prompt" should be dollars'),
    ('{"models": {"m": {"prompt": 1}}}', '"output" should be dollars'),
    ('{"models": {"m": {"prompt": 1, "output": "2"}}}', "found '2'")])
def test_bad_price_tables_name_file_and_field(tmp_path, content, said):
  path = tmp_path / 'prices.json'
  path.write_text(content)
  with pytest.raises(UserError) as e:
    find_price('m', path)
  assert str(path) in str(e.value) and said in str(e.value)


def test_prompt_bound_holds_for_any_text():
  for text in ('plain words', '🎈' * 50, '漢字' * 50, '\x00\x01' * 40):
    assert prompt_bound(request(text)) >= len(text.encode())  # byte-level BPE makes no more tokens than bytes


def test_ledger_bounds_hold_whatever_happens():
  rng = random.Random(1)
  price = Price(1.0, 0.5, 4.0)
  ledger, bill = Ledger(price), 0.0
  lost_by_request = [0.0] * 60
  for i in range(60):
    while True:
      worst = ledger.worst(1000, 500)
      ledger.hold(worst)
      used = {'prompt_tokens': rng.randrange(1000), 'cached_tokens': 0, 'completion_tokens': rng.randrange(500)}
      what = rng.choice(['answer', 'lost and billed', 'lost', 'refused'])
      if what in ('answer', 'lost and billed'):
        bill += price.cost(*used.values())
      if what == 'answer':
        ledger.settle(worst, used if i % 7 else {}, lost_by_request[i])
        break
      if what == 'refused':
        ledger.release(worst)
      else:
        ledger.lose(worst)
        lost_by_request[i] += worst
      assert ledger.spent <= bill + 1e-12 <= ledger.spent + ledger.lost + ledger.held + 2e-12
  assert ledger.spent <= bill <= ledger.spent + ledger.lost and ledger.held == pytest.approx(0)
  again = Ledger(price)
  again.restore(ledger.totals(), {'k': {'usd': 0.25}})
  assert again.spent == pytest.approx(ledger.spent) and again.lost == pytest.approx(ledger.lost + 0.25)


def test_ledger_refuses_what_could_exceed_the_limit():
  ledger = Ledger(Price(1, 1, 1), limit=1.0)
  assert ledger.allows(0.6)
  ledger.hold(0.6)
  assert not ledger.allows(0.5)
  ledger.lose(0.6)
  assert not ledger.allows(0.5) and ledger.allows(0.4)


def test_bucket_keeps_the_rate_over_a_minute():
  clock = Clock()
  bucket, sent = Bucket(600, clock), 0
  while clock.now < 160:
    wait = bucket.wait(1)
    if wait:
      clock.now += wait
    else:
      bucket.take(1)
      sent += 1
  assert 600 <= sent <= 612


def test_bucket_lets_a_request_larger_than_itself_through_and_makes_up_for_it():
  clock = Clock()
  bucket = Bucket(600, clock)
  assert bucket.wait(50) == 0
  bucket.take(50)
  assert bucket.wait(1) == pytest.approx(4.1, abs=0.01)


@pytest.mark.parametrize('text, seconds', [
    ('1s', 1), ('6m0s', 360), ('250ms', 0.25), ('1h2m3s', 3723), ('17', 17), ('soon', None), ('', None), (None, None)])
def test_durations_of_headers(text, seconds):
  assert duration(text) == seconds


def test_headers_set_rates_below_flags_only():
  clock = Clock()
  limits = Limits(0, 60000, clock)
  limits.seen_headers({'x-ratelimit-limit-requests': '600', 'x-ratelimit-remaining-requests': '0',
                       'x-ratelimit-limit-tokens': '9000000', 'x-ratelimit-reset-requests': '6s'})
  assert limits.requests.rate == 10 and limits.tokens.rate == 1000
  assert limits.requests.wait(1) == pytest.approx(0.1)
  limits.seen_headers({'x-ratelimit-limit-requests': 'many'})
  assert limits.requests.rate == 10


def test_a_limit_over_a_day_is_not_taken_for_one_of_a_minute():
  bucket = Bucket(0, Clock())
  bucket.heard(14400, 14000, 400 * 6.0)
  assert bucket.rate == pytest.approx(1 / 6)


def _drive(control: Concurrency, clock: Clock, outcome, windows: int) -> list[float]:
  """Runs windows of requests, all slots always full; outcome(limit) -> (share of 429s, latency, throughput)."""
  seen = []
  for _ in range(windows):
    share, latency, throughput = outcome(int(control.limit))
    n = max(20, int(control.limit))
    control.sent(int(control.limit))
    rejected = round(share * n)
    for i in range(n):
      clock.now += 1 / throughput
      if i < rejected:
        control.rejected()
      else:
        control.answered(latency, 100)
    seen.append(control.limit)
  return seen


def test_concurrency_grows_to_its_bound_when_nothing_speaks_against_it():
  clock = Clock()
  control = Concurrency(200, clock)
  assert _drive(control, clock, lambda n: (0, 1.0, n / 1.0), 8)[-1] == 200


def test_concurrency_settles_near_the_slots_of_a_server_that_says_429():
  clock = Clock()
  control = Concurrency(256, clock)
  seen = _drive(control, clock, lambda n: (max(0, n - 30) / n, 1.0, min(n, 30)), 120)
  assert all(20 <= x <= 45 for x in seen[40:])


def test_concurrency_falls_when_latency_rises_without_more_throughput():
  clock = Clock()
  control = Concurrency(256, clock)
  seen = _drive(control, clock, lambda n: (0, max(1.0, n / 16), min(n, 16)), 80)  # 16 at once, the rest queue
  assert max(seen[20:]) < 80 and min(seen[20:]) >= 8


def test_concurrency_is_not_starved_by_429s_that_have_nothing_to_do_with_load():
  clock = Clock()
  control = Concurrency(128, clock)
  seen = _drive(control, clock, lambda n: (0.1, 1.0, n), 150)
  assert sum(seen[75:]) / 75 > 60


def test_concurrency_is_kept_where_a_server_is_slow_for_reasons_of_its_own():
  clock = Clock()
  control = Concurrency(256, clock)
  _drive(control, clock, lambda n: (0, 1.0, min(n, 200)), 20)
  before = control.limit
  slow = _drive(control, clock, lambda n: (0, 10.0, n / 10), 12)  # as slow at any number
  assert min(slow[3:]) >= 0.9 * before
  queueing = _drive(control, clock, lambda n: (0, max(10.0, n), min(n, 10) / 10), 40)  # and then it has ten slots
  assert queueing[-1] < 60


def test_concurrency_has_room_above_what_a_rate_leaves_in_flight():
  clock = Clock()
  control = Concurrency(256, clock)
  for _ in range(600):
    clock.now += 0.1
    control.sent(20)
    control.answered(1.0, 100)
  assert 100 < control.limit <= 256


def test_breaker_opens_says_why_and_closes_by_one_answer():
  clock, said = Clock(), []
  breaker = Breaker(clock, said.append)
  for _ in range(20):
    breaker.worked()
  for _ in range(200):
    breaker.failed('HTTP 503')
  assert not breaker.closed and breaker.pauses == 1 and 'HTTP 503' in said[0]
  assert breaker.wait() > 0
  clock.now += 1
  assert breaker.wait() == 0
  breaker.sent()
  assert breaker.wait() > 0  # one at a time
  started = clock.now
  breaker.failed('HTTP 503')
  for _ in range(30):
    assert 0 < breaker.wait() <= max(0.5, 0.25 * (clock.now - started + 1))
    clock.now += breaker.wait()
    breaker.sent()
    breaker.failed('HTTP 503')
  assert breaker.wait() > 10  # a pause grows with the outage
  clock.now += breaker.wait()
  breaker.sent()
  assert breaker.worked() and breaker.closed and breaker.wait() == 0 and breaker.paused_seconds > 1


def test_breaker_bears_failures_among_answers():
  breaker = Breaker(Clock(), print)
  for i in range(400):
    breaker.worked() if i % 2 else breaker.failed('HTTP 500')
  assert breaker.closed and breaker.pauses == 0


def test_parameters_known_learned_and_recorded():
  known = Parameters('openai/gpt-5-mini')
  assert known.sampling(Sampling()) == {'max_completion_tokens': 2048} and len(known.changes) == 3
  plain = Parameters('meta-llama/Llama-3.1-70B')
  assert plain.sampling(Sampling()) == {'temperature': 1.0, 'top_p': 1.0, 'max_tokens': 2048}
  assert plain.learn("Unsupported parameter: 'max_tokens' is not supported", None)
  assert plain.sampling(Sampling())['max_completion_tokens'] == 2048
  assert plain.learn('max_completion_tokens: no such field', 'max_completion_tokens')
  assert plain.learn('', 'temperature')
  assert plain.sampling(Sampling()) == {'top_p': 1.0}
  assert not plain.learn('the prompt is too long', 'messages')
  assert plain.most_output(Sampling()) > 100000  # without a limit the worst case is the model's own
  assert len(plain.changes) == 3


def test_answers_are_read_with_usage_refusals_and_broken_characters():
  body = {'model': 'm', 'choices': [{'message': {'content': 'a \ud800 b'}, 'finish_reason': 'stop'}],
          'usage': {'prompt_tokens': 10, 'completion_tokens': 2, 'prompt_tokens_details': {'cached_tokens': 4}}}
  answer = of_success(json.dumps(body).encode(), 'm')
  assert isinstance(answer, Answer) and answer.response.text == 'a ? b'
  assert answer.response.usage == {'prompt_tokens': 10, 'cached_tokens': 4, 'completion_tokens': 2}
  body['choices'][0]['message'] = {'content': None, 'refusal': 'No.'}
  assert of_success(json.dumps(body).encode(), 'm').response.finish_reason == 'content_filter'


@pytest.mark.parametrize('body', [b'', b'{', b'[]', b'null', b'{"choices": []}', b'{"choices": [{}]}', b'\xff\xfe',
                                  b'{"choices": [{"message": {"content": 3}}]}'])
def test_malformed_answers_count_as_lost_money(body):
  outcome = of_success(body, 'm')
  assert isinstance(outcome, Failed) and outcome.lost


@pytest.mark.parametrize('status, body, said', [
    (401, b'{"error": {"message": "bad key"}}', 'does not accept the key'),
    (404, b'{"error": {"message": "x", "code": "model_not_found"}}', '--model=m'),
    (429, b'{"error": {"message": "x", "code": "insufficient_quota"}}', 'no credit'),
    (402, b'pay', 'no credit'), (403, b'', 'may not use'), (307, b'', 'redirects')])
def test_what_ends_a_run_at_once(status, body, said):
  with pytest.raises(Fatal, match=said):
    of_status(status, {'location': 'http://elsewhere/'}, body, 'm')


def test_what_is_tried_again_and_what_never_works():
  limited = of_status(429, {'retry-after': '7'}, b'', 'm')
  assert limited.limited and limited.retry_after == 7 and not limited.lost
  assert not of_status(500, {}, b'<html>', 'm').lost and of_status(502, {}, b'', 'm').lost
  assert isinstance(of_status(400, {}, b'{"error": {"code": "context_length_exceeded"}}', 'm'), BadRequest)
  assert retry_after({'retry-after-ms': '250'}) == 0.25 and retry_after({'retry-after': 'soon'}) is None
  assert retry_after({'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT'}) == 0


@pytest.mark.parametrize('change, said', [
    ({'model': ''}, '--model'), ({'base_url': 'example.com/v1'}, '--base_url'),
    ({'max_cost_usd': -1}, '--max_cost_usd'),
    ({'max_cost_usd': float('nan')}, '--max_cost_usd'), ({'base_url': 'https://me:secret@x.org/v1'}, 'environment'),
    ({'base_url': 'https://x.org/v1?key=secret'}, 'environment'), ({'base_url': 'http://x:99999999/'}, '--base_url'),
    ({'max_concurrency': 0}, '--max_concurrency'), ({'request_timeout': 0}, '--request_timeout')])
def test_settings_that_cannot_be_meant_so(change, said):
  with pytest.raises(UserError) as e:
    HostedSettings(**({'model': 'm'} | change))
  assert said in str(e.value) and 'secret' not in str(e.value)


def test_no_key_is_one_line(monkeypatch):
  monkeypatch.delenv('NO_SUCH_KEY', raising=False)
  with pytest.raises(UserError, match='NO_SUCH_KEY: no key'):
    read_key('NO_SUCH_KEY')
  monkeypatch.setenv('NO_SUCH_KEY', 'line\nbreak')
  with pytest.raises(UserError) as e:
    read_key('NO_SUCH_KEY')
  assert 'line' not in str(e.value)
