"""Test items with what was right and what was replied → parts of the test, and groups of wrong replies.

Nothing here is learnt: parts and groups are cut by rules that a reader can check by eye.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from tuneproof.artifacts import FailureCluster, Interval, Item, Reply, Score, Slice, Split, SplitRow
from tuneproof.metrics.text import folded
from tuneproof.statistics import newcombe
from tuneproof.twins import nearest

LEAST_OF_A_LABEL = 10
"""Items from which an expected output is a part of its own (S2)."""
_NAME = 60
"""Characters of an output in a name."""
_CASE, _ALL = ("unicode", "case"), ("unicode", "case", "accents", "punctuation")


def slices_of(
    split: Split,
    scored: Mapping[str, Sequence[bool]],
    *,
    arms: Sequence[str],
    blind: Collection[str] = (),
) -> tuple[Slice, ...]:
    """Cut the test by expected output, length, nearness to train, and how its gold was labelled.

    Args:
        split: the frozen split, with the items that count.
        scored: arm → whether each item is right, in the order of the test items.
        arms: the ones to report.
        blind: ids of pairs whose output was written without seeing a draft.

    Raises:
        ValueError: an arm has another number of scores than there are items.
    """
    items = split.test.items
    right = {arm: _as_long_as(scored[arm], items) for arm in arms}
    parts = (
        *(("label", name, where) for name, where in _by_label(items)),
        *(("length", name, where) for name, where in _by_length(items)),
        *(("distance", name, where) for name, where in _by_distance(items, split.train.pairs)),
        *(("seen", name, where) for name, where in _by_seen(items, split.train.pairs)),
        *(("gold", name, where) for name, where in _by_gold(items, blind)),
    )
    return tuple(
        Slice.model_validate(
            {
                "kind": kind,
                "name": name,
                "n": len(where),
                "right": {arm: sum(right[arm][i] for i in where) for arm in arms},
            }
        )
        for kind, name, where in parts
    )


def _as_long_as(right: Sequence[bool], items: Sequence[Item]) -> Sequence[bool]:
    if len(right) != len(items):
        raise ValueError(f"{len(right)} scores for {len(items)} items")
    return right


Part = tuple[str, list[int]]
"""Name, and places among the items."""


def _by_label(items: Sequence[Item]) -> Iterator[Part]:
    counts = Counter(item.output for item in items)
    for label, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        if count >= LEAST_OF_A_LABEL:
            yield _short(label), [i for i, item in enumerate(items) if item.output == label]


def _by_length(items: Sequence[Item]) -> Iterator[Part]:
    """Quarters by characters of the input; equal lengths stay together, so quarters may differ in size."""
    lengths = [len(item.input) for item in items]
    ordered = sorted(lengths)
    edges = [ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in (0.25, 0.5, 0.75, 1)]
    below = -1
    for edge in dict.fromkeys(edges):
        where = [i for i, length in enumerate(lengths) if below < length <= edge]
        inside = sorted(lengths[i] for i in where)
        span = f"{inside[0]:,} to {inside[-1]:,}" if inside[0] < inside[-1] else f"{inside[0]:,}"
        yield f"{span} characters", where
        below = edge


def _by_distance(items: Sequence[Item], train: Sequence[SplitRow]) -> Iterator[Part]:
    """Far and near half by word-set Jaccard to the nearest train row; far lies below the median."""
    found = nearest_rows([item.input for item in items], train)
    alike = [similarity for _, similarity in found]
    far = _lower_half(alike)
    sides = {"far": far, "near": [not inside for inside in far]}
    if not all(any(side) for side in sides.values()):
        return
    for name, side in sides.items():
        where = [i for i, inside in enumerate(side) if inside]
        span = [alike[i] for i in where]
        yield f"{name}: similarity {min(span):.2f} to {max(span):.2f}", where


def _lower_half(values: Sequence[float]) -> list[bool]:
    """Below the median; at it too, where so many values are the lowest one that none lies below."""
    if not values:
        return []
    middle = median(values)
    below = [value < middle for value in values]
    return below if any(below) else [value <= middle for value in values]


def _by_seen(items: Sequence[Item], train: Sequence[SplitRow]) -> Iterator[Part]:
    known = {row.output for row in train}
    for name, wanted in (("output seen in train", True), ("output never in train", False)):
        where = [i for i, item in enumerate(items) if (item.output in known) is wanted]
        if where:
            yield name, where


def _by_gold(items: Sequence[Item], blind: Collection[str]) -> Iterator[Part]:
    """Cut only where both kinds of gold are there."""
    hidden = [i for i, item in enumerate(items) if item.id in blind]
    if hidden and len(hidden) < len(items):
        yield "draft shown to the reviewer", [i for i, item in enumerate(items) if item.id not in blind]
        yield "labelled blind to the draft", hidden


def nearest_rows(texts: Sequence[str], train: Sequence[SplitRow]) -> list[tuple[int, float]]:
    """Return the place of each text's nearest train row and their word-set Jaccard, in the order of texts."""
    if not (texts and train):
        return [(0, 0.0)] * len(texts)
    found = nearest(texts, [row.input for row in train], count=len(texts), at_least=-1.0)
    by_text = {pair.first: (pair.second, pair.similarity) for pair in found}
    return [by_text[i] for i in range(len(texts))]


