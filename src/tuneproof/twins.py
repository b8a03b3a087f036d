"""Texts → groups of twins: exact, near, and of the same template.

All pairs are compared exactly (word-set Jaccard); at a few thousand rows no sketching is needed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NEAR = 0.65
"""Word-set Jaccard at which two inputs count as near twins and share a group."""

EXTRACTION = 0.4
"""Mean share of an input's words that its answer repeats, above which a task is one of extraction."""

_URL = re.compile(r"(?:https?://|www\.)\S+")
_WORD = re.compile(r"\w+")
_BLOCK = 512


class Similar(NamedTuple):
    """Two rows, by index, with their word-set Jaccard."""

    first: int
    second: int
    similarity: float


def words(text: str) -> list[str]:
    """Lower-case word tokens after NFKC; punctuation and white space are gone."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def template(text: str, answer: str) -> str:
    """What is left of `text` without addresses, numbers and the words of its own answer.

    Two notices that differ only in the licence they name or in a version have one template.
    """
    own = set(words(answer))
    tokens = words(_URL.sub(" # ", text))
    masked = ["#" if token in own or any(c.isdigit() for c in token) else token for token in tokens]
    return re.sub(r"(?:# ?)+", "# ", " ".join(masked)).strip()


def templates(texts: Sequence[str], answers: Sequence[str]) -> list[str]:
    """Return every row's template.

    Where the answers are parts of their texts (extraction), their words are the content and not a gap in a
    template, so they stay; that is judged once, on all rows.
    """
    shares = [_share_in(text, answer) for text, answer in zip(texts, answers, strict=True)]
    extraction = bool(shares) and sum(shares) / len(shares) > EXTRACTION
    return [template(text, "" if extraction else answer) for text, answer in zip(texts, answers, strict=True)]


def _share_in(text: str, answer: str) -> float:
    """Share of the text's words that its answer says again."""
    own, tokens = set(words(answer)), words(text)
    return sum(token in own for token in tokens) / len(tokens) if tokens else 0.0


def similar_pairs(texts: Sequence[str], *, threshold: float) -> Iterator[Similar]:
    """Yield every pair (first < second) whose word-set Jaccard is at least `threshold`, row by row."""
    import numpy as np

    counts, sizes = _incidence(texts)
    for start in range(0, len(texts), _BLOCK):
        overlap = (counts[start : start + _BLOCK] @ counts.T).tocoo()
        first, second = overlap.row + start, overlap.col
        jaccard = overlap.data / np.maximum(sizes[first] + sizes[second] - overlap.data, 1)
        keep = (jaccard >= threshold) & (first < second)
        for i, j, value in sorted(zip(first[keep], second[keep], jaccard[keep], strict=True)):
            yield Similar(int(i), int(j), float(value))


def _incidence(texts: Sequence[str]):  # type: ignore[no-untyped-def]  # scipy has no types
    """Rows × vocabulary 0/1 matrix (CSR) and the number of distinct words a row."""
    import numpy as np
    from scipy.sparse import csr_matrix

    vocabulary: dict[str, int] = {}
    indices: list[int] = []
    offsets = [0]
    for text in texts:
        indices += sorted({vocabulary.setdefault(word, len(vocabulary)) for word in words(text)})
        offsets.append(len(indices))
    matrix = csr_matrix(
        (np.ones(len(indices), dtype=np.int32), indices, offsets), shape=(len(texts), len(vocabulary) or 1)
    )
    return matrix, np.diff(offsets)


def groups(
    texts: Sequence[str],
    answers: Sequence[str],
    *,
    threshold: float = NEAR,
    declared: Sequence[str | None] | None = None,
    by_template: bool = True,
) -> list[int]:
    """Give each row the index of its group's first row.

    Rows share a group when a chain of near twins (`threshold`), of equal templates (`by_template`) or of
    equal `declared` names joins them; equal texts always do.
    """
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int) -> None:
        low, high = sorted((root(i), root(j)))
        parent[high] = low

    first_with: dict[str, int] = {}
    alike = templates(texts, answers) if by_template else [" ".join(words(text)) for text in texts]
    for i, like in enumerate(alike):
        join(first_with.setdefault(like, i), i)
    first_of: dict[str, int] = {}
    for i, name in enumerate(declared or ()):
        if name is not None:
            join(first_of.setdefault(name, i), i)
    for pair in similar_pairs(texts, threshold=threshold):
        join(pair.first, pair.second)
    return [root(i) for i in range(len(texts))]


def nearest(
    texts: Sequence[str], others: Sequence[str], *, count: int, at_least: float = 0.05
) -> list[Similar]:
    """Return the `count` most similar (text, other) pairs, one per text, most similar first."""
    import numpy as np

    matrix, sizes = _incidence([*texts, *others])
    overlap = (matrix[: len(texts)] @ matrix[len(texts) :].T).toarray()
    union = sizes[: len(texts), None] + sizes[None, len(texts) :] - overlap
    jaccard = overlap / np.maximum(union, 1)
    best = jaccard.argmax(axis=1)
    found = [Similar(i, int(j), float(jaccard[i, j])) for i, j in enumerate(best)]
    return sorted((s for s in found if s.similarity >= at_least), key=lambda s: (-s.similarity, s.first))[
        :count
    ]
