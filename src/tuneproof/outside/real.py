"""The real outside, put together: what the command uses."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tuneproof.artifacts import Drafts, SplitLock
from tuneproof.cases.licenses import licence_pairs
from tuneproof.errors import NotReady
from tuneproof.outside import licensedcode
from tuneproof.outside.base_model import find_base
from tuneproof.outside.llama_cpp import LlamaEngine
from tuneproof.outside.merge import AdaptedModel, GgufFactory
from tuneproof.outside.protocols import Base, BatchModel
from tuneproof.outside.trl_trainer import TrlTrainer
from tuneproof.story import Outside

EXAMPLES = ("licenses",)


def real_outside() -> Outside:
    """Return the packages, trainers and runtimes of this machine; loads none of them yet."""
    return Outside(
        sources={"bundled:licenses": _licenses},
        base=find_base,
        trainer=TrlTrainer(),
        tools=GgufFactory(),
        engine=LlamaEngine(),
        adapted=_adapted,
        frozen_before=bundled_lock,
        licence_text=licence_text,
    )


def example_task(name: str) -> str:
    """Return the task.yaml of a bundled case."""
    return _example(name, "task.yaml")


def bundled_lock(case: str, version: int) -> SplitLock | None:
    """Return the lock frozen with a bundled case, if `case` is one and this is its version."""
    if case not in EXAMPLES:
        return None
    lock = SplitLock.model_validate_json(_example(case, "split.lock.json"))
    return lock if lock.version == version else None


def licence_text(spdx: str) -> str:
    """Return the full text of a licence.

    Raises:
        NotReady: the text is not packaged.
    """
    path = resources.files("tuneproof") / "licences" / f"{spdx}.txt"
    if not path.is_file():
        raise NotReady(
            f"The text of the licence {spdx!r} is not packaged with tuneproof.",
            remedy="Choose a base under Apache-2.0, or add the text to src/tuneproof/licences/.",
        )
    return path.read_text(encoding="utf-8")


def _example(case: str, file: str) -> str:
    return (resources.files("tuneproof") / "examples" / case / file).read_text(encoding="utf-8")


def _licenses(limit: int) -> Drafts:
    return licence_pairs(licensedcode.rules(), version=licensedcode.version(), limit=limit)


def _adapted(base: Base, folder: Path) -> BatchModel:
    return AdaptedModel(base, folder)
