"""`tune --seeds`, `tune --control` and `review --reread`: tunes beside the declared one, pairs to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuneproof.commands import real
from tuneproof.console import Tell
from tuneproof.extra_kinds import extra_names
from tuneproof.extra_tunes import train_extras
from tuneproof.making import Bench, Outside
from tuneproof.reread import HEADER, reread, reread_lines, reread_table
from tuneproof.shelves import take_case, take_reviewed, take_split
from tuneproof.workspace import Workspace


def run_extra_tunes(
    seeds: int | None,
    control: str | None,
    project: Path,
    *,
    as_json: bool,
    outside: Callable[[], Outside] = real,
) -> None:
    """Train other seeds, or a null control, beside the finished tune; the next comparison measures them.

    Raises:
        BadInput: too few seeds, or an unknown control.
        MissingArtifact: the declared tune is not fresh.
    """
    tell, workspace, there = Tell(as_json=as_json), Workspace(project), outside()
    case = take_case(workspace)
    names = extra_names(seeds, control, case)
    with workspace.alone():
        train_extras(workspace, Bench(workspace, there, case.task_file, tell), there, tell, names)


def run_reread(count: int, seed: int, project: Path, *, as_json: bool) -> None:
    """Print random training pairs, whole, for a person to read.

    Raises:
        MissingArtifact: there is no split yet.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    task_file = take_case(workspace).task_file
    rows = reread(take_split(workspace).train, count, seed)
    tell.table(HEADER, reread_table(rows), right=(0,))
    source, version = task_file.data.source, task_file.split.version
    desk = take_reviewed(workspace).figures is not None
    for line in reread_lines(rows, count, source=source, version=version, desk=desk):
        tell.line(line)
    tell.json([row.model_dump(mode="json") for row in rows])
