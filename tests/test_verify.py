"""Every number follows from the stored replies; a change is named, and the same work gives the same bytes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compare_sample import copied, impatient, new_project, no_waiting_for_the_disk, walk
from fakes import fake_outside
from tuneproof import story as story_module
from tuneproof import verify as verify_module
from tuneproof.artifacts import Adapter, Comparison, Ladder, Reply, Serving, Verdict
from tuneproof.console import Tell
from tuneproof.errors import LockBroken, MissingArtifact, TuneproofError
from tuneproof.making import Bench
from tuneproof.outside.files import file_ref
from tuneproof.reply_shelf import dev_replies, every_reply
from tuneproof.shelves import take, take_case, take_split
from tuneproof.steps.judge import Evidence, judge
from tuneproof.verify import verify
from tuneproof.workspace import Workspace

PAGES = ("report.html", "report.md", "verdict.json")


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project with a verdict; tests put back what they change."""
    workspace = new_project(tmp_path_factory.mktemp("verify") / "project")
    walk(workspace, until="judge")
    return workspace


def check(workspace: Workspace) -> verify_module.Verified:
    return verify(workspace, impatient(fake_outside(workspace.root.parent)), Tell(quiet=True))


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One byte changed, taken out or put in."""
    at, kind = chance.randrange(len(data)), chance.randrange(3)
    other = bytes([(data[at] + chance.randrange(1, 256)) % 256])
    return data[:at] + (b"", other, other + data[at : at + 1])[kind] + data[at + (kind < 3) :]


# Bytes


def test_a_fresh_project_is_proven_and_the_proof_counts_what_it_read(finished: Workspace) -> None:
    done = check(finished)
    lines = [
        path.read_text("utf-8").count("\n")
        for folder in ("6-comparison", "8-serve")
        for path in (finished.root / folder / "replies").glob("*.jsonl")
        if not path.name.startswith("dev-")
    ]
    assert done == (11, sum(lines), ("verdict.json", "report.html", "report.md"))
    assert sum(lines) == 11 * 50 + 50 + 50


def test_the_same_judgement_in_another_process_gives_the_same_bytes(finished: Workspace) -> None:
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_verify import check\n"
        "from tuneproof.workspace import Workspace\n"
        "print(check(Workspace(Path(sys.argv[1]))).replies)\n"
    )
    for seed, more in (("1", {}), ("4242", {"TZ": "Asia/Tokyo", "LC_ALL": "C", "COLUMNS": "40"})):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script, str(finished.root)],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"PYTHONHASHSEED": seed, **more},
        )
        assert (done.returncode, done.stdout.strip()) == (0, "650"), done.stderr


def test_judging_again_at_the_same_second_writes_the_same_bytes(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = copied(finished.root, tmp_path / "project")
    before = {name: (at.folder("judge") / name).read_bytes() for name in PAGES}
    made_at = take(at, "judge", Verdict).made_at
    monkeypatch.setattr(story_module, "now", lambda: made_at)
    walk(at, only="judge", again=True)
    assert {name: (at.folder("judge") / name).read_bytes() for name in PAGES} == before


def test_any_changed_byte_is_refused_with_the_files_name(finished: Workspace) -> None:
    chance, seen = random.Random(11), Counter[str]()
    pages = [finished.folder("judge") / name for name in PAGES]
    replies = [
        path
        for verb in ("compare", "serve")
        for path in sorted((finished.folder(verb) / "replies").glob("*.jsonl"))
    ]
    for turn in range(100):
        path = chance.choice(pages if turn % 2 else replies)
        before = path.read_bytes()
        after = mutated(before, chance)
        if after == before:
            continue
        path.write_bytes(after)
        try:
            with pytest.raises(LockBroken) as stop:
                check(finished)
            assert path.name in stop.value.problem and stop.value.remedy, path
        finally:
            path.write_bytes(before)
        seen[path.name] += 1
    assert sum(seen.values()) > 95 and set(PAGES) < set(seen) and len(seen) > 15


@pytest.mark.parametrize("verb", ["compare", "serve"])
def test_200_random_changes_of_replies_and_records_make_the_step_stale_by_name(
    finished: Workspace, verb: str
) -> None:
    """Text, times, order, numbers: whatever was changed, no later step is made from it."""
    chance, changed = random.Random(5), Counter[str]()
    folder = finished.folder(verb)
    main = "comparison.json" if verb == "compare" else "serve.json"
    replies = [path for path in sorted((folder / "replies").glob("*.jsonl")) if "dev-" not in path.name]
    for turn in range(100):
        path = folder / main if turn % 4 == 0 else chance.choice(replies)
        before = path.read_bytes()
        kind = _change(path, chance)
        changed[kind] += 1
        try:
            assert path.read_bytes() != before, kind
            state = finished.state(verb)
            assert state.state == "stale" and path.name in state.why, (path, kind)
            if turn % 25 == 0:
                with pytest.raises(TuneproofError, match=path.name):
                    walk(finished, only="judge", again=True)
        finally:
            path.write_bytes(before)
    assert set(changed) == {"text", "ms", "order", "number"} and finished.state("judge").state == "fresh"


def _change(path: Path, chance: random.Random) -> str:
    """Change one reply's text, its time, the order of two replies, or one number."""
    if path.suffix == ".json":
        record = json.loads(path.read_bytes())
        place, value = chance.choice(list(_numbers(record)))
        _put(record, place, value + 1)
        path.write_text(json.dumps(record), encoding="utf-8")
        return "number"
    lines = path.read_text("utf-8").splitlines()
    at, kind = chance.randrange(len(lines) - 1), chance.choice(("text", "ms", "order"))
    row = json.loads(lines[at])
    if kind == "order":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif kind == "text" or row.get("ms") is None:
        kind, row["text"] = "text", row["text"] + "."
        lines[at] = json.dumps(row)
    else:
        row["ms"] += 0.001
        lines[at] = json.dumps(row)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return kind


