"""Retention: losses are the engine's, every token is predicted once, questions come in plain forms."""

import json
import math

import numpy as np
import pytest
from eval_checkpoint import make_checkpoint
from serving import launch

from data_gen.errors import UserError
from smt_jax.eval import retention
from smt_jax.eval.retention import Measured, Text, compare, limit_texts, read_questions, windows
from smt_jax.serving.engine import open_engine

TEXTS = ['The old mill stood by the river, and the dogs barked all night. ' * 6, 'A red boat lay at anchor. ' * 3]
ROWS = [{'question': 'Where did it stand?', 'choices': ['by the river', 'at anchor', 'in a red boat'], 'answer': 'B',
         'subject': 'mills'},
        {'id': 'q2', 'question': 'Who barked?', 'options': ['the dogs', 'the mill'], 'answer': 'the dogs'},
        {'question': 'What lay there?', 'options': ['a boat', 'a mill'], 'answer': 1, 'group': 'boats'}]


@pytest.mark.parametrize('bos', [None, 7])
@pytest.mark.parametrize(('n', 'size'), [(1, 2), (10, 4), (12, 4), (3, 100), (0, 5), (9, 2)])
def test_every_token_is_predicted_once(n, size, bos):
  ids = list(range(100, 100 + n))
  cut = windows(ids, bos, size)
  assert [token for window in cut for token in window[1:]] == (ids if bos is not None else ids[1:])
  assert all(2 <= len(window) <= size for window in cut)
  if bos is None:
    assert [window[0] for window in cut] == [window[1] - 1 for window in cut]
  else:
    assert all(window[0] == bos for window in cut)


def test_questions_in_plain_forms(tmp_path):
  path = tmp_path / 'q.jsonl'
  path.write_text('\n'.join(map(json.dumps, ROWS)))
  found = read_questions(path)
  assert [q.answer for q in found] == [1, 0, 1] and [q.group for q in found] == ['mills', 'all', 'boats']
  assert [q.id for q in found] == ['1', 'q2', '3']


@pytest.mark.parametrize(('row', 'message'), [
    ({'options': ['a', 'b'], 'answer': 0}, 'field "question"'),
    ({'question': 'x', 'options': ['a'], 'answer': 0}, 'field "options" should hold 2 to 10'),
    ({'question': 'x', 'options': ['a', 3], 'answer': 0}, 'field "options"'),
    ({'question': 'x', 'options': ['a', 'b'], 'answer': 2}, 'field "answer" should be 0 to 1, A to B'),
    ({'question': 'x', 'options': ['a', 'b'], 'answer': 'C'}, 'field "answer"'),
    ({'question': 'x', 'options': ['a', 'b'], 'answer': True}, 'field "answer"'),
    ({'question': 'x', 'options': ['O', 'A', 'B', 'AB'], 'answer': 'A'},
     'field "answer" is ambiguous: \'A\' may stand for options 0 and 1 (counted from 0)'),
    ({'question': 'x', 'options': ['2', '3', '1', '0'], 'answer': '1'}, 'may stand for options 1 and 2'),
    ({'question': 'x', 'options': ['a', 'b'], 'answer': '1'}, 'field "answer" should be'),
    ({'question': 'x', 'options': ['a', 'b']}, 'found None')])
def test_bad_questions(tmp_path, row, message):
  path = tmp_path / 'q.jsonl'
  path.write_text(json.dumps(ROWS[0]) + '\n' + json.dumps(row))
  with pytest.raises(UserError, match=r'q\.jsonl:2: ') as e:
    read_questions(path)
  assert message in str(e.value)


@pytest.mark.parametrize(('options', 'answer', 'index'), [
    (['A', 'B', 'AB', 'O'], 'A', 0), (['O', 'A', 'B', 'AB'], 'AB', 3), (['O', 'A', 'B', 'AB'], 'D', 3),
    (['2', '3', '1', '0'], 1, 1), (['2', '7', '1', '0'], '7', 1), (['5', '1', '9'], '1', 1)])
