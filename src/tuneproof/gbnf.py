"""A regular expression that a reply must match in full → a grammar in GBNF, llama.cpp's notation.

Replies are compared with white space folded, so the grammar is the pattern crossed with a two-state machine
(after a space or at the start; after any other character) that accepts just the folded texts. Every text of
the grammar therefore matches the pattern as it stands.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tuneproof.character_sets import SPACE, UNIVERSE, WHITE, Ranges, characters_of, common, union, without

ANY_TEXT = "the pattern allows any text"
MOST_REPEATS = 1_000
"""Counted repeats become one rule each."""
MOST_RANGES = 128
"""llama.cpp walks a class range by range for every token of the vocabulary."""

_ALPHABETS_END = 0x530  # Latin, Greek, Cyrillic
_MAX = 2**32 - 1  # `re`'s own mark for "no upper limit"

_REFUSED = {
    "ASSERT": "looks ahead or behind",
    "ASSERT_NOT": "looks ahead or behind",
    "FAILURE": "holds a part that never matches",
    "GROUPREF": "refers back to a group",
    "GROUPREF_EXISTS": "asks whether a group matched",
    "ATOMIC_GROUP": "holds an atomic group",
    "POSSESSIVE_REPEAT": "has a possessive repeat",
}
"""No context-free rule says these; possessive and atomic parts match less than their greedy form."""


def gbnf_of(pattern: str, *, newlines: bool = False) -> str:
    r"""Convert a regular expression into a grammar.

    Texts of the grammar are white-space folded, not empty, and match `pattern` in full. Where a class has
    more than `MOST_RANGES` ranges, the grammar keeps Latin, Greek, Cyrillic and the largest blocks of the
    other scripts in use; `\d` outside a negated class means the ASCII digits. So in other scripts the grammar
    may allow less than the pattern, never more.

    Args:
        pattern: for Python's `re`; lazy repeats count as greedy ones, which match the same full texts.
        newlines: a line break may stand wherever a space may.

    Raises:
        ValueError: no grammar says what the pattern says, or it allows any text; the message is to be read
            after "no constrained arm: ".
    """
    parser: Any = importlib.import_module("re._parser")
    tree = parser.parse(pattern)
    if _allows_anything(tree.data, tree.state.flags):
        raise ValueError(ANY_TEXT)
    writer = _Writer(newlines)
    part = writer.sequence(tree.data, tree.state.flags, (True, True))
    root = part.paths[_WORD]
    if not root:
        raise ValueError("no reply can match the pattern once its white space is folded")
    return writer.text(root)


_WORD = 1
"""Index in `_Part.paths` of: from the start, to a text that does not end in white space."""
Paths = tuple[str, str, str, str]
Edges = tuple[bool, bool]
"""Whether nothing stands before, and nothing after."""


class _Part(NamedTuple):
    """A piece of the pattern."""

    paths: Paths
    """Expressions for its texts but the empty one, at 2 × from + to: 0 is after white space or at the start,
    1 is after another character. An empty expression: there is no such text."""
    empty: bool
    """It also matches the empty text."""


_NOTHING: Paths = ("", "", "", "")


class _Writer:
    """Turns the parse tree into rules; equal rules become one."""

    def __init__(self, newlines: bool) -> None:
        self._white = r"[ \n]" if newlines else '" "'
        self._newlines = newlines
        self._rules: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._names: dict[tuple[tuple[str, ...], ...], str] = {}
        self._loops: dict[Paths, Paths] = {}

    def text(self, root: str) -> str:
        """Write the rules that `root` needs, `root` first."""
        lines, waiting, seen = [f"root ::= {root}"], [root], {root}
        while waiting:
            ways = self._rules.get(waiting.pop(), ())
            new = {atom: None for way in ways for atom in way if atom in self._rules and atom not in seen}
            seen.update(new)
            waiting += new
        for name in self._rules:
            if name in seen:
                lines.append(f"{name} ::= {' | '.join(' '.join(way) for way in self._rules[name])}")
        return "\n".join(lines) + "\n"

    def sequence(self, items: Sequence[Any], flags: int, edges: Edges) -> _Part:
        """Convert items that follow each other; runs of plain characters become one literal."""
        parts, run = [], ""
        for place, (code, value) in enumerate(items):
            if code.name == "LITERAL" and not flags & re.IGNORECASE:
                run += chr(value)
                continue
            parts += [self._literal(run)] if run else []
            run = ""
            parts.append(self._item(code.name, value, flags, _edges(items, place, edges)))
        parts += [self._literal(run)] if run else []
        joined = _Part(_NOTHING, True)
        for part in reversed(parts):
            joined = self._joined(part, joined)
        return joined

    def _item(self, name: str, value: Any, flags: int, edges: Edges) -> _Part:
        if name in _REFUSED:
            raise ValueError(f"the pattern {_REFUSED[name]}, which no grammar can say")
        if name == "AT":
            return _anchor(value.name, edges)
        if name == "SUBPATTERN":
            _, added, removed, inner = value
            return self.sequence(inner.data, (flags | added) & ~removed, edges)
        if name == "BRANCH":
            return self._any_part([self.sequence(way.data, flags, edges) for way in value[1]])
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, inner = value
            return self._repeat(self.sequence(inner.data, flags, (False, False)), int(least), int(most))
        return self._one_of(characters_of(name, value, flags))

    def _rule(self, *ways: tuple[str, ...]) -> str:
        """Return an expression for any of `ways`; one with an impossible piece is none."""
        real = tuple(dict.fromkeys(way for way in ways if all(way)))
        if not real:
            return ""
        if len(real) == 1 and len(real[0]) == 1:
            return real[0][0]
        if real not in self._names:
            self._names[real] = self._new(real)
        return self._names[real]

    def _new(self, ways: tuple[tuple[str, ...], ...]) -> str:
        name = f"r{len(self._rules)}"
        self._rules[name] = ways
        return name

    def _literal(self, text: str) -> _Part:
        if "  " in text or any(mark.isspace() and mark != " " for mark in text) or "\0" in text:
            return _Part(_NOTHING, False)
        pieces = re.split("( )", text) if self._newlines else [text]
        way = self._rule(tuple(self._white if p == " " else _quoted(p) for p in pieces if p))
        at_start = "" if text[0] == " " else way
        ends = (at_start, "", way, "") if text[-1] == " " else ("", at_start, "", way)
        return _Part(ends, False)

    def _one_of(self, characters: Ranges) -> _Part:
        word = _class(without(common(characters, UNIVERSE), WHITE))
        space = self._white if common(characters, SPACE) else ""
        return _Part(("", word, space, word), False)

    def _joined(self, first: _Part, then: _Part) -> _Part:
        a, b = first.paths, then.paths
        paths = [
            self._rule(
                (a[start], b[end]),
                (a[start + 1], b[2 + end]),
                *([(a[start + end],)] if then.empty else []),
                *([(b[start + end],)] if first.empty else []),
            )
            for start in (0, 2)
            for end in (0, 1)
        ]
        return _Part((paths[0], paths[1], paths[2], paths[3]), first.empty and then.empty)

    def _any_part(self, parts: Sequence[_Part]) -> _Part:
        a, b, c, d = (self._rule(*((part.paths[way],) for part in parts)) for way in range(4))
        return _Part((a, b, c, d), any(part.empty for part in parts))

    def _repeat(self, part: _Part, least: int, most: int) -> _Part:
        least = 0 if part.empty else least
        if max(least, 0 if most == _MAX else most) > MOST_REPEATS:
            raise ValueError(f"the pattern counts to more than {MOST_REPEATS:,}")
        once = _Part(part.paths, False)
        if most == _MAX:
            repeated = _Part(self._loop(part.paths), least == 0)
            for _ in range(least - 1):
                repeated = self._joined(once, repeated)
            return repeated
        repeated = _Part(_NOTHING, True)
        for done in range(most):
            repeated = _Part(self._joined(once, repeated).paths, done < most - least)
        return repeated

    def _loop(self, paths: Paths) -> Paths:
        """Once or more: right-recursive rules, which keep llama.cpp's stack flat."""
        if paths not in self._loops:
            self._loops[paths] = self._new_loop(paths)
        return self._loops[paths]

    def _new_loop(self, paths: Paths) -> Paths:
        a, b, c, d = paths
        turns = bool(b and c)
        ends = (a or turns, b, c, d or turns)  # whether a way leads there at all
        names = [self._new(()) if reached else "" for reached in ends]
        for way, name in enumerate(names):
            start, end = way & 2, way & 1
            ways = (
                (paths[start], names[end]),
                (paths[start + 1], names[2 + end]),
                (paths[way],),
            )
            if name:
                self._rules[name] = tuple(way for way in ways if all(way))
        return names[0], names[1], names[2], names[3]


