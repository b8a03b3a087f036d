"""What the decisions came to → agreement, anchoring, batch summaries, and signs of a rubber stamp."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from statistics import mean, median

from tuneproof.artifacts.comparison import Interval
from tuneproof.artifacts.desk import Agreement, BatchSummary, Decision, ReviewFigures
from tuneproof.desk_state import DeskView, folded
from tuneproof.statistics import newcombe, wilson

STAMP_LEAST, STAMP_RATE, STAMP_SECONDS, STAMP_BATCH_SECONDS = 20, 0.95, 4.0, 90.0
"""Decisions from which a rubber stamp is called; accept rate above; median below; span of a whole batch.

Rate and median: reference A9, S8. The span is our choice: 20 pairs in 90 s are read as fast as 4.5 s each.
"""
_LONGEST_COMPARED = 20_000
Answer = str | None
Twice = tuple[Answer, Answer]
"""First and second answer to one pair; None is a deletion."""


def agreement(twice: Sequence[Twice]) -> Agreement:
    """Cohen's kappa of answers to the same pairs, with the raw counts.

    κ = (p_o − p_e) / (1 − p_e) (Cohen 1960, Educ Psychol Meas 20:37–46). Its 95 % interval is Wilson's of p_o
    (1927, JASA 22:209–212) put through the same formula, p_e taken as known as in Cohen's own simple standard
    error, within −1 to 1: it keeps a width where all answers are equal, or none. Answers are compared without
    differences in white space.
    """
    pairs = [(folded(first), folded(second)) for first, second in twice]
    n, equal = len(pairs), sum(first == second for first, second in pairs)
    if not n:
        return Agreement(n=0, equal=0, kappa=None, interval=None)
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    by_chance = sum(count * seconds[answer] for answer, count in firsts.items())
    if by_chance == n * n:  # in whole numbers: both gave one and the same answer always
        return Agreement(n=n, equal=equal, kappa=None, interval=None)
    p_o, p_e = equal / n, by_chance / (n * n)
    share = wilson(equal, n)
    low, high = (max(-1.0, min(1.0, (x - p_e) / (1 - p_e))) for x in (share.low, share.high))
    return Agreement(n=n, equal=equal, kappa=(p_o - p_e) / (1 - p_e), interval=Interval(low=low, high=high))


def edit_share(draft: str, output: str) -> float:
    """Edit distance (Levenshtein) as a share of the longer text, 0 to 1.

    Texts beyond 20,000 characters are compared by words, and beyond 20,000 words by lines.
    """
    one: Sequence[str]
    other: Sequence[str]
    one, other = draft, output
    for cut in (str.split, str.splitlines):
        if max(len(one), len(other)) > _LONGEST_COMPARED:
            one, other = tuple(cut(draft)), tuple(cut(output))
    return _distance(one, other) / max(len(one), len(other), 1)


@lru_cache(maxsize=4096)
def _distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Levenshtein distance, a column of the table at a time as the bits of one number.

    Myers (1999), J ACM 46:395–415, in the form of Hyyrö (2003).
    """
    if not one or not other:
        return len(one) or len(other)
    full, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    where: dict[str, int] = {}
    for i, sign in enumerate(one):
        where[sign] = where.get(sign, 0) | 1 << i
    up, down, distance = full, 0, len(one)
    for sign in other:
        match = where.get(sign, 0)
        diagonal = (((match & up) + up) ^ up) | match | down
        right, left = down | ~(diagonal | up), up & diagonal
        distance += bool(right & last) - bool(left & last)
        right = right << 1 | 1
        up = (left << 1 | ~(diagonal | right)) & full
        down = right & diagonal & full
    return distance


def summary_of(view: DeskView, batch: int) -> BatchSummary:
    """Say what a batch came to so far."""
    decisions = _decisions(view, batch)
    kinds = Counter(decision.kind for decision in decisions)
    shown = [d for d in decisions if not d.blind]
    fixes = [(view.layout.pairs[d.pair_id].output, d.output or "") for d in decisions if d.kind == "fix"]
    close = view.state.closes.get(batch)
    again = [answer for first, answer in _second_answers(view) if first is not None and answer.batch == batch]
    return BatchSummary(
        batch=batch,
        pairs=len(decisions),
        accepted=kinds["accept"],
        fixed=kinds["fix"],
        deleted=kinds["delete"],
        accept_rate=_share(sum(d.kind == "accept" for d in shown), len(shown)),
        edit_share=mean(edit_share(*fix) for fix in fixes) if fixes else 0.0,
        median_seconds=median(d.seconds for d in decisions) if decisions else 0.0,
        again=agreement(_twice(view, own=True, batch=batch)),
        alarm=alarm_of(decisions, of=len(view.layout.batches[batch - 1])),
        note=close.note if close is not None and view.is_closed(batch) else "",
        driven=any(d.driven for d in (*decisions, *again, *([close] if close else []))),
    )


