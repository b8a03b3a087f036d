"""Pairs, and the rows that are none → findings: what is wrong with a data set, and what may be.

Errors are what `draft` or `tune` would refuse; warnings are for a person to read. Estimated lengths and what
a reviewer will still see are warnings. One row has at most one finding of a kind, so that a thousand copies
of a row are a thousand findings and not half a million.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from tuneproof.artifacts import LeftOut, Pair
from tuneproof.guess.metric import LABELS, SHORT_WORDS
from tuneproof.twins import NEAR, similar_pairs

FEWEST_ROWS = 3
"""Rows that a label needs: one to learn, one to choose on, one to measure."""
LONGEST_VALUE = 500
"""Characters of a value that a finding keeps."""

Severity = Literal["error", "warning"]
Tokens = tuple[int, int]
"""The fewest and the most that a text may have; equal where they were counted."""


class Kind(NamedTuple):
    """What all findings of a kind share."""

    severity: Severity
    do: str
    """What a person can do about it."""


KINDS: dict[str, Kind] = {
    "no pair": Kind("error", "Mend the row, or go on without: `data.bad_rows: leave out` in task.yaml."),
    "empty side": Kind("error", "Write what is missing, or delete the row."),
    "same id": Kind("error", "Give each row an id of its own, or name another key in data.id_column."),
    "contradiction": Kind("error", "Decide which output is right; mend or delete the other rows."),
    "format": Kind(
        "error", "Mend the output, or the rule it breaks: task.metric, `scoring:`, task.answer_pattern."
    ),
    "too long": Kind("error", "Shorten the input, leave the row out, or raise serving.num_ctx."),
    "reply too long": Kind("error", "Raise task.max_new_tokens, or leave the row out: the reply is cut."),
    "no draft": Kind(
        "warning",
        "Nothing for a repeat; what has no usable reply is asked for again by `tuneproof draft --again`.",
    ),
    "near twins, different outputs": Kind(
        "warning", "Read both. Mend the wrong one; if both are right, keep them: they are hard cases."
    ),
    "exact repeat": Kind(
        "warning", "Delete it, unless the input really comes that often; `freeze` keeps both on one side."
    ),
    "near twin": Kind(
        "warning", "Nothing, if both are real; copies of one row only make the data look larger."
    ),
    "rare label": Kind("warning", "Add rows of this label, or merge it with another, or drop it."),
    "unused label": Kind("warning", "Add rows of this label, or take it out of scoring.labels."),
}
"""Kind → its severity and remedy, in the order in which they are told."""

LEFT_OUT = ("no pair", "empty side", "same id", "contradiction", "format")
"""Kinds that `draft` refuses, or goes on without where task.yaml says so."""


class Finding(NamedTuple):
    """One thing that is wrong, or may be."""

    severity: Severity
    kind: str
    place: str
    """File and line."""
    pair_id: str
    """Empty for a row that is no pair."""
    value: str
    """The input or output that it is about, at most `LONGEST_VALUE` characters of it."""
    why: str
    do: str


class Room(NamedTuple):
    """What a prompt and its reply must fit into, in tokens."""

    context: int
    """`serving.num_ctx`: prompt and reply together."""
    reply: int
    """`task.max_new_tokens`."""
    around: Tokens
    """System prompt and the template's marks."""
    tokens_of: Callable[[str], Tokens]
    """Counts, or estimates, the tokens of a text."""
    end: int = 0
    """Tokens that end a reply; `tune` counts them as part of the answer."""


class Rules(NamedTuple):
    """What the task asks of its pairs."""

    problem_of: Callable[[str], str]
    """Why a text cannot be an expected output; empty if it can."""
    room: Room
    labels: tuple[str, ...] = ()
    """The closed list of labels."""
    are_labels: bool | None = None
    """Whether outputs are labels; None judges by the outputs."""
    same: Callable[[str], str] = lambda text: " ".join(text.split())
    """Two outputs are the same label if this makes them equal."""
    leave_out: bool = False
    """`data.bad_rows: leave out`: what `draft` goes on without is a warning."""
    drafted: bool = False
    """Outputs are a teacher's drafts: a person decides on each, so no form of one stops anything."""


