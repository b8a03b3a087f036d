"""The pieces that a report is built from; both templates write each of them, so HTML and Markdown agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tuneproof.artifacts import (
    Adapter,
    ArmResult,
    Case,
    Comparison,
    EvalPlan,
    Ladder,
    LedgerEntry,
    Provenance,
    Reply,
    Serving,
    Split,
    Verdict,
)
from tuneproof.artifacts.curves import CurveRow
from tuneproof.artifacts.desk import ReviewFigures
from tuneproof.artifacts.verdict import Gate
from tuneproof.report_text import Table, marked_title


class ReportInput(NamedTuple):
    """Everything the report prints."""

    case: Case
    split: Split
    adapter: Adapter
    comparison: Comparison
    ladder: Ladder
    serving: Serving
    verdict: Verdict
    curves: tuple[CurveRow, ...]
    provenance: Provenance
    statement: str
    """Who vouches for the labels, for example `labelled by the support team, not reviewed here`."""
    plan: EvalPlan
    """What was fixed before the first test access."""
    ledger: tuple[LedgerEntry, ...]
    """Every access to the test set, the first one first."""
    replies: Mapping[str, Sequence[Reply]]
    """Arm → its replies; of the served file at least, for the examples of its failures."""
    tuneproof_version: str
    review: ReviewFigures | None = None
    """How the decisions on drafted pairs were made, where they were made here."""

    @property
    def confidence(self) -> float:
        """Two-sided level of every interval."""
        return self.case.task_file.gate.confidence

    @property
    def titles(self) -> dict[str, str]:
        """Arm → as printed in tables."""
        return {result.arm.name: marked_title(result.arm) for result in self.verdict.arms}

    @property
    def served(self) -> ArmResult | None:
        """Row of the file that is served."""
        return next((a for a in self.verdict.arms if a.arm.file == self.serving.model_file), None)

    @property
    def served_gate(self) -> Gate | None:
        """Gate of the file that is served."""
        return next((g for g in self.verdict.gates if g.file == self.serving.model_file), None)

    def title(self, arm: str) -> str:
        """Return the title of an arm, or its name where it has no row."""
        return self.titles.get(arm, arm)


class Heading(NamedTuple):
    """Of a part of a section."""

    title: str


class Text(NamedTuple):
    """A paragraph; what stands between backticks is code."""

    text: str
    note: bool = False
    """Set off, so that it cannot be overlooked."""
    links: bool = False
    """Web addresses in it become links."""


class Lines(NamedTuple):
    """A list."""

    lines: tuple[str, ...]


class Facts(NamedTuple):
    """Names and values."""

    pairs: tuple[tuple[str, object], ...]


class Plot(NamedTuple):
    """A picture, which only the page has."""

    draw: Callable[[], str]
    """Returns the SVG."""
    name: str
    """As it is read aloud."""
    caption: str


class Example(NamedTuple):
    """An item with what was said about it."""

    title: str
    texts: tuple[tuple[str, str], ...]
    """Name and text, the input first."""


class Examples(NamedTuple):
    """Items, of which a page folds up all but the first."""

    items: tuple[Example, ...]
    shown: int


Block = Heading | Text | Lines | Facts | Table | Plot | Examples


class Section(NamedTuple):
    """A part of the report with its own heading."""

    id: str
    """Of its link."""
    short: str
    """In the list of sections."""
    title: str
    blocks: tuple[Block, ...]
