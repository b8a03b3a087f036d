"""The task → what holds its replies to the form of an answer: a JSON Schema or a grammar."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from tuneproof.artifacts import TaskFile
from tuneproof.gbnf import gbnf_of
from tuneproof.metrics.text import normalise


class Constraint(NamedTuple):
    """The form of an answer, as the local engine enforces it."""

    kind: Literal["json schema", "labels", "pattern"]
    json_schema: dict[str, Any] | None = None
    """Of `json schema`; APIs get the same one."""
    grammar: str | None = None
    """GBNF of `labels` and `pattern`, llama.cpp's own notation (grammars/README.md there)."""


def constraint_of(task_file: TaskFile, schema: dict[str, Any] | None) -> Constraint | str:
    """Return what holds replies to the task's form of an answer, or why nothing does.

    A constraint splits a gain into form and content; it is no cure. It makes a wrong answer look well formed:
    a model that would have said that it does not know must now name something. Give the labels, the schema or
    the pattern a way to say `unknown` if that is an answer.

    Args:
        task_file: the task; a metric of the user's own is held to `task.answer_pattern`.
        schema: the JSON Schema, where task.yaml names a file; one that stands inline is taken from there.
    """
    task, section = task_file.task, task_file.scoring
    if schema is None and isinstance(section.json_schema, dict):
        schema = section.json_schema
    if task.metric == "json fields" and schema is not None:
        return Constraint("json schema", json_schema=schema)
    labels = task.metric == "label accuracy" and section.labels
    pattern = _one_of(section.labels) if labels else task.answer_pattern
    try:
        # The labels of this metric stand at the beginning of lines; elsewhere a line break is a space.
        grammar = gbnf_of(pattern, newlines=task.metric == "labelled lines")
    except ValueError as problem:
        return str(problem)
    return Constraint("labels" if labels else "pattern", grammar=grammar)


def _one_of(labels: tuple[str, ...]) -> str:
    return "|".join(re.escape(label) for label in dict.fromkeys(map(normalise, labels)) if label)
