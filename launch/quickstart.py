"""The miniature experiment, command by command: each stage is an ordinary program of launch/, printed before it runs.

  python -m launch.quickstart --seed=0 --out=out/quickstart
"""

import pathlib
import time

from absl import flags

from launch import app, paths, stages

_SEED = flags.DEFINE_integer('seed', 0, 'Seed of the study world, of the synthetic data and of training.',
                             lower_bound=0)
_OUT = paths.writes('out', '', 'Folder of everything that is made; default: out/quickstart/seed_N.')
_SHORT = flags.DEFINE_bool('short', False, 'A few documents and steps: shows that all stages work, not what they give.')
_WORKERS = flags.DEFINE_integer('workers', 2, 'Stages at a time, each on its share of the cores.', lower_bound=1)


def main() -> None:
  out = pathlib.Path(_OUT.value or f'out/quickstart/{"short" if _SHORT.value else f"seed_{_SEED.value}"}')
  size = stages.SHORT if _SHORT.value else stages.FULL
  began = time.monotonic()
  ran = stages.run_all(stages.quickstart(out, _SEED.value, size), out, vars(size) | {'seed': _SEED.value},
                       _WORKERS.value)
  print(f'\n{"all stages were done already" if not ran else f"{ran} stages in {time.monotonic() - began:.0f} s"}\n')
  print((out / 'report' / 'table.md').read_text())
  print(f'report: {out / "report" / "report.html"}')


if __name__ == '__main__':
  app.run(main)
