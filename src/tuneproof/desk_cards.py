"""One pair, with what stands beside it → the card that a reviewer sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tuneproof.artifacts.desk import Card, Decision, Found, Neighbour
from tuneproof.desk_batches import interleaved, shown_again
from tuneproof.desk_near import Near, Nearness
from tuneproof.desk_state import DeskView, PairState, State, Track
from tuneproof.twins import NEAR

MOST_TWINS, MOST_NEAREST = 5, 3
_LEAST_ALIKE = 0.05


class Checks(NamedTuple):
    """What a text is checked with."""

    problem_of: Callable[[str], str]
    """Why an output has not the form of an answer; empty if it has."""
    scan: Callable[[str], tuple[tuple[str, str], ...]]
    """Kind and masked excerpt of each secret and piece of personal data in a text."""
    is_current: Callable[[], bool] = lambda: True
    """Whether what was drafted when the desk was opened is what is drafted now."""


class Deck(NamedTuple):
    """The cards of one reviewer in the open batch."""

    batch: int
    ids: tuple[str, ...]
    """In order."""
    again: frozenset[str]
    """Those of closed batches."""


class _Sight(NamedTuple):
    """Who looks at a card, and whether its draft is hidden."""

    deck: Deck
    reviewer: str
    blind: str | None
    """The pair in hand where its draft is hidden; else None."""


def deck_of(view: DeskView, reviewer: str, again: int) -> Deck:
    """Lay out the open batch for a reviewer; empty when all batches are closed.

    Args:
        view: all pairs.
        reviewer: whose earlier decisions are shown again.
        again: wanted number of them.
    """
    batch = view.open_batch()
    if batch > len(view.layout.batches):
        return Deck(batch, (), frozenset())
    once_more = _once_more(view, reviewer, batch, again)
    return Deck(batch, interleaved(view.layout.batches[batch - 1], once_more), frozenset(once_more))


def _once_more(view: DeskView, reviewer: str, batch: int, count: int) -> tuple[str, ...]:
    answered, candidates = [], []
    for closed in range(1, len(view.layout.batches) + 1):
        if closed == batch or not view.is_closed(closed):
            continue
        for pair_id in view.layout.batches[closed - 1]:
            now = view.now(pair_id)
            own = [a for a in now.answers if a.reviewer == reviewer]
            before = [a.batch for a in own[1:] if a.kind == "again"]
            if batch in before:
                answered.append(pair_id)
            elif not before and _can_be_shown(now, reviewer):
                candidates.append(pair_id)
    return shown_again(batch, count, answered=answered, candidates=candidates)


def _can_be_shown(now: PairState, reviewer: str) -> bool:
    own = now.decision is not None and now.decision.reviewer == reviewer
    return own and now.state in ("accept", "fix") and not now.doubt


def answer_again(track: Track, reviewer: str, batch: int) -> Decision | None:
    """Return the answer that a reviewer gave in this batch to a pair shown again."""
    given = [a for a in track.now.answers if a.kind == "again"]
    return next((a for a in given if a.reviewer == reviewer and a.batch == batch), None)


def state_on(view: DeskView, deck: Deck, reviewer: str, pair_id: str) -> State:
    """Return what a reviewer's card says of a pair; a pair shown again says only what they answered now."""
    track = view.state.tracks[pair_id]
    if pair_id not in deck.again:
        return track.now.state
    answer = answer_again(track, reviewer, deck.batch)
    if answer is None:
        return "open"
    if answer.output is None:
        return "delete"
    return "accept" if answer.output == view.layout.pairs[pair_id].output else "fix"


def is_hidden(view: DeskView, pair_id: str, *, unanswered_again: bool) -> bool:
    """Whether the draft must not be seen yet; shown again, a pair is as it was at first."""
    first = view.state.tracks[pair_id].first
    if unanswered_again:
        return first is not None and first.blind
    return pair_id in view.layout.blind and first is None


