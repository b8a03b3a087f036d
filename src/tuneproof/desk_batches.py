"""Drafts → the order of review, its batches, the pairs answered blind, and those shown once more.

Nothing here depends on a clock or a seed that someone could retry: all choices follow SHA-256 of the ids.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tuneproof.artifacts.base import canonical_json, sha256_of
from tuneproof.artifacts.case import ReviewSection, SplitSection, wanted_sizes
from tuneproof.artifacts.desk import BATCH
from tuneproof.artifacts.pairs import Pair
from tuneproof.grouping import group_rows

LEAST_BLIND = 30
"""Rows answered blind where any are: fewer say nothing about anchoring (reference A9, S8)."""
_SHARES = (20, 10, 5)
"""Largest group that the test takes, as a fraction of it; as in `steps/freeze.py`."""


class Place(NamedTuple):
    """A pair's place in the review, kept for good."""

    position: int
    """From 0; pairs that are gone keep theirs."""
    pair_id: str
    pair_sha256: str
    """Of the draft that lay there last."""


class Layout(NamedTuple):
    """Which pairs there are, and where."""

    pairs: Mapping[str, Pair]
    """By id, in the order of review."""
    hashes: Mapping[str, str]
    """Id → hash of the pair as it was drafted."""
    batches: tuple[tuple[str, ...], ...]
    """Ids, batch by batch; a batch whose pairs are all gone is empty."""
    batch_of: Mapping[str, int]
    """Counted from 1."""
    blind: frozenset[str]
    """Pairs whose draft is hidden until they are answered."""
    group_of: Mapping[str, str]
    """Id → the group that the split keeps together; empty where no pair is blind."""


def hash_order(name: str) -> bytes:
    """SHA-256 of a name: an order that nobody chose; the split takes its groups in the same way."""
    return hashlib.sha256(name.encode("utf-8")).digest()


def pair_hash(pair: Pair) -> str:
    """Hash of what a reviewer decides on: input and drafted output."""
    return sha256_of(canonical_json({"id": pair.id, "input": pair.input, "output": pair.output}))


def layout(
    pairs: Sequence[Pair], places: Iterable[Place], settings: ReviewSection, split: SplitSection
) -> Layout:
    """Lay the drafts out in batches of 50.

    Args:
        pairs: all drafts.
        places: as the store keeps them; every pair has one, and pairs that are gone may have one too.
        settings: share of the future test rows that is answered blind.
        split: size of the future test.
    """
    by_id = {pair.id: pair for pair in pairs}
    ordered = [place for place in places if place.pair_id in by_id]
    batch_of = {place.pair_id: place.position // BATCH + 1 for place in ordered}
    batches: list[list[str]] = [[] for _ in range(max(batch_of.values(), default=0))]
    for pair_id, batch in batch_of.items():
        batches[batch - 1].append(pair_id)
    group_of = _groups(pairs, split) if settings.blind_share else {}
    return Layout(
        pairs={pair_id: by_id[pair_id] for pair_id in batch_of},
        hashes={pair_id: pair_hash(by_id[pair_id]) for pair_id in batch_of},
        batches=tuple(map(tuple, batches)),
        batch_of=batch_of,
        blind=blind_ids(group_of, settings.blind_share, split),
        group_of=group_of,
    )


def blind_ids(group_of: Mapping[str, str], share: float, split: SplitSection) -> frozenset[str]:
    """Choose the pairs to answer blind among those that the split will test on, one a group.

    They are its first groups: the split takes whole groups in hash order from the front, so pairs that are
    deleted before it shorten the test at its other end. A group has near twins in it, and whoever has seen
    the draft of one knows the others', so only the one that is reviewed first is evidence.

    Args:
        group_of: id → group of every pair.
        share: of the future test, 0 to 1; 0 chooses none.
        split: size of the test.
    """
    if share == 0 or not group_of:
        return frozenset()
    wanted = min(wanted_sizes(split, len(group_of))[0], len(group_of))
    first: dict[str, str] = {}
    for pair_id in _test_ids(group_of, wanted):
        first.setdefault(group_of[pair_id], pair_id)
    return frozenset(list(first.values())[: max(LEAST_BLIND, math.ceil(share * wanted))])


def _groups(pairs: Sequence[Pair], split: SplitSection) -> dict[str, str]:
    """Name each pair's group as `steps/freeze.py` would if every draft went on unchanged."""
    ordered = sorted(pairs, key=lambda pair: hash_order(f"0 {pair.id}"))
    first = group_rows(
        [pair.input for pair in ordered],
        [pair.output for pair in ordered],
        declared=[pair.group for pair in ordered],
        by_template=split.same_template == "together",
    )
    return {pair.id: ordered[i].id for pair, i in zip(ordered, first, strict=True)}


def _test_ids(group_of: Mapping[str, str], wanted: int) -> list[str]:
    """Return the ids that the split would test on; those of a group in the order of review."""
    rows = sorted(group_of, key=lambda pair_id: (hash_order(group_of[pair_id]), hash_order(pair_id)))
    taken: set[str] = set()
    for share in _SHARES:
        taken = _groups_up_to([group_of[row] for row in rows], wanted, largest=max(1, wanted // share))
        if sum(group_of[row] in taken for row in rows) == wanted:
            break
    return [row for row in rows if group_of[row] in taken]


def _groups_up_to(names: Sequence[str], room: int, *, largest: int) -> set[str]:
    taken = set()
    for name, size in Counter(names).items():
        if size <= min(room, largest):
            taken.add(name)
            room -= size
    return taken


def shown_again(
    batch: int, count: int, *, answered: Collection[str], candidates: Collection[str]
) -> tuple[str, ...]:
    """Choose the pairs of closed batches that a batch shows once more, in order.

    Args:
        batch: the open one; the first shows none.
        count: wanted number.
        answered: pairs shown again in this batch and answered; they stay, whatever happened since.
        candidates: pairs that could be shown.
    """
    if batch < 2:
        return ()

    def order(pair_id: str) -> bytes:
        return hash_order(f"{batch} {pair_id}")

    more = sorted(set(candidates) - set(answered), key=order)[: max(0, count - len(answered))]
    return tuple(sorted({*answered, *more}, key=order))


def interleaved(own: Sequence[str], again: Sequence[str]) -> tuple[str, ...]:
    """Spread the pairs shown again evenly over the batch, each after a stretch of its own pairs."""
    step = max(1, len(own) // (len(again) + 1))
    found: list[str] = []
    rest = list(again)
    for i, pair_id in enumerate(own, start=1):
        found.append(pair_id)
        if i % step == 0 and rest:
            found.append(rest.pop(0))
    return (*found, *rest)
