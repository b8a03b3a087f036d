"""What a reviewer wants done with a pair → the event to store, or why it cannot be."""

from __future__ import annotations

from tuneproof.artifacts.desk import Decision, Wish
from tuneproof.desk_cards import Deck, is_hidden, state_on
from tuneproof.desk_state import DeskView
from tuneproof.errors import BadInput


class BadWish(BadInput):
    """A wish that cannot be carried out; nothing was changed."""


def decision_from(view: DeskView, deck: Deck, reviewer: str, wish: Wish) -> Decision:
    """Turn a wish into an event without a number and a time.

    An output that equals the draft is an `accept`, however it was sent; any other is a `fix`.

    Args:
        view: the pairs as they stand.
        deck: the reviewer's cards.
        reviewer: who wants it.
        wish: what; its version has been checked.

    Raises:
        BadWish: an empty output, nothing of one's own to undo, or a pair that is shown again and was answered
            in another way, or twice.
    """
    shown_again = wish.pair_id in deck.again
    unanswered = shown_again and state_on(view, deck, reviewer, wish.pair_id) == "open"
    _check_again(wish, shown_again=shown_again, unanswered=unanswered)
    if wish.kind == "undo":
        _check_undo(view, reviewer, wish.pair_id)
    hidden = is_hidden(view, wish.pair_id, unanswered_again=unanswered)
    answers = wish.kind in ("accept", "fix", "delete", "again")
    output = _output(wish, view.layout.pairs[wish.pair_id].output, hidden=hidden) if answers else None
    kind = wish.kind
    if kind in ("accept", "fix"):
        kind = "accept" if output == view.layout.pairs[wish.pair_id].output else "fix"
    return Decision(
        seq=0,
        at="",
        reviewer=reviewer,
        kind=kind,
        batch=deck.batch if wish.pair_id in deck.ids and not _settles(wish, deck) else _own(view, wish),
        pair_id=wish.pair_id,
        pair_sha256=view.layout.hashes[wish.pair_id],
        version=wish.version,
        output=output,
        seconds=wish.seconds,
        blind=answers and hidden,
        note=wish.note,
    )


def _own(view: DeskView, wish: Wish) -> int:
    return view.layout.batch_of[wish.pair_id]


def _settles(wish: Wish, deck: Deck) -> bool:
    """Whether a pair that was shown again is now decided on, which belongs to its own batch."""
    return wish.pair_id in deck.again and wish.kind != "again"


def _check_again(wish: Wish, *, shown_again: bool, unanswered: bool) -> None:
    if wish.kind == "again" and not unanswered:
        what = "was answered already" if shown_again else "is not shown again in this batch"
        raise BadWish(
            f"The pair {wish.pair_id!r} {what}.", remedy="Accept, fix or delete it to change what stands."
        )
    if unanswered and wish.kind in ("accept", "fix", "delete", "undo"):
        raise BadWish(
            f"The pair {wish.pair_id!r} is shown again to compare two answers of yours.",
            remedy="Answer it as a pair shown again; afterwards what stands can be changed.",
        )


def _check_undo(view: DeskView, reviewer: str, pair_id: str) -> None:
    by = view.now(pair_id).by
    if by is not None and by.reviewer == reviewer and by.kind != "again":
        return
    if by is not None and by.reviewer == reviewer:
        raise BadWish(
            f"Your last answer was to {pair_id!r}, a pair shown again; that one stands, for it is a measure.",
            remedy="To change a pair, open it and decide again.",
        )
    who = f"{by.reviewer} decided on it since" if by is not None else "nobody has decided on it"
    raise BadWish(
        f"There is nothing of yours to undo on the pair {pair_id!r}: {who}.",
        remedy="Open the pair and decide as it stands now.",
    )


def _output(wish: Wish, draft: str, *, hidden: bool) -> str | None:
    if wish.kind == "delete" or (wish.kind == "again" and wish.output is None):
        return None
    output = wish.output
    if wish.kind == "accept" and not hidden:
        if output not in (None, draft):
            raise BadWish(
                f"The output sent with the accept of {wish.pair_id!r} is not its draft.",
                remedy="Send it as a fix.",
            )
        output = draft
    if output is None or not output.strip():
        raise BadWish(
            f"The output for {wish.pair_id!r} is empty, and a pair must not teach silence.",
            remedy="Write the output, or delete the pair.",
        )
    return output