def _edges(items: Sequence[Any], place: int, edges: Edges) -> Edges:
    before = all(code.name == "AT" for code, _ in items[:place])
    after = all(code.name == "AT" for code, _ in items[place + 1 :])
    return edges[0] and before, edges[1] and after


def _anchor(name: str, edges: Edges) -> _Part:
    if "BOUNDARY" in name:
        raise ValueError(r"the pattern asks for a word boundary (\b or \B), which no grammar can say")
    if not edges[0 if "BEGINNING" in name else 1]:
        raise ValueError("the pattern has an anchor in its middle")
    return _Part(_NOTHING, True)


def _allows_anything(items: Sequence[Any], flags: int) -> bool:
    """Whether the pattern is a repeat, once or less at least, of every character of a folded text."""
    held = [(code.name, value) for code, value in items if code.name != "AT"]
    if len(held) != 1:
        return False
    name, value = held[0]
    if name == "SUBPATTERN":
        return _allows_anything(value[3].data, (flags | value[1]) & ~value[2])
    if name not in ("MAX_REPEAT", "MIN_REPEAT") or value[0] > 1 or value[1] != _MAX:
        return False
    every = without(UNIVERSE, without(WHITE, SPACE))
    return not without(every, _single(value[2].data, flags))


def _single(items: Sequence[Any], flags: int) -> Ranges:
    """Return the characters that these items match as texts of one character; none if they are longer."""
    if len(items) != 1:
        return ()
    code, value = items[0]
    if code.name == "SUBPATTERN":
        return _single(value[3].data, (flags | value[1]) & ~value[2])
    if code.name == "BRANCH":
        return union(span for way in value[1] for span in _single(way.data, flags))
    if code.name in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
        return characters_of(code.name, value, flags)
    return ()


def _class(spans: Ranges) -> str:
    if len(spans) > MOST_RANGES:
        known = [span for span in spans if span[1] < _ALPHABETS_END]
        rest = sorted(
            (s for s in spans if s[1] >= _ALPHABETS_END), key=lambda s: (s[0] > 0xFFFF, s[0] - s[1])
        )
        spans = tuple(sorted([*known, *rest[: max(0, MOST_RANGES - len(known))]]))
    if not spans:
        return ""
    if len(spans) == 1 and spans[0][0] == spans[0][1]:
        return _quoted(chr(spans[0][0]))
    return "[" + "".join(_span(low, high) for low, high in spans) + "]"


def _span(low: int, high: int) -> str:
    ends = [low] if low == high else [low, high]
    return "-".join(_escaped(point, lambda mark: mark.isalnum()) for point in ends)


def _quoted(text: str) -> str:
    return (
        '"'
        + "".join(_escaped(ord(mark), lambda m: m.isprintable() and m not in '"\\') for mark in text)
        + '"'
    )


def _escaped(point: int, plain: Callable[[str], bool]) -> str:
    mark = chr(point)
    if point < 0x7F and plain(mark):
        return mark
    if point < 0x100:
        return f"\\x{point:02X}"
    return f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"
