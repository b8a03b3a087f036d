"""Pairs on their way to the split: drafted or imported, then reviewed."""

from __future__ import annotations

from typing import Literal

from tuneproof.artifacts.base import Artifact, Record


class Pair(Record):
    """One input with the output that the model should learn."""

    id: str
    """Names the pair in every report."""
    input: str
    """What goes in."""
    output: str
    """What should come out."""
    source: str
    """File and line, or call, that this pair came from."""
    group: str | None = None
    """What the source says belongs together; rows of a group stay on one side of the split."""


class Provenance(Record):
    """Where the outputs came from. Drafted pairs need a review here; imported ones need an authority."""

    kind: Literal["imported", "drafted"]
    """Imported pairs need an authority, drafted ones a review."""
    source: str
    """Package, file or folder."""
    source_version: str
    """Version of the package, or the start of the file's hash."""
    licence: str
    """SPDX id of the data's licence."""
    attribution: str
    """As the licence asks for it."""


class LeftOut(Record):
    """A source row that did not become a pair."""

    place: str
    """File and line."""
    reason: str
    """Why it is no pair."""


class Drafts(Artifact):
    """Every pair before review, in a fixed order."""

    provenance: Provenance
    """Where they came from."""
    pairs: tuple[Pair, ...]
    """In the order of the source."""
    left_out: dict[str, int] = {}
    """Reason → number of source rows that did not become a pair."""
    rejected: tuple[LeftOut, ...] = ()
    """The same rows one by one, where the source is a file of the user's own."""


class Reviewed(Artifact):
    """Every pair that may go on, and on whose word."""

    provenance: Provenance
    """Where they came from."""
    statement: str
    """Printed on the card, for example `labelled by the support team, not reviewed here`."""
    accepted: int
    """Pairs that go on as they are."""
    fixed: int
    """Pairs that go on changed."""
    deleted: int
    """Pairs that do not go on."""
    pairs: tuple[Pair, ...]
    """Stored in `2-drafts`."""
