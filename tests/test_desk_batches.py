"""Order, batches, blind pairs and pairs shown again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk_sample import close_all, made_desk, made_drafts
from sample import sample_case
from tuneproof.artifacts import Case, Drafts, TaskFile
from tuneproof.artifacts.case import ReviewSection, SplitSection
from tuneproof.desk_batches import Place, hash_order, interleaved, layout, pair_hash, shown_again
from tuneproof.desk_near import Nearness
from tuneproof.outside.desk_store import DeskStore
from tuneproof.steps.freeze import freeze
from tuneproof.steps.review import review
from tuneproof.twins import words


def places_of(drafts: Drafts) -> list[Place]:
    ordered = sorted(drafts.pairs, key=lambda pair: hash_order(pair.id))
    return [Place(i, pair.id, pair_hash(pair)) for i, pair in enumerate(ordered)]


def case_of(drafts: Drafts) -> Case:
    case = sample_case()
    data = case.task_file.model_dump(mode="json") | {"pressures": {}}
    data["data"] |= {"reviewed_by": None}
    return case.model_copy(update={"task_file": TaskFile.model_validate(data)})


def test_a_batch_has_50_pairs_in_hash_order_and_the_last_the_rest() -> None:
    drafts = made_drafts(120)
    plan = layout(drafts.pairs, places_of(drafts), ReviewSection(), SplitSection())
    assert [len(batch) for batch in plan.batches] == [50, 50, 20]
    ids = [pair_id for batch in plan.batches for pair_id in batch]
    assert all(hash_order(a) < hash_order(b) for a, b in pairwise(ids))


def test_drafts_that_come_later_move_no_pair_to_another_batch(tmp_path: Path) -> None:
    store, few, many = DeskStore(tmp_path / "desk.sqlite"), made_drafts(70), made_drafts(190)

    def plan_of(drafts: Drafts) -> dict[str, int]:
        places = store.arrange([(pair.id, pair_hash(pair)) for pair in drafts.pairs])
        return dict(layout(drafts.pairs, places, ReviewSection(), SplitSection()).batch_of)

    before, after = plan_of(few), plan_of(many)
    assert before and before.items() <= after.items()
    assert set(after.values()) == {1, 2, 3, 4}
    gone = Drafts(provenance=many.provenance, pairs=many.pairs[5:])
    assert plan_of(gone).items() <= after.items() and len(plan_of(gone)) == 185


@pytest.mark.parametrize(
    ("n", "share", "number"), [(500, 0.2, 30), (2000, 0.2, 80), (2000, 0, 0), (40, 1, 40)]
)
def test_at_least_30_of_the_future_test_are_answered_blind(n: int, share: float, number: int) -> None:
    drafts = made_drafts(n)
    plan = layout(drafts.pairs, places_of(drafts), ReviewSection(blind_share=share), SplitSection())
    assert len(plan.blind) == number


def test_of_a_group_the_pair_that_is_reviewed_first_is_blind_and_no_other() -> None:
    drafts = made_drafts(60)
    twins = [
        pair.model_copy(update={"id": f"{pair.id}-{n}", "input": f"{pair.input} more{n}"})
        for pair in drafts.pairs
        for n in "abc"
    ]
    many = Drafts(provenance=drafts.provenance, pairs=(*drafts.pairs, *twins))
    plan = layout(many.pairs, places_of(many), ReviewSection(blind_share=1), SplitSection())
    groups = [plan.group_of[pair_id] for pair_id in plan.blind]
    assert len(set(groups)) == len(groups) >= 20
    for pair_id in plan.blind:
        alike = [p for p in plan.pairs if plan.group_of[p] == plan.group_of[pair_id]]
        assert len(alike) == 4 and alike[0] == pair_id, "the order of `pairs` is that of the review"


@pytest.mark.parametrize(("n", "share"), [(400, 0.2), (1200, 0.5)])
def test_blind_pairs_end_in_the_test_of_the_frozen_split(tmp_path: Path, n: int, share: float) -> None:
    drafts = made_drafts(n)
    desk = made_desk(tmp_path, drafts, blind_share=share, again=0)
    delete_some(desk, every=9)
    reviewed = review(case_of(drafts), drafts, desk.view())
    assert reviewed.deleted == len(drafts.pairs) - len(reviewed.pairs) > n // 12
    split = freeze(case_of(drafts), reviewed)
    test = {item.id for item in split.test.items}
    assert len(reviewed.blind) >= 25
    assert set(reviewed.blind) <= test


def delete_some(desk: object, *, every: int) -> None:
    """Write the events of a whole review straight into the store: deletions, blind answers, closes."""
    from tuneproof.artifacts.desk import Decision
    from tuneproof.desk import Desk

    assert isinstance(desk, Desk)
    plan = desk.view().layout
    events = []
    for number, batch in enumerate(plan.batches, start=1):
        for i, pair_id in enumerate(batch):
            deleted = i % every == 0
            events.append(
                Decision(
                    seq=0,
                    at="2026-01-01T00:00:00+00:00",
                    reviewer="Ana",
                    kind="delete" if deleted else "fix",
                    batch=number,
                    pair_id=pair_id,
                    pair_sha256=plan.hashes[pair_id],
                    output=None if deleted else f"label-{i}",
                    blind=pair_id in plan.blind,
                )
            )
        events.append(
            Decision(
                seq=0,
                at="2026-01-01T00:00:00+00:00",
                reviewer="Ana",
                kind="close",
                batch=number,
                note="x y z",
            )
        )
    desk._store.append_all(lambda _: events)


@given(own=st.integers(0, 60), again=st.integers(0, 8))
def test_cards_shown_again_are_spread_and_none_is_lost(own: int, again: int) -> None:
    mine, others = [f"o{i}" for i in range(own)], [f"a{i}" for i in range(again)]
    found = interleaved(mine, others)
    assert [x for x in found if x[0] == "o"] == mine and [x for x in found if x[0] == "a"] == others
    if own >= 2 * (again + 1) and again:
        assert found[0] in mine and found[-1] in mine
        assert not any(a[0] == b[0] == "a" for a, b in pairwise(found))


@given(st.sets(st.integers(0, 300).map(str), max_size=60), st.integers(2, 9), st.integers(0, 9))
def test_what_was_answered_stays_among_those_shown_again(pool: set[str], batch: int, count: int) -> None:
    chosen = shown_again(batch, count, answered=(), candidates=pool)
    assert len(chosen) == min(count, len(pool)) and set(chosen) <= pool
    answered = chosen[: len(chosen) // 2]
    later = shown_again(batch, count, answered=answered, candidates=pool - set(answered))
    assert later == chosen, "an answer moves no card"
    assert shown_again(1, count, answered=(), candidates=pool) == ()


def test_other_batches_show_other_pairs(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(200))
    close_all(desk, "Ana")
    agains = [(event.batch, event.pair_id) for event in desk._store.events() if event.kind == "again"]
    assert [batch for batch, _ in agains] == [2] * 5 + [3] * 5 + [4] * 5
    assert len({pair_id for _, pair_id in agains}) == 15
    batch_of = desk.view().layout.batch_of
    assert all(batch_of[pair_id] < batch for batch, pair_id in agains)


@given(st.lists(st.text("ab cd", max_size=12), min_size=1, max_size=8))
def test_nearness_is_the_jaccard_of_the_word_sets(texts: list[str]) -> None:
    nearness = Nearness(texts)
    for i, text in enumerate(texts):
        own = set(words(text))
        expected = {}
        for j, other in enumerate(texts):
            union = own | set(words(other))
            if j != i and own & set(words(other)):
                expected[j] = len(own & set(words(other))) / len(union)
        found = nearness.beside(i, at_least=0.05)
        assert {near.row: near.similarity for near in found} == pytest.approx(expected)
        assert [near.similarity for near in found] == sorted(expected.values(), reverse=True)
