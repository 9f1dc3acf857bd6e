"""The hosted generator against a local server that behaves, and misbehaves, like the hosted ones."""

import asyncio
import contextlib
import json
import logging
import pathlib
import time

import hosted_server
import pytest
from hosted_server import Behaviour

from data_gen.errors import UserError
from data_gen.generators.base import Request, Sampling
from data_gen.generators.hosted.endpoint import Endpoint
from data_gen.generators.hosted.engine import HostedGenerator
from data_gen.generators.hosted.prices import Price
from data_gen.generators.hosted.settings import HostedSettings
from data_gen.generators.lifecycle import SpendLimit

KEY = Behaviour.key
PRICE = Price(1.0, 0.5, 4.0)


def ask(number: int, text: str = '', **sampling) -> Request:
  return Request('t', ({'role': 'user', 'content': f'request-{number}. {text} ' + 'word ' * 50},), {},
                 Sampling(**({'max_tokens': 200} | sampling)))


@contextlib.asynccontextmanager
async def running(folder: pathlib.Path, behaviour: Behaviour, **settings):
  """A server in this event loop and an open generator on it."""
  listener, port, state = await hosted_server.serve(behaviour)
  prices = folder / 'prices.json'
  prices.write_text(json.dumps({'models': {m: {'prompt': PRICE.prompt, 'cached': PRICE.cached, 'output': PRICE.output}
                                           for m in ('local', 'strict')}}))
  generator = HostedGenerator(HostedSettings(**({
      'base_url': f'http://127.0.0.1:{port}/v1', 'model': 'local', 'prices': prices, 'request_timeout': 5} | settings)))
  await generator.open(folder / 'work')
  try:
    yield generator, state
  finally:
    await generator.close()
    listener.close()


@pytest.fixture(autouse=True)
def key(monkeypatch):
  monkeypatch.setenv('OPENAI_API_KEY', KEY)


def bill(state) -> float:
  return PRICE.cost(*(state.billed[n] for n in ('prompt_tokens', 'cached_tokens', 'completion_tokens')))


def responses(folder: pathlib.Path) -> list[dict]:
  lines = (folder / 'work' / 'responses.jsonl').read_text().splitlines()
  return [row for row in map(json.loads, lines) if 'response' in row]


def within(report: dict, state) -> bool:
  ledger = report['ledger']
  return ledger['spent_usd'] - 1e-7 <= bill(state) <= ledger['at_most_usd'] + 1e-7


def test_chaos_answers_everything_once_within_the_bounds_and_never_asks_again(tmp_path):
  chaos = Behaviour(limited=0.1, broken=0.05, hang=0.02, cut=0.03, malformed=0.03, truncated=0.05, empty=0.02,
                    retry_after=0.1, jitter=0.02)
  total = 300

  async def run():
    async with running(tmp_path, chaos, request_timeout=0.7) as (generator, state):
      answers = await asyncio.gather(*(generator.generate(ask(n)) for n in range(total)))
    return answers, generator.report(), state

  answers, report, state = asyncio.run(run())
  assert len(responses(tmp_path)) == total + 1  # and the probe
  assert len({row['key'] for row in responses(tmp_path)}) == total + 1
  assert {a.finish_reason for a in answers} == {'stop', 'length'} and any(not a.text.strip() for a in answers)
  assert within(report, state) and report['ledger']['lost_attempts'] > 3
  assert set(report['failures']) >= {'rate limit', 'timeout', 'cut connection', 'malformed answer'}
  counts = dict(state.counts)

  async def again():
    async with running(tmp_path, chaos) as (generator, state):
      return await asyncio.gather(*(generator.generate(ask(n)) for n in range(total))), state, generator.ledger.spent

  same, quiet, spent = asyncio.run(again())
  assert same == answers and not quiet.counts and not quiet.did and len(counts) == total
  assert spent == pytest.approx(report['ledger']['spent_usd'])


def test_the_same_request_asked_at_once_goes_out_once(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour(latency=0.1)) as (generator, state):
      answers = await asyncio.gather(*(generator.generate(ask(1)) for _ in range(20)))
      return answers, state.counts
  answers, counts = asyncio.run(run())
  assert counts == {1: 1} and len(set(map(str, answers))) == 1


def test_an_answer_nobody_waits_for_any_more_is_kept(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour(latency=0.4)) as (generator, _):
      await generator.generate(ask(0))
      task = asyncio.create_task(generator.generate(ask(1)))
      await asyncio.sleep(0.2)
      task.cancel()
    return generator.report()
  report = asyncio.run(run())
  assert len(responses(tmp_path)) == 3 and report['ledger']['unknown_usd'] == 0


