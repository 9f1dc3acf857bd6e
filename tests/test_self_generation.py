"""A student served by launch.serve answers a method's requests through the engine that asks hosted models."""

import asyncio
import dataclasses

import pytest
from eval_checkpoint import make_checkpoint
from scripted import documents
from serving import running
from synthesis_support import study_of

from data_gen.generators.hosted import make
from data_gen.methods import METHODS


@pytest.mark.slow
def test_a_student_answers_the_methods_requests_and_is_not_asked_again(tmp_path, monkeypatch):
  monkeypatch.setenv('OPENAI_API_KEY', 'local')

  async def ask(url):
    generator = make(base_url=url, model='tiny', max_concurrency=4)
    await generator.open(tmp_path / 'work')
    try:
      study = study_of(documents(1, 4)[0], generator)
      requests = [await METHODS[name].request(study, n) for name in ('wrap', 'spa') for n in range(2)]
      short = [dataclasses.replace(r, sampling=dataclasses.replace(r.sampling, max_tokens=24)) for r in requests]
      return await asyncio.gather(*map(generator.generate, short))
    finally:
      await generator.close()
      reports.append(generator.report()['ledger'])

  reports: list = []
  with running(make_checkpoint(tmp_path / 'student', positions=2048)) as (_, url):
    answers = asyncio.run(ask(url))
    assert asyncio.run(ask(url)) == answers  # from the journal
  assert {a.model for a in answers} == {'tiny'} and {a.finish_reason for a in answers} <= {'stop', 'length'}
  assert all(a.usage['prompt_tokens'] > 100 and 0 < a.usage['completion_tokens'] <= 24 for a in answers)
  assert len({a.text for a in answers}) > 1 and reports[0]['lost_attempts'] == 0
  assert reports[1]['answers'] == reports[0]['answers'] == 5  # four and the probe
