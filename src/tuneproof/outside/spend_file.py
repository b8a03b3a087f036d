"""The spend ledger's SQLite file: opened, made where it is missing, and its failures in our words."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from tuneproof.errors import BadInput, Busy, OutsideFailed
from tuneproof.outside.machine import seconds

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
    """Open the file, or make it; a power loss after a commit loses nothing (WAL, synchronous FULL).

    Raises:
        BadInput: it is newer, damaged, or another program's.
        sqlite3.Error: see `said`.
    """
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        # Nothing is written before the file is known to be ours.
        _must_be_ours(db, path)
        _use_wal(db)
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        if _version(db) == 0:
            for statement in _TABLES:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute(_NOTES)
        db.execute("COMMIT")
    except (sqlite3.Error, BadInput):
        db.close()
        raise
    return db


def _must_be_ours(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if version > SCHEMA_VERSION:
        raise BadInput(
            f"{path} was written by a newer tuneproof (version {version} of the ledger; "
            f"this one knows {SCHEMA_VERSION}).",
            remedy="Update it: pip install -U tuneproof",
        )
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (tables or version) and db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
        raise BadInput(
            f"{path} is another program's database.", remedy=f"Move {path.name} out of the project."
        )
    if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise damaged(path, found)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; SQLite does not wait for other processes here, so we do."""
    until = seconds() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or seconds() > until:
                raise
            time.sleep(0.01)


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
        code = _code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Busy(
                f"{path} has been in use by another process for {BUSY_S:.0f} s.",
                remedy="Wait until it ends, or stop it; this command can then be run again.",
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
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


def _code(error: sqlite3.Error) -> int | None:
    """Return the primary result code (sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
