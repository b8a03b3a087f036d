"""Inputs → who must share a group, and who must not be tested: twins, and rows that were shown elsewhere.

Rows with their groups → parts of whole groups.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tuneproof.artifacts import Case, Pair, SplitLock, SplitRow
from tuneproof.artifacts.case import SplitSection, wanted_sizes
from tuneproof.twins import NEAR, Similar, groups, similar_pairs, words

SHORT = 13
"""Words from which runs of words are compared; shorter inputs are compared by runs of characters."""
CHAR_RUN, CHARS_ALIKE = 5, 0.8
"""Length of these runs, and the Jaccard of their sets at which two short inputs are twins.

On the bundled case 0.8 joins no two rows that were apart, 0.75 would join 3 pairs, 0.65 would join 21.
"""
RUN = 13
"""Words of a shared run (Brown et al. 2020, GPT-3, appendix C: 8 to 13 words)."""
SHARES = (20, 10, 5)
"""The largest group that a part takes, as a fraction of it: the first that fills it."""
_ONCE = (200, 100)
"""Rows of test and dev where task.yaml named none, up to split sizes that follow the number of pairs."""
_TAKES = " takes groups up to 1/"
_LEAST_QUOTE_WORDS, _LEAST_QUOTE = 3, 12
_EXCERPT = 200
_FOLD = re.compile(r"\s+")

Parts = tuple[list[SplitRow], list[SplitRow], list[SplitRow]]
"""Test, dev, train."""


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
    first: list[int] | None = None,
) -> list[int]:
    """Give each row the index of its group's first row.

    Args:
        texts: inputs.
        answers: outputs.
        declared: what the source says belongs together.
        by_template: rows of one template share a group.
        closer: so do rows that are equal but for numbers (with `by_template`) and short rows whose
            characters are alike.
        first: what `groups` says of these rows, where that is known.
    """
    if first is None:
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


class Division(NamedTuple):
    """Test, dev and train; the shares by which test and dev took groups; the rows that they were to have."""

    parts: Parts
    shares: tuple[int, int]
    wanted: tuple[int, int]


class Fixed(NamedTuple):
    """Groups whose side is settled, by name, and why."""

    tested: frozenset[str]
    held: dict[str, str]


def divide(rows: list[SplitRow], fixed: Fixed, section: SplitSection, before: SplitLock | None) -> Division:
    """Divide by the wanted sizes; of a frozen split, by those that give it again where none are named."""
    for wanted in _sizes(section, len(rows), before):
        parts, shares = _divided(rows, fixed, wanted)
        division = Division(parts, shares, wanted)
        if before is None or _is_as_frozen(division, before):
            break
    return division


def _sizes(section: SplitSection, pairs: int, before: SplitLock | None) -> list[tuple[int, int]]:
    """Return the sizes to try; the last ones are the lock's own, which say what differs if nothing fits."""
    wanted = wanted_sizes(section, pairs)
    if before is None:
        return [wanted]
    tests = [wanted[0]] if section.test else [wanted[0], _ONCE[0], len(before.test.rows)]
    devs = [wanted[1]] if section.dev else [wanted[1], _ONCE[1], len(before.dev.rows)]
    return [(test, dev) for test in tests for dev in devs]


def _is_as_frozen(division: Division, before: SplitLock) -> bool:
    larger = [words for words in before.method.split("; ") if _TAKES in words]
    return larger == larger_groups(division.shares) and all(
        [row.id for row in rows] == [row.id for row in frozen.rows]
        for rows, frozen in zip(division.parts, (before.test, before.dev), strict=False)
    )


def _divided(rows: list[SplitRow], fixed: Fixed, wanted: tuple[int, int]) -> tuple[Parts, tuple[int, int]]:
    """Give the settled groups their side, then take the rest; return the parts and the shares."""
    free = [row for row in rows if row.group not in fixed.tested and row.group not in fixed.held]
    pinned = sum(row.group in fixed.tested for row in rows)
    taken, rest, test_share = take_groups(free, wanted[0], pinned=pinned)
    more, _, dev_share = take_groups(rest, wanted[1])
    testing, choosing = fixed.tested | {row.group for row in taken}, {row.group for row in more}
    test = [row for row in rows if row.group in testing]
    dev = [row for row in rows if row.group in choosing]
    train = [row for row in rows if row.group not in testing and row.group not in choosing]
    return (test, dev, train), (test_share, dev_share)


def larger_groups(shares: tuple[int, int]) -> list[str]:
    """Say in a lock's words which parts took groups above a twentieth of them."""
    return [
        f"{name}{_TAKES}{share}"
        for name, share in zip(("test", "dev"), shares, strict=True)
        if share != SHARES[0]
    ]


def take_groups(
    rows: Sequence[SplitRow], wanted: int, *, pinned: int = 0
) -> tuple[list[SplitRow], list[SplitRow], int]:
    """Take whole groups from the front until `wanted` rows are there; return them, the rest, and the share.

    A group larger than a twentieth of the part is passed over, so that no template is the test; where the
    part would be short without them, a tenth, then a fifth. `pinned` rows are there already.
    """
    room = max(0, wanted - pinned)
    for share in SHARES:
        taken, rest = _take_up_to(rows, room, largest=max(1, wanted // share))
        if len(taken) == room:
            break
    return taken, rest, share


def _take_up_to(
    rows: Sequence[SplitRow], wanted: int, *, largest: int
) -> tuple[list[SplitRow], list[SplitRow]]:
    taken: set[str] = set()
    room = wanted
    for group, size in sizes_of(rows).items():
        if size <= min(room, largest):
            taken.add(group)
            room -= size
    return [r for r in rows if r.group in taken], [r for r in rows if r.group not in taken]


def sizes_of(rows: Sequence[SplitRow]) -> dict[str, int]:
    """Count the rows of each group, in order of appearance."""
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.group] = sizes.get(row.group, 0) + 1
    return sizes


def largest_group(case: Case, rows: list[SplitRow], most: int, pairs: Sequence[Pair]) -> tuple[str, str]:
    """Say which group is too large for a part, why it is one, and what parts it; empty where none is."""
    sizes, most = sizes_of(rows), max(1, most)
    name, largest = max(sizes.items(), key=lambda item: item[1], default=("", 0))
    if largest <= most:
        return "", ""
    causes = [f"inputs with a word-set Jaccard of {NEAR} or more"]
    if case.task_file.split.same_template == "together":
        causes.append(
            "inputs that differ only in numbers or in words of their answer (`split.same_template: apart` "
            "parts those, if that is what the task is)"
        )
    inside = {row.id for row in rows if row.group == name}
    declared = Counter(pair.group for pair in pairs if pair.group and pair.id in inside)
    column, remedy = case.task_file.data.group_column, ""
    if column:
        causes.append(f"one value of {column!r} (data.group_column)")
    elif any(pair.group for pair in pairs):
        causes.append("one source file, whose rows stay together")
        remedy = "; or cut a large source file into one file for each document, or name data.group_column"
    held = [f", {count} of them of {group!r}" for group, count in declared.most_common(1)]
    return (
        f" Groups: {len(sizes)}; the largest, around {name!r}, has {largest} rows{''.join(held)}, and a "
        f"group of more than {most} stays in train. What joins rows, also in chains: {'; '.join(causes)}.",
        remedy,
    )


def runs_of(tokens: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """Return every run of `length` words."""
    return {tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)}


def excerpt(text: str, most: int = _EXCERPT) -> str:
    """Beginning of `text` on one line, at most `most` characters."""
    line = _FOLD.sub(" ", text).strip()
    return line if len(line) <= most else line[: most - 1] + "…"
