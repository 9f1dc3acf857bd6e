"""Writes the training records of the miniature world's base model, or replay records of the same kind.

  python -m launch.base_data --out=base --known=400 --copies=40 --fresh=20000 --workers=8
  python -m launch.base_data --out=replay --known=40 --copies=1 --fresh=60 --replay
"""

import dataclasses
import pathlib

import tqdm
from absl import flags

from data_gen.jsonl import exclusive, write_jsonl
from data_gen.world import WorldSpec
from launch import paths
from launch.app import run
from launch.base_examples import BaseSpec, base_rows

_OUT = paths.writes('out', None, 'Folder for records.jsonl.', required=True)
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the background worlds.', lower_bound=0)
_KNOWN = flags.DEFINE_integer('known', 400, 'Documents that repeat in training.', lower_bound=1)
_COPIES = flags.DEFINE_integer('copies', 40, "How often each known document's examples are drawn anew.", lower_bound=1)
_FRESH = flags.DEFINE_integer('fresh', 20000, 'Documents for reading examples, each used once.', lower_bound=1)
_FIRST_FRESH = flags.DEFINE_integer('first_fresh', 0, 'Number of the first of them: a second stage reads new ones.',
                                    lower_bound=0)
_EXCERPTS = flags.DEFINE_integer('excerpts', 3, 'Drills on excerpts of a fresh document; 0: none on the whole either.',
                                 lower_bound=0)
_WHOLE = flags.DEFINE_bool('whole', True, 'One drill on the whole document beside those on excerpts.')
_LETTERS = flags.DEFINE_integer('letters', 2, "Drills on options' letters, by fresh document.", lower_bound=0)
_TURNS = flags.DEFINE_integer('turns', 2, 'Questions about a fresh document read whole; 0: none.', lower_bound=0)
_EVIDENCE = flags.DEFINE_integer('evidence', 6, 'Examples with the gold evidence alone, by fresh document.',
                                 lower_bound=0)
_RETRIEVED = flags.DEFINE_integer('retrieved', 1, 'Examples with retrieved chunks, by fresh document.', lower_bound=0)
_RECALLED = flags.DEFINE_integer('recalled', 0, 'Examples with retrieved chunks, by known document and copy: what the '
                                 'chunks lack is recalled.', lower_bound=0)
_GENRES = flags.DEFINE_list('genres', ['town', 'company'], 'Genres of the documents, taken in turn.')
_CHUNK_SIZE = flags.DEFINE_integer('chunk_size', 400, 'Characters a retrieved chunk.', lower_bound=50)
_TOP_K = flags.DEFINE_integer('top_k', 4, 'Chunks shown in a retrieval example.', lower_bound=1)
_REPLAY = flags.DEFINE_bool('replay', False, 'Mark the records as replay: what keeps the base\'s skills alive in arms.')
_WORKERS = flags.DEFINE_integer('workers', 1, 'Processes; the records do not depend on it.', lower_bound=1)


def write_base_data(out: str, spec: BaseSpec, replay: bool = False, workers: int = 1) -> int:
  """Writes OUT/records.jsonl; returns the number of records."""
  rows = base_rows(spec, workers)
  if replay:
    rows = (row | {'kind': 'replay'} for row in rows)
  with exclusive(out):
    shown = tqdm.tqdm(rows, unit=' records', mininterval=2, disable=None)
    return write_jsonl(pathlib.Path(out) / 'records.jsonl', shown)


def main() -> None:
  world = dataclasses.replace(WorldSpec(), genres=tuple(_GENRES.value))
  spec = BaseSpec(seed=_SEED.value, known=_KNOWN.value, copies=_COPIES.value, fresh=_FRESH.value,
                  first_fresh=_FIRST_FRESH.value, excerpts=_EXCERPTS.value, whole=_WHOLE.value, letters=_LETTERS.value,
                  turns=_TURNS.value, evidence=_EVIDENCE.value, retrieved=_RETRIEVED.value, recalled=_RECALLED.value,
                  chunk_size=_CHUNK_SIZE.value, top_k=_TOP_K.value, world=world)
  count = write_base_data(_OUT.value, spec, _REPLAY.value, _WORKERS.value)
  print(f'{count:,} records -> {_OUT.value}/records.jsonl')


if __name__ == '__main__':
  run(main)