def lint(pairs: Sequence[Pair], rejected: Sequence[LeftOut], rules: Rules) -> tuple[Finding, ...]:
    """Find what is wrong: errors first, then by kind, then by row; of near twins the most alike first."""
    alone = tuple(_of_one(pairs, rules.problem_of))
    broken = {index for index, _ in alone}
    # A side that is no answer contradicts nothing, as in `draft`: its good twin stays.
    whole = [index for index in range(len(pairs)) if index not in broken]
    found = [
        *(_finding("no draft" if rules.drafted else "no pair", row.place, row.reason) for row in rejected),
        *(finding for _, finding in alone),
        *_same_ids(pairs),
        *_same_inputs(pairs, whole),
        *_near_twins(pairs, whole),
        *_lengths(pairs, rules.room),
        *_labels([pairs[index] for index in whole], rules),
    ]
    if rules.leave_out or rules.drafted:
        found = [each._replace(severity="warning") if each.kind in LEFT_OUT else each for each in found]
    order = {kind: place for place, kind in enumerate(KINDS)}
    return tuple(sorted(found, key=lambda each: (each.severity != "error", order[each.kind])))


def counts_of(findings: Iterable[Finding]) -> dict[str, int]:
    """Count findings by kind, in the order in which they are told."""
    counts = Counter(finding.kind for finding in findings)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


def estimated(text: str) -> Tokens:
    """Estimate the fewest and the most tokens of a text from its bytes; no tokenizer is loaded.

    English has about 3.5 to 4.5 bytes a token. Fewest: 8 bytes a token. Most: a digit is a token of its own,
    as SmolLM2's and Llama's tokenizers split them, beyond ASCII 2 bytes are one, else 3 bytes are.
    """
    size = len(text.encode("utf-8", "replace"))
    plain = len(text.encode("ascii", "ignore"))
    digits = sum(text.count(digit) for digit in "0123456789")
    return size // 8, digits + math.ceil((size - plain) / 2) + math.ceil((plain - digits) / 3)


