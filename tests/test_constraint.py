from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tuneproof.artifacts import TaskFile
from tuneproof.constraint import Constraint, constraint_of
from tuneproof.metrics import metric_of
from tuneproof.metrics.base import Options

SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


def task_file(metric: str = "exact match", pattern: str = ".+", **scoring: Any) -> TaskFile:
    return TaskFile.model_validate(
        {
            "name": "sample",
            "title": "Texts to labels",
            "pressures": {"exact_format": True},
            "task": {
                "input": "a text",
                "output": "its label",
                "system_prompt": "Name it.",
                "metric": metric,
                "answer_pattern": pattern,
            },
            "scoring": scoring,
            "data": {"source": "pairs.jsonl", "licence": "MIT"},
            "serving": {"model_name": "sample"},
        }
    )


def test_json_fields_are_held_to_the_schema_wherever_it_stands() -> None:
    assert constraint_of(task_file("json fields"), SCHEMA) == Constraint("json schema", json_schema=SCHEMA)
    inline = constraint_of(task_file("json fields", json_schema=SCHEMA), None)
    assert inline == Constraint("json schema", json_schema=SCHEMA)


def test_a_schema_of_another_metric_holds_nothing() -> None:
    assert (
        constraint_of(task_file("exact match", json_schema=SCHEMA), SCHEMA) == "the pattern allows any text"
    )


def test_labels_are_held_to_the_closed_list_as_they_are_compared() -> None:
    held = constraint_of(task_file("label accuracy", labels=["a+b", "very  good", 'say "no"']), None)
    assert isinstance(held, Constraint) and held.kind == "labels"
    assert held.grammar == 'root ::= r0\nr0 ::= "a+b" | "very good" | "say \\x22no\\x22"\n'


def test_every_label_of_the_grammar_is_one_for_the_scorer() -> None:
    file = task_file("label accuracy", labels=["Über uns", "a|b", "C#", "1.0"])
    held = constraint_of(file, None)
    assert isinstance(held, Constraint) and held.grammar
    found = [json.loads(text.replace("\\x", "\\u00")) for text in re.findall(r'"[^"]*"', held.grammar)]
    assert len(found) == 4
    for label in found:
        grade = metric_of("label accuracy").grade(label, label, Options(section=file.scoring))
        assert grade.parsed and grade.value == 1


@pytest.mark.parametrize(
    "metric", ["exact match", "set match", "metrics_of_mine:closeness", "label accuracy"]
)
def test_other_metrics_are_held_to_the_answer_pattern(metric: str) -> None:
    held = constraint_of(task_file(metric, "yes|no"), None)
    assert held == Constraint("pattern", grammar='root ::= r0\nr0 ::= "yes" | "no"\n')


def test_lines_may_be_lines_only_where_the_metric_reads_lines() -> None:
    lines = constraint_of(task_file("labelled lines", "A: x B: y"), None)
    assert isinstance(lines, Constraint) and lines.grammar and r"[ \n]" in lines.grammar
    text = constraint_of(task_file("exact match", "A: x B: y"), None)
    assert isinstance(text, Constraint) and text.grammar == 'root ::= "A: x B: y"\n'


def test_without_a_constraint_there_is_a_reason() -> None:
    assert constraint_of(task_file(), None) == "the pattern allows any text"
    said = constraint_of(task_file(pattern=r"(\w)\1"), None)
    assert said == "the pattern refers back to a group, which no grammar can say"
