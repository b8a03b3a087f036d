"""Parts of a reply and of the expected output → precision, recall and F1, over all and by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tuneproof.artifacts import Figure

MOST_NAMES = 30
"""Names of parts that get a figure of their own: the ones expected most often."""

Parts = Counter[tuple[str, str]]
"""(name, value) of every part, counted: the same part twice is two parts."""


class Overlap(NamedTuple):
    """Counts of parts: the ones on both sides, and all of each side."""

    both: int
    replied: int
    expected: int

    @property
    def precision(self) -> float:
        """Share of the replied parts that were expected."""
        return _share(self.both, self.replied, self.expected)

    @property
    def recall(self) -> float:
        """Share of the expected parts that were replied."""
        return _share(self.both, self.expected, self.replied)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where nothing was expected and nothing replied."""
        total = self.replied + self.expected
        return 2 * self.both / total if total else 1.0


def _share(both: int, side: int, other: int) -> float:
    return both / side if side else float(not other)


def overlap(reply: Parts, expected: Parts) -> Overlap:
    """Count the parts that both sides have, each as often as both have it."""
    return Overlap((reply & expected).total(), reply.total(), expected.total())


def overlap_figures(pairs: Sequence[tuple[Parts, Parts]], noun: str) -> tuple[Figure, ...]:
    """Return precision, recall and F1 of all parts of all items together (micro average).

    Args:
        pairs: the parts of the reply and of the expected output, for every item.
        noun: what a part is, in the plural.
    """
    if not pairs:
        return ()
    total = _summed([overlap(reply, expected) for reply, expected in pairs])
    rates = {"precision": total.precision, "recall": total.recall, "F1": total.f1}
    return tuple(Figure(name=f"{name} of {noun}", value=rate, n=len(pairs)) for name, rate in rates.items())


def named_figures(pairs: Sequence[tuple[Parts, Parts]]) -> tuple[Figure, ...]:
    """Return the F1 of each expected name, in order of first appearance; `n` counts items that have it.

    At most `MOST_NAMES`, the ones in most items. A name that is only replied has no figure of its own; it
    costs precision.
    """
    items = Counter(name for _, expected in pairs for name in dict.fromkeys(name for name, _ in expected))
    kept = {name for name, _ in items.most_common(MOST_NAMES)}
    figures = []
    for name in (name for name in items if name in kept):
        sides = [(_only(reply, name), _only(expected, name)) for reply, expected in pairs]
        counts = [overlap(*side) for side in sides if side[0] or side[1]]
        figures.append(Figure(name=f"F1 of {name}", value=_summed(counts).f1, n=items[name]))
    return tuple(figures)


def _only(parts: Parts, name: str) -> Parts:
    return Counter({part: count for part, count in parts.items() if part[0] == name})


def _summed(counts: Sequence[Overlap]) -> Overlap:
    return Overlap(*(sum(column) for column in zip(*counts, strict=True)))
