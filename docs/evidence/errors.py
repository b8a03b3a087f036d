#!/usr/bin/env python3
"""Every mistake of `tests/error_cases.py`, made through the command → the table in `errors.md`.

    .venv/bin/python docs/evidence/errors.py

The last row needs the default base (made ready once, about half a minute); the others are a second each.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from error_cases import CASES, HOLDERS, WITH_WEIGHTS, Case, message, run  # noqa: E402

HEAD = """# What is said when something is wrong

Made by `errors.py` beside this page: each mistake was made in an empty folder and met by the command as a
user would run it (`…` is that folder). Each ends with exit code 1 and the next step, without a traceback.
`tests/test_errors.py` makes the same mistakes and compares.

| mistake | input | command | what is said |
|---|---|---|---|
"""


def row(case: Case, said: str) -> str:
    """Return one line of the table."""
    command = " ".join(("tuneproof", *(argument or '""' for argument in case.arguments)))
    cells = (case.title, case.shown, f"`{command}`", cell(said))
    return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"


def cell(said: str) -> str:
    """Put a message of several lines into a cell."""
    lines = [line.strip() for line in said.splitlines()]
    shown = lines if len(lines) <= 9 else [*lines[:4], f"(and {len(lines) - 5} more lines)", lines[-1]]
    return "<br>".join(line.replace("<", "&lt;").replace("*", "\\*") for line in shown)


def main() -> None:
    """Make every mistake and write the page."""
    rows = []
    for case in (*CASES, *WITH_WEIGHTS):
        with tempfile.TemporaryDirectory() as folder:
            said = run(case, Path(folder))
            assert said.code == 1, (case.title, said)
            rows.append(row(case, message(said, Path(folder))))
    for end in HOLDERS:
        end()
    (HERE / "errors.md").write_text(HEAD + "\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