def test_spend_stops_hard_counting_flights_and_losses_and_goes_on_with_more(tmp_path):
  limit = 0.02

  async def run(max_cost, **chaos):
    async with running(tmp_path, Behaviour(answer_tokens=100, **chaos), max_cost_usd=max_cost,
                       request_timeout=0.5) as (generator, state):
      results = await asyncio.gather(*(generator.generate(ask(n)) for n in range(120)), return_exceptions=True)
    return results, generator.report(), state

  results, report, state = asyncio.run(run(limit, hang=0.1, cut=0.1))
  stopped = [r for r in results if isinstance(r, SpendLimit)]
  assert stopped and '--max_cost_usd=0.02' in str(stopped[0]) and len(stopped) < 120
  assert bill(state) <= report['ledger']['at_most_usd'] <= limit + 1e-9 and within(report, state)
  assert report['ledger']['at_most_usd'] > 0.9 * limit  # and what may be spent is made use of
  before, first = len(responses(tmp_path)), bill(state)
  results, report, state = asyncio.run(run(1.0))
  assert not any(isinstance(r, BaseException) for r in results)
  assert len(responses(tmp_path)) == 122 > before  # 120, and a probe a run
  assert report['ledger']['spent_usd'] <= first + bill(state) <= report['ledger']['at_most_usd'] + 1e-7


def test_an_answer_without_usage_is_unknown_spend(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour(no_usage=True)) as (generator, state):
      await generator.generate(ask(0))
    return generator.report(), state
  report, state = asyncio.run(run())
  assert report['ledger']['spent_usd'] == 0 and 0 < bill(state) <= report['ledger']['unknown_usd']


def test_a_rate_in_headers_is_kept_without_a_refusal(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour(rate=40, headers=True), max_concurrency=64) as (generator, state):
      started = time.monotonic()
      await asyncio.gather(*(generator.generate(ask(n)) for n in range(100)))
    return time.monotonic() - started, state
  seconds, state = asyncio.run(run())
  assert state.did.get('429 by rate', 0) <= 8
  assert 1.2 < seconds < 1.3 * 100 / 40 + 2


def test_a_rate_in_a_flag_is_kept(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour(), requests_per_minute=1200, max_concurrency=64) as (generator, _):
      started = time.monotonic()
      await asyncio.gather(*(generator.generate(ask(n)) for n in range(60)))
      return time.monotonic() - started
  assert 1.8 < asyncio.run(run()) < 6


def test_parameters_that_a_model_refuses_are_mapped_or_left_out_and_reported(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour(), model='strict') as (generator, state):
      answers = await asyncio.gather(*(generator.generate(ask(n)) for n in range(20)))
    return answers, generator.report(), state
  answers, report, state = asyncio.run(run())
  assert all(a.text for a in answers) and within(report, state)
  assert report['parameter_changes'] == ['max_tokens sent as max_completion_tokens (refused by the server)',
                                         'temperature left out (refused by the server)']
  assert state.did['refused'] == 2  # both at the probe


def test_a_request_that_is_refused_for_its_content_is_not_asked_again(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour()) as (generator, state):
      one = await generator.generate(ask(0, 'FORBIDDEN'))
      two = await generator.generate(ask(0, 'FORBIDDEN'))
      return one, two, state.counts
  one, two, counts = asyncio.run(run())
  assert one == two and one.finish_reason == 'refused: content_policy_violation' and counts == {0: 1}


def test_an_outage_pauses_says_why_and_goes_on(tmp_path, caplog):
  async def run():
    behaviour = Behaviour(latency=0.02, outage_at=0.4, outage_for=1.5)
    async with running(tmp_path, behaviour, max_concurrency=16) as (generator, state):
      await asyncio.gather(*(_spread(generator, n) for n in range(120)))
    return generator.report(), state

  async def _spread(generator, n):
    await asyncio.sleep(n * 0.01)
    await generator.generate(ask(n))

  with caplog.at_level(logging.WARNING):
    report, state = asyncio.run(run())
  assert report['pauses'] >= 1 and 'sending stops' in caplog.text and 'answers again' in caplog.text
  assert len(responses(tmp_path)) == 121 and state.did['outage'] < 60


def test_an_outage_without_end_ends_the_run(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour(outage_at=0.01, outage_for=1000), max_outage=1.0) as (generator, _):
      with contextlib.suppress(UserError):
        await generator.generate(ask(0))
      await asyncio.sleep(0.05)
      await asyncio.gather(*(generator.generate(ask(n)) for n in range(1, 30)))
  with pytest.raises(UserError, match='no answer for'):
    asyncio.run(run())


