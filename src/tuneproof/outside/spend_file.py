"""The spend ledger's SQLite file: opened, made where it is missing, and its failures in our words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tuneproof.errors import BadInput, Busy, OutsideFailed
from tuneproof.outside.sqlite_file import BUSY, Kind, open_file, result_code, says_damaged

SCHEMA_VERSION = 1
BUSY_S = 60.0
"""Longest wait for another process's transaction."""
_APPLICATION = 0x74707370
"""`tpsp`: what a tool such as `file` sees in the header."""
_TABLES = (
    """CREATE TABLE calls (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        purpose TEXT NOT NULL,
        item_id TEXT NOT NULL,
        request_sha256 TEXT NOT NULL,
        model TEXT NOT NULL,
        worker TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('reserved', 'settled', 'released', 'unknown')),
        reserved INTEGER NOT NULL CHECK (typeof(reserved) = 'integer' AND reserved >= 0),
        settled INTEGER CHECK ((state = 'settled') = (typeof(settled) = 'integer') AND settled >= 0),
        prompt_tokens INTEGER,
        output_tokens INTEGER,
        cached_tokens INTEGER,
        reserved_at TEXT NOT NULL,
        ended_at TEXT
    )""",
    # Covers the sum that every reservation takes.
    "CREATE INDEX calls_cost ON calls (purpose, state, reserved, settled, prompt_tokens)",
    """CREATE TABLE replies (
        call_id INTEGER PRIMARY KEY REFERENCES calls (id),
        request_sha256 TEXT NOT NULL,
        model TEXT NOT NULL,
        reply TEXT NOT NULL
    )""",
    "CREATE INDEX replies_request ON replies (request_sha256, model)",
)
"""Costs are in nano-dollars, times in UTC."""
_NOTES = (
    "CREATE TABLE IF NOT EXISTS notes (purpose TEXT NOT NULL, model TEXT NOT NULL, note TEXT NOT NULL, "
    "UNIQUE (purpose, model, note))"
)
"""What an API refused of what a model is asked; added to ledgers that were made without it."""


def open_ledger(path: Path) -> sqlite3.Connection:
    """Open the file, or make it.

    Raises:
        BadInput: it is newer, or another program's.
        sqlite3.Error: see `said`.
    """
    return open_file(path, Kind("ledger", _APPLICATION, SCHEMA_VERSION, _TABLES, BUSY_S, (_NOTES,)))


@contextlib.contextmanager
def said(path: Path) -> Iterator[None]:
    """Say in our words what SQLite says about the file; a wrong statement of ours stays as it is.

    Raises:
        Busy: another process holds it.
        BadInput: it is damaged.
        OutsideFailed: the disk is full, or does not let it be read or written.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) not in (sqlite3.OperationalError, sqlite3.DatabaseError):
            raise
        code = result_code(error)
        if code in BUSY:
            raise Busy(
                f"{path} has been in use by another process for {BUSY_S:.0f} s.",
                remedy="Wait until it ends, or stop it; this command can then be run again.",
            ) from error
        if says_damaged(error):
            raise damaged(path, str(error)) from error
        raise OutsideFailed(
            f"{path} cannot be written or read: {error}.",
            remedy="Make room on the disk or mend its permissions, then run the same command again: "
            "nothing is asked twice, and calls that could not be settled stand at their worst case.",
        ) from error


def damaged(path: Path, what: str) -> BadInput:
    """Return the error for a file that cannot be trusted."""
    return BadInput(
        f"{path} is damaged: {what}.",
        remedy=f"Restore {path.name} from a backup. Without one, move it away and lower drafting.cap_usd "
        "by what the provider's usage page says was spent.",
    )
