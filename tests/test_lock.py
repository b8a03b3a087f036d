"""What was frozen, noted or answered cannot be changed unnoticed: lock, ledger and reply logs."""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sample import sample_case
from tuneproof.artifacts import Case, Drafts, Pair, Provenance, Reply, Reviewed, Split, TrainSet, lock_part
from tuneproof.errors import LockBroken, MissingArtifact, TuneproofError
from tuneproof.outside.files import atomic_write, file_ref
from tuneproof.reply_shelf import LEDGER, Replies, TestDesk, in_test_order, ledger, replies_of, rounds
from tuneproof.shelves import put_drafts, put_reviewed, put_split, take_drafts, take_reviewed, take_split
from tuneproof.status import standing
from tuneproof.steps.freeze import freeze
from tuneproof.workspace import Made, Workspace

AWKWARD = ("\u2028", "\u0085", "\x1f", '"', "\\", "\r\n", "\ufffd", "🦆", "\u200d", "\x0c")
"""What breaks a file of lines, or a comparison of texts, if anything does."""


def case() -> Case:
    made = sample_case()
    fields = made.task_file.model_dump() | {"split": {"test": 50, "dev": 10}}
    return made.model_copy(update={"task_file": type(made.task_file).model_validate(fields)})


def reviewed() -> Reviewed:
    rng = random.Random(1)
    texts = [
        " ".join("".join(rng.choices(string.ascii_lowercase, k=6)) for _ in range(9))
        + AWKWARD[i % len(AWKWARD)]
        for i in range(90)
    ]
    pairs = tuple(
        Pair(id=f"p{i}", input=text, output=("mit", "zlib\u2028")[i % 2], source="s")
        for i, text in enumerate(texts)
    )
    provenance = Provenance(kind="imported", source="s", source_version="0", licence="l", attribution="a")
    return Reviewed(provenance=provenance, statement="s", accepted=90, fixed=0, deleted=0, pairs=pairs)


def frozen(root: Path) -> tuple[Workspace, Split]:
    workspace, split = Workspace(root), freeze(case(), reviewed())
    workspace.write_task(yaml.safe_dump(case().task_file.model_dump(mode="json")))
    drafts = Drafts(provenance=reviewed().provenance, pairs=reviewed().pairs)
    workspace.begin("draft")
    put_drafts(workspace, drafts)
    workspace.finish("draft", drafts.digest, seconds=0.1)
    workspace.begin("review")
    put_reviewed(workspace, reviewed())
    workspace.finish("review", reviewed().digest, seconds=0.1)
    workspace.begin("freeze")
    put_split(workspace, split)
    workspace.finish("freeze", split.digest, seconds=0.1)
    return workspace, split


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy disk would make these tests slow; that a sync is asked for is tested in test_workspace.py."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Split]:
    return frozen(tmp_path_factory.mktemp("project"))


@pytest.fixture
def kept(project: tuple[Workspace, Split]) -> Iterator[Workspace]:
    """The shared project; whatever a test does to its split is undone."""
    folder = project[0].folder("freeze")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    yield project[0]
    for path, data in before.items():
        path.write_bytes(data)
    assert take_split(project[0]) == project[1]


def test_a_split_comes_back_as_it_was_put(project: tuple[Workspace, Split]) -> None:
    assert take_split(project[0]) == project[1]
    texts = [row.input for row in project[1].train.pairs]
    assert all(any(mark in text for text in texts) for mark in AWKWARD)


def test_pairs_and_their_review_come_back_as_they_were_put(project: tuple[Workspace, Split]) -> None:
    drafts = take_drafts(project[0])
    assert drafts.pairs == reviewed().pairs
    assert drafts.provenance == reviewed().provenance
    assert take_reviewed(project[0]) == reviewed()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_any_text_survives_the_files(
    tmp_path: Path, project: tuple[Workspace, Split], rows: list[tuple[str, str]]
) -> None:
    workspace, split = Workspace(tmp_path), project[1]
    workspace.write_task(yaml.safe_dump(case().task_file.model_dump(mode="json")))
    edited = tuple(
        row.model_copy(update={"input": text, "output": answer})
        for row, (text, answer) in zip(split.train.pairs, rows, strict=False)
    )
    lock = split.lock.model_copy(update={"train": lock_part(edited)})
    changed = split.model_copy(update={"train": TrainSet(pairs=edited), "lock": lock})
    workspace.begin("freeze")
    put_split(workspace, changed)
    workspace.finish("freeze", changed.digest, seconds=0.0)
    assert take_split(workspace) == changed


