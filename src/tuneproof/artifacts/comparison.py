"""The comparison: per-item replies and scores of every arm, under a plan hashed beforehand."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneproof.artifacts.base import Artifact, Record
from tuneproof.artifacts.costs import PriceUsed

ArmKind = Literal["base", "tuned", "rival", "frontier", "endpoint", "seed", "control"]


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
    prompt: str = ""
    """Name of its prompt variant, where it was chosen among several."""
    constrained: bool = False
    """Its replies are held to the schema, the labels or the answer pattern while they are generated."""
    model: str = ""
    """Id of the model behind an API."""
    recorded: str = ""
    """Who made the replies elsewhere, and when; empty for arms that were asked here."""
    note: str = ""
    """What a reader of the table should know."""


class Reply(Record):
    """What one arm answered to one item."""

    measured: ClassVar[frozenset[str]] = frozenset({"ms", "first_ms", "at"})

    item_id: str
    """The item, or the dev pair."""
    text: str
    """As it came."""
    finish: Literal["stop", "length", "refused", "failed"]
    """`length`: cut by the limit; `refused`: withheld by the API; `failed`: no reply after all retries."""
    prompt_tokens: int
    """0 for arms without tokens."""
    output_tokens: int
    """The end token among them."""
    ms: float | None
    """Wall time of the call in milliseconds, client side, concurrency 1; None where calls were batched."""
    first_ms: float | None = None
    """Time to the first non-empty text, of a streamed reply."""
    cached_tokens: int = 0
    """Of the prompt tokens, those that the API read from a cache."""
    reasoning_tokens: int = 0
    """Of the output tokens, those that were reasoning."""
    attempts: int = 1
    """Calls until there was a reply."""
    model: str = ""
    """Id that the API answered with."""
    at: str = ""
    """UTC, ISO 8601: of arms behind an API the call, of local arms the beginning of their session."""
    prompt_sha256: str = ""
    """Of the request, for arms behind an API and for replies made elsewhere."""
    error: str = ""
    """Why it failed."""


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


def wider_of(interval: Interval, other: Interval | None) -> Interval:
    """Return the wider of two intervals; `interval` where there is no other or both are as wide."""
    if other is None or other.high - other.low <= interval.high - interval.low:
        return interval
    return other


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
    """API: at the list price. Local: at the planned utilisation. None where a price is unknown."""
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
    prompt_tokens_mean: float | None = None
    """None for arms that read no tokens."""
    repeat_rates: tuple[float, ...] = ()
    """Share right of every repeat, the first among them; empty where the items were asked once."""
    clusters: int = 0
    """Groups among the items; 0 where every item is a group of its own."""
    icc: float | None = None
    """Intraclass correlation of being right within a group."""
    design_effect: float | None = None
    """How many times larger the variance is than with independent items."""
    cluster_interval: Interval | None = None
    """Seeded bootstrap of `rate` over groups."""
    excluded: int = 0
    """Items left out of every arm, because some API gave no reply to them after all retries."""

    @property
    def wider(self) -> Interval:
        """The wider of the Wilson and the cluster interval: the one to print."""
        return wider_of(self.interval, self.cluster_interval)


class PromptTrial(Record):
    """A model with one prompt variant, on dev."""

    arm: str
    """`base`, or the arm of the endpoint."""
    prompt: str
    """Name of the variant."""
    shots: int
    """Examples in the prompt."""
    style: str
    """Where the examples stand, and what else is said."""
    constrained: bool = False
    """Whether the replies were held to the form of an answer."""
    correct: int
    """Right replies on dev."""
    parse_failures: int
    """Replies without the form of an answer."""
    n: int
    """Dev pairs."""
    mean_value: float | None = None
    """Mean value of the metric."""
    fits: bool = True
    """False: the examples do not fit the context beside the longest input, so it was not tried."""


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
    trials: tuple[PromptTrial, ...]
    """Every prompt variant on dev, of the base and of each endpoint."""
    chosen: dict[str, str]
    """Arm → name of the prompt variant that did best for it on dev."""
    budget: str
    """How many dev calls each model had for that choice."""
    parity: Parity
    """Of the base's file."""
    not_measured: dict[str, str]
    """Arm → reason, for example `frontier` → `no key`."""
    machine: str
    """Processor, cores, memory."""
    excluded: tuple[str, ...] = ()
    """Items without a reply of some API after all retries: left out of every arm."""
    prices: dict[str, PriceUsed] = {}
    """Arm → the price of its model on the day of the comparison."""
    price_unknown: dict[str, str] = {}
    """Arm → why its price is not known."""
    constraint: str = ""
    """What holds constrained replies to the form of an answer, or why nothing can."""
