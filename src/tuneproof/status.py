"""The project folder → where it stands: every step's state, the lock, and the next command."""

from __future__ import annotations

from typing import NamedTuple

from tuneproof.errors import TuneproofError
from tuneproof.outside.anchors import verify_anchor
from tuneproof.shelves import LOCKS, kept_lock, take_split
from tuneproof.steps import STEPS
from tuneproof.workspace import State, Workspace


class Standing(NamedTuple):
    """What `tuneproof status` says."""

    states: tuple[State, ...]
    lock: str
    """`holds`, `not frozen yet`, or what broke it."""
    lock_broken: bool
    anchor: str
    """Whether what lies outside the folder confirms the lock; empty before a freeze."""
    next_command: str


def standing(workspace: Workspace) -> Standing:
    """Look at every step and prove the lock; changes nothing.

    Raises:
        MissingArtifact: there is no task.yaml.
    """
    workspace.task_file()
    states = tuple(workspace.state(step.verb) for step in STEPS)
    lock, broken, anchor = _lock(workspace)
    shown = workspace.shown(workspace.root)
    todo = next((state for state in states if state.state != "fresh"), None)
    if broken:
        following = f"Put the frozen file back; every command on {shown} refuses until then."
    elif todo is None:
        following = f'tuneproof ask "…" --project {shown}'
    else:
        following = f"tuneproof {todo.step} --project {shown}"
    return Standing(states=states, lock=lock, lock_broken=broken, anchor=anchor, next_command=following)


def _lock(workspace: Workspace) -> tuple[str, bool, str]:
    if workspace.made("freeze") is None:
        return "not frozen yet", False, ""
    try:
        split = take_split(workspace)
    except TuneproofError as error:
        return error.problem, True, ""
    if kept_lock(workspace, split.lock.version) != split.lock:
        return f"the copy in {LOCKS}/ is not the lock that was frozen", True, ""
    anchor = verify_anchor(workspace.root, split.lock)
    said = f"holds: {len(split.test.items)} test items, {split.lock.test.sha256[:19]}…"
    return said, anchor.state == "differs", anchor.says
