"""The only module that prints: results to stdout, progress and hints to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

_EVERY_S = 10.0
"""Where the terminal is no screen, progress is a line at most this often."""


class Tell:
    """Says things to a person, or as JSON to a program.

    Args:
        as_json: stdout carries one JSON value and nothing else.
        quiet: no progress.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        from rich.console import Console

        self.as_json = as_json
        self._quiet = quiet or as_json
        self._out = Console(file=sys.stdout, highlight=False, soft_wrap=True, width=_width(sys.stdout))
        # The stream of the start: libraries' stderr goes to a log file while they work, ours must not.
        self._err = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """Print a line of a result."""
        if not self.as_json:
            self._out.print(text, style=style, markup=False)

    def note(self, text: str, *, style: str | None = "dim") -> None:
        """Print a line about the work."""
        if not self._quiet:
            self._err.print(text, style=style, markup=False)

    def error(self, text: str) -> None:
        """Print an error; never silent."""
        self._err.print(text, style="red", markup=False)

    def json(self, value: object) -> None:
        """Print one JSON value in JSON mode."""
        if self.as_json:
            self._out.file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
    ) -> None:
        """Print a table; the columns `right` are numbers."""
        if self.as_json:
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for index, title in enumerate(header):
            table.add_column(title, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))  # as text: `tuneproof[gguf]` is no markup
        self._out.print(table)

    def progress(self, title: str) -> Bar:
        """Start a progress display."""
        return Bar(self._err, title, quiet=self._quiet)

    @contextmanager
    def step(self, heading: str) -> Iterator[None]:
        """Frame a step: its heading before, its seconds after."""
        self.note(heading, style="bold")
        began = time.monotonic()
        yield
        self.note(f"  {time.monotonic() - began:.1f} s")


def _width(stream: TextIO) -> int | None:
    """A pipe has no width of its own, and cells must not be folded there; None leaves a terminal its own."""
    return None if stream.isatty() else 180


class Bar:
    """A line that is rewritten on a screen and repeated now and then in a log."""

    def __init__(self, console: RichConsole, title: str, *, quiet: bool) -> None:
        self._console, self._title, self._quiet = console, title, quiet
        self._began = time.monotonic()
        self._shown = self._began

    def update(self, done: int, total: int, note: str) -> None:
        """Show `done` of `total`."""
        if self._quiet:
            return
        now = time.monotonic()
        last = done >= total
        screen = self._console.is_terminal
        if not last and now - self._shown < (0.2 if screen else _EVERY_S):
            return
        self._shown = now
        left = (now - self._began) / max(done, 1) * (total - done)
        ending = "" if "left" in note or last else f", {left:.0f} s left"
        text = f"  {self._title}: {done}/{total} {note}{ending}"
        if screen:
            width = max(20, self._console.width - 1)
            self._console.file.write("\r" + text[:width].ljust(width) + ("\n" if last else ""))
            self._console.file.flush()
        else:
            self._console.print(text, markup=False, style="dim")
