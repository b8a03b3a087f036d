"""The review page in real Chromium, by the keyboard alone, on the real desk and its file."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from browser import (
    answer,
    chromium,
    drafts_of,
    errors_of,
    opened,
    press,
    real_desk,
    served,
    settled,
    tab,
    text_of,
)
from tuneproof.artifacts.desk import Decision, Wish
from tuneproof.outside.desk_store import DeskStore


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def decisions(folder: Path) -> tuple[Decision, ...]:
    return DeskStore(folder / "desk.sqlite").events()


def kinds(folder: Path) -> list[str]:
    return [event.kind for event in decisions(folder)]


def is_blind(page: Page) -> bool:
    return page.locator("#badges").get_by_text("draft hidden").count() == 1


def mend(page: Page) -> None:
    answer(page, text_of(page, "#output") + " mended")


def delete_twice(page: Page) -> None:
    before = text_of(page, "#title")
    press(page, "d")
    press(page, "Escape", "u")  # the last pair of a batch opens the dialog that closes it
    assert text_of(page, "#title") == before and "Taken back" in text_of(page, "#status")
    press(page, "d")


def flag_and_accept(page: Page) -> None:
    press(page, "f")
    page.keyboard.insert_text("odd case")
    press(page, "Control+Enter", "a")


WAYS: list[Callable[[Page], None]] = [
    mend,
    delete_twice,
    flag_and_accept,
    *[lambda page: press(page, "a")] * 3,
]


def decide_all(page: Page) -> tuple[int, int]:
    """Decide every card of the batch; return how many were blind, and how many not."""
    blind = seen = 0
    while not page.locator("#close-box[open]").count():
        assert blind + seen < 60, "it does not advance"
        if is_blind(page):
            blind += 1
            answer(page, f"answer {blind}")
            assert page.evaluate("document.activeElement.id") == "on"
            press(page, "Enter")
        else:
            WAYS[seen % len(WAYS)](page)
            seen += 1
    return blind, seen


def close_with(page: Page, note: str) -> None:
    page.keyboard.insert_text(note)
    press(page, "Control+Enter")


def test_a_whole_batch_is_reviewed_and_closed_by_the_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    with served(real_desk(tmp_path, drafts_of(60), blind_share=0.2)) as here:
        page = opened(browser, here.url)
        assert text_of(page, "#count") == "0/50" and page.locator(".cell").count() == 50
        blind, seen = decide_all(page)
        assert blind + seen == 50 and min(blind, seen) >= 10
        assert page.evaluate("document.activeElement.id") == "close-text"
        assert "a program" in text_of(page, "#close-figures"), "webdriver is said"
        close_with(page, "")
        assert "Write" in text_of(page, "#close-wrong")
        close_with(page, "short")
        assert "fewer than 3 words" in text_of(page, "#close-wrong") and "close" not in kinds(tmp_path)
        close_with(page, " answers, kept as they are")
        assert "Batch 2 of 2" in text_of(page, "#batch") and text_of(page, "#count") == "0/15"
        assert "short answers, kept as they are" in text_of(page, "#reminder")
        assert sum(decide_all(page)) == 15
        close_with(page, "the last ten pairs")
        page.wait_for_selector("#end:not([hidden])")
        assert "a program" in text_of(page, "#end-figures")
        press(page, "Enter")
        assert "You can close this window" in text_of(page, "#end")
        assert [error for error in errors_of(page) if "400" not in error] == [], "400 is the short note"
        page.context.close()
    found = decisions(tmp_path)
    assert {event.kind for event in found} == {"accept", "fix", "delete", "undo", "flag", "again", "close"}
    assert all(event.driven and event.reviewer == "Ann" for event in found)
    assert all(0 < event.seconds < 60 for event in found if event.kind in ("accept", "fix", "delete"))
    assert {event.note for event in found if event.kind == "flag"} == {"odd case"}


def test_a_draft_that_is_hidden_reaches_the_browser_after_the_answer_and_not_before(
    browser: Browser, tmp_path: Path
) -> None:
    with served(real_desk(tmp_path, drafts_of(3), blind_share=1.0)) as here:
        page = opened(browser, here.url)
        bodies: list[str] = []
        page.on("response", lambda r: bodies.append(r.text()) if "/api/" in r.url else None)
        page.reload()
        page.wait_for_selector("#card:not([hidden])")
        assert bodies and not any("answer" in body for body in bodies)
        assert "answer" not in re.sub(r"[Yy]our own answer|writes your answer", "", page.content())
        press(page, "a")
        assert page.evaluate("document.activeElement.id") == "fix", "a asks for an answer"
        assert decisions(tmp_path) == ()
        page.keyboard.insert_text("answer of mine")
        page.keyboard.down("Control")
        for _ in range(4):
            page.keyboard.down("Enter")  # held down: the draft must still be seen
            settled(page)
        page.keyboard.up("Control")
        page.keyboard.down("Enter")
        page.keyboard.up("Enter")
        settled(page)
        assert text_of(page, "#reveal-word").startswith("≠") and "edit distance" in text_of(
            page, "#change-name"
        )
        assert page.locator("#accept").is_disabled()
        press(page, "Enter")
        pair = page.evaluate("fetch('/api/view').then((r) => r.json())")["card"]["pair_id"]
        answer(page, f"answer {int(pair)}")
        assert text_of(page, "#reveal-word").startswith("=")
        press(page, "u")
        assert "draft hidden" not in text_of(page, "#badges"), "what was seen stays seen"
        assert [event.blind for event in decisions(tmp_path)][:2] == [True, True]
        page.context.close()


def test_pairs_shown_again_look_undecided_and_are_answered_by_the_same_keys(
    browser: Browser, tmp_path: Path
) -> None:
    make = real_desk(tmp_path, drafts_of(51))
    desk = make()
    for pair_id, _ in desk.cards("Ann"):
        desk.decide("Ann", Wish(pair_id=pair_id, kind="fix", version=0, output="answer decided before"))
    desk.close("Ann", "all of them alike")
    before = len(decisions(tmp_path))
    with served(make) as here:
        page = opened(browser, here.url)
        assert text_of(page, "#count") == "0/6" and "all of them alike" in text_of(page, "#reminder")
        ways, seen = (
            [lambda: press(page, "a"), lambda: answer(page, "answer now"), lambda: press(page, "d")],
            0,
        )
        while not page.locator("#close-box[open]").count():
            again = text_of(page, "#badges") == "again"
            assert again or text_of(page, "#badges") == ""
            assert "decided before" not in text_of(page, "#output") and page.locator("#change").is_hidden()
            ways[seen % 3 if again else 0]()
            seen += again
        press(page, "Escape", "End", "u")
        page.context.close()
    answers = [event for event in decisions(tmp_path)[before:] if event.kind == "again"]
    assert len(answers) == 5
    assert [event.output for event in answers[1:3]] == ["answer now", None]
    assert (answers[0].output or "").startswith("answer ") and answers[0].output != "answer decided before"


def test_unsent_text_survives_a_reload_and_a_new_server_and_nothing_is_called_saved_before_it_is(
    browser: Browser, tmp_path: Path
) -> None:
    desk = real_desk(tmp_path, drafts_of(3))
    with served(desk) as here:
        page = opened(browser, here.url)
        press(page, "e")
        page.keyboard.type(" and more")
        page.wait_for_timeout(300)
        page.reload()
        page.wait_for_selector("#editor:not([hidden])")
        assert page.input_value("#fix").endswith(" and more")
        assert "Unsent text restored" in text_of(page, "#status")
        page.keyboard.type("!")  # and goes at once: no time for the timer
        page.reload()
        page.wait_for_selector("#editor:not([hidden])")
        assert page.input_value("#fix").endswith(" and more!")
    press(page, "Control+Enter")
    assert page.locator("#lost").is_visible() and "Not saved" in text_of(page, "#status")
    assert page.input_value("#fix").endswith(" and more!") and decisions(tmp_path) == ()
    with served(desk, port=here.port) as again:
        press(page, "Control+Enter")
        assert "earlier run" in text_of(page, "#lost") and decisions(tmp_path) == ()
        page.goto(again.url)
        page.wait_for_selector("#editor:not([hidden])")
        press(page, "Control+Enter")
        assert kinds(tmp_path) == ["fix"] and (decisions(tmp_path)[0].output or "").endswith(" and more!")
        assert page.locator("#lost").is_hidden() and "Fixed" in text_of(page, "#status")
        page.reload()
        page.wait_for_selector("#card:not([hidden])")
        assert page.locator("#editor").is_hidden(), "what was saved is not kept any longer"
        page.context.close()


def test_two_windows_on_one_pair_meet_in_a_dialog(browser: Browser, tmp_path: Path) -> None:
    desk = real_desk(tmp_path, drafts_of(4))
    with served(desk) as ann, served(desk, "Bo") as bo:
        here, there = opened(browser, ann.url), opened(browser, bo.url)
        answer(there, "answer of Bo")
        press(here, "d")
        assert here.locator("#conflict-box[open]").count() == 1
        assert text_of(here, "#conflict-word") == "Bo decided this pair meanwhile: fixed."
        assert text_of(here, "#conflict-theirs") == "answer of Bo" and kinds(tmp_path) == ["fix"]
        press(here, "t")
        assert "Pair 2 of 4" in text_of(here, "#title") and kinds(tmp_path) == ["fix"]
        press(there, "a")
        answer(here, "answer of Ann")
        assert text_of(here, "#conflict-mine") == "answer of Ann"
        press(here, "r")
        assert here.input_value("#fix") == "answer of Ann"
        press(here, "Control+Enter")
        assert kinds(tmp_path) == ["fix", "accept", "fix"]
        assert decisions(tmp_path)[-1].output == "answer of Ann"
        second = tab(here.context, ann.origin)
        press(second, "d")
        press(here, "a")
        assert "You, in another window" in text_of(here, "#conflict-word")
        here.context.close()
        there.context.close()


def test_a_decision_whose_answer_was_lost_is_not_made_twice(browser: Browser, tmp_path: Path) -> None:
    with served(real_desk(tmp_path, drafts_of(3))) as here:
        page = opened(browser, here.url)

        def lose(route: Any) -> None:
            route.fetch()
            route.abort()

        page.route("**/api/do/decide", lose, times=1)
        press(page, "a")
        assert page.locator("#lost").is_visible() and text_of(page, "#title") == "Pair 1 of 3"
        assert kinds(tmp_path) == ["accept"]
        press(page, "a")
        assert text_of(page, "#title") == "Pair 2 of 3" and kinds(tmp_path) == ["accept"]
        assert page.locator("#lost").is_hidden()
        page.context.close()


def test_a_fix_that_is_accepted_stays_a_fix_and_keys_held_down_decide_once(
    browser: Browser, tmp_path: Path
) -> None:
    with served(real_desk(tmp_path, drafts_of(5))) as here:
        page = opened(browser, here.url)
        answer(page, "answer mended")
        press(page, "p", "a")
        assert [event.output for event in decisions(tmp_path)] == ["answer mended"] * 2
        page.keyboard.down("a")
        settled(page)
        for _ in range(5):
            page.keyboard.down("a")  # as a key that is held repeats
            settled(page)
        page.keyboard.up("a")
        press(page, "Shift")
        assert kinds(tmp_path) == ["fix", "fix", "accept"]
        press(page, "?", "Tab")
        assert page.locator("#help-box[open]").count() == 1
        page.locator("#single-keys").uncheck()
        press(page, "Escape", "a", "d")
        assert len(decisions(tmp_path)) == 3
        page.locator("#accept").click()
        page.locator("#count", has_text="3/5").wait_for()
        press(page, "End")
        page.context.close()


def test_esc_drops_an_edit_and_e_brings_it_back_and_a_form_problem_shows_while_typing(
    browser: Browser, tmp_path: Path
) -> None:
    with served(real_desk(tmp_path, drafts_of(3))) as here:
        page = opened(browser, here.url)
        press(page, "e")
        page.keyboard.press("Control+a")
        page.keyboard.insert_text("mit")
        page.wait_for_selector("#problems:not([hidden])")
        assert "begins with `answer`" in text_of(page, "#problems")
        assert page.locator("#diff del").count() >= 1 and "edit distance" in text_of(page, "#change-name")
        press(page, "Escape")
        assert page.locator("#editor").is_hidden() and page.locator("#problems").is_hidden()
        press(page, "e")
        assert page.input_value("#fix") == "mit"
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        press(page, "Control+Enter")
        assert "empty" in text_of(page, "#status") and page.locator("#editor").is_visible()
        assert decisions(tmp_path) == ()
        page.keyboard.insert_text("typed and not wanted")
        press(page, "Tab", "d", "p")
        assert kinds(tmp_path) == ["delete"] and page.locator("#editor").is_hidden(), "it is not restored"
        page.context.close()


def test_time_in_the_background_is_not_counted(browser: Browser, tmp_path: Path) -> None:
    with served(real_desk(tmp_path, drafts_of(2))) as here:
        page = opened(browser, here.url)
        page.evaluate(
            "Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        time.sleep(1.2)
        press(page, "a")
        assert decisions(tmp_path)[0].seconds < 1.0
        page.context.close()


def distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def test_the_difference_rebuilds_both_texts_and_the_distance_is_levenshteins(
    browser: Browser, tmp_path: Path
) -> None:
    words = [
        "mit",
        "bsd-new",
        "OR",
        "AND",
        "é",
        "e\u0301",
        "👩‍👧",
        "\n",
        " ",
        "apache-2.0",
        "{",
        '"a": 1',
        "שלום",
    ]
    texts = [" ".join(words[(i * j + i) % len(words)] for j in range(i % 9)) for i in range(40)]
    pairs = [(a, b) for a in texts for b in texts[::3]]
    with served(real_desk(tmp_path, drafts_of(2))) as here:
        page = opened(browser, here.url)
        found = page.evaluate(
            "async (pairs) => { const t = await import('/text.js');"
            "return pairs.map(([a, b]) => [t.difference(a, b), t.distance(a, b)]); }",
            pairs,
        )
        started = time.monotonic()
        long = page.evaluate(
            "async () => { const t = await import('/text.js'); const a = 'some words, '.repeat(9000);"
            "const b = a.slice(0, 40000).toUpperCase() + a.slice(50000);"
            "return t.difference(a, b).map(([k, p]) => p.length).length; }"
        )
        assert long >= 2 and time.monotonic() - started < 5
        page.context.close()
    assert len(found) == len(pairs) > 400
    for (a, b), (steps, away) in zip(pairs, found, strict=True):
        assert "".join(part for kind, part in steps if kind != "+") == a
        assert "".join(part for kind, part in steps if kind != "-") == b
        assert away == distance(a, b), (a, b)
    assert json.dumps(found[1]) != json.dumps(found[2])
