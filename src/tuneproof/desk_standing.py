"""What was decided so far → how far a reviewer is, and what the open batch waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from tuneproof.artifacts.desk import Decision, Standing
from tuneproof.desk_cards import Deck, deck_of, state_on
from tuneproof.desk_figures import alarm_of, self_agreement, summary_of
from tuneproof.desk_state import DeskView, PairState

_LAST = 20


def standing_of(view: DeskView, reviewer: str, again: int) -> Standing:
    """Say how far a reviewer is.

    Args:
        view: all pairs.
        reviewer: who asks.
        again: wanted number of pairs shown again in a batch.
    """
    deck = deck_of(view, reviewer, again)
    states = [view.now(pair_id) for pair_id in view.layout.pairs]
    on_cards = [state_on(view, deck, reviewer, pair_id) for pair_id in deck.ids]
    kinds = [state.state for state in states]
    own = _own_decisions(view, deck)
    done = deck.batch > len(view.layout.batches)
    complete = not done and "open" not in on_cards
    waiting = waiting_for(view, reviewer, again) if complete else ""
    return Standing(
        reviewer=reviewer,
        batch=deck.batch,
        batches=len(view.layout.batches),
        in_batch=len(on_cards) - on_cards.count("open"),
        of_batch=len(on_cards),
        decided=len(kinds) - kinds.count("open"),
        total=len(kinds),
        accepted=kinds.count("accept"),
        fixed=kinds.count("fix"),
        deleted=kinds.count("delete"),
        flagged=sum(state.flagged for state in states),
        median_seconds=_pace(states, reviewer),
        driven=_is_driven(view, reviewer),
        can_close=complete and not waiting,
        waiting=waiting,
        done=done,
        alarm="" if done else alarm_of(own, of=len(deck.ids) - len(deck.again)),
        reminder="" if done or own else _reminder(view, deck.batch),
        self_agreement=self_agreement(view, reviewer),
    )


def waiting_for(view: DeskView, reviewer: str, again: int) -> str:
    """Say who must still answer pairs shown again; empty if nobody but the reviewer must.

    It is whoever decided most of the open batch at this desk: their agreement with themselves is what the
    batch's figures are for. What came from a file has nobody here to ask.

    Args:
        view: all pairs.
        reviewer: who wants to close the batch.
        again: wanted number of pairs shown again.
    """
    batch = view.open_batch()
    if batch > len(view.layout.batches):
        return ""
    decisions = (view.now(pair_id).decision for pair_id in view.layout.batches[batch - 1])
    counts = Counter(d.reviewer for d in decisions if d is not None and not d.imported)
    most = max(counts.values(), default=0)
    if counts[reviewer] == most:
        return ""
    leader = min(name for name, count in counts.items() if count == most)
    deck = deck_of(view, leader, again)
    left = [p for p in deck.ids if p in deck.again and state_on(view, deck, leader, p) == "open"]
    if not left:
        return ""
    named = ", ".join(left[:5]) + (" …" if len(left) > 5 else "")
    pairs = "1 pair" if len(left) == 1 else f"{len(left)} pairs"
    return (
        f"{leader} decided most of batch {batch} and has not yet answered {pairs} shown again ({named}), so "
        f"{leader} must do that before the batch can be closed."
    )


def _own_decisions(view: DeskView, deck: Deck) -> list[Decision]:
    """What stands on the batch's own pairs, those shown again not among them."""
    own = (view.now(pair_id).decision for pair_id in deck.ids if pair_id not in deck.again)
    return [decision for decision in own if decision is not None]


def _pace(states: Sequence[PairState], reviewer: str) -> float | None:
    """Median seconds of a reviewer's last 20 decisions."""
    own = [s.decision for s in states if s.decision is not None and s.decision.reviewer == reviewer]
    last = sorted(own, key=lambda decision: decision.seq)[-_LAST:]
    return median(d.seconds for d in last) if last else None


def _is_driven(view: DeskView, reviewer: str) -> bool:
    """Whether a program answered or closed anything under this name; what was undone counts too."""
    tracks = view.state.tracks.values()
    answers = (a for track in tracks for a in (track.first, *track.now.answers) if a is not None)
    return any(a.driven and a.reviewer == reviewer for a in (*answers, *view.state.closes.values()))


def _reminder(view: DeskView, batch: int) -> str:
    before = next((b for b in range(batch - 1, 0, -1) if view.layout.batches[b - 1]), 0)
    if not before:
        return ""
    last = summary_of(view, before)
    by = ", by a program" if last.driven else ""
    return (
        f"Standards drift from batch to batch. Batch {before}: {last.accept_rate:.0%} of shown drafts "
        f"accepted, {last.fixed} fixed, {last.deleted} deleted, {last.median_seconds:.1f} s a pair{by}. "
        f"Its note: “{last.note}”. Treat like cases alike, or say in the next note what changed."
    )
