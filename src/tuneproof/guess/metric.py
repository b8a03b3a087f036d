"""The outputs of all pairs → the metric that fits them, its options, and which outputs do not fit.

The detectors go from the strictest form to the loosest; the first that fits nine tenths of the outputs wins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from tuneproof.artifacts.case import ScoringSection
from tuneproof.guess.schema import enums_of, json_object, schema_of
from tuneproof.metrics import metric_of
from tuneproof.metrics.base import Options
from tuneproof.metrics.text import normalise

MOST = 0.9
"""Share of the outputs that must have a form before it is taken for the form of the task."""
LABELS, LABEL_ROWS = 30, 5
"""A closed list has at most so many labels, with at least so many rows each on average."""
SCALE = 12
"""Whole numbers with at most so many values are steps of a scale, which are labels."""
SHORT_WORDS = 12
RIGHT_AT = 0.6
"""chrF from which free text counts as right, until a person decides."""

ANY_REPLY = (".+", "default: any reply that is not empty")

_LINE = re.compile(r"([^\W\d_][\w /()-]{0,39}):(?:\s.*|)")
_DECIMALS = re.compile(r"\.([0-9]+)")
_PATTERNS = (
    ("a date such as 2024-05-31", r"\d{4}-\d{2}-\d{2}"),
    ("one word", r"\S+"),
)
_PATTERN_ROWS = 50
"""Outputs that must all match before a narrower pattern is believed."""
_SHORT_MEMBER, _LARGE_SET = 4, 40
"""Most words of a member of a set, and most members."""


class MetricGuess(NamedTuple):
    """What counts as right, as far as outputs alone can say."""

    metric: str
    why: str
    """With the counts that it rests on."""
    odd: tuple[int, ...] = ()
    """Places of outputs that do not have the form of the others."""
    scoring: tuple[tuple[str, Any, str], ...] = ()
    """(option, value, why) of the section `scoring`."""
    answer_pattern: tuple[str, str] = ANY_REPLY
    notes: tuple[str, ...] = ()


def guess_metric(outputs: Sequence[str]) -> MetricGuess:
    """Choose the metric for at least one output."""
    texts = [output.strip() for output in outputs]
    detectors: tuple[Callable[[list[str]], MetricGuess | None], ...] = (
        _json_fields,
        _labelled_lines,
        _numbers,
        _sets,
        _labels,
        _short,
    )
    for detect in detectors:
        if found := detect(texts):
            return found
    return _free_text(texts)


def of(part: int, whole: int, what: str) -> str:
    """Say a share, for example `all 812 outputs` or `797 of 812 outputs`."""
    return f"all {whole:,} {what}" if part == whole and whole > 1 else f"{part:,} of {whole:,} {what}"


def _json_fields(texts: list[str]) -> MetricGuess | None:
    objects = [json_object(text) for text in texts]
    good = [each for each in objects if each is not None]
    if not good or len(good) < MOST * len(texts):
        return None
    schema = schema_of(good)
    closed = [f"{place} ({len(values)} values)" for place, values in enums_of(schema)]
    notes = (
        (f"The schema closes these lists to the values seen: {', '.join(closed)}. Add values that may come.",)
        if closed
        else ()
    )
    return MetricGuess(
        "json fields",
        f"{of(len(good), len(texts), 'outputs')} are JSON objects",
        tuple(place for place, each in enumerate(objects) if each is None),
        (("json_schema", schema, f"what {of(len(good), len(good), 'JSON outputs')} have in common"),),
        notes=notes,
    )


def _labelled_lines(texts: list[str]) -> MetricGuess | None:
    rows = [_line_labels(text) for text in texts]
    counts = Counter(label for row in rows if row for label in set(row))
    known = {label for label, seen in counts.items() if seen >= max(min(2, len(texts)), len(texts) // 20)}
    fits = [row is not None and set(row) <= known for row in rows]
    # One line with a colon proves nothing: several lines, or one label that always comes, do.
    several = sum(row is not None and len(row) > 1 for row in rows) >= len(texts) / 2
    constant = any(seen >= MOST * len(texts) for seen in counts.values()) and len(texts) > 1
    if sum(fits) < MOST * len(texts) or not (several or constant):
        return None
    shown = ", ".join(sorted(known, key=lambda label: (-counts[label], label))[:6])
    return MetricGuess(
        "labelled lines",
        f"{of(sum(fits), len(texts), 'outputs')} are `Label: value` lines ({shown})",
        tuple(place for place, fit in enumerate(fits) if not fit),
    )


def _line_labels(text: str) -> list[str] | None:
    matches = [_LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    labels = [match.group(1) for match in matches if match]
    return labels if labels and len(labels) == len(matches) else None


def _numbers(texts: list[str]) -> MetricGuess | None:
    metric, options = metric_of("numeric tolerance"), Options(ScoringSection())
    places = [place for place, text in enumerate(texts) if not metric.problem(text, options)]
    if len(places) < MOST * len(texts):
        return None
    numbers = [texts[place] for place in places]
    whole = not any(_DECIMALS.search(text) for text in numbers)
    if whole and len(places) == len(texts) and len(set(numbers)) <= SCALE and _repeat(numbers):
        return _labels(texts)
    digits = min(12, max((len(found[1]) for text in numbers if (found := _DECIMALS.search(text))), default=0))
    why = "the outputs are whole numbers" if whole else f"half of the last of {digits} decimals"
    return MetricGuess(
        "numeric tolerance",
        f"{of(len(places), len(texts), 'outputs')} are numbers",
        tuple(sorted(set(range(len(texts))) - set(places))),
        (("tolerance", 0.0 if whole else 0.5 / 10**digits, why),),
        notes=() if whole else ("How far off a number may be is your decision: scoring.tolerance.",),
    )


def _repeat(texts: Sequence[str]) -> bool:
    return len(texts) >= LABEL_ROWS * len(set(texts))


def _sets(texts: list[str]) -> MetricGuess | None:
    for separator in (",", ";", "|"):
        rows = [[normalise(part) for part in text.split(separator)] for text in texts]
        several = sum(len(row) > 1 for row in rows)
        if several < 0.3 * len(rows) or several < 2:
            continue
        fits = _set_rows(rows)
        if sum(fits) >= MOST * len(rows) and _order_is_free(
            [row for row, fit in zip(rows, fits, strict=True) if fit]
        ):
            members = {part for row, fit in zip(rows, fits, strict=True) if fit for part in row}
            return MetricGuess(
                "set match",
                f"{of(sum(fits), len(rows), 'outputs')} are lists from {len(members)} shared short names, "
                f"{several:,} with more than one",
                tuple(place for place, fit in enumerate(fits) if not fit),
                (("separator", separator, f"{several:,} outputs hold it"),),
                notes=("With set match the order of the names does not count. If it does, use exact match.",),
            )
    return None


def _set_rows(rows: list[list[str]]) -> list[bool]:
    """Say of each row whether its members are short, differ, and also occur in other rows."""
    counts = Counter(part for row in rows for part in set(row))
    return [
        len(set(row)) == len(row) <= _LARGE_SET
        and all(part and counts[part] > 1 and len(part.split()) <= _SHORT_MEMBER for part in row)
        for row in rows
    ]


def _order_is_free(rows: list[list[str]]) -> bool:
    """Tell a set from a sequence: the members are sorted, or the same two come in both orders.

    `Paris, France` always has one order, which is not the alphabet's: that is a name and no set.
    """
    several = [row for row in rows if len(row) > 1]
    alphabetical = sum(row == sorted(row, key=str.casefold) for row in several)
    if alphabetical >= MOST * len(several):
        return len({tuple(row) for row in several}) > 1
    seen = {pair for row in several for pair in combinations(row, 2)}
    both = sum((second, first) in seen for first, second in seen)
    return both >= 0.2 * len(seen)


def _labels(texts: list[str]) -> MetricGuess | None:
    labels = [normalise(text) for text in texts]
    counts = Counter(labels)
    fit = all(label and len(label.split()) <= SHORT_WORDS for label in counts)
    if len(counts) > LABELS or not fit or not _repeat(labels) or any("\n" in text for text in texts):
        return None
    rare = sum(seen < LABEL_ROWS for seen in counts.values())
    notes = []
    if rare:
        notes.append(
            f"{rare} of {len(counts)} labels have fewer than {LABEL_ROWS} rows: hardly learned or tested."
        )
    folded = Counter(map(str.casefold, counts))
    if alike := [label for label, seen in folded.items() if seen > 1]:
        notes.append(
            f"Labels that differ only in case count as different ({', '.join(sorted(alike)[:5])}): "
            "mend the data, or set scoring.normalise: [case]."
        )
    if len(counts) == 1:
        notes.append("Every output is the same: there is nothing to learn.")
    return MetricGuess(
        "label accuracy",
        f"{of(len(texts), len(texts), 'outputs')} come from {len(counts)} short labels",
        scoring=(
            (
                "labels",
                sorted(counts),
                f"every output that occurs; the commonest has {max(counts.values()):,} rows",
            ),
        ),
        notes=tuple(notes),
    )


def _short(texts: list[str]) -> MetricGuess | None:
    short = sum(len(text.split()) <= SHORT_WORDS and "\n" not in text for text in texts)
    if short < MOST * len(texts):
        return None
    return MetricGuess(
        "exact match",
        f"{of(short, len(texts), 'outputs')} are one line of at most {SHORT_WORDS} words",
        tuple(place for place, text in enumerate(texts) if not text),
        answer_pattern=_pattern(texts),
    )


def _pattern(texts: list[str]) -> tuple[str, str]:
    if len(texts) >= _PATTERN_ROWS:
        for what, pattern in _PATTERNS:
            if all(re.fullmatch(pattern, text) for text in texts):
                return pattern, f"all {len(texts):,} outputs are {what}"
    return ANY_REPLY


def _free_text(texts: list[str]) -> MetricGuess:
    words = sorted(len(text.split()) for text in texts)
    return MetricGuess(
        "chrF",
        f"the outputs are free text, {words[len(words) // 2]:,} words at the median",
        tuple(place for place, text in enumerate(texts) if not text),
        (("right_at", RIGHT_AT, "a placeholder; nothing in the data says what is good enough"),),
        notes=(
            f"DECIDE: scoring.right_at {RIGHT_AT} is a placeholder, and the gate counts a reply as right "
            "from this chrF on. Take ten pairs, write the worst answer that you would accept for each, and "
            "set it there.",
            *_why_no_stricter(texts),
        ),
    )


def _why_no_stricter(texts: list[str]) -> list[str]:
    fenced = sum(text.startswith("```") for text in texts)
    objects = sum(json_object(text) is not None for text in texts)
    notes = []
    if fenced >= len(texts) / 2:
        notes.append(
            f"{fenced:,} of {len(texts):,} outputs are in ``` fences: take them out, then run init again."
        )
    if objects:
        notes.append(
            f"{objects:,} of {len(texts):,} outputs are JSON objects, fewer than {MOST:.0%}. "
            "If all should be, mend the others and run init again."
        )
    return notes
