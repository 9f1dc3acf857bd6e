"""Exact intervals of shares: what stands in where a bootstrap cannot see, and what is quoted beside it.

Resampling a handful of documents, or documents that all gave the same, shows no variation and so no uncertainty. The
functions `*_over_clusters` assume the least favourable case instead: that a document's questions are all answered
alike, so that N questions on G documents say as much as G questions. Sources: Clopper and Pearson (1934); Korn and
Graubard (1998) for effective, fractional counts; Bowyer et al. (arXiv 2503.01747) for small n.
"""

from typing import Any

import numpy as np
from scipy import stats as scipy_stats


def clopper_pearson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
  """The exact (conservative) interval of a share; counts may be fractional (effective) ones."""
  if n <= 0:
    return 0.0, 1.0
  tail = (1 - level) / 2
  low = scipy_stats.beta.ppf(tail, successes, n - successes + 1) if successes > 0 else 0.0
  high = scipy_stats.beta.ppf(1 - tail, successes + 1, n - successes) if successes < n else 1.0
  return float(low), float(high)


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
  """Wilson's score interval of a share."""
  if n == 0:
    return 0.0, 1.0
  interval = scipy_stats.binomtest(successes, n).proportion_ci(level, method='wilson')
  return float(interval.low), float(interval.high)


def beta_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
  """Equal-tailed Bayesian interval of a share under a uniform prior (arXiv 2503.01747)."""
  tail = (1 - level) / 2
  low, high = scipy_stats.beta(1 + successes, 1 + n - successes).ppf([tail, 1 - tail])
  return float(low), float(high)


def effective_clusters(counts_G: np.ndarray) -> float:
  """Kish's effective number of clusters: their number where all are of one size, less where some are larger."""
  return float(counts_G.sum() ** 2 / np.square(counts_G).sum())


def share_over_clusters(values: np.ndarray, counts_G: np.ndarray, level: float = 0.95) -> tuple[float, float]:
  """The interval of a mean of values in 0..1 ([N]), as if each cluster were one question."""
  n = effective_clusters(counts_G)
  return clopper_pearson(float(values.mean()) * n, n, level)


def difference_over_clusters(values: np.ndarray, counts_G: np.ndarray, level: float = 0.95) -> tuple[float, float]:
  """The interval of a mean of differences in -1..1 ([N]): the share won less the share lost.

  Each share has an exact interval over clusters at half the error (Bonferroni), so the two hold together. Fewer than
  six clusters never leave out zero, as in an exact sign test.
  """
  n = effective_clusters(counts_G)
  won, lost = float(np.maximum(values, 0).mean()), float(np.maximum(-values, 0).mean())
  (won_low, won_high), (lost_low, lost_high) = (clopper_pearson(share * n, n, (1 + level) / 2) for share in (won, lost))
  return won_low - lost_high, won_high - lost_low


def mcnemar(a: Any, b: Any) -> dict[str, Any] | None:
  """Exact McNemar test of two columns of 0 and 1: discordant counts and two-sided p; None for other values."""
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
    return None
  only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
  n = only_a + only_b
  p = float(scipy_stats.binomtest(only_a, n, 0.5).pvalue) if n else 1.0
  return {'only_a': only_a, 'only_b': only_b, 'p': p}