def look_like_labels(outputs: Sequence[str]) -> bool:
    """Whether outputs come from few short texts that repeat."""
    different = set(outputs)
    if not different or len(different) > min(LABELS, len(outputs) // 2):
        return False
    return all(len(text.split()) <= SHORT_WORDS and "\n" not in text for text in different)


def _finding(kind: str, place: str, why: str, *, pair_id: str = "", value: str = "") -> Finding:
    severity, do = KINDS[kind]
    short = value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"
    return Finding(severity, kind, place, pair_id, short, why, do)


def _at(kind: str, pair: Pair, why: str, value: str) -> Finding:
    return _finding(kind, pair.source, why, pair_id=pair.id, value=value)


def _of_one(pairs: Sequence[Pair], problem_of: Callable[[str], str]) -> Iterator[tuple[int, Finding]]:
    known: dict[str, str] = {}  # labels repeat, and a metric of the user's own may be slow
    for index, pair in enumerate(pairs):
        sides = {"input": pair.input, "output": pair.output}
        if empty := [side for side, text in sides.items() if not text.strip()]:
            shown = " and ".join(f"{side} {sides[side][:40]!r}" for side in empty)
            yield index, _at("empty side", pair, f"nothing to read: {shown}", pair.input or pair.output)
            continue
        if pair.output not in known:
            known[pair.output] = problem_of(pair.output)
        if problem := known[pair.output]:
            yield index, _at("format", pair, f"the output {problem}", pair.output)


def _same_ids(pairs: Sequence[Pair]) -> Iterator[Finding]:
    first: dict[str, Pair] = {}
    for pair in pairs:
        if (earlier := first.setdefault(pair.id, pair)) is not pair:
            yield _at("same id", pair, f"{earlier.source} has this id too", pair.id)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _plain(text: str) -> str:
    return " ".join(text.split())


def _by_input(pairs: Sequence[Pair], among: Sequence[int]) -> dict[str, list[int]]:
    alike: dict[str, list[int]] = {}
    for index in among:
        alike.setdefault(_folded(pairs[index].input), []).append(index)
    return alike


def _same_inputs(pairs: Sequence[Pair], among: Sequence[int]) -> Iterator[Finding]:
    for rows in _by_input(pairs, among).values():
        first: dict[str, int] = {}  # output → the first row that gives it
        for index in rows:
            earlier = first.setdefault(_plain(pairs[index].output), index)
            if earlier != index:
                yield _at(
                    "exact repeat", pairs[index], f"repeats {pairs[earlier].source}", pairs[index].input
                )
        for index in rows if len(first) > 1 else ():
            own = _plain(pairs[index].output)
            other = pairs[next(row for answer, row in first.items() if answer != own)]
            yield _at(
                "contradiction",
                pairs[index],
                f"the same input has another output in {other.source}: {_short(other.output)}",
                pairs[index].output,
            )


def _near_twins(pairs: Sequence[Pair], among: Sequence[int]) -> Iterator[Finding]:
    """Name each row's most similar earlier one, once for equal and once for different outputs."""
    rows = [indices[0] for indices in _by_input(pairs, among).values()]
    answers = [_plain(pairs[index].output) for index in rows]
    best: dict[tuple[int, bool], tuple[float, int]] = {}
    for first, second, value in similar_pairs([pairs[index].input for index in rows], threshold=NEAR):
        key = (second, answers[first] == answers[second])
        if value > best.get(key, (0.0, 0))[0]:
            best[key] = (value, first)
    ranked = sorted(best.items(), key=lambda item: (-item[1][0], item[0]))
    for (second, equal), (value, first) in ranked:
        pair, other = pairs[rows[second]], pairs[rows[first]]
        why = f"word-set Jaccard {value:.2f} with {other.source}"
        if equal:
            yield _at("near twin", pair, why, pair.input)
        else:
            told = f"{why}, whose output is {_short(other.output)}"
            yield _at("near twins, different outputs", pair, told, pair.output)


def _lengths(pairs: Sequence[Pair], room: Room) -> Iterator[Finding]:
    for pair in pairs:
        given, wanted = len(pair.input.encode()), len(pair.output.encode()) + room.end
        # A byte-level tokenizer never makes more tokens than bytes: most rows need no count.
        if given + room.around[1] + max(room.reply, wanted) <= room.context and wanted <= room.reply:
            continue
        asked, output = room.tokens_of(pair.input), room.tokens_of(pair.output)
        answer = (output[0] + room.end, output[1] + room.end)
        if finding := _too_much("reply too long", pair, answer, (room.reply, "task.max_new_tokens")):
            yield finding
        total = tuple(room.around[i] + asked[i] + max(room.reply, answer[i]) for i in (0, 1))
        if finding := _too_much("too long", pair, (total[0], total[1]), (room.context, "serving.num_ctx")):
            yield finding


def _too_much(kind: str, pair: Pair, tokens: Tokens, most: tuple[int, str]) -> Finding | None:
    """Tell what does not fit; a warning where it was estimated, for `tune` counts."""
    fewest, highest = tokens
    limit, name = most
    if highest <= limit:
        return None
    what, value = (
        ("the output takes", pair.output)
        if kind.startswith("reply")
        else ("prompt and reply take", pair.input)
    )
    if fewest == highest:
        why = f"{what} {highest:,} tokens; {name} is {limit:,}"
    else:
        why = f"{what} about {fewest:,} to {highest:,} tokens (an estimate); {name} is {limit:,}"
    found = _at(kind, pair, why, value)
    return found if fewest == highest else found._replace(severity="warning")


def _labels(pairs: Sequence[Pair], rules: Rules) -> Iterator[Finding]:
    outputs = [rules.same(pair.output) for pair in pairs]
    if not (look_like_labels(outputs) if rules.are_labels is None else rules.are_labels):
        return
    counts = Counter(outputs)
    first = {label: pair for label, pair in zip(reversed(outputs), reversed(pairs), strict=True)}
    for label, pair in sorted(first.items()):
        if counts[label] < FEWEST_ROWS:
            rows = "1 row" if counts[label] == 1 else f"{counts[label]} rows"
            yield _at("rare label", pair, f"this label has {rows}", pair.output)
    for label in rules.labels:
        if rules.same(label) not in counts:
            yield _finding("unused label", "task.yaml", "scoring.labels names it, no row has it", value=label)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
