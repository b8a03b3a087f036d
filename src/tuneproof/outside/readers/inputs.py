"""`data.source` as real inputs without outputs → each of them once, and what is none with its reason."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tuneproof.artifacts.case import DataSection, DraftingSection
from tuneproof.artifacts.pairs import LeftOut
from tuneproof.errors import BadInput
from tuneproof.outside.readers.files import read_rows
from tuneproof.outside.readers.input_kinds import LOGS, PROSE, How, ending_of_text, how_of, shown_of, texts_in
from tuneproof.outside.readers.log_lines import message_of
from tuneproof.outside.readers.rows import Row
from tuneproof.outside.readers.text import Text, bytes_of, decoded, flaw_of, lines_of
from tuneproof.teacher_prompt import Input, folded_input, id_of

REPEATS = "repeats an input"
MOST_LISTED = 10_000
"""Repeats that are named one by one; a log may hold millions."""
INPUT_COLUMNS = ("input", "prompt", "text")
"""Taken without being named in task.yaml, the first that a row has."""

_MOSTLY = 0.9
"""Share of different values from which a column `id` is taken for ids, as for pairs."""


class Inputs(NamedTuple):
    """A source, read to its end."""

    inputs: tuple[Input, ...]
    """In the order of the source; no two are equal but for case, white space and Unicode form (NFKC)."""
    left_out: tuple[LeftOut, ...]
    """Rows, lines and files that are no input."""
    repeats: int
    """Inputs that were there before."""
    repeated: tuple[LeftOut, ...]
    """Their places, and of which input each is a repeat: the first `MOST_LISTED` of them."""
    notes: tuple[str, ...]
    """What the reader decided by itself, and what it took off the lines of a log."""


class _Found(NamedTuple):
    inputs: list[Input]
    left_out: list[LeftOut]
    notes: tuple[str, ...]


def read_inputs(section: DataSection, drafting: DraftingSection, root: Path) -> Inputs:
    """Read the inputs that a teacher shall answer.

    Args:
        section: names the file or folder, and of tables the columns.
        drafting: `inputs_as` says how they are held; `auto` goes by the name: `.txt` is a line an input,
            `.md` one input, `.log` a log; a folder is its data files, else its `.txt` and `.md` or its
            `.log` files, at any depth; what else is read is a row an input.
        root: the project folder, from which `data.source` is seen.

    Returns:
        Every input once. Ids are those of the rows, else `in-` and 12 hex digits of the SHA-256 of the text.

    Raises:
        BadInput: no such file, a broken or empty one, no column that can be the input.
        MissingPart: Parquet and Arrow need `pip install "tuneproof[data]"`.
    """
    path, shown = root / section.source, section.source
    if not path.exists():
        read_rows(path, shown=shown)  # says what is there instead
    how = how_of(path, shown, drafting)
    if how != "rows":
        _no_columns(section, how)
    if how == "rows":
        found = _of_rows(path, section)
    elif how == "files":
        found = _of_files(path, section)
    else:
        found = _of_lines(path, section, _plain if how == "lines" else _Log())
    once = _each_once(found.inputs)
    left_out = (*found.left_out, *once.left_out)
    if not once.inputs and not left_out:
        raise BadInput(f"{shown}: holds no input.", remedy="Name a file with inputs in data.source.")
    notes = (*found.notes, _grouping(once.inputs, section, how))
    return Inputs(tuple(once.inputs), left_out, once.repeats, tuple(once.repeated), notes)


def _grouping(inputs: Sequence[Input], section: DataSection, how: How) -> str:
    """Say which inputs will stay on one side of the split beside twins."""
    groups = {each.group for each in inputs if each.group}
    if section.group_column:
        return f"groups: {len(groups):,}, by data.group_column"
    if groups:
        return f"groups: {len(groups):,}, one a file: all lines of a file stay on one side of the split"
    if how == "files":
        return "groups: none, a file is one input; only twins stay on one side of the split"
    way = "data.group_column names what else belongs together"
    if how != "rows":
        way = "if its lines belong together in other ways, give each document a file of its own"
    return f"groups: none, only twins stay on one side of the split; {way}"


def _no_columns(section: DataSection, how: How) -> None:
    named = [key for key in ("input_column", "id_column", "group_column") if getattr(section, key)]
    if named:
        raise BadInput(
            f"task.yaml: data.{named[0]} names a column, but {section.source} is read as {how}.",
            remedy=f"Remove data.{named[0]}, or set drafting.inputs_as: rows.",
        )


def _of_files(path: Path, section: DataSection) -> _Found:
    files = texts_in(path) if path.is_dir() else [path] if path.is_file() else []
    if path.is_dir():
        files = [file for file in files if ending_of_text(file) in PROSE]
    if not files:
        raise BadInput(
            f"{section.source}: no .txt or .md file.", remedy="Correct data.source or drafting.inputs_as."
        )
    found = _Found([], [], (f"files: {len(files):,}, one input each",) if path.is_dir() else ())
    for file in files:
        shown = shown_of(file, path, section)
        source = decoded(bytes_of(file, shown), shown, section.encoding)
        text = "\n".join(lines_of(source.text)).strip("\n")
        if reason := _flaw_in(source):
            found.left_out.append(LeftOut(place=shown, reason=reason))
        elif not text.strip():
            found.left_out.append(LeftOut(place=shown, reason="is empty"))
        else:
            found.inputs.append(Input(id_of(text), text, shown))
    return found


def _flaw_in(source: Text) -> str:
    for number, line in enumerate(lines_of(source.text), 1):
        if flaw := flaw_of([line], source.codec):
            return f"{flaw} of line {number}"
    return ""


Message = Callable[[str], str]


def _plain(line: str) -> str:
    return line


class _Log:
    """Takes the header off a line, and counts what was taken."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.bare = 0

    def __call__(self, line: str) -> str:
        message = message_of(line)
        self.counts.update(dict.fromkeys(message.stripped, 1))
        self.bare += not message.stripped
        return message.text

    def note(self) -> str:
        counts = ", ".join(f"{name} of {count:,} lines" for name, count in self.counts.most_common())
        return f"stripped: {counts or 'nothing'}; {self.bare:,} lines had no header that is known"


