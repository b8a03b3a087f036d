"""JSON Lines and JSON → rows, strictly: what two parsers could read in two ways is rejected, not guessed.

Formats: RFC 8259 (JSON) and jsonlines.org. Beyond them a repeated key, NaN, infinities, half a surrogate pair
and NUL are refused: they are read differently elsewhere, or cannot be written as UTF-8 again.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tuneproof.artifacts.pairs import LeftOut
from tuneproof.errors import BadInput
from tuneproof.outside.readers.rows import Row, Rows
from tuneproof.outside.readers.text import LineNumbers, Text, flaw_of, flaw_of_string, lines_of

DEEPEST = 100
"""Levels of nesting that a row may have; the same on every version of Python."""

_DIGITS = 4000
_BLANK = " \t"
_SPACE = re.compile(r"[ \t\r\n]*")
_TOO_DEEP = f"nested too deeply: more than {DEEPEST} levels"


class _Element(NamedTuple):
    start: int
    end: int
    value: Any
    problem: str


class StrictDecoder:
    """A JSON decoder that goes on after a value it must refuse, and remembers why."""

    def __init__(self) -> None:
        self._problem = ""
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_float=self._float,
            parse_int=self._int,
        )

    def value_at(self, text: str, offset: int) -> tuple[Any, int, str]:
        """Return the value that begins at `offset`, its end, and why it is refused ("" if it is not).

        Raises:
            ValueError: no JSON begins there.
            RecursionError: nested so deeply that its end is unknown.
        """
        self._problem = ""
        value, end = self._decoder.raw_decode(text, offset)
        return value, end, self._problem or flaw_inside(value)

    def _note(self, problem: str) -> None:
        self._problem = self._problem or problem

    def _object(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) < len(members):
            twice = Counter(key for key, _ in members).most_common(1)[0][0]
            self._note(f"a key occurs twice: {twice[:40]!r}")
        return found

    def _constant(self, name: str) -> None:
        self._note(f"no number in JSON: {name}")

    def _float(self, digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            self._note(f"too large a number: {digits[:40]}")
        return number

    def _int(self, digits: str) -> int:
        if len(digits) > _DIGITS:  # Python refuses to convert these, by version and setting
            self._note(f"too large a number: {len(digits)} digits")
            return 0
        return int(digits)


def flaw_inside(value: Any) -> str:
    """Say what in a value, at any depth, is no text, or that it is too deep; `""` if it can be kept."""
    level = [value]
    for _ in range(DEEPEST + 1):
        for part in level:
            if isinstance(part, str) and (flaw := flaw_of_string(part)):
                return flaw
        level = list(_inside(level))
        if not level:
            return ""
    return _TOO_DEEP


def _inside(level: list[Any]) -> Iterator[Any]:
    for part in level:
        if isinstance(part, dict):
            yield from part.keys()
            yield from part.values()
        elif isinstance(part, list):
            yield from part


def read_json_lines(source: Text, shown: str) -> Rows:
    """Read one object a line; a line of blanks is no row."""
    rows: list[Row] = []
    rejected: list[LeftOut] = []
    decoder = StrictDecoder()
    lines = lines_of(source.text)
    blank = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip(_BLANK):
            blank += 1
            continue
        place = f"{shown}:{number}"
        torn = number == len(lines) and source.text.endswith(line)
        value, problem = _line(decoder, line, source.codec, torn)
        if problem:
            rejected.append(LeftOut(place=place, reason=problem))
        else:
            rows.append(Row(place, value))
    if len(rejected) > len(rows) and re.fullmatch(r"\s*\[.*\]\s*", source.text, re.DOTALL):
        # A list with one object a line: its last line alone has no comma and would pass for a row.
        raise BadInput(
            f"{shown}:1: a JSON list, where JSON Lines has one object a line.",
            remedy="Name the file .json instead of .jsonl.",
        )
    notes = (*source.notes, *([f"blank lines: {blank:,}"] if blank else []))
    return Rows(tuple(rows), tuple(rejected), "JSON Lines", notes)


def _line(decoder: StrictDecoder, line: str, codec: str, torn: bool) -> tuple[Any, str]:
    if flaw := flaw_of([line], codec):
        return None, flaw
    hint = "; the file ends here, so it may be cut off" if torn else ""
    start = len(line) - len(line.lstrip(_BLANK))
    try:
        value, end, problem = decoder.value_at(line, start)
    except RecursionError:
        return None, _TOO_DEEP
    except json.JSONDecodeError as error:
        return None, f"not JSON: {error.msg} at column {error.colno}{hint}"
    if line[end:].strip(_BLANK):
        return None, f"not JSON: more text after the value, at column {end + 1}{hint}"
    return value, problem or _no_object(value)


def _no_object(value: Any) -> str:
    if isinstance(value, dict):
        return ""
    kind = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return f"not an object with keys: {kind.get(type(value), 'a number')}"


def read_json(source: Text, shown: str) -> Rows:
    """Read a list of objects, or one object that holds one list of objects, such as `{"data": […]}`.

    A `.json` file that holds one object after another is JSON Lines under another name, and read as such.

    Raises:
        BadInput: a syntax error (with its line), or no list of objects, or several.
    """
    document = _Document(source.text, shown)
    elements = document.elements()
    if elements is None:
        found = read_json_lines(source, shown)
        return found._replace(notes=(*found.notes, "format: JSON Lines, although it is named .json"))
    rows: list[Row] = []
    rejected: list[LeftOut] = []
    lines = LineNumbers(source.text)
    for element in elements:
        place = f"{shown}:{lines.at(element.start)}"
        flaw = flaw_of(lines_of(source.text[element.start : element.end]), source.codec)
        if reason := flaw or element.problem or _no_object(element.value):
            rejected.append(LeftOut(place=place, reason=reason))
        else:
            rows.append(Row(place, element.value))
    return Rows(tuple(rows), tuple(rejected), "JSON", source.notes)


class _Document:
    """One JSON text, walked by hand on its upper two levels so that every element keeps its offset."""

    def __init__(self, text: str, shown: str) -> None:
        self._text, self._shown = text, shown
        self._decoder = StrictDecoder()

    def elements(self) -> list[_Element] | None:
        """Return the list's elements; None if the text is one object after another."""
        start = self._space(0)
        if start == len(self._text):
            return []
        if self._text[start] == "[":
            found, end = self._list(start)
            if (rest := self._space(end)) < len(self._text):
                raise self._broken(rest, "more text after the list")
            return found
        if self._text[start] != "{":
            raise self._broken(start, "neither a list nor an object begins here")
        lists, keys, end = self._object(start)
        return None if self._space(end) < len(self._text) else self._only(lists, keys)

    def _only(self, lists: dict[str, list[_Element]], keys: list[str]) -> list[_Element]:
        filled = {k: v for k, v in lists.items() if any(isinstance(e.value, dict) for e in v)}
        wanted = filled or {key: found for key, found in lists.items() if not found}
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if len(wanted) == 1 and not twice:
            return next(iter(wanted.values()))
        problem = (
            "a key that occurs twice" if twice else f"{'several lists' if filled else 'no list'} of objects"
        )
        shown = ", ".join(map(repr, (twice or list(filled) or keys)[:10])) or "no key at all"
        raise BadInput(
            f"{self._shown}: one object with {problem}: {shown}.",
            remedy='Write a list of objects, or JSON Lines: {"input": "…", "output": "…"} on each line.',
        )

    def _object(self, start: int) -> tuple[dict[str, list[_Element]], list[str], int]:
        lists: dict[str, list[_Element]] = {}
        keys: list[str] = []
        at = self._space(start + 1)
        if self._text[at : at + 1] == "}":
            return lists, keys, at + 1
        while True:
            key, colon = self._key(at)
            keys.append(key)
            at = self._space(colon + 1)
            if self._text[at : at + 1] == "[":
                lists[key], at = self._list(at)
            else:
                at = self._value(at).end
            at, more = self._after(at, "}")
            if not more:
                return lists, keys, at

    def _key(self, at: int) -> tuple[str, int]:
        """Return the key and the offset of its colon."""
        key = self._value(at)
        colon = self._space(key.end)
        if not isinstance(key.value, str) or self._text[colon : colon + 1] != ":":
            raise self._broken(at, "a key and a colon are expected")
        return key.value, colon

    def _list(self, start: int) -> tuple[list[_Element], int]:
        found: list[_Element] = []
        at = self._space(start + 1)
        if self._text[at : at + 1] == "]":
            return found, at + 1
        while True:
            found.append(self._value(at))
            at, more = self._after(found[-1].end, "]")
            if not more:
                return found, at

    def _after(self, at: int, close: str) -> tuple[int, bool]:
        """Step over `,` (more follows) or `close`."""
        at = self._space(at)
        sign = self._text[at : at + 1]
        if sign not in (",", close) or not sign:
            raise self._broken(at, f"',' or '{close}' is expected")
        return (self._space(at + 1), True) if sign == "," else (at + 1, False)

    def _value(self, at: int) -> _Element:
        try:
            value, end, problem = self._decoder.value_at(self._text, at)
        except RecursionError as error:
            raise self._broken(at, _TOO_DEEP) from error
        except json.JSONDecodeError as error:
            raise self._broken(error.pos, error.msg) from error
        return _Element(at, end, value, problem)

    def _space(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _broken(self, at: int, message: str) -> BadInput:
        place = f"{self._shown}:{LineNumbers(self._text).at(at)}"
        end = " The file ends there: it may be cut off." if at >= len(self._text) else ""
        return BadInput(f"{place}: not JSON: {message}.{end}", remedy="Mend or make the file again.")
