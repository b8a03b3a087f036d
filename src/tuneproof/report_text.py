"""Numbers, texts and tables → the forms in which the report prints them, in HTML and in Markdown."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from markupsafe import Markup, escape

from tuneproof.artifacts import Arm, Interval
from tuneproof.plots_style import visible

NOTHING = "–"


class Table(NamedTuple):
    """Rows of text; `numeric` columns are set right, `marked` rows and `marked_cells` are set bold."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    marked: frozenset[int] = frozenset()
    marked_cells: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of each."""
    name: str = ""
    """As it is read aloud."""
    look: str = ""
    """Class of the page's style: `twins`, `confusion`, `wordy`."""
    folded: str = ""
    """Words on which a page folds it out; empty: it is open."""


def shown(value: object) -> object:
    """Return a value as a page shows it: a dash for nothing, odd characters visible."""
    if value is None:
        return NOTHING
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def shown_in_markdown(value: object) -> object:
    """The same, with Markdown's marks escaped."""
    value = shown(value)
    return value if isinstance(value, Markup) or not isinstance(value, str) else escaped(value)


def marked_title(arm: Arm) -> str:
    """Write an arm's title with what a reader must know to compare it."""
    marks = {"constrained": arm.constrained, "recorded": bool(arm.recorded)}
    said = ", ".join(mark for mark, holds in marks.items() if holds and mark not in arm.title)
    return f"{arm.title} ({said})" if said else arm.title


def percent(share: float) -> str:
    """`0.575` → `57.5 %`."""
    return f"{100 * share:.1f} %"


def rated(share: float, interval: Interval) -> str:
    """A share with its interval, in percent."""
    return f"{percent(share)} ({100 * interval.low:.1f}–{100 * interval.high:.1f})"


def level(confidence: float) -> str:
    """`0.95` → `95 %`."""
    return f"{100 * confidence:g} %"


def signed(share: float) -> str:
    """A difference in points, with a real minus sign."""
    value = round(100 * share, 1)
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{abs(value):.1f}"


def span(interval: Interval) -> str:
    """An interval of differences, in points."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def points(share: float) -> str:
    """`0.05` → `5 points`, without a sign."""
    value = f"{abs(100 * share):.1f}".removesuffix(".0")
    return f"{value} {'point' if value == '1' else 'points'}"


def count(number: float) -> str:
    """`1700` → `1,700`."""
    return f"{number:,.0f}"


def milliseconds(value: float | None) -> str:
    """A time in milliseconds, one decimal below ten."""
    if value is None:
        return NOTHING
    return f"{value:.1f} ms" if value < 9.95 else f"{value:,.0f} ms"


def dollars(value: float | None) -> str:
    """Three significant digits, never in scientific notation."""
    if value is None or value < 0.0001:
        return NOTHING if value is None else "< 0.0001" if value else "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def p_value(value: float) -> str:
    """Four digits, or `< 0.0001`."""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def megabytes(size: int) -> str:
    """Bytes → megabytes of 10⁶ bytes."""
    return f"{size / 1e6:,.1f} MB"


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def escaped(text: str) -> str:
    """One line of Markdown that shows `text` and starts no markup, no HTML and no new cell."""
    text = " ".join(visible(text).split())
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*|\[\]~$])", r"\\\1", text)
    # Inside a word, as in Q4_K_M, GitHub reads an underscore as itself.
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    return re.sub(r"^(\d+)(?=[.)]\s)", r"\1\\", re.sub(r"^(#|[+-](?=[\s-]))", r"\\\1", text))


def code(text: str) -> Markup:
    """A code span on one line; newlines are shown as ⏎."""
    if not text.strip():
        return Markup("(empty)")
    text = visible(text).replace("\n", " ⏎ ")
    fence = "`" * (_longest_run(text) + 1)
    return Markup(f"{fence} {text} {fence}") if "`" in text else Markup(f"`{text}`")


def prose(text: str) -> Markup:
    """A sentence of Markdown; what stands between backticks becomes a code span."""
    pieces = re.split(r"`([^`\n]+)`", text)
    return Markup("".join(code(piece) if i % 2 else _between(piece) for i, piece in enumerate(pieces)))


def _between(piece: str) -> str:
    """Escape, and keep the spaces at both ends, which stand before and after code."""
    before, after = (" " if end.isspace() else "" for end in (piece[:1], piece[-1:]))
    return f"{before}{escaped(piece)}{after}" if piece.strip() else before


def prose_html(text: str) -> Markup:
    """A sentence of HTML; what stands between backticks becomes code."""
    pieces = re.split(r"`([^`\n]+)`", visible(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if i % 2 else escape(piece) for i, piece in enumerate(pieces)
    )


def fenced(text: str) -> Markup:
    """A code block whose fence is longer than any run of backticks inside."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return Markup(f"{fence}text\n{visible(text)}\n{fence}")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def markdown(table: Table) -> Markup:
    """A GitHub table; Markup, because its cells are escaped already."""
    rule = tuple("---:" if i in table.numeric else "---" for i in range(len(table.header)))
    rows = [tuple(map(escaped, table.header)), rule]
    for number, cells in enumerate(table.rows):
        bold = number in table.marked
        rows.append(
            tuple(
                f"**{escaped(cell)}**" if bold or (number, column) in table.marked_cells else escaped(cell)
                for column, cell in enumerate(cells)
            )
        )
    return Markup("\n".join(f"| {' | '.join(cells)} |" for cells in rows))