def _numbers(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], float]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, (*at, key))
    elif isinstance(value, list):
        for key, each in enumerate(value):
            yield from _numbers(each, (*at, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield at, value


def _put(record: Any, place: tuple[Any, ...], value: float) -> None:
    for key in place[:-1]:
        record = record[key]
    record[place[-1]] = value


# With the hashes forged


def evidence_of(workspace: Workspace, **changes: Any) -> Evidence:
    case, split = take_case(workspace), take_split(workspace)
    adapter, comparison = take(workspace, "tune", Adapter), take(workspace, "compare", Comparison)
    bench = Bench(workspace, fake_outside(workspace.root.parent), case.task_file, Tell(quiet=True))
    found = Evidence(
        comparison=comparison,
        serving=take(workspace, "serve", Serving),
        ladder=take(workspace, "quantize", Ladder),
        replies=every_reply(workspace, split.test),
        dev_replies=dev_replies(workspace, [a.arm.name for a in comparison.arms]),
        rounds=1,
        adapter=adapter,
        plan=bench.plan(case, split, adapter),
        scorer=bench.scorer(),
        made_at=take(workspace, "judge", Verdict).made_at,
    )
    return found._replace(**changes)


def test_a_changed_number_of_a_row_or_of_a_time_is_noticed_also_where_every_hash_fits(
    finished: Workspace,
) -> None:
    case, split, evidence = take_case(finished), take_split(finished), evidence_of(finished)
    assert judge(case, split, evidence) == take(finished, "judge", Verdict)
    chance, places = random.Random(3), Counter[str]()
    for turn in range(200):
        kind, field = ((Comparison, "comparison"), (Serving, "serving"))[turn % 2]
        record = getattr(evidence, field).model_dump(mode="json")
        part = "arms" if field == "comparison" or turn % 4 == 1 else "timings"
        # A cold start, the number of calls at once and how long they took are measured, not computed.
        given = {"cold_start_ms", "concurrency", "wall_s", "shots"}
        numbers = [(p, v) for p, v in _numbers(record[part], (part,)) if p[-1] not in given]
        place, value = chance.choice(numbers)
        _put(record, place, value + 1 if isinstance(value, int) else value * 1.001 + 1e-6)
        forged = evidence._replace(**{field: kind.model_validate(record)})
        with pytest.raises(LockBroken, match="cannot be computed"):
            judge(case, split, forged)
        places[f"{part} {place[2]}"] += 1
    assert len(places) > 20


def test_a_flipped_reply_is_noticed_also_where_every_hash_fits(finished: Workspace) -> None:
    case, split, evidence = take_case(finished), take_split(finished), evidence_of(finished)
    expected = {item.id: item.output for item in split.test.items}
    chance, arms = random.Random(9), [a.arm.name for a in (*evidence.comparison.arms, *evidence.serving.arms)]
    for _ in range(100):
        name, replies = chance.choice(arms), dict(evidence.replies)
        at = chance.randrange(50)
        row: Reply = replies[name][at]
        right = row.text.strip() == expected[row.item_id]
        other = row.model_copy(update={"text": "zzz" if right else expected[row.item_id]})
        replies[name] = (*replies[name][:at], other, *replies[name][at + 1 :])
        with pytest.raises(LockBroken):
            judge(case, split, evidence._replace(replies=replies))


def test_items_cannot_be_left_out_of_a_table_that_fits_them(finished: Workspace) -> None:
    """The neatest lie: leave out what the tune has wrong, in every arm, and compute everything again."""
    case, split, evidence = take_case(finished), take_split(finished), evidence_of(finished)
    gone = (split.test.items[0].id,)
    forged = evidence.comparison.model_copy(update={"excluded": gone})
    with pytest.raises(LockBroken, match="1 items are left out, and 0 have no reply"):
        judge(case, split, evidence._replace(comparison=forged))


def test_the_second_answers_are_counted_again(finished: Workspace) -> None:
    case, split, evidence = take_case(finished), take_split(finished), evidence_of(finished)
    for field in ("repeated", "repeated_equal"):
        forged = evidence.serving.model_copy(update={field: getattr(evidence.serving, field) - 1})
        with pytest.raises(LockBroken, match="second answers"):
            judge(case, split, evidence._replace(serving=forged))


def test_a_trial_on_dev_is_counted_again(finished: Workspace, tmp_path: Path) -> None:
    at = copied(finished.root, tmp_path / "project")
    path = at.folder("compare") / "comparison.json"
    comparison = take(at, "compare", Comparison)
    for place, trial in enumerate(comparison.trials):
        better = trial.model_copy(update={"correct": trial.correct + 1})
        trials = (*comparison.trials[:place], better, *comparison.trials[place + 1 :])
        text = comparison.model_copy(update={"trials": trials}).model_dump_json(indent=1) + "\n"
        forge(at, path, text)
        with pytest.raises(LockBroken, match=rf"with the prompt {trial.prompt}: {trial.correct + 1} of "):
            check(at)
    assert len(comparison.trials) == 8


def forge(workspace: Workspace, path: Path, text: str) -> None:
    """Write a file of a step, and its hash into the step's record."""
    before = file_ref(path).sha256
    path.write_text(text, encoding="utf-8")
    record = path.parent / "made.json"
    made = json.loads(record.read_bytes())
    for ref in made["files"]:
        if ref["sha256"] == before:
            ref |= {"sha256": file_ref(path).sha256, "bytes": path.stat().st_size}
    record.write_text(json.dumps(made), encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_an_edited_page_is_refused_also_with_a_forged_hash(
    finished: Workspace, tmp_path: Path, name: str
) -> None:
    at = copied(finished.root, tmp_path / "project")
    path = at.folder("judge") / name
    text = path.read_text("utf-8")
    assert text.count("86.0") > 0, "the rate of the served file"
    forge(at, path, text.replace("86.0", "96.0", 1))
    with pytest.raises(LockBroken, match=name) as stop:
        check(at)
    assert "96.0" in stop.value.problem and "86.0" in stop.value.problem


def test_a_project_without_a_verdict_names_the_command_that_makes_one(tmp_path: Path) -> None:
    workspace = new_project(tmp_path / "project")
    with pytest.raises(MissingArtifact) as stop:
        check(workspace)
    assert stop.value.remedy.startswith("tuneproof judge")
