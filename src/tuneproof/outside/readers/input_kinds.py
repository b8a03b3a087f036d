"""`data.source` of real inputs → how they are held, which text files a folder has, and a digest over them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from tuneproof.artifacts.case import DataSection, DraftingSection
from tuneproof.errors import BadInput
from tuneproof.outside.readers.files import FORMATS, data_files
from tuneproof.outside.readers.source import source_digest

PROSE = {".txt", ".md"}
"""Text files that a folder of inputs may hold, one input each."""
LOGS = {".log"}

How = Literal["rows", "lines", "files", "log"]


def inputs_digest(section: DataSection, drafting: DraftingSection, root: Path) -> str:
    """Return `sha256:<64 hex digits>` over what `read_inputs` reads, `missing` where there is no such file.

    Unlike `source_digest` it knows folders of plain text.
    """
    path = root / section.source
    try:
        if not path.is_dir() or how_of(path, section.source, drafting) == "rows":
            return source_digest(section, root)
        parts = [
            f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(path).as_posix()}\n"
            for file in texts_in(path)
        ]
    except (OSError, BadInput):
        return "missing"
    return "sha256:" + hashlib.sha256("".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def how_of(path: Path, shown: str, drafting: DraftingSection) -> How:
    """Return how a source holds its inputs, by `drafting.inputs_as` or by its name.

    Raises:
        BadInput: the name does not say it, or a folder could be read in two ways.
    """
    if drafting.inputs_as != "auto":
        return drafting.inputs_as
    if path.is_dir():
        return _how_of_folder(path, shown)
    endings = {ending.lower() for ending in path.suffixes}
    if endings & LOGS:  # also `access.log.1` and `app.log.gz`
        return "log"
    ending = _ending(path)
    if ending == ".md":
        return "files"
    if ending == ".txt":
        return "lines"
    if path.is_file() and ending not in FORMATS:
        raise BadInput(
            f"{shown}: the ending {ending or '(none)'} does not say how it holds inputs.",
            remedy="Set drafting.inputs_as in task.yaml: lines (an input a line), log, files (one input) or "
            "rows (a table).",
        )
    return "rows"  # what is not there is told by the reader of rows


def _how_of_folder(path: Path, shown: str) -> How:
    texts = {ending for file in texts_in(path) for ending in [ending_of_text(file)]}
    tables = bool(data_files(path))
    if tables and texts:
        raise BadInput(
            f"{shown}: holds data files and text files ({', '.join(sorted(texts))}); both may be the inputs.",
            remedy="Set drafting.inputs_as in task.yaml: rows for the data files, else files or log.",
        )
    if texts & LOGS and texts - LOGS:
        raise BadInput(
            f"{shown}: holds logs and texts; both could be the inputs.",
            remedy="Set drafting.inputs_as in task.yaml to log or files, or name a folder with one kind.",
        )
    return "rows" if not texts else "log" if texts == LOGS else "files"


def _ending(path: Path) -> str:
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return name.suffix.lower()


def ending_of_text(path: Path) -> str:
    """Return the ending of a text file; `access.log.1` is a log."""
    return ".log" if {e.lower() for e in path.suffixes} & LOGS else _ending(path)


def texts_in(folder: Path) -> list[Path]:
    """Return the text files of a folder at any depth, in the order of their names; hidden ones are none."""
    found = (
        file
        for file in folder.rglob("*")
        if ending_of_text(file) in PROSE | LOGS
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    return sorted(file for file in found if file.is_file())


def shown_of(file: Path, path: Path, section: DataSection) -> str:
    """Return the name of a file in messages and places."""
    if file == path:
        return section.source
    return f"{section.source.rstrip('/')}/{file.relative_to(path).as_posix()}"
