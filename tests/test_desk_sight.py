"""What the review page makes of what it is given: texts stay texts, and everybody can see and reach them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from browser import (
    MemoryDesk,
    card_of,
    chromium,
    drafts_of,
    errors_of,
    found,
    neighbour,
    opened,
    press,
    real_desk,
    served,
    settled,
    text_of,
)  # fmt: skip
from tuneproof.artifacts.desk import BatchSummary, Card, Standing
from tuneproof.desk import Conflict
from xss_payloads import payloads

CANARY = "window.pwned"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def evil_card(number: int, text: str) -> Card:
    """A card all of whose texts are `text`."""
    near = (neighbour(1, pair_id=text, input=text, output=text + "x", similarity=0.9),)
    return card_of(
        number, pair_id=f"{number}{text}"[:500], input=text, draft=text, output=text + " changed",
        flagged=True, state="open", note=text, problems=(text,), source=text, twins=near, nearest=near,
        decided_by=text,
        findings=(found(kind=text, excerpt=text),),
    )  # fmt: skip


class EvilDesk(MemoryDesk):
    """Says `text` wherever the desk itself speaks."""

    def __init__(self, cards: list[Card], text: str) -> None:
        super().__init__(cards)
        self.text = text

    def standing(self, reviewer: str) -> Standing:
        return super().standing(reviewer).model_copy(update={"alarm": self.text, "reminder": self.text})

    def summary(self, reviewer: str) -> BatchSummary:
        return super().summary(reviewer).model_copy(update={"alarm": self.text, "note": self.text})

    def check(self, pair_id: str, output: str) -> tuple[str, ...]:
        return (self.text,)

    def undo(self, reviewer: str, *, driven: bool = False) -> Card | None:
        first = next(iter(self.kept.values()))
        raise Conflict(self.text, remedy=self.text, card=first.model_copy(update={"state": "fix"}))

    def close(self, reviewer: str, note: str, *, driven: bool = False) -> BatchSummary:
        raise Conflict(self.text, remedy=self.text)


def watched(page: Page, origin: str) -> list[str]:
    """Collect every request to elsewhere, every dialog and every page that takes the place of ours."""
    seen: list[str] = []
    page.on("request", lambda r: seen.append(r.url) if not r.url.startswith(origin + "/") else None)
    page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss())[0])
    page.on("framenavigated", lambda f: seen.append(f.url) if f.url != origin + "/" else None)
    page.on("popup", lambda popup: seen.append(popup.url))
    return seen


def ran(page: Page) -> bool:
    return bool(page.evaluate(f"{CANARY} !== undefined"))


def test_no_text_of_any_kind_runs_loads_or_leads_anywhere(browser: Browser) -> None:
    texts = payloads()
    assert len(texts) >= 200
    desk = MemoryDesk([evil_card(n, text) for n, text in enumerate(texts, start=1)])
    with served(lambda: desk, "<img src=x onerror=window.pwned=1>") as here:
        page = opened(browser, here.url)
        seen = watched(page, here.origin)
        shown, used = 0, set()
        for text in texts:
            plain, names = page.evaluate(STIR)
            assert plain is None or plain == text
            shown += plain is not None
            used |= set(names)
            press(page, "n")
        assert shown > 150
        assert used <= set(ORDINARY), used - set(ORDINARY)
        assert not ran(page) and seen == [] and errors_of(page) == []
        page.context.close()


STIR = """() => {
  const input = document.getElementById('input');
  for (const e of document.querySelectorAll('main *')) {
    e.dispatchEvent(new MouseEvent('mouseover'));
    e.dispatchEvent(new PointerEvent('pointerdown'));
    if (e.localName === 'details') e.open = true;
  }
  const names = new Set([...document.querySelectorAll('#card *')].map((e) => e.localName));
  return [input.childElementCount ? null : input.textContent, [...names]];
}"""

ORDINARY = [
    "aside", "button", "dd", "del", "details", "div", "em", "h1", "h2", "h3", "ins", "kbd", "label", "li",
    "p", "section", "span", "strong", "summary", "textarea", "ul",
]  # fmt: skip


def test_neither_does_what_the_desk_says_of_errors_batches_and_conflicts(browser: Browser) -> None:
    strong = [text for text in payloads() if "onerror=" in text or "<script>" in text][::11]
    assert len(strong) >= 6
    for text in strong:
        desk = EvilDesk([evil_card(1, text)], text)
        with served(lambda desk=desk: desk, text[:200]) as here:  # type: ignore[misc]
            page = opened(browser, here.url)
            seen = watched(page, here.origin)
            press(page, "e")
            page.keyboard.insert_text(text)
            page.reload()
            page.wait_for_selector("#editor:not([hidden])")
            press(page, "Escape", "u")
            assert page.locator("#conflict-box[open]").count() == 1
            press(page, "r", "Escape", "a")
            page.wait_for_selector("#close-box[open]")
            page.keyboard.insert_text("note")
            press(page, "Control+Enter")
            assert text_of(page, "#close-wrong") and not ran(page) and seen == []
            assert [e for e in errors_of(page) if "409" not in e] == []
            page.context.close()


def test_the_canary_does_sing_where_a_page_takes_texts_for_html(browser: Browser) -> None:
    desk = MemoryDesk([evil_card(n, text) for n, text in enumerate(payloads()[:8], start=1)])

    def careless(route: Route) -> None:
        source = route.fetch().text()
        planted = source.replace("  parent.append(plain + text.slice(from));", "  parent.innerHTML += text;")
        assert planted != source
        route.fulfill(body=planted, content_type="text/javascript")

    with served(lambda: desk) as here:
        context = browser.new_context(bypass_csp=True)
        page = context.new_page()
        page.route("**/text.js", careless)
        page.on("dialog", lambda dialog: dialog.dismiss())
        page.goto(here.url)
        page.wait_for_selector("#card:not([hidden])")
        page.wait_for_timeout(200)
        assert ran(page)
        context.close()


HIDDEN = {
    "a\u200bb": "ZWSP", "a\u00a0b": "NBSP", "a\u202eb\u202c": "RLO", "a\x00b": "NUL", "a\r\nb": "CR",
    "\ufeffa": "BOM",
    "a\u2066b\u2069": "LRI", "a\u00adb": "SHY", "a\u200b\u200b\u200bb": "ZWSP×3", "a\U000e0041b": "U+E0041",
    "a\u3000b": "U+3000", "a  \nb": "··", "a\x1b[31mb": "ESC", "a\u2028b": "LSEP", "a\ufe0eb": "U+FE0E",
}  # fmt: skip


def test_hidden_characters_are_made_visible_and_right_to_left_text_keeps_to_its_place(
    browser: Browser,
) -> None:
    texts = [*HIDDEN, "שלום עולם, mit", "plain text\n\twith a tab"]
    desk = MemoryDesk([card_of(n, input=text, draft=text, output=text) for n, text in enumerate(texts, 1)])
    with served(lambda: desk) as here:
        page = opened(browser, here.url)
        for mark in HIDDEN.values():
            assert page.locator("#input .hid, #input .space").first.text_content() == mark
            assert page.locator("#output .hid, #output .space").first.text_content() == mark
            press(page, "n")
        styles = page.locator("#input").evaluate(
            "e => [getComputedStyle(e).direction, getComputedStyle(e).unicodeBidi]"
        )
        assert styles[0] == "rtl" and styles[1] in ("isolate", "isolate-override")
        assert page.locator("#title").evaluate("e => getComputedStyle(e).direction") == "ltr"
        press(page, "n")
        assert page.locator("#card .hid, #card .space").count() == 0
        page.context.close()


def test_a_text_of_fifty_thousand_characters_is_usable(browser: Browser) -> None:
    long = "Lorem ipsum dolor sit amet. " * 1800
    unbroken, odd = "x" * 50_000, " \u200b" * 25_000
    desk = MemoryDesk(
        [card_of(n, input=t, draft=t, output=t) for n, t in enumerate((long, unbroken, odd, long), 1)]
    )
    with served(lambda: desk) as here:
        page = opened(browser, here.url)
        for _ in range(3):
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.locator("#actions").is_visible()
            began = time.monotonic()
            press(page, "n")
            assert time.monotonic() - began < 3
        press(page, "e", "Control+Home")
        began = time.monotonic()
        page.keyboard.type("hello")
        assert time.monotonic() - began < 3
        assert page.locator("#diff ins").count() >= 1
        page.context.close()


NAMES = """() => [...document.querySelectorAll(
    'button, input, textarea, [role=region], dialog, section, aside')]
  .filter((e) => {
    const by = (e.getAttribute('aria-labelledby') ?? '').split(' ').map((id) => document.getElementById(id));
    const named = ['close-box', 'conflict-box', 'change', 'diff'];  // when they open
    const name = e.getAttribute('aria-label') || by.map((b) => b?.textContent ?? '').join('')
      || (e.labels?.[0]?.textContent ?? '') || (e.localName === 'button' ? e.textContent : '');
    return !name.trim() && !named.includes(e.id);
  }).map((e) => e.outerHTML.slice(0, 80))"""

CONTRAST = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.matches('.unseen, .skip')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    found.push([Math.round((a + 0.05) / (b + 0.05) * 100) / 100, e.id || e.className || e.localName]);
  }
  return found; }"""


