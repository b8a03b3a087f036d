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
    """Decides which comparisons it is part of."""
    engine: str
    """For example `llama.cpp (embedded)`, `transformers`, `scikit-learn`."""
    file: str | None = None
    """The model file, if the arm has one."""
    shots: int = 0
    """Examples in its prompt."""
    note: str = ""
    """What a reader of the table should know."""


class Reply(Record):
    """What one arm answered to one item."""

    measured: ClassVar[frozenset[str]] = frozenset({"ms"})

    item_id: str
    """The item, or the dev pair."""
    text: str
    """As it came."""
    finish: Literal["stop", "length"]
    """`length`: the token limit cut the reply."""
    prompt_tokens: int
    """0 for arms without tokens."""
    output_tokens: int
    """The end token among them."""
    ms: float | None
    """Wall time of the call in milliseconds, client side, concurrency 1; None where calls were batched."""


class Score(Record):
    """A reply against what was expected."""

    item_id: str
    """The item."""
    correct: bool
    """The value reaches `right_at`; what the gate counts."""
    parse_failure: bool
    """The reply does not have the form of an answer."""
    value: float
    """0 to 1, by the metric; 0 or 1 for metrics that know nothing between."""
    empty: bool
    """There is no text."""
    refusal: bool
    """The reply refuses to answer."""


class Figure(Record):
    """A number of the metric over the whole test, for example the F1 of one field."""

    name: str
    """What it is."""
    value: float
    """Its value."""
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
    """Lower end."""
    high: float
    """Upper end."""


class ArmResult(Record):
    """One row of the table; every number can be recomputed from the arm's replies."""

    measured: ClassVar[frozenset[str]] = frozenset({"p50_ms", "p95_ms", "usd_per_1000"})

    arm: Arm
    """Whose row it is."""
    n: int
    """Items."""
    correct: int
    """Replies that are right."""
    rate: float
    """correct / n."""
    interval: Interval
    """Wilson score interval of `rate`."""
    parse_failures: int
    """Replies without the form of an answer."""
    over_limit: int
    """Replies cut by the token limit."""
    output_tokens_mean: float | None
    """None for arms that produce no tokens."""
    p50_ms: float | None
    """Median time of a call; None where calls were batched."""
    p95_ms: float | None
    """None below 59 timed calls, where no one-sided 95 % bound exists, or where calls were batched."""
    usd_per_1000: float | None
    """None where the machine's price is unknown."""
    unseen_n: int
    """Items whose expected output never occurs in train."""
    unseen_correct: int
    """Of these, right ones."""
    empty: int = 0
    """Replies without text."""
    refusals: int = 0
    """Replies that refuse to answer."""
    mean_value: float | None = None
    """Mean value of a graded metric; None where a reply is right or wrong and nothing between."""
    mean_interval: Interval | None = None
    """Seeded percentile bootstrap of `mean_value`."""
    figures: tuple[Figure, ...] = ()
    """What else the metric says of all replies."""
    confusion: Confusion | None = None
    """Expected against replied labels; None where there are none, or too many."""


class ShotTrial(Record):
    """The base with one number of shots, on dev."""

    shots: int
    """Examples in the prompt."""
    correct: int
    """Right replies on dev."""
    parse_failures: int
    """Replies without the form of an answer."""
    n: int
    """Dev pairs."""
    mean_value: float | None = None
    """Mean value of the metric."""
    fits: bool = True
    """False: the examples do not fit the context beside the longest input, so this number was not tried."""


class EvalPlan(Artifact):
    """Fixed and hashed before the first test access."""

    metric: str
    """What counts as right."""
    scoring: str = ""
    """Digest of the scoring section and of the files of code and schema that task.yaml names."""
    comparison: str = ""
    """Digest of the comparison section: shots, dev items, rule, frontier."""
    serving: str = ""
    """Digest of the serving section: the context, and the machine's price."""
    task: str = ""
    """Digest of the task section: prompt, metric, answer pattern, limit."""
    train_digest: str = ""
    """Of the train part of the lock: examples and rivals are made of it."""
    dev_digest: str = ""
    """Of the dev part: the number of examples is chosen on it."""
    contrast: str
    """What the gate compares."""
    alpha: float
    """One-sided level of the gate."""
    confidence: float
    """Two-sided level of the intervals."""
    adapter: str
    """Digest of the adapter's record: another tune under test is another plan, and another round."""
    test_digest: str
    """Of the test part of the lock."""
    prompt_sha256: str
    """Of the prompts of all test items."""
    arms: tuple[str, ...]
    """What will be measured."""
    rivals_rule: str = ""
    """Which rivals are fitted, and how."""
    shots_rule: str
    """How the number of examples is chosen."""
    exclusion_rule: str
    """Which items are left out."""
    max_new_tokens: int
    """Limit of a reply."""
    seed: int
    """Of the training."""


class LedgerEntry(Record):
    """One access to the test set, chained to the entry before it."""

    at: str
    """UTC, ISO 8601."""
    who: str
    """The command."""
    arm: str
    """What was measured."""
    plan_digest: str
    """The plan under which it was."""
    previous: str
    """SHA-256 of the previous entry, or `genesis`."""


class Parity(Record):
    """Whether the runtime sends the model what training saw."""

    prompts: int
    """Test prompts that were compared."""
    text_equal: int
    """Of these, with equal text."""
    tokens_equal: int
    """Of these, with equal token ids."""
    one_bos: bool
    """None begins with two BOS tokens."""


class Comparison(Artifact):
    """The arms measured in one step, with the plan they were measured under."""

    measured: ClassVar[frozenset[str]] = frozenset({"machine"})

    plan_digest: str
    """The plan that all arms share."""
    arms: tuple[ArmResult, ...]
    """In the order in which they were measured."""
    shot_trials: tuple[ShotTrial, ...]
    """The base on dev, for each number of examples."""
    chosen_shots: int
    """The number of examples that did best."""
    parity: Parity
    """Of the base's file."""
    not_measured: dict[str, str]
    """Arm → reason, for example `frontier` → `no key`."""
    machine: str
    """Processor, cores, memory."""
