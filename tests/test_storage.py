"""gs:// and s3:// paths against real servers on localhost: what is read is staged, what is written arrives."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time

import pytest
from storage_servers import file_system, free_port, get, names, put

from data_gen import storage
from data_gen.errors import UserError
from data_gen.jsonl import AppendLog, write_jsonl

ROOT = pathlib.Path(__file__).parent.parent


def test_local_paths_pass_through(tmp_path):
  assert storage.local(tmp_path) == str(tmp_path) and storage.local_list('a,b') == 'a,b'
  with storage.output('out') as out:
    assert out == 'out'
  assert storage.listdir(tmp_path / 'absent') == []
  assert storage.absolute('x') == os.path.abspath('x') and storage.absolute('gs://b/x') == 'gs://b/x'


def test_a_file_is_staged_once_a_version(bucket):
  url = f'{bucket}/data/documents.jsonl'
  put(url, 'first')
  path = pathlib.Path(storage.local(url))
  assert path.name == 'documents.jsonl' and path.read_text() == 'first'
  before = path.stat().st_ino
  assert storage.local(url) == str(path) and path.stat().st_ino == before  # not fetched again
  put(url, 'other')  # of the same size
  assert pathlib.Path(storage.local(url)).read_text() == 'other'


def test_a_folder_and_a_glob(bucket):
  for name in ('records.qa.jsonl', 'records.focal.jsonl', 'summary.json', 'deep/er/x.json'):
    put(f'{bucket}/synthetic/{name}', name)
  pattern = pathlib.Path(storage.local(f'{bucket}/synthetic/records.*.jsonl'))
  assert [p.name for p in sorted(pattern.parent.glob(pattern.name))] == ['records.focal.jsonl', 'records.qa.jsonl']
  folder = pathlib.Path(storage.local(f'{bucket}/synthetic/'))
  assert (folder / 'deep/er/x.json').read_text() == 'deep/er/x.json'
  assert storage.listdir(f'{bucket}/synthetic') == ['deep', 'records.focal.jsonl', 'records.qa.jsonl', 'summary.json']
  assert list(storage.matches(f'{bucket}/synthetic/records.*')) == [
      f'{bucket}/synthetic/records.{n}.jsonl' for n in ('focal', 'qa')]
  both = storage.local_list(f'{bucket}/synthetic/records.qa.jsonl,local.jsonl').split(',')
  assert both[0].endswith('records.qa.jsonl') and both[1] == 'local.jsonl'


def test_what_was_removed_there_is_no_longer_read(bucket):
  for name in ('a.jsonl', 'b.jsonl'):
    put(f'{bucket}/x/{name}', name)
  folder = pathlib.Path(storage.local(f'{bucket}/x'))
  file_system(bucket[:2]).rm_file(f'{bucket[5:]}/x/a.jsonl')
  storage.local(f'{bucket}/x/*.jsonl')
  assert [p.name for p in folder.iterdir()] == ['b.jsonl']


def test_a_stage_writes_a_folder(bucket):
  with storage.output(f'{bucket}/out') as out:
    write_jsonl(pathlib.Path(out) / 'documents.jsonl', [{'id': 'ä'}])
    with AppendLog(pathlib.Path(out) / 'logs' / 'answers.jsonl') as log:
      log.append({'n': 1})
    (pathlib.Path(out) / '.lock').touch()
    (pathlib.Path(out) / '.work').mkdir()
    (pathlib.Path(out) / '.work' / 'journal.jsonl').touch()  # the log of paid answers: another machine needs it
    (pathlib.Path(out) / '.summary.json.partial').touch()
    assert names(f'{bucket}/out') == []  # logs stay local until the stage ends
  assert names(f'{bucket}/out') == ['.work/journal.jsonl', 'documents.jsonl', 'logs/answers.jsonl']
  assert get(f'{bucket}/out/documents.jsonl') == '{"id": "ä"}\n'.encode()
  with storage.output(f'{bucket}/out') as out:  # the stage again: its files are there, a changed one replaces the old
    assert (pathlib.Path(out) / 'documents.jsonl').exists()
    with AppendLog(pathlib.Path(out) / 'logs' / 'answers.jsonl') as log:
      log.append({'n': 2})
    (pathlib.Path(out) / 'documents.jsonl').unlink()
  assert get(f'{bucket}/out/logs/answers.jsonl') == b'{"n": 1}\n{"n": 2}\n'
  assert names(f'{bucket}/out') == ['.work/journal.jsonl', 'logs/answers.jsonl']


def test_a_stage_writes_a_file(bucket):
  with storage.output(f'{bucket}/comparison.json') as out:
    pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(out).write_text('{}')
  assert get(f'{bucket}/comparison.json') == b'{}'


def test_another_machine_goes_on(bucket, monkeypatch, tmp_path):
  with storage.output(f'{bucket}/out') as out:
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    (pathlib.Path(out) / 'log').write_text('1')
  monkeypatch.setenv('SMT_STORAGE_CACHE', str(tmp_path))  # a disk on which nothing lies
  with storage.output(f'{bucket}/out') as out:
    assert out.startswith(str(tmp_path)) and (pathlib.Path(out) / 'log').read_text() == '1'
    (pathlib.Path(out) / 'log').write_text('12')
  monkeypatch.undo()
  with storage.output(f'{bucket}/out') as out:  # the first machine takes the newer file
    assert (pathlib.Path(out) / 'log').read_text() == '12'


def test_a_failed_stage_uploads_what_it_has(bucket):
  with pytest.raises(UserError, match='budget'), storage.output(f'{bucket}/out') as out:
    with AppendLog(pathlib.Path(out) / 'answers.jsonl') as log:
      log.append({'paid': True})
    raise UserError('the budget is spent')
  assert names(f'{bucket}/out') == ['answers.jsonl']


KILLED = '''
import os, pathlib, signal, sys
from data_gen import storage
with storage.output(sys.argv[1]) as out:
  pathlib.Path(out).mkdir(parents=True, exist_ok=True)
  (pathlib.Path(out) / 'log').write_text('paid')
  os.kill(os.getpid(), signal.SIGKILL)
'''


def test_killed_before_the_upload(bucket):
  assert subprocess.run([sys.executable, '-c', KILLED, f'{bucket}/out'], cwd=ROOT).returncode == -9
  assert names(f'{bucket}/out') == []
  with storage.output(f'{bucket}/out') as out:
    assert (pathlib.Path(out) / 'log').read_text() == 'paid'
  assert names(f'{bucket}/out') == ['log']


def test_changed_on_both_sides_is_refused(bucket):
  with storage.output(f'{bucket}/out') as out:
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    (pathlib.Path(out) / 'log').write_text('1')
  (pathlib.Path(out) / 'log').write_text('mine')
  put(f'{bucket}/out/log', 'theirs')
  with pytest.raises(UserError, match=r'out/log: was changed there, and its copy .* here'), \
      storage.output(f'{bucket}/out'):
    pass
  assert (pathlib.Path(out) / 'log').read_text() == 'mine' and get(f'{bucket}/out/log') == b'theirs'


def test_killed_during_the_upload(bucket, monkeypatch):
  """Some objects arrived, which nobody noted down: they are ours, not another's."""
  from data_gen.remote import Remote
  mirror = storage.Mirror(f'{bucket}/out')
  mirror.pull()
  mirror.local.mkdir(parents=True)
  (mirror.local / 'log').write_text('1')
  listing = Remote.listing
  with monkeypatch.context() as patch:
    patch.setattr(Remote, 'listing', lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
      mirror.push()
  assert Remote.listing is listing and names(f'{bucket}/out') == ['log']
  (mirror.local / 'log').write_text('12')
  with storage.output(f'{bucket}/out') as out:
    assert (pathlib.Path(out) / 'log').read_text() == '12'
  assert get(f'{bucket}/out/log') == b'12'


def test_one_file_alone(bucket):
  """Of a process that does not own the rest: what else changed on its disk is not its business."""
  with storage.output(f'{bucket}/out') as out:
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    (pathlib.Path(out) / 'log').write_text('1')
  mirror = storage.Mirror(f'{bucket}/out')
  mirror.pull()
  (mirror.local / 'log').write_text('mine')
  (mirror.local / 'note').write_text('all')
  assert mirror.push_file('note') == f'{bucket}/out/note'
  assert get(f'{bucket}/out/note') == b'all' and get(f'{bucket}/out/log') == b'1'
  (mirror.local / 'note').write_text('again')
  mirror.push_file('note')
  mirror.pull()  # nothing was changed on both sides
  assert get(f'{bucket}/out/note') == b'again' and (mirror.local / 'log').read_text() == 'mine'


def test_what_is_not_there(bucket):
  with pytest.raises(UserError, match=f'^{bucket}/absent.jsonl: no such file or folder$'):
    storage.local(f'{bucket}/absent.jsonl')
  with pytest.raises(UserError, match='no such file or folder'):
    storage.local(f'{bucket}/*.jsonl')
  assert storage.listdir(f'{bucket}/absent') == []


def test_a_bucket_that_is_not_there(bucket):
  with pytest.raises(UserError, match=r'no such file or folder|no access'):
    storage.local(f'{bucket}-absent/x')
  with pytest.raises(UserError, match='-absent/out: '), storage.output(f'{bucket}-absent/out'):
    pass


READ = 'import sys\nfrom data_gen import storage\nfrom data_gen.errors import UserError\n' \
       'try:\n  storage.local(sys.argv[1])\nexcept UserError as e:\n  sys.exit(f"error: {e}")'


@pytest.mark.parametrize('trouble', ['nobody listens', 'somebody is silent', 'no credentials'])
@pytest.mark.parametrize('scheme', ['s3', 'gs'])
def test_no_access_is_one_line_within_ten_seconds(scheme, trouble, stores):
  import socket
  with socket.socket() as silent:
    silent.bind(('127.0.0.1', 0))
    silent.listen()
    port = silent.getsockname()[1] if trouble == 'somebody is silent' else free_port()
    address = f'http://127.0.0.1:{port}'
    env = os.environ | {'AWS_ENDPOINT_URL': address, 'STORAGE_EMULATOR_HOST': address, 'SMT_STORAGE_TIMEOUT': ''}
    if trouble == 'no credentials':
      for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'STORAGE_EMULATOR_HOST'):
        env.pop(name)
      env |= {'AWS_EC2_METADATA_DISABLED': 'true', 'HOME': '/nonexistent', 'NO_GCE_CHECK': 'true'}
    began = time.monotonic()
    ran = subprocess.run([sys.executable, '-c', READ, f'{scheme}://bucket/x'], cwd=ROOT, env=env, capture_output=True,
                         text=True, timeout=60)
    took = time.monotonic() - began
  assert ran.returncode == 1, ran.stderr
  assert ran.stderr.startswith(f'error: {scheme}://bucket/x: ') and ran.stderr.count('\n') == 1, ran.stderr
  assert took < 10  # with the program's start; the libraries alone would try for minutes


