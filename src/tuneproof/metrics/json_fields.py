"""Reply × expected output → F1 of their JSON fields, for replies that are JSON and meet the schema.

A field is a value at a dotted path: `{"a": {"b": 1}}` has the field `a.b`. Each element of a list is one
value of the list's field, and the order of a list does not matter: the value is 1 exactly if both texts hold
the same fields, with lists in any order. An empty list or object is a value of its own.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from tuneproof.artifacts import Figure
from tuneproof.errors import BadInput
from tuneproof.metrics.base import Grade, Metric, Options, Texts
from tuneproof.metrics.overlap import Parts, named_figures, overlap, overlap_figures
from tuneproof.metrics.text import folded

DEEPEST = 50
"""Levels of nesting that are read; a model that opens brackets without end must not stop the run."""
_NOTHING: Parts = Counter()


class _Read(NamedTuple):
    value: Any = None
    problem: str = ""


def _read(text: str, options: Options) -> _Read:
    """Parse strictly (RFC 8259, and no key twice), then validate."""
    try:
        value = json.loads(
            text, parse_constant=_refused, parse_float=_finite, object_pairs_hook=_without_duplicates
        )
    except RecursionError:
        return _Read(problem=f"is nested deeper than {DEEPEST} levels")
    except ValueError as error:
        return _Read(problem=f"is not JSON: {error}")
    if _depth(value) > DEEPEST:
        return _Read(problem=f"is nested deeper than {DEEPEST} levels")
    return _Read(value, "" if options.schema is None else _against(options.schema, value))


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large for a number")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {key!r} occurs twice in one object")
    return found


def _depth(value: Any) -> int:
    """Count nested objects and lists, without a call for each level."""
    depth, level = 0, [value]
    while inner := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        level = [part for outer in inner for part in (outer.values() if isinstance(outer, dict) else outer)]
    return depth


def _against(schema: dict[str, Any], value: Any) -> str:
    """Say where `value` breaks the schema: Draft 2020-12, unless it names another; nothing is downloaded.

    Raises:
        BadInput: the schema refers to something that is not in it, or to itself without end.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # An empty registry: jsonschema's own would fetch a remote $ref.
    validator = validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())
    try:
        error = best_match(validator.iter_errors(value))
    except (Unresolvable, RecursionError) as cause:
        what = "refers to itself without end" if isinstance(cause, RecursionError) else f"has a $ref: {cause}"
        raise BadInput(
            f"scoring.json_schema {what}.",
            remedy="Put what the schema refers to under its own `$defs`; nothing is fetched.",
        ) from cause
    return "" if error is None else f"breaks the schema at {error.json_path}: {error.message[:200]}"


def _fields(value: Any, options: Options) -> Parts:
    return Counter((_shown(path), leaf) for path, leaf in _leaves(_canonical(value, options), ()))


def _canonical(value: Any, options: Options) -> Any:
    """One value for all that count as the same: 1 and 1.0, folded texts, lists in any order."""
    if isinstance(value, dict):
        return {key: _canonical(part, options) for key, part in value.items()}
    if isinstance(value, list):
        return sorted((_canonical(part, options) for part in value), key=_text)
    if isinstance(value, str):
        return folded(value, options.section.normalise)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


Path = tuple[str, ...]


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if value and isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*path, key))
    elif value and isinstance(value, list):
        for element in value:
            yield path, f"in a list: {_text(element)}"  # `["x"]` is not `"x"`
    else:
        yield path, _text(value)


def _shown(path: Path) -> str:
    """Dotted; an odd key is quoted, so that the key `a.b` stays apart from `b` inside `a`."""
    return ".".join(key if re.fullmatch(r"[^\W\d][\w -]*", key) else _text(key) for key in path) or "(root)"


def _grade(reply: str, expected: str, options: Options) -> Grade:
    read, wanted = _read(reply, options), _read(expected, options)
    if read.problem or wanted.problem:
        return Grade(0.0, parsed=not read.problem)
    return Grade(overlap(_fields(read.value, options), _fields(wanted.value, options)).f1)


def _problem(expected: str, options: Options) -> str:
    return _read(expected, options).problem


def _figures(texts: Texts, options: Options) -> tuple[Figure, ...]:
    if not texts:
        return ()
    replies = [_read(reply, options) for reply, _ in texts]
    wanted = [_read(expected, options) for _, expected in texts]
    sides = [
        tuple(_NOTHING if r.problem else _fields(r.value, options) for r in side)
        for side in (replies, wanted)
    ]
    pairs = list(zip(*sides, strict=True))
    name = "replies that are JSON" if options.schema is None else "replies that meet the schema"
    valid = Figure(name=name, value=sum(not r.problem for r in replies) / len(texts), n=len(texts))
    return (valid, *overlap_figures(pairs, "fields"), *named_figures(pairs))


JSON_FIELDS = Metric(
    "json fields",
    _grade,
    graded=True,
    value_name="field F1",
    all_right="all fields right",
    problem=_problem,
    figures=_figures,
)
