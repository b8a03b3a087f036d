"""OpenAI's chat completions, streamed; also spoken by vLLM, llama-server, OpenRouter, Gemini and others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.outside.endpoints.asking import Adjustment, Api, Broken, Finish, Piece, Usage
from tuneproof.outside.endpoints.faults import said
from tuneproof.outside.endpoints.http_client import host_of, settings
from tuneproof.outside.endpoints.sdk import count, failed_of_sdk, must_be_stream
from tuneproof.request import Request

ADDRESS = "https://api.openai.com/v1"
_SENT_BY_ENVIRONMENT = ("openai-organization", "openai-project")
_BROKEN_FINISH = {"error", "abort"}
"""OpenRouter's and vLLM's way to say in a reply that there will be none."""


def openai_api(section: EndpointSection, key: str | None) -> Api:
    """Open an API that speaks chat completions."""
    import httpx2
    import openai

    url = section.base_url or ADDRESS
    without = () if url == ADDRESS else _SENT_BY_ENVIRONMENT
    if key is None:
        without = (*without, "authorization")
    limits = settings(httpx2, url, timeout_s=section.timeout_s, without=without)
    http = httpx2.Client(**limits)
    # Without a text as key the SDK would send OPENAI_API_KEY to any address.
    client = openai.OpenAI(
        api_key=key or "none", base_url=url, timeout=limits["timeout"], max_retries=0, http_client=http
    )

    def stream(request: Request, adjusted: frozenset[str]) -> Iterator[Piece]:
        body = _body(section, request, adjusted, own=url == ADDRESS)
        with client.chat.completions.create(**body) as events:
            must_be_stream(events.response)
            for event in events:
                yield _piece(event)

    return Api(
        name=f"OpenAI-compatible API at {host_of(url)}",
        model=section.model,
        key_name=section.key_name,
        key=key,
        stream=stream,
        failed=failed_of_sdk,
        # ValueError: JSON that breaks off.
        errors=(openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, ValueError),
        adjustments=_adjustments(section),
        close=client.close,
    )


def _adjustments(section: EndpointSection) -> tuple[Adjustment, ...]:
    temperature = Adjustment("temperature", "temperature", "temperature left out: the model takes none")
    return (
        Adjustment(
            "usage", "stream_options|include_usage", "no token counts: the server takes no stream_options"
        ),
        Adjustment("limit", "max_(completion_)?tokens", "the reply's limit is sent under its other name"),
        *([] if section.temperature is None else [temperature]),
        Adjustment(
            "schema",
            "strict|schema|response_format",
            "schema sent without `strict`: the API does not take it strictly",
            of_schema=True,
        ),
    )


def _body(
    section: EndpointSection, request: Request, adjusted: frozenset[str], *, own: bool
) -> dict[str, Any]:
    # OpenAI's newer models refuse max_tokens; many other servers know nothing else.
    newer = own != ("limit" in adjusted)
    body: dict[str, Any] = {
        "model": section.model,
        "messages": list(request.messages),
        "stream": True,
        "max_completion_tokens" if newer else "max_tokens": request.max_tokens,
    }
    if "usage" not in adjusted:
        body["stream_options"] = {"include_usage": True}
    if section.temperature is not None and "temperature" not in adjusted:
        body["temperature"] = section.temperature
    if section.reasoning_effort:
        body["reasoning_effort"] = section.reasoning_effort
    if request.json_schema is not None:
        form = {"name": "answer", "strict": "schema" not in adjusted, "schema": request.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def _piece(event: Any) -> Piece:
    """Read one chunk.

    Raises:
        Broken: it is none.
    """
    choices = getattr(event, "choices", None)
    usage = _usage(getattr(event, "usage", None))
    model = getattr(event, "model", None) or ""
    if not isinstance(choices, list) or not isinstance(model, str):
        raise Broken(f"this is no chunk of a chat completion: {said(str(event), '')[:200]}")
    if not choices:
        return Piece(model=model, usage=usage)
    delta, reason = getattr(choices[0], "delta", None), getattr(choices[0], "finish_reason", None)
    text, refusal = getattr(delta, "content", None), getattr(delta, "refusal", None)
    if reason in _BROKEN_FINISH or not isinstance(text or "", str) or (delta is None and reason is None):
        raise Broken(f"this is no chunk of a chat completion: {said(str(choices[0]), '')[:200]}")
    return Piece((text or "") + (refusal or ""), "refused" if refusal else _finish(reason), model, usage)


def _finish(reason: object) -> Finish | None:
    if reason is None:
        return None
    if reason == "content_filter":
        return "refused"
    return "length" if reason == "length" else "stop"


def _usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    prompt = getattr(usage, "prompt_tokens_details", None)
    output = getattr(usage, "completion_tokens_details", None)
    return Usage(
        prompt=count(usage, "prompt_tokens"),
        output=count(usage, "completion_tokens"),
        cached=count(prompt, "cached_tokens"),
        reasoning=count(output, "reasoning_tokens"),
    )
