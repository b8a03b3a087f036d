"""What report and card say of drafting and review."""

from __future__ import annotations

import pytest

from tuneproof.artifacts import Agreement, Interval, Provenance
from tuneproof.artifacts.desk import BatchSummary, ReviewFigures
from tuneproof.review_words import DRIVEN, agreement_text, review_facts

HERE = Provenance(
    kind="drafted",
    source="notices.jsonl",
    source_version="sha256:1",
    licence="unknown",
    attribution="",
    teacher="big-1 at api.example.org",
    terms_url="https://example.org/terms",
    terms_accepted_at="2026-11-24 by Ana",
)
NONE = Agreement(n=0, equal=0, kappa=None, interval=None)
SOME = Agreement(n=20, equal=18, kappa=0.8, interval=Interval(low=0.5, high=1.1))


def figures(**changed: object) -> ReviewFigures:
    batch = {"batch": 1, "pairs": 50, "accepted": 40, "fixed": 8, "deleted": 2, "accept_rate": 0.8}
    batch |= {"edit_share": 0.2, "median_seconds": 6.0, "again": NONE, "alarm": ""}
    made = {
        "reviewers": ("Ana", "Bo"),
        "batches": (BatchSummary.model_validate(batch),),
        "median_seconds": 6.0,
        "self_agreement": SOME,
        "between": NONE,
        "shown": 40,
        "shown_kept": 32,
        "hidden": 10,
        "hidden_equal": 6,
        "anchoring": Interval(low=-0.08, high=0.5),
        "driven": False,
    }
    return ReviewFigures.model_validate(made | changed)


def test_imported_pairs_of_an_authority_have_no_such_facts() -> None:
    imported = HERE.model_copy(update={"kind": "imported", "teacher": "", "terms_url": ""})
    assert review_facts(imported, None) == ()


def test_the_facts_name_teacher_terms_shares_gap_and_agreement_with_their_n() -> None:
    facts = dict(review_facts(HERE, figures()))
    assert facts["Outputs drafted by"] == "big-1 at api.example.org"
    assert facts["Terms of the teacher"] == "https://example.org/terms, acknowledged 2026-11-24 by Ana"
    assert facts["Draft shown and kept"] == "32 of 40 (80.0 %)"
    assert facts["Draft hidden and answered alike"] == "6 of 10 (60.0 %)"
    assert facts["Anchoring gap"] == "+20.0 points (−8.0 to +50.0, Newcombe)"
    assert facts["Self-agreement"] == "18 of 20 equal, κ 0.80 (0.50 to 1.10)"
    assert "Decisions" not in facts and "Not reviewed" not in facts


def test_decisions_of_a_program_are_said_to_be_that_before_any_figure() -> None:
    facts = review_facts(HERE, figures(driven=True))
    assert facts[2] == ("Decisions", DRIVEN)
    assert "no figure of this review is a person's" in DRIVEN


def test_pairs_that_came_from_a_file_are_counted_before_the_reviewers() -> None:
    facts = review_facts(HERE, figures(imported=7))
    assert facts[2] == ("Taken over from a file", "7 pairs; nobody decided on them at this desk")
    assert facts[3][0] == "Reviewers"


def test_pairs_without_a_decision_and_alarms_are_named() -> None:
    batch = figures().batches[0].model_copy(update={"alarm": "50 pairs in 60 s"})
    facts = dict(review_facts(HERE, figures(left_unreviewed=7, batches=(batch,))))
    assert facts["Not reviewed"].startswith("7 drafted pairs") and facts["Batch 1"] == "50 pairs in 60 s"


@pytest.mark.parametrize(
    ("agreement", "text"),
    [
        (NONE, "no pair was answered twice"),
        (
            Agreement(n=3, equal=3, kappa=None, interval=None),
            "3 of 3 equal; κ is not defined where chance alone would agree",
        ),
    ],
)
def test_agreement_is_never_a_number_that_is_not_there(agreement: Agreement, text: str) -> None:
    assert agreement_text(agreement) == text
