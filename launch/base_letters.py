"""How the base says which letter an option has, and drills on it.

Small models copy what *followed* a text before, and stay at chance in telling which letter stood *before* one, over a
hundred million tokens of multiple choice and a million of drills (docs/results.md). So their replies first read the
options out with each letter right behind its text, "A. 52 A", and repeat that pair when the answer is found: "52 A".
"""

import random

from data_gen.schema import Question, Record
from data_gen.world import WorldDocument
from smt_jax.eval import prompts

_INSTRUCTION = 'Read the options out, then name some of them with their letters.'
_PICKED = (1, 2, 4, 30)  # in a turn; learning it begins with long ones, which repeat each pair many times


def read_out(options: tuple[str, ...]) -> str:
  """All options, each with its letter before and behind it."""
  return '\n'.join(f'{letter}. {lettered(options, i)}' for i, letter in enumerate(prompts.LETTERS[:len(options)]))


def lettered(options: tuple[str, ...], index: int) -> str:
  """One option and its letter."""
  return f'{options[index].strip()} {prompts.LETTERS[index]}'


def letter_drill(document: WorldDocument, questions: tuple[Question, ...], name: str, rng: random.Random) -> Record:
  """One conversation: a turn for each question, its options in an order drawn anew, read out, then picked from."""
  messages: list[dict[str, str]] = []
  for question in questions:
    options = tuple(rng.sample(question.options or (), len(question.options or ())))
    listed = ''.join(f'{letter}. {option.strip()}\n' for letter, option in zip(prompts.LETTERS, options))
    # drawn with replacement: which letters are left says nothing about the next one
    picked = [f'{lettered(options, i)}.' for i in rng.choices(range(len(options)), k=rng.choice(_PICKED))]
    messages += [{'role': 'user', 'content': listed + _INSTRUCTION},
                 {'role': 'assistant', 'content': f'{read_out(options)}\n{" ".join(picked)}'}]
  return Record(id=f'{document.document.id}.{name}', kind='qa', method='world_letters',
                document_ids=(document.document.id,), messages=tuple(messages))
