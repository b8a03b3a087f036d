"""Inputs → the most similar ones to each, fast enough for every card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tuneproof.twins import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Near(NamedTuple):
    """Another input."""

    row: int
    """Its place among the inputs."""
    similarity: float
    """Word-set Jaccard, 0 to 1."""


class Nearness:
    """Which inputs hold each word; built once for all pairs.

    Args:
        texts: the inputs.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        sets = [set(words(text)) for text in texts]
        holders: dict[str, list[int]] = {}
        for i, found in enumerate(sets):
            for word in found:
                holders.setdefault(word, []).append(i)
        self._sets = sets
        self._sizes: NDArray[np.int64] = np.array([len(found) for found in sets], dtype=np.int64)
        self._holders = {word: np.array(rows, dtype=np.int64) for word, rows in holders.items()}

    def beside(self, index: int, *, at_least: float) -> list[Near]:
        """Return every other input of that similarity or more, most similar first."""
        import numpy as np

        own = self._sets[index]
        if not own:
            return []
        rows = np.concatenate([self._holders[word] for word in own])
        shared = np.bincount(rows, minlength=len(self._sets))
        alike = shared / (self._sizes + len(own) - shared)
        alike[index] = 0.0
        found = np.flatnonzero(alike >= at_least)
        order = found[np.argsort(-alike[found], kind="stable")]
        return [Near(int(i), float(alike[i])) for i in order]
