"""The desk's store: nothing acknowledged is lost, nothing is doubled, nobody is overwritten."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from desk_writer import decision
from tuneproof.artifacts.desk import Decision
from tuneproof.desk_batches import hash_order
from tuneproof.errors import BadInput, OutsideFailed
from tuneproof.outside import desk_store
from tuneproof.outside.desk_store import DeskStore, DraftsChanged, StaleVersion, desk_mark

WRITER = Path(__file__).with_name("desk_writer.py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desk" / "desk.sqlite"


def test_what_a_killed_writer_acknowledged_is_there_and_nothing_is_there_twice(path: Path) -> None:
    total, rounds = 500, 80
    ran = subprocess.run(
        [sys.executable, str(WRITER), str(path), str(total), "5", str(rounds)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    said = json.loads(ran.stdout)
    events = DeskStore(path).events()
    kept = [event.pair_id for event in events]
    assert said["killed"] >= rounds * 3 // 4, "most writers must have died in their work"
    assert set(said["acknowledged"]) <= set(kept)
    assert len(said["acknowledged"]) == len(set(said["acknowledged"]))
    assert sorted(kept) == sorted(f"p{i}" for i in range(total)), "none lost, none doubled"
    assert [event.seq for event in events] == list(range(1, total + 1))


def test_an_event_gets_its_number_and_version_and_cannot_be_changed_or_taken_away(path: Path) -> None:
    store = DeskStore(path)
    first = store.append(decision("a"))
    second = store.append(first)
    assert (first.seq, first.version, second.seq, second.version) == (1, 1, 2, 2)
    db = sqlite3.connect(path)
    for statement in ("UPDATE events SET decision = '{}'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
            db.execute(statement)
    db.close()
    assert DeskStore(path).events() == (first, second)
    assert store.events(1) == (second,)


def test_an_event_on_an_old_version_is_refused_and_leaves_no_trace(path: Path) -> None:
    store = DeskStore(path)
    store.append(decision("a"))
    for stale in (0, 2, -1):
        with pytest.raises(StaleVersion, match="'a' has changed"):
            store.append(decision("a").model_copy(update={"version": stale}))
    with pytest.raises(StaleVersion, match="1 decisions came in"):
        store.append(decision("b"), last_seq=0)
    assert len(store.events()) == 1


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[DeskStore, DeskStore]]:
    # Interleavings are tested here, not the disk: memory makes a thousand of them quick.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="desk-store-", dir=memory))
    yield DeskStore(folder / "desk.sqlite"), DeskStore(folder / "desk.sqlite")
    shutil.rmtree(folder)


fresh = iter(range(10**9))


def str_of_both(acts: list[str]) -> bool:
    return "a" in acts and "b" in acts


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.sampled_from("AaBb"), min_size=4, max_size=10).filter(str_of_both))
def test_of_two_that_saw_the_same_version_exactly_one_wins(
    shared: tuple[DeskStore, DeskStore], order: list[str]
) -> None:
    """`A` looks and `a` decides, `B` looks and `b` decides; whoever decides before looking looks first."""
    pair_id = f"pair {next(fresh)}"
    seen: dict[str, int] = {}
    log: list[str] = []
    for act in order:
        who = act.upper()
        store = shared[who == "B"]
        if act.isupper() or who not in seen:
            seen[who] = sum(event.pair_id == pair_id for event in store.events(max(0, last_seq(store) - 12)))
        if act.islower():
            event = decision(pair_id).model_copy(update={"reviewer": who, "version": seen[who]})
            expected = seen[who] == len(log)
            try:
                store.append(event)
                assert expected
                log.append(who)
            except StaleVersion:
                assert not expected
    kept = [e.reviewer for e in shared[0].events(max(0, last_seq(shared[0]) - 12)) if e.pair_id == pair_id]
    assert kept == log and log


def last_seq(store: DeskStore) -> int:
    db = sqlite3.connect(store.path)
    found = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
    db.close()
    return int(found)


def test_threads_that_race_for_one_version_have_one_winner_each_time(path: Path) -> None:
    DeskStore(path)
    won: list[str] = []

    def race(name: str) -> None:
        store = DeskStore(path)
        for n in range(25):
            event = decision(f"p{n}").model_copy(update={"reviewer": name})
            with suppress(StaleVersion):
                store.append(event)
                won.append(f"p{n}")

    threads = [threading.Thread(target=race, args=(name,)) for name in ("Ana", "Bo", "Cy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(f"p{n}" for n in range(25))
    assert sorted(e.pair_id for e in DeskStore(path).events()) == sorted(won)


class StoreMachine(RuleBasedStateMachine):
    """Two stores on one file, reopened at will, against lists in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="desk-machine-"))
        self.path = self.folder / "desk.sqlite"
        self.stores = [DeskStore(self.path), DeskStore(self.path)]
        self.model: list[tuple[str, str]] = []
        self.order: list[str] = []

    @rule(
        which=st.integers(0, 1),
        pair=st.sampled_from("xyz"),
        behind=st.integers(-1, 2),
        text=st.text(max_size=5),
    )
    def append(self, which: int, pair: str, behind: int, text: str) -> None:
        now = sum(p == pair for p, _ in self.model)
        event = decision(pair).model_copy(update={"version": now - behind, "output": text})
        try:
            stored = self.stores[which].append(event)
        except StaleVersion:
            assert behind != 0
            return
        assert behind == 0 and stored.version == now + 1
        self.model.append((pair, text))

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.stores[which] = DeskStore(self.path)

    @rule(which=st.integers(0, 1), ids=st.lists(st.text(max_size=3), unique=True, max_size=4))
    def arrange(self, which: int, ids: list[str]) -> None:
        places = self.stores[which].arrange([(pair_id, "sha") for pair_id in ids])
        self.order += sorted(set(ids) - set(self.order), key=hash_order)
        assert [place.pair_id for place in places] == self.order

    @rule(text=st.text(max_size=3), fails=st.booleans())
    def append_all(self, text: str, fails: bool) -> None:
        def plan(events: tuple[Decision, ...]) -> list[Decision]:
            assert len(events) == len(self.model)
            return [decision("x").model_copy(update={"output": text})] * 2 + [None] * fails  # type: ignore[list-item]

        try:
            self.stores[0].append_all(plan)
        except AttributeError:
            assert fails
            return
        self.model += [("x", text)] * 2

    @invariant()
    def both_read_the_model(self) -> None:
        for store in self.stores:
            assert [(e.pair_id, e.output) for e in store.events()] == self.model
            assert [p.position for p in store.places()] == list(range(len(self.order)))

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


