"""launch.evaluate and launch.compare as commands, with a real (tiny, random) checkpoint, on real benchmark samples."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
from eval_checkpoint import make_checkpoint

from data_gen.jsonl import read_jsonl, write_jsonl
from data_gen.schema import Document, Question, to_row
from data_gen.text import load_tokenizer
from launch import evaluation
from launch.evaluate import config_values

ROOT = pathlib.Path(__file__).resolve().parent.parent


def command(program, *flags, ok=True):
  env = os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': ''}
  done = subprocess.run([sys.executable, '-m', f'launch.{program}', *flags], cwd=ROOT, env=env, capture_output=True,
                        text=True, timeout=300)
  if ok:
    assert done.returncode == 0, done.stderr[-3000:]
  return done


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
  return make_checkpoint(tmp_path_factory.mktemp('checkpoint'))


def small_files(folder):
  documents = [Document(f'd{i}', f'Title {i}', f'Mill {i} stood by the river. ' * 8) for i in range(3)]
  questions = [Question(f'q{i}', (f'd{i % 3}',), f'd{i % 3}', f'What stood there, number {i}?',
                        ('a red boat', 'the old mill', 'three dogs', 'a captain'), i % 4, hard=i % 2 == 0)
               for i in range(8)]
  write_jsonl(folder / 'documents.jsonl', map(to_row, documents))
  write_jsonl(folder / 'questions.jsonl', map(to_row, questions))
  return [f'--questions={folder}/questions.jsonl', f'--documents={folder}/documents.jsonl']


def test_command_compare_and_errors(tmp_path, checkpoint):
  files = small_files(tmp_path)
  base = ['--benchmark=quality', *files, f'--checkpoint={checkpoint}']
  done = command('evaluate', *base, '--arm=base', '--max_new_tokens=12', f'--out={tmp_path}/a')
  assert 'base (closed_book, cot)' in done.stdout and '8 questions' in done.stdout
  evaluation.run(config_values(
      benchmark='quality', questions=f'{tmp_path}/questions.jsonl', documents=f'{tmp_path}/documents.jsonl', arm='rag',
      checkpoint=str(checkpoint), mode='rag', chunk_size=80, top_k=2, scoring='logprob', out=f'{tmp_path}/b'))
  results = json.loads((tmp_path / 'b' / 'results.json').read_text())
  assert results['parse_rate'] == 1 and results['retrieval']['n_questions'] == 8
  tokenizer = load_tokenizer(checkpoint)
  first = next(row for _, row in read_jsonl(tmp_path / 'b' / 'items.jsonl'))
  assert tokenizer.decode(results['rendering']['prompt_ids']) == first['prompt']
  assert results['rendering']['end_ids'] and len(results['rendering']['chat_template_sha256']) == 64
  out = command('compare', f'--a={tmp_path}/a', f'--b={tmp_path}/b', f'--out={tmp_path}/c.json').stdout
  compared = json.loads((tmp_path / 'c.json').read_text())
  accuracy = json.loads((tmp_path / 'a' / 'results.json').read_text())['accuracy']['strict']
  assert compared['difference']['estimate'] == pytest.approx(accuracy - results['accuracy']['strict'])
  assert 'interval' in out
  again = command('evaluate', *base, '--arm=other', '--max_new_tokens=12', f'--out={tmp_path}/a', ok=False)
  assert again.returncode == 1 and again.stderr.count('\n') == 1 and "arm='base'" in again.stderr


@pytest.mark.parametrize('flags,message', [
    (['--checkpoint=/nowhere'], '/nowhere: no such checkpoint folder'), ([], '--checkpoint: expected either'),
    (['--checkpoint=x', '--endpoint=http://y'], '--checkpoint: expected either'),
    (['--checkpoint=x', '--few_shot=2'], '--few_shot=2'), (['--checkpoint=x', '--temperature=-1'], '--temperature'),
    (['--checkpoint=x', '--mode=rag', '--retriever=dense'], '--embedder'),
    (['--checkpoint=x', '--mode=rag', '--top_k=0'], '--top_k=0'),
    (['--checkpoint=x', '--benchmark=longhealth'], '"q0" has 4 options'),
    (['--checkpoint=x', '--benchmark=financebench'], '"q0" has 4 options'),
    (['--endpoint=http://y', '--model=m', '--plain=1'], '--plain: an endpoint applies its own chat template'),
    (['--checkpoint=x', '--questions=/none.jsonl'], '/none.jsonl: no such file')])
def test_bad_flags_in_process(tmp_path, flags, message):
  from data_gen.errors import UserError
  values = dict(flag.split('=', 1) for flag in (f.removeprefix('--') for f in small_files(tmp_path) + flags))
  defaults = config_values(benchmark='quality', arm='x', out=str(tmp_path / 'out'))
  typed = {k: int(v) if isinstance(defaults[k], int) else float(v) if k == 'temperature' else v
           for k, v in values.items()}
  with pytest.raises(UserError, match=message.replace('(', r'\(')):
    evaluation.run(defaults | typed)
  assert not (tmp_path / 'out' / 'results.json').exists()


def test_repeated_questions_are_said_and_kept_equal_ids_are_refused(tmp_path, capsys):
  from data_gen.errors import UserError
  small_files(tmp_path)
  rows = [row for _, row in read_jsonl(tmp_path / 'questions.jsonl')]
  write_jsonl(tmp_path / 'twice.jsonl', [*rows, rows[0] | {'id': 'new'}])
  assert len(evaluation.read_questions(str(tmp_path / 'twice.jsonl'), 'quality')) == 9
  said = capsys.readouterr().err
  assert '1 of 9 questions repeat another' in said and '"new" repeats "q0"' in said and ' 0 of them' in said
  write_jsonl(tmp_path / 'ids.jsonl', [*rows, rows[1] | {'question': 'Another?'}])
  with pytest.raises(UserError, match=r'ids\.jsonl:9: id "q1" already stands on line 2'):
    evaluation.read_questions(str(tmp_path / 'ids.jsonl'), 'quality')
  write_jsonl(tmp_path / 'options.jsonl', [rows[0] | {'options': list('abcdefghijk')}])
  values = config_values(benchmark='custom', questions=str(tmp_path / 'options.jsonl'), arm='x',
                                    checkpoint='x', out=str(tmp_path / 'out'))
  with pytest.raises(UserError, match='11 options'):
    evaluation.run(values | {'checkpoint': '', 'endpoint': 'http://localhost:1', 'model': 'm'})


def test_engine_options_agree_with_a_plain_forward_pass(tmp_path, checkpoint):
  """Option scores by the engine, against log-softmax over the model's own logits on prompt + option."""
  import jax

  from launch.readers import local_reader
  from smt_jax.eval import prompts
  from smt_jax.generation.engine import logits
  from smt_jax.loading import load
  model, tokenizer = load(str(checkpoint))
  reader = local_reader(str(checkpoint))
  options = ['a red boat', 'the old mill', 'the old mill by the river', 'dogs']
  question = Question('q', (), 'g', 'What stood there?', tuple(options), 1)
  messages = prompts.render(question, [], scoring='logprob')
  found = {}
  reader.option_scores([messages], [options], lambda i, scores: found.update({i: scores}))
  text = reader.prompt_text(messages) + 'Answer:'
  assert text.endswith('\n\nAnswer:')
  for option, score in zip(options, found[0]):
    ids = tokenizer(f'{text} {option}', add_special_tokens=False)['input_ids']
    logprobs = np.asarray(jax.nn.log_softmax(logits(model, [ids[:-1]])[0]))
    total = sum(logprobs[t - 1, ids[t]] for t in range(len(ids) - score.tokens, len(ids)))
    assert score.logprob == pytest.approx(total, abs=1e-4) and score.tokens > 0


