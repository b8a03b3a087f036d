"""Differences or outcomes, item by item and with their groups → p-values and intervals by resampling.

Items of one cluster (paraphrases of one seed, pages of one document) are no independent evidence, so
whole clusters are flipped and resampled. Without clusters every item is one of its own.
The same values give the same result, in whatever order they come: everything is sorted and seeded.
A `ValueError` says that the values cannot carry the number that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

from tuneproof.artifacts import Interval
from tuneproof.statistics import tango, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

MOST_ENUMERATED = 16
"""Up to this many clusters all 2^16 sign patterns are tried."""

_LARGEST_WHOLE_TOTAL = 20_000  # up to here the exact distribution is built up, cluster by cluster
_DRAWS = 10_000  # bootstrap samples
_AT_ONCE = 65_536  # values in one piece: half a megabyte, which stays in a core's cache
_ROUNDING = 1e-12  # relative to the total: 0.1 + 0.2 must tie with 0.3


class _Clusters(NamedTuple):
    """Totals of the clusters, sorted."""

    sums: Numbers
    sizes: Numbers

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.sizes.sum())


def sign_flip_p(
    differences: Sequence[float], clusters: Sequence[str] | None = None, *, seed: int = 0, draws: int = 20_000
) -> float:
    """One-sided p of the mean difference being above 0: how often random signs reach what was seen.

    Fisher (1935), The Design of Experiments, §21. Every cluster's summed difference gets a random sign;
    p = P(T ≥ observed), all ties counted, so the level is never exceeded (a mid-p could exceed it).
    Exact where the sums are whole numbers, as of right and wrong (Pagano & Tritchler 1983, JASA 78:435–440),
    and up to 16 clusters that differ from 0. Else drawn, as (1 + hits) / (1 + draws)
    (Phipson & Smyth 2010, Stat Appl Genet Mol Biol 9:39), which is never 0.

    Args:
        differences: arm less rival, one an item, in any unit.
        clusters: the cluster of each item; None where items are independent.
        seed: of the drawn case, as `draws`.
        draws: sign patterns.

    Returns:
        A probability; small means that the differences are above 0. Where none differs from 0 it is 1.0, as
        the definition says: every pattern reaches what was seen.

    Raises:
        ValueError: no value, one that is no number, or clusters of another length.
    """
    import numpy as np

    sums = _grouped(differences, clusters).sums
    weights = np.sort(np.abs(sums[sums != 0]))
    total = float(weights.sum())
    # Random signs are a random half of the weights on the plus side; seen is the sum of the positive ones.
    seen = math.fsum(sums[sums > 0])
    if np.all(weights == np.round(weights)) and total <= _LARGEST_WHOLE_TOTAL:
        return _exact_whole_p(weights.astype(np.int64), int(seen))
    if len(weights) <= MOST_ENUMERATED:
        reached = np.zeros(1)
        for weight in weights:
            reached = np.concatenate((reached, reached + weight))
        return float(np.mean(reached >= seen - _ROUNDING * total))
    hits = sum(
        int((plus @ weights >= seen - _ROUNDING * total).sum())
        for plus in _random_halves(len(weights), draws, seed)
    )
    return (1 + hits) / (1 + draws)


def bca_interval(
    differences: Sequence[float],
    clusters: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    draws: int = _DRAWS,
) -> Interval:
    """Bias-corrected and accelerated bootstrap interval of the mean difference.

    Efron (1987), JASA 82:171–185; Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 14.
    Clusters are resampled whole and the mean is their total over their items; the acceleration comes
    from leaving out one cluster at a time.

    Args:
        differences: one an item, in any unit; the bounds have it too.
        clusters: the cluster of each item; None where items are independent.
        confidence: two-sided, between 0 and 1.
        seed: of the generator.
        draws: bootstrap samples.

    Returns:
        Bounds. Where all clusters have the same mean, no resample differs and the interval is that one
        point: read it beside Tango's, which still knows what n items can hide.

    Raises:
        ValueError: fewer than two clusters (one cannot show how clusters differ), no value, one that is no
            number, clusters of another length, or a confidence outside 0 to 1.
    """
    found = _grouped(differences, clusters, at_least=2)
    if _alike(found):
        return Interval(low=found.mean, high=found.mean)
    return _bca(found, draws, seed, confidence)


def cluster_interval(
    right: Sequence[bool], clusters: Sequence[str], *, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """BCa bootstrap interval over clusters of a share of right answers.

    Where no cluster differs from the others a bootstrap is blind, and the answer is Wilson's: with one item
    a cluster if all are right or all wrong (20 clusters are 20 pieces of evidence), else with all items.

    Raises:
        ValueError: as `bca_interval`.
    """
    found = _grouped([float(one) for one in right], clusters, at_least=2)
    if not _alike(found):
        return _bca(found, _DRAWS, seed, confidence)
    if found.mean in (0.0, 1.0):
        return wilson(len(found.sums) * int(found.mean), len(found.sums), confidence=confidence)
    return wilson(sum(right), len(right), confidence=confidence)


def cluster_difference_interval(
    a: Sequence[bool], b: Sequence[bool], clusters: Sequence[str], *, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """BCa bootstrap interval over clusters of the paired difference of two shares, of `a` less `b`.

    Where no cluster differs from the others the answer is Tango's: with one item a cluster if all items
    agree or all differ the same way, else with all items. `confidence=0.90` gives the one-sided 95 % bound.

    Raises:
        ValueError: as `bca_interval`, or arms of different lengths.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} outcomes are no pairs")
    differences = [int(x) - int(y) for x, y in zip(a, b, strict=True)]
    found = _grouped(differences, clusters, at_least=2)
    if not _alike(found):
        return _bca(found, _DRAWS, seed, confidence)
    wins, losses, n = differences.count(1), differences.count(-1), len(differences)
    if found.mean in (-1.0, 1.0) or wins + losses == 0:
        n = len(found.sums)
        wins, losses = n * (found.mean == 1.0), n * (found.mean == -1.0)
    return tango(wins, losses, n, confidence=confidence)


