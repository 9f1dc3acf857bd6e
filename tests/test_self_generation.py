"""A student served by launch.serve writes its own training data through the engine that asks hosted models."""

import json

import pytest
from eval_checkpoint import make_checkpoint
from scripted import documents
from serving import launch, running

from data_gen.jsonl import read_jsonl, write_jsonl
from data_gen.schema import to_row

METHODS = ('wrap', 'spa')


@pytest.mark.slow
def test_a_student_writes_its_own_data_and_is_not_asked_again(tmp_path, monkeypatch):
  """The student is random: it babbles, and what it does not end itself is no record, but kept and counted."""
  monkeypatch.setenv('OPENAI_API_KEY', 'local')
  checkpoint = make_checkpoint(tmp_path / 'student', positions=8192)
  write_jsonl(tmp_path / 'documents.jsonl', map(to_row, documents(2, 4)))
  journal = tmp_path / 'out' / '.work' / 'responses.jsonl'

  def synthesize(url):
    return launch('synthesize', f'--documents={tmp_path}/documents.jsonl', f'--tokenizer={checkpoint}',
                  f'--out={tmp_path}/out', '--generator=openai', f'--base_url={url}', '--model=tiny',
                  f'--methods={",".join(METHODS)}', '--tokens_per_method=300', '--max_concurrency=4', timeout=600)
  with running(checkpoint) as (_, url):
    done = synthesize(url)
    assert 'Traceback' not in done.stderr, done.stderr
    answers = [row for _, row in read_jsonl(journal) if 'response' in row]
    assert len({row['key'] for row in answers}) == len(answers) >= 2
    assert {row['response']['finish_reason'] for row in answers} <= {'stop', 'length'}
    assert all(row['response']['usage']['completion_tokens'] > 0 for row in answers)
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    for name, report in summary['methods'].items():
      assert report['calls'] == sum(report['rejected'].values()) + report['records'] + report['duplicates'], name
    size = journal.stat().st_size
    again = synthesize(url)
    assert again.returncode == done.returncode and 'Traceback' not in again.stderr
    rows = list(read_jsonl(journal))
    assert sum('response' in row for _, row in rows) <= len(answers) + 1 and journal.stat().st_size >= size  # a probe
