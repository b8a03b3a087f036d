"""Step 2 · draft: Case + source → Drafts.

A bundled source brings its labels, and so do files of the user's own. Where the case names a teacher, the
source holds inputs alone and the outputs are drafted; a person decides on each of them later.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tuneproof.artifacts import Case, Drafts, LeftOut, Pair
from tuneproof.artifacts.case import DataSection
from tuneproof.errors import BadInput, NotReady

Source = Callable[[int], Drafts]
"""Takes the wanted number of pairs and reads them from the outside."""

ReadPairs = Callable[[], Drafts]
"""Reads the pairs of the file or folder that the case names; rows that are none come in `rejected`."""

DraftPairs = Callable[[], Drafts]
"""Has a teacher draft the outputs of the inputs that the case names."""

BUNDLED = "bundled:"
"""What the name of a source that comes with this package begins with."""

ALL = 1_000_000_000
"""What a bundled source is asked for where task.yaml sets no limit: everything."""

BEYOND = "beyond the wanted number"
_SHOWN = 20
"""Problems that are written out; the rest is counted by kind."""


def draft(
    case: Case,
    sources: dict[str, Source],
    read_pairs: ReadPairs,
    problem_of: Callable[[str], str] = lambda _: "",
    drafted: DraftPairs | None = None,
) -> Drafts:
    """Read the pairs that the case names, or have them drafted; leave out what cannot be learned, or refuse.

    A row is refused when it is no pair, its id occurs twice, a side is empty, the metric cannot accept its
    output, or a row with the same input (NFKC, case and white space folded) has another output. Exact
    repeats stay: they share a group, so they cannot straddle the split. None of this stops drafted pairs: a
    reviewer sees each of them with what is wrong, and settles it.

    Args:
        case: names the source, the wanted number of pairs, and what happens to bad rows.
        sources: name → reader of a bundled source.
        read_pairs: reader of the user's own file; called only if `data.source` is no bundled source.
        problem_of: says why the metric cannot accept an expected output; "" if it can.
        drafted: has the outputs drafted; called only if the case names a teacher. None: nothing may be spent.

    Returns:
        The pairs in the order of the source. Of a file with more than `data.pairs` pairs, those whose id has
        the smallest hash: a choice that neither the order of the file nor chance decides.

    Raises:
        NotReady: the triage advises against a tune, or drafts are needed and may not be made now.
        BadInput: a teacher is named for pairs that an authority labelled, or for a bundled source; the
            bundled source is unknown, no pair is left, or rows are bad and may not be left out; all problems
            are named at once.
    """
    data = case.task_file.data
    if case.triage.advice != "fine-tune":
        raise NotReady(
            f"The triage says {case.triage.advice!r}: {'; '.join(case.triage.reasons)}.",
            remedy="Change the approach, or correct `pressures:` in task.yaml if they do not fit the task.",
        )
    if case.task_file.drafting.teacher is not None:
        return _of_teacher(data, drafted)
    if data.source in sources:
        return _of_bundled(sources[data.source](data.pairs or ALL), problem_of)
    if data.source.startswith(BUNDLED):
        raise BadInput(
            f"task.yaml: data.source is {data.source!r}; bundled sources: {', '.join(sorted(sources))}.",
            remedy="Name one of these in task.yaml, or a file or folder of your own, seen from task.yaml.",
        )
    return _of_file(read_pairs(), data, problem_of)


def _of_teacher(data: DataSection, drafted: DraftPairs | None) -> Drafts:
    if data.reviewed_by is not None:
        raise BadInput(
            f"task.yaml: data.reviewed_by is {data.reviewed_by!r}, but the outputs are drafted by a teacher: "
            "nobody has labelled them.",
            remedy="Remove data.reviewed_by: every drafted pair is reviewed here. Or remove drafting.teacher "
            "if data.source holds outputs that a person wrote.",
        )
    if data.source.startswith(BUNDLED):
        raise BadInput(
            f"task.yaml: drafting.teacher is set, but {data.source} brings its own outputs.",
            remedy="Remove drafting.teacher, or name a file with real inputs in data.source.",
        )
    if drafted is None:
        raise NotReady("The pairs are not drafted yet, and drafting costs money.", remedy="tuneproof draft")
    return _with_pairs(drafted())


def refuse_bad_rows(rejected: Sequence[LeftOut], data: DataSection) -> None:
    """Stop before anything is spent where rows of the inputs are bad and may not be left out.

    Raises:
        BadInput: names the first of them by place and reason, and counts the rest.
    """
    if data.bad_rows == "refuse" and rejected:
        raise BadInput(_told(rejected), remedy=_mend(data))


def _of_bundled(drafts: Drafts, problem_of: Callable[[str], str]) -> Drafts:
    if bad := _problems(drafts.pairs, problem_of):
        raise BadInput(
            _told(tuple(bad.values())), remedy="This is a fault of the bundled source: please report it."
        )
    return _with_pairs(drafts)


def _of_file(drafts: Drafts, data: DataSection, problem_of: Callable[[str], str]) -> Drafts:
    bad = _problems(drafts.pairs, problem_of)
    if data.bad_rows == "refuse" and (bad or drafts.rejected):
        # The reader's rows and ours: one message, so that one pass over the file mends it.
        raise BadInput(
            _told([*drafts.rejected, *bad.values()]),
            remedy=_mend(data),
        )
    good = tuple(pair for index, pair in enumerate(drafts.pairs) if index not in bad)
    taken = _taken(good, data.pairs)
    left_out = Counter(drafts.left_out)
    left_out.update(_kind_of(row.reason) for row in bad.values())
    if len(taken) < len(good):
        left_out[BEYOND] += len(good) - len(taken)
    rejected = tuple(sorted((*drafts.rejected, *bad.values()), key=_in_order))
    return _with_pairs(
        drafts.model_copy(update={"pairs": taken, "left_out": dict(left_out), "rejected": rejected})
    )


def _mend(data: DataSection) -> str:
    return (
        f"Correct these rows in {data.source}, or go on without: `data.bad_rows: leave out` in task.yaml; "
        "then run `tuneproof draft` again."
    )


def _with_pairs(drafts: Drafts) -> Drafts:
    if not drafts.pairs:
        counts = Counter(_kind_of(row.reason) for row in drafts.rejected)
        reasons = "".join(f"\n{count:,} × {kind}" for kind, count in counts.most_common())
        first = "".join(f"\nfor example {row.place}: {row.reason}" for row in drafts.rejected[:2])
        raise BadInput(
            f"{drafts.provenance.source} gave no pair.{reasons}{first}",
            remedy="What all rows share is mostly a setting: see the columns under `data:`, "
            "task.system_prompt, scoring.labels and scoring.json_schema in task.yaml.",
        )
    return drafts


def _taken(pairs: tuple[Pair, ...], wanted: int | None) -> tuple[Pair, ...]:
    """Take `wanted` pairs by the hash of their id: the head of a sorted file would lack whole classes."""
    if wanted is None or wanted >= len(pairs):
        return pairs
    ranked = sorted(pairs, key=lambda pair: hashlib.sha256(pair.id.encode("utf-8")).digest())
    ids = {pair.id for pair in ranked[:wanted]}
    return tuple(pair for pair in pairs if pair.id in ids)


def _problems(pairs: Sequence[Pair], problem_of: Callable[[str], str]) -> dict[int, LeftOut]:
    """Return what is wrong: index of the pair → its place and the first reason found."""
    found: dict[int, LeftOut] = {}
    alone = dict(_of_one(pairs, problem_of))
    # A side that is no answer contradicts nothing: its good twin stays.
    answers = [index for index in range(len(pairs)) if index not in alone]
    for index, reason in (*alone.items(), *_same_ids(pairs), *_contradictions(pairs, answers)):
        found.setdefault(index, LeftOut(place=pairs[index].source, reason=reason))
    return dict(sorted(found.items()))


def _of_one(pairs: Sequence[Pair], problem_of: Callable[[str], str]) -> Iterator[tuple[int, str]]:
    known: dict[str, str] = {}  # labels repeat, and a metric of the user's own may be slow
    for index, pair in enumerate(pairs):
        if not pair.input.strip():
            yield index, f"its input is empty: {pair.input!r}"
        elif not pair.output.strip():
            yield index, f"its output is empty: {pair.output!r}"
        else:
            if pair.output not in known:
                known[pair.output] = problem_of(pair.output)
            if problem := known[pair.output]:
                yield index, f"the metric cannot accept its output: {_short(pair.output)}: {problem}"


def _same_ids(pairs: Sequence[Pair]) -> Iterator[tuple[int, str]]:
    first: dict[str, Pair] = {}
    for index, pair in enumerate(pairs):
        if (earlier := first.setdefault(pair.id, pair)) is not pair:
            yield index, f"its id occurs twice: {pair.id!r} is also the id of {earlier.source}"


def _contradictions(pairs: Sequence[Pair], among: Sequence[int]) -> Iterator[tuple[int, str]]:
    alike: dict[str, list[int]] = {}
    for index in among:
        folded = " ".join(unicodedata.normalize("NFKC", pairs[index].input).casefold().split())
        alike.setdefault(folded, []).append(index)
    for rows in alike.values():
        answers: dict[str, int] = {}  # output → the first row that gives it, in order
        for index in rows:
            answers.setdefault(" ".join(pairs[index].output.split()), index)
        for index in rows if len(answers) > 1 else ():
            own = " ".join(pairs[index].output.split())
            other = pairs[next(row for answer, row in answers.items() if answer != own)]
            yield (
                index,
                f"contradicts a row with the same input: {_short(pairs[index].output)} here, "
                f"{_short(other.output)} in {other.source}",
            )


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _kind_of(reason: str) -> str:
    """Return what is wrong without the row's details, which follow the first `: `."""
    return reason.partition(": ")[0]


def _told(rows: Sequence[LeftOut]) -> str:
    """Write the first problems in full, in the order of the file, and count the rest by kind."""
    ordered = sorted(rows, key=_in_order)
    lines = [f"{row.place}: {row.reason}" for row in ordered[:_SHOWN]]
    rest = Counter(_kind_of(row.reason) for row in ordered[_SHOWN:])
    if rest:
        counts = ", ".join(f"{count:,} × {kind}" for kind, count in rest.most_common())
        lines.append(f"… and {rest.total():,} more like these: {counts}")
    return "\n".join(lines)


def _in_order(row: LeftOut) -> tuple[str, int]:
    """File, then line as a number: line 9 comes before line 10."""
    name, number = re.fullmatch(r"(.*?)(\d*)", row.place, re.DOTALL).groups()  # type: ignore[union-attr]
    return name, int(number or 0)
