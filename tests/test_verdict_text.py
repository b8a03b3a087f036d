"""The verdict's paragraph: only sentences of the closed list, and no number without a source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_verdict_rules import BEHIND, EQUAL, FAR, LITTLE, NUMBER, SLOTS, STORIES, VOLUME, pattern, rows
from tuneproof.artifacts import Interval, Timing
from tuneproof.artifacts.verdict import ClassLoss
from tuneproof.verdict_facts import facts_of
from tuneproof.verdict_text import first_remedy, gate_reason, p_value, percent, points, span
from tuneproof.verdict_words import OTHERS, SENTENCES, milliseconds, usd, whole_calls
from verdict_sample import COSTS_OPEN, Story, Told, contrast_of, costs_of, tell

VOLUMES = rf"(?:{NUMBER}|never)"
IN_TEXT: Mapping[str, str] = {
    **{k: v for k, v in SLOTS.items() if k not in {"gain", "most", "calls", "low", "k"}},
    **dict.fromkeys(("rate", "base_rate"), rf"{NUMBER} %"),
    **dict.fromkeys(("rate_span", "base_span"), rf"{NUMBER} to {NUMBER}"),
    **dict.fromkeys(("used", "available", "right", "count", "turned", "k"), r"[\d,]+"),
    **dict.fromkeys(("once", "fixed", "months", "p50"), NUMBER),
    "calls": VOLUMES,
    "use": r"(?: Use that rival: it needs no model\.| Keep that rule\.)?",
    "p95": rf"(?: and {NUMBER} ms at p95(?: \({NUMBER} to {NUMBER}\))?)?",
    "around": rf"(?: \({NUMBER} to {NUMBER}\))?",
    "p50_span": rf"(?: \({NUMBER} to {NUMBER}\))?",
    "p": r"p [<=] [01]\.\d{3}",
    "outcome": "(?:PASS|FAIL|INCONCLUSIVE)",
}
PATTERNS = {name: re.compile(pattern(text, IN_TEXT) + "(?= |$)") for name, text in SENTENCES.items()}


def sentences_of(paragraph: str) -> list[str]:
    """Names of the listed sentences that a paragraph is made of, end to end; none if there is a stranger."""
    if not paragraph:
        return []
    for name, wanted in PATTERNS.items():
        found = wanted.match(paragraph)
        if found is None:
            continue
        rest = paragraph[found.end() + 1 :]
        names = sentences_of(rest)
        if names or not rest:
            return [name, *names]
    return []


def said(**changes: Any) -> tuple[str, list[str]]:
    paragraph = tell(Story().with_(**changes)).paragraph()
    names = sentences_of(paragraph)
    assert names, paragraph
    return paragraph, names


def timing(arm: str, p50: float, **fields: Any) -> Timing:
    values: dict[str, Any] = {
        "arm": arm,
        "n": 200,
        "concurrency": 1,
        "interleaved": True,
        "p50_ms": p50,
        "p50_interval": Interval(low=p50 - 4, high=p50 + 6),
        "p95_ms": p50 * 2,
        "p95_interval": None,
        "first_p50_ms": None,
        "first_p95_ms": None,
        "per_token_p50_ms": None,
        "output_tokens_mean": None,
    }
    return Timing.model_validate(values | fields)


def test_the_whole_paragraph_of_a_tune_without_a_frontier() -> None:
    assert tell(Story()).paragraph() == (
        "On 200 held-out items the tuned model (the tuned-f16) has 75.0 % exact match (95 % interval 68.6 to "
        "80.5) and its best base (the base-plain) 35.0 % (28.7 to 41.8). The gate of made-up-f16.gguf is "
        "PASS: better than its best base: 90 won and 10 lost of 200 items, +40.0 points (+31.7 to +47.9), "
        "mid-p McNemar p < 0.001 one-sided against 0.025. The best cheap rival, the word-model, has 50.0 % "
        "(43.1 to 56.9): the tuned model is 25.0 points ahead of it (+17.6 to +32.5, n = 200, p < 0.001). "
        "The frontier was not measured (no key): whether it answers better, and what leaving it would save, "
        "stays open until that arm is measured. A call of the tuned-f16 took 150 ms at the median on the "
        "machine of this run. The tuned model is the right pick where the inputs must not leave the house; "
        "elsewhere the frontier decides, once it is measured."
    )


def test_the_gate_names_the_test_that_was_used_and_prints_the_wider_interval() -> None:
    contrast = contrast_of("tuned", "base", (30, 5)).model_copy(
        update={
            "test": "sign flips of groups",
            "clusters": 60,
            "cluster_interval": Interval(low=0.01, high=0.24),
        }
    )
    reason = gate_reason(contrast, "PASS", 0.025)
    assert "of 200 items in 60 groups, +12.5 points (+1.0 to +24.0), sign flips of groups p < 0.001" in reason
    assert "McNemar" not in reason


def test_the_frontier_is_said_with_its_difference_its_equality_and_its_noise() -> None:
    paragraph, names = said(frontier=BEHIND, costs=costs_of(), pressures=VOLUME)
    assert "the tuned model is 4.0 points behind it (−8.1 to −0.7, n = 200)" in paragraph
    assert "As good within 5.0 points is not shown" in paragraph and "with 731 items" in paragraph
    assert {"one reply", "worse", "cost", "break-even", "sensitivity", "saves", "pick: from"} <= set(names)
    assert "matches" not in paragraph
    assert "equal" in said(frontier=EQUAL)[1] and "better" in said(frontier=(20, 4))[1]


def test_repeats_are_said_with_their_range() -> None:
    told = tell(Story().with_(frontier=EQUAL))
    arms = tuple(
        a.model_copy(
            update={
                "repeat_rates": (0.755, 0.74, 0.76),
                "arm": a.arm.model_copy(update={"recorded": "M, 2026"}),
            }
        )
        if a.arm.kind == "frontier"
        else a
        for a in told.verdict.arms
    )
    paragraph = told._replace(verdict=told.verdict.model_copy(update={"arms": arms})).paragraph()
    assert "Asked 3 times, it had 74.0 % to 76.0 %." in paragraph
    assert "Its replies were made elsewhere (M, 2026)." in paragraph
    assert {"repeats", "recorded"} <= set(sentences_of(paragraph))


def test_the_break_even_is_said_with_its_sensitivity_and_what_turns_it_around() -> None:
    near = {"high_volume": True, "calls_per_month": 15_000}
    paragraph, _ = said(frontier=BEHIND, costs=costs_of(), pressures=near)
    assert (
        "1,000 calls cost 0.10 USD on the machine of the tuned model and 2.00 USD at the frontier."
        in paragraph
    )
    assert (
        "The break-even is 12,000 calls a month, with 240 USD once over 12 months and 2.80 USD" in paragraph
    )
    assert "goes from 5,715 to 25,200; 1 of 2 such prices turn the answer around" in paragraph
    assert "At 15,000 calls a month it saves 5.70 USD a month." in paragraph


def test_a_price_with_which_it_never_pays_is_part_of_the_sensitivity() -> None:
    costs = costs_of()
    assert costs.break_even
    first, second = costs.break_even.sensitivity
    swings = (first.model_copy(update={"calls_per_month": None}), second)
    even = costs.break_even.model_copy(update={"sensitivity": swings})
    costs = costs.model_copy(update={"break_even": even})
    paragraph, _ = said(frontier=BEHIND, costs=costs, pressures=VOLUME)
    assert "goes from 5,715 to never; 1 of 2 such prices turn the answer around" in paragraph


def test_every_way_to_pay_has_its_sentences() -> None:
    assert {"costs more", "pick: from"} <= set(said(frontier=EQUAL, costs=costs_of(), pressures=LITTLE)[1])
    assert {"no calls", "sensitivity, no calls"} <= set(said(frontier=EQUAL, costs=costs_of())[1])
    assert {"never", "pick: never"} <= set(said(frontier=EQUAL, costs=costs_of(own=0.01))[1])
    paragraph, names = said(frontier=EQUAL, costs=COSTS_OPEN)
    assert {"cost open", "pick: open"} <= set(names) and "costs.review_hours" in paragraph
    assert "pick: far behind" in said(frontier=FAR, costs=costs_of())[1]


def test_times_come_from_calls_one_at_a_time() -> None:
    load = timing("tuned-f16", 700.0, concurrency=4)
    frontier = timing("frontier", 900.0, p95_interval=Interval(low=1_700, high=2_400))
    paragraph = tell(Story().with_(frontier=EQUAL)).paragraph(
        timings=(timing("tuned-f16", 142.0), frontier, load)
    )
    assert (
        "A call of the tuned-f16 took 142 ms at the median (138 to 148) and 284 ms at p95 over 200 calls."
        in (paragraph)
    )
    assert "took 900 ms at the median (896 to 906) and 1,800 ms at p95 (1,700 to 2,400) over" in paragraph
    assert "700" not in re.sub(r"1,700", "", paragraph)
    assert sentences_of(paragraph).count("times") == 2


def test_reading_pairs_again_comes_before_any_other_remedy() -> None:
    told = tell(Story().with_(base=(2, 30)))
    remedy = first_remedy(told.finished())
    assert remedy.startswith("First: `tuneproof review --reread 50`")
    paragraph = told.paragraph(trained_on=(320, 1_412))
    assert paragraph.index(remedy) < paragraph.index("has seen 320 of the 1,412 training pairs")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"rivals": {"word-model": (5, 30)}}, True),
        ({"frontier": FAR}, True),
        ({"frontier": EQUAL, "costs": costs_of(), "pressures": LITTLE}, False),
        ({}, False),
        ({"base": (12, 8)}, False),
        ({"rivals": {"rule": (0, 0)}}, False),
        ({"controls": {"blank-input": (30, 5)}, "base": (2, 30)}, True),
    ],
)
def test_the_first_remedy_is_for_quality_alone(changes: dict[str, Any], wanted: bool) -> None:
    assert bool(first_remedy(tell(Story().with_(**changes)).finished())) is wanted


def test_the_advice_of_the_paragraph_is_that_of_the_verdict() -> None:
    assert "Use that rival" in said(rivals={"word-model": (9, 12)})[0]
    assert "Keep that rule" in said(rivals={"rule": (9, 12)})[0]
    assert "Use that rival" not in said(base=(12, 8), rivals={"word-model": (9, 10)})[0], "nothing is decided"
    assert "Use that rival" not in said(base=(2, 30), rivals={"word-model": (2, 3)})[0], "the base is ahead"


def test_the_last_sentence_never_contradicts_a_move() -> None:
    """A move that no volume carries is named as its own reason."""
    fast = {"frontier": BEHIND, "costs": costs_of(), "pressures": LITTLE | {"low_latency": True}}
    good = {"frontier": (20, 4), "costs": costs_of(), "pressures": LITTLE | {"exact_format": True}}
    open_cost = {"frontier": EQUAL, "costs": COSTS_OPEN, "pressures": {"exact_format": True}}
    for changes, reason in ((fast, "latency"), (good, "quality"), (open_cost, "quality")):
        story = Story().with_(**changes)
        assert tell(story).decided().decision == "move"
        assert OTHERS[reason] in tell(story).paragraph().rsplit("The tuned model", 1)[1]
    slow = tell(Story().with_(**fast, frontier_p50_ms=10.0)).paragraph()
    assert OTHERS["latency"] not in slow


def everything() -> Told:
    """A verdict in which every optional part is there."""
    told = tell(
        Story(
            base=(12, 8),
            frontier=BEHIND,
            costs=costs_of(),
            pressures=VOLUME,
            controls={"shuffled-labels": (5, 6), "blank-input": (3, 9)},
            endpoints={"other-api": (9, 14)},
            seeds=(0.75, 0.6, 0.7),
            excluded=3,
            rounds=6,
            optimism=0.021,
        )
    )
    gate = told.verdict.gates[0]
    losses = tuple(ClassLoss(label=f"key {c}", n=12, base_right=9, tuned_right=3) for c in "abcdefg")
    served = told.served.model_copy(
        update={
            "unseen_n": 9,
            "unseen_correct": 2,
            "mean_value": 0.812,
            "mean_interval": Interval(low=0.77, high=0.85),
            "p95_ms": 231.0,
        }
    )
    base = told.base.model_copy(update={"mean_value": 0.7, "mean_interval": Interval(low=0.66, high=0.74)})
    verdict = told.verdict.model_copy(
        update={
            "gates": (gate.model_copy(update={"class_losses": losses}),),
            "format_gain": contrast_of("base-plain", "base-free", (40, 3)),
            "deviations": ("one arm was measured twice",),
            "not_measured": {"knn": "too many rows"},
        }
    )
    return told._replace(verdict=verdict, served=served, base=base)


def test_every_part_of_a_verdict_has_its_sentence() -> None:
    paragraph = everything().paragraph(trained_on=(320, 1_412))
    names = sentences_of(paragraph)
    assert {"mean", "format", "items", "class losses", "seeds", "seed decides", "control"} <= set(names), (
        names
    )
    assert {"rival not fitted", "rows", "unseen", "optimism", "excluded", "deviations"} <= set(names)
    assert "key e (from 9 to 3 of 12) and 2 more" in paragraph
    assert "gains" in paragraph and "of 203 items" in paragraph and "look 2.1 points too good" in paragraph
    assert (
        "a tune on blanked inputs, has −3.0 points" in paragraph and ": FAIL, as it must be" not in paragraph
    )


def test_the_lists_above_reach_every_sentence() -> None:
    reached = {"recorded", "repeats", "times"}  # each in a test of its own
    stories = [
        {},
        {"frontier": EQUAL},
        {"frontier": (20, 4)},
        {"frontier": FAR, "costs": costs_of()},
        {"frontier": BEHIND, "costs": costs_of(), "pressures": VOLUME},
        {"frontier": EQUAL, "costs": costs_of(), "pressures": LITTLE},
        {"frontier": EQUAL, "costs": costs_of(own=0.01)},
        {"frontier": EQUAL, "costs": COSTS_OPEN},
        {"base": (2, 30), "rounds": 2},
        {"not_measured": {"frontier": "no key", "knn": "too many rows"}},
    ]
    for story in stories:
        reached |= set(said(**story)[1])
    reached |= set(sentences_of(everything().paragraph(trained_on=(320, 1_412))))
    missing = set(SENTENCES) - reached
    assert missing == {"not measured", "not equal"}, (
        "an endpoint, and an equality that no number of items shows"
    )


def test_an_endpoint_and_an_equality_out_of_reach_have_sentences_too() -> None:
    told = tell(Story().with_(frontier=BEHIND))
    endpoints = told.case.task_file.comparison.model_validate({"endpoints": [{"name": "vllm", "model": "m"}]})
    task_file = told.case.task_file.model_copy(update={"comparison": endpoints})
    assert told.verdict.frontier_equality
    equality = told.verdict.frontier_equality.model_copy(update={"items_needed": None})
    verdict = told.verdict.model_copy(
        update={"not_measured": {"vllm": "no answer"}, "frontier_equality": equality}
    )
    told = told._replace(case=told.case.model_copy(update={"task_file": task_file}), verdict=verdict)
    names = sentences_of(told.paragraph())
    assert {"not measured", "not equal"} <= set(names)
    assert "rival not fitted" not in names, "an endpoint is no rival"


def numbers_in(text: str) -> list[str]:
    return re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def sources(told: Told) -> set[str]:
    """Every number that may be printed, written in every way in which a number is written."""
    facts = facts_of(told.case, told.verdict, base=told.base, served=told.served)
    values = [*leaves(told.verdict.model_dump()), *leaves(told.case.task_file.gate.model_dump())]
    values += [*leaves(told.case.task_file.pressures.model_dump()), facts.usage.saves_usd]
    values += [
        told.served.n + told.served.excluded,
        len(told.verdict.seeds.rates) if told.verdict.seeds else 0,
    ]
    even = facts.usage.break_even
    if even is not None:
        values += [1000 * even.own_usd_per_call, 1000 * even.api_usd_per_call, len(even.sensitivity), 0, 1, 2]
    found: set[str] = set()
    for text in (*SENTENCES.values(), *(v for v in values if isinstance(v, str))):
        found |= set(numbers_in(text))
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        size = abs(value)
        written = [
            percent(size),
            p_value(size),
            usd(size),
            milliseconds(size),
            whole_calls(size),
            f"{size:g}",
        ]
        found |= {number for text in written for number in numbers_in(text)} | {
            f"{size:,}",
            f"{size * 100:g}",
        }
    return found


@settings(max_examples=100, deadline=None)
@given(STORIES)
def test_any_paragraph_is_made_of_listed_sentences_and_every_number_has_a_source(story: Story) -> None:
    told = tell(story)
    paragraph = told.paragraph()
    assert sentences_of(paragraph), paragraph
    printed = numbers_in(paragraph)
    assert len(printed) > 10
    assert sorted(set(printed) - sources(told)) == []
    assert "None" not in paragraph and "nan" not in paragraph and "{" not in paragraph
    assert not re.search(r"[ (]-\d", paragraph), "a minus sign is not a hyphen"


def test_a_number_of_nowhere_is_found() -> None:
    """The check above can fail."""
    assert "77.7" not in sources(tell(Story())) and not sentences_of("The tuned model is impressive.")


@given(st.floats(1e-9, 1e9))
def test_dollars_are_written_out_and_never_as_nothing(amount: float) -> None:
    text = usd(amount)
    assert "e" not in text and float(text.replace(",", "")) > 0
    assert float(text.replace(",", "")) == pytest.approx(amount, rel=0.06)


def test_numbers_are_written_the_same_way_everywhere() -> None:
    assert (percent(0.575), points(-0.04)) == ("57.5 %", "−4.0 points")
    assert span(Interval(low=-0.079, high=0.007), signed=True) == "−7.9 to +0.7"
    assert (usd(0.0000016), usd(0.05), usd(22.04), usd(737.2)) == ("0.0000016", "0.050", "22.04", "737")
    assert (whole_calls(12_000.0000000001), whole_calls(12_000.2), whole_calls(None)) == (
        "12,000",
        "12,001",
        "never",
    )
    assert (milliseconds(0.31), milliseconds(1_234.5)) == ("0.31", "1,234")


def test_the_page_lists_every_sentence() -> None:
    assert rows("Sentences") == dict(SENTENCES)
