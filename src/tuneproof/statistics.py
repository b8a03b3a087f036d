"""Counts and timings → intervals, p-values, the gate's outcome, and what a test of this size can see.

Paired counts have one meaning here: `wins` are the items that the arm has right and its rival wrong,
`losses` the reverse, `n` all items of the test, also those on which both agree.
An interval is two-sided: for a one-sided bound at 95 % ask for `confidence=0.90` and read one end.
A `ValueError` says that the caller passed counts that cannot exist.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist
from typing import TYPE_CHECKING

from tuneproof.artifacts import Interval
from tuneproof.artifacts.verdict import GateOutcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GAIN_STEPS_PER_UNIT = 200
"""The minimum detectable gain is searched in steps of 1/200, half a point."""

SMALLEST_N_FOR_P95 = 59
"""1 − 0.95^n first reaches 0.95 here: below it even the slowest call is no 95 % upper bound of the p95."""


def wilson(correct: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a share of right answers.

    Wilson (1927), JASA 22:209–212. No continuity correction.

    Args:
        correct: items answered right, 0 to `n`.
        n: items, at least 1.
        confidence: two-sided, between 0 and 1.

    Returns:
        Bounds as shares, within 0 to 1.

    Raises:
        ValueError: no items, more right than items, or a confidence outside 0 to 1.
    """
    if n < 1:
        raise ValueError(f"a rate needs at least one item; n is {n}")
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} right of {n} items cannot be")
    z = _two_sided_z(confidence)
    return Interval(low=_wilson_low(correct, n, z), high=1.0 - _wilson_low(n - correct, n, z))


def _wilson_low(correct: int, n: int, z: float) -> float:
    if correct == 0:
        return 0.0  # the formula's own value; in floats it would miss by a rounding
    rate = correct / n
    centre = rate + z * z / (2 * n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n)


def newcombe(k: int, n: int, other_k: int, other_n: int, *, confidence: float = 0.95) -> Interval | None:
    """Interval of k / n − other_k / other_n, two independent shares.

    Newcombe (1998), Stat Med 17:873–890, method 10: hybrid score, without continuity correction.

    Returns:
        Bounds within −1 to 1; None where one of the shares has no items.

    Raises:
        ValueError: counts that cannot be, or a confidence outside 0 to 1.
    """
    if not n or not other_n:
        return None
    p, q = k / n, other_k / other_n
    own = wilson(k, n, confidence=confidence)
    other = wilson(other_k, other_n, confidence=confidence)
    return Interval(
        low=p - q - math.hypot(p - own.low, other.high - q),
        high=p - q + math.hypot(own.high - p, q - other.low),
    )


def mid_p_mcnemar(wins: int, losses: int) -> float:
    """One-sided mid-p of McNemar's test: how surprising `wins` is if both arms were equally good.

    P(X > wins) + ½ P(X = wins), X ~ Bin(wins + losses, ½), in exact integers.
    Fagerland, Lydersen & Laake (2013), BMC Med Res Methodol 13:91. Without any item that
    tells the arms apart, the formula gives ½: no evidence either way.

    Returns:
        A probability; small means that the arm with the wins is better.

    Raises:
        ValueError: a negative count.
    """
    _check_pairs(wins, losses, wins + losses)
    flips = wins + losses
    # X > wins on one side is X < losses on the other, which has fewer terms when it matters.
    fewer_losses, ways = 0, 1  # `ways` is C(flips, k)
    for k in range(losses):
        fewer_losses += ways
        ways = ways * (flips - k) // (k + 1)
    return (2 * fewer_losses + ways) / (1 << (flips + 1))


