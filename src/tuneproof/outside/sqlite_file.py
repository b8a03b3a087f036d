"""One SQLite file of ours: opened and checked, or made; what SQLite's errors mean.

Write-ahead log, synchronous FULL: after a power loss, what was committed is there (sqlite.org/wal.html).
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from tuneproof.errors import BadInput
from tuneproof.outside.machine import seconds

BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
"""Another process holds the file."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


class Kind(NamedTuple):
    """What a file of one kind looks like."""

    name: str
    """As messages call it: `desk`, `ledger`."""
    application: int
    """Four letters that a tool such as `file` sees in the header (PRAGMA application_id)."""
    version: int
    """Of the schema (PRAGMA user_version)."""
    schema: tuple[str, ...]
    """Statements that make it."""
    busy_s: float
    """Longest wait for another process's transaction."""
    additions: tuple[str, ...] = ()
    """`IF NOT EXISTS` statements for files that were made without them."""


def connect(path: Path, kind: Kind) -> sqlite3.Connection:
    """Connect without a look at what is in the file."""
    db = sqlite3.connect(path, timeout=kind.busy_s, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    return db


def open_file(path: Path, kind: Kind) -> sqlite3.Connection:
    """Check that a file is ours and sound, or make it; nothing is written to another program's file.

    Raises:
        BadInput: it is newer, or another program's.
        sqlite3.Error: it is damaged, held by another process, or the disk refuses: see `result_code`.
    """
    db = connect(path, kind)
    try:
        _must_be_ours(db, path, kind)
        _use_wal(db, kind.busy_s)
        db.execute("BEGIN IMMEDIATE")
        if schema_version(db) == 0:
            for statement in kind.schema:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {kind.application}")
            db.execute(f"PRAGMA user_version = {kind.version}")
        for statement in kind.additions:
            db.execute(statement)
        db.execute("COMMIT")
    except (sqlite3.Error, BadInput):
        db.close()
        raise
    return db


def schema_version(db: sqlite3.Connection) -> int:
    """Return the version that the file was made with; 0 before its schema is there."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def table_count(db: sqlite3.Connection) -> int:
    """Return the number of tables, indexes and triggers; 0 where a kill came before the schema."""
    return int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def result_code(error: sqlite3.Error) -> int | None:
    """Return the primary result code (sqlite.org/rescode.html); None for an error of our own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def says_damaged(error: sqlite3.Error) -> bool:
    """Whether the file cannot be trusted: SQLite says so, or a check of ours, whose errors have no code."""
    code = result_code(error)
    return type(error) is sqlite3.DatabaseError if code is None else code in _DAMAGED


def _must_be_ours(db: sqlite3.Connection, path: Path, kind: Kind) -> None:
    version = schema_version(db)
    if (table_count(db) or version) and db.execute("PRAGMA application_id").fetchone()[0] != kind.application:
        raise BadInput(
            f"{path} is another program's database.", remedy=f"Move {path.name} out of the project."
        )
    if version > kind.version:
        raise BadInput(
            f"{path} was written by a newer tuneproof (version {version} of the {kind.name}; "
            f"this one knows {kind.version}).",
            remedy="Update it: pip install -U tuneproof",
        )
    if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(str(found))


def _use_wal(db: sqlite3.Connection, busy_s: float) -> None:
    """Switch to a write-ahead log; SQLite does not wait for other processes here, so we do."""
    until = seconds() + busy_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if result_code(error) not in BUSY or seconds() > until:
                raise
            time.sleep(0.01)
