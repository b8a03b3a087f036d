"""Reply × expected output → F1 of their `Label: value` lines, in any order."""

from __future__ import annotations

import re
from collections import Counter

from tuneproof.artifacts import Figure
from tuneproof.metrics.base import Grade, Metric, Options, Texts
from tuneproof.metrics.overlap import Parts, named_figures, overlap, overlap_figures
from tuneproof.metrics.text import folded

# The colon ends the label only before white space or at the end: `12:30` and `https://…` hold none.
_LINE = re.compile(r"(\S.*?)\s*:(?:\s+(.*))?")


def _lines(text: str, options: Options) -> Parts | str:
    """Return the lines, the same one twice as two; or what stands against the text."""
    rules, closed = options.section.normalise, options.section.labels
    allowed = {folded(label, rules) for label in closed}
    parts: Parts = Counter()
    for line in filter(None, map(str.strip, re.split(r"[\r\n]+", text))):
        match = _LINE.fullmatch(line)
        if match is None:
            return f"has a line that is no `Label: value`: {line[:80]!r}"
        label, value = folded(match[1], rules), folded(match[2] or "", rules)
        if allowed and label not in allowed:
            return f"has the label {match[1]!r}, which is not in scoring.labels: {', '.join(closed)}"
        parts[label, value] += 1
    return parts if parts else "has no `Label: value` line"


def _grade(reply: str, expected: str, options: Options) -> Grade:
    replied, wanted = _lines(reply, options), _lines(expected, options)
    if isinstance(replied, str) or isinstance(wanted, str):
        return Grade(0.0, parsed=not isinstance(replied, str))
    return Grade(overlap(replied, wanted).f1)


def _problem(expected: str, options: Options) -> str:
    found = _lines(expected, options)
    return found if isinstance(found, str) else ""


def _figures(texts: Texts, options: Options) -> tuple[Figure, ...]:
    if not texts:
        return ()
    read = [(_lines(reply, options), _lines(expected, options)) for reply, expected in texts]
    pairs = [(_or_nothing(reply), _or_nothing(expected)) for reply, expected in read]
    formed = sum(not isinstance(reply, str) for reply, _ in read) / len(read)
    share = Figure(name="replies made of such lines", value=formed, n=len(read))
    return (share, *overlap_figures(pairs, "lines"), *named_figures(pairs))


def _or_nothing(found: Parts | str) -> Parts:
    return Counter() if isinstance(found, str) else found


LABELLED_LINES = Metric(
    "labelled lines",
    _grade,
    graded=True,
    value_name="line F1",
    all_right="all lines right",
    problem=_problem,
    figures=_figures,
)