def rich_desk() -> MemoryDesk:
    near = (
        neighbour(1),
        neighbour(2, output="apache-2.0", state="fix"),
        neighbour(3, output="", state="open"),
    )
    rich: dict[str, Any] = {
        "problems": ("no expression",), "findings": (found(),), "twins": near, "nearest": near,
        "flagged": True, "note": "odd", "input": "a\u200bb  \nc",
        "draft": "mit OR x", "output": "mit OR bsd-new",
    }  # fmt: skip
    states: list[Any] = ["open", "accept", "fix", "delete"]
    return MemoryDesk([card_of(n, state=state, decided_by="Bo", **rich) for n, state in enumerate(states, 1)])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser: Browser, scheme: Any) -> None:
    with served(rich_desk) as here:
        page = opened(browser, here.url, color_scheme=scheme)
        ratios: list[list[Any]] = []
        for _ in range(4):
            page.evaluate("for (const e of document.querySelectorAll('details')) e.open = true")
            ratios += page.evaluate(CONTRAST)
            press(page, "n")
        press(page, "Home", "e")
        ratios += page.evaluate(CONTRAST)
        press(page, "Escape", "?")
        ratios += page.evaluate(CONTRAST)
        press(page, "Escape", "a")
        page.wait_for_selector("#close-box[open]")
        press(page, "Control+Enter")
        ratios += page.evaluate(CONTRAST)
        page.context.close()
    assert len(ratios) > 150
    assert min(ratios)[0] >= 4.5, sorted(ratios)[:5]


