"""CSV, TSV and Excel's text exports → rows; every value is a text, every row keeps its physical line.

Format: RFC 4180 with any one-character delimiter, and Excel's `sep=;` first line. Line ends inside a quoted
cell become LF, so that a file means the same after a trip through Windows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tuneproof.artifacts.pairs import LeftOut
from tuneproof.errors import BadInput
from tuneproof.outside.readers.rows import Row, Rows
from tuneproof.outside.readers.text import Text, flaw_of, lines_of

DELIMITERS = (",", ";", "\t", "|")
_LARGEST_CELL = 2**31 - 1
_SEP = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')


class _Record(NamedTuple):
    first: int
    """Physical line on which it begins, from 1."""
    last: int
    cells: list[str]
    problem: str


def read_csv(source: Text, shown: str, delimiter: str | None, *, usual: str = ",") -> Rows:
    """Read a header and one row a record; a line of blanks is no row.

    Args:
        source: the decoded file.
        shown: its name in places.
        delimiter: None takes the `sep=` line, else the sign that divides the header.
        usual: what divides where the header has none of the known signs.

    Raises:
        BadInput: two signs could be the delimiter, or a name in the header is missing or occurs twice.
    """
    lines = lines_of(source.text)
    start, delimiter, notes = _dialect(lines, shown, delimiter, usual)
    records = _records(lines, start, delimiter)
    header = next(records, None)
    if header is None:
        return Rows((), (), _name(delimiter), (*source.notes, *notes))
    names = _header(header, flaw_of(lines[header.first - 1 : header.last], source.codec), shown)
    rows: list[Row] = []
    rejected: list[LeftOut] = []
    blank = len(lines) - start - (header.last - header.first + 1)
    for record in records:
        blank -= record.last - record.first + 1
        place = f"{shown}:{record.first}"
        flaw = flaw_of(lines[record.first - 1 : record.last], source.codec)
        if reason := record.problem or flaw or _ragged(record.cells, names):
            rejected.append(LeftOut(place=place, reason=reason))
        else:
            rows.append(Row(place, dict(zip(names, record.cells, strict=True))))
    notes += (f"blank lines: {blank:,}",) if blank else ()
    return Rows(tuple(rows), tuple(rejected), _name(delimiter), (*source.notes, *notes))


def _name(delimiter: str) -> str:
    return "TSV" if delimiter == "\t" else "CSV"


def _dialect(
    lines: Sequence[str], shown: str, delimiter: str | None, usual: str
) -> tuple[int, str, tuple[str, ...]]:
    """Return the index of the header's line, the delimiter, and how it was found."""
    declared = _SEP.fullmatch(lines[0]) if lines else None
    start = 1 if declared else 0
    if delimiter is not None:
        if delimiter in '"\r\n':
            raise BadInput(
                f"task.yaml: data.delimiter is {delimiter!r}, which cannot divide cells.",
                remedy='Write the sign between two columns, for example delimiter: ";".',
            )
        return start, delimiter, (f"delimiter {delimiter!r} by task.yaml",)
    if declared:
        return start, declared[1], (f"delimiter {declared[1]} by the sep= line",)
    header = next((line for line in lines if line.strip(" ")), "")
    counts = {sign: _QUOTED.sub("", header).count(sign) for sign in DELIMITERS}
    if usual == "\t" and counts["\t"]:
        return start, usual, ()
    best = [sign for sign in DELIMITERS if counts[sign] == max(counts.values())]
    if max(counts.values()) == 0:
        return start, usual, ()
    if len(best) > 1:
        raise BadInput(
            f"{shown}:1: the delimiter is not clear: {' and '.join(map(repr, best))} fit the header equally.",
            remedy='Quote the names in the header, or set data.delimiter in task.yaml, for example ";".',
        )
    return start, best[0], (f"delimiter {best[0]!r} by the header",)


_SAVE_AS_UTF8 = (
    "Save the file as CSV UTF-8, or say how it is written: `data.encoding: cp1252` in task.yaml, or "
    "`tuneproof init --pairs FILE --encoding cp1252`."
)


def _header(record: _Record, flaw: str, shown: str) -> list[str]:
    names = [cell.strip() for cell in record.cells]
    problems = [p for p in (flaw, record.problem) if p]
    if not problems:
        problems += [f"column {n} has no name" for n, name in enumerate(names, 1) if not name]
        twice = sorted({name for name in names if name and names.count(name) > 1})
        problems += [f"the name {name!r} occurs twice" for name in twice]
    if problems:
        raise BadInput(
            "\n".join(f"{shown}:{record.first}: header: {problem}." for problem in problems),
            remedy=_SAVE_AS_UTF8
            if any("UTF-8" in problem for problem in problems)
            else "Give every column one name of its own in the first row.",
        )
    return names


def _ragged(cells: Sequence[str], names: Sequence[str]) -> str:
    if len(cells) == len(names):
        return ""
    return f"another number of cells than the header: {len(cells)}, not {len(names)}"


def _records(lines: Sequence[str], start: int, delimiter: str) -> Iterator[_Record]:
    """Yield every record that is not a blank line; a broken one ends with the line that broke it."""
    with _large_cells():
        reader = csv.reader((line + "\n" for line in lines[start:]), delimiter=delimiter, strict=True)
        while True:
            first = start + reader.line_num + 1
            cells: list[str] = []
            problem = ""
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                last = start + reader.line_num
                problem = f"broken quoting: {_said(str(error))} (lines {first} to {last} are one row here)"
            if problem or lines[first - 1].strip(" "):
                yield _Record(first, start + reader.line_num, cells, problem)


def _said(error: str) -> str:
    if "end of data" in error:
        return "a quote is opened and never closed"
    return "a closing quote is followed by more text" if "expected after" in error else error


@contextmanager
def _large_cells() -> Iterator[None]:
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)
