"""Helpers for the tests of the review page: a desk in memory, a served page, one headless Chromium."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tuneproof.artifacts.case import ReviewSection
from tuneproof.artifacts.desk import (
    Agreement,
    BatchSummary,
    Card,
    Decision,
    Found,
    Neighbour,
    ReviewFigures,
    Standing,
    Wish,
)
from tuneproof.artifacts.pairs import Drafts, Pair, Provenance
from tuneproof.desk import Checks, Conflict, Desk
from tuneproof.errors import BadInput, NotReady
from tuneproof.outside.desk_page.app import STATIC, ReviewDesk, Step
from tuneproof.outside.desk_page.server import serve_desk
from tuneproof.outside.desk_store import DeskStore

CHROMIUM = Path("/usr/bin/chromium")
NONE = Agreement(n=0, equal=0, kappa=None, interval=None)
CHANGES = ("decide", "look", "undo", "check", "close", "leave")
LOOKS = ("/", *(path for path in STATIC if path != "/"), "/api/view", "/api/summary", "/api/figures")
WISH = {"pair_id": "p1", "kind": "accept", "version": 0, "seconds": 1.5}
DECIDE = json.dumps({"wish": WISH, "driven": True}).encode()
STATES: dict[str, Any] = {"accept": "accept", "fix": "fix", "delete": "delete", "again": "accept"}


def card_of(number: int, **fields: Any) -> Card:
    """A card of one batch; `fields` replace what is usual."""
    usual: dict[str, Any] = {
        "pair_id": f"p{number}", "batch": 1, "position": number, "of": 1, "version": 0,
        "input": f"Notice {number}: may be copied under the MIT licence.", "draft": "mit", "output": "mit",
        "state": "open", "flagged": False, "note": "", "blind": False, "again": False, "problems": (),
        "findings": (), "twins": (), "nearest": (), "source": f"notices.jsonl:{number}",
    }  # fmt: skip
    return Card(**(usual | fields))


class MemoryDesk:
    """One batch of cards, kept in memory; a blind card's draft is shown once it has been answered."""

    def __init__(self, cards: list[Card]) -> None:
        self.kept = {card.pair_id: card.model_copy(update={"of": len(cards)}) for card in cards}
        self.drafts = {card.pair_id: card.draft for card in cards}
        self.hidden = {card.pair_id: card.output for card in cards if card.blind}
        self.undone: list[Card] = []
        self.decisions: list[tuple[str, Wish, bool]] = []
        self.closed = ""

    def _hide(self, card: Card) -> Card:
        if card.blind and card.state == "open":
            return card.model_copy(update={"draft": None, "output": ""})
        return card

    def cards(self, reviewer: str) -> tuple[tuple[str, str], ...]:
        return () if self.closed else tuple((card.pair_id, card.state) for card in self.kept.values())

    def card(self, reviewer: str, pair_id: str | None = None, *, step: Step = "open") -> Card | None:
        order = list(self.kept)
        if self.closed:
            return None
        if pair_id is not None and pair_id not in self.kept:
            raise BadInput(f"There is no pair {pair_id!r:.80}.", remedy="Reload the page.")
        at = order.index(pair_id) if pair_id is not None else 0
        if step == "open":
            there = [i for i in (*range(at, len(order)), *range(at)) if self.kept[order[i]].state == "open"]
            if not there:
                return None
            at = there[0]
        at = min(max(at + {"next": 1, "previous": -1}.get(step, 0), 0), len(order) - 1)
        return self._hide(self.kept[order[at]])

    def decide(self, reviewer: str, wish: Wish, *, driven: bool = False) -> Decision:
        card = self.card(reviewer, wish.pair_id, step="here")
        if card is None:
            raise NotReady("The batch is closed.", remedy="Reload the page.")
        card = self.kept[wish.pair_id]
        if card.version != wish.version:
            raise_conflict(self._hide(card))
        self.undone.append(card)
        output = wish.output if wish.output is not None else card.output
        changes: dict[str, Any] = {"version": card.version + 1}
        if wish.kind in ("flag", "unflag"):
            changes |= {"flagged": wish.kind == "flag", "note": wish.note}
        else:
            changes |= {"state": STATES[wish.kind], "output": output, "decided_by": reviewer}
        self.kept[wish.pair_id] = card.model_copy(update=changes)
        self.decisions.append((reviewer, wish, driven))
        return Decision(
            seq=len(self.decisions), at="2026-01-01T00:00:00Z", reviewer=reviewer, kind=wish.kind, batch=1
        )

    def undo(self, reviewer: str, *, driven: bool = False) -> Card | None:
        if not self.undone:
            raise NotReady("There is nothing to take back.", remedy="Decide first.")
        before = self.undone.pop()
        version = self.kept[before.pair_id].version + 1
        self.kept[before.pair_id] = before.model_copy(update={"version": version})
        return self.card(reviewer, before.pair_id, step="here")

    def check(self, pair_id: str, output: str) -> tuple[str, ...]:
        return () if output.strip() else ("the output is empty",)

    def summary(self, reviewer: str) -> BatchSummary:
        states = [card.state for card in self.kept.values()]
        return BatchSummary(
            batch=1, pairs=len(states), accepted=states.count("accept"), fixed=states.count("fix"),
            deleted=states.count("delete"), accept_rate=states.count("accept") / len(states), edit_share=0.25,
            median_seconds=1.5, again=NONE, alarm="48 of 50 accepted in 90 s.",
        )  # fmt: skip

    def close(self, reviewer: str, note: str, *, driven: bool = False) -> BatchSummary:
        if not note.strip() or not self.standing(reviewer).can_close:
            raise NotReady("The batch cannot be closed.", remedy="Decide every pair and write a note.")
        summary = self.summary(reviewer)
        self.closed = note
        return summary

    def figures(self) -> ReviewFigures:
        return ReviewFigures(
            reviewers=("Ann",), batches=(), median_seconds=1.5, self_agreement=NONE, between=NONE, shown=0,
            shown_kept=0, hidden=0, hidden_equal=0, anchoring=None, driven=True,
        )  # fmt: skip

    def standing(self, reviewer: str) -> Standing:
        states = [card.state for card in self.kept.values()]
        decided = len(states) - states.count("open")
        return Standing(
            reviewer=reviewer, batch=2 if self.closed else 1, batches=1, in_batch=decided,
            of_batch=len(states), decided=decided, total=len(states), accepted=states.count("accept"),
            fixed=states.count("fix"), deleted=states.count("delete"),
            flagged=sum(card.flagged for card in self.kept.values()),
            median_seconds=4.2 if decided else None, driven=False, waiting="",
            can_close=decided == len(states) and not self.closed, done=bool(self.closed), alarm="",
            reminder="" if decided else "Standards drift: read your last note first.", self_agreement=NONE,
        )  # fmt: skip


