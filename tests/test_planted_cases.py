"""Three planted cases end as they must: worse, level, better; and what must not work does not."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from compare_sample import copied, impatient, new_project, no_plots, no_waiting_for_the_disk, reply_to, walk
from fakes import Calls, fake_outside, is_lucky
from sample import sample_case
from tuneproof import cli
from tuneproof.arms import Table, result_of
from tuneproof.artifacts import Arm, ArmResult, Reply, Split, Verdict
from tuneproof.commands_tune import run_extra_tunes
from tuneproof.contrasts import Scored, gate_of
from tuneproof.errors import GateNotPassed
from tuneproof.outside import real
from tuneproof.scoring import scorer_of
from tuneproof.shelves import take, take_split
from tuneproof.workspace import Workspace

SEEDS = 20


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk(), no_plots():
        yield


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = new_project(tmp_path_factory.mktemp("planted") / "project")
    walk(workspace, until="tune")
    return workspace.root


@pytest.fixture
def workspace(tuned: Path, tmp_path: Path) -> Workspace:
    return copied(tuned, tmp_path / "project")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process."""

    def run_it(*arguments: object, at: Path, **how: object) -> Said:
        monkeypatch.setattr(real, "real_outside", lambda: impatient(fake_outside(at, **how)))
        monkeypatch.setattr(sys, "argv", ["tuneproof", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        code = stop.value.code
        return Said(code if isinstance(code, int) else 0 if code is None else 1, out, err)

    return run_it


CASES = {
    "worse": ({"tuned_share": 8, "base_share": 50}, "FAIL", 3),
    "level": ({"tuned_share": 40, "base_share": 10}, "INCONCLUSIVE", 3),
    "better": ({"tuned_share": 85, "base_share": 6}, "PASS", 0),
}


def first_remedy(text: str) -> str:
    """The first command that a person is told to type."""
    found = re.search(r"tuneproof (review|tune|compare|publish|freeze|quantize|draft)\b[^`\n]*", text)
    return found[0] if found else ""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("command", ["run", "judge"])
def test_a_planted_case_ends_with_its_gate_and_its_exit_code(
    run: Run, workspace: Workspace, name: str, command: str
) -> None:
    how, outcome, code = CASES[name]
    if command == "judge":
        walk(workspace, until="serve", **how)
    said = run(command, "--project", workspace.root, at=workspace.root.parent, **how)
    verdict = take(workspace, "judge", Verdict)
    assert (verdict.gate, said.code) == (outcome, code), said.err
    assert "Traceback" not in said.err and verdict.headline in " ".join(said.out.split())
    if code:
        assert re.search(r"\n  → \S", said.err) and outcome in said.err
    status = run("judge", "--project", workspace.root, "--json", at=workspace.root.parent, **how)
    assert status.code == code and json.loads(status.out)["gate"] == outcome


def test_the_first_remedy_of_a_failed_gate_is_to_read_pairs_again(run: Run, workspace: Workspace) -> None:
    how, _, _ = CASES["worse"]
    said = run("run", "--project", workspace.root, at=workspace.root.parent, **how)
    assert said.code == 3
    verdict = take(workspace, "judge", Verdict)
    report = (workspace.folder("judge") / "report.md").read_text("utf-8")
    for where, text in (
        ("verdict", verdict.paragraph),
        ("report", report),
        ("stdout", said.out),
        ("stderr", said.err),
    ):
        assert first_remedy(text).startswith("tuneproof review --reread 50"), where
    refused = run("publish", "--project", workspace.root, at=workspace.root.parent, **how)
    assert refused.code == 3 and first_remedy(refused.err).startswith("tuneproof review --reread 50")


def test_reading_again_prints_fifty_training_pairs_and_no_test_item(run: Run, workspace: Workspace) -> None:
    said = run("review", "--reread", 50, "--project", workspace.root, "--json", at=workspace.root.parent)
    found = {pair["id"] for pair in json.loads(said.out)}
    ids = {
        part: {
            json.loads(line)["id"]
            for line in (workspace.folder("freeze") / f"{part}.jsonl").read_text("utf-8").splitlines()
        }
        for part in ("train", "test", "dev")
    }
    assert said.code == 0 and len(found) == 50 and found <= ids["train"]
    assert not found & (ids["test"] | ids["dev"])


# What must not work


def gates_of(split: Split, *, tuned_share: int, base_share: int, copy: bool = False) -> Counter[str]:
    """Gate a stand-in tune against a stand-in base on the test items, both drawn anew for every seed."""
    table = Table(sample_case(), split, scorer_of(sample_case().task_file))
    found: Counter[str] = Counter()
    for seed in range(SEEDS):
        replies: dict[str, list[Reply]] = {}
        results: dict[str, ArmResult] = {}
        for name, share in (("base", base_share), ("tuned", tuned_share)):
            salt = f"{seed} base" if copy else f"{seed} {name}"
            replies[name] = [
                reply_to(i.id, i.output if is_lucky(i.input, share, salt=salt) else "zzz")
                for i in split.test.items
            ]
            arm = Arm(name=name, title=name, kind="base" if name == "base" else "tuned", engine="x")
            results[name] = result_of(table, arm, replies)
        right = {name: table.right(each) for name, each in replies.items()}
        found[gate_of(Scored(table, replies, right, results), "tuned", "base").outcome] += 1
    return found


def test_a_copy_of_the_base_is_inconclusive_for_each_of_twenty_seeds(tuned: Path) -> None:
    split = take_split(Workspace(tuned))
    assert gates_of(split, tuned_share=36, base_share=36, copy=True) == {"INCONCLUSIVE": SEEDS}


def test_shuffled_labels_pass_for_none_of_twenty_seeds_against_a_base_that_saw_examples(tuned: Path) -> None:
    """One of eight labels is right by chance; the base with examples is right on 36 %."""
    found = gates_of(take_split(Workspace(tuned)), tuned_share=12, base_share=36)
    assert found["PASS"] == 0 and found["FAIL"] > SEEDS // 2 and sum(found.values()) == SEEDS


def test_shuffled_labels_against_a_base_that_guesses_too_pass_no_more_often_than_the_level(
    tuned: Path,
) -> None:
    """Two arms that guess are level: each seed passes with a chance of 2.5 % at most.

    Three or more of twenty would then be seen with a chance of 1.3 %, and the seeds are fixed.
    """
    found = gates_of(take_split(Workspace(tuned)), tuned_share=12, base_share=12)
    assert found["PASS"] <= 2 and sum(found.values()) == SEEDS


def test_a_tune_that_works_passes_for_all_of_twenty_seeds(tuned: Path) -> None:
    """Or the test above would show nothing."""
    found = gates_of(take_split(Workspace(tuned)), tuned_share=85, base_share=36)
    assert found == {"PASS": SEEDS}


@pytest.mark.parametrize(("tuned_share", "base_share"), [(12, 12), (36, 6)])
def test_a_shuffled_tune_and_a_copy_of_the_base_end_without_a_release(
    workspace: Workspace, tuned_share: int, base_share: int
) -> None:
    with pytest.raises(GateNotPassed):
        walk(workspace, tuned_share=tuned_share, base_share=base_share)
    assert take(workspace, "judge", Verdict).gate != "PASS" and not workspace.folder("publish").exists()


def test_a_null_control_that_passes_blocks_the_release_and_the_verdict(workspace: Workspace) -> None:
    """The stand-in answers for every adapter, so the control works as well as the tune: a leak, planted."""
    calls = Calls()
    outside = impatient(fake_outside(workspace.root.parent, calls=calls))
    run_extra_tunes(None, "shuffled-labels", workspace.root, as_json=True, outside=lambda: outside)
    assert calls.trained == 1
    with pytest.raises(GateNotPassed, match="null control shuffled-labels passes the gate too") as stop:
        walk(workspace)
    assert stop.value.exit_code == 3
    verdict = take(workspace, "judge", Verdict)
    assert [(c.name, c.outcome) for c in verdict.controls] == [("shuffled-labels", "PASS")]
    assert verdict.gate == "PASS" and verdict.decision == "not_enough_evidence"
    assert (
        "a tune on shuffled labels passes the gate too" in verdict.headline
        and not workspace.folder("publish").exists()
    )


def test_seeds_beside_the_tune_are_arms_and_their_spread_is_in_the_verdict(
    workspace: Workspace,
) -> None:
    walk(workspace, until="judge")
    before = take(workspace, "judge", Verdict)
    outside = impatient(fake_outside(workspace.root.parent, weights="other "))
    run_extra_tunes(3, None, workspace.root, as_json=True, outside=lambda: outside)
    assert workspace.state("compare").why == "there are other seeds and controls"
    calls = walk(workspace, until="judge")
    verdict = take(workspace, "judge", Verdict)
    assert before.seeds is None and verdict.seeds is not None
    assert verdict.seeds.arms == ("adapter", "seed-1", "seed-2") and not verdict.seeds.exceeds_gain
    assert {a.arm.kind for a in verdict.arms if a.arm.name.startswith("seed-")} == {"seed"}
    assert sum(map(len, calls.batches)) == 2 * 50, "the declared adapter is not asked again"
    assert verdict.test_accesses == 2, "other arms are another plan"
