"""Anthropic's Messages API, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.outside.endpoints.asking import Adjustment, Api, Broken, Finish, Piece, Usage
from tuneproof.outside.endpoints.faults import said
from tuneproof.outside.endpoints.http_client import host_of, settings
from tuneproof.outside.endpoints.sdk import count, failed_of_sdk, must_be_stream
from tuneproof.request import Request

ADDRESS = "https://api.anthropic.com"
_FINISH: dict[str, Finish] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
"""Of its stop reasons, those that are no plain end."""


def anthropic_api(section: EndpointSection, key: str | None) -> Api:
    """Open the Messages API."""
    import anthropic
    import httpx2

    url = section.base_url or ADDRESS
    # The address is the model's own, so the SDK must not put `/v1` there twice.
    url = url.rstrip("/").removesuffix("/v1")
    without = () if key else ("authorization", "x-api-key")
    limits = settings(httpx2, url, timeout_s=section.timeout_s, without=without)
    # The SDK's own client would ask a proxy of the environment, whatever `trust_env` says.
    http = httpx2.Client(**limits)
    client = anthropic.Anthropic(
        api_key=key or "none", base_url=url, timeout=limits["timeout"], max_retries=0, http_client=http
    )

    def stream(request: Request, adjusted: frozenset[str]) -> Iterator[Piece]:
        with client.messages.create(**_body(section, request, adjusted)) as events:
            must_be_stream(events.response)
            yield from _pieces(events)

    return Api(
        name=f"Anthropic API at {host_of(url)}",
        model=section.model,
        key_name=section.key_name,
        key=key,
        stream=stream,
        failed=failed_of_sdk,
        # This SDK lets HTTP errors of a broken stream through; ValueError: JSON that breaks off.
        errors=(anthropic.AnthropicError, httpx2.HTTPError, httpx2.StreamError, ValueError),
        adjustments=_adjustments(section),
        close=client.close,
    )


def _adjustments(section: EndpointSection) -> tuple[Adjustment, ...]:
    temperature = Adjustment("temperature", "temperature", "temperature left out: the model takes none")
    schema = Adjustment(
        "schema",
        "schema|output_config|output_format",
        "schema in the API's own subset of JSON Schema: limits on values stand in its descriptions",
        of_schema=True,
    )
    return (schema,) if section.temperature is None else (temperature, schema)


def _body(section: EndpointSection, request: Request, adjusted: frozenset[str]) -> dict[str, Any]:
    system = "\n\n".join(m["content"] for m in request.messages if m["role"] == "system")
    body: dict[str, Any] = {
        "model": section.model,
        "messages": [dict(m) for m in request.messages if m["role"] != "system"],
        "max_tokens": request.max_tokens,
        "stream": True,
    }
    if system:
        body["system"] = system
    if section.temperature is not None and "temperature" not in adjusted:
        # Version 2 of the SDK has no argument for it: its newest models take none. Older ones still do.
        body["extra_body"] = {"temperature": section.temperature}
    output: dict[str, Any] = {}
    if section.reasoning_effort:
        output["effort"] = section.reasoning_effort
    if request.json_schema is not None:
        output["format"] = {"type": "json_schema", "schema": _schema(request.json_schema, adjusted)}
    return body | ({"output_config": output} if output else {})


def _schema(schema: dict[str, Any], adjusted: frozenset[str]) -> dict[str, Any]:
    if "schema" not in adjusted:
        return schema
    from anthropic import transform_schema

    narrower: dict[str, Any] = transform_schema(schema)
    return narrower


def _pieces(events: Iterator[Any]) -> Iterator[Piece]:
    usage, began = Usage(), False
    for event in events:
        kind = getattr(event, "type", None)
        if kind == "message_start":
            message, began = getattr(event, "message", None), True
            usage = _usage(getattr(message, "usage", None), usage)
            yield Piece(model=getattr(message, "model", "") or "", usage=usage)
        elif kind == "content_block_delta":
            yield Piece(text=_text(getattr(event, "delta", None)))
        elif kind == "message_delta":
            usage = _usage(getattr(event, "usage", None), usage)
            reason = getattr(getattr(event, "delta", None), "stop_reason", None)
            yield Piece(finish=_FINISH.get(reason, "stop") if reason else None, usage=usage)
        elif not began:
            raise Broken(f"this is no event of a message: {said(str(event), '')[:200]}")


def _text(delta: Any) -> str:
    if getattr(delta, "type", None) != "text_delta":
        return ""
    text = getattr(delta, "text", None)
    if not isinstance(text, str):
        raise Broken("a text delta without a text")
    return text


def _usage(usage: Any, before: Usage) -> Usage:
    """Read counts, which are running totals; what an event leaves out stays as it was.

    Its `input_tokens` are those that no cache had to do with.
    """
    if usage is None:
        return before
    known = getattr(usage, "input_tokens", None) is not None
    cached = count(usage, "cache_read_input_tokens")
    prompt = count(usage, "input_tokens") + cached + count(usage, "cache_creation_input_tokens")
    details = getattr(usage, "output_tokens_details", None)
    return Usage(
        prompt=prompt if known else before.prompt,
        output=count(usage, "output_tokens"),
        cached=cached if known else before.cached,
        reasoning=count(details, "thinking_tokens"),
    )
