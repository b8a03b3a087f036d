"""The project folder: complete or half made, stale for a reason, one process at a time, old or new."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sample import sample_case
from tuneproof.artifacts import TaskFile
from tuneproof.errors import BadInput, Busy, LockBroken, MissingArtifact, TuneproofError
from tuneproof.outside.files import atomic_write
from tuneproof.shelves import put, take_case
from tuneproof.steps import STEPS, step_of
from tuneproof.steps.init import init
from tuneproof.workspace import MADE, TASK, Workspace

VERBS = tuple(step.verb for step in STEPS)


def task(**sections: dict[str, object]) -> str:
    """The sample's task.yaml with some values replaced."""
    fields = sample_case().task_file.model_dump(mode="json")
    for section, values in sections.items():
        fields[section] |= values
    return yaml.safe_dump(fields)


def make(workspace: Workspace, verb: str, text: str = "{}") -> None:
    """Make a step as the story does; the content does not matter, except that of the case."""
    workspace.begin(verb)
    if verb == "init":
        case = init(workspace.task_file())
        put(workspace, "init", case)
        workspace.finish("init", case.digest, seconds=0.0)
        return
    workspace.write(verb, step_of(verb).makes, text)
    workspace.finish(verb, f"sha256:{text}", seconds=0.0)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy disk would make these tests slow; that a sync is asked for is tested below."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def project(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.write_task(task())
    return workspace


@pytest.fixture
def whole(project: Workspace) -> Workspace:
    """Every step made."""
    for verb in VERBS:
        make(project, verb)
    return project


def states(workspace: Workspace) -> dict[str, str]:
    return {verb: workspace.state(verb).state for verb in VERBS}


def stale(workspace: Workspace) -> set[str]:
    return {verb for verb, state in states(workspace).items() if state == "stale"}


# Complete or half made


def test_a_step_is_missing_then_half_made_then_fresh(project: Workspace) -> None:
    seen = [project.state("draft").state]
    project.begin("draft")
    seen.append(project.state("draft").state)
    project.write("draft", "imported.jsonl", "")
    seen.append(project.state("draft").state)
    project.finish("draft", "sha256:0", seconds=0.0)
    seen.append(project.state("draft").state)
    assert seen == ["missing", "half made", "half made", "fresh"]


def test_a_whole_project_is_fresh(whole: Workspace) -> None:
    assert states(whole) == dict.fromkeys(VERBS, "fresh")


def test_made_json_is_the_last_file_written(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (written.append(Path(b).name), replace(a, b)))
    make(project, "draft")
    assert written == ["begun.json", "imported.jsonl", MADE]


def test_made_json_lists_what_is_in_the_folder_and_nothing_else(whole: Workspace) -> None:
    looked = 0
    for verb in VERBS:
        made = whole.made(verb)
        assert made is not None
        assert [ref.name for ref in made.files] == [step_of(verb).makes]
        assert sorted(p.name for p in whole.folder(verb).iterdir()) == sorted([step_of(verb).makes, MADE])
        looked += 1
    assert looked == len(STEPS)


def test_the_same_work_goes_on_in_the_folder_as_it_was_left(project: Workspace) -> None:
    folder = project.begin("tune")
    (folder / "checkpoint").write_text("hours of work")
    assert Workspace(project.root).begin("tune") == folder
    assert (folder / "checkpoint").read_text() == "hours of work"


def test_other_work_begins_in_an_empty_folder(project: Workspace) -> None:
    folder = project.begin("tune")
    (folder / "checkpoint").write_text("of other settings")
    (project.root / TASK).write_text(task(tuning={"epochs": 9}))
    project.begin("tune")
    assert sorted(p.name for p in folder.iterdir()) == ["begun.json"]


def test_work_on_other_inputs_begins_in_an_empty_folder(project: Workspace) -> None:
    make(project, "freeze", "one")
    folder = project.begin("tune")
    (folder / "checkpoint").write_text("of another split")
    make(project, "freeze", "two")
    project.begin("tune")
    assert sorted(p.name for p in folder.iterdir()) == ["begun.json"]


def test_a_finished_step_is_made_again_from_an_empty_folder(project: Workspace) -> None:
    make(project, "draft")
    project.begin("draft")
    assert sorted(p.name for p in project.folder("draft").iterdir()) == ["begun.json"]


