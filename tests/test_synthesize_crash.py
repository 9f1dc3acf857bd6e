"""Runs that are killed, and the journal that keeps what was paid for."""

import asyncio
import json
import multiprocessing
import os
import random
import signal
import time

import pytest
from scripted import Scripted, documents, usual_answer
from synthesis_support import LightTokenizer, make_tokenizer

from data_gen.errors import UserError
from data_gen.generators.base import Request, Response, Sampling
from data_gen.generators.journal import Journal, Journaled
from data_gen.generators.offset_index import OffsetIndex
from data_gen.synthesize import Settings, synthesize

SETTINGS = Settings(methods=('qa', 'focal'), tokens_per_method='30000', max_concurrency=16)


class Paid(Scripted):
  """A generator with a journal, as the hosted one has, that writes down every request it really answers."""

  async def open(self, folder):
    self.billed = (folder / 'billed.txt').open('a')
    self.journaled = Journaled(Billed(self), Journal(folder / 'journal.jsonl'))

  async def generate(self, request):
    return await self.journaled.generate(request)

  async def close(self):
    await self.journaled.drain()
    self.journaled.journal.close()
    self.billed.close()


class Billed:
  """The provider's side of `Paid`."""

  def __init__(self, paid):
    self.paid, self.model = paid, paid.model

  async def generate(self, request):
    await asyncio.sleep(0.002)
    self.paid.billed.write(request.key(self.model) + '\n')
    self.paid.billed.flush()
    return Response(usual_answer(request, self.model), 'stop', self.model, {'completion_tokens': 1})


def child(tokenizer, out):
  synthesize(documents(), out, Paid(), LightTokenizer(tokenizer), SETTINGS, quality=False)


@pytest.fixture(scope='module')
def tokenizer_dir(tmp_path_factory):
  return make_tokenizer(tmp_path_factory.mktemp('tokenizer') / 't')


def test_kill_nine_in_the_middle_loses_nothing_and_asks_nothing_twice(tmp_path, tokenizer_dir):
  context = multiprocessing.get_context('spawn')
  out = tmp_path / 'killed'
  log = out / '.work' / 'qa.calls.jsonl'
  kills = 0
  for lines in (5, 25, 45):
    process = context.Process(target=child, args=(tokenizer_dir, out))
    process.start()
    deadline = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < deadline:
      if log.exists() and log.read_bytes().count(b'\n') >= lines:
        os.kill(process.pid, signal.SIGKILL)
        kills += 1
        break
      time.sleep(0.002)
    process.join()
    assert not (out / 'records.focal.jsonl').exists()
  assert kills == 3
  with open(log, 'a') as f:
    f.write('{"number": 10')  # a line torn by the kill
  tokenizer = LightTokenizer(tokenizer_dir)
  synthesize(documents(), out, Paid(), tokenizer, SETTINGS, quality=False)
  straight = tmp_path / 'straight'
  synthesize(documents(), straight, Paid(), tokenizer, SETTINGS, quality=False)
  for method in SETTINGS.methods:
    assert (out / f'records.{method}.jsonl').read_bytes() == (straight / f'records.{method}.jsonl').read_bytes()
  billed = (out / '.work' / 'billed.txt').read_text().split()
  logged = {json.loads(line)['key'] for line in (out / '.work' / 'journal.jsonl').read_text().splitlines()
            if '"response"' in line}
  # A request can be billed twice only if its first answer was lost with the process: at most those in flight.
  assert set(billed) == logged and len(billed) - len(logged) <= 3 * SETTINGS.max_concurrency


def request(i=0, sample=0):
  return Request('qa', ({'role': 'user', 'content': f'ask {i}'},), {}, Sampling(), sample)


