"""What all plots share: inks that follow the page, shapes of the kinds of arm, and the SVG for a page.

Matplotlib draws with placeholder colours; the SVG text then names CSS variables instead, so one file
looks right on a light and on a dark page, inline or as an image.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from tuneproof.artifacts.comparison import ArmKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


class Ink(NamedTuple):
    """A colour's CSS name, and its value on a light and on a dark page."""

    name: str
    light: str
    dark: str


TEXT = Ink("text", "#24292f", "#e6edf3")
QUIET = Ink("quiet", "#59636e", "#9aa4af")
GRID = Ink("grid", "#d8dee4", "#30363d")
KIND_INK: dict[ArmKind, Ink] = {
    "base": Ink("base", "#59636f", "#a0aab5"),
    "rival": Ink("rival", "#8f5e00", "#d9a032"),
    "tuned": Ink("tuned", "#0a64d0", "#5fabff"),
    "frontier": Ink("frontier", "#7c4ddb", "#bf93ff"),
    "endpoint": Ink("endpoint", "#a1307f", "#f08fce"),
    "seed": Ink("seed", "#1f7a4d", "#63cf98"),
    "control": Ink("control", "#b3261e", "#ff8f87"),
}
# Shape repeats what colour says, for print and for colour-blind readers.
KIND_MARKER: dict[ArmKind, str] = {
    "base": "o",
    "rival": "s",
    "tuned": "D",
    "frontier": "^",
    "endpoint": "v",
    "seed": "d",
    "control": "X",
}
KIND_TITLE: dict[ArmKind, str] = {
    "base": "base model",
    "rival": "cheap rival",
    "tuned": "tuned model",
    "frontier": "frontier model",
    "endpoint": "other endpoint",
    "seed": "other seed",
    "control": "null control",
}
_INKS = (TEXT, QUIET, GRID, *KIND_INK.values())
_FONT_STACK = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Letters that draw nothing, although Unicode does not call them format characters.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")


def visible(text: str) -> str:
    """Show invisible, direction-changing and control characters as `⟨U+XXXX⟩`; keep newlines and tabs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible_character, text.replace("\r\n", "\n")))


def _visible_character(character: str) -> str:
    if character in "\n\t":
        return character
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return f"⟨U+{ord(character):04X}⟩" if hidden or character in _BLANK_LETTERS else character


@contextmanager
def plot_style(salt: str) -> Iterator[None]:
    """Set fonts, placeholder colours and the seed of the ids; `salt` is the plot's name."""
    import matplotlib as mpl

    settings = mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": f"tuneproof-{salt}",
            "text.parse_math": False,
            "font.family": ["DejaVu Sans"],
            "font.size": 9.5,
            "text.color": TEXT.light,
            "axes.labelcolor": TEXT.light,
            "axes.edgecolor": QUIET.light,
            "xtick.color": QUIET.light,
            "ytick.color": QUIET.light,
            "grid.color": GRID.light,
            "grid.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    )
    with settings, warnings.catch_warnings():
        # The browser chooses the font; DejaVu only measures, so a letter it lacks does no harm.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def kind_handles(kinds: Iterable[ArmKind]) -> list[Line2D]:
    """Return one legend entry for each kind, in the order of its first arm."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=KIND_INK[kind].light, marker=KIND_MARKER[kind], label=KIND_TITLE[kind])
        for kind in dict.fromkeys(kinds)
    ]


def page_svg(figure: Figure, name: str, label: str) -> str:
    """Save without a date, then make the text fit to stand inside a page; `label` is read aloud."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Two plots on one page must not share ids.
    text = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    # Inside a page, matplotlib's own rule would reach every element.
    text = text.replace("*{stroke", ".tuneproof-plot *{stroke")
    text = re.sub(r"'DejaVu Sans'(?:, [^;\"]*)?", _FONT_STACK, text)
    for ink in _INKS:
        text = re.sub(re.escape(ink.light), f"var(--plot-{ink.name})", text, flags=re.IGNORECASE)
    root = f'<svg class="tuneproof-plot" role="img" aria-label="{escape(label)}"'
    head, rest = text.removeprefix("<svg").split(">", 1)
    return f"{root}{head}><style>{_css()}</style>{rest}".strip() + "\n"


def _css() -> str:
    """Plot colours; paper is always light."""
    light = "".join(f"--plot-{ink.name}:{ink.light};" for ink in _INKS)
    dark = "".join(f"--plot-{ink.name}:{ink.dark};" for ink in _INKS)
    scope = ".tuneproof-plot"
    return f"{scope}{{{light}}}@media screen and (prefers-color-scheme:dark){{{scope}{{{dark}}}}}"
