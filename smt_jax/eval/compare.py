"""Paired comparison of two arms: the same questions, the same clusters, one interval for the difference."""

import dataclasses
from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from data_gen.errors import UserError
from smt_jax.eval import stats
from smt_jax.eval.runs import Run
from smt_jax.eval.stats import Interval


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Arm a against arm b on the questions that both were asked.

  Attributes:
    runs: pairs of evaluations (one a seed).
    design: 'one run', 'seeds' (same questions, several trained seeds) or 'worlds' (own questions for every pair).
    difference: of strict accuracy, a - b; `gain` the same relative to b.
    questions_only: with several worlds, the interval as if these worlds were the only ones.
    parts: differences on the hard and easy questions, by lenient accuracy, on the documents that retrieval is not tuned
      on ('kept back'), and on the questions that no training record shares wording with ('without overlap').
    mcnemar: exact test, for one pair of runs with one reply a question.
    left_out: questions that only one of the two could be asked.
    notes: how the prompts of the two differ beside what they are compared in.
  """
  a: str
  b: str
  benchmark: str
  design: str
  n_runs: int
  n_questions: int
  n_groups: int
  accuracy_a: float
  accuracy_b: float
  difference: Interval
  gain: Interval
  questions_only: Interval | None
  parts: dict[str, Interval]
  mcnemar: dict[str, Any] | None
  left_out: int
  notes: tuple[str, ...] = ()

  @property
  def significant(self) -> bool:
    """Whether the 95% interval of the difference leaves out zero."""
    return self.difference.excludes_zero

  def verdict(self) -> str:
    """The finding in a few words."""
    if np.isnan(self.difference.low):
      return 'one run of each: no interval'
    if self.difference.too_few:
      return f'too few documents ({self.n_groups}) to tell'
    if not self.significant:
      return 'no significant difference'
    return f'{self.a if self.difference.estimate > 0 else self.b} is significantly better'

  def to_json(self) -> dict[str, Any]:
    row = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    row = {k: v.to_json() if isinstance(v, Interval) else v for k, v in row.items()}
    row['parts'] = {k: v.to_json() for k, v in self.parts.items()}
    return row | {'significant': self.significant, 'verdict': self.verdict()}


def shared_questions(a: Run, b: Run) -> tuple[list[str], int]:
  """Ids that both runs asked, in order, and how many only one of them asked.

  Raises:
    UserError: the runs are over different questions. Questions that one run lists as excluded (their document is not
      there for retrieval, say) are no difference.
  """
  where = f'{a.folder} and {b.folder}'
  if a.benchmark != b.benchmark:
    raise UserError(f'{where}: benchmarks {a.benchmark} and {b.benchmark} cannot be compared in pairs')
  known_a, known_b = ({row['id']: row for row in run.items} for run in (a, b))
  for i in [*known_a, *known_b]:
    if i not in known_a or i not in known_b:
      raise UserError(f'{where}: different questions; "{i}" is in one of them only ({len(known_a)} and {len(known_b)})')
    for key in ('question', 'options', 'answer', 'group'):
      if known_a[i].get(key) != known_b[i].get(key):
        raise UserError(f'{where}: different questions; "{i}" has another {key}')
  ids = [i for i in known_a if i in a.asked and i in b.asked]
  if not ids:
    raise UserError(f'{where}: no question was asked in both')
  return ids, len(known_a) - len(ids)


def compare(a: Sequence[Run], b: Sequence[Run], seed: int = 0, overlap: Set[str] = frozenset()) -> Comparison:
  """Compares two arms, each given by one or several runs.

  Several runs are paired by their questions, and where those are the same, by their training seed; one run against
  several is paired with each of them. `overlap`: ids of questions that training records share wording with.

  Raises:
    UserError: different questions, runs that cannot be paired, runs of one side that are not of one arm.
  """
  for side in (a, b):
    _check_one_arm(side)
  pairs = _pairs(a, b)
  shared = [shared_questions(x, y) for x, y in pairs]
  same = all(ids == shared[0][0] for ids, _ in shared) and all(
      _questions(x, shared[0][0]) == _questions(pairs[0][0], shared[0][0]) for x, _ in pairs)
  found = _same_questions(pairs, *shared[0], seed, overlap) if same else _worlds(pairs, shared, seed, overlap)
  return dataclasses.replace(found, notes=_prompt_notes(a[0], b[0]))


# What makes an arm, beside its seed, its model and the names of its files.
_ARM = ('benchmark', 'arm', 'mode', 'scoring', 'samples', 'permutations', 'temperature', 'top_p', 'max_new_tokens',
        'rag', 'few_shot', 'distractors', 'plain', 'limit')
# What the prompt is made of beside the context that a mode gives it.
_PROMPT = ('scoring', 'permutations', 'few_shot', 'distractors', 'plain', 'rag')


def _choices(run: Run, names: Sequence[str]) -> dict[str, Any]:
  """Settings of a run by name, those of retrieval as 'rag.top_k' and so on."""
  said = run.results.get('config') or {}
  said = said | {name: run.results[name] for name in ('benchmark', 'arm', 'mode', 'scoring')}
  rows = {name: said.get(name) for name in names}
  rag = rows.pop('rag', None) or {}
  return rows | {f'rag.{name}': value for name, value in rag.items()}


def _check_one_arm(runs: Sequence[Run]) -> None:
  first = _choices(runs[0], _ARM)
  for run in runs[1:]:
    other = _choices(run, _ARM)
    for name in first | other:
      if first.get(name) != other.get(name):
        raise UserError(f'{runs[0].folder} and {run.folder}: {name}={first.get(name)!r} and {other.get(name)!r}, but '
                        'the results of one side may differ in seed, model and questions alone; expected one arm')


def _prompt_notes(a: Run, b: Run) -> tuple[str, ...]:
  x, y = _choices(a, _PROMPT), _choices(b, _PROMPT)
  return tuple(f'prompts differ in {name}: {x[name]!r} and {y[name]!r}'
               for name in x if name in y and x[name] != y[name])


def _questions(run: Run, ids: Sequence[str]) -> list[tuple[Any, Any]]:
  return [(run.asked[i]['question'], run.asked[i]['options']) for i in ids]


def _pairs(a: Sequence[Run], b: Sequence[Run]) -> list[tuple[Run, Run]]:
  if len(a) == 1 or len(b) == 1:
    return [(x, y) for x in a for y in b]
  by_key = {_key(run): run for run in b}
  pairs = [(run, by_key[_key(run)]) for run in a if _key(run) in by_key]
  if len(pairs) != len(a) or len(pairs) != len(b) or len(by_key) != len(b):
    raise UserError(f'{a[0].arm} ({len(a)} runs) and {b[0].arm} ({len(b)} runs): expected the same seeds and questions '
                    'on both sides, each once')
  return pairs


def _key(run: Run) -> tuple[Any, ...]:
  # Excluded questions may differ between modes, so the ids of all questions tell a world, not the results' hash.
  return (run.results.get('seed'), *(hash((row['id'], row['question'])) for row in run.items))


def _same_questions(pairs: Sequence[tuple[Run, Run]], ids: list[str], left_out: int, seed: int,
                    overlap: Set[str]) -> Comparison:
  groups = [pairs[0][0].asked[i]['group'] for i in ids]

  def interval(name: str, kept: Sequence[int]) -> Interval:
    some = [ids[k] for k in kept]
    matrix = np.stack([x.scores(some, name) - y.scores(some, name) for x, y in pairs])
    within = [groups[k] for k in kept]
    if len(pairs) == 1:
      return stats.mean_interval(matrix[0], within, seed=seed, bounds=(-1, 1))
    return stats.over_seeds(matrix, within, bounds=(-1, 1))

  everything = range(len(ids))
  mean_a = np.mean([x.scores(ids) for x, _ in pairs], 0)
  mean_b = np.mean([y.scores(ids) for _, y in pairs], 0)
  hard = [pairs[0][0].asked[i].get('hard') for i in ids]
  parts = {name: interval('score', [k for k in everything if hard[k] is value])
           for name, value in (('hard', True), ('easy', False)) if any(h is value for h in hard)}
  if all('lenient_score' in run.asked[i] for pair in pairs for run in pair for i in ids):
    parts['lenient'] = interval('lenient_score', everything)
  kept = {'kept back': [k for k in everything if pairs[0][0].asked[ids[k]].get('kept_back')],
          'without overlap': [k for k in everything if ids[k] not in overlap]}
  parts |= {name: interval('score', some) for name, some in kept.items() if 0 < len(some) < len(ids)}
  one = len(pairs) == 1
  return Comparison(
      pairs[0][0].arm, pairs[0][1].arm, pairs[0][0].benchmark, 'one run' if one else 'seeds', len(pairs), len(ids),
      len(set(groups)), float(mean_a.mean()), float(mean_b.mean()), interval('score', everything),
      stats.relative_gain(mean_a, mean_b, groups, seed=seed), None, parts,
      stats.mcnemar(mean_a, mean_b) if one else None, left_out)


def _worlds(pairs: Sequence[tuple[Run, Run]], shared: Sequence[tuple[list[str], int]], seed: int,
            overlap: Set[str]) -> Comparison:
  """Every pair has questions of its own: the pair is the unit that was drawn."""
  values, groups, means = [], [], []
  for number, ((x, y), (ids, _)) in enumerate(zip(pairs, shared, strict=True)):
    values.append((x.scores(ids), y.scores(ids)))
    groups += [f'{number}/{x.asked[i]["group"]}' for i in ids]
    means.append((values[-1][0].mean(), values[-1][1].mean()))
  all_a, all_b = (np.concatenate([v[k] for v in values]) for k in (0, 1))
  difference = stats.over_runs([p - q for p, q in means], bounds=(-1, 1))
  defined = [p / q - 1 for p, q in means if q > 0]
  gain = stats.over_runs(defined) if len(defined) == len(means) else Interval(
      float('nan'), float('nan'), float('nan'), 'undefined: the second arm is never right')
  parts = {}
  subsets = {'hard': lambda row: row.get('hard') is True, 'easy': lambda row: row.get('hard') is False}
  if overlap & {i for ids, _ in shared for i in ids}:
    subsets['without overlap'] = lambda row: row['id'] not in overlap
  for name, keep in subsets.items():
    rows = [[i for i in ids if keep(x.asked[i])] for (x, _), (ids, _) in zip(pairs, shared, strict=True)]
    if all(rows):
      parts[name] = stats.over_runs([float((x.scores(ids) - y.scores(ids)).mean())
                                     for (x, y), ids in zip(pairs, rows, strict=True)], bounds=(-1, 1))
  return Comparison(
      pairs[0][0].arm, pairs[0][1].arm, pairs[0][0].benchmark, 'worlds', len(pairs), len(all_a), len(set(groups)),
      float(np.mean([p for p, _ in means])), float(np.mean([q for _, q in means])), difference, gain,
      stats.paired_difference(all_a, all_b, groups, seed=seed), parts, None, sum(n for _, n in shared))


def table(comparisons: Sequence[Comparison]) -> str:
  """Comparisons as aligned lines, in percentage points."""
  rows = [('a', 'b', 'benchmark', 'questions', 'a %', 'b %', 'a - b', '95% interval', 'relative', 'McNemar p', '')]
  for c in comparisons:
    rows.append((c.a, c.b, c.benchmark, f'{c.n_questions}', f'{100 * c.accuracy_a:.1f}', f'{100 * c.accuracy_b:.1f}',
                 points(c.difference.estimate), bracket(c.difference),
                 'n/a' if np.isnan(c.gain.estimate) else f'{points(c.gain.estimate)}% {bracket(c.gain)}',
                 '' if c.mcnemar is None else f'{c.mcnemar["p"]:.3g}', c.verdict()))
  widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
  return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def points(share: float) -> str:
  """A share as signed percentage points."""
  return 'n/a' if np.isnan(share) else f'{100 * share:+.1f}'


def bracket(found: Interval) -> str:
  """An interval in signed percentage points; 'no interval' where there is none."""
  return 'no interval' if np.isnan(found.low) else f'[{points(found.low)}, {points(found.high)}]'