def test_a_forgotten_step_is_missing(whole: Workspace) -> None:
    whole.forget("tune")
    assert whole.state("tune").state == "missing"


def test_a_new_task_file_never_replaces_one_that_is_there(project: Workspace) -> None:
    before = (project.root / TASK).read_text()
    project.write_task("name: other")
    assert (project.root / TASK).read_text() == before


# Stale, and why


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"serving": {"num_ctx": 1024}}, {"init", "compare", "serve", "judge", "publish"}),
        ({"serving": {"machine_usd_per_hour": 3.5}}, {"init", "compare", "serve", "judge", "publish"}),
        ({"gate": {"alpha": 0.01}}, {"init", "compare", "serve", "judge", "publish"}),
        ({"comparison": {"shots": [0]}}, {"init", "compare", "serve", "judge", "publish"}),
        (
            {"quantization": {"ladder": ["Q8_0"]}},
            {"init", "compare", "quantize", "serve", "judge", "publish"},
        ),
        (
            {"tuning": {"epochs": 9}},
            {"init", "tune", "compare", "quantize", "serve", "judge", "publish"},
        ),
        ({"split": {"test": 60}}, set(VERBS) - {"draft"}),
        ({"task": {"system_prompt": "Another."}}, set(VERBS)),
        ({"task": {"max_new_tokens": 7}}, {"init", "compare", "serve", "judge", "publish"}),
        ({"data": {"pairs": 1000}}, set(VERBS)),
        ({"pressures": {"privacy": True}}, set(VERBS)),
    ],
)
def test_a_setting_makes_stale_what_reads_it_and_what_follows(
    whole: Workspace, changed: dict[str, dict[str, object]], expected: set[str]
) -> None:
    (whole.root / TASK).write_text(task(**changed))
    assert stale(whole) == expected


def test_a_comment_or_another_order_in_the_task_file_changes_nothing(whole: Workspace) -> None:
    fields = yaml.safe_load(task())
    text = "# a comment\n" + yaml.safe_dump(dict(reversed(fields.items())), sort_keys=False)
    (whole.root / TASK).write_text(text)
    assert stale(whole) == set()


def test_the_reason_names_the_section_that_changed(whole: Workspace) -> None:
    (whole.root / TASK).write_text(task(tuning={"epochs": 9}))
    assert whole.state("tune").why == "task.yaml changed: tuning"
    assert whole.state("quantize").why == "5-adapter is stale"


def test_a_step_made_again_with_the_same_result_leaves_the_next_fresh(whole: Workspace) -> None:
    make(whole, "tune")
    assert stale(whole) == set()


def test_a_step_made_again_with_another_result_makes_the_next_stale(whole: Workspace) -> None:
    make(whole, "tune", "another")
    assert whole.state("tune").state == "fresh"
    assert stale(whole) == {"compare", "quantize", "serve", "judge", "publish"}
    assert whole.state("compare").why == "5-adapter was made again"


def test_a_missing_step_makes_the_next_stale(whole: Workspace) -> None:
    whole.forget("tune")
    assert whole.state("compare").why == "5-adapter is missing"


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda path: path.write_text("[]"), "settings.json was changed"),
        (lambda path: path.write_text("longer than before"), "settings.json was changed"),
        (lambda path: path.unlink(), "settings.json is gone"),
    ],
)
def test_a_changed_or_lost_file_makes_its_step_stale(
    whole: Workspace, harm: Callable[[Path], object], why: str
) -> None:
    harm(whole.folder("tune") / "settings.json")
    assert whole.state("tune").why == why
    assert whole.state("compare").state == "stale"


def test_settings_edited_during_a_step_make_it_stale(whole: Workspace) -> None:
    """Training takes an hour; the record must say what it was begun with, not what task.yaml says now."""
    whole.forget("tune")
    whole.begin("tune")
    (whole.root / TASK).write_text(task(tuning={"epochs": 9}))
    whole.write("tune", "settings.json", "{}")
    whole.finish("tune", "sha256:{}", seconds=3600.0)
    assert whole.state("tune").why == "task.yaml changed: tuning"


def test_settings_edited_between_two_steps_of_one_run_make_the_later_step_stale(whole: Workspace) -> None:
    """The run goes on with the case that it read at its start, thresholds included."""
    whole.forget("compare")
    (whole.root / TASK).write_text(task(gate={"alpha": 0.2}))
    assert take_case(whole).task_file.gate.alpha == 0.025
    make(whole, "compare")
    assert whole.state("compare").why == "task.yaml changed: gate"


