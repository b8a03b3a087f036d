"""Step 3 · review: Drafts + authority or decisions → Reviewed.

Imported pairs may go on under the name of the authority that labelled them; it is printed on the card as
"not reviewed here". Pairs that a model drafted need a person's decision, each of them.
"""

from __future__ import annotations

from tuneproof.artifacts import Case, Drafts, Pair, Reviewed
from tuneproof.artifacts.desk import ReviewFigures
from tuneproof.desk_figures import figures_of
from tuneproof.desk_state import DeskView
from tuneproof.errors import NotReady


def review(
    case: Case, drafts: Drafts, desk: DeskView | None = None, *, closed_only: bool = False
) -> Reviewed:
    """Accept imported pairs on the word of `data.reviewed_by`; take all others as they were decided.

    Args:
        case: names the authority, if there is one.
        drafts: all pairs.
        desk: what was decided; None where nobody has sat down yet.
        closed_only: go on with the closed batches and leave the other pairs out.

    Raises:
        NotReady: pairs were not decided on, or a batch is not closed; or none is left.
    """
    authority = case.task_file.data.reviewed_by
    if authority and drafts.provenance.kind == "imported":
        return Reviewed(
            provenance=drafts.provenance,
            statement=f"labelled by {authority}, not reviewed here",
            accepted=len(drafts.pairs),
            fixed=0,
            deleted=0,
            pairs=drafts.pairs,
        )
    if desk is None:
        raise _nobody_decided(drafts)
    _check_closed(desk, closed_only=closed_only)
    return _decided(drafts, desk)


def _nobody_decided(drafts: Drafts) -> NotReady:
    if drafts.provenance.kind == "drafted":
        return NotReady(
            f"{len(drafts.pairs)} pairs were drafted by a model and no person has seen them.",
            remedy="Every drafted pair needs a person's decision before it may train a model: "
            "tuneproof review",
        )
    return NotReady(
        f"{len(drafts.pairs)} imported pairs have no reviewer.",
        remedy='Name who labelled them in task.yaml: data.reviewed_by: "…"; the card will print it. '
        "Or decide on each yourself: tuneproof review",
    )


def _check_closed(desk: DeskView, *, closed_only: bool) -> None:
    batches, batch = len(desk.layout.batches), desk.open_batch()
    if batch > batches:
        return
    closed = [b for b in range(1, batches + 1) if desk.layout.batches[b - 1] and desk.is_closed(b)]
    if closed_only and closed:
        return
    undecided = sum(desk.now(pair_id).state == "open" for pair_id in desk.layout.pairs)
    raise NotReady(
        f"{undecided} of {len(desk.layout.pairs)} pairs are undecided, and batch {batch} of {batches} is not "
        f"closed ({len(closed)} are).",
        remedy="tuneproof review",
    )


def _decided(drafts: Drafts, desk: DeskView) -> Reviewed:
    figures = figures_of(desk)
    kept: list[Pair] = []
    blind: list[str] = []
    for pair in drafts.pairs:
        now = desk.now(pair.id)
        closed = desk.is_closed(desk.layout.batch_of[pair.id])
        if not closed or now.decision is None or now.decision.output is None:
            continue
        kept.append(pair.model_copy(update={"output": now.decision.output}))
        if now.decision.blind:
            blind.append(pair.id)
    if not kept:
        raise NotReady(
            f"All {len(drafts.pairs)} pairs were deleted; none is left to learn from.",
            remedy="Add inputs or mend data.source in task.yaml, then: tuneproof draft",
        )
    return Reviewed(
        provenance=drafts.provenance,
        statement=_statement(desk, figures),
        accepted=sum(batch.accepted for batch in figures.batches),
        fixed=sum(batch.fixed for batch in figures.batches),
        deleted=sum(batch.deleted for batch in figures.batches),
        pairs=tuple(kept),
        figures=figures,
        blind=tuple(blind),
    )


def _statement(desk: DeskView, figures: ReviewFigures) -> str:
    accepted, fixed, deleted = (
        sum(getattr(batch, name) for batch in figures.batches) for name in ("accepted", "fixed", "deleted")
    )
    batches = "1 batch" if len(figures.batches) == 1 else f"{len(figures.batches)} batches"
    where = "pair by pair" if figures.imported else "here, pair by pair,"
    how = (
        f"decided by a program under the name of {_and(figures.reviewers)}, seen by no person,"
        if figures.driven
        else f"reviewed {where} by {_and(figures.reviewers)}"
    )
    counts = f"{accepted} kept as drafted, {fixed} fixed, {deleted} deleted"
    if figures.imported:
        counts += f", of them {figures.imported} taken over from a file"
    parts = [f"{how} in {batches}; {counts}"]
    flagged = sum(desk.now(pair_id).flagged for pair_id in desk.layout.pairs)
    if flagged:
        parts.append(f"{flagged} still flagged")
    if figures.left_unreviewed:
        parts.append(f"{figures.left_unreviewed} not reviewed and left out")
    return "; ".join(parts)


def _and(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