def raise_conflict(card: Card) -> None:
    """Raise what the desk raises when a card was decided in the meantime."""
    raise Conflict("This pair was decided meanwhile.", remedy="Look at it again.", card=card)


def neighbour(number: int, **fields: Any) -> Neighbour:
    usual: dict[str, Any] = {
        "pair_id": f"n{number}", "input": "A like notice.", "output": "mit", "state": "accept",
        "similarity": 0.8,
    }  # fmt: skip
    return Neighbour(**(usual | fields))


def found(**fields: Any) -> Found:
    return Found(**({"where": "input", "kind": "email address", "excerpt": "ann"} | fields))


class Served(NamedTuple):
    """A running server."""

    url: str
    """With its token."""
    port: int
    origin: str
    cookie: str
    thread: threading.Thread

    def ask(
        self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send exactly these headers (and Host) and return status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    @property
    def good(self) -> dict[str, str]:
        """Headers of a change that is let through."""
        return {
            "Cookie": self.cookie,
            "Origin": self.origin,
            "Content-Type": "application/json",
            "X-Tuneproof-Desk": "1",
        }

    def post(self, name: str, content: Any) -> tuple[int, dict[str, Any]]:
        """Send a change as the page does."""
        body = json.dumps(content).encode()
        status, _, answer = self.ask("POST", f"/api/do/{name}", body=body, headers=self.good)
        return status, json.loads(answer)


@contextlib.contextmanager
def served(
    desk: Callable[[], ReviewDesk], reviewer: str = "Ann", *, port: int = 0, open_browser: bool = False
) -> Iterator[Served]:
    """Serve the desk that `desk` makes in the server's own thread; stop it as a reviewer does."""
    ready, stop, urls = threading.Event(), threading.Event(), []

    def began(url: str) -> None:
        urls.append(url)
        ready.set()

    def run() -> None:
        try:
            serve_desk(
                desk(),
                reviewer=reviewer,
                port=port,
                open_browser=open_browser,
                on_ready=began,
                until=stop.is_set,
            )
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20) and urls, "the server did not start"
    address = urlsplit(urls[0])
    assert address.port
    here = Served(urls[0], address.port, f"http://127.0.0.1:{address.port}", "", thread)
    _, headers, _ = here.ask("GET", f"/?{address.query}")
    here = here._replace(cookie=headers["set-cookie"].split(";")[0])
    try:
        yield here
    finally:
        stop.set()
        if thread.is_alive():
            here.post("leave", {"finish": True})
            thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


