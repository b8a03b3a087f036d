"""What the frozen pairs look like: leaks, personal data, labels, lengths; and what a thaw kept."""

from __future__ import annotations

from typing import Literal

from tuneproof.artifacts.base import Artifact, Record

Part = Literal["train", "dev", "test"]


class Crossing(Record):
    """A test row beside what it resembles."""

    test_id: str
    """The test item."""
    other_id: str
    """The row, or the number of the example; empty for prompt text."""
    other_part: Literal["train", "dev", "example", "prompt"]
    """Where that is."""
    similarity: float
    """By the measure of its layer, 0 to 1."""
    test_text: str
    """Beginning of the test input."""
    other_text: str
    """Beginning of the other text."""


class Layer(Record):
    """One way to look for test rows that were seen elsewhere."""

    name: str
    """Of the layer."""
    rule: str
    """When two rows count as alike."""
    refuses: bool
    """Such a row stops the freeze; else it is shown for a person to judge."""
    rows: int
    """Test rows that were found."""
    pairs: tuple[Crossing, ...]
    """The most similar ones, at most 20."""


class FoundRow(Record):
    """A secret or a piece of personal data in a pair."""

    pair_id: str
    """Of the pair."""
    part: Part
    """Where the pair is."""
    where: Literal["input", "output"]
    """Side of the pair."""
    kind: str
    """For example `email address`."""
    excerpt: str
    """At most three characters of it."""


class FoundCount(Record):
    """How often one kind was found in one part."""

    kind: str
    """For example `email address`."""
    part: Part
    """Of the split."""
    found: int
    """Findings."""
    pairs: int
    """Pairs that hold them."""


class Contradiction(Record):
    """Two near twins with different outputs."""

    first_id: str
    """One row."""
    second_id: str
    """The other row."""
    similarity: float
    """Word-set Jaccard of the inputs, 0 to 1; 1 also for inputs with the same words."""
    first_input: str
    """Beginning of its input."""
    second_input: str
    """Beginning of its input."""
    first_output: str
    """Beginning of its output."""
    second_output: str
    """Beginning of its output."""


class RareLabel(Record):
    """An output that few rows have, in a task whose outputs are labels."""

    output: str
    """Beginning of the label."""
    rows: int
    """Rows that have it."""


class Bucket(Record):
    """One bar of a histogram."""

    low: int
    """Least length that counts here."""
    high: int
    """Largest length that counts here."""
    rows: int
    """How many there are."""


class Longest(Record):
    """One of the longest texts."""

    pair_id: str
    """Of the pair."""
    length: int
    """In the unit of its table."""


class Lengths(Record):
    """How long the texts of one side are."""

    side: Literal["input", "output"]
    """Of the pair."""
    unit: Literal["characters", "words"]
    """What is counted."""
    least: int
    """The shortest."""
    p10: int
    """Nearest-rank quantile, as all that follow."""
    median: int
    """Half of the rows are no longer."""
    p90: int
    """Nine tenths are no longer."""
    p99: int
    """Ninety-nine in a hundred are no longer."""
    most: int
    """The longest."""
    buckets: tuple[Bucket, ...]
    """At most 10, of equal width, from the shortest to the longest."""
    longest: tuple[Longest, ...]
    """The five longest."""


class DataReport(Artifact):
    """`data_report.json`: what was looked at in every frozen pair."""

    train: int
    """Rows."""
    dev: int
    """Rows."""
    test: int
    """Rows."""
    detectable_gain: float | None
    """Least difference that this test finds with 80 % power, 0 to 1; None where there is none."""
    warnings: tuple[str, ...]
    """What a person should look at first."""
    notes: tuple[str, ...]
    """What is good to know."""
    layers: tuple[Layer, ...]
    """Leaks between the test and everything else, strictest first."""
    nearest: tuple[Crossing, ...]
    """The 20 test rows nearest to another row by TF-IDF: paraphrases show here."""
    found: tuple[FoundCount, ...]
    """Secrets and personal data by kind and part."""
    found_rows: tuple[FoundRow, ...]
    """Where they are."""
    contradictions: tuple[Contradiction, ...]
    """Near twins with different outputs, most similar first, at most 100."""
    contradicting: int
    """All of them."""
    rare_labels: tuple[RareLabel, ...]
    """Labels with fewer than 3 rows; empty where the outputs are no labels."""
    lengths: tuple[Lengths, ...]
    """Inputs and outputs, in characters and in words."""


class Moved(Record):
    """An earlier test row that has another id now."""

    old_id: str
    """In the earlier lock."""
    new_id: str
    """In this split."""


class Resembled(Record):
    """An earlier test row whose id is gone, and the row of today that is most like it."""

    old_id: str
    """In the earlier lock."""
    new_id: str
    """In this split."""
    similarity: float
    """Word-set Jaccard of the inputs, 0 to 1; over 256 words an estimate."""
    same_place: bool
    """Both came from one file and line."""
    part: Part
    """Where the row is now."""


class KeptRow(Record):
    """What is kept of a test row: enough to know its input again, but no text."""

    id: str
    """Of the row."""
    input: str
    """SHA-256 of its input."""
    output: str
    """SHA-256 of its output."""
    words: tuple[str, ...]
    """The 256 least hashes of its input's words, 8 hex digits each."""
    place: str = ""
    """File and line that it came from."""


class KeptRows(Record):
    """`locks/split-vN.inputs.json`: the test rows of a version, for the freezes that come after it."""

    version: int
    """Of the split."""
    test_sha256: str
    """Of the test in that version's lock; rows of another test do not count."""
    rows: tuple[KeptRow, ...]
    """In the order of the lock."""


class Thaw(Artifact):
    """`thaw.json`: what became of the test rows of all earlier versions."""

    version: int
    """Of this split."""
    earlier: tuple[int, ...]
    """Versions that were frozen before."""
    kept: tuple[str, ...]
    """Earlier test rows that are test rows again, unchanged."""
    relabelled: tuple[str, ...] = ()
    """Earlier test rows with the same input and another output; they are test rows again."""
    changed: tuple[str, ...]
    """Earlier test rows with another input now, or, where only whole rows were hashed, with either; they are
    test rows again."""
    moved: tuple[Moved, ...]
    """Earlier test rows whose text has another id now; both stay test rows where both are there."""
    gone: tuple[str, ...]
    """Earlier test rows that are not among the pairs any more."""
    resembled: tuple[Resembled, ...] = ()
    """Those of them that a row of today resembles: an input that was mended, perhaps."""
    added: tuple[str, ...]
    """Test rows that were in no earlier test."""
