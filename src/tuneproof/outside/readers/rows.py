"""What every reader gives: rows with their place, and the rows that are none, with a reason.

A reason is `what is wrong: the details`. The words before the first `: ` are the same for every row with that
fault, so that faults can be counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tuneproof.artifacts.pairs import LeftOut


class Row(NamedTuple):
    """One row of a source."""

    place: str
    """`pairs.jsonl:17`: the line where the row begins; `pairs.parquet:row 17` where there are no lines."""
    values: dict[str, Any]
    """Column or key → value. From CSV every value is a text."""


class Rows(NamedTuple):
    """A source, read to its end: every row of it is in `rows` or in `rejected`."""

    rows: tuple[Row, ...]
    rejected: tuple[LeftOut, ...]
    format: str
    """For example `JSON Lines`, `CSV`, `Parquet`."""
    notes: tuple[str, ...]
    """What the reader decided by itself, for example `delimiter ; by the sep= line`."""


def kind_of(reason: str) -> str:
    """Return what is wrong, without the details of the row."""
    return reason.partition(": ")[0]
