"""The comparison: per-item replies and scores of every arm, under a plan hashed beforehand."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneproof.artifacts.base import Artifact, Record

ArmKind = Literal["base", "tuned", "rival", "frontier"]


class Arm(Record):
    """One way to answer the test items."""

    name: str
    """For example `base-0-shot`, `tuned-f16`, `nearest-neighbour`; also its reply file's name."""
    title: str
    """As printed in tables."""
    kind: ArmKind
    engine: str
    """For example `llama.cpp (embedded)`, `transformers`, `scikit-learn`."""
    file: str | None = None
    """The model file, if the arm has one."""
    shots: int = 0
    note: str = ""


class Reply(Record):
    """What one arm answered to one item."""

    measured: ClassVar[frozenset[str]] = frozenset({"ms"})

    item_id: str
    text: str
    finish: Literal["stop", "length"]
    """`length`: the token limit cut the reply."""
    prompt_tokens: int
    output_tokens: int
    ms: float | None
    """Wall time of the call in milliseconds, client side, concurrency 1; None where calls were batched."""


class Score(Record):
    """A reply against what was expected."""

    item_id: str
    correct: bool
    """The value reaches `right_at`; what the gate counts."""
    parse_failure: bool
    value: float
    """0 to 1, by the metric; 0 or 1 for metrics that know nothing between."""
    empty: bool
    refusal: bool


class Figure(Record):
    """A number of the metric over the whole test, for example the F1 of one field."""

    name: str
    value: float
    n: int
    """Items it rests on."""


class Confusion(Record):
    """Expected labels against replied ones."""

    labels: tuple[str, ...]
    """The last one gathers every reply that is no label of the test."""
    counts: tuple[tuple[int, ...], ...]
    """Row: expected; column: replied."""


class Interval(Record):
    """A two-sided interval at the plan's confidence."""

    low: float
    high: float


class ArmResult(Record):
    """One row of the table; every number can be recomputed from the arm's replies."""

    measured: ClassVar[frozenset[str]] = frozenset({"p50_ms", "p95_ms", "usd_per_1000"})

    arm: Arm
    n: int
    correct: int
    rate: float
    interval: Interval
    """Wilson score interval of `rate`."""
    parse_failures: int
    over_limit: int
    """Replies cut by the token limit."""
    output_tokens_mean: float | None
    """None for arms that produce no tokens."""
    p50_ms: float | None
    p95_ms: float | None
    """None below 59 timed calls, where no one-sided 95 % bound exists, or where calls were batched."""
    usd_per_1000: float | None
    """None where the machine's price is unknown."""
    unseen_n: int
    """Items whose expected output never occurs in train."""
    unseen_correct: int
    empty: int = 0
    refusals: int = 0
    mean_value: float | None = None
    """Mean value of a graded metric; None where a reply is right or wrong and nothing between."""
    mean_interval: Interval | None = None
    """Seeded percentile bootstrap of `mean_value`."""
    figures: tuple[Figure, ...] = ()
    confusion: Confusion | None = None


class ShotTrial(Record):
    """The base with one number of shots, on dev."""

    shots: int
    correct: int
    parse_failures: int
    n: int
    mean_value: float | None = None
    fits: bool = True
    """False: the examples do not fit the context beside the longest input, so this number was not tried."""


class EvalPlan(Artifact):
    """Fixed and hashed before the first test access."""

    metric: str
    scoring: str = ""
    """Digest of the scoring section and of the files of code and schema that task.yaml names."""
    contrast: str
    alpha: float
    confidence: float
    adapter: str
    """Digest of the adapter's record: another tune under test is another plan, and another round."""
    test_digest: str
    prompt_sha256: str
    arms: tuple[str, ...]
    shots_rule: str
    exclusion_rule: str
    max_new_tokens: int
    seed: int


class LedgerEntry(Record):
    """One access to the test set, chained to the entry before it."""

    at: str
    """UTC, ISO 8601."""
    who: str
    arm: str
    plan_digest: str
    previous: str
    """SHA-256 of the previous entry, or `genesis`."""


class Parity(Record):
    """Whether the runtime sends the model what training saw."""

    prompts: int
    text_equal: int
    tokens_equal: int
    one_bos: bool


class Comparison(Artifact):
    """The arms measured in one step, with the plan they were measured under."""

    measured: ClassVar[frozenset[str]] = frozenset({"machine"})

    plan_digest: str
    arms: tuple[ArmResult, ...]
    shot_trials: tuple[ShotTrial, ...]
    chosen_shots: int
    parity: Parity
    not_measured: dict[str, str]
    """Arm → reason, for example `frontier` → `no key`."""
    machine: str
