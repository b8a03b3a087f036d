"""Lint: every kind of fault is found once a row, with its place, and nothing else is."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.artifacts import LeftOut, Pair
from tuneproof.lint import (
    KINDS,
    LONGEST_VALUE,
    Finding,
    Room,
    Rules,
    counts_of,
    estimated,
    lint,
    look_like_labels,
)

WIDE = Room(4096, 256, (20, 20), estimated)
NO_LABELS = Rules(lambda _: "", WIDE, are_labels=False)


def pair(number: int, given: str, wanted: str, **more: str) -> Pair:
    values = {"id": f"r{number}", "source": f"p.jsonl:{number}"} | more
    return Pair(input=given, output=wanted, **values)


def different(count: int) -> list[Pair]:
    """Pairs that have nothing in common but three labels."""
    chance = random.Random(5)
    words = ["".join(chance.choices("abcdefghij", k=7)) for _ in range(4000)]
    return [
        pair(number, " ".join(chance.sample(words, 12)), ("red", "green", "blue")[number % 3])
        for number in range(1, count + 1)
    ]


def told(found: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    return [(each.severity, each.kind, each.place) for each in found]


def test_good_pairs_give_no_finding() -> None:
    assert lint(different(200), (), Rules(lambda _: "", WIDE)) == ()


def test_a_row_that_is_no_pair_keeps_its_place_and_reason() -> None:
    (found,) = lint(different(3), [LeftOut(place="p.jsonl:9", reason="not JSON: x")], NO_LABELS)
    assert (found.severity, found.kind, found.place, found.why) == (
        "error", "no pair", "p.jsonl:9", "not JSON: x",
    )  # fmt: skip
    assert found.do


@pytest.mark.parametrize(("given", "wanted"), [("", "x"), (" \n\t", "x"), ("a", ""), ("a", "\u2003\n")])
def test_a_side_of_white_space_is_an_error(given: str, wanted: str) -> None:
    found = lint([*different(3), pair(9, given, wanted)], (), NO_LABELS)
    assert told(found) == [("error", "empty side", "p.jsonl:9")]


def test_an_id_that_occurs_twice_names_the_first_place() -> None:
    (found,) = lint([*different(3), pair(9, "other", "x", id="r2")], (), NO_LABELS)
    assert (found.kind, found.place, found.value) == ("same id", "p.jsonl:9", "r2")
    assert "p.jsonl:2" in found.why


def test_the_same_input_with_two_outputs_is_an_error_of_each_row_that_names_another() -> None:
    rows = [pair(1, "Hello  World", "x"), pair(2, "hello world", "y"), pair(3, "ＨＥＬＬＯ world\n", "x")]
    found = lint(rows, (), NO_LABELS)
    assert told(found)[:3] == [("error", "contradiction", f"p.jsonl:{n}") for n in (1, 2, 3)]
    assert "p.jsonl:2: 'y'" in found[0].why and "p.jsonl:1: 'x'" in found[1].why
    assert told(found)[3:] == [("warning", "exact repeat", "p.jsonl:3")]


def test_outputs_that_differ_in_white_space_alone_contradict_nobody() -> None:
    found = lint([pair(1, "a b", "x  y"), pair(2, "a b", "x y\n")], (), NO_LABELS)
    assert told(found) == [("warning", "exact repeat", "p.jsonl:2")]


def test_a_row_that_is_broken_alone_contradicts_nobody() -> None:
    rows = [pair(1, "a b c", "good"), pair(2, "a b c", ""), pair(3, "a b c", "bad form")]
    rules = NO_LABELS._replace(problem_of=lambda text: "is bad" if text.startswith("bad") else "")
    found = lint(rows, (), rules)
    assert [each.kind for each in found] == ["empty side", "format"]
    assert found[1].why == "the output is bad" and found[1].value == "bad form"


def test_near_twins_are_told_apart_by_their_outputs() -> None:
    text = "please reset the password of my account in the shop {} today"
    rows = [pair(1, text.format("A1"), "x"), pair(2, text.format("B2"), "x"), pair(3, text.format("C3"), "y")]
    found = lint(rows, (), NO_LABELS)
    assert told(found) == [
        ("warning", "near twins, different outputs", "p.jsonl:3"),
        ("warning", "near twin", "p.jsonl:2"),
    ]
    assert "p.jsonl:1" in found[0].why and "'x'" in found[0].why


def test_a_thousand_copies_are_a_finding_a_row_and_not_a_pair_of_rows() -> None:
    rows = [pair(n, f"please reset the password of account {n} in the shop", "x") for n in range(1000)]
    rows += [pair(n, "all the same words here", "x") for n in range(1000, 2000)]
    began = time.process_time()
    found = lint(rows, (), NO_LABELS)
    assert counts_of(found) == {"exact repeat": 999, "near twin": 999}
    assert time.process_time() - began < 10


def test_two_thousand_pairs_take_less_than_two_seconds() -> None:
    rows = different(2000)
    times = []
    for _ in range(3):
        began = time.process_time()
        assert lint(rows, (), Rules(lambda _: "", WIDE)) == ()
        times.append(time.process_time() - began)
    assert min(times) < 2


def test_a_prompt_that_does_not_fit_is_an_error_where_it_was_counted() -> None:
    long, short = pair(1, "y" * 200, "x"), pair(2, "short", "x")
    room = Room(100, 10, (20, 20), lambda text: (len(text), len(text)))
    (found,) = lint([long, short], (), NO_LABELS._replace(room=room))
    assert told((found,)) == [("error", "too long", "p.jsonl:1")]
    assert "230 tokens; serving.num_ctx is 100" in found.why


def test_what_fits_exactly_fits() -> None:
    room = Room(100, 10, (20, 20), lambda text: (len(text), len(text)))
    assert lint([pair(1, "y" * 70, "x" * 10)], (), NO_LABELS._replace(room=room)) == ()
    found = lint([pair(1, "y" * 71, "x" * 10)], (), NO_LABELS._replace(room=room))
    assert [each.kind for each in found] == ["too long"]
    found = lint([pair(1, "y" * 20, "x" * 11)], (), NO_LABELS._replace(room=room))
    assert [each.kind for each in found] == ["reply too long"]
    ended = NO_LABELS._replace(room=room._replace(end=2))  # as `tune` counts an answer
    assert lint([pair(1, "y" * 20, "x" * 8)], (), ended) == ()
    assert [each.kind for each in lint([pair(1, "y" * 20, "x" * 9)], (), ended)] == ["reply too long"]


def test_an_estimate_says_so_and_is_a_warning() -> None:
    room = Room(1000, 50, (20, 20), estimated)
    perhaps, surely = pair(1, "word " * 700, "x"), pair(2, "other " * 4000, "x")
    found = {each.place: each for each in lint([perhaps, surely], (), NO_LABELS._replace(room=room))}
    assert [each.severity for each in found.values()] == ["warning", "warning"]
    assert all("(an estimate)" in each.why for each in found.values())
    long_reply = lint([pair(1, "a", "b " * 120)], (), NO_LABELS._replace(room=room))
    assert told(long_reply) == [("warning", "reply too long", "p.jsonl:1")]


@given(st.text(max_size=60))
def test_an_estimate_is_in_order_and_never_above_the_bytes(text: str) -> None:
    fewest, most = estimated(text)
    assert 0 <= fewest <= most <= max(1, len(text.encode("utf-8", "replace")))


def test_labels_with_too_few_rows_and_labels_without_one_are_told() -> None:
    rows = [*different(30), pair(40, "odd one", "violet"), pair(41, "another odd", "violet")]
    rules = Rules(lambda _: "", WIDE, labels=("red", "green", "blue", "violet", "black"))
    found = lint(rows, (), rules)
    assert told(found) == [
        ("warning", "rare label", "p.jsonl:40"),
        ("warning", "unused label", "task.yaml"),
    ]
    assert "2 rows" in found[0].why and found[1].value == "black"
    assert lint(rows, (), rules._replace(are_labels=False)) == ()


def test_labels_are_counted_as_the_metric_compares_them() -> None:
    rows = [*different(30), pair(40, "odd one", "RED"), pair(41, "another odd", "Red")]
    assert [each.kind for each in lint(rows, (), Rules(lambda _: "", WIDE))] == ["rare label"] * 2
    assert lint(rows, (), Rules(lambda _: "", WIDE, same=str.casefold)) == ()


def test_free_texts_are_no_labels() -> None:
    assert look_like_labels(["a", "b"] * 10)
    assert not look_like_labels([])
    assert not look_like_labels([f"text {n}" for n in range(100)])
    assert not look_like_labels([f"text {n % 40}" for n in range(400)])
    assert not look_like_labels(["a\nb", "c"] * 10)


def test_what_draft_may_go_on_without_is_a_warning() -> None:
    rows = [pair(1, "a", ""), pair(2, "b c", "x"), pair(3, "b c", "y"), pair(4, "w " * 40_000, "x")]
    rejected = [LeftOut(place="p.jsonl:9", reason="not JSON")]
    room = Room(100, 10, (20, 20), lambda text: (len(text), len(text)))
    rules = NO_LABELS._replace(room=room)
    strict = lint(rows, rejected, rules)
    left = lint(rows, rejected, rules._replace(leave_out=True))
    assert {each.severity for each in strict} == {"error"}
    assert [each.kind for each in left if each.severity == "error"] == ["too long"]
    assert sorted(counts_of(left).items()) == sorted(counts_of(strict).items())


def test_drafts_that_a_person_still_decides_on_have_no_errors_of_form() -> None:
    rows = [*different(3), pair(8, "a b c", "bad form"), pair(9, "a b c", "good")]
    rules = NO_LABELS._replace(problem_of=lambda text: "is bad" if text.startswith("bad") else "")
    rejected = [LeftOut(place="p.jsonl:9", reason="the teacher refused: 'no'")]
    assert {each.severity for each in lint(rows, rejected, rules)} == {"error"}
    found = lint(rows, rejected, rules._replace(drafted=True))
    assert told(found) == [("warning", "format", "p.jsonl:8"), ("warning", "no draft", "p.jsonl:9")]
    assert "draft --again" in found[1].do


def test_errors_come_first_and_a_value_is_cut() -> None:
    rows = [pair(1, "k" * 9000, "x"), pair(2, "k" * 9000, "x"), pair(3, "", "x")]
    found = lint(rows, (), NO_LABELS)
    assert [each.severity for each in found] == sorted(each.severity for each in found)
    assert max(len(each.value) for each in found) == LONGEST_VALUE
    assert all(each.do == KINDS[each.kind].do for each in found)


TEXTS = st.text(max_size=8)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12))
def test_no_text_breaks_lint_and_a_row_has_a_kind_once(texts: list[tuple[str, str]]) -> None:
    rows = [pair(number, *each) for number, each in enumerate(texts, 1)]
    found = lint(rows, (), Rules(lambda _: "", WIDE))
    keys = [(each.kind, each.place) for each in found]
    assert len(keys) == len(set(keys))
    empty = {row.source for row in rows if not row.input.strip() or not row.output.strip()}
    assert {each.place for each in found if each.kind == "empty side"} == empty