# Reading what a step made


def test_a_file_is_read_only_when_it_is_the_one_that_was_made(whole: Workspace) -> None:
    assert whole.read("tune", "settings.json") == "{}"
    (whole.folder("tune") / "settings.json").write_text("{ }")
    with pytest.raises(LockBroken, match=r"5-adapter/settings\.json is not the file that `tuneproof tune`"):
        whole.read("tune", "settings.json")


def test_a_file_that_the_step_did_not_make_is_not_read(whole: Workspace) -> None:
    (whole.folder("tune") / "extra.json").write_text("{}")
    with pytest.raises(LockBroken, match=r"extra\.json"):
        whole.read("tune", "extra.json")


def test_nothing_is_read_from_a_half_made_step(project: Workspace) -> None:
    project.begin("tune")
    project.write("tune", "settings.json", "{}")
    with pytest.raises(MissingArtifact, match="5-adapter is not made yet") as caught:
        project.read("tune", "settings.json")
    assert "tuneproof tune" in caught.value.remedy


def test_text_is_read_byte_for_byte(project: Workspace) -> None:
    text = "a\r\nb\rc\u2028d\x00é"
    make(project, "tune", text)
    assert project.read("tune", "settings.json") == text


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json", b"\xff\xfe", b"[]", b'{"step":"tune"'])
def test_a_damaged_record_is_named_and_not_a_crash(whole: Workspace, damage: bytes) -> None:
    (whole.folder("tune") / MADE).write_bytes(damage)
    for look in (whole.made, whole.state, lambda verb: whole.read(verb, "settings.json")):
        with pytest.raises(LockBroken, match=r"5-adapter/made\.json is damaged") as caught:
            look("tune")
        assert "delete" in caught.value.remedy


def test_an_artifact_that_another_version_wrote_is_named_and_not_a_crash(project: Workspace) -> None:
    project.begin("init")
    project.write("init", "case.json", '{"schema_version": 99}')
    project.finish("init", "sha256:0", seconds=0.0)
    with pytest.raises(LockBroken, match=r"1-case/case\.json is damaged: it is not the Case"):
        take_case(project)


# Writing: the old or the new content, whatever fails


class Disk:
    """Lets n − 1 calls through and fails the n-th: open, each write (half done), sync, rename, folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        self._code, self._fail_at = code, 0
        self.calls: list[str] = []
        opening, fsync, replace, low = Path.open, os.fsync, os.replace, os.open
        disk = self

        class Half:
            def __init__(self, handle: Any) -> None:
                self._handle = handle

            def __enter__(self) -> Half:
                return self

            def __exit__(self, *_: object) -> None:
                self._handle.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(self._handle, name)

            def write(self, data: bytes) -> None:
                self._handle.write(data[: len(data) // 2])
                disk.tick("write")
                self._handle.write(data[len(data) // 2 :])

        def open_(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if "w" not in mode:
                return opening(path, mode, *args, **kwargs)
            disk.tick("open")
            return Half(opening(path, mode, *args, **kwargs))

        monkeypatch.setattr(Path, "open", open_)
        monkeypatch.setattr(os, "fsync", lambda fd: (disk.tick("sync"), fsync(fd)))
        monkeypatch.setattr(os, "replace", lambda a, b: (disk.tick("rename"), replace(a, b)))
        monkeypatch.setattr(
            os, "open", lambda *args, **kwargs: (disk.tick("open folder"), low(*args, **kwargs))[1]
        )

    def tick(self, call: str) -> None:
        self.calls.append(call)
        if len(self.calls) == self._fail_at:
            raise OSError(self._code, os.strerror(self._code))

    def fail_at(self, number: int) -> None:
        self.calls, self._fail_at = [], number


CODES = pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["disk full", "disk error"])


@CODES
def test_a_write_that_fails_at_any_call_leaves_the_old_or_the_new_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path, seen = tmp_path / "state.json", []
    disk = Disk(monkeypatch, code)
    disk.fail_at(0)
    atomic_write(path, b"old content")
    # The content is on the disk before it has the name, and the name before the call returns.
    assert disk.calls == ["open", "write", "sync", "rename", "open folder", "sync"]
    for number in range(1, 7):
        disk.fail_at(0)
        atomic_write(path, b"old content")
        disk.fail_at(number)
        with pytest.raises(OSError, match=os.strerror(code)):
            atomic_write(path, b"new content, longer")
        seen.append(path.read_bytes())
        assert os.listdir(tmp_path) == ["state.json"]  # noqa: PTH208 - Path.iterdir is not what is tested
    assert set(seen) == {b"old content", b"new content, longer"}
    assert seen == sorted(seen, reverse=True)  # old up to the rename, new after it


@CODES
def test_a_step_that_cannot_be_finished_keeps_its_work_and_can_be_finished_later(
    project: Workspace, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The end of an hour of training on a full disk."""
    disk = Disk(monkeypatch, code)
    calls, failed = 99, 0
    for number in range(1, 99):
        if number > calls:
            break
        disk.fail_at(0)
        project.forget("tune")
        project.begin("tune")
        project.write("tune", "settings.json", "work")
        disk.fail_at(number)
        try:
            project.finish("tune", "sha256:0", seconds=1.0)
            calls = number - 1
        except OSError:
            failed += 1
        disk.fail_at(0)
        again = Workspace(project.root)
        if again.made("tune") is None:
            assert again.state("tune").state == "half made"
            folder = again.begin("tune")
            assert (folder / "settings.json").read_text() == "work"
            again.finish("tune", "sha256:0", seconds=1.0)
        assert again.read("tune", "settings.json") == "work"
        made = again.made("tune")
        assert made is not None
        assert [ref.name for ref in made.files] == ["settings.json"]
    assert failed == calls >= 5


