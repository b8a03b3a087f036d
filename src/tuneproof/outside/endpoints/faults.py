"""What an API's failure means: wait and ask again, stop the run, or take it as the reply to this item.

The table follows the providers' own lists (platform.claude.com/docs/en/api/errors,
help.openai.com article 5955604): a spend limit comes with the same status 429 as a rate limit, and no
waiting lifts it.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Action = Literal["again", "stop", "refused", "too long"]


class Failed(NamedTuple):
    """One call that brought no reply."""

    text: str
    """What the API said, or what was wrong with it."""
    status: int | None = None
    """HTTP status, or the one that an error inside a reply of status 200 stands for."""
    retry_after_s: float | None = None
    """The API's own wish."""
    connected: bool = True
    """False where nothing answered at the address."""


_SPENT = re.compile(
    r"insufficient_quota|spend[ _]limit|spending limit|usage_limit_exceeded|credit_balance|credit balance"
    r"|insufficient (credits|balance|funds)|API usage limits",
    re.IGNORECASE,
)
_MAYBE_SPENT = re.compile(r"billing|quota", re.IGNORECASE)
"""Gemini says so of a limit a minute as well, but then it names a wait."""
_WAIT_INSIDE = re.compile(r'"retryDelay": "([0-9.]+)s"')
"""Gemini's wish stands in the body (google.rpc.RetryInfo)."""
_REFUSED = re.compile(
    r"content_filter|content_policy|content (management|filtering) policy|ResponsibleAIPolicyViolation"
    r"|flagged as potentially violating|invalid_prompt",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context_length_exceeded|context[ _](length|size|window)|prompt is too long|exceed_context_size",
    re.IGNORECASE,
)
_PASSING = {408, 409, 425, 429}
"""Statuses below 500 that another try can mend."""
_ERROR_TYPES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Anthropic's error types, which also come inside a stream whose status was 200."""


def action_of(failed: Failed) -> Action:
    """Decide what a failure means."""
    status = failed.status
    if status is None or status >= 500:
        return "again"
    if status == 429:
        return "stop" if _is_spent(failed) else "again"
    if status in _PASSING:
        return "again"
    if status in (400, 403, 422) and _REFUSED.search(failed.text):
        return "refused"
    if status in (400, 413, 422) and _TOO_LONG.search(failed.text) and not _SPENT.search(failed.text):
        return "too long"
    return "stop"


def remedy_for(failed: Failed, *, key_name: str | None, model: str) -> str:
    """Say what a person can do about a failure that stops the run."""
    status = failed.status
    if not failed.connected:
        return "Start the server, or correct `base_url` of this endpoint in task.yaml."
    if status == 402 or (status in (400, 403, 429) and _is_spent(failed)):
        return (
            "Raise the spend limit or add credit at the provider, then run it again: replies so far are kept."
        )
    if status in (401, 403) or "api key" in failed.text.lower():
        if key_name is None:
            return "Set `key: NAME_OF_THE_VARIABLE` of this endpoint in task.yaml to where its key is kept."
        return f"Check the key in {key_name}: export {key_name}=…"
    if status in (404, 405) or (status is not None and 300 <= status < 400):
        return f"Correct `model` ({model}) or `base_url` of this endpoint in task.yaml."
    if status == 429:
        return "Run it again later: replies so far are kept."
    return (
        "Change what this endpoint is sent: `temperature`, `max_output_tokens`, `reasoning_effort`, `model`."
    )


def _is_spent(failed: Failed) -> bool:
    if _SPENT.search(failed.text):
        return True
    return failed.retry_after_s is None and _MAYBE_SPENT.search(failed.text) is not None


def status_inside(body: object) -> int | None:
    """Find the status that an error body stands for, where the HTTP status said nothing."""
    error = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return None
    for word in (error.get("code"), error.get("status"), error.get("type")):
        if str(word) in _ERROR_TYPES:
            return _ERROR_TYPES[str(word)]
        if str(word).isdecimal() and 400 <= int(str(word)) < 600:
            return int(str(word))
    # A spend limit told in words, for example by a gateway.
    return 402 if _SPENT.search(json.dumps(error, default=str)) else None


def said(body: object, otherwise: object) -> str:
    """Return an error body as one short line."""
    text = body if isinstance(body, str) else json.dumps(body, default=str) if body else str(otherwise)
    return " ".join(text.split())[:600]


def retry_after(headers: Mapping[str, Any], body: object = None) -> float | None:
    """Read how many seconds the API wants to be left alone (RFC 9110, 10.2.3; `retry-after-ms`)."""
    if inside := _WAIT_INSIDE.search(json.dumps(body, default=str)):
        return _number(inside[1])
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    value = headers.get("retry-after")
    if (number := _number(value)) is not None:
        return number
    try:
        moment = email.utils.parsedate_to_datetime(str(value))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, (moment - datetime.datetime.now(datetime.UTC)).total_seconds())


def hide(text: str, secret: str | None) -> str:
    """Return `text` without the key: a server may say it back."""
    return text.replace(secret, "***") if secret else text


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
