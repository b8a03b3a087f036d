"""Requests → the texts that a person sends elsewhere: OpenAI Batch, Anthropic Message Batches, plain JSONL.

Formats: https://platform.openai.com/docs/guides/batch (one `{custom_id, method, url, body}` a line) and
https://platform.claude.com/docs/en/build-with-claude/batch-processing (one object, `{"requests": […]}`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tuneproof.artifacts import sha256_of
from tuneproof.request import Request

CUSTOM_ID = re.compile("([0-9a-f]{24})-([0-9a-f]{24})(?:-r([2-9]|[1-9][0-9]))?")
"""Item, prompt, and from the second repeat on its number.

At most 53 characters of a-z, 0-9 and `-`: Anthropic takes 64 of `[a-zA-Z0-9_-]` (anthropic-sdk-python#984),
and the item ids of users can be anything.
"""

MOST_REPEATS = 99
"""Repeats that a custom id can number."""

_CHAT = "/v1/chat/completions"
_STRICT_REFUSES = {
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
}
_SUBSCHEMAS = ("properties", "$defs", "definitions")
_OLDER_CLAUDE = re.compile(r"claude-(?:[23]|instant|(?:opus|sonnet|haiku)-4(?:$|@|-[0-6](?!\d)|-20\d{6}))")


def export_texts(
    requests: Sequence[Request],
    *,
    model: str,
    temperature: float | None,
    reasoning_effort: str | None,
    repeats: int = 1,
) -> dict[str, str]:
    """Write every request, `repeats` times, in three formats.

    Args:
        requests: those of one arm; no item twice.
        model: id of the model, as its API wants it.
        temperature: None leaves it out; see `takes_temperature`.
        reasoning_effort: None leaves it out.
        repeats: how often each item is asked, 1 to 99.

    Returns:
        File name → text: `openai-batch.jsonl`, `anthropic-batch.json`, `plain.jsonl`.

    Raises:
        ValueError: `repeats` is out of range, or two requests have the same custom id.
    """
    asked = list(_numbered(requests, repeats))
    extra: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    if reasoning_effort is not None:
        extra["reasoning_effort"] = reasoning_effort
    openai = [_openai_line(each, model, extra) for each in asked]
    anthropic = [_anthropic_request(each, model, extra) for each in asked]
    plain = [_plain_line(each, extra) for each in asked]
    return {
        "openai-batch.jsonl": _lines(openai),
        "anthropic-batch.json": '{"requests":[\n' + _lines(anthropic, ",\n") + "]}\n",
        "plain.jsonl": _lines(plain),
    }


def custom_id(request: Request, repeat: int = 1) -> str:
    """Name a request by item and prompt: the reply to an old prompt cannot pass for one to the new."""
    name = f"{hidden_id(request.item_id)}-{short_hash(request.sha256)}"
    return name if repeat == 1 else f"{name}-r{repeat}"


def hidden_id(item_id: str) -> str:
    """Name an item without saying its id."""
    return short_hash(sha256_of(item_id))


def short_hash(tagged: str) -> str:
    """Return the first 24 hex digits of a tagged SHA-256."""
    return tagged.removeprefix("sha256:")[:24]


def takes_temperature(model: str) -> bool:
    """Say whether Anthropic's API takes a temperature for this model.

    From Claude Opus 4.7 on it answers "`temperature` is deprecated for this model" with HTTP 400
    (BerriAI/litellm#26444); the models before it, a closed list by now, still take one.
    """
    return "claude" not in model or bool(_OLDER_CLAUDE.search(model))


def strict_enough(schema: Any) -> bool:
    """Say whether OpenAI takes a JSON Schema as `strict`, which holds every token of the reply to it.

    Every object names all its properties as required and forbids others, and no keyword is among those that
    strict mode refuses (https://platform.openai.com/docs/guides/structured-outputs, supported schemas).
    """
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(
        properties
    )
    if not closed and (properties or "object" in schema.get("type", ())):
        return False
    parts = [part for key in _SUBSCHEMAS for part in schema.get(key, {}).values()]
    parts += [schema.get("items"), *schema.get("anyOf", ())]
    return not _STRICT_REFUSES & schema.keys() and all(strict_enough(part) for part in parts)


class _Asked(NamedTuple):
    custom_id: str
    request: Request
    repeat: int


def _numbered(requests: Sequence[Request], repeats: int) -> Iterator[_Asked]:
    if not 1 <= repeats <= MOST_REPEATS:
        raise ValueError(f"{repeats} repeats: 1 to {MOST_REPEATS} can be numbered")
    if len({short_hash(sha256_of(request.item_id)) for request in requests}) < len(requests):
        raise ValueError("two requests have the same item id")
    for repeat in range(1, repeats + 1):
        for request in requests:
            yield _Asked(custom_id(request, repeat), request, repeat)


def _openai_line(asked: _Asked, model: str, extra: dict[str, Any]) -> dict[str, Any]:
    request = asked.request
    body: dict[str, Any] = {
        "model": model,
        "messages": list(request.messages),
        "max_completion_tokens": request.max_tokens,
        **extra,
    }
    if request.json_schema is not None:
        form = {"name": "answer", "schema": request.json_schema, "strict": strict_enough(request.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return {"custom_id": asked.custom_id, "method": "POST", "url": _CHAT, "body": body}


def _anthropic_request(asked: _Asked, model: str, extra: dict[str, Any]) -> dict[str, Any]:
    request = asked.request
    params: dict[str, Any] = {"model": model, "max_tokens": request.max_tokens}
    system = "\n\n".join(turn["content"] for turn in request.messages if turn["role"] == "system")
    if system:
        params["system"] = system
    params["messages"] = [turn for turn in request.messages if turn["role"] != "system"]
    if "temperature" in extra and takes_temperature(model):
        params["temperature"] = extra["temperature"]
    config: dict[str, Any] = {}
    if "reasoning_effort" in extra:
        config["effort"] = extra["reasoning_effort"]
    if request.json_schema is not None:
        config["format"] = {"type": "json_schema", "schema": request.json_schema}
    return {"custom_id": asked.custom_id, "params": params | ({"output_config": config} if config else {})}


def _plain_line(asked: _Asked, extra: dict[str, Any]) -> dict[str, Any]:
    request = asked.request
    # Not the id itself: a user's ids may hold the answer, as names of files and of rules often do.
    line: dict[str, Any] = {"item_id": hidden_id(request.item_id), "prompt_sha256": request.sha256}
    if asked.repeat > 1:
        line["repeat"] = asked.repeat
    line |= {"messages": list(request.messages), "max_tokens": request.max_tokens}
    if request.json_schema is not None:
        line["json_schema"] = request.json_schema
    return line | extra


def _lines(rows: Sequence[dict[str, Any]], between: str = "\n") -> str:
    return between.join(json.dumps(row, ensure_ascii=False) for row in rows) + ("\n" if rows else "")
