from __future__ import annotations

import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.special import xlogy
from scipy.stats import binom, binomtest, norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from tuneproof.statistics import (
    cost_per_1000,
    gate,
    mid_p_mcnemar,
    minimum_detectable_gain,
    p95,
    percentile,
    percentile_interval,
    power,
    tango,
    wilson,
)

# Derandomised: a property either holds on these cases or it does not, on every machine.
PROPERTY = settings(max_examples=150, deadline=None, derandomize=True, database=None)


@st.composite
def paired_counts(draw: st.DrawFn, smallest_n: int = 1) -> tuple[int, int, int]:
    n = draw(st.integers(smallest_n, 500))
    wins = draw(st.integers(0, n))
    return wins, draw(st.integers(0, n - wins)), n


@st.composite
def single_counts(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 1000))
    return draw(st.integers(0, n)), n


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(45, 50, 0.786, 0.957), (90, 100, 0.826, 0.945), (180, 200, 0.851, 0.934), (50, 50, 0.929, 1.0)],
)
def test_a_wilson_interval_has_the_reference_values(correct, n, low, high):
    interval = wilson(correct, n)
    assert (round(interval.low, 3), round(interval.high, 3)) == (low, high)


def test_a_wilson_interval_agrees_with_scipy_and_statsmodels_for_every_count():
    compared = 0
    for n in (1, 2, 7, 50, 120):
        for correct in range(n + 1):
            for confidence in (0.90, 0.95, 0.99):
                ours = wilson(correct, n, confidence=confidence)
                scipys = binomtest(correct, n).proportion_ci(confidence, method="wilson")
                theirs = proportion_confint(correct, n, alpha=1 - confidence, method="wilson")
                assert (ours.low, ours.high) == pytest.approx(tuple(scipys), abs=1e-12)
                assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=1e-12)
                compared += 1
    assert compared == 3 * (2 + 3 + 8 + 51 + 121)


@PROPERTY
@given(single_counts(), st.floats(0.5, 0.999))
def test_a_wilson_interval_stays_within_0_and_1_and_holds_the_rate(counts, confidence):
    correct, n = counts
    interval = wilson(correct, n, confidence=confidence)
    assert 0 <= interval.low <= correct / n <= interval.high <= 1
    assert interval.low < interval.high


@PROPERTY
@given(single_counts())
def test_a_wilson_interval_is_wider_at_higher_confidence(counts):
    narrow, wide = wilson(*counts, confidence=0.90), wilson(*counts, confidence=0.95)
    assert wide.low <= narrow.low and narrow.high <= wide.high
    assert wide.high - wide.low > narrow.high - narrow.low


def test_a_perfect_score_reaches_exactly_1_and_a_zero_score_exactly_0():
    assert wilson(50, 50).high == 1.0
    assert wilson(0, 50).low == 0.0


@pytest.mark.parametrize("n", [50, 100, 200])
@pytest.mark.parametrize("rate", [0.8, 0.9, 0.95])
def test_a_wilson_interval_covers_the_true_rate_between_93_and_97_5_percent(n, rate):
    # Enumerated, not simulated: no false alarm is possible. All nine cells of the spec hold. Elsewhere
    # the exact coverage of any interval for a binomial dips: see the next test.
    assert 0.93 <= wilson_coverage(n, rate) <= 0.975


def test_a_wilson_interval_is_known_to_dip_close_to_certainty():
    # Pins what is true, so that nobody quotes "93 %" for arms that are nearly always right.
    assert wilson_coverage(50, 0.998) < 0.93


def wilson_coverage(n: int, rate: float) -> float:
    chances = binom.pmf(np.arange(n + 1), n, rate)
    assert len(chances) == n + 1 and math.isclose(chances.sum(), 1)
    intervals = [wilson(correct, n) for correct in range(n + 1)]
    return sum(
        p for p, interval in zip(chances, intervals, strict=True) if interval.low <= rate <= interval.high
    )


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1 / 2),
        (1, 0, 1 / 4),
        (4, 0, 1 / 32),
        (5, 0, 1 / 64),
        (0, 5, 63 / 64),
        (3, 3, 1 / 2),
        (7, 1, 5 / 256),
    ],
)
def test_a_mid_p_counts_half_of_the_observed_outcome(wins, losses, p):
    assert mid_p_mcnemar(wins, losses) == p


