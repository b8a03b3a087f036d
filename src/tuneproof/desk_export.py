"""Where decisions may be exported to: over nothing but an earlier export, and nothing that a project uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tuneproof.artifacts import TaskFile
from tuneproof.artifacts.desk import Decision
from tuneproof.errors import BadInput
from tuneproof.extra_tunes import TUNES
from tuneproof.outside.own_code import own_file
from tuneproof.reply_shelf import LEDGER
from tuneproof.shelves import LOCKS
from tuneproof.steps import STEPS
from tuneproof.teacher_terms import TERMS_FILE
from tuneproof.workspace import HELD, TASK
from tuneproof.workspace_inputs import DESK, KEPT, RECORDED

_REMEDY = "Name another file, for example: tuneproof review --export decisions.jsonl"
_LONGEST_LINE = 8_000_000
"""Bytes; an output has at most 1,000,000 characters."""


def check_export(root: Path, task_file: TaskFile, to: Path) -> None:
    """See that an export overwrites nothing but an earlier export.

    Args:
        root: the project folder.
        task_file: names the files that the project uses.
        to: where the export is to go.

    Raises:
        BadInput: the project uses that path, or something else lies there.
    """
    place = to.resolve()
    for used in _used(root, task_file):
        if place == used.resolve() or used.resolve() in place.parents:
            raise BadInput(f"{to} is, or is in, {used.name}, which the project uses.", remedy=_REMEDY)
    if place.exists() and not _is_export(place):
        raise BadInput(f"{to} exists and is no earlier export of decisions.", remedy=_REMEDY)


def _used(root: Path, task_file: TaskFile) -> Iterator[Path]:
    folders = (Path(DESK).parts[0], KEPT, RECORDED, TUNES, LOCKS, *(step.folder for step in STEPS))
    yield from (root / name for name in (TASK, HELD, LEDGER, TERMS_FILE, *folders))
    named = [task_file.data.source, task_file.drafting.examples, task_file.scoring.json_schema]
    yield from (root / name for name in named if isinstance(name, str))
    for code in (task_file.task.metric, task_file.comparison.rule):
        if code and ":" in code:
            yield own_file(root, code)


def _is_export(path: Path) -> bool:
    """Whether its first line is a decision."""
    try:
        with path.open("rb") as handle:
            Decision.model_validate_json(handle.readline(_LONGEST_LINE))
    except (OSError, ValidationError):
        return False
    return True
