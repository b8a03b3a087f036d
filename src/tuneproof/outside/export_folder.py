"""Texts → a folder that we made, marked by `tuneproof-export.json`; any other folder is left alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tuneproof.errors import BadInput
from tuneproof.outside.files import atomic_write

MANIFEST = "tuneproof-export.json"
"""Lists our files with their hashes. Written before them: what a killed run leaves is still known as ours."""

_NAMED = 5


def write_export(folder: Path, texts: Mapping[str, str], about: Mapping[str, Any], *, shown: str) -> None:
    """Write an export, in the place of an earlier one if there is one.

    Args:
        folder: made if it is not there.
        texts: name, `/` between folders, → text.
        about: what the manifest says beside the files.
        shown: the folder, as a person would type it.

    Raises:
        BadInput: the folder holds a file that no export of ours wrote, or one that was changed since.
    """
    for earlier in _ours(folder, shown):
        earlier.unlink()
    contents = {name: text.encode("utf-8") for name, text in texts.items()}
    listed = [
        {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in contents.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json.dumps({**about, "files": listed}, indent=1, ensure_ascii=False) + "\n"
    atomic_write(folder / MANIFEST, manifest.encode("utf-8"))
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / name, data)


def _ours(folder: Path, shown: str) -> list[Path]:
    """Return the files of the earlier export, once it is proven that there are no others."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise BadInput(f"{shown} is a file, not a folder.", remedy="Name another folder.")
    found = sorted(_files_in(folder))
    if not found:
        return []
    listed = _listed(folder / MANIFEST)
    if listed is None:
        raise BadInput(
            f"{shown} is not empty, and no export of tuneproof made it ({_names(folder, found)}).",
            remedy="Name a new folder.",
        )
    others = [path for path in found if not _is_ours(path, path.relative_to(folder).as_posix(), listed)]
    if others:
        raise BadInput(
            f"{shown} holds files that the last export did not write, or that were changed since: "
            f"{_names(folder, others)}.",
            remedy="Name a new folder, or move these files away.",
        )
    return [path for path in found if path.name != MANIFEST]


def _is_ours(path: Path, name: str, listed: Mapping[str, str]) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    unfinished = {str(Path(known).with_name(f".{Path(known).name}.new")) for known in (*listed, MANIFEST)}
    if name == MANIFEST or name in unfinished:
        return True
    return listed.get(name) == hashlib.sha256(path.read_bytes()).hexdigest()


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield everything but plain folders; a link to a folder is a file here, and not followed."""
    for where, folders, files in os.walk(folder):
        yield from (Path(where) / name for name in files)
        yield from (Path(where) / name for name in folders if (Path(where) / name).is_symlink())


def _listed(path: Path) -> dict[str, str] | None:
    """Return name → SHA-256 of a manifest, or None if it is none."""
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(file["name"]): str(file["sha256"]) for file in files}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _names(folder: Path, paths: list[Path]) -> str:
    shown = ", ".join(path.relative_to(folder).as_posix() for path in paths[:_NAMED])
    return f"{shown} and {len(paths) - _NAMED} more" if len(paths) > _NAMED else shown
