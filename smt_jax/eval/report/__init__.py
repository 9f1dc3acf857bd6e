"""The report on finished evaluations: report.html (one file, no network), table.md, plots as PNG and SVG."""

import base64
import importlib.resources
import json
import pathlib
from collections.abc import Sequence, Set
from typing import Any

import jinja2
from matplotlib.figure import Figure

from data_gen.jsonl import atomic_write
from smt_jax.eval.compare import Comparison
from smt_jax.eval.report import plots, tables
from smt_jax.eval.report.arms import Arm, comparisons, group, largest
from smt_jax.eval.report.items import browser_data
from smt_jax.eval.report.samples import sample_records
from smt_jax.eval.report.training import read_training
from smt_jax.eval.runs import Run


def write_report(runs: Sequence[Run], out: str | pathlib.Path, *, workdirs: str = '', records: str = '',
                 reference: str = '', title: str = 'Synthetic Mixed Training: results', note: str = '',
                 most_items: int = 2000, overlap: Set[str] = frozenset()) -> list[tables.Table]:
  """Writes the report; returns its tables.

  Args:
    runs: finished evaluations of any number of arms and benchmarks.
    workdirs: glob of work directories for loss curves and data mix; empty: without them.
    records: glob of records files to show samples of; empty: without them.
    reference: show differences to this arm alone, not of all pairs.
    note: a paragraph below the title, e.g. what was run.
    most_items: most questions a benchmark in the browser.
    overlap: ids of questions that training records share wording with; empty: no figures without them.

  Raises:
    UserError: what the readers of the files refuse; `reference` names no arm.
  """
  out = pathlib.Path(out)
  training = read_training(workdirs) if workdirs else []  # all input is read before anything is written
  samples = sample_records(records) if records else []
  arms = group(runs)
  found, missing = comparisons(arms, reference, overlap)
  benchmarks = list(dict.fromkeys(arm.benchmark for arm in arms))
  sections = [_section(name, [a for a in arms if a.benchmark == name], found, missing, out, len(benchmarks) > 1,
                       overlap)
              for name in benchmarks]
  gains = tables.gain_table(found)
  figures = []
  if training:
    figures = [('Loss', 'loss', plots.loss_plot(training)), ('Data mix', 'mix', plots.mix_plot(training))]
  shown = {
      'title': title, 'note': note, 'sections': sections, 'gains': gains, 'findings': _findings(found, arms),
      'training': _embedded(figures, out),
      'samples': samples,
      'canary': any(arm.benchmark == 'longhealth' for arm in arms)}
  with atomic_write(out / 'report.html') as f:
    f.write(_render(shown, browser_data(arms, most_items)))
  every = [table for section in sections for table in section['tables']] + ([gains] if gains else [])
  with atomic_write(out / 'table.md') as f:
    f.write(_markdown(title, sections, gains))
  return every


def _section(benchmark: str, arms: Sequence[Arm], found: Sequence[Comparison], missing: Sequence[str],
             out: pathlib.Path, several: bool, overlap: Set[str]) -> dict[str, Any]:
  prefix = f'{benchmark}_' if several else ''
  own = [c for c in found if c.benchmark == benchmark]
  figures = [('Accuracy by arm', f'{prefix}accuracy', plots.accuracy_plot(arms)),
             ('Scaling', f'{prefix}scaling', plots.scaling_plot(arms))]
  shown = [tables.arm_table(arms)]
  if own or missing:
    shown.append(tables.difference_table(own, missing))
  subsets = tables.subset_table(arms, own, overlap)
  if subsets is not None:
    shown.append(subsets)
  shown.append(tables.detail_table(arms))
  return {'name': benchmark, 'tables': shown, 'figures': _embedded(figures, out)}


def _embedded(figures: Sequence[tuple[str, str, Figure | None]], out: pathlib.Path) -> list[dict[str, str]]:
  """(caption, name, figure) that exist, written to files and as data for the page."""
  shown = []
  for caption, name, figure in figures:
    if figure is not None:
      encoded = base64.b64encode(plots.save(figure, out, name).encode()).decode()
      shown.append({'caption': caption, 'data': f'data:image/svg+xml;base64,{encoded}'})
  return shown


def _findings(found: Sequence[Comparison], arms: Sequence[Arm]) -> list[dict[str, str]]:
  """The differences that the question is about, as sentences: trained arms against retrieval, then between themselves.

  Ceilings (gold evidence, whole document) and budgets below the largest are left to the table.
  """
  known = {(arm.benchmark, arm.label): arm for arm in arms}
  ranked = []
  for c in found:
    pair = [known[c.benchmark, label] for label in (c.a, c.b)]
    if any(arm.mode not in ('closed_book', 'rag') or arm is not largest(arm, arms) for arm in pair):
      continue
    trained = [bool(arm.training_tokens) for arm in pair]
    against_rag = trained[0] != trained[1] and any(arm.mode == 'rag' and not arm.training_tokens for arm in pair)
    ranked.append(((not against_rag, not any(trained), not c.significant, -abs(c.difference.estimate)), c))
  out = []
  for _, c in sorted(ranked, key=lambda entry: entry[0])[:8]:
    low, high = tables.points(c.difference.low), tables.points(c.difference.high)
    difference = f'{c.a} − {c.b} = {tables.points(c.difference.estimate)} points [{low}, {high}]'
    where = f'{c.benchmark}: ' if len({arm.benchmark for arm in arms}) > 1 else ''
    out.append({'significant': 'yes' if c.significant else 'no', 'text': f'{where}{difference}: {c.verdict()}'})
  return out


def _markdown(title: str, sections: Sequence[dict[str, Any]], gains: tables.Table | None) -> str:
  parts = [f'# {title}\n']
  for section in sections:
    parts.append(f'## {section["name"]}\n')
    parts += [table.markdown() for table in section['tables']]
  if gains:
    parts.append(gains.markdown())
  return '\n'.join(parts)


def _render(shown: dict[str, Any], data: dict[str, Any]) -> str:
  files = importlib.resources.files('smt_jax.eval.report')
  environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
                                   lstrip_blocks=True)
  template = environment.from_string((files / 'page.html').read_text(encoding='utf-8'))
  # Inside a script element nothing is unescaped but "</": no text of a model can end it.
  blob = json.dumps(data, ensure_ascii=False).replace('<', '\\u003c')
  return template.render(**shown, dropped=data['dropped'], n_items=len(data['questions']), data=blob,
                         style=(files / 'page.css').read_text(encoding='utf-8'),
                         script=(files / 'page.js').read_text(encoding='utf-8'))
