"""The frozen split: three types, so that training on a test item is a type error."""

from __future__ import annotations

from tuneproof.artifacts.base import Artifact, Record, canonical_json, sha256_of


class SplitRow(Record):
    """A pair with the group that keeps its twins on the same side."""

    id: str
    group: str
    input: str
    output: str


class Item(SplitRow):
    """A test row; `output` is the expected reply."""


class TrainSet(Artifact):
    """The pairs a model may learn from."""

    pairs: tuple[SplitRow, ...]


class DevSet(Artifact):
    """The pairs that choices are made on: shots, checkpoints, settings."""

    pairs: tuple[SplitRow, ...]


class TestSet(Artifact):
    """The items no model, prompt or person may be tuned against."""

    __test__ = False  # pytest would collect a class of this name

    items: tuple[Item, ...]


class RowLock(Record):
    """One row's place and content."""

    id: str
    sha256: str


class PartLock(Record):
    """One part of the split, its rows in order."""

    sha256: str
    """Over the row hashes in order: a changed, added, removed or moved row changes it."""
    rows: tuple[RowLock, ...]


class SplitLock(Artifact):
    """`split.lock.json`: what was frozen, by hash."""

    case: str
    version: int
    method: str
    prompt_sha256: str
    """Hash of the messages that the prompt maker builds for every test item."""
    train: PartLock
    dev: PartLock
    test: PartLock


class Twin(Record):
    """Two rows on different sides, and how alike they are."""

    test_id: str
    other_id: str
    other_part: str
    similarity: float
    """Word-set Jaccard, 0 to 1."""


class LeakReport(Artifact):
    """What was checked across the sides, and the nearest pairs for a person to read."""

    exact: int
    """Test inputs equal to a train or dev input after normalisation; must be 0."""
    same_template: int
    """Test inputs whose template also occurs in train or dev; must be 0."""
    near: int
    """Test inputs at or above `near_threshold` similarity to a train or dev input; must be 0."""
    straddling_groups: int
    near_threshold: float
    groups: int
    largest_group: int
    unseen_outputs: int
    """Test items whose output never occurs in train; kept, and reported apart."""
    nearest: tuple[Twin, ...]


class Split(Artifact):
    """The frozen division of the reviewed pairs. Made once; never edited."""

    train: TrainSet
    dev: DevSet
    test: TestSet
    lock: SplitLock
    leaks: LeakReport


def row_hash(row: SplitRow) -> str:
    """SHA-256 of one row's canonical JSON."""
    return sha256_of(canonical_json(row.model_dump(mode="json")))


def lock_part(rows: tuple[SplitRow, ...]) -> PartLock:
    """Hash every row and the rows' order."""
    locked = tuple(RowLock(id=row.id, sha256=row_hash(row)) for row in rows)
    return PartLock(sha256=sha256_of("\n".join(f"{r.id} {r.sha256}" for r in locked)), rows=locked)