@pytest.mark.slow
def test_kill_9_in_the_middle_and_the_same_command_again(tmp_path, checkpoint):
  questions = [Question(f'q{i}', (), f'g{i}', f'What stood there, number {i}?', ('boat', 'mill', 'dogs', 'x'), i % 4)
               for i in range(150)]
  write_jsonl(tmp_path / 'questions.jsonl', map(to_row, questions))
  flags = ['--benchmark=quality', f'--questions={tmp_path}/questions.jsonl', f'--checkpoint={checkpoint}', '--arm=a',
           '--max_new_tokens=100', '--max_batch=4']
  env = os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': ''}
  running = subprocess.Popen([sys.executable, '-m', 'launch.evaluate', *flags, f'--out={tmp_path}/cut'], cwd=ROOT,
                             env=env, stderr=subprocess.DEVNULL)
  log = tmp_path / 'cut' / 'log.jsonl'
  deadline = time.monotonic() + 200
  while not (log.exists() and log.read_bytes().count(b'\n') >= 10) and time.monotonic() < deadline:
    time.sleep(0.05)
  running.kill()
  running.wait()
  before = log.read_bytes().count(b'\n')
  assert 10 <= before < 150 and not (tmp_path / 'cut' / 'items.jsonl').exists()
  command('evaluate', *flags, f'--out={tmp_path}/cut')
  command('evaluate', *flags, f'--out={tmp_path}/straight')
  keys = [row['key'] for _, row in read_jsonl(log)]
  assert len(keys) == len(set(keys)) == 150
  assert json.loads((tmp_path / 'cut' / 'results.json').read_text())['resumed'] >= before - 1
  assert (tmp_path / 'cut' / 'items.jsonl').read_bytes() == (tmp_path / 'straight' / 'items.jsonl').read_bytes()


