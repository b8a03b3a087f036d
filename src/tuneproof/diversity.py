"""Texts → which of them to draft for: a few of every kind, so that rare kinds are not lost in common ones."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

MOST_CLUSTERS = 100
READ = 2_000
"""Characters of a text that are compared; the kind of a longer one shows in them."""
_WORDS = 20_000
_TOKEN = r"(?u)[぀-ヿ㐀-鿿]|[^\W぀-ヿ㐀-鿿]+"
"""A word; in scripts without spaces (kana, Han) a character."""


def choose(texts: Sequence[str], count: int, seed: int) -> tuple[int, ...]:
    """Choose `count` texts, kind by kind.

    TF-IDF of the words is clustered by k-means (Lloyd 1982, k-means++ start); then each cluster in turn gives
    one text: first the one nearest to its centre, then chance. Every cluster is hit, so a rare kind has more
    places than its share: on made-up mails of three kinds two to four times as many.

    Args:
        texts: all of them.
        count: how many to choose.
        seed: of chance; the same texts and seed give the same choice.

    Returns:
        Indices in the order of the choice: each beginning of it is diverse too. From 100 on, a larger count
        only adds to a smaller one. All texts, where there are no more than `count`, are in such an order too.
    """
    count = min(count, len(texts))
    if count == 0:
        return ()
    clusters = _clusters(texts, min(count, MOST_CLUSTERS, math.ceil(math.sqrt(len(texts)))), seed)
    queues = [list(reversed(_in_turn(cluster, seed))) for cluster in clusters]
    chosen: list[int] = []
    while len(chosen) < count:
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
    return tuple(chosen)


def clusters_of(texts: Sequence[str], count: int, seed: int) -> tuple[int, ...]:
    """Return the number of the cluster that each text falls into when `count` are chosen; 0: the smallest."""
    found = [0] * len(texts)
    wanted = min(count, len(texts), MOST_CLUSTERS, math.ceil(math.sqrt(len(texts))))
    for number, cluster in enumerate(_clusters(texts, wanted, seed) if wanted else ()):
        for index, _ in cluster:
            found[index] = number
    return tuple(found)


def _in_turn(cluster: list[tuple[int, float]], seed: int) -> list[int]:
    """Order a cluster: the text nearest to its centre, then the others by chance."""
    nearest = min(cluster, key=lambda member: (member[1], member[0]))[0]
    others = [index for index, _ in cluster if index != nearest]
    random.Random(f"{seed}:{nearest}").shuffle(others)
    return [nearest, *others]


def _clusters(texts: Sequence[str], wanted: int, seed: int) -> list[list[tuple[int, float]]]:
    """Return (index, distance to the centre) of every text, cluster by cluster, the smallest first."""
    vectors = _vectors(texts) if wanted > 1 else None
    if vectors is None:
        return [[(index, 0.0) for index in range(len(texts))]]
    labels, distances = _k_means(vectors, wanted, seed)
    found: dict[int, list[tuple[int, float]]] = {}
    for index, (label, distance) in enumerate(zip(labels, distances, strict=True)):
        found.setdefault(int(label), []).append((index, distance))
    return sorted(found.values(), key=lambda cluster: (len(cluster), cluster[0][0]))


def _vectors(texts: Sequence[str]) -> Any:
    """Return TF-IDF vectors of length 1, or None where no word occurs in two texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    # A word of one text alone (a number, a name) makes it like no other and says nothing of its kind.
    vectorizer = TfidfVectorizer(token_pattern=_TOKEN, max_features=_WORDS, min_df=2, sublinear_tf=True)
    try:
        return vectorizer.fit_transform([text[:READ] for text in texts])
    except ValueError as error:
        if "empty vocabulary" in str(error) or "no terms remain" in str(error):
            return None
        raise


def _k_means(vectors: Any, wanted: int, seed: int) -> tuple[list[int], list[float]]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    threadpool_limits = import_module("threadpoolctl").threadpool_limits
    # One thread: several add up in another order each time, and a text between two kinds would change sides.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # Fewer different texts than clusters: then there are fewer clusters, which is all we need.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(n_clusters=wanted, n_init=1, max_iter=30, random_state=seed).fit(vectors)
        distances = model.transform(vectors)
    labels = [int(label) for label in model.labels_]
    # Rounded: the last digits may differ between processors.
    return labels, [round(float(distances[row, label]), 6) for row, label in enumerate(labels)]
