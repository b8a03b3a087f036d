"""Pairs on their way to the split: drafted or imported, then reviewed."""

from __future__ import annotations

from typing import Literal

from tuneproof.artifacts.base import Artifact, Record
from tuneproof.artifacts.desk import ReviewFigures


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
    teacher: str = ""
    """Model that drafted the outputs, with its address; empty for outputs that were there."""
    terms_url: str = ""
    """The teacher's terms that were acknowledged."""
    terms_accepted_at: str = ""
    """When and by whom."""
    asked: str = ""
    """What the teacher's API refused of what it was asked."""
    chosen: str = ""
    """How the inputs were chosen, with the seed; empty where all pairs were taken."""


class LeftOut(Record):
    """A source row that did not become a pair."""

    place: str
    """File and line."""
    reason: str
    """Why it is no pair."""


class DraftRow(Record):
    """How the output of one pair was drafted."""

    id: str
    """Of the pair."""
    model: str
    """Id that the teacher's API answered with."""
    at: str
    """UTC, ISO 8601, of the call that brought the draft."""
    prompt_sha256: str
    """Of the request that brought it."""
    prompt_tokens: int
    """Of all its calls."""
    output_tokens: int
    """Of all its calls, reasoning among them."""
    usd: float
    """What all its calls cost, as the spend ledger has it."""
    calls: int
    """Calls to the API, repairs and retries among them."""
    repaired: bool = False
    """The first reply had not the form of an answer, and the teacher was asked once more."""
    problem: str = ""
    """What is wrong with the form of the draft even so; empty if nothing is."""


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
    rows: tuple[DraftRow, ...] = ()
    """How each output was drafted; empty for outputs that were there."""


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
    """Stored in `2-drafts` where all go on as they are, else in `3-review`."""
    figures: ReviewFigures | None = None
    """How the decisions were made, where they were made here."""
    blind: tuple[str, ...] = ()
    """Ids of the pairs whose output was written without seeing the draft."""