def test_a_mid_p_is_the_exact_one_sided_p_less_half_of_the_observed_outcome():
    compared = 0
    for losses in range(25):
        for wins in range(losses + 1, 60):
            exact_one_sided = mcnemar([[0, wins], [losses, 0]], exact=True).pvalue / 2
            expected = exact_one_sided - binom.pmf(wins, wins + losses, 0.5) / 2
            assert mid_p_mcnemar(wins, losses) == pytest.approx(expected, rel=1e-9)
            compared += 1
    assert compared == sum(59 - losses for losses in range(25))


def test_a_gate_without_losses_needs_five_wins():
    assert mid_p_mcnemar(4, 0) > 0.025 >= mid_p_mcnemar(5, 0)


@PROPERTY
@given(paired_counts())
def test_a_mid_p_of_both_directions_adds_up_to_1(counts):
    wins, losses, _ = counts
    assert mid_p_mcnemar(wins, losses) + mid_p_mcnemar(losses, wins) == pytest.approx(1, abs=1e-15)


@PROPERTY
@given(paired_counts())
def test_a_further_win_lowers_the_mid_p_and_a_further_loss_raises_it(counts):
    wins, losses, _ = counts
    p = mid_p_mcnemar(wins, losses)
    assert mid_p_mcnemar(wins + 1, losses) < p < mid_p_mcnemar(wins, losses + 1) or p in (0.0, 1.0)


def test_a_mid_p_of_thousands_of_flips_is_still_a_probability():
    assert mid_p_mcnemar(3000, 3000) == 0.5
    assert 0 < mid_p_mcnemar(1100, 900) < 1e-5


def test_a_tango_interval_has_the_value_of_the_reference_example():
    interval = tango(40, 20, 160)
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.031, 0.218)


def test_a_tango_interval_has_the_published_value_of_the_airway_study():
    # Bentur et al. 2009, as analysed by Fagerland, Lydersen & Laake, Statistics in Medicine 33 (2014):
    # 1 against 7 of 21 children, score interval −0.517 to −0.026.
    interval = tango(1, 7, 21)
    assert (round(interval.low, 3), round(interval.high, 3)) == (-0.517, -0.026)


@pytest.mark.parametrize(("n", "low"), [(50, -0.051), (100, -0.026), (200, -0.013)])
def test_identical_arms_could_still_hide_a_loss_that_shrinks_with_n(n, low):
    interval = tango(0, 0, n, confidence=0.90)
    assert round(interval.low, 3) == low
    assert interval.low == pytest.approx(-(norm.ppf(0.95) ** 2) / (n + norm.ppf(0.95) ** 2), abs=1e-12)
    assert interval.high == -interval.low


@pytest.mark.parametrize("n", [1, 2, 50, 200])
def test_an_arm_that_wins_every_item_reaches_exactly_1(n):
    z_squared = norm.ppf(0.975) ** 2
    interval = tango(n, 0, n)
    assert interval.high == 1.0
    assert interval.low == pytest.approx((n - z_squared) / (n + z_squared), abs=1e-12)


