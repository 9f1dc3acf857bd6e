"""Answers without options: what rules decide, what a judge decides, and when a judge is not believed."""

import csv
import json

import pytest
from known_readers import KnownReader, Perfect, Silent

from data_gen.errors import UserError
from data_gen.jsonl import read_jsonl
from data_gen.schema import Question
from smt_jax.eval import audit, judging
from smt_jax.eval.judging import Judge, by_rule, parse_verdict
from smt_jax.eval.reader import Reply
from smt_jax.eval.runner import evaluate
from smt_jax.eval.settings import Settings

QUESTIONS = [
    Question('n0', (), 'f0', 'What was the capex (in USD millions)?', None, '$1577.00'),
    Question('n1', (), 'f1', 'Was the company able to retain card members?', None, 'Yes'),
    Question('n2', (), 'f2', 'Which segment dragged growth down?', None, 'The consumer segment shrunk by 0.9%.'),
    Question('n3', (), 'f3', 'Did it increase its debt?', None, 'No. Debt decreased by $229 million.'),
    Question('n4', (), 'f4', 'Which securities are listed?', None, 'There are none'),
    Question('n5', (), 'f5', 'Which companies were acquired?', None, 'Trillium, Array, and Therachon')]


def ask(i):
  return QUESTIONS[i]


@pytest.mark.parametrize('i,answer,correct,by', [
    (0, '$1,577 million', True, 'numeric'), (0, '$2,208 million', False, 'numeric'), (0, None, False, 'empty'),
    (0, 'I cannot determine this from the information given.', False, 'refusal'), (0, '...', False, 'empty'),
    (1, 'yes.', True, 'text'), (1, 'yes, it was.', True, 'yes/no'), (1, 'No, it lost many.', False, 'yes/no'),
    (3, 'Yes, it increased.', False, 'yes/no'), (4, 'there are none.', True, 'text'),
    (5, 'trillium, Array,  and Therachon.', True, 'text'), (0, '-$1577.00', False, 'numeric'),
    (2, 'The information is not provided.', False, 'refusal'),
    (2, "I don't know", False, 'refusal'), (5, 'Insufficient information.', False, 'refusal')])
def test_rules(i, answer, correct, by):
  assert by_rule(ask(i), answer) == judging.Verdict(correct, by)


@pytest.mark.parametrize('i,answer', [
    (2, 'The consumer segment.'), (3, 'No, it fell by $229 million.'), (5, 'Trillium and Array'),
    (5, 'Trillium, Array and Therachon'), (4, 'None are listed'), (2, 'It shrank, the consumer one')])
def test_rules_leave_the_rest_to_the_judge(i, answer):
  assert by_rule(ask(i), answer) is None


@pytest.mark.parametrize('text,verdict', [
    ('Verdict: correct', True), ('Verdict: incorrect', False), ('**Verdict:** Correct', True), ('correct', True),
    ('Incorrect.', False), ('<think>correct?</think>Verdict: incorrect', False), ('It is not correct.', False),
    ('The numbers agree.\nVerdict: correct.', True), ('Verdict: correct\nVerdict: incorrect', False), ('', None),
    ('banana', None), ('maybe correct, maybe incorrect', None), ('Verdict: maybe', None), ('<think>correct', None),
    ('VERDICT - INCORRECT', False), ('The figure is not correct. Verdict: incorrect', False),
    ('At first it seems not correct, but it is. Verdict: correct', True), ('Verdict: partially correct', None),
    ('It is partially correct.', None), ('Is the answer correct? No.', False), ('Is it correct? Yes.', True),
    ('Is the answer correct? No, the correct figure is 5.', False), ('Verdict: not correct', False),
    ('Verdict: incorrect. On reflection, verdict: correct', True), ("It isn't correct", False),
    ('The verdict is correct', True), ('Verdict: the answer is incorrect', False), ('not incorrect', None)])
def test_reading_a_verdict(text, verdict):
  assert parse_verdict(text) is verdict


@pytest.mark.parametrize('text,refusal', [
    ('There is no information barrier; the margin fell as costs rose', False), ('There was no data breach', False),
    ('There is no information about it.', True), ('No data', True), ('not enough context to say', True),
    ('There is insufficient information in the filing', True), ('I have no information.', True)])
def test_refusals(text, refusal):
  assert judging.is_refusal(text) is refusal


@pytest.mark.parametrize('gold,answer,verdict', [
    ('5', '.5', judging.Verdict(False, 'numeric')), ('5', '5.', judging.Verdict(True, 'text')),
    ('.5', '0.5', judging.Verdict(True, 'numeric')), ('$100', '€100', None), ('12 days', '12 years', None)])
