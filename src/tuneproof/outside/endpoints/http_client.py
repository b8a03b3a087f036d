"""Settings of an HTTP client: one limit for a whole reply, no redirects, no proxy before our own machine.

A redirect would carry `x-api-key` to another host, and a server that drips comments would never run into a
limit that starts anew with every byte.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from tuneproof.outside.machine import seconds


def settings(
    http: ModuleType, url: str, *, timeout_s: float, without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return arguments for a client of `http`, which is httpx or httpx2.

    An SDK must get the timeout itself too: it takes a client's timeout that equals httpx's default for
    none, and waits ten minutes.

    Args:
        http: the module that the SDK is built on.
        url: where it will call.
        timeout_s: longest wait for one whole reply, in seconds.
        without: headers that the SDK takes from the environment and that this address must not get.
    """

    def leave(request: Any) -> None:
        request.extensions["began"] = seconds()
        for header in without:
            request.headers.pop(header, None)

    limited = _limited(http)

    def limit(response: Any) -> None:
        until = response.request.extensions["began"] + timeout_s
        response.stream = limited(response.stream, until)

    return {
        "timeout": http.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
        "follow_redirects": False,
        "trust_env": not is_loopback(url),
        "event_hooks": {"request": [leave], "response": [limit]},
    }


def host_of(url: str) -> str:
    """Return host and port of an address, without user name and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _limited(http: ModuleType) -> Any:
    """Make a byte stream of `http` that ends with a timeout at a given moment."""

    def start(self: Any, stream: Any, until: float) -> None:
        self.stream, self.until = stream, until

    def parts(self: Any) -> Iterator[bytes]:
        for part in self.stream:
            if seconds() > self.until:
                raise http.ReadTimeout("the whole reply took too long")
            yield part

    def close(self: Any) -> None:
        self.stream.close()

    body = {"__init__": start, "__iter__": parts, "close": close}
    return type("LimitedStream", (http.SyncByteStream,), body)
