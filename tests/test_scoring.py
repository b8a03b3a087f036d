"""What counts as right: the metric's value against a threshold, and how replies fail otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_sample import case
from graded_sample import reply
from tuneproof.artifacts import Score, TaskFile
from tuneproof.scoring import (
    Scorer,
    confusion_of,
    expected_problem,
    figures_of,
    normalise,
    score,
    scorer_of,
)

PATTERN = r"[a-z0-9.+-]+(?: (?:AND|OR|WITH) [a-z0-9.+-]+)*"


def scorer(metric: str = "exact match", *, pattern: str = ".*", **section: object) -> Scorer:
    task_file = case().task_file.model_dump()
    task_file["task"] |= {"metric": metric, "answer_pattern": pattern}
    task_file["scoring"] = section
    return scorer_of(TaskFile.model_validate(task_file))


EXACT = scorer(pattern=PATTERN)


def scored(
    text: str, expected: str = "mit OR bsd-new", *, finish: str = "stop", rules: Scorer = EXACT
) -> Score:
    return score(reply(text, finish=finish), expected, rules)


def right(*, parse_failure: bool = False) -> Score:
    return Score(
        item_id="i", correct=True, parse_failure=parse_failure, value=1.0, empty=False, refusal=False
    )


@pytest.mark.parametrize(
    "text", ["mit OR bsd-new", " mit OR bsd-new\n", "mit  OR\tbsd-new", "mit\nOR bsd-new"]
)
def test_white_space_does_not_count(text: str) -> None:
    assert scored(text) == right()


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
    assert scored("mit OR bsd-new", finish="length") == right(parse_failure=True)
    cut = scored("mit OR bsd", finish="length")
    assert cut.parse_failure and not cut.correct and not cut.empty


def test_an_empty_reply_is_a_parse_failure_even_where_the_pattern_allows_it() -> None:
    empty = score(reply(" "), "x", scorer())
    assert empty.parse_failure and empty.empty and not empty.refusal
    assert not scored("x").empty


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == once.strip()
    assert "".join(once.split()) == "".join(text.split())


@given(st.text(), st.text())
def test_a_reply_is_right_exactly_when_both_normalise_alike(text: str, expected: str) -> None:
    assert scored(text, expected).correct == (text.split() == expected.split())


def test_what_the_metric_cannot_read_is_a_parse_failure() -> None:
    rules = scorer("json fields")
    assert scored('{"a": 1}', '{"a": 1}', rules=rules) == right()
    failed = scored('{"a": 1', '{"a": 1}', rules=rules)
    assert failed.parse_failure and failed.value == 0 and not failed.empty


def test_a_value_counts_as_right_from_the_threshold_on_and_rounding_does_not_matter() -> None:
    two_of_three = ("a, b", "a, b, c")
    assert scored(*two_of_three, rules=scorer("set match")).value == pytest.approx(0.8)
    assert not scored(*two_of_three, rules=scorer("set match")).correct
    assert scored(*two_of_three, rules=scorer("set match", right_at=0.8)).correct
    assert not scored(*two_of_three, rules=scorer("set match", right_at=0.81)).correct
    own = scorer("grading:f", right_at=0.3)._replace(
        options=scorer()[1]._replace(own=lambda *_: 0.1 * 3 - 1e-16)
    )
    assert scored("x", rules=own).correct


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but no.", True),
        ("I\u2019m sorry, but no.", True),
        ("  SORRY, I do not know", True),
        ("As an AI\nmodel", True),
        ("I cannot read it", True),
        ("mit", False),
        ("He said: I'm sorry", False),
        ("", False),
    ],
)
def test_a_refusal_is_found_whatever_its_case_and_its_apostrophe(text: str, refuses: bool) -> None:
    assert scored(text).refusal is refuses


def test_a_right_reply_is_no_refusal_and_the_pattern_is_the_tasks_own() -> None:
    assert not scored("Sorry, no", "Sorry, no", rules=scorer()).refusal
    assert scored("Weiß nicht.", rules=scorer(refusal_pattern="^weiß nicht")).refusal
    assert not scored("Sorry, no", rules=scorer(refusal_pattern="^weiß nicht")).refusal


@pytest.mark.parametrize(
    ("expected", "rules", "problem"),
    [
        ("mit", EXACT, ""),
        (" \n", EXACT, "is empty"),
        ("the mit", EXACT, f"does not match task.answer_pattern {PATTERN!r}"),
        ("{", scorer("json fields"), "is not JSON"),
        ("dog", scorer("label accuracy", labels=["cat"]), "is not in scoring.labels: cat"),
        ("...", scorer(normalise=["punctuation"]), "is nothing after scoring.normalise"),
        (",", scorer("set match"), "has no member beside ','"),
        ("1,5", scorer("numeric tolerance"), "is not one plain number"),
    ],
)
def test_an_expected_output_that_no_reply_could_match_is_named(
    expected: str, rules: Scorer, problem: str
) -> None:
    found = expected_problem(expected, rules)
    assert found.startswith(problem) and bool(found) == bool(problem)


def test_an_inline_schema_is_used_and_one_from_a_file_goes_before_it() -> None:
    inline = scorer("json fields", json_schema={"type": "array"})
    assert expected_problem("{}", inline)
    task_file = case().task_file.model_dump()
    task_file["task"]["metric"] = "json fields"
    task_file["scoring"] = {"json_schema": "invoice.schema.json"}
    from_file = scorer_of(TaskFile.model_validate(task_file), schema={"type": "object"})
    assert expected_problem("{}", from_file) == ""
    assert expected_problem("[]", from_file)


def test_the_metrics_figures_and_matrix_are_those_of_replies_and_outputs_in_order() -> None:
    replies = [reply("a"), reply("b"), reply("a")]
    rules = scorer("label accuracy")
    (macro,) = figures_of(rules, replies, ["a", "b", "b"])
    assert macro.value == pytest.approx((2 / 3 + 2 / 3) / 2) and macro.n == 3
    matrix = confusion_of(rules, replies, ["a", "b", "b"])
    assert matrix is not None and matrix.counts == ((1, 0, 0), (1, 1, 0), (0, 0, 0))
    assert figures_of(scorer(), replies, ["a", "b", "b"]) == ()
    assert confusion_of(scorer(), replies, ["a", "b", "b"]) is None
    with pytest.raises(ValueError, match="zip"):
        figures_of(rules, replies, ["a"])