def test_a_point_and_a_unit_change_a_figure(gold, answer, verdict):
  assert by_rule(Question('q', (), 'f', 'How much?', None, gold), answer) == verdict


@pytest.mark.parametrize('questions', [QUESTIONS[2:3], [QUESTIONS[1]] * 20])
def test_a_judge_that_was_shown_too_few_near_misses_is_not_believed(questions):
  found = judging.validate(Judge(JudgeReader(lambda g, a: 'Verdict: correct'), 'kind'), questions)
  assert not found['valid'] and 'give 0 near misses' in found['reason'] and found['judge'] == 'kind'
  assert '8 are needed' in found['reason'] and found['cases'] == len(questions)


class JudgeReader:
  """A judge that compares the answer under check with what a table or a rule says."""
  max_positions = None

  def __init__(self, says, stop_after=None):
    self.says, self.stop_after, self.asked = says, stop_after, []

  def complete(self, prompts, keys, sampling, done):
    for i, messages in enumerate(prompts):
      if self.stop_after is not None and len(self.asked) >= self.stop_after:
        raise ConnectionError('the judge is gone')
      text = messages[0]['content']
      self.asked.append(text)
      done(i, [Reply(self.says(*(text.split(f'{name}: ', 1)[1].split('\n', 1)[0]
                                 for name in ('Gold answer', 'Answer to check'))))])


def strict(gold, answer):
  return f'Verdict: {"correct" if gold.rstrip(".") in answer or answer == ACCEPTED else "incorrect"}'


ACCEPTED = 'the consumer one, by 0.9%'


class Answers(KnownReader):
  """Says what it is given, by question id."""

  def __init__(self, answers):
    super().__init__(QUESTIONS)
    self.answers = answers

  def choose(self, question, options):
    return f'Answer: {self.answers[question.id]}'


GIVEN = {'n0': '1577', 'n1': 'Yes', 'n2': ACCEPTED, 'n3': 'No, it doubled.', 'n4': 'I cannot say.', 'n5': 'Array'}


def run(out, judge, reader=None):
  return evaluate(Settings('financebench', 'x', mode='no_context'), QUESTIONS, [], reader or Answers(GIVEN), out,
                  judge=judge)


def test_a_sound_judge_decides_what_rules_cannot(tmp_path):
  judge = JudgeReader(strict)
  result = run(tmp_path, Judge(judge, 'sound'))
  assert result['accuracy']['strict'] == pytest.approx(3 / 6)
  assert result['verdicts'] == {'numeric': 1, 'text': 1, 'judge': 3, 'refusal': 1}
  assert result['judge']['valid'] and result['judge']['judged'] == 3 and result['flags'] == {'refusal': 1}
  items = {row['id']: row for _, row in read_jsonl(tmp_path / 'items.jsonl')}
  assert items['n2']['correct'] and items['n2']['how'] == 'judge' and not items['n5']['correct']


@pytest.mark.parametrize('says', [lambda g, a: 'Verdict: correct', lambda g, a: 'Verdict: incorrect',
                                  lambda g, a: 'I like turtles', lambda g, a: ''])
def test_a_judge_that_fails_the_check_decides_nothing(tmp_path, says):
  result = run(tmp_path, Judge(JudgeReader(says), 'poor'))
  assert not result['judge']['valid'] and result['accuracy']['strict'] == pytest.approx(2 / 6)
  assert result['judge']['reason'] == 'it failed the check on near misses'
  assert result['verdicts']['judge not valid'] == 3


def test_nonsense_on_single_items_is_reported_and_counts_as_wrong(tmp_path):
  def says(gold, answer):
    return 'No idea' if answer == 'Array' else strict(gold, answer)
  result = run(tmp_path, Judge(JudgeReader(says), 'mostly sound'))
  assert result['verdicts']['judge: nonsense'] == 1 and result['judge']['valid']
  assert result['accuracy']['strict'] == pytest.approx(3 / 6)


def test_a_judge_that_fails_half_way_is_asked_only_for_the_rest(tmp_path):
  checks = len(judging.near_misses(QUESTIONS))
  first = JudgeReader(strict, stop_after=checks + 1)
  with pytest.raises(ConnectionError):
    run(tmp_path, Judge(first, 'sound'))
  assert not (tmp_path / 'results.json').exists()
  second, reader = JudgeReader(strict), Answers(GIVEN)
  result = run(tmp_path, Judge(second, 'sound'), reader)
  assert len(second.asked) == 2 and not reader.keys
  assert result['accuracy']['strict'] == pytest.approx(3 / 6)


