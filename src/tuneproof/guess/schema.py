"""JSON objects of the outputs → the JSON Schema that all of them meet.

The schema is as narrow as the examples allow: a reply outside it counts as a parse failure, so it is shown to
a person before anything is scored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

ENUM_ROWS, ENUM_VALUES, ENUM_SEEN = 30, 12, 2
"""A closed list of strings: at most so many values, over at least so many rows, each seen so often."""
_MAP_KEYS = 40
"""Objects with more keys than this, none of them in every object, are maps: their keys are data."""
_DEEPEST = 8
"""Levels that are described; below, anything is allowed."""


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that `text` is; None for NaN in it, a list, or a fence or sentence around it."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def schema_of(objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Infer a JSON Schema (draft 2020-12) from at least one object.

    Types are those seen, `required` are the keys of every object, other keys are refused, and a string with
    few values that all repeat becomes an enum.
    """
    return _schema(list(objects), depth=0)


def enums_of(schema: dict[str, Any], place: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the dotted place and the values of every closed list in an inferred schema."""
    if "enum" in schema:
        yield place, tuple(schema["enum"])
    for key, part in schema.get("properties", {}).items():
        yield from enums_of(part, f"{place}.{key}".lstrip("."))
    if isinstance(schema.get("items"), dict):
        yield from enums_of(schema["items"], f"{place}[]")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _schema(values: list[Any], *, depth: int) -> dict[str, Any]:
    kinds = _kinds(values)
    if depth > _DEEPEST or not kinds:
        return {}
    schema: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if "object" in kinds:
        schema |= _object([v for v in values if isinstance(v, dict)], depth)
    if "array" in kinds and (inner := [part for v in values if isinstance(v, list) for part in v]):
        schema["items"] = _schema(inner, depth=depth + 1)
    if "string" in kinds and set(kinds) <= {"string", "null"}:
        schema |= _closed_list(values)
    return schema


def _object(objects: list[dict[str, Any]], depth: int) -> dict[str, Any]:
    keys = Counter(key for each in objects for key in each)
    required = [key for key, seen in keys.items() if seen == len(objects)]
    if len(keys) > _MAP_KEYS and not required:
        inner = [value for each in objects for value in each.values()]
        return {"additionalProperties": _schema(inner, depth=depth + 1)}
    return {
        "properties": {
            key: _schema([each[key] for each in objects if key in each], depth=depth + 1) for key in keys
        },
        "required": required,
        "additionalProperties": False,
    }


def _closed_list(values: list[Any]) -> dict[str, Any]:
    texts = [value for value in values if isinstance(value, str)]
    distinct = sorted(set(texts))
    few = len(texts) >= ENUM_ROWS and len(distinct) <= ENUM_VALUES
    if not few or any(texts.count(value) < ENUM_SEEN for value in distinct):
        return {}
    return {"enum": [*distinct, None] if None in values else list(distinct)}


def _kinds(values: list[Any]) -> list[str]:
    kinds = sorted({_kind(value) for value in values})
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")  # every integer is a number
    return kinds


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),  # before int: True is an int in Python
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "object")