def test_everything_has_a_name_and_the_keyboard_reaches_it_in_the_order_of_the_page(browser: Browser) -> None:
    with served(rich_desk) as here:
        page = opened(browser, here.url, reduced_motion="reduce")
        assert page.evaluate(NAMES) == []
        assert page.evaluate("document.documentElement.lang") == "en" and page.title()
        assert page.locator("main, header, footer, aside").count() == 4
        assert page.locator("#status").get_attribute("aria-live") == "polite"
        assert (
            page.locator("#lost").get_attribute("role")
            == page.locator("#alarm").get_attribute("role")
            == "alert"
        )
        assert (
            page.evaluate("[...document.querySelectorAll('h1')].filter((e) => e.checkVisibility()).length")
            == 1
        )
        assert page.locator("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").count() == 0
        assert "accepted" in (page.locator("#strip").get_attribute("aria-label") or "")
        assert page.evaluate("document.activeElement.id") == "title"
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.localName"))
            assert page.evaluate(
                "document.activeElement === document.body || document.activeElement.matches('.skip')"
                " || getComputedStyle(document.activeElement).outlineStyle !== 'none'"
            ), reached[-1]
            if reached[-1] == "help":
                break
        wanted = [
            "input",
            "output",
            "diff",
            "accept",
            "edit",
            "delete",
            "undo",
            "flag",
            "previous",
            "next",
            "help",
        ]
        assert [name for name in reached if name in wanted] == wanted
        assert page.locator("button").evaluate_all("all => all.every((b) => b.type === 'button')")
        duration = page.locator("#accept").evaluate("e => getComputedStyle(e).transitionDuration")
        assert duration == "0s"
        page.context.close()


@pytest.mark.parametrize("width", [320, 640])
def test_nothing_scrolls_sideways_on_a_narrow_or_zoomed_page(browser: Browser, width: int) -> None:
    wide = "x" * 400 + " " + "<y>" * 100
    near = (neighbour(1, pair_id=wide[:300], input=wide, output=wide),)
    card = card_of(
        1, input=wide, draft=wide, output=wide + "z", source=wide, note=wide, flagged=True, twins=near,
        problems=(wide,), findings=(found(kind=wide),), decided_by="B" * 200,
    )  # fmt: skip
    with served(lambda: MemoryDesk([card, *[card_of(n) for n in range(2, 51)]]), "Ann" * 60) as here:
        page = opened(browser, here.url, viewport={"width": width, "height": 500}, device_scale_factor=2)
        for keys in ((), ("e",), ("Escape", "f"), ("Escape", "?"), ("Escape", "n")):
            press(page, *keys)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, keys
            assert page.locator(".text").evaluate_all(
                "all => all.every((e) => e.scrollWidth <= e.clientWidth)"
            )
            box = page.locator("dialog[open]")
            if box.count():
                assert box.evaluate(
                    "e => e.scrollWidth <= e.clientWidth && e.getBoundingClientRect().right <= innerWidth"
                )
        for name in ("accept", "edit", "delete", "help"):
            size = page.locator(f"#{name}").bounding_box()
            assert size and size["x"] >= 0 and size["x"] + size["width"] <= width and size["height"] >= 24
        page.context.close()


def test_progress_pace_and_the_next_key_are_said(browser: Browser, tmp_path: Path) -> None:
    with served(real_desk(tmp_path, drafts_of(4))) as here:
        page = opened(browser, here.url)
        press(page, "a")
        assert text_of(page, "#status") == "Accepted: pair 1. u takes it back."
        assert text_of(page, "#count") == "1/4" and text_of(page, "#total") == "1 of 4 pairs"
        assert re.fullmatch(r"[\d.]+ s a pair by a program, about \d+ s left", text_of(page, "#pace"))
        assert [c.inner_text() for c in page.locator(".cell").all()] == ["✓", "", "", ""]
        press(page, "n", "n", "n")
        assert text_of(page, "#status") == "This is the last pair."
        press(page, "c")
        assert text_of(page, "#status") == "Decide every pair of the batch first."
        page.locator(".cell").first.click()
        settled(page)
        assert text_of(page, "#title") == "Pair 1 of 4"
        press(page, "u", "u")
        assert text_of(page, "#status") == "There is nothing of yours to take back."
        page.context.close()
