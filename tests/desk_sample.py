"""Made-up drafts and a desk on them, with a clock and checks that tests can read."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from tuneproof.artifacts import Drafts, Pair, Provenance
from tuneproof.artifacts.case import ReviewSection, SplitSection
from tuneproof.artifacts.desk import Card, Wish
from tuneproof.desk import Checks, Desk
from tuneproof.outside.desk_store import DeskStore

WORDS = [f"{first}{last}" for first in ("ra", "mo", "ti", "ke", "lu") for last in "bdfglmnprst"]


def made_drafts(n: int, *, start: int = 0, kind: str = "drafted", seed: int = 7) -> Drafts:
    """Pairs with 8 random words each: no twins at this many words."""
    pairs = []
    for i in range(start, start + n):
        chance = random.Random(f"{seed} {i}")
        text = " ".join(chance.choice(WORDS) + chance.choice(WORDS) for _ in range(8))
        pairs.append(
            Pair(id=f"p{i:04}", input=text, output=f"label-{chance.randrange(6)}", source=f"in.jsonl:{i + 1}")
        )
    provenance = Provenance(
        kind=kind, source="in.jsonl", source_version="0", licence="CC0-1.0", attribution="nobody"
    )
    return Drafts(provenance=provenance, pairs=tuple(pairs))


def ticking(step: float = 5.0) -> Callable[[], str]:
    """A clock that goes on by `step` seconds a look."""
    ticks = count()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return lambda: (start + timedelta(seconds=next(ticks) * step)).isoformat(timespec="milliseconds")


CHECKS = Checks(
    problem_of=lambda output: "" if output.startswith("label-") else "no label",
    scan=lambda text: (("email address", "a…"),) if "@" in text else (),
)


def made_desk(
    folder: Path,
    drafts: Drafts,
    *,
    blind_share: float = 0.0,
    again: int = 5,
    clock: Callable[[], str] | None = None,
) -> Desk:
    return Desk(
        DeskStore(folder / "desk" / "desk.sqlite"),
        drafts,
        ReviewSection(blind_share=blind_share, again=again),
        CHECKS,
        clock or ticking(),
        SplitSection(),
    )


def wish(card: Card, kind: str, output: str | None = None, *, seconds: float = 6.0, note: str = "") -> Wish:
    return Wish.model_validate(
        {
            "pair_id": card.pair_id,
            "kind": kind,
            "version": card.version,
            "output": output,
            "seconds": seconds,
            "note": note,
        }
    )


def answer_batch(desk: Desk, reviewer: str, *, seconds: float = 6.0, driven: bool = False) -> int:
    """Accept every open card, type the label of hidden ones, repeat those shown again; return how many."""
    done = 0
    while (card := desk.card(reviewer)) is not None:
        kind = "again" if card.again else "accept" if card.draft is not None else "fix"
        output = (card.draft or "label-1") if kind != "accept" else None
        desk.decide(reviewer, wish(card, kind, output, seconds=seconds), driven=driven)
        done += 1
        if desk.standing(reviewer).can_close:
            break
    return done


def close_all(desk: Desk, reviewer: str) -> int:
    batches = 0
    while not desk.standing(reviewer).done:
        answer_batch(desk, reviewer)
        desk.close(reviewer, "all of it was plain")
        batches += 1
    return batches