def test_the_hash_of_a_part_covers_its_rows_and_their_order(project: tuple[Workspace, Split]) -> None:
    rows = project[1].train.pairs
    others = (rows[::-1], rows[1:], (*rows, rows[0]), (rows[0].model_copy(update={"output": "x"}), *rows[1:]))
    hashes = [lock_part(part).sha256 for part in (rows, *others)]
    assert len(set(hashes)) == 5


# Mutations of a file of rows. Each gives other bytes or the same; the same do not count.

Mutation = Callable[[bytes, random.Random], bytes]


def lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def flip_a_bit(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def delete_a_row(data: bytes, rng: random.Random) -> bytes:
    rows = data.split(b"\n")[:-1]
    rows.pop(rng.randrange(len(rows)))
    return b"".join(row + b"\n" for row in rows)


def repeat_a_row(data: bytes, rng: random.Random) -> bytes:
    rows = data.split(b"\n")[:-1]
    rows.insert(rng.randrange(len(rows) + 1), rng.choice(rows))
    return b"".join(row + b"\n" for row in rows)


def insert_a_row(data: bytes, rng: random.Random) -> bytes:
    rows = data.split(b"\n")[:-1]
    new = json.loads(rng.choice(rows)) | {"id": f"new-{rng.random()}"}
    rows.insert(rng.randrange(len(rows) + 1), json.dumps(new, separators=(",", ":")).encode())
    return b"".join(row + b"\n" for row in rows)


def swap_two_rows(data: bytes, rng: random.Random) -> bytes:
    rows = data.split(b"\n")[:-1]
    i, j = rng.sample(range(len(rows)), 2)
    rows[i], rows[j] = rows[j], rows[i]
    return b"".join(row + b"\n" for row in rows)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def append(data: bytes, rng: random.Random) -> bytes:
    return data + rng.choice([b"\n", b" ", b"\x00", b"{}\n", b"\r\n", b"\xff", data[: data.index(b"\n") + 1]])


def write_it_otherwise(data: bytes, rng: random.Random) -> bytes:
    """The same rows to a JSON reader: CRLF, spaces, escapes, another order of keys, a repeated key."""
    style = rng.randrange(5)
    rows = data.split(b"\n")[:-1]
    at = rng.randrange(len(rows))
    row = json.loads(rows[at])
    rows[at] = [
        rows[at] + b"\r",
        rows[at].replace(b'","', b'", "', 1),
        json.dumps(row, separators=(",", ":"), sort_keys=True).replace("group", "gr\\u006fup", 1).encode(),
        json.dumps(dict(reversed(row.items())), separators=(",", ":"), ensure_ascii=False).encode(),
        b'{"id":"other",' + rows[at][1:],
    ][style]
    return b"".join(row + b"\n" for row in rows)


def edit_a_field(data: bytes, rng: random.Random) -> bytes:
    rows = data.split(b"\n")[:-1]
    at = rng.randrange(len(rows))
    row = json.loads(rows[at])
    row[rng.choice(sorted(row))] += " "
    rows[at] = json.dumps(row, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    return b"".join(row + b"\n" for row in rows)


MUTATIONS: tuple[Mutation, ...] = (
    flip_a_bit,
    delete_a_row,
    repeat_a_row,
    insert_a_row,
    swap_two_rows,
    truncate,
    append,
    write_it_otherwise,
    edit_a_field,
)


def refused(workspace: Workspace, name: str) -> bool:
    try:
        take_split(workspace)
    except TuneproofError as error:
        return name in error.problem and bool(error.remedy)
    return False


@pytest.mark.parametrize(("name", "count"), [("test", 150), ("dev", 40), ("train", 40)])
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_mutation_of_a_part_is_refused_and_names_the_file(
    kept: Workspace, name: str, count: int, mutation: Mutation
) -> None:
    path = kept.folder("freeze") / f"{name}.jsonl"
    good, tried = path.read_bytes(), 0
    for seed in range(count):
        changed = mutation(good, random.Random(seed))
        if changed == good:
            continue
        path.write_bytes(changed)
        assert refused(kept, path.name), f"{mutation.__name__}, seed {seed}"
        tried += 1
    assert tried >= count * 0.9


@pytest.mark.parametrize("name", ["split.lock.json", "leaks.json"])
def test_every_mutation_of_the_lock_and_of_the_leak_report_is_refused(kept: Workspace, name: str) -> None:
    path = kept.folder("freeze") / name
    good, tried = path.read_bytes(), 0
    for seed in range(150):
        mutation = (flip_a_bit, truncate, append)[seed % 3]
        path.write_bytes(mutation(good, random.Random(seed)))
        assert refused(kept, name), f"{mutation.__name__}, seed {seed}"
        tried += 1
    assert tried == 150


@pytest.mark.parametrize("name", ["train.jsonl", "dev.jsonl", "test.jsonl", "split.lock.json", "leaks.json"])
def test_a_missing_file_is_refused(kept: Workspace, name: str) -> None:
    (kept.folder("freeze") / name).unlink()
    assert refused(kept, name)


def test_every_bit_of_made_json_is_refused_or_makes_the_split_stale_or_is_a_mere_note(
    kept: Workspace,
) -> None:
    """The time, the seconds and the version are notes for a person; nothing is decided by them."""
    path = kept.folder("freeze") / "made.json"
    good, honest = path.read_bytes(), kept.made("freeze")
    assert honest is not None
    assert kept.state("freeze").state == "fresh"
    notes = {"made_at": "", "seconds": 0.0, "tuneproof": ""}
    outcomes = {"refused": 0, "stale": 0, "note": 0}
    for seed in range(250):
        path.write_bytes(flip_a_bit(good, random.Random(seed)))
        if any(refused(kept, name) for name in ("made.json", "split.lock.json", "leaks.json", "4-split")):
            outcomes["refused"] += 1
            continue
        read = kept.made("freeze")
        assert read is not None
        if read.model_copy(update=notes) == honest.model_copy(update=notes):
            outcomes["note"] += 1
            continue
        assert kept.state("freeze").state == "stale", path.read_text()
        outcomes["stale"] += 1
    assert outcomes["refused"] > 60
    assert outcomes["stale"] > 10


def consistent_edit(workspace: Workspace, *, artifact: bool) -> None:
    """Edit a test row, its lock, and every hash in made.json that speaks of them."""
    folder, split = workspace.folder("freeze"), take_split(workspace)
    items = list(split.test.items)
    items[0] = items[0].model_copy(update={"output": "easier"})
    test = split.test.model_copy(update={"items": tuple(items)})
    lock = split.lock.model_copy(update={"test": lock_part(test.items)})
    edited = split.model_copy(update={"test": test, "lock": lock})
    made = workspace.made("freeze")
    assert made is not None
    put_split(workspace, edited)
    files = tuple(file_ref(folder / ref.name) for ref in made.files)
    update: dict[str, object] = {"files": files} | (
        {"artifact": edited.digest, "record": edited.digest} if artifact else {}
    )
    (folder / "made.json").write_text(made.model_copy(update=update).model_dump_json())


def test_an_edited_row_with_an_edited_lock_is_refused(kept: Workspace) -> None:
    made = (kept.folder("freeze") / "made.json").read_bytes()
    consistent_edit(kept, artifact=False)
    (kept.folder("freeze") / "made.json").write_bytes(made)
    assert refused(kept, "split.lock.json")


def test_an_edited_row_with_an_edited_lock_and_edited_hashes_is_refused(kept: Workspace) -> None:
    consistent_edit(kept, artifact=False)
    with pytest.raises(LockBroken, match=r"4-split is not the split that was frozen"):
        take_split(kept)


def test_a_split_rewritten_as_a_whole_makes_what_was_made_from_it_stale(tmp_path: Path) -> None:
    """Every hash of the folder can be forged; the steps after it still hold the old one."""
    workspace, _ = frozen(tmp_path)
    workspace.begin("tune")
    workspace.write("tune", "settings.json", "{}")
    workspace.finish("tune", "sha256:0", seconds=0.0)
    assert "4-split was made again" not in workspace.state("tune").why
    consistent_edit(workspace, artifact=True)
    take_split(workspace)
    assert workspace.state("tune").why == "4-split was made again"


def test_status_says_that_the_lock_holds_and_what_broke_it(kept: Workspace) -> None:
    assert standing(kept).lock.startswith("holds: 50 test items")
    path = kept.folder("freeze") / "test.jsonl"
    path.write_bytes(delete_a_row(path.read_bytes(), random.Random(0)))
    found = standing(kept)
    assert found.lock_broken
    assert "test.jsonl" in found.lock
    assert "1 row removed" in found.lock


def test_damage_is_described_by_what_happened(kept: Workspace) -> None:
    path = kept.folder("freeze") / "test.jsonl"
    good, rng = path.read_bytes(), random.Random(3)
    said = {}
    for mutation in (insert_a_row, delete_a_row, repeat_a_row, swap_two_rows, write_it_otherwise):
        path.write_bytes(mutation(good, rng))
        with pytest.raises(LockBroken) as caught:
            take_split(kept)
        said[mutation.__name__] = caught.value.problem.rsplit(": ", 1)[1]
    assert said["insert_a_row"].startswith("1 row added, first 'new-")
    assert said["delete_a_row"].startswith("1 row removed, first 'p")
    assert said["repeat_a_row"] == "rows repeated."
    assert said["swap_two_rows"] == "rows were reordered."


# The ledger


@pytest.fixture
def noted(tmp_path: Path) -> Workspace:
    workspace, _ = frozen(tmp_path)
    workspace.begin("compare")
    desk = TestDesk(workspace, "compare")
    for number, arm in enumerate(["base", "adapter", "majority", "tuned"]):
        desk.accessed(arm, f"plan-{number // 2}")
    return workspace


def test_the_ledger_holds_every_access_in_order(noted: Workspace) -> None:
    assert [entry.arm for entry in ledger(noted)] == ["base", "adapter", "majority", "tuned"]
    assert rounds(noted, ["majority", "tuned"], "plan-1") == 2


def test_no_ledger_is_no_access(tmp_path: Path) -> None:
    assert ledger(Workspace(tmp_path)) == ()


def test_a_ledger_outlives_a_step_that_is_made_again(noted: Workspace) -> None:
    noted.forget("compare")
    noted.begin("compare")
    TestDesk(noted, "compare").accessed("base", "plan-2")
    assert len(ledger(noted)) == 5


@pytest.mark.parametrize("line", [0, 1, 2])
def test_every_bit_of_a_ledger_line_that_another_follows_is_watched(noted: Workspace, line: int) -> None:
    path = noted.root / LEDGER
    rows = path.read_bytes().split(b"\n")[:-1]
    tried = 0
    for at in range(len(rows[line])):
        changed = bytearray(rows[line])
        changed[at] ^= 1 << (at % 8)
        path.write_bytes(b"".join(r + b"\n" for r in [*rows[:line], bytes(changed), *rows[line + 1 :]]))
        with pytest.raises(LockBroken, match=r"ledger\.jsonl"):
            ledger(noted)
        tried += 1
    assert tried > 100


@pytest.mark.parametrize(
    "order", [[1, 2, 3], [0, 2, 3], [0, 1, 3], [1, 0, 2, 3], [0, 1, 3, 2], [0, 1, 1, 2, 3]]
)
def test_removed_reordered_and_repeated_ledger_lines_break_the_chain(
    noted: Workspace, order: list[int]
) -> None:
    path = noted.root / LEDGER
    rows = path.read_bytes().split(b"\n")[:-1]
    path.write_bytes(b"".join(rows[i] + b"\n" for i in order))
    with pytest.raises(LockBroken, match="the chain is broken"):
        ledger(noted)


@pytest.mark.parametrize("keep", [3, 2, 0])
def test_a_measured_arm_that_the_ledger_forgot_stops_the_verdict(noted: Workspace, keep: int) -> None:
    """The end of a chain can be cut off without breaking it; the measured arms know better."""
    path = noted.root / LEDGER
    path.write_bytes(b"".join(row + b"\n" for row in path.read_bytes().split(b"\n")[:keep]))
    with pytest.raises(LockBroken, match=r"does not hold the test access of '(majority|tuned)'"):
        rounds(noted, ["majority", "tuned"], "plan-1")


def test_an_edit_of_the_last_ledger_entry_stops_the_verdict(noted: Workspace) -> None:
    path = noted.root / LEDGER
    path.write_bytes(path.read_bytes().replace(b'"arm":"tuned"', b'"arm":"other"'))
    with pytest.raises(LockBroken, match="'tuned'"):
        rounds(noted, ["majority", "tuned"], "plan-1")


# Replies


def reply(number: int, text: str = "mit") -> Reply:
    return Reply(item_id=f"i{number}", text=text, finish="stop", prompt_tokens=9, output_tokens=2, ms=1.5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT, max_size=6))
def test_replies_of_any_text_come_back(tmp_path: Path, texts: list[str]) -> None:
    log = Replies(tmp_path / "arm.jsonl")
    (tmp_path / "arm.jsonl").unlink(missing_ok=True)
    for number, text in enumerate(texts):
        log.append(reply(number, text))
    expected = {f"i{number}": reply(number, text) for number, text in enumerate(texts)}
    assert Replies(tmp_path / "arm.jsonl").replies() == expected


def test_a_last_line_torn_at_any_byte_is_dropped_and_the_others_kept(tmp_path: Path) -> None:
    path = tmp_path / "arm.jsonl"
    for number in range(3):
        Replies(path).append(reply(number, "größer 🦆\u2028"))
    good = path.read_bytes()
    two = good[: good[:-1].rindex(b"\n") + 1]
    torn = 0
    for end in range(len(two) + 1, len(good)):
        path.write_bytes(good[:end])
        assert sorted(Replies(path).replies()) == ["i0", "i1"]
        assert path.read_bytes() == two
        Replies(path).append(reply(2, "again"))
        assert Replies(path).replies()["i2"].text == "again"
        torn += 1
    assert torn > 100


def test_a_damaged_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arm.jsonl"
    for number in range(3):
        Replies(path).append(reply(number))
    good = path.read_bytes()
    for bad in (good.replace(b'"i1"', b'\xff"i1"'), good.replace(b"{", b"[", 1), b"\n" + good):
        path.write_bytes(bad)
        with pytest.raises(LockBroken, match=r"arm\.jsonl:[12]"):
            Replies(path).replies()


def test_replies_edited_after_the_step_was_finished_are_refused(tmp_path: Path) -> None:
    workspace, _ = frozen(tmp_path)
    workspace.begin("compare")
    log = TestDesk(workspace, "compare").log("base")
    for number in range(5):
        log.append(reply(number))
    workspace.finish("compare", "sha256:0", seconds=0.0)
    assert len(replies_of(workspace, "compare", ["base"])["base"]) == 5
    path = workspace.folder("compare") / "replies" / "base.jsonl"
    good = path.read_bytes()
    for seed in range(60):
        path.write_bytes(MUTATIONS[seed % 2](good, random.Random(seed)))
        with pytest.raises(LockBroken, match=r"replies/base\.jsonl"):
            replies_of(workspace, "compare", ["base"])
    path.unlink()
    with pytest.raises(LockBroken, match=r"replies/base\.jsonl"):
        replies_of(workspace, "compare", ["base"])


def test_replies_come_in_the_order_of_the_items_and_none_may_miss(
    project: tuple[Workspace, Split],
) -> None:
    test = project[1].test
    replies = [reply(0).model_copy(update={"item_id": item.id}) for item in test.items]
    shuffled = random.Random(0).sample(replies, len(replies))
    assert in_test_order(shuffled, test) == tuple(replies)
    with pytest.raises(MissingArtifact, match=f"1 items have no reply, first '{test.items[7].id}'"):
        in_test_order([r for r in replies if r.item_id != test.items[7].id], test)


def test_made_json_is_read_back_as_written(project: tuple[Workspace, Split], tmp_path: Path) -> None:
    made = project[0].made("freeze")
    assert made is not None
    assert made.artifact == project[1].digest
    atomic_write(tmp_path / "copy.json", made.model_dump_json().encode())
    assert Made.model_validate_json((tmp_path / "copy.json").read_bytes()) == made
