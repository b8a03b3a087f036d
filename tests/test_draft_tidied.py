"""A teacher's reply → an output: the fence and white space around it go, and nothing else changes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_drafting import is_label
from tuneproof.drafting import Rules, tidied

TIDY = [
    ("  mit \r\n", "mit"),
    ("```\nmit\n```", "mit"),
    ("```json\n{\"a\": 1}\n```", '{"a": 1}'),
    ("a\r\nb", "a\nb"),
    ("see ```x``` here", "see ```x``` here"),
    ("``` ```", "``` ```"),
    ("```\na\n```\nor\n```\nb\n```", "```\na\n```\nor\n```\nb\n```"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "output"), TIDY)
def test_white_space_and_a_code_fence_are_no_part_of_an_output(text: str, output: str) -> None:
    assert tidied(text, Rules(is_label)) == output


def test_json_is_written_as_imported_json_is_and_doubtful_json_stays() -> None:
    rules = Rules(is_label, compact_json=True)
    assert tidied('{ "b": [1, 2],\n "a": "ä" }', rules) == '{"b":[1,2],"a":"ä"}'
    for text in ('{"a": 1, "a": 2}', "NaN", '{"a": NaN}', "{broken", '"text"', "3"):
        assert tidied(text, rules) == text
    for number in ("1e999", "12345678901234567890.123", "1.10", "-0.0", "1E+2", "9" * 40):
        assert tidied(f'{{ "a" : [ {number} ] }}', rules) == f'{{"a":[{number}]}}'
    assert tidied(r'{"a": "\u00e4 \" b", "c": "\ud800"}', rules) == r'{"a":"ä \" b","c":"\ud800"}'
    deep = "[" * 100_000
    assert tidied(deep, rules) == deep


@settings(max_examples=50)
@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_tidying_json_keeps_its_value(value: Any) -> None:
    text = json.dumps(value, indent=2)
    assert json.loads(tidied(text, Rules(is_label, compact_json=True))) == value


def test_a_fence_that_does_not_close_takes_no_time() -> None:
    for text in ("```\n" + " " * 200_000 + "x", "```\n" + "\n \t" * 60_000 + "x", "```" * 50_000 + "\nx"):
        began = time.process_time()
        assert tidied(text, Rules(is_label, compact_json=True)) == text
        assert time.process_time() - began < 0.1
