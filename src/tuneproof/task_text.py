"""A guess, or nothing but a name → the text of task.yaml: every key, and what each choice costs.

The keys come from the models, so none can be forgotten. Values are written so that YAML reads back the same.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from tuneproof.artifacts import Record, Setting, TaskFile
from tuneproof.artifacts.case import PressureSection
from tuneproof.guess import Guess, value_of
from tuneproof.guess.words import slug
from tuneproof.task_comments import HEAD, KEYS, SECTIONS

WIDTH = 110
_LONGEST_LINE = 80
"""Characters of a text or a list that stays on one line."""
_EMPTY = ("title", "task.input", "task.output", "task.system_prompt", "data.source")
_FILL_IN = "fill this in; until then the file is refused"
_BLANK = "Fill in every value that is an empty text, then run `tuneproof init` again."


def task_yaml(guess: Guess) -> str:
    """Write a complete task.yaml from a guess, with the origin of each guessed value beside it."""
    values = {each.name: value_of(each) for each in guess.settings}
    origins = {each.name: _beside(each) for each in guess.settings}
    return _file(values, origins, guess.notes)


def blank_task_yaml(name: str, pressures: PressureSection | None = None) -> str:
    """Write a task.yaml to fill in: what only a person knows is an empty text, which is refused.

    Args:
        name: of the task, for example the folder's name; made a valid name.
        pressures: what is known of them already.
    """
    known = {"name": slug(name), "serving.model_name": slug(name), "data.licence": "unknown"}
    said = pressures.model_dump(exclude_defaults=True) if pressures else {}
    known |= {f"pressures.{key}": value for key, value in said.items()}
    return _file(known | dict.fromkeys(_EMPTY, ""), dict.fromkeys(_EMPTY, _FILL_IN), (_BLANK,))


def yaml_value(value: Any, *, indent: int = 0) -> str:
    """Write a value as it stands behind `key:` at `indent` spaces.

    A long text becomes a block where that keeps every character, else one quoted line.
    """
    if isinstance(value, str):
        for block in _blocks(value, indent + 2):
            if _reads_back(block, value, indent):
                return block
        return f" {_dumped(value)}"
    flow = _dumped(value)
    if value and (isinstance(value, Mapping) or (isinstance(value, Sequence) and len(flow) > _LONGEST_LINE)):
        return "\n" + textwrap.indent(_dumped(value, flow=False), " " * (indent + 2))
    return f" {flow}"


def _beside(setting: Setting) -> str:
    """Only what was concluded from the rows is a guess; a draft, a default and a gap say so themselves."""
    plain = setting.value is None or setting.origin.startswith(
        ("a draft", "a guess", "default", "--pairs", "the file")
    )
    return setting.origin if plain else f"guessed: {setting.origin}"


def _file(values: Mapping[str, Any], origins: Mapping[str, str], notes: Sequence[str]) -> str:
    lines = [*_comment(HEAD, 0)]
    if notes:
        lines += ["#", "# Look at these first:", *(line for note in notes for line in _noted(note))]
    lines.append("")
    for name, field in TaskFile.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, Record):
            lines += ["", *_comment(SECTIONS[name], 0), f"{name}:"]
            lines += _keys(model, f"{name}.", values, origins)
        else:
            lines += _key(name, name, values.get(name, field.default), origins)
    return "\n".join(lines) + "\n"


def _keys(
    model: type[Record], section: str, values: Mapping[str, Any], origins: Mapping[str, str]
) -> Iterator[str]:
    for key, field in model.model_fields.items():
        yield from _key(section + key, key, values.get(section + key, field.default), origins)


def _key(dotted: str, key: str, value: Any, origins: Mapping[str, str]) -> Iterator[str]:
    indent = 2 if "." in dotted else 0
    yield from _comment(KEYS.get(dotted, ""), indent)
    entry = " " * indent + f"{key}:{yaml_value(value, indent=indent)}"
    origin = _printable(origins.get(dotted, ""))
    if origin and "\n" not in entry and len(entry) + len(origin) + 4 <= WIDTH:
        yield f"{entry}  # {origin}"
        return
    yield from _comment(f"({origin})" if origin else "", indent)
    yield entry


def _comment(text: str, indent: int) -> Iterator[str]:
    margin = " " * indent + "# "
    for line in filter(None, text.split("\n")):
        if line.startswith("  "):
            yield f"{margin}{line}"
        else:
            yield from textwrap.wrap(_printable(line), WIDTH, initial_indent=margin, subsequent_indent=margin)


def _noted(note: str) -> list[str]:
    return textwrap.wrap(_printable(note), WIDTH, initial_indent="# - ", subsequent_indent="#   ")


def _printable(text: str) -> str:
    """Fold white space, and replace what would end the comment or may not be in YAML."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


class _Dumper(yaml.SafeDumper):
    """Writes a list or object that occurs twice out twice: anchors are not for a person to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Escape what YAML takes for a line break: PyYAML quotes some of them so that they become spaces."""
    style = '"' if any(c in text for c in "\n\r\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _dumped(value: Any, *, flow: bool = True) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.dump(
        plain, Dumper=_Dumper, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=10**9
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _blocks(text: str, indent: int) -> Iterator[str]:
    """Yield the blocks that a long text may be written as: its own lines, or one line that is wrapped."""
    margin = " " * indent
    if "\n" in text:
        body = text.rstrip("\n")
        ends = len(text) - len(body)
        mark = "-" if not ends else "" if ends == 1 else "+"  # how many line breaks end it
        yield f" |{mark}\n" + textwrap.indent(body, margin) + "\n" * max(0, ends - 1)
    elif len(text) > _LONGEST_LINE:
        wrapped = textwrap.fill(
            text, WIDTH - indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
        )
        yield " >-\n" + textwrap.indent(wrapped, margin)


def _reads_back(written: str, value: str, indent: int) -> bool:
    """Whether YAML reads the same text, between two other keys."""
    margin = " " * indent
    try:
        document = yaml.safe_load(f"{margin}first: 1\n{margin}key:{written}\n{margin}last: 2\n")
    except yaml.YAMLError:
        return False
    return bool(document == {"first": 1, "key": value, "last": 2})
