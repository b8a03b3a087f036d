"""The review desk in a terminal: keys in, plain lines out; works over ssh and with a screen reader."""

from __future__ import annotations

from collections.abc import Callable
from difflib import ndiff
from typing import NamedTuple, Protocol

from tuneproof.artifacts.desk import BatchSummary, Card, Neighbour, Standing, Wish
from tuneproof.desk import Conflict, Desk
from tuneproof.errors import BadInput, NotReady, TuneproofError
from tuneproof.plots_style import visible
from tuneproof.review_words import agreement_text

HELP = """\
a  accept the draft (a hidden draft: write the output)
e  fix the output
d  delete the pair
u  undo your last decision
f  flag the pair, or take the flag away
n  next pair
p  previous pair
o  first undecided pair
s  summary of the batch so far
?  these keys
q  quit; every decision is kept"""

Out = Callable[[str], None]
"""Writes one line."""


class Keys(Protocol):
    """Where a reviewer's hands are."""

    @property
    def is_terminal(self) -> bool:
        """False for a pipe: its decisions are a program's."""

    def key(self) -> str | None:
        """Wait for one key; None at the end of the input."""

    def line(self, prompt: str) -> str | None:
        """Ask for a line; None if the reviewer gives none."""

    def edit(self, text: str) -> str | None:
        """Let the reviewer change a text, in $EDITOR or on one line; None if they give up."""

    def seconds(self) -> float:
        """Return a monotonic clock."""


class _Seat(NamedTuple):
    """A reviewer at the terminal."""

    desk: Desk
    reviewer: str
    keys: Keys
    out: Out

    @property
    def driven(self) -> bool:
        return not self.keys.is_terminal


def review_tty(desk: Desk, reviewer: str, keys: Keys, out: Out) -> None:
    """Let a reviewer decide pair by pair until they quit, the input ends, or all batches are closed.

    Args:
        desk: what there is to decide.
        reviewer: their name.
        keys: what they press and write.
        out: takes each line that they read.
    """
    seat = _Seat(desk, reviewer, keys, out)
    standing = desk.standing(reviewer)
    out(_progress(standing))
    out("Press ? for the keys.")
    card = _shown(seat, desk.card(reviewer))
    while not desk.standing(reviewer).done:
        if card is None:
            if not _close(seat):
                return
            card = _shown(seat, desk.card(reviewer))
            continue
        began = keys.seconds()
        key = keys.key()
        if key is None or key == "q":
            out(_progress(desk.standing(reviewer)))
            return
        card = _pressed(seat, card, key, keys.seconds() - began)
    out("All batches are closed. Next: tuneproof freeze")


def review_pair_tty(desk: Desk, reviewer: str, pair_id: str, keys: Keys, out: Out) -> None:
    """Let a reviewer decide once more on one pair of an open or closed batch: accept, fix, delete or flag it.

    Args:
        desk: what there is to decide.
        reviewer: their name.
        pair_id: which pair.
        keys: what they press and write.
        out: takes each line that they read.

    Raises:
        BadInput: there is no such pair in the open or the closed batches.
    """
    card = desk.card(reviewer, pair_id, step="here")
    if card is None:
        raise BadInput(
            f"There is no pair {pair_id!r} in the open or the closed batches.",
            remedy="Its id is the first column of `tuneproof review --reread 50`.",
        )
    _show(out, card)
    out("a accept it as it stands, e fix, d delete, f flag; any other key leaves it as it is.")
    seat, began = _Seat(desk, reviewer, keys, out), keys.seconds()
    key = keys.key()
    if key not in ("a", "e", "d", "f"):
        out("Nothing was changed.")
        return
    wish = _wish(seat, card, key)
    if wish is None:
        out("Nothing was changed.")
        return
    seconds = min(86_400.0, keys.seconds() - began)
    desk.decide(reviewer, wish.model_copy(update={"seconds": seconds}), driven=seat.driven)
    if after := desk.card(reviewer, pair_id, step="here"):
        _say_kept(out, card, after)


