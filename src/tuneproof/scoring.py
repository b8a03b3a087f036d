"""Reply × expected → Score: the only place that says what counts as correct."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tuneproof.artifacts import Confusion, Figure, Reply, Score, TaskFile
from tuneproof.metrics import metric_of
from tuneproof.metrics.base import Metric, Options, Texts
from tuneproof.metrics.text import normalise

__all__ = ["Scorer", "confusion_of", "expected_problem", "figures_of", "normalise", "score", "scorer_of"]

_ROUNDING = 1e-12
"""Sums of binary fractions may fall short of a threshold by less than this."""


class Scorer(NamedTuple):
    """A task's rules for what counts."""

    metric: Metric
    options: Options
    answer_pattern: str = ".+"
    """A well-formed reply matches it in full, white space folded."""
    right_at: float = 1.0
    """Value from which a reply counts as right."""
    refusal: str = "(?!)"
    """Searched without regard to case; finds nothing unless a task says so."""


def scorer_of(
    task_file: TaskFile,
    *,
    schema: dict[str, Any] | None = None,
    own: Callable[..., Any] | None = None,
) -> Scorer:
    """Collect the rules that task.yaml sets.

    Args:
        task_file: the task.
        schema: the JSON Schema, where task.yaml names a file; one that stands inline is taken from there.
        own: the user's function, where the metric is `module:function`.
    """
    task, section = task_file.task, task_file.scoring
    if schema is None and isinstance(section.json_schema, dict):
        schema = section.json_schema
    return Scorer(
        metric=metric_of(task.metric),
        options=Options(section=section, schema=schema, own=own),
        answer_pattern=task.answer_pattern,
        right_at=1.0 if section.right_at is None else section.right_at,
        refusal=section.refusal_pattern,
    )


def score(reply: Reply, expected: str, scorer: Scorer) -> Score:
    """Score one reply.

    A reply that the token limit cut, that is empty, that does not match the answer pattern in full, or that
    the metric cannot read is a parse failure; whether it is correct is decided by the text alone. A refusal
    is a reply in which the refusal pattern is found and that is not correct.

    Raises:
        BadInput: the task's own function or schema cannot judge this reply.
    """
    text = normalise(reply.text)
    grade = scorer.metric.grade(reply.text, expected, scorer.options)
    correct = grade.value >= scorer.right_at - _ROUNDING
    well_formed = reply.finish == "stop" and grade.parsed and _matches(text, scorer)
    return Score(
        item_id=reply.item_id,
        correct=correct,
        parse_failure=not text or not well_formed,
        value=grade.value,
        empty=not text,
        refusal=not correct and _refuses(text, scorer),
    )


def _matches(text: str, scorer: Scorer) -> bool:
    return re.fullmatch(scorer.answer_pattern, text) is not None


def _refuses(text: str, scorer: Scorer) -> bool:
    straight = text.replace("\u2019", "'")
    return bool(text) and re.search(scorer.refusal, straight, re.IGNORECASE) is not None


def expected_problem(expected: str, scorer: Scorer) -> str:
    """Say why a text cannot be an expected output, to be read after its name; empty if it can."""
    text = normalise(expected)
    if not text:
        return "is empty"
    problem = scorer.metric.problem(expected, scorer.options)
    if problem:
        return problem
    if not _matches(text, scorer):
        return f"does not match task.answer_pattern {scorer.answer_pattern!r}"
    value = scorer.metric.grade(expected, expected, scorer.options).value
    if value < scorer.right_at - _ROUNDING:
        return f"as a reply to itself has the value {value:g}, so no reply could be right"
    return ""


def figures_of(scorer: Scorer, replies: Sequence[Reply], expected: Sequence[str]) -> tuple[Figure, ...]:
    """Return what the metric says over the whole test, beside the share that is right.

    Args:
        scorer: the rules.
        replies: one an item.
        expected: the expected outputs, in the same order.
    """
    return scorer.metric.figures(_texts(replies, expected), scorer.options)


def confusion_of(scorer: Scorer, replies: Sequence[Reply], expected: Sequence[str]) -> Confusion | None:
    """Return expected labels against replied ones, if the metric knows labels and they are few enough."""
    return scorer.metric.confusion(_texts(replies, expected), scorer.options)


def _texts(replies: Sequence[Reply], expected: Sequence[str]) -> Texts:
    return [(reply.text, text) for reply, text in zip(replies, expected, strict=True)]
