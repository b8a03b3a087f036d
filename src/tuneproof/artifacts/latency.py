"""How long a call takes: one line an arm, computed from the stored times of its replies."""

from __future__ import annotations

from typing import ClassVar

from tuneproof.artifacts.base import Record
from tuneproof.artifacts.comparison import Interval


class Timing(Record):
    """Times of one arm, in milliseconds at the client, streamed."""

    measured: ClassVar[frozenset[str]] = frozenset(
        {"p50_ms", "p50_interval", "p95_ms", "p95_interval", "first_p50_ms", "first_p95_ms"}
        | {"per_token_p50_ms", "calls_per_s", "cold_start_ms", "wall_s"}
    )

    arm: str
    """Whose they are."""
    n: int
    """Timed calls; the warm-up is not among them."""
    concurrency: int
    """Calls at once."""
    interleaved: bool
    """Asked item by item in random order with the other arms, so that all saw the same machine."""
    p50_ms: float
    """Median of the whole call."""
    p50_interval: Interval | None
    """Between two measured values (order statistics); None where n is too small."""
    p95_ms: float | None
    """None below 59 calls."""
    p95_interval: Interval | None
    """None below 72 calls."""
    first_p50_ms: float | None
    """Median time to the first non-empty text (TTFT)."""
    first_p95_ms: float | None
    """None below 59 calls."""
    per_token_p50_ms: float | None
    """Median of (whole − first) / (output tokens − 1), of replies with two tokens or more (TPOT)."""
    output_tokens_mean: float | None
    """A terser arm is faster for that reason too."""
    calls_per_s: float | None = None
    """At a load point: calls answered a second."""
    wall_s: float | None = None
    """At a load point: how long it took, in seconds."""
    cold_start_ms: float | None = None
    """Loading the file and its first token."""
