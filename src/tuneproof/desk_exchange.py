"""Decisions ↔ JSON Lines: reviewers on two machines, and a desk that is set up again.

A decision is recognised by its content, so taking one file twice changes nothing. Another reviewer's answer
to a decided pair is stored as an independent one: equal, it counts as agreement; different, the pair is open
until somebody decides. A file can say anything, so whatever comes from one is marked, its kind follows from
the draft here, and no batch is closed by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pydantic import ValidationError

from tuneproof.artifacts.base import canonical_json, sha256_of
from tuneproof.artifacts.desk import Decision
from tuneproof.artifacts.pairs import LeftOut
from tuneproof.desk_batches import Layout
from tuneproof.desk_state import ANSWERS, DeskState, PairState, Track, folded, said
from tuneproof.errors import BadInput
from tuneproof.outside.desk_store import DeskStore
from tuneproof.outside.readers.json_rows import read_json_lines
from tuneproof.outside.readers.text import Text

_SHOWN = 5
_LONGEST_NAME, _LONGEST_S = 200, 86_400.0


class Imported(NamedTuple):
    """What became of a file of decisions."""

    taken: int
    """Decisions on pairs that were open, and second answers of the same reviewer."""
    agreed: int
    """Independent answers that are equal to the decision here."""
    conflicts: tuple[str, ...]
    """Pairs that two reviewers answered differently; they are open again."""
    repeated: int
    """Answers that were here already, or are older than the same reviewer's here."""
    flagged: int
    """Changes of mind about pairs that somebody else has answered too; those are flagged."""
    refused: tuple[LeftOut, ...]
    """Decisions on another draft, or on a pair that is not here."""
    malformed: tuple[str, ...] = ()
    """Pairs whose output from the file has not the form of an answer; those are flagged."""
    closes: int = 0
    """Closes of batches in the file; none is taken over."""


class _Line(NamedTuple):
    place: str
    decision: Decision


class _Take(NamedTuple):
    """What the file adds to the desk."""

    events: list[Decision]
    agreed: list[str]
    conflicts: list[str]
    repeated: list[str]
    flagged: list[str]
    malformed: list[str]


def export_decisions(store: DeskStore) -> str:
    """Return every event, one JSON object a line, in order."""
    return "".join(canonical_json(event.model_dump(mode="json")) + "\n" for event in store.events())


def import_decisions(
    store: DeskStore, text: str, shown: str, layout: Layout, problem_of: Callable[[str], str]
) -> Imported:
    """Take over the decisions of an export; all of the file, or nothing.

    An empty desk takes every event but the closes of batches: each must be closed here, by a person's note.

    Args:
        store: the desk here.
        text: what `export_decisions` returned elsewhere.
        shown: name of the file, for messages.
        layout: the pairs here.
        problem_of: says why an output has not the form of an answer; empty if it has.

    Raises:
        BadInput: a line is no decision; each is named.
    """
    lines = _read(text, shown)
    refused = tuple(_refused(lines, layout.hashes))
    usable = [
        _marked(line.decision, layout)
        for line in lines
        if layout.hashes.get(line.decision.pair_id) == line.decision.pair_sha256
    ]
    found = _Take([], [], [], [], [], [])

    def plan(here: tuple[Decision, ...]) -> Sequence[Decision]:
        if not here:
            found.events.extend(usable)
        else:
            _merge(here, usable, layout, found)
        _flag_malformed(found, problem_of)
        return found.events

    store.append_all(plan)
    return Imported(
        taken=sum(event.kind in ANSWERS for event in found.events) - len(found.agreed) - len(found.conflicts),
        agreed=len(found.agreed),
        conflicts=tuple(found.conflicts),
        repeated=len(found.repeated),
        flagged=len(found.flagged),
        refused=refused,
        malformed=tuple(found.malformed),
        closes=sum(line.decision.kind == "close" for line in lines),
    )


def _marked(event: Decision, layout: Layout) -> Decision:
    """Believe of an event only what can be seen here; an `again` is of the batch that showed it once more."""
    draft, kind = layout.pairs[event.pair_id].output, event.kind
    if kind in ("accept", "fix"):
        kind = "accept" if event.output == draft else "fix"
    batch = event.batch if kind == "again" else layout.batch_of[event.pair_id]
    blind = event.blind and event.pair_id in layout.blind
    return event.model_copy(update={"kind": kind, "batch": batch, "blind": blind, "imported": True})


def _flag_malformed(found: _Take, problem_of: Callable[[str], str]) -> None:
    """Have every output that is wrong in form looked at by a person here."""
    for event in [e for e in found.events if e.kind in ("accept", "fix", "again")]:
        problem = problem_of(event.output) if event.output is not None else ""
        if problem and event.pair_id not in found.malformed:
            found.malformed.append(event.pair_id)
            note = f"From a file, and wrong in form: {problem}"
            update = {"kind": "flag", "note": note, "output": None, "seconds": 0.0, "blind": False}
            found.events.append(event.model_copy(update=update))