def test_a_crash_before_made_json_keeps_the_work(project: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at the last rename: a kill runs no clean-up, so nothing may be lost before it."""

    class Killed(BaseException):
        pass

    def killed(source: Path, target: Path) -> None:
        raise Killed

    folder = project.begin("tune")
    project.write("tune", "settings.json", "work")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            project.finish("tune", "sha256:0", seconds=1.0)
    again = Workspace(project.root)
    assert again.state("tune").state == "half made"
    assert again.begin("tune") == folder
    assert (folder / "settings.json").read_text() == "work"


# One process at a time

HOLD = """
import sys, time
from pathlib import Path
from tuneproof.workspace import Workspace
with Workspace(Path(sys.argv[1])).alone():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_who_holds_the_project_and_a_killed_holder_lets_go(
    project: Workspace,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(Busy, match=rf"in use by {socket.gethostname()}, process {holder.pid}\."):
            project.alone().__enter__()
        assert time.monotonic() - began < 2
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with project.alone():
            assert str(os.getpid()) in (project.root / ".lock").read_text()
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()


def test_the_project_is_free_again_after_use_and_after_an_error(project: Workspace) -> None:
    with project.alone():
        pass
    with pytest.raises(ZeroDivisionError), project.alone():
        raise ZeroDivisionError
    with project.alone(), pytest.raises(Busy):
        Workspace(project.root).alone().__enter__()


# task.yaml


def read(root: Path, text: str | bytes) -> TaskFile:
    (root / TASK).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Workspace(root).task_file()


def test_the_task_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, task()) == sample_case().task_file


def test_no_task_file_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match=r"task\.yaml does not exist") as caught:
        Workspace(tmp_path).task_file()
    assert "tuneproof init" in caught.value.remedy


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbf" + task().replace("\n", "\r\n").encode()) == read(tmp_path, task())


