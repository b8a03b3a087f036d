"""Decisions in their order → what every pair has come to.

An `again` of someone who answered the pair before measures that person; of anyone else, it is an independent
answer, and where it differs the pair is open until someone decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from tuneproof.artifacts.desk import Decision
from tuneproof.desk_batches import Layout

State = Literal["open", "accept", "fix", "delete"]

_SHOWN = 200


class PairState(NamedTuple):
    """A pair after some event."""

    by: Decision | None = None
    """The event that led here."""
    decision: Decision | None = None
    """The last accept, fix or delete."""
    answers: tuple[Decision, ...] = ()
    """Every accept, fix, delete and again, in order."""
    contested: bool = False
    """Two reviewers answered independently and differently, and nobody has decided since."""
    flag: str | None = None
    """Why someone wants to come back to it; None: nobody does."""
    doubt: str = ""
    """What two answers to it were, where they differ and nobody has decided since."""

    @property
    def state(self) -> State:
        """What was decided; open while two reviewers differ."""
        if self.decision is None or self.contested:
            return "open"
        kind = self.decision.kind
        return "accept" if kind == "accept" else "fix" if kind == "fix" else "delete"

    @property
    def flagged(self) -> bool:
        """Somebody, or a second answer, asks to look at it again."""
        return self.flag is not None or bool(self.doubt)

    @property
    def note(self) -> str:
        """Why."""
        return " ".join(part for part in (self.flag, self.doubt) if part)


class Track:
    """All that happened to one pair, as it was drafted."""

    def __init__(self) -> None:
        self.version = 0
        """Events on it, on former drafts too."""
        self.first: Decision | None = None
        """The first answer to this draft, even if it was undone: from then on its draft has been seen."""
        self.states = [PairState()]
        """After each event that was not undone."""

    @property
    def now(self) -> PairState:
        """As it stands."""
        return self.states[-1]


class DeskState:
    """What all pairs have come to; grows event by event.

    Args:
        hashes: id → hash of each pair as it is drafted now; decisions on other drafts do not count.
    """

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = hashes
        self.tracks = {pair_id: Track() for pair_id in hashes}
        self.closes: dict[int, Decision] = {}
        """Batch → the last event that closed it."""
        self.last_seq = 0

    def add(self, event: Decision) -> None:
        """Take one more event."""
        self.last_seq = event.seq
        if event.kind == "close":
            self.closes[event.batch] = event
            return
        if (track := self.tracks.get(event.pair_id)) is None:
            return
        track.version += 1
        if event.pair_sha256 != self._hashes[event.pair_id]:
            return
        if event.kind in ANSWERS and track.first is None:
            track.first = event
        if event.kind != "undo":
            track.states.append(_after(track.now, event))
        elif len(track.states) > 1:
            track.states.pop()


class DeskView(NamedTuple):
    """The pairs and what has become of them."""

    layout: Layout
    state: DeskState

    def now(self, pair_id: str) -> PairState:
        """Return a pair as it stands."""
        return self.state.tracks[pair_id].now

    def is_closed(self, batch: int) -> bool:
        """Whether every pair of the batch was decided before its last close, and still is.

        What stands must not have come from a file since: whoever closes a batch answers for what is in it.
        """
        close = self.state.closes.get(batch)
        return all(
            close is not None and self._held(pair_id, close) for pair_id in self.layout.batches[batch - 1]
        )

    def _held(self, pair_id: str, close: Decision) -> bool:
        now = self.now(pair_id)
        stands = now.decision
        if stands is None or now.state == "open" or (stands.imported and stands.seq > close.seq):
            return False
        return any(answer.seq < close.seq for answer in now.answers)

    def open_batch(self) -> int:
        """The first batch that is not closed; one more than there are when all are."""
        batches = range(1, len(self.layout.batches) + 1)
        return next((b for b in batches if not self.is_closed(b)), len(batches) + 1)


ANSWERS = ("accept", "fix", "delete", "again")


def view_of(layout: Layout, events: Iterable[Decision]) -> DeskView:
    """Replay all events."""
    state = DeskState(layout.hashes)
    for event in events:
        state.add(event)
    return DeskView(layout, state)


def folded(output: str | None) -> str | None:
    """An answer without differences in white space; None is a deletion."""
    return None if output is None else " ".join(output.split())


def _after(state: PairState, event: Decision) -> PairState:
    match event.kind:
        case "flag":
            return state._replace(by=event, flag=event.note)
        case "unflag":
            return state._replace(by=event, flag=None, doubt="")
        case "again":
            return _answered_again(state, event)
        case _:
            answers = (*state.answers, event)
            return state._replace(by=event, decision=event, answers=answers, contested=False, doubt="")


def _answered_again(state: PairState, event: Decision) -> PairState:
    mine = [answer for answer in state.answers if answer.reviewer == event.reviewer]
    before = mine[-1] if mine else state.decision
    after = state._replace(by=event, answers=(*state.answers, event))
    if before is None or folded(before.output) == folded(event.output):
        return after
    doubt = f"{said(before)}; {said(event)}"
    return after._replace(doubt=doubt, contested=state.contested or not mine)


def said(answer: Decision) -> str:
    """Say who answered what, at most 200 characters of it."""
    if answer.output is None:
        return f"{answer.reviewer} deleted it"
    text = " ".join(answer.output.split())
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return f"{answer.reviewer} answered “{shown}”"
