"""Figures of a review: kappa, Newcombe's interval, edit distance, alarms, anchoring."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from desk_sample import answer_batch, close_all, made_desk, made_drafts, wish
from tuneproof.artifacts.desk import Decision
from tuneproof.desk_figures import agreement, alarm_of, edit_share
from tuneproof.statistics import newcombe, wilson


def test_kappa_is_what_it_is_by_hand() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: p_o = .7, p_e = .5·.6 + .5·.4 = .5, κ = .4 (n = 50)."""
    twice = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = agreement(twice)
    assert (found.n, found.equal) == (50, 35)
    assert found.kappa == pytest.approx(0.4)
    # Wilson's interval of 35/50 by its formula, put through (x − .5) / .5
    z = 1.959964
    centre = (0.7 + z**2 / 100) / (1 + z**2 / 50)
    half = z * (0.7 * 0.3 / 50 + z**2 / (4 * 50**2)) ** 0.5 / (1 + z**2 / 50)
    assert found.interval is not None
    assert found.interval.low == pytest.approx((centre - half - 0.5) / 0.5, abs=1e-6)
    assert found.interval.high == pytest.approx((centre + half - 0.5) / 0.5, abs=1e-6)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
@example([("a", "a"), ("b", "b"), ("c", "c")])
@example([("a", "b"), ("b", "a")])
def test_the_interval_of_kappa_holds_it_and_is_never_a_point(twice: list[tuple[str, str]]) -> None:
    found = agreement(twice)
    if found.kappa is None:
        assert found.interval is None
        return
    assert found.interval is not None
    low, high = found.interval.low, found.interval.high
    assert -1 <= low <= max(found.kappa, -1) + 1e-9 and found.kappa <= high + 1e-9 <= 1 + 2e-9
    assert high - low > 0.02 or high == low == -1


def test_three_equal_answers_of_three_are_no_certainty() -> None:
    found = agreement([("a", "a"), ("b", "b"), ("c", "c")])
    assert found.kappa == 1 and found.interval is not None
    assert found.interval.low == pytest.approx((wilson(3, 3).low - 1 / 3) / (2 / 3))
    assert (round(found.interval.low, 2), found.interval.high) == (0.16, 1.0)


def test_kappa_equals_statsmodels_where_all_answers_are_of_few_kinds() -> None:
    from statsmodels.stats.inter_rater import cohens_kappa

    chance = random.Random(4)
    compared = 0
    for _ in range(50):
        twice = [(chance.choice("abc"), chance.choice("abcc")) for _ in range(chance.randrange(5, 60))]
        table = [[twice.count((x, y)) for y in "abc"] for x in "abc"]
        found = agreement(twice)
        if found.kappa is not None:
            assert found.kappa == pytest.approx(cohens_kappa(table).kappa, abs=1e-12)
            compared += 1
    assert compared >= 45