def _read(text: str, shown: str) -> list[_Line]:
    rows = read_json_lines(Text(text.removeprefix("\ufeff"), "utf-8", ()), shown)
    problems = [f"{left.place}: {left.reason}" for left in rows.rejected]
    lines = []
    for row in rows.rows:
        try:
            decision = Decision.model_validate_json(canonical_json(row.values), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(f"{row.place}: {'.'.join(map(str, first['loc'])) or 'row'}: {first['msg']}")
            continue
        if flaw := _flaw(decision):
            problems.append(f"{row.place}: {flaw}")
        lines.append(_Line(row.place, decision))
    if problems:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise BadInput(
            "Not decisions of a desk:\n  " + "\n  ".join(problems[:_SHOWN]) + more,
            remedy="Export them again with `tuneproof review --export FILE`; nothing was taken over.",
        )
    return sorted(lines, key=lambda line: line.decision.seq)


def _flaw(decision: Decision) -> str:
    """Say what a desk would never have written."""
    name, output = decision.reviewer, decision.output
    answer_needed = decision.kind in ("accept", "fix")
    checks = (
        (not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable(), f"reviewer: {name[:40]!r}"),
        (not (0 <= decision.seconds <= _LONGEST_S), f"seconds: {decision.seconds}"),
        (not math.isfinite(decision.seconds), f"seconds: {decision.seconds}"),
        ((decision.kind == "close") != (not decision.pair_id), f"pair_id of a {decision.kind}"),
        (answer_needed and not (output or "").strip(), f"output: empty for {decision.kind}"),
        (decision.kind == "delete" and output is not None, "output: given for delete"),
        (decision.batch < 1 or decision.seq < 1, f"batch {decision.batch}, seq {decision.seq}"),
        (not _is_time(decision.at), f"at: no time with its zone: {decision.at[:40]!r}"),
    )
    return next((flaw for wrong, flaw in checks if wrong), "")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _refused(lines: Sequence[_Line], hashes: Mapping[str, str]) -> Iterator[LeftOut]:
    for place, decision in lines:
        known = hashes.get(decision.pair_id)
        if decision.kind == "close" or known == decision.pair_sha256:
            continue
        what = "no pair of this project" if known is None else "its draft is another one here"
        yield LeftOut(place=place, reason=f"{what}: {decision.pair_id[:80]!r}")


def _merge(here: Sequence[Decision], events: Sequence[Decision], layout: Layout, found: _Take) -> None:
    state, theirs = DeskState(layout.hashes), DeskState(layout.hashes)
    for event in here:
        state.add(event)
    for event in events:
        theirs.add(event)
    known = {_key(event) for event in here}
    for answer in _standing_answers(theirs.tracks):
        track = state.tracks[answer.pair_id]
        event_here = None if _key(answer) in known else _as_here(track.now, answer, layout)
        if event_here is None:
            found.repeated.append(answer.pair_id)
            continue
        _sort(track.now, event_here, found)
        found.events.append(event_here)
        state.add(event_here)


def _standing_answers(tracks: dict[str, Track]) -> list[Decision]:
    """The last accept, fix or delete of each reviewer on each pair, and the answers to pairs shown again."""
    standing: dict[tuple[str, str, int], Decision] = {}
    for pair_id, track in tracks.items():
        for answer in track.now.answers:
            standing[pair_id, answer.reviewer, answer.seq if answer.kind == "again" else 0] = answer
    return sorted(standing.values(), key=lambda answer: answer.seq)


def _as_here(now: PairState, answer: Decision, layout: Layout) -> Decision | None:
    """Say what an answer from elsewhere is here; None where it is older than the reviewer's own here."""
    if not now.answers:
        return answer if answer.kind != "again" else _first_answer(answer, layout)
    own = [a for a in now.answers if a.reviewer == answer.reviewer]
    if answer.kind == "again" or not own:
        return answer.model_copy(update={"kind": "again"})
    if datetime.fromisoformat(answer.at) <= datetime.fromisoformat(own[-1].at):
        return None
    if len(own) == len(now.answers):
        return answer
    return answer.model_copy(update={"kind": "flag", "note": f"{said(answer)}, after another answer before."})


def _first_answer(answer: Decision, layout: Layout) -> Decision:
    """Turn a second answer into a decision, where the first one is not in the file."""
    kind = "delete" if answer.output is None else "fix"
    return _marked(answer.model_copy(update={"kind": kind}), layout)


def _sort(now: PairState, event: Decision, found: _Take) -> None:
    if event.kind == "flag":
        found.flagged.append(event.pair_id)
    if event.kind != "again" or any(a.reviewer == event.reviewer for a in now.answers):
        return
    equal = now.decision is not None and folded(now.decision.output) == folded(event.output)
    (found.agreed if equal else found.conflicts).append(event.pair_id)


def _key(event: Decision) -> str:
    """Name an answer by its content, whatever its number and its kind are here or there."""
    parts = (event.at, event.reviewer, event.pair_id, event.pair_sha256, event.output)
    return sha256_of(canonical_json([*parts, event.seconds, event.driven]))
