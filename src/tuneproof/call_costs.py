"""Replies, prices and times of the arms → what 1,000 calls of each cost.

An input that is not known makes the number None with the reason and the key of task.yaml that would give it;
it is never taken as 0. Formulas and assumptions: docs/costs.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from tuneproof.artifacts import ArmResult, CostLine, Price, PriceUsed, Reply, TaskFile
from tuneproof.artifacts.costs import OwnedMachine, UsdAt
from tuneproof.statistics import cost_per_1000

UTILISATIONS = (0.05, 0.25, 1.0)
"""Shares of the machine's hours at which the cost of a local arm is always shown, beside the planned one."""
HOURS_A_MONTH = 730.0
API_KINDS = {"frontier", "endpoint"}
"""Arms that are paid by the token. A server of one's own is one of them: nobody said what its hours cost."""
MODEL_KINDS = {"base", "tuned"}
"""Local arms that always have a line; a rival, done in under a millisecond, has one if it was timed."""


class Measured(NamedTuple):
    """What the comparison saw, each by the name of the arm."""

    results: Sequence[ArmResult]
    """Rows of the table."""
    replies: Mapping[str, Sequence[Reply]]
    """Of the arms behind an API, repeats among them."""
    seconds: Mapping[str, float | None]
    """Local arms: mean wall time of a call, one call at a time; None where calls were not timed."""
    adapter_seconds: float
    """Time in training."""
    paid: Mapping[str, Sequence[Reply]] = {}
    """Arms behind an API: every reply that was paid for, repeats and those on dev among them."""


class Prices(NamedTuple):
    """Prices of the arms behind an API, each by the name of the arm."""

    known: Mapping[str, PriceUsed]
    """Where a price is known."""
    unknown: Mapping[str, str]
    """Where it is not: why, with the key of task.yaml."""


def cost_lines(task_file: TaskFile, measured: Measured, prices: Prices) -> tuple[CostLine, ...]:
    """Make a line for every arm behind an API, for the base, every tuned file, and rivals that were timed."""
    lines = []
    for result in measured.results:
        arm, seconds = result.arm, measured.seconds.get(result.arm.name)
        if arm.kind in API_KINDS:
            lines.append(_api_line(arm.name, measured.replies.get(arm.name, ()), prices))
        elif arm.kind in MODEL_KINDS or (arm.kind == "rival" and seconds is not None):
            lines.append(_local_line(arm.name, seconds, task_file))
    return tuple(lines)


def api_usd(replies: Sequence[Reply], price: Price) -> float:
    """Add up what these calls cost by the token, in US dollars.

    (prompt − cached) · input + cached · cache read + output · output, a million tokens each
    (reference A7). Reasoning is part of the output tokens. Failed attempts before a reply are taken as
    not billed, which is usual; `retry_rate` says how many there were.

    Raises:
        ValueError: more tokens from a cache than the prompt has.
    """
    cache_read = price.input_mtok if price.cache_read_mtok is None else price.cache_read_mtok
    if any(reply.cached_tokens > reply.prompt_tokens for reply in replies):
        raise ValueError("a reply has more tokens from a cache than its prompt has")
    millionths = (
        (reply.prompt_tokens - reply.cached_tokens) * price.input_mtok
        + reply.cached_tokens * cache_read
        + reply.output_tokens * price.output_mtok
        for reply in replies
    )
    return math.fsum(millionths) / 1e6


def retry_rate(replies: Sequence[Reply]) -> float:
    """Attempts beyond the first, for each reply asked for: 0.02 is two retries in a hundred.

    Raises:
        ValueError: no replies.
    """
    if not replies:
        raise ValueError("a retry rate needs at least one reply")
    return sum(reply.attempts - 1 for reply in replies) / len(replies)


def machine_usd_per_hour(task_file: TaskFile) -> tuple[float | None, str]:
    """Price of an hour of the machine that answers, busy or idle, and how it came about.

    Owned: (price − resale) / life + kW · price of a kWh · PUE + ops (reference A7). It wins over the
    rent, `serving.machine_usd_per_hour`. None comes with what to write into task.yaml.
    """
    owned = task_file.costs.owned
    if owned is not None:
        return _owned(owned)
    rented = task_file.serving.machine_usd_per_hour
    if rented is None:
        return None, "serving.machine_usd_per_hour or costs.owned: what does an hour of the machine cost?"
    return rented, f"rented at {usd_text(rented)} an hour"


def _owned(owned: OwnedMachine) -> tuple[float | None, str]:
    if owned.salvage_usd > owned.usd:
        return None, f"costs.owned.salvage_usd: {usd_text(owned.salvage_usd)} is more than the machine cost"
    written_off = (owned.usd - owned.salvage_usd) / owned.life_hours
    power = owned.watts / 1000 * owned.usd_per_kwh * owned.pue
    hour = written_off + power + owned.ops_usd_per_hour
    ops = usd_text(owned.ops_usd_per_hour)
    parts = f"{usd_text(written_off)} written off, {usd_text(power)} power, {ops} ops"
    return hour, f"owned at {usd_text(hour)} an hour ({parts})"


