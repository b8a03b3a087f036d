"""`tuneproof run`: stale steps and no others, cut off at every write, and where a person is needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes import Calls, fake_outside, fake_task
from tuneproof import shelves, workspace
from tuneproof.commands import run_dry, run_run
from tuneproof.console import Tell
from tuneproof.errors import BadInput, GateNotPassed, NotReady
from tuneproof.steps import STEPS
from tuneproof.story import Outside, story
from tuneproof.workspace import Workspace

UP_TO_JUDGE = [step.verb for step in STEPS[:9]]


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Syncing is for a power loss, which no test here has; it is two thirds of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


def project(at: Path, task: str | None = None) -> Workspace:
    made = Workspace(at / "project")
    made.write_task(task or fake_task())
    return made


def outside(at: Path, **how: object) -> Callable[[], Outside]:
    return lambda: fake_outside(at, **how)


def run(made: Workspace, *, until: str = "judge", **how: object) -> None:
    run_run(made.root, until=until, as_json=True, outside=outside(made.root.parent, **how))


def digests(made: Workspace) -> dict[str, str]:
    found = {verb: made.made(verb) for verb in UP_TO_JUDGE}
    return {verb: record.artifact for verb, record in found.items() if record is not None}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = project(tmp_path_factory.mktemp("whole"))
    run(made)
    found = digests(made)
    assert len(found) == 9
    return found


class CutOff:
    """Stops the process, as `kill -9` would, in place of the n-th durable write."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.writes, self._at = 0, at
        for module, name in (
            (workspace, "atomic_write"),
            (shelves, "atomic_write"),
            (shelves, "append_line"),
        ):
            patch.setattr(module, name, self._counted(getattr(module, name)))

    def _counted(self, write: Callable[..., None]) -> Callable[..., None]:
        def counted(*what: object) -> None:
            self.writes += 1
            if self.writes == self._at:
                raise KeyboardInterrupt
            write(*what)

        return counted


def writes_of_a_run(at: Path) -> int:
    made = project(at)
    with pytest.MonkeyPatch.context() as patch:
        count = CutOff(patch, at=-1)
        run(made)
    return count.writes


def test_cut_off_at_any_write_the_same_command_ends_with_the_same_digests(
    uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    total = writes_of_a_run(tmp_path / "count")
    # Every write of the small steps, and a sample of the hundreds of stored replies.
    places = sorted({*range(1, 28, 2), *range(28, total, 89), *range(total - 8, total + 1)})
    assert len(places) > 25 and total > 300
    for place in places:
        made = project(tmp_path / f"cut-{place}")
        with pytest.MonkeyPatch.context() as patch:
            CutOff(patch, at=place)
            with pytest.raises(KeyboardInterrupt):
                run(made)
        run(made)
        assert digests(made) == uninterrupted, f"cut off at write {place}"


@pytest.mark.parametrize("verb", UP_TO_JUDGE)
def test_until_stops_after_the_step_and_a_run_goes_on_from_there(
    verb: str, uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    made = project(tmp_path)
    run(made, until=verb)
    place = UP_TO_JUDGE.index(verb) + 1
    assert [v for v in UP_TO_JUDGE if made.made(v)] == UP_TO_JUDGE[:place]
    run(made)
    assert digests(made) == uninterrupted
    assert not made.made("publish"), "a person publishes"


def test_a_second_run_asks_nothing_of_anyone(tmp_path: Path) -> None:
    made, calls = project(tmp_path), Calls()
    run(made)
    run(made, calls=calls)
    assert calls.count == 0 and calls.base == 0


def test_only_what_a_changed_setting_touches_is_made_again(tmp_path: Path) -> None:
    made, calls = project(tmp_path), Calls()
    run(made)
    before = digests(made)
    text = (made.root / "task.yaml").read_text("utf-8")
    (made.root / "task.yaml").write_text(text.replace("epochs: 2", "epochs: 3"), "utf-8")
    run(made, calls=calls, weights="other weights ")
    assert calls.trained == 1
    after = digests(made)
    assert [v for v in UP_TO_JUDGE if before[v] == after[v]] == ["draft", "review", "freeze"]


def test_pairs_without_a_reviewer_stop_the_run_with_what_to_write(tmp_path: Path) -> None:
    made = project(tmp_path, fake_task().replace("  reviewed_by: the test suite\n", ""))
    with pytest.raises(NotReady) as stopped:
        run(made)
    assert "have no reviewer" in stopped.value.problem and "data.reviewed_by" in stopped.value.remedy
    assert [v for v in UP_TO_JUDGE if made.made(v)] == ["init", "draft"]


def test_a_gate_that_is_not_passed_is_exit_code_3_after_the_report_is_there(tmp_path: Path) -> None:
    made = project(tmp_path)
    with pytest.raises(GateNotPassed):
        run(made, tuned_share=5)
    assert (made.root / "9-verdict/report.html").exists()


def test_an_unknown_step_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as stopped:
        run(project(tmp_path), until="quantise")
    assert stopped.value.remedy == "tuneproof run --until quantize"


def test_a_dry_run_changes_nothing_and_says_what_would_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, calls = project(tmp_path), Calls()
    before = sorted(made.root.rglob("*"))
    run_dry(made.root, until="judge", as_json=False, outside=outside(tmp_path, calls=calls))
    said = capsys.readouterr().out
    assert sorted(made.root.rglob("*")) == before and calls.count == 0
    assert "110 of 110 pairs, 2 epochs" in said or "pairs, 2 epochs" in said
    assert "Money: " in said and "on AMD EPYC" in said and "no step makes a paid call" in said


def test_a_dry_run_finds_what_would_stop_the_run_later(tmp_path: Path) -> None:
    made = project(tmp_path)
    with pytest.raises(NotReady) as stopped:
        run_dry(made.root, until="judge", as_json=False, outside=outside(tmp_path, pairs=70))
    assert "70 reviewed pairs give" in stopped.value.problem and "80 % power" in stopped.value.problem
    assert not made.made("init")


def test_times_do_not_change_a_digest_but_make_the_report_stale(tmp_path: Path) -> None:
    made = project(tmp_path)
    run(made)
    before = made.made("compare")
    for done in story(made, fake_outside(tmp_path), Tell(quiet=True), only="compare", again=True):
        if done == "compare":
            break
    after = made.made("compare")
    assert before is not None and after is not None
    assert before.artifact == after.artifact and before.record != after.record
    assert made.state("serve").state == "fresh"
    assert made.state("judge").state == "stale"
