"""launch.compare's numbers: paired by question, refused over different questions, seeds and worlds pooled."""

import dataclasses
import json

import numpy as np
import pytest
from known_readers import KnownReader

from data_gen.errors import UserError
from data_gen.jsonl import write_json
from data_gen.schema import Question
from smt_jax.eval.compare import compare, table
from smt_jax.eval.retrieval.rag import RagSettings
from smt_jax.eval.retrieval.sweep import split_for_tuning
from smt_jax.eval.runner import evaluate
from smt_jax.eval.runs import find_runs, read_overlap, read_run
from smt_jax.eval.settings import Settings


def questions(world=0, n_groups=30, size=6):
  return [Question(f'q{g}.{k}', (), f'g{g}', f'World {world}: what is {k} of {g}?', ('p', 'q', 'r', 's'), (g + k) % 4,
                   hard=k % 2 == 0) for g in range(n_groups) for k in range(size)]


class Share(KnownReader):
  """Right on a share of the questions, drawn by seed."""

  def __init__(self, qs, share, seed=0):
    super().__init__(qs)
    rng = np.random.default_rng(seed)
    self.right = {q.id: bool(rng.random() < share) for q in qs}

  def choose(self, question, options):
    return (question.answer + (not self.right[question.id])) % 4


def run(folder, arm, share, seed=0, world=0, qs=None):
  qs = qs or questions(world)
  evaluate(Settings('custom', arm, seed=seed), qs, [], Share(qs, share, 100 * seed + world), folder,
           training={'seed': seed})
  return read_run(folder)


def test_difference_is_the_difference_of_accuracies(tmp_path):
  a, b = run(tmp_path / 'a', 'smt', 0.9, 1), run(tmp_path / 'b', 'rag', 0.5, 2)
  c = compare([a], [b])
  expected = a.results['accuracy']['strict'] - b.results['accuracy']['strict']
  assert c.difference.estimate == pytest.approx(expected)
  assert c.difference.low < expected < c.difference.high and c.significant
  assert c.verdict() == 'smt is significantly better' and c.mcnemar['p'] < 1e-4
  assert c.gain.estimate == pytest.approx(expected / b.results['accuracy']['strict'])
  assert c.parts['hard'].estimate == pytest.approx(
      a.results['hard']['strict'] - b.results['hard']['strict'])
  back = compare([b], [a])
  assert back.difference.estimate == pytest.approx(-expected) and back.verdict() == 'smt is significantly better'
  assert 'smt' in table([c]) and f'{100 * expected:+.1f}' in table([c])


def test_documents_kept_back_and_questions_without_overlap(tmp_path):
  a, b = run(tmp_path / 'a', 'smt', 0.8, 1), run(tmp_path / 'b', 'rag', 0.6, 2)
  tuned, rest = split_for_tuning(questions())
  assert len({q.group for q in tuned}) == 6
  for one in (a, b):
    kept = one.results['kept_back']
    assert kept['n_questions'] == len(rest) and kept['strict'] == pytest.approx(one.scores([q.id for q in rest]).mean())
  hit = {q.id for q in rest[:40]} | {'of another benchmark'}
  c = compare([a], [b], overlap=hit)
  for name, some in (('kept back', rest), ('without overlap', [q for q in questions() if q.id not in hit])):
    ids = [q.id for q in some]
    assert c.parts[name].estimate == pytest.approx((a.scores(ids) - b.scores(ids)).mean()) and c.parts[name].low > -1
  assert 'without overlap' not in compare([a], [b], overlap={'of another benchmark'}).parts
  evaluate(Settings('custom', 'few', limit=40), questions(), [], Share(questions(), 0.5), tmp_path / 'few')
  asked = read_run(tmp_path / 'few').asked.values()  # a limit does not move the fifth
  assert {r['group'] for r in asked if not r['kept_back']} <= {q.group for q in tuned}


def test_overlap_is_read_from_a_decontamination(tmp_path):
  write_json(tmp_path / 'report.json', {'question_ids_hit': ['q1', 'q2']})
  assert read_overlap(str(tmp_path)) == {'q1', 'q2'} and read_overlap('') == frozenset()
  write_json(tmp_path / 'other.json', {'records': 3})
  with pytest.raises(UserError, match=r'other\.json: field "question_ids_hit" is missing'):
    read_overlap(f'{tmp_path}/other.json')


