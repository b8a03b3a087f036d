"""Requests come out in the forms that OpenAI, Anthropic and a script of one's own take."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.export import CUSTOM_ID, custom_id, export_texts, hidden_id, strict_enough, takes_temperature
from tuneproof.prompt import messages_for
from tuneproof.request import Request

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"licence": {"type": "string"}, "sure": {"type": "boolean"}},
    "required": ["licence", "sure"],
    "additionalProperties": False,
}


def request(item_id: str, text: str = "MIT License …", schema: dict[str, Any] | None = None) -> Request:
    return Request(item_id, tuple(messages_for("Name the licence.", text)), 48, schema)


REQUESTS = [request("row-1"), request("Zeile 2/ü", "Apache\u2028License"), request("3", schema=SCHEMA)]


def exported(model: str = "gpt-4.1-mini", **given: Any) -> dict[str, str]:
    settings: dict[str, Any] = {"temperature": 0.0, "reasoning_effort": None}
    return export_texts(REQUESTS, model=model, **settings | given)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def test_the_three_files_have_their_names_and_one_request_an_item() -> None:
    texts = exported()
    assert list(texts) == ["openai-batch.jsonl", "anthropic-batch.json", "plain.jsonl"]
    assert len(rows(texts["openai-batch.jsonl"])) == len(rows(texts["plain.jsonl"])) == 3
    assert len(json.loads(texts["anthropic-batch.json"])["requests"]) == 3
    assert all(text.endswith("\n") for text in texts.values())


def test_an_openai_line_is_a_chat_completion_with_the_exact_messages() -> None:
    first, _, third = rows(exported()["openai-batch.jsonl"])
    assert first == {
        "custom_id": custom_id(REQUESTS[0]),
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4.1-mini",
            "messages": list(REQUESTS[0].messages),
            "max_completion_tokens": 48,
            "temperature": 0.0,
        },
    }
    form = third["body"]["response_format"]
    assert form == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }


def test_an_anthropic_request_has_its_system_prompt_apart() -> None:
    first, _, third = json.loads(exported("claude-haiku-4-5")["anthropic-batch.json"])["requests"]
    assert first == {
        "custom_id": custom_id(REQUESTS[0]),
        "params": {
            "model": "claude-haiku-4-5",
            "max_tokens": 48,
            "system": "Name the licence.",
            "messages": [{"role": "user", "content": "MIT License …"}],
            "temperature": 0.0,
        },
    }
    assert third["params"]["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}


def test_every_field_is_one_that_the_providers_own_packages_know() -> None:
    claude = pytest.importorskip("anthropic.types.message_create_params").MessageCreateParamsNonStreaming
    chat = pytest.importorskip(
        "openai.types.chat.completion_create_params"
    ).CompletionCreateParamsNonStreaming
    texts = exported("claude-opus-5", reasoning_effort="high")
    requests = json.loads(texts["anthropic-batch.json"])["requests"]
    bodies = [row["body"] for row in rows(texts["openai-batch.jsonl"])]
    assert len(requests) == len(bodies) == 3
    for each in requests:
        assert claude.__required_keys__ <= each["params"].keys()
        assert each["params"].keys() <= claude.__required_keys__ | claude.__optional_keys__
    for body in bodies:
        assert chat.__required_keys__ <= body.keys() <= chat.__required_keys__ | chat.__optional_keys__
    assert requests[0]["params"]["output_config"] == {"effort": "high"}


def test_a_plain_line_names_the_item_the_prompt_and_how_it_is_asked() -> None:
    first, second, third = rows(exported(reasoning_effort="low")["plain.jsonl"])
    assert first == {
        "item_id": hidden_id("row-1"),
        "prompt_sha256": REQUESTS[0].sha256,
        "messages": list(REQUESTS[0].messages),
        "max_tokens": 48,
        "temperature": 0.0,
        "reasoning_effort": "low",
    }
    assert second["item_id"] == hidden_id("Zeile 2/ü")
    assert third["json_schema"] == SCHEMA


def test_without_temperature_and_effort_neither_is_sent() -> None:
    texts = exported("claude-haiku-4-5", temperature=None)
    assert all("temperature" not in text and "effort" not in text for text in texts.values())


def test_repeats_are_asked_under_names_of_their_own() -> None:
    texts = exported(repeats=3)
    names = [row["custom_id"] for row in rows(texts["openai-batch.jsonl"])]
    assert len(names) == len(set(names)) == 9
    first = custom_id(REQUESTS[0])
    assert [name for name in names if name.startswith(first)] == [first, f"{first}-r2", f"{first}-r3"]
    assert [row.get("repeat", 1) for row in rows(texts["plain.jsonl"])] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    with pytest.raises(ValueError, match="repeats"):
        exported(repeats=100)


def test_an_item_that_is_there_twice_is_no_export() -> None:
    with pytest.raises(ValueError, match="same item id"):
        export_texts(
            [request("a"), request("a", "another")], model="m", temperature=None, reasoning_effort=None
        )


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 99))
def test_any_item_id_gives_a_custom_id_that_anthropic_takes(item_id: str, repeat: int) -> None:
    name = custom_id(request(item_id), repeat)
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", name)
    match = CUSTOM_ID.fullmatch(name)
    assert match and int(match[3] or 1) == repeat


def test_another_prompt_another_limit_or_another_schema_is_another_custom_id() -> None:
    one = request("a")
    others = [
        request("b"),
        request("a", "other"),
        one._replace(max_tokens=49),
        one._replace(json_schema=SCHEMA),
    ]
    assert len({custom_id(each) for each in [one, *others]}) == 5


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-3-5-haiku-20241022", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-haiku-4-5", True),
        ("claude-opus-4-6", True),
        ("claude-opus-4-7", False),
        ("claude-opus-4-60", False),
        ("claude-sonnet-5-5", False),
        ("claude-opus-5", False),
        ("my-own-model", True),
    ],
)
def test_a_temperature_goes_only_to_the_claude_models_that_take_one(model: str, takes: bool) -> None:
    assert takes_temperature(model) is takes
    sent = json.loads(exported(model)["anthropic-batch.json"])["requests"][0]["params"]
    assert ("temperature" in sent) is takes


@pytest.mark.parametrize(
    "looser",
    [
        SCHEMA | {"additionalProperties": True},
        SCHEMA | {"required": ["licence"]},
        {"type": "object"},
        {"type": ["object", "null"]},
        {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
        SCHEMA | {"properties": {"licence": {"allOf": [{}]}, "sure": {}}},
        {"anyOf": [SCHEMA, {"properties": {"a": {}}}]},
    ],
)
def test_only_a_closed_schema_is_sent_as_strict(looser: dict[str, Any]) -> None:
    assert strict_enough(SCHEMA)
    assert strict_enough({"type": "array", "items": SCHEMA})
    assert not strict_enough(looser)


def test_a_property_may_be_called_like_a_keyword() -> None:
    schema = {"type": "object", "properties": {"not": {}}, "required": ["not"], "additionalProperties": False}
    assert strict_enough(schema)


def test_no_export_says_an_items_id_which_may_hold_the_answer() -> None:
    telling = [request("gpl-2.0_153.RULE", "a notice"), request("mit_7.RULE", "another notice")]
    texts = export_texts(telling, model="m", temperature=None, reasoning_effort=None)
    assert len(texts) == 3
    for name, text in texts.items():
        assert "gpl-2.0_153" not in text and "mit_7" not in text, name
