"""A disk that fills up under evaluation, decontamination or the report: one line, nothing half written."""

import pathlib

import pytest
from known_readers import Perfect

from data_gen.decontaminate import decontaminate
from data_gen.errors import UserError
from data_gen.jsonl import write_jsonl
from data_gen.schema import Question, Record, to_row
from smt_jax.eval.report import write_report
from smt_jax.eval.runner import evaluate
from smt_jax.eval.runs import find_runs
from smt_jax.eval.settings import Settings

QUESTIONS = [Question(f'q{i}', (), f'g{i}', f'What is number {i} of the eight old mills by the river?', ('a1', 'b2'), 0)
             for i in range(8)]


@pytest.fixture
def full():
  """Makes the file that is about to be written lie on a device that is always full."""
  device = pathlib.Path('/dev/full')
  if not device.exists():
    pytest.skip('no /dev/full here')

  def fill(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / f'.{path.name}.partial').symlink_to(device)
  return fill


@pytest.mark.parametrize('name', ['items.jsonl', 'results.json'])
def test_evaluation(tmp_path, full, name):
  settings = Settings('custom', 'x')
  full(tmp_path / name)
  with pytest.raises(UserError, match=rf'{name}: cannot write \(No space left'):
    evaluate(settings, QUESTIONS, [], Perfect(QUESTIONS), tmp_path)
  assert not (tmp_path / 'results.json').exists() and not (tmp_path / name).exists()
  reader = Perfect(QUESTIONS)
  assert evaluate(settings, QUESTIONS, [], reader, tmp_path)['accuracy']['strict'] == 1 and not reader.keys


def test_the_log_of_answers(tmp_path, monkeypatch):
  """What was logged before the disk was full is kept; the torn line is taken back and asked again."""
  import errno
  import os

  from data_gen import jsonl
  opened = open
  wrote = []

  class Full:
    """A file that has room for three lines and a part of the fourth."""

    def __init__(self, file):
      self._file = file

    def write(self, data):
      wrote.append(data)
      if len(wrote) <= 3:
        return self._file.write(data)
      self._file.write(data[:10])
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name):
      return getattr(self._file, name)

  monkeypatch.setattr(jsonl, 'open', lambda path, mode='r', **kwargs: Full(opened(path, mode, **kwargs))
                      if mode == 'ab' and str(path).endswith('log.jsonl') else opened(path, mode, **kwargs),
                      raising=False)
  with pytest.raises(UserError, match=r'log\.jsonl: cannot append \(No space left'):
    evaluate(Settings('custom', 'x'), QUESTIONS, [], Perfect(QUESTIONS), tmp_path)
  log = (tmp_path / 'log.jsonl').read_text()
  assert log.count('\n') == 3 and log.endswith('\n')
  monkeypatch.undo()
  reader = Perfect(QUESTIONS)
  assert evaluate(Settings('custom', 'x'), QUESTIONS, [], reader, tmp_path)['resumed'] == 3 and len(reader.keys) == 5


@pytest.mark.parametrize('name', ['flagged.jsonl', 'report.json', 'records.qa.jsonl'])
def test_decontamination(tmp_path, full, name):
  rows = [Record(f'r{i}', 'document', 'qa', ('d',), text=QUESTIONS[0].question if i else 'Else.') for i in range(3)]
  write_jsonl(tmp_path / 'records.qa.jsonl', map(to_row, rows))
  write_jsonl(tmp_path / 'questions.jsonl', map(to_row, QUESTIONS))
  out = tmp_path / 'out'
  full(out / name)

  def again():
    return decontaminate(str(tmp_path / 'records*'), tmp_path / 'questions.jsonl', out, remove=True)
  with pytest.raises(UserError, match=rf'{name}: cannot write'):
    again()
  assert not (out / 'report.json').exists() and not (out / name).exists()
  assert again()['flagged'] == 2 and (out / 'records.qa.jsonl').read_text().count('\n') == 1


@pytest.mark.parametrize('name', ['accuracy.png', 'report.html', 'table.md'])
def test_report(tmp_path, full, name):
  evaluate(Settings('custom', 'x'), QUESTIONS, [], Perfect(QUESTIONS), tmp_path / 'run')
  full(tmp_path / 'report' / name)
  with pytest.raises(UserError, match=rf'{name}: cannot write'):
    write_report(find_runs(f'{tmp_path}/run'), tmp_path / 'report')
  assert not (tmp_path / 'report' / name).exists() and not (tmp_path / 'report' / 'table.md').exists()
  write_report(find_runs(f'{tmp_path}/run'), tmp_path / 'report')
  assert (tmp_path / 'report' / 'table.md').exists()