def _word(number: int) -> str:
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(4))


def drafts_of(count: int, *, prefix: str = "") -> Drafts:
    """Pairs whose inputs share few words, so that none is another's twin."""
    pairs = [
        Pair(
            id=f"{prefix}{n:03}",
            input=" ".join(_word(n * 31 + i * i * 7 + i) for i in range(12)),
            output=f"answer {n}",
            source=f"rows.jsonl:{n}",
        )
        for n in range(1, count + 1)
    ]
    provenance = Provenance(
        kind="drafted", source="rows.jsonl", source_version="1", licence="MIT", attribution="",
        teacher="fake", terms_url="http://terms.test", terms_accepted_at="2026-01-01",
    )  # fmt: skip
    return Drafts(provenance=provenance, pairs=tuple(pairs))


def real_desk(folder: Path, drafts: Drafts, *, blind_share: float = 0.0) -> Callable[[], Desk]:
    """The desk as `tuneproof review` has it, on a file in `folder`."""
    checks = Checks(
        problem_of=lambda output: "" if output.startswith("answer") else "an answer begins with `answer`",
        scan=lambda text: (("email address", "ann"),) if "@" in text else (),
    )

    def make() -> Desk:
        store = DeskStore(folder / "desk.sqlite")
        return Desk(
            store, drafts, ReviewSection(blind_share=blind_share), checks, lambda: "2026-01-01T00:00:00Z"
        )

    return make


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's own Chromium; nothing is downloaded."""
    assert CHROMIUM.exists(), f"{CHROMIUM} is missing: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def opened(browser: Browser, url: str, **context: Any) -> Page:
    """Open `url` in a context of its own; `errors_of` knows what its script complained about."""
    return tab(browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | context)), url)


def tab(context: BrowserContext, url: str) -> Page:
    """Open `url` in a window of `context`."""
    page = context.new_page()
    errors: list[str] = []
    _ERRORS[page] = errors
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type in ("error", "warning") else None)
    page.goto(url)
    page.wait_for_selector("#card:not([hidden]), #end:not([hidden])")
    settled(page)
    return page


_ERRORS: dict[Page, list[str]] = {}


def errors_of(page: Page) -> list[str]:
    """Return what was thrown in the page, refused by its policy, or not found."""
    return _ERRORS[page]


def settled(page: Page) -> None:
    """Wait until the page waits for no answer."""
    page.wait_for_selector("body:not([aria-busy])", state="attached")


def press(page: Page, *keys: str) -> None:
    """Press keys one after the other, each once the page has finished with the one before."""
    for key in keys:
        page.keyboard.press(key)
        settled(page)


def text_of(page: Page, selector: str) -> str:
    return page.locator(selector).inner_text()


def answer(page: Page, text: str) -> None:
    """Write `text` in the editor and save it, by keys alone."""
    press(page, "e")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    press(page, "Control+Enter")
