"""Uncertainty of accuracies: cluster bootstraps, exact intervals where these fail, paired differences, several runs.

Questions about one document are not independent, so documents (articles, patients, filings) are what is resampled.
The statistic is always a ratio of sums over clusters, sum(s_g) / sum(c_g): an accuracy, a mean difference, or, with
the other arm's sum below, a relative gain. Sources: Miller, Adding Error Bars to Evals (arXiv 2411.00640), for paired
and clustered errors; Bowyer et al. (arXiv 2503.01747) for small n; Efron and Tibshirani, chapter 12, for bootstrap-t.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats as scipy_stats

from smt_jax.eval.exact import (
    beta_interval,
    clopper_pearson,
    difference_over_clusters,
    mcnemar,
    share_over_clusters,
    wilson,
)

__all__ = ['Interval', 'beta_interval', 'clopper_pearson', 'mcnemar', 'mean_interval', 'mean_of_independent',
           'over_runs', 'over_seeds', 'paired_difference', 'relative_gain', 'wilson']

FEW_CLUSTERS = 80  # below this the percentile bootstrap is too narrow and bootstrap-t is taken
MIN_CLUSTERS = 6  # an exact sign test over fewer cannot reach 5%, so neither may an interval
MIN_HIT = 4  # an accuracy that fewer clusters make differ from 0 or 1: resampling misses them (simulated: below 90%)
RESAMPLES = 10_000
_AT_ONCE = 1000


@dataclasses.dataclass(frozen=True)
class Interval:
  """An estimate with a two-sided interval, all in the units of the values (shares of 1), and how it was found.

  `too_few`: there are too few clusters to call anything significant, whatever the bounds.
  """
  estimate: float
  low: float
  high: float
  method: str
  too_few: bool = False

  @property
  def excludes_zero(self) -> bool:
    return not self.too_few and (self.low > 0 or self.high < 0)

  def to_json(self) -> dict[str, Any]:
    """As JSON values: None for what is undefined or unbounded."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in dataclasses.asdict(self).items()}


def mean_interval(values: Sequence[float] | np.ndarray, groups: Sequence[str], level: float = 0.95, seed: int = 0,
                  bounds: tuple[float, float] = (0.0, 1.0), resamples: int = RESAMPLES) -> Interval:
  """The mean of values (an accuracy, or a paired difference) with an interval over clusters.

  Args:
    values: [N] per question, within `bounds`.
    groups: [N] cluster of each question.
    bounds: possible range of a value; (-1, 1) for differences, infinite ones for losses.

  Returns:
    Bootstrap-t for fewer than 80 clusters, percentile bootstrap otherwise. Where resampling cannot see the
    uncertainty (fewer than 6 clusters, clusters that all gave the same, an accuracy or a difference that rests on a
    few clusters) the interval of `exact`, which is wide; with fewer than 6 clusters it says `too_few`.
  """
  values = np.asarray(values, np.float64)
  if not len(values):
    return Interval(float('nan'), float('nan'), float('nan'), 'no questions')
  exact = _where_resampling_fails(values, groups, level, bounds)
  if exact is not None:
    return exact
  sums_G, counts_G = cluster_sums(values, groups)
  low, high, method = _bootstrap(sums_G, counts_G, level, seed, resamples)
  return Interval(float(values.mean()), max(low, bounds[0]), min(high, bounds[1]), method)


def _where_resampling_fails(values: np.ndarray, groups: Sequence[str], level: float,
                            bounds: tuple[float, float]) -> Interval | None:
  """The interval without resampling, or None where resampling serves."""
  sums_G, counts_G = cluster_sums(values, groups)
  n, estimate = len(sums_G), float(values.mean())
  few, same = n < MIN_CLUSTERS, bool(np.allclose(sums_G, estimate * counts_G))
  if bounds == (0.0, 1.0):
    hit = min(np.count_nonzero(sums_G > 0), np.count_nonzero(sums_G < counts_G))
    rare, interval = hit < MIN_HIT, share_over_clusters
  elif bounds == (-1.0, 1.0):
    hit = np.count_nonzero(cluster_sums(np.abs(values), groups)[0])
    rare, interval = hit < MIN_CLUSTERS, difference_over_clusters
  elif n == 1:
    return Interval(estimate, *bounds, 'one cluster: no interval', True)
  elif few:
    _, error = ratio_and_error(sums_G, counts_G)
    half = float(scipy_stats.t.ppf((1 + level) / 2, n - 1)) * error
    return Interval(estimate, estimate - half, estimate + half, f't over clusters: only {n}', True)
  else:
    return None
  if not (few or same or rare):
    return None
  said = f'only {n}' if few else 'all alike' if same else f'a few ({hit}) decide'
  return Interval(estimate, *interval(values, counts_G, level), f'exact over clusters: {said}', few)


