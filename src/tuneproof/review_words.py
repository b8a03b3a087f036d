"""How outputs were drafted and reviewed → facts for the report and the model card, a name and a text each."""

from __future__ import annotations

from collections.abc import Iterator

from tuneproof.artifacts import Agreement, Provenance
from tuneproof.artifacts.desk import ReviewFigures
from tuneproof.report_text import count, percent, signed, span

DRIVEN = "a program sent decisions (browser automation or a pipe); no figure of this review is a person's"
"""Printed wherever figures of a review are, if a program made decisions."""


def review_facts(provenance: Provenance, figures: ReviewFigures | None) -> tuple[tuple[str, str], ...]:
    """Say who drafted, under which terms, and how each decision was made.

    Args:
        provenance: where the outputs came from.
        figures: of the review; None where an authority vouches for all pairs.

    Returns:
        Nothing for imported pairs that an authority vouches for.
    """
    return (*_drafted(provenance), *(_reviewed(figures) if figures else ()))


def _drafted(provenance: Provenance) -> Iterator[tuple[str, str]]:
    if provenance.teacher:
        yield "Outputs drafted by", provenance.teacher
    if provenance.terms_url:
        yield (
            "Terms of the teacher",
            f"{provenance.terms_url}, acknowledged {provenance.terms_accepted_at}",
        )


def _reviewed(figures: ReviewFigures) -> Iterator[tuple[str, str]]:
    if figures.driven:
        yield "Decisions", DRIVEN
    if figures.imported:
        yield (
            "Taken over from a file",
            f"{count(figures.imported)} pairs; nobody decided on them at this desk",
        )
    yield "Reviewers", ", ".join(figures.reviewers)
    yield "Batches closed", count(len(figures.batches))
    yield "Draft shown and kept", _share(figures.shown_kept, figures.shown)
    yield "Draft hidden and answered alike", _share(figures.hidden_equal, figures.hidden)
    if figures.anchoring is not None:
        gap = figures.shown_kept / figures.shown - figures.hidden_equal / figures.hidden
        yield "Anchoring gap", f"{signed(gap)} points ({span(figures.anchoring)}, Newcombe)"
    yield "Median time a pair", f"{figures.median_seconds:.1f} s"
    yield "Self-agreement", agreement_text(figures.self_agreement)
    if figures.between.n:
        yield "Agreement between reviewers", agreement_text(figures.between)
    if figures.left_unreviewed:
        yield "Not reviewed", f"{count(figures.left_unreviewed)} drafted pairs; they do not go on"
    for batch in figures.batches:
        if batch.alarm:
            yield f"Batch {batch.batch}", batch.alarm


def agreement_text(agreement: Agreement) -> str:
    """Say raw agreement and Cohen's κ, or that nothing was answered twice."""
    if not agreement.n:
        return "no pair was answered twice"
    raw = f"{agreement.equal} of {agreement.n} equal"
    if agreement.kappa is None:
        return f"{raw}; κ is not defined where chance alone would agree"
    interval = agreement.interval
    within = f" ({interval.low:.2f} to {interval.high:.2f})" if interval else ""
    return f"{raw}, κ {agreement.kappa:.2f}{within}"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({percent(part / whole)})" if whole else "none"
