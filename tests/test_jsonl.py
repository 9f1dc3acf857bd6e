"""JSON lines: complaints name the line at fault, however far ahead the file is decoded."""

import gzip
import zipfile

import pytest
import zstandard

from data_gen.benchmarks import quality_files
from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl

OPENERS = {'a.jsonl': open, 'a.jsonl.gz': gzip.open, 'a.jsonl.zst': zstandard.open}


def write(path, lines):
  with OPENERS[path.name](path, 'wb') as f:
    f.write(b'\n'.join(lines) + b'\n')


@pytest.mark.parametrize('name', OPENERS)
@pytest.mark.parametrize('bad', [b'{"n": "\xff"}', '{"n": "é"}'.encode('latin-1'), '{"n": "é"}'.encode()[:-3],
                                 b'{"n": "\xed\xa0\x80"}'])
@pytest.mark.parametrize('number', [1, 300, 4000])
def test_the_line_that_is_not_utf8_is_named(tmp_path, name, bad, number):
  lines = ['{"n": "déjà vu"}'.encode()] * 4000
  lines[number - 1] = bad
  write(tmp_path / name, lines)
  rows = read_jsonl(tmp_path / name)
  for i in range(1, number):  # the lines before it are read as ever
    assert next(rows) == (i, {'n': 'déjà vu'})
  with pytest.raises(UserError, match=rf'{name}:{number}: not valid UTF-8'):
    next(rows)


def test_the_first_mistake_is_the_one_named(tmp_path):
  write(tmp_path / 'a.jsonl', [b'{}', b'', b'{"n": 1', b'{"n": "\xff"}'])
  with pytest.raises(UserError, match=r'a\.jsonl:3: not valid JSON'):
    list(read_jsonl(tmp_path / 'a.jsonl'))


def test_escaped_surrogates_are_json(tmp_path):
  write(tmp_path / 'a.jsonl', [rb'{"n": "\ud83d\ude00"}', '{"n": "😀"}'.encode()])
  assert [row['n'] for _, row in read_jsonl(tmp_path / 'a.jsonl')] == ['😀', '😀']


def test_a_file_inside_a_zip(tmp_path):
  with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as z:
    z.writestr('dev', b'{"questions": []}\n' * 700 + b'{"title": "\xff"}\n')
  with pytest.raises(UserError, match='dev:701: not valid UTF-8'):
    list(quality_files.rows([quality_files.Member(tmp_path / 'a.zip', 'dev')]))
