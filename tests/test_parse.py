"""Several hundred replies, written by hand in the ways models answer, and the option each of them chooses."""

import pytest

from data_gen import benchmarks
from smt_jax.eval import parsing
from smt_jax.eval.parsing import parse_choice, parse_open

OPTIONS = ['a red boat', 'the old mill', 'three dogs', 'Captain Dagby']

# One reply a line, \n for a line break; every block is headed by the letter that its replies choose.
C = r"""
Answer: C
Answer: C.
answer: c
ANSWER: C
Answer:C
Answer : C
Answer：C
Answer:  C
Answer:\nC
Answer:\n\nC
Answer: (C)
Answer: (c)
Answer: c)
Answer: C)
Answer: [C]
Answer: [[C]]
Answer: {C}
Answer: <C>
Answer: "C"
Answer: 'C'
Answer: “C”
Answer: **C**
Answer: *C*
Answer: `C`
Answer: __C__
**Answer: C**
**Answer:** C
**Answer**: C
***Answer: C***
*Answer:* **C.**
### Answer: C
## Answer\nC
### Final Answer\n\n**C**
Final Answer: C
Final answer: (C)
**Final Answer:** **(C)**
FINAL ANSWER: C.
Ans: C
Ans.: C
Answer - C\nAnswer: C
Answer C
Answer (C)
Option C
Choice C.
answer = C
Answer → C
Answer -> C
Answer: Option C
Answer: option c
Answer: choice C
Answer: letter C
Answer: the letter C
Answer: The correct option is C
Answer: The correct answer is (C).
Answer: C. three dogs
Answer: C) three dogs
Answer: (C) three dogs
Answer: C: three dogs
Answer: C - three dogs
Answer: C – three dogs
Answer: C — three dogs
Answer: C three dogs
Answer: C, three dogs
Answer: C, because the dogs barked.
Answer: C because the dogs barked.
Answer: C since a dog is heard
Answer: C (three dogs)
Answer: C [three dogs]
Answer: C "three dogs"
Answer: C\n\nThe passage says so.
Answer: C<|eot_id|>
Answer: C</s>
Answer: C<|im_end|>
Answer: C.\n<|end_of_text|>
Answer: C (not D)
Answer: C, not D.
Answer: C. Not A.
Answer: C. D is wrong.
Answer: C. A dog would bark.
Answer: C, a dog was heard
The answer is C
The answer is C.
the answer is c.
the answer is (c)
The answer is: C
The answer is (C).
The answer is [C].
The answer is "C".
The answer is **C**.
The answer is **(C) three dogs**.
The answer is C) three dogs
The answer is C, three dogs.
The answer is option C.
The answer is choice (C).
The answer is C because a boat is not named.
The answer is c because a boat is not named.
So the answer is C.
So, the answer must be C.
Thus the final answer is C.
Therefore, the answer is (C).
Hence, the correct answer is C.
My answer is C.
My final answer is (C).
The correct answer is C: three dogs.
The correct answer is\n\nC
The correct answer would be C.
The best answer is C.
The best answer to the question is C.
The best answer from the options given is C.
The answer to this question is therefore C.
The right answer should be C.
The most likely answer is C.
The answer seems to be C.
The answer appears to be (C).
The answer has to be C.
The correct option is C.
The correct option is (C) three dogs
The correct choice is C.
The correct letter is C
The best option is C.
The best choice would be C.
The right one is C.
My choice is C.
My selection: C
Correct answer: C
Correct option: C
Best answer: **C**
Conclusion: C
Solution: C
The solution is C.
Option C is correct.
Option C is the correct answer.
option c is correct
Option (C) is the best choice.
(C) is correct.
(C) is the right answer
**C** is correct.
C is correct.
C is the correct answer.
C is the best answer.
C is clearly the best option.
C is therefore the correct answer.
C is the most likely answer.
C seems most plausible.
C appears to be correct.
C must be the answer.
Choice C is right.
Answer C is correct.
I choose C.
I would choose (C).
I'd pick C.
I select option C.
I will go with C.
I'm going with C
I'd go with option C.
I would say C.
I opt for C.
It must be C.
It is C.
It's (C).
That leaves C.
That leaves us with C.
Eliminating A, B and D leaves only C.
So C.
Therefore, C.
Thus: C
Hence (C).
C
c
C.
(C)
[C]
{C}
"C"
**C**
**C.**
*(C)*
 C
\nC\n
C)
(c)
C:
C. three dogs
C) three dogs
(C) three dogs
C: three dogs
C - three dogs
C three dogs
**C. three dogs**
**(C)** three dogs
- C. three dogs
C\n\nThe dogs barked all night.
C\nExplanation: the boat came later.
C. three dogs\n\nThe story says that the dogs barked.
(C) The dogs barked, as the miller says.
C. The dogs barked at the mill, so it cannot be the boat.
The dogs barked.\nC
The dogs barked all night.\n\n**C**
The dogs barked all night.\n\n(C)
The dogs barked all night.\n\nC. three dogs
They heard barking.\n\nC) three dogs
\boxed{C}
$\boxed{C}$
$$\boxed{C}$$
\[\boxed{C}\]
\boxed{\text{C}}
\boxed{\textbf{C}}
\boxed{\mathrm{C}}
\boxed{(C)}
\boxed{\text{(C) three dogs}}
\boxed{C. three dogs}
The answer is $\boxed{C}$.
The final answer is: $\boxed{\text{C}}$
Answer: $\boxed{C}$
Answer: \boxed{C}
Answer: \(C\)
Answer: $C$
Answer: \text{C}
\textbf{Answer: C}
<answer>C</answer>
<answer> C </answer>
<answer>(C) three dogs</answer>
<final_answer>C</final_answer>
{"answer": "C"}
{"reasoning": "dogs barked", "answer": "C"}
{'answer': 'C'}
```json\n{"answer": "C"}\n```
<think>Maybe A. The answer is A.</think>Answer: C
<think>\nAnswer: B\n</think>\n\nThe answer is C.
Perhaps B? Answer: B</think>\nAnswer: C
<think></think>C
Answer: A\nNo, wait. Answer: C
The answer is A at first sight. On reflection the answer is C.
The answer is B. Actually, the correct answer is C.
Answer: B? The boat is red, so no.\nAnswer: C
At first I thought the answer was B, but the answer is C.
Option A is wrong. Option B is wrong. Option C is correct.
A is incorrect, B is incorrect, D is incorrect; C is correct.
A. no.\nB. no.\nC. yes.\nD. no.\nAnswer: C
A: wrong\nB: wrong\nC: right\nD: wrong\n\nThe answer is C.
Let's go through the options. A says a red boat. B says the old mill. The answer is C.
The answer is not A. The answer is C.
The answer isn't B. It is C.
The answer cannot be D, so it must be C.
It is not A, and not B. I choose C.
The wrong answer is B. The answer is C.
If the answer were A, the boat would be red. The answer is C.
The answer A is tempting; the correct answer is C.
Answer: C\nAnswer: C\nAnswer: C
Answer: C\n\nUser: next question
Step 1: the mill is old. Step 2: the dogs bark.\nAnswer: C
Both A and B fail. Answer: C
Neither A nor B is right, so the answer is C.
Is it B? No. The answer is C!
Answer: C!
Answer: C;
Answer: C?
So the answer is option (C), "three dogs".
Of the four, the one best supported is: three dogs. Answer: C
A dog was heard. Answer: C
I think a boat was seen, but the answer is C.
Réponse: trois chiens. Answer: C
Answer: Ｃ
Answer : (C) .
>Answer: C
- Answer: C
1. Answer: C
Answer:⇥C
Answer: C\u200b
Answer: \nC. three dogs\n
**Answer: C. three dogs**
Based on the story, the most appropriate answer is:\n\n**C. three dogs**
The answer is:\n\n(C) three dogs
### Answer\n**C**
Answer:\n**(C)**
I believe the answer is C
I think it's C.
I think C.
Probably C
Answer: C\n\nNote: Option A is a red boat, which is not mentioned.
Answer: C\n\n(A is incorrect since ...; B is incorrect...)
Answer: C\nLet me know if you need anything else!
The answer is C. This is because A dog barked.
Option C: three dogs
Option C - three dogs
The correct option is: C
**Correct Answer: C**
Correct answer is option C.
**Correct option**: (C)
Answer choice C is correct.
The answer would be C.
the answer is most likely C.
The answer is likely C.
The answer is definitely C.
The answer, therefore, is C.
Therefore the correct choice is C) three dogs.
Final Answer: The final answer is $\boxed{C}$. I hope it is correct.
The final answer is C. I hope it is correct.
Answer: C (three dogs), since A and B are wrong
Answer: C.\n\nReasoning: A red boat is never seen.
Answer: C — because three dogs are heard.
So the answer is (C).\n\nAnswer: C
**C) three dogs** is the correct answer.
The correct answer is C, not A.
A and B can be ruled out. Answer: C
Answer: C. (A) is wrong because the boat is blue.
Answer is C
answer C
Answer- C
Answer – C
Answer is: **C**
Answer: Option (C)
Answer: Option C: three dogs
The answer must be C, as A is contradicted.
Thus, C is the best choice.
C. three dogs is the correct answer.
The best choice is C. three dogs
I'd say the answer is C
My answer: C
Selected answer: C
Chosen option: C
The answer is C\n\n**Explanation**\nA) red boat is wrong\nB) the old mill is wrong\nD) wrong
C\n\nA) no\nB) no
A. a red boat: no.\nB. the old mill: no.\nC. three dogs: yes.\nD. Captain Dagby: no.\n\nSo the best match is C.
A. a red boat: no.\nB. the old mill: no.\nC. three dogs: yes.\nD. Captain Dagby: no.\n\nC
... which corresponds to option C.
This matches option C.
This corresponds to choice (C).
The text supports option C.
Only option C fits.
Hence option C.
Hence, option (C) is correct
The answer is therefore option C: three dogs.
Answer: C**
Answer: ** C **
**Answer**: **C. three dogs**
Answer:\n\n```\nC\n```
```\nAnswer: C\n```
Answer: X = C
Answer: X: C
Answer: [C]. three dogs
The answer is C. Captain Dagby is not named.
The answer is "C. three dogs".
The answer is three dogs (C).
Answer: three dogs (C)
Answer: three dogs. (Option C)
three dogs (option C)
A is wrong, the answer is C.
I think C is correct.
The answer is clear: C
The answer is clearly: C
The answer is clearly C
I am confident the answer is C
Given this, the best option would be: **C**
I would answer C.
I'd answer (C)
My pick: C
The answer to the question "What is it?" is C.
Therefore, the most suitable option is (C).
The correct statement is C.
Solution\nC
Answer: C</answer>
<|assistant|>Answer: C
assistant\n\nAnswer: C
Answer：（C）
The answer is 'C'.
the correct answer is c) three dogs
(C)\n\nExplanation: A red boat isn't mentioned.
C.\nA. is wrong because ...
Answer: (C)three dogs
ANSWER IS C
Answer: C / three dogs
Answer: C | three dogs
Answer: C => three dogs
Answer: **C**: three dogs
Answer: *C. three dogs*.
So, the correct answer is:\n\n**Answer: C**
It's option C.
That's C.
I'll go with C.
I'm choosing C
Let's go with C
Choose C
Select (C).
Pick: C
Answer = (C)
Letter: C
The letter of the correct option is C.
The letter is C
The answer is not B, it is C.
Not B. Answer: C
"""

