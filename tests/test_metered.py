"""Calls under a spend cap against a loopback server: every physical call has its row, whatever goes wrong."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import fake_api
from fake_api import FAULTS, FakeApi, Told, told
from spend_sample import PRICE, opened
from spend_worker import item_of
from tuneproof.artifacts import Reply
from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.errors import OutsideFailed
from tuneproof.outside.endpoints import Patience, asking, endpoint_for
from tuneproof.outside.endpoints.asking import Api, ApiEndpoint, Piece, Usage
from tuneproof.outside.endpoints.faults import Failed
from tuneproof.outside.spend import SpendLedger
from tuneproof.request import Request
from tuneproof.spend import NANO, SpendCapReached, cost_of, worst_case

Who = Literal["openai", "anthropic", "ollama"]
PROVIDERS: tuple[Who, ...] = ("openai", "anthropic", "ollama")
ASKED = Request("i1", ({"role": "user", "content": "mit license, please"},), 64)
WORST = worst_case(ASKED, PRICE)

# fmt: off
STATE_OF = {
    # Refused before any model worked on it.
    "429": "released", "429-forever": "released", "429-spend": "released", "400": "released",
    "401": "released", "402": "released", "403": "released", "404": "released", "301": "released",
    # The prompt was read, the answer was cut, or nobody can tell.
    "400-filter": "unknown", "400-long": "unknown", "408": "unknown", "409": "unknown",
    "500": "unknown", "502": "unknown", "503": "unknown", "529": "unknown",
    "timeout": "unknown", "reset": "unknown", "cut": "unknown", "drip": "unknown", "html": "unknown",
    "garbage": "unknown", "truncated": "unknown", "wrong-schema": "unknown", "list": "unknown",
    "empty": "unknown", "200-error": "unknown", "spend-inside": "unknown", "overloaded-inside": "unknown",
    # A whole reply with its counts.
    "refusal": "settled", "nothing": "settled", "length": "settled",
}
# fmt: on
KEPT = {"400-filter", "400-long", "refusal", "nothing", "length"}
"""Faults whose reply is the item's: it is not asked for twice."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SpendLedger]:
    with contextlib.closing(opened(tmp_path / "spend.sqlite")) as one:
        yield one


def metered(
    api: FakeApi, ledger: SpendLedger, calls: int = 6, who: Who = "openai", **more: Any
) -> ApiEndpoint:
    url = api.address + ("" if who == "ollama" else "/v1")
    section = EndpointSection(model="m", provider=who, base_url=url, **({"timeout_s": 5.0} | more))
    return endpoint_for(section, Patience(calls=calls, sleep=lambda _: None), ledger)


def ask(endpoint: ApiEndpoint, request: Request = ASKED) -> Reply:
    with contextlib.closing(endpoint):
        return endpoint.ask(request)


def states(ledger: SpendLedger) -> list[str]:
    return [state for (state,) in ledger._db.execute("SELECT state FROM calls ORDER BY id")]


def test_every_fault_has_its_class() -> None:
    assert set(STATE_OF) == set(FAULTS)


