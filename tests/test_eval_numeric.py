"""Figures against gold figures: every rule with the answer that keeps it and the near miss that breaks it."""

import json

import pytest

from smt_jax.eval import numeric
from smt_jax.eval.numeric import compare

CAPEX = 'What is the FY2018 capital expenditure amount (in USD millions) for 3M?'
MARGIN = 'What is the FY2015 D&A % margin? Answer in units of percents and round to one decimal place.'
RATIO = 'What is the quick ratio? Round your answer to two decimal places.'

# (gold, question, answers that state it, answers that do not)
CASES = [
    ('$1577.00', CAPEX,
     ['1577', '$1,577', '$1577.00', '$1,577 million', '1,577.0 million USD', '$1.577 billion', '$1.58 billion',
      '1.577bn', '$1,577,000,000', 'USD 1,577 million', 'It was $1,577 million in FY2018.', '1577 (in USD millions)',
      'Capital expenditure for fiscal year 2018 was 1577.', '**$1,577**', '1580', '$1577M', '1,577 mn',
      'From the 10-K: $1,577 million', 'capex = 1577', '≈ 1577', '1570.5'],
     ['$1,577 billion', '$1577 thousand', '1.577', '$1.577 million', '15770', '157.7', '-1577', '$(1,577)', '2208',
      '$2,207.80 million', '1600', '1500', '$1,577 trillion', '0', '2018: 1373']),
    ('4.2%', MARGIN,
     ['4.2%', '4.2 %', '4.2 percent', '4.2', '0.042', '4.20%', '4.15%', '4.24%', '420 bps', '420 basis points',
      'The margin was 4.2% in FY2015.', '167 / 3991 = 4.2%', '167/3991 = 0.0418 ≈ 4.2%', '4.2 percentage points'],
     ['4.3%', '4.1%', '42%', '0.42%', '0.0042', '-4.2%', '5.88%', '42 bps', '4.2 billion', '420%']),
    ('0.66', RATIO,
     ['0.66', '.66', '66%', '0.660', '0.6600', '0.663', '0.66x', '0.66 times', '0.655', 'The ratio is 0.66.',
      '10/15.15 = 0.66'],
     ['0.67', '0.65', '6.6', '66', '0.066', '-0.66', '0.92', '1.66']),
    ('-$473 million', 'What was the net revenue of Corporate?',
     ['-$473 million', '$-473 million', '−473 million', '($473 million)', '(473) million', '-0.473 billion',
      'a loss of $473 million', 'It was negative $473 million'],
     ['$473 million', '473 million', '-$473 billion', '-473']),
    ('$8.70', 'What is the FY2018 net PP&E? Answer in USD billions.',
     ['$8.70', '8.7', '$8.7 billion', '8,738 million', '$8,700 million', '8.738'],
     ['$8.7 million', '8.9', '87', '$870']),
    ('93.86', 'What is the DPO? Round your answer to two decimal places.',
     ['93.86', '93.9', '93.86 days', '94'], ['95', '9.386', '131.4']),
    ('AMCOR had $2,018mn', 'What Was the Adjusted EBITDA for FY 2023', ['$2,018mn', '$2.018 billion', '2018 million'],
     ['$2,018bn', '$2,825 million']),
    ('$2.00', 'What is the dividend? Answer in USD billions.', ['2', '$2.0 billion', '2.01'], ['2.4', '$1.6 billion']),
    ('5.0%', 'What is the margin?', ['5%', '5.0%', '5.04%'], ['5.4%', '4.6%']),
    ('$0.40', 'What was the dividend per share?', ['40 cents', '$0.40', '0.4'], ['4 cents', '40']),
    ('0.2%', MARGIN, ['0.2%', '0.24%', '0.16%', '0.002'], ['0.3%', '0.1%', '2%', '-0.2%', '0.28%']),
]


@pytest.mark.parametrize('gold,question,answer', [(g, q, a) for g, q, good, _ in CASES for a in good])
def test_same_figure(gold, question, answer):
  assert compare(gold, answer, question) is True


@pytest.mark.parametrize('gold,question,answer', [(g, q, a) for g, q, _, bad in CASES for a in bad])
def test_other_figure(gold, question, answer):
  assert compare(gold, answer, question) is False


@pytest.mark.parametrize('gold,answer', [
    ('Yes', '5'), ('No, it fell by 3%', '3%'), ('4.2%', 'It grew.'), ('4.2%', ''), ('4.2%', 'in FY2015'),
    ('Trillium, Array, and Therachon', '3'), ('4.2%', 'between 4.2% and 5.1%'), ('From 20% to 23%', '20%'),
    ('0.66', 'either 0.66 or 0.7')])
def test_undecided(gold, answer):
  assert compare(gold, answer, RATIO) is None


@pytest.mark.parametrize('answer,decided', [
    ('In FY2017 it was 1577.', None), ('1577 (2017)', None), ('For FY17: $1,577 million', None),
    ('2016 and 2017: 1577', None), ('In FY2018 it was 1577.', True), ('FY18: 1577', True),
    ('1577, up from 1373 in 2017 to 2018', None),
    ('It was 1577 for the year ended December 31, 2018, after 2017', True), ('In 2018: 1373', False)])
