"""One line of a batch's results, as OpenAI or Anthropic writes it → the same reply in our own format.

OpenAI: `{id, custom_id, response: {status_code, request_id, body}, error}`, the body a chat completion
(https://platform.openai.com/docs/api-reference/batch/request-output). Anthropic: `{custom_id, result: {type,
message}}` (https://platform.claude.com/docs/en/api/messages/batches/results). Requests that a batch could not
answer become failed replies with the API's own words.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tuneproof.errors import BadInput
from tuneproof.recorded_lines import Asked, Format, RecordedLine, checked, named

_OPENAI_FINISH = {"stop": "stop", "length": "length", "content_filter": "refused"}
_ANTHROPIC_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
_LATEST = 253_402_300_799
"""The last second of the year 9999, since 1970."""


class _Part(BaseModel):
    """What we read of an API's object, which may hold more."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _Error(_Part):
    code: str | int | None = None
    type: str | None = None
    message: str | None = None

    @property
    def said(self) -> str:
        parts = [str(part) for part in (self.code or self.type, self.message) if part]
        return (": ".join(parts) or "no reason given")[:500]


class _OpenAIDetails(_Part):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _OpenAIUsage(_Part):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _OpenAIDetails | None = None
    completion_tokens_details: _OpenAIDetails | None = None


class _OpenAIMessage(_Part):
    content: str | None = None
    refusal: str | None = None


class _OpenAIChoice(_Part):
    message: _OpenAIMessage
    finish_reason: str | None = None


class _OpenAICompletion(_Part):
    model: str
    created: int = Field(default=0, ge=0, le=_LATEST)
    choices: list[_OpenAIChoice] = Field(min_length=1, max_length=1)
    usage: _OpenAIUsage | None = None


class _OpenAIResponse(_Part):
    status_code: int
    body: dict[str, Any] | None = None


class _OpenAILine(_Part):
    custom_id: str
    response: _OpenAIResponse | None = None
    error: _Error | None = None


class _Block(_Part):
    type: str
    text: str = ""


class _AnthropicDetails(_Part):
    thinking_tokens: int | None = None


class _AnthropicUsage(_Part):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _AnthropicDetails | None = None


class _AnthropicMessage(_Part):
    model: str
    content: list[_Block]
    stop_reason: str | None = None
    usage: _AnthropicUsage | None = None


class _AnthropicFailure(_Part):
    error: _Error


class _AnthropicResult(_Part):
    type: Literal["succeeded", "errored", "canceled", "expired"]
    message: _AnthropicMessage | None = None
    error: _AnthropicFailure | None = None


class _AnthropicLine(_Part):
    custom_id: str
    result: _AnthropicResult


def openai(row: dict[str, Any], asked: Asked) -> RecordedLine:
    """Translate a line of OpenAI's batch output, or of its error file.

    Raises:
        BadInput: it is damaged, names no request of ours, or answers another prompt.
    """
    line = checked(_OpenAILine, row)
    fields = named(line.custom_id, asked)
    if line.error is not None:
        return _failed(fields, "OpenAI Batch", line.error.said)
    if line.response is None or line.response.body is None:
        raise BadInput(
            "has neither a reply nor an error.",
            remedy="Download the batch's output file again, and import that.",
        )
    body = line.response.body
    if line.response.status_code != 200:
        found = body.get("error")
        error = checked(_Error, found, "response.body.error") if isinstance(found, dict) else _Error()
        return _failed(fields, "OpenAI Batch", f"HTTP {line.response.status_code}: {error.said}")
    return _completion(fields, checked(_OpenAICompletion, body, "response.body"))


def anthropic(row: dict[str, Any], asked: Asked) -> RecordedLine:
    """Translate a line of Anthropic's message-batch results.

    Raises:
        BadInput: it is damaged, names no request of ours, or answers another prompt.
    """
    line = checked(_AnthropicLine, row)
    fields, result = named(line.custom_id, asked), line.result
    if result.type != "succeeded":
        said = f"{result.type}: {result.error.error.said}" if result.error else result.type
        return _failed(fields, "Anthropic Message Batches", said)
    if result.message is None:
        raise BadInput(
            "says succeeded, and has no message.",
            remedy="Download the batch's results again, and import those.",
        )
    return _message(fields, result.message)


def _failed(fields: dict[str, Any], form: Format, error: str) -> RecordedLine:
    return checked(RecordedLine, fields | {"finish": "failed", "error": error, "format": form})


def _completion(fields: dict[str, Any], body: _OpenAICompletion) -> RecordedLine:
    choice, usage = body.choices[0], body.usage or _OpenAIUsage()
    refusal = choice.message.refusal
    finish = "refused" if refusal else _OPENAI_FINISH.get(choice.finish_reason or "", "failed")
    fields |= {
        "model": body.model,
        "at": datetime.fromtimestamp(body.created, UTC).isoformat() if body.created else "",
        "finish": finish,
        "format": "OpenAI Batch",
    }
    if finish == "failed":
        return checked(
            RecordedLine, fields | {"error": f"finish_reason {choice.finish_reason!r}: no text reply"}
        )
    counts = {
        "prompt_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cached_tokens": (usage.prompt_tokens_details or _OpenAIDetails()).cached_tokens or 0,
        "reasoning_tokens": (usage.completion_tokens_details or _OpenAIDetails()).reasoning_tokens or 0,
    }
    text = choice.message.content or refusal or ""
    return checked(RecordedLine, fields | {"text": text} | counts, "response.body")


def _message(fields: dict[str, Any], message: _AnthropicMessage) -> RecordedLine:
    usage = message.usage or _AnthropicUsage()
    finish = _ANTHROPIC_FINISH.get(message.stop_reason or "", "failed")
    fields |= {"model": message.model, "finish": finish, "format": "Anthropic Message Batches"}
    if finish == "failed":
        return checked(
            RecordedLine, fields | {"error": f"stop_reason {message.stop_reason!r}: no text reply"}
        )
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    counts = {
        # Anthropic's input_tokens are only those that no cache held.
        "prompt_tokens": usage.input_tokens + read + written,
        "output_tokens": usage.output_tokens,
        "cached_tokens": read,
        "reasoning_tokens": (usage.output_tokens_details or _AnthropicDetails()).thinking_tokens or 0,
    }
    text = "".join(block.text for block in message.content if block.type == "text")
    return checked(RecordedLine, fields | {"text": text} | counts, "result.message")