def test_an_answer_that_reads_one_way(tmp_path, options, answer, index):
  path = tmp_path / 'q.jsonl'
  path.write_text(json.dumps({'question': 'x', 'options': options, 'answer': answer}))
  assert read_questions(path)[0].answer == index


def test_comparison_is_what_arithmetic_says():
  before = Measured(np.full(6, 2.0), ['a', 'a', 'b', 'b', 'b', 'c'], 1, 10, {'raw': np.asarray([1.0, 1, 0, 0])})
  after = Measured(before.nll + np.asarray([.1, .3, 0, .2, .1, .2]), before.groups, 1, 10,
                   {'raw': np.asarray([1.0, 0, 0, 0])})
  questions = [retention.Question(str(i), (), 'g', 'x', ('a', 'b', 'c', 'd'), 0) for i in range(4)]
  found = compare(before, after, questions)
  assert found['text']['before']['perplexity'] == pytest.approx(math.exp(2))
  assert found['text']['before']['bits_per_byte'] == pytest.approx(12 / math.log(2) / 10)
  change = found['text']['loss_change']
  assert change['estimate'] == pytest.approx(0.15) and change['low'] < 0.15 < change['high']
  assert found['text']['perplexity_ratio'] == pytest.approx(math.exp(0.15))
  assert found['questions']['raw']['change']['estimate'] == -0.25 and found['questions']['chance'] == 0.25
  with pytest.raises(UserError, match='their tokenizers differ'):
    compare(before, Measured(after.nll, after.groups, 2, 10, after.correct), [])


def test_texts_are_limited_by_bytes():
  texts = [Text('a', 'abc'), Text('b', ' '), Text('c', 'äöü')]
  assert limit_texts(texts, 0) == [texts[0], texts[2]]
  assert limit_texts(texts, 6) == [texts[0], Text('c', 'ä')]
  assert limit_texts(texts, 3) == [texts[0]]


@pytest.mark.slow
def test_command(tmp_path):
  checkpoints = [make_checkpoint(tmp_path / name, positions=256, seed=seed) for seed, name in enumerate('ab')]
  for i, text in enumerate(TEXTS):
    (tmp_path / f'{i}.txt').write_text(text)
  (tmp_path / 'q.jsonl').write_text('\n'.join(map(json.dumps, ROWS)))
  done = launch('retention', f'--before={checkpoints[0]}', f'--after={checkpoints[1]}', f'--text={tmp_path}/*.txt',
                f'--questions={tmp_path}/q.jsonl', '--window=64', f'--out={tmp_path}/out')
  assert done.returncode == 0, done.stderr
  found = json.loads((tmp_path / 'out/retention.json').read_text())
  engine = open_engine(str(checkpoints[0]))
  encoded = [engine.tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
  assert found['text']['n_tokens'] == sum(map(len, encoded)) and found['text']['n_groups'] == 2
  read = [s for ids in encoded for s in windows(ids, engine.tokenizer.bos_token_id, 64)]
  loss = -float(np.concatenate(engine.logprobs(read)).mean(dtype=np.float64))
  assert found['text']['before']['loss'] == pytest.approx(loss, abs=1e-5)
  assert found['text']['after']['loss'] != pytest.approx(loss, abs=1e-3)
  assert found['questions']['n_questions'] == 3 and set(found['questions']['raw']['by_group']) == {
      'mills', 'all', 'boats'}
  assert 'perplexity' in done.stdout and 'accuracy (normalised)' in done.stdout
  done = launch('retention', f'--before={checkpoints[0]}', f'--after={checkpoints[1]}', f'--text={tmp_path}/*.txt',
                '--window=64', f'--out={tmp_path}/text')
  assert done.returncode == 0, done.stderr
  alone = json.loads((tmp_path / 'text/retention.json').read_text())
  assert alone['text'] == found['text'] and 'questions' not in alone and 'accuracy' not in done.stdout
  done = launch('retention', f'--before={checkpoints[0]}', f'--after={checkpoints[1]}', '--text=/no/*.txt',
                f'--out={tmp_path}/none')
  assert done.returncode == 1 and done.stderr == 'error: --text=/no/*.txt: matches no file\n'
