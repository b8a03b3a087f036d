"""A terminal, or a pipe → single keys, lines and edited texts for the review desk."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from tuneproof.outside.machine import seconds

_LEAVE = frozenset("\x03\x04")
"""Control-C and control-D, where the terminal hands them on as keys."""


class TerminalKeys:
    """What a reviewer presses and writes.

    Args:
        source: where it comes from, usually `sys.stdin`.
        say: writes a prompt, on a line of its own.
    """

    def __init__(self, source: TextIO, say: Callable[[str], None]) -> None:
        self._source, self._say = source, say

    @property
    def is_terminal(self) -> bool:
        """False for a pipe or a file."""
        return self._source.isatty()

    def key(self) -> str | None:
        """Wait for one key; None at the end of the input, and for control-C and control-D."""
        if not self.is_terminal:
            return self._source.read(1) or None
        with _single_keys(self._source):
            pressed = self._source.read(1)
        return None if not pressed or pressed in _LEAVE else pressed.lower()

    def line(self, prompt: str) -> str | None:
        """Ask for a line; None at the end of the input."""
        self._say(prompt)
        text = self._source.readline()
        return text.rstrip("\r\n") if text else None

    def edit(self, text: str) -> str | None:
        """Let a text be changed in $VISUAL or $EDITOR; without one, ask for a new line; empty gives up."""
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
        if not (editor and self.is_terminal):
            return self.line("New output on one line (empty: leave it as it is): ") or None
        with tempfile.TemporaryDirectory(prefix="tuneproof-") as folder:
            path = Path(folder) / "output.txt"
            path.write_text(text, encoding="utf-8", newline="")
            try:
                ended = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
                edited = path.read_bytes().decode("utf-8")
            except (OSError, ValueError) as error:
                self._say(f"{editor} could not be used: {error}.")
                return None
        if ended:
            self._say(f"{editor} ended with an error ({ended}); the text was left as it is.")
            return None
        # Editors end a file with a newline, which the answer did not have.
        return edited.removesuffix("\n") if not text.endswith("\n") else edited

    def seconds(self) -> float:
        """Return a monotonic clock."""
        return seconds()


@contextlib.contextmanager
def _single_keys(source: TextIO) -> Iterator[None]:
    """Let each key through at once, and give the terminal back as it was."""
    try:
        import termios
        import tty
    except ImportError:  # Windows: a key and Enter
        yield
        return
    before = termios.tcgetattr(source)
    try:
        tty.setcbreak(source)
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)
