"""A benchmark is one file: dropped in, it is prepared, evaluated and tuned under its own name."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

BENCHMARK = """
from data_gen.benchmarks.base import Prepared
from data_gen.schema import Document, Question

N_OPTIONS = {options}

def read(source, options):
  documents = [Document(f'd{{i}}', f'Mill {{i}}', f'Mill {{i}} had {{i}} sails.') for i in range(3)]
  return Prepared(documents, [Question(f'q{{i}}', (f'd{{i}}',), f'd{{i}}', f'How many sails had mill {{i}}?',
                                       {shown}, {answer}) for i in range(3)])
"""

# The programs as a shell runs them, with a reader that knows the answers behind every endpoint.
PROGRAM = """
import runpy, sys
sys.path.append(TESTS)
from known_readers import Perfect
from data_gen.schema import Question, read_rows
import launch.readers
launch.readers.endpoint_reader = lambda *_, **__: Perfect(list(read_rows(Question, 'in/questions.jsonl')))
sys.argv = sys.argv[1:]
runpy.run_module('launch.' + sys.argv[0], run_name='__main__')
"""


@pytest.fixture
def checkout(tmp_path):
  """A checkout whose folder of benchmarks is a copy; everything else is the real one."""
  (tmp_path / 'data_gen' / 'benchmarks').mkdir(parents=True)
  for path in (ROOT / 'launch', ROOT / 'smt_jax'):
    (tmp_path / path.name).symlink_to(path)
  for path in (ROOT / 'data_gen').iterdir():
    if path.name not in ('benchmarks', '__pycache__'):
      (tmp_path / 'data_gen' / path.name).symlink_to(path)
  for path in (ROOT / 'data_gen' / 'benchmarks').glob('*.py'):
    (tmp_path / 'data_gen' / 'benchmarks' / path.name).write_text(path.read_text())
  return tmp_path


def program(folder, name, *flags):
  code = PROGRAM.replace('TESTS', repr(str(ROOT / 'tests')))
  return subprocess.run([sys.executable, '-c', code, name, '--benchmark=mills', *flags], cwd=folder, text=True,
                        env=os.environ | {'PYTHONDONTWRITEBYTECODE': '1'}, capture_output=True, timeout=300)


@pytest.mark.parametrize('options,shown,answer', [
    ('2', "(f'{i}', f'{i + 1}')", '0'), ('None', 'None', "f'{i}'")], ids=['of options', 'open'])
def test_one_file_is_a_benchmark_of_every_program(checkout, options, shown, answer):
  module = checkout / 'data_gen' / 'benchmarks' / 'mills.py'
  files = ['--questions=in/questions.jsonl', '--documents=in/documents.jsonl', '--endpoint=http://y', '--model=m']
  module.write_text(BENCHMARK.format(options=options, shown=shown, answer=answer))
  runs = [('prepare', ['--source=any', '--out=in']), ('evaluate', [*files, '--arm=x', '--out=out']),
          ('tune_rag', [*files, '--chunk_sizes=256', '--top_ks=1', '--out=tuned'])]
  for name, flags in runs if options == '2' else runs[:2]:
    done = program(checkout, name, *flags)
    assert done.returncode == 0, done.stderr
  results = json.loads((checkout / 'out' / 'results.json').read_text())
  assert results['benchmark'] == 'mills' and results['accuracy']['strict'] == 1 and results['n_questions'] == 3
  if options != '2':
    return
  module.write_text(BENCHMARK.format(options=3, shown=shown, answer=answer))
  done = program(checkout, 'evaluate', *files, '--arm=x', '--out=other')
  assert done.returncode == 1 and done.stderr.count('\n') == 1
  assert 'but --benchmark=mills has 3 options; --benchmark=custom takes any' in done.stderr
