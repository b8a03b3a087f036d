"""`freeze`: what is told about the frozen pairs, and `--anchor`."""

from __future__ import annotations

from pathlib import Path

from tuneproof.artifacts.data_report import DataReport, Thaw
from tuneproof.commands import run_step
from tuneproof.console import Tell
from tuneproof.data_report_text import (
    contradiction_table,
    found_table,
    layer_table,
    length_table,
    nearest_table,
)
from tuneproof.grouping import excerpt
from tuneproof.outside.anchors import anchor_by_key, anchor_in_git
from tuneproof.report_text import Table
from tuneproof.shelves import keep_lock, take_split
from tuneproof.thaw import thaw_lines
from tuneproof.workspace import Workspace

_NEAREST_TOLD, _CELL = 5, 60


def tell_data_report(report: DataReport, tell: Tell, found: Thaw | None = None) -> None:
    """Tell what a person should know of the frozen pairs: warnings, then short tables."""
    for line in report.warnings:
        tell.line(f"! {line}", style="yellow")
    for line in thaw_lines(found) if found else ():
        tell.line(line)
    for line in report.notes:
        tell.line(f"· {line}", style="dim")
    _tell_table(layer_table(report.layers, report.test), tell)
    _tell_table(nearest_table(report), tell, most=_NEAREST_TOLD)
    for table in (found_table(report), contradiction_table(report)):
        if table.rows:
            _tell_table(table, tell, most=_NEAREST_TOLD)
    _tell_table(length_table(report.lengths), tell)
    tell.line("All of it: 4-split/data_report.md")


def _tell_table(table: Table, tell: Tell, most: int | None = None) -> None:
    more = f" (first {most} of {len(table.rows)})" if most and len(table.rows) > most else ""
    tell.line(f"{table.name}{more}. {table.caption}")
    rows = [[excerpt(cell, _CELL) for cell in row] for row in table.rows[:most]]
    tell.table(table.header, rows, right=sorted(table.numeric))


def run_anchor(project: Path, how: str, *, as_json: bool) -> None:
    """Anchor the frozen lock outside the project folder.

    Args:
        project: its folder.
        how: `git`, or the path of an SSH key.
        as_json: print one JSON value.

    Raises:
        MissingArtifact: nothing is frozen yet.
        LockBroken: the split, or an earlier anchor of this version, says otherwise.
        BadInput, MissingPart, NotReady, OutsideFailed: as `anchor_in_git` and `anchor_by_key`.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    with workspace.alone():
        lock = take_split(workspace).lock
        keep_lock(workspace, lock)
        if how == "git":
            made = anchor_in_git(workspace.root, lock)
        else:
            made = anchor_by_key(workspace.root, lock, Path(how).expanduser())
            tell.note("What lies outside is your key, not the file in locks/: keep the key elsewhere.")
    tell.line(f"Anchored split version {lock.version}, {lock.digest}: {made.says}.")
    tell.json({"version": lock.version, "digest": lock.digest, "state": made.state, "says": made.says})


def run_freeze(project: Path, *, again: bool, as_json: bool) -> None:
    """Freeze, and tell what was found in the pairs.

    Raises:
        TuneproofError: as the step says.
    """
    run_step("freeze", project, again=again, as_json=as_json)
    if as_json:
        return
    workspace = Workspace(project)
    made, folder = workspace.made("freeze"), workspace.folder("freeze")
    names = {ref.name for ref in made.files} if made else set()
    if "data_report.json" not in names:  # frozen by a version that looked at less
        return
    report = workspace.parsed(workspace.read("freeze", "data_report.json"), DataReport, folder)
    found = None
    if "thaw.json" in names:
        found = workspace.parsed(workspace.read("freeze", "thaw.json"), Thaw, folder)
    tell_data_report(report, Tell(), found)
