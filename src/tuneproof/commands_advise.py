"""`tuneproof advise`: answers, a goal, or a project → the advice, printed and kept in `advice.jsonl`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tuneproof.advice import Advised, Scores, advice_after, advice_before, next_step, scores_from
from tuneproof.answers import QUESTIONS, Question, read_answers, read_task_pressures, value_of, with_goal
from tuneproof.arms import Table
from tuneproof.artifacts import Case, Comparison, TaskFile, Verdict, canonical_json
from tuneproof.artifacts.case import PressureSection
from tuneproof.console import Tell
from tuneproof.contrasts import Scored
from tuneproof.errors import BadInput
from tuneproof.outside.files import append_line
from tuneproof.outside.machine import now
from tuneproof.reply_shelf import all_replies_of, known_in_order
from tuneproof.shelves import take, take_split
from tuneproof.steps.init import init
from tuneproof.task_text import blank_task_yaml
from tuneproof.workspace import TASK, Workspace

ADVICE = "advice.jsonl"
"""Every advice that was given to a project, a line each, at its root."""
_KINDS = {"base", "tuned", "frontier"}


def run_advise(
    project: Path | None,
    *,
    goal: str | None,
    answers: Path | None,
    as_json: bool,
    ask: bool = False,
    stdin: TextIO | None = None,
) -> None:
    """Say fine-tune, RAG, better prompt, rent a bigger model or not yet, and why; needs no data.

    Args:
        project: the folder that was named, which is made; None looks into the current one and makes nothing.
        goal: why a tune, in the user's words.
        answers: a YAML or JSON file with the keys of `pressures:`.
        as_json: print one JSON value instead of text.
        ask: ask the questions although `goal` answers one of them.
        stdin: where answers are typed or piped; the command's own if it is not given.

    Raises:
        BadInput: an answer is missing or wrong, or is given twice.
        LockBroken: the scores of the project were changed by hand.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project or Path())
    if workspace.has_task():
        _refuse_other_answers(workspace, answers, ask)
        standing = _standing(workspace, goal, tell)
    else:
        pressures = with_goal(_answers(goal, answers, stdin or sys.stdin, tell, ask=ask), goal)
        standing = Standing(pressures, advice_before(pressures), verdict="", following="")
    kept = _keep(workspace, standing) if project is not None or workspace.has_task() else []
    _tell(workspace, standing, kept, tell)


class Standing(NamedTuple):
    """What is advised, and from what."""

    pressures: PressureSection
    advised: Advised
    verdict: str
    """Headline of the verdict; empty where there is none."""
    following: str
    """The project's next command; empty where task.yaml is not complete."""


def _refuse_other_answers(workspace: Workspace, answers: Path | None, ask: bool) -> None:
    if answers is None and not ask:
        return
    shown, brings = workspace.shown(workspace.root / TASK), "--ask" if answers is None else "--answers"
    raise BadInput(
        f"{shown} holds the answers already, and {brings} brings others.",
        remedy=f"Edit `pressures:` in {shown}, or name another folder with --project.",
    )


# A project with a task.yaml


def _standing(workspace: Workspace, goal: str | None, tell: Tell) -> Standing:
    from tuneproof.status import standing

    path = workspace.root / TASK
    pressures = with_goal(read_task_pressures(path.read_bytes(), workspace.shown(path)), goal)
    task_file = _complete(workspace)
    if task_file is None:
        return Standing(pressures, advice_before(pressures), verdict="", following="")
    case = init(task_file.model_copy(update={"pressures": pressures}))
    scores = _scores(workspace, case, tell)
    if scores is None:
        advised = advice_before(pressures)._replace(paragraph=case.paragraph)
    else:
        advised = advice_after(pressures, scores)
    return Standing(pressures, advised, _verdict(workspace, tell), standing(workspace).next_command)


def _complete(workspace: Workspace) -> TaskFile | None:
    """Return the task file, or None where something in it still waits to be filled in."""
    try:
        return workspace.task_file()
    except BadInput:
        return None


def _scores(workspace: Workspace, case: Case, tell: Tell) -> Scores | None:
    """Return the scores of a comparison that is fresh, contrasted item by item."""
    if not _fresh(workspace, "compare", tell):
        return None
    from tuneproof.outside.real import scorer_for

    comparison, split = take(workspace, "compare", Comparison), take_split(workspace)
    scorer = scorer_for(case.task_file, workspace.root)
    table = Table(case, split, scorer, frozenset(comparison.excluded))
    found = all_replies_of(workspace, "compare")
    replies = {name: known_in_order(each, split.test) for name, each in found.items()}
    results = {r.arm.name: r for r in comparison.arms if r.arm.kind in _KINDS}
    right = {name: table.right(replies[name]) for name in results}
    return scores_from(Scored(table, replies, right, results))


def _verdict(workspace: Workspace, tell: Tell) -> str:
    return take(workspace, "judge", Verdict).headline if _fresh(workspace, "judge", tell) else ""


