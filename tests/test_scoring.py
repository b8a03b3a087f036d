"""What counts as right: exact match after white space, and nothing looser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.artifacts import Reply, Score
from tuneproof.scoring import normalise, score

PATTERN = r"[a-z0-9.+-]+(?: (?:AND|OR|WITH) [a-z0-9.+-]+)*"


def scored(text: str, expected: str = "mit OR bsd-new", *, finish: str = "stop") -> Score:
    fields = {"item_id": "i", "text": text, "finish": finish}
    reply = Reply.model_validate(fields | {"prompt_tokens": 1, "output_tokens": 1, "ms": 1.0})
    return score(reply, expected, answer_pattern=PATTERN)


@pytest.mark.parametrize(
    "text", ["mit OR bsd-new", " mit OR bsd-new\n", "mit  OR\tbsd-new", "mit\nOR bsd-new"]
)
def test_white_space_does_not_count(text: str) -> None:
    assert scored(text) == Score(item_id="i", correct=True, parse_failure=False)


@pytest.mark.parametrize(
    "text",
    ["MIT OR bsd-new", "bsd-new OR mit", "mit OR bsd-new.", "mit", "mitORbsd-new", "mit OR bsd-new OR x"],
)
def test_case_order_and_punctuation_count(text: str) -> None:
    assert not scored(text).correct


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("bsd-new", False),
        ("", True),
        ("  \n", True),
        ("The licence is mit", True),
        ("mit OR", True),
        ("mit OR bsd-new\nmit", True),
    ],
)
def test_a_reply_is_well_formed_only_if_the_whole_of_it_matches(text: str, fails: bool) -> None:
    assert scored(text).parse_failure is fails


def test_a_cut_reply_is_a_parse_failure_and_right_only_by_its_text() -> None:
    assert scored("mit OR bsd-new", finish="length") == Score(item_id="i", correct=True, parse_failure=True)
    assert scored("mit OR bsd", finish="length") == Score(item_id="i", correct=False, parse_failure=True)


def test_an_empty_reply_is_a_parse_failure_even_where_the_pattern_allows_it() -> None:
    reply = Reply(item_id="i", text=" ", finish="stop", prompt_tokens=1, output_tokens=0, ms=None)
    assert score(reply, "x", answer_pattern=".*").parse_failure


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == once.strip()
    assert "".join(once.split()) == "".join(text.split())


@given(st.text(), st.text())
def test_a_reply_is_right_exactly_when_both_normalise_alike(text: str, expected: str) -> None:
    assert scored(text, expected).correct == (text.split() == expected.split())
