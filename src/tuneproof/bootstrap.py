"""Values → the interval of their mean, by resampling them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuneproof.artifacts import Interval

_RESAMPLED_AT_ONCE = 4_000_000
"""Values drawn in one piece: 32 MB."""


def mean_interval(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Percentile bootstrap of a mean, seeded, so the same values give the same interval.

    Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Args:
        values: one number an item.
        confidence: two-sided level.
        resamples: bootstrap samples.
        seed: of the generator.

    Raises:
        ValueError: no value, or one that is no number.
    """
    import numpy as np

    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError("a mean needs at least one value, and every value must be a number")
    known = np.sort(np.asarray(values))  # sorted, so that the order of the items changes nothing
    generator = np.random.default_rng(seed)
    block = max(1, _RESAMPLED_AT_ONCE // len(known))
    means = np.concatenate(
        [
            known[generator.integers(0, len(known), size=(min(block, resamples - start), len(known)))].mean(
                axis=1
            )
            for start in range(0, resamples, block)
        ]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))
