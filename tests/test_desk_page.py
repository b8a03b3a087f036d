"""The review page's server: what it answers, what it says of mistakes, how it starts and stops."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
import urllib.parse
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from browser import CHANGES, DECIDE, LOOKS, WISH, MemoryDesk, Served, card_of, served
from tuneproof.errors import BadInput, MissingPart, OutsideFailed
from tuneproof.outside.desk_page.app import SCRIPTS, Presence, page_app
from tuneproof.outside.desk_page.guard import Guard, new_keys
from tuneproof.outside.desk_page.server import serve_desk, usual_port


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk([card_of(1), card_of(2), card_of(3, blind=True)])


@pytest.fixture
def here(desk: MemoryDesk) -> Iterator[Served]:
    with served(lambda: desk) as running:
        yield running


def test_a_decision_of_our_own_page_is_taken(here: Served, desk: MemoryDesk) -> None:
    status, answer = here.post("decide", {"wish": WISH, "driven": True})
    assert (status, answer["card"]["state"], answer["standing"]["in_batch"]) == (200, "accept", 1)
    assert [(who, wish.kind, driven) for who, wish, driven in desk.decisions] == [("Ann", "accept", True)]


def test_a_conflict_carries_the_card_and_a_users_mistake_its_remedy(here: Served, desk: MemoryDesk) -> None:
    here.post("decide", {"wish": WISH, "driven": False})
    status, answer = here.post("decide", {"wish": WISH | {"kind": "delete"}, "driven": False})
    assert (status, answer["card"]["state"], answer["card"]["version"]) == (409, "accept", 1)
    for name, content, expected in (
        ("decide", {"wish": WISH | {"pair_id": "none"}, "driven": False}, 400),
        ("decide", {"wish": WISH | {"kind": "close"}, "driven": False}, 400),
        ("decide", {"wish": WISH | {"more": 1}, "driven": False}, 400),
        ("decide", {"wish": WISH, "driven": "perhaps"}, 400),
        ("close", {"note": "done", "driven": False}, 409),
    ):
        status, answer = here.post(name, content)
        assert status == expected and answer["problem"] and answer["remedy"], (name, content)
        assert "Traceback" not in str(answer) and "pydantic" not in str(answer)


def test_a_full_disk_and_a_bug_are_said_as_json_and_nothing_is_called_saved(
    desk: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(page_app(desk, "Ann", Presence()), raise_server_exceptions=False)

    def stop(error: Exception) -> Any:
        def raising(*_: Any, **__: Any) -> Any:
            raise error

        return raising

    monkeypatch.setattr(desk, "decide", stop(OutsideFailed("The disk is full.", remedy="Make room.")))
    answer = client.post("/api/do/decide", content=DECIDE)
    assert (answer.status_code, answer.json()["remedy"]) == (503, "Make room.")
    monkeypatch.setattr(desk, "decide", stop(ZeroDivisionError("secret path /home/ann")))
    answer = client.post("/api/do/decide", content=DECIDE)
    assert answer.status_code == 500 and "secret" not in answer.text and "nothing was saved" in answer.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "wish": JSON
        | st.fixed_dictionaries(
            {
                "pair_id": st.sampled_from(["p1", "p2", "p3", "", "x", "\x00", "p" * 600]) | JSON,
                "kind": st.sampled_from(
                    ["accept", "fix", "delete", "flag", "unflag", "undo", "again", "close"]
                )
                | JSON,
                "version": st.integers(-1, 3) | JSON,
            },
            optional={"output": JSON, "seconds": JSON, "note": JSON, "more": JSON},
        ),
        "driven": st.booleans() | JSON,
        "note": JSON,
        "finish": st.just(False) | JSON,
        "pair_id": st.sampled_from(["p1", "x"]) | JSON,
        "output": JSON,
        "more": JSON,
    },
)
BODIES = st.one_of(
    NEARLY.map(lambda value: json.dumps(value).encode()),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"[" * 100_000,
            b'{"wish":' * 5_000,
            b'{"note":"\\ud800","driven":true}',
            b"",
            b"\xff\xfe{}",
            b"1" * 9_000,
        ]
    ),
)
FUZZ = int(os.environ.get("DESK_FUZZ", "300"))


def test_no_request_at_all_brings_the_server_down() -> None:
    desk = MemoryDesk([card_of(1), card_of(2), card_of(3, blind=True)])
    keys = new_keys()
    guard = Guard(page_app(desk, "Ann", Presence()), port=80, keys=keys)
    good = {
        "host": "127.0.0.1:80", "origin": "http://127.0.0.1:80", "content-type": "application/json",
        "x-tuneproof-desk": "1", "cookie": f"tuneproof_desk_80={keys.session}",
    }  # fmt: skip
    seen: dict[int, int] = {}
    with TestClient(guard, base_url="http://127.0.0.1:80") as client:

        @settings(max_examples=FUZZ, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.sampled_from(CHANGES),
            BODIES,
            st.sampled_from(LOOKS),
            st.text(max_size=20),
            st.text(max_size=20),
        )
        def ask(name: str, body: bytes, path: str, step: str, pair: str) -> None:
            query = {"step": step, "pair": pair}
            query = {key: value.encode("utf-8", "replace").decode() for key, value in query.items()}
            for answer in (
                client.post(f"/api/do/{name}", content=body, headers=good),
                client.get(path, params=query, headers=good),
            ):
                assert answer.status_code < 500, (name, body, path, query, answer.text)
                if answer.status_code >= 400:
                    assert answer.json().keys() >= {"problem", "remedy"}
                seen[answer.status_code] = seen.get(answer.status_code, 0) + 1

        ask()
    assert sum(seen.values()) >= 2 * FUZZ and min(seen[200], seen[400]) > FUZZ // 20, seen


FORBIDDEN = [
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser",
    "createContextualFragment", "setHTML", "srcdoc", ".style", "javascript:", 'setTimeout("', ".href", ".src",
    "WebSocket", "http:", "https:", "import(",
]  # fmt: skip


def test_the_script_makes_no_html_of_data_and_the_page_holds_no_script_or_style_of_its_own() -> None:
    static = files("tuneproof.outside.desk_page").joinpath("static")
    scripts = {f.name: f.read_text("utf-8") for f in static.iterdir() if f.name.endswith(".js")}
    assert scripts.keys() == {f"{name}.js" for name in SCRIPTS}
    assert sum(len(script) for script in scripts.values()) > 20_000
    for name, script in scripts.items():
        for word in FORBIDDEN:
            assert word not in script, f"{name} uses {word}"
    page = static.joinpath("page.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?:|<form", page)
    assert re.findall(r'(?:src|href)="([^"#]+)"', page) == ["/desk.svg", "/desk.css", "/desk.js"]


def test_the_server_stops_when_all_is_done_and_the_page_was_left_and_not_before() -> None:
    now = [0.0]
    presence = Presence(lambda: now[0])
    asked: list[bool] = []

    def done() -> bool:
        asked.append(True)
        return True

    assert not presence.gone(done=done), "nobody came yet"
    presence.seen()
    assert not presence.gone(done=done)
    presence.left(finish=False)
    now[0] = 1.0
    presence.seen()
    now[0] = 3.0
    assert not presence.gone(done=done), "it was a reload"
    presence.left(finish=False)
    assert not presence.gone(done=done)
    now[0] = 6.0
    assert not presence.gone(done=lambda: False), "batches are open"
    assert not asked
    assert presence.gone(done=done)
    presence.seen()
    assert not presence.gone(done=done)
    presence.left(finish=True)
    presence.seen()
    assert presence.gone(done=done), "another window does not keep it"


def test_a_port_in_use_is_refused_with_a_remedy(here: Served, desk: MemoryDesk) -> None:
    for port in (here.port, 70_000):
        with pytest.raises(BadInput, match=f"Port {port} of 127.0.0.1 cannot be had") as caught:
            serve_desk(
                desk, reviewer="Ann", port=port, open_browser=False, on_ready=print, until=lambda: True
            )
        assert "port" in caught.value.remedy


def test_the_browser_is_opened_with_a_token_that_is_good_once(
    desk: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[str] = []
    monkeypatch.setattr("webbrowser.open", addresses.append)
    with served(lambda: desk, open_browser=True) as here:
        while not addresses:
            time.sleep(0.01)
        path = "/?" + urllib.parse.urlsplit(addresses[0]).query
        assert [here.ask("GET", path)[0] for _ in range(2)] == [303, 403]
        assert addresses[0] != here.url


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_a_missing_package_is_named_with_the_command_that_adds_it(
    desk: MemoryDesk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPart, match=name) as caught:
        serve_desk(desk, reviewer="Ann", open_browser=False, on_ready=print, until=lambda: True)
    assert caught.value.remedy == 'pip install "tuneproof[desk]"'


def test_the_port_of_the_last_time_is_taken_where_it_is_free_and_else_another(tmp_path: Path) -> None:
    kept = tmp_path / "port"
    assert usual_port(0, kept) == 0 and usual_port(4321, kept) == 4321
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        kept.write_text(str(port))
        assert usual_port(0, kept) == 0
    assert usual_port(0, kept) == port and usual_port(4321, kept) == 4321
    for nonsense in ("", "x", "22", "70000", "-1"):
        kept.write_text(nonsense)
        assert usual_port(0, kept) == 0
