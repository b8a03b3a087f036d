"""The card of an exported data set: every figure is a record's, and what no record says is called unknown."""

from __future__ import annotations

from typing import Any

import yaml

from sample import sample_case, sample_split
from tuneproof.artifacts import Agreement, Pair, Provenance, Reviewed, ReviewFigures
from tuneproof.card import lint_card
from tuneproof.dataset_card import CardOf, hub_licence, render_dataset_card


def figures(**changes: Any) -> ReviewFigures:
    none = Agreement(n=0, equal=0, kappa=None, interval=None)
    values: dict[str, Any] = {
        "reviewers": ("Ada", "Bob"), "batches": (), "median_seconds": 7.25, "between": none,
        "self_agreement": Agreement(n=20, equal=18, kappa=0.81, interval=None), "shown": 300,
        "shown_kept": 240, "hidden": 40, "hidden_equal": 25, "anchoring": None, "driven": False,
    }  # fmt: skip
    return ReviewFigures(**values | changes)


def card(kind: str = "drafted", seen: ReviewFigures | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    given = {"source": "notices.csv", "source_version": "sha256:ab", "licence": "CC-BY-4.0",
             "attribution": "By Ada"}  # fmt: skip
    drafted = {"teacher": "big-1 at example.org", "terms_url": "https://example.org/terms",
               "terms_accepted_at": "2026-11-24 by Ada"}  # fmt: skip
    values: dict[str, Any] = {"kind": kind} | given | (drafted if kind == "drafted" else {}) | more
    split = sample_split()
    pairs = (Pair(id="a", input="a", output="b", source="s:1"),)
    reviewed = Reviewed(
        provenance=Provenance(**values), statement="labelled by the team, not reviewed here", accepted=240,
        fixed=50, deleted=10, pairs=pairs, figures=seen,
    )  # fmt: skip
    rows = {"train": split.train.pairs, "dev": split.dev.pairs}
    text = render_dataset_card(CardOf(sample_case(), split, reviewed, rows, "0.0.0+sample"))
    assert lint_card(text) == ()
    return text, yaml.safe_load(text.split("---\n")[1])


def test_the_card_of_imported_pairs_says_that_nobody_reviewed_them_here() -> None:
    text, head = card("imported")
    assert head["annotations_creators"] == ["found"] and "source_datasets" not in head
    assert "labelled by the team, not reviewed here" in text and "κ" not in text
    assert head["license"] == "cc-by-4.0" and head["size_categories"] == ["1K<n<10K"]
    assert [each["split"] for each in head["configs"][0]["data_files"]] == ["train", "validation"]
    lock = sample_split().lock
    assert all(hash in text for hash in (lock.digest, lock.train.sha256, lock.test.sha256))
    assert "| test | 200 | no |" in text and "The test is in this folder" not in text


def test_the_card_of_reviewed_drafts_has_the_figures_of_the_records() -> None:
    text, head = card("drafted", figures())
    assert head["annotations_creators"] == ["machine-generated", "other"]
    facts = ("big-1 at example.org", "https://example.org/terms", "240 of 300", "25 of 40", "7.2 s")
    for said in (*facts, "18 of 20, κ = 0.81", "not measured", "240 pairs went on as they were, 50 changed"):
        assert said in text, said
    assert "acknowledged: 2026-11-24. " in text and "by Ada." not in text.partition("## Licence")[0]
    assert "Ada, Bob" not in text and "A program made" not in text


def test_figures_that_a_program_made_are_not_called_a_person_s() -> None:
    text, head = card("drafted", figures(driven=True))
    assert head["annotations_creators"] == ["machine-generated"]
    assert "not those of a person" in text


def test_an_unknown_licence_is_called_unknown() -> None:
    text, head = card("imported", licence="unknown", attribution="")
    assert head["license"] == "unknown" and "licence of this data is unknown" in text
    assert "no attribution is recorded" in text
    assert hub_licence("LicenseRef-Acme") == {"license": "other", "license_name": "LicenseRef-Acme"}
    assert hub_licence("MIT") == {"license": "mit"}


def test_texts_from_outside_open_no_tag_and_no_heading_in_the_card() -> None:
    text, _ = card(
        "imported", attribution="<script>x</script>\n# Fake\n| a |", source="a<b>\n---\nlicense: x"
    )
    assert "<script" not in text and "\n# Fake" not in text and text.count("\n---\n") == 1
