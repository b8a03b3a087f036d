"""`draft --accept-terms` and `draft --spend`: terms acknowledged, and what drafts have cost."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tuneproof.artifacts import DraftRow, EndpointSection, Price, canonical_json
from tuneproof.console import Tell
from tuneproof.errors import BadInput, NotReady
from tuneproof.outside.files import append_line
from tuneproof.outside.machine import now, user
from tuneproof.outside.spend import SpendLedger
from tuneproof.shelves import CALLS, rows_of
from tuneproof.spend import Spent, usd_words
from tuneproof.teacher_terms import (
    TERMS_FILE,
    Acknowledged,
    acknowledged,
    acknowledgement,
    address_of_teacher,
    hint_for,
)
from tuneproof.workspace import Workspace

LEDGER = "spend.sqlite"
"""At the root of a project."""
PURPOSE = "draft"
"""Whose cap it is, in the ledger."""


def terms_of(
    workspace: Workspace, teacher: EndpointSection, url: str | None
) -> Acknowledged | tuple[str, str]:
    """Return who acknowledged the teacher's terms, or what is missing and what to do."""
    shown = f"tuneproof draft --accept-terms --project {workspace.shown(workspace.root)}"
    if url is None:
        return (
            f"drafting.terms_url is null: under which terms may outputs of {teacher.model} train a model? "
            f"(A hint: {hint_for(teacher)}.)",
            f"Set drafting.terms_url to the terms that apply to you, read them, then {shown}",
        )
    done = acknowledged(_acknowledged(workspace), teacher, url)
    return done or (
        f"The terms of {teacher.model} at {address_of_teacher(teacher)} are not acknowledged yet: {url}",
        f"Read whether its outputs may train a model, then {shown}",
    )


def _acknowledged(workspace: Workspace) -> tuple[Acknowledged, ...]:
    path = workspace.root / TERMS_FILE
    if not path.exists():
        return ()
    return rows_of(path.read_bytes().decode("utf-8", "replace"), Acknowledged, workspace.shown(path))


def run_accept_terms(project: Path, by: str | None, *, as_json: bool) -> None:
    """Note that a person has read the teacher's terms: who, when, and which.

    Raises:
        NotReady: no teacher or no terms are named.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    drafting = workspace.task_file().drafting
    if drafting.teacher is None or drafting.terms_url is None:
        missing = "drafting.teacher" if drafting.teacher is None else "drafting.terms_url"
        hint = "" if drafting.teacher is None else f" (A hint: {hint_for(drafting.teacher)}.)"
        raise NotReady(f"task.yaml: {missing} is null.{hint}", remedy=f"Set {missing} in task.yaml.")
    if by is not None and not by.strip():
        raise BadInput("--by names nobody.", remedy='Say who read the terms: --by "YOUR NAME"')
    teacher, url = drafting.teacher, drafting.terms_url
    done = acknowledged(_acknowledged(workspace), teacher, url)
    if done is None or by not in (None, done.by):
        done = acknowledgement(teacher, url, at=now(), by=by or user("--by"))
        with workspace.alone():
            append_line(workspace.root / TERMS_FILE, canonical_json(done.model_dump(mode="json")))
    tell.line(
        f"{done.by} acknowledged the terms of {done.teacher} at {done.host}{done.path} on {done.at[:10]}: "
        f"{done.url}"
    )
    tell.line(f"Next: tuneproof draft --project {workspace.shown(workspace.root)}")
    tell.json(done.model_dump(mode="json"))


def run_spend(project: Path, *, as_json: bool) -> None:
    """Print how much of the cap is used, over all runs.

    Raises:
        NotReady: there is no cap, or nothing was spent yet.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    drafting, path = workspace.task_file().drafting, workspace.root / LEDGER
    if drafting.teacher is None or drafting.cap_usd is None:
        raise NotReady(
            "task.yaml names no teacher or no cap.", remedy="Set drafting.teacher and drafting.cap_usd."
        )
    if not path.exists():
        raise NotReady(
            f"{workspace.shown(path)} does not exist: nothing was spent yet.", remedy="tuneproof draft"
        )
    # The standing sums what stands in the ledger; a price would matter for new calls only.
    ledger = SpendLedger(
        path,
        cap_usd=drafting.cap_usd,
        price=drafting.teacher.price or Price(input_mtok=0, output_mtok=0),
        model=drafting.teacher.model,
        purpose=PURPOSE,
    )
    try:
        spent = ledger.standing()
    finally:
        ledger.close()
    of_drafts = _of_drafts(workspace, spent)
    tell.line(spent_line(spent))
    for line in _spent_on(spent, of_drafts):
        tell.line(line)
    if spent.warning:
        tell.line(spent.warning, style="yellow")
    tell.json({**spent._asdict(), **of_drafts._asdict()})


class OfDrafts(NamedTuple):
    """What of the cost led to the drafts that are there now."""

    drafts: int
    drafts_usd: float
    """What all calls for them cost, failed ones and repairs among them."""
    drafts_calls: int
    no_draft_usd: float
    """The rest: refused, empty and unanswered calls, and drafts of other prompts, teachers or inputs."""
    no_draft_calls: int
    usd_a_draft: float | None
    """All that is spent, divided by the drafts; None without one."""


def _of_drafts(workspace: Workspace, spent: Spent) -> OfDrafts:
    made, rows = workspace.made("draft"), tuple[DraftRow, ...]()
    if made is not None and any(file.name == CALLS for file in made.files):
        rows = rows_of(workspace.read("draft", CALLS), DraftRow, f"2-drafts/{CALLS}")
    used, theirs = spent.settled_usd + spent.unsettled_usd, sum(row.usd for row in rows)
    calls = sum(row.calls for row in rows)
    return OfDrafts(
        drafts=len(rows),
        drafts_usd=round(theirs, 9),
        drafts_calls=calls,
        no_draft_usd=round(used - theirs, 9) + 0.0,  # no -0.0
        no_draft_calls=spent.calls - calls,
        usd_a_draft=used / len(rows) if rows else None,
    )


def _spent_on(spent: Spent, of: OfDrafts) -> list[str]:
    ended = spent.calls - spent.unsettled
    each = "" if of.usd_a_draft is None else f"; {usd_words(of.usd_a_draft)} a draft, all calls counted"
    return [
        f"  settled          {usd_words(spent.settled_usd)}: {ended:,} calls, unbilled ones among them",
        f"  unsettled        {usd_words(spent.unsettled_usd)} at most: {spent.unsettled:,} calls",
        f"  for the drafts   {usd_words(of.drafts_usd)}: {of.drafts_calls:,} calls, {of.drafts:,} drafts",
        f"  without a draft  {usd_words(of.no_draft_usd)}: {of.no_draft_calls:,} calls{each}",
    ]


def spent_line(spent: Spent) -> str:
    """Say in one line how much of a cap is used."""
    open_calls = (
        f" and {usd_words(spent.unsettled_usd)} at most for {spent.unsettled:,} of unknown cost"
        if spent.unsettled
        else ""
    )
    return (
        f"{usd_words(spent.settled_usd)} spent{open_calls}, {spent.calls:,} calls in all; "
        f"{usd_words(spent.left_usd)} of the cap of {usd_words(spent.cap_usd)} left"
    )