def tango(wins: int, losses: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Tango's score interval of the paired difference (wins − losses) / n.

    Tango (1998), Statistics in Medicine 17:891–908: the differences that a score test would not reject.

    Args:
        wins: items that the arm has right and its rival wrong.
        losses: the reverse.
        n: all items, at least 1.
        confidence: two-sided, between 0 and 1; 0.90 gives the one-sided 95 % bound of "equal enough".

    Returns:
        Bounds as shares, within −1 to 1; swapping wins and losses mirrors them exactly.

    Raises:
        ValueError: counts that do not fit in `n`, or a confidence outside 0 to 1.
    """
    _check_pairs(wins, losses, n)
    if n < 1:
        raise ValueError(f"a difference needs at least one item; n is {n}")
    z = _two_sided_z(confidence)
    return Interval(low=_tango_low(wins, losses, n, z), high=-_tango_low(losses, wins, n, z))


def _tango_low(wins: int, losses: int, n: int, z: float) -> float:
    """Smallest difference not rejected. The score falls as the difference grows, so halving finds it."""
    rejected, kept = -1.0, (wins - losses) / n
    if not _tango_rejects(rejected, wins, losses, n, z):
        return rejected
    while True:
        middle = (rejected + kept) / 2
        if middle in (rejected, kept):  # no float lies between
            return kept
        if _tango_rejects(middle, wins, losses, n, z):
            rejected = middle
        else:
            kept = middle


def _tango_rejects(difference: float, wins: int, losses: int, n: int, z: float) -> bool:
    """Whether the score test rejects this true difference.

    Compares squares, so a variance of zero (a difference of ±1) needs no case of its own.
    """
    a = 2 * n
    b = -wins - losses + (2 * n - wins + losses) * difference
    c = -losses * difference * (1 - difference)
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    # The restricted estimate of P(loss): the root of the quadratic in the form that does not cancel.
    loss_share = -2 * c / (root + b) if b > 0 else (root - b) / (2 * a)
    variance = n * (2 * loss_share + difference * (1 - difference))
    return (wins - losses - n * difference) ** 2 > z * z * max(0.0, variance)


def gate(wins: int, losses: int, n: int, *, alpha: float = 0.025, confidence: float = 0.95) -> GateOutcome:
    """Say whether the arm was shown better than its rival on the same items.

    PASS: the one-sided mid-p is at most `alpha` and the whole Tango interval lies above 0.
    FAIL: the whole interval lies at or below 0, so a gain is excluded.
    INCONCLUSIVE: everything else. Two arms that agree on every item belong here however many items
    there are: their interval still holds small gains, and the gate knows no gain too small to matter.
    FAIL and INCONCLUSIVE both block publishing; only the second can be cured by more items.

    Raises:
        ValueError: as `tango`.
    """
    interval = tango(wins, losses, n, confidence=confidence)
    if mid_p_mcnemar(wins, losses) <= alpha and interval.low > 0:
        return "PASS"
    return "FAIL" if interval.high <= 0 else "INCONCLUSIVE"


def percentile(values: Sequence[float], *, share: float) -> float:
    """Nearest-rank percentile: the smallest value with at least `share` of all values at or below it.

    Hyndman & Fan (1996), The American Statistician 50:361–365, definition 1. Always a measured value.

    Args:
        values: in any order and unit; the result has the same unit.
        share: above 0 up to 1; 0.5 is the median.

    Raises:
        ValueError: no values, a value that is not a number, or a share outside its range.
    """
    ordered = _ordered(values)
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1; it is {share}")
    # 0.07 × 100 is 7.000000000000001 in floats and must still be rank 7.
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[max(rank, 1) - 1]


def percentile_interval(
    values: Sequence[float], *, share: float, confidence: float = 0.95
) -> Interval | None:
    """Interval of a percentile between two measured values, whatever the distribution.

    David & Nagaraja, Order Statistics (2003), §7.1: the number of values below the true percentile
    is Bin(n, share), and each end errs with a chance of at most (1 − confidence) / 2.

    Args:
        values: independent measurements; the bounds have their unit.
        share: between 0 and 1, both excluded.
        confidence: two-sided, between 0 and 1.

    Returns:
        None where a bound would need a value beyond the smallest or the largest
        (for the p95 at 95 % confidence: below 72 values).

    Raises:
        ValueError: as `percentile`, or a confidence outside 0 to 1.
    """
    ordered = _ordered(values)
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1; it is {share}")
    _check_confidence(confidence)
    n, tail = len(ordered), (1 - confidence) / 2
    at_most = _binomial_cumulative(n, share)
    low_rank = sum(chance <= tail for chance in at_most)
    # Sums from above, so that a chance near 1 is not lost to rounding.
    at_least = _binomial_cumulative(n, 1 - share)[::-1]
    high_rank = next((rank for rank in range(1, n + 1) if at_least[rank] <= tail), None)
    if low_rank < 1 or high_rank is None:
        return None
    return Interval(low=ordered[low_rank - 1], high=ordered[high_rank - 1])


def p95(values: Sequence[float]) -> float | None:
    """Nearest-rank 95th percentile, or None where the values are too few to speak of one.

    With fewer than 59 values no one-sided 95 % upper bound of the p95 exists: all of them lie
    below the true p95 with a chance 0.95^n above 5 %, so a tail could be missing altogether.

    Args:
        values: for example milliseconds a call; the result has the same unit.

    Raises:
        ValueError: a value that is not a number.
    """
    if len(values) < SMALLEST_N_FOR_P95:
        return None
    return percentile(values, share=0.95)


def power(n: int, *, gain: float, breaks: float, alpha: float = 0.025) -> float:
    """Chance that the gate passes, if the tune truly fixes `gain + breaks` of the items and breaks `breaks`.

    Exact, as Duffy (1984), Biometrics 40:1005–1015, for the mid-p form of the test: sums the
    trinomial chances of every (wins, losses) that `mid_p_mcnemar` passes.
    At the default alpha and 95 % confidence such a pair also has its Tango interval above 0
    (checked up to 400 flips), so this is the power of the whole gate.

    Args:
        n: test items.
        gain: true difference as a share; 0 gives the chance of a false pass.
        breaks: share of items that the tune breaks.
        alpha: one-sided level of the gate.

    Raises:
        ValueError: shares that do not fit into one whole.
    """
    _check_plan(n, breaks, alpha)
    if gain + breaks < 0 or gain + 2 * breaks > 1 + 1e-12:
        raise ValueError(f"a gain of {gain} with {breaks} of the items broken does not fit into one whole")
    return _chance_of_passing(n, gain + breaks, breaks, alpha)


def minimum_detectable_gain(
    n: int, *, breaks: float = 0.05, power: float = 0.8, alpha: float = 0.025
) -> float:
    """Smallest true gain, in steps of half a point, that the gate finds with the wanted power.

    More fixes at equal breaks can only help, so halving finds it. Uses the exact `power`.

    Args:
        n: test items.
        breaks: share of items that the tune breaks; what was observed, or a cautious guess.
        power: wanted chance to pass.
        alpha: one-sided level of the gate.

    Returns:
        A share: 0.135 is 13.5 points.

    Raises:
        ValueError: no gain that leaves room for the breaks would be found.
    """
    _check_plan(n, breaks, alpha)
    largest = math.floor((1 - 2 * breaks) * GAIN_STEPS_PER_UNIT + 1e-9)
    gains = [step / GAIN_STEPS_PER_UNIT for step in range(1, largest + 1)]
    place = bisect_left(gains, power, key=lambda gain: _chance_of_passing(n, gain + breaks, breaks, alpha))
    if place == len(gains):
        raise ValueError(f"{n} items find no gain with power {power} if {breaks} of them are broken")
    return gains[place]


def cost_per_1000(mean_seconds: float, *, usd_per_hour: float) -> float:
    """US dollars for 1,000 calls on a machine rented by the hour that answers one call after another.

    1000 · seconds · price / 3600, at full utilisation. Utilisation divides: a machine that is busy
    a quarter of the time costs four times as much a call, because idle hours are billed too.

    Args:
        mean_seconds: mean wall time of one call; divide by the calls answered at once, if several.
        usd_per_hour: price of the machine, busy or idle.

    Raises:
        ValueError: a negative or non-finite time or price.
    """
    for name, value in (("mean_seconds", mean_seconds), ("usd_per_hour", usd_per_hour)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a number from 0 upwards; it is {value}")
    return 1000 * mean_seconds * usd_per_hour / 3600


def _chance_of_passing(n: int, fixes: float, breaks: float, alpha: float) -> float:
    import numpy as np  # here and not above: `tuneproof --help` must stay fast

    flips, losses = np.nonzero(np.arange(n + 1) < _losses_allowed(n, alpha)[:, None])
    wins, agreed = flips - losses, n - flips
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    log_chance = log_factorial[n] - log_factorial[wins] - log_factorial[losses] - log_factorial[agreed]
    possible = np.ones(len(flips), dtype=bool)
    for count, share in ((wins, fixes), (losses, breaks), (agreed, 1 - fixes - breaks)):
        if share > 1e-12:
            log_chance += count * math.log(share)
        else:
            possible &= count == 0
    return min(1.0, float(np.exp(log_chance[possible]).sum()))


def _losses_allowed(n: int, alpha: float) -> NDArray[np.int64]:
    """For 0 to n flips: how many of the loss counts 0, 1, 2, … pass the mid-p test.

    One more flip of a fair coin averages neighbours: mid_p(flips + 1, losses) is the mean of
    mid_p(flips, losses) and mid_p(flips, losses − 1), so a row follows from the row before.
    """
    import numpy as np

    mid_p = np.ones(n + 2)
    mid_p[0] = 0.5
    allowed = np.zeros(n + 1, dtype=np.int64)
    for flips in range(n + 1):
        allowed[flips] = np.searchsorted(mid_p[: flips + 1], alpha, side="right")
        mid_p[1:] = (mid_p[1:] + mid_p[:-1]) / 2
        mid_p[0] /= 2
    return allowed


def _binomial_cumulative(n: int, share: float) -> list[float]:
    """P(X ≤ k) for k from 0 to n, X ~ Bin(n, share)."""
    log_chances = (
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(share)
        + (n - k) * math.log1p(-share)
        for k in range(n + 1)
    )
    return list(accumulate(map(math.exp, log_chances)))


def _two_sided_z(confidence: float) -> float:
    _check_confidence(confidence)
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; it is {confidence}")


def _check_pairs(wins: int, losses: int, n: int) -> None:
    if wins < 0 or losses < 0 or wins + losses > n:
        raise ValueError(f"{wins} wins and {losses} losses of {n} items cannot be")


def _check_plan(n: int, breaks: float, alpha: float) -> None:
    if n < 1 or not 0 <= breaks <= 0.5 or not 0 < alpha < 1:
        raise ValueError(f"no test has n={n}, breaks={breaks} and alpha={alpha}")


def _ordered(values: Sequence[float]) -> list[float]:
    if len(values) == 0 or any(math.isnan(value) for value in values):
        raise ValueError("a percentile needs at least one value, and every value must be a number")
    return sorted(values)
