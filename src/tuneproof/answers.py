"""What a person says about a task, on a terminal or in a file → `pressures:`."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import reprlib
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from tuneproof.artifacts.case import PressureSection
from tuneproof.errors import BadInput

if TYPE_CHECKING:
    from yaml import MappingNode, Node

KEYS = tuple(PressureSection.model_fields)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\d{1,3}(?:,\d{3})+(?:\.\d+)?) ?(k|m)?", re.IGNORECASE)
_TIMES = {"": 1, "k": 1000, "m": 1_000_000}


class Question(NamedTuple):
    """One question of the interview."""

    key: str
    """Key of `pressures:` that the answer is for."""
    text: str
    form: str
    """How to answer, with what an empty line means."""
    after: tuple[str, ...] = ()
    """Asked only where one of these keys is true; empty: always asked."""

    def applies(self, said: Mapping[str, Any]) -> bool:
        """Whether it is asked, after what was said."""
        return not self.after or any(said.get(key) for key in self.after)


_YES_NO = "yes or no; empty: no"
_OPEN = "empty: not known"
QUESTIONS = (
    Question("goal", "Why do you want a tune, in your own words?", "one line; may be empty"),
    Question("documents", "Should the model know documents, products or policies?", _YES_NO),
    Question("fresh_facts", "Does the right answer depend on facts that change, or differ by user?", _YES_NO),
    Question("broad_reasoning", "Does the task need open-ended reasoning?", _YES_NO),
    Question("exact_format", "Must the output have one exact form that a prompt misses?", _YES_NO),
    Question(
        "own_label_scheme", "Do the labels follow a scheme of your own that a prompt conveys badly?", _YES_NO
    ),
    Question(
        "prompt_tried",
        "Was a prompt with examples and a schema tried, and does it fall short?",
        f"yes or no; {_OPEN}",
        ("exact_format", "own_label_scheme"),
    ),
    Question("high_volume", "Is it called so often that the price of a call adds up?", _YES_NO),
    Question(
        "calls_per_month", "How many calls a month?", f"as 2000000 or 2M; {_OPEN}", after=("high_volume",)
    ),
    Question(
        "usd_per_1000_calls",
        "What do a thousand calls cost today, in US dollars?",
        f"as 0.40; {_OPEN}",
        after=("high_volume",),
    ),
    Question("low_latency", "Are answers needed faster than an API gives them?", _YES_NO),
    Question("latency_ms", "Within how many milliseconds?", f"as 200; {_OPEN}", after=("low_latency",)),
    Question("privacy", "Must the inputs stay in the house?", _YES_NO),
)
"""In the order in which they are asked; every key of `pressures:` has one."""


def value_of(question: Question, text: str) -> Any:
    """Read one answer.

    Raises:
        ValueError: it is none; the text says what one looks like.
    """
    text = text.strip()
    value = _plain(question, text)
    try:
        PressureSection.model_validate({question.key: value})
    except ValidationError as error:
        raise ValueError(f"{_said(error.errors()[0])}: {reprlib.repr(text)}") from error
    return value


def _plain(question: Question, text: str) -> Any:
    default = PressureSection.model_fields[question.key].default
    if question.key == "goal" or not text:
        return text or default
    if question.form.startswith("yes"):
        return _yes(text)
    return _number(text)


def _yes(text: str) -> bool:
    if text.lower() in {"y", "yes", "true"}:
        return True
    if text.lower() in {"n", "no", "false"}:
        return False
    raise ValueError(f"answer yes or no, not {reprlib.repr(text)}")


def _number(text: str) -> int | float:
    """`2,5` is no number here: whether it is 2.5 or 25 is not for us to guess."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"answer with a number such as 2000000, 2M or 0.40, not {reprlib.repr(text)}")
    number = Decimal(found[1].replace(",", "")) * _TIMES[(found[2] or "").lower()]
    return int(number) if number == number.to_integral_value() else float(number)


def with_goal(pressures: PressureSection, goal: str | None) -> PressureSection:
    """Put `goal` in the place of the goal, if there is one.

    Raises:
        BadInput: it is empty or no text.
    """
    if goal is None:
        return pressures
    try:
        goal.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadInput("--goal is not UTF-8.", remedy="Write the goal into a file: --answers FILE") from error
    if not goal.strip():
        raise BadInput("--goal is empty.", remedy='Say why: --goal "so it knows our product docs"')
    return pressures.model_copy(update={"goal": goal.strip()})


