"""Reply × expected output → 1 if they are the same text after the declared normalisation, else 0."""

from __future__ import annotations

from tuneproof.metrics.base import Grade, Metric, Options
from tuneproof.metrics.text import folded


def _grade(reply: str, expected: str, options: Options) -> Grade:
    rules = options.section.normalise
    return Grade(float(folded(reply, rules) == folded(expected, rules)))


def _problem(expected: str, options: Options) -> str:
    return "" if folded(expected, options.section.normalise) else "is nothing after scoring.normalise"


EXACT_MATCH = Metric("exact match", _grade, problem=_problem)