class FailingConnection(sqlite3.Connection):
    """Fails one statement, counted over all connections."""

    left = -1

    def execute(self, *args: Any) -> sqlite3.Cursor:
        FailingConnection.left -= 1
        if FailingConnection.left == 0:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return super().execute(*args)


def test_whichever_statement_fails_the_store_holds_the_old_or_the_new(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DeskStore(path).append(decision("before"))
    connect = sqlite3.connect
    failures = 0
    for nth in range(1, 60):
        monkeypatch.setattr(
            desk_store.sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "factory": FailingConnection})
        )
        FailingConnection.left = nth
        acknowledged = False
        try:
            store = DeskStore(path)
            store.append(decision(f"p{nth}"))
            acknowledged = True
        except OutsideFailed:
            failures += 1
        monkeypatch.setattr(desk_store.sqlite3, "connect", connect)
        kept = [event.pair_id for event in DeskStore(path).events()]
        assert kept.count(f"p{nth}") == acknowledged
        if FailingConnection.left > 0:
            break
    assert failures >= 10 and acknowledged, "every statement must have failed once, and then none"


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let no write reach beyond `size` bytes of a file, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_at_any_byte_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    failed = 0
    for n, size in enumerate(range(0, 64_000, 2_000)):
        path = tmp_path / f"{n}" / "desk.sqlite"
        acknowledged = []
        try:
            with no_file_beyond(size):
                store = DeskStore(path)
                for i in range(25):
                    store.append(decision(f"p{i}"))
                    acknowledged.append(f"p{i}")
        except OutsideFailed:
            failed += 1
        store = DeskStore(path)
        assert [event.pair_id for event in store.events()] == acknowledged
        store.append(decision("after"))
    assert failed >= 20


def test_a_damaged_a_newer_and_a_foreign_file_are_named_with_a_remedy(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, and long enough to be read as a header of one" * 20)
    with pytest.raises(BadInput, match=r"desk\.sqlite is damaged.*\n.*--import"):
        DeskStore(path)
    path.unlink()
    DeskStore(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(BadInput, match="newer tuneproof"):
        DeskStore(path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(BadInput, match="another program's"):
        DeskStore(path)


def test_a_decision_that_cannot_be_read_is_damage_and_no_traceback(path: Path) -> None:
    DeskStore(path)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO events (pair_id, version, decision) VALUES ('a', 1, '{}')")
    db.close()
    with pytest.raises(BadInput, match="is damaged"):
        DeskStore(path).events()


@pytest.mark.parametrize("cut", [1, 100, 5_000, 20_000])
def test_a_file_cut_short_is_refused_or_read_but_never_crashes(path: Path, cut: int) -> None:
    store = DeskStore(path)
    for i in range(30):
        store.append(decision(f"p{i}"))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(BadInput, match="damaged"):
        DeskStore(path).events()


def test_new_pairs_come_after_all_others_and_a_changed_draft_keeps_its_place(path: Path) -> None:
    store = DeskStore(path)
    first = store.arrange([(f"a{i}", "1") for i in range(20)])
    assert [p.pair_id for p in first] == sorted((f"a{i}" for i in range(20)), key=hash_order)
    more = store.arrange([(f"a{i}", "2" if i == 3 else "1") for i in range(40) if i != 5])
    assert [p.pair_id for p in more[:20]] == [p.pair_id for p in first], (
        "the one that is gone keeps its place"
    )
    assert {p.pair_id: p.pair_sha256 for p in more}["a3"] == "2"
    assert [p.pair_id for p in more[20:]] == sorted((f"a{i}" for i in range(20, 40)), key=hash_order)


@pytest.mark.parametrize("content", [b"", "wal"])
def test_a_file_that_a_kill_left_without_tables_is_an_empty_desk(path: Path, content: bytes | str) -> None:
    path.parent.mkdir()
    path.write_bytes(b"")
    if content == "wal":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode = WAL")
        db.close()
    assert desk_mark(path) == ""
    store = DeskStore(path)
    assert store.events() == () and desk_mark(path) == ""
    store.append(decision("a"))
    assert desk_mark(path).startswith("sha256:")


def test_an_event_on_a_draft_that_was_made_anew_is_refused_and_leaves_no_trace(path: Path) -> None:
    store = DeskStore(path)
    store.arrange([("a", "old"), ("b", "old")])
    DeskStore(path).arrange([("a", "new"), ("b", "old")])
    with pytest.raises(DraftsChanged, match="drafts have changed"):
        store.append(decision("a"), drafted={"b": "old", "a": "old"})
    assert store.events() == ()
    store.append(decision("b"), drafted={"b": "old"})
    assert len(store.events()) == 1
