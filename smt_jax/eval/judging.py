"""Verdicts on answers without options: rules first, then a language model as judge, and a check of that judge.

A judge is any reader (an endpoint or a local checkpoint). Before its verdicts count it has to tell answers that are
right from near misses (gold times 1.4, flipped sign, wrong scale, wrong year, another question's answer): judges are
known to accept such answers even when they hold the gold.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from data_gen.schema import Question
from smt_jax.eval import letters, numeric
from smt_jax.eval.parsing import strip_thinking
from smt_jax.eval.reader import Messages, Reader, Sampling

_REFUSAL = re.compile(
    r"\b(?:can(?:not|'t)|could not|couldn't|unable to|not able to|impossible to)\s+(?:\w+\s+){0,3}"
    r"(?:answer|determine|provide|calculate|find|say|tell|compute|access)\b"
    r"|\bi (?:do not|don't) (?:know|have)\b"
    r"|\b(?:insufficient|not enough|no) (?:information|data|context)"  # not "no data breach"
    r"(?=\W*$|\s*[.,;:!?)\n]|\s+(?:about|on|regarding|concerning|available|provided|given|included|disclosed|to|for|of|in|"
    r"within|from|that|which|is|was|are|were|has|exists?|here|and|or|with)\b)"
    r"|\b(?:information|data|answer|context|figure)s? (?:is|are|was) (?:not|n't) "
    r"(?:provided|available|given|included|disclosed)\b", re.I)
_SAYS = {'correct': True, 'incorrect': False, 'not correct': False}
_STATED = re.compile(
    r'\bverdict(?:\W*[:=–—-]\W*|\s+is\W+|\W+(?=(?:not\s+)?(?:in)?correct\b))(?:(?:the\s+)?answer\s+is\s+)?'
    r'((?:not\s+)?(?:in)?correct\b|\w+)')
_MENTIONED = re.compile(
    r"(?:(?P<lead>\bnot|n't|\b(?:partially|partly|mostly|nearly|almost|half))\s+(?:\w+ly\s+)?)?"
    r"\b(?P<word>(?:in)?correct)\b")

# Fewest answers known to be wrong that a judge has to be shown: one that accepts every third of them passes eight by
# luck in one check of 25, and with fewer (or none, where all questions share one gold answer) a check says little.
MIN_WRONG_CASES = 8


@dataclasses.dataclass(frozen=True)
class Judge:
  """A judge and its name.

  Attributes:
    reader: the model that judges.
    name: the model's name, for the report.
    accept_limit: largest share of near misses it may accept, and of right answers it may refuse, to be believed.
  """
  reader: Reader
  name: str
  accept_limit: float = 0.1
  max_new_tokens: int = 1024

  def ask(self, prompts: Sequence[Messages], done: Callable[[int, str], None]) -> None:
    """Puts prompts to the judge, greedily; `done(i, reply)` as each answers."""
    if prompts:
      new = min(self.max_new_tokens, (self.reader.max_positions or 10**9) // 4)
      self.reader.complete(prompts, [f'judge#{i}' for i in range(len(prompts))], Sampling(max_new_tokens=new),
                           lambda i, replies: done(i, replies[0].text))


@dataclasses.dataclass(frozen=True)
class Verdict:
  """`correct` is None where nobody could decide. `by`: 'text', 'numeric', 'yes/no', 'refusal', 'empty', 'judge',
  'judge: nonsense', 'no judge'."""
  correct: bool | None
  by: str


def is_refusal(answer: str) -> bool:
  """Whether the answer says that there is none."""
  return bool(_REFUSAL.search(answer))


def by_rule(question: Question, answer: str | None) -> Verdict | None:
  """What needs no judge; None where one is needed."""
  gold = str(question.answer)
  if answer is None or not letters.words(answer):
    return Verdict(False, 'empty')
  if _plain(answer) == _plain(gold):
    return Verdict(True, 'text')
  same = numeric.compare(gold, answer, question.question)
  if same is not None:
    return Verdict(same, 'numeric')
  if is_refusal(answer) and not is_refusal(gold):
    return Verdict(False, 'refusal')
  yes_no = [re.match(r'\W*(yes|no)\b', text, re.I) for text in (gold, answer)]
  if yes_no[0] and yes_no[1]:
    agree = yes_no[0].group(1).lower() == yes_no[1].group(1).lower()
    if not agree:
      return Verdict(False, 'yes/no')
    if letters.words(gold) in ('yes', 'no'):
      return Verdict(True, 'yes/no')
  return None


def _plain(text: str) -> str:
  """Without case, spacing and a full stop; signs and symbols stay, as they change a figure."""
  return re.sub(r'^["\' ]+|[."\' ]+$', '', ' '.join(text.casefold().split()))


def prompt(question: Question, answer: str) -> Messages:
  """What a judge is asked."""
  return [{'role': 'user', 'content': (
      'You check an answer to a question against the gold answer.\n'
      'The answer is correct only if it states the same facts and figures as the gold answer: the same numbers '
      '(rounding apart), the same sign, the same unit and scale, the same year, the same yes or no. More detail is '
      'fine if nothing in it contradicts the gold answer. A refusal is incorrect.\n\n'
      f'Question: {question.question}\nGold answer: {question.answer}\nAnswer to check: {answer}\n\n'
      'Reply with one line: "Verdict: correct" or "Verdict: incorrect".')}]


def parse_verdict(text: str) -> bool | None:
  """The last stated "Verdict: correct/incorrect", or the only such word of the reply; None for nonsense.

  "Verdict: partially correct" is nonsense too: the judge is asked for one of the two.
  """
  text = strip_thinking(text).lower()
  if stated := _STATED.findall(text):
    return _SAYS.get(' '.join(stated[-1].split()))
  if answered := re.findall(r'\bcorrect\b[^.!?\n]*\?\W*(yes|no)\b', text):
    return answered[-1] == 'yes'
  said = {_SAYS.get(' '.join((m['lead'] or '').replace("n't", 'not').split() + [m['word']]))
          for m in _MENTIONED.finditer(text)}
  return said.pop() if len(said) == 1 else None


def near_misses(questions: Sequence[Question]) -> list[tuple[Question, str, bool]]:
  """(question, answer, should be accepted): the gold in other words, and answers that come close to it."""
  cases: list[tuple[Question, str, bool]] = []
  for i, q in enumerate(questions):
    gold = str(q.answer)
    cases.append((q, f'It is as follows: {gold}', True))
    figure = numeric.gold_figure(gold)
    if figure is not None and figure.plain:
      shown = f'{figure.plain:,.2f}' + ('%' if figure.percent else '')
      cases += [(q, gold.replace(_number(gold), _format(figure.plain * 1.4)), False),
                (q, '-' + shown if figure.plain > 0 else shown.lstrip('-'), False),
                (q, gold.replace(_number(gold), _format(figure.plain * 1000)), False)]
      if asked := numeric.named_years(q.question):
        cases.append((q, f'In {min(asked) - 3} it was {gold}.', False))
    else:
      other = str(questions[(i + 1) % len(questions)].answer)
      if letters.words(other) != letters.words(gold):
        cases.append((q, other, False))
  return cases


def _number(text: str) -> str:
  found = re.search(r'\d[\d,]*(?:\.\d+)?|\.\d+', text)
  return found.group() if found else text


def _format(value: float) -> str:
  return f'{abs(value):.2f}'


def validate(judge: Judge, questions: Sequence[Question], limit: int = 40) -> dict[str, Any]:
  """Puts near misses before the judge.

  Returns:
    'false_accept' and 'false_reject' rates, 'nonsense' replies, the number of cases, and 'valid': whether its verdicts
    may count (both rates and the nonsense at or below `judge.accept_limit`, over at least `MIN_WRONG_CASES` answers
    that are wrong); 'reason' says why they may not.
  """
  step = max(1, len(questions) // limit)
  cases = near_misses(list(questions[::step])[:limit])
  n_wrong = sum(not right for _, _, right in cases)
  if n_wrong < MIN_WRONG_CASES:
    return {'valid': False, 'cases': len(cases), 'judge': judge.name,
            'reason': f'the questions give {n_wrong} near misses to check it with, {MIN_WRONG_CASES} are needed'}
  said: list[bool | None] = [None] * len(cases)
  judge.ask([prompt(q, answer) for q, answer, _ in cases], lambda i, text: said.__setitem__(i, parse_verdict(text)))
  wrong = [s for s, (_, _, right) in zip(said, cases, strict=True) if not right]
  right = [s for s, (_, _, right) in zip(said, cases, strict=True) if right]
  false_accept = sum(s is True for s in wrong) / max(1, len(wrong))
  false_reject = sum(s is False for s in right) / max(1, len(right))
  nonsense = sum(s is None for s in said) / len(said)
  rates = {'false_accept': false_accept, 'false_reject': false_reject, 'nonsense': nonsense}
  valid = max(rates.values()) <= judge.accept_limit
  return {'valid': valid, 'cases': len(cases), **rates, 'judge': judge.name} | (
      {} if valid else {'reason': 'it failed the check on near misses'})