def intraclass_correlation(values: Sequence[float], clusters: Sequence[str]) -> float | None:
    """How alike the items of a cluster are: 1 is identical, 0 is no more than by chance; it can be negative.

    One-way ANOVA estimator for clusters of unequal size: Donner (1986), Int Stat Rev 54:67–82.

    Returns:
        None where it cannot be told: one cluster, one item in each, or no value that differs.

    Raises:
        ValueError: no value, one that is no number, or clusters of another length.
    """
    found, n, spread = _grouped(values, clusters), len(values), _spread(values)
    groups = len(found.sums)
    if groups < 2 or groups == n or spread == 0:
        return None
    between = float((found.sizes * (found.sums / found.sizes - found.mean) ** 2).sum())
    between_square, within_square = between / (groups - 1), max(0.0, spread - between) / (n - groups)
    size = (n - float((found.sizes**2).sum()) / n) / (groups - 1)
    return (between_square - within_square) / (between_square + (size - 1) * within_square)


def design_effect(values: Sequence[float], clusters: Sequence[str]) -> float | None:
    """Variance of the mean with clusters, over what it would be if items were independent.

    Clustered: C/(C−1) · Σ_c (Σ_{i∈c} (s_i − s̄))² / n² (Miller 2024, arXiv 2411.00640, with the correction
    for few clusters that Inspect uses); independent: Σ (s_i − s̄)² / (n (n − 1)).
    n / effect items would say as much. One item a cluster gives 1.

    Returns:
        None for one cluster, or where no value differs.

    Raises:
        ValueError: as `intraclass_correlation`.
    """
    found, n, spread = _grouped(values, clusters), len(values), _spread(values)
    groups = len(found.sums)
    if groups < 2 or spread == 0:
        return None
    clustered = groups / (groups - 1) * float(((found.sums - found.sizes * found.mean) ** 2).sum()) / n**2
    return clustered / (spread / (n * (n - 1)))