def alarm_of(decisions: Sequence[Decision], *, of: int) -> str:
    """Say what looks like a rubber stamp; empty if nothing does.

    Args:
        decisions: the last one on each decided pair of a batch.
        of: pairs of the batch.
    """
    shown = [d for d in decisions if not d.blind]
    if len(shown) < STAMP_LEAST:
        return ""
    accepted = sum(d.kind == "accept" for d in shown)
    middle = median(d.seconds for d in shown)
    if accepted / len(shown) > STAMP_RATE and middle < STAMP_SECONDS:
        return (
            f"rubber-stamp risk: {accepted} of {len(shown)} drafts accepted, half of them within "
            f"{middle:.1f} s"
        )
    span = _span([d.at for d in decisions])
    if len(decisions) == of and accepted == len(shown) and span is not None and span <= STAMP_BATCH_SECONDS:
        return f"rubber-stamp risk: all {accepted} drafts of the batch accepted within {span:.0f} s"
    return ""


def _span(times: Sequence[str]) -> float | None:
    """Seconds from the first to the last time; None where one cannot be read."""
    try:
        found = [datetime.fromisoformat(time) for time in times]
        return (max(found) - min(found)).total_seconds()
    except (ValueError, TypeError):
        return None


def figures_of(view: DeskView) -> ReviewFigures:
    """Say how the decisions in closed batches were made."""
    batches = [b for b in range(1, len(view.layout.batches) + 1) if view.layout.batches[b - 1]]
    closed = [b for b in batches if view.is_closed(b)]
    decisions = [d for b in closed for d in _decisions(view, b)]
    shown_kept, shown = _kept(view, decisions)
    hidden_equal, hidden = _equal(view, decisions)
    summaries = tuple(summary_of(view, b) for b in closed)
    seconds = [answer for _, answer in _second_answers(view)]
    return ReviewFigures(
        reviewers=tuple(sorted({d.reviewer for d in (*decisions, *seconds)})),
        batches=summaries,
        median_seconds=median(d.seconds for d in decisions) if decisions else 0.0,
        self_agreement=agreement(_twice(view, own=True)),
        between=agreement(_twice(view, own=False)),
        shown=shown,
        shown_kept=shown_kept,
        hidden=hidden,
        hidden_equal=hidden_equal,
        anchoring=newcombe(shown_kept, shown, hidden_equal, hidden),
        driven=any(s.driven for s in summaries)
        or any(d.driven or _first(view, d).driven for d in (*decisions, *seconds)),
        imported=sum(d.imported for d in decisions),
        left_unreviewed=sum(len(view.layout.batches[b - 1]) for b in batches if b not in closed),
    )


def self_agreement(view: DeskView, reviewer: str) -> Agreement:
    """How often a reviewer gave the same answer to pairs shown again."""
    return agreement(_twice(view, own=True, reviewer=reviewer))


def _kept(view: DeskView, decisions: Sequence[Decision]) -> tuple[int, int]:
    """Pairs whose first answer saw the draft: those whose draft goes on, and all."""
    shown = [d for d in decisions if not _first(view, d).blind]
    return sum(folded(d.output) == folded(view.layout.pairs[d.pair_id].output) for d in shown), len(shown)


def _equal(view: DeskView, decisions: Sequence[Decision]) -> tuple[int, int]:
    """Pairs whose first answer did not see the draft: those where it was the draft, and all."""
    hidden = [first for d in decisions if (first := _first(view, d)).blind]
    return sum(folded(f.output) == folded(view.layout.pairs[f.pair_id].output) for f in hidden), len(hidden)


def _first(view: DeskView, decision: Decision) -> Decision:
    # An answer that was undone counts: whatever follows it has seen the draft.
    return view.state.tracks[decision.pair_id].first or decision


def _decisions(view: DeskView, batch: int) -> list[Decision]:
    """The last decision on each decided pair of a batch."""
    states = (view.now(pair_id) for pair_id in view.layout.batches[batch - 1])
    return [now.decision for now in states if now.decision is not None and now.state != "open"]


def _twice(
    view: DeskView, *, own: bool, batch: int | None = None, reviewer: str | None = None
) -> list[Twice]:
    """Two answers to one pair by one reviewer (`own`), or independently by two."""
    found = []
    for before, answer in _second_answers(view):
        wanted = (batch in (None, answer.batch)) and reviewer in (None, answer.reviewer)
        if wanted and own and before is not None:
            found.append((before.output, answer.output))
        elif wanted and not own and before is None:
            found.append((_of_another(view, answer).output, answer.output))
    return found


def _second_answers(view: DeskView) -> Iterator[tuple[Decision | None, Decision]]:
    """Every `again`, with the answer of the same reviewer before it; None: it is independent."""
    for pair_id in view.layout.pairs:
        answers = view.now(pair_id).answers
        for i, answer in enumerate(answers):
            if answer.kind == "again" and i:
                own = [a for a in answers[:i] if a.reviewer == answer.reviewer]
                yield (own[-1] if own else None), answer


def _of_another(view: DeskView, answer: Decision) -> Decision:
    """The first answer to the same pair: given before, and by somebody else."""
    return view.now(answer.pair_id).answers[0]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
