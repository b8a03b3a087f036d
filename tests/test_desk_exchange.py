"""Decisions out of one desk and into another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk_sample import answer_batch, close_all, made_desk, made_drafts, ticking, wish
from tuneproof.desk import Desk
from tuneproof.desk_exchange import Imported, export_decisions, import_decisions
from tuneproof.errors import BadInput

DRAFTS = made_drafts(20)


def take(desk: Desk, text: str) -> Imported:
    return import_decisions(desk._store, text, "bo.jsonl", DRAFTS)


def two_desks(tmp_path: Path) -> tuple[Desk, Desk]:
    """Ana's and Bo's: Ana has decided on the first 10 cards, Bo on all; they differ on two of the 10."""
    ana, bo = made_desk(tmp_path / "a", DRAFTS), made_desk(tmp_path / "b", DRAFTS, clock=ticking(7.0))
    ids = [pair_id for pair_id, _ in ana.cards("Ana")]
    for n, pair_id in enumerate(ids):
        if n < 10:
            decide(ana, "Ana", pair_id, "accept")
        if n == 2:
            decide(bo, "Bo", pair_id, "fix", "label-bo")
        elif n == 5:
            decide(bo, "Bo", pair_id, "delete")
        else:
            decide(bo, "Bo", pair_id, "accept")
    return ana, bo


def decide(desk: Desk, who: str, pair_id: str, kind: str, output: str | None = None) -> None:
    card = desk.card(who, pair_id, step="here")
    assert card is not None
    desk.decide(who, wish(card, kind, output))


def test_open_pairs_are_taken_equal_answers_agree_and_different_ones_must_be_settled(tmp_path: Path) -> None:
    ana, bo = two_desks(tmp_path)
    ids = [pair_id for pair_id, _ in ana.cards("Ana")]
    found = take(ana, export_decisions(bo._store))
    assert (found.taken, found.agreed, found.repeated, found.refused) == (10, 8, 0, ())
    assert found.conflicts == (ids[2], ids[5])
    standing = ana.standing("Ana")
    assert (standing.decided, standing.flagged, standing.can_close) == (18, 2, False)
    card = ana.card("Ana")
    assert card and card.pair_id == ids[2] and card.flagged
    assert "Ana answered" in card.note and "Bo answered “label-bo”" in card.note
    decide(ana, "Ana", ids[2], "fix", "label-bo")
    decide(ana, "Ana", ids[5], "accept")
    assert ana.flagged() == ()
    ana.close("Ana", "settled both with Bo")
    figures = ana.figures()
    assert (figures.between.n, figures.between.equal) == (10, 8)
    assert figures.self_agreement.n == 0 and figures.reviewers == ("Ana", "Bo")


def test_a_file_taken_twice_changes_nothing_and_neither_does_ones_own(tmp_path: Path) -> None:
    ana, bo = two_desks(tmp_path)
    text = export_decisions(bo._store)
    take(ana, text)
    before = ana._store.events()
    found = take(ana, text)
    assert (found.taken, found.agreed, found.conflicts, found.repeated) == (0, 0, (), 20)
    assert take(ana, export_decisions(ana._store)).taken == 0
    assert ana._store.events() == before
    back = take(bo, export_decisions(ana._store))
    assert back.repeated == 20 and back.conflicts == bo_conflicts(ana) and back.agreed == 8
    assert take(ana, export_decisions(bo._store)).conflicts == ()


def bo_conflicts(ana: Desk) -> tuple[str, ...]:
    ids = [pair_id for pair_id, _ in ana.cards("Ana")]
    return (ids[2], ids[5])


def test_a_change_of_mind_replaces_ones_own_answer_and_only_flags_a_settled_one(tmp_path: Path) -> None:
    ana, bo = two_desks(tmp_path)
    take(ana, export_decisions(bo._store))
    ids = [pair_id for pair_id, _ in ana.cards("Ana")]
    decide(bo, "Bo", ids[15], "fix", "label-later")
    decide(bo, "Bo", ids[0], "fix", "label-later")
    found = take(ana, export_decisions(bo._store))
    assert (found.taken, found.flagged, found.conflicts) == (1, 1, ())
    assert ana.view().now(ids[15]).decision.output == "label-later"
    now = ana.view().now(ids[0])
    assert now.state == "accept" and "label-later" in now.note
    assert take(ana, export_decisions(bo._store)).repeated == 20


def test_a_decision_on_another_draft_or_pair_is_refused_and_named(tmp_path: Path) -> None:
    ana, bo = two_desks(tmp_path)
    lines = [json.loads(line) for line in export_decisions(bo._store).splitlines()]
    lines[0]["pair_sha256"] = "sha256:" + "0" * 64
    lines[1]["pair_id"] = "nobody"
    found = take(ana, "".join(json.dumps(line) + "\n" for line in lines))
    assert [(left.place, left.reason.split(":")[0]) for left in found.refused] == [
        ("bo.jsonl:1", "its draft is another one here"),
        ("bo.jsonl:2", "no pair of this project"),
    ]
    assert found.taken + found.agreed + len(found.conflicts) == 18


def test_an_empty_desk_takes_everything_the_closes_too(tmp_path: Path) -> None:
    drafts = made_drafts(120)
    old = made_desk(tmp_path / "old", drafts, blind_share=0.2)
    card = old.card("Ana")
    assert card
    old.decide("Ana", wish(card, "flag", note="look again"))
    assert close_all(old, "Ana") == 3
    old_figures = old.figures()
    new = made_desk(tmp_path / "new", drafts, blind_share=0.2)
    found = import_decisions(new._store, export_decisions(old._store), "all.jsonl", drafts)
    assert found.refused == () and found.taken == 130
    assert new.figures() == old_figures and new.standing("Ana") == old.standing("Ana")
    assert export_decisions(new._store) == export_decisions(old._store)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "steal"}, "kind"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": "3"}, "seconds"),
        ({"reviewer": " "}, "reviewer"),
        ({"output": None}, "output: empty"),
        ({"at": "yesterday"}, "no time"),
        ({"pair_id": ""}, "pair_id"),
        ({"extra": 1}, "extra"),
        ({"batch": 0}, "batch 0"),
    ],
)
def test_a_line_that_is_no_decision_is_named_and_nothing_is_taken(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    ana, bo = two_desks(tmp_path)
    lines = [json.loads(line) for line in export_decisions(bo._store).splitlines()]
    lines[3] |= change
    before = ana._store.events()
    with pytest.raises(BadInput, match=rf"bo\.jsonl:4: .*{problem}"):
        take(ana, "".join(json.dumps(line) + "\n" for line in lines))
    assert ana._store.events() == before


@pytest.mark.parametrize(
    "text", ["no json\n", "[1]\n", '{"seq":1', '{"seq":1,"seq":2}\n', '{"seq":NaN}\n', "\x00\n"]
)
def test_what_is_no_json_line_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match=r"bo\.jsonl:1"):
        take(made_desk(tmp_path, DRAFTS), text)


def test_a_shown_again_answer_of_another_desk_stays_a_measure_of_its_reviewer(tmp_path: Path) -> None:
    drafts = made_drafts(120)
    ana, bo = made_desk(tmp_path / "a", drafts), made_desk(tmp_path / "b", drafts)
    answer_batch(ana, "Ana")
    close_all(bo, "Bo")
    import_decisions(ana._store, export_decisions(bo._store), "bo.jsonl", drafts)
    close_all(ana, "Ana")
    figures = ana.figures()
    assert figures.between.n == 50
    assert figures.self_agreement.n >= 10


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    desk = made_desk(tmp_path_factory.mktemp("desk"), DRAFTS)
    try:
        found = take(desk, text)
    except BadInput as error:
        assert "bo.jsonl:" in error.problem
    else:
        assert found.taken == 0 and not text.strip("\ufeff \t\r\n")
