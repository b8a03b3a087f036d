"""What each command does: the project, the story, and what is told at the end."""

from __future__ import annotations

import contextlib
import difflib
import html
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from tuneproof.artifacts import Case, Serving, Verdict
from tuneproof.console import Tell
from tuneproof.errors import BadInput, GateNotPassed, TuneproofError
from tuneproof.forecast import learn
from tuneproof.making import Bench
from tuneproof.outside.machine import seconds
from tuneproof.pages import main_table
from tuneproof.paid_calls import Paid
from tuneproof.reply_shelf import forget_replies
from tuneproof.scoring import normalise
from tuneproof.shelves import drafts_file, take, take_case, take_drafts, take_split
from tuneproof.steps import STEPS, Step, step_of
from tuneproof.story import Outside, story
from tuneproof.verdict_text import first_remedy
from tuneproof.workspace import Workspace

FULL = {"rows": "null", "epochs": "4"}
"""What `demo --full` changes in the bundled task.yaml: every training pair, and more epochs."""


def real() -> Outside:
    """Return the packages, trainers and runtimes of this machine."""
    from tuneproof.outside.real import real_outside

    return real_outside()


def run_demo(project: Path, *, full: bool, as_json: bool, outside: Callable[[], Outside] = real) -> None:
    """Run the bundled case and print its table and verdict.

    Raises:
        BadInput: the folder holds another demo, or another case.
        GateNotPassed: at the very end, if no file passed its gate.
    """
    from tuneproof.outside.real import example_task

    tell, workspace = Tell(as_json=as_json), Workspace(project)
    text = example_task("licenses")
    wanted = _fuller(text) if full else text
    workspace.write_task(wanted)
    if not (name := workspace.task_file().name).startswith("licenses"):
        raise BadInput(
            f"{workspace.shown(workspace.root)} holds the case {name!r}, which is not the demo's.",
            remedy="tuneproof demo --project demo-new",
        )
    found = (workspace.root / "task.yaml").read_text(encoding="utf-8")
    if found != wanted and found in {text, _fuller(text)}:
        raise BadInput(
            f"{workspace.shown(workspace.root)} holds the {'short' if full else 'full'} demo.",
            remedy=f"tuneproof demo --project {'demo-full --full' if full else 'demo-short'}",
        )
    began = seconds()
    with workspace.alone():
        blocked = _walk(workspace, outside(), tell)
    verdict = take(workspace, "judge", Verdict)
    tell_verdict(workspace, take_case(workspace), verdict, tell)
    tell.note(f"Whole demo: {seconds() - began:.0f} s in this run.")
    if blocked:
        raise blocked


def _fuller(text: str) -> str:
    for name, value in FULL.items():
        text = re.sub(rf"(?m)^  {name}: .*$", f"  {name}: {value}", text, count=1)
    return text


def _walk(
    workspace: Workspace, outside: Outside, tell: Tell, *, until: str = "publish"
) -> GateNotPassed | None:
    """Walk the story; a gate that is not passed stops publishing and not the report."""
    blocked = None
    try:
        for done in story(workspace, outside, tell):
            if done == until:
                break
    except GateNotPassed as error:
        blocked = error
    if outside.cache:
        # A convenience for the next forecast: nothing that stops it may cost this run its verdict.
        with contextlib.suppress(TuneproofError, OSError):
            learn(workspace, outside.cache)
    return blocked


def run_run(project: Path, *, until: str, as_json: bool, outside: Callable[[], Outside] = real) -> None:
    """Make every step that is not fresh, in order, and stop where a person is needed.

    Raises:
        GateNotPassed: the verdict is there, and the gate says FAIL or INCONCLUSIVE.
        TuneproofError: as the step says that stopped; the same command goes on from there.
    """
    tell, workspace, last = Tell(as_json=as_json), Workspace(project), _step(until)
    workspace.task_file()
    began = seconds()
    with workspace.alone():
        blocked = _walk(workspace, outside(), tell, until=until)
    tell.note(f"This run: {seconds() - began:.0f} s.")
    if last.number >= step_of("judge").number:
        verdict = take(workspace, "judge", Verdict)
        tell_verdict(workspace, take_case(workspace), verdict, tell)
        _tell_next(workspace, tell)
        if blocked:
            raise blocked
        _stop_unless_passed(workspace, verdict)
        return
    made = workspace.made(until)
    tell.line(f"Made: {workspace.shown(workspace.folder(until))}/{last.makes}")
    _tell_next(workspace, tell)
    tell.json(made.model_dump(mode="json") if made else None)


def _step(verb: str) -> Step:
    verbs = [step.verb for step in STEPS]
    if verb in verbs:
        return step_of(verb)
    near = difflib.get_close_matches(verb, verbs, n=1)
    raise BadInput(
        f"There is no step {verb!r}; the steps are {', '.join(verbs)}.",
        remedy=f"tuneproof run --until {near[0] if near else 'judge'}",
    )


