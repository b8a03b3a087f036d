"""Reply × expected output → 1 if both are the same label, else 0; over the test, macro-F1 and confusion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tuneproof.artifacts import Confusion, Figure
from tuneproof.metrics.base import Grade, Metric, Options, Texts
from tuneproof.metrics.overlap import Overlap
from tuneproof.metrics.text import folded

FEWEST_ITEMS = 10
"""Items that a label needs in the test for a recall of its own."""
MOST_LABELS = 30
"""Labels beyond which a confusion matrix is no longer readable, and is left out."""
OTHER = "(other)"


def _label(text: str, options: Options) -> str:
    return folded(text, options.section.normalise)


def _closed(options: Options) -> dict[str, str]:
    """Labels of the closed list as compared → as written."""
    return {_label(label, options): label for label in options.section.labels}


def _grade(reply: str, expected: str, options: Options) -> Grade:
    label, closed = _label(reply, options), _closed(options)
    if closed and label not in closed:
        return Grade(0.0, parsed=False)
    return Grade(float(label == _label(expected, options)))


def _problem(expected: str, options: Options) -> str:
    label, closed = _label(expected, options), _closed(options)
    if not label:
        return "is nothing after scoring.normalise"
    return f"is not in scoring.labels: {', '.join(closed.values())}" if closed and label not in closed else ""


def _pairs(texts: Texts, options: Options) -> list[tuple[str, str]]:
    return [(_label(reply, options), _label(expected, options)) for reply, expected in texts]


def _names(texts: Texts, options: Options) -> dict[str, str]:
    """Labels of the test as compared → as shown: in the order of the closed list, else sorted."""
    seen: dict[str, str] = {}
    for _, expected in texts:
        seen.setdefault(_label(expected, options), " ".join(expected.split()))
    closed = _closed(options)
    ordered = [label for label in closed if label in seen]
    return {label: closed.get(label, seen[label]) for label in ordered + sorted(set(seen) - set(closed))}


def _figures(texts: Texts, options: Options) -> tuple[Figure, ...]:
    if not texts:
        return ()
    pairs, names = _pairs(texts, options), _names(texts, options)
    counts = _counts(pairs, list(names))
    macro = sum(count.f1 for count in counts) / len(counts)
    recalls = (
        Figure(name=f"recall of {name}", value=count.recall, n=count.expected)
        for name, count in zip(names.values(), counts, strict=True)
        if count.expected >= FEWEST_ITEMS
    )
    return (Figure(name="macro-F1 of the labels in the test", value=macro, n=len(pairs)), *recalls)


def _counts(pairs: Sequence[tuple[str, str]], labels: Sequence[str]) -> list[Overlap]:
    right = Counter(expected for reply, expected in pairs if reply == expected)
    replied, expected = Counter(reply for reply, _ in pairs), Counter(expected for _, expected in pairs)
    return [Overlap(right[label], replied[label], expected[label]) for label in labels]


def _confusion(texts: Texts, options: Options) -> Confusion | None:
    names = _names(texts, options)
    if not 0 < len(names) <= MOST_LABELS:
        return None
    index = {label: number for number, label in enumerate(names)}
    counts = [[0] * (len(names) + 1) for _ in range(len(names) + 1)]
    for reply, expected in _pairs(texts, options):
        counts[index[expected]][index.get(reply, len(names))] += 1
    return Confusion(labels=(*names.values(), OTHER), counts=tuple(map(tuple, counts)))


LABEL_ACCURACY = Metric("label accuracy", _grade, problem=_problem, figures=_figures, confusion=_confusion)
