"""Checkpoints that are whole: a list of hashes, written last, says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tuneproof.outside.files import atomic_write, file_ref

MARK = "complete.json"


def mark_complete(checkpoint: Path) -> None:
    """List every file of `checkpoint` with its hash; the list's existence means the save finished."""
    hashes = {p.name: file_ref(p).sha256 for p in sorted(checkpoint.iterdir()) if p.name != MARK}
    atomic_write(checkpoint / MARK, json.dumps(hashes, indent=1).encode())


def last_complete(folder: Path) -> Path | None:
    """Return the newest whole checkpoint in `folder` and delete the ones after it.

    Only files that we listed are ever loaded: a trainer's state files are pickles.
    """
    names = [(p, p.name.removeprefix("checkpoint-")) for p in folder.glob("checkpoint-*") if p.is_dir()]
    steps = {int(number): p for p, number in names if number.isdecimal()}
    for step in sorted(steps, reverse=True):
        if _is_whole(steps[step]):
            return steps[step]
        shutil.rmtree(steps[step])
    return None


def _is_whole(checkpoint: Path) -> bool:
    try:
        hashes = json.loads((checkpoint / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    names = {p.name for p in checkpoint.iterdir()} - {MARK}
    return (
        isinstance(hashes, dict)
        and names == set(hashes)
        and all(file_ref(checkpoint / name).sha256 == digest for name, digest in hashes.items())
    )
