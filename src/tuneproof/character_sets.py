"""A single-character piece of a regular expression → the set of its characters, as ranges of code points.

The pieces are nodes of `re`'s parse tree, whose names are the same in Python 3.11 to 3.13.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

Ranges = tuple[tuple[int, int], ...]
"""Characters as sorted, disjoint ranges of code points, both ends included."""

UNIVERSE: Ranges = ((1, 0xD7FF), (0xE000, 0x10FFFF))
"""All of Unicode but NUL and the surrogates, which no reply can hold."""
SPACE: Ranges = ((0x20, 0x20),)
WHITE: Ranges = tuple((point, point) for point in range(1, 0x3001) if chr(point).isspace())
"""What folding white space turns into a space."""


def characters_of(name: str, value: Any, flags: int) -> Ranges:
    r"""Return the characters that one node matches.

    Args:
        name: of the node's operation, for example `IN`.
        value: the node's argument.
        flags: of `re`, as they hold there; `\d` outside a negated class means the ASCII digits.

    Raises:
        ValueError: the node is of another kind.
    """
    if name == "ANY":
        return UNIVERSE if flags & re.DOTALL else without(UNIVERSE, ((10, 10),))
    if name in ("LITERAL", "NOT_LITERAL"):
        found: Ranges = ((value, value),)
        negated = name == "NOT_LITERAL"
    elif name == "IN":
        negated = value[0][0].name == "NEGATE"
        found = union(span for code, item in value for span in _member(code.name, item, flags, negated))
    else:
        raise ValueError(f"the pattern uses {name}, which this version cannot turn into a grammar")
    if flags & re.IGNORECASE:
        found = _any_case(found, bool(flags & re.ASCII))
    return without(UNIVERSE, found) if negated else found


def _member(name: str, item: Any, flags: int, negated: bool) -> Ranges:
    if name == "NEGATE":
        return ()
    if name == "CATEGORY":
        if item.name == "CATEGORY_DIGIT" and not negated:
            return ((0x30, 0x39),)
        return _category(item.name.removeprefix("CATEGORY_"), bool(flags & re.ASCII))
    return (item,) if name == "RANGE" else ((item, item),)


@lru_cache(maxsize=16)
def _category(name: str, ascii_only: bool) -> Ranges:
    letter = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[name.removeprefix("NOT_")]
    sign = letter.upper() if name.startswith("NOT_") else letter
    every = "".join(chr(point) for low, high in UNIVERSE for point in range(low, high + 1))
    found = re.finditer(rf"\{sign}+", every, re.ASCII if ascii_only else re.UNICODE)
    # A run may span the surrogates, which `every` leaves out.
    return common(union((ord(run[0][0]), ord(run[0][-1])) for run in found), UNIVERSE)


@lru_cache(maxsize=2)
def _lower_forms(ascii_only: bool) -> dict[int, int]:
    """Characters whose lower form, as `re` sees it, is another one."""
    engine: Any = importlib.import_module("_sre")
    lower = engine.ascii_tolower if ascii_only else engine.unicode_tolower
    return {p: lower(p) for low, high in UNIVERSE for p in range(low, high + 1) if lower(p) != p}


def _any_case(found: Ranges, ascii_only: bool) -> Ranges:
    """Add what `re` takes for the same letter: it compares lower forms, and some have partners."""
    partners: dict[int, tuple[int, ...]] = (
        {} if ascii_only else importlib.import_module("re._casefix")._EXTRA_CASES
    )
    lower = _lower_forms(ascii_only)

    def inside(point: int, spans: Ranges) -> bool:
        return any(low <= point <= high for low, high in spans)

    moved = [(low, low) for point, low in lower.items() if inside(point, found)]
    plain = without(found, union((point, point) for point in lower))
    lowered = union((*plain, *moved))
    extra = [(p, p) for point, more in partners.items() if inside(point, lowered) for p in more]
    wanted = union((*lowered, *extra))
    return union((*wanted, *((p, p) for p, low in lower.items() if inside(low, wanted))))


def union(spans: Iterable[tuple[int, int]]) -> Ranges:
    """Merge ranges."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def without(spans: Ranges, taken: Ranges) -> Ranges:
    """Take ranges out of others."""
    left, holes = [], union(taken)
    for low, high in spans:
        for first, last in holes:
            if last < low or first > high:
                continue
            if first > low:
                left.append((low, first - 1))
            low = last + 1
        if low <= high:
            left.append((low, high))
    return tuple(left)


def common(spans: Ranges, others: Ranges) -> Ranges:
    """Return what both hold."""
    return without(spans, without(((0, 0x10FFFF),), others))
