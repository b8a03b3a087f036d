"""`tuneproof advise`: what is asked, printed and kept; in a project, before and after the scores."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from compare_sample import copied, new_project, no_plots, no_waiting_for_the_disk, set_task, walk
from fakes import fake_task
from tuneproof.artifacts import Comparison
from tuneproof.artifacts.case import PressureSection
from tuneproof.commands_advise import run_advise
from tuneproof.errors import BadInput, LockBroken
from tuneproof.shelves import take
from tuneproof.steps.init import init
from tuneproof.task_file import read_task
from tuneproof.workspace import Workspace

TICKETS = "route tickets\n\n\n\nyes\nyes\nyes\nyes\n2M\n0.40\nyes\n200\nno\n"
KNOWS = "so it knows our product docs"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


Advise = Callable[..., tuple[str, str]]


@pytest.fixture
def advise(capsys: pytest.CaptureFixture[str]) -> Advise:
    def run(
        project: Path | str | None = None, stdin: io.StringIO | None = None, **how: Any
    ) -> tuple[str, str]:
        said: dict[str, Any] = {"goal": None, "answers": None, "ask": False, "as_json": False} | how
        capsys.readouterr()
        run_advise(None if project is None else Path(project), stdin=stdin or io.StringIO(), **said)
        found = capsys.readouterr()
        return found.out, found.err

    return run


def advised(advise: Advise, *arguments: Any, **how: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(advise(*arguments, as_json=True, **how)[0])
    return found


# Without a project


def test_a_teammate_who_wants_it_to_know_the_docs_is_told_rag_and_nothing_is_written(
    advise: Advise, here: Path
) -> None:
    out, err = advise(goal=KNOWS)
    assert out.startswith(
        "Advice before data: RAG\n· the goal asks for knowledge: “knows our product docs”\n"
    )
    assert "supply the facts by retrieval" in out and "\nNext: " in out
    assert (err, list(here.iterdir())) == ("", [])
    found = advised(advise, goal=KNOWS)
    assert (found["advice"], found["stage"], found["files"]) == ("RAG", "before data", [])
    assert found["pressures"]["goal"] == KNOWS
    assert found["paragraph"].startswith(f"Wanted: {KNOWS}. Advice before any data: RAG, because ")


def test_the_questions_are_asked_one_by_one_and_piped_answers_answer_them(advise: Advise) -> None:
    out, err = advise(stdin=io.StringIO(TICKETS))
    assert len(err.splitlines()) == len(TICKETS.splitlines()) == 13
    assert "fine-tune" in out and "800.00 USD a month" in out and "(within 200 ms)" in out
    assert "Next: tuneproof init --pairs FILE" in out
    found = advised(advise, stdin=io.StringIO(TICKETS))
    assert found["pressures"] == PressureSection(
        goal="route tickets", exact_format=True, own_label_scheme=True, prompt_tried=True, high_volume=True,
        calls_per_month=2_000_000, usd_per_1000_calls=0.4, low_latency=True, latency_ms=200,
    ).model_dump()  # fmt: skip


def test_what_follows_from_a_no_is_not_asked_and_a_given_goal_is_not_asked_again(advise: Advise) -> None:
    _, err = advise(goal="sort mail", ask=True, stdin=io.StringIO("\n" * 8))
    assert len(err.splitlines()) == 8
    assert "in your own words" not in err and "milliseconds" not in err and "calls a month" not in err


@pytest.mark.parametrize("lines", range(13))
def test_answers_that_end_too_early_name_the_question_that_is_left(advise: Advise, lines: int) -> None:
    cut = "".join(line + "\n" for line in TICKETS.splitlines()[:lines])
    keys = ("goal", "documents", "fresh_facts", "broad_reasoning", "exact_format", "own_label_scheme",
            "prompt_tried", "high_volume", "calls_per_month", "usd_per_1000_calls", "low_latency",
            "latency_ms", "privacy")  # fmt: skip
    with pytest.raises(
        BadInput, match=rf"end before this question: .*\? ?\({keys[lines]}\)|in your own words"
    ):
        advise(stdin=io.StringIO(cut))


def test_answers_that_are_left_over_are_not_dropped_in_silence(advise: Advise) -> None:
    with pytest.raises(BadInput, match="go on after the last question: 'no'"):
        advise(stdin=io.StringIO("\n" * 9 + "no\n"))
    advise(stdin=io.StringIO("\n" * 12))


def test_a_wrong_answer_is_asked_again_on_a_terminal_and_stops_a_pipe(advise: Advise) -> None:
    lines = "goal\nperhaps\n" + "no\n" * 8
    out, err = advise(stdin=Terminal(lines))
    assert "not yet" in out and "answer yes or no, not 'perhaps'" in err
    assert err.count("Should the model know documents") == 2
    with pytest.raises(BadInput, match="documents: answer yes or no, not 'perhaps'"):
        advise(stdin=io.StringIO(lines))


def test_with_json_nothing_is_asked_on_a_terminal(advise: Advise) -> None:
    with pytest.raises(BadInput, match="--json") as caught:
        advise(stdin=Terminal(TICKETS), as_json=True)
    assert "--answers" in caught.value.remedy


def test_piped_bytes_that_are_no_utf8_are_a_users_error(advise: Advise) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"goal \xff\n"), encoding="utf-8")
    with pytest.raises(BadInput, match="not UTF-8"):
        run_advise(None, goal=None, answers=None, ask=False, as_json=False, stdin=stdin)


def test_a_file_of_answers_is_taken_and_the_goal_of_the_command_line_wins(advise: Advise, here: Path) -> None:
    (here / "a.yaml").write_text("goal: cheaper\nprivacy: true\n", encoding="utf-8")
    assert advised(advise, answers=Path("a.yaml"))["advice"] == "fine-tune"
    assert advised(advise, answers=Path("a.yaml"), goal=KNOWS)["advice"] == "RAG"
    with pytest.raises(BadInput, match=r"none\.yaml cannot be read"):
        advise(answers=Path("none.yaml"))
    with pytest.raises(BadInput, match=r"here cannot be read|cannot be read: Is a directory"):
        advise(answers=here)
    with pytest.raises(BadInput, match="--answers and --ask"):
        advise(answers=Path("a.yaml"), ask=True)


# A folder that was named


def test_a_named_folder_gets_a_task_file_with_the_answers_and_the_advice(advise: Advise, here: Path) -> None:
    found = advised(advise, "mine", stdin=io.StringIO(TICKETS))
    assert found["files"] == ["mine/task.yaml", "mine/advice.jsonl"]
    assert "fill in the empty values of mine/task.yaml" in found["next"]
    written = yaml.safe_load((here / "mine/task.yaml").read_text("utf-8"))
    assert written["pressures"] == found["pressures"]
    (line,) = (here / "mine/advice.jsonl").read_text("utf-8").splitlines()
    kept = json.loads(line)
    assert line == json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert {"at", "stage", "pressures", "advice", "reasons", "paragraph"} == set(kept)
    assert all(kept[key] == found[key] for key in kept if key != "at")

    # The file is not filled in yet, and its pressures are read all the same.
    before = (here / "mine/task.yaml").read_bytes()
    again = advised(advise, "mine")
    assert (again["advice"], again["files"]) == ("fine-tune", ["mine/advice.jsonl"])
    assert again["pressures"] == found["pressures"]
    assert advised(advise, "mine", goal=KNOWS)["advice"] == "RAG"
    assert (here / "mine/task.yaml").read_bytes() == before, "task.yaml is the user's"
    assert len((here / "mine/advice.jsonl").read_text("utf-8").splitlines()) == 3


def test_a_project_that_is_the_current_folder_needs_no_name_and_is_not_asked(
    advise: Advise, here: Path
) -> None:
    set_task(new_project(here), fake_task())
    found = advised(advise)
    assert (found["advice"], found["files"]) == ("fine-tune", ["advice.jsonl"])
    assert found["paragraph"] == init(read_task((here / "task.yaml").read_bytes(), "task.yaml")).paragraph
    assert found["next"] == "tuneproof init --project ."
    for brings in ({"answers": Path("a.yaml")}, {"ask": True}):
        with pytest.raises(BadInput, match=r"task\.yaml holds the answers already"):
            advise(**brings)


def test_a_line_that_a_crash_has_torn_does_not_swallow_the_next_advice(advise: Advise, here: Path) -> None:
    advise("mine", goal="sort mail")
    kept = here / "mine/advice.jsonl"
    kept.write_text(kept.read_text("utf-8") + '{"advice":"fi', encoding="utf-8")
    advise("mine")
    lines = kept.read_text("utf-8").splitlines()
    assert len(lines) == 3
    assert [json.loads(lines[i])["advice"] for i in (0, 2)] == ["not yet", "not yet"]


def test_wrong_pressures_of_a_task_file_are_named_and_nothing_is_kept(advise: Advise, here: Path) -> None:
    Workspace(here / "mine").write_task("name: ''\npressures:\n  privcy: true\n")
    with pytest.raises(BadInput, match=r"mine/task\.yaml:3: pressures\.privcy: .* 'privacy'"):
        advise("mine")
    assert not (here / "mine/advice.jsonl").exists()


# A project with scores


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    workspace = new_project(tmp_path_factory.mktemp("advise") / "p")
    with no_waiting_for_the_disk(), no_plots():
        walk(workspace, until="judge")
    yield workspace


def test_after_the_scores_the_advice_goes_by_the_stored_rows_and_names_the_verdict(
    advise: Advise, judged: Workspace, tmp_path: Path
) -> None:
    workspace = copied(judged.root, tmp_path / "p")
    found = advised(advise, workspace.root)
    comparison = take(workspace, "compare", Comparison)
    tuned = next(r for r in comparison.arms if r.arm.kind == "tuned")
    base = max((r for r in comparison.arms if r.arm.kind == "base"), key=lambda r: r.correct)
    assert (found["stage"], found["advice"]) == ("after scores", "fine-tune")
    said = "; ".join(found["reasons"])
    for result in (tuned, base):
        assert f"{result.rate * 100:.1f} % (" in said and f"n = {result.n}; {result.arm.title})" in said
    assert f"{(tuned.correct - base.correct) / tuned.n * 100:+.1f} points" in said
    verdict = json.loads((workspace.root / "9-verdict/verdict.json").read_text("utf-8"))
    assert found["verdict"] == verdict["headline"]
    assert f"it decides: {verdict['headline']}" in advise(workspace.root)[0]
    assert [path.name for path in workspace.root.iterdir() if path.name == "ledger.jsonl"]
    ledgers = [(w.root / "ledger.jsonl").read_bytes() for w in (workspace, judged)]
    assert ledgers[0] == ledgers[1], "stored replies are no new access to the test"


def test_scores_that_are_stale_are_not_gone_by_and_that_is_said(
    advise: Advise, judged: Workspace, tmp_path: Path
) -> None:
    workspace = copied(judged.root, tmp_path / "p")
    set_task(workspace, fake_task(epochs=3))
    out, err = advise(workspace.root)
    assert out.startswith("Advice before data: fine-tune")
    assert "6-comparison is stale (5-adapter is stale), so this advice does not go by it." in err
    assert "it decides" not in out


def test_scores_that_were_edited_are_not_gone_by_and_a_damaged_record_stops(
    advise: Advise, judged: Workspace, tmp_path: Path
) -> None:
    workspace = copied(judged.root, tmp_path / "p")
    path = workspace.root / "6-comparison/comparison.json"
    path.write_text(path.read_text("utf-8").replace('"correct": ', '"correct":', 1), encoding="utf-8")
    out, err = advise(workspace.root)
    assert out.startswith("Advice before data")
    assert "6-comparison is stale (comparison.json was changed)" in err
    (workspace.root / "6-comparison/made.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LockBroken, match="damaged"):
        advise(workspace.root)


def test_a_goal_of_knowledge_is_told_rag_though_the_tune_is_good(
    advise: Advise, judged: Workspace, tmp_path: Path
) -> None:
    found = advised(advise, copied(judged.root, tmp_path / "p").root, goal=KNOWS)
    assert (found["stage"], found["advice"]) == ("after scores", "RAG")


def test_advising_without_scores_loads_no_numbers_package() -> None:
    code = (
        "import io, sys\nfrom tuneproof.commands_advise import run_advise\n"
        "run_advise(None, goal='x', answers=None, ask=False, as_json=True, stdin=io.StringIO())\n"
        "heavy = {'torch', 'transformers', 'scipy', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stderr.strip() == "[]"
