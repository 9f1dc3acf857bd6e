"""The tables of a report, as rows of text: one form for table.md and the page."""

import dataclasses
from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np

from smt_jax.eval.compare import Comparison, points
from smt_jax.eval.report.arms import Arm, mean_gains, short
from smt_jax.eval.stats import Interval


@dataclasses.dataclass(frozen=True)
class Table:
  """A table: column names, rows of cells, a note below. Cells of `numeric` columns are set to the right."""
  title: str
  columns: list[str]
  rows: list[list[str]]
  note: str = ''
  numeric: tuple[int, ...] = ()
  marks: tuple[str, ...] = ()  # by row: 'better', 'worse' or ''

  def markdown(self) -> str:
    line = ['---:' if i in self.numeric else '---' for i in range(len(self.columns))]
    rows = [self.columns, line, *self.rows]
    body = '\n'.join('| ' + ' | '.join(cell.replace('|', '\\|') for cell in row) + ' |' for row in rows)
    return f'### {self.title}\n\n{body}\n' + (f'\n{self.note}\n' if self.note else '')

  def text(self) -> str:
    """Aligned lines for a terminal."""
    rows = [self.columns, *self.rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(self.columns))]
    lines = ['  '.join(cell.rjust(w) if k in self.numeric else cell.ljust(w)
                       for k, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
    return '\n'.join([self.title, *lines, ''])


def arm_table(arms: Sequence[Arm]) -> Table:
  """Accuracy of each arm with its interval and what to read beside it."""
  rows = []
  for arm in arms:
    found = arm.accuracy()
    rows.append([arm.label, arm.mode.replace('_', ' '), arm.scoring, short(arm.training_tokens) or '–',
                 f'{len(arm.runs)}', f'{arm.n_questions:,}', percent(found.estimate), interval(found.low, found.high),
                 percent(arm.mean('accuracy', 'lenient')), percent(arm.mean('parse_rate')),
                 percent(arm.mean('hard', 'strict')), percent(arm.mean('recall_sd'))])
  chance = arms[0].mean('chance') if arms else None
  note = 'Strict: an answer that cannot be parsed is wrong. Interval: 95%, over documents (and runs where there are ' \
         'several). Letter SD: standard deviation of recall over answer letters, 0 without a preferred letter.'
  if chance is not None:
    note += f' Guessing gives {percent(chance)}%.'
  return Table('Arms', ['arm', 'mode', 'scoring', 'training tokens', 'runs', 'questions', 'strict %', '95% interval',
                        'lenient %', 'parsed %', 'hard %', 'letter SD'], rows, note, tuple(range(3, 12)))


def detail_table(arms: Sequence[Arm]) -> Table:
  """What else to know of each arm: replies that went wrong in form, questions left out, what retrieval found."""
  flags = list(dict.fromkeys(flag for arm in arms for run in arm.runs for flag in run.results.get('flags') or {}))
  rows = []
  for arm in arms:
    counts = [sum((run.results.get('flags') or {}).get(flag, 0) for run in arm.runs) for flag in flags]
    left_out = sum(len(run.results.get('excluded') or ()) for run in arm.runs)
    seconds = sum(run.results.get('seconds') or 0 for run in arm.runs)
    rows.append([arm.label, *(f'{n:,}' for n in counts), f'{left_out:,}', percent(arm.mean('retrieval', 'document')),
                 percent(arm.mean('retrieval', 'evidence')), percent(arm.mean('permutations', 'all_right')),
                 f'{seconds:,.0f}'])
  columns = ['arm', *(flag.replace('_', ' ') for flag in flags), 'left out', 'right document retrieved %',
             'evidence retrieved %', 'right in every order %', 'seconds']
  return Table('Details', columns, rows, 'Counts of replies: too long for the model, cut off before an answer, several '
               'letters at once, refusals. Left out: questions that the mode cannot ask.',
               tuple(range(1, len(columns))))


def subset_table(arms: Sequence[Arm], found: Sequence[Comparison], overlap: Set[str]) -> Table | None:
  """Accuracies and differences on the documents that retrieval was not tuned on, and without contaminated questions.

  A difference for which no part was compared has no line. None where there is nothing to leave out.
  """
  subsets: dict[str, Callable[[dict[str, Any]], bool]] = {}
  rows = [row for arm in arms for run in arm.runs for row in run.asked.values()]
  if {bool(row.get('kept_back')) for row in rows} == {True, False}:
    subsets['kept back'] = lambda row: bool(row.get('kept_back'))
  if overlap & {row['id'] for row in rows}:
    subsets['without overlap'] = lambda row: row['id'] not in overlap
  if not subsets:
    return None
  lines = []
  for arm in arms:
    intervals = [arm.accuracy(keep) for keep in subsets.values()]
    lines.append([arm.label, *(f'{percent(i.estimate)} {interval(i.low, i.high)}' for i in intervals)])
  for c in found:
    parts = [c.parts.get(name) for name in subsets]
    if any(parts):  # the interval over worlds has none
      lines.append([f'{c.a} − {c.b}', *(_hard(part) for part in parts)])
  touched = len(overlap & {row['id'] for row in rows})
  notes = {'kept back': 'Kept back: the four fifths of documents that launch.tune_rag does not look at.',
           'without overlap': f'Without overlap: without the {touched} questions that training records share wording '
                              'with (launch.decontaminate).'}
  return Table('Without tuned-on documents and shared wording' if len(subsets) > 1 else
               'On documents not tuned on' if 'kept back' in subsets else 'Without shared wording',
               ['arm or difference', *(f'{name} %' for name in subsets)], lines,
               ' '.join(notes[name] for name in subsets), tuple(range(1, 1 + len(subsets))))


def difference_table(found: Sequence[Comparison], missing: Sequence[str]) -> Table:
  """Every paired difference with its verdict in words."""
  rows, marks = [], []
  for c in found:
    p = '–' if c.mcnemar is None else _p_value(c.mcnemar['p'])
    hard = c.parts.get('hard')
    rows.append([c.a, c.b, points(c.difference.estimate), interval(c.difference.low, c.difference.high, True),
                 _hard(hard),
                 f'{100 * c.gain.estimate:+.1f}%' if np.isfinite(c.gain.estimate) else '–',
                 interval(c.gain.low, c.gain.high, True), p, _verdict(c)])
    marks.append('' if not c.significant else 'better' if c.difference.estimate > 0 else 'worse')
  note = 'Differences in percentage points on the same questions, with paired 95% intervals over documents; a gain ' \
         'is relative to the second arm. Significant: the interval leaves out zero.'
  if len(found) > 1:
    note += f' {len(found)} comparisons at 95% each, not corrected for their number.'
  if any(c.design == 'worlds' for c in found):
    note += ' Several worlds: the interval is over worlds (Student\'s t), each with its own documents and training.'
  if missing:
    note += ' Not compared: ' + '; '.join(missing) + '.'
  columns = ['a', 'b', 'a − b', '95% interval', 'hard questions', 'relative gain', '95% interval', 'McNemar p',
             'verdict']
  return Table('Paired differences', columns, rows, note, tuple(range(2, 8)), tuple(marks))


def gain_table(found: Sequence[Comparison]) -> Table | None:
  """Mean relative gain over benchmarks, where arms meet on more than one."""
  gains = mean_gains(found)
  if not gains:
    return None
  rows = [[a, b, f'{n}', f'{100 * i.estimate:+.1f}%', interval(i.low, i.high, True)] for a, b, n, i in gains]
  return Table('Mean relative gain over benchmarks', ['a', 'b', 'benchmarks', 'mean gain', '95% interval'], rows,
               numeric=(2, 3, 4))


def percent(share: float | None) -> str:
  return '–' if share is None or np.isnan(share) else f'{100 * share:.1f}'


def interval(low: float, high: float, signed: bool = False) -> str:
  if np.isnan(low) or np.isnan(high):
    return '–'
  return f'[{points(low)}, {points(high)}]' if signed else f'[{percent(low)}, {percent(high)}]'


def _hard(found: Interval | None) -> str:
  if found is None:
    return '–'
  return f'{points(found.estimate)} {"(few)" if found.too_few else interval(found.low, found.high, True)}'


def _verdict(c: Comparison) -> str:
  if np.isnan(c.difference.low):
    return 'no interval'
  if c.difference.too_few:
    return f'too few documents ({c.n_groups})'
  if not c.significant:
    return 'not significant'
  return 'significant: a better' if c.difference.estimate > 0 else 'significant: b better'


def _p_value(p: float) -> str:
  return '<0.001' if p < 0.001 else f'{p:.3f}'
