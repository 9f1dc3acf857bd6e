"""Readers whose scores arithmetic tells: they see the same prompts as a model, and the key of the question."""

import hashlib
import random
import re

from smt_jax.eval.prompts import LETTERS
from smt_jax.eval.reader import OptionScore, Reply


class KnownReader:
  """Answers by `choose(question id, options as shown) -> shown index, or a text`.

  `stop_after` raises after so many answers, as a killed run or a failing endpoint does.
  """
  max_positions: int | None = None

  def __init__(self, questions, stop_after=None):
    self.questions = {q.id: q for q in questions}
    self.stop_after = stop_after
    self.prompts = []
    self.keys = []

  def choose(self, question, options):
    raise NotImplementedError

  def prompt_tokens(self, prompts, options=None):
    return [len(self.prompt_text(p).split()) for p in prompts]

  def prompt_text(self, messages):
    return '\n'.join(m['content'] for m in messages)

  def rendering(self, messages):
    return {}

  def _options(self, messages):
    return [m.group(1) for m in re.finditer(r'^[A-J]\. (.*)$', messages[-1]['content'], re.M)]

  def _question(self, messages, key=None):
    if key is not None:
      return self.questions[key.rsplit('#', 1)[0]]
    text, options = messages[-1]['content'], set(self._options(messages))
    return next(q for q in self.questions.values() if q.question.strip() in text
                and {o.strip() for o in q.options or ()} == options)

  def _count(self):
    if self.stop_after is not None:
      self.stop_after -= 1
      if self.stop_after < 0:
        raise ConnectionError('the reader stopped')

  def complete(self, prompts, keys, sampling, done):
    for i, (messages, key) in enumerate(zip(prompts, keys, strict=True)):
      self._count()
      self.prompts.append(messages)
      self.keys.append(key)
      answers = [self.choose(self._question(messages, key), self._options(messages)) for _ in range(sampling.samples)]
      done(i, [Reply(a if isinstance(a, str) else f'Some thoughts.\nAnswer: {LETTERS[a]}') for a in answers])

  def option_scores(self, prompts, options, done):
    for i, (messages, shown) in enumerate(zip(prompts, options, strict=True)):
      self._count()
      answer = self.choose(self._question(messages), self._options(messages))
      self.prompts.append(messages)
      done(i, [OptionScore(-1.0 if j == answer else -5.0, 3) for j in range(len(shown))])


class Perfect(KnownReader):
  def choose(self, question, options):
    if question.options is None:
      return f'Answer: {question.answer}'
    return options.index(question.options[question.answer].strip())


class Constant(KnownReader):
  """Always the same letter."""
  letter = 1

  def choose(self, question, options):
    return self.letter if options else 'Answer: yes'


class Random(KnownReader):
  """A letter drawn from the question's id and what is shown: the same in every run."""

  def choose(self, question, options):
    if not options:
      return 'Answer: 12345.67'
    return random.Random(hashlib.sha256(f'{question.id}{options}'.encode()).digest()).randrange(len(options))


class Silent(KnownReader):
  """Never says anything that can be parsed; scores every option alike."""

  def choose(self, question, options):
    return 'One could look at it in many ways.'
