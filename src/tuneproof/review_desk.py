"""A project → its review desk: the store in `desk/`, the pairs of `2-drafts`, the checks of a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tuneproof.artifacts import Case, Drafts
from tuneproof.desk import Checks, Desk, read_desk
from tuneproof.desk_exchange import export_decisions
from tuneproof.desk_state import DeskView
from tuneproof.outside.desk_store import DeskStore
from tuneproof.outside.machine import exactly_now
from tuneproof.scan import scan_text
from tuneproof.workspace import Workspace
from tuneproof.workspace_inputs import DESK


class OpenDesk(NamedTuple):
    """A desk and where its decisions lie."""

    desk: Desk
    store: DeskStore


def open_desk(workspace: Workspace, case: Case, drafts: Drafts, problem_of: Callable[[str], str]) -> OpenDesk:
    """Open the desk of a project; made where there is none.

    Args:
        workspace: the project.
        case: how pairs are reviewed, and the sizes of the future test.
        drafts: all pairs.
        problem_of: says why the metric cannot accept an output.
    """
    store, task_file = DeskStore(desk_path(workspace)), case.task_file
    made = _drafts_made(workspace)
    checks = Checks(problem_of, _scanned, lambda: _drafts_made(workspace) == made)
    return OpenDesk(Desk(store, drafts, task_file.review, checks, exactly_now, task_file.split), store)


def decided(workspace: Workspace, case: Case, drafts: Drafts) -> DeskView | None:
    """Return what was decided so far; None where nobody has sat down yet."""
    path = desk_path(workspace)
    if not path.exists():
        return None
    return read_desk(DeskStore(path), drafts, case.task_file.review, case.task_file.split)


def decisions(workspace: Workspace) -> str:
    """Return every decision, as JSON Lines."""
    return export_decisions(DeskStore(desk_path(workspace)))


def desk_path(workspace: Workspace) -> Path:
    """Return where the decisions lie: not in a folder of a step, which is emptied when it is made anew."""
    return workspace.root / DESK


def _drafts_made(workspace: Workspace) -> str:
    """Return the digest of what is drafted now; empty while it is made anew."""
    made = workspace.made("draft")
    return made.artifact if made is not None else ""


def _scanned(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((found.kind, found.excerpt) for found in scan_text(text, where=""))
