"""Intervals cover what they say, from 20 clusters to 265; exact tests agree with arithmetic."""

import math

import numpy as np
import pytest

from smt_jax.eval import stats


def clustered(rng, n_clusters, size, accuracy, icc, effect=0.0):
  """Two columns of right and wrong on the same questions: clusters share a level, the second column lacks `effect`."""
  a, b = accuracy * (1 - icc) / icc, (1 - accuracy) * (1 - icc) / icc
  sizes = rng.integers(max(1, size // 2), size + size // 2 + 1, n_clusters)
  groups = np.repeat(np.arange(n_clusters), sizes)
  level = rng.beta(a, b, n_clusters)[groups]
  one = (rng.random(len(groups)) < level).astype(float)
  # The second arm differs on a quarter of the questions; its expected accuracy is lower by `effect`.
  redrawn = rng.random(len(groups)) < 0.25
  two = np.where(redrawn, rng.random(len(groups)) < level - effect / 0.25, one)
  return one, two.astype(float), groups.astype(str)


def coverage(n_clusters, size, accuracy, runs, paired, icc=0.08):
  rng = np.random.default_rng(n_clusters * 1000 + size)
  hits = 0
  for r in range(runs):
    one, two, groups = clustered(rng, n_clusters, size, accuracy, icc, effect=0.02)
    if paired:
      found = stats.mean_interval(one - two, groups, seed=r, bounds=(-1, 1), resamples=600)
      hits += found.low <= 0.02 <= found.high
    else:
      found = stats.mean_interval(one, groups, seed=r, resamples=600)
      hits += found.low <= accuracy <= found.high
  return hits / runs


# 93-97% is the claim; with R runs the estimate itself has a standard error of sqrt(.95 * .05 / R).
@pytest.mark.slow
@pytest.mark.parametrize('paired', [False, True])
@pytest.mark.parametrize('n_clusters,size', [(20, 20), (40, 8), (79, 4), (84, 2), (150, 5), (265, 17)])
def test_coverage_is_nominal(n_clusters, size, paired):
  share = coverage(n_clusters, size, 0.6, 1500, paired)
  assert 0.93 <= share <= 0.97


@pytest.mark.parametrize('n_clusters,size', [(20, 20), (84, 2)])
def test_coverage_is_near_nominal(n_clusters, size):
  error = math.sqrt(0.95 * 0.05 / 300)
  assert 0.93 - 2 * error <= coverage(n_clusters, size, 0.6, 300, False) <= 0.97 + 2 * error


def coverage_over_seeds(n_clusters, size, spread, runs, n_seeds=3):
  """Each training run has a level of its own, `spread` apart, on questions of correlated difficulty."""
  rng = np.random.default_rng(n_clusters)
  groups = np.repeat(np.arange(n_clusters), size)
  hits = 0
  for _ in range(runs):
    level, own = rng.beta(6, 4, n_clusters)[groups], rng.normal(0, spread, n_seeds)
    values = (rng.random((n_seeds, len(groups))) < np.clip(level + own[:, None], 0, 1)).astype(float)
    found = stats.over_seeds(values, groups.astype(str))
    hits += found.low <= 0.6 <= found.high
  return hits / runs


@pytest.mark.slow
@pytest.mark.parametrize('spread', [0.0, 0.01, 0.02, 0.05])
@pytest.mark.parametrize('n_clusters,size', [(20, 20), (40, 8), (150, 5), (265, 17)])
def test_coverage_over_seeds_is_nominal(n_clusters, size, spread):
  error = math.sqrt(0.95 * 0.05 / 1500)
  assert 0.93 <= coverage_over_seeds(n_clusters, size, spread, 1500) <= 0.97 + 2 * error


@pytest.mark.parametrize('spread', [0.0, 0.02, 0.05])
def test_coverage_over_seeds_is_near_nominal(spread):
  error = math.sqrt(0.95 * 0.05 / 400)
  assert 0.93 - error <= coverage_over_seeds(150, 5, spread, 400) <= 0.97 + 2 * error


def test_more_clusters_and_less_correlation_narrow_the_interval():
  rng = np.random.default_rng(1)
  widths = {}
  for n_clusters, icc in ((20, 0.3), (20, 0.01), (265, 0.3)):
    one, _, groups = clustered(rng, n_clusters, 15, 0.6, icc)
    found = stats.mean_interval(one, groups)
    widths[n_clusters, icc] = found.high - found.low
  assert widths[20, 0.3] > widths[20, 0.01] and widths[20, 0.3] > widths[265, 0.3]


def test_one_question_a_cluster_agrees_with_the_binomial():
  values = np.array([1.0] * 120 + [0.0] * 80)
  found = stats.mean_interval(values, [str(i) for i in range(200)])
  low, high = stats.wilson(120, 200)
  assert abs(found.low - low) < 0.01 and abs(found.high - high) < 0.01 and found.estimate == 0.6


def test_order_of_questions_does_not_matter_and_the_seed_does_little():
  rng = np.random.default_rng(2)
  one, _, groups = clustered(rng, 30, 8, 0.5, 0.1)
  order = rng.permutation(len(one))
  assert stats.mean_interval(one, groups) == stats.mean_interval(one[order], groups[order])
  other = stats.mean_interval(one, groups, seed=7)
  assert abs(other.low - stats.mean_interval(one, groups).low) < 0.01


@pytest.mark.parametrize('value', [0.0, 1.0])
def test_all_alike_is_exact_over_clusters(value):
  found = stats.mean_interval(np.full(100, value), [str(i % 20) for i in range(100)])
  edge = 1 - 0.025 ** (1 / 20)  # Clopper-Pearson for 0 of 20
  assert found.estimate == value and found.method.startswith('exact over clusters')
  assert (found.low, found.high) == pytest.approx((0, edge) if value == 0 else (1 - edge, 1))


def test_degenerate_inputs():
  assert math.isnan(stats.mean_interval([], []).estimate)
  one = stats.mean_interval([1.0, 0.0], ['a', 'a'])
  assert one.too_few and one.low < 0.05 and one.high > 0.95
  losses = stats.mean_interval([2.0, 3.0], ['a', 'a'], bounds=(-math.inf, math.inf))
  assert losses.method == 'one cluster: no interval' and losses.to_json()['low'] is None
  same = stats.paired_difference([1, 0, 1], [1, 0, 1], ['a', 'b', 'c'])
  assert same.low == -same.high < -0.5 and same.estimate == 0 and not same.excludes_zero
  assert math.isnan(stats.relative_gain([1, 0], [0, 0], ['a', 'b']).estimate)


@pytest.mark.parametrize('n', [2, 3, 5])
def test_a_few_documents_give_a_wide_interval_and_no_significance(n):
  groups = [f'd{i % n}' for i in range(8 * n)]
  alike = np.array([float(i // n < 2) for i in range(8 * n)])  # a quarter right in every document
  found = stats.mean_interval(alike, groups)
  assert found.estimate == 0.25 and found.too_few and found.low < 0.05 and found.high > 0.6
  for a in (np.ones(8 * n), np.array([float(i % 8 > 1) for i in range(8 * n)])):
    difference = stats.paired_difference(a, alike * 0, groups)
    assert difference.estimate > 0.6 and difference.low < 0 < difference.high and not difference.excludes_zero
    gain = stats.relative_gain(a, alike, groups)
    assert math.isfinite(gain.estimate) and math.isnan(gain.low) and gain.to_json()['high'] is None
  seeds = stats.over_seeds(np.stack([alike] * 3), groups)
  assert seeds.too_few and seeds.low < 0.05 and seeds.high > 0.6


def test_documents_all_alike_are_no_certainty():
  groups = [f'd{i // 4}' for i in range(80)]
  quarter = np.array([float(i % 4 == 0) for i in range(80)])
  found = stats.mean_interval(quarter, groups)
  assert (found.low, found.high) == pytest.approx(stats.clopper_pearson(5, 20)) and not found.too_few
  assert stats.over_seeds(np.stack([quarter] * 2), groups).low == found.low
  zero = stats.paired_difference(quarter, quarter, groups)
  assert zero.high == pytest.approx(1 - 0.0125 ** (1 / 20)) and zero.low == -zero.high
  better = stats.paired_difference(quarter * 0 + 1, quarter * 0, groups)
  assert better.excludes_zero and better.high == 1
  assert math.isnan(stats.relative_gain(quarter * 2, quarter, groups).low)


def test_a_difference_on_few_documents_of_many_is_not_significant():
  """As McNemar's exact test has it: five questions won and none lost give p = 0.06, six on six documents 0.03."""
  groups = [str(i) for i in range(265)]
  for won, significant in ((5, False), (12, True)):
    a = np.array([float(i < won) for i in range(265)])
    found = stats.paired_difference(a, a * 0, groups)
    assert found.excludes_zero is significant and (stats.mcnemar(a, a * 0)['p'] < 0.05) is significant
    assert found.low < won / 265 < found.high


@pytest.mark.parametrize('n_clusters,size,accuracy', [(3, 10, 0.6), (6, 10, 0.9), (20, 20, 0.98), (46, 1, 0.05)])
def test_rare_successes_and_few_documents_are_covered(n_clusters, size, accuracy):
  rng = np.random.default_rng(5)
  hits = 0
  for r in range(150):
    level = np.repeat(rng.beta(accuracy * 10, (1 - accuracy) * 10, n_clusters), size)
    values = (rng.random(len(level)) < level).astype(float)
    found = stats.mean_interval(values, np.repeat(np.arange(n_clusters), size).astype(str), seed=r, resamples=600)
    hits += found.low <= accuracy <= found.high
  assert hits / 150 >= 0.9


def test_no_warning_and_no_absurd_bound():
  """Right answers on a handful of many documents: the smaller arm may be never right in a resample."""
  import warnings
  rng = np.random.default_rng(6)
  groups = [str(i) for i in range(46)]
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    for k in range(1, 12):
      a, b = (rng.permutation(np.arange(46) < n).astype(float) for n in (k + 3, k))
      for found in (stats.paired_difference(a, b, groups), stats.relative_gain(a, b, groups)):
        assert math.isnan(found.high) or -1 <= found.low <= found.estimate <= found.high < 50


def test_runs_that_all_gave_the_same():
  found = stats.over_runs([0.5, 0.5, 0.5], bounds=(0, 1))
  assert found.low < 0.2 and found.high > 0.8
  assert not stats.over_runs([0.5, 0.5], bounds=(-1, 1)).excludes_zero
  assert math.isnan(stats.over_runs([0.5, 0.5]).low) and stats.over_runs([0.2, 0.9], bounds=(0, 1)).high == 1


def test_exact_intervals():
  assert stats.clopper_pearson(0, 10) == pytest.approx((0, 1 - 0.025 ** 0.1))
  low, high = stats.wilson(5, 10)
  assert low + high == pytest.approx(1) and low == pytest.approx(0.2366, abs=1e-4)
  assert stats.beta_interval(0, 0) == pytest.approx((0.025, 0.975))
  narrow, wide = stats.wilson(75, 150), stats.clopper_pearson(75, 150)
  assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_mcnemar_is_the_binomial_on_discordant_pairs():
  a = [1] * 8 + [0] * 2 + [1] * 50
  b = [0] * 8 + [1] * 2 + [1] * 50
  found = stats.mcnemar(a, b)
  assert (found['only_a'], found['only_b']) == (8, 2)
  assert found['p'] == pytest.approx(2 * sum(math.comb(10, k) for k in range(3)) / 2**10)
  assert stats.mcnemar([1, 1], [1, 1])['p'] == 1 and stats.mcnemar([0.5, 1], [1, 1]) is None


def coverage_of_gain(n_clusters, size, runs):
  rng = np.random.default_rng(n_clusters)
  hits = 0
  for r in range(runs):
    one, two, groups = clustered(rng, n_clusters, size, 0.6, 0.08, effect=0.05)
    found = stats.relative_gain(one, two, groups, seed=r, resamples=600)
    hits += found.low <= 0.6 / 0.55 - 1 <= found.high
  return hits / runs


def test_relative_gain_covers():
  error = math.sqrt(0.95 * 0.05 / 300)
  assert 0.93 - 2 * error <= coverage_of_gain(60, 8, 300) <= 0.97 + 2 * error


@pytest.mark.slow
@pytest.mark.parametrize('n_clusters,size', [(20, 20), (79, 4), (84, 2), (265, 17)])
def test_coverage_of_the_relative_gain_is_nominal(n_clusters, size):
  assert 0.93 <= coverage_of_gain(n_clusters, size, 1500) <= 0.97


def test_mean_of_independent_benchmarks():
  pair = [stats.Interval(0.1, 0.06, 0.14, ''), stats.Interval(0.3, 0.27, 0.33, '')]
  found = stats.mean_of_independent(pair)
  assert (found.estimate, found.low, found.high) == pytest.approx((0.2, 0.175, 0.225))
