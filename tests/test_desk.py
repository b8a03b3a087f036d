"""The desk as the page and the terminal use it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from desk_sample import answer_batch, close_all, made_desk, made_drafts, wish
from test_desk_batches import case_of
from tuneproof.artifacts import Drafts, Pair
from tuneproof.artifacts.desk import Card, Wish
from tuneproof.desk import BadWish, Conflict
from tuneproof.errors import NotReady
from tuneproof.steps.review import review


def the(card: Card | None) -> Card:
    assert card is not None
    return card


def with_output(drafts: Drafts, pair_id: str, output: str) -> Drafts:
    pairs = tuple(
        pair.model_copy(update={"output": output}) if pair.id == pair_id else pair for pair in drafts.pairs
    )
    return drafts.model_copy(update={"pairs": pairs})


def test_accept_fix_and_delete_are_kept_with_their_output_and_time(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(5))
    kinds = []
    for kind, output in (("accept", None), ("fix", "label-9"), ("delete", None)):
        card = the(desk.card("Ana"))
        decision = desk.decide("Ana", wish(card, kind, output, seconds=2.5))
        kinds.append((decision.kind, decision.output, decision.seconds, decision.version))
        after = the(desk.card("Ana", card.pair_id, step="here"))
        assert (after.state, after.version, after.decided_by) == (kind, 1, "Ana")
    assert [kind for kind, *_ in kinds] == ["accept", "fix", "delete"]
    assert kinds[1][1:] == ("label-9", 2.5, 1) and kinds[2][1] is None
    again = made_desk(tmp_path, made_drafts(5))
    standing = again.standing("Ana")
    assert (standing.accepted, standing.fixed, standing.deleted, standing.in_batch) == (1, 1, 1, 3)
    assert standing.median_seconds == 2.5 and not standing.can_close


def test_a_fix_that_changes_nothing_is_an_accept(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(2))
    card = the(desk.card("Ana"))
    assert desk.decide("Ana", wish(card, "fix", card.draft)).kind == "accept"


@pytest.mark.parametrize(
    ("kind", "output"),
    [("fix", ""), ("fix", " \n"), ("fix", None), ("accept", "label-99"), ("again", "label-1")],
)
def test_a_wish_that_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, kind: str, output: str | None
) -> None:
    desk = made_desk(tmp_path, made_drafts(2))
    with pytest.raises(BadWish):
        desk.decide("Ana", wish(the(desk.card("Ana")), kind, output))
    assert desk.standing("Ana").decided == 0
    for name in ("", " ", "a\nb", "x" * 201):
        with pytest.raises(BadWish, match="no name"):
            desk.decide(name, wish(the(desk.card("Ana")), "accept"))


def test_the_second_of_two_tabs_gets_the_pair_as_it_stands_and_overwrites_nothing(tmp_path: Path) -> None:
    one, other = made_desk(tmp_path, made_drafts(5)), made_desk(tmp_path, made_drafts(5))
    seen, too = the(one.card("Ana")), the(other.card("Bo"))
    one.decide("Ana", wish(seen, "fix", "label-7"))
    with pytest.raises(Conflict, match="by Ana") as caught:
        other.decide("Bo", wish(too, "fix", "label-8"))
    card = the(caught.value.card)
    assert (card.output, card.state, card.version) == ("label-7", "fix", 1)
    other.decide("Bo", wish(card, "fix", "label-8"))
    assert the(one.card("Ana", seen.pair_id, step="here")).output == "label-8"


def test_undo_gives_back_what_was_before_and_takes_no_event_away(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(5))
    assert desk.undo("Ana") is None
    card = the(desk.card("Ana"))
    desk.decide("Ana", wish(card, "fix", "label-7"))
    desk.decide("Ana", wish(the(desk.card("Ana", card.pair_id, step="here")), "delete"))
    assert the(desk.undo("Ana")).output == "label-7"
    assert (the(desk.undo("Ana")).state, desk.undo("Ana")) == ("open", None)
    assert [event.kind for event in desk._store.events()] == ["fix", "delete", "undo", "undo"]


def test_nobody_undoes_what_another_decided(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(5))
    card = the(desk.card("Ana"))
    desk.decide("Ana", wish(card, "accept"))
    desk.decide("Bo", wish(the(desk.card("Bo", card.pair_id, step="here")), "delete"))
    with pytest.raises(BadWish, match="Bo decided on it since"):
        desk.undo("Ana")
    assert the(desk.card("Ana", card.pair_id, step="here")).state == "delete"


def test_a_flag_is_kept_beside_the_decision_until_it_is_taken_away(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(5))
    card = the(desk.card("Ana"))
    desk.decide("Ana", wish(card, "flag", note="ask Bo"))
    desk.decide("Ana", wish(the(desk.card("Ana", card.pair_id, step="here")), "accept"))
    assert desk.flagged() == ((card.pair_id, "ask Bo"),) and desk.standing("Ana").flagged == 1
    desk.decide("Ana", wish(the(desk.card("Ana", card.pair_id, step="here")), "unflag"))
    assert desk.flagged() == () and the(desk.card("Ana", card.pair_id, step="here")).state == "accept"


def test_a_hidden_draft_shows_nowhere_until_it_is_answered(tmp_path: Path) -> None:
    drafts = made_drafts(40)
    marked = tuple(p.model_copy(update={"output": f"label-secret-{p.id}"}) for p in drafts.pairs)
    desk = made_desk(tmp_path, drafts.model_copy(update={"pairs": marked}), blind_share=1)
    card = the(desk.card("Ana"))
    assert card.blind and card.draft is None and card.output == ""
    assert "secret" not in card.model_dump_json()
    with pytest.raises(BadWish, match="empty"):
        desk.decide("Ana", wish(card, "accept"))
    decision = desk.decide("Ana", wish(card, "accept", "label-3"))
    assert (decision.kind, decision.blind, decision.output) == ("fix", True, "label-3")
    after = the(desk.card("Ana", card.pair_id, step="here"))
    assert after.draft == f"label-secret-{card.pair_id}" and after.output == "label-3" and after.blind


def test_an_answer_after_a_look_at_the_draft_is_not_blind(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(40), blind_share=1)
    card = the(desk.card("Ana"))
    desk.decide("Ana", wish(card, "fix", "label-x"))
    undone = the(desk.undo("Ana"))
    assert undone.draft is not None and undone.state == "open"
    assert not desk.decide("Ana", wish(undone, "accept")).blind
    answer_batch(desk, "Ana")
    desk.close("Ana", "looked at one draft")
    figures = desk.figures()
    assert (figures.hidden, figures.shown) == (40, 0), "its first answer is what was given blind"
    drafts = made_drafts(40)
    reviewed = review(case_of(drafts), drafts, desk.view())
    assert card.pair_id not in reviewed.blind and len(reviewed.blind) == 39


def test_a_batch_is_closed_with_words_once_every_card_is_decided(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(60))
    with pytest.raises(NotReady, match="50 undecided of 50"):
        desk.close("Ana", "much too early now")
    assert desk.standing("Ana").reminder == ""
    assert answer_batch(desk, "Ana") == 50
    outside = next(p for p, batch in desk.view().layout.batch_of.items() if batch == 2)
    assert desk.card("Ana", outside, step="here") is None
    with pytest.raises(BadWish, match="not among"):
        desk.decide("Ana", Wish(pair_id=outside, kind="accept", version=0))
    with pytest.raises(BadWish, match="fewer than 3 words"):
        desk.close("Ana", "fine so")
    summary = desk.close("Ana", "mostly right labels")
    assert (summary.pairs, summary.accepted, summary.note) == (50, 50, "mostly right labels")
    standing = desk.standing("Ana")
    assert (standing.batch, standing.of_batch) == (2, 15)
    assert "Standards drift" in standing.reminder and "mostly right labels" in standing.reminder
    desk.decide("Ana", wish(the(desk.card("Ana")), "accept"))
    assert desk.standing("Ana").reminder == ""
    answer_batch(desk, "Ana")
    desk.close("Ana", "the last of them")
    assert desk.standing("Ana").done and desk.card("Ana") is None
    with pytest.raises(NotReady, match="All batches are closed"):
        desk.close("Ana", "once more for luck")


def test_a_pair_shown_again_hides_what_was_decided_and_a_different_answer_flags_it(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(100))
    while not desk.standing("Ana").can_close:
        desk.decide("Ana", wish(the(desk.card("Ana")), "fix", "label-decided"))
    desk.close("Ana", "all of them fixed")
    ids = [pair_id for pair_id, _ in desk.cards("Ana")]
    again = [the(desk.card("Ana", p, step="here")) for p in ids if desk.view().layout.batch_of[p] == 1]
    assert len(again) == 5 and len(ids) == 55
    for card in again:
        assert card.again and card.state == "open" and not card.decided_by and not card.note
        assert card.output == card.draft != "label-decided"
        with pytest.raises(BadWish, match="shown again"):
            desk.decide("Ana", wish(card, "accept"))
    desk.decide("Ana", wish(again[0], "again", "label-decided"))
    desk.decide("Ana", wish(again[1], "again", "label-other"))
    desk.decide("Ana", wish(again[2], "again"))
    agreement = desk.standing("Ana").self_agreement
    assert (agreement.n, agreement.equal) == (3, 1)
    assert {p for p, _ in desk.flagged()} == {again[1].pair_id, again[2].pair_id}
    with pytest.raises(BadWish, match="a measure"):
        desk.undo("Ana")
    with pytest.raises(BadWish, match="answered already"):
        desk.decide("Ana", wish(the(desk.card("Ana", again[0].pair_id, step="here")), "again", "x"))
    assert desk.view().now(again[1].pair_id).state == "fix", "the pair itself is as it was"
    settled = the(desk.card("Ana", again[1].pair_id, step="here"))
    assert "label-other" in settled.note and "label-decided" in settled.note
    desk.decide("Ana", wish(settled, "fix", "label-other"))
    assert {p for p, _ in desk.flagged()} == {again[2].pair_id}
    assert desk.view().now(again[1].pair_id).decision.batch == 1
    assert desk.standing("Ana").batch == 2, "settling opens no batch again"
    assert not any(desk.view().layout.batch_of[p] == 1 for p, _ in desk.cards("Bo")), (
        "Bo decided none of them"
    )


def test_next_and_previous_go_card_by_card_and_end(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(4))
    ids = [pair_id for pair_id, _ in desk.cards("Ana")]
    card, walked = desk.card("Ana"), []
    while card is not None:
        walked.append(card.pair_id)
        assert (card.position, card.of) == (len(walked), 4)
        card = desk.card("Ana", card.pair_id, step="next")
    assert walked == ids
    assert desk.card("Ana", ids[0], step="previous") is None
    assert the(desk.card("Ana", ids[2], step="previous")).pair_id == ids[1]


def test_a_changed_draft_is_open_again_and_a_pair_that_is_gone_does_not_count(tmp_path: Path) -> None:
    drafts = made_drafts(60)
    assert close_all(made_desk(tmp_path, drafts), "Ana") == 2
    one = drafts.pairs[7].id
    changed = made_desk(tmp_path, with_output(drafts, one, "label-new"))
    standing = changed.standing("Ana")
    assert (standing.decided, standing.done) == (59, False)
    card = the(changed.card("Ana"))
    assert (card.pair_id, card.output, card.version) == (one, "label-new", 1)
    changed.decide("Ana", wish(card, "accept"))
    assert not changed.standing("Ana").done, "its batch wants a closing word again"
    answer_batch(changed, "Ana")
    changed.close("Ana", "one draft was new")
    assert changed.standing("Ana").done
    fewer = drafts.model_copy(update={"pairs": drafts.pairs[8:]})
    assert (
        made_desk(tmp_path, fewer).standing("Ana").total,
        made_desk(tmp_path, fewer).standing("Ana").done,
    ) == (52, True)


def test_near_twins_and_the_nearest_decided_pairs_stand_beside_a_card(tmp_path: Path) -> None:
    drafts = made_drafts(12)
    base = drafts.pairs[0]
    twin = Pair(id="twin", input=base.input + " more@x", output="label-1", source="in.jsonl:99")
    desk = made_desk(tmp_path, drafts.model_copy(update={"pairs": (*drafts.pairs, twin)}))
    card = the(desk.card("Ana", "twin", step="here"))
    assert [(n.pair_id, n.state) for n in card.twins] == [(base.id, "open")]
    assert card.twins[0].similarity == pytest.approx(8 / 10, abs=1e-3)
    assert [(f.where, f.kind) for f in card.findings] == [("input", "email address")]
    assert desk.check("twin", "nonsense") == ("no label",) and desk.check("twin", "label-2") == ()
    assert all(n.state in ("accept", "fix") for n in card.nearest)


def test_a_card_among_2000_pairs_takes_under_20_ms(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(2000), blind_share=0.2)
    answer_batch(desk, "Ana")
    desk.close("Ana", "a first fast batch")
    times = []
    for pair_id, _ in desk.cards("Ana"):
        began = time.process_time()
        desk.card("Ana", pair_id, step="here")
        times.append(time.process_time() - began)
    assert len(times) >= 50 and sorted(times)[len(times) // 2] < 0.02


def test_the_step_names_who_reviewed_and_refuses_what_is_not_closed(tmp_path: Path) -> None:
    drafts = made_drafts(70)
    case, desk = case_of(drafts), made_desk(tmp_path, drafts)
    with pytest.raises(NotReady, match="no person has seen them"):
        review(case, drafts)
    answer_batch(desk, "Ana")
    with pytest.raises(NotReady, match="20 of 70 pairs are undecided, and batch 1 of 2"):
        review(case, drafts, desk.view(), closed_only=True)
    desk.close("Bo", "closed by another person")
    with pytest.raises(NotReady, match="batch 2 of 2"):
        review(case, drafts, desk.view())
    part = review(case, drafts, desk.view(), closed_only=True)
    assert len(part.pairs) == 50 and part.figures and part.figures.left_unreviewed == 20
    assert part.statement.endswith("; 20 not reviewed and left out")
    desk.decide("Bo", wish(the(desk.card("Bo")), "delete"))
    desk.decide("Bo", wish(the(desk.card("Bo")), "fix", "label-77"))
    answer_batch(desk, "Bo")
    desk.close("Bo", "all the others right")
    whole = review(case, drafts, desk.view())
    assert whole.statement == (
        "reviewed here, pair by pair, by Ana and Bo in 2 batches; 68 kept as drafted, 1 fixed, 1 deleted"
    )
    assert (whole.accepted, whole.fixed, whole.deleted, len(whole.pairs)) == (68, 1, 1, 69)
    assert [p.output for p in whole.pairs].count("label-77") == 1


def test_decisions_of_a_program_are_called_that(tmp_path: Path) -> None:
    drafts = made_drafts(20)
    desk = made_desk(tmp_path, drafts)
    answer_batch(desk, "robot", driven=True)
    desk.close("robot", "done without a person")
    assert "decided by a program under the name of robot, seen by no person," in (
        review(case_of(drafts), drafts, desk.view()).statement
    )


class DeskMachine(RuleBasedStateMachine):
    """Two reviewers at two desks on one store, against a plain model of every pair."""

    @initialize()
    def start(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory(prefix="desk-")
        drafts = made_drafts(4)
        self.desks = {name: made_desk(Path(self.folder.name), drafts) for name in ("Ana", "Bo")}
        self.drafts = {pair.id: pair.output for pair in drafts.pairs}
        self.model: dict[str, list[tuple[str, str | None]]] = {pair_id: [] for pair_id in self.drafts}
        self.order: list[tuple[str, str]] = []
        self.seen: dict[tuple[str, str], Card] = {}
        self.changes = dict.fromkeys(self.drafts, 0)

    @rule(who=st.sampled_from(["Ana", "Bo"]), pair=st.integers(0, 3))
    def look(self, who: str, pair: int) -> None:
        pair_id = list(self.drafts)[pair]
        self.seen[who, pair_id] = the(self.desks[who].card(who, pair_id, step="here"))

    @rule(
        who=st.sampled_from(["Ana", "Bo"]),
        pair=st.integers(0, 3),
        kind=st.sampled_from(["accept", "fix", "delete"]),
    )
    def decide(self, who: str, pair: int, kind: str) -> None:
        pair_id = list(self.drafts)[pair]
        card = self.seen.get((who, pair_id))
        if card is None:
            return
        output = f"label-{who}-{len(self.order)}" if kind == "fix" else None
        try:
            self.desks[who].decide(who, wish(card, kind, output))
        except Conflict as conflict:
            assert card.version != self.changes[pair_id] == the(conflict.card).version
            return
        assert card.version == self.changes[pair_id]
        self.model[pair_id].append((who, self.drafts[pair_id] if kind == "accept" else output))
        self.order.append((who, pair_id))
        self.changes[pair_id] += 1

    @rule(who=st.sampled_from(["Ana", "Bo"]))
    def undo(self, who: str) -> None:
        own = [pair_id for name, pair_id in self.order if name == who]
        try:
            card = self.desks[who].undo(who)
        except BadWish:
            assert own and self.model[own[-1]][-1][0] != who
            return
        assert (card is None) == (not own)
        if card is not None:
            assert card.pair_id == own[-1] and self.model[card.pair_id].pop()[0] == who
            del self.order[len(self.order) - 1 - self.order[::-1].index((who, card.pair_id))]
            self.changes[card.pair_id] += 1

    @invariant()
    def every_desk_shows_the_model(self) -> None:
        for name, desk in getattr(self, "desks", {}).items():
            for pair_id, states in self.model.items():
                decision = desk.view().now(pair_id).decision
                assert (decision and (decision.reviewer, decision.output)) == (states[-1] if states else None)
            assert desk.standing(name).decided == sum(bool(states) for states in self.model.values())

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestDeskMachine = DeskMachine.TestCase
TestDeskMachine.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)


def test_both_close_a_batch_at_once_and_it_is_closed_once_for_all(tmp_path: Path) -> None:
    one, other = made_desk(tmp_path, made_drafts(20)), made_desk(tmp_path, made_drafts(20))
    answer_batch(one, "Ana")
    one.close("Ana", "closed by Ana first")
    with pytest.raises(NotReady, match="All batches are closed"):
        other.close("Bo", "closed by Bo second")
    closes = [event for event in one._store.events() if event.kind == "close"]
    assert [event.reviewer for event in closes] == ["Ana"]


def test_a_close_that_meets_an_undo_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, other = made_desk(tmp_path, made_drafts(3)), made_desk(tmp_path, made_drafts(3))
    answer_batch(desk, "Ana")
    append, met = desk._store.append, []

    def append_late(event: object, **more: object) -> object:
        if not met:
            met.append(other.undo("Ana"))
        return append(event, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(desk._store, "append", append_late)
    with pytest.raises(NotReady, match="1 undecided of 3"):
        desk.close("Ana", "nothing special at all")
    assert met
