"""`tuneproof review` on real project folders: the desk from the command line, and the step at its end."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sample import sample_case
from tuneproof import cli
from tuneproof.task_text import yaml_value

PAIRS = 60


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str, keys: str = "") -> Said:
        monkeypatch.setattr(sys, "argv", ["tuneproof", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(keys))
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return Said(int(left.value.code or 0), said.out, said.err)

    return call


def letters(number: int) -> str:
    """A word of its own for each number: inputs that differ in digits alone would be of one template."""
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(3))


def project_of(
    at: Path, run: Run, *, review: dict[str, object] | None = None, name: str = "p", pairs: int = PAIRS
) -> Path:
    """A project whose pairs nobody vouches for, drafted and ready to review."""
    project = at / name
    project.mkdir()
    rows = [
        {
            "id": f"r{n:02d}",
            "input": " ".join(f"{letters(n)}{k}" for k in ("alpha", "beta", "gamma")),
            "output": "mit",
        }
        for n in range(pairs)
    ]
    (project / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = sample_case().task_file.model_dump(mode="json")
    document["data"] |= {"source": "pairs.jsonl", "reviewed_by": None, "pairs": None, "shape": "auto"}
    document["task"]["answer_pattern"] = "[a-z.-]+"
    document["review"] = {"blind_share": 0, "again": 0} | (review or {})
    text = "".join(f"{key}:{yaml_value(value)}\n" for key, value in document.items())
    (project / "task.yaml").write_text(text)
    for verb in ("init", "draft"):
        said = run(verb, "--project", str(project))
        assert said.code == 0, said.err
    return project


def test_a_piped_review_decides_closes_and_makes_the_step_and_says_that_no_person_did(
    tmp_path: Path, run: Run
) -> None:
    project = project_of(tmp_path, run)
    keys = "a" * 50 + "all of one kind\n" + "d" + "a" * 9 + "the rest was alike\n"
    said = run("review", "--tty", "--reviewer", "Ana", "--project", str(project), keys=keys)
    assert said.code == 0, said.out + said.err
    reviewed = json.loads((project / "3-review" / "reviewed.json").read_text())
    assert (reviewed["accepted"], reviewed["fixed"], reviewed["deleted"]) == (59, 0, 1)
    assert reviewed["statement"].startswith("decided by a program under the name of Ana, seen by no person,")
    assert reviewed["figures"]["driven"] is True
    pairs = (project / "3-review" / "reviewed.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in (project / "3-review" / "events.jsonl").read_text().splitlines()]
    assert len(pairs) == 59 and [event["kind"] for event in events].count("close") == 2
    assert run("status", "--project", str(project)).out.count("fresh") == 3


def test_a_review_that_is_left_says_where_it_stands_and_goes_on_there(tmp_path: Path, run: Run) -> None:
    project = project_of(tmp_path, run)
    said = run("review", "--tty", "--project", str(project), keys="aaq")
    assert said.code == 0 and "2 of 60 pairs are decided" in said.out and "Batch 1 of 2 is open" in said.out
    assert not (project / "3-review").exists()
    stopped = run("run", "--until", "freeze", "--project", str(project))
    assert stopped.code == 1 and "58 of 60 pairs are undecided" in stopped.err
    assert "tuneproof review" in stopped.err
    again = run("review", "--tty", "--project", str(project), keys="aq")
    assert "3 of 60 pairs are decided" in again.out


def test_closed_batches_go_on_alone_where_task_yaml_says_so(tmp_path: Path, run: Run) -> None:
    project = project_of(tmp_path, run, review={"unreviewed": "leave out"})
    said = run("review", "--tty", "--project", str(project), keys="a" * 50 + "one batch is enough\nq")
    assert said.code == 0, said.err
    reviewed = json.loads((project / "3-review" / "reviewed.json").read_text())
    assert reviewed["accepted"] == 50 and reviewed["figures"]["left_unreviewed"] == 10
    assert "10 not reviewed and left out" in reviewed["statement"]


def test_a_later_decision_makes_the_review_stale_and_nothing_else_does(tmp_path: Path, run: Run) -> None:
    project = project_of(tmp_path, run, review={"unreviewed": "leave out"})
    run("review", "--tty", "--project", str(project), keys="a" * 50 + "one batch is enough\nq")
    assert "fresh" in run("status", "--project", str(project)).out.split("review")[1][:12]
    run("review", "--tty", "--project", str(project), keys="aq")
    before = json.loads((project / "3-review" / "made.json").read_text())
    said = run("status", "--json", "--project", str(project))
    review = json.loads(said.out)["steps"][2]
    # The command itself made the step again from the new decisions.
    assert review["state"] == "fresh" and before["artifact"]
    (project / "desk" / "desk.sqlite").unlink()
    review = json.loads(run("status", "--json", "--project", str(project)).out)["steps"][2]
    assert review["state"] == "stale" and "decisions of the desk" in review["why"]


def test_decisions_travel_from_one_machine_to_another(tmp_path: Path, run: Run) -> None:
    here, there = project_of(tmp_path, run), project_of(tmp_path, run, name="q")
    run("review", "--tty", "--reviewer", "Ana", "--project", str(here), keys="aadq")
    file = tmp_path / "decisions.jsonl"
    said = run("review", "--export", str(file), "--project", str(here))
    assert said.code == 0 and "Wrote 3 decisions" in said.out
    taken = run("review", "--import", str(file), "--project", str(there))
    assert taken.code == 0 and taken.out.startswith("3 decisions taken over"), taken.err
    assert "wrong in form" not in taken.out
    again = run("review", "--import", str(file), "--project", str(there))
    assert "0 decisions taken over" in again.out and "3 were here already" in again.out


def test_a_test_row_that_is_looked_at_again_is_in_the_ledger_and_a_train_row_is_not(
    tmp_path: Path, run: Run
) -> None:
    project = project_of(tmp_path, run, pairs=100)
    keys = "a" * 50 + "all were alike\n" + "a" * 50 + "all were alike\n"
    run("review", "--tty", "--project", str(project), keys=keys)
    frozen = run("freeze", "--project", str(project))
    assert frozen.code == 0, frozen.err
    split = project / "4-split"
    test, train = (
        [json.loads(line)["id"] for line in (split / f"{part}.jsonl").read_text().splitlines()]
        for part in ("test", "train")
    )
    run("review", "--pair", train[0], "--project", str(project), keys="q")
    assert not (project / "ledger.jsonl").exists()
    run("review", "--pair", test[0], "--project", str(project), keys="q")
    entries = [json.loads(line) for line in (project / "ledger.jsonl").read_text().splitlines()]
    assert [(e["arm"], e["plan_digest"]) for e in entries] == [(test[0], "")]


def test_one_pair_of_a_closed_batch_is_decided_once_more_and_the_reread_says_how(
    tmp_path: Path, run: Run
) -> None:
    project = project_of(tmp_path, run, review={"unreviewed": "leave out"})
    run("review", "--tty", "--project", str(project), keys="a" * 50 + "one batch is enough\nq")
    kept = [
        json.loads(line)["id"] for line in (project / "3-review" / "reviewed.jsonl").read_text().splitlines()
    ]
    said = run("review", "--pair", kept[0], "--project", str(project), keys="d")
    assert said.code == 0 and "Pair" in said.out, said.err
    left = [
        json.loads(line)["id"] for line in (project / "3-review" / "reviewed.jsonl").read_text().splitlines()
    ]
    assert left == kept[1:]
    unknown = run("review", "--pair", "nobody", "--project", str(project), keys="d")
    assert unknown.code == 1 and "'nobody'" in unknown.err


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"\xff\xfe", "not UTF-8"), (b"no json\n", "decisions.jsonl:1"), (None, "cannot be read")],
)
def test_a_file_that_holds_no_decisions_is_refused_with_its_place(
    tmp_path: Path, run: Run, content: bytes | None, problem: str
) -> None:
    project, file = project_of(tmp_path, run), tmp_path / "decisions.jsonl"
    if content is not None:
        file.write_bytes(content)
    said = run("review", "--import", str(file), "--project", str(project))
    assert said.code == 1 and problem in said.err and "Traceback" not in said.err


def test_nothing_is_exported_before_a_decision_and_nothing_is_decided_on_vouched_pairs(
    tmp_path: Path, run: Run
) -> None:
    project = project_of(tmp_path, run)
    said = run("review", "--export", str(tmp_path / "d.jsonl"), "--project", str(project))
    assert said.code == 1 and "Nothing was decided yet" in said.err
    task = project / "task.yaml"
    text = task.read_text()
    assert "reviewed_by: null" in text
    task.write_text(text.replace("reviewed_by: null", "reviewed_by: the desk"))
    run("init", "--project", str(project))
    run("draft", "--project", str(project))
    said = run("review", "--tty", "--project", str(project))
    assert said.code == 1 and "'the desk'" in said.err and "reviewed_by: null" in said.err
    assert run("review", "--project", str(project)).code == 0


def test_a_review_before_a_draft_names_the_command_that_is_missing(tmp_path: Path, run: Run) -> None:
    project = project_of(tmp_path, run)
    with (project / "pairs.jsonl").open("a") as handle:
        handle.write('{"id": "new", "input": "one more", "output": "mit"}\n')
    said = run("review", "--tty", "--project", str(project))
    assert said.code == 1 and "2-drafts is stale" in said.err and "tuneproof draft" in said.err


@pytest.mark.parametrize(
    "target", ["task.yaml", "pairs.jsonl", "desk/new.jsonl", "3-review/new.jsonl", "recorded/new.jsonl"]
)
def test_an_export_goes_over_nothing_that_the_project_uses(tmp_path: Path, run: Run, target: str) -> None:
    project = project_of(tmp_path, run)
    run("review", "--tty", "--project", str(project), keys="aq")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    said = run("review", "--export", str(project / target), "--project", str(project))
    assert said.code == 1 and "which the project uses" in said.err and "--export decisions.jsonl" in said.err
    assert {p: p.read_bytes() for p in before if p.suffix != ".sqlite-shm"} == {
        p: data for p, data in before.items() if p.suffix != ".sqlite-shm"
    }


def test_an_export_replaces_an_earlier_export_and_no_other_file(tmp_path: Path, run: Run) -> None:
    project = project_of(tmp_path, run)
    run("review", "--tty", "--project", str(project), keys="aq")
    file, other = tmp_path / "decisions.jsonl", tmp_path / "thesis.txt"
    other.write_text("three years of work\n")
    said = run("review", "--export", str(other), "--project", str(project))
    assert said.code == 1 and "no earlier export" in said.err and other.read_text() == "three years of work\n"
    assert run("review", "--export", str(file), "--project", str(project)).code == 0
    run("review", "--tty", "--project", str(project), keys="aq")
    said = run("review", "--export", str(file), "--project", str(project))
    assert said.code == 0 and "Wrote 2 decisions" in said.out and len(file.read_text().splitlines()) == 2


def test_a_user_without_a_name_is_asked_for_one(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    project = project_of(tmp_path, run)
    monkeypatch.setattr("tuneproof.outside.machine.getpass.getuser", nameless)
    said = run("review", "--tty", "--project", str(project), keys="aq")
    assert said.code == 1 and "--reviewer" in said.err and "Traceback" not in said.err


def test_an_output_that_the_metric_cannot_accept_never_goes_on(tmp_path: Path, run: Run) -> None:
    project = project_of(tmp_path, run, review={"unreviewed": "leave out"})
    keys = "e" + "NOT A LICENCE!\n" + "a" * 49 + "one odd output\nq"
    said = run("review", "--tty", "--project", str(project), keys=keys)
    assert said.code == 1 and "1 reviewed outputs are none that the metric can accept" in said.err
    assert "'NOT A LICENCE!'" in said.err and "tuneproof review --pair r" in said.err
    assert not (project / "3-review").exists()
    pair = said.err.split("--pair ")[1].split()[0]
    mended = run("review", "--pair", pair, "--project", str(project), keys="d")
    assert mended.code == 0 and "49 pairs go on" in mended.err


def test_the_dry_run_says_what_a_person_must_do_first_and_stops_at_an_edited_split(
    tmp_path: Path, run: Run
) -> None:
    project = project_of(tmp_path, run)
    said = run("run", "--dry-run", "--project", str(project))
    assert said.code == 1 and "tuneproof review" in said.err  # nobody sat down, nobody vouches
    run("review", "--tty", "--project", str(project), keys="aq")
    said = run("run", "--dry-run", "--project", str(project))
    assert said.code == 0 and "a person decides on every pair" in said.out
    assert "known once the pairs are reviewed" in said.out and "59 of 60 pairs are undecided" in said.out


def test_a_folder_with_a_blank_in_its_name_is_quoted_in_what_can_be_pasted(tmp_path: Path, run: Run) -> None:
    project = project_of(tmp_path, run, name="my task")
    said = run("review", "--tty", "--project", str(project), keys="q")
    assert f"Next: tuneproof review --project '{project}'" in said.out
