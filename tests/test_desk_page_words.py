"""What the review page says and marks: hidden drafts, similar pairs, drafts that changed, long ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser import (
    MemoryDesk,
    card_of,
    chromium,
    drafts_of,
    neighbour,
    opened,
    press,
    real_desk,
    served,
    settled,
    text_of,
)
from tuneproof.artifacts.comparison import Interval
from tuneproof.artifacts.desk import Agreement, Standing
from tuneproof.artifacts.pairs import Drafts
from tuneproof.outside.desk_store import DeskStore


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def test_on_a_hidden_draft_e_is_what_is_offered(browser: Browser) -> None:
    desk = MemoryDesk([card_of(1, blind=True), card_of(2), card_of(3, blind=True)])
    with served(lambda: desk) as here:
        page = opened(browser, here.url)
        assert text_of(page, "#status") == "The draft is hidden: e writes your answer."
        mains = "[...document.querySelectorAll('#actions .main')].map((b) => b.id)"
        assert page.evaluate(mains) == ["edit"]
        press(page, "n")
        assert page.evaluate(mains) == ["accept"] and text_of(page, "#status") == ""
        press(page, "a")
        assert text_of(page, "#status").startswith("Accepted: pair 2. u takes it back.")
        assert text_of(page, "#status").endswith("e writes your answer.")
        page.context.close()


def test_only_a_near_twin_with_another_output_is_marked(browser: Browser) -> None:
    other = {"output": "bsd-new"}
    desk = MemoryDesk(
        [
            card_of(
                1,
                twins=(neighbour(1, **other), neighbour(2)),
                nearest=(neighbour(3, similarity=0.2, **other), neighbour(4, output="", state="open")),
            )
        ]
    )
    with served(lambda: desk) as here:
        page = opened(browser, here.url)
        assert page.locator("#twins").get_by_text("≠ another output").count() == 1
        assert page.locator("#nearest").get_by_text("≠ another output").count() == 0
        assert page.locator("#nearest").get_by_text("not shown yet").count() == 1
        page.context.close()


class Measured(MemoryDesk):
    """Says how the reviewer agrees with themselves, and whom the batch waits for."""

    def standing(self, reviewer: str) -> Standing:
        same = Agreement(n=3, equal=3, kappa=1.0, interval=Interval(low=0.158, high=1.0))
        said = {"self_agreement": same, "driven": True, "waiting": "Bo must answer 2 pairs first."}
        return super().standing(reviewer).model_copy(update=said | {"can_close": False})


def test_the_header_says_kappa_with_its_interval_who_is_a_program_and_who_is_waited_for(
    browser: Browser,
) -> None:
    with served(lambda: Measured([card_of(1, state="accept"), card_of(2)])) as here:
        page = opened(browser, here.url)
        assert (
            text_of(page, "#agreement") == "with yourself: 3 of 3 equal, κ 1.00 (0.16 to 1.00) by a program"
        )
        assert "s a pair by a program" in text_of(page, "#pace")
        press(page, "c")
        assert text_of(page, "#status") == text_of(page, "#reminder") == "Bo must answer 2 pairs first."
        page.context.close()


def test_a_page_over_drafts_that_changed_says_so_and_saves_nothing(browser: Browser, tmp_path: Path) -> None:
    drafts = drafts_of(3)
    with served(real_desk(tmp_path, drafts)) as here:
        page = opened(browser, here.url)
        anew = tuple(pair.model_copy(update={"output": "answer anew"}) for pair in drafts.pairs)
        real_desk(tmp_path, drafts.model_copy(update={"pairs": anew}))()
        press(page, "a")
        assert "drafts have changed" in text_of(page, "#status") and "Not saved" in text_of(page, "#status")
        assert "Start `tuneproof review` again" in text_of(page, "#status")
        page.context.close()
    assert DeskStore(tmp_path / "desk.sqlite").events() == ()


def test_a_pair_with_a_very_long_id_is_looked_at_and_decided(browser: Browser, tmp_path: Path) -> None:
    drafts = drafts_of(3)
    pairs = tuple(pair.model_copy(update={"id": pair.id + "é" * 50_000}) for pair in drafts.pairs)
    with served(real_desk(tmp_path, Drafts(provenance=drafts.provenance, pairs=pairs))) as here:
        page = opened(browser, here.url)
        press(page, "n", "p", "a", "a", "a")
        settled(page)
        assert page.locator("#close-box[open]").count() == 1
        page.context.close()
    assert [e.kind for e in DeskStore(tmp_path / "desk.sqlite").events()] == ["accept"] * 3
