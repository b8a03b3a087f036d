"""Request → answer or refusal: who may talk to the desk, and what no answer goes without.

A page of another site runs in the same browser and can send requests to this machine. What keeps it out:
the name in Host (a foreign name that resolves to 127.0.0.1 is refused), a cookie that only the printed
address gives, and for every change an Origin that is ours, a JSON body and a header that no form can send.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BODY_CAP = 2_000_000
"""Bytes of a request's body; a longest output of 1,000,000 characters may need more and is refused."""
OWN_HEADER = "x-tuneproof-desk"
"""Sent with every change; a form cannot send it, and a script of another origin would have to ask first."""
CHANGES = "/api/do/"
"""Everything below it takes POST alone; everything else takes GET alone and changes nothing."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
_OPEN_AGAIN = "Open the address that `tuneproof review` printed, in this browser."


class Refusal(NamedTuple):
    """An answer without the thing asked for."""

    status: int
    problem: str
    remedy: str


_TOO_LONG = Refusal(413, f"The request has more than {BODY_CAP:,} bytes.", "Shorten the output or the note.")


class Keys(NamedTuple):
    """What lets a browser in."""

    token: str
    """In the address that is printed; good as long as the server runs."""
    session: str
    """Value of the cookie that the token is exchanged for."""
    tickets: set[str]
    """Tokens that are good once: the command line of a browser can be read by everyone on this machine."""

    def opens(self, token: str) -> bool:
        """Say whether `token` is ours, in a time that does not depend on how much of it is right."""
        once = [ticket for ticket in self.tickets if _equal(ticket, token)]
        self.tickets.difference_update(once)
        return bool(once) or _equal(self.token, token)


def new_keys() -> Keys:
    """Draw a token, a ticket and a session of 32 random bytes each."""
    return Keys(secrets.token_urlsafe(32), secrets.token_urlsafe(32), {secrets.token_urlsafe(32)})


class Guard:
    """Lets through to `app` only what a page of our own asks."""

    def __init__(self, app: App, *, port: int, keys: Keys) -> None:
        self._app = app
        self._keys = keys
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"tuneproof_desk_{port}"

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        asked = _headers(scope)
        if token := _token(scope):
            await self._exchange(asked, token, send)
        elif refusal := self._refusal(scope["method"], scope["path"], asked):
            await refuse(refusal, send)
        elif scope["method"] == "GET":
            await self._app(scope, receive, send)
        else:
            await self._with_body(scope, receive, send)

    async def _exchange(self, asked: dict[str, list[str]], token: str, send: Send) -> None:
        if refusal := self._wrong_host(asked):
            await refuse(refusal, send)
        elif not self._keys.opens(token):
            await refuse(Refusal(403, "This address has another token.", _OPEN_AGAIN), send)
        else:
            cookie = f"{self._cookie}={self._keys.session}; HttpOnly; SameSite=Strict; Path=/"
            headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 303, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    def _refusal(self, method: str, path: str, asked: dict[str, list[str]]) -> Refusal | None:
        if refusal := self._wrong_host(asked):
            return refusal
        if "upgrade" in asked:
            return Refusal(403, "The desk speaks plain HTTP alone.", "Use the page.")
        if not self._known(asked):
            return Refusal(403, "This browser has not been let in.", _OPEN_AGAIN)
        if method != ("POST" if path.startswith(CHANGES) else "GET"):
            return Refusal(403, f"{method} is not taken here.", "Use the page.")
        if path != "/" and _one(asked, "sec-fetch-site") not in {"", "same-origin"}:
            return Refusal(403, "Another page asked for this.", _OPEN_AGAIN)
        return self._foreign(asked) if method == "POST" else None

    def _wrong_host(self, asked: dict[str, list[str]]) -> Refusal | None:
        if _one(asked, "host").lower() in self._hosts:
            return None
        return Refusal(403, "The name in Host is not this desk's.", _OPEN_AGAIN)

    def _known(self, asked: dict[str, list[str]]) -> bool:
        # Cookies of every port of this host come along: one that is malformed must not hide ours.
        pairs = (part.strip().partition("=") for part in "; ".join(asked.get("cookie", [])).split(";"))
        return any(name == self._cookie and _equal(self._keys.session, value) for name, _, value in pairs)

    def _foreign(self, asked: dict[str, list[str]]) -> Refusal | None:
        if _one(asked, "origin").lower() != f"http://{_one(asked, 'host').lower()}":
            return Refusal(403, "Another site asked for this change.", _OPEN_AGAIN)
        if _one(asked, "content-type").lower().replace(" ", "") not in {
            "application/json",
            "application/json;charset=utf-8",
        }:
            return Refusal(403, "A change is sent as application/json.", "Use the page.")
        if _one(asked, OWN_HEADER) != "1":
            return Refusal(403, f"A change carries the header {OWN_HEADER}: 1.", "Use the page.")
        return None

    async def _with_body(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Read the whole body before the application sees any of it.

        What is beyond the cap is read and dropped, for a client that still sends would not see the refusal.
        """
        body, length, more = bytearray(), 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            part = message.get("body", b"")
            length += len(part)
            if length <= BODY_CAP:
                body += part
            more = message.get("more_body", False)
        if length > BODY_CAP:
            await refuse(_TOO_LONG, send)
        else:
            await self._app(scope, _replay(bytes(body)), send)


async def refuse(refusal: Refusal, send: Send) -> None:
    """Send `refusal` as JSON."""
    body = json.dumps({"problem": refusal.problem, "remedy": refusal.remedy}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _equal(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "replace"))


def _headers(scope: MutableMapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())
    return found


def _one(asked: dict[str, list[str]], name: str) -> str:
    """Return the header `name`; sent twice it is as good as a wrong one, for readers choose differently."""
    values = asked.get(name, [])
    return values[0] if len(values) == 1 else ", ".join(values)


def _token(scope: MutableMapping[str, Any]) -> str:
    if scope["method"] != "GET" or scope["path"] != "/":
        return ""
    asked: dict[str, list[str]] = parse_qs(scope["query_string"].decode("latin-1"), errors="replace")
    return asked.get("token", [""])[-1]


def _replay(body: bytes) -> Receive:
    left = [body]

    async def receive() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    return receive


def _with_headers(send: Send) -> Send:
    async def safe(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await send(message)

    return safe
