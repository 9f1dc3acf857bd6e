"""The base model's multiple-choice examples: the replies to learn are right by the evaluation's own parser."""

import dataclasses
import random
import re

from data_gen.schema import Record
from data_gen.world import WorldSpec, generate
from launch.base_examples import BaseSpec, known_records, reading_records
from launch.base_letters import letter_drill
from smt_jax.eval.parsing import parse_choice

WORLD = WorldSpec(seed=4, documents=4, genres=('town', 'company'), set='background')
SPEC = BaseSpec(seed=2, known=2, copies=1, fresh=3, world=WORLD)
_MULTIPLE_CHOICE = ('world_mc', 'world_oracle', 'world_rag', 'world_read')


def _turns(record: Record) -> list[tuple[str, str]]:
  said = [m['content'] for m in record.messages or ()]
  return list(zip(said[::2], said[1::2]))


def _options(prompt: str) -> list[str]:
  return [text for _, text in re.findall(r'^([A-D])\. (.*)$', prompt, re.M)[-4:]]


def _examples() -> list[tuple[str, str]]:
  records = [*known_records(SPEC, 0, 2), *reading_records(SPEC, 0, 3)]
  return [turn for r in records if r.method in _MULTIPLE_CHOICE for turn in _turns(r)]


def test_reasoned_replies_give_the_letter_of_the_text_they_end_in():
  checked = 0
  for prompt, reply in _examples():
    if 'Think step by step' not in prompt:
      continue
    options = _options(prompt)
    parsed = parse_choice(reply, options)
    assert parsed.how == 'explicit' and parsed.strict is not None
    assert f'So the answer is {options[parsed.strict]} ' in reply
    assert all(f'{letter}. {text} {letter}\n' in reply for letter, text in zip('ABCD', options))
    checked += 1
  assert checked > 20


def test_examples_come_in_every_scoring_of_the_evaluation():
  replies = [reply for _, reply in _examples()]
  assert any(re.fullmatch('Answer: [A-D]', reply) for reply in replies)
  assert any(re.fullmatch('Answer: ..+', reply) and not re.fullmatch('Answer: [A-D]', reply) for reply in replies)


def test_examples_on_known_documents_show_chunks_that_hold_all_a_part_or_none_of_the_evidence():
  spec = dataclasses.replace(SPEC, known=4, recalled=6, chunk_size=120, top_k=2)
  evidence = {q.question: q.metadata['evidence'] for world in generate(spec.known_world())
              for q in world.ask(200, random.Random(0))}
  shown = set()
  for record in known_records(spec, 0, 4):
    if record.method == 'world_recalled':
      ((prompt, _),) = _turns(record)
      context, asked = prompt.split('\n\nAbout "')
      needed = evidence.get(asked.splitlines()[1])
      if needed:
        shown.add(sum(' '.join(e.split()) in ' '.join(context.split()) for e in needed) / len(needed))
  assert 1.0 in shown and min(shown) < 1


def test_letter_drills_name_right_letters_of_options_in_orders_of_their_own():
  orders = set()
  for world in generate(WORLD):
    record = letter_drill(world, world.ask(4, random.Random(1)), 'letters', random.Random(2))
    for prompt, reply in _turns(record):
      options = _options(prompt)
      orders.add(tuple(sorted(range(4), key=options.__getitem__)))
      picked = re.findall(r'(?:^|(?<=\. ))([^.\n]*?) ([A-D])\.', reply.splitlines()[-1])
      assert len(picked) in (1, 2, 4, 30)
      assert all(options['ABCD'.index(letter)] == text for text, letter in picked)
  assert len(orders) > 4


def test_numbers_of_examples_are_those_asked_for():
  spec = dataclasses.replace(SPEC, excerpts=0, letters=3, turns=0, evidence=2, retrieved=0)
  methods = [r.method for r in reading_records(spec, 0, 3)]
  assert methods.count('world_letters') == 9 and methods.count('world_oracle') == 6 and len(methods) == 15