def ratio_interval(
    a: Sequence[float],
    b: Sequence[float],
    *,
    of: Literal["median", "mean"] = "median",
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Paired percentile bootstrap interval of median(a) / median(b), or of the ratio of means.

    Efron & Tibshirani (1993), ch. 13. Items are resampled with both of their values, so what makes an
    item slow or dear in both arms cancels out. The median is the nearest-rank one, as in the table.

    Args:
        a: for example milliseconds or dollars, one an item.
        b: the same of the rival, same items in the same order, same unit.
        of: the median for latency, the mean for costs, which add up.
        confidence: two-sided, between 0 and 1.
        seed: of the generator.

    Raises:
        ValueError: fewer than two pairs, different lengths, or a value or confidence outside its range.
    """
    import numpy as np

    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"a ratio needs two pairs of values or more; there are {len(a)} and {len(b)}")
    if not all(math.isfinite(x) and math.isfinite(y) and x >= 0 and y > 0 for x, y in zip(a, b, strict=True)):
        raise ValueError("a ratio needs values from 0 upwards, and above 0 below the line")
    tails = _tails(confidence)
    pairs = np.asarray(sorted(zip(a, b, strict=True)), dtype=np.float64)
    ratios = np.concatenate(
        [
            _middles(pairs[picks, 0], of) / _middles(pairs[picks, 1], of)
            for picks in _random_picks(len(pairs), _DRAWS, np.random.default_rng(seed))
        ]
    )
    return _between(ratios, tails)


def _grouped(values: Sequence[float], clusters: Sequence[str] | None, *, at_least: int = 1) -> _Clusters:
    import numpy as np

    if len(values) == 0 or not all(math.isfinite(value) for value in values):
        raise ValueError("resampling needs at least one value, and every value must be a number")
    if clusters is not None and len(clusters) != len(values):
        raise ValueError(f"{len(values)} values cannot have {len(clusters)} cluster names")
    names: Sequence[str | int] = range(len(values)) if clusters is None else clusters
    members: dict[str | int, list[float]] = {}
    for name, value in zip(names, values, strict=True):
        members.setdefault(name, []).append(value)
    if len(members) < at_least:
        raise ValueError(f"an interval over clusters needs at least two of them; there is {len(members)}")
    # fsum is exact, so the order of a cluster's items changes nothing either.
    totals = sorted((math.fsum(group), len(group)) for group in members.values())
    sums, sizes = np.asarray(totals, dtype=np.float64).T
    return _Clusters(sums=sums, sizes=sizes)


def _spread(values: Sequence[float]) -> float:
    """Sum of squares around the mean; exactly 0 where it is no more than rounding."""
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return squares if squares > _ROUNDING * math.fsum(value**2 for value in values) else 0.0


def _alike(found: _Clusters) -> bool:
    means = found.sums / found.sizes
    return bool(means.max() - means.min() <= _ROUNDING * max(abs(means.max()), abs(means.min())))


def _bca(found: _Clusters, draws: int, seed: int, confidence: float) -> Interval:
    import numpy as np

    tails = _tails(confidence)
    means = _resampled_means(found, draws, seed)
    slack = _ROUNDING * float(np.abs(found.sums).sum() / found.sizes.sum())
    below = np.count_nonzero(means < found.mean - slack)
    not_above = np.count_nonzero(means <= found.mean + slack)
    # Ties count half; never 0 or 1, whose normal quantile would be infinite.
    share = min(max((below + not_above) / (2 * draws), 0.5 / draws), 1 - 0.5 / draws)
    bias, acceleration = NormalDist().inv_cdf(share), _acceleration(found)
    return _between(means, [_corrected(end, bias, acceleration) for end in tails])


def _corrected(share: float, bias: float, acceleration: float) -> float:
    """Efron & Tibshirani (1993), equation 14.10."""
    moved = bias + NormalDist().inv_cdf(share)
    bottom = 1 - acceleration * moved
    if bottom <= 0:  # past the pole of the formula: the end of the resamples
        return 1.0 if moved > 0 else 0.0
    return NormalDist().cdf(bias + moved / bottom)


def _acceleration(found: _Clusters) -> float:
    """Efron & Tibshirani (1993), equation 14.15."""
    left_out = (found.sums.sum() - found.sums) / (found.sizes.sum() - found.sizes)
    distance = left_out.mean() - left_out
    largest = float(abs(distance).max())
    if largest == 0:
        return 0.0
    distance = distance / largest  # or the cubes of tiny values would vanish
    return float((distance**3).sum() / (6 * (distance**2).sum() ** 1.5))


def _resampled_means(found: _Clusters, draws: int, seed: int) -> Numbers:
    import numpy as np

    generator = np.random.default_rng(seed)
    kinds, counts = np.unique(np.stack(found, axis=1), axis=0, return_counts=True)
    n = len(found.sums)
    if 10 * len(kinds) <= n:
        # Wins, losses and ties: how often each kind is drawn says all, and is drawn at once.
        drawn = generator.multinomial(n, counts / n, size=draws)
        return np.asarray((drawn @ kinds[:, 0]) / (drawn @ kinds[:, 1]))
    size = float(found.sizes[0]) if np.all(found.sizes == found.sizes[0]) else None
    return np.concatenate(
        [
            found.sums[picks].sum(axis=1) / (size * n if size else found.sizes[picks].sum(axis=1))
            for picks in _random_picks(n, draws, generator)
        ]
    )


def _exact_whole_p(weights: NDArray[np.int64], seen: int) -> float:
    import numpy as np

    chances = np.zeros(int(weights.sum()) + 1)
    chances[0] = 1.0
    for weight in weights:
        chances[weight:] += chances[:-weight].copy()
        chances /= 2
    return min(1.0, float(chances[seen:].sum()))


def _random_halves(n: int, draws: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    import numpy as np

    generator = np.random.default_rng(seed)
    width = -(-n // 8)
    for rows in _blocks(n, draws):
        packed = np.frombuffer(generator.bytes(rows * width), dtype=np.uint8).reshape(rows, width)
        yield np.unpackbits(packed, axis=1, count=n)


def _random_picks(n: int, draws: int, generator: np.random.Generator) -> Iterator[NDArray[np.integer]]:
    import numpy as np

    for rows in _blocks(n, draws):
        # Short whole numbers are drawn in half the time.
        yield generator.integers(0, n, size=(rows, n), dtype=np.uint16 if n <= 2**16 else np.int64)


def _blocks(n: int, draws: int) -> Iterator[int]:
    rows = max(1, _AT_ONCE // n)
    return (min(rows, draws - start) for start in range(0, draws, rows))


def _middles(rows: Numbers, of: Literal["median", "mean"]) -> Numbers:
    import numpy as np

    if of == "mean":
        return np.asarray(rows.mean(axis=1))
    rank = (rows.shape[1] - 1) // 2
    return np.asarray(np.partition(rows, rank, axis=1)[:, rank])


def _between(values: Numbers, shares: Sequence[float]) -> Interval:
    import numpy as np

    low, high = np.quantile(values, shares)
    return Interval(low=float(low), high=float(high))


def _tails(confidence: float) -> tuple[float, float]:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; it is {confidence}")
    return (1 - confidence) / 2, (1 + confidence) / 2
