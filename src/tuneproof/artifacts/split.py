"""The frozen split: three types, so that training on a test item is a type error."""

from __future__ import annotations

from tuneproof.artifacts.base import Artifact, Record, canonical_json, sha256_of


class SplitRow(Record):
    """A pair with the group that keeps its twins on the same side."""

    id: str
    """Of the pair."""
    group: str
    """Named after the first row of its group."""
    input: str
    """What goes in."""
    output: str
    """What should come out."""


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
    """Of the row."""
    sha256: str
    """Of the row's canonical JSON."""


class PartLock(Record):
    """One part of the split, its rows in order."""

    sha256: str
    """Over the row hashes in order: a changed, added, removed or moved row changes it."""
    rows: tuple[RowLock, ...]
    """In order."""


class SplitLock(Artifact):
    """`split.lock.json`: what was frozen, by hash."""

    case: str
    """Name of the case."""
    version: int
    """`split.version` of task.yaml."""
    method: str
    """How the rows were divided."""
    prompt_sha256: str
    """Hash of the messages that the prompt maker builds for every test item."""
    train: PartLock
    """The pairs to learn from."""
    dev: PartLock
    """The pairs to choose on."""
    test: PartLock
    """The items to measure on."""


class Twin(Record):
    """Two rows on different sides, and how alike they are."""

    test_id: str
    """The test item."""
    other_id: str
    """The row that it resembles."""
    other_part: str
    """Where that row is: `dev` or `train`."""
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
    """Groups with rows on both sides; must be 0."""
    near_threshold: float
    """Word-set Jaccard from which two inputs are near twins."""
    groups: int
    """Number of groups."""
    largest_group: int
    """Rows in the largest one."""
    unseen_outputs: int
    """Test items whose output never occurs in train; kept, and reported apart."""
    nearest: tuple[Twin, ...]
    """The most similar pairs across the sides, for a person to read."""


class Split(Artifact):
    """The frozen division of the reviewed pairs. Made once; never edited."""

    train: TrainSet
    """What a model may learn from."""
    dev: DevSet
    """What choices are made on."""
    test: TestSet
    """What is measured on."""
    lock: SplitLock
    """What was frozen, by hash."""
    leaks: LeakReport
    """What was checked across the sides."""


def row_hash(row: SplitRow) -> str:
    """SHA-256 of one row's canonical JSON."""
    return sha256_of(canonical_json(row.model_dump(mode="json")))


def lock_part(rows: tuple[SplitRow, ...]) -> PartLock:
    """Hash every row and the rows' order."""
    locked = tuple(RowLock(id=row.id, sha256=row_hash(row)) for row in rows)
    return PartLock(sha256=sha256_of("\n".join(f"{r.id} {r.sha256}" for r in locked)), rows=locked)
