"""The verdict: the gate of every file, the decision, and the paragraph."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuneproof.artifacts.base import Artifact, Record
from tuneproof.artifacts.comparison import ArmResult, Interval

GateOutcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Decision = Literal["move", "stay", "not_enough_evidence"]


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
    """Mid-p McNemar, `arm` better than `against`."""


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

    measured: ClassVar[frozenset[str]] = frozenset({"paragraph"})
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