def test_equal_arms_are_not_significant(tmp_path):
  c = compare([run(tmp_path / 'a', 'x', 0.6, 1)], [run(tmp_path / 'b', 'y', 0.6, 2)])
  assert not c.significant and c.verdict() == 'no significant difference'
  same = compare([run(tmp_path / 'a', 'x', 0.6, 1)], [run(tmp_path / 'a', 'x', 0.6, 1)])
  assert same.difference.estimate == 0 and same.difference.low == -same.difference.high > -0.15


@pytest.mark.parametrize('n_groups', [1, 2, 5])
def test_few_documents_are_said_and_never_significant(tmp_path, n_groups):
  qs = questions(n_groups=n_groups, size=8)
  c = compare([run(tmp_path / 'a', 'x', 1.0, qs=qs)], [run(tmp_path / 'b', 'y', 0.0, qs=qs)])
  assert c.difference.estimate == 1 and not c.significant and c.verdict() == f'too few documents ({n_groups}) to tell'
  assert c.verdict() in table([c]) and 'nan' not in table([c])
  row = json.loads(json.dumps(c.to_json(), allow_nan=False))
  assert row['significant'] is False and row['difference']['too_few'] is True and row['gain']['low'] is None


@pytest.mark.parametrize('change', ['question', 'answer', 'group', 'id', 'fewer'])
def test_different_questions_are_refused(tmp_path, change):
  qs = questions()
  other = {'fewer': lambda: qs[:-1], 'id': lambda: [dataclasses.replace(qs[0], id='new'), *qs[1:]],
           'question': lambda: [dataclasses.replace(qs[0], question='?'), *qs[1:]],
           'answer': lambda: [dataclasses.replace(qs[0], answer=3), *qs[1:]],
           'group': lambda: [dataclasses.replace(qs[0], group='z'), *qs[1:]]}[change]()
  a, b = run(tmp_path / 'a', 'x', 0.6), run(tmp_path / 'b', 'y', 0.6, qs=other)
  with pytest.raises(UserError, match=r'different questions; "(q0\.0|new|q29\.5)"'):
    compare([a], [b])


def test_questions_that_one_mode_excludes_are_left_out(tmp_path):
  qs = [dataclasses.replace(q, document_ids=('gone',), metadata={'filing_missing': True, 'identity': 'X'})
        if q.group == 'g0' else q for q in questions()]
  from data_gen.schema import Document
  document = Document('d', 'T', 'Words to find.')
  qs = [q if q.document_ids else dataclasses.replace(q, document_ids=('d',)) for q in qs]
  for mode in ('closed_book', 'full_document'):
    evaluate(Settings('custom', mode, mode=mode), qs, [document], Share(qs, 0.7), tmp_path / mode)
  c = compare([read_run(tmp_path / 'closed_book')], [read_run(tmp_path / 'full_document')])
  assert c.left_out == 6 and c.n_questions == 174 and c.difference.estimate == 0


def test_seeds_of_the_same_questions(tmp_path):
  a = [run(tmp_path / f'a{s}', 'smt', 0.8, s) for s in range(3)]
  b = [run(tmp_path / f'b{s}', 'qa', 0.6, s + 10) for s in range(3)]
  b = [dataclasses.replace(r, results=r.results | {'seed': i}) for i, r in enumerate(b)]
  c = compare(a, b)
  assert c.design == 'seeds' and c.n_runs == 3 and c.significant
  assert c.accuracy_a == pytest.approx(np.mean([r.results['accuracy']['strict'] for r in a]))
  one = compare(a, b[:1])
  assert one.design == 'seeds' and one.n_runs == 3
  with pytest.raises(UserError, match='same seeds'):
    compare(a, b[:2])


def test_worlds_with_their_own_questions(tmp_path):
  a = [run(tmp_path / f'a{w}', 'smt', 0.9, w, w) for w in range(5)]
  b = [run(tmp_path / f'b{w}', 'qa', 0.5, w, w) for w in range(5)]
  c = compare(a, b)
  assert c.design == 'worlds' and c.n_runs == 5 and c.n_questions == 900 and c.n_groups == 150
  differences = [x.results['accuracy']['strict'] - y.results['accuracy']['strict'] for x, y in zip(a, b)]
  assert c.difference.estimate == pytest.approx(np.mean(differences))
  half = 2.776445 * np.std(differences, ddof=1) / np.sqrt(5)
  assert c.difference.high == pytest.approx(np.mean(differences) + half, abs=1e-6)
  assert c.questions_only.low < c.difference.estimate < c.questions_only.high


