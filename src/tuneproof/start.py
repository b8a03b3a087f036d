"""`tuneproof init`: an example, a file of pairs, or nothing yet → task.yaml and the case."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tuneproof.answers import read_task_pressures
from tuneproof.artifacts import Setting
from tuneproof.artifacts.case import PressureSection
from tuneproof.commands import run_step
from tuneproof.console import Tell
from tuneproof.errors import BadInput
from tuneproof.guess import guess_task, told
from tuneproof.outside.readers import Rows, kind_of, read_rows
from tuneproof.outside.real import EXAMPLES, example_task
from tuneproof.task_text import blank_task_yaml, task_yaml
from tuneproof.workspace import TASK, Workspace


def run_init(
    project: Path,
    *,
    example: str | None,
    pairs: Path | None,
    reviewed_by: str | None,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Write a task.yaml if the project has none, and make the case from it.

    Args:
        project: the project folder; made if it is not there.
        example: a bundled case to begin with.
        pairs: a file or folder of pairs to guess a task.yaml from.
        reviewed_by: with `pairs`, who labelled them.
        encoding: with `pairs`, how a text file is written, if it is not UTF-8.
        as_json: print the case's record and nothing else.

    Raises:
        BadInput: no such example or file, or the project has a task.yaml already.
    """
    workspace, tell = Workspace(project), Tell(as_json=as_json)
    if example is not None and pairs is not None:
        raise BadInput(
            "--example and --pairs both bring a task.yaml.", remedy="Give one of them: tuneproof init --help"
        )
    if reviewed_by is not None and not reviewed_by.strip():
        raise BadInput(
            "--reviewed-by names nobody.",
            remedy='Say who labelled the pairs: --reviewed-by "the support team"',
        )
    if pairs is not None:
        _from_pairs(workspace, pairs, (reviewed_by, encoding), tell)
    elif example is not None:
        workspace.write_task(_example(workspace, example))
    elif not workspace.has_task():
        _blank(workspace, tell)
        return
    run_step("init", project, again=False, as_json=as_json)


def _from_pairs(workspace: Workspace, pairs: Path, said: tuple[str | None, str | None], tell: Tell) -> None:
    reviewed_by, encoding = said
    advised = _advised(workspace)
    if workspace.has_task() and advised is None:
        raise BadInput(
            f"{workspace.shown(workspace.root)}/task.yaml exists and is yours: nothing is guessed over it.",
            remedy=f"Edit it and run `tuneproof init --project {workspace.shown(workspace.root)}`, or choose "
            "another folder with --project.",
        )
    rows = read_rows(pairs, shown=str(pairs), encoding=encoding)
    _check_encoding(rows, pairs)
    # Seen from task.yaml, so that the project folder and its data can move together.
    source = Path(os.path.relpath(pairs.resolve(), workspace.root.resolve())).as_posix()
    if not source.isprintable():
        raise BadInput(
            f"The name of {source!r} holds characters that task.yaml cannot hold.",
            remedy="Rename the file and run the command again.",
        )
    guess = guess_task(rows, source=source, name=pairs.name.split(".")[0], reviewed_by=reviewed_by)
    if encoding:
        guess = guess._replace(
            settings=(*guess.settings, Setting(name="data.encoding", value=encoding, origin="--encoding"))
        )
    if advised is not None:
        guess = guess._replace(settings=_said(guess.settings, advised))
        workspace.replace_task(task_yaml(guess))
    workspace.write_task(task_yaml(guess))
    # What is left at its default stands in task.yaml; here it would hide what was found.
    found = [row for row in told(guess) if row[1] != "null" and not row[2].startswith("default")]
    tell.table(("setting", "guessed", "from"), found)
    for note in (*rows.notes, *guess.notes):
        tell.line(f"· {note}")
    tell.line(
        f"Wrote {workspace.shown(workspace.root)}/task.yaml: read it once; every choice is yours to change."
    )
    tell.line()


def _advised(workspace: Workspace) -> PressureSection | None:
    """Return what `advise` was told, if task.yaml is still as it left it: nobody has filled it in."""
    path = workspace.root / TASK
    if not path.is_file():
        return None
    data = path.read_bytes()
    try:
        said = read_task_pressures(data, workspace.shown(path))
    except BadInput:
        return None
    return said if data == blank_task_yaml(workspace.root.name, said).encode() else None


def _said(guessed: Sequence[Setting], advised: PressureSection) -> tuple[Setting, ...]:
    """Put what a person answered in place of what was guessed."""
    answers = {f"pressures.{key}": value for key, value in advised.model_dump(exclude_defaults=True).items()}
    told = (Setting(name=name, value=value, origin="tuneproof advise") for name, value in answers.items())
    return (*(each for each in guessed if each.name not in answers), *told)


def _check_encoding(rows: Rows, pairs: Path) -> None:
    """Stop where a good part of the rows cannot be read: then the file is written in another encoding."""
    odd = sum(kind_of(row.reason) == "not UTF-8" for row in rows.rejected)
    if odd * 20 > len(rows.rows) + len(rows.rejected):
        raise BadInput(
            f"{pairs} is not UTF-8: {odd:,} of {len(rows.rows) + len(rows.rejected):,} rows cannot be read.",
            remedy="Save it as UTF-8, or say how it is written: --encoding cp1252 is Excel in the West.",
        )


def _example(workspace: Workspace, name: str) -> str:
    if name in EXAMPLES:
        return example_task(name)
    raise BadInput(
        f"There is no example {name!r}; there is: {', '.join(EXAMPLES)}.",
        remedy=f"tuneproof init --example {EXAMPLES[0]} --project {workspace.shown(workspace.root)}",
    )


def _blank(workspace: Workspace, tell: Tell) -> None:
    """Leave a task.yaml to fill in; the case waits for it."""
    workspace.write_task(blank_task_yaml(workspace.root.name))
    shown = workspace.shown(workspace.root)
    tell.line(f"Wrote {shown}/task.yaml: its empty values wait for you.")
    tell.line("With a file of pairs, `tuneproof init --pairs FILE` in a new folder fills in most of it.")
    tell.line(f"Next: fill them in, then tuneproof init --project {shown}")
    tell.json({"wrote": f"{shown}/task.yaml"})
