"""Stored times of replies → how long a call takes, with what so many calls can say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneproof.artifacts import Reply, Timing
from tuneproof.statistics import p95, percentile, percentile_interval


def taken_in_turns(replies: Mapping[str, Sequence[Reply]]) -> bool:
    """Say whether every item was answered by all of these arms in one session.

    A session that was cut off inside an item leaves that one half asked; it is forgiven once. Replies that
    were kept from another session are not.

    Args:
        replies: arm → replies with `at`, the beginning of their session.
    """
    sessions: dict[str, set[str]] = {}
    for each in replies.values():
        for reply in each:
            sessions.setdefault(reply.item_id, set()).add(reply.at)
    return sum(len(found) > 1 for found in sessions.values()) <= 1


def timing_of(
    arm: str,
    replies: Sequence[Reply],
    *,
    concurrency: int = 1,
    interleaved: bool = False,
    cold_start_ms: float | None = None,
    wall_s: float | None = None,
) -> Timing | None:
    """Compute an arm's times from its replies.

    Percentiles are nearest ranks and their intervals order statistics, so each is a measured value. No p95
    below 59 calls, and no interval of it below 72: see `statistics.p95` and `statistics.percentile_interval`.

    Args:
        arm: whose replies these are.
        replies: those without a time are left out.
        concurrency: calls at once.
        interleaved: whether other arms were asked in between, in random order.
        cold_start_ms: loading the file and its first token.
        wall_s: how long all calls took together, where several ran at once.

    Returns:
        None if no reply has a time.
    """
    timed = [reply for reply in replies if reply.ms is not None and reply.finish != "failed"]
    if not timed:
        return None
    whole = [reply.ms for reply in timed if reply.ms is not None]
    first = [reply.first_ms for reply in timed if reply.first_ms is not None]
    later = [
        (reply.ms - reply.first_ms) / (reply.output_tokens - 1)
        for reply in timed
        if reply.ms is not None and reply.first_ms is not None and reply.output_tokens > 1
    ]
    tokens = [reply.output_tokens for reply in timed]
    return Timing(
        arm=arm,
        n=len(timed),
        concurrency=concurrency,
        interleaved=interleaved,
        p50_ms=percentile(whole, share=0.5),
        p50_interval=percentile_interval(whole, share=0.5),
        p95_ms=p95(whole),
        p95_interval=percentile_interval(whole, share=0.95),
        first_p50_ms=percentile(first, share=0.5) if first else None,
        first_p95_ms=p95(first) if first else None,
        per_token_p50_ms=round(percentile(later, share=0.5), 3) if later else None,
        output_tokens_mean=sum(tokens) / len(tokens) if any(tokens) else None,
        calls_per_s=round(len(timed) / wall_s, 4) if wall_s else None,
        wall_s=wall_s,
        cold_start_ms=cold_start_ms,
    )
