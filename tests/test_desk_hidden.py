"""What a reviewer must not see yet, who must answer before a batch is closed, and drafts that change."""

from __future__ import annotations

from pathlib import Path

import pytest

from desk_sample import CHECKS, answer_batch, made_desk, made_drafts, ticking, wish
from tuneproof.artifacts import Drafts
from tuneproof.artifacts.case import ReviewSection
from tuneproof.artifacts.desk import Card, Neighbour
from tuneproof.desk import Conflict, Desk
from tuneproof.errors import NotReady
from tuneproof.outside.desk_store import DeskStore


def in_twos(n: int) -> Drafts:
    """Pairs that have a near twin each, with its own id as the output."""
    drafts = made_drafts(n)
    pairs = [
        pair.model_copy(
            update={
                "id": f"{pair.id}-{side}",
                "input": f"{pair.input} {side}",
                "output": f"label-{pair.id}-{side}",
            }
        )
        for pair in drafts.pairs
        for side in ("one", "two")
    ]
    return drafts.model_copy(update={"pairs": tuple(pairs)})


def beside(card: Card) -> dict[str, Neighbour]:
    return {near.pair_id: near for near in (*card.twins, *card.nearest)}


def test_a_neighbour_that_is_to_be_answered_again_does_not_show_what_was_decided(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, in_twos(50), again=8)
    while not desk.standing("Ana").can_close:
        card = desk.card("Ana")
        assert card
        desk.decide("Ana", wish(card, "fix", f"label-decided-{card.pair_id}"))
    desk.close("Ana", "fixed all of them")
    plan, looked = desk.view().layout, 0
    again = {p for p, _ in desk.cards("Ana") if plan.batch_of[p] == 1}
    assert len(again) == 8
    for pair_id in plan.pairs:
        card = desk.card("Ana", pair_id, step="here")
        for near in beside(card).values() if card else ():
            if near.pair_id in again:
                assert (near.output, near.state) == ("", "open")
                looked += 1
    assert looked >= 5
    for pair_id in again:
        card = desk.card("Ana", pair_id, step="here")
        assert card
        desk.decide("Ana", wish(card, "again", f"label-decided-{pair_id}"))
        twin = next(p for p in plan.pairs if p[:5] == pair_id[:5] and p != pair_id)
        if (card := desk.card("Ana", twin, step="here")) and twin not in again:
            assert beside(card)[pair_id].output == f"label-decided-{pair_id}"


def test_beside_a_hidden_draft_no_twin_shows_its_own(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, in_twos(30), blind_share=1)
    blind = [p for p, _ in desk.cards("Ana") if p in desk.view().layout.blind]
    assert len(blind) >= 20
    for pair_id in blind:
        twin = pair_id[:5] + ("-one", "-two")[pair_id.endswith("-one")]
        card = desk.card("Ana", twin, step="here")
        if card is not None:
            assert card.draft is not None, "one pair of a group is blind"
            desk.decide("Ana", wish(card, "accept"))
        hidden = desk.card("Ana", pair_id, step="here")
        assert hidden and hidden.draft is None
        assert (beside(hidden)[twin].output, beside(hidden)[twin].state) == ("", "open")
        assert f"label-{pair_id[:5]}" not in hidden.model_dump_json()
        desk.decide("Ana", wish(hidden, "fix", "label-mine"))
        shown = desk.card("Ana", pair_id, step="here")
        assert shown and beside(shown)[twin].output == f"label-{twin}"


def test_whoever_decided_most_of_a_batch_answers_its_pairs_shown_again_before_anyone_closes_it(
    tmp_path: Path,
) -> None:
    desk = made_desk(tmp_path, made_drafts(100))
    answer_batch(desk, "Ana")
    desk.close("Ana", "the first of two")
    while card := desk.card("Ana"):
        if card.again:
            card = next(
                c
                for p, state in desk.cards("Ana")
                if (c := desk.card("Ana", p, step="here")) and state == "open" and not c.again
            )
        desk.decide("Ana", wish(card, "accept"))
        if desk.standing("Bo").in_batch == 50:
            break
    standing = desk.standing("Bo")
    assert (standing.in_batch, standing.of_batch, standing.can_close) == (50, 50, False)
    assert "Ana decided most of batch 2 and has not yet answered 5 pairs" in standing.waiting
    with pytest.raises(NotReady, match="Ana decided most of batch 2"):
        desk.close("Bo", "closed in her place")
    assert answer_batch(desk, "Ana") == 5
    assert desk.standing("Bo").can_close and desk.standing("Bo").waiting == ""
    desk.close("Bo", "closed after her answers")
    assert desk.standing("Ana").done


def changed(drafts: Drafts) -> Drafts:
    pairs = tuple(pair.model_copy(update={"output": f"{pair.output}-anew"}) for pair in drafts.pairs)
    return drafts.model_copy(update={"pairs": pairs})


def test_no_decision_is_acknowledged_on_a_draft_that_another_desk_has_anew(tmp_path: Path) -> None:
    drafts = made_drafts(5)
    desk = made_desk(tmp_path, drafts)
    card = desk.card("Ana")
    assert card
    made_desk(tmp_path, changed(drafts))
    with pytest.raises(Conflict, match="drafts have changed") as caught:
        desk.decide("Ana", wish(card, "accept"))
    assert "tuneproof review" in caught.value.remedy and caught.value.card is None
    assert desk._store.events() == ()


def test_nor_while_the_drafts_of_the_project_are_others_and_no_batch_is_closed_on_them(
    tmp_path: Path,
) -> None:
    current = [True]
    checks = CHECKS._replace(is_current=lambda: current[0])
    store = DeskStore(tmp_path / "desk.sqlite")
    desk = Desk(store, made_drafts(3), ReviewSection(blind_share=0), checks, ticking())
    assert answer_batch(desk, "Ana") == 3
    current[0] = False
    card = desk.card("Ana", desk.cards("Ana")[0][0], step="here")
    assert card
    for act in (
        lambda: desk.decide("Ana", wish(card, "delete")),
        lambda: desk.undo("Ana"),
        lambda: desk.close("Ana", "all three were right"),
    ):
        with pytest.raises(Conflict, match="drafts have changed"):
            act()
    assert [event.kind for event in store.events()] == ["accept"] * 3


def test_a_pair_with_an_id_of_any_length_can_be_decided(tmp_path: Path) -> None:
    drafts = made_drafts(2)
    long = drafts.pairs[0].model_copy(update={"id": "x" * 30_000})
    desk = made_desk(tmp_path, drafts.model_copy(update={"pairs": (long,)}))
    assert answer_batch(desk, "Ana") == 1
    desk.close("Ana", "one with a long name")
    assert desk.standing("Ana").done
