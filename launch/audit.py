"""How far a person agrees with verdicts on open answers: fill in the column "human" of an evaluation's audit.csv, then

  python -m launch.audit --audit=eval/smt/audit.csv
"""

import pathlib

from data_gen.jsonl import write_json
from launch import app, paths
from smt_jax.eval.audit import agreement

_AUDIT = paths.reads('audit', None, 'audit.csv of launch.evaluate with "correct" or "incorrect" in its last column.',
                     required=True)


def main() -> None:
  found = agreement(_AUDIT.value)
  low, high = found['ci95']
  print(f'agrees on {found["agree"]} of {found["n"]} verdicts '
        f'({100 * found["share"]:.1f}% [{100 * low:.1f}%, {100 * high:.1f}%]); '
        f'{found["false_accept"]} accepted wrongly, {found["false_reject"]} refused wrongly')
  for name, row in found['by'].items():
    print(f'  {name}: {row["agree"]} of {row["n"]}')
  if found['empty']:
    print(f'  {found["empty"]} rows are not filled in')
  out = pathlib.Path(paths.written(_AUDIT.given.removesuffix('.csv') + '.json'))
  write_json(out, found)
  print(out)


if __name__ == '__main__':
  app.run(main)
