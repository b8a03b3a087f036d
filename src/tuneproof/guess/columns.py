"""The keys and values of all rows → which key holds the input, the output, the id and the group."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

INPUT_NAMES = (
    *("input", "prompt", "question", "query", "text", "notice", "message", "body", "content", "document"),
    *("email", "ticket", "review", "comment", "sentence", "transcript", "request", "description", "source"),
    *("instruction", "context", "article", "log", "line", "title", "subject", "utterance"),
)
OUTPUT_NAMES = (
    *("output", "completion", "expected", "target", "label", "labels", "answer", "response", "category"),
    *("class", "intent", "sentiment", "tags", "tag", "result", "summary", "reply", "json", "extraction"),
    *("translation", "gold", "truth", "topic", "queue", "score", "rating", "correction"),
)
"""In the order of preference; a key counts by its whole name, else by its last word."""
GROUP_WORDS = frozenset(
    (
        *("group", "customer", "client", "user", "account", "company", "patient", "author", "sender"),
        *("document", "doc", "file", "page", "thread", "conversation", "dialogue", "session", "template"),
        *("source", "repo", "repository", "project", "case", "url", "domain", "site"),
    )
)
MOST_DISTINCT = 1 / 1.2
"""Values per row below which a column repeats clearly enough to be a group."""
FEWEST_GROUPS = 20
"""With fewer groups than this, whole groups cannot fill train, dev and test."""


class Column(NamedTuple):
    """A chosen key of the rows, or none, and why."""

    name: str | None
    why: str


class Columns(NamedTuple):
    """The two keys that hold a pair; `problem` says why there are none."""

    input: Column
    output: Column
    problem: str = ""
    notes: tuple[str, ...] = ()


class Texts(Mapping[str, list[str]]):
    """Every key of the rows with its values as texts; absent and null values are empty."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        keys = list(dict.fromkeys(key for row in rows for key in row))
        self._columns = {key: [_text(row.get(key)) for row in rows] for key in keys}

    def __getitem__(self, key: str) -> list[str]:
        return self._columns[key]

    def __iter__(self) -> Any:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def pair_columns(columns: Mapping[str, list[str]]) -> Columns:
    """Choose input and output by the keys' names, else by the lengths of their values."""
    free = [key for key in columns if any(columns[key]) and not is_id(key, columns[key])]
    if len(free) < 2:
        none = Column(None, "not found")
        return Columns(none, none, problem=f"{_listed(columns)}; a pair needs an input and an output")
    target = _by_name(free, OUTPUT_NAMES)
    entry = _by_name([key for key in free if key != target], INPUT_NAMES)
    rest = [key for key in free if key not in (target, entry) and not is_group_name(key)]
    lengths = {key: sum(map(len, columns[key])) for key in free}
    rest = rest or [key for key in free if key not in (target, entry)]
    if entry is None:
        chosen = max(rest, key=lambda key: lengths[key])
        rest.remove(chosen)
        left = Column(chosen, "a guess: the longest texts")
    else:
        left = Column(entry, "the key's name")
    if target is None:
        rest = rest or [key for key in free if key != left.name]
        right = Column(rest[-1], "a guess: the last key that is left")
    else:
        right = Column(target, "the key's name")
    return Columns(left, right, notes=_doubts(left, right, free))


def id_column(columns: Mapping[str, list[str]], *, taken: Iterable[str]) -> Column:
    """Choose a key that is named like an id and has another value in every row."""
    for key in columns:
        if key not in set(taken) and is_id(key, columns[key]):
            return Column(key, f"named like an id, and all {len(columns[key]):,} values differ")
    return Column(None, "no key is named like an id with a value of its own in every row: rows are numbered")


def group_column(columns: Mapping[str, list[str]], *, taken: Iterable[str]) -> tuple[Column, tuple[str, ...]]:
    """Choose the key whose repeated values keep rows together; also return notes on the other candidates."""
    used = set(taken)
    counts = {key: len(set(columns[key])) for key in columns if key not in used}
    repeated = {key: n for key, n in counts.items() if 2 <= n <= MOST_DISTINCT * len(columns[key])}
    usable = [key for key, n in repeated.items() if n >= FEWEST_GROUPS and is_group_name(key)]
    # The fewest groups keep the most together: a customer has several threads.
    chosen = min(usable, key=lambda key: repeated[key]) if usable else None
    others = [f"{key} ({repeated[key]:,} values)" for key in repeated if key != chosen]
    notes = (
        (f"Not taken as group: {', '.join(others)}. If rows with the same value belong together "
         "(one customer, one document), set data.group_column, or the test may hold what was trained.",)
        if others
        else ()
    )  # fmt: skip
    if chosen is None:
        return Column(None, "no key is named like a group with values that repeat"), notes
    return Column(chosen, f"named like a group: {repeated[chosen]:,} values over all rows"), notes


def is_id(key: str, values: Sequence[str]) -> bool:
    """Whether a key is named like an id and tells all rows apart."""
    named = bool({"id", "uuid", "guid"} & {_words(key)[-1]})
    return named and len(set(values)) == len(values) and all(values)


def is_group_name(key: str) -> bool:
    """Whether one of the words of a key means something that rows belong to."""
    return not GROUP_WORDS.isdisjoint(_words(key))


def _by_name(keys: Sequence[str], names: Sequence[str]) -> str | None:
    whole = {key.strip().casefold(): key for key in reversed(keys)}
    last = {_words(key)[-1]: key for key in reversed(keys) if not is_group_name(key)}
    return next((found[name] for found in (whole, last) for name in names if name in found), None)


def _words(key: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key)
    return re.findall(r"[^\W_]+", spaced.casefold()) or [""]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _listed(columns: Mapping[str, list[str]]) -> str:
    shown = ", ".join(list(columns)[:10])
    return f"the rows have the keys {shown}" if len(columns) > 1 else f"the rows have one key, {shown}"


def _doubts(left: Column, right: Column, free: Sequence[str]) -> tuple[str, ...]:
    others = [key for key in free if key not in (left.name, right.name)]
    if "guess" not in left.why + right.why:
        return ()
    return (
        f"CHECK: which keys hold the pair is a guess: {left.name} → {right.name}"
        + (f"; also there: {', '.join(others[:8])}." if others else "."),
    )