A = r"""
Answer: A
Answer: A.
answer: a
answer: a)
Answer: (a)
The answer is A.
the answer is a.
The answer is (A) a red boat.
The answer is A, a red boat.
Answer: A a red boat
Answer: A. a red boat
Answer: A because a boat is named
The answer is a because a boat is named
Answer: A - a red boat
Answer: A (a red boat)
A
a
(A)
A.
A. a red boat
A is correct.
A is the best answer.
Option A is the correct one.
I choose A.
It must be A.
So A.
\boxed{A}
The boat is red.\nA
Answer: A is right
The answer is A as the boat is red.
Answer: A\nA dog was heard later.
A: a red boat
The answer is A: a red boat
Answer: a red boat (A)
the answer is a
"""

B = r"""
Answer: B
The answer is B, the old mill
Answer: B the old mill
Answer: B. The old mill
A dog ran. The answer is B.
Answer: B. A dog is no mill.
B - the old mill
The answer is A? No: the answer is B.
I choose B, since A dog is not named.
It can't be A or C. It is B.
C is not correct. B is correct.
The correct answer is **B. the old mill**.
"""

D = r"""
Answer: D
Answer: D. Captain Dagby
Answer: D Captain Dagby
The answer is D. It cannot be C
(D) Captain Dagby
The captain did it.\nD. Captain Dagby
Both statements fit the captain: D is the answer
D is the right one
Answer: C?\nAnswer: D?\nI don't know
The answer is D, Captain Dagby. Not C.
Answer: D. Not C
**D**\n\nThe answer cannot be C because ...
D is correct, while C is wrong
While C is plausible, the correct answer is D.
Although C might seem the right answer, D is correct.
C might be the right answer, but D is better supported. Answer: D
I first thought C is correct. But D is correct.
Answer (D)
The answer is option D, because C is not the right choice.
D. Because C is not correct
Answer: D\n\nWhy not C? C is the best answer only if the dogs barked.
"""