class Cards:
    """Makes cards; keeps the index of similar inputs.

    Args:
        view: the pairs, and what has become of them.
        checks: what is run on every text.
    """

    def __init__(self, view: DeskView, checks: Checks) -> None:
        self._view, self._checks = view, checks
        self._ids = list(view.layout.pairs)
        self._index_of = {pair_id: i for i, pair_id in enumerate(self._ids)}
        self._nearness = Nearness([pair.input for pair in view.layout.pairs.values()])

    def make(self, deck: Deck, reviewer: str, pair_id: str) -> Card:
        """Show a pair to a reviewer, in the open batch or in one that is closed."""
        view, pair = self._view, self._view.layout.pairs[pair_id]
        track, again = view.state.tracks[pair_id], pair_id in deck.again
        state = state_on(view, deck, reviewer, pair_id)
        secret = again and state == "open"
        hidden = is_hidden(view, pair_id, unanswered_again=secret)
        own = deck.ids if pair_id in deck.ids else view.layout.batches[view.layout.batch_of[pair_id] - 1]
        output = "" if hidden else self._output(track, again, reviewer, deck.batch, pair.output)
        sight = _Sight(deck, reviewer, pair_id if hidden else None)
        twins, nearest = self._beside(pair_id, sight)
        return Card(
            pair_id=pair_id,
            batch=deck.batch if pair_id in deck.ids else view.layout.batch_of[pair_id],
            position=own.index(pair_id) + 1,
            of=len(own),
            version=track.version,
            input=pair.input,
            draft=None if hidden else pair.output,
            output=output,
            state=state,
            flagged=track.now.flagged and not secret,
            note="" if secret else track.now.note,
            blind=pair_id in view.layout.blind if track.first is None else track.first.blind,
            again=again,
            problems=self.problems(output) if output else (),
            findings=self._findings(pair.input, output),
            twins=twins,
            nearest=nearest,
            source=pair.source,
            decided_by=track.now.decision.reviewer if track.now.decision and not secret else "",
        )

    def problems(self, output: str) -> tuple[str, ...]:
        """Say what is wrong with the form of an output."""
        if not output.strip():
            return ("empty: an output must say something",)
        problem = self._checks.problem_of(output)
        return (problem,) if problem else ()

    def _output(self, track: Track, again: bool, reviewer: str, batch: int, draft: str) -> str:
        answer = answer_again(track, reviewer, batch) if again else track.now.decision
        return draft if answer is None or answer.output is None else answer.output

    def _findings(self, text: str, output: str) -> tuple[Found, ...]:
        scan = self._checks.scan
        return (
            *(Found(where="input", kind=kind, excerpt=excerpt) for kind, excerpt in scan(text)),
            *(Found(where="output", kind=kind, excerpt=excerpt) for kind, excerpt in scan(output)),
        )

    def _beside(self, pair_id: str, sight: _Sight) -> tuple[tuple[Neighbour, ...], tuple[Neighbour, ...]]:
        """Near twins, and the most similar others that go on."""
        found = self._nearness.beside(self._index_of[pair_id], at_least=_LEAST_ALIKE)
        twins = [near for near in found if near.similarity >= NEAR][:MOST_TWINS]
        rest = (self._neighbour(near, sight) for near in found if near not in twins)
        return tuple(self._neighbour(near, sight) for near in twins), tuple(_first(MOST_NEAREST, rest))

    def _neighbour(self, near: Near, sight: _Sight) -> Neighbour:
        pair_id = self._ids[near.row]
        pair, now = self._view.layout.pairs[pair_id], self._view.now(pair_id)
        decided = now.decision.output if now.decision is not None else None
        secret = self._is_secret(near, pair_id, sight)
        return Neighbour(
            pair_id=pair_id,
            input=pair.input,
            output="" if secret else pair.output if decided is None else decided,
            state="open" if secret else now.state,
            similarity=round(near.similarity, 4),
        )

    def _is_secret(self, near: Near, pair_id: str, sight: _Sight) -> bool:
        """Whether the output of a neighbour would give an answer away that is still to come."""
        view, deck = self._view, sight.deck
        if is_hidden(view, pair_id, unanswered_again=False):
            return True
        if pair_id in deck.again and state_on(view, deck, sight.reviewer, pair_id) == "open":
            return True
        if sight.blind is None:
            return False
        # What a near twin has for an output, drafted or decided, is nearly the draft that is hidden.
        group_of = view.layout.group_of
        return near.similarity >= NEAR or (
            pair_id in group_of and group_of[pair_id] == group_of.get(sight.blind)
        )


def _first(count: int, neighbours: Iterator[Neighbour]) -> Iterator[Neighbour]:
    for neighbour in neighbours:
        if count and neighbour.state in ("accept", "fix"):
            count -= 1
            yield neighbour
        if not count:
            return