def read_answers(data: bytes, shown: str) -> PressureSection:
    """Read a file whose keys are those of `pressures:`, YAML or JSON.

    Raises:
        BadInput: it cannot be read, a key is unknown or occurs twice, or a value is not what it must be.
    """
    text = _decoded(data, shown)
    if text.lstrip().startswith("{"):  # YAML reads most of JSON, but no tabs and no pairs of surrogates
        with contextlib.suppress(ValueError, RecursionError):
            return _checked(_json_rows(text), shown, "")
    return _section(_composed(text, shown), shown, "")


def read_task_pressures(data: bytes, shown: str) -> PressureSection:
    """Read `pressures:` of a task.yaml whose other sections may still be open.

    Raises:
        BadInput: it is no YAML, or that section is missing or wrong; every problem is named with its line.
    """
    root = _composed(_decoded(data, shown), shown)
    found = next((value for key, value in _pairs(root) if key.value == "pressures"), None)
    if found is None:
        raise BadInput(
            f"{shown} has no `pressures:`, so nothing is said about why a tune could pay.",
            remedy=f"Add `pressures:` to {shown}, with one of its keys: {', '.join(KEYS)}.",
        )
    return _section(found, shown, "pressures.")


def _json_rows(text: str) -> list[tuple[str, Any, str]]:
    return [(key, value, "") for key, value in json.loads(text, object_pairs_hook=list)]


def _decoded(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{shown} is not UTF-8: byte 0x{data[error.start]:02x} at place {error.start + 1}.",
            remedy="Save it as UTF-8 and run the command again.",
        ) from error


def _composed(text: str, shown: str) -> Node | None:
    import yaml

    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadInput(
            f"{shown} is not YAML: {said}", remedy="Mend that line and run the command again."
        ) from error


def _pairs(node: Node | None) -> list[tuple[Node, Node]]:
    from yaml import MappingNode

    return list(node.value) if isinstance(node, MappingNode) else []


def _section(node: Node | None, shown: str, prefix: str) -> PressureSection:
    from yaml import MappingNode

    if not isinstance(node, MappingNode):
        line = node.start_mark.line + 1 if node else 1
        raise BadInput(
            f"{shown}:{line}: {prefix.rstrip('.') or 'the file'} holds no keys with values.",
            remedy=f"Write `key: value` lines; the keys are {', '.join(KEYS)}.",
        )
    return _checked(_rows(node, shown), shown, prefix)


def _rows(node: MappingNode, shown: str) -> list[tuple[str, Any, str]]:
    import yaml

    loader, rows = yaml.SafeLoader(""), []
    for key, value in _pairs(node):
        line = key.start_mark.line + 1
        try:
            rows.append((str(key.value), loader.construct_document(value), f":{line}"))
        except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
            # PyYAML lets the ValueError of 2024-13-01 and the KeyError of `!!bool x` through.
            raise BadInput(
                f"{shown}:{line}: {key.value}: this value cannot be read: {error}",
                remedy="Mend that line and run the command again.",
            ) from error
    return rows


def _checked(rows: list[tuple[str, Any, str]], shown: str, prefix: str) -> PressureSection:
    """Check every key and value: (key, value, its line as `:7`)."""
    problems, values = [], {}
    for key, value, line in rows:
        place = f"{shown}{line}: {prefix}{key[:60]}"
        if key not in KEYS:
            problems.append(f"{place}: unknown key{_hint(key)}")
        elif key in values:
            problems.append(f"{place}: this key occurs twice")
        else:
            values[key] = value
            problems += [f"{place}: {said}" for said in _wrong(key, value)]
    if problems:
        raise BadInput("\n".join(problems), remedy="Mend these places and run the command again.")
    return PressureSection.model_validate(values)


def _wrong(key: str, value: Any) -> list[str]:
    try:
        PressureSection.model_validate({key: value})
        str(value).encode("utf-8")
    except ValidationError as error:
        return [f"{_said(each)} (is {reprlib.repr(value)})" for each in error.errors()[:1]]
    except UnicodeEncodeError:
        return ["holds half a character, which no file can hold"]
    return []


def _said(problem: Any) -> str:
    return str(problem["msg"]).removeprefix("Value error, ")


def _hint(key: str) -> str:
    near = difflib.get_close_matches(key, KEYS, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(KEYS)}"