def gap_between(
    slices: Sequence[Slice], arm: str, *, kind: str = "distance", confidence: float = 0.95
) -> tuple[float, Interval] | None:
    """Return the rate on the first of two parts minus that on the second.

    Far minus near, well below 0, hints at leaks or copying. Draft shown minus labelled blind is the anchoring
    gap: well above 0, the gold of reviewed drafts follows what drafted them.

    The interval is Newcombe's hybrid score interval for two independent shares (Newcombe 1998, Statistics in
    Medicine 17:873, method 10). None where the test was not cut so.
    """
    sides = [part for part in slices if part.kind == kind and arm in part.right]
    if len(sides) != 2:
        return None
    one, other = sides
    interval = newcombe(one.right[arm], one.n, other.right[arm], other.n, confidence=confidence)
    if interval is None:
        return None
    return one.right[arm] / one.n - other.right[arm] / other.n, interval


class _Wrong(NamedTuple):
    """A wrong reply and what it is looked up in."""

    item: Item
    reply: Reply
    score: Score
    copied: str
    """Output of the nearest train row."""


def failures_of(
    split: Split, replies: Sequence[Reply], scores: Sequence[Score], train_outputs: Collection[str]
) -> tuple[FailureCluster, ...]:
    """Group the wrong replies of one arm by what they have in common; each is in exactly one group.

    A reply is in the first group that fits: no reply, empty, cut, refusal, malformed, other fields of a JSON
    object, equal but for case and marks, another label, an answer that train does not know, a copy.

    Args:
        split: the frozen split, with the items that count.
        replies: of the arm, in the order of the scores.
        scores: of these replies.
        train_outputs: outputs that occur in train.
    """
    items = {item.id: item for item in split.test.items}
    pairs = [(r, s) for r, s in zip(replies, scores, strict=True) if not s.correct]
    near = nearest_rows([items[reply.item_id].input for reply, _ in pairs], split.train.pairs)
    train = split.train.pairs
    wrong = [
        _Wrong(items[reply.item_id], reply, score, train[row].output if train else "")
        for (reply, score), (row, _) in zip(pairs, near, strict=True)
    ]
    trained = {_key(text) for text in train_outputs}
    known = {_key(text): text for text in sorted({*train_outputs, *(item.output for item in items.values())})}
    named = _thinned([_name(one, known) for one in wrong])
    groups: dict[str, list[str]] = {}
    for one, name in zip(wrong, named, strict=True):
        groups.setdefault(name or _rest(one, trained), []).append(one.item.id)
    return tuple(
        FailureCluster(name=name, n=len(ids), items=tuple(ids))
        for name, ids in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    )


_FORMS = ("no reply after all retries", "empty", "cut by the token limit", "refusal", "malformed")


def _form(one: _Wrong) -> str | None:
    """What is wrong with a reply before its content is looked at."""
    finish, score = one.reply.finish, one.score
    signs = (finish == "failed", score.empty, finish == "length", score.refusal or finish == "refused")
    found = (name for name, holds in zip(_FORMS, (*signs, score.parse_failure), strict=True) if holds)
    return next(found, None)


_PAIR, _FIELDS = "expected ", "wrong in the object: "


def _name(one: _Wrong, known: Mapping[str, str]) -> str | None:
    """The group that needs no look at the others; None where `_rest` decides."""
    form = _form(one)
    if form:
        return form
    fields = _wrong_fields(one.reply.text, one.item.output)
    if fields:
        return _FIELDS + ", ".join(fields)
    if folded(one.reply.text, _ALL) == folded(one.item.output, _ALL):
        return "equal but for case, accents or punctuation"
    label = known.get(_key(one.reply.text))
    return None if label is None else f"{_PAIR}{_short(one.item.output)}, replied {_short(label)}"


def _thinned(names: Sequence[str | None]) -> list[str | None]:
    """Drop the names of pairs and of sets of fields that occur once: they are no group."""
    counts = Counter(names)
    return [
        None if name and counts[name] < 2 and name.startswith((_PAIR, _FIELDS)) else name for name in names
    ]


def _rest(one: _Wrong, trained: Collection[str]) -> str:
    if _object(one.reply.text) is not None and _object(one.item.output) is not None:
        return "other fields wrong in the object"
    if _key(one.reply.text) not in trained:
        return "an answer never seen in train"
    if _key(one.reply.text) == _key(one.copied):
        return "copies the answer of the nearest train row"
    return "another answer that occurs in train"


def _wrong_fields(reply: str, expected: str) -> list[str]:
    """Names of the top-level fields that differ; empty where one of the two is no JSON object."""
    got, wanted = _object(reply), _object(expected)
    if got is None or wanted is None:
        return []
    missing = object()
    keys = sorted({*got, *wanted})
    return [_short(key) for key in keys if got.get(key, missing) != wanted.get(key, missing)]


def _object(text: str) -> dict[str, Any] | None:
    if not re.match(r"\s*\{", text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _key(text: str) -> str:
    return folded(text, _CASE)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _NAME else text[: _NAME - 1] + "…"
