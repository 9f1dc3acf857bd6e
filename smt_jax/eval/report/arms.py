"""Evaluations grouped into arms: the runs of one arm differ in seed or world alone; each arm is a line of the table."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np

from data_gen.errors import UserError
from smt_jax.eval import stats
from smt_jax.eval.compare import Comparison, compare
from smt_jax.eval.runs import Run
from smt_jax.eval.stats import Interval

_SAME_BUDGET = 1.05  # training tokens of seeds differ by a row or two; budgets differ by more than this


@dataclasses.dataclass(frozen=True)
class Arm:
  """Runs of one arm at one training budget on one benchmark.

  Attributes:
    label: its name in tables: the arm's, with mode, scoring or budget where these tell arms of one name apart.
    series: the label without the budget: what belongs to one line of a scaling plot.
  """
  label: str
  series: str
  benchmark: str
  runs: tuple[Run, ...]

  @property
  def mode(self) -> str:
    return self.runs[0].results['mode']

  @property
  def scoring(self) -> str:
    return self.runs[0].results['scoring']

  @property
  def training_tokens(self) -> float | None:
    tokens = [t for run in self.runs if (t := run.results.get('training_tokens')) is not None]
    return float(np.mean(tokens)) if len(tokens) == len(self.runs) else None

  @property
  def n_questions(self) -> int:
    return sum(run.results['n_questions'] for run in self.runs)

  def mean(self, *path: str) -> float | None:
    """The mean over runs of a figure of results.json; None where a run lacks it."""
    values = []
    for run in self.runs:
      value: Any = run.results
      for key in path:
        value = value.get(key) if isinstance(value, dict) else None
      if value is None:
        return None
      values.append(float(value))
    return float(np.mean(values))

  def accuracy(self, keep: Callable[[dict[str, Any]], bool] | None = None) -> Interval:
    """Strict accuracy: the run's own interval, or over seeds of the same questions, or over worlds.

    `keep` chooses among the rows of items.jsonl; without it all count.
    """
    if keep is not None:
      return self._subset(keep)
    if len(self.runs) == 1:
      r = self.runs[0].results
      estimate, low, high = (float('nan') if v is None else v for v in (r['accuracy']['strict'], *r['ci95']))
      return Interval(estimate, low, high, r.get('ci95_method', ''))
    ids = list(self.runs[0].asked)
    first = [self.runs[0].asked[i]['question'] for i in ids]
    if all(list(run.asked) == ids and [run.asked[i]['question'] for i in ids] == first for run in self.runs):
      return stats.over_seeds(np.stack([run.scores(ids) for run in self.runs]),
                              [self.runs[0].asked[i]['group'] for i in ids])
    asked = [run.results['accuracy']['strict'] for run in self.runs if run.asked]
    return stats.over_runs(asked, bounds=(0, 1)) if asked else stats.mean_interval([], [])

  def _subset(self, keep: Callable[[dict[str, Any]], bool]) -> Interval:
    chosen = [[i for i, row in run.asked.items() if keep(row)] for run in self.runs]
    rows = [[(run.asked[i]['question'], run.asked[i]['group']) for i in ids] for run, ids in zip(self.runs, chosen)]
    if not all(chosen):
      return stats.mean_interval([], [])
    if all(ids == chosen[0] and of_run == rows[0] for ids, of_run in zip(chosen, rows)):
      return stats.over_seeds(np.stack([run.scores(chosen[0]) for run in self.runs]), [g for _, g in rows[0]])
    return stats.over_runs([float(run.scores(ids).mean()) for run, ids in zip(self.runs, chosen)], bounds=(0, 1))


def group(runs: Sequence[Run]) -> list[Arm]:
  """Arms in the order of their first run: by benchmark, then untrained before trained, then by budget."""
  by_name: dict[tuple[str, ...], list[Run]] = {}
  for run in runs:
    r = run.results
    by_name.setdefault((r['benchmark'], r['arm'], r['mode'], r['scoring'], str(_setting(run))), []).append(run)
  budgets = {key: _by_budget(of_arm) for key, of_arm in by_name.items()}
  arms: list[Arm] = []
  for key, groups in budgets.items():
    series = _series(key, list(by_name))
    for of_budget in groups:
      tokens = of_budget[0].results.get('training_tokens')
      label = f'{series} @ {short(tokens)}' if len(groups) > 1 and tokens is not None else series
      if any(arm.label == label and arm.benchmark == key[0] for arm in arms):
        label += f' ({of_budget[0].folder.name})'
      arms.append(Arm(label, series, key[0], tuple(of_budget)))
  return sorted(arms, key=lambda arm: (arm.benchmark, arm.training_tokens or 0))


def _setting(run: Run) -> tuple:
  """What makes two evaluations of one arm different ones: several permutations or samples."""
  config = run.results.get('config') or {}
  return config.get('permutations', 1), config.get('samples', 1)


def _by_budget(runs: Sequence[Run]) -> list[list[Run]]:
  """Seeds and worlds of about one budget together; a second run of the same seed and questions stands alone."""
  groups: list[list[Run]] = []
  for run in sorted(runs, key=lambda r: r.results.get('training_tokens') or 0):
    tokens = run.results.get('training_tokens') or 0
    for of_budget in groups:
      near = tokens <= _SAME_BUDGET * (of_budget[0].results.get('training_tokens') or 0)
      if near and _draw(run) not in map(_draw, of_budget):
        of_budget.append(run)
        break
    else:
      groups.append([run])
  return groups


def _draw(run: Run) -> tuple:
  return run.results.get('seed'), run.results.get('questions_sha256')


def _series(key: tuple[str, ...], keys: Sequence[tuple[str, ...]]) -> str:
  benchmark, arm, mode, scoring, setting = key
  rivals = [k for k in keys if k[:2] == (benchmark, arm) and k != key]
  parts = [arm]
  if any(k[2] != mode for k in rivals):
    parts.append(mode.replace('_', ' '))
  if any(k[3] != scoring for k in rivals):
    parts.append(scoring)
  if any(k[4] != setting and k[2:4] == (mode, scoring) for k in rivals):
    permutations, samples = setting.strip('()').split(', ')
    parts.append(f'{permutations} orders, {samples} samples')
  return ' · '.join(parts)


def comparisons(arms: Sequence[Arm], reference: str = '', overlap: Set[str] = frozenset(),
                ) -> tuple[list[Comparison], list[str]]:
  """Paired differences of the arms of each benchmark, and why some are missing.

  Arms meet where they were scored alike: trained ones at equal budgets, untrained ones the others at their largest.
  With `reference`, every arm meets that arm and no other, however it was scored.

  Raises:
    UserError: no arm is called `reference`.
  """
  if reference and not any(reference in (arm.label, arm.series) for arm in arms):
    known = ', '.join(dict.fromkeys(arm.label for arm in arms))
    raise UserError(f'--reference={reference}: expected one of {known}')
  found, missing = [], []
  for one, two in itertools.combinations(arms, 2):
    if one.benchmark != two.benchmark:
      continue
    is_reference = [reference in (arm.label, arm.series) for arm in (one, two)]
    if not (any(is_reference) if reference else _meet(one, two, arms)):
      continue
    a, b = (one, two) if is_reference[1] or (not reference and _first(one, two)) else (two, one)
    try:
      c = compare(a.runs, b.runs, overlap=overlap)
    except UserError as e:
      missing.append(f'{a.label} and {b.label}: {e}')
      continue
    found.append(dataclasses.replace(c, a=a.label, b=b.label))
  return found, missing


def _meet(one: Arm, two: Arm, arms: Sequence[Arm]) -> bool:
  if one.scoring != two.scoring:
    return False
  x, y = one.training_tokens, two.training_tokens
  if x and y:
    return max(x, y) <= 1.1 * min(x, y)
  return all(arm is largest(arm, arms) for arm in (one, two))


def largest(arm: Arm, arms: Sequence[Arm]) -> Arm:
  """The arm's series at its largest budget."""
  of_series = [a for a in arms if (a.series, a.benchmark) == (arm.series, arm.benchmark)]
  return max(of_series, key=lambda a: a.training_tokens or 0)


def _first(one: Arm, two: Arm) -> bool:
  """Whether the difference is one - two: the better arm stands first."""
  return one.accuracy().estimate >= two.accuracy().estimate


def mean_gains(found: Sequence[Comparison]) -> list[tuple[str, str, int, Interval]]:
  """For arms compared on several benchmarks: the mean relative gain over them, as the paper quotes it."""
  pairs: dict[tuple[str, str], list[Interval]] = {}
  for c in found:
    if np.isfinite([c.gain.estimate, c.gain.low, c.gain.high]).all():
      pairs.setdefault((c.a, c.b), []).append(c.gain)
  return [(a, b, len(gains), stats.mean_of_independent(gains)) for (a, b), gains in pairs.items() if len(gains) > 1]


def short(tokens: float | None) -> str:
  """1234567 -> '1.2M'."""
  if tokens is None:
    return ''
  for size, unit in ((1e12, 'T'), (1e9, 'B'), (1e6, 'M'), (1e3, 'k')):
    if tokens >= size:
      value = tokens / size
      return f'{value:.0f}{unit}' if value >= 100 else f'{value:.2g}{unit}'
  return f'{tokens:.0f}'