class SlowStore:
  """Every answer comes within the time, but not all of them."""

  def __init__(self, *args, **kwargs):
    time.sleep(0.4)

  def info(self, path):
    time.sleep(0.4)

  def pipe_file(self, path, content):
    time.sleep(0.4)

  rm_file = info


@pytest.mark.parametrize('seconds, opens', [
    (0.6, ()), (1.2, (storage.listdir,)), (3.0, (storage.listdir, storage.Mirror))])
def test_slow_answers_share_one_clock(seconds, opens, monkeypatch):
  """Opened and asked for the path, a store has taken 0.8 seconds; and 1.6 once it was written to."""
  import fsspec
  fsspec.get_filesystem_class('gs')
  monkeypatch.setattr(fsspec, 'filesystem', SlowStore)
  monkeypatch.setattr(SlowStore, 'ls', lambda *args, **kwargs: [], raising=False)
  monkeypatch.setenv('SMT_STORAGE_TIMEOUT', str(seconds))
  for way in (storage.listdir, storage.Mirror):
    began = time.monotonic()
    with contextlib.nullcontext() if way in opens else pytest.raises(UserError, match='no access: no answer within'):
      way('gs://bucket/x')
    assert time.monotonic() - began < seconds + 0.3


@pytest.mark.parametrize('asked, error, message', [
    ('filesystem', FileNotFoundError('/absent.json'), r'^gs://bucket/x: no access \(/absent.json\)$'),
    ('get_filesystem_class', ImportError('gcsfs'), r"gs:// needs the package gcsfs: pip install 'smt-jax\[cloud\]'")])
def test_credentials_or_a_library_that_are_not_there(asked, error, message, monkeypatch):
  import fsspec

  def missing(*args, **kwargs):
    raise error
  monkeypatch.setattr(fsspec, asked, missing)
  with pytest.raises(UserError, match=message):
    storage.local('gs://bucket/x')
