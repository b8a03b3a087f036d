"""A frozen split → the data report: leaks, secrets and personal data, labels, lengths, sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tuneproof.artifacts import Case, Split, SplitRow
from tuneproof.artifacts.data_report import (
    Bucket,
    Contradiction,
    DataReport,
    FoundCount,
    FoundRow,
    Layer,
    Lengths,
    Longest,
    Part,
    RareLabel,
)
from tuneproof.grouping import Shown, excerpt
from tuneproof.leaks import layers, nearest_by_tfidf
from tuneproof.scan import PERSONAL, scan_text
from tuneproof.statistics import minimum_detectable_gain
from tuneproof.twins import NEAR, similar_pairs, words

FEW, MANY = 300, 1_000
"""Pairs below which a warning says what can be shown and above which a note is due."""
RARE = 3
"""Rows below which a label is hardly learnt."""
MOST_CONTRADICTIONS = 100
_BUCKETS, _LONGEST, _OUTPUT = 10, 5, 120
_PARTS: tuple[Part, ...] = ("train", "dev", "test")


def data_report(case: Case, split: Split, *, shown: Shown) -> DataReport:
    """Look at every frozen pair.

    Args:
        case: level of the gate, and whether templates must stay together.
        split: the frozen pairs.
        shown: few-shot examples and prompt text, which count as training data (`freeze.shown_in`).
    """
    parts: dict[Part, tuple[SplitRow, ...]] = {
        "train": split.train.pairs,
        "dev": split.dev.pairs,
        "test": split.test.items,
    }
    rows = [row for part in _PARTS for row in parts[part]]
    others = [*parts["dev"], *parts["train"]]
    dev = len(parts["dev"])
    together = case.task_file.split.same_template == "together"
    found_layers = layers(parts["test"], others, dev=dev, shown=shown, by_template=together)
    found_rows = tuple(_found(parts))
    against = contradictions(rows)
    rare = rare_labels([row.output for row in rows])
    gain = _gain(len(parts["test"]), case.task_file.gate.alpha)
    return DataReport(
        train=len(parts["train"]),
        dev=dev,
        test=len(parts["test"]),
        detectable_gain=gain,
        warnings=(
            *_size_warnings(len(rows), len(parts["test"]), gain),
            *_leak_warnings(found_layers),
            *_found_warnings(found_rows),
            *_label_warnings(against, rare),
        ),
        notes=_notes(len(rows), found_layers, parts["test"]),
        layers=found_layers,
        nearest=nearest_by_tfidf(parts["test"], others, dev=dev),
        found=_counts(found_rows),
        found_rows=found_rows,
        contradictions=tuple(against[:MOST_CONTRADICTIONS]),
        contradicting=len(against),
        rare_labels=rare,
        lengths=tuple(_lengths(rows)),
    )


def _gain(test: int, alpha: float) -> float | None:
    try:
        return minimum_detectable_gain(test, alpha=alpha)
    except ValueError:
        return None


def _size_warnings(pairs: int, test: int, gain: float | None) -> Iterator[str]:
    if pairs < FEW:
        shown = "no gain of any size" if gain is None else f"only a gain of {gain * 100:.1f} points or more"
        yield (
            f"{pairs} pairs are few: with {test} test items {shown} would be found (80 % power). From {FEW} "
            "pairs on the test is large enough for most gains that pay."
        )


def _leak_warnings(found: Sequence[Layer]) -> Iterator[str]:
    for layer in found:
        if not (layer.refuses and layer.rows):
            continue
        first = layer.pairs[0].test_id
        what = f"{layer.rows} test rows leak by the layer {layer.name!r} ({layer.rule}), first {first!r}"
        if layer.name == "shown":
            yield (
                f"{what}; this version was frozen without the rule that keeps shown rows out of the test. "
                "Take the text out of the system prompt, or delete these pairs, and freeze under a higher "
                "split.version."
            )
        else:
            yield (
                f"{what}; this version was frozen without that rule. A higher split.version brings such rows "
                "to one side."
            )


def _found_warnings(found: Sequence[FoundRow]) -> Iterator[str]:
    for what, kept in (("personal data", True), ("secrets", False)):
        rows = [row for row in found if (row.kind in PERSONAL) is kept]
        if rows:
            kinds = Counter(row.kind for row in rows)
            named = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))
            pairs = len({row.pair_id for row in rows})
            yield f"{pairs} pairs hold {what} ({named}); a model repeats what it was trained on."


def _label_warnings(against: Sequence[Contradiction], rare: Sequence[RareLabel]) -> Iterator[str]:
    if against:
        equal = sum(pair.similarity == 1 for pair in against)
        yield (
            f"{len(against)} pairs of near twins have different outputs ({equal} with the same words), "
            f"first {against[0].first_id!r} and {against[0].second_id!r}: one may be wrong, or the input "
            "lacks what decides."
        )
    if rare:
        yield (
            f"{len(rare)} labels have fewer than {RARE} rows, first {rare[0].output!r}: "
            "they are hardly learnt and hardly tested."
        )


def _notes(pairs: int, found: Sequence[Layer], test: Sequence[SplitRow]) -> tuple[str, ...]:
    notes = []
    if pairs > MANY:
        notes.append(
            f"{pairs:,} pairs: above {MANY:,}, better pairs help more than further ones; `tuning.rows` in "
            "task.yaml shows whether the last ones still do."
        )
    for layer in found:
        if not layer.refuses and layer.rows:
            notes.append(
                f"{layer.rows} of {len(test)} test rows: {layer.rule}. Read them: shared boilerplate?"
            )
    return tuple(notes)


# Secrets and personal data


def _found(parts: dict[Part, tuple[SplitRow, ...]]) -> Iterator[FoundRow]:
    for part in _PARTS:
        for row in parts[part]:
            for hit in scan_text(row.input, where=row.id):
                yield FoundRow(pair_id=row.id, part=part, where="input", kind=hit.kind, excerpt=hit.excerpt)
            for hit in scan_text(row.output, where=row.id):
                yield FoundRow(pair_id=row.id, part=part, where="output", kind=hit.kind, excerpt=hit.excerpt)


def _counts(found: Sequence[FoundRow]) -> tuple[FoundCount, ...]:
    findings = Counter((row.kind, row.part) for row in found)
    pairs = Counter((kind, part) for kind, part, _ in {(row.kind, row.part, row.pair_id) for row in found})
    ordered = sorted(findings, key=lambda key: (key[0], _PARTS.index(key[1])))
    return tuple(FoundCount(kind=k, part=p, found=findings[k, p], pairs=pairs[k, p]) for k, p in ordered)


# Labels


def contradictions(rows: Sequence[SplitRow]) -> list[Contradiction]:
    """Return near twins with different outputs, most similar first."""
    texts = [row.input for row in rows]
    found = [
        pair
        for pair in similar_pairs(texts, threshold=NEAR)
        if rows[pair.first].output != rows[pair.second].output
    ]
    found.sort(key=lambda pair: (-pair.similarity, rows[pair.first].id, rows[pair.second].id))
    return [_contradiction(rows[p.first], rows[p.second], p.similarity) for p in found]


def _contradiction(first: SplitRow, second: SplitRow, similarity: float) -> Contradiction:
    return Contradiction(
        first_id=first.id,
        second_id=second.id,
        similarity=round(similarity, 4),
        first_input=excerpt(first.input),
        second_input=excerpt(second.input),
        first_output=excerpt(first.output, _OUTPUT),
        second_output=excerpt(second.output, _OUTPUT),
    )


def rare_labels(outputs: Sequence[str]) -> tuple[RareLabel, ...]:
    """Return labels with fewer than 3 rows; none where outputs are free text (under 2 rows an output)."""
    counts = Counter(outputs)
    if len(counts) * 2 > len(outputs):
        return ()
    rare = sorted((count, output) for output, count in counts.items() if count < RARE)
    return tuple(RareLabel(output=excerpt(output, _OUTPUT), rows=count) for count, output in rare)


# Lengths


def _lengths(rows: Sequence[SplitRow]) -> Iterator[Lengths]:
    measures: tuple[tuple[str, Callable[[str], int]], ...] = (
        ("characters", len),
        ("words", lambda text: len(words(text))),
    )
    for side in ("input", "output"):
        for unit, measure in measures:
            found = [(measure(getattr(row, side)), row.id) for row in rows]
            if found:
                yield _one_length(side, unit, sorted(found, key=lambda f: (f[0], f[1])))


def _one_length(side: str, unit: str, found: Sequence[tuple[int, str]]) -> Lengths:
    sizes = [size for size, _ in found]
    longest = sorted(found, key=lambda f: (-f[0], f[1]))[:_LONGEST]
    return Lengths.model_validate(
        {
            "side": side,
            "unit": unit,
            "least": sizes[0],
            "p10": _quantile(sizes, 10),
            "median": _quantile(sizes, 50),
            "p90": _quantile(sizes, 90),
            "p99": _quantile(sizes, 99),
            "most": sizes[-1],
            "buckets": buckets(sizes),
            "longest": [Longest(pair_id=row_id, length=size) for size, row_id in longest],
        }
    )


def _quantile(ordered: Sequence[int], percent: int) -> int:
    """Nearest rank: the smallest value that at least `percent` of a hundred do not exceed."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def buckets(sizes: Sequence[int]) -> tuple[Bucket, ...]:
    """Count lengths in at most 10 bars of equal width, from the least to the largest."""
    low, high = min(sizes), max(sizes)
    width = -(-(high - low + 1) // _BUCKETS)
    counts = Counter((size - low) // width for size in sizes)
    return tuple(
        Bucket(low=low + at * width, high=min(high, low + (at + 1) * width - 1), rows=counts[at])
        for at in range((high - low) // width + 1)
    )
