"""Reply × expected output → F1 of their members, as sets split by `scoring.separator`."""

from __future__ import annotations

import re
from collections import Counter

from tuneproof.artifacts import Figure
from tuneproof.metrics.base import Grade, Metric, Options, Texts
from tuneproof.metrics.overlap import Parts, overlap, overlap_figures
from tuneproof.metrics.text import folded, normalise


def _members(text: str, options: Options) -> Parts:
    """Members that are empty, or the same as another, do not count."""
    separator = options.section.separator
    # ` OR ` also separates where the model broke the line; a separator that is a line break needs the lines.
    text = text if re.search(r"[^\S ]|  ", separator) else f" {normalise(text)} "
    members = {folded(member, options.section.normalise) for member in text.split(separator)}
    return Counter(("", member) for member in members - {""})


def _grade(reply: str, expected: str, options: Options) -> Grade:
    return Grade(overlap(_members(reply, options), _members(expected, options)).f1)


def _problem(expected: str, options: Options) -> str:
    return "" if _members(expected, options) else f"has no member beside {options.section.separator!r}"


def _figures(texts: Texts, options: Options) -> tuple[Figure, ...]:
    pairs = [(_members(reply, options), _members(expected, options)) for reply, expected in texts]
    return overlap_figures(pairs, "members")


SET_MATCH = Metric(
    "set match",
    _grade,
    graded=True,
    value_name="member F1",
    all_right="equal sets",
    problem=_problem,
    figures=_figures,
)
