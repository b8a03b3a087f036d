"""Ollama's /api/chat, streamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.outside.endpoints.asking import Adjustment, Api, Broken, Piece, Usage
from tuneproof.outside.endpoints.faults import Failed, retry_after, said, status_inside
from tuneproof.outside.endpoints.http_client import host_of, settings
from tuneproof.outside.endpoints.sdk import count, was_reached
from tuneproof.request import Request

_ADDRESS = "http://127.0.0.1:11434"


class _Refusal(Exception):
    """A status that is no success; the client's own error keeps no headers."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.text)
        self.failed = failed


def ollama_api(section: EndpointSection, key: str | None) -> Api:
    """Open an Ollama server."""
    import httpx
    import ollama

    url = section.base_url or _from_environment()
    # The client would send OLLAMA_API_KEY to any address.
    arguments = settings(httpx, url, timeout_s=section.timeout_s, without=() if key else ("authorization",))
    arguments["event_hooks"]["response"].append(_must_be_success)
    headers = {"authorization": f"Bearer {key}"} if key else None
    client = ollama.Client(host=url, headers=headers, **arguments)

    def stream(request: Request, adjusted: frozenset[str]) -> Iterator[Piece]:
        for part in client.chat(**_body(section, request, adjusted)):
            yield _piece(part)

    return Api(
        name=f"Ollama at {host_of(url)}",
        model=section.model,
        key_name=section.key_name,
        key=key,
        stream=stream,
        failed=_failed,
        # ValueError: lines that are no JSON or have another schema; AttributeError: JSON that is no object.
        errors=(
            _Refusal,
            ollama.ResponseError,
            httpx.HTTPError,
            httpx.StreamError,
            ConnectionError,
            ValueError,
            AttributeError,
            TypeError,
        ),
        adjustments=(Adjustment("think", "think", "`think` left out: the model knows no such switch"),),
        close=client.close,
    )


def _from_environment() -> str:
    host = os.environ.get("OLLAMA_HOST", "").strip()
    if not host:
        return _ADDRESS
    url = host if "://" in host else f"http://{host}"
    return url.replace("://0.0.0.0", "://127.0.0.1")


def _body(section: EndpointSection, request: Request, adjusted: frozenset[str]) -> dict[str, Any]:
    options: dict[str, Any] = {"num_predict": request.max_tokens, "seed": 0}
    if section.temperature is not None:
        options["temperature"] = section.temperature
    body: dict[str, Any] = {
        "model": section.model,
        "messages": list(request.messages),
        "stream": True,
        "options": options,
        # Never unloaded between two items: a load would count as latency.
        "keep_alive": -1,
    }
    if "think" not in adjusted:
        body["think"] = section.reasoning_effort or False
    if request.json_schema is not None:
        body["format"] = request.json_schema
    return body


def _must_be_success(response: Any) -> None:
    if response.status_code >= 300:
        text = said(response.read().decode("utf-8", errors="replace"), "no text")
        raise _Refusal(Failed(text, response.status_code, retry_after(response.headers)))


def _failed(error: Exception) -> Failed:
    if isinstance(error, _Refusal):
        return error.failed
    # An error line inside a reply of status 200, or a broken line.
    text = said(getattr(error, "error", None), error) or type(error).__name__
    return Failed(text, status_inside({"message": text}), None, was_reached(error))


def _piece(part: Any) -> Piece:
    text = part.message.content or ""
    if not part.done:
        return Piece(text, model=part.model or "")
    if part.done_reason == "load":
        raise Broken("the model was only loaded")
    usage = Usage(prompt=count(part, "prompt_eval_count"), output=count(part, "eval_count"))
    return Piece(text, "length" if part.done_reason == "length" else "stop", part.model or "", usage)
