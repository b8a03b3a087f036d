"""JSON fields: strict reading, the schema, and what counts as the same."""

from __future__ import annotations

import json
import random
import re
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.artifacts import Figure
from tuneproof.artifacts.case import ScoringSection
from tuneproof.errors import BadInput
from tuneproof.metrics import metric_of
from tuneproof.metrics.base import Options
from tuneproof.metrics.json_fields import DEEPEST

METRIC = metric_of("json fields")
SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}


def options(schema: dict[str, Any] | None = None, *rules: str) -> Options:
    return Options(ScoringSection.model_validate({"normalise": rules}), schema)


def value(reply: object, expected: object, *rules: str) -> float:
    texts = (json.dumps(side) for side in (reply, expected))
    return METRIC.grade(*texts, options(None, *rules)).value


@pytest.mark.parametrize(
    ("reply", "expected", "f1"),
    [
        ({"a": 1, "b": "x"}, {"b": "x", "a": 1}, 1.0),
        ({"a": 1}, {"a": 1, "b": "x"}, 2 / 3),
        ({"a": 1, "c": 2}, {"a": 1, "b": "x"}, 0.5),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, 0.5),
        ({"a": {"b": 1}}, {"a.b": 1}, 0.0),
        ({"a": ["x", "y", "y"]}, {"a": ["y", "x", "y"]}, 1.0),
        ({"a": ["x", "y"]}, {"a": ["x", "y", "y"]}, 0.8),
        ({"a": ["x"]}, {"a": "x"}, 0.0),
        ({"a": [{"s": 1, "q": 2}, {"s": 2, "q": 1}]}, {"a": [{"s": 1, "q": 1}, {"s": 2, "q": 2}]}, 0.0),
        ({"a": [{"s": [2, 1]}]}, {"a": [{"s": [1, 2]}]}, 1.0),
        ([[{"x": 1, "y": 2}, {"y": 0, "x": 3}]], [[{"y": 2, "x": 1}, {"x": 3, "y": 0}]], 1.0),
        ({"a": []}, {"a": {}}, 0.0),
        ({"a": []}, {}, 0.0),
        ({}, {}, 1.0),
        ({"a": 1.0}, {"a": 1}, 1.0),
        ({"a": True}, {"a": 1}, 0.0),
        ({"a": "1"}, {"a": 1}, 0.0),
        ({"a": None}, {"a": "null"}, 0.0),
        ({"a": " x  y "}, {"a": "x y"}, 1.0),
        ([1, 2], [2, 1], 1.0),
        ({"(root)": 1}, 1, 0.0),
        ({"": 1}, 1, 0.0),
    ],
)
def test_the_value_is_the_f1_of_the_fields(reply: object, expected: object, f1: float) -> None:
    assert value(reply, expected) == pytest.approx(f1, abs=1e-15)


def test_texts_are_compared_after_the_declared_normalisation_and_keys_are_not() -> None:
    assert value({"a": "CRÈME"}, {"a": "creme"}) == 0
    assert value({"a": ["CRÈME"]}, {"a": ["creme"]}, "case", "accents") == 1
    assert value({"A": "x"}, {"a": "x"}, "case") == 0


EVIL = {
    "not JSON": ["", " ", "{", "{'a': 1}", "nothing", "{a: 1}", '{"a": 1,}', "\ufeff{}", "[1 2]",
                 "```json\n{}\n```"],
    "Extra data": ["{} {}", '{"a": 1} thanks', "1 2"],
    "no JSON number": ["NaN", '{"a": Infinity}', '{"a": [-Infinity]}'],
    "too large": ["1e999", '{"a": -1e999}'],
    "twice": ['{"a": 1, "a": 1}', '{"b": {"a": 1, "a": 2}}'],
    "deeper than": ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 10_000,
                    "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)],
    "integer string": ["9" * 5_000],
}  # fmt: skip


@pytest.mark.parametrize(("reason", "text"), [(reason, text) for reason in EVIL for text in EVIL[reason]])
def test_what_is_not_strictly_json_is_a_parse_failure_with_a_reason(reason: str, text: str) -> None:
    assert METRIC.grade(text, "{}", options()) == (0.0, False)
    assert METRIC.grade("{}", text, options()) == (0.0, True)
    assert reason in METRIC.problem(text, options())
    assert len(METRIC.problem(text, options())) < 200


