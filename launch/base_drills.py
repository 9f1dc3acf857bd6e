"""Reading drills: a text that never comes again, and many of its facts asked for one after another.

Multiple-choice examples alone teach a small model the form of reasoning but not to look things up: they hold one or two
look-ups in hundreds of tokens, and its answers named values that stood in the text, of anybody. A drill holds a look-up
in every ten or twenty tokens. Excerpts of a few sentences come beside whole documents, because whose value it is
is learned on few candidates first.
"""

import random
from collections.abc import Iterator

from data_gen.schema import Record
from data_gen.world import WorldDocument
from data_gen.world.story import Fact
from data_gen.world.text import Sentence
from smt_jax.eval import prompts

_INSTRUCTION = 'Answer from the text.'
_ASKED = 0.6  # of a drill's facts stand behind a question; the others are stated as they are


def drills(document: WorldDocument, excerpts: int, characters: int, rng: random.Random,
           whole: bool = True) -> Iterator[Record]:
  """`excerpts` drills on runs of sentences and one on the whole document, of `characters` characters at most.

  A text that leaves no room still has one fact behind it.
  """
  for k in range(excerpts):
    shown = _excerpt(document, rng)
    yield _drill(document, ' '.join(s.text for s in shown), _facts(document, shown), characters, f'excerpt{k}', rng)
  if not whole:
    return
  sentences = [s for paragraph in document.text.paragraphs for s in paragraph]
  yield _drill(document, document.document.text, _facts(document, sentences), characters, 'whole', rng)


def _excerpt(document: WorldDocument, rng: random.Random) -> list[Sentence]:
  """Two to sixteen sentences in a row, in which every pronoun has what it stands for."""
  sentences = [s for paragraph in document.text.paragraphs for s in paragraph]
  size = min(rng.choice((2, 3, 4, 6, 8, 12, 16)), len(sentences))
  while True:
    start = rng.randrange(len(sentences) - size + 1)
    while sentences[start].linked:
      start -= 1
    shown = sentences[start:start + size]
    if any(sentence.facts for sentence in shown):
      return shown


def _facts(document: WorldDocument, sentences: list[Sentence]) -> list[Fact]:
  told = dict.fromkeys(k for sentence in sentences for k in sentence.facts)
  return [document.facts[k] for k in told]


def _drill(document: WorldDocument, text: str, facts: list[Fact], characters: int, name: str,
           rng: random.Random) -> Record:
  asked = f'Context:\n{prompts.document_name(document.document)}\n{text}\n\n{_INSTRUCTION}'
  room = characters - len(asked)
  lines: list[str] = []
  for fact in rng.sample(facts, len(facts)):
    line = _line(document, fact, facts, rng)
    room -= len(line)
    if room < 0 and lines:
      break
    lines.append(line)
  messages = ({'role': 'user', 'content': asked}, {'role': 'assistant', 'content': ' '.join(lines)})
  return Record(id=f'{document.document.id}.{name}', kind='qa', method='world_drill',
                document_ids=(document.document.id,), messages=messages)


def _line(document: WorldDocument, fact: Fact, facts: list[Fact], rng: random.Random) -> str:
  """The fact restated, most often after a question for its value or, where only one has that value, its subject."""
  story = document.story
  statement = fact.statement[0].upper() + fact.statement[1:] + '.'
  relation = story.relation(fact)
  if rng.random() > _ASKED:
    return statement
  pool = rng.choice(('evaluation', 'background'))
  inverse = getattr(relation, f'{pool}_inverse')
  alone = sum(f.relation == fact.relation and f.value == fact.value for f in facts) == 1
  if inverse and alone and rng.random() < 0.4:
    return f'{story.fill(rng.choice(inverse), v=fact.value)} {statement}'
  forms = getattr(relation, pool)
  return f'{story.fill(rng.choice(forms), s=fact.subject)} {statement}' if forms else statement
