"""Path flags: which programs have them, and that a program's code sees local paths only."""

import pathlib
import re
import subprocess
import sys

import pytest
from storage_servers import get, names, put

ROOT = pathlib.Path(__file__).parent.parent
# Strings that are no paths, and checkpoints, packed rows and work directories, which stage themselves.
OTHERS = {'after', 'api_key_env', 'arm', 'base_url', 'before', 'checkpoint', 'chip', 'compare', 'compilation_cache',
          'embedder', 'endpoint', 'host', 'judge_api_key_env', 'judge_checkpoint', 'judge_endpoint', 'judge_model',
          'model', 'model_name', 'note', 'peer_python', 'preset', 'prompt', 'reference', 'reranker', 'system', 'title',
          'tokens_per_method', 'topology', 'vendi_embedder', 'workdir',
          # packed folders, a checkpoint, and what is staged file after file
          ('benchmark', 'data'), ('benchmark', 'replay'), ('convert', 'source'), ('replay', 'source')}


@pytest.mark.parametrize('path', sorted((ROOT / 'launch').glob('*.py')), ids=lambda p: p.stem)
def test_every_path_is_a_path_flag(path):
  if path.stem == 'paths':
    return
  plain = re.findall(r"flags\.DEFINE_string\(\s*'(\w+)'", path.read_text())
  assert {n for n in plain if n not in OTHERS and (path.stem, n) not in OTHERS} == set()


def launch(*words: str) -> subprocess.CompletedProcess:
  return subprocess.run([sys.executable, '-m', f'launch.{words[0]}', *words[1:]], cwd=ROOT, capture_output=True,
                        text=True, timeout=550)


def test_a_program_on_a_bucket(bucket, tmp_path):
  put(f'{bucket}/mine/a note.txt', 'The mill stood by the river. ' * 20)
  ran = launch('prepare', '--benchmark=files', f'--source={bucket}/mine', f'--out={bucket}/data')
  assert ran.returncode == 0, ran.stderr
  assert f'uploaded: {bucket}/data' in ran.stdout
  assert {'documents.jsonl', 'questions.jsonl', 'skipped.jsonl'} <= set(names(f'{bucket}/data'))
  assert b'The mill stood' in get(f'{bucket}/data/documents.jsonl')
  ran = launch('prepare', '--benchmark=files', f'--source={bucket}/absent', f'--out={bucket}/data')
  assert ran.returncode == 1 and ran.stderr == f'error: {bucket}/absent: no such file or folder\n'


@pytest.mark.slow
def test_the_chain_on_a_bucket(bucket, tmp_path):
  """From documents to a report without a local file but the copies."""
  base = str(ROOT / 'configs' / 'world_base')
  for path in pathlib.Path(base).iterdir():
    put(f'{bucket}/base/{path.name}', path.read_bytes())
  base = f'{bucket}/base'
  chain = [
      ('prepare', '--benchmark=world', '--source=study:seed=90,documents=2', f'--out={bucket}/world'),
      ('synthesize', f'--documents={bucket}/world/documents.jsonl', f'--out={bucket}/synthetic', '--generator=offline',
       '--methods=qa,focal', f'--tokenizer={base}', '--tokens_per_method=2x'),
      ('decontaminate', f'--records={bucket}/synthetic/records.*.jsonl', f'--questions={bucket}/world/questions.jsonl',
       f'--out={bucket}/overlap'),
      ('replay', f'--source={bucket}/world/documents.jsonl', '--tokens=500', f'--tokenizer={base}',
       f'--out={bucket}/replay'),
      ('pack', f'--records={bucket}/synthetic/records.*.jsonl', f'--tokenizer={base}', f'--out={bucket}/packed',
       '--sequence_length=576'),
      ('pack', f'--records={bucket}/replay/records.jsonl', f'--tokenizer={base}', f'--out={bucket}/packed_replay',
       '--sequence_length=576'),
      ('train', '--config=configs/world.py:smt', f'--workdir={bucket}/run', f'--config.init={base}',
       f'--config.data={bucket}/packed', f'--config.replay={bucket}/packed_replay', '--config.token_budget=9000',
       '--config.mix.batch_size=8'),
      ('evaluate', '--benchmark=world', f'--questions={bucket}/world/questions.jsonl',
       f'--documents={bucket}/world/documents.jsonl', f'--checkpoint={bucket}/run', '--arm=smt', '--scoring=logprob',
       '--limit=4', f'--out={bucket}/results/smt'),
      ('report', f'--results={bucket}/results/*', f'--workdirs={bucket}/run', f'--out={bucket}/report'),
      ('convert', f'--source={bucket}/run', f'--target={bucket}/hf', '--to=hf')]
  for words in chain:
    ran = launch(*words)
    assert ran.returncode == 0, (words, ran.stderr)
  assert {'overlap/report.json', 'run/mix.json', 'results/smt/results.json', 'report/report.html',
          'hf/config.json'} <= set(names(bucket))