def _tell_next(workspace: Workspace, tell: Tell) -> None:
    from tuneproof.status import standing

    tell.line(f"Next: {standing(workspace).next_command}")


def run_dry(project: Path, *, until: str, as_json: bool, outside: Callable[[], Outside] = real) -> None:
    """Print what `run` would do, with the time and the money it takes; changes nothing.

    Raises:
        TuneproofError: what would stop the run before training, found now.
    """
    from tuneproof.forecast import forecast

    tell, workspace, there = Tell(as_json=as_json), Workspace(project), outside()
    _step(until)
    bench = Bench(workspace, there, workspace.task_file(), tell)
    plan = forecast(workspace, there, bench, until=until)
    rows = [(str(step_of(s.verb).number), s.verb, s.state, s.work, _duration(s.seconds)) for s in plan.steps]
    tell.table(("", "step", "state", "what a run would do", "time"), rows, right=(0, 4))
    if plan.seconds is None:
        tell.line(f"Time: not known, {plan.basis}.")
    else:
        tell.line(f"Time: about {_duration(plan.seconds)}, scaled from {plan.basis}.")
    machine = "not known" if plan.usd is None else _dollars(plan.usd)
    for line in (_money(paid) for paid in plan.paid):
        tell.line(line)
    tell.line(f"Money: {'' if plan.paid else 'no step makes a paid call; '}the machine's time: {machine}.")
    if plan.detects:
        tell.line(f"Test: {plan.detects}.")
    tell.json(
        {
            "steps": [s._asdict() for s in plan.steps],
            "seconds": None if plan.seconds is None else round(plan.seconds, 1),
            "basis": plan.basis,
            "machine_usd": plan.usd,
            "paid": [paid._asdict() for paid in plan.paid],
            "test": plan.detects,
        }
    )


def _money(paid: Paid) -> str:
    told = (
        f"not known: {paid.why.rstrip('.')}"
        if paid.usd is None
        else f"about {_dollars(paid.usd)} at the list price"
    )
    return f"Paid calls: {paid.arm}, {paid.model}: {paid.calls:,} calls, {told}."


def _dollars(usd: float) -> str:
    return "under 0.01 USD" if usd < 0.01 else f"{usd:.2f} USD"


def _duration(took: float | None) -> str:
    if took is None:
        return "seconds"
    return f"{took:.0f} s" if took < 90 else f"{took / 60:.0f} min"


def tell_verdict(workspace: Workspace, case: Case, verdict: Verdict, tell: Tell) -> None:
    """Print the table, the verdict and where everything lies."""
    lines = [line.strip("|").split("|") for line in main_table(case, verdict).strip().splitlines()]
    cells = [[_plain(cell) for cell in line] for line in lines]
    tell.line()
    tell.table(cells[0], cells[2:], right=range(1, len(cells[0])))
    tell.line(verdict.headline, style="bold")
    tell.line(verdict.paragraph)
    shown = workspace.shown(workspace.root)
    tell.line()
    tell.line(f"Report:  {shown}/9-verdict/report.html")
    tell.line(f"Curves:  {shown}/5-adapter/curves.png")
    if workspace.made("publish"):
        tell.line(f"Release: {shown}/10-release (a dry run; nothing left this machine)")
    tell.line(f'Ask it:  tuneproof ask "{_example_input(workspace)}" --project {shown}')
    tell.json(json.loads(verdict.model_dump_json()))


def _example_input(workspace: Workspace) -> str:
    """Return a short input of dev, to try the model on."""
    texts = [pair.input for pair in take_split(workspace).dev.pairs]
    plain = [text for text in texts if len(text) <= 80 and not set(text) & set('"$`\\\n!')]
    return min(plain, key=len, default="…")


def _stop_unless_passed(workspace: Workspace, verdict: Verdict) -> None:
    """Give a script the gate as exit code 3, after everything was told."""
    if verdict.gate != "PASS":
        report = f"{workspace.shown(workspace.root)}/9-verdict/report.html"
        raise GateNotPassed(
            f"The gate of the served file is {verdict.gate}.",
            remedy=" ".join(filter(None, (first_remedy(verdict), f"Then read {report}."))),
        )


def _plain(cell: str) -> str:
    """Undo Markdown's marks for a terminal."""
    return html.unescape(re.sub(r"\\(.)", r"\1", cell.strip().replace("**", "")))


