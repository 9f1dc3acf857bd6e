"""What preparation writes, and what it says when something is wrong, as a user meets it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from prepare_fixtures import quality_question, quality_row, write_lines

from data_gen.errors import UserError
from data_gen.jsonl import exclusive, read_jsonl
from data_gen.prepare import prepare
from data_gen.schema import Document, Question, read_rows

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def source(tmp_path):
  bad = quality_question('bad', gold_label=9)
  rows = [quality_row('1', 'First', 'Text one.') | {'questions': [quality_question('q1'), bad]},
          quality_row('2', 'Second', 'Text two.')]
  return write_lines(tmp_path / 'QuALITY.v1.0.1.htmlstripped.dev', rows)


def launch(*arguments):
  return subprocess.run([sys.executable, '-m', 'launch.prepare', *arguments], cwd=ROOT, text=True, capture_output=True)


def test_the_three_files_hold_every_article_and_question(source, tmp_path):
  out = tmp_path / 'out'
  summary = prepare('quality', str(source), out)
  assert [d.title for d in read_rows(Document, out / 'documents.jsonl')] == ['First', 'Second']
  assert [q.id for q in read_rows(Question, out / 'questions.jsonl')] == ['q1', '2_S1_1', '2_S1_2']
  skipped = [row for _, row in read_jsonl(out / 'skipped.jsonl')]
  assert skipped == [{'file': f'{source}:1', 'place': 'question bad',
                      'reason': 'gold_label 9 is out of range, expected 1 to 4'}]
  said = '\n'.join(summary.lines())
  assert 'documents: read 2, kept 2, skipped 0' in said and 'questions: read 4, kept 3, skipped 1' in said
  assert 'Where did Anna go' not in (out / 'documents.jsonl').read_text()


@pytest.mark.parametrize('options, fault', [
  (['same', 'same', '', ' '], 'has an empty option (number 3)'),
  (['a', 'b', ' a'], 'holds the right option "a" twice')])
def test_options_that_cannot_be_chosen_from_are_refused(tmp_path, options, fault):
  row = {'id': 'q', 'document_ids': [], 'group': 'g', 'question': 'Which?', 'answer': 0}
  rows = [row | {'options': ['a', 'b', 'b']}, row | {'id': 'r', 'options': options}]
  path = write_lines(tmp_path / 'questions.jsonl', rows)
  with pytest.raises(UserError, match=r'questions\.jsonl:2: field "options" ') as e:
    list(read_rows(Question, path))
  assert str(e.value).endswith(fault)
  bad = quality_question('bad', options=['North', 'South', ' North', 'West'])
  source = write_lines(tmp_path / 'dev', [quality_row() | {'questions': [quality_question('q1'), bad]}])
  prepare('quality', str(source), tmp_path / 'out')
  skipped, = (row for _, row in read_jsonl(tmp_path / 'out/skipped.jsonl'))
  assert skipped['reason'] == 'field "options" holds the right option "North" twice'


def test_a_source_that_changed_is_said(source, tmp_path):
  out = tmp_path / 'out'
  prepare('quality', str(source), out)
  recorded = json.loads((out / 'sources.json').read_text())[str(source)]
  assert len(recorded['sha256']) == 64 and recorded['bytes'] == source.stat().st_size
  assert not any('has changed' in n for n in prepare('quality', str(source), out).prepared.notes)
  write_lines(source, [quality_row('1', 'First', 'Text one, corrected.')])
  assert any('has changed since' in n for n in prepare('quality', str(source), out).prepared.notes)


def test_running_it_again_writes_the_same_bytes(source, tmp_path):
  out = tmp_path / 'out'
  prepare('quality', str(source), out)
  before = {p.name: p.read_bytes() for p in out.glob('*.jsonl')}
  prepare('quality', str(source), out)
  assert before == {p.name: p.read_bytes() for p in out.glob('*.jsonl')} and len(before) == 3


def test_tokens_are_counted_with_the_tokenizer(tmp_path, replay_tokenizer):
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in/a.txt').write_text('The title\n\nthe cat sat on the mat ' * 50)
  summary = prepare('files', str(tmp_path / 'in'), tmp_path / 'out', tokenizer=replay_tokenizer)
  from transformers import AutoTokenizer
  expected = len(AutoTokenizer.from_pretrained(replay_tokenizer).encode(summary.prepared.documents[0].text,
                                                                        add_special_tokens=False))
  assert summary.unit == 'tokens' and summary.sizes == [expected]


def own(tmp_path, **changes):
  (tmp_path / 'in').mkdir(exist_ok=True)
  (tmp_path / 'in/a.txt').write_text('A story.')
  question = {'id': 'q', 'document_ids': ['a.txt'], 'group': 'a.txt', 'question': 'What?', 'options': ['x', 'y'],
              'answer': 1} | changes
  return write_lines(tmp_path / 'my.jsonl', [question])


def test_a_users_questions_are_checked_and_copied(tmp_path):
  path = own(tmp_path, note='kept')
  prepare('files', str(tmp_path / 'in'), tmp_path / 'out', questions=path)
  question, = read_rows(Question, tmp_path / 'out/questions.jsonl')
  assert question.answer == 1 and question.extra == {'note': 'kept'}


@pytest.mark.parametrize('changes, message', [
  ({'document_ids': ['b.txt']}, r'my\.jsonl:1: field "document_ids" names "b\.txt"'),
  ({'answer': 2}, r'my\.jsonl:1: field "answer" should be an option index from 0 to 1'),
  ({'answer': None}, r'my\.jsonl:1: field "answer"'),
  ({'question': None}, r'my\.jsonl:1: field "question" is missing')])
def test_wrong_questions_of_a_user(tmp_path, changes, message):
  path = own(tmp_path, **changes)
  with pytest.raises(UserError, match=message):
    prepare('files', str(tmp_path / 'in'), tmp_path / 'out', questions=path)
  assert not (tmp_path / 'out').exists()


def test_duplicate_and_no_questions_of_a_user(tmp_path):
  path = own(tmp_path)
  path.write_text(path.read_text() * 2)
  with pytest.raises(UserError, match=r'my\.jsonl:2: id "q" already stands on line 1'):
    prepare('files', str(tmp_path / 'in'), tmp_path / 'out', questions=path)
  path.write_text('')
  with pytest.raises(UserError, match='holds no question'):
    prepare('files', str(tmp_path / 'in'), tmp_path / 'out', questions=path)


def test_a_busy_folder_is_refused(source, tmp_path):
  with exclusive(tmp_path / 'out'), pytest.raises(UserError, match='another process is working on this folder'):
    prepare('quality', str(source), tmp_path / 'out')


def test_out_inside_the_source_is_refused(tmp_path):
  own(tmp_path)
  with pytest.raises(UserError, match='lies inside --source'):
    prepare('files', str(tmp_path / 'in'), tmp_path / 'in/out')


def test_kill_in_the_middle_leaves_nothing_under_a_final_name_and_a_rerun_finishes(tmp_path):
  rows = (quality_row(str(n), f'Title {n}', f'Text number {n}. ' * 2000) for n in range(400))
  source = write_lines(tmp_path / 'QuALITY.v1.0.1.htmlstripped.dev', rows)
  out = tmp_path / 'out'
  process = subprocess.Popen([sys.executable, '-m', 'launch.prepare', '--benchmark=quality', f'--source={source}',
                              f'--out={out}'], cwd=ROOT, stdout=subprocess.DEVNULL)
  partial = out / '.documents.jsonl.partial'
  while process.poll() is None and not partial.exists():
    time.sleep(0.001)
  os.kill(process.pid, signal.SIGKILL)
  process.wait()
  assert process.returncode == -signal.SIGKILL
  assert not (out / 'documents.jsonl').exists()
  prepare('quality', str(source), out)
  assert len(list(read_rows(Document, out / 'documents.jsonl'))) == 400 and not partial.exists()


def test_a_full_disk_is_one_line(source, tmp_path):
  full = pathlib.Path('/dev/full')
  if not full.exists():
    pytest.skip('no /dev/full here')
  out = tmp_path / 'out'
  out.mkdir()
  (out / '.documents.jsonl.partial').symlink_to(full)
  with pytest.raises(UserError, match=r'cannot write \(No space left on device\)'):
    prepare('quality', str(source), out)
  assert not (out / 'documents.jsonl').exists()


def test_the_program_prints_titles_counts_and_notes(source, tmp_path):
  done = launch('--benchmark=quality', f'--source={source}', f'--out={tmp_path / "out"}')
  assert done.returncode == 0, done.stderr
  assert '2 words  First' in done.stdout and 'questions: read 4, kept 3, skipped 1' in done.stdout
  assert 'counts differ from the published ones' in done.stdout


@pytest.mark.parametrize('arguments, message', [
  (['--benchmark=quality', '--source=nowhere'], 'error: --source=nowhere: no such file or folder'),
  (['--benchmark=qualty', '--source=x'], '--benchmark'),
  (['--benchmark=quality', '--source=x', '--questions=y'], 'error: --questions: only with --benchmark=files'),
  (['--benchmark=financebench', '--source=.', '--options=filing=all'], 'has no such option; it has: filings, format'),
  (['--benchmark=files', '--source=.', '--options=x'], 'error: --options=x: expected name=value')])
def test_wrong_flags_are_one_line(tmp_path, arguments, message):
  done = launch(*arguments, f'--out={tmp_path / "out"}')
  assert done.returncode in (1, 2)
  assert len(done.stderr.strip().split('\n')) == 1 and message in done.stderr
  assert not (tmp_path / 'out').exists()
