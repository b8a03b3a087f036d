"""Observed or assumed shares → items that a claim needs, its power, and what many looks do to a result.

`flips` is the share of items that one arm has right and the other wrong, in either direction.
A `ValueError` says that the shares or counts cannot exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tuneproof.statistics import tango

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Counts = NDArray[np.int64]
    _Flags = NDArray[np.bool_]

SMALLEST_TEST = 50
"""Fewer items are never proposed: no test set may be smaller."""

MOST_ITEMS = 5_000
"""Beyond this the answer is that no test of a reasonable size will do."""

_STEP = 10
"""Items are proposed in tens: the assumed shares are no more exact than that."""


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust the p-values of one family, so that the chance of any false claim stays below the level.

    Holm (1979), Scandinavian Journal of Statistics 6:65–70: the smallest of m times m, the next times
    m − 1, and so on; never below a smaller one's, and at most 1.

    Returns:
        The same names in the same order.

    Raises:
        ValueError: a p-value outside 0 to 1.
    """
    adjusted: dict[str, float] = {}
    floor = 0.0
    for place, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        if not 0 <= p_values[name] <= 1:
            raise ValueError(f"a p-value lies between 0 and 1; that of {name} is {p_values[name]}")
        floor = max(floor, min(1.0, (len(p_values) - place) * p_values[name]))
        adjusted[name] = floor
    return {name: adjusted[name] for name in p_values}


def noninferior(wins: int, losses: int, n: int, *, margin: float, alpha: float = 0.05) -> tuple[float, bool]:
    """Say whether an arm was shown to be less than `margin` worse than its rival.

    Tango (1998), Statistics in Medicine 17:891–908: the one-sided lower bound of the difference at level
    1 − alpha must lie above −margin. The margin must have been fixed before the replies were seen.

    Args:
        wins: items that the arm has right and its rival wrong.
        losses: the reverse.
        n: all items.
        margin: share of items, above 0 and below 1.
        alpha: one-sided level.

    Returns:
        The lower bound as a share, and whether it lies above −margin.

    Raises:
        ValueError: counts, a margin or a level that cannot be.
    """
    _check_claim(margin, alpha)
    low = tango(wins, losses, n, confidence=1 - 2 * alpha).low
    return low, low > -margin


def equality_power(n: int, flips: float, margin: float, *, alpha: float = 0.05) -> float:
    """Chance that `noninferior` holds, if in truth both arms are equally good.

    Exact: sums the trinomial chances of every (wins, losses) for which it does.

    Args:
        n: test items, at least 1.
        flips: true share of items on which the arms differ, half of them each way.
        margin: share of items, above 0 and below 1.
        alpha: one-sided level.

    Raises:
        ValueError: a number of items, a share, a margin or a level that cannot be.
    """
    _check_claim(margin, alpha)
    _check_truth(n, _Truth(flips, 0.5))
    return _chance(n, _Truth(flips, 0.5), lambda seen: _most_losses(seen, _within_margin(n, margin, alpha)))