def cluster_sums(values: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
  """[N] values -> per cluster the sum [G] and the number of questions [G], float64."""
  _, index_N = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
  return np.bincount(index_N, values), np.bincount(index_N).astype(np.float64)


def _bootstrap(sums_G: np.ndarray, counts_G: np.ndarray, level: float, seed: int, resamples: int,
               ) -> tuple[float, float, str]:
  tail = (1 - level) / 2
  if len(sums_G) >= FEW_CLUSTERS:
    ratios, _ = _resampled(sums_G, counts_G, seed, resamples)
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high), 'percentile cluster bootstrap'
  estimate, error = ratio_and_error(sums_G, counts_G)
  ratios, errors = _resampled(sums_G, counts_G, seed, resamples)
  usable = errors > 1e-6 * errors.max()  # below: all clusters of a resample alike, and an error of rounding alone
  t = (ratios[usable] - estimate) / errors[usable]
  t_low, t_high = np.quantile(t, [tail, 1 - tail])
  return float(estimate - t_high * error), float(estimate - t_low * error), 'cluster bootstrap-t'


def ratio_and_error(sums_G: np.ndarray, counts_G: np.ndarray) -> tuple[float, float]:
  """sum(s) / sum(c) and its linearised standard error over clusters."""
  n = len(sums_G)
  ratio = sums_G.sum() / counts_G.sum()
  residuals_G = sums_G - ratio * counts_G
  return float(ratio), float(np.sqrt(n / max(n - 1, 1) * np.square(residuals_G).sum()) / counts_G.sum())


def _resampled(sums_G: np.ndarray, counts_G: np.ndarray, seed: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
  """Ratios [R] and their standard errors [R] under resampling of whole clusters."""
  n = len(sums_G)
  ratios, errors = [], []
  for start in range(0, resamples, _AT_ONCE):  # bounded memory however many clusters
    weights_RG = _weights(n, seed, start, min(_AT_ONCE, resamples - start))
    total_R = weights_RG @ counts_G
    weights_RG, total_R = weights_RG[total_R > 0], total_R[total_R > 0]  # of a gain: samples in which b is never right
    ratio_R = weights_RG @ sums_G / total_R
    square_R = (weights_RG @ np.square(sums_G) - 2 * ratio_R * (weights_RG @ (sums_G * counts_G))
                + np.square(ratio_R) * (weights_RG @ np.square(counts_G)))
    ratios.append(ratio_R)
    errors.append(np.sqrt(n / max(n - 1, 1) * np.maximum(square_R, 0)) / total_R)
  return np.concatenate(ratios), np.concatenate(errors)


@functools.lru_cache(maxsize=12)  # one report asks for the same ones again and again
def _weights(n: int, seed: int, start: int, size: int) -> np.ndarray:
  """How often each of n clusters occurs in resamples `start` and after: float64 [size, n]."""
  rng = np.random.default_rng([seed, start])
  return rng.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)


def paired_difference(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, groups: Sequence[str],
                      level: float = 0.95, seed: int = 0) -> Interval:
  """Mean of a - b over the same questions ([N] each, in one order) with its interval over clusters."""
  difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
  return mean_interval(difference, groups, level, seed, bounds=(-1.0, 1.0))