def test_a_figure_of_another_year_is_left_to_the_judge(answer, decided):
  assert compare('$1577.00', answer, CAPEX) is decided
  assert compare('$1577.00', '1577', CAPEX) is True and compare('0.66', 'In 2017: 0.66', RATIO) is True


@pytest.mark.parametrize('text,values', [
    ('in FY2018 and 2019', []), ('Form 10-K, note 12, Q3', []), ('the 3rd of May 2020', []), ('May 26', []),
    ('1. It grew', []), ('3M', []), ('$3M', [3e6]), ('12 months', []), ('5 - 3', [5, 3]), ('2019-2021', []),
    ('$5-7 million', [5, 7e6]), ('1,234,567', [1234567]), ('(12.5%)', [-12.5]), ('\\$5.2\\%', [5.2]), ('COVID-19', []),
    ('K-12', [])])
def test_figures_of_a_text(text, values):
  assert [round(f.value, 6) for f in numeric.figures(text)] == values


DROP = 'By how much did revenue decrease?'
EXPENSE = 'What was the restructuring expense?'
CHANGE = 'By how much did revenue change?'


@pytest.mark.parametrize('gold,answer,question,verdict', [
    ('4.9%', 'It decreased by 4.9%', CHANGE, False), ('2%', 'negative 2%', CHANGE, False),
    ('2%', 'a loss of 2%', CHANGE, False), ('4.9%', 'a decline of about 4.9%', CHANGE, False),
    ('4.9%', 'a 4.9% decrease', CHANGE, False), ('4.9%', 'The net loss was 4.9%', CHANGE, False),
    ('-4.9%', 'It decreased by 4.9%', CHANGE, True), ('-4.9%', '4.9% lower', CHANGE, True),
    ('-4.9%', 'It did not decline; it rose 4.9%', CHANGE, False), ('-4.9%', 'It rose 4.9%', CHANGE, False),
    ('-5%', 'Revenue was down before but rose 5%', CHANGE, False),
    ('5%', 'Revenue fell before but rose 5%', CHANGE, True),
    ('-5%', 'After a decline in 2020 it rose by 5%', CHANGE, False), ('4.9%', 'It rose by 4.9%', CHANGE, True),
    ('4.9%', 'It did not decrease by 4.9%', CHANGE, None), ('65%', 'The loss ratio was 65%', CHANGE, None),
    ('-5%', 'It declined. The change was 5%', CHANGE, None), ('-2%', 'negative growth of 2%', CHANGE, None),
    ('4.9%', 'The margin fell to 4.9%', CHANGE, True), ('5%', '5%, down from last year', CHANGE, True),
    ('5%', 'up 5% on lower costs', CHANGE, True), ('-5%', 'revenue declined and margins rose 5%', CHANGE, False),
    ('4.9%', 'It decreased by 4.9%', DROP, True), ('4.9%', 'a loss of 4.9%', DROP, True),
    ('4.9%', 'It increased by 4.9%', DROP, None), ('4.9%', 'It fell by 4.9%', 'How did expenses change?', False),
    ('-4.9%', '4.9%', DROP, None),
    ('$5 million', 'a loss of $5 million', EXPENSE, True), ('$5 million', 'a loss of $6 million', EXPENSE, False),
    ('4.9% decrease', 'It decreased by 4.9%', CHANGE, True), ('4.9% decrease', 'It rose by 4.9%', CHANGE, False),
    ('4.9% decrease', '-4.9%', CHANGE, True), ('4.9% decrease', '4.9%', CHANGE, None),
    ('$400,000,000 increase.', 'It decreased by $400 million', CHANGE, False)])
def test_words_beside_a_figure_decide_its_sign(gold, answer, question, verdict):
  assert compare(gold, answer, question) is verdict


@pytest.mark.parametrize('gold,answer,verdict', [
    ('$100', '€100', None), ('$100', '100 euros', None), ('$100', 'USD 100', True), ('$100', '100 dollars', True),
    ('12 days', '12 years', None), ('12 days', '12 days', True), ('12 days', '12', True), ('12', '12 days', True),
    ('4.2%', '$4.2', None), ('$100', '€200', False), ('0', '0.4', None), ('0', '0', True), ('0', '0.0', True),
    ('0', '1', False), ('5', '.5', False), ('US$ 5', '$5', True)])
def test_another_unit_and_nearly_zero_are_not_accepted(gold, answer, verdict):
  assert compare(gold, answer) is verdict


def test_every_real_figure_equals_itself_and_not_its_near_misses(test_data):
  """All bare-number gold answers of FinanceBench: the gold passes, gold x 1.4, a flipped sign and x 1000 do not."""
  rows = [json.loads(line) for line in (test_data / 'financebench' / 'open_source.half.jsonl').read_text().splitlines()]
  figures = 0
  for row in rows:
    figure = numeric.gold_figure(row['answer'])
    if figure is None or not figure.plain:
      continue
    figures += 1
    sign = '%' if figure.percent else ''
    assert compare(row['answer'], row['answer'], row['question']) is True
    assert compare(row['answer'], f'{figure.plain}{sign}', row['question']) is True
    for wrong in (figure.plain * 1.4, -figure.plain, figure.plain * 1000):
      assert compare(row['answer'], f'{wrong:.4f}{sign}', row['question']) is False, (row['answer'], wrong)
  assert figures >= 25