def test_a_journal_gives_back_what_it_was_given(tmp_path):
  journal = Journal(tmp_path / 'j.jsonl')
  responses = {request(i).key('m'): Response(f'answer "{i}" é\n' * (1 + i * 4000), 'stop', 'm', {'prompt_tokens': i})
               for i in range(5)}
  for key, response in responses.items():
    journal.intend(key, max_tokens=9)
    journal.add(key, response)
  journal.intend(request(9).key('m'), max_tokens=7)
  journal.close()
  again = Journal(tmp_path / 'j.jsonl')
  assert len(again) == 5 and all(again.get(k) == r and k in again for k, r in responses.items())
  assert again.unanswered == {request(9).key('m'): {'max_tokens': 7}}
  assert again.get(request(9).key('m')) is None
  again.add(request(9).key('m'), Response('late', 'stop', 'm'))
  assert again.get(request(9).key('m')).text == 'late' and not again.unanswered


def test_a_torn_journal_is_cut_and_a_foreign_file_refused(tmp_path):
  path = tmp_path / 'j.jsonl'
  journal = Journal(path)
  journal.add(request(1).key('m'), Response('one', 'stop', 'm'))
  journal.add(request(2).key('m'), Response('two', 'stop', 'm'))
  journal.close()
  path.write_bytes(path.read_bytes()[:-9])
  again = Journal(path)
  assert len(again) == 1 and again.get(request(1).key('m')).text == 'one'
  again.add(request(3).key('m'), Response('three', 'stop', 'm'))
  assert again.get(request(3).key('m')).text == 'three'
  path.write_text('{"key": "no"}\n')
  with pytest.raises(UserError, match=r'j\.jsonl:1: not a line of a journal'):
    Journal(path)


def test_samples_of_one_prompt_are_different_requests_and_equal_ones_are_asked_once(tmp_path):
  inner = Scripted(lambda r: f'answer {r.sample}', delay=0.01)
  journaled = Journaled(inner, Journal(tmp_path / 'j.jsonl'))

  async def use():
    return await asyncio.gather(*(journaled.generate(request(0, sample % 3)) for sample in range(12)))
  answers = asyncio.run(use())
  assert [a.text for a in answers] == [f'answer {i % 3}' for i in range(12)]
  assert sorted(inner.asked.values()) == [1, 1, 1]
  asyncio.run(use())
  assert sorted(inner.asked.values()) == [1, 1, 1]


def test_a_failed_request_stays_unanswered(tmp_path):
  def fail(r):
    raise UserError('no credit')

  journaled = Journaled(Scripted(fail), Journal(tmp_path / 'j.jsonl'))
  with pytest.raises(UserError, match='no credit'):
    asyncio.run(journaled.generate(request()))
  assert list(journaled.journal.unanswered) == [request().key('scripted')]


def test_a_full_disk_ends_the_run_cleanly(tmp_path, tokenizer_dir):
  context = multiprocessing.get_context('spawn')
  process = context.Process(target=on_full_disk, args=(tokenizer_dir, tmp_path / 'out', tmp_path / 'said.txt'))
  process.start()
  process.join(120)
  assert 'cannot append' in (tmp_path / 'said.txt').read_text()
  assert not (tmp_path / 'out' / 'records.qa.jsonl').exists()
  tokenizer = LightTokenizer(tokenizer_dir)
  synthesize(documents(), tmp_path / 'out', Scripted(), tokenizer, SETTINGS, quality=False)
  synthesize(documents(), tmp_path / 'straight', Scripted(), tokenizer, SETTINGS, quality=False)
  assert (tmp_path / 'out' / 'records.qa.jsonl').read_bytes() == (
      tmp_path / 'straight' / 'records.qa.jsonl').read_bytes()


def on_full_disk(tokenizer, out, said):
  import resource
  signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes past the limit fail with EFBIG, as a full disk fails
  resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
  try:
    synthesize(documents(), out, Scripted(), LightTokenizer(tokenizer), SETTINGS, quality=False)
  except UserError as e:
    said.write_text(str(e))


def test_the_index_of_a_journal_is_a_dictionary_in_less_memory():
  rng = random.Random(0)
  index, known = OffsetIndex(), {}
  for i in range(20000):  # several merges
    key = rng.choice([*list(known)[:5], rng.getrandbits(64)]) if i % 50 == 0 else rng.getrandbits(64)
    index.set(key, i)
    known[key] = i
  assert len(index) == len(known) and all(index.get(k) == v for k, v in known.items())
  assert all(index.get(rng.getrandbits(64)) is None for _ in range(1000))