def _of_lines(path: Path, section: DataSection, message: Message) -> _Found:
    files = [path]
    if path.is_dir():
        wanted = LOGS if isinstance(message, _Log) else PROSE
        files = [file for file in texts_in(path) if ending_of_text(file) in wanted]
    if not files or not files[0].is_file():
        raise BadInput(f"{section.source}: no file with lines.", remedy="Correct data.source in task.yaml.")
    found, blank, marks = _Found([], [], ()), 0, []
    for file in files:
        shown = shown_of(file, path, section)
        source = decoded(bytes_of(file, shown), shown, section.encoding)
        began = len(found.inputs)
        blank += _lines_into(found, source, shown, message)
        if len(files) > 1:  # a conversation or a document must not straddle the split
            found.inputs[began:] = [each._replace(group=shown) for each in found.inputs[began:]]
        marks += [note for note in source.notes if note not in marks]
    notes = [f"blank lines: {blank:,}"] if blank else []
    notes += [message.note()] if isinstance(message, _Log) else []
    return found._replace(notes=(*marks, *notes))


def _lines_into(found: _Found, source: Text, shown: str, message: Message) -> int:
    """Put every line where it belongs; return the number of blank ones."""
    blank = 0
    for number, line in enumerate(lines_of(source.text), 1):
        place = f"{shown}:{number}"
        if not line.strip():
            blank += 1
        elif flaw := flaw_of([line], source.codec):
            found.left_out.append(LeftOut(place=place, reason=flaw))
        elif not (text := message(line)):
            found.left_out.append(LeftOut(place=place, reason=f"nothing but a header: {line[:80]!r}"))
        else:
            found.inputs.append(Input(id_of(text), text, place))
    return blank


