"""launch.rehearse: the account of every document and question, and (slow) the whole chain on real files."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl, write_json, write_jsonl
from data_gen.schema import Document, Question, Record, to_row
from launch import rehearsal

ROOT = pathlib.Path(__file__).resolve().parent.parent


def finished(out, documents=3, questions=4):
  """The files of a rehearsal that lost nothing."""
  plan = rehearsal.Plan('files', 'x', out)
  ids = [f'd{i}' for i in range(documents)]
  write_jsonl(plan.documents, [to_row(Document(i, i, f'Text {i}.')) for i in ids])
  asked = [Question(f'q{k}', (ids[0],), ids[0], f'What is {k}?', ('a1', 'b2'), 0) for k in range(questions)]
  write_jsonl(out / 'prepared' / 'documents.jsonl', [row for _, row in read_jsonl(plan.documents)])
  write_jsonl(plan.question_file, map(to_row, asked))
  write_jsonl(out / 'prepared' / 'skipped.jsonl', [{'file': 'f', 'place': 'document x', 'reason': 'empty'}])
  for method in rehearsal.METHODS:
    rows = [Record(f'{method}{i}', 'document', method, (i,), text='t') for i in ids]
    write_jsonl(out / 'synthetic' / f'records.{method}.jsonl', map(to_row, rows))
  write_json(out / 'packed' / 'pack.json', {'sources': {'document': {'records': 6 * documents}}})
  rows = [{'id': q.id, 'flag': 'too_long' if q.id == 'q0' else ''} | ({'excluded': 'x'} if q.id == 'q1' else {})
          for q in asked]
  write_jsonl(out / 'results' / 'closed_book_cot' / 'items.jsonl', rows)
  return plan


def test_the_account_of_a_whole_chain(tmp_path):
  plan = finished(tmp_path)
  lines = '\n'.join(rehearsal.account(plan))
  assert '3 documents, 4 questions, 1 skipped' in lines and '18 records by 6 methods, all of them packed' in lines
  assert 'closed_book_cot: 2 answered, 1 too long for the model, 1 left out' in lines
  found = json.loads((tmp_path / 'account.json').read_text())
  assert found['documents_without_a_record'] == {method: [] for method in rehearsal.METHODS}
  assert found['skipped'][0]['reason'] == 'empty'


def test_documents_read_twice_are_said(tmp_path):
  plan = finished(tmp_path)
  write_jsonl(tmp_path / 'further' / 'documents.jsonl', [to_row(Document('x', 'd0', 'Text d0.'))])
  assert '3 documents (1 of the further ones left out' in rehearsal.account(plan)[0]


def test_what_is_lost_is_named(tmp_path):
  plan = finished(tmp_path)
  (tmp_path / 'synthetic' / 'records.wrap.jsonl').write_text('')
  with pytest.raises(UserError, match='holds 18 records of 15'):
    rehearsal.account(plan)
  write_json(tmp_path / 'packed' / 'pack.json', {'sources': {'document': {'records': 15}}})
  assert any('wrap: no record on 3 documents, e.g. d0' in line for line in rehearsal.account(plan))
  items = tmp_path / 'results' / 'closed_book_cot' / 'items.jsonl'
  write_jsonl(items, [row for _, row in read_jsonl(items)][:3])
  with pytest.raises(UserError, match='3 items for 4 questions; lost: q3'):
    rehearsal.account(plan)


def test_further_documents_that_are_there_already_stay_out(tmp_path):
  plan = rehearsal.Plan('quality', 'x', tmp_path, further='y')
  write_jsonl(tmp_path / 'prepared' / 'documents.jsonl', map(to_row, [Document('a', 'A', 'One text.'),
                                                                      Document('b', 'B', 'Two texts.')]))
  write_jsonl(tmp_path / 'further' / 'documents.jsonl', map(to_row, [
      Document('c', 'C', 'One  text.\n'), Document('b', 'D', 'Another.'), Document('e', 'E', 'Last.')]))
  rehearsal._join_documents(plan)
  assert [row['id'] for _, row in read_jsonl(plan.documents)] == ['a', 'b', 'further/b', 'e']


@pytest.mark.slow
def test_the_chain_on_real_files(tmp_path, test_data):
  """From PDFs, a book and a user's questions to the report: every stage a process, everything accounted for."""
  source = tmp_path / 'files'
  source.mkdir()
  for name in ('FOOTLOCKER_2022_8K_dated-2022-05-20.pdf', 'AMCOR_2022_8K_dated-2022-07-01.pdf'):
    (source / name).write_bytes((test_data / 'financebench' / name).read_bytes())
  book = (test_data / 'text' / 'sherlock_holmes_pg1661.txt').read_text()
  (source / 'holmes.txt').write_text(book[:40_000])
  (source / 'broken.pdf').write_bytes(b'%PDF-1.4 cut')
  asked = [Question(f'q{k}', (name,), name, f'Question {k}: who acts here?', ('Holmes', 'Amcor', 'Foot Locker', 'Nemo'),
                    k % 3) for k, name in enumerate(['holmes.txt', 'AMCOR_2022_8K_dated-2022-07-01.pdf',
                                                     'FOOTLOCKER_2022_8K_dated-2022-05-20.pdf'] * 2)]
  write_jsonl(tmp_path / 'questions.jsonl', map(to_row, asked))
  command = [sys.executable, '-m', 'launch.rehearse', '--benchmark=files', f'--source={source}',
             f'--questions={tmp_path}/questions.jsonl', f'--out={tmp_path}/out', '--steps=6', '--positions=4096',
             '--modes=closed_book,full_document', '--scorings=letter']
  environment = os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': ''}
  done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500)
  assert done.returncode == 0, done.stderr[-3000:]
  assert '3 documents, 6 questions, 1 skipped' in done.stdout
  account = json.loads((tmp_path / 'out' / 'account.json').read_text())
  assert all(sum(e.values()) == 6 for e in account['evaluations'].values()) and len(account['evaluations']) == 2
  assert account['evaluations']['full_document_letter']['too_long'] >= 2  # 40,000 characters are no 4,096 tokens
  assert not any(account['documents_without_a_record'].values())
  assert re.search(r'Rehearsal', (tmp_path / 'out' / 'report' / 'report.html').read_text())
  again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
  assert 'all stages were done already' in again.stdout