def run_step(
    verb: str,
    project: Path,
    *,
    again: bool,
    as_json: bool,
    outside: Callable[[], Outside] = real,
    override: str = "",
) -> None:
    """Make one step; the steps before it must be fresh.

    Args:
        verb: the step.
        project: its folder.
        again: make it even if it is fresh.
        as_json: print one JSON value instead of text.
        outside: everything that is not us.
        override: of `publish`: why files go up whose gate is not passed; printed on the card.

    Raises:
        GateNotPassed: it is `judge`, and the gate says FAIL or INCONCLUSIVE.
        TuneproofError: as the step says.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    workspace.task_file()
    with workspace.alone():
        if again and verb in {"compare", "serve"}:
            forget_replies(workspace, verb)
        for done in story(workspace, outside(), tell, only=verb, again=again, override=override):
            if done == verb:
                break
    step = step_of(verb)
    makes = drafts_file(take_drafts(workspace).provenance) if verb == "draft" else step.makes
    tell.line(f"Made: {workspace.shown(workspace.folder(verb))}/{makes}")
    if verb == "init":
        tell.line(take_case(workspace).paragraph)
    if verb == "judge":
        verdict = take(workspace, "judge", Verdict)
        tell_verdict(workspace, take_case(workspace), verdict, tell)
        _stop_unless_passed(workspace, verdict)
        return
    shown = workspace.shown(workspace.root)
    if verb == "init" and take_case(workspace).triage.advice != "fine-tune":
        tell.line(f"Next: read the advice; if it misses what presses, set `pressures:` in {shown}/task.yaml")
    elif step.number < len(STEPS):
        tell.line(f"Next: tuneproof {STEPS[step.number].verb} --project {shown}")
    made = workspace.made(verb)
    tell.json(made.model_dump(mode="json") if made else None)


def run_ask(text: str, project: Path, *, as_json: bool, outside: Callable[[], Outside] = real) -> None:
    """Answer one input with the served file.

    Raises:
        LockBroken: the file is not the one that was measured.
        BadInput: there is nothing to answer, or it is not UTF-8.
    """
    from tuneproof.pages import served_path
    from tuneproof.prompt import messages_for

    tell, workspace = Tell(as_json=as_json), Workspace(project)
    text = _utf8(sys.stdin.buffer.read() if text == "-" else os.fsencode(text))
    if not text.strip():
        raise BadInput("There is nothing to answer: the input is empty.", remedy='tuneproof ask "some text"')
    case, serving = take_case(workspace), take(workspace, "serve", Serving)
    take_split(workspace)
    task = case.task_file.task
    runtime = outside().engine.load(served_path(workspace, serving), num_ctx=case.task_file.serving.num_ctx)
    began = seconds()
    answer = runtime.ask(messages_for(task.system_prompt, text), max_new_tokens=task.max_new_tokens)
    took = (seconds() - began) * 1000
    runtime.close()
    tell.line(answer.text)
    if not re.fullmatch(task.answer_pattern, normalise(answer.text)):
        tell.note("This reply does not have the form of an answer.", style="yellow")
    tell.json(
        {"text": answer.text, "finish": answer.finish, "ms": round(took, 1), "file": serving.model_file}
    )


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"The input is not UTF-8: byte 0x{data[error.start]:02x} at place {error.start + 1}.",
            remedy="iconv -f latin1 -t utf-8 NOTICE | tuneproof ask -",
        ) from error


def run_status(project: Path, *, as_json: bool) -> None:
    """Print where the project stands."""
    from tuneproof.status import standing

    tell, workspace = Tell(as_json=as_json), Workspace(project)
    now = standing(workspace)
    rows = [
        (str(step.number), step.verb, state.state, state.why or step.sentence, _when(workspace, step.verb))
        for step, state in zip(STEPS, now.states, strict=True)
    ]
    tell.table(("", "step", "state", "why, or what it makes", "made"), rows, right=(0,))
    tell.line(f"Lock: {now.lock}", style="red" if now.lock_broken else None)
    if now.anchor:
        tell.line(f"Anchor: {now.anchor}", style="red" if now.lock_broken else None)
    tell.line(f"Next: {now.next_command}")
    tell.json(
        {
            "steps": [state.model_dump(mode="json") for state in now.states],
            "lock": now.lock,
            "lock_broken": now.lock_broken,
            "anchor": now.anchor,
            "next": now.next_command,
        }
    )
    if now.lock_broken:
        sys.exit(1)


def _when(workspace: Workspace, verb: str) -> str:
    made = workspace.made(verb)
    return f"{made.made_at[:16].replace('T', ' ')}, {made.seconds:.0f} s" if made else ""


def run_doctor(project: Path, *, as_json: bool) -> None:
    """Print what is installed and what is missing; exit 1 if something is."""
    from tuneproof.doctor import checks

    tell = Tell(as_json=as_json)
    found = checks(project)
    tell.table(
        ("", "what", "found", "what to do"),
        [("ok" if check.ok else "MISSING", check.name, check.found, check.remedy) for check in found],
    )
    tell.json([check._asdict() for check in found])
    if not all(check.ok for check in found):
        sys.exit(1)
