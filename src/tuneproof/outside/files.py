"""Durable small files and digests of large ones."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tuneproof.artifacts import FileRef


def file_ref(path: Path) -> FileRef:
    """Describe a file by name, size in bytes and SHA-256."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return FileRef(name=path.name, bytes=path.stat().st_size, sha256=digest)


def atomic_write(path: Path, data: bytes) -> None:
    """Write so that a reader sees the old or the new content, even after a power loss.

    The sibling is synced before the rename and the folder after it; a failed write leaves no sibling.
    """
    sibling = path.with_name(f".{path.name}.new")
    try:
        with sibling.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        sibling.replace(path)
    except OSError:
        sibling.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def append_line(path: Path, line: str) -> None:
    """Append one line and return only when it is on the disk."""
    with path.open("a", encoding="utf-8", newline="\n") as handle:
        handle.write(line + "\n")
        handle.flush()
        os.fsync(handle.fileno())
