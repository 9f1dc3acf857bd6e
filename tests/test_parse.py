"""Several hundred replies, written by hand in the ways models answer, and the option each of them chooses."""

import pathlib

import pytest

from data_gen import benchmarks
from smt_jax.eval import parsing
from smt_jax.eval.parsing import parse_choice, parse_open

OPTIONS = ['a red boat', 'the old mill', 'three dogs', 'Captain Dagby']

REPLIES = pathlib.Path(__file__).parent / 'replies'


def replies(name: str) -> list[str]:
  """replies/NAME.txt: a line for each reply that chooses that letter (none: nothing explicit, or too much)."""
  marks = {'\\n': '\n', '⇥': '\t', '\\u200b': '\u200b'}
  lines = (REPLIES / f'{name}.txt').read_text(encoding='utf-8').removesuffix('\n').split('\n')
  for mark, character in marks.items():
    lines = [line.replace(mark, character) for line in lines]
  return lines


TABLE = [(expected, reply) for expected, name in ((2, 'C'), (0, 'A'), (1, 'B'), (3, 'D')) for reply in replies(name)]
UNPARSED = replies('none')


def test_table_is_a_few_hundred():
  assert len(TABLE) + len(UNPARSED) >= 400


@pytest.mark.parametrize('expected,reply', TABLE)
def test_explicit_answer(expected, reply):
  parsed = parse_choice(reply, OPTIONS)
  assert parsed.strict == expected, parsed
  assert parsed.lenient == expected


@pytest.mark.parametrize('reply', UNPARSED)
def test_no_letter(reply):
  parsed = parse_choice(reply, OPTIONS)
  assert parsed.strict is None, parsed


@pytest.mark.parametrize('expected,reply', [
    (2, 'Answer: three dogs'), (2, 'Answer: Three dogs.'), (2, 'The answer is three dogs.'), (2, '"three dogs"'),
    (2, 'They heard three dogs.'), (2, 'A boat came.\nAnswer: **three dogs**'), (1, 'Answer: old mill'),
    (1, 'The miller lived in the old mill.'), (3, 'Answer: captain dagby'), (3, 'Captain Dagby'),
    (0, 'Answer: red boat'), (0, 'It was a red boat that came'),
    (None, 'Both three dogs and the old mill are named.'), (None, 'nothing of the kind'), (None, ''),
    (None, 'Answer: A or B'), (None, '<think>three dogs'), (None, 'Answer: a boat'),
])
def test_lenient_takes_the_words_of_one_option(expected, reply):
  parsed = parse_choice(reply, OPTIONS)
  assert parsed.strict is None and parsed.lenient == expected


def test_words_win_over_a_letter_that_belongs_to_them():
  options = ['C major', 'D minor', 'F sharp', 'E flat']
  assert parse_choice('Answer: C major', options) == parsing.Parsed(None, 0, 'text')
  assert parse_choice('Answer: C. F sharp', options).strict == 2
  assert parse_choice('Answer: A', options).strict == 0


def test_last_answer_in_words_is_not_overruled_by_an_earlier_letter():
  parsed = parse_choice('The answer is B at first sight.\nAnswer: three dogs', OPTIONS)
  assert parsed.strict is None and parsed.lenient == 2


SENTENCES = ['He is a doctor', 'The ship sank', 'Three dogs', 'A captain of the guard']
FORMS = ('Answer: {X}. {text}', '{X}) {text}', '{X}: {text}', '({X}) {text}')
MORE_FORMS = (*FORMS, '**{X}. {text}**', '{X} - {text}', '{X} ({text})', '\\boxed{{{X}. {text}}}',
              'The answer is {X}. {text}', 'The answer is ({X}) {text}.', 'Answer: {X}, {text}', 'Answer: {X}: {text}',
              'Answer: {X}\n{text}', 'I choose {X}. {text}', 'Answer: {X} {text}', 'answer: {x}) {text}')


@pytest.mark.parametrize('form', MORE_FORMS)
@pytest.mark.parametrize('right', range(4))
def test_a_letter_before_its_own_text(form, right):
  reply = form.format(X='ABCD'[right], x='abcd'[right], text=SENTENCES[right])
  assert parse_choice(reply, SENTENCES).strict == right


@pytest.mark.parametrize('reply', [
    'A captain of the guard', 'Answer: A captain of the guard', 'The answer is A captain of the guard.',
    'a captain of the guard', 'So A captain of the guard', 'A captain came in', 'Answer: A captain came in',
    'It is a captain of the guard', 'Answer: A doctor'])
@pytest.mark.parametrize('first', range(4))
def test_an_article_is_no_letter(reply, first):
  assert parse_choice(reply, SENTENCES[first:] + SENTENCES[:first]).strict is None


def test_an_article_before_a_bare_noun_is_no_letter():
  assert parse_choice('Answer: A captain', ['captain', 'doctor']) == parsing.Parsed(None, 0, 'text')
  assert parse_choice('Answer: A. captain', ['captain', 'doctor']).strict == 0


@pytest.mark.parametrize('name', ['world', 'quality', 'longhealth'])
def test_every_letter_before_the_texts_of_real_options(name, request):
  source = ('study:seed=11,documents=4' if name == 'world' else str(request.getfixturevalue('test_data') / name))
  reader = benchmarks.load(name)
  settings = benchmarks.base.resolve_options(name, getattr(reader, 'OPTIONS', {}), {})
  for question in reader.read(source, settings).questions:
    for first in range(len(question.options)):
      options = question.options[first:] + question.options[:first]
      for right, text in enumerate(options):
        for form in FORMS:
          assert parse_choice(form.format(X='ABCDEFGHIJ'[right], text=text), options).strict == right, (form, options)
        assert parse_choice(f'Answer: {text}', options).strict is None


