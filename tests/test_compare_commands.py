"""Replies made elsewhere: requests exported, answered in three formats, imported, and in the table."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compare_sample import copied, impatient, new_project, no_plots, no_waiting_for_the_disk, set_task, walk
from fakes import Calls, fake_outside, fake_task, hashed, label_of, wrong_label_of
from tuneproof.artifacts import Comparison, Verdict
from tuneproof.commands import run_run
from tuneproof.commands_compare import Made, run_export, run_import, run_report
from tuneproof.errors import BadInput, GateNotPassed, MissingArtifact, TuneproofError
from tuneproof.export import hidden_id
from tuneproof.making import Outside
from tuneproof.outside.machine import now
from tuneproof.reply_shelf import ledger
from tuneproof.shelves import take, take_split
from tuneproof.workspace import Workspace

MODEL = "claude-opus-4-5-20251101"
MADE = Made(MODEL, "2026-11-20", "the other machine")
Line = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk(), no_plots():
        yield


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a verdict and without a frontier."""
    workspace = new_project(tmp_path_factory.mktemp("commands") / "project")
    walk(workspace, until="judge")
    return workspace.root


@pytest.fixture
def workspace(judged: Path, tmp_path: Path) -> Workspace:
    return copied(judged, tmp_path / "project")


def outside(workspace: Workspace, calls: Calls | None = None) -> Callable[[], Outside]:
    return lambda: impatient(fake_outside(workspace.root.parent, calls=calls))


def answer(text: str) -> str:
    return label_of(text) if hashed(text, salt="api") % 10 else wrong_label_of(text)


def exported(workspace: Workspace, name: str, arm: str = "frontier") -> str:
    run_export(arm, workspace.root, as_json=True, outside=outside(workspace))
    return (workspace.root / "requests" / arm / name).read_text("utf-8")


def own_format(workspace: Workspace) -> list[Line]:
    lines = []
    for text in exported(workspace, "plain.jsonl").splitlines():
        row = json.loads(text)
        reply = answer(row["messages"][-1]["content"])
        line = {"item_id": row["item_id"], "prompt_sha256": row["prompt_sha256"], "text": reply, "ms": 700.0}
        line |= {"repeat": row.get("repeat", 1), "prompt_tokens": 200, "output_tokens": 5}
        lines.append(line)
    return lines


def openai_batch(workspace: Workspace) -> list[Line]:
    lines = []
    for number, text in enumerate(exported(workspace, "openai-batch.jsonl").splitlines()):
        row = json.loads(text)
        assert (row["method"], row["url"]) == ("POST", "/v1/chat/completions")
        body = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_763_600_000,
            "model": "gpt-5-2025-08-07",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": answer(row["body"]["messages"][-1]["content"]),
                    },
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 200, "completion_tokens": 5, "total_tokens": 205},
        }
        response = {"status_code": 200, "request_id": f"r{number}", "body": body}
        lines.append({"id": f"b{number}", "custom_id": row["custom_id"], "response": response, "error": None})
    return lines


def anthropic_batch(workspace: Workspace) -> list[Line]:
    lines = []
    for each in json.loads(exported(workspace, "anthropic-batch.json"))["requests"]:
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "content": [{"type": "text", "text": answer(each["params"]["messages"][-1]["content"])}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 200, "output_tokens": 5},
        }
        result = {"type": "succeeded", "message": message}
        lines.append({"custom_id": each["custom_id"], "result": result})
    return lines


