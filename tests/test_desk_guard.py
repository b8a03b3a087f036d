"""Who may talk to the desk: names, cookies, origins, bodies, slow clients, and what answers carry."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import tracemalloc
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import CHANGES, DECIDE, LOOKS, MemoryDesk, Served, card_of, served
from tuneproof.outside.desk_page.app import Presence, page_app
from tuneproof.outside.desk_page.guard import BODY_CAP, Guard, new_keys
from tuneproof.outside.desk_page.protocol import TimedProtocol


@pytest.fixture(scope="module")
def desk() -> MemoryDesk:
    return MemoryDesk([card_of(1), card_of(2), card_of(3, blind=True)])


@pytest.fixture(scope="module")
def running(desk: MemoryDesk) -> Iterator[Served]:
    with served(lambda: desk) as here:
        yield here


@pytest.fixture
def here(running: Served, desk: MemoryDesk) -> Served:
    """The server, with a desk on which nothing has been decided."""
    desk.__init__([card_of(1), card_of(2), card_of(3, blind=True)])  # type: ignore[misc]
    return running


def untouched(desk: MemoryDesk) -> bool:
    return not desk.decisions and not desk.closed and all(c.version == 0 for c in desk.kept.values())


def test_the_printed_address_is_exchanged_for_a_cookie_and_leaves_the_address_bar(here: Served) -> None:
    query = urllib.parse.urlsplit(here.url).query
    status, headers, _ = here.ask("GET", f"/?{query}")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    token = query.removeprefix("token=")
    assert len(token) >= 43 and token not in cookie, "32 bytes, and the cookie is another secret"
    assert here.ask("GET", "/", headers={"Cookie": here.cookie})[0] == 200


WRONG_HOSTS = [
    "localhost.evil.com", "evil.com", "127.0.0.1", "localhost", "127.0.0.1:1", "127.0.0.1.nip.io:PORT",
    "evil.com:PORT", "localhost.evil.com:PORT", "0.0.0.0:PORT", "[::1]:PORT", "127.0.0.1:PORT@evil.com",
    "localhost:PORT.evil.com", "2130706433:PORT", "127.1:PORT", "", "null", "localhost.:PORT",
]  # fmt: skip


@pytest.mark.parametrize("host", WRONG_HOSTS)
def test_another_name_in_host_is_refused_for_looks_changes_and_the_token(
    here: Served, desk: MemoryDesk, host: str
) -> None:
    wrong = host.replace("PORT", str(here.port))
    for method, path, body in (
        ("GET", "/", None),
        ("GET", "/api/view", None),
        ("GET", f"/?{urllib.parse.urlsplit(here.url).query}", None),
        ("POST", "/api/do/decide", DECIDE),
    ):
        headers = here.good | {"Host": wrong, "Origin": f"http://{wrong}"}
        status, got, answer = here.ask(method, path, body=body, headers=headers)
        assert (status, json.loads(answer).keys()) == (403, {"problem", "remedy"})
        assert "set-cookie" not in got
    assert untouched(desk)


def test_two_hosts_or_two_origins_are_refused(here: Served, desk: MemoryDesk) -> None:
    host = f"127.0.0.1:{here.port}"
    lines = [f"Host: {host}", *(f"{k}: {v}" for k, v in here.good.items()), f"Content-Length: {len(DECIDE)}"]
    for extra in (
        f"Host: {host}",
        "Origin: http://evil.com",
        f"Origin: {here.origin}",
        "X-Tuneproof-Desk: 1",
    ):
        answer = raw(here, "POST /api/do/decide HTTP/1.1", [*lines, extra], DECIDE)
        assert answer.split()[1] in (b"400", b"403"), extra
    assert untouched(desk)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost"])
def test_both_names_of_this_machine_are_taken(here: Served, name: str) -> None:
    headers = here.good | {"Host": f"{name}:{here.port}", "Origin": f"http://{name}:{here.port}".lower()}
    assert here.ask("POST", "/api/do/decide", body=DECIDE, headers=headers)[0] == 200


def foreign(here: Served) -> list[tuple[str, dict[str, str]]]:
    origins = [
        "null", "http://evil.com", "https://evil.com", f"https://127.0.0.1:{here.port}", "http://127.0.0.1",
        f"http://127.0.0.1:{here.port + 1}", f"http://localhost:{here.port}", f"http://localhost.evil.com:{here.port}",
        f"http://127.0.0.1:{here.port}/", f"http://127.0.0.1:{here.port}.evil.com", "", "file://",
    ]  # fmt: skip
    kinds = [
        "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
        "text/plain; application/json", "application/json, text/plain", "application/jsonp",
    ]  # fmt: skip
    drop = [{k: v for k, v in here.good.items() if k != gone} for gone in here.good]
    return [
        *((f"Origin {o!r}", here.good | {"Origin": o}) for o in origins),
        *((f"type {k!r}", here.good | {"Content-Type": k}) for k in kinds),
        *((f"without {sorted(here.good.keys() - h.keys())}", h) for h in drop),
        ("own header 0", here.good | {"X-Tuneproof-Desk": "0"}),
        ("Sec-Fetch-Site", here.good | {"Sec-Fetch-Site": "cross-site"}),
        ("another port of this host", here.good | {"Sec-Fetch-Site": "same-site"}),
        ("wrong cookie", here.good | {"Cookie": here.cookie[:-1] + "A"}),
        ("empty cookie", here.good | {"Cookie": here.cookie.split("=")[0] + "="}),
        ("cookie of another port", here.good | {"Cookie": "tuneproof_desk_1=" + here.cookie.split("=")[1]}),
        ("upgrade", here.good | {"Connection": "Upgrade", "Upgrade": "h2c"}),
    ]


@pytest.mark.parametrize("name", CHANGES)
def test_no_change_from_elsewhere_is_taken(here: Served, desk: MemoryDesk, name: str) -> None:
    tries = foreign(here)
    assert len(tries) > 25
    for what, headers in tries:
        status, _, answer = here.ask("POST", f"/api/do/{name}", body=DECIDE, headers=headers)
        assert status == 403, f"{name}, {what}: {answer!r}"
    assert untouched(desk)


def test_a_form_without_any_of_our_headers_changes_nothing(here: Served, desk: MemoryDesk) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Cookie": here.cookie, "Content-Type": kind, "Origin": "null"}
        assert here.ask("POST", "/api/do/decide", body=DECIDE, headers=headers)[0] == 403
    assert untouched(desk)


@pytest.mark.parametrize("path", LOOKS)
def test_nothing_is_shown_without_the_cookie_or_with_a_wrong_token(here: Served, path: str) -> None:
    assert here.ask("GET", path)[0] == 403
    assert here.ask("GET", path, headers={"Cookie": "a=b; " + here.cookie[:-2]})[0] == 403
    token = urllib.parse.urlsplit(here.url).query
    for wrong in ("token=", "token=x", token[:-1], token + "A", "token=é", "token=%00", "token[]=x"):
        status, headers, _ = here.ask("GET", path + "?" + urllib.parse.quote(wrong, safe="=%[]"))
        assert (status, "set-cookie" in headers) == (403, False), wrong
    assert here.ask("GET", path, headers={"Cookie": "\x01;;=; x; " + here.cookie})[0] == 200, (
        "others' cookies"
    )


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_but_post_changes_anything(here: Served, desk: MemoryDesk, method: str) -> None:
    for name in CHANGES:
        assert here.ask(method, f"/api/do/{name}?pair_id=p1&kind=delete", headers=here.good)[0] == 403
    for path in LOOKS:
        got = here.ask(method, path, headers=here.good)[0]
        assert got == (200 if method == "GET" else 403), path
    assert here.ask("POST", "/api/view", body=DECIDE, headers=here.good)[0] == 403
    assert untouched(desk)


def test_a_websocket_is_refused(here: Served, desk: MemoryDesk) -> None:
    for path in ("/", "/api/view", "/ws"):
        for origin in ("http://evil.com", here.origin):
            headers = here.good | {
                "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin,
            }  # fmt: skip
            assert here.ask("GET", path, headers=headers)[0] == 403
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(page_app(desk, "Ann", Presence()), port=1, keys=new_keys())
    asyncio.run(guard({"type": "websocket"}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_every_answer_carries_the_policy_and_no_permission_for_others(here: Served) -> None:
    answers = [
        here.ask("GET", path, headers={"Cookie": here.cookie})
        for path in (*LOOKS, "/none", "/api/view?step=x")
    ]
    answers.append(here.ask("GET", "/"))
    answers.append(here.ask("POST", "/api/do/decide", body=b"[]", headers=here.good))
    answers.append(here.ask("GET", f"/?{urllib.parse.urlsplit(here.url).query}"))
    assert {status for status, _, _ in answers} == {200, 303, 400, 403, 404}
    for _, headers, _ in answers:
        assert headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert (
            headers["cache-control"] == "no-store" and headers["cross-origin-opener-policy"] == "same-origin"
        )
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not any(name.startswith("access-control") for name in headers) and "server" not in headers


def test_only_loopback_is_bound(here: Served) -> None:
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text("ascii").splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == here.port
    ]
    assert [address.split(":")[0] for address in listening] == ["0100007F"]


def test_neither_the_log_nor_the_terminal_sees_the_token(
    desk: MemoryDesk, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    with served(lambda: desk) as here:
        here.ask("GET", "/?token=wrong-token")
        here.ask("GET", f"/nowhere?{urllib.parse.urlsplit(here.url).query}", headers={"Cookie": here.cookie})
        raw(here, "GET / HTTP/9.9", ["Host: x"])
        secrets = [urllib.parse.urlsplit(here.url).query.removeprefix("token="), here.cookie.split("=")[1]]
    out, err = capfd.readouterr()
    for secret in (*secrets, "wrong-token"):
        assert secret not in out + err + caplog.text
    assert out == "" and err == ""


def raw(here: Served, first: str, headers: list[str], body: bytes = b"") -> bytes:
    with socket.create_connection(("127.0.0.1", here.port), timeout=20) as connection:
        connection.sendall("\r\n".join([first, *headers, "Connection: close", "", ""]).encode() + body)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_body_beyond_the_cap_is_refused_whole_or_in_chunks_and_a_long_one_below_is_taken(
    here: Served, desk: MemoryDesk
) -> None:
    large = DECIDE + b" " * (BODY_CAP + 1 - len(DECIDE))
    assert here.ask("POST", "/api/do/decide", body=large, headers=here.good)[0] == 413
    lines = [f"Host: 127.0.0.1:{here.port}", *(f"{k}: {v}" for k, v in here.good.items())]
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = raw(
        here, "POST /api/do/decide HTTP/1.1", [*lines, "Transfer-Encoding: chunked"],
        chunk * (BODY_CAP // 0x10000 + 1) + b"0\r\n\r\n",
    )  # fmt: skip
    assert answer.startswith(b"HTTP/1.1 413") and b'"remedy"' in answer
    assert untouched(desk)
    assert here.ask("POST", "/api/do/decide", body=large[:BODY_CAP], headers=here.good)[0] == 200


def test_what_is_beyond_the_cap_is_dropped_and_not_kept(desk: MemoryDesk) -> None:
    keys, sent = new_keys(), []
    guard = Guard(page_app(desk, "Ann", Presence()), port=1, keys=keys)
    good = {
        "host": "localhost:1", "origin": "http://localhost:1", "content-type": "application/json",
        "x-tuneproof-desk": "1", "cookie": f"tuneproof_desk_1={keys.session}",
    }  # fmt: skip
    parts = iter(range(100))

    async def receive() -> Any:
        return {"type": "http.request", "body": b" " * 1_000_000, "more_body": next(parts) < 99}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/do/undo", "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in good.items()],
    }  # fmt: skip
    tracemalloc.start()
    try:
        asyncio.run(guard(scope, receive, send))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent[0]["status"] == 413 and most < 4 * BODY_CAP


SLOW = {
    "nothing": (b"", b""),
    "headers": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X"),
    "body": (b"POST /api/do/decide HTTP/1.1\r\n%s\r\nContent-Length: 900\r\n\r\n", b" "),
    "chunks": (b"POST /api/do/decide HTTP/1.1\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "body that nobody reads": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
    ),
}


@pytest.mark.parametrize("what", SLOW)
def test_a_request_that_trickles_in_is_dropped_and_others_are_served_meanwhile(
    here: Served, desk: MemoryDesk, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimedProtocol, "slowest_s", 0.6)
    lines = [f"Host: 127.0.0.1:{here.port}", *(f"{k}: {v}" for k, v in here.good.items())]
    first, drop = SLOW[what]
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", here.port), timeout=5) as connection:
        connection.sendall(first.replace(b"%s", "\r\n".join(lines).encode()))
        with pytest.raises(ConnectionError):
            while drop and time.monotonic() - began < 4:
                connection.sendall(drop)
                assert here.ask("GET", "/api/view", headers={"Cookie": here.cookie})[0] == 200
                time.sleep(0.05)
            connection.settimeout(3)
            while connection.recv(4096):
                pass
            raise ConnectionError("closed politely")
    assert 0.5 < time.monotonic() - began < 5 and untouched(desk)


def whole_answer(connection: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65536)
    length = int(got.split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(got.split(b"\r\n\r\n", 1)[1]) < length:
        got += connection.recv(65536)
    return got


def test_a_connection_that_is_used_again_is_timed_anew(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TimedProtocol.slowest_s == 15
    monkeypatch.setattr(TimedProtocol, "slowest_s", 0.4)
    request = (
        f"GET /api/view HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\nCookie: {here.cookie}\r\n\r\n".encode()
    )
    with socket.create_connection(("127.0.0.1", here.port), timeout=5) as connection:
        for _ in range(4):
            connection.sendall(request)
            assert whole_answer(connection).startswith(b"HTTP/1.1 200")
            time.sleep(0.2)
        connection.sendall(request[:-2])
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            if connection.recv(65536) == b"":
                raise ConnectionError
        assert time.monotonic() - began < 3