def local_usd_per_1000(
    seconds: float, usd_per_hour: float, *, utilisation: float, parallel_calls: int
) -> float:
    """US dollars for 1,000 calls on a machine paid by the hour: R · t · 1000 / (3600 · k · u), reference A7.

    Utilisation divides: the idle hours are paid too.

    Args:
        seconds: mean wall time of a call.
        usd_per_hour: price of the machine, busy or idle.
        utilisation: share of its hours that the machine answers, above 0 up to 1.
        parallel_calls: calls that it answers at once at that speed, at least 1.

    Raises:
        ValueError: a value outside its range.
    """
    if not 0 < utilisation <= 1 or parallel_calls < 1:
        raise ValueError(f"no machine is busy {utilisation} of its time with {parallel_calls} calls at once")
    return cost_per_1000(seconds / parallel_calls, usd_per_hour=usd_per_hour) / utilisation


def utilisation_at(calls_per_month: float, seconds: float, *, parallel_calls: int) -> float:
    """Share of one machine's hours that this volume fills: V · t / (730 · 3600 · k).

    A machine kept for this task alone has this utilisation, whatever was planned. Above 1: it takes
    more than one machine.
    """
    return calls_per_month * seconds / (HOURS_A_MONTH * 3600 * parallel_calls)


def _api_line(name: str, replies: Sequence[Reply], prices: Prices) -> CostLine:
    used = prices.known.get(name)
    if used is None:
        why = prices.unknown.get(name, "no price is known; write comparison.frontier.price")
        return _no_number(name, "api", why)
    billed = counted(replies)
    if not billed:
        return _no_number(name, "api", f"{name}: none of its {len(replies)} replies came with token counts")
    usd = 1000 * api_usd(billed, used.price) / len(billed)
    best, how = _best(billed, used.price, usd)
    basis = _api_basis(replies, billed, used) + how
    return CostLine(arm=name, kind="api", usd_per_1000=usd, best_usd_per_1000=best, basis=basis)


def counted(replies: Sequence[Reply]) -> list[Reply]:
    """Replies that can be billed. No prompt is empty, so a count of 0 means that the API did not say."""
    return [r for r in replies if r.finish != "failed" and r.prompt_tokens >= max(1, r.cached_tokens)]


def _best(billed: Sequence[Reply], price: Price, usd: float) -> tuple[float | None, str]:
    """1,000 calls in batches, with as much of each prompt from a cache as was seen; None: no such price.

    The same for all calls, so never more than the shortest prompt: items asked again hit the cache whole.
    """
    cacheable = min(max(r.cached_tokens for r in billed), min(r.prompt_tokens for r in billed))
    if price.cache_read_mtok is None:
        cacheable = 0
    if not cacheable and price.batch_discount is None:
        return None, ""
    saved = price.batch_discount or 0.0
    full = [r.model_copy(update={"cached_tokens": max(r.cached_tokens, cacheable)}) for r in billed]
    best = 1000 * api_usd(full, price) / len(full) * (1 - saved)
    return min(best, usd), f"; best: a batch saves {100 * saved:g} %, {cacheable:,} tokens from a cache"


def _api_basis(replies: Sequence[Reply], billed: Sequence[Reply], used: PriceUsed) -> str:
    n, price = len(billed), used.price
    prompt, cached, output, reasoning = (
        sum(getattr(r, field) for r in billed) / n
        for field in ("prompt_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
    )
    left_out = len(replies) - n
    paid = f"at {usd_text(price.input_mtok)} and {usd_text(price.output_mtok)} a million ({used.source})"
    return (
        f"mean of {n:,} calls: {prompt:,.1f} prompt tokens ({cached:,.1f} from a cache), {output:,.1f} "
        f"output tokens ({reasoning:,.1f} reasoning), {paid}; "
        f"{100 * retry_rate(replies):.1f} retries in 100 calls, taken as not billed"
        + (f"; {left_out:,} calls failed or came without token counts, not in the mean" if left_out else "")
    )


def _local_line(name: str, seconds: float | None, task_file: TaskFile) -> CostLine:
    usd_per_hour, how = machine_usd_per_hour(task_file)
    if usd_per_hour is None:
        return _no_number(name, "local", how)
    if seconds is None:
        return _no_number(name, "local", f"{name}: its calls were not timed")
    planned, parallel = task_file.costs.utilisation, task_file.costs.parallel_calls
    usd = {
        share: local_usd_per_1000(seconds, usd_per_hour, utilisation=share, parallel_calls=parallel)
        for share in (*UTILISATIONS, planned)
    }
    basis = (
        f"{seconds:.4g} s a call, {parallel} at once, machine {how}, busy {100 * planned:g} % of its hours"
    )
    calls = task_file.pressures.calls_per_month
    if calls:
        filled = 100 * utilisation_at(calls, seconds, parallel_calls=parallel)
        basis += f"; {calls:,} calls a month fill {filled:.3g} % of one machine's hours"
    return CostLine(
        arm=name,
        kind="local",
        usd_per_1000=usd[planned],
        at=tuple(UsdAt(utilisation=share, usd_per_1000=usd[share]) for share in UTILISATIONS),
        basis=basis,
    )


def _no_number(name: str, kind: Literal["api", "local"], why: str) -> CostLine:
    return CostLine(arm=name, kind=kind, usd_per_1000=None, basis="", unknown=why)


def usd_text(value: float) -> str:
    """Print US dollars: cents from 100 on, four figures below."""
    return f"${value:,.2f}" if value >= 100 else f"${value:.4g}"
