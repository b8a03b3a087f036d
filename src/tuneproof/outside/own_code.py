"""`module:function` and JSON Schema files of the project folder → what they hold, and their digests.

Only a file in the project folder is loaded, never an installed module of that name: whoever reads the folder
sees all code that a run executes. Models and data sets never bring code.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tuneproof.artifacts import TaskFile, canonical_json, sha256_of
from tuneproof.artifacts.case import METRICS
from tuneproof.errors import BadInput, TuneproofError
from tuneproof.outside.files import file_ref

MISSING = "missing"
"""In place of a digest, where there is no such file."""


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
    if not _is_file(path):
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
    return _guarded(function, reference, (path, root))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a name that is too long for any file


def _module(path: Path, root: Path, place: str) -> ModuleType:
    # Compiled here and under a name of its own: an installed package of the same name stays what it is, and
    # no stale byte code is read or left in the project.
    module = ModuleType(f"_tuneproof_own_{path.stem}")
    module.__file__ = str(path)
    try:
        with _neighbours(root):
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # code of the user's own may raise anything
        raise BadInput(
            f"task.yaml: {place}: {path.name} cannot be loaded: {_said(error)}",
            remedy=f"Mend {path.name}, or install what it imports into this environment.",
        ) from error
    return module


@contextlib.contextmanager
def _neighbours(root: Path) -> Iterator[None]:
    """Let code import files of the project folder, and forget them afterwards: they may be edited."""
    before, writes = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(root))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{root}{os.sep}"):
                del sys.modules[name]


def _guarded(function: Callable[..., Any], reference: str, place: tuple[Path, Path]) -> Callable[..., Any]:
    path, root = place

    def call(*texts: str) -> Any:
        try:
            with _neighbours(root):
                return function(*texts)
        except TuneproofError:
            raise
        except (Exception, SystemExit) as error:  # code of the user's own may raise anything
            raise BadInput(
                f"{reference} stopped at {', '.join(repr(text[:80]) for text in texts)}: {_said(error)}",
                remedy=f"Mend {path.name}: it must answer for every text, also for an odd one.",
            ) from error

    return call


def _said(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    # A syntax error says its own line; its trace is ours.
    line = f", line {trace.tb_lineno}" if trace and not isinstance(error, SyntaxError) else ""
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
            what = f"is not JSON: {error}" if _is_file(path) else "does not exist"
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
        if not isinstance(schema.get("$schema", ""), str):
            raise jsonschema.SchemaError(f"$schema is {schema['$schema']!r}, not a text")
        jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator).check_schema(schema)
    except jsonschema.SchemaError as error:
        raise BadInput(
            f"task.yaml: scoring.json_schema: {shown} is no JSON Schema: {error.message}",
            remedy="Mend the schema; https://json-schema.org/understanding-json-schema explains it.",
        ) from error
    return schema


def references(task_file: TaskFile, root: Path) -> dict[str, str]:
    """Return the digests of the small files that task.yaml names: place → SHA-256, or `missing`.

    A file of code counts with the Python files beside it, which it may import.
    """
    found: dict[str, str] = {}
    if task_file.task.metric not in METRICS:
        found["task.metric"] = _code_digest(own_file(root, task_file.task.metric))
    if isinstance(task_file.scoring.json_schema, str):
        path = root / task_file.scoring.json_schema
        found["scoring.json_schema"] = file_ref(path).sha256 if _is_file(path) else MISSING
    if task_file.comparison.rule is not None:
        found["comparison.rule"] = _code_digest(own_file(root, task_file.comparison.rule))
    return found


def _code_digest(path: Path) -> str:
    if not _is_file(path):
        return MISSING
    beside = {each.name: file_ref(each).sha256 for each in sorted(path.parent.glob("*.py"))}
    return sha256_of(canonical_json(beside)).removeprefix("sha256:")
