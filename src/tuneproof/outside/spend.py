"""Calls to a paid API → a ledger on the disk that never lets their worst case pass a cap.

One SQLite file for all runs and processes. A call is reserved at its worst case before it is sent, and its
reply is stored before anyone sees it. What a process did not live to settle counts at its worst case.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from tuneproof.artifacts import Price, Reply
from tuneproof.outside.endpoints.asking import Usage
from tuneproof.outside.machine import exactly_now
from tuneproof.outside.spend_file import damaged, open_ledger, said
from tuneproof.request import Request
from tuneproof.spend import SpendCapReached, Spent, cap_in_nano, cost_of, usd, worst_case

_LARGEST = 2**53
"""Nano-dollars and tokens beyond which an API's counts are nonsense; sums of them must not overflow."""
_SUMS = """SELECT
    coalesce(sum(settled), 0),
    coalesce(sum(CASE WHEN state IN ('reserved', 'unknown') THEN 1 END), 0),
    coalesce(sum(CASE WHEN state IN ('reserved', 'unknown') THEN reserved END), 0),
    count(*),
    coalesce(sum(CASE WHEN state = 'settled' AND prompt_tokens IS NULL THEN 1 END), 0),
    coalesce(sum(CASE WHEN settled > reserved THEN 1 END), 0),
    coalesce(sum(CASE WHEN settled > reserved THEN settled - reserved END), 0)
    FROM calls WHERE purpose = ?"""

T = TypeVar("T")


class _Sums(NamedTuple):
    settled: int
    unsettled_calls: int
    unsettled: int
    calls: int
    uncounted: int
    overruns: int
    overrun: int


class _Ending(NamedTuple):
    """How a call ended."""

    place: int
    state: Literal["settled", "released", "unknown"]
    cost: int | None
    """None of a settled call: its worst case."""
    usage: Usage | None
    reply: str | None
    at: str


