"""The text of task.yaml → TaskFile; every problem at once, with its line and the nearest known key."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tuneproof.artifacts import TaskFile
from tuneproof.errors import BadInput

if TYPE_CHECKING:
    from yaml import Node

_REMEDY = "Mend these places and run the command again."
Place = tuple[int | str, ...]


def read_task(data: bytes, shown: str) -> TaskFile:
    """Read and check a task.yaml.

    Args:
        data: its bytes, UTF-8.
        shown: its path as a person types it.

    Raises:
        BadInput: it is no YAML, a key occurs twice, or a value is not what it must be.
    """
    root = _compose(data, shown)
    if twice := [f"{shown}:{line}: {key}: this key occurs twice" for key, line in _repeated(root, ())]:
        raise BadInput("\n".join(twice), remedy=_REMEDY)
    try:
        return TaskFile.model_validate(_values(data, shown))
    except ValidationError as error:
        problems = [_problem(problem, root, shown) for problem in error.errors()]
        raise BadInput("\n".join(problems), remedy=_REMEDY) from error


def _compose(data: bytes, shown: str) -> Node | None:
    import yaml

    def compose() -> Node | None:
        return yaml.compose(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)

    return _guarded(compose, shown)  # type: ignore[no-any-return]


def _values(data: bytes, shown: str) -> object:
    import yaml

    return _guarded(lambda: yaml.safe_load(data.decode("utf-8-sig")), shown)


def _guarded(read: Any, shown: str) -> Any:
    import yaml

    try:
        return read()
    except yaml.YAMLError as error:
        problem = str(error)
    except (ValueError, LookupError, AttributeError) as error:
        problem = f"a value in it cannot be read: {error}"  # PyYAML lets 2024-13-01 and `!!int x` through
    except RecursionError:
        problem = "it is nested too deeply"
    raise BadInput(f"{shown} is not YAML: {problem}", remedy="Mend that line and run the command again.")


def _repeated(node: Node | None, place: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield keys that occur twice in one mapping: YAML would let the last one win in silence."""
    pairs = _pairs(node)
    seen: set[str] = set()
    for key, value in pairs:
        name = str(key.value)
        if name in seen:
            yield ".".join((*place, name)), key.start_mark.line + 1
        seen.add(name)
        if len(place) < len(TaskFile.model_fields):
            yield from _repeated(value, (*place, name))


def _pairs(node: Node | None) -> list[tuple[Node, Node]]:
    from yaml import MappingNode

    return list(node.value) if isinstance(node, MappingNode) else []


def _line(root: Node | None, place: Place) -> int:
    """Return the line of the deepest part of `place` that is written down."""
    node, line = root, 1
    for part in place:
        found = next(((k, v) for k, v in _pairs(node) if k.value == part), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _problem(problem: Any, root: Node | None, shown: str) -> str:
    place: Place = tuple(problem["loc"])
    where = f"{shown}:{_line(root, place)}: {'.'.join(str(part) for part in place)}"
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key{_hint(place)}"
    said = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{where}: this key is missing"[:300]
    if not place:
        return f"{shown}: {said}"[:300]
    return f"{where}: {said} (is {reprlib.repr(problem['input'])})"[:400]


def _hint(place: Place) -> str:
    known = _known_keys(place[:-1])
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _known_keys(place: Sequence[int | str]) -> list[str]:
    model: Any = TaskFile
    for part in place:
        model = model.model_fields[str(part)].annotation
    return sorted(model.model_fields)
