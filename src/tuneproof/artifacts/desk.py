"""The review desk: what a reviewer is shown, what they decide, and what the decisions add up to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tuneproof.artifacts.base import Record
from tuneproof.artifacts.comparison import Interval

BATCH = 50
"""Pairs of a batch; the last may be shorter."""

Kind = Literal["accept", "fix", "delete", "flag", "unflag", "undo", "again", "close"]
"""`again` is another answer to a decided pair, shown once more or by another reviewer."""


class Decision(Record):
    """One event of the desk; events are only ever added."""

    seq: int
    """1, 2, 3 … in the order in which they came to the disk."""
    at: str
    """UTC, ISO 8601."""
    reviewer: str
    """Who decided."""
    kind: Kind
    """What was decided."""
    batch: int
    """Counted from 1."""
    pair_id: str = ""
    """Empty for `close`."""
    pair_sha256: str = ""
    """Of the pair as it was drafted: a decision does not count for another draft."""
    version: int = 0
    """Of the pair after this event: the number of events on it. An event must name the version before it."""
    output: str | None = None
    """Output as it goes on, for `accept`, `fix` and `again`."""
    seconds: float = 0.0
    """Time the pair was in sight, in seconds."""
    blind: bool = False
    """The draft was hidden until the reviewer had answered."""
    driven: bool = False
    """Sent by a program (browser automation, a pipe), not by a person's hands."""
    imported: bool = False
    """Taken over from a file: nobody at this desk made it."""
    note: str = ""
    """Why it is flagged; the summary that closes a batch."""


class Found(Record):
    """A secret or a piece of personal data in a pair."""

    where: Literal["input", "output"]
    """Side of the pair."""
    kind: str
    """For example `email address`."""
    excerpt: str
    """At most three characters of it."""


class Neighbour(Record):
    """Another pair, shown beside the one in hand."""

    pair_id: str
    """Which."""
    input: str
    """Its input."""
    output: str
    """Its output as decided, or its draft; empty where it must not be seen yet."""
    state: Literal["open", "accept", "fix", "delete"]
    """What was decided; `open` where the output must not be seen yet."""
    similarity: float
    """Word-set Jaccard of the two inputs, 0 to 1."""


class Card(Record):
    """One pair, as a reviewer sees it."""

    pair_id: str
    """Which."""
    batch: int
    """Counted from 1."""
    position: int
    """In the batch, counted from 1; pairs shown again are among the batch's own."""
    of: int
    """Cards of the batch, those shown again among them."""
    version: int
    """To be named with the decision."""
    input: str
    """What goes in."""
    draft: str | None
    """The drafted output; None while it is hidden."""
    output: str
    """The output as it stands: the fix, or the draft; empty while the draft is hidden."""
    state: Literal["open", "accept", "fix", "delete"]
    """What was decided; always `open` on a pair shown again until it is answered."""
    flagged: bool
    """Someone wants to come back to it."""
    note: str
    """Why."""
    blind: bool
    """The draft is hidden until the reviewer has answered."""
    again: bool
    """A pair of a closed batch, shown once more without what was decided."""
    problems: tuple[str, ...]
    """What the metric finds wrong with the form of the output."""
    findings: tuple[Found, ...]
    """Secrets and personal data."""
    twins: tuple[Neighbour, ...]
    """Near twins among all pairs, most similar first."""
    nearest: tuple[Neighbour, ...]
    """The most similar pairs that were accepted or fixed."""
    source: str
    """File and line that the input came from."""
    decided_by: str = ""
    """Who decided last."""


class Wish(Record):
    """What a reviewer wants done with a pair."""

    pair_id: str = Field(min_length=1)
    """Which."""
    kind: Literal["accept", "fix", "delete", "flag", "unflag", "undo", "again"]
    """What to do."""
    version: int = Field(ge=0)
    """Of the card that the reviewer saw."""
    output: str | None = Field(default=None, max_length=1_000_000)
    """For `fix` and `again`, and for `accept` of a pair whose draft was hidden."""
    seconds: float = Field(default=0.0, ge=0, le=86_400, allow_inf_nan=False)
    """Time the pair was in sight."""
    note: str = Field(default="", max_length=2_000)
    """Why it is flagged."""


class Agreement(Record):
    """How often two answers to the same pair are equal."""

    n: int
    """Pairs answered twice."""
    equal: int
    """Of them, equal ones."""
    kappa: float | None
    """Cohen's; None where chance alone would agree always, or n is 0."""
    interval: Interval | None
    """Of kappa, 95 %."""


class BatchSummary(Record):
    """What a batch came to."""

    batch: int
    """Counted from 1."""
    pairs: int
    """Decided pairs."""
    accepted: int
    """As drafted."""
    fixed: int
    """Changed."""
    deleted: int
    """Gone."""
    accept_rate: float
    """Accepted among all whose draft was shown, 0 to 1."""
    edit_share: float
    """Mean edit distance of the fixes, as a share of the longer text, 0 to 1."""
    median_seconds: float
    """A pair."""
    again: Agreement
    """Pairs shown again in this batch."""
    alarm: str = ""
    """Signs of a rubber stamp; empty if there are none."""
    note: str = ""
    """The reviewer's own words at the close."""
    driven: bool = False
    """A program made decisions of this batch."""


class Standing(Record):
    """How far a reviewer is."""

    reviewer: str
    """Who."""
    batch: int
    """The open batch; one more than `batches` when all are closed."""
    batches: int
    """All of them."""
    in_batch: int
    """Cards of the open batch that are decided."""
    of_batch: int
    """Cards of the open batch."""
    decided: int
    """Pairs decided in all."""
    total: int
    """Pairs in all."""
    accepted: int
    """Of the decided."""
    fixed: int
    """Of the decided."""
    deleted: int
    """Of the decided."""
    flagged: int
    """Pairs that are flagged now."""
    median_seconds: float | None
    """A pair, of the last 20 decisions; None before the first."""
    driven: bool
    """A program made decisions of this reviewer."""
    can_close: bool
    """Every pair of the open batch is decided, and nothing is waited for."""
    waiting: str
    """What another reviewer must do before the open batch can be closed; empty if nothing."""
    done: bool
    """Every batch is closed."""
    alarm: str
    """Signs of a rubber stamp in the open batch; empty if there are none."""
    reminder: str
    """What to think of at the beginning of a batch; empty in the middle."""
    self_agreement: Agreement
    """Over all pairs shown again."""


class ReviewFigures(Record):
    """How the decisions of a review were made."""

    reviewers: tuple[str, ...]
    """In the order of their names."""
    batches: tuple[BatchSummary, ...]
    """Closed ones."""
    median_seconds: float
    """A pair, over all."""
    self_agreement: Agreement
    """Pairs shown again blind."""
    between: Agreement
    """Pairs that two reviewers answered independently."""
    shown: int
    """Pairs whose draft was shown."""
    shown_kept: int
    """Of them, those whose draft went on unchanged."""
    hidden: int
    """Pairs whose draft was hidden."""
    hidden_equal: int
    """Of them, those whose answer was the draft."""
    anchoring: Interval | None
    """95 % interval of the anchoring gap: shown_kept / shown − hidden_equal / hidden (Newcombe 1998)."""
    driven: bool
    """A program made decisions: no figure here is a person's."""
    imported: int = 0
    """Pairs whose decision was taken over from a file."""
    left_unreviewed: int = 0
    """Drafted pairs of batches that were not closed; they do not go on."""
