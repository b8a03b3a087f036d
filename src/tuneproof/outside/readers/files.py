"""A file or folder → rows, by the ending of its name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneproof.errors import BadInput
from tuneproof.outside.readers.arrow_rows import read_arrow
from tuneproof.outside.readers.csv_rows import read_csv
from tuneproof.outside.readers.json_rows import read_json, read_json_lines
from tuneproof.outside.readers.rows import Rows
from tuneproof.outside.readers.text import bytes_of, decoded

FORMATS = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "tsv",
    ".parquet": "arrow",
    ".pq": "arrow",
    ".arrow": "arrow",
}
"""Ending → reader. Excel saves "Unicode Text" as `.txt`, divided by tabs."""

_IN_FOLDERS = frozenset(FORMATS) - {".json", ".txt"}
"""What is read from a folder: `.json` and `.txt` are as often notes about the data as data."""

_SHEETS = {".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"}
_STATE, _SPLITS = "state.json", "dataset_dict.json"
"""What `save_to_disk` of HF `datasets` writes beside its Arrow files."""


def read_rows(path: Path, *, shown: str, encoding: str | None = None, delimiter: str | None = None) -> Rows:
    """Read JSON Lines, JSON, CSV, TSV, Excel's text exports, Parquet, Arrow, or a folder of them.

    Args:
        path: the file or folder; text formats may be packed with gzip (`.jsonl.gz`). Of a folder its data
            files and those in its `data/` are read in the order of their names, or what `save_to_disk` of HF
            `datasets` left there.
        shown: its name in messages and places, as a person would type it.
        encoding: of text formats; None takes the byte order mark, else UTF-8.
        delimiter: of CSV; None takes an Excel `sep=` line, else the one that fits the header.

    Returns:
        Every row, and every row that is none with its reason. A blank line is no row; notes count them.

    Raises:
        BadInput: no such file, an unknown format, a data set with several splits, or a file that is broken as
            a whole.
        MissingPart: Parquet and Arrow need `pip install "tuneproof[data]"`.
    """
    if path.is_dir():
        parts = [
            _read_file(file, f"{shown.rstrip('/')}/{file.relative_to(path).as_posix()}", encoding, delimiter)
            for file in _files_of(path, shown)
        ]
        return _joined(parts)
    if not path.is_file():
        raise _no_file(path, shown)
    return _read_file(path, shown, encoding, delimiter)


def data_files(path: Path) -> list[Path]:
    """Return the files that make up a source, in a fixed order; none where there is no such file.

    For a folder these are its data files and what describes them; other files may change unnoticed.
    """
    if not path.is_dir():
        return [path] if path.is_file() else []
    described = [file for file in (path / _STATE, path / _SPLITS) if file.is_file()]
    return [*described, *_known_files(path)]


def _read_file(path: Path, shown: str, encoding: str | None, delimiter: str | None) -> Rows:
    kind = FORMATS.get(_ending(path))
    if kind is None:
        raise _no_format(path, shown)
    if kind == "arrow":
        if path.suffix.lower() == ".gz":
            raise BadInput(f"{shown}: a packed Parquet file.", remedy=f"gunzip {shown}")
        return read_arrow(path, shown)
    source = decoded(bytes_of(path, shown), shown, encoding)
    if kind == "lines":
        return read_json_lines(source, shown)
    if kind == "json":
        return read_json(source, shown)
    return read_csv(source, shown, delimiter, usual="\t" if kind == "tsv" else ",")


def _ending(path: Path) -> str:
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return name.suffix.lower()


def _known_files(folder: Path) -> list[Path]:
    places = [place for place in (folder, folder / "data") if place.is_dir()]
    found = (file for place in places for file in place.iterdir() if _ending(file) in _IN_FOLDERS)
    return sorted(file for file in found if file.is_file() and not file.name.startswith("."))


def _files_of(folder: Path, shown: str) -> list[Path]:
    if (folder / _SPLITS).is_file():
        raise _several_splits(folder, shown)
    if (folder / _STATE).is_file():
        return _saved_files(folder, shown)
    try:
        found = _known_files(folder)
    except OSError as error:
        raise BadInput(f"{shown}: cannot be read: {error}.", remedy="Check the folder's rights.") from error
    if not found:
        raise BadInput(
            f"{shown}: no data file in this folder or in its data/.",
            remedy=f"Name a folder with files that end in {', '.join(sorted(_IN_FOLDERS))}, or one file.",
        )
    endings = sorted({_ending(file) for file in found})
    if len(endings) > 1:
        raise BadInput(
            f"{shown}: files of several formats ({', '.join(endings)}), which may hold the same rows twice.",
            remedy=f"Name one file in data.source, for example {found[0].relative_to(folder).as_posix()}.",
        )
    return found


def _several_splits(folder: Path, shown: str) -> BadInput:
    splits = _described(folder / _SPLITS, shown).get("splits")
    names = [str(name) for name in splits] if isinstance(splits, list) else []
    first = names[0] if names else "train"
    return BadInput(
        f"{shown}: a data set with the splits {', '.join(names) or '(none named)'}; tuneproof makes its own "
        "split, so it must know which of them to take.",
        remedy=f"Set data.source to one of them in task.yaml, for example {shown.rstrip('/')}/{first}.",
    )


def _saved_files(folder: Path, shown: str) -> list[Path]:
    """Return the Arrow files that `save_to_disk` lists, in its order."""
    state = _described(folder / _STATE, shown)
    listed = state.get("_data_files")
    if not isinstance(listed, list) or not all(isinstance(f, dict) and f.get("filename") for f in listed):
        raise BadInput(f"{shown}/{_STATE}: lists no data files.", remedy="Save it with save_to_disk again.")
    if state.get("_indices_files") or state.get("_indices_data_files"):
        raise BadInput(
            f"{shown}: a selection of rows over other files.",
            remedy="Call `flatten_indices()` and save it with `save_to_disk` again.",
        )
    files = [folder / Path(str(file["filename"])).name for file in listed]
    if absent := [file.name for file in files if not file.is_file()]:
        raise BadInput(
            f"{shown}: {_STATE} lists {', '.join(absent)}, which is not there.",
            remedy="Copy the whole folder, or save it with save_to_disk again.",
        )
    return files


def _described(path: Path, shown: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        found = error
    if not isinstance(found, dict):
        raise BadInput(
            f"{shown}/{path.name}: not the JSON object that `datasets` writes.",
            remedy="Save the data set with save_to_disk again.",
        )
    return found


def _joined(parts: Sequence[Rows]) -> Rows:
    return Rows(
        tuple(row for part in parts for row in part.rows),
        tuple(row for part in parts for row in part.rejected),
        parts[0].format if parts else "Arrow",
        (f"files: {len(parts)}", *dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _no_format(path: Path, shown: str) -> BadInput:
    ending = path.suffix.lower()
    if ending in _SHEETS:
        return BadInput(
            f"{shown}: a spreadsheet; its formulas and formats are no text yet.",
            remedy="Export it as CSV UTF-8 (File, Save as) and name that file in data.source.",
        )
    return BadInput(
        f"{shown}: the ending {ending or '(none)'} says no format that is read.",
        remedy=f"Rename or convert it; read are {', '.join(FORMATS)}, text formats also as .gz.",
    )


def _no_file(path: Path, shown: str) -> BadInput:
    if path.exists():
        return BadInput(f"{shown}: neither a file nor a folder.", remedy="Name a file or a folder.")
    folder = path.parent
    try:
        names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    except OSError:
        return BadInput(f"{shown} does not exist, nor does its folder.", remedy="Correct the path.")
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    readable = near or [name for name in names if _ending(Path(name)) in FORMATS][:5]
    hint = f" {'Near' if near else 'There'}: {', '.join(readable)}." if readable else ""
    return BadInput(
        f"{shown} does not exist.{hint}",
        remedy="Correct the name; data.source in task.yaml is seen from the folder of task.yaml.",
    )