@pytest.mark.parametrize(
    ("wins", "losses", "n"),
    [
        (40, 20, 160),
        (1, 7, 21),
        (5, 0, 50),
        (0, 5, 50),
        (3, 3, 6),
        (9, 1, 10),
        (1, 0, 1),
        (30, 12, 200),
        (12, 4, 100),
    ],
)
@pytest.mark.parametrize("confidence", [0.90, 0.95])
def test_a_tango_interval_inverts_a_score_test_with_numerically_fitted_likelihood(
    wins, losses, n, confidence
):
    # statsmodels 0.15 has no paired-difference score interval: invert the test from its definition.
    z, estimate = norm.ppf((1 + confidence) / 2), (wins - losses) / n

    def score(difference: float) -> float:
        def minus_log_likelihood(loss_share: float) -> float:
            shares = (loss_share + difference, loss_share, 1 - 2 * loss_share - difference)
            counts = (wins, losses, n - wins - losses)
            return -sum(xlogy(count, max(share, 0.0)) for count, share in zip(counts, shares, strict=True))

        room = (max(0.0, -difference), (1 - difference) / 2)
        loss_share = minimize_scalar(
            minus_log_likelihood, bounds=room, method="bounded", options={"xatol": 1e-12}
        ).x
        return (wins - losses - n * difference) / math.sqrt(
            n * (2 * loss_share + difference * (1 - difference))
        )

    interval = tango(wins, losses, n, confidence=confidence)
    edge = 1 - 1e-9
    low = brentq(lambda d: score(d) - z, -edge, min(estimate, edge), xtol=1e-10)
    high = brentq(lambda d: score(d) + z, max(estimate, -edge), edge, xtol=1e-10) if estimate < 1 else 1.0
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)


@PROPERTY
@given(paired_counts(), st.sampled_from([0.80, 0.90, 0.95, 0.99]))
def test_a_tango_interval_stays_within_1_and_holds_the_difference(counts, confidence):
    wins, losses, n = counts
    interval = tango(wins, losses, n, confidence=confidence)
    assert -1 <= interval.low <= (wins - losses) / n <= interval.high <= 1
    assert interval.low < interval.high


@PROPERTY
@given(paired_counts())
def test_swapping_the_arms_mirrors_the_tango_interval(counts):
    wins, losses, n = counts
    ours, mirrored = tango(wins, losses, n), tango(losses, wins, n)
    assert (ours.low, ours.high) == (-mirrored.high, -mirrored.low)


@PROPERTY
@given(paired_counts())
def test_turning_an_agreed_item_into_a_win_raises_both_tango_bounds(counts):
    wins, losses, n = counts
    before, after = tango(wins, losses, n + 1), tango(wins + 1, losses, n + 1)
    assert after.low > before.low
    assert after.high > before.high or after.high == before.high == 1


@PROPERTY
@given(paired_counts())
def test_a_tango_interval_is_wider_at_higher_confidence(counts):
    narrow, wide = tango(*counts, confidence=0.90), tango(*counts, confidence=0.95)
    assert wide.low <= narrow.low and narrow.high <= wide.high
    assert wide.high - wide.low > narrow.high - narrow.low


@PROPERTY
@given(paired_counts())
def test_a_tango_interval_excludes_zero_exactly_when_the_plain_mcnemar_test_rejects(counts):
    wins, losses, n = counts
    interval = tango(wins, losses, n)
    rejects = (
        wins + losses > 0 and mcnemar([[0, wins], [losses, 0]], exact=False, correction=False).pvalue < 0.05
    )
    assert (interval.low > 0 or interval.high < 0) == rejects


@pytest.mark.parametrize(("n", "wins", "losses"), [(50, 0.05, 0.05), (100, 0.20, 0.05), (60, 0.02, 0.10)])
def test_a_tango_interval_covers_the_true_difference_between_93_and_98_percent(n, wins, losses):
    # Enumerated exactly; conservative where few items flip, hence 98 and not 97.5.
    covered = sum(
        chance
        for w, lost, chance in trinomial(n, wins, losses)
        if tango(w, lost, n).low <= wins - losses <= tango(w, lost, n).high
    )
    assert 0.93 <= covered <= 0.98


def trinomial(n: int, wins: float, losses: float) -> list[tuple[int, int, float]]:
    """Wins, losses and chance of every outcome that matters, from the definition."""
    agreed = 1 - wins - losses
    cells = [
        (
            w,
            lost,
            math.comb(n, w) * math.comb(n - w, lost) * wins**w * losses**lost * agreed ** (n - w - lost),
        )
        for w in range(n + 1)
        for lost in range(n - w + 1)
    ]
    assert len(cells) == (n + 1) * (n + 2) // 2
    assert math.isclose(sum(chance for _, _, chance in cells), 1)
    return [cell for cell in cells if cell[2] > 1e-9]