def _of_rows(path: Path, section: DataSection) -> _Found:
    read = read_rows(path, shown=section.source, encoding=section.encoding, delimiter=section.delimiter)
    found = _Found([], list(read.rejected), read.notes)
    if not read.rows:
        return found
    columns = list(dict.fromkeys(key for row in read.rows for key in row.values))
    for place in ("input_column", "id_column", "group_column"):
        _demand(section, place, columns)
    column = section.input_column or _input_column(read.rows, columns, section)
    named = section.id_column or ("id" if column != "id" and _identify(read.rows) else None)
    for row in read.rows:
        made = _of_row(row, column, named, section.group_column)
        if isinstance(made, Input):
            found.inputs.append(made)
        else:
            found.left_out.append(LeftOut(place=row.place, reason=made))
    return found


def _demand(section: DataSection, place: str, columns: Sequence[str]) -> None:
    name = getattr(section, place)
    if name is None or name in columns:
        return
    near = difflib.get_close_matches(name, columns, n=3, cutoff=0.5)
    hint = f" Near: {', '.join(map(repr, near))}." if near else ""
    raise BadInput(
        f"{section.source}: data.{place} is {name!r}, and no row has such a column.{hint} "
        f"Columns: {_listed(columns)}.",
        remedy="Correct the name under `data:` in task.yaml.",
    )


def _input_column(rows: Sequence[Row], columns: Sequence[str], section: DataSection) -> str:
    if usual := next((name for name in INPUT_COLUMNS if name in columns), None):
        return usual
    others = {section.id_column, section.group_column, "id"}
    texts = [
        name
        for name in columns
        if name not in others and any(isinstance(row.values.get(name), str) for row in rows)
    ]
    if len(texts) == 1:
        return texts[0]
    raise BadInput(
        f"{section.source}: {'several columns' if texts else 'no column'} could be the input. "
        f"Columns: {_listed(columns)}.",
        remedy="Set data.input_column in task.yaml to the one that holds what goes in.",
    )


def _listed(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    return (", ".join(map(repr, columns[:20])) or "none") + more


def _identify(rows: Sequence[Row]) -> bool:
    found = [str(row.values["id"]) for row in rows if "id" in row.values]
    return len(found) == len(rows) and len(set(found)) >= _MOSTLY * len(found)


def _of_row(row: Row, column: str, named: str | None, grouped: str | None) -> Input | str:
    """Return the input of a row, or why it has none."""
    values = row.values
    if column not in values:
        return f"has no {column!r}: its keys are {_listed(list(values)[:8])}"
    text = values[column]
    if not isinstance(text, str):
        return f"{column!r} is not a text: it is {type(text).__name__}"
    if not text.strip():
        return f"its input is empty: {text[:40]!r}"
    names = [_name(values, key) if key else "" for key in (named, grouped)]
    missing = [key for key, name in zip((named, grouped), names, strict=True) if key and not name]
    if missing:
        return f"has no {missing[0]!r}: it is {values.get(missing[0])!r}"[:200]
    return Input(names[0] or id_of(text), text, row.place, names[1] or None)


def _name(values: dict[str, Any], column: str) -> str:
    value = values.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


class _Once(NamedTuple):
    inputs: list[Input]
    left_out: list[LeftOut]
    repeated: list[LeftOut]
    repeats: int


def _each_once(found: Sequence[Input]) -> _Once:
    """Collapse repeats to their first, and leave out another input under an id that is taken."""
    seen: dict[str, str] = {}  # folded text of an input that is kept → its place
    first: dict[str, str] = {}
    once = _Once([], [], [], 0)
    for each in found:
        folded = folded_input(each.text)
        if folded in seen:
            if len(once.repeated) < MOST_LISTED:
                reason = f"{REPEATS}: that of {seen[folded]}"
                once.repeated.append(LeftOut(place=each.source, reason=reason))
        elif each.id in first:
            reason = f"its id occurs twice: {each.id!r} is also the id of {first[each.id]}"
            once.left_out.append(LeftOut(place=each.source, reason=reason))
        else:
            seen[folded] = first[each.id] = each.source
            once.inputs.append(each)
    return once._replace(repeats=len(found) - len(once.inputs) - len(once.left_out))
