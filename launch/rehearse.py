"""Every stage on your own documents with a tiny model, before money or accelerators are spent:

  python -m launch.rehearse --benchmark=quality --source=quality/ --further='stories/*.jsonl' --out=out/rehearsal

Prepares, trains a tokenizer, synthesizes offline by every method, decontaminates, packs, trains a few hundred steps,
evaluates in every mode and scoring, reports, and accounts for every document and question. Accuracy is about chance.
"""

import pathlib
import time

from absl import flags

from data_gen import benchmarks
from launch import app, paths, rehearsal

_BENCHMARK = flags.DEFINE_enum('benchmark', None, list(benchmarks.NAMES), 'What to read, as for launch.prepare.',
                               required=True)
_SOURCE = paths.reads('source', None, 'File or folder to read, as for launch.prepare.', required=True)
_QUESTIONS = paths.reads('questions', '', 'With --benchmark=files: your questions; without them the chain ends '
                         'after training.')
_FURTHER = paths.reads('further', '', 'Further documents without questions, read as --benchmark=files reads.')
_REPLAY = paths.reads('replay', '', 'Glob of general text to replay; empty: none.')
_OUT = paths.writes('out', None, 'Folder of everything that is made.', required=True)
_TOKENS = flags.DEFINE_string('tokens_per_method', '1x', 'As for launch.synthesize.')
_STEPS = flags.DEFINE_integer('steps', 300, 'Training steps of 8 rows of 512 tokens.', lower_bound=1)
_POSITIONS = flags.DEFINE_integer('positions', 12288, 'Positions of the model: longer prompts count as too long.',
                                  lower_bound=1024)
_MODES = flags.DEFINE_list('modes', list(rehearsal.MODES), 'Modes to evaluate in.')
_SCORINGS = flags.DEFINE_list('scorings', ['logprob', 'letter', 'cot'], 'Scorings; log-probability only where '
                              'questions have options.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of synthesis and training.', lower_bound=0)


def main() -> None:
  began = time.monotonic()
  plan = rehearsal.Plan(
      _BENCHMARK.value, _SOURCE.value, pathlib.Path(_OUT.value), _QUESTIONS.value, _FURTHER.value, _REPLAY.value,
      _TOKENS.value, _STEPS.value, _POSITIONS.value, tuple(_MODES.value), tuple(_SCORINGS.value), _SEED.value)
  ran = rehearsal.run(plan)
  print(f'\n{"all stages were done already" if not ran else f"{ran} stages in {time.monotonic() - began:.0f} s"}\n')
  for line in rehearsal.account(plan):
    print(line)
  print(plan.out / 'account.json')
  if (plan.out / 'report' / 'report.html').exists():
    print(f'report: {plan.out / "report" / "report.html"}')


if __name__ == '__main__':
  app.run(main)