@pytest.mark.parametrize(
    ("wins", "losses", "n", "outcome"),
    [
        (20, 4, 100, "PASS"),
        (5, 0, 50, "PASS"),
        (4, 0, 50, "INCONCLUSIVE"),  # the interval lies above 0, the mid-p is 0.031
        (12, 8, 100, "INCONCLUSIVE"),
        (0, 0, 200, "INCONCLUSIVE"),  # no difference seen is not "shown not better"
        (100, 100, 1000, "INCONCLUSIVE"),
        (4, 20, 100, "FAIL"),
        (0, 5, 50, "FAIL"),
        (0, 50, 50, "FAIL"),
    ],
)
def test_a_gate_says_what_the_counts_show(wins, losses, n, outcome):
    assert gate(wins, losses, n) == outcome


def test_a_gate_passes_only_if_both_the_p_value_and_the_interval_agree():
    assert tango(4, 0, 50).low > 0 and gate(4, 0, 50) == "INCONCLUSIVE"
    assert gate(4, 0, 50, alpha=0.05) == "PASS"
    assert mid_p_mcnemar(5, 0) <= 0.025 and gate(5, 0, 50, confidence=0.99) == "INCONCLUSIVE"


def test_a_passing_p_value_never_meets_an_interval_that_reaches_zero():
    # What lets `power` ignore the interval: at alpha 0.025 and 95 % the p-value is the stricter half.
    passing = 0
    for flips in range(1, 401):
        most = int(binom.ppf(0.025, flips, 0.5))  # with more losses than this none can pass
        for losses in range(most, -1, -1):
            wins = flips - losses
            if mid_p_mcnemar(wins, losses) <= 0.025:
                assert (wins - losses) / math.sqrt(flips) > 1.959964
                passing += 1
                break  # fewer losses only raise the score
    assert passing == 396  # every count of flips from 5 on


@PROPERTY
@given(paired_counts())
def test_a_better_arm_and_its_mirror_never_both_pass(counts):
    wins, losses, n = counts
    outcomes = (gate(wins, losses, n), gate(losses, wins, n))
    assert outcomes.count("PASS") <= 1
    if "PASS" in outcomes:
        assert "FAIL" in outcomes


def simulated_pass_rate(*, n: int, fixes: float, breaks: float, simulations: int = 1000) -> float:
    draws = np.random.default_rng(20260101).multinomial(
        n, [fixes, breaks, 1 - fixes - breaks], size=simulations
    )
    assert len(draws) == simulations
    return sum(gate(int(w), int(lost), n) == "PASS" for w, lost, _ in draws) / simulations


@pytest.mark.parametrize(("n", "flips"), [(50, 0.30), (100, 0.10), (200, 0.20)])
def test_the_same_model_twice_passes_the_gate_in_at_most_3_5_percent_of_runs(n, flips):
    # Seeded, so it cannot flicker. With a new seed, the odds of a false alarm are under 1 in 50 a case.
    exact = power(n, gain=0, breaks=flips / 2)
    assert binom.sf(35, 1000, exact) < 0.02
    assert simulated_pass_rate(n=n, fixes=flips / 2, breaks=flips / 2) <= 0.035


def test_the_chance_of_a_false_pass_stays_below_3_5_percent_however_many_items_flip():
    # Exact. A mid-p test may exceed its level a little: the worst case is 3.2 %, when every item flips.
    rates = [power(n, gain=0, breaks=b / 40) for n in (50, 75, 100, 150, 200) for b in range(21)]
    assert len(rates) == 105
    assert 0.03 < max(rates) <= 0.035
    assert max(power(n, gain=0, breaks=b / 100) for n in (50, 100, 200) for b in range(11)) <= 0.0265


