"""The bootstrap interval of a mean: right in the long run, and the same on every run."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuneproof.bootstrap import mean_interval

shares = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(shares)
def test_it_holds_within_the_values_and_does_not_depend_on_their_order(values: list[float]) -> None:
    found = mean_interval(values, resamples=300)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert mean_interval(values[::-1], resamples=300) == found


def test_it_agrees_with_scipys_percentile_bootstrap() -> None:
    values = [random.Random(5).random() ** 2 for _ in range(1)] + [i / 120 for i in range(120)]
    ours = mean_interval(values)
    theirs = stats.bootstrap(
        (np.asarray(values),), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert abs(ours.low - theirs.low) < 0.004 and abs(ours.high - theirs.high) < 0.004


def test_it_covers_the_true_mean_about_as_often_as_it_says() -> None:
    """400 samples of 100 at 95 %: fewer than 362 hits have a chance below 1 in 1,000 at 94 %."""
    chance = random.Random(2)
    hits = 0
    for _ in range(400):
        found = mean_interval([chance.betavariate(4, 1) for _ in range(100)], resamples=500)
        hits += found.low <= 0.8 <= found.high
    assert 362 <= hits <= 396


def test_many_values_are_resampled_in_pieces() -> None:
    values = [i % 7 / 7 for i in range(50_000)]
    found = mean_interval(values, resamples=200)
    assert found.low < sum(values) / len(values) < found.high and found.high - found.low < 0.01


@pytest.mark.parametrize("values", [[], [float("nan")], [0.1, float("inf")]])
def test_what_has_no_mean_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="a mean needs"):
        mean_interval(values)
