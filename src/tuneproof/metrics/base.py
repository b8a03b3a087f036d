"""What a metric is: one reply against one expected output, as a value from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tuneproof.artifacts import Confusion, Figure
from tuneproof.artifacts.case import ScoringSection


class Grade(NamedTuple):
    """One reply against one expected output."""

    value: float
    """0 to 1."""
    parsed: bool = True
    """False: the reply does not have the form that the metric reads."""


class Options(NamedTuple):
    """What a metric may know, beside the two texts."""

    section: ScoringSection
    schema: dict[str, Any] | None = None
    """The JSON Schema that `section.json_schema` names or holds."""
    own: Callable[[str, str], float] | None = None
    """The user's function, for `module:function`."""


Texts = Sequence[tuple[str, str]]
"""(reply, expected) of every item, in order."""


class Metric(NamedTuple):
    """A metric: how one reply is graded, and what else is said about all of them."""

    name: str
    grade: Callable[[str, str, Options], Grade]
    """(reply, expected, options) → grade."""
    graded: bool = False
    """Values between 0 and 1 occur, so their mean is reported beside the share that is right."""
    value_name: str = ""
    """What a value is called in tables, for example `field F1`; empty: as the metric."""
    all_right: str = ""
    """What a value of 1 means, for example `all fields right`; empty: as the metric."""
    problem: Callable[[str, Options], str] = lambda _expected, _options: ""
    """Why a text cannot be an expected output; empty if it can."""
    figures: Callable[[Texts, Options], tuple[Figure, ...]] = lambda _texts, _options: ()
    confusion: Callable[[Texts, Options], Confusion | None] = lambda _texts, _options: None

    def share_name(self, right_at: float) -> str:
        """Name the share of replies whose value reaches `right_at`."""
        if self.graded and right_at < 1:
            return f"{self.value_name or self.name} ≥ {right_at:g}"
        return self.all_right or self.name