def items_needed_for_equality(
    flips: float, margin: float, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Items with which a true difference of 0 is shown to lie within the margin, as often as `power` says.

    Args:
        flips: share of items on which the arms differ.
        margin: share of items by which the arm may be worse.
        alpha: one-sided level.
        power: wanted chance, between 0 and 1.

    Returns:
        The first ten from 50 upwards with that power, or None beyond 5,000.

    Raises:
        ValueError: as `equality_power`, or a power outside 0 to 1.
    """
    _check_claim(margin, alpha)

    def limit(n: int, seen: _Counts) -> _Counts:
        return _most_losses(seen, _within_margin(n, margin, alpha))

    return _first_ten(_Truth(flips, 0.5), power, limit)


def items_needed_for_gain(
    wins: int, losses: int, n: int, *, alpha: float = 0.025, power: float = 0.8
) -> int | None:
    """Items with which a difference as large as the seen one passes the gate, as often as `power` says.

    Takes wins / n and losses / n for the truth and sums exactly, as `statistics.power` does (Duffy 1984,
    Biometrics 40:1005–1015). A seen difference is itself uncertain: this is a plan, no promise.

    Args:
        wins: items that the arm has right and its rival wrong.
        losses: the reverse.
        n: all items.
        alpha: one-sided level of the gate.
        power: wanted chance, between 0 and 1.

    Returns:
        The first ten from 50 upwards with that power; None beyond 5,000, or where no gain was seen.

    Raises:
        ValueError: counts, a level or a power that cannot be.
    """
    import numpy as np

    if min(wins, losses) < 0 or n < 1 or wins + losses > n:
        raise ValueError(f"{wins} wins and {losses} losses of {n} items cannot be")
    if not 0 < alpha < 1:
        raise ValueError(f"a level lies between 0 and 1; it is {alpha}")
    if wins <= losses:
        return None
    truth = _Truth(flips=(wins + losses) / n, losing=losses / (wins + losses))
    most = _most_losses(np.arange(MOST_ITEMS + 1), _small_mid_p(alpha))
    return _first_ten(truth, power, lambda n, seen: most[seen])


def optimism(rounds: int, n: int, flips: float) -> float:
    """By how much the best of several equally good arms is expected to look too good on one test set.

    E[largest of `rounds` normal values] · √(flips / (2n)): the difference of two arms has the variance
    flips / n, and each arm half of it. Normal approximation; for one round it is 0.

    Args:
        rounds: arms, prompts or checkpoints that were scored on the test, at least 1.
        n: test items, at least 1.
        flips: share of items on which two of them differ.

    Returns:
        A share: 0.037 is 3.7 points.

    Raises:
        ValueError: no round, no item, or a share outside 0 to 1.
    """
    if rounds < 1 or n < 1 or not 0 <= flips <= 1:
        raise ValueError(f"no test has {rounds} rounds, {n} items and {flips} flips")
    return _expected_largest(rounds) * math.sqrt(flips / (2 * n))


class _Truth(NamedTuple):
    flips: float
    """Share of items on which the arms differ."""
    losing: float
    """Share of the flips that are losses."""


def _first_ten(truth: _Truth, power: float, limit: Callable[[int, _Counts], _Counts]) -> int | None:
    _check_truth(SMALLEST_TEST, truth)
    if not 0 < power < 1:
        raise ValueError(f"a power lies between 0 and 1; it is {power}")
    # One by one: exact power goes up in a saw-tooth, in which halving could miss the first tooth.
    sizes = range(SMALLEST_TEST, MOST_ITEMS + 1, _STEP)
    return next((n for n in sizes if _chance(n, truth, partial(limit, n)) >= power), None)


def _chance(n: int, truth: _Truth, limit: Callable[[_Counts], _Counts]) -> float:
    """Chance of the claim: over the number of flips, that no more of them are losses than its limit."""
    import numpy as np
    from scipy import special

    # Ten standard deviations and ten flips either way: what is left out is below 1e-9.
    reach = 10 * math.sqrt(n * truth.flips * (1 - truth.flips)) + 10
    first, last = max(0, math.floor(n * truth.flips - reach)), min(n, math.ceil(n * truth.flips + reach))
    flips = np.arange(first, last + 1)
    most = limit(flips)
    log_ways = special.gammaln(n + 1) - special.gammaln(flips + 1) - special.gammaln(n - flips + 1)
    log_chance = log_ways + special.xlogy(flips, truth.flips) + special.xlog1py(n - flips, -truth.flips)
    few = np.where(most < 0, 0.0, special.bdtr(np.maximum(most, 0), flips, truth.losing))
    return min(1.0, float((np.exp(log_chance) * few).sum()))


def _most_losses(flips: _Counts, holds: Callable[[_Counts, _Counts], _Flags]) -> _Counts:
    """Most losses with which a claim holds, −1 where none; a further loss never helps, so halving works."""
    import numpy as np

    held, failed = np.full_like(flips, -1), flips + 1
    while (open_still := failed - held > 1).any():
        middle = np.clip((held + failed) // 2, 0, flips)
        good = holds(middle, flips)
        held = np.where(open_still & good, middle, held)
        failed = np.where(open_still & ~good, middle, failed)
    return held


def _small_mid_p(alpha: float) -> Callable[[_Counts, _Counts], _Flags]:
    """The test of the gate. P(X < losses) + ½ P(X = losses) is the mean of two cumulative chances."""
    import numpy as np
    from scipy import special

    def holds(losses: _Counts, flips: _Counts) -> _Flags:
        fewer = np.where(losses > 0, special.bdtr(np.maximum(losses - 1, 0), flips, 0.5), 0.0)
        return np.asarray((fewer + special.bdtr(losses, flips, 0.5)) / 2 <= alpha)

    return holds


def _within_margin(n: int, margin: float, alpha: float) -> Callable[[_Counts, _Counts], _Flags]:
    """Tango's score test of a difference of −margin, which rejects where the bound lies above it."""
    import numpy as np
    from scipy import special

    z, worst = float(special.ndtri(1 - alpha)), -margin

    def holds(losses: _Counts, flips: _Counts) -> _Flags:
        net = flips - 2 * losses
        b = -flips + (2 * n - net) * worst  # below 0, so that the root below does not cancel
        c = -losses * worst * (1 - worst)
        loss_share = (np.sqrt(np.maximum(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = n * (2 * loss_share + worst * (1 - worst))
        return np.asarray(net - n * worst > z * np.sqrt(np.maximum(0.0, variance)))

    return holds


def _expected_largest(count: int) -> float:
    """∫ (1 − Φ^k) above 0 less ∫ Φ^k below 0, by the trapezoid rule in steps of 1/1,000."""
    import numpy as np
    from scipy import special

    if count == 1:
        return 0.0
    above = np.linspace(0.0, 12.0, 12_001)
    chance = special.ndtr(above)
    return float(np.trapezoid((1 - chance**count) - (1 - chance) ** count, above))


def _check_claim(margin: float, alpha: float) -> None:
    if not 0 < margin < 1 or not 0 < alpha < 0.5:
        raise ValueError(f"no claim has a margin of {margin} at level {alpha}")


def _check_truth(n: int, truth: _Truth) -> None:
    if n < 1 or not 0 <= truth.flips <= 1:
        raise ValueError(f"no test has {n} items of which {truth.flips} flip")