def test_overlap_is_left_out_of_every_world(tmp_path):
  a = [run(tmp_path / f'a{w}', 'smt', 0.9, w, w) for w in range(3)]
  b = [run(tmp_path / f'b{w}', 'qa', 0.5, w, w) for w in range(3)]
  hit = {f'q{g}.{k}' for g in range(4) for k in range(6)}
  rest = [q.id for q in questions() if q.id not in hit]
  differences = [(x.scores(rest) - y.scores(rest)).mean() for x, y in zip(a, b)]
  c = compare(a, b, overlap=hit)
  assert c.design == 'worlds' and c.parts['without overlap'].estimate == pytest.approx(np.mean(differences))
  assert 'without overlap' not in compare(a, b, overlap={'of another benchmark'}).parts


def test_two_arms_are_not_pooled_as_seeds(tmp_path):
  qs = questions()

  def one(name, arm, seed, **settings):
    evaluate(Settings('custom', arm, seed=seed, checkpoint=f'run{seed}', **settings), qs, [], Share(qs, 0.7, seed),
             tmp_path / name, training={'seed': seed})
    return read_run(tmp_path / name)

  a, other = one('a0', 'smt', 0, permutations=2), one('b', 'qa', 0, permutations=2)
  assert compare([a, one('a1', 'smt', 1, permutations=2)], [other]).design == 'seeds'
  for name, changed in (('arm', one('a2', 'base', 1, permutations=2)), ('permutations', one('a3', 'smt', 1)),
                        ('scoring', one('a4', 'smt', 1, permutations=2, scoring='letter'))):
    with pytest.raises(UserError, match=f'a0 and .*: {name}=.*expected one arm'):
      compare([a, changed], [other])
    with pytest.raises(UserError, match=f'{name}='):
      compare([other], [a, changed])


def test_prompts_that_differ_are_said(tmp_path):
  a, b = run(tmp_path / 'a', 'x', 0.7), run(tmp_path / 'b', 'y', 0.7)
  assert compare([a], [b]).notes == ()

  def altered(r, **changes):
    changed = r.results['config'] | changes
    return dataclasses.replace(r, results=r.results | {'config': changed, 'scoring': changed['scoring']})

  rag = dataclasses.asdict(RagSettings())
  c = compare([altered(a, scoring='letter', rag=rag)], [altered(b, rag=rag | {'top_k': 3})])
  assert c.notes == ("prompts differ in scoring: 'letter' and 'cot'", 'prompts differ in rag.top_k: 8 and 3')
  assert json.loads(json.dumps(c.to_json()))['notes'] == list(c.notes)
  assert compare([altered(a, rag=rag)], [b]).notes == ()  # what the arms are compared in


def test_reading_runs_names_what_is_wrong(tmp_path):
  with pytest.raises(UserError, match='no such folder'):
    read_run(tmp_path / 'none')
  (tmp_path / 'empty').mkdir()
  with pytest.raises(UserError, match=r'results\.json: no such file'):
    read_run(tmp_path / 'empty')
  (tmp_path / 'empty' / 'log.jsonl').write_text('')
  with pytest.raises(UserError, match='not finished'):
    read_run(tmp_path / 'empty')
  run(tmp_path / 'a', 'x', 0.6)
  results = json.loads((tmp_path / 'a' / 'results.json').read_text())
  del results['ci95']
  (tmp_path / 'a' / 'results.json').write_text(json.dumps(results))
  with pytest.raises(UserError, match='ci95'):
    read_run(tmp_path / 'a')
  with pytest.raises(UserError, match='matches no results'):
    find_runs(str(tmp_path / 'nothing*'))
  run(tmp_path / 'b', 'x', 0.6)
  (tmp_path / 'b' / 'items.jsonl').write_text('{"id": "q"}\n')
  with pytest.raises(UserError, match=r'items\.jsonl:1: field "group"'):
    compare(find_runs(str(tmp_path / 'b')), find_runs(str(tmp_path / 'b')))