# Nothing explicit, or too much: no letter, whatever the words.
NOTHING = r"""

\n\n
I don't know.
I cannot answer this question.
The answer is a dog.
The answer is a matter of taste.
The answer is A dog.
The answer is an old one.
The answer is clear from the passage.
The answer is I think unclear.
A dog was heard near the house.
a man and a woman
a boat and a dog
Answer: a boat
Answer: A boat, red
Answer: E
Answer: (E)
Answer: X
Answer: X, where X is the letter
The answer is E.
Answer: F.
Answer: AB
Answer: A or B
Answer: A and C
Answer: A, C
Answer: A/B
Answer: A & B
Answer: (A) and (B)
Answer: (A) or (C)
Answer: A, B, C
Answer: A, B and D
Answer: ABCD
Answer: B C
Answer: either A or B
Answer: both A and B
The answer is B or C.
The answer is either (B) or (C).
The answer could be anything.
The answer is not C.
The answer isn't C.
The answer cannot be C.
Option C is not correct.
C is wrong.
C is incorrect.
Neither A nor C is correct.
None of the options is correct.
Answer: none
Answer: None of the above
Answer:
Answer: \n
Answer
The answer is
\boxed{}
\boxed{42}
\boxed{AB}
<think>The answer is C. I should check
<think>Answer: C
A. a red boat\nB. the old mill\nC. three dogs\nD. Captain Dagby
(A) a red boat\n(B) the old mill\n(C) three dogs\n(D) Captain Dagby
A) a red boat\nB) the old mill
Answer:\nA. a red boat\nB. the old mill\nC. three dogs\nD. Captain Dagby
Answer: A. J. Foyt
Answer: A.M.
Answer: C-3PO
Answer: A's boat
Answer: Dad
Answer: Cab
Answer: BAD
Answer: Dagby's dog
Answer: 3
Answer: C3
If the answer is C, the dogs barked
Whether C is correct remains open
Why is C correct, one may ask
A or B
A, B
A and C
AB
The options are A, B, C and D.
Let me think about A first.
Plan B was dropped.
Vitamin C was taken.
At 5 a. m. they left
In Appendix D the list goes on
The answer lies in A major.
I
I am not sure. A dog or B dog.
As an AI, I cannot answer.
A good guess would be the mill.
A person answered. The answer: a person.
I can't determine the answer. A is plausible, B as well.
Answer: D or C
It could be A.
It might be C.
Answer: Cannot be determined
Answer: Unknown
Answer: C and D
Answer: All of the above
Answer: not enough information
Answer: Both B and C
I would not choose C.
I would rule out C.
The answer is not (C).
Answer: not C
It is not C.
It's not A, B or D.
The least likely answer is C.
The answer is A little-known captain
answer: a man called Dagby
Answer: A man called Dagby
Answer: A.B. Dagby
Answer: I
Answer: C. S. Lewis
Answer: D-Day
Answer: B. J. Hunter
The answer is A's dog
The wrong answer is C.
The incorrect option is C
C is not the right answer.
C is the wrong answer
C isn't correct
Which is the best answer? A, B, C or D?
Answer: A, B, C, or D
Answer: <letter>
Answer: A/C
The question asks which letter. Answer: X.
Answer: The answer is not given.
I'd eliminate C, leaving A, B, D
We choose a person.
They choose A boat
So a dog barked
So I cannot tell.
Therefore, a mill
It is a boat
It's a dog
Is C correct? No. D is.
So B is wrong.
Therefore, A is not supported.
I think B is incorrect.
So A is out, B is out.
The passage does not support option C.
Nothing supports option C.
Option A: no boat.\nOption B: no mill.\nOption C: dogs are there.\nOption D: the captain is dead.
Option A - no boat.\nOption B - no mill.\nOption C - dogs are there.\nOption D - the captain is dead.
Option A is supported by line 1. Option B is not.
If A is correct, then the boat...
I don't think it's C.
I don't think C is right.
Answer: three dogs (B)
Answer: the dogs (C)
It is more likely C than D.
Answer: Not B, but C
"""


def replies(block: str) -> list[str]:
  marks = {'\\n': '\n', '⇥': '\t', '\\u200b': '\u200b'}
  lines = block[1:-1].split('\n')
  for mark, character in marks.items():
    lines = [line.replace(mark, character) for line in lines]
  return lines


TABLE = [(expected, reply) for expected, block in ((2, C), (0, A), (1, B), (3, D)) for reply in replies(block)]
UNPARSED = replies(NOTHING)


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
