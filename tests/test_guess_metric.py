"""Which metric the outputs ask for, with the counts, and what the inferred schema lets in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from guess_sample import exact_rows, free_rows, json_rows, label_rows, line_rows, number_rows, set_rows
from tuneproof.artifacts.case import METRICS, ScoringSection
from tuneproof.guess.metric import ANY_REPLY, RIGHT_AT, MetricGuess, guess_metric
from tuneproof.guess.schema import json_object, schema_of
from tuneproof.metrics import metric_of
from tuneproof.metrics.base import Options
from tuneproof.outside.readers import Rows


def outputs(rows: Rows) -> list[str]:
    return [list(row.values.values())[1] for row in rows.rows]


def option(guess: MetricGuess, name: str) -> Any:
    return dict((key, value) for key, value, _ in guess.scoring)[name]


@pytest.mark.parametrize(
    ("rows", "metric", "why"),
    [
        (json_rows(), "json fields", "all 300 outputs are JSON objects"),
        (line_rows(), "labelled lines", "all 120 outputs are `Label: value` lines (City, Ref, Team)"),
        (number_rows(), "numeric tolerance", "all 150 outputs are numbers"),
        (
            set_rows(),
            "set match",
            "all 200 outputs are lists from 6 shared short names, 179 with more than one",
        ),
        (exact_rows(), "exact match", "all 400 outputs are one line of at most 12 words"),
        (free_rows(), "chrF", "the outputs are free text, 23 words at the median"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_output_gets_its_metric_and_the_counts_behind_it(
    rows: Rows, metric: str, why: str
) -> None:
    guess = guess_metric(outputs(rows))
    assert (guess.metric, guess.why) == (metric, why)


def test_a_closed_list_has_at_most_thirty_labels_with_five_rows_each_on_average() -> None:
    labels = [row.values["category"] for row in label_rows(150, labels=30).rows]
    guess = guess_metric(labels)
    assert guess.metric == "label accuracy"
    assert option(guess, "labels") == sorted(set(labels))
    assert guess_metric(labels[:149]).metric == "exact match", "29.8 rows a label are too few"
    more = [row.values["category"] for row in label_rows(310, labels=31).rows]
    assert guess_metric(more).metric == "exact match"


def test_some_outputs_that_are_no_json_are_named_and_many_make_another_metric() -> None:
    guess = guess_metric(outputs(json_rows(300, broken=12)))
    assert guess.metric == "json fields"
    assert guess.why == "288 of 300 outputs are JSON objects"
    assert guess.odd == tuple(range(12))
    many = guess_metric(outputs(json_rows(300, broken=40)))
    assert many.metric == "chrF"
    assert "260 of 300 outputs are JSON objects, fewer than 90%" in many.notes[1]


def test_fenced_json_is_pointed_out() -> None:
    guess = guess_metric([f"```json\n{text}\n```" for text in outputs(json_rows(40))])
    assert guess.metric == "chrF"
    assert "40 of 40 outputs are in ``` fences" in guess.notes[1]


def test_the_schema_has_types_required_keys_and_closed_lists_only_where_values_repeat() -> None:
    schema = option(guess_metric(outputs(json_rows())), "json_schema")
    fields = schema["properties"]
    assert fields["team"] == {
        "type": "string",
        "enum": ["account", "billing", "delivery", "returns", "warranty"],
    }
    assert fields["order"] == {"type": "integer"}
    assert fields["amount"] == {"type": "number"}
    assert fields["urgent"] == {"type": "boolean"}
    assert fields["address"]["properties"]["zip"] == {"type": ["null", "string"]}
    assert fields["items"] == {"type": "array", "items": {"type": "string"}}
    assert schema["required"] == ["team", "order", "amount", "urgent", "address", "items"]
    assert "comment" in fields
    assert schema["additionalProperties"] is False


def test_a_closed_list_is_pointed_out_because_it_refuses_new_values() -> None:
    notes = guess_metric(outputs(json_rows())).notes
    assert notes == (
        "The schema closes these lists to the values seen: team (5 values), address.city (11 values). "
        "Add values that may come.",
    )


def test_a_list_is_not_closed_over_few_rows_or_around_a_value_seen_once() -> None:
    rows = [{"team": TEAM} for TEAM in "ab" * 14]
    assert "enum" not in schema_of(rows)["properties"]["team"]
    assert "enum" in schema_of([*rows, *rows])["properties"]["team"]
    assert "enum" not in schema_of([*rows, *rows, {"team": "seen once"}])["properties"]["team"]


def test_a_closed_list_with_gaps_allows_null() -> None:
    schema = schema_of([{"team": team} for team in ("a", "b", None) * 20])
    assert schema["properties"]["team"] == {"type": ["null", "string"], "enum": ["a", "b", None]}


def test_objects_whose_keys_are_data_become_a_map() -> None:
    schema = schema_of([{f"user {i}": i, f"user {i + 1}": i} for i in range(60)])
    assert schema == {"type": "object", "additionalProperties": {"type": "integer"}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), min_size=1, max_size=40))
def test_every_object_meets_the_schema_that_was_inferred_from_it(objects: list[dict[str, Any]]) -> None:
    schema = schema_of(objects)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert all(validator.is_valid(each) for each in objects)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize(
    "text", ["[1]", "1", "null", '{"a": NaN}', '{"a": 1', "", "[" * 5000, '{"a": ' * 3000]
)
def test_what_is_no_json_object_is_none(text: str) -> None:
    assert json_object(text) is None


@pytest.mark.parametrize(
    ("texts", "metric"),
    [
        (["1", "2", "3", "4", "5"] * 20, "label accuracy"),
        ([str(i) for i in range(60)], "numeric tolerance"),
        (["0.5", "1.0"] * 30, "numeric tolerance"),
        (["1,234", "12,345,678", "-7"], "numeric tolerance"),
        (["1,234 USD", "2,345 USD"], "exact match"),
        (["1,200", "1,300", "2,300"] * 20, "label accuracy"),
        ([f"{a},{b}50" for a in (1, 2) for b in range(2, 10)] * 4, "numeric tolerance"),
    ],
)
def test_steps_of_a_scale_are_labels_and_other_numbers_are_numbers(texts: list[str], metric: str) -> None:
    assert guess_metric(texts).metric == metric


def test_the_tolerance_is_half_of_the_last_decimal() -> None:
    assert option(guess_metric(["1.25", "3,000.5", "7"]), "tolerance") == 0.005
    assert option(guess_metric(["1,000", "20", "37"]), "tolerance") == 0.0


def test_a_place_name_with_a_comma_is_no_set() -> None:
    places = [f"{city}, {country}" for city, country in [("Paris", "France"), ("Lyon", "France")] * 40]
    assert guess_metric([*places, *["Turin, Italy", "Rome, Italy"] * 20]).metric == "label accuracy"


def test_a_sentence_with_commas_is_no_set() -> None:
    texts = [f"Well, it is number {i}, so to say" for i in range(60)]
    assert guess_metric(texts).metric == "exact match"


def test_the_separator_of_a_set_is_found() -> None:
    texts = ["red; blue", "blue; red", "red", "green; red", "red; green"] * 8
    guess = guess_metric(texts)
    assert (guess.metric, option(guess, "separator")) == ("set match", ";")
    assert "order" in guess.notes[0]


def test_names_that_are_always_sorted_are_a_set() -> None:
    assert guess_metric(["bug, ui", "bug, docs, ui", "docs", "bug, docs"] * 9).metric == "set match"


def test_times_and_addresses_are_no_labelled_lines() -> None:
    assert guess_metric(["12:30", "https://example.org/a", "https://example.org/b"]).metric == "exact match"


def test_one_line_with_a_colon_counts_only_if_its_label_always_comes() -> None:
    assert guess_metric([f"Total: {i} EUR" for i in range(20)]).metric == "labelled lines"
    assert guess_metric([f"Item {i}: sold" for i in range(20)]).metric == "exact match"


def test_labels_that_differ_in_case_and_rare_ones_are_pointed_out() -> None:
    notes = guess_metric(["Bug"] * 30 + ["bug"] * 30 + ["question"]).notes
    assert notes[0].startswith("1 of 3 labels have fewer than 5 rows")
    assert "(bug)" in notes[1]


def test_free_text_asks_loudly_for_the_threshold() -> None:
    guess = guess_metric(outputs(free_rows()))
    assert option(guess, "right_at") == RIGHT_AT
    assert guess.notes[0].startswith("DECIDE: scoring.right_at")


def test_a_narrow_pattern_is_only_taken_from_many_outputs_that_all_match() -> None:
    dates = [f"20{i:02}-05-31" for i in range(60)]
    assert guess_metric(dates).answer_pattern[0] == r"\d{4}-\d{2}-\d{2}"
    assert guess_metric([*dates, "none"]).answer_pattern[0] == r"\S+"
    assert guess_metric([*dates, "not known"]).answer_pattern == ANY_REPLY
    assert guess_metric(dates[:40]).answer_pattern == ANY_REPLY


ANY_OUTPUTS = st.lists(
    st.text(max_size=30) | st.sampled_from(["a, b", "b, a", "a", "1", "x: 1", "{}"]), min_size=1
)


@given(ANY_OUTPUTS)
def test_any_outputs_get_a_metric_that_takes_all_that_are_not_odd(texts: list[str]) -> None:
    guess = guess_metric(texts)
    assert guess == guess_metric(texts)
    assert guess.metric in METRICS
    section = ScoringSection.model_validate({key: value for key, value, _ in guess.scoring})
    schema = section.json_schema if isinstance(section.json_schema, dict) else None
    problem, options = metric_of(guess.metric).problem, Options(section, schema)
    fits = [text for place, text in enumerate(texts) if place not in guess.odd]
    assert [text for text in fits if text.strip() and problem(text, options)] == []