def _fresh(workspace: Workspace, verb: str, tell: Tell) -> bool:
    """Say whether a step is fresh; one that is made and stale is named, and not gone by."""
    state = workspace.state(verb)
    if state.state == "stale":
        folder = workspace.shown(workspace.folder(verb))
        tell.note(f"{folder} is stale ({state.why}), so this advice does not go by it.")
    return state.state == "fresh"


# No project yet


def _answers(
    goal: str | None, answers: Path | None, stdin: TextIO, tell: Tell, *, ask: bool
) -> PressureSection:
    if answers is not None:
        if ask:
            raise BadInput("--answers and --ask both bring answers.", remedy="Give one of them.")
        return read_answers(_bytes(answers), str(answers))
    if goal is not None and not ask:
        return PressureSection()
    if tell.as_json and stdin.isatty():
        raise BadInput(
            "With --json nothing is asked on a terminal: it prints one value and nothing else.",
            remedy='Give --answers FILE or --goal "…", or pipe the answers in, a line each.',
        )
    return _asked({} if goal is None else {"goal": goal}, stdin, tell)


def _bytes(answers: Path) -> bytes:
    try:
        return answers.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{answers} cannot be read: {error.strerror}.",
            remedy="tuneproof advise --answers FILE, a YAML or JSON file with the keys of `pressures:`",
        ) from error


def _asked(said: dict[str, Any], stdin: TextIO, tell: Tell) -> PressureSection:
    """Ask one question after the other; what follows from a no is not asked."""
    for question in QUESTIONS:
        if question.key not in said and question.applies(said):
            said[question.key] = _one(question, stdin, tell)
    if not stdin.isatty() and (rest := [line for line in _lines(stdin) if line.strip()]):
        raise BadInput(
            f"The answers go on after the last question: {rest[0].strip()[:60]!r}.",
            remedy="A question that follows from a no is not asked; --answers FILE names each answer.",
        )
    return PressureSection.model_validate(said)


def _one(question: Question, stdin: TextIO, tell: Tell) -> Any:
    while True:
        tell.note(f"{question.text} ({question.form})", style=None)
        lines = _lines(stdin, most=1)
        if not lines:
            raise BadInput(
                f"The answers end before this question: {question.text} ({question.key})",
                remedy='Answer it; or give --answers FILE, or --goal "why you want a tune" alone.',
            )
        try:
            return value_of(question, lines[0])
        except ValueError as error:
            if not stdin.isatty():
                raise BadInput(
                    f"{question.key}: {error}", remedy=f"{question.text} ({question.form})"
                ) from error
            tell.error(str(error))


def _lines(stdin: TextIO, *, most: int | None = None) -> list[str]:
    try:
        if most is None:
            return stdin.readlines()
        return [line] if (line := stdin.readline()) else []
    except UnicodeDecodeError as error:
        raise BadInput(
            "The answers are not UTF-8.", remedy="Save them as UTF-8 and run the command again."
        ) from error


# What is kept and told


def _keep(workspace: Workspace, standing: Standing) -> list[str]:
    """Append the advice to the project, and begin its task.yaml if it has none; return the files' names."""
    wrote = []
    with workspace.alone():
        if not workspace.has_task():
            workspace.write_task(blank_task_yaml(workspace.root.name, standing.pressures))
            wrote.append(workspace.shown(workspace.root / TASK))
        path = workspace.root / ADVICE
        line = canonical_json({"at": now(), **_record(standing)})
        # A line that a crash has torn must not swallow this one.
        append_line(path, ("\n" if _torn(path) else "") + line)
        return [*wrote, workspace.shown(path)]


def _torn(path: Path) -> bool:
    return path.exists() and path.read_bytes()[-1:] not in {b"", b"\n"}


def _record(standing: Standing) -> dict[str, Any]:
    advised = standing.advised
    return {
        "stage": advised.stage,
        "pressures": standing.pressures.model_dump(mode="json"),
        "advice": advised.triage.advice,
        "reasons": list(advised.triage.reasons),
        "paragraph": advised.paragraph,
    }


def _tell(workspace: Workspace, standing: Standing, kept: list[str], tell: Tell) -> None:
    advised = standing.advised
    project = workspace.shown(workspace.root) if kept else ""
    following = next_step(
        advised,
        project=project,
        open_task=bool(kept) and not standing.following,
        following=standing.following,
    )
    tell.line(f"Advice {advised.stage}: {advised.triage.advice}", style="bold")
    for reason in advised.triage.reasons:
        tell.line(f"· {reason}")
    tell.line()
    tell.line(advised.paragraph)
    if standing.verdict:
        tell.line(f"There is a verdict, and it decides: {standing.verdict}")
    for name in kept:
        tell.line(f"{'Kept' if name.endswith(ADVICE) else 'Wrote'}: {name}")
    tell.line(f"Next: {following}")
    tell.json({**_record(standing), "verdict": standing.verdict or None, "next": following, "files": kept})