def test_a_planted_gain_of_15_points_is_found_at_n_100_in_at_least_80_percent_of_runs():
    # Exact power 0.876: with a new seed, under 1 in 10 billion to fall below 0.80.
    exact = power(100, gain=0.15, breaks=0.05)
    assert binom.cdf(799, 1000, exact) < 1e-10
    rate = simulated_pass_rate(n=100, fixes=0.20, breaks=0.05)
    assert rate >= 0.80
    assert rate == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize(
    ("n", "found"),
    [(50, (0.33, 0.57, 0.77, 0.96)), (100, (0.62, 0.88, 0.97, 1.0)), (200, (0.90, 0.99, 1.0, 1.0))],
)
def test_power_has_the_reference_values(n, found):
    gains = (0.10, 0.15, 0.20, 0.30)
    assert tuple(round(power(n, gain=gain, breaks=0.05), 2) for gain in gains) == found


@pytest.mark.parametrize(
    ("n", "fixes", "breaks"),
    [(30, 0.3, 0.1), (30, 0.25, 0.0), (40, 0.0, 0.2), (20, 0.6, 0.4), (30, 1.0, 0.0)],
)
def test_power_is_the_chance_that_the_whole_gate_passes(n, fixes, breaks):
    passes = sum(chance for w, lost, chance in trinomial(n, fixes, breaks) if gate(w, lost, n) == "PASS")
    assert power(n, gain=fixes - breaks, breaks=breaks) == pytest.approx(passes, abs=1e-6)


@PROPERTY
@given(st.integers(5, 120), st.floats(0, 0.3), st.floats(0, 0.3), st.sampled_from([0.01, 0.025, 0.05]))
def test_power_grows_with_the_gain_and_with_alpha(n, gain, breaks, alpha):
    less, more = (
        power(n, gain=gain, breaks=breaks, alpha=alpha),
        power(n, gain=gain + 0.1, breaks=breaks, alpha=alpha),
    )
    assert 0 <= less <= more + 1e-12 and more <= 1
    assert less <= power(n, gain=gain, breaks=breaks, alpha=2 * alpha) + 1e-12


@pytest.mark.parametrize(
    ("n", "points"),
    [
        (50, (13.5, 17.0, 21.0, 26.5)),
        (100, (7.0, 10.0, 13.5, 17.0)),
        (200, (3.5, 6.5, 8.5, 11.0)),
        (300, (2.5, 5.0, 6.5, 9.0)),
        (500, (1.5, 3.5, 5.0, 6.5)),
    ],
)
def test_the_smallest_gain_that_is_found_has_the_reference_values(n, points):
    gains = tuple(minimum_detectable_gain(n, breaks=breaks) for breaks in (0, 0.02, 0.05, 0.10))
    assert gains == pytest.approx(tuple(point / 100 for point in points), abs=1e-12)


def test_half_a_point_less_than_the_smallest_gain_is_not_found():
    gain = minimum_detectable_gain(120, breaks=0.03, power=0.9, alpha=0.05)
    assert power(120, gain=gain, breaks=0.03, alpha=0.05) >= 0.9
    assert power(120, gain=gain - 0.005, breaks=0.03, alpha=0.05) < 0.9


def test_the_smallest_gain_at_n_200_takes_under_half_a_second():
    seconds = []
    for _ in range(3):
        start = time.process_time()
        minimum_detectable_gain(200)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.5


def test_a_gain_that_no_test_of_this_size_finds_is_refused():
    with pytest.raises(ValueError, match="4 items find no gain"):
        minimum_detectable_gain(4)


def test_a_percentile_is_the_nearest_rank():
    values = [30, 10, 50, 20, 40]
    assert [percentile(values, share=share) for share in (0.01, 0.2, 0.21, 0.5, 0.8, 0.81, 1.0)] == [
        10, 10, 20, 30, 40, 50, 50,
    ]  # fmt: skip


