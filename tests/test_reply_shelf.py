"""Replies on disk: torn lines, kept ones, the ledger's chain, and the rounds that it counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from compare_sample import new_project, no_waiting_for_the_disk, reply_to, rows, walk
from tuneproof.artifacts import EvalPlan, Item, TestSet
from tuneproof.errors import LockBroken, MissingArtifact
from tuneproof.reply_shelf import (
    Replies,
    TestDesk,
    forget_replies,
    in_test_order,
    known_in_order,
    ledger,
    record_access,
    rounds,
)
from tuneproof.workspace import Workspace

ODD = "a\u2028b\u0085c\r\nd\n\"'\\ \u00e9 \U0001f600"


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk():
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = new_project(tmp_path / "project")
    made.folder("compare").mkdir(parents=True)
    return made


def test_a_reply_with_any_letters_comes_back_as_it_was(tmp_path: Path) -> None:
    shelf = Replies(tmp_path / "a.jsonl")
    stored = [reply_to("i1", ODD), reply_to("i2", ""), reply_to("i3", "mit", ms=None)]
    for reply in stored:
        shelf.append(reply)
    assert list(Replies(tmp_path / "a.jsonl").replies().values()) == stored


def test_a_line_torn_at_any_byte_is_dropped_and_the_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    shelf = Replies(path)
    shelf.append(reply_to("i1", "one"))
    whole = path.read_bytes()
    shelf.append(reply_to("i2", ODD))
    both = path.read_bytes()
    cuts = range(len(whole), len(both))
    for cut in cuts:
        path.write_bytes(both[:cut])
        assert list(shelf.replies()) == ["i1"], cut
        shelf.append(reply_to("i3", "three"))
        assert list(shelf.replies()) == ["i1", "i3"], cut
    assert len(cuts) > 80


def test_a_whole_line_that_is_no_reply_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    Replies(path).append(reply_to("i1"))
    path.write_bytes(path.read_bytes() + b'{"item_id": 3}\n')
    with pytest.raises(LockBroken, match=r"a\.jsonl:2"):
        Replies(path).replies()


def test_replies_are_found_again_under_the_same_key_only(workspace: Workspace) -> None:
    desk = TestDesk(workspace, "compare")
    log = desk.log("base-0-shot", "sha256:" + "a" * 64)
    log.append(reply_to("i1", "kept"))
    desk.keep()
    workspace.begin("compare")  # another comparison begins: the step's folder is empty
    fresh = TestDesk(workspace, "compare")
    assert fresh.log("base-0-shot", "sha256:" + "b" * 64).replies() == {}
    assert fresh.log("base-0-shot").replies() == {}
    assert fresh.log("adapter", "sha256:" + "a" * 64).replies() == {}
    assert fresh.log("base-0-shot", "sha256:" + "a" * 64).replies()["i1"].text == "kept"


def test_replies_of_a_comparison_that_never_ended_are_kept_too(workspace: Workspace) -> None:
    """A spend limit, a wrong address: after task.yaml was corrected, nothing paid for is asked again."""
    key = "sha256:" + "a" * 64
    desk = TestDesk(workspace, "compare")
    log = desk.log("frontier", key)
    log.append(reply_to("i1", "paid"))
    path = workspace.folder("compare") / "replies" / "frontier.jsonl"
    path.write_bytes(path.read_bytes() + b'{"item_id":"i2","te')  # and the power fails
    workspace.begin("compare")
    fresh = TestDesk(workspace, "compare").log("frontier", key)
    assert {i: r.text for i, r in fresh.replies().items()} == {"i1": "paid"}
    fresh.append(reply_to("i2", "paid too"))
    workspace.begin("compare")
    again = TestDesk(workspace, "compare").log("frontier", key)
    assert {i: r.text for i, r in again.replies().items()} == {"i1": "paid", "i2": "paid too"}


def test_a_kept_file_torn_by_a_crash_is_mended(workspace: Workspace) -> None:
    key = "sha256:" + "a" * 64
    desk = TestDesk(workspace, "compare")
    desk.log("frontier", key).append(reply_to("i1", "paid"))
    desk.keep()
    kept = next((workspace.root / "replies").rglob("frontier-*.jsonl"))
    kept.write_bytes(kept.read_bytes() + b'{"item_id":"i2","te')
    for turn in range(2, 5):
        workspace.begin("compare")
        log = TestDesk(workspace, "compare").log("frontier", key)
        assert list(log.replies()) == [f"i{n}" for n in range(1, turn)]
        log.append(reply_to(f"i{turn}", "more"))


def test_forgetting_asks_every_model_again(workspace: Workspace) -> None:
    key = "sha256:" + "a" * 64
    desk = TestDesk(workspace, "compare")
    desk.log("base-0-shot", key).append(reply_to("i1"))
    desk.keep()
    forget_replies(workspace, "compare")
    workspace.begin("compare")
    assert TestDesk(workspace, "compare").log("base-0-shot", key).replies() == {}


# The ledger


def noted(workspace: Workspace) -> Path:
    for number, plan in enumerate(("p1", "p1", "p2", "p2")):
        record_access(workspace, "tuneproof compare", f"arm-{number}", plan)
    return workspace.root / "ledger.jsonl"


def test_the_ledger_is_a_chain_and_any_changed_removed_or_moved_entry_breaks_it(workspace: Workspace) -> None:
    path = noted(workspace)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(ledger(workspace)) == len(lines) == 4
    broken = 0
    for at in range(len(lines) - 1):
        for name in ("at", "who", "arm", "plan_digest"):
            row = json.loads(lines[at])
            row[name] += "x"
            path.write_bytes(b"".join([*lines[:at], json.dumps(row).encode() + b"\n", *lines[at + 1 :]]))
            with pytest.raises(LockBroken, match=rf"ledger\.jsonl:{at + 2}"):
                ledger(workspace)
            broken += 1
        path.write_bytes(b"".join([*lines[:at], *lines[at + 1 :]]))
        with pytest.raises(LockBroken):
            ledger(workspace)
        swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
        path.write_bytes(b"".join(swapped))
        with pytest.raises(LockBroken):
            ledger(workspace)
    assert broken == 12


def test_rounds_are_distinct_plans_and_an_export_is_none(workspace: Workspace) -> None:
    noted(workspace)
    record_access(workspace, "tuneproof compare --export", "frontier", "")
    assert rounds(workspace, ["arm-2", "arm-3"], "p2") == 2
    with pytest.raises(LockBroken, match="test access of 'arm-0'"):
        rounds(workspace, ["arm-0", "arm-2"], "p2")


def test_a_lost_ledger_is_noticed_by_the_judge(tmp_path: Path) -> None:
    workspace = new_project(tmp_path / "project")
    walk(workspace, until="judge")
    (workspace.root / "ledger.jsonl").unlink()
    with pytest.raises(LockBroken, match=r"does not hold the test access"):
        walk(workspace, only="judge", again=True)


# Order


def test_replies_are_put_in_the_order_of_the_items_and_the_later_of_two_counts() -> None:
    test = TestSet(items=tuple(Item(**row.model_dump()) for row in rows(4)))
    mixed = [
        reply_to("i003"),
        reply_to("i001", "first"),
        reply_to("i000"),
        reply_to("i001", "second"),
        reply_to("none of ours"),
    ]
    ordered = known_in_order(mixed, test)
    assert [(r.item_id, r.text) for r in ordered] == [("i000", "mit"), ("i001", "second"), ("i003", "mit")]
    with pytest.raises(MissingArtifact, match=r"1 items have no reply, first 'i002'"):
        in_test_order(mixed, test)


def test_the_plan_lies_there_before_the_first_access(tmp_path: Path) -> None:
    workspace = new_project(tmp_path / "project")
    seen: list[bool] = []
    accessed = TestDesk.accessed

    def watched(self: TestDesk, arm: str, plan_digest: str) -> None:
        path = workspace.folder("compare") / "eval_plan.json"
        plan = EvalPlan.model_validate_json(path.read_bytes())
        seen.append(plan.digest == plan_digest)
        accessed(self, arm, plan_digest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestDesk, "accessed", watched)
        walk(workspace, until="serve")
    assert len(seen) == 13 and all(seen)
    assert [entry.arm for entry in ledger(workspace)][:3] == ["base-0-shot", "base-best", "base-constrained"]