def test_a_width_of_kappa_in_the_reference_is_met() -> None:
    """κ = .8 with n = 50, 100, 200 gives ± .17, .12, .08 (reference A2), two equally common answers."""
    for n, half in ((50, 0.17), (100, 0.12), (200, 0.08)):
        right, wrong = n * 9 // 10, n // 10
        twice = [("y", "y")] * (right // 2) + [("n", "n")] * (right - right // 2)
        twice += [("y", "n")] * (wrong // 2) + [("n", "y")] * (wrong - wrong // 2)
        found = agreement(twice)
        assert found.n == n and found.kappa == pytest.approx(0.8, abs=0.001) and found.interval
        assert (found.interval.high - found.interval.low) / 2 == pytest.approx(half, abs=0.005)


def test_kappa_is_none_where_chance_alone_agrees_always_or_nothing_was_answered() -> None:
    assert agreement([]).kappa is None
    found = agreement([("a", "a")] * 9)
    assert (found.n, found.equal, found.kappa, found.interval) == (9, 9, None, None)
    assert agreement([(None, None)] * 3).kappa is None


def test_white_space_is_no_disagreement_and_a_deletion_is_no_empty_text() -> None:
    assert agreement([("a  b\n", " a b"), ("x", "y")]).equal == 1
    assert agreement([(None, ""), ("x", "x")]).equal == 1


def test_newcombe_method_10_gives_the_published_interval() -> None:
    """Newcombe (1998), table II, 56/70 − 48/80: 0.0524 to 0.3339; 9/10 − 3/10: 0.1705 to 0.8090."""
    for counts, low, high in (((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090)):
        found = newcombe(*counts)
        assert found is not None
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert newcombe(3, 5, 0, 0) is None and newcombe(0, 0, 3, 5) is None


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 1), st.floats(0, 1))
def test_newcombe_equals_statsmodels(n: int, m: int, p: float, q: float) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep

    k, j = round(p * n), round(q * m)
    found = newcombe(k, n, j, m)
    low, high = confint_proportions_2indep(k, n, j, m, method="newcomb", compare="diff")
    assert found is not None
    assert found.low == pytest.approx(low, abs=1e-9) and found.high == pytest.approx(high, abs=1e-9)
    assert -1 - 1e-12 <= found.low <= k / n - j / m <= found.high <= 1 + 1e-12


@settings(max_examples=300, deadline=None)
@given(st.text("abc\n", max_size=12), st.text("abc\n", max_size=12))
@example("kitten", "sitting")
@example("", "")
@example("a" * 70, "b" * 65)
def test_the_edit_distance_is_that_of_the_table(one: str, other: str) -> None:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    assert edit_share(one, other) == pytest.approx(row[-1] / max(len(one), len(other), 1))


def test_a_very_long_text_is_compared_in_words_and_quickly() -> None:
    text = " ".join(f"word{i}" for i in range(15_000))
    assert 0 < edit_share(text, text.replace("word7 ", "other ")) < 0.001


def decisions(n: int, *, fixed: int = 0, seconds: float = 3.0, step: float = 10.0) -> list[Decision]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Decision(
            seq=i + 1,
            at=(start + timedelta(seconds=i * step)).isoformat(),
            reviewer="Ana",
            kind="fix" if i < fixed else "accept",
            batch=1,
            pair_id=f"p{i}",
            output="x",
            seconds=seconds,
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("n", "fixed", "seconds", "step", "alarmed"),
    [
        (20, 0, 3.9, 10, True),
        (19, 0, 1.0, 1, False),
        (20, 0, 4.0, 10, False),
        (40, 2, 1.0, 10, False),
        (50, 2, 3.0, 10, True),
        (50, 0, 9.0, 1.8, True),
        (50, 0, 9.0, 2.0, False),
        (50, 1, 9.0, 1.0, False),
    ],
)
def test_a_rubber_stamp_is_called_by_rate_and_pace_or_by_a_whole_batch_at_once(
    n: int, fixed: int, seconds: float, step: float, alarmed: bool
) -> None:
    assert bool(alarm_of(decisions(n, fixed=fixed, seconds=seconds, step=step), of=n)) is alarmed


def test_half_a_batch_at_once_is_no_whole_batch() -> None:
    assert not alarm_of(decisions(25, seconds=9.0, step=1.0), of=50)


def test_the_anchoring_gap_counts_first_answers_and_drafts_that_went_on(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(200), blind_share=0.2, again=0)
    hidden = equal = 0
    while (card := desk.card("Ana")) is not None:
        if card.draft is None:
            hidden += 1
            output = desk.view().layout.pairs[card.pair_id].output if hidden % 3 == 0 else "label-x"
            equal += hidden % 3 == 0
            desk.decide("Ana", wish(card, "fix", output))
        else:
            desk.decide("Ana", wish(card, "accept"))
        if desk.standing("Ana").can_close:
            desk.close("Ana", "one more batch done")
    figures = desk.figures()
    assert hidden == 30 and (figures.hidden, figures.hidden_equal) == (hidden, equal)
    assert (figures.shown, figures.shown_kept) == (170, 170)
    expected = newcombe(170, 170, equal, hidden)
    assert figures.anchoring == expected and expected is not None and expected.low > 0.3


def test_figures_count_closed_batches_only_and_name_what_a_program_did(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(120))
    answer_batch(desk, "Ana")
    assert desk.figures().batches == () and desk.figures().left_unreviewed == 120
    desk.close("Ana", "a plain first batch")
    card = desk.card("Ana")
    assert card
    desk.decide("Ana", wish(card, "fix", "label-0 more"), driven=True)
    figures = desk.figures()
    assert (len(figures.batches), figures.left_unreviewed, figures.driven) == (1, 70, False)
    close_all(desk, "Ana")
    figures = desk.figures()
    assert figures.driven and [batch.driven for batch in figures.batches] == [False, True, False]
    assert figures.batches[1].edit_share == pytest.approx(5 / 12, abs=0.15)
    assert figures.reviewers == ("Ana",) and figures.left_unreviewed == 0


def test_a_first_answer_that_a_program_gave_counts_as_a_programs_even_when_a_person_decided_since(
    tmp_path: Path,
) -> None:
    desk = made_desk(tmp_path, made_drafts(30), blind_share=1)
    card = desk.card("Ana")
    assert card
    desk.decide("Ana", wish(card, "fix", "label-1"), driven=True)
    desk.undo("Ana")
    answer_batch(desk, "Ana")
    desk.close("Ana", "one by a program")
    figures = desk.figures()
    assert figures.hidden == 30 and figures.driven and not figures.batches[0].driven
    assert desk.standing("Ana").driven and not desk.standing("Bo").driven
