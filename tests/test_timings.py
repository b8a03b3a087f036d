"""Times of a call: measured values only, and no more said than so many calls can say."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare_sample import reply_to
from tuneproof.artifacts import Reply, Timing
from tuneproof.statistics import p95, percentile, percentile_interval
from tuneproof.timings import timing_of


def timed(times: list[float], **fields: object) -> list[Reply]:
    return [reply_to(f"i{n}", ms=ms, **fields) for n, ms in enumerate(times)]


def of(replies: list[Reply], **how: object) -> Timing:
    found = timing_of("arm", replies, **how)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_percentiles_are_those_of_the_statistics_and_measured_values() -> None:
    chance = random.Random(4)
    times = [round(chance.lognormvariate(5, 1), 3) for _ in range(90)]
    found = of(timed(times))
    assert (found.n, found.p50_ms, found.p95_ms) == (90, percentile(times, share=0.5), p95(times))
    assert found.p50_interval == percentile_interval(times, share=0.5)
    assert found.p95_interval == percentile_interval(times, share=0.95)
    assert {found.p50_ms, found.p95_ms} <= set(times)
    # By hand: rank 45 of 90, and rank 86 (0.95 · 90 = 85.5, rounded up).
    assert (found.p50_ms, found.p95_ms) == (sorted(times)[44], sorted(times)[85])


@pytest.mark.parametrize(
    ("calls", "has_p95", "has_interval"),
    [(58, False, False), (59, True, False), (71, True, False), (72, True, True)],
)
def test_a_p95_needs_59_calls_and_its_interval_72(calls: int, has_p95: bool, has_interval: bool) -> None:
    found = of(timed([float(n + 1) for n in range(calls)], first_ms=0.5))
    assert (found.p95_ms is not None, found.first_p95_ms is not None) == (has_p95, has_p95)
    assert (found.p95_interval is not None) is has_interval


def test_failed_replies_and_those_without_a_time_do_not_count() -> None:
    replies = [
        *timed([10.0, 20.0, 30.0]),
        reply_to("x", ms=None),
        reply_to("y", finish="failed", ms=9_999.0),
    ]
    found = of(replies)
    assert (found.n, found.p50_ms) == (3, 20.0)
    assert timing_of("arm", [reply_to("x", ms=None)]) is None
    assert timing_of("arm", []) is None


def test_the_time_a_token_leaves_out_the_first_token_and_one_token_replies() -> None:
    replies = [
        reply_to("a", ms=160.0, first_ms=60.0, output_tokens=11),  # 10 ms a token
        reply_to("b", ms=70.0, first_ms=10.0, output_tokens=4),  # 20 ms a token
        reply_to("c", ms=500.0, first_ms=499.0, output_tokens=1),
        reply_to("d", ms=40.0, output_tokens=5),
    ]
    found = of(replies)
    assert found.per_token_p50_ms == 10.0, "nearest rank of 10 and 20"
    assert found.first_p50_ms == 60.0 and found.output_tokens_mean == (11 + 4 + 1 + 5) / 4
    nothing = of(timed([5.0, 6.0], output_tokens=0))
    assert (nothing.per_token_p50_ms, nothing.first_p50_ms, nothing.output_tokens_mean) == (None, None, None)


def test_a_load_point_says_calls_a_second_and_what_was_passed_on() -> None:
    found = of(timed([100.0] * 60), concurrency=4, wall_s=2.0, cold_start_ms=812.5, interleaved=True)
    assert (found.calls_per_s, found.concurrency, found.wall_s) == (30.0, 4, 2.0)
    assert (found.cold_start_ms, found.interleaved) == (812.5, True)
    assert of(timed([1.0])).calls_per_s is None


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=150), st.randoms(use_true_random=False))
def test_the_order_of_the_replies_does_not_matter(times: list[float], chance: random.Random) -> None:
    mixed = timed(times, output_tokens=4)
    chance.shuffle(mixed)
    assert of(mixed) == of(timed(times, output_tokens=4))
