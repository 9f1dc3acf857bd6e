"""Paired difference of two evaluations: `python -m launch.compare --a=DIR --b=DIR`.

Several runs of one arm (seeds, worlds) may be given as a glob: --a='runs/smt_seed*'.
"""

from absl import flags

from data_gen.jsonl import write_json
from launch import app, paths
from smt_jax.eval.compare import bracket, compare, points, table
from smt_jax.eval.runs import find_runs, read_overlap

_A = paths.reads('a', None, 'Folder (or glob, one folder a seed) written by launch.evaluate.', required=True)
_B = paths.reads('b', None, 'The same for the arm that is subtracted.', required=True)
_OUT = paths.writes('out', None, 'JSON file for the comparison; without it, it is printed only.')
_OVERLAP = paths.reads('overlap', '', 'Folder of launch.decontaminate: also the difference without the questions that '
                       'training records share wording with.')
_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the bootstrap.')


def main() -> None:
  result = compare(find_runs(_A.value, '--a'), find_runs(_B.value, '--b'), _SEED.value,
                   read_overlap(_OVERLAP.value))
  print(table([result]))
  for name, part in result.parts.items():
    print(f'  {name}: {points(part.estimate)} {bracket(part)}')
  if result.questions_only is not None:
    i = result.questions_only
    print(f'  these worlds only: {points(i.estimate)} {bracket(i)}')
  if result.left_out:
    print(f'  {result.left_out} questions left out: only one of the two could be asked them')
  print(f'  interval: {result.difference.method}; {result.n_groups} clusters; {result.n_runs} pairs of runs')
  for note in result.notes:
    print(f'  note: {note}')
  if _OUT.value:
    write_json(_OUT.value, result.to_json())


if __name__ == '__main__':
  app.run(main)