@pytest.mark.parametrize("who", PROVIDERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_that_fails_this_way_is_billed_that_way(who: Who, fault: str, ledger: SpendLedger) -> None:
    timeout = 0.2 if fault in ("timeout", "drip") else 5.0
    with FakeApi(faults=[fault]) as api, contextlib.suppress(OutsideFailed):
        ask(metered(api, ledger, calls=1, who=who, timeout_s=timeout))
    assert states(ledger) == [STATE_OF[fault]] and len(api.requests) == 1
    found = ledger.kept(ASKED)
    assert (found is not None) == (fault in KEPT)
    spent = ledger.standing()
    assert (spent.unsettled_usd > 0) == (STATE_OF[fault] == "unknown")
    assert (spent.settled_usd > 0) == (STATE_OF[fault] == "settled")


@pytest.mark.parametrize("who", PROVIDERS)
def test_every_try_is_reserved_anew(who: Who, ledger: SpendLedger) -> None:
    with FakeApi(faults=["500", "429", "cut"]) as api:
        reply = ask(metered(api, ledger, who=who))
    assert (reply.attempts, len(api.requests)) == (4, 4)
    assert states(ledger) == ["unknown", "released", "unknown", "settled"]
    cached = 0 if who == "ollama" else 2
    assert ledger.standing().settled_usd * NANO == pytest.approx(cost_of(3, 6, cached, PRICE))
    assert ledger.kept(ASKED) == reply


def test_a_refused_parameter_costs_nothing(ledger: SpendLedger) -> None:
    with FakeApi(refuses=["temperature", "max_tokens"]) as api:
        assert ask(metered(api, ledger)).finish == "stop"
    assert states(ledger) == ["released", "released", "settled"]


def test_a_retry_that_could_pass_the_cap_is_not_sent(tmp_path: Path) -> None:
    with contextlib.closing(opened(tmp_path / "s.sqlite", 2.5 * WORST / NANO)) as ledger:
        with FakeApi(faults=["500"] * 9) as api, pytest.raises(SpendCapReached):
            ask(metered(api, ledger))
        assert len(api.requests) == 2 and states(ledger) == ["unknown", "unknown"]


def test_a_cap_below_one_call_sends_nothing(tmp_path: Path) -> None:
    with contextlib.closing(opened(tmp_path / "s.sqlite", (WORST - 1) / NANO)) as ledger:
        with FakeApi() as api, pytest.raises(SpendCapReached):
            ask(metered(api, ledger))
        assert api.requests == [] and states(ledger) == []


@pytest.mark.parametrize("who", PROVIDERS)
def test_nothing_at_the_address_costs_nothing(who: Who, ledger: SpendLedger) -> None:
    with FakeApi() as gone:
        pass
    with pytest.raises(OutsideFailed):
        ask(metered(gone, ledger, calls=3, who=who))
    assert states(ledger) == ["released"] * 3


def test_the_wish_of_an_api_stays_a_minimum_under_a_meter(ledger: SpendLedger) -> None:
    slept: list[float] = []
    with FakeApi(faults=["429"] * 2, retry_after="7") as api:
        section = EndpointSection(model="m", base_url=api.address + "/v1")
        ask(endpoint_for(section, Patience(sleep=slept.append), ledger))
    assert slept == [7, 7]


class Noted:
    """A meter that notes what it is told."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def reserve(self, request: Request) -> int:
        self.said.append("reserve")
        return len(self.said)

    def settle(self, place: int, usage: Usage, reply: Any) -> None:
        self.said.append(("settle", place, reply.text))

    def release(self, place: int) -> None:
        self.said.append(("release", place))

    def leave(self, place: int, reply: Any = None) -> None:
        self.said.append(("leave", place))


def speaking(pieces: Any, meter: Any) -> ApiEndpoint:
    api = Api("an API", "m", None, None, pieces, lambda e: Failed(str(e)), (OSError,), (), lambda: None)
    return ApiEndpoint(api, Patience(calls=1), meter)


def test_an_interrupted_call_is_left_at_its_worst_case() -> None:
    def pieces(*_: object) -> Iterator[Piece]:
        yield Piece("MI")
        raise KeyboardInterrupt

    meter = Noted()
    with pytest.raises(KeyboardInterrupt):
        speaking(pieces, meter).ask(ASKED)
    assert meter.said == ["reserve", ("leave", 1)]


def test_a_reply_is_settled_before_it_is_returned_and_not_returned_if_it_cannot_be() -> None:
    def pieces(*_: object) -> Iterator[Piece]:
        yield Piece("MIT", "stop", usage=Usage(3, 1))

    class Full(Noted):
        def settle(self, place: int, usage: Usage, reply: Any) -> None:
            raise OutsideFailed("the disk is full", remedy="make room")

    with pytest.raises(OutsideFailed, match="full"):
        speaking(pieces, Full()).ask(ASKED)
    meter = Noted()
    assert speaking(pieces, meter).ask(ASKED).text == "MIT"
    assert meter.said == ["reserve", ("settle", 1, "MIT")]


def test_a_server_that_counts_no_tokens_is_settled_at_the_worst_case(ledger: SpendLedger) -> None:
    def pieces(*_: object) -> Iterator[Piece]:
        yield Piece("MIT", "stop")

    assert speaking(pieces, ledger).ask(ASKED).text == "MIT"
    spent = ledger.standing()
    assert (spent.settled_usd, spent.uncounted) == (WORST / NANO, 1)


def test_half_characters_in_a_reply_do_not_lose_it(ledger: SpendLedger) -> None:
    def pieces(*_: object) -> Iterator[Piece]:
        yield Piece("a\ud83d")
        yield Piece("\ude00b\ud800", "stop", usage=Usage(3, 1))

    reply = speaking(pieces, ledger).ask(ASKED)
    assert reply.text == "a\U0001f600b\ufffd" and ledger.kept(ASKED) == reply


def test_statuses_that_are_not_billed_are_told_by_the_answer_and_not_by_its_text() -> None:
    class Inside(Exception):
        status_code = 200

    assert asking._bill(Failed("rate limit", 429), Inside()) == "unknown"
    assert asking._bill(Failed("", None, connected=False), Exception()) == "none"
    for status in (408, 409, 425, 500, 502, 503, 504, 529):
        error = type("Outside", (Exception,), {"status_code": status})()
        assert asking._bill(Failed("", status), error) == "unknown"


# --- 32 threads in four processes, killed again and again ---

KILLS = int(os.environ.get("TUNEPROOF_KILLS", "50"))
PROCESSES, THREADS, ITEMS = 4, 8, 12 * KILLS
MENDED = ["429", "500", "529", "reset", "cut", "html", "truncated", "empty", "200-error"]


class Watch(threading.Thread):
    """Look at the ledger all the time, as another process would."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.cap, self.looks, self.passed = path, 0.0, 0, [""]
        self.over = threading.Event()

    def run(self) -> None:
        self.passed = []
        with contextlib.closing(opened(self.path)) as ledger:
            while not self.over.wait(0.005):
                cap, spent = self.cap, ledger.standing()
                self.looks += 1
                # The cap is only raised; it was raised before anyone could spend more.
                if spent.settled_usd + spent.unsettled_usd > max(cap, self.cap) + 1e-12:
                    self.passed.append(f"{spent} with a cap of {cap}")


class Served:
    """What the server really said in full: item → its counts, once for each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.whole: dict[str, list[Told]] = collections.defaultdict(list)
        monkeypatch.setattr(fake_api, "told", self.told)

    def told(self, api: FakeApi, body: dict[str, Any], fault: str) -> Told:
        found = told(api, body, fault)
        if fault in ("ok", "length", "nothing"):
            self.whole[body["messages"][-1]["content"]].append(found)
        return found


def calls_of(path: Path) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM calls ORDER BY id")]


def assert_honest(path: Path, midway: list[dict[str, Any]], served: Served, api: FakeApi) -> None:
    calls = calls_of(path)
    of_item: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for call in calls:
        of_item[call["item_id"]].append(call)
    sent = collections.Counter(seen.body["messages"][-1]["content"] for seen in api.requests)
    for number in range(ITEMS):
        item = item_of(number)
        rows, text = of_item[item.item_id], item.messages[0]["content"]
        assert [row["state"] for row in rows].count("settled") == 1 and rows[-1]["state"] == "settled", item
        costs = {cost_of(one.prompt, one.output, 2, PRICE) for one in served.whole[text]}
        assert rows[-1]["settled"] in costs, "the ledger has what the server counted"
        assert 1 <= sent[text] <= len(rows), "a call was sent that was not reserved"
    done = {call["item_id"]: call["id"] for call in midway if call["state"] == "settled"}
    assert 0 < len(done) < ITEMS, "some items are done when the kills end, and some are not"
    assert all(of_item[item][-1]["id"] == place for item, place in done.items()), (
        "asked again, and paid twice"
    )
    open_of = collections.Counter(call["worker"] for call in calls if call["state"] == "reserved")
    assert open_of and max(open_of.values()) == 1, "a worker leaves one call unsettled at most"
    with contextlib.closing(opened(path)) as ledger:
        spent = ledger.standing()
    assert round(spent.settled_usd * NANO) == sum(call["settled"] or 0 for call in calls)
    assert spent.unsettled == sum(call["state"] in ("reserved", "unknown") for call in calls)


class Rounds:
    """Drive the worker: rounds of processes that ask, and their ends."""

    def __init__(self, worker: subprocess.Popen[str], api: FakeApi, watch: Watch) -> None:
        self.worker, self.api, self.watch = worker, api, watch

    def one(self, cap_usd: float, *, kill_after: int | None) -> list[int]:
        """Kill after so many calls have reached the server, or when it has been quiet for a while."""
        self.watch.cap, goal = cap_usd, len(self.api.requests) + (kill_after or 0)
        self.say(json.dumps({"cap_usd": cap_usd, "processes": PROCESSES, "threads": THREADS}))
        until, seen = time.monotonic() + 2, 0
        while len(self.api.requests) < goal and time.monotonic() < until:
            if len(self.api.requests) != seen:
                seen, until = len(self.api.requests), time.monotonic() + (0.2 if seen else 2)
            time.sleep(0.002)
        self.say("wait" if kill_after is None else "kill")
        assert self.worker.stdout
        return json.loads(self.worker.stdout.readline())  # type: ignore[no-any-return]

    def say(self, line: str) -> None:
        assert self.worker.stdin
        self.worker.stdin.write(line + "\n")
        self.worker.stdin.flush()


def test_the_cap_holds_and_nothing_is_paid_for_twice_over_all_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, path, served = random.Random(20), tmp_path / "spend.sqlite", Served(monkeypatch)
    faults = chance.choices(["ok", "length", "nothing", *MENDED], [30, 2, 2, *[1] * len(MENDED)], k=50_000)
    watch, tight = Watch(path), 8 * max(worst_case(item_of(n), PRICE) for n in range(ITEMS)) / NANO
    with FakeApi(faults=faults, piece_s=0.002) as api:
        # Hundreds of callers die; nobody wants to read of each.
        monkeypatch.setattr(api._server, "handle_error", lambda *_: None)
        job = {"path": str(path), "url": api.address + "/v1", "items": ITEMS,
               "reached": str(tmp_path / "reached")}  # fmt: skip
        command = [sys.executable, str(Path(__file__).with_name("spend_worker.py")), json.dumps(job)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            rounds, ends = Rounds(worker, api, watch), []
            watch.start()
            for number in range(KILLS):
                with contextlib.closing(opened(path)) as ledger:
                    spent = ledger.standing()
                # In every other round the cap is too low for all threads at once.
                room = tight * (1 if number % 2 else 1000)
                cap = spent.settled_usd + spent.unsettled_usd + room
                ends.append(rounds.one(cap, kill_after=chance.randrange(1, 32)))
            midway = calls_of(path)
            last = rounds.one(1e6, kill_after=None)
            worker.stdin.close()  # type: ignore[union-attr]
    watch.over.set()
    watch.join()
    killed = sum(end == -9 for turn in ends for end in turn)
    assert killed > KILLS and last == [0] * PROCESSES
    assert watch.passed == [] and watch.looks > KILLS
    assert (tmp_path / "reached").exists(), "the cap stopped someone"
    assert_honest(path, midway, served, api)
