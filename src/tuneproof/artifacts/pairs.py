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
    """File or call that this pair came from."""


class Provenance(Record):
    """Where the outputs came from. Drafted pairs need a review here; imported ones need an authority."""

    kind: Literal["imported", "drafted"]
    source: str
    source_version: str
    licence: str
    attribution: str


class Drafts(Artifact):
    """Every pair before review, in a fixed order."""

    provenance: Provenance
    pairs: tuple[Pair, ...]
    left_out: dict[str, int] = {}
    """Reason → number of source rows that did not become a pair."""


class Reviewed(Artifact):
    """Every pair that may go on, and on whose word."""

    provenance: Provenance
    statement: str
    """Printed on the card, for example `expert-labelled by the source, not reviewed here`."""
    accepted: int
    fixed: int
    deleted: int
    pairs: tuple[Pair, ...]
