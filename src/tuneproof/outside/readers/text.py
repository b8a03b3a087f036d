"""Bytes of a text file → text and its physical lines; every byte that is no text can still be told by line.

Invalid bytes survive decoding as lone surrogates (PEP 383), so one bad byte costs its row and not the file.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tuneproof.errors import BadInput

MOST_BYTES = 1_000_000_000
"""Largest file that is read, unpacked: it is held in memory as a whole."""
_PIECE = 1 << 20
LONGEST_ROW = 1_000_000
"""Characters of a row: no small model reads a quarter of it, and to parse a row of 50 MB takes seconds."""

# UTF-32 first: its little-endian mark begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Text(NamedTuple):
    """A decoded file."""

    text: str
    codec: str
    notes: tuple[str, ...]


def bytes_of(path: Path, shown: str, *, most: int = MOST_BYTES) -> bytes:
    """Read a file; `.gz` is unpacked.

    Raises:
        BadInput: it cannot be read or unpacked, or holds more than `most` bytes.
    """
    try:
        with path.open("rb") as plain, gzip.GzipFile(fileobj=plain) as unpacked:
            data = _at_most(most + 1, unpacked if path.suffix.lower() == ".gz" else plain)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(
            f"{shown}: cannot be read: {error}.", remedy="Check the file's rights, or make it again."
        ) from error
    if len(data) > most:
        raise BadInput(
            f"{shown}: more than {most:,} bytes, and it is read in one piece.",
            remedy="Sample it: a few thousand pairs are enough for one narrow task.",
        )
    return data


def _at_most(count: int, source: BinaryIO | gzip.GzipFile) -> bytes:
    """Read `count` bytes in pieces: asked for in one piece, Python takes the memory for all of them first."""
    pieces = []
    while count > 0 and (piece := source.read(min(count, _PIECE))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def decoded(data: bytes, shown: str, encoding: str | None) -> Text:
    """Decode by the byte order mark, by `encoding`, or as UTF-8; the mark itself is no part of the text.

    Raises:
        BadInput: the encoding is unknown, contradicts the mark, or does not fit the bytes at all.
    """
    wanted = _codec(encoding)
    mark, codec = next(((m, c) for m, c in _MARKS if data.startswith(m)), (b"", wanted or "utf-8"))
    if mark and wanted and not codec.startswith(wanted):
        raise BadInput(
            f"{shown}: begins with the byte order mark of {codec.upper()}, but data.encoding is "
            f"{encoding!r}.",
            remedy="Remove `encoding:` from `data:` in task.yaml; the mark is enough.",
        )
    if not mark and wanted is None and data[:4096].count(0) * 4 > len(data[:4096]):
        raise BadInput(
            f"{shown}: a quarter of its bytes are zero, as in UTF-16 without a byte order mark.",
            remedy="Save it as UTF-8, or set `data.encoding: utf-16-le` in task.yaml.",
        )
    try:
        text = data[len(mark) :].decode(codec, _on_error(codec))
    except (LookupError, ValueError) as error:
        raise BadInput(
            f"{shown}: is not {codec.upper()}: {error}.",
            remedy="Save it as UTF-8, or set `data.encoding` in task.yaml to what it was saved in.",
        ) from error
    return Text(text, codec, (f"encoding: {codec.upper()} by its byte order mark",) if mark else ())


def _codec(encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        return codecs.lookup(encoding).name.removesuffix("-sig")
    except (LookupError, ValueError) as error:
        raise BadInput(
            f"task.yaml: data.encoding is {encoding!r}: no such encoding.",
            remedy="Write utf-8, cp1252 (Windows, Western Europe), utf-16, or another name in Python's list.",
        ) from error


def _on_error(codec: str) -> str:
    return "surrogatepass" if codec.startswith(("utf-16", "utf-32")) else "surrogateescape"


def lines_of(text: str) -> list[str]:
    r"""Split at LF, CRLF and CR only: U+2028, U+0085 and form feeds are letters of a text.

    What follows the last line end is a line only if it is not empty.
    """
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


class LineNumbers:
    """Offset in a text → number of its physical line, from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [match.end() for match in _LINE_END.finditer(text)]

    def at(self, offset: int) -> int:
        """Return the line that holds the character at `offset`."""
        return bisect_right(self._starts, offset) + 1


def flaw_of(lines: Sequence[str], codec: str) -> str:
    """Say why these lines cannot be one row: too long, invalid bytes, half a pair, NUL; else `""`."""
    if (length := sum(map(len, lines))) > LONGEST_ROW:
        return f"too long a row: {length:,} characters, more than {LONGEST_ROW:,}"
    for count, line in enumerate(lines):
        where = f" of line {count + 1} of the row" if count else ""
        if found := _SURROGATE.search(line):
            return _bad_byte(line, found.start(), codec) + where
        if "\0" in line:
            return f"holds a NUL character: at column {line.index(chr(0)) + 1}{where}"
    return ""


def _bad_byte(line: str, column: int, codec: str) -> str:
    code = ord(line[column])
    if _on_error(codec) == "surrogatepass" or not 0xDC80 <= code <= 0xDCFF:
        return f"half a surrogate pair: U+{code:04X} at column {column + 1}"
    before = len(line[:column].encode(codec, "surrogateescape"))
    return f"not {codec.upper()}: byte 0x{code - 0xDC00:02x} at byte {before + 1}"


def flaw_of_string(text: str) -> str:
    """Say why a string of JSON or Parquet is too long or no text; `""` if it can be kept."""
    if len(text) > LONGEST_ROW:
        return f"too long a row: a text of {len(text):,} characters, more than {LONGEST_ROW:,}"
    if found := _SURROGATE.search(text):
        return f"half a surrogate pair: U+{ord(found[0]):04X} in {text[:40]!a}"
    return f"holds a NUL character: in {text[:40]!r}" if "\0" in text else ""