def test_the_rank_of_a_whole_percent_is_never_moved_by_rounding():
    compared = 0
    for n in (1, 2, 59, 100, 200):
        values = np.random.default_rng(n).permutation(n).astype(float).tolist()
        for percent in range(1, 101):
            # The rank in integers; in floats 7 % of 100 would be rank 8.
            assert percentile(values, share=percent / 100) == sorted(values)[-(-percent * n // 100) - 1]
            compared += 1
        assert percentile(values, share=0.5) == np.percentile(values, 50, method="inverted_cdf")
    assert compared == 500


@pytest.mark.parametrize(
    ("n", "ranks"), [(200, (184, 197)), (100, (90, 100)), (72, (64, 72)), (71, None), (50, None)]
)
def test_a_p95_interval_has_the_reference_ranks(n, ranks):
    interval = percentile_interval(list(range(n, 0, -1)), share=0.95)
    assert (interval and (interval.low, interval.high)) == ranks


@PROPERTY
@given(st.integers(1, 400), st.floats(0.02, 0.98), st.sampled_from([0.80, 0.90, 0.95, 0.99]))
def test_a_percentile_interval_is_the_tightest_whose_ends_both_keep_their_promise(n, share, confidence):
    interval, tail = (
        percentile_interval(list(range(1, n + 1)), share=share, confidence=confidence),
        (1 - confidence) / 2,
    )
    if interval is None:
        assert binom.pmf(0, n, share) > tail * (1 - 1e-9) or binom.pmf(n, n, share) > tail * (1 - 1e-9)
        return
    low, high = int(interval.low), int(interval.high)
    assert binom.cdf(low - 1, n, share) <= tail * (1 + 1e-9) and binom.cdf(low, n, share) > tail * (1 - 1e-9)
    assert binom.sf(high - 1, n, share) <= tail * (1 + 1e-9) and binom.sf(high - 2, n, share) > tail * (
        1 - 1e-9
    )
    assert low <= percentile(list(range(1, n + 1)), share=share) <= high


def test_a_p95_is_given_from_59_values_on():
    assert 1 - 0.95**58 < 0.95 <= 1 - 0.95**59
    assert p95([]) is None
    assert p95(list(range(1, 59))) is None
    assert p95(list(range(1, 60))) == 57
    assert p95(list(range(1, 101))) == 95


def test_a_thousand_calls_cost_their_seconds_at_the_hourly_price():
    assert cost_per_1000(3.6, usd_per_hour=2.0) == 2.0
    assert cost_per_1000(0.5, usd_per_hour=0.0) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(0, 0), "at least one item; n is 0"),
        (lambda: wilson(6, 5), "6 right of 5"),
        (lambda: wilson(-1, 5), "-1 right of 5"),
        (lambda: wilson(1, 5, confidence=95), "confidence must lie between 0 and 1; it is 95"),
        (lambda: mid_p_mcnemar(-1, 3), "-1 wins"),
        (lambda: tango(3, 3, 5), "3 wins and 3 losses of 5"),
        (lambda: tango(0, 0, 0), "at least one item"),
        (lambda: tango(1, 0, 5, confidence=1.0), "confidence"),
        (lambda: gate(3, -1, 5), "-1 losses"),
        (lambda: percentile([], share=0.5), "at least one value"),
        (lambda: percentile([1.0, math.nan], share=0.5), "must be a number"),
        (lambda: percentile([1.0], share=95), "share must be above 0 and at most 1; it is 95"),
        (lambda: percentile_interval([1.0], share=1.0), "share must lie between"),
        (lambda: percentile_interval([1.0], share=0.5, confidence=0), "confidence"),
        (lambda: power(50, gain=0.95, breaks=0.05), "does not fit"),
        (lambda: power(0, gain=0.1, breaks=0.05), "n=0"),
        (lambda: minimum_detectable_gain(50, breaks=0.6), "breaks=0.6"),
        (lambda: cost_per_1000(-1, usd_per_hour=1), "mean_seconds"),
        (lambda: cost_per_1000(1, usd_per_hour=math.nan), "usd_per_hour"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_importing_the_module_loads_neither_numpy_nor_scipy():
    code = "import sys, tuneproof.statistics; print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
