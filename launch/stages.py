"""Stages of an experiment as commands: run in order, each once, each skipped when what it makes is there already."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import exclusive, read_json, write_json

BASE = pathlib.Path('configs/world_base')  # the shipped base model; configs/world_base/README.md says how it was made


@dataclasses.dataclass(frozen=True)
class Stage:
  """One command, `python -m launch.<words>`, done when `makes` exists."""
  title: str
  words: tuple[str, ...]
  makes: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Size:
  """How large the miniature experiment is.

  Attributes:
    documents: study documents.
    tokens_per_method: synthetic tokens of each method, as a multiple of the source.
    token_budget: training tokens of each arm.
    limit: questions asked of each arm, 0: all.
  """
  documents: int
  tokens_per_method: str
  token_budget: int
  limit: int


FULL = Size(documents=12, tokens_per_method='12x', token_budget=200_000, limit=0)
SHORT = Size(documents=4, tokens_per_method='3x', token_budget=16_000, limit=16)
ARMS = ('qa', 'documents', 'smt')


def quickstart(out: pathlib.Path, seed: int, size: Size) -> list[Stage]:
  """World, synthesis, packing, three arms at equal training tokens, seven evaluations, report."""
  world, synthetic, replay = out / 'world', out / 'synthetic', out / 'replay'
  packed, packed_replay = out / 'packed', out / 'packed_replay'
  stages = [
      Stage('a world of fictional documents, and questions on them', (
          'prepare', '--benchmark=world', f'--source=study:seed={seed},documents={size.documents},genre=town+company',
          f'--out={world}', f'--tokenizer={BASE}'), world / 'questions.jsonl'),
      Stage('synthetic QAs and documents, written by the offline generator', (
          'synthesize', f'--documents={world / "documents.jsonl"}', f'--out={synthetic}', '--generator=offline',
          '--methods=qa,active_reading,focal', f'--tokenizer={BASE}', f'--tokens_per_method={size.tokens_per_method}',
          f'--seed={seed}'), synthetic / 'summary.json'),
      Stage('replay: what the base was trained on', (
          'base_data', f'--out={replay}', '--known=24', '--copies=1', '--fresh=24', '--excerpts=0', '--replay'),
          replay / 'records.jsonl'),
      Stage('QAs and documents as packed rows', (
          'pack', f'--records={synthetic}/records.*.jsonl', f'--tokenizer={BASE}', f'--out={packed}',
          '--sequence_length=256'), packed / 'pack.json'),
      Stage('replay as packed rows', (
          'pack', f'--records={replay / "records.jsonl"}', f'--tokenizer={BASE}', f'--out={packed_replay}',
          '--sequence_length=256'), packed_replay / 'pack.json'),
  ]
  for arm in ARMS:
    stages.append(Stage(f'training: {arm}', (
        'train', f'--config=configs/world.py:{arm}', f'--workdir={out / "train" / arm}', f'--config.init={BASE}',
        f'--config.data={packed}', f'--config.replay={packed_replay}', f'--config.token_budget={size.token_budget}',
        f'--config.seed={seed}'), out / 'train' / arm / 'mix.json'))
  evaluations = [('base', 'closed_book'), *((arm, 'closed_book') for arm in ARMS), ('base', 'rag'), ('smt', 'rag'),
                 ('base', 'oracle')]
  for arm, mode in evaluations:
    name = arm if mode == 'closed_book' else f'{arm}+{mode}'
    checkpoint = BASE if arm == 'base' else out / 'train' / arm
    stages.append(Stage(f'evaluation: {name}', (
        'evaluate', '--benchmark=world', f'--questions={world / "questions.jsonl"}',
        f'--documents={world / "documents.jsonl"}', f'--checkpoint={checkpoint}', f'--arm={name}', f'--mode={mode}',
        '--scoring=logprob', '--chunk_size=400', '--top_k=4', f'--limit={size.limit}', f'--seed={seed}',
        f'--out={out / "results" / name}'), out / 'results' / name / 'results.json'))
  stages.append(Stage('table, plots and report', (
      'report', f'--results={out}/results/*', f'--workdirs={out}/train/*', f'--records={synthetic}/records.*.jsonl',
      f'--out={out / "report"}'), out / 'report' / 'table.md'))
  return stages


def run_all(stages: Sequence[Stage], out: pathlib.Path, settings: dict[str, Any]) -> int:
  """Runs what is not done yet; returns how many stages ran.

  Raises:
    UserError: the folder holds an experiment of other settings, or a stage failed (its own message stands above).
  """
  with exclusive(out):
    held = out / 'experiment.json'
    if held.exists() and read_json(held) != settings:
      raise UserError(f'{held}: this folder holds an experiment with other settings; name another --out')
    write_json(held, settings)
    # one compilation serves all arms: the programs are the same
    environment = os.environ | {'JAX_COMPILATION_CACHE_DIR': str((out / 'compiled').absolute()),
                                'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.5'}
    ran = 0
    for number, stage in enumerate(stages, start=1):
      if stage.makes.exists():
        continue
      print(f'\n[{number}/{len(stages)}] {stage.title}\n  python -m launch.{" ".join(stage.words)}', flush=True)
      began = time.monotonic()
      words = (f'launch.{stage.words[0]}', *stage.words[1:])
      if subprocess.run([sys.executable, '-m', *words], env=environment, check=False).returncode:
        raise UserError(f'stage "{stage.title}" failed for the reason above; once mended, run this again to go on')
      print(f'  {time.monotonic() - began:.0f} s', flush=True)
      ran += 1
    return ran
