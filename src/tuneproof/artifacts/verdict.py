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
    against: str
    n: int
    wins: int
    """Items that `arm` has right and `against` wrong."""
    losses: int
    difference: float
    """(wins − losses) / n."""
    interval: Interval
    """Tango score interval of the difference."""
    p_one_sided: float
    """Mid-p McNemar, `arm` better than `against`."""


class Gate(Record):
    """The gate of one file that could be published."""

    file: str
    contrast: Contrast
    outcome: GateOutcome
    reason: str


class ChangedItem(Record):
    """An item that the tune fixed or broke, with both replies."""

    item_id: str
    input: str
    expected: str
    base_reply: str
    tuned_reply: str


class Verdict(Artifact):
    """What to do, and every number that says so."""

    measured: ClassVar[frozenset[str]] = frozenset({"paragraph"})
    """It is made of the other fields, times among them."""

    gate: GateOutcome
    """Of the file that would be served."""
    decision: Decision
    headline: str
    paragraph: str
    arms: tuple[ArmResult, ...]
    gates: tuple[Gate, ...]
    rivals: tuple[Contrast, ...]
    """The served file against every cheap rival."""
    quant_steps: tuple[Contrast, ...]
    """Each file against the one it was made from: adapter → f16 → Q8_0 → …"""
    fixed: tuple[ChangedItem, ...]
    broken: tuple[ChangedItem, ...]
    not_measured: dict[str, str]
    test_accesses: int
    """Rounds in the ledger: distinct plans under which the test set was read."""
    minimum_detectable_gain: float
    """Smallest gain found with 80 % power at this n, as a share, for 5 % of items broken."""
    plan_digest: str
    thresholds_digest: str