def test_odd_but_valid_json_is_read() -> None:
    texts = ['"\\ud800"', '{"\\ud800": [1]}', '{"\\u202e": "\\u0000"}', "1e308", "-0", "9" * 4_000]
    texts += ["[" * DEEPEST + "]" * DEEPEST, "[" * 40 + '"' + '\\"' * 50 + '"' + "]" * 40, " [1]\n"]
    for text in texts:
        assert METRIC.problem(text, options()) == ""
        assert METRIC.grade(text, text, options()) == (1.0, True)
        names = [figure.name for figure in METRIC.figures([("{}", text)], options())]
        assert len(names) == 5
        assert all(name.encode("utf-8") for name in names)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"age": 3}', "$: 'name' is a required property"),
        ('{"name": 3}', "$.name: 3 is not of type 'string'"),
        ('{"name": "x", "age": -1}', "$.age: -1 is less than the minimum of 0"),
        ('{"name": "x", "age": 1.5}', "$.age: 1.5 is not of type 'integer'"),
        ('{"name": "x", "more": 1}', "Additional properties"),
        ("[]", "$: [] is not of type 'object'"),
    ],
)
def test_a_reply_that_breaks_the_schema_is_a_parse_failure_with_its_place(text: str, place: str) -> None:
    assert METRIC.grade(text, '{"name": "x"}', options(SCHEMA)) == (0.0, False)
    assert f"breaks the schema at {place}".split("at Add")[0] in METRIC.problem(text, options(SCHEMA))
    assert place.split(": ")[-1] in METRIC.problem(text, options(SCHEMA))


def test_the_draft_is_2020_12_unless_the_schema_names_another() -> None:
    items = {"prefixItems": [{"type": "string"}]}
    assert METRIC.problem("[1]", options(items))
    draft_7 = {"$schema": "http://json-schema.org/draft-07/schema#", **items}
    assert METRIC.problem("[1]", options(draft_7)) == ""


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/$defs/nope"}, r"\$ref: "),
        ({"$ref": "#"}, "to itself without end"),
    ],
)
def test_a_schema_that_leads_nowhere_is_the_users_to_mend(schema: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words) as stop:
        METRIC.grade("{}", "{}", options(schema))
    assert "$defs" in stop.value.remedy


def test_a_remote_schema_is_named_and_never_fetched() -> None:
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a library would warn of, and then do
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert urlopen(f"{address}/reachable", timeout=5).status == 200
        with pytest.raises(BadInput, match=re.escape(f"$ref: Unresolvable: {address}/schema.json")):
            METRIC.grade("{}", "{}", options({"$ref": f"{address}/schema.json"}))
        server.shutdown()
    assert asked == ["/reachable"]


def test_a_schema_may_refer_to_itself_at_every_level_that_is_read() -> None:
    tree = {"type": "object", "properties": {"a": {"$ref": "#"}}}
    text = '{"a":' * (DEEPEST - 1) + "{}" + "}" * (DEEPEST - 1)
    assert METRIC.grade(text, text, options(tree)) == (1.0, True)


def test_the_figures_count_every_field_of_every_item() -> None:
    texts = [
        ('{"name": "Ann", "age": 7}', '{"name": "Ann", "age": 7}'),
        ('{"name": "Bob", "age": 8}', '{"name": "Cid"}'),
        ('{"age": 9}', '{"name": "Dee", "age": 9}'),
        ("no", '{"name": "Eve"}'),
    ]
    found = {figure.name: figure for figure in METRIC.figures(texts, options(SCHEMA))}
    assert found == {
        "replies that meet the schema": Figure(name="replies that meet the schema", value=0.5, n=4),
        "precision of fields": Figure(name="precision of fields", value=2 / 4, n=4),
        "recall of fields": Figure(name="recall of fields", value=2 / 6, n=4),
        "F1 of fields": Figure(name="F1 of fields", value=2 * 2 / (4 + 6), n=4),
        "F1 of name": Figure(name="F1 of name", value=2 * 1 / (2 + 4), n=4),
        "F1 of age": Figure(name="F1 of age", value=2 * 1 / (2 + 2), n=2),
    }
    without = {figure.name: figure.value for figure in METRIC.figures(texts, options())}
    assert without["replies that are JSON"] == 0.75


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def _shuffled(whole: Any, luck: random.Random) -> Any:
    if isinstance(whole, dict):
        items = [(key, _shuffled(part, luck)) for key, part in whole.items()]
        return dict(luck.sample(items, len(items)))
    if isinstance(whole, list):
        return luck.sample([_shuffled(part, luck) for part in whole], len(whole))
    return whole


@given(json_values, st.randoms())
def test_the_order_of_keys_and_of_lists_does_not_matter(whole: Any, luck: random.Random) -> None:
    assert value(_shuffled(whole, luck), whole) == 1


def _same(one: Any, other: Any) -> bool:
    """Equal but for the order of lists, written without the metric's own means."""
    if isinstance(one, bool) or isinstance(other, bool) or type(one) is not type(other):
        numbers = {type(one), type(other)} <= {int, float}
        return one == other if numbers else one is other
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        rest = list(other)
        for part in one:
            found = next((i for i, candidate in enumerate(rest) if _same(part, candidate)), None)
            if found is None:
                return False
            del rest[found]
        return not rest
    return one.split() == other.split() if isinstance(one, str) else one == other


small = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, "", "x", "1", "[]", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b", "a.b", ""]), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(small, small)
def test_the_value_is_one_exactly_for_the_same_content(one: Any, other: Any) -> None:
    assert (value(one, other) == 1) == _same(one, other)
    assert value(one, other) == value(other, one)