BENCHMARKS = {
    'quality': (['--source=quality'], 55), 'longhealth': (['--source=longhealth'], 20),
    'financebench': (['--source=financebench'], 75)}


@pytest.mark.slow
@pytest.mark.parametrize('benchmark', list(BENCHMARKS))
@pytest.mark.parametrize('mode', ['closed_book', 'rag', 'oracle', 'full_document'])
def test_real_questions_in_every_mode(tmp_path_factory, test_data, checkpoint, benchmark, mode):
  """Every question is accounted for: answered, too long for the model, or left out with its reason."""
  prepared = tmp_path_factory.getbasetemp() / f'prepared_{benchmark}'
  if not prepared.exists():
    source = test_data / benchmark
    if benchmark == 'quality':
      source = f'{source}/articles_45.v1.0.1-like.jsonl,{source}/one_record_v1.0.1.htmlstripped.jsonl'
    command('prepare', f'--benchmark={benchmark}', f'--source={source}', f'--out={prepared}')
  out = prepared / mode
  command('evaluate', f'--benchmark={benchmark}', f'--questions={prepared}/questions.jsonl',
          f'--documents={prepared}/documents.jsonl', f'--checkpoint={checkpoint}', '--arm=tiny', f'--mode={mode}',
          '--max_new_tokens=16', '--scoring=letter', '--chunk_size=300', '--top_k=2', f'--out={out}')
  results = json.loads((out / 'results.json').read_text())
  items = [row for _, row in read_jsonl(out / 'items.jsonl')]
  n = BENCHMARKS[benchmark][1]
  assert len(items) == n == results['n_questions'] + len(results['excluded'])
  asked = [row for row in items if 'excluded' not in row]
  assert sum(row['flag'] == 'too_long' for row in asked) == len(results['too_long'])
  assert all(row['output'] for row in asked if row['flag'] != 'too_long')
  if benchmark == 'financebench':
    there = {'closed_book': 75, 'oracle': 75, 'rag': 6, 'full_document': 6}[mode]
    assert results['n_questions'] == there
