"""The review desk: drafts and decisions → the card in hand; a decision counts once it is on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Literal, ParamSpec, TypeVar

from tuneproof.artifacts.case import ReviewSection, SplitSection
from tuneproof.artifacts.desk import BatchSummary, Card, Decision, ReviewFigures, Standing, Wish
from tuneproof.artifacts.pairs import Drafts
from tuneproof.desk_batches import layout, pair_hash
from tuneproof.desk_cards import Cards, Checks, Deck, deck_of, state_on
from tuneproof.desk_figures import figures_of, summary_of
from tuneproof.desk_standing import standing_of, waiting_for
from tuneproof.desk_state import DeskView, view_of
from tuneproof.desk_wish import BadWish, decision_from
from tuneproof.errors import NotReady, TuneproofError
from tuneproof.outside.desk_store import DeskStore, DraftsChanged, StaleVersion, drafts_changed

__all__ = ["BadWish", "Checks", "Conflict", "Desk", "read_desk"]

Step = Literal["here", "next", "previous", "open"]
LEAST_NOTE = 3
"""Words of the note that closes a batch."""
LONGEST_NAME = 200

P = ParamSpec("P")
T = TypeVar("T")


class Conflict(TuneproofError):
    """The pair has changed since the reviewer saw it; `card` is the pair as it stands now."""

    def __init__(self, problem: str, *, remedy: str, card: Card | None = None) -> None:
        super().__init__(problem, remedy=remedy)
        self.card = card


def read_desk(
    store: DeskStore, drafts: Drafts, settings: ReviewSection, split: SplitSection | None = None
) -> DeskView:
    """Give every draft its place, and replay what was decided on it.

    Args:
        store: places and events; new drafts get a place after all others.
        drafts: all pairs.
        settings: share of the future test rows that is answered blind.
        split: sizes of the future test; None takes the usual ones.
    """
    places = store.arrange([(pair.id, pair_hash(pair)) for pair in drafts.pairs])
    plan = layout(drafts.pairs, places, settings, split or SplitSection())
    return view_of(plan, store.events())


def _one_at_a_time(method: Callable[Concatenate[Desk, P], T]) -> Callable[Concatenate[Desk, P], T]:
    """Let no two threads of the page use the desk at once, and show each what is on the disk by then."""

    @wraps(method)
    def inner(self: Desk, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock:
            self._catch_up()
            return method(self, *args, **kwargs)

    return inner


class Desk:
    """What the page and the terminal ask.

    Several desks may work on one store; each method begins with what the others have written by then.

    Args:
        store: where the decisions lie.
        drafts: the pairs to decide on.
        settings: blind share, pairs shown again.
        checks: what is run on every text.
        clock: time in UTC, ISO 8601.
        split: sizes of the future test, whose pairs are partly answered blind; None takes the usual ones.
    """

    def __init__(
        self,
        store: DeskStore,
        drafts: Drafts,
        settings: ReviewSection,
        checks: Checks,
        clock: Callable[[], str],
        split: SplitSection | None = None,
    ) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._is_current = checks.is_current
        self._lock = threading.RLock()
        self._view = read_desk(store, drafts, settings, split)
        self._cards = Cards(self._view, checks)

    @_one_at_a_time
    def view(self) -> DeskView:
        """Return all pairs and what has become of them."""
        return self._view

    @_one_at_a_time
    def standing(self, reviewer: str) -> Standing:
        """Say how far a reviewer is."""
        return standing_of(self._view, reviewer, self._settings.again)

    @_one_at_a_time
    def card(self, reviewer: str, pair_id: str | None = None, *, step: Step = "open") -> Card | None:
        """Show a card of the open batch, or with `here` of a closed one too.

        Args:
            reviewer: who looks.
            pair_id: where they are now.
            step: `open` is the first undecided card; the others are seen from `pair_id`.

        Returns:
            None where there is no such card.
        """
        deck = self._deck(reviewer)
        found = self._find(deck, reviewer, pair_id, step)
        return None if found is None else self._cards.make(deck, reviewer, found)

    @_one_at_a_time
    def cards(self, reviewer: str) -> tuple[tuple[str, str], ...]:
        """Return id and state of every card of the open batch, in order."""
        deck = self._deck(reviewer)
        return tuple((pair_id, state_on(self._view, deck, reviewer, pair_id)) for pair_id in deck.ids)

    @_one_at_a_time
    def flagged(self) -> tuple[tuple[str, str], ...]:
        """Return id and reason of every pair that somebody, or a second answer, wants looked at again."""
        view = self._view
        return tuple((p, view.now(p).note) for p in view.layout.pairs if view.now(p).flagged)

    @_one_at_a_time
    def decide(self, reviewer: str, wish: Wish, *, driven: bool = False) -> Decision:
        """Take a decision; when this returns, it is on the disk.

        Args:
            reviewer: who decides.
            wish: what they want, and the version of the pair that they saw.
            driven: sent by a program, not by a person's hands.

        Raises:
            Conflict: the pair, or what is drafted, has changed since.
            BadWish: the wish cannot be carried out, for example an empty output.
        """
        _check_name(reviewer)
        deck = self._deck(reviewer)
        if self._find(deck, reviewer, wish.pair_id, "here") is None:
            raise BadWish(
                f"The pair {wish.pair_id!r} is not among those of the open and the closed batches.",
                remedy="Go on with the open batch; a later one opens when it is closed.",
            )
        if wish.version != self._view.state.tracks[wish.pair_id].version:
            raise self._conflict(deck, reviewer, wish.pair_id)
        event = decision_from(self._view, deck, reviewer, wish)
        return self._append(event.model_copy(update={"at": self._clock(), "driven": driven}))

    @_one_at_a_time
    def undo(self, reviewer: str, *, driven: bool = False) -> Card | None:
        """Undo the reviewer's own last decision of the open batch and return its card.

        Returns:
            None where there is nothing to undo.

        Raises:
            BadWish: somebody decided on that pair since, or it was the answer to a pair shown again.
        """
        _check_name(reviewer)
        last = self._last_of(reviewer, self._view.open_batch())
        if last is None:
            return None
        wish = Wish(pair_id=last.pair_id, kind="undo", version=self._view.state.tracks[last.pair_id].version)
        self.decide(reviewer, wish, driven=driven)
        return self.card(reviewer, last.pair_id, step="here")

    @_one_at_a_time
    def check(self, pair_id: str, output: str) -> tuple[str, ...]:
        """Say what is wrong with the form of an edited output of a pair."""
        return self._cards.problems(output)

    @_one_at_a_time
    def summary(self, reviewer: str) -> BatchSummary:
        """Say what the open batch came to so far; when all are closed, the last one.

        Raises:
            NotReady: there are no pairs.
        """
        if not self._view.layout.batches:
            raise NotReady("There are no drafts to review.", remedy="tuneproof draft")
        return summary_of(self._view, min(self._view.open_batch(), len(self._view.layout.batches)))

    @_one_at_a_time
    def close(self, reviewer: str, note: str, *, driven: bool = False) -> BatchSummary:
        """Close the open batch; the next one opens.

        Args:
            reviewer: who closes it.
            note: what they learnt from it, at least three words.
            driven: sent by a program.

        Raises:
            NotReady: a pair is undecided, a pair shown again is not answered by whoever decided most of the
                batch, or all batches are closed.
            BadWish: the note is too short.
            Conflict: what is drafted has changed.
        """
        _check_name(reviewer)
        batch = self._closable(reviewer)
        if len(note.split()) < LEAST_NOTE:
            raise BadWish(
                f"The note {note!r} has fewer than {LEAST_NOTE} words.",
                remedy="Say in your own words what the batch was like and what you decided to treat alike.",
            )
        event = Decision(
            seq=0, at=self._clock(), reviewer=reviewer, kind="close", batch=batch, note=note, driven=driven
        )
        try:
            self._write(event, last_seq=self._view.state.last_seq)
        except StaleVersion:
            # Somebody decided in this moment: look again, and close if the batch still allows it.
            return self.close(reviewer, note, driven=driven)
        self._catch_up()
        return summary_of(self._view, batch)

    @_one_at_a_time
    def figures(self) -> ReviewFigures:
        """Say how the decisions of the closed batches were made."""
        return figures_of(self._view)

    def _catch_up(self) -> None:
        for event in self._store.events(self._view.state.last_seq):
            self._view.state.add(event)

    def _deck(self, reviewer: str) -> Deck:
        return deck_of(self._view, reviewer, self._settings.again)

    def _find(self, deck: Deck, reviewer: str, pair_id: str | None, step: Step) -> str | None:
        if step == "open" or (pair_id is None and step == "here"):
            states = ((p, state_on(self._view, deck, reviewer, p)) for p in deck.ids)
            return next((p for p, state in states if state == "open"), None)
        if step == "here":
            batch = self._view.layout.batch_of.get(pair_id or "", deck.batch + 1)
            return pair_id if batch <= deck.batch or pair_id in deck.ids else None
        if pair_id not in deck.ids:
            return next(iter(deck.ids), None)
        at = deck.ids.index(pair_id) + (1 if step == "next" else -1)
        return deck.ids[at] if 0 <= at < len(deck.ids) else None

    def _append(self, event: Decision) -> Decision:
        try:
            stored = self._write(event)
        except StaleVersion as error:
            self._catch_up()
            raise self._conflict(self._deck(event.reviewer), event.reviewer, event.pair_id) from error
        self._catch_up()
        return stored

    def _write(self, event: Decision, *, last_seq: int | None = None) -> Decision:
        """Store an event; not where it would be void at once because the drafts are others by now."""
        hashes = self._view.layout.hashes
        try:
            if not self._is_current():
                raise drafts_changed()
            drafted = {event.pair_id: hashes[event.pair_id]} if event.pair_id else hashes
            return self._store.append(event, last_seq=last_seq, drafted=drafted)
        except DraftsChanged as error:
            raise Conflict(error.problem, remedy=error.remedy) from error

    def _conflict(self, deck: Deck, reviewer: str, pair_id: str) -> Conflict:
        by = self._view.now(pair_id).by
        who = f" by {by.reviewer}" if by is not None else ""
        return Conflict(
            f"The pair {pair_id!r} was changed{who} since you saw it; your decision was not taken.",
            remedy="Look at it as it stands now, then decide again.",
            card=self._cards.make(deck, reviewer, pair_id),
        )

    def _last_of(self, reviewer: str, batch: int) -> Decision | None:
        events = (
            state.by
            for track in self._view.state.tracks.values()
            for state in track.states
            if state.by is not None and state.by.reviewer == reviewer and state.by.batch == batch
        )
        return max(events, key=lambda event: event.seq, default=None)

    def _closable(self, reviewer: str) -> int:
        deck = self._deck(reviewer)
        if not deck.ids:
            raise NotReady("All batches are closed.", remedy="tuneproof freeze")
        undecided = [p for p in deck.ids if state_on(self._view, deck, reviewer, p) == "open"]
        if undecided:
            named = ", ".join(undecided[:5]) + (" …" if len(undecided) > 5 else "")
            raise NotReady(
                f"Batch {deck.batch} has {len(undecided)} undecided of {len(deck.ids)} pairs: {named}.",
                remedy="Decide on each of them, then close the batch.",
            )
        if waiting := waiting_for(self._view, reviewer, self._settings.again):
            raise NotReady(waiting, remedy="They start: tuneproof review --reviewer NAME; then close it.")
        return deck.batch


def _check_name(reviewer: str) -> None:
    if not reviewer.strip() or len(reviewer) > LONGEST_NAME or not reviewer.isprintable():
        raise BadWish(
            f"{reviewer[:LONGEST_NAME]!r} is no name of a reviewer.",
            remedy=f"Give your name: 1 to {LONGEST_NAME} printable characters.",
        )