def _pressed(seat: _Seat, card: Card, key: str, waited: float) -> Card | None:
    """Do what a key asks for; return the card that is in hand then."""
    try:
        match key:
            case "a" | "e" | "d" | "f":
                return _decided(seat, card, key, waited)
            case "u":
                return _undone(seat, card)
            case "n" | "p":
                return _moved(seat, card, key)
            case "o":
                return _shown(seat, seat.desk.card(seat.reviewer))
    except Conflict as conflict:
        seat.out(f"Not taken: {conflict.problem}")
        return _shown(seat, conflict.card or seat.desk.card(seat.reviewer))
    except TuneproofError as error:
        seat.out(f"Not taken: {error.problem} {error.remedy}")
        return card
    _told(seat, key)
    return card


def _told(seat: _Seat, key: str) -> None:
    """Answer the keys that change nothing; white space is no key."""
    if key == "s":
        _tell(seat.out, seat.desk.summary(seat.reviewer))
    elif key == "?":
        seat.out(HELP)
    elif key.strip():
        seat.out(f"No such key: {visible(key)}. Press ? for the keys.")


def _decided(seat: _Seat, card: Card, key: str, waited: float) -> Card | None:
    began = seat.keys.seconds()
    wish = _wish(seat, card, key)
    if wish is None:
        seat.out("Nothing was changed.")
        return card
    seconds = min(86_400.0, waited + seat.keys.seconds() - began)
    seat.desk.decide(seat.reviewer, wish.model_copy(update={"seconds": seconds}), driven=seat.driven)
    after = seat.desk.card(seat.reviewer, card.pair_id, step="here")
    if after is not None:
        _say_kept(seat.out, card, after)
    if key == "f":
        return after
    return _shown(seat, seat.desk.card(seat.reviewer))


def _wish(seat: _Seat, card: Card, key: str) -> Wish | None:
    """Ask for what the key needs; None if the reviewer gives up."""
    if key == "f" and card.flagged:
        return Wish(pair_id=card.pair_id, kind="unflag", version=card.version)
    if key == "f":
        note = seat.keys.line("Why should somebody come back to it? ")
        return None if note is None else _wished(card, "flag", note=note[:2_000])
    asked_again = card.again and card.state == "open"
    if key == "d":
        return _wished(card, "again" if asked_again else "delete")
    if key == "a" and card.draft is not None:
        if asked_again:
            return _wished(card, "again", output=card.draft)
        # As it stands: an accept stands for the draft, and a fix that is good must not become one.
        fixed = card.state == "fix" and card.output != card.draft
        return _wished(card, "fix", output=card.output) if fixed else _wished(card, "accept")
    output = seat.keys.edit(card.output)
    if output is None:
        return None
    for problem in seat.desk.check(card.pair_id, output):
        seat.out(f"Form: {visible(problem)}")
    return _wished(card, "again" if asked_again else "fix", output=output)


def _wished(card: Card, kind: str, *, output: str | None = None, note: str = "") -> Wish:
    return Wish.model_validate(
        {"pair_id": card.pair_id, "kind": kind, "version": card.version, "output": output, "note": note}
    )


def _undone(seat: _Seat, card: Card) -> Card | None:
    undone = seat.desk.undo(seat.reviewer, driven=seat.driven)
    if undone is None:
        seat.out("Nothing of yours to undo in this batch.")
        return card
    seat.out("Undone.")
    return _shown(seat, undone)


def _moved(seat: _Seat, card: Card, key: str) -> Card:
    step = seat.desk.card(seat.reviewer, card.pair_id, step="next" if key == "n" else "previous")
    if step is None:
        seat.out("This is the last pair." if key == "n" else "This is the first pair.")
        return card
    _show(seat.out, step)
    return step


def _close(seat: _Seat) -> bool:
    """Ask for the note that closes the batch; False if none is given, or others must answer first."""
    if waiting := seat.desk.standing(seat.reviewer).waiting:
        seat.out(visible(waiting))
        return False
    _tell(seat.out, seat.desk.summary(seat.reviewer))
    while True:
        note = seat.keys.line("Every pair is decided. What was this batch like, in your words? ")
        if note is None or note.strip() in ("", "q"):
            seat.out("The batch stays open; every decision is kept.")
            return False
        try:
            seat.desk.close(seat.reviewer, note, driven=seat.driven)
        except NotReady as error:
            seat.out(f"{error.problem} {error.remedy}")
            # A pair may be open again; where others must answer first, asking once more would not help.
            return seat.desk.card(seat.reviewer) is not None or seat.desk.standing(seat.reviewer).done
        except TuneproofError as error:
            seat.out(f"{error.problem} {error.remedy}")
            continue
        standing = seat.desk.standing(seat.reviewer)
        seat.out("Closed.")
        if not standing.done:
            seat.out(_progress(standing))
        return True


