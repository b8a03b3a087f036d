"""`module:function` and JSON Schema files of the project folder → what they hold, and their digests.

Only a file in the project folder is loaded, never an installed module of that name: whoever reads the folder
sees all code that a run executes. Models and data sets never bring code.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuneproof.artifacts import TaskFile
from tuneproof.artifacts.case import METRICS
from tuneproof.errors import BadInput, TuneproofError
from tuneproof.outside.files import file_ref


def own_file(root: Path, reference: str) -> Path:
    """Return the file of `module:function`: `a.b:f` is `a/b.py` in the folder `root`."""
    return root.joinpath(*reference.partition(":")[0].split(".")).with_suffix(".py")


def load_function(root: Path, reference: str, *, place: str) -> Callable[..., Any]:
    """Return the user's function; what it raises later comes back as `BadInput` with its arguments.

    Args:
        root: the project folder; it is on the import path while the module is loaded and called.
        reference: `module:function`.
        place: where task.yaml names it, for messages.

    Raises:
        BadInput: no such file or function, or the module cannot be loaded.
    """
    path, name = own_file(root, reference), reference.partition(":")[2]
    if not path.is_file():
        near = difflib.get_close_matches(path.name, [p.name for p in sorted(root.glob("*.py"))], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise BadInput(
            f"task.yaml: {place} is {reference!r}, but there is no {path.name} beside task.yaml.{hint}",
            remedy=f"Put the function {name!r} into {path.name} in the project folder.",
        )
    function = getattr(_module(path, root, place), name, None)
    if not callable(function):
        raise BadInput(
            f"task.yaml: {place} is {reference!r}, but {path.name} defines no function {name!r}.",
            remedy=f"Define `def {name}(…)` in {path.name}, or name another function.",
        )
    return _guarded(function, reference, path)


def _module(path: Path, root: Path, place: str) -> Any:
    # A fresh module under a name of its own: an installed package of the same name stays what it is.
    spec = importlib.util.spec_from_file_location(f"_tuneproof_own_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(root))  # so that the file can import its neighbours
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # code of the user's own may raise anything
        raise BadInput(
            f"task.yaml: {place}: {path.name} cannot be loaded: {_said(error)}",
            remedy=f"Mend {path.name}, or install what it imports into this environment.",
        ) from error
    finally:
        sys.path.remove(str(root))
    return module


def _guarded(function: Callable[..., Any], reference: str, path: Path) -> Callable[..., Any]:
    def call(*texts: str) -> Any:
        try:
            return function(*texts)
        except TuneproofError:
            raise
        except Exception as error:  # code of the user's own may raise anything
            raise BadInput(
                f"{reference} stopped at {', '.join(repr(text[:80]) for text in texts)}: {_said(error)}",
                remedy=f"Mend {path.name}: it must answer for every text, also for an odd one.",
            ) from error

    return call


def _said(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = f", line {trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}: {error}{line}"


def load_schema(root: Path, section_value: str | dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the JSON Schema that `scoring.json_schema` holds or names.

    Raises:
        BadInput: the file is missing, no JSON, or no JSON Schema.
    """
    if section_value is None:
        return None
    shown, schema = "scoring.json_schema", section_value
    if isinstance(section_value, str):
        shown, path = section_value, root / section_value
        try:
            schema = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            what = "does not exist" if not path.is_file() else f"is not JSON: {error}"
            raise BadInput(
                f"task.yaml: scoring.json_schema: {shown} {what}.",
                remedy=f"Write the schema to {shown} beside task.yaml, or inline it in task.yaml.",
            ) from error
    return _checked_schema(schema, shown)


def _checked_schema(schema: Any, shown: str) -> dict[str, Any]:
    import jsonschema

    try:
        if not isinstance(schema, dict):
            raise jsonschema.SchemaError(f"it is a {type(schema).__name__}, not an object")
        jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator).check_schema(schema)
    except jsonschema.SchemaError as error:
        raise BadInput(
            f"task.yaml: scoring.json_schema: {shown} is no JSON Schema: {error.message}",
            remedy="Mend the schema; https://json-schema.org/understanding-json-schema explains it.",
        ) from error
    return schema


def references(task_file: TaskFile, root: Path) -> dict[str, str]:
    """Return the digests of the small files that task.yaml names: place → SHA-256, or `missing`."""
    named: dict[str, Path] = {}
    if task_file.task.metric not in METRICS:
        named["task.metric"] = own_file(root, task_file.task.metric)
    if isinstance(task_file.scoring.json_schema, str):
        named["scoring.json_schema"] = root / task_file.scoring.json_schema
    if task_file.comparison.rule is not None:
        named["comparison.rule"] = own_file(root, task_file.comparison.rule)
    return {place: file_ref(path).sha256 if path.is_file() else "missing" for place, path in named.items()}
