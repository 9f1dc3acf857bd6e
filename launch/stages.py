"""The miniature experiment as a list of commands: what depends on what, at which size."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from data_gen.errors import UserError
from data_gen.jsonl import exclusive, read_json, write_json
from launch import jobs
from launch.jobs import Stage

BASE = pathlib.Path('configs/world_base')  # the shipped base model; configs/world_base/README.md says how it was made


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


FULL = Size(documents=6, tokens_per_method='24x', token_budget=150_000, limit=0)
SHORT = Size(documents=4, tokens_per_method='3x', token_budget=16_000, limit=16)
ROW = 576  # tokens of a packed row: a question with its retrieved chunks, in replay
_REPLY = 120  # tokens of an answer at most: options read out, three facts, the answer
_CHUNKS = ('--chunk_size=120', '--top_k=8')  # chosen on tuning worlds
ARMS = ('qa', 'documents', 'smt')
EVALUATIONS = (('base', 'closed_book'), ('base', 'rag'), ('base', 'oracle'), ('qa', 'closed_book'),
               ('documents', 'closed_book'), ('smt', 'closed_book'), ('smt', 'rag'))


def quickstart(out: pathlib.Path, seed: int, size: Size) -> list[Stage]:
  """World, synthesis, packing, three arms at equal training tokens, seven evaluations, report."""
  world, synthetic, replay = out / 'world', out / 'synthetic', out / 'replay'
  packed, packed_replay = out / 'packed', out / 'packed_replay'
  questions, documents = world / 'questions.jsonl', world / 'documents.jsonl'
  prepared = Stage('a world of fictional documents, and questions on them', (
      'prepare', '--benchmark=world', f'--source=study:seed={seed},documents={size.documents},genre=town+company',
      f'--out={world}', f'--tokenizer={BASE}'), questions, needs=())
  synthesized = Stage('synthetic QAs and documents, written by the offline generator', (
      'synthesize', f'--documents={documents}', f'--out={synthetic}', '--generator=offline',
      '--methods=qa,active_reading,focal', f'--tokenizer={BASE}', f'--tokens_per_method={size.tokens_per_method}',
      f'--seed={seed}'), synthetic / 'summary.json', needs=(questions,))
  replayed = Stage('replay: more of what the base was trained on', (
      'base_data', f'--out={replay}', '--known=24', '--copies=1', '--recalled=2', '--fresh=24', '--excerpts=1',
      '--nowhole', '--turns=0', '--evidence=4', '--retrieved=2', *_CHUNKS, '--replay'), replay / 'records.jsonl',
      needs=())
  rows = (f'--tokenizer={BASE}', f'--sequence_length={ROW}')
  stages = [
      prepared, replayed, synthesized,
      Stage('replay as packed rows', ('pack', f'--records={replay / "records.jsonl"}', f'--out={packed_replay}', *rows),
            packed_replay / 'pack.json', needs=(replayed.makes,)),
      Stage('QAs and documents as packed rows', ('pack', f'--records={synthetic}/records.*.jsonl', f'--out={packed}',
                                                 *rows), packed / 'pack.json', needs=(synthesized.makes,)),
  ]
  for arm in ARMS:
    stages.append(Stage(f'training: {arm}', (
        'train', f'--config=configs/world.py:{arm}', f'--workdir={out / "train" / arm}', f'--config.init={BASE}',
        f'--config.data={packed}', f'--config.replay={packed_replay}', f'--config.token_budget={size.token_budget}',
        f'--config.seed={seed}'), out / 'train' / arm / 'mix.json',
        needs=(packed / 'pack.json', packed_replay / 'pack.json')))
  for arm, mode in EVALUATIONS:
    name = arm if mode == 'closed_book' else f'{arm}+{mode}'
    checkpoint = BASE if arm == 'base' else out / 'train' / arm
    stages.append(Stage(f'evaluation: {name}', (
        'evaluate', '--benchmark=world', f'--questions={questions}', f'--documents={documents}',
        f'--checkpoint={checkpoint}', f'--arm={name}', f'--mode={mode}', '--scoring=cot', f'--max_new_tokens={_REPLY}',
        *_CHUNKS, f'--limit={size.limit}', f'--seed={seed}', f'--out={out / "results" / name}'),
        out / 'results' / name / 'results.json',
        needs=(questions,) if arm == 'base' else (out / 'train' / arm / 'mix.json',)))
  stages.append(Stage('table, plots and report', (
      'report', f'--results={out}/results/*', f'--workdirs={out}/train/*', f'--records={synthetic}/records.*.jsonl',
      f'--out={out / "report"}'), out / 'report' / 'table.md'))
  return stages


def run_all(stages: Sequence[Stage], out: pathlib.Path, settings: dict[str, Any], workers: int = 1) -> int:
  """Runs what is not done yet, `workers` stages at a time; returns how many ran.

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
    return jobs.run(stages, out / 'logs', workers, environment)
