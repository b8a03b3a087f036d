"""Inputs → who must share a group, and who must not be tested: twins, and rows that were shown elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tuneproof.twins import Similar, groups, similar_pairs, words

SHORT = 13
"""Words from which runs of words are compared; shorter inputs are compared by runs of characters."""
CHAR_RUN, CHARS_ALIKE = 5, 0.8
"""Length of these runs, and the Jaccard of their sets at which two short inputs are twins.

On the bundled case 0.8 joins no two rows that were apart, 0.75 would join 3 pairs, 0.65 would join 21.
"""
RUN = 13
"""Words of a shared run (Brown et al. 2020, GPT-3, appendix C: 8 to 13 words)."""
_LEAST_QUOTE_WORDS, _LEAST_QUOTE = 3, 12
_EXCERPT = 200
_FOLD = re.compile(r"\s+")


class Shown(NamedTuple):
    """What a model or a teacher is shown beside the training rows."""

    examples: Sequence[tuple[str, str]] = ()
    """Input and output of each few-shot example."""
    prompt: str = ""
    """System prompt and conventions."""


def masked(text: str) -> str:
    """Normalised words of `text` with every word that holds a digit masked."""
    return " ".join("#" if any(c.isdigit() for c in word) else word for word in words(text))


def group_rows(
    texts: Sequence[str],
    answers: Sequence[str],
    *,
    declared: Sequence[str | None] | None = None,
    by_template: bool = True,
    closer: bool = True,
) -> list[int]:
    """Give each row the index of its group's first row.

    Args:
        texts: inputs.
        answers: outputs.
        declared: what the source says belongs together.
        by_template: rows of one template share a group.
        closer: so do rows that are equal but for numbers (with `by_template`) and short rows whose
            characters are alike.
    """
    first = groups(texts, answers, declared=declared, by_template=by_template)
    if not closer:
        return first
    return _merged(first, [*(_masked_links(texts) if by_template else ()), *_character_links(texts)])


def _merged(first: list[int], links: Iterable[tuple[int, int]]) -> list[int]:
    parent = {root: root for root in first}

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for one, other in links:
        low, high = sorted((root(first[one]), root(first[other])))
        parent[high] = low
    return [root(i) for i in first]


def _masked_links(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    seen: dict[str, int] = {}
    for i, text in enumerate(map(masked, texts)):
        yield seen.setdefault(text, i), i


def _character_links(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    return ((pair.first, pair.second) for pair in alike_characters(texts))


def alike_characters(texts: Sequence[str]) -> list[Similar]:
    """Pairs of short texts whose character runs are alike, by index."""
    tokens = [words(text) for text in texts]
    short = [i for i, found in enumerate(tokens) if 0 < len(found) < SHORT]
    codes: dict[str, int] = {}
    coded = []
    for i in short:
        line = " ".join(tokens[i])
        runs = {line[at : at + CHAR_RUN] for at in range(max(1, len(line) - CHAR_RUN + 1))}
        coded.append(" ".join(str(codes.setdefault(run, len(codes))) for run in sorted(runs)))
    found = similar_pairs(coded, threshold=CHARS_ALIKE)
    return [Similar(short[p.first], short[p.second], p.similarity) for p in found]


def beside_examples(
    texts: Sequence[str], answers: Sequence[str], shown: Shown, *, by_template: bool
) -> set[int]:
    """Return the rows that are twins of a few-shot example, also in chains."""
    if not shown.examples:
        return set()
    everyone = [*texts, *(text for text, _ in shown.examples)]
    outputs = [*answers, *(answer for _, answer in shown.examples)]
    first = group_rows(everyone, outputs, by_template=by_template)
    touched = set(first[len(texts) :])
    return {i for i in range(len(texts)) if first[i] in touched}


def quoted(texts: Sequence[str], prompt: str) -> set[int]:
    """Return the rows whose input, or a run of 13 words of it, stands in the prompt.

    An input of one or two short words is no quote: `yes` stands in many a prompt.
    """
    tokens = words(prompt)
    line, runs = f" {' '.join(tokens)} ", runs_of(tokens, RUN)
    found = set()
    for i, text in enumerate(texts):
        own = words(text)
        whole = " ".join(own)
        long_enough = len(own) >= _LEAST_QUOTE_WORDS or len(whole) >= _LEAST_QUOTE
        if (long_enough and f" {whole} " in line) or runs & runs_of(own, RUN):
            found.add(i)
    return found


def runs_of(tokens: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """Return every run of `length` words."""
    return {tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)}


def excerpt(text: str, most: int = _EXCERPT) -> str:
    """Beginning of `text` on one line, at most `most` characters."""
    line = _FOLD.sub(" ", text).strip()
    return line if len(line) <= most else line[: most - 1] + "…"
