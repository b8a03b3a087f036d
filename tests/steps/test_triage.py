"""Steps 1 to 3: whether to tune at all, and which pairs may go on."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from sample import sample_case
from tuneproof.artifacts import Case, Drafts, Pair, Provenance, TaskFile
from tuneproof.artifacts.case import PressureSection
from tuneproof.errors import BadInput, NotReady
from tuneproof.steps.draft import draft
from tuneproof.steps.init import init, triage_of
from tuneproof.steps.review import review

PRESSURES = ("exact_format", "high_volume", "low_latency", "privacy", "own_label_scheme")


def task_file(pressures: dict[str, bool] | None = None, **data: object) -> TaskFile:
    fields = sample_case().task_file.model_dump()
    if pressures is not None:
        fields["pressures"] = pressures
    fields["data"] |= data
    return TaskFile.model_validate(fields)


def pairs(*rows: tuple[str, str, str], kind: str = "imported") -> Drafts:
    provenance = {"kind": kind, "source": "the shelf", "source_version": "1", "licence": "l"}
    return Drafts(
        provenance=Provenance.model_validate(provenance | {"attribution": "a"}),
        pairs=tuple(Pair(id=i, input=t, output=o, source=f"{i}.txt") for i, t, o in rows),
    )


GOOD = pairs(("a", "text a", "mit"), ("b", "text b", "zlib"))


def test_the_advice_follows_the_first_rule_that_applies_for_all_pressures() -> None:
    looked = 0
    for values in itertools.product([False, True], repeat=len(PRESSURES) + 2):
        fresh, broad, *rest = values
        pressures = PressureSection(
            fresh_facts=fresh, broad_reasoning=broad, **dict(zip(PRESSURES, rest, strict=True))
        )
        expected = (
            "RAG" if fresh else "rent a bigger model" if broad else "fine-tune" if any(rest) else "not yet"
        )
        triage = triage_of(pressures)
        assert triage.advice == expected
        assert len(triage.reasons) == (sum(rest) if expected == "fine-tune" else 1)
        looked += 1
    assert looked == 128


def test_volume_alone_as_a_number_is_no_pressure() -> None:
    assert triage_of(PressureSection(calls_per_month=10_000_000)).advice == "not yet"


def test_the_case_says_in_one_paragraph_what_is_wanted_and_what_is_advised() -> None:
    wanted = task_file({"fresh_facts": True})
    made = init(wanted)
    assert made.task_file == wanted
    for part in (wanted.title, wanted.task.input, wanted.task.output, "exact match", "RAG", "retrieval"):
        assert part in made.paragraph


def no_file() -> Drafts:
    raise AssertionError("a bundled source reads no file")


def with_advice(pressures: dict[str, bool]) -> Case:
    return init(task_file(pressures, source="shelf"))


def test_draft_reads_the_wanted_number_from_the_named_source() -> None:
    asked: list[int] = []

    def shelf(count: int) -> Drafts:
        asked.append(count)
        return GOOD

    made = draft(
        init(task_file(source="shelf", pairs=321)), {"shelf": shelf, "other": lambda _: pairs()}, no_file
    )
    assert (made, asked) == (GOOD, [321])


@pytest.mark.parametrize(
    ("pressures", "advice"),
    [({"fresh_facts": True}, "RAG"), ({"broad_reasoning": True}, "rent a bigger model"), ({}, "not yet")],
)
def test_draft_refuses_before_reading_when_a_tune_is_not_advised(
    pressures: dict[str, bool], advice: str
) -> None:
    asked: list[int] = []
    with pytest.raises(NotReady, match=f"'{advice}'") as caught:
        draft(with_advice(pressures), {"shelf": lambda n: asked.append(n) or GOOD}, no_file)  # type: ignore[func-returns-value]
    assert asked == []
    assert "pressures:" in caught.value.remedy


def test_draft_names_the_known_sources_when_it_does_not_know_one() -> None:
    with pytest.raises(BadInput, match=r"'bundled:c'; bundled sources: bundled:a, bundled:b\."):
        draft(init(task_file(source="bundled:c")), {f"bundled:{n}": lambda _: GOOD for n in "ba"}, no_file)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ((("a", "x", "y"), ("a", "z", "y")), r"a\.txt: its id occurs twice: 'a'"),
        ((("a", " \n", "y"),), r"a\.txt: its input is empty"),
        ((("a", "x", ""),), r"a\.txt: its output is empty"),
        ((("a", "x", "\u2003"),), r"a\.txt: its output is empty"),
        ((), "the shelf gave no pair"),
    ],
)
def test_draft_refuses_rows_that_cannot_be_learned(
    rows: tuple[tuple[str, str, str], ...], problem: str
) -> None:
    with pytest.raises(BadInput, match=problem):
        draft(init(task_file(source="shelf")), {"shelf": lambda _: pairs(*rows)}, no_file)


def test_draft_names_every_bad_row_at_once() -> None:
    rows = pairs(("a", "x", ""), ("b", "", "y"), ("b", "x", "y"), ("good", "x", "y"))
    with pytest.raises(BadInput) as caught:
        draft(init(task_file(source="shelf")), {"shelf": lambda _: rows}, no_file)
    assert len(caught.value.problem.splitlines()) == 3
    assert "good" not in caught.value.problem


def test_imported_pairs_go_on_as_they_are_under_the_name_of_their_authority() -> None:
    made = review(init(task_file(reviewed_by="The Experts")), GOOD)
    assert made.pairs == GOOD.pairs
    assert (made.accepted, made.fixed, made.deleted) == (2, 0, 0)
    assert "The Experts" in made.statement
    assert "not reviewed here" in made.statement


@pytest.mark.parametrize("authority", [None])
def test_imported_pairs_without_an_authority_do_not_go_on(authority: str | None) -> None:
    with pytest.raises(NotReady, match="2 imported pairs have no reviewer") as caught:
        review(init(task_file(reviewed_by=authority)), GOOD)
    assert "reviewed_by" in caught.value.remedy


@pytest.mark.parametrize("authority", [None, "The Experts"])
def test_drafted_pairs_never_go_on_on_an_authority(authority: str | None) -> None:
    drafted = pairs(("a", "x", "y"), kind="drafted")
    with pytest.raises(NotReady, match="drafted by a model"):
        review(init(task_file(reviewed_by=authority)), drafted)
