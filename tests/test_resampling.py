"""Sign flips and bootstraps: against scipy, against exact enumeration, and in their corners."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tuneproof.resampling import (
    bca_interval,
    cluster_difference_interval,
    cluster_interval,
    design_effect,
    intraclass_correlation,
    ratio_interval,
    sign_flip_p,
)
from tuneproof.statistics import tango, wilson

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True, database=None)

graded = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=2, max_size=40)


def normal_differences(n: int, seed: int, mean: float = 0.2) -> list[float]:
    return np.random.default_rng(seed).normal(mean, 1, n).tolist()


def names(n: int, size: int) -> list[str]:
    return [f"group-{i // size}" for i in range(n)]


def by_hand(sums: list[float]) -> float:
    patterns = [
        math.fsum(s * x for s, x in zip(signs, sums, strict=True))
        for signs in itertools.product((1, -1), repeat=len(sums))
    ]
    return sum(total >= math.fsum(sums) - 1e-9 for total in patterns) / len(patterns)


# Sign flips


@PROPERTY
@given(st.lists(st.sampled_from([-1.0, -0.7, -0.1, 0.0, 0.1, 0.2, 0.3, 1.0]), min_size=1, max_size=9))
def test_a_sign_flip_p_is_the_share_of_all_patterns_that_reach_what_was_seen(differences):
    assert sign_flip_p(differences) == pytest.approx(by_hand(differences), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_an_exact_sign_flip_p_is_scipys_permutation_test_of_signs(seed):
    differences = normal_differences(12, seed)
    theirs = stats.permutation_test(
        (np.asarray(differences),),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert sign_flip_p(differences) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_a_drawn_sign_flip_p_lies_within_its_noise_of_scipys():
    differences = normal_differences(80, 7)
    ours = sign_flip_p(differences, seed=3)
    theirs = stats.permutation_test(
        (np.asarray(differences),),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=50_000,
        vectorized=True,
        rng=np.random.default_rng(1),
    ).pvalue
    # Five standard errors of both: for fixed seeds it cannot flicker.
    assert abs(ours - theirs) < 5 * math.sqrt(theirs * (1 - theirs) * (1 / 20_000 + 1 / 50_000))


def test_a_sign_flip_p_of_right_and_wrong_is_the_exact_binomial_test_without_any_draw():
    compared = 0
    for wins in range(0, 60, 3):
        for losses in range(0, 60, 4):
            differences = [1] * wins + [-1] * losses + [0] * 30
            expected = float(stats.binom.sf(wins - 1, wins + losses, 0.5))
            assert sign_flip_p(differences, draws=1) == pytest.approx(expected, rel=1e-9)
            compared += 1
    assert compared == 300


def test_exact_whole_sums_of_many_clusters_agree_with_drawn_ones():
    sums = np.random.default_rng(5).integers(-2, 4, 60)
    exact = sign_flip_p(sums.tolist())
    drawn = sign_flip_p((sums * 0.1).tolist(), draws=100_000)
    assert 0 < exact < 0.2
    assert abs(exact - drawn) < 5 * math.sqrt(exact / 100_000)


def test_a_drawn_p_is_never_0():
    assert sign_flip_p([0.5 + i / 1000 for i in range(60)], draws=999) == 1 / 1000


def test_without_any_difference_every_pattern_reaches_what_was_seen():
    assert sign_flip_p([0.0] * 20) == 1.0
    assert sign_flip_p([1, -1, 0, 0], ["a", "a", "b", "b"]) == 1.0


def test_clusters_flip_whole():
    differences = [1.0] * 12
    assert sign_flip_p(differences) == 1 / 2**12
    assert sign_flip_p(differences, names(12, 4)) == 1 / 2**3


def test_sums_that_are_equal_but_for_rounding_tie():
    assert sign_flip_p([0.1, 0.2, -0.3]) == pytest.approx(by_hand([0.1, 0.2, -0.3]))
    # The same difference 40 times, small and large: every pattern with 20 pluses ties with what was seen.
    for scale in (1e-9, 0.1, 1e9):
        drawn = sign_flip_p([0.1 * scale] * 20 + [-0.1 * scale] * 20, draws=50_000)
        assert drawn == pytest.approx(stats.binom.sf(19, 40, 0.5), abs=0.012)


@PROPERTY
@given(graded, st.randoms(use_true_random=False))
def test_the_order_of_the_items_changes_nothing(differences, chance):
    clusters = [f"c{i % 5}" for i in range(len(differences))]
    pairs = list(zip(differences, clusters, strict=True))
    chance.shuffle(pairs)
    shuffled, their_clusters = [p[0] for p in pairs], [p[1] for p in pairs]
    assert sign_flip_p(shuffled, their_clusters, draws=200) == sign_flip_p(differences, clusters, draws=200)
    assert sign_flip_p(shuffled, draws=200) == sign_flip_p(differences, draws=200)
    assert bca_interval(shuffled, their_clusters, draws=200) == bca_interval(differences, clusters, draws=200)


@PROPERTY
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_a_p_and_its_mirror_add_up_to_1_or_more_by_the_ties(differences):
    there, back = sign_flip_p(differences), sign_flip_p([-value for value in differences])
    assert 0 < there <= 1 and 0 < back <= 1
    assert there + back >= 1


# Intervals of a mean


@pytest.mark.parametrize("n", [20, 60, 200])
def test_a_bca_interval_is_scipys_within_the_noise_of_the_draws(n):
    values = np.random.default_rng(n).exponential(1, n) - 0.8  # skewed, so that the correction matters
    draws = 160_000  # an end then has a noise of about 0.01 standard errors, each of theirs and ours
    ours = bca_interval(values.tolist(), draws=draws)
    result = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=draws, batch=10_000, rng=np.random.default_rng(1)
    )
    theirs, error = result.confidence_interval, result.standard_error
    assert abs(ours.low - theirs.low) < 0.07 * error and abs(ours.high - theirs.high) < 0.07 * error
    plain = np.quantile(result.bootstrap_distribution, 0.975)
    assert ours.high - plain > 0.07 * error  # an interval without the correction would be seen


def test_wins_losses_and_ties_are_drawn_at_once_with_the_same_result_as_one_by_one():
    values = [1.0] * 30 + [-1.0] * 12 + [0.0] * 120
    quick = bca_interval(values, draws=40_000)
    # A shift too small to matter makes every item a kind of its own, which is drawn the other way.
    slow = bca_interval([v + i * 1e-9 for i, v in enumerate(values)], draws=40_000)
    # Means of 162 whole numbers lie 1/162 apart, so an end may fall on the next one.
    assert quick.low == pytest.approx(slow.low, abs=1.01 / 162)
    assert quick.high == pytest.approx(slow.high, abs=1.01 / 162)


def test_clusters_of_one_item_are_items():
    values = normal_differences(50, 1)
    assert bca_interval(values, [str(i) for i in range(50)]) == bca_interval(values)


def test_copies_of_every_item_add_no_evidence_when_they_share_a_cluster():
    values = normal_differences(40, 2)
    fivefold = [value for value in values for _ in range(5)]
    alone, copied = bca_interval(values), bca_interval(fivefold, names(200, 5))
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=1e-9)
    assert bca_interval(fivefold).high - bca_interval(fivefold).low < 0.6 * (alone.high - alone.low)


@PROPERTY
@given(graded)
def test_a_bca_interval_lies_within_the_values_and_is_repeated_exactly(values):
    found = bca_interval(values, draws=300)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found == bca_interval(values, draws=300)


def test_another_seed_gives_another_interval_of_nearly_the_same_ends():
    values = normal_differences(60, 4)
    one, other = bca_interval(values, seed=1), bca_interval(values, seed=2)
    assert one != other
    assert one.low == pytest.approx(other.low, abs=0.03)


def test_a_shift_and_a_scale_move_the_interval_along():
    values = normal_differences(60, 4)
    plain, moved = bca_interval(values), bca_interval([3 + 2 * value for value in values])
    assert (moved.low, moved.high) == pytest.approx((3 + 2 * plain.low, 3 + 2 * plain.high), abs=1e-9)


def test_values_that_are_all_alike_give_their_one_point():
    found = bca_interval([0.1] * 30)
    assert found.low == found.high == pytest.approx(0.1)
    assert bca_interval([0.0] * 30).high == 0.0


def test_two_clusters_and_one_outlier_still_have_ordered_ends():
    found = bca_interval([0.0, 1.0])
    assert 0 <= found.low <= found.high <= 1
    found = bca_interval([0.0] * 49 + [1000.0], confidence=0.999)
    assert 0 <= found.low <= 20 <= found.high


# Intervals of shares over clusters


def test_a_cluster_interval_is_wider_than_wilsons_where_clusters_are_alike_inside():
    right = [cluster % 5 != 0 for cluster in range(40) for _ in range(5)]
    found, independent = cluster_interval(right, names(200, 5)), wilson(sum(right), 200)
    assert found.low < independent.low and independent.high < found.high
    # 40 clusters of identical items are 40 items.
    forty = wilson(32, 40)
    assert (found.low, found.high) == pytest.approx((forty.low, forty.high), abs=0.04)


def test_a_perfect_score_in_clusters_is_worth_one_item_a_cluster():
    assert cluster_interval([True] * 100, names(100, 5)) == wilson(20, 20)
    assert cluster_interval([False] * 100, names(100, 5)) == wilson(0, 20)
    assert cluster_interval([True, False] * 50, names(100, 2)) == wilson(50, 100)


def test_arms_that_never_differ_can_still_hide_what_one_item_a_cluster_hides():
    same = [True, False] * 50
    assert cluster_difference_interval(same, same, names(100, 5)) == tango(0, 0, 20)
    better = cluster_difference_interval([True] * 100, [False] * 100, names(100, 5))
    assert better == tango(20, 0, 20)
    worse = cluster_difference_interval([False] * 100, [True] * 100, names(100, 5))
    assert worse == tango(0, 20, 20)
    half = cluster_difference_interval([True] * 100, same, names(100, 2))
    assert half == tango(50, 0, 100)


def test_a_cluster_difference_is_the_bca_interval_of_the_differences():
    generator = np.random.default_rng(3)
    a, b = (generator.random(120) < 0.8).tolist(), (generator.random(120) < 0.6).tolist()
    differences = [int(x) - int(y) for x, y in zip(a, b, strict=True)]
    clusters = names(120, 3)
    assert cluster_difference_interval(a, b, clusters) == bca_interval(differences, clusters)
    assert cluster_interval(a, clusters) == bca_interval([float(x) for x in a], clusters)


def test_clusters_of_unequal_size_count_by_their_items():
    # One large cluster wrong, nine small ones right: the share is 9 of 29 items, not 9 of 10 clusters.
    right = [False] * 20 + [True] * 9
    found = cluster_interval(right, ["large"] * 20 + [f"s{i}" for i in range(9)])
    assert found.low < 9 / 29 < found.high


def test_clusters_of_unequal_size_are_scipys_bootstrap_of_total_over_items():
    generator = np.random.default_rng(2)
    sizes = generator.integers(1, 9, 40)
    sums = generator.normal(0.3, 0.2, 40) * sizes
    values = [total / size for total, size in zip(sums, sizes, strict=True) for _ in range(size)]
    clusters = [str(i) for i, size in enumerate(sizes) for _ in range(size)]
    theirs = stats.bootstrap(
        (sums, sizes),
        lambda x, y, axis: x.sum(axis=axis) / y.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="BCa",
        n_resamples=40_000,
        rng=np.random.default_rng(1),
    )
    ours, interval, error = bca_interval(values, clusters), theirs.confidence_interval, theirs.standard_error
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), abs=0.15 * error)


# How much clusters matter


def anova_by_hand(groups: list[list[float]]) -> float:
    n, k = sum(map(len, groups)), len(groups)
    grand = sum(map(sum, groups)) / n
    between = sum(len(g) * (np.mean(g) - grand) ** 2 for g in groups) / (k - 1)
    within = sum(((np.asarray(g) - np.mean(g)) ** 2).sum() for g in groups) / (n - k)
    size = (n - sum(len(g) ** 2 for g in groups) / n) / (k - 1)
    assert between / within == pytest.approx(stats.f_oneway(*groups).statistic)
    return (between - within) / (between + (size - 1) * within)


def test_an_intraclass_correlation_follows_the_anova_table_with_unequal_sizes():
    groups = [[9.0, 2.0, 5.0, 8.0], [6.0, 1.0, 3.0], [8.0, 4.0, 6.0, 8.0, 7.0], [7.0, 1.0], [10.0, 5.0, 6.0]]
    values = [value for group in groups for value in group]
    clusters = [str(i) for i, group in enumerate(groups) for _ in group]
    assert intraclass_correlation(values, clusters) == pytest.approx(anova_by_hand(groups), abs=1e-12)


def test_an_intraclass_correlation_has_the_published_value_of_shrout_and_fleiss():
    # Shrout & Fleiss (1979), Psychological Bulletin 86:420–428: four judges, six targets, ICC(1,1) = .17.
    targets = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    found = intraclass_correlation([float(v) for t in targets for v in t], names(24, 4))
    assert found is not None and round(found, 2) == 0.17


def test_identical_items_correlate_with_1_and_a_balanced_cluster_with_less_than_0():
    assert intraclass_correlation([1.0] * 5 + [0.0] * 5, names(10, 5)) == 1.0
    assert intraclass_correlation([1.0, 0.0] * 5, names(10, 2)) == -1.0


@pytest.mark.parametrize(
    ("values", "clusters"),
    [([1.0, 0.0], ["a", "a"]), ([1.0, 0.0], ["a", "b"]), ([0.1] * 6, names(6, 2))],
)
def test_what_cannot_be_told_about_clusters_is_none(values, clusters):
    assert intraclass_correlation(values, clusters) is None


def test_a_design_effect_is_the_ratio_of_inspects_two_standard_errors():
    generator = np.random.default_rng(8)
    values = np.repeat(generator.random(30), 4) + generator.random(120) * 0.3
    clusters = np.repeat(np.arange(30), 4)
    residual = values - values.mean()
    blocks = sum(np.outer(residual[clusters == c], residual[clusters == c]).sum() for c in range(30))
    clustered = math.sqrt(blocks * 30 / 29) / 120
    independent = values.std(ddof=1) / math.sqrt(120)
    found = design_effect(values.tolist(), [str(c) for c in clusters])
    assert found == pytest.approx((clustered / independent) ** 2, rel=1e-12)
    assert found == pytest.approx(1 + 3 * intraclass_correlation(values.tolist(), names(120, 4)), rel=0.03)


def test_a_design_effect_of_single_items_is_1_and_of_copies_their_number():
    values = normal_differences(50, 3)
    assert design_effect(values, [str(i) for i in range(50)]) == pytest.approx(1.0, abs=1e-12)
    copies = design_effect([v for v in values for _ in range(5)], names(250, 5))
    assert copies == pytest.approx(5.0, rel=0.02)
    assert design_effect([0.1] * 6, names(6, 2)) is None
    assert design_effect([0.0, 1.0], ["a", "a"]) is None


# Ratios


def test_a_ratio_of_means_is_scipys_paired_bootstrap():
    generator = np.random.default_rng(6)
    b = generator.lognormal(5, 0.5, 80)
    a = b * generator.lognormal(-1, 0.1, 80)
    ours = ratio_interval(a.tolist(), b.tolist(), of="mean")
    theirs = stats.bootstrap(
        (a, b),
        lambda x, y, axis: x.mean(axis=axis) / y.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.005)


def test_a_ratio_of_medians_is_the_nearest_rank_one_and_pairs_stay_together():
    b = [float(i) for i in range(1, 61)]
    twice = [2 * value for value in b]
    assert ratio_interval(twice, b) == ratio_interval(twice, b, seed=9)
    found = ratio_interval(twice, b)
    assert found.low == found.high == 2.0  # unpaired, two medians of 60 would differ by far more
    # Of two values the nearest-rank median is the lower one, so 100 is that of a quarter of the samples.
    assert ratio_interval([1.0, 100.0], [1.0, 1.0], confidence=0.2).high == 1.0
    assert ratio_interval([1.0, 100.0], [1.0, 1.0], confidence=0.8).high == 100.0


def test_the_order_of_the_pairs_changes_no_ratio():
    generator = np.random.default_rng(6)
    pairs = generator.lognormal(0, 1, (50, 2))
    forwards = ratio_interval(pairs[:, 0].tolist(), pairs[:, 1].tolist())
    assert ratio_interval(pairs[::-1, 0].tolist(), pairs[::-1, 1].tolist()) == forwards


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sign_flip_p([]), "at least one value"),
        (lambda: sign_flip_p([math.nan]), "must be a number"),
        (lambda: sign_flip_p([1.0, 2.0], ["a"]), "2 values cannot have 1 cluster"),
        (lambda: bca_interval([0.5]), "at least two"),
        (lambda: bca_interval([0.5, 0.7], ["a", "a"]), "at least two"),
        (lambda: bca_interval([0.5, 0.7], confidence=95), "confidence must lie between 0 and 1; it is 95"),
        (lambda: cluster_interval([True, False], ["a", "a"]), "at least two"),
        (lambda: cluster_interval([True, True], ["a", "b"], confidence=1), "confidence"),
        (lambda: cluster_difference_interval([True], [True, False], ["a", "b"]), "1 and 2 outcomes"),
        (lambda: cluster_difference_interval([True, False], [True, True], ["a", "a"]), "at least two"),
        (lambda: intraclass_correlation([], []), "at least one value"),
        (lambda: design_effect([1.0], ["a", "b"]), "1 values cannot have 2"),
        (lambda: ratio_interval([1.0], [1.0]), "two pairs"),
        (lambda: ratio_interval([1.0, 2.0], [1.0, 0.0]), "above 0 below the line"),
        (lambda: ratio_interval([1.0, -2.0], [1.0, 1.0]), "from 0 upwards"),
        (lambda: ratio_interval([1.0, math.inf], [1.0, 1.0]), "from 0 upwards"),
        (lambda: ratio_interval([1.0, 2.0], [1.0, 1.0], confidence=0), "confidence"),
    ],
)
def test_a_value_that_cannot_be_resampled_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_importing_either_module_loads_neither_numpy_nor_scipy():
    code = (
        "import sys, tuneproof.resampling, tuneproof.planning; "
        "print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