@pytest.mark.parametrize('behaviour, settings, said', [
    (Behaviour(key='another'), {}, 'does not accept the key'),
    (Behaviour(), {'model': 'nobody-knows'}, '--model=nobody-knows'),
    (Behaviour(redirect='http://127.0.0.1:9'), {}, 'redirects to http://127.0.0.1:9'),
])
def test_what_cannot_work_stops_at_the_first_request(tmp_path, behaviour, settings, said):
  async def run():
    async with running(tmp_path, behaviour, **settings) as (generator, state):
      results = await asyncio.gather(*(generator.generate(ask(n)) for n in range(50)), return_exceptions=True)
      return results, state
  results, state = asyncio.run(run())
  assert {type(r) for r in results} <= {UserError, type(results[0])} and all(said in str(r) for r in results)
  assert KEY not in ' '.join(map(str, results)) and sum(state.did.values()) == 1


def test_no_server_is_one_line(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour(), base_url='http://127.0.0.1:9/v1') as (generator, _):
      await generator.generate(ask(0))
  with pytest.raises(UserError, match=r'http://127\.0\.0\.1:9/v1'):
    asyncio.run(run())


def test_a_redirect_to_another_host_takes_neither_key_nor_prompt_along(tmp_path):
  async def run():
    other, port, seen = await hosted_server.serve(Behaviour())
    async with running(tmp_path, Behaviour(redirect=f'http://localhost:{port}')) as (generator, _):
      with pytest.raises(UserError, match='redirects'):
        await generator.generate(ask(0))
    other.close()
    return seen
  seen = asyncio.run(run())
  assert not seen.seen_keys and not seen.did


def test_the_key_is_in_no_file_no_log_and_no_message(tmp_path, caplog, monkeypatch):
  async def run():
    behaviour = Behaviour(echo_key=True, limited=0.2, cut=0.1, malformed=0.1, retry_after=0.05)
    async with running(tmp_path, behaviour) as (generator, state):
      await asyncio.gather(*(generator.generate(ask(n, 'FORBIDDEN' if n % 5 == 0 else '')) for n in range(40)))
    return generator.report(), state
  caplog.set_level(logging.DEBUG)
  report, state = asyncio.run(run())
  assert any(KEY in k for k in state.seen_keys)  # it was sent, and the server repeated it
  files = [p for p in tmp_path.rglob('*') if p.is_file()]
  assert any(b'[key]' in p.read_bytes() for p in files)
  assert not any(KEY.encode() in p.read_bytes() for p in files)
  assert KEY not in caplog.text and KEY not in json.dumps(report)


def test_a_second_process_on_the_same_folder_is_refused(tmp_path):
  async def run():
    async with running(tmp_path, Behaviour()) as (generator, _):
      second = HostedGenerator(generator.settings)
      await second.open(tmp_path / 'work')
  with pytest.raises(UserError, match='another process'):
    asyncio.run(run())


def test_a_journal_cut_inside_a_line_is_taken_up(tmp_path):
  async def run(n):
    async with running(tmp_path, Behaviour()) as (generator, state):
      await asyncio.gather(*(generator.generate(ask(i)) for i in range(n)))
    return generator.report(), state
  _, first = asyncio.run(run(10))
  path = tmp_path / 'work' / 'responses.jsonl'
  path.write_bytes(path.read_bytes()[:-100])
  report, second = asyncio.run(run(10))
  assert sum(second.counts.values()) == 1 and len(second.counts) == 1
  both = bill(first) + bill(second)
  assert report['ledger']['spent_usd'] <= both <= report['ledger']['at_most_usd'] + 1e-7


def test_money_is_lost_where_a_server_may_have_worked_and_only_there(tmp_path):
  """The client library calls a hang-up after sending a connection timeout too, which would count as never sent."""
  async def hang_up(reader, writer):
    await reader.readuntil(b'\r\n\r\n')
    writer.close()

  async def run():
    rude = await asyncio.start_server(hang_up, '127.0.0.1', 0)
    found = []
    for port in (rude.sockets[0].getsockname()[1], 9):
      endpoint = Endpoint(HostedSettings(base_url=f'http://127.0.0.1:{port}/v1', model='m', request_timeout=5), KEY)
      found.append(await endpoint.ask({'model': 'm', 'messages': []}, lambda headers: None))
      await endpoint.close()
    rude.close()
    return found
  cut, absent = asyncio.run(run())
  assert (cut.kind, cut.lost) == ('cut connection', True) and (absent.kind, absent.lost) == ('no connection', False)
