"""Pairs on their way to the split: drafted or imported, then reviewed."""

from __future__ import annotations

from typing import Literal

from tuneproof.artifacts.base import Artifact, Record


class Pair(Record):
    """One input with the output that the model should learn."""

    id: str
    input: str
    output: str
    source: str
    """File and line, or call, that this pair came from."""
    group: str | None = None
    """What the source says belongs together; rows of a group stay on one side of the split."""


class Provenance(Record):
    """Where the outputs came from. Drafted pairs need a review here; imported ones need an authority."""

    kind: Literal["imported", "drafted"]
    source: str
    source_version: str
    licence: str
    attribution: str


class LeftOut(Record):
    """A source row that did not become a pair."""

    place: str
    """File and line."""
    reason: str


class Drafts(Artifact):
    """Every pair before review, in a fixed order."""

    provenance: Provenance
    pairs: tuple[Pair, ...]
    left_out: dict[str, int] = {}
    """Reason → number of source rows that did not become a pair."""
    rejected: tuple[LeftOut, ...] = ()
    """The same rows one by one, where the source is a file of the user's own."""


class Reviewed(Artifact):
    """Every pair that may go on, and on whose word."""

    provenance: Provenance
    statement: str
    """Printed on the card, for example `labelled by the support team, not reviewed here`."""
    accepted: int
    fixed: int
    deleted: int
    pairs: tuple[Pair, ...]
