"""One row per optimizer step, to `curves.csv` and back without losing a digit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class CurveRow(NamedTuple):
    """What one optimizer step did."""

    step: int
    epoch: float
    rows: int
    """Pairs in this step."""
    tokens: int
    """Non-padding tokens in this step."""
    loss: float
    """Training loss in nats per answer token."""
    dev_loss: float | None
    """Loss on dev after this step, where it was measured."""
    learning_rate: float
    grad_norm: float
    tokens_per_s: float


CURVE_COLUMNS: tuple[str, ...] = CurveRow._fields

_INTEGER_COLUMNS = frozenset({"step", "rows", "tokens"})
_OPTIONAL_COLUMNS = frozenset({"dev_loss"})
_INTEGER = re.compile(r"-?[0-9]+")
# A run that diverged logs inf or nan, and its curve must stay readable.
_FLOAT = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|inf)|nan")


def curves_to_csv(rows: Iterable[CurveRow]) -> str:
    """Write the header and one line per step; floats keep every digit."""
    lines = [",".join(CURVE_COLUMNS)]
    lines += [",".join("" if value is None else repr(value) for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def curves_from_csv(text: str) -> tuple[CurveRow, ...]:
    """Read what `curves_to_csv` wrote, and nothing else.

    Raises:
        ValueError: the header, a cell count or a cell is not as written; names the line and the value.
    """
    lines = text.split("\n")
    if lines[0] != ",".join(CURVE_COLUMNS):
        raise ValueError(f"line 1: header {lines[0]!r} is not {','.join(CURVE_COLUMNS)!r}")
    if lines[-1] != "":
        raise ValueError(f"line {len(lines)}: {lines[-1]!r} does not end with a newline; the file was cut")
    return tuple(_row(number, line) for number, line in enumerate(lines[1:-1], start=2))


def _row(number: int, line: str) -> CurveRow:
    cells = line.split(",")
    if len(cells) != len(CURVE_COLUMNS):
        raise ValueError(f"line {number}: {line!r} has {len(cells)} cells, not {len(CURVE_COLUMNS)}")
    return CurveRow._make(_value(number, *pair) for pair in zip(CURVE_COLUMNS, cells, strict=True))


def _value(number: int, column: str, cell: str) -> int | float | None:
    if column in _OPTIONAL_COLUMNS and cell == "":
        return None
    if column in _INTEGER_COLUMNS:
        if _INTEGER.fullmatch(cell):
            return int(cell)
        raise ValueError(f"line {number}: {column} is {cell!r}, not a whole number")
    if _FLOAT.fullmatch(cell):
        return float(cell)
    raise ValueError(f"line {number}: {column} is {cell!r}, not a number")
