"""The statistics on data whose truth is known: how often they err, and how often they find what is there.

Simulations are seeded, so none can flicker; beside each stands the odds of a false alarm with a new seed.
What can be summed exactly is summed, not simulated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import special
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom, norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from tuneproof.resampling import (
    bca_interval,
    cluster_difference_interval,
    cluster_interval,
    design_effect,
    intraclass_correlation,
    sign_flip_p,
)
from tuneproof.statistics import gate, mid_p_mcnemar, power, tango, wilson

ALPHA = 0.025
RUNS = 1000


def clustered_pairs(
    clusters: int, size: int, *, correlation: float, fixes: float, breaks: float, seed: int
) -> Iterator[tuple[list[int], list[str]]]:
    """Differences of two arms: with the chance `correlation` an item repeats its cluster's common outcome.

    Two items of a cluster then correlate with correlation²; every item wins with the chance `fixes`.
    """
    generator = np.random.default_rng(seed)
    outcomes, chances = [1, -1, 0], [fixes, breaks, 1 - fixes - breaks]
    names = [f"c{i // size}" for i in range(clusters * size)]
    for _ in range(RUNS):
        common = np.repeat(generator.choice(outcomes, clusters, p=chances), size)
        own = generator.choice(outcomes, clusters * size, p=chances)
        repeats = generator.random(clusters * size) < correlation
        yield np.where(repeats, common, own).tolist(), names


def clustered_answers(
    clusters: int, size: int, *, correlation: float, rate: float, runs: int, seed: int
) -> Iterator[tuple[list[bool], list[str]]]:
    """Beta-binomial: every cluster has a rate of its own; two of its items correlate with `correlation`."""
    generator = np.random.default_rng(seed)
    spread = (1 - correlation) / correlation
    names = [f"c{i // size}" for i in range(clusters * size)]
    for _ in range(runs):
        rates = generator.beta(rate * spread, (1 - rate) * spread, clusters)
        yield (generator.random(clusters * size) < np.repeat(rates, size)).tolist(), names


# The same model twice (AA)


@pytest.mark.parametrize(("n", "flips"), [(50, 0.30), (100, 0.10), (100, 0.20), (200, 0.20)])
def test_the_same_model_twice_passes_the_gate_in_at_most_2_5_percent_and_1(n, flips):
    exact = power(n, gain=0, breaks=flips / 2)
    assert exact <= 0.0265
    draws = np.random.default_rng(20261124).multinomial(n, [flips / 2, flips / 2, 1 - flips], size=RUNS)
    passed = sum(gate(int(w), int(lost), n) == "PASS" for w, lost, _ in draws)
    assert passed / RUNS <= 0.035
    assert binom.sf(35, RUNS, exact) < 0.05  # a false alarm with a new seed


@pytest.mark.parametrize(("clusters", "size"), [(20, 5), (40, 5), (50, 2)])
def test_the_same_model_twice_passes_the_cluster_test_in_at_most_2_5_percent_and_1(clusters, size):
    runs = list(clustered_pairs(clusters, size, correlation=0.7, fixes=0.1, breaks=0.1, seed=7))
    assert len(runs) == RUNS
    passed = sum(sign_flip_p(d, names) <= ALPHA for d, names in runs)
    # The test is exact, so its true rate is at most 2.5 %: a false alarm has a chance below 1 in 40.
    assert passed / RUNS <= 0.035
    assert binom.sf(35, RUNS, ALPHA) < 0.025


@pytest.mark.parametrize("n", [15, 60])
def test_the_same_model_twice_on_a_graded_metric_passes_in_at_most_2_5_percent_and_1(n):
    generator = np.random.default_rng(11)
    passed = sum(
        sign_flip_p((generator.beta(4, 1, n) - generator.beta(4, 1, n)).tolist(), draws=1000) <= ALPHA
        for _ in range(RUNS)
    )
    assert 0.01 <= passed / RUNS <= 0.035


def test_items_of_a_cluster_counted_as_independent_pass_far_too_often_and_the_cluster_test_does_not():
    # Correlation ½ inside clusters of five: the variance is threefold, and n is worth a third.
    runs = list(clustered_pairs(40, 5, correlation=math.sqrt(0.5), fixes=0.15, breaks=0.15, seed=3))
    by_items = sum(gate(d.count(1), d.count(-1), len(d)) == "PASS" for d, _ in runs) / RUNS
    by_clusters = sum(sign_flip_p(d, names) <= ALPHA for d, names in runs) / RUNS
    expected = norm.sf(norm.isf(ALPHA) / math.sqrt(3))
    assert by_items == pytest.approx(expected, abs=0.04)  # about 13 %, five times the level
    assert by_items > 0.08
    assert by_clusters <= 0.035
    effects = [design_effect(d, names) for d, names in runs]
    alike = [intraclass_correlation(d, names) for d, names in runs]
    assert np.mean(effects) == pytest.approx(3.0, abs=0.1)
    assert np.mean(alike) == pytest.approx(0.5, abs=0.03)


# A planted gain


def test_15_planted_points_at_n_100_are_found_in_at_least_80_percent():
    exact = power(100, gain=0.15, breaks=0.05)
    assert round(exact, 2) == 0.88
    draws = np.random.default_rng(20261124).multinomial(100, [0.20, 0.05, 0.75], size=RUNS)
    found = sum(gate(int(w), int(lost), 100) == "PASS" for w, lost, _ in draws) / RUNS
    assert found >= 0.80 and found == pytest.approx(exact, abs=0.05)
    assert binom.cdf(799, RUNS, exact) < 1e-10


def test_the_same_gain_is_found_less_often_where_items_of_a_cluster_are_alike():
    # The sign flips count all ties, mid-p half of them: 78 % where the gate without clusters finds 88 %.
    found = {}
    for correlation in (0.0, math.sqrt(0.5)):
        runs = clustered_pairs(20, 5, correlation=correlation, fixes=0.20, breaks=0.05, seed=5)
        found[correlation] = sum(sign_flip_p(d, names) <= ALPHA for d, names in runs) / RUNS
    assert 0.74 < found[0.0] < 0.82
    assert 0.2 < found[math.sqrt(0.5)] < 0.6


# Coverage


@pytest.mark.parametrize("n", [50, 100, 200])
@pytest.mark.parametrize("rate", [0.8, 0.9, 0.95])
def test_wilson_covers_between_93_and_97_5_percent_exactly(n, rate):
    chances = binom.pmf(np.arange(n + 1), n, rate)
    intervals = [wilson(correct, n) for correct in range(n + 1)]
    covered = sum(c for c, i in zip(chances, intervals, strict=True) if i.low <= rate <= i.high)
    assert 0.93 <= covered <= 0.975


def tango_coverage(n: int, fixes: float, breaks: float, confidence: float = 0.95) -> float:
    wins, losses = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    fits = wins + losses <= n
    w, lost = wins[fits], losses[fits]
    log = special.gammaln(n + 1) - special.gammaln(w + 1) - special.gammaln(lost + 1)
    log -= special.gammaln(n - w - lost + 1)
    log += special.xlogy(w, fixes) + special.xlogy(lost, breaks)
    chance = np.exp(log + special.xlogy(n - w - lost, 1 - fixes - breaks))
    assert chance.sum() == pytest.approx(1)
    difference, covered = fixes - breaks, 0.0
    for a, b, c in zip(w.tolist(), lost.tolist(), chance.tolist(), strict=True):
        if c > 1e-9:
            interval = tango(a, b, n, confidence=confidence)
            covered += c * (interval.low <= difference <= interval.high)
    return covered


@pytest.mark.parametrize("n", [50, 100])
@pytest.mark.parametrize(("fixes", "breaks"), [(0.05, 0.05), (0.10, 0.05), (0.20, 0.05), (0.10, 0.10)])
def test_tango_covers_between_93_and_98_percent_exactly(n, fixes, breaks):
    assert 0.93 <= tango_coverage(n, fixes, breaks) <= 0.98


def test_tango_is_known_to_be_cautious_where_few_items_flip():
    # At 1 % each way two arms of 50 items mostly agree on all of them: too wide, never too narrow.
    assert tango_coverage(50, 0.01, 0.01) > 0.985


def coverage(intervals: Iterator[tuple[float, float]], truth: float) -> float:
    hits = [low <= truth <= high for low, high in intervals]
    assert len(hits) >= 400
    return sum(hits) / len(hits)


@pytest.mark.parametrize(("n", "lowest"), [(50, 0.92), (100, 0.93), (200, 0.93)])
def test_bca_covers_the_mean_of_a_graded_difference(n, lowest):
    # Beta(4, 1) less Beta(3, 1), mean 0.05. Coverage in 4,000 other runs: 93.2, 94.5 and 94.8 %, so at n = 50
    # it is at the edge of the spec. A false alarm with a new seed: under 1 in 40 there, under 1 in 300 else.
    generator = np.random.default_rng(n)

    def intervals() -> Iterator[tuple[float, float]]:
        for _ in range(2000):
            values = generator.beta(4, 1, n) - generator.beta(3, 1, n)
            found = bca_interval(values.tolist(), draws=1000)
            yield found.low, found.high

    assert lowest <= coverage(intervals(), 0.05) <= 0.975


@pytest.mark.parametrize(("clusters", "rate", "lowest"), [(40, 0.8, 0.93), (40, 0.9, 0.93), (20, 0.8, 0.92)])
def test_a_bootstrap_over_20_clusters_or_more_covers_a_rate(clusters, rate, lowest):
    runs = clustered_answers(clusters, 5, correlation=0.5, rate=rate, runs=500, seed=clusters)
    found = (cluster_interval(right, names, seed=seed) for seed, (right, names) in enumerate(runs))
    assert lowest <= coverage(((i.low, i.high) for i in found), rate) <= 0.98


def test_a_bootstrap_over_10_clusters_is_known_to_cover_less_than_it_says():
    # Pins what is true: below 20 clusters the interval is too narrow, and the sign flips decide. Near 0.90.
    # A seed a run, since ten clusters have so few different samples that one seed errs alike on many.
    runs = clustered_answers(10, 5, correlation=0.5, rate=0.83, runs=1500, seed=1)
    found = (cluster_interval(right, names, seed=seed) for seed, (right, names) in enumerate(runs))
    assert 0.87 <= coverage(((i.low, i.high) for i in found), 0.83) < 0.93


def test_wilson_without_clusters_covers_far_too_little_where_items_of_a_cluster_are_alike():
    runs = clustered_answers(40, 5, correlation=0.5, rate=0.8, runs=1000, seed=2)
    found = (wilson(sum(right), len(right)) for right, _ in runs)
    assert coverage(((i.low, i.high) for i in found), 0.8) < 0.80


def test_a_bootstrap_over_clusters_covers_a_paired_difference():
    runs = clustered_pairs(40, 5, correlation=math.sqrt(0.5), fixes=0.20, breaks=0.05, seed=9)

    def intervals() -> Iterator[tuple[float, float]]:
        for (differences, names), _ in zip(runs, range(500), strict=False):
            a, b = [d == 1 for d in differences], [d == -1 for d in differences]
            found = cluster_difference_interval(a, b, names)
            yield found.low, found.high

    assert 0.925 <= coverage(intervals(), 0.15) <= 0.975


# Reference values


def test_mid_p_is_that_of_statsmodels_exact_test_less_half_of_what_was_seen():
    compared = 0
    for losses in range(0, 20, 3):
        for wins in range(losses + 1, 50, 4):
            exact = mcnemar([[0, wins], [losses, 0]], exact=True).pvalue / 2
            ours = mid_p_mcnemar(wins, losses)
            assert ours == pytest.approx(exact - binom.pmf(wins, wins + losses, 0.5) / 2, abs=1e-9)
            compared += 1
    assert compared > 60


def test_wilson_is_that_of_statsmodels():
    compared = 0
    for n in (50, 100, 200):
        for correct in range(0, n + 1, 7):
            theirs = proportion_confint(correct, n, alpha=0.05, method="wilson")
            ours = wilson(correct, n)
            assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=1e-9)
            compared += 1
    assert compared == 8 + 15 + 29


def score_by_likelihood(difference: float, wins: int, losses: int, n: int) -> float:
    """Tango's score at a difference, with P(loss) from maximising the likelihood, not from his quadratic."""

    def minus_log_likelihood(loss_share: float) -> float:
        shares = loss_share + difference, loss_share, 1 - 2 * loss_share - difference
        return -sum(
            float(special.xlogy(count, max(share, 1e-300)))
            for count, share in zip((wins, losses, n - wins - losses), shares, strict=True)
        )

    low, high = max(0.0, -difference), (1 - difference) / 2
    found = minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    )
    variance = n * (2 * found.x + difference * (1 - difference))
    return (wins - losses - n * difference) / math.sqrt(variance)


@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(40, 20, 160), (12, 5, 100), (30, 30, 200), (1, 7, 21), (9, 2, 50)]
)
def test_tango_is_where_the_score_of_the_likelihood_itself_crosses_the_normal_quantile(wins, losses, n):
    z, middle = norm.ppf(0.975), (wins - losses) / n
    low = brentq(lambda d: score_by_likelihood(d, wins, losses, n) - z, -0.95, middle, xtol=1e-12)
    high = brentq(lambda d: score_by_likelihood(d, wins, losses, n) + z, middle, 0.95, xtol=1e-12)
    ours = tango(wins, losses, n)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1e-6)


def test_tango_has_the_values_of_the_reference_text():
    found = tango(40, 20, 160)
    assert (round(found.low, 3), round(found.high, 3)) == (0.031, 0.218)