@pytest.mark.parametrize(
    ("section", "key", "hint"),
    [
        (None, "tunning", "'tuning'"),
        ("tuning", "epoch", "'epochs'"),
        ("split", "tset", "'test'"),
        ("pressures", "fresh_fact", "'fresh_facts'"),
        ("serving", "zzz", "known: machine_usd_per_hour, model_name, num_ctx"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    tmp_path: Path, section: str | None, key: str, hint: str
) -> None:
    fields = yaml.safe_load(task())
    (fields[section] if section else fields)[key] = 1
    with pytest.raises(BadInput) as caught:
        read(tmp_path, yaml.safe_dump(fields))
    place = f"{section}.{key}" if section else key
    assert f"{place}: unknown key" in caught.value.problem
    assert hint in caught.value.problem


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    fields = yaml.safe_load(
        task(tuning={"epochs": 0, "epoch": 3}, split={"test": "many"}, gate={"alpha": 0.9})
    )
    del fields["title"]
    with pytest.raises(BadInput) as caught:
        read(tmp_path, yaml.safe_dump(fields))
    lines = [
        line.removeprefix(f"{tmp_path}/task.yaml:").split(": ") for line in caught.value.problem.splitlines()
    ]
    assert {line[1] for line in lines} == {
        "title",
        "tuning.epochs",
        "tuning.epoch",
        "split.test",
        "gate.alpha",
    }
    text = (tmp_path / "task.yaml").read_text("utf-8").splitlines()
    for number, place, *_ in lines:
        if place != "title":
            assert text[int(number) - 1].strip().startswith(place.rpartition(".")[2] + ":")


def test_a_key_that_occurs_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    text = task() + "\nname: another\n"
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text)
    assert caught.value.problem.endswith("name: this key occurs twice")


@pytest.mark.parametrize("reviewed_by", ["", "  "])
def test_an_authority_that_names_nobody_is_refused(tmp_path: Path, reviewed_by: str) -> None:
    with pytest.raises(BadInput, match=r"data\.reviewed_by: names nobody"):
        read(tmp_path, task(data={"reviewed_by": reviewed_by}))


@pytest.mark.parametrize(
    ("metric", "hint"),
    [("exactmatch", "did you mean 'exact match'"), ("bleu", "known: exact match"), ("a-b:c", "known: ")],
)
def test_an_unknown_metric_is_answered_with_the_known_ones(tmp_path: Path, metric: str, hint: str) -> None:
    with pytest.raises(BadInput, match=hint):
        read(tmp_path, task(task={"metric": metric}))


def test_chrf_without_a_threshold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"scoring\.right_at is missing"):
        read(tmp_path, task(task={"metric": "chrF"}))


@pytest.mark.parametrize(
    "values",
    [
        {"task": {"answer_pattern": "["}},
        {"comparison": {"shots": []}},
        {"comparison": {"shots": [-1]}},
        {"split": {"test": 49}},
        {"gate": {"alpha": float("nan")}},
        {"serving": {"machine_usd_per_hour": float("inf")}},
        {"serving": {"model_name": "../up"}},
        {"quantization": {"ladder": ["Q3_K"]}},
        {"tuning": {"learning_rate": 0}},
    ],
)
def test_a_value_that_would_fail_hours_later_is_refused_now(
    tmp_path: Path, values: dict[str, dict[str, object]]
) -> None:
    ((section, fields),) = values.items()
    with pytest.raises(BadInput, match=f"{section}.{next(iter(fields))}"):
        read(tmp_path, task(**values))


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "# only a comment", "[]", "[a, b]", "just text", "42", "null", "- name: x\n",
        "a: [1, 2", "\tname: x", "a: b: c", "name: x\nname", "%", "@", "'", "a: *nothing",
        "!!python/object:os x",
        "--- 1\n--- 2\n", "title: 2024-13-45", "x: !!int ''", "x: !!float abc", "x: !!timestamp abc",
        "x: !!bool maybe", "? [a]\n: b", "[" * 5000, "a: " + "{b: " * 3000,
        b"\xff\xfe\x00", b"name: \xe9\n", b"name: \x00\n", b"title: \x07\n",
    ],
    ids=lambda text: repr(text)[:24],
)  # fmt: skip
def test_what_is_no_task_file_is_refused_in_words(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(BadInput, match=r"task\.yaml") as caught:
        read(tmp_path, text)
    assert caught.value.remedy
    assert len(caught.value.problem) < 3000


def test_aliases_that_unfold_to_gigabytes_are_refused_at_once(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
    )
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        read(tmp_path, bomb + "title: *a9\n")
    assert time.monotonic() - began < 2
    assert len(caught.value.problem) < 10_000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ANY_FOLDER = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ANY_FOLDER
@given(st.text(max_size=80) | st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_and_never_crash(tmp_path: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    with pytest.raises(BadInput):
        read(tmp_path, data)


@ANY_FOLDER
@given(st.sampled_from(sorted(TaskFile.model_fields)), VALUES)
def test_any_value_of_a_section_is_read_or_refused_and_never_crashes(
    tmp_path: Path, section: str, value: object
) -> None:
    fields = yaml.safe_load(task()) | {section: value}
    try:
        made = read(tmp_path, yaml.safe_dump(fields, allow_unicode=True))
    except TuneproofError as error:
        assert section in error.problem or "is not YAML" in error.problem
    else:
        assert isinstance(made, TaskFile)