def relative_gain(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, groups: Sequence[str],
                  level: float = 0.95, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
  """(mean a - mean b) / mean b, the paper's measure, as a ratio of sums over clusters.

  Returns:
    nan where b is never right; no bounds (nan) where b's right answers, or the differences, lie in fewer than 6
    clusters: a ratio whose denominator may vanish has no interval worth quoting.
  """
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  if not len(b) or b.sum() == 0:
    return Interval(float('nan'), float('nan'), float('nan'), 'undefined: the second arm is never right')
  differences_G, _ = cluster_sums(a - b, groups)
  base_G, _ = cluster_sums(b, groups)
  estimate = float(differences_G.sum() / base_G.sum())
  hit = min(np.count_nonzero(base_G), np.count_nonzero(cluster_sums(np.abs(a - b), groups)[0]))
  if hit < MIN_CLUSTERS or np.allclose(differences_G, estimate * base_G):
    return Interval(estimate, float('nan'), float('nan'), f'no interval: rests on {hit} clusters', True)
  low, high, method = _bootstrap(differences_G, base_G, level, seed, resamples)
  return Interval(estimate, max(low, -1.0), high, method)


def mean_of_independent(intervals: Sequence[Interval]) -> Interval:
  """The mean of estimates from independent benchmarks; half-widths add in squares (the mean gain over benchmarks)."""
  n = len(intervals)
  estimate = sum(i.estimate for i in intervals) / n
  below = np.sqrt(sum((i.estimate - i.low) ** 2 for i in intervals)) / n
  above = np.sqrt(sum((i.high - i.estimate) ** 2 for i in intervals)) / n
  return Interval(float(estimate), float(estimate - below), float(estimate + above), 'independent benchmarks')


def over_seeds(values_SN: np.ndarray, groups: Sequence[str], level: float = 0.95,
               bounds: tuple[float, float] = (0.0, 1.0)) -> Interval:
  """The mean over several trained seeds that answered the same questions ([S, N]), with both sources of chance.

  Two half-widths add in squares, each at Student's t for its own degrees of freedom (Graybill and Wang's modified
  large-sample interval): of the questions drawn (clusters, on the mean over seeds) and of the seeds drawn (between the
  seeds' means, less what single answers' noise alone makes of it). One t at pooled degrees covers too little here:
  two or three seeds that lie close by chance would count as many.
  """
  values_SN = np.asarray(values_SN, np.float64)
  n_seeds, n_questions = values_SN.shape
  if n_seeds == 1:
    return mean_interval(values_SN[0], groups, level, bounds=bounds)
  exact = _where_resampling_fails(values_SN.mean(0), groups, level, bounds)
  if exact is not None:
    return exact
  sums_G, counts_G = cluster_sums(values_SN.mean(0), groups)
  estimate, error = ratio_and_error(sums_G, counts_G)
  noise = values_SN.var(0, ddof=1).sum() / n_questions**2 / n_seeds
  between = max(0.0, float(values_SN.mean(1).var(ddof=1)) / n_seeds - float(noise))
  of_clusters, of_seeds = (scipy_stats.t.ppf((1 + level) / 2, n - 1) for n in (max(len(sums_G), 2), n_seeds))
  half = float(np.sqrt(np.square(of_clusters * error) + of_seeds**2 * between))
  return Interval(estimate, max(estimate - half, bounds[0]), min(estimate + half, bounds[1]),
                  f'clusters and {n_seeds} seeds')


def over_runs(estimates: Sequence[float], level: float = 0.95,
              bounds: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
  """The mean of one figure over independent runs (each with its own questions and training), by Student's t.

  Runs that all gave the same count as that many questions (`exact`); without bounds they have no interval.
  """
  values = np.asarray(estimates, np.float64)
  n = len(values)
  mean = float(values.mean())
  if n < 2:
    return Interval(mean, float('nan'), float('nan'), 'one run: no interval', True)
  if np.ptp(values) < 1e-12:
    exact = {(0.0, 1.0): share_over_clusters, (-1.0, 1.0): difference_over_clusters}.get(bounds)
    low, high = exact(values, np.ones(n), level) if exact else (float('nan'), float('nan'))
    return Interval(mean, low, high, f'exact over {n} runs: all alike', exact is None)
  half = float(scipy_stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
  return Interval(mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]), f't over {n} runs')
