"""Rows → pairs: where in a row its input and its output are.

`alpaca` is the format of Stanford Alpaca (instruction, input, output); `chats.py` describes the others.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tuneproof.artifacts.case import DataSection
from tuneproof.artifacts.pairs import LeftOut, Pair
from tuneproof.errors import BadInput
from tuneproof.outside.readers.chats import Chat, NoPair, chat_of, is_turns, openai_turns, sharegpt_turns
from tuneproof.outside.readers.rows import Row

COLUMNS = (("input", "output"), ("prompt", "completion"))
"""Names of the columns that are taken without being named in task.yaml, the first pair first."""

_EXPECTED = (
    'rows with "input" and "output", "prompt" and "completion", "messages", "conversations", or '
    '"instruction" and "output"'
)
_MOSTLY = 0.9
"""Share of different values from which a column `id` is taken for ids."""
_TYPES = {bool: "true or false", int: "a number", float: "a number", type(None): "null", list: "a list"}

ChatOf = Callable[[dict[str, Any]], Chat]
"""The values of a row → its chat; raises `NoPair`."""


def shape_of(rows: Sequence[Row]) -> str:
    """Return `columns`, `messages`, `sharegpt` or `alpaca`, by the rows' keys.

    A row of no known shape counts for none: it is rejected later, by its place.

    Raises:
        BadInput: rows of several shapes (says how many of which), or of none (says the keys there are).
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for row in rows:
        if kind := _kind_of(row.values):
            counts[kind] += 1
            first.setdefault(kind, row.place)
    if len(counts) > 1:
        listed = "\n".join(f"{n:,} × {kind}, first at {first[kind]}" for kind, n in counts.most_common())
        raise BadInput(
            f"Rows of {len(counts)} shapes are mixed:\n{listed}",
            remedy="Put them into one shape, or name the one to take as `data.shape` in task.yaml.",
        )
    if not counts:
        raise BadInput(
            f"No row has a known shape. Keys: {_keys(rows)}.",
            remedy="Name two of them as data.input_column and data.output_column in task.yaml, or give "
            f"{_EXPECTED}.",
        )
    return next(iter(counts)).partition(" ")[0]


def _kind_of(values: dict[str, Any]) -> str:
    if "messages" in values:
        return "messages"
    if "conversations" in values:
        return "sharegpt"
    if "instruction" in values and "output" in values:
        return "alpaca"
    return next((f"columns {i} and {o}" for i, o in COLUMNS if i in values and o in values), "")


def pairs_from(
    rows: Sequence[Row], section: DataSection, system_prompt: str
) -> tuple[tuple[Pair, ...], tuple[LeftOut, ...]]:
    """Take one pair from each row.

    An output that is a JSON object or list becomes compact JSON text, its keys in their own order. Of a chat,
    one user turn and one assistant turn are taken; its system message must be `system_prompt`, white space
    folded. Of `alpaca` the instruction is the input; if it is `system_prompt`, the row's input is; if the row
    has both, the input follows the instruction after a blank line.

    Args:
        rows: in the order of the source; rows without an id of their own are numbered by it (`row-00017`).
        section: names the shape and the columns.
        system_prompt: what a row's own system message must say.

    Returns:
        The pairs, and the rows that hold none with the reason: together as many as `rows`.

    Raises:
        BadInput: the shape is not clear, or no row has a named column (says the nearest names).
    """
    named = section.input_column or section.output_column
    shape = section.shape if section.shape != "auto" else "columns" if named else shape_of(rows)
    chat_in = _chat_in(shape, rows, section, system_prompt)
    label = _Label(rows, section)
    pairs: list[Pair] = []
    rejected: list[LeftOut] = []
    for number, row in enumerate(rows, start=1):
        try:
            chat = chat_in(row.values)
            if chat.system is not None and _folded(chat.system) != _folded(system_prompt):
                raise NoPair(f"its system message is not task.system_prompt: {chat.system[:60]!r}")
            own, group = label.id_of(row.values, number), label.group_of(row.values)
        except NoPair as reason:
            rejected.append(LeftOut(place=row.place, reason=str(reason)))
        else:
            pairs.append(Pair(id=own, input=chat.input, output=chat.output, source=row.place, group=group))
    return tuple(pairs), tuple(rejected)


def row_system_prompts(rows: Sequence[Row], shape: str) -> Counter[str]:
    """Count the system prompts that rows bring: system messages, or the instructions of `alpaca`.

    Rows without one are not counted. An instruction counts only if more than half of the rows share it:
    otherwise instructions are inputs, and there is nothing to guess from.
    """
    if shape == "alpaca":
        found = (row.values.get("instruction") for row in rows)
        shared = Counter(text for text in found if isinstance(text, str) and text.strip())
        return Counter({text: n for text, n in shared.items() if 2 * n > len(rows)})
    counts: Counter[str] = Counter()
    for row in rows:
        try:
            chat = _chat_at(row.values) if shape == "columns" else _CHATS[shape](row.values)
        except (NoPair, KeyError):
            continue  # no chat, so no system message
        if chat.system is not None and chat.system.strip():
            counts[chat.system] += 1
    return counts


def _chat_in(shape: str, rows: Sequence[Row], section: DataSection, system_prompt: str) -> ChatOf:
    """Return how a row of this shape becomes a chat, once the columns are known to exist."""
    if shape == "columns":
        input_column, output_column = _columns(rows, section)
        _demand(rows, ("data.input_column", input_column), ("data.output_column", output_column))
        return lambda values: _of_columns(values, input_column, output_column)
    if shape == "alpaca":
        _demand(rows, ("data.shape: alpaca", "instruction"), ("data.shape: alpaca", "output"))
        return lambda values: _of_alpaca(values, system_prompt)
    _demand(rows, (f"data.shape: {shape}", "messages" if shape == "messages" else "conversations"))
    return _CHATS[shape]


