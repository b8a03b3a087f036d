"""`tuneproof review`: the desk in a browser or a terminal, decisions out and in, and the step at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tuneproof.artifacts import Case, Drafts
from tuneproof.artifacts.desk import Standing
from tuneproof.commands import real, run_step
from tuneproof.console import Tell
from tuneproof.desk_exchange import Imported, export_decisions, import_decisions
from tuneproof.desk_export import check_export
from tuneproof.desk_tty import review_pair_tty, review_tty
from tuneproof.errors import BadInput, MissingArtifact
from tuneproof.making import Bench, Outside
from tuneproof.outside.desk_keys import TerminalKeys
from tuneproof.outside.files import atomic_write
from tuneproof.outside.machine import user
from tuneproof.reply_shelf import record_access
from tuneproof.review_desk import OpenDesk, open_desk
from tuneproof.review_words import agreement_text
from tuneproof.shelves import take_drafts, take_split
from tuneproof.steps.init import init
from tuneproof.workspace import Workspace


class How(NamedTuple):
    """How a reviewer wants to work."""

    reviewer: str | None = None
    """None takes the name of the user of this machine."""
    tty: bool = False
    """In the terminal, not in a browser."""
    port: int = 0
    """Of the page; 0 takes a free one."""
    browser: bool = True
    """Open the page in the browser."""
    pair: str | None = None
    """Decide once more on this pair alone, in the terminal."""
    export: Path | None = None
    import_: Path | None = None


def run_review(
    project: Path, how: How, *, again: bool, as_json: bool, outside: Callable[[], Outside] = real
) -> None:
    """Let a person decide on every pair; once all are decided, or an authority vouches, make the step.

    Args:
        project: its folder.
        how: where and by whom.
        again: make the step even if it is fresh.
        as_json: print one JSON value instead of text.
        outside: everything that is not us.

    Raises:
        BadInput: an authority vouches for the pairs, so there is nothing to decide; or a file is none.
        MissingArtifact: there are no drafts.
    """
    workspace, tell = Workspace(project), Tell(as_json=as_json)
    task_file = workspace.task_file()
    if task_file.data.reviewed_by and task_file.drafting.teacher is None:
        _check_nothing_to_decide(how, task_file.data.reviewed_by)
        run_step("review", project, again=again, as_json=as_json, outside=outside)
        return
    drafts = _fresh_drafts(workspace)
    case = init(task_file)  # as `init` makes it; a changed setting of the desk counts at once
    bench = Bench(workspace, outside(), case.task_file, tell)
    opened = open_desk(workspace, case, drafts, bench.problem_of)
    if how.export is not None and how.import_ is not None:
        raise BadInput("--export and --import are two commands.", remedy="Give one of them.")
    if how.export is not None:
        check_export(workspace.root, case.task_file, how.export)
        _export(opened, how.export, tell)
    elif how.import_ is not None:
        following = f"tuneproof review --project {workspace.shown(workspace.root)}"
        _import(opened, how.import_, bench.problem_of, tell, following)
    else:
        reviewer = how.reviewer or user("--reviewer")
        if how.pair is not None:
            _note_access(workspace, how.pair)
            keys = TerminalKeys(sys.stdin, tell.line)
            review_pair_tty(opened.desk, reviewer, how.pair, keys, tell.line)
        elif not opened.desk.standing(reviewer).done:
            _sit_down(opened, reviewer, how, tell)
        if _goes_on(case, opened.desk.standing(reviewer)):
            run_step("review", project, again=again, as_json=as_json, outside=outside)
        else:
            _tell_standing(workspace, opened.desk.standing(reviewer), tell)


def _note_access(workspace: Workspace, pair_id: str) -> None:
    """Write a look at a frozen test row into the ledger: it measures nothing, so it is no round."""
    if workspace.made("freeze") and any(item.id == pair_id for item in take_split(workspace).test.items):
        record_access(workspace, "tuneproof review --pair", pair_id, "")


def _check_nothing_to_decide(how: How, authority: str) -> None:
    if how != How():
        raise BadInput(
            f"data.reviewed_by is {authority!r}: these pairs go on under that name, nothing is decided here.",
            remedy="To decide on each pair yourself, set data.reviewed_by: null in task.yaml; then tuneproof "
            "review.",
        )


def _fresh_drafts(workspace: Workspace) -> Drafts:
    state = workspace.state("draft")
    if state.state != "fresh":
        raise MissingArtifact(
            f"There are no drafts to review: 2-drafts is {state.state} ({state.why}).",
            remedy=f"tuneproof draft --project {workspace.shown(workspace.root)}",
        )
    return take_drafts(workspace)


def _sit_down(opened: OpenDesk, reviewer: str, how: How, tell: Tell) -> None:
    """Open the desk, and come back when the reviewer leaves."""
    if how.tty:
        review_tty(opened.desk, reviewer, TerminalKeys(sys.stdin, tell.line), tell.line)
        return
    from tuneproof.outside.desk_page.server import serve_desk, usual_port

    last_port = opened.store.path.with_name("port")

    def ready(address: str) -> None:
        atomic_write(last_port, str(urlsplit(address).port).encode())
        tell.note(f"Reviewing as {reviewer}, on this machine alone: {address}", style="bold")
        tell.note("Ctrl-C stops; every decision that the page shows as saved is on the disk.")

    serve_desk(
        opened.desk,
        reviewer=reviewer,
        port=usual_port(how.port, last_port),
        open_browser=how.browser,
        on_ready=ready,
        until=lambda: opened.desk.standing(reviewer).done,
    )


def _goes_on(case: Case, standing: Standing) -> bool:
    closed = standing.batch > 1
    return standing.done or (closed and case.task_file.review.unreviewed == "leave out")


def _tell_standing(workspace: Workspace, standing: Standing, tell: Tell) -> None:
    tell.line(
        f"{standing.decided:,} of {standing.total:,} pairs are decided: {standing.accepted:,} accepted, "
        f"{standing.fixed:,} fixed, {standing.deleted:,} deleted. Batch {standing.batch} of "
        f"{standing.batches} is open, with {standing.in_batch} of {standing.of_batch} decided."
    )
    if standing.waiting:
        tell.line(standing.waiting)
    if standing.self_agreement.n:
        by = ", by a program" if standing.driven else ""
        tell.line(f"Self-agreement: {agreement_text(standing.self_agreement)}{by}.")
    elif standing.driven:
        tell.line(f"A program made decisions of {standing.reviewer}.")
    tell.line(f"Next: tuneproof review --project {workspace.shown(workspace.root)}")
    tell.json(standing.model_dump(mode="json"))


def _export(opened: OpenDesk, to: Path, tell: Tell) -> None:
    if not to.absolute().parent.is_dir():
        raise BadInput(f"{to}: its folder does not exist.", remedy=f"mkdir -p {to.parent}")
    text = export_decisions(opened.store)
    if not text:
        raise BadInput("Nothing was decided yet, so there is nothing to export.", remedy="tuneproof review")
    atomic_write(to, text.encode())
    number = text.count("\n")
    tell.line(f"Wrote {number:,} decisions to {to}. They hold outputs of your pairs.")
    tell.json({"wrote": str(to), "decisions": number})


def _import(
    opened: OpenDesk, path: Path, problem_of: Callable[[str], str], tell: Tell, following: str
) -> None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}.", remedy="Name a file of decisions."
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not UTF-8: byte 0x{error.object[error.start]:02x} at place {error.start + 1}.",
            remedy="Name a file that `tuneproof review --export` wrote.",
        ) from error
    taken = import_decisions(opened.store, text, str(path), opened.desk.view().layout, problem_of)
    for line in _imported_lines(taken):
        tell.line(line)
    if not (taken.taken or taken.agreed or taken.repeated or taken.conflicts):
        raise BadInput(
            f"{path}: no decision of it is one on the drafts here.",
            remedy="Name a file that `tuneproof review --export` wrote for these drafts.",
        )
    tell.line(f"Next: {following}")
    tell.json(taken._asdict() | {"refused": [row.model_dump(mode="json") for row in taken.refused]})


def _imported_lines(taken: Imported) -> list[str]:
    lines = [
        f"{taken.taken:,} decisions taken over, {taken.agreed:,} agree with those here, {taken.repeated:,} "
        "were here already."
    ]
    if taken.conflicts:
        lines.append(
            f"{len(taken.conflicts):,} pairs were answered differently and are open again, flagged with both "
            f"answers: {', '.join(taken.conflicts[:5])}{' …' if len(taken.conflicts) > 5 else ''}"
        )
    if taken.malformed:
        lines.append(
            f"{len(taken.malformed):,} pairs have an output that is wrong in form and are flagged: "
            f"{', '.join(taken.malformed[:5])}{' …' if len(taken.malformed) > 5 else ''}"
        )
    if taken.closes:
        lines.append(
            f"{taken.closes:,} batches were closed there; here, none is before somebody has closed it with a "
            "note: tuneproof review"
        )
    if taken.flagged:
        lines.append(f"{taken.flagged:,} pairs were decided anew elsewhere and are flagged.")
    lines += [f"{row.place}: {row.reason}" for row in taken.refused[:20]]
    if len(taken.refused) > 20:
        lines.append(f"… and {len(taken.refused) - 20:,} more decisions that do not fit the drafts here.")
    return lines
