"""Table, plots and a browsable page: `python -m launch.report --results='runs/*/eval*' --out=DIR`."""

import pathlib

from absl import flags

from launch import app, paths
from smt_jax.eval.report import write_report
from smt_jax.eval.runs import find_runs, read_overlap

_RESULTS = paths.reads('results', None, 'Glob of folders written by launch.evaluate (or of their results.json; '
                       'several with commas).', required=True)
_OUT = paths.writes('out', None, 'Folder for report.html, table.md and the plots.', required=True)
_WORKDIRS = paths.reads('workdirs', '', 'Glob of work directories: adds loss curves and the data mix.',
                        only=('*.json', '*.jsonl'))
_RECORDS = paths.reads('records', '', 'Glob of records files: adds samples of the synthetic data.')
_OVERLAP = paths.reads('overlap', '', 'Folder of launch.decontaminate: adds each arm and difference without the '
                       'questions that training records share wording with.')
_REFERENCE = flags.DEFINE_string('reference', '', 'Show differences to this arm alone instead of all pairs.')
_TITLE = flags.DEFINE_string('title', 'Synthetic Mixed Training: results', 'Heading of the page.')
_NOTE = flags.DEFINE_string('note', '', 'A paragraph under the heading.')
_MAX_ITEMS = flags.DEFINE_integer('max_items', 2000, 'Most questions a benchmark in the browser.', lower_bound=0)


def main() -> None:
  out = pathlib.Path(_OUT.value)
  tables = write_report(find_runs(_RESULTS.value), out, workdirs=_WORKDIRS.value, records=_RECORDS.value,
                        reference=_REFERENCE.value, title=_TITLE.value, note=_NOTE.value, most_items=_MAX_ITEMS.value,
                        overlap=read_overlap(_OVERLAP.value))
  for table in tables:
    if table.title != 'Details':
      print(table.text())
  print(f'{out / "report.html"}')


if __name__ == '__main__':
  app.run(main)
