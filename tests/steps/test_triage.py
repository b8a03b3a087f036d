"""Steps 1 to 3: whether to tune at all, and which pairs may go on."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from sample import sample_case
from tuneproof.artifacts import Case, Drafts, Pair, Provenance, TaskFile
from tuneproof.artifacts.case import Advice, PressureSection
from tuneproof.errors import BadInput, NotReady
from tuneproof.steps.draft import draft
from tuneproof.steps.init import init, triage_of
from tuneproof.steps.review import review
from tuneproof.triage import advice_text

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


KNOWLEDGE = (
    ("so it knows our product docs", "knows our product docs"),
    ("answers questions about our policies", "answers questions about our policies"),
    ("up to date with our catalogue", "up to date with our catalogue"),
    ("The model doesn't know our products.", "know our products"),
    ("GPT does not know our docs", "know our docs"),
    ("we want to train it on our handbook", "train it on our handbook"),
    ("It should be familiar with our internal wiki", "familiar with our internal wiki"),
    ("chat with our PDFs", "chat with our PDFs"),
    ("a model that knows everything about our company", "knows everything about our company"),
    ("answers customer questions from our help centre", "answers customer questions from our help centre"),
    ("so it learns our price list", "learns our price list"),
    ("remembers each account", "remembers each account"),
    ("Q&A over our contracts", "Q&A over our contracts"),
    ("It knows\n  what our policies say", "knows what our policies"),
    ("a bot that can look up our documentation", "look up our documentation"),
    ("understands our codebase", "understands our codebase"),
    ("so it knows our product docs and label scheme", "knows our product docs"),
)
FRESH = (
    ("quotes today's stock", "today's stock"),
    ("gives the latest prices", "latest prices"),
    ("keeps answers up to date", "keeps answers up to date"),
)
REASONING = (
    ("reason like a lawyer", "reason like a lawyer"),
    ("it must be smarter", "be smarter"),
    ("it should plan our projects", "should plan"),
    ("an agent that books travel", "an agent that books travel"),
    ("more intelligent than GPT", "more intelligent than"),
    ("so it can answer any question", "answer any question"),
    ("we want it to think through hard cases", "to think through hard cases"),
)
NEITHER = (
    "so it knows our label scheme",
    "so it knows when to stop",
    "knows which document type it is",
    "knows our labels for support documents",
    "knows how to format product names",
    "knows our style guide",
    "knows our business rules",
    "learns our product categories",
    "learns from past orders how to classify them",
    "classify documents by our scheme",
    "extract fields from our contracts",
    "keep the label scheme up to date",
    "use the current format",
    "current prices are too high",
    "it need not know our docs, only the JSON form",
    "it does not need to know our policies",
    "without knowing our products, it only sorts them",
    "understands our document layout",
    "understands customer requests",
    "trained on our own labelled records",
    "answers from a closed list of products",
    "replies in our brand voice",
    "summarise reports in our house style",
    "label refund reasons like late delivery",
    "a reason code for each return",
    "routes each ticket to an agent that is free",
    "sort tickets for a support agent to answer",
    "parse user agent strings",
    "which plan the customer has",
    "smarter ticket routing",
    "without any problems",
    "cheaper calls for order emails",
    "",
)


def test_the_words_of_a_goal_are_read_and_quoted() -> None:
    tables: tuple[tuple[tuple[tuple[str, str], ...], Advice], ...] = (
        (KNOWLEDGE, "RAG"),
        (FRESH, "RAG"),
        (REASONING, "rent a bigger model"),
    )
    read = 0
    for table, advice in tables:
        for goal, words in table:
            for pressures in (PressureSection(goal=goal), PressureSection(goal=goal, exact_format=True)):
                triage = triage_of(pressures)
                assert (triage.advice, len(triage.reasons)) == (advice, 1), goal
                assert triage.reasons[0].endswith(f"“{words}”"), goal
            read += 1
    assert read == len(KNOWLEDGE) + len(FRESH) + len(REASONING) >= 20


@pytest.mark.parametrize("goal", NEITHER)
def test_a_goal_of_form_is_no_knowledge_and_no_reasoning(goal: str) -> None:
    assert triage_of(PressureSection(goal=goal)).advice == "not yet"
    assert triage_of(PressureSection(goal=goal, privacy=True)).advice == "fine-tune"


@pytest.mark.parametrize("part", ["knows ", "a-", "'", "up to ", "be much ", "x" * 50, "agent ", "\u2028"])
def test_a_long_goal_is_read_in_no_time(part: str) -> None:
    began = time.monotonic()
    triage_of(PressureSection(goal=part * (20_000 // len(part))))
    assert time.monotonic() - began < 2


@given(st.text(max_size=80))
def test_any_goal_gets_an_advice_and_changes_it_only_with_words_that_it_holds(goal: str) -> None:
    triage = triage_of(PressureSection(goal=goal, exact_format=True))
    if triage.advice != "fine-tune":
        words = triage.reasons[0].rpartition("“")[2].removesuffix("”")
        assert words and words in " ".join(goal.replace("’", "'").split())


def test_documents_want_retrieval_also_where_the_form_presses_and_form_comes_by_schema() -> None:
    for said in ({"documents": True}, {"fresh_facts": True}, {"goal": "so it knows our docs"}):
        plain, formed = PressureSection(**said), PressureSection(**said, exact_format=True)
        assert triage_of(plain) == triage_of(formed)
        assert triage_of(formed).advice == "RAG"
        assert "JSON Schema" in advice_text(formed, triage_of(formed))
        assert "JSON Schema" not in advice_text(plain, triage_of(plain))
    both = triage_of(PressureSection(documents=True, fresh_facts=True, broad_reasoning=True))
    assert (both.advice, len(both.reasons)) == ("RAG", 2)


def test_reasoning_over_private_inputs_wants_an_open_model_on_a_machine_of_ones_own() -> None:
    private = PressureSection(broad_reasoning=True, privacy=True)
    assert "a machine you own or rent" in advice_text(private, triage_of(private))
    public = PressureSection(broad_reasoning=True, high_volume=True)
    assert "a machine you own or rent" not in advice_text(public, triage_of(public))


@pytest.mark.parametrize(
    ("calls", "price", "advice", "words"),
    [
        (500, 4.0, "not yet", "500 calls a month at 4.00 USD a thousand are 2.00 USD a month"),
        (99_990, 1.0, "not yet", "are 99.99 USD a month"),
        (99_999, 1.0, "fine-tune", "are 100.00 USD a month"),
        (100_000, 1.0, "fine-tune", "are 100.00 USD a month"),
        (
            2_000_000,
            0.4,
            "fine-tune",
            "2,000,000 calls a month at 0.40 USD a thousand are 800.00 USD a month",
        ),
        (500, None, "fine-tune", "500 calls a month, at a price that is not said"),
        (None, 4.0, "fine-tune", "where the price of a call adds up"),
        (10, 0.00012, "not yet", "at 0.00012 USD a thousand are 0.0000012 USD a month"),
        (10**400, 1.0, "fine-tune", "calls a month at 1.00 USD a thousand"),
        (0, 5.0, "not yet", "0 calls a month at 5.00 USD a thousand are 0.00 USD a month"),
    ],
)
def test_volume_alone_counts_from_a_hundred_dollars_a_month(
    calls: int | None, price: float | None, advice: Advice, words: str
) -> None:
    said = PressureSection(high_volume=True, calls_per_month=calls, usd_per_1000_calls=price)
    triage = triage_of(said)
    assert triage.advice == advice
    assert words in triage.reasons[0]
    also = triage_of(said.model_copy(update={"privacy": True}))
    assert (also.advice, len(also.reasons)) == ("fine-tune", 2), "a small sum does not speak against others"


@pytest.mark.parametrize(
    "form", [("exact_format",), ("own_label_scheme",), ("exact_format", "own_label_scheme")]
)
def test_form_alone_wants_a_prompt_first_where_none_was_tried(form: tuple[str, ...]) -> None:
    named = dict.fromkeys(form, True)
    advice = {tried: triage_of(PressureSection(**named, prompt_tried=tried)) for tried in (False, True, None)}
    assert [t.advice for t in advice.values()] == ["better prompt", "fine-tune", "fine-tune"]
    assert advice[False].reasons[-1] == "no prompt was tried for it yet"
    assert advice[True].reasons[-1] == "a prompt with examples and a schema was tried and falls short"
    assert len(advice[None].reasons) == len(form)
    other = PressureSection(**named, prompt_tried=False, low_latency=True, latency_ms=200)
    assert triage_of(other).advice == "fine-tune"
    assert "(within 200 ms)" in " ".join(triage_of(other).reasons)


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
