"""Values of a card → Markdown in which no text from outside can open a tag, a heading or a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tuneproof.artifacts import Interval


def interval_of(interval: Interval, sign: str = "") -> str:
    """Write an interval of shares in points; `sign` is `+` for differences."""
    return f"[{100 * interval.low:{sign}.1f}, {100 * interval.high:{sign}.1f}]"


class Markdown(str):
    """Text that is Markdown already: a table, a fenced block, the head."""


def printed(value: object) -> str:
    """Write one value of the template: Markdown as it is, anything else as one harmless line."""
    return value if isinstance(value, Markdown) else line_of(str(value))


def line_of(text: str) -> str:
    """Put text from outside on one line of Markdown, where it can open no tag, heading or table."""
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|")


def fenced(text: str, language: str) -> Markdown:
    """Fence text with more backticks than it holds in a row."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown(f"{fence}{language}\n{text.strip()}\n{fence}")


def table_of(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Markdown:
    lines = [header, ["---"] * len(header), *([line_of(cell) for cell in row] for row in rows)]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))
