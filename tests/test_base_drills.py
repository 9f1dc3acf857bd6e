"""Reading drills: what is asked stands in the text shown, in either length; the same draws give the same drills."""

import random

import pytest

from data_gen.world import WorldSpec, generate
from launch.base_drills import drills

WORLDS = list(generate(WorldSpec(seed=2, documents=6, genres=('town', 'company'), set='background')))


def made(world, characters=3500, seed=0):
  return list(drills(world, 4, characters, random.Random(seed)))


@pytest.mark.parametrize('world', WORLDS, ids=lambda w: w.document.id)
def test_answers_stand_in_the_text_that_is_shown(world):
  for record in made(world):
    shown, said = (m['content'] for m in record.messages)
    told = [f for f in world.facts if f.statement[1:] in said]
    assert told and all(f.value.lower() in shown.lower() for f in told)
    assert len(shown) + len(said) < 3500 + 100  # spaces between the lines are not counted


def test_one_drill_reads_the_whole_document_and_others_less():
  *excerpts, whole = made(WORLDS[0])
  assert WORLDS[0].document.text in whole.messages[0]['content'] and len(excerpts) == 4
  assert all(len(r.messages[0]['content']) < len(whole.messages[0]['content']) for r in excerpts)
  assert len({r.id for r in (*excerpts, whole)}) == 5


def test_a_text_without_room_still_has_an_answer_and_draws_are_seeded():
  assert all(r.messages[1]['content'] for r in made(WORLDS[0], characters=10))
  assert made(WORLDS[0], seed=3) == made(WORLDS[0], seed=3) != made(WORLDS[0], seed=4)