class SpendLedger:
    """The ledger, for calls to one model at one price; safe to use from several threads and processes.

    Args:
        path: the SQLite file; made where it is missing.
        cap_usd: most that all calls of this purpose may cost together, in US dollars, over all runs.
        price: of this model.
        model: its id.
        purpose: whose cap it is; other purposes in the same file do not count.

    Raises:
        BadInput: the cap is no amount, or the file is damaged, newer, or something else.
        Busy: another process holds it for a minute.
        OutsideFailed: the disk does not let it be opened or written.
    """

    def __init__(self, path: Path, *, cap_usd: float, price: Price, model: str, purpose: str) -> None:
        self._cap = cap_in_nano(cap_usd)
        self._path, self._price, self._model, self._purpose = path, price, model, purpose
        self._lock = threading.RLock()
        self._on_the_way: dict[int, int] = {}
        self._unwritten: list[_Ending] = []
        with said(path):
            self._db = open_ledger(path)

    def reserve(self, request: Request) -> int:
        """Set the worst case of one call aside and return the call's number; only then may it be sent.

        Raises:
            SpendCapReached: it could pass the cap.
            Busy: another process holds the ledger.
            OutsideFailed: it cannot be written.
        """
        worst = worst_case(request, self._price)

        def add(db: sqlite3.Connection) -> int:
            self._must_fit(_sums(db, self._purpose), worst)
            worker = f"{os.getpid()}.{threading.get_native_id()}@{platform.node()}"
            row = (self._purpose, request.item_id, request.sha256, self._model, worker, worst, exactly_now())
            done = db.execute(
                "INSERT INTO calls (purpose, item_id, request_sha256, model, worker, state, reserved, "
                "reserved_at) VALUES (?, ?, ?, ?, ?, 'reserved', ?, ?)",
                row,
            )
            return int(done.lastrowid or 0)

        with self._lock:
            place = self._write(add)
            self._on_the_way[place] = worst
        return place

    def settle(self, place: int, usage: Usage, reply: Reply) -> None:
        """Write down what a call cost and its reply; without token counts it stands at its worst case.

        If it cannot be written, it is kept and written with the next call or on closing.

        Raises:
            OutsideFailed: it cannot be written now.
            Busy: another process holds the ledger.
        """
        known = usage.prompt >= max(1, usage.cached) and (usage.output > 0 or not reply.text)
        cost = (
            min(cost_of(usage.prompt, usage.output, usage.cached, self._price), _LARGEST) if known else None
        )
        text = reply.model_dump_json()
        self._end(_Ending(place, "settled", cost, usage if known else None, text, exactly_now()))

    def release(self, place: int) -> None:
        """Give a reservation back: this call was certainly not billed. Raises as `settle`."""
        self._end(_Ending(place, "released", None, None, None, exactly_now()))

    def leave(self, place: int, reply: Reply | None = None) -> None:
        """Let a call stand at its worst case for ever: nobody knows what it cost. Raises as `settle`.

        Args:
            place: its number.
            reply: what the API made of it, if that is worth keeping: a refusal need not be paid for twice.
        """
        text = reply.model_dump_json() if reply else None
        self._end(_Ending(place, "unknown", None, None, text, exactly_now()))

    def kept(self, request: Request, model: str | None = None) -> Reply | None:
        """Return the stored reply to an equal request, of any run, or None.

        Of several, asked for one after the other because those before were empty or cut, the first whole
        one; if none is whole, the last.

        Args:
            request: its item's id is put on the reply.
            model: who answered; None is the ledger's model.

        Raises:
            BadInput: what is stored is no reply.
        """
        with self._lock, said(self._path):
            found = self._db.execute(
                "SELECT reply FROM replies WHERE request_sha256 = ? AND model = ? ORDER BY call_id",
                (request.sha256, model or self._model),
            ).fetchall()
        if not found:
            return None
        try:
            replies = [Reply.model_validate_json(text) for (text,) in found]
        except ValueError as error:
            raise damaged(self._path, "a kept reply cannot be read") from error
        whole = (reply for reply in replies if reply.finish == "stop" and reply.text.strip())
        return next(whole, replies[-1]).model_copy(update={"item_id": request.item_id})

    def note(self, notes: Sequence[str]) -> None:
        """Write down, for every later run, what the API refused of what this model is asked.

        Raises as `settle`.

        Args:
            notes: one sentence each; those that are there already are not written twice.
        """
        rows = [(self._purpose, self._model, note) for note in notes]
        if rows:
            self._write(lambda db: db.executemany("INSERT OR IGNORE INTO notes VALUES (?, ?, ?)", rows))

    def notes(self) -> tuple[str, ...]:
        """Return what was noted about this model, in any run."""
        with self._lock, said(self._path):
            rows = self._db.execute(
                "SELECT note FROM notes WHERE purpose = ? AND model = ? ORDER BY rowid",
                (self._purpose, self._model),
            )
            return tuple(note for (note,) in rows)

    def standing(self) -> Spent:
        """Return what is spent, over all runs and processes."""
        with self._lock, said(self._path):
            return self._spent(_sums(self._db, self._purpose))

    def close(self) -> None:
        """Write what could not be written before, and close the file.

        Raises:
            OutsideFailed: it still cannot be written; those calls stand at their worst case.
        """
        with self._lock:
            try:
                if self._unwritten:
                    self._write(lambda _: None)
            finally:
                self._db.close()

    def _must_fit(self, sums: _Sums, worst: int) -> None:
        used = sums.settled + sums.unsettled
        if used + worst > self._cap:
            final = used - sum(self._on_the_way.values()) + worst > self._cap
            raise SpendCapReached(self._spent(sums), usd(worst), final=final)

    def _spent(self, sums: _Sums) -> Spent:
        return Spent(
            cap_usd=usd(self._cap),
            settled_usd=usd(sums.settled),
            unsettled=sums.unsettled_calls,
            unsettled_usd=usd(sums.unsettled),
            calls=sums.calls,
            left_usd=usd(max(0, self._cap - sums.settled - sums.unsettled)),
            uncounted=sums.uncounted,
            overruns=sums.overruns,
            overrun_usd=usd(sums.overrun),
        )

    def _end(self, ending: _Ending) -> None:
        with self._lock:
            # First in memory: if the disk is full now, what was paid for is written when it no longer is.
            self._unwritten.append(ending)
            self._on_the_way.pop(ending.place, None)
            try:
                self._write(lambda _: None)
            except ValueError:
                # A call ends once; what contradicts that must not stand in the way of others.
                self._unwritten.remove(ending)
                raise

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one immediate transaction, after the endings that are still to be written."""
        with self._lock, said(self._path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                for ending in self._unwritten:
                    _write_ending(self._db, ending)
                result = work(self._db)
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")
            self._unwritten.clear()
            return result


def _write_ending(db: sqlite3.Connection, ending: _Ending) -> None:
    usage = ending.usage
    tokens = [min(n, _LARGEST) for n in (usage.prompt, usage.output, usage.cached)] if usage else [None] * 3
    done = db.execute(
        "UPDATE calls SET state = ?1, settled = CASE WHEN ?1 = 'settled' THEN coalesce(?2, reserved) END, "
        "prompt_tokens = ?3, output_tokens = ?4, cached_tokens = ?5, ended_at = ?6 "
        "WHERE id = ?7 AND state = 'reserved'",
        (ending.state, ending.cost, *tokens, ending.at, ending.place),
    )
    if done.rowcount == 0:
        found = db.execute("SELECT state FROM calls WHERE id = ?", (ending.place,)).fetchone()
        # The same ending may come twice: a write can fail after it has reached the disk.
        if found != (ending.state,):
            raise ValueError(f"call {ending.place} is {found and found[0]}, it cannot become {ending.state}")
    if ending.reply is not None:
        db.execute(
            "INSERT OR IGNORE INTO replies SELECT id, request_sha256, model, ? FROM calls WHERE id = ?",
            (ending.reply, ending.place),
        )


def _sums(db: sqlite3.Connection, purpose: str) -> _Sums:
    return _Sums(*db.execute(_SUMS, (purpose,)).fetchone())