def test_no_judge_no_verdict(tmp_path):
  result = run(tmp_path, None)
  assert result['judge'] == {'judge': None, 'undecided': 3} and result['verdicts']['no judge'] == 3


def test_a_person_checks_a_fixed_sample_of_verdicts(tmp_path):
  run(tmp_path, Judge(JudgeReader(strict), 'sound'))
  path = tmp_path / 'audit.csv'
  rows = list(csv.DictReader(path.open()))
  items = {row['id']: row for _, row in read_jsonl(tmp_path / 'items.jsonl')}
  assert {row['id'] for row in rows} == set(items)
  for row in rows:
    item = items[row['id']]
    assert (row['verdict'] == 'correct') == item['correct'] and row['by'] == item['how'] and row['human'] == ''
    assert (row['gold'], row['question']) == (item['answer'], item['question'])
  with pytest.raises(UserError, match='column "human" is empty'):
    audit.agreement(path)
  for row in rows:  # the person agrees but for one answer that the judge accepted
    row['human'] = 'wrong' if row['id'] == 'n2' else {'correct': 'Right', 'incorrect': 'no'}[row['verdict']]
  rows[-1]['human'] = '' if rows[-1]['id'] != 'n2' else 'wrong'
  with path.open('w') as f:
    table = csv.DictWriter(f, audit.COLUMNS)
    table.writeheader()
    table.writerows(rows)
  found = audit.agreement(path)
  filled = sum(bool(row['human']) for row in rows)
  assert (found['n'], found['agree'], found['false_accept'], found['false_reject']) == (filled, filled - 1, 1, 0)
  assert found['by']['judge']['n'] == 3 and found['ci95'][0] < found['share'] < found['ci95'][1]
  path.write_text(path.read_text().replace('Right', 'maybe'))
  with pytest.raises(UserError, match=r'audit\.csv:\d+: field "human" should be correct or incorrect, found .maybe'):
    audit.agreement(path)
  path.write_text('id,question\n1,2\n')
  with pytest.raises(UserError, match='column "gold" is missing'):
    audit.agreement(path)


def test_the_audit_is_the_same_questions_for_every_arm_and_half_of_it_judged(tmp_path):
  def rows(judged):
    return [{'id': f'q{i}', 'question': 'w', 'options': None, 'answer': 'g', 'parsed': 'p', 'correct': True,
             'output': 'o', 'how': 'judge' if i in judged else 'numeric'} for i in range(100)]
  picked = []
  for name, judged in (('a', range(50)), ('b', range(50)), ('c', range(3)), ('d', ())):
    assert audit.write_audit(rows(set(judged)), tmp_path / name) == 30
    picked.append(list(csv.DictReader((tmp_path / name).open())))
  assert [r['id'] for r in picked[0]] == [r['id'] for r in picked[1]]
  assert sum(r['by'] == 'judge' for r in picked[0]) >= 15 and sum(r['by'] == 'judge' for r in picked[2]) == 3


def test_near_misses_hold_the_known_traps():
  cases = judging.near_misses(QUESTIONS[:1])
  assert ('$2207.80', False) in [(a, ok) for _, a, ok in cases]
  assert [ok for _, _, ok in cases] == [True, False, False, False]
  dated = Question('y', (), 'f', 'What was the capex in FY2018 (in USD millions)?', None, '$1577.00')
  assert (dated, 'In 2015 it was $1577.00.', False) in judging.near_misses([dated])
  for question, answer, accepted in judging.near_misses([*QUESTIONS, dated]):
    assert by_rule(question, answer) in (None, judging.Verdict(accepted, 'numeric'), judging.Verdict(False, 'yes/no'),
                                         judging.Verdict(accepted, 'text')), answer


def test_every_real_question_accepts_its_gold_and_refuses_silence(tmp_path, test_data):
  rows = [json.loads(line) for line in (test_data / 'financebench' / 'open_source.half.jsonl').read_text().splitlines()]
  questions = [Question(row['financebench_id'], (), row['doc_name'], row['question'], None, row['answer'].strip())
               for row in rows]
  settings = Settings('financebench', 'x', mode='no_context')
  perfect = evaluate(settings, questions, [], Perfect(questions), tmp_path / 'p')
  assert perfect['accuracy'] == {'strict': 1.0, 'lenient': 1.0} and perfect['judge'] is None
  silent = evaluate(settings, questions, [], Silent(questions), tmp_path / 's')
  assert silent['accuracy'] == {'strict': 0.0, 'lenient': 0.0} and silent['parse_rate'] == 0
