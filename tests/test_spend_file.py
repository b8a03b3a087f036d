"""The spend ledger's file: a full disk loses nothing, and what is damaged or foreign is refused unchanged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spend_sample import WORST, opened, reply, request, rows
from tuneproof.errors import BadInput, Busy, OutsideFailed
from tuneproof.outside import spend_file
from tuneproof.outside.endpoints.asking import Usage
from tuneproof.outside.spend import SpendLedger
from tuneproof.spend import NANO


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spend.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SpendLedger]:
    with contextlib.closing(opened(path)) as one:
        yield one


class Failing:
    """A connection whose n-th statement fails, before or after it was done."""

    def __init__(self, db: sqlite3.Connection, nth: int, *, after: bool) -> None:
        self._db, self._left, self._after = db, nth, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, *arguments: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise sqlite3.OperationalError("database or disk is full")
        done = self._db.execute(*arguments)
        if self._left == 0:
            raise sqlite3.OperationalError("disk I/O error")
        return done


@pytest.mark.parametrize("after", [False, True])
def test_whichever_write_fails_the_reply_is_written_later_and_nothing_is_forgotten(
    tmp_path: Path, after: bool
) -> None:
    failed = 0
    for nth in range(1, 99):
        path = tmp_path / f"{nth}.sqlite"
        ledger = opened(path)
        first = ledger.reserve(request())
        whole = ledger._db
        ledger._db = Failing(whole, nth, after=after)  # type: ignore[assignment]
        stopped = []
        for work in (
            lambda: ledger.settle(first, Usage(9, 2), reply()),  # noqa: B023
            lambda: ledger.reserve(request("second")),  # noqa: B023
        ):
            try:
                work()
            except OutsideFailed as error:
                stopped.append(error)
        ledger._db = whole
        ledger.close()
        with contextlib.closing(opened(path)) as later:
            assert later.kept(request()) == reply().model_copy(update={"item_id": request().item_id})
            found = rows(path)
            assert found[0] == ("settled", WORST, 19_000)
            # A second reservation that is there although it failed counts; it never counts for less.
            assert len(found) <= 2 and later.standing().unsettled == len(found) - 1
        if not stopped:
            break
        failed += 1
        assert len(stopped) == 1 and "Make room on the disk" in stopped[0].remedy
        assert str(path) in stopped[0].problem
    assert 8 <= failed < 40, "every statement of both transactions failed once, and then none"


def test_a_full_disk_is_said_and_the_reply_is_kept_until_there_is_room(path: Path) -> None:
    with contextlib.closing(opened(path)) as ledger:
        place, other = ledger.reserve(request()), ledger.reserve(request("other"))
        pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
        ledger._db.execute(f"PRAGMA max_page_count = {pages}")
        long = reply("x" * 100_000)
        with pytest.raises(OutsideFailed, match="full"):
            ledger.settle(place, Usage(9, 2), long)
        with pytest.raises(OutsideFailed, match="full"):
            ledger.release(other)
        assert ledger.standing().unsettled == 2
        # Nothing else is sent as long as what was paid for cannot be written.
        with pytest.raises(OutsideFailed, match="full"):
            ledger.reserve(request("second"))
        ledger._db.execute("PRAGMA max_page_count = 100000")
        ledger.reserve(request("second"))
        found = ledger.kept(request())
        assert found is not None and found.text == long.text
        assert [row[0] for row in rows(path)] == ["settled", "released", "reserved"]
        assert ledger.standing().settled_usd == 19_000 / NANO and ledger._unwritten == []


def test_every_commit_is_on_the_disk_before_the_call_goes_on(ledger: SpendLedger) -> None:
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,), "2 is FULL"


def damaged(path: Path, change: Callable[[bytearray], bytes | bytearray]) -> None:
    with contextlib.closing(opened(path)) as ledger:
        for number in range(40):
            ledger.settle(ledger.reserve(request(f"text {number}")), Usage(9, 2), reply("y" * 2000))
    path.write_bytes(change(bytearray(path.read_bytes())))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"not a database " * 500,
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + bytes(4096) + data[8192:],
        lambda data: data[: len(data) - 4096 * 3] + b"\xff" * 4096 * 3,
    ],
    ids=["text", "half", "zeroed page", "overwritten tail"],
)
def test_a_damaged_ledger_is_refused_with_what_to_do(
    path: Path, change: Callable[[bytearray], bytes | bytearray]
) -> None:
    damaged(path, change)
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"spend\.sqlite is damaged") as refused:
        opened(path)
    assert "usage page" in refused.value.remedy
    assert path.read_bytes() == before


def test_a_newer_ledger_is_left_as_it_is(path: Path) -> None:
    opened(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {spend_file.SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="pip install -U tuneproof"):
        opened(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_left_as_it_is(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE calls (id)")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="another program"):
        opened(path)
    assert path.read_bytes() == before


def test_a_reply_that_was_changed_by_hand_is_refused(ledger: SpendLedger, path: Path) -> None:
    ledger.settle(ledger.reserve(request()), Usage(9, 2), reply())
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE replies SET reply = '{}'")
    with pytest.raises(BadInput, match="cannot be read"):
        ledger.kept(request())


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutsideFailed, match="unable to open"):
        opened(tmp_path / "no" / "spend.sqlite")


def test_a_ledger_that_another_process_holds_is_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend_file, "BUSY_S", 0.05)
    with contextlib.closing(opened(path)) as ledger, contextlib.closing(sqlite3.connect(path)) as other:
        place = ledger.reserve(request())
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="another process"):
            ledger.settle(place, Usage(9, 2), reply())
        other.execute("ROLLBACK")
        ledger.reserve(request("second"))
        assert ledger.standing().settled_usd == 19_000 / NANO, "the reply waited for its turn"
