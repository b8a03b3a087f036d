"""The real outside, put together: what the command uses."""

from __future__ import annotations

import datetime
from importlib import resources
from pathlib import Path

from tuneproof.artifacts import Drafts, EndpointSection, PriceUsed, SplitLock, TaskFile
from tuneproof.artifacts.case import METRICS
from tuneproof.cases.licenses import licence_pairs
from tuneproof.errors import NotReady
from tuneproof.outside import licensedcode
from tuneproof.outside.base_model import cache_folder, find_base
from tuneproof.outside.llama_cpp import LlamaEngine
from tuneproof.outside.merge import AdaptedModel, GgufFactory
from tuneproof.outside.own_code import load_function, load_schema
from tuneproof.outside.protocols import Base, BatchModel, Endpoint
from tuneproof.outside.readers import read_pairs
from tuneproof.outside.trl_trainer import TrlTrainer
from tuneproof.scoring import Scorer, scorer_of
from tuneproof.steps.compare import Rule
from tuneproof.story import Outside

EXAMPLES = ("licenses",)


def real_outside() -> Outside:
    """Return the packages, trainers and runtimes of this machine; loads none of them yet."""
    return Outside(
        sources={"bundled:licenses": _licenses},
        read_pairs=own_pairs,
        base=find_base,
        scorer=scorer_for,
        rule=own_rule,
        trainer=TrlTrainer(),
        tools=GgufFactory(),
        engine=LlamaEngine(),
        adapted=_adapted,
        connect=_connect,
        price_of=_price_of,
        frozen_before=bundled_lock,
        licence_text=licence_text,
        cache=cache_folder(),
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


def scorer_for(task_file: TaskFile, root: Path) -> Scorer:
    """Return the metric of a task, with the schema and the function that its project folder holds.

    Raises:
        BadInput: a file that task.yaml names is missing or wrong.
    """
    metric = task_file.task.metric
    return scorer_of(
        task_file,
        schema=load_schema(root, task_file.scoring.json_schema),
        own=None if metric in METRICS else load_function(root, metric, place="task.metric"),
    )


def own_rule(task_file: TaskFile, root: Path) -> Rule | None:
    """Return the function that task.yaml names as a rule, if it names one."""
    reference = task_file.comparison.rule
    return load_function(root, reference, place="comparison.rule") if reference else None


def own_pairs(task_file: TaskFile, root: Path) -> Drafts:
    """Read the pairs that task.yaml names as its source."""
    return read_pairs(task_file.data, root, task_file.task.system_prompt)


def _licenses(limit: int) -> Drafts:
    return licence_pairs(licensedcode.rules(), version=licensedcode.version(), limit=limit)


def _connect(section: EndpointSection) -> Endpoint:
    from tuneproof.outside.endpoints import endpoint_for  # here and not above: it loads a client library

    return endpoint_for(section)


def _price_of(section: EndpointSection) -> PriceUsed | str:
    from tuneproof.outside.prices import price_of  # here and not above: the price list takes a while to load

    return price_of(section, datetime.datetime.now(datetime.UTC))


def _adapted(base: Base, folder: Path) -> BatchModel:
    return AdaptedModel(base, folder)