@pytest.mark.parametrize('expected,reply', [
    (1, 'I initially thought the answer is A, but the answer is actually B.'),
    (1, 'The answer is actually B'), (1, 'The answer is in fact B'), (1, 'The answer must therefore be B'),
    (1, 'The answer should really be (B).'), (None, 'The answer is actually not B'),
    (None, 'The answer is actually a dog'), (1, 'The answer is not A but B.'),
    (1, 'The answer is not (A), but rather (B).'), (None, 'The answer is not A.'),
    (None, 'The answer is not A but a dog.'),
    (3, 'Correct answer - D'), (3, 'Final answer – D'), (3, 'Ans. D'), (3, 'Ans. (D)'),
    (1, 'Answer: B. Option C is correct in the film version.'),
    (1, 'Answer: B\n\nOption C is correct in the film version.'), (2, 'Option C is correct in this story.'),
    (2, 'At first B is correct. C is correct for this question.'), (2, 'Option C is correct in the film version.'),
    (1, 'Neither A nor C is right; B fits best.'), (1, 'Between A and B, B is the better answer.'),
    (None, 'Answer: A, perhaps B'), (None, 'Answer: A or maybe B'), (None, 'Answer: A (or B)'),
    (0, 'Answer: a red boat (A)'), (None, 'Answer: a red boat (B)'),
])
def test_the_answer_in_other_words(expected, reply):
  assert parse_choice(reply, OPTIONS).strict == expected


@pytest.mark.parametrize('expected,reply,options', [
    (None, 'Answer: A. Lincoln', OPTIONS), (None, 'The answer is B. Franklin', OPTIONS),
    (None, 'Answer: A. Lincoln', ['Ship', 'A. Lincoln']), (0, 'Answer: A. Lincoln', ['A. Lincoln', 'B. Franklin']),
    (1, 'Answer: B. Franklin', ['A. Lincoln', 'B. Franklin']), (0, 'Answer: A. Lincoln', ['Abraham Lincoln', 'Ship']),
    (0, 'Answer: A. Lincoln', ['Lincoln', 'Franklin']), (1, 'Answer: B. A. Lincoln', ['B. Franklin', 'A. Lincoln']),
    (3, 'Answer: D. Dagby', OPTIONS), (2, 'Answer: C.\nA. is wrong.', OPTIONS), (1, 'Answer: B. Correct.', OPTIONS),
])
def test_an_initial_is_a_letter_only_before_its_own_option(expected, reply, options):
  assert parse_choice(reply, options).strict == expected


@pytest.mark.parametrize('expected,reply', [
    (1, 'Answer: B\n\nQuestion: What sank?\nA. a\nB. b\nAnswer: C'), (1, 'B\nQuestion: What sank?\nAnswer: C'),
    (2, 'Question: What was heard?\nAnswer: C'), (2, 'Let me see.\nQuestion: What was heard?\nAnswer: C')])
def test_a_further_question_is_not_read(expected, reply):
  assert parse_choice(reply, OPTIONS).strict == expected


def test_a_further_open_question_is_not_read():
  assert parse_open('Answer: 5\n\nQuestion: And then?\nAnswer: 7') == ('5', 'Answer: 5')
  assert parse_open('I see.\nQuestion: How many?\nAnswer: 7')[0] == '7'


def test_typographic_apostrophes_in_options():
  options = ['They aren’t better', 'They are better']
  assert parse_choice("A (They aren't better)", options).strict == 0
  assert parse_choice('Answer: They aren’t better', options).lenient == 0


def test_an_option_inside_another_does_not_confuse():
  options = ['the mill', 'the mill by the river', 'the river', 'no mill']
  assert parse_choice('Answer: the mill by the river', options).lenient == 1
  assert parse_choice('They met at the mill by the river', options).lenient == 1


@pytest.mark.parametrize('count', [2, 3, 5, 6])
def test_letters_end_where_the_options_end(count):
  options = [f'option number {i}' for i in range(count)]
  for i in range(8):
    strict = parse_choice(f'Answer: {"ABCDEFGH"[i]}', options).strict
    assert strict == (i if i < count else None)


@pytest.mark.parametrize('reply', ['x' * 200_000, 'answer is ' * 20_000, '(' * 50_000, 'A, ' * 30_000, '{' * 5000,
                                   '*' * 100_000, 'the answer ' * 20_000, '\\text{' * 5000])
def test_long_and_repetitive_replies_take_no_time(reply):
  import time
  start = time.process_time()
  parse_choice(reply, OPTIONS)
  assert time.process_time() - start < 5


@pytest.mark.parametrize('text,answer', [
    ('It grew.\nAnswer: $1,577.00 million', '$1,577.00 million'), ('*Answer:* -$5', '-$5'),
    ('Answer: Yes, it did.', 'Yes, it did.'),
    ('Answer: 3\nAnswer: 4', '4'), ('Final answer: 8.7%', '8.7%'), ('\\boxed{65.4\\%}', '65.4\\%'),
    ('no marker at all', None), ('<think>Answer: 5', None), ('Answer:', None),
    ('**Answer:** Yes\n\nMore text', 'Yes'), ('The answer: it fell', 'it fell')])
def test_open_answers(text, answer):
  assert parse_open(text)[0] == answer
