"""The verdict: the gate of every file, the decision, and the paragraph."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneproof.artifacts.base import Artifact, Record
from tuneproof.artifacts.comparison import ArmResult, Interval, wider_of
from tuneproof.artifacts.costs import Costs
from tuneproof.artifacts.latency import Timing

GateOutcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Decision = Literal["move", "stay", "not_enough_evidence"]
Advice = Literal[
    "move",
    "use the frontier",
    "use the base with a better prompt",
    "use the cheap rival",
    "fine-tuning not needed",
    "not enough evidence",
]
"""What to do; `decision` says the same in three words."""


class Contrast(Record):
    """One arm against another on the same items."""

    arm: str
    """The one that should be better."""
    against: str
    """The other."""
    n: int
    """Items."""
    wins: int
    """Items that `arm` has right and `against` wrong."""
    losses: int
    """Items that `against` has right and `arm` wrong."""
    difference: float
    """(wins − losses) / n."""
    interval: Interval
    """Tango score interval of the difference."""
    p_one_sided: float
    """`arm` better than `against`, by `test`."""
    test: str = "mid-p McNemar"
    """`mid-p McNemar`, or `sign flips of groups` where items come in groups."""
    clusters: int = 0
    """Groups among the items; 0 where every item is a group of its own."""
    cluster_interval: Interval | None = None
    """Seeded bootstrap of the difference over groups."""
    p_holm: float | None = None
    """Holm's correction within its family; None for the contrasts that the plan names beforehand."""
    value_difference: float | None = None
    """Difference of the mean values, of a graded metric or of repeated replies."""
    value_interval: Interval | None = None
    """BCa bootstrap of it, paired."""
    value_p: float | None = None
    """Sign flips, one-sided."""

    @property
    def wider(self) -> Interval:
        """The wider of the Tango and the cluster interval: the one to print and to decide by."""
        return wider_of(self.interval, self.cluster_interval)


class Equality(Record):
    """Whether one arm is shown to be as good as another, within a margin fixed beforehand."""

    arm: str
    """The one that should be as good."""
    against: str
    """The other."""
    n: int
    """Items."""
    margin: float
    """Share of items by which `arm` may be worse."""
    low: float
    """One-sided 95 % lower bound of the difference; of groups, the lower of Tango's and the bootstrap's."""
    shown: bool
    """`low` lies above −margin."""
    better: bool
    """`arm` is even shown better, by the test of the gate."""
    worse: bool
    """`against` is shown better, by the test of the gate."""
    items_needed: int | None
    """Items with which a true difference of 0 would be shown equal with 80 % power at these flips."""


class FileStep(Record):
    """What a smaller file loses against the f16 one."""

    file: str
    """The smaller file."""
    quant: str
    """For example `Q8_0`."""
    contrast: Contrast
    """It against f16."""
    flips: float
    """Share of items on which one is right and the other wrong."""
    flips_interval: Interval
    """Wilson score interval of `flips`."""
    equality: Equality
    """With the margin of the plan."""
    claim: Literal["no loss worth noting", "no loss seen", "loss"]
    """Shown within the margin; neither shown; or worse, by the test or by the whole interval."""
    in_sequence: bool
    """Files are tested from the largest down and the first failure ends the sequence; after it: False."""
    could_hide: float
    """Largest loss, as a share, that this test does not exclude."""
    same_text: float
    """Share of replies that are equal letter by letter."""
    length_ratio: float | None
    """Mean output tokens against f16's; outside 0.9 to 1.1 it talks more or less."""
    parse_failures_more: int
    """Parse failures against f16's."""


class ClassLoss(Record):
    """An expected output with ten items or more, on which the file loses more than 20 points."""

    label: str
    """The expected output."""
    n: int
    """Items with it."""
    base_right: int
    """Right replies of the base."""
    tuned_right: int
    """Right replies of the file."""


class SeedSpread(Record):
    """The same training with other seeds: how much of the result is chance."""

    arms: tuple[str, ...]
    """The declared seed's arm first."""
    rates: tuple[float, ...]
    """Share right of each."""
    mean: float
    """Of the rates."""
    low: float
    """Lowest rate."""
    high: float
    """Highest rate."""
    gain: float
    """Mean rate above the best base."""
    exceeds_gain: bool
    """The range is wider than the gain: the seed decides as much as the tune."""


class Control(Record):
    """A tune that must not work; if it passes the gate, the pipeline leaks."""

    name: str
    """`shuffled-labels` or `blank-input`."""
    contrast: Contrast
    """It against the best base, or against the commonest answer where that is better."""
    outcome: GateOutcome
    """Anything but PASS is as it must be."""


