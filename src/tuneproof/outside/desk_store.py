"""Decisions → one SQLite file that only grows; what `append` returned is on the disk.

Write-ahead log, synchronous FULL, one transaction a decision. Several processes may write: each event names
the version of the pair that its reviewer saw, and only one event can follow a version.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tuneproof.artifacts.base import canonical_json, sha256_of
from tuneproof.artifacts.desk import Decision
from tuneproof.desk_batches import Place, hash_order
from tuneproof.errors import BadInput, Busy, OutsideFailed, TuneproofError
from tuneproof.outside.sqlite_file import (
    BUSY,
    Kind,
    connect,
    open_file,
    result_code,
    says_damaged,
    schema_version,
    table_count,
)

SCHEMA_VERSION = 1
BUSY_S = 30.0
"""Longest wait for another process's transaction."""
_APPLICATION = 0x74706473
"""`tpds`: what a tool such as `file` sees in the header."""
_SCHEMA = (
    # `version` is null for the close of a batch, which is no event of a pair.
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        pair_id TEXT NOT NULL,
        version INTEGER,
        decision TEXT NOT NULL,
        UNIQUE (pair_id, version)
    )""",
    """CREATE TRIGGER events_stay BEFORE UPDATE ON events
        BEGIN SELECT raise(ABORT, 'decisions are only ever added'); END""",
    """CREATE TRIGGER events_remain BEFORE DELETE ON events
        BEGIN SELECT raise(ABORT, 'decisions are only ever added'); END""",
    """CREATE TABLE pairs (
        position INTEGER PRIMARY KEY CHECK (position >= 0),
        pair_id TEXT NOT NULL UNIQUE,
        pair_sha256 TEXT NOT NULL
    )""",
)
_KIND = Kind("desk", _APPLICATION, SCHEMA_VERSION, _SCHEMA, BUSY_S)


class StaleVersion(TuneproofError):
    """Someone decided between the look and the decision; nothing was written."""


class DraftsChanged(TuneproofError):
    """The pair is drafted anew since the desk was opened; nothing was written."""


class DeskStore:
    """The store of one project; safe to use from several threads and processes.

    Args:
        path: the SQLite file; made where it is missing, with its folder.

    Raises:
        BadInput: it is damaged, newer, or another program's.
        Busy: another process holds it for half a minute.
        OutsideFailed: the disk does not let it be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _said(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            open_file(path, _KIND).close()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def append(
        self, event: Decision, *, last_seq: int | None = None, drafted: Mapping[str, str] | None = None
    ) -> Decision:
        """Add one event and return it with its number and version, once it is on the disk.

        Args:
            event: its `version` is that of the pair before the event; `seq` is ignored.
            last_seq: number of the last event that the caller knows; None does not ask for it.
            drafted: id → hash of the pairs that the event rests on, as the caller knows them.

        Raises:
            DraftsChanged: one of them has been drafted anew since, so the event would not count.
            StaleVersion: the pair, or with `last_seq` the desk, has moved on.
        """
        with self._write() as db:
            if drafted:
                _check_drafts(db, drafted)
            if last_seq is not None and last_seq != (now := _last_seq(db)):
                raise _stale(f"{now - last_seq} decisions came in since you looked.")
            return _insert(db, event)

    def append_all(self, plan: Callable[[tuple[Decision, ...]], Sequence[Decision]]) -> tuple[Decision, ...]:
        """Add what `plan` makes of all events so far, all of it or nothing; versions are given here.

        Args:
            plan: gets every event, and nobody can write until it has answered.
        """
        with self._write() as db:
            return tuple(
                _insert(db, event.model_copy(update={"version": _version(db, event.pair_id)}))
                for event in plan(_events(db, 0))
            )

    def events(self, after: int = 0) -> tuple[Decision, ...]:
        """Return the events with a number above `after`, in order."""
        with self._read() as db:
            return _events(db, after)

    def places(self) -> tuple[Place, ...]:
        """Return every place, in order."""
        with self._read() as db:
            return _places(db)

    def arrange(self, pairs: Sequence[tuple[str, str]]) -> tuple[Place, ...]:
        """Give new pairs a place after all others, in SHA-256 order of their ids; return every place.

        Args:
            pairs: id and hash of every pair that there is now.
        """
        with self._write() as db:
            known = {place.pair_id: place for place in _places(db)}
            new = sorted((p for p in pairs if p[0] not in known), key=lambda p: hash_order(p[0]))
            start = len(known)  # places are 0, 1, 2 …, and none is ever freed
            db.executemany(
                "INSERT INTO pairs VALUES (?, ?, ?)", [(start + i, *pair) for i, pair in enumerate(new)]
            )
            changed = [(sha, id) for id, sha in pairs if id in known and known[id].pair_sha256 != sha]
            db.executemany("UPDATE pairs SET pair_sha256 = ? WHERE pair_id = ?", changed)
            return _places(db)

    @contextlib.contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with _said(self._path), contextlib.closing(connect(self._path, _KIND)) as db:
            yield db

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._read() as db:
            db.execute("BEGIN IMMEDIATE")
            written = False
            try:
                yield db
                db.execute("COMMIT")
                written = True
            finally:
                # Where even this fails, closing the connection rolls back.
                with contextlib.suppress(sqlite3.Error):
                    if not written:
                        db.execute("ROLLBACK")


def _stale(what: str) -> StaleVersion:
    return StaleVersion(what, remedy="Look at the pair as it stands now, then decide again.")


def drafts_changed() -> DraftsChanged:
    """Say that what is on the page is not what is drafted now."""
    return DraftsChanged(
        "The drafts have changed since this desk was opened; your decision was not taken.",
        remedy="Start `tuneproof review` again.",
    )


def _check_drafts(db: sqlite3.Connection, drafted: Mapping[str, str]) -> None:
    for pair_id, sha in drafted.items():
        row = db.execute("SELECT pair_sha256 FROM pairs WHERE pair_id = ?", (pair_id,)).fetchone()
        if row is not None and row[0] != sha:
            raise drafts_changed()


def _insert(db: sqlite3.Connection, event: Decision) -> Decision:
    now = _version(db, event.pair_id)
    if event.pair_id and event.version != now:
        raise _stale(f"The pair {event.pair_id!r} has changed since you saw it.")
    seq, version = _last_seq(db) + 1, now + 1 if event.pair_id else 0
    stored = event.model_copy(update={"seq": seq, "version": version})
    db.execute(
        "INSERT INTO events (seq, pair_id, version, decision) VALUES (?, ?, ?, ?)",
        (seq, event.pair_id, version or None, canonical_json(stored.model_dump(mode="json"))),
    )
    return stored


def _version(db: sqlite3.Connection, pair_id: str) -> int:
    row = db.execute("SELECT coalesce(max(version), 0) FROM events WHERE pair_id = ?", (pair_id,)).fetchone()
    return int(row[0])


def _last_seq(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def _events(db: sqlite3.Connection, after: int) -> tuple[Decision, ...]:
    rows = db.execute("SELECT decision FROM events WHERE seq > ? ORDER BY seq", (after,))
    try:
        return tuple(Decision.model_validate_json(text) for (text,) in rows)
    except ValueError as error:
        raise sqlite3.DatabaseError(f"a stored decision cannot be read: {error}") from error


def _places(db: sqlite3.Connection) -> tuple[Place, ...]:
    rows = db.execute("SELECT position, pair_id, pair_sha256 FROM pairs ORDER BY position")
    return tuple(Place(*row) for row in rows)


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """Say in our words what SQLite and the disk say about the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = result_code(error)
        if code in BUSY:
            raise Busy(
                f"{path} has been in use by another process for {BUSY_S:.0f} s.",
                remedy="Close the other program that has it open, then decide again.",
            ) from error
        if says_damaged(error):
            raise BadInput(
                f"{path} is damaged: {error}.",
                remedy=f"Restore {path.name} and its -wal file from a backup, or move both away and run "
                "`tuneproof review --import FILE` with decisions that were exported.",
            ) from error
        raise _no_disk(path, error) from error
    except OSError as error:
        raise _no_disk(path, error) from error


def _no_disk(path: Path, error: Exception) -> OutsideFailed:
    return OutsideFailed(
        f"{path} cannot be written or read: {error}.",
        remedy="Make room on the disk or mend its permissions, then decide again: "
        "every decision that was confirmed is kept.",
    )


def desk_mark(path: Path) -> str:
    """Return what tells whether events were added since: the hash of the last one; empty without any.

    Events are only ever added, so the last one stands for all.
    """
    if not path.exists():
        return ""
    with _said(path), contextlib.closing(connect(path, _KIND)) as db:
        if not schema_version(db) and not table_count(db):
            return ""  # a kill came between the file and its tables
        last = db.execute("SELECT decision FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return sha256_of(last[0]) if last else ""