def _columns(rows: Sequence[Row], section: DataSection) -> tuple[str, str]:
    """Return the columns of task.yaml, else the first known ones that a row has."""
    present = {key for row in rows for key in row.values}
    usual = next((pair for pair in COLUMNS if set(pair) <= present), None)
    inputs, outputs = zip(*COLUMNS, strict=True)
    one = next((name for name in inputs if name in present), inputs[0])
    other = next((name for name in outputs if name in present), outputs[0])
    return section.input_column or (usual or (one, other))[0], section.output_column or (
        usual or (one, other)
    )[1]


def _demand(rows: Sequence[Row], *wanted: tuple[str, str | None]) -> None:
    """Stop if a column is in no row at all: then the name is wrong, not the rows."""
    present = list(dict.fromkeys(key for row in rows for key in row.values))
    problems = []
    for place, column in wanted:
        if column is not None and column not in present:
            near = difflib.get_close_matches(column, present, n=3, cutoff=0.5)
            hint = f" Near: {', '.join(map(repr, near))}." if near else ""
            problems.append(f"{place}: no row has a column {column!r}.{hint}")
    if problems:
        raise BadInput(
            "\n".join(problems) + f"\nColumns there are: {_keys(rows)}.",
            remedy="Correct the names under `data:` in task.yaml, or the header of the file.",
        )


def _keys(rows: Sequence[Row]) -> str:
    counts = Counter(key for row in rows for key in row.values)
    return ", ".join(repr(key) for key, _ in counts.most_common(20)) or "none"


def _of_columns(values: dict[str, Any], input_column: str, output_column: str) -> Chat:
    for column in (input_column, output_column):
        if column not in values:
            raise NoPair(
                f"has no {column!r}: its keys are {', '.join(map(repr, list(values)[:8])) or 'none'}"
            )
    given, wanted = values[input_column], values[output_column]
    if is_turns(given):
        completion = [{"role": "assistant", "content": wanted}] if isinstance(wanted, str) else wanted
        turns = openai_turns(given, input_column) + openai_turns(completion, output_column)
        return chat_of(turns)
    return Chat(None, _text(given, input_column), _answer(wanted, output_column))


def _of_alpaca(values: dict[str, Any], system_prompt: str) -> Chat:
    instruction = _text(values.get("instruction"), "instruction")
    more = values.get("input")
    more = "" if more is None else _text(more, "input")
    answer = _answer(values.get("output"), "output")
    if not more.strip():
        return Chat(None, instruction, answer)
    if _folded(instruction) in ("", _folded(system_prompt)):
        return Chat(None, more, answer)
    return Chat(None, f"{instruction}\n\n{more}", answer)


def _of_messages(values: dict[str, Any]) -> Chat:
    return chat_of(openai_turns(values.get("messages"), "messages"))


def _of_sharegpt(values: dict[str, Any]) -> Chat:
    turns = sharegpt_turns(values.get("conversations"), "conversations")
    own = values.get("system")  # some exports keep the system message beside the turns
    if isinstance(own, str) and own.strip() and (not turns or turns[0].role != "system"):
        return chat_of(turns)._replace(system=own)
    return chat_of(turns)


_CHATS: dict[str, ChatOf] = {"messages": _of_messages, "sharegpt": _of_sharegpt}


def _chat_at(values: dict[str, Any]) -> Chat:
    """Return the chat of a row whose prompt is a list of messages."""
    for input_column, output_column in COLUMNS:
        if is_turns(values.get(input_column)):
            return _of_columns(values, input_column, output_column)
    raise NoPair("no chat: its prompt is a text")


def _folded(text: str) -> str:
    return " ".join(text.split())


def _text(value: Any, column: str) -> str:
    if isinstance(value, str):
        return value
    kind = _TYPES.get(type(value), "an object" if isinstance(value, dict) else f"a {type(value).__name__}")
    raise NoPair(f"{column!r} is not a text: it is {kind}")


def _answer(value: Any, column: str) -> str:
    """Return an output; a number becomes its text, an object or a list compact JSON, its keys in order."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a count that a spreadsheet or Parquet keeps as 1396.0
    if not number and not isinstance(value, (dict, list)):
        return _text(value, column)
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise NoPair(f"{column!r} cannot be written as JSON: {error}") from error


class _Label:
    """A row's id and group, from the columns that task.yaml names."""

    def __init__(self, rows: Sequence[Row], section: DataSection) -> None:
        _demand(rows, ("data.id_column", section.id_column), ("data.group_column", section.group_column))
        self._id = section.id_column or ("id" if _identify(rows) else None)
        self._group = section.group_column

    def id_of(self, values: dict[str, Any], number: int) -> str:
        """Return the row's own id, else its number in the source."""
        return f"row-{number:05d}" if self._id is None else _name(values, self._id)

    def group_of(self, values: dict[str, Any]) -> str | None:
        """Return what keeps the row together with others."""
        return None if self._group is None else _name(values, self._group)


def _identify(rows: Sequence[Row]) -> bool:
    """Whether the key `id` names rows: then two equal ones are a mistake; a column of kinds names none."""
    found = [str(row.values["id"]) for row in rows if "id" in row.values]
    return bool(found) and len(set(found)) >= _MOSTLY * len(found)


def _name(values: dict[str, Any], column: str) -> str:
    value = values.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise NoPair(f"has no {column!r}: it is {value!r}"[:200])
    return value.strip()
