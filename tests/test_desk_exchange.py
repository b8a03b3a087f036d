"""Decisions out of one desk and into another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk_sample import CHECKS, answer_batch, close_all, made_desk, made_drafts, ticking, wish
from test_desk_batches import case_of
from tuneproof.desk import Desk
from tuneproof.desk_exchange import Imported, export_decisions, import_decisions
from tuneproof.errors import BadInput, NotReady
from tuneproof.steps.review import review

DRAFTS = made_drafts(20)


def take(desk: Desk, text: str) -> Imported:
    return import_decisions(desk._store, text, "bo.jsonl", desk.view().layout, CHECKS.problem_of)


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


def test_after_a_lost_disk_the_decisions_come_back_and_each_batch_is_closed_by_a_note(tmp_path: Path) -> None:
    drafts = made_drafts(120)
    old = made_desk(tmp_path / "old", drafts, blind_share=0.2)
    card = old.card("Ana")
    assert card
    old.decide("Ana", wish(card, "flag", note="look again"))
    assert close_all(old, "Ana") == 3
    before = old.figures()
    new = made_desk(tmp_path / "new", drafts, blind_share=0.2)
    found = take(new, export_decisions(old._store))
    assert (found.refused, found.taken, found.closes, found.malformed) == ((), 130, 3, ())
    assert [event.kind for event in new._store.events()].count("close") == 0
    standing = new.standing("Ana")
    assert (standing.decided, standing.batch, standing.can_close) == (120, 1, True)
    assert take(new, export_decisions(old._store)).repeated == 130
    for batch in (1, 2, 3):
        assert answer_batch(new, "Ana") == 0, "nothing has to be answered twice"
        assert new.close("Ana", f"batch {batch} is as it was").batch == batch
    after = new.figures()
    assert (before.imported, after.imported) == (0, 120)
    kept = {"self_agreement", "hidden", "hidden_equal", "shown", "shown_kept", "median_seconds"}
    assert after.model_dump(include=kept) == before.model_dump(include=kept) and after.hidden == 30
    assert new.flagged() == old.flagged()


def test_a_forged_file_closes_nothing_and_is_believed_in_nothing_that_can_be_seen_here(
    tmp_path: Path,
) -> None:
    desk = made_desk(tmp_path, DRAFTS)
    plan = desk.view().layout
    usual = {"at": "2026-01-01T00:00:00+00:00", "reviewer": "Ana", "batch": 1, "blind": True, "seconds": 9.0}
    lines = [
        usual | {"seq": n, "kind": "accept", "pair_id": p, "pair_sha256": plan.hashes[p], "output": "EVIL"}
        for n, p in enumerate(plan.pairs, start=1)
    ]
    lines.append(usual | {"seq": 99, "kind": "close", "note": "all of it fine", "blind": False})
    found = take(desk, "".join(json.dumps(line) + "\n" for line in lines))
    assert (found.taken, found.closes, len(found.malformed)) == (20, 1, 20)
    events = [event for event in desk._store.events() if event.kind != "flag"]
    assert {(e.kind, e.blind, e.imported) for e in events} == {("fix", False, True)}
    assert not desk.standing("Ana").done and desk.standing("Ana").flagged == 20
    with pytest.raises(NotReady, match="not closed"):
        review(case_of(DRAFTS), DRAFTS, desk.view())
    desk.close("Bo", "closed by Bo here")
    figures = desk.figures()
    assert (figures.imported, figures.hidden, figures.batches[0].accepted) == (20, 0, 0)
    statement = review(case_of(DRAFTS), DRAFTS, desk.view()).statement
    assert "reviewed here" not in statement and "20 fixed" in statement
    assert "of them 20 taken over from a file" in statement


def test_a_later_answer_from_a_file_opens_a_closed_batch_until_it_is_closed_here(tmp_path: Path) -> None:
    desk = made_desk(tmp_path / "a", DRAFTS)
    close_all(desk, "Ana")
    event = next(e for e in desk._store.events() if e.kind == "accept")
    late = {"at": "2027-01-01T00:00:00+00:00", "output": "label-late", "kind": "fix", "seq": 1}
    assert take(desk, json.dumps(event.model_dump(mode="json") | late) + "\n").taken == 1
    assert (desk.standing("Ana").done, desk.standing("Ana").can_close) == (False, True)
    desk.close("Ana", "took the later answer")
    assert desk.standing("Ana").done and desk.figures().imported == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "steal"}, "kind"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": "3"}, "seconds"),
        ({"reviewer": " "}, "reviewer"),
        ({"output": None}, "output: empty"),
        ({"at": "yesterday"}, "no time"),
        ({"at": "2026-01-01T00:00:00"}, "no time"),
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
    take(ana, export_decisions(bo._store))
    close_all(ana, "Ana")
    figures = ana.figures()
    assert figures.between.n == 50 and figures.imported == 70
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
