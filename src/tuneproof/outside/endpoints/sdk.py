"""What the openai and the anthropic SDK have in common: the shape of errors, streams and counts."""

from __future__ import annotations

from typing import Any

from tuneproof.outside.endpoints.asking import Broken
from tuneproof.outside.endpoints.faults import Failed, retry_after, said, status_inside


def failed_of_sdk(error: Exception) -> Failed:
    """Read an error that the SDK raised, or one of its HTTP client that it let through."""
    body, status = getattr(error, "body", None), getattr(error, "status_code", None)
    text = said(body, error) or type(error).__name__
    if status is None or status < 300:
        # The status of an error inside a stream is 200, if it has one.
        return Failed(text, status_inside(body), None, was_reached(error))
    headers = getattr(getattr(error, "response", None), "headers", {})
    return Failed(text, status, retry_after(headers, body))


def was_reached(error: Exception) -> bool:
    """Tell whether something answered at the address before it failed."""
    names = {type(one).__name__ for one in (error, error.__cause__)}
    return not names & {"ConnectError", "ConnectTimeout"}


def must_be_stream(response: Any) -> None:
    """Stop at a page or an object in place of a stream: the SDK would read it as a stream without events.

    Raises:
        Broken: it is one; says what it holds.
    """
    kind = response.headers.get("content-type", "")
    if "html" in kind or "application/json" in kind:
        text = response.read().decode("utf-8", errors="replace")
        raise Broken(f"{kind} came in place of a stream: {said(text, '')}")


def count(holder: Any, name: str) -> int:
    """Return a token count of the API's; 0 where it gives none.

    Raises:
        Broken: it is no count.
    """
    value = getattr(holder, name, None) or 0
    if not isinstance(value, int) or value < 0:
        raise Broken(f"{name} is {value!r:.40}, no count of tokens")
    return value