def _shown(seat: _Seat, card: Card | None) -> Card | None:
    if card is not None:
        _show(seat.out, card)
    return card


def _show(out: Out, card: Card) -> None:
    """Say everything on a card, one label a line, so that it can be listened to."""
    out("")
    out(f"Pair {card.position} of {card.of}, batch {card.batch}. {_kind_of(card)}")
    _text(out, "Input", card.input)
    if card.draft is None:
        out("Draft: hidden until you have answered.")
    else:
        _text(out, "Draft", card.draft)
    if card.draft is not None and card.output != card.draft:
        _text(out, "Output", card.output)
    for problem in card.problems:
        out(f"Form: {visible(problem)}")
    for found in card.findings:
        out(f"Personal or secret, {found.where}: {found.kind}, {visible(found.excerpt)}")
    if card.flagged:
        out(f"Flagged: {visible(card.note)}")
    for name, neighbours in (("Near twin", card.twins), ("Similar", card.nearest)):
        for neighbour in neighbours:
            out(_beside(name, neighbour))
    out(f"From {visible(card.source)}")


def _kind_of(card: Card) -> str:
    if card.again and card.state == "open":
        return "Shown again: answer it as if for the first time."
    names = {"open": "Undecided.", "accept": "Accepted.", "fix": "Fixed.", "delete": "Deleted."}
    by = f" By {visible(card.decided_by)}." if card.decided_by else ""
    return names[card.state] + by


def _text(out: Out, label: str, text: str) -> None:
    lines = visible(text).split("\n")
    if len(lines) == 1:
        out(f"{label}: {lines[0]}")
        return
    out(f"{label}, {len(lines)} lines:")
    for line in lines:
        out(f"  {line}")


def _beside(name: str, neighbour: Neighbour) -> str:
    output = visible(neighbour.output).replace("\n", " ") or "not shown yet"
    text = " ".join(visible(neighbour.input).split())
    text = text if len(text) <= 160 else text[:159] + "…"
    return f"{name}, {neighbour.similarity:.0%} alike, {neighbour.state}: {text} → {output}"


def _say_kept(out: Out, before: Card, after: Card) -> None:
    out(f"Kept: {_kind_of(after)}" if before.flagged == after.flagged else "Flag changed.")
    if before.draft is None and after.draft is not None and after.state != "delete":
        same = " ".join(after.draft.split()) == " ".join(after.output.split())
        _text(out, "The draft was the same" if same else "The draft was", after.draft)
    if after.draft is not None and after.state == "fix":
        for line in ndiff(visible(after.draft).split("\n"), visible(after.output).split("\n")):
            if line[:1] in "+-":
                out(("Added: " if line[0] == "+" else "Taken out: ") + line[2:])


def _progress(standing: Standing) -> str:
    if standing.done:
        return f"{standing.decided} of {standing.total} pairs decided."
    parts = [
        f"Batch {standing.batch} of {standing.batches}: {standing.in_batch} of {standing.of_batch} decided;",
        f"{standing.decided} of {standing.total} pairs decided in all, {standing.flagged} flagged.",
        _pace(standing),
        visible(standing.waiting),
        visible(standing.reminder),
        standing.alarm,
    ]
    return " ".join(part for part in parts if part)


def _pace(standing: Standing) -> str:
    by = " by a program" if standing.driven else ""
    said = [f"{standing.median_seconds:.1f} s a pair"] if standing.median_seconds is not None else []
    if standing.self_agreement.n:
        said.append(f"with yourself: {agreement_text(standing.self_agreement)}")
    return f"{'; '.join(said)}{by}." if said else ""


def _tell(out: Out, summary: BatchSummary) -> None:
    out(
        f"Batch {summary.batch}: {summary.pairs} decided, {summary.accepted} accepted, {summary.fixed} "
        f"fixed, {summary.deleted} deleted; {summary.accept_rate:.0%} of the shown drafts accepted, "
        f"{summary.median_seconds:.1f} s a pair{', by a program' if summary.driven else ''}."
    )
    if summary.again.n:
        out(f"Shown again: {summary.again.equal} of {summary.again.n} answered as before.")
    if summary.alarm:
        out(f"Alarm: {summary.alarm}.")