class Slice(Record):
    """A part of the test."""

    kind: Literal["label", "length", "distance", "seen", "gold"]
    """By expected output, length of input, distance to train, output seen in train, how gold was labelled."""
    name: str
    """Which part."""
    n: int
    """Items."""
    right: dict[str, int]
    """Arm → right replies: best base, served file, strongest rival, frontier."""


class FailureCluster(Record):
    """Wrong replies of the served file that have something in common."""

    name: str
    """What they have in common."""
    n: int
    """How many."""
    items: tuple[str, ...]
    """All of them, by id."""


class Gate(Record):
    """The gate of one file that could be published."""

    file: str
    """The file that could be published."""
    contrast: Contrast
    """The file against its best base."""
    outcome: GateOutcome
    """Only PASS lets a file be published."""
    reason: str
    """Why, with the numbers."""
    class_losses: tuple[ClassLoss, ...] = ()
    """Expected outputs that the file does much worse on than its base, whatever the gate says."""
    items_needed: int | None = None
    """Of an INCONCLUSIVE gate: items with which the seen difference would pass with 80 % power."""


class ChangedItem(Record):
    """An item that the tune fixed or broke, with both replies."""

    item_id: str
    """The item."""
    input: str
    """What went in."""
    expected: str
    """What should have come out."""
    base_reply: str
    """What the base answered."""
    tuned_reply: str
    """What the tuned model answered."""


class Verdict(Artifact):
    """What to do, and every number that says so."""

    measured: ClassVar[frozenset[str]] = frozenset(
        {"paragraph", "costs", "headline", "made_at", "latency_ratio", "api_timings"}
    )
    """It is made of the other fields, times among them."""

    gate: GateOutcome
    """Of the file that would be served."""
    decision: Decision
    """From the whole table, not from the gate alone."""
    headline: str
    """The decision in one sentence."""
    paragraph: str
    """The decision with its numbers, put together from a closed list of sentences."""
    arms: tuple[ArmResult, ...]
    """Every row of the table."""
    gates: tuple[Gate, ...]
    """One a file."""
    rivals: tuple[Contrast, ...]
    """The served file against every cheap rival."""
    quant_steps: tuple[Contrast, ...]
    """Each file against the one it was made from: adapter → f16 → Q8_0 → …"""
    files: tuple[FileStep, ...] = ()
    """Each smaller file against f16, in the sequence of the plan."""
    frontier: Contrast | None = None
    """The served file against the frontier."""
    frontier_equality: Equality | None = None
    """Whether it is shown as good as the frontier, within the plan's margin."""
    endpoints: tuple[Contrast, ...] = ()
    """The served file against every other endpoint."""
    format_gain: Contrast | None = None
    """The best base, constrained against free: what the form alone is worth."""
    seeds: SeedSpread | None = None
    """None where one seed was trained."""
    controls: tuple[Control, ...] = ()
    """Tunes that must not work."""
    slices: tuple[Slice, ...] = ()
    """Parts of the test."""
    failures: tuple[FailureCluster, ...] = ()
    """What the served file's wrong replies have in common."""
    costs: Costs | None = None
    """What calls cost, and the break-even."""
    latency_ratio: Interval | None = None
    """Median call of the served file as a share of the frontier's: paired bootstrap; not of recorded ones."""
    api_timings: tuple[Timing, ...] = ()
    """Times of every arm behind an API that was asked here, network included."""
    advice: Advice = "not enough evidence"
    """What to do, of a closed list."""
    optimism: float | None = None
    """By how much, as a share, the best of the rounds is expected to look too good; None for one round."""
    observed_detectable_gain: float | None = None
    """As `minimum_detectable_gain`, for the share of items that this tune was seen to break."""
    deviations: tuple[str, ...] = ()
    """Where the run differs from its plan."""
    made_at: str = ""
    """UTC, ISO 8601."""
    fixed: tuple[ChangedItem, ...]
    """Items that the base has wrong and the served file right."""
    broken: tuple[ChangedItem, ...]
    """Items that the base has right and the served file wrong."""
    not_measured: dict[str, str]
    """Arm → reason."""
    test_accesses: int
    """Rounds in the ledger: distinct plans under which the test set was read."""
    minimum_detectable_gain: float
    """Smallest gain found with 80 % power at this n, as a share, for 5 % of items broken."""
    plan_digest: str
    """The plan under which everything was measured."""
    thresholds_digest: str
    """Of the gate's settings."""