def written(path: Path, lines: list[Line]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def import_it(workspace: Workspace, lines: list[Line], made: Made = MADE, arm: str = "frontier") -> None:
    file = written(workspace.root.parent / "answers.jsonl", lines)
    run_import(file, arm, workspace.root, made, as_json=True, outside=outside(workspace))


def run_all(workspace: Workspace, calls: Calls) -> Verdict:
    run_run(workspace.root, until="judge", as_json=True, outside=outside(workspace, calls))
    return take(workspace, "judge", Verdict)


FORMATS: list[tuple[str, Callable[[Workspace], list[Line]], Made, str, str]] = [
    ("own", own_format, MADE, MODEL, "2026-11-20"),
    ("openai", openai_batch, Made(by="the other machine"), "gpt-5-2025-08-07", "2025-11-20"),
    ("anthropic", anthropic_batch, Made(date="2026-11-20", by="the other machine"), MODEL, "2026-11-20"),
]


@pytest.mark.parametrize(("name", "write", "made", "model", "day"), FORMATS, ids=[f[0] for f in FORMATS])
def test_exported_answered_and_imported_the_frontier_is_a_row_that_says_who_and_when(
    workspace: Workspace,
    name: str,
    write: Callable[[Workspace], list[Line]],
    made: Made,
    model: str,
    day: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = take(workspace, "judge", Verdict)
    lines = write(workspace)
    capsys.readouterr()
    import_it(workspace, lines, made)
    said = json.loads(capsys.readouterr().out)
    assert said["model"] == model and said["replies"] == 50 and said["repeats"] == 1
    assert workspace.state("compare").state == "stale"
    assert "other recorded replies of frontier" in workspace.state("compare").why

    calls = Calls()
    verdict = run_all(workspace, calls)
    row = next(a for a in verdict.arms if a.arm.name == "frontier")
    split = take_split(workspace)
    assert row.correct == sum(answer(i.input) == i.output for i in split.test.items) and row.n == 50
    assert (row.arm.model, row.arm.kind) == (model, "frontier")
    assert row.arm.recorded == f"made elsewhere by the other machine, {day}"
    assert row.repeat_rates == ()
    assert (row.p50_ms == 700.0) is (name == "own"), "a batch has no latency, and none is made up"
    assert row.usd_per_1000 is not None and row.usd_per_1000 > 0, "tokens and a list price are known"
    assert verdict.frontier is not None and "frontier" not in verdict.not_measured
    assert any("its replies were recorded elsewhere" in each for each in verdict.deviations)
    report = (workspace.folder("judge") / "report.md").read_text("utf-8")
    assert model in report and day in report and "made elsewhere" in report
    assert "one reply an item: run-to-run noise not measured" in report

    # The same plan, the same round, and no local model is asked what it answered before.
    assert verdict.test_accesses == before.test_accesses == 1
    tuned_arms = {a.arm.name: a.correct for a in before.arms}
    assert {a.arm.name: a.correct for a in verdict.arms if a.arm.name != "frontier"} == tuned_arms
    assert_only_the_load_point(workspace, calls)
    again = Calls()
    run_all(workspace, again)
    assert again.count == 0


def assert_only_the_load_point(workspace: Workspace, calls: Calls) -> None:
    """Times under load are measured anew; beyond that each file is only loaded and asked once for it."""
    test = {i.input for i in take_split(workspace).test.items}
    load, first_calls = (
        50 + 5,
        len(calls.loaded) - 2,
    )  # an arm each; neither of the base nor at the load point
    assert len(calls.asked) == load + first_calls and calls.batches == []
    asked = [text for file, text, _ in calls.asked if file != "Fake-135M-Instruct-notices-v1-Q8_0.gguf"]
    assert not set(asked) & test


def test_an_export_is_noted_in_the_ledger_and_is_no_round_and_spoils_no_finished_report(
    workspace: Workspace,
) -> None:
    before = len(ledger(workspace))
    while now() == take(workspace, "judge", Verdict).made_at:
        time.sleep(0.05)
    exported(workspace, "plain.jsonl")
    entries = ledger(workspace)
    assert len(entries) == before + 1
    assert (entries[-1].who, entries[-1].arm, entries[-1].plan_digest) == (
        "tuneproof compare --export",
        "frontier",
        "",
    )
    assert workspace.state("judge").state == "fresh"
    run_report(workspace.root, verified=True, as_json=True, outside=outside(workspace))


def test_an_export_asks_for_exactly_the_test_items_and_shows_train_pairs_only(workspace: Workspace) -> None:
    split = take_split(workspace)
    lines = [json.loads(line) for line in exported(workspace, "plain.jsonl").splitlines()]
    assert [line["item_id"] for line in lines] == [hidden_id(i.id) for i in split.test.items]
    inputs = {p.input for p in split.train.pairs}
    shown = 0
    for line in lines:
        *earlier, last = line["messages"]
        assert last["content"] in {i.input for i in split.test.items}
        examples = [m["content"] for m in earlier if m["role"] == "user"]
        assert set(examples) <= inputs
        shown += len(examples)
    assert shown == 5 * 50
    assert not any(p.input in json.dumps(lines) for p in split.dev.pairs)


def edited(edit: Callable[[list[Line]], object]) -> Callable[[list[Line]], list[Line]]:
    def do(lines: list[Line]) -> list[Line]:
        edit(lines)
        return lines

    return do


FLAWS: dict[str, tuple[Callable[[list[Line]], object], str]] = {
    "a missing item": (lambda lines: lines.pop(7), "no line for 1 of 50 items"),
    "an item twice": (lambda lines: lines.append(lines[0]), "is there already in line 1"),
    "a changed prompt": (lambda lines: lines[3].update(prompt_sha256="sha256:" + "0" * 64), "another prompt"),
    "an unknown item": (lambda lines: lines[3].update(item_id="nobody"), "nobody"),
    "no text": (lambda lines: lines[3].pop("text"), "text"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_file_that_is_no_whole_set_of_replies_is_refused_and_leaves_nothing(
    workspace: Workspace, flaw: str
) -> None:
    lines = own_format(workspace)
    edit, says = FLAWS[flaw]
    edit(lines)
    with pytest.raises(BadInput, match=says) as stop:
        import_it(workspace, lines)
    assert stop.value.exit_code == 1 and stop.value.remedy
    assert not (workspace.root / "recorded").exists() and workspace.state("judge").state == "fresh"


def test_replies_to_the_prompt_of_before_are_refused_by_the_next_comparison_too(workspace: Workspace) -> None:
    import_it(workspace, own_format(workspace))
    other = fake_task().replace("Answer with the licence expression only.", "Say which licence it is.")
    set_task(workspace, other)
    calls = Calls()
    with pytest.raises(TuneproofError, match="another prompt") as stop:
        walk(workspace, until="compare", calls=calls)
    assert stop.value.exit_code == 1 and calls.asked == []


def test_an_unknown_arm_or_file_and_a_project_without_a_split_are_refused(
    workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="no endpoint 'nobody'; there are frontier"):
        run_export("nobody", workspace.root, as_json=True, outside=outside(workspace))
    with pytest.raises(BadInput, match=r"none\.jsonl does not exist") as stop:
        run_import(
            tmp_path / "none.jsonl",
            "frontier",
            workspace.root,
            MADE,
            as_json=True,
            outside=outside(workspace),
        )
    assert "--export frontier" in stop.value.remedy
    empty = new_project(tmp_path / "empty")
    with pytest.raises(MissingArtifact):
        run_export("frontier", empty.root, as_json=True, outside=outside(empty))
    assert not (empty.root / "requests").exists()


def test_an_item_that_no_batch_could_answer_is_left_out_of_every_arm(workspace: Workspace) -> None:
    lines = openai_batch(workspace)
    bad = lines[4]
    bad["response"] = {"status_code": 500, "request_id": "r", "body": {"error": {"message": "overloaded"}}}
    import_it(workspace, lines, Made(by="the other machine"))
    verdict = run_all(workspace, Calls())
    gone = take_split(workspace).test.items[4].id
    assert take(workspace, "compare", Comparison).excluded == (gone,)
    assert {(a.n, a.excluded) for a in verdict.arms} == {(49, 1)}


def test_a_report_prints_the_stored_verdict_and_asks_nobody(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = take(workspace, "judge", Verdict)
    calls = Calls()
    run_report(workspace.root, verified=False, as_json=False, outside=outside(workspace, calls))
    said = capsys.readouterr().out
    assert stored.headline in " ".join(said.split()) and calls.count == 0
    shutil.rmtree(workspace.folder("judge"))
    with pytest.raises((MissingArtifact, GateNotPassed)):
        run_report(workspace.root, verified=True, as_json=False, outside=outside(workspace))


def test_recorded_replies_in_place_of_others_are_another_round(workspace: Workspace) -> None:
    lines = own_format(workspace)
    import_it(workspace, lines, MADE)
    assert run_all(workspace, Calls()).test_accesses == 1
    import_it(workspace, lines, MADE)
    assert run_all(workspace, Calls()).test_accesses == 1, "the same file again is no look"
    import_it(workspace, lines, MADE._replace(by="somebody else"))
    assert run_all(workspace, Calls()).test_accesses == 2
