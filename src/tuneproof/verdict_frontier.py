"""Frontier, costs and latency of a verdict → their sentences of the paragraph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneproof.artifacts import ArmResult, Interval, Timing
from tuneproof.verdict_facts import FRONTIER, Facts, turned_around
from tuneproof.verdict_words import (
    milliseconds,
    of_contrast,
    percent,
    points,
    say,
    size,
    span,
    usd,
    where,
    whole_calls,
)


def frontier_sentences(facts: Facts) -> Iterator[str]:
    """Say what it has right, who is ahead, and whether that is shown."""
    contrast, arm = facts.verdict.frontier, facts.frontier
    if contrast is None or arm is None:
        yield say("no frontier", why=facts.verdict.not_measured.get(FRONTIER, "task.yaml names none"))
        return
    yield say(
        "frontier",
        title=arm.arm.title,
        rate=percent(arm.rate),
        rate_span=span(arm.wider),
        where=where(contrast),
        **of_contrast(contrast),
    )
    if arm.arm.recorded:
        yield say("recorded", recorded=arm.arm.recorded)
    if len(arm.repeat_rates) > 1:
        low, high = min(arm.repeat_rates), max(arm.repeat_rates)
        yield say("repeats", k=len(arm.repeat_rates), low=percent(low), high=percent(high))
    else:
        yield say("one reply")
    yield from _equality(facts)


def _equality(facts: Facts) -> Iterator[str]:
    equality = facts.verdict.frontier_equality
    if facts.standing == "better":
        yield say("better")
    if equality is None:
        return
    if equality.worse:
        yield say("worse")
    slots = {"margin": size(equality.margin), "low": points(equality.low), "n": equality.n}
    if equality.shown:
        yield say("equal", **slots)
    elif equality.items_needed is None:
        yield say("not equal", **slots)
    else:
        yield say("not equal, items", items=f"{equality.items_needed:,}", **slots)


def cost_sentences(facts: Facts) -> Iterator[str]:
    """Say what calls cost, the break-even with its sensitivity, and what the calls a month make of it."""
    even = facts.usage.break_even
    if even is None:
        if facts.frontier is not None:
            yield say("cost open", missing="; ".join(each.rstrip(".") for each in facts.usage.missing))
        return
    against = next((a.arm.title for a in facts.verdict.arms if a.arm.name == even.against), even.against)
    own, api = usd(1000 * even.own_usd_per_call), usd(1000 * even.api_usd_per_call)
    yield say("cost", own=own, api=api, title=against)
    if even.calls_per_month is None:
        yield say("never")
    else:
        yield say(
            "break-even",
            calls=whole_calls(even.calls_per_month),
            once=usd(even.one_off_usd),
            months=f"{even.months:g}",
            fixed=usd(even.fixed_usd_per_month),
        )
    yield from _usage(facts)


def _usage(facts: Facts) -> Iterator[str]:
    usage = facts.usage
    if usage.break_even is not None and usage.break_even.sensitivity:
        volumes = [s.calls_per_month for s in usage.break_even.sensitivity]
        known = [volume for volume in volumes if volume is not None]
        slots = {
            "low": whole_calls(min(known, default=None)),
            "high": whole_calls(max(known) if len(known) == len(volumes) else None),
        }
        if usage.calls is None:
            yield say("sensitivity, no calls", **slots)
        else:
            yield say("sensitivity", turned=turned_around(usage), k=len(volumes), **slots)
    if usage.saves_usd is None:
        yield say("no calls")
    else:
        name = "saves" if usage.saves_usd >= 0 else "costs more"
        yield say(name, calls=f"{usage.calls:,}", usd=usd(abs(usage.saves_usd)))


def latency_sentences(facts: Facts, timings: Sequence[Timing]) -> Iterator[str]:
    """Say how long a call of the served file and one of the frontier took, one call at a time."""
    single = {t.arm: t for t in timings if t.concurrency == 1}
    for arm in (facts.served, *([facts.frontier] if facts.frontier else [])):
        timing = single.get(arm.arm.name)
        if timing is not None:
            yield _times(arm, timing)
        elif arm.p50_ms is not None and arm is facts.served:
            tail = f" and {milliseconds(arm.p95_ms)} ms at p95" if arm.p95_ms is not None else ""
            yield say("median", title=arm.arm.title, p50=milliseconds(arm.p50_ms), p95=tail)


def _times(arm: ArmResult, timing: Timing) -> str:
    p95 = "" if timing.p95_ms is None else f" and {milliseconds(timing.p95_ms)} ms at p95"
    return say(
        "times",
        title=arm.arm.title,
        p50=milliseconds(timing.p50_ms),
        p50_span=_ms_span(timing.p50_interval),
        p95=p95 + _ms_span(timing.p95_interval),
        n=timing.n,
    )


def _ms_span(interval: Interval | None) -> str:
    return f" ({milliseconds(interval.low)} to {milliseconds(interval.high)})" if interval else ""
