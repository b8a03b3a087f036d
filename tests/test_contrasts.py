"""Differences between arms, against sums done by hand and against the statistics called directly."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compare_sample import reply_to
from sample import sample_case, sample_split
from tuneproof.arms import Table, result_of
from tuneproof.artifacts import Arm, Item, Reply, TestSet
from tuneproof.contrasts import (
    Scored,
    contrast_of,
    controls_of,
    equality_of,
    family,
    file_steps,
    gate_of,
    outcome_of,
    reversed_p,
    seed_spread,
)
from tuneproof.planning import holm, items_needed_for_equality, items_needed_for_gain
from tuneproof.resampling import bca_interval, cluster_difference_interval, sign_flip_p
from tuneproof.scoring import scorer_of
from tuneproof.statistics import mid_p_mcnemar, tango, wilson

CASE, SPLIT = sample_case(), sample_split()
SCORER = scorer_of(CASE.task_file)
KINDS = {"base": "base", "adapter": "tuned", "f16": "tuned", "majority": "rival", "frontier": "frontier"}


def kind_of(name: str) -> str:
    word = name.split("-")[0]
    return {"seed": "seed", "control": "control"}.get(word) or KINDS.get(name, "tuned")


def scored_of(
    right: Mapping[str, Sequence[bool]],
    *,
    groups: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    titles: Mapping[str, str] = {},
    texts: Mapping[str, Sequence[str]] = {},
) -> Scored:
    """Arms by which items they have right; a name that ends in `-r2` is a repeat and no arm."""
    n = len(next(iter(right.values())))
    expected = labels or ["mit"] * n
    items = tuple(
        Item(id=f"t{i}", group=groups[i] if groups else f"g{i}", input=f"text {i}", output=expected[i])
        for i in range(n)
    )
    split = SPLIT.model_copy(update={"test": TestSet(items=items)})
    table = Table(CASE, split, SCORER)
    replies: dict[str, Sequence[Reply]] = {
        name: [
            reply_to(f"t{i}", texts[name][i] if name in texts else (expected[i] if yes else "zzz"))
            for i, yes in enumerate(flags)
        ]
        for name, flags in right.items()
    }
    arms = [name for name in right if not name.rpartition("-r")[2].isdecimal()]
    results = {
        name: result_of(
            table,
            Arm(name=name, title=titles.get(name, name), kind=kind_of(name), engine="x", file=f"{name}.gguf"),
            replies,
        )
        for name in arms
    }
    return Scored(table, replies, {name: table.right(replies[name]) for name in arms}, results)


def flags(n: int, right: Sequence[int]) -> list[bool]:
    return [i in set(right) for i in range(n)]


def pair(wins: int, losses: int, both: int, n: int) -> tuple[list[bool], list[bool]]:
    """Two arms with so many wins, losses and items that both have right."""
    ours = [True] * wins + [False] * losses + [True] * both + [False] * (n - wins - losses - both)
    theirs = [False] * wins + [True] * losses + [True] * both + [False] * (n - wins - losses - both)
    return ours, theirs


def of_pair(wins: int, losses: int, both: int = 0, n: int = 60) -> Scored:
    ours, theirs = pair(wins, losses, both, n)
    return scored_of({"f16": ours, "base": theirs})


def binomial_mid_p(wins: int, losses: int) -> float:
    """By hand: P(X > wins) + P(X = wins) / 2 for X of wins + losses fair coins."""
    m = wins + losses
    return sum(math.comb(m, k) for k in range(wins + 1, m + 1)) / 2**m + math.comb(m, wins) / 2**m / 2


# Two arms


def test_a_contrast_counts_wins_and_losses_and_its_p_is_that_of_the_coins() -> None:
    contrast = contrast_of(of_pair(9, 2, 5), "f16", "base")
    assert (contrast.n, contrast.wins, contrast.losses, contrast.difference) == (60, 9, 2, 7 / 60)
    # 11 coins: P(X > 9) = 12/2048, P(X = 9) = 55/2048, so 12/2048 + 55/4096.
    assert contrast.p_one_sided == pytest.approx(12 / 2048 + 55 / 4096, abs=1e-12)
    assert contrast.interval == tango(9, 2, 60, confidence=0.95) and contrast.wider == contrast.interval
    assert (contrast.test, contrast.clusters, contrast.cluster_interval) == ("mid-p McNemar", 0, None)
    assert contrast.p_holm is None and contrast.value_difference is None


@given(st.integers(0, 15), st.integers(0, 15), st.integers(0, 15), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_a_contrast_is_what_the_statistics_give_and_the_order_of_items_changes_nothing(
    wins: int, losses: int, both: int, chance: random.Random
) -> None:
    n = wins + losses + both + 5
    ours, theirs = pair(wins, losses, both, n)
    contrast = contrast_of(scored_of({"f16": ours, "base": theirs}), "f16", "base")
    assert (
        contrast.p_one_sided
        == pytest.approx(mid_p_mcnemar(wins, losses))
        == pytest.approx(binomial_mid_p(wins, losses))
    )
    assert contrast.interval == tango(wins, losses, n)
    mixed = list(range(n))
    chance.shuffle(mixed)
    again = scored_of({"f16": [ours[i] for i in mixed], "base": [theirs[i] for i in mixed]})
    assert contrast_of(again, "f16", "base") == contrast
    back = contrast_of(again, "base", "f16")
    assert (back.wins, back.losses, back.difference) == (losses, wins, -contrast.difference)
    assert reversed_p(again, contrast) == back.p_one_sided


GROUPS = [f"g{i // 4}" for i in range(80)]


def in_groups() -> Scored:
    """Twenty groups of four that win or lose together: 11 win, 4 lose, 5 tie."""
    ours, theirs = [], []
    for group in range(20):
        ours += [group < 11] * 4
        theirs += [11 <= group < 15] * 4
    return scored_of({"f16": ours, "base": theirs}, groups=GROUPS)


def test_with_groups_whole_groups_change_sign_and_the_wider_interval_is_taken() -> None:
    scored = in_groups()
    contrast = contrast_of(scored, "f16", "base")
    assert (contrast.wins, contrast.losses, contrast.clusters) == (44, 16, 20)
    # By hand: 15 groups that differ, each a coin of the same weight; 11 or more heads of 15.
    by_hand = sum(math.comb(15, k) for k in range(11, 16)) / 2**15
    assert contrast.p_one_sided == pytest.approx(by_hand, abs=1e-12)
    assert contrast.p_one_sided > 10 * mid_p_mcnemar(44, 16), "as if there were four times the evidence"
    assert contrast.test == "sign flips of groups"
    assert contrast.cluster_interval == cluster_difference_interval(
        scored.right["f16"], scored.right["base"], GROUPS, confidence=0.95
    )
    own, other = contrast.interval, contrast.cluster_interval
    assert other is not None and other.high - other.low > own.high - own.low
    assert contrast.wider == other
    assert outcome_of(contrast, 0.025) == "INCONCLUSIVE"
    alone = contrast_of(scored_of({k: v for k, v in scored.right.items()}), "f16", "base")
    assert outcome_of(alone, 0.025) == "PASS", "without its groups the same table would pass"


def test_groups_that_agree_within_leave_the_wider_of_the_two_intervals() -> None:
    chance = random.Random(1)
    ours = [chance.random() < 0.8 for _ in range(80)]
    theirs = [chance.random() < 0.4 for _ in range(80)]
    contrast = contrast_of(scored_of({"f16": ours, "base": theirs}, groups=GROUPS), "f16", "base")
    assert contrast.cluster_interval is not None
    widths = [i.high - i.low for i in (contrast.interval, contrast.cluster_interval)]
    assert contrast.wider.high - contrast.wider.low == max(widths)


def test_repeats_give_the_mean_over_runs_its_own_interval_and_p() -> None:
    n = 40
    right = {
        "frontier": flags(n, range(30)),
        "frontier-r2": flags(n, range(2, 32)),
        "frontier-r3": flags(n, range(28)),
        "f16": flags(n, range(10, 40)),
    }
    scored = scored_of(right)
    contrast = contrast_of(scored, "f16", "frontier")
    means = [(int(i < 30) + int(2 <= i < 32) + int(i < 28)) / 3 for i in range(n)]
    differences = [float(i >= 10) - mean for i, mean in enumerate(means)]
    assert contrast.value_difference == pytest.approx(sum(differences) / n)
    assert contrast.value_interval == bca_interval(differences, confidence=0.95)
    assert contrast.value_p == pytest.approx(sign_flip_p(differences))
    assert (contrast.wins, contrast.losses) == (10, 10), "the first repeat alone is the declared contrast"
    assert scored.results["frontier"].repeat_rates == (30 / 40, 30 / 40, 28 / 40)


# The gate


def test_a_gate_fails_only_where_the_whole_interval_is_at_or_below_0() -> None:
    outcomes = {}
    for wins, losses in itertools.product(range(13), repeat=2):
        contrast = contrast_of(of_pair(wins, losses), "f16", "base")
        outcome = outcome_of(contrast, 0.025)
        assert (outcome == "PASS") is (contrast.p_one_sided <= 0.025 and contrast.interval.low > 0)
        assert (outcome == "FAIL") is (contrast.interval.high <= 0)
        outcomes[wins, losses] = outcome
    assert set(outcomes.values()) == {"PASS", "FAIL", "INCONCLUSIVE"}
    assert outcomes[0, 0] == "INCONCLUSIVE" and outcomes[6, 6] == "INCONCLUSIVE"
    assert outcomes[12, 0] == "PASS" and outcomes[0, 12] == "FAIL"


@pytest.mark.parametrize(
    ("wins", "losses", "outcome"),
    [(20, 2, "PASS"), (2, 20, "FAIL"), (8, 4, "INCONCLUSIVE"), (4, 8, "INCONCLUSIVE")],
)
def test_the_items_that_are_needed_are_told_of_an_open_gate_alone(
    wins: int, losses: int, outcome: str
) -> None:
    gate = gate_of(of_pair(wins, losses), "f16", "base", "why")
    assert (gate.outcome, gate.file, gate.reason) == (outcome, "f16.gguf", "why")
    needed = items_needed_for_gain(wins, losses, 60) if outcome == "INCONCLUSIVE" else None
    assert gate.items_needed == needed
    assert (gate.items_needed is not None) is (wins > losses and outcome == "INCONCLUSIVE")


def test_a_label_that_loses_much_is_told_even_where_the_gate_passes() -> None:
    labels = ["mit"] * 30 + ["isc"] * 10 + ["zlib"] * 9 + ["bsd-new"] * 10
    base = flags(59, range(30, 59))  # everything but mit
    tuned = flags(59, [*range(30), *range(33, 40), *range(51, 59)])
    gate = gate_of(scored_of({"f16": tuned, "base": base}, labels=labels), "f16", "base")
    assert [(c.label, c.n, c.base_right, c.tuned_right) for c in gate.class_losses] == [("isc", 10, 10, 7)]
    # bsd-new lost exactly 20 points (10 → 8), zlib 7 of 9 but has fewer than ten items.


# Equality


def test_equality_is_the_one_sided_bound_and_the_margin() -> None:
    scored = of_pair(3, 3, 40)
    contrast = contrast_of(scored, "f16", "base")
    bound = tango(3, 3, 60, confidence=0.90).low
    shown = equality_of(scored, contrast, -bound + 1e-6)
    assert shown.shown and shown.low == bound and shown.items_needed is None
    at_the_margin = equality_of(scored, contrast, -bound)
    assert not at_the_margin.shown
    assert at_the_margin.items_needed == items_needed_for_equality(6 / 60, -bound)


@given(st.integers(0, 12), st.integers(0, 12), st.sampled_from([0.02, 0.05, 0.1]))
@settings(max_examples=40, deadline=None)
def test_equality_never_comes_from_a_p_value_alone(wins: int, losses: int, margin: float) -> None:
    scored = of_pair(wins, losses, 20)
    contrast = contrast_of(scored, "f16", "base")
    equality = equality_of(scored, contrast, margin)
    assert equality.shown is (tango(wins, losses, 60, confidence=0.90).low > -margin)
    assert not (equality.better and equality.worse)
    if equality.worse:
        assert contrast.interval.high <= 0


def test_two_arms_that_differ_a_lot_with_p_near_a_half_are_not_equal() -> None:
    scored = of_pair(15, 15)
    contrast = contrast_of(scored, "f16", "base")
    equality = equality_of(scored, contrast, 0.05)
    assert contrast.p_one_sided == pytest.approx(0.5) and not equality.shown
    assert not equality.worse and not equality.better and equality.items_needed


def test_with_groups_the_lower_of_the_two_bounds_decides() -> None:
    scored = in_groups()
    back = contrast_of(scored, "base", "f16")
    low = equality_of(scored, back, 0.05).low
    bounds = (
        tango(16, 44, 80, confidence=0.90).low,
        cluster_difference_interval(scored.right["base"], scored.right["f16"], GROUPS, confidence=0.90).low,
    )
    assert low == min(bounds) and bounds[0] != bounds[1]


# Families and files


def test_a_family_is_corrected_by_holm_and_by_nothing_else() -> None:
    n = 60
    right = {"f16": flags(n, range(40))}
    for name, several in {"a": range(4, 38), "b": range(12, 44), "c": range(20, 40), "d": range(40)}.items():
        right[name] = flags(n, several)
    scored = scored_of(right)
    plain = [contrast_of(scored, "f16", other) for other in "abcd"]
    corrected = family(plain)
    ps = {c.against: c.p_one_sided for c in plain}
    by_hand, floor = {}, 0.0
    for place, name in enumerate(sorted(ps, key=lambda each: ps[each])):
        floor = max(floor, min(1.0, (4 - place) * ps[name]))
        by_hand[name] = floor
    assert {c.against: c.p_holm for c in corrected} == by_hand == holm(ps)
    assert [c.model_copy(update={"p_holm": None}) for c in corrected] == plain
    assert family([]) == () and family(plain[:1])[0].p_holm == plain[0].p_one_sided


def ladder(lost: Mapping[str, int], *, n: int = 400) -> Scored:
    """Smaller files that lose so many items against f16."""
    right = {"f16": flags(n, range(300))}
    right |= {name: flags(n, range(300 - count)) for name, count in lost.items()}
    return scored_of(right, titles={name: f"tuned, GGUF {name.upper()}" for name in right})


def steps_of(scored: Scored, names: Sequence[str]) -> list[tuple[str, str, bool]]:
    found = file_steps(scored, [scored.results[name] for name in names], "f16", 0.03)
    return [(step.quant, step.claim, step.in_sequence) for step in found]


def test_files_are_tested_from_the_largest_down_until_one_is_not_shown() -> None:
    scored = ladder({"q8_0": 0, "q6_k": 8, "q5_k_m": 0, "q4_k_m": 60})
    assert steps_of(scored, ["q8_0", "q6_k", "q5_k_m", "q4_k_m"]) == [
        ("Q8_0", "no loss worth noting", True),
        ("Q6_K", "loss", True),  # 8 of 8 flips lost: worse, and −3 points not excluded
        ("Q5_K_M", "no loss seen", False),  # equal letter by letter, and still not claimed
        ("Q4_K_M", "loss", False),
    ]
    assert steps_of(scored, ["q8_0", "q5_k_m", "q6_k", "q4_k_m"])[1] == (
        "Q5_K_M",
        "no loss worth noting",
        True,
    )


def test_a_file_step_carries_flips_texts_and_lengths() -> None:
    n = 50
    texts = {"f16": ["mit"] * n, "q8_0": ["mit"] * 40 + ["MIT, I think"] * 6 + ["mit "] * 4}
    scored = scored_of({"f16": flags(n, range(n)), "q8_0": flags(n, range(n))}, texts=texts)
    step = file_steps(scored, [scored.results["q8_0"]], "f16", 0.03)[0]
    assert step.same_text == 40 / 50, "letter by letter, blanks too"
    assert step.flips == 6 / 50 and step.flips_interval == wilson(6, 50)
    assert step.could_hide == max(0.0, -tango(0, 6, 50, confidence=0.90).low) > 0.06
    assert step.parse_failures_more == scored.results["q8_0"].parse_failures
    assert step.length_ratio == 1.0


# Seeds and controls


def test_the_spread_of_the_seeds_is_held_against_the_gain() -> None:
    n = 50
    right = {
        "base": flags(n, range(10)),
        "adapter": flags(n, range(20)),
        "seed-1": flags(n, range(14)),
        "seed-2": flags(n, range(29)),
    }
    scored = scored_of(right)
    spread = seed_spread(scored, scored.results["base"])
    assert spread is not None
    assert spread.arms == ("adapter", "seed-1", "seed-2") and spread.rates == (0.4, 0.28, 0.58)
    assert spread.mean == pytest.approx(0.42) and (spread.low, spread.high) == (0.28, 0.58)
    assert spread.gain == pytest.approx(0.22) and spread.exceeds_gain, "0.30 of range, 0.22 of gain"
    calm = scored_of(right | {"seed-2": flags(n, range(20))})
    again = seed_spread(calm, calm.results["base"])
    assert again is not None and not again.exceeds_gain
    alone = scored_of({"base": right["base"], "adapter": right["adapter"]})
    assert seed_spread(alone, alone.results["base"]) is None


def test_a_control_is_held_against_the_best_base_like_a_file() -> None:
    n = 50
    right = {
        "base": flags(n, range(10)),
        "control-shuffled-labels": flags(n, range(40)),
        "control-blank-input": flags(n, range(2)),
    }
    scored = scored_of(right)
    found = {c.name: c for c in controls_of(scored, scored.results["base"])}
    assert {name: c.outcome for name, c in found.items()} == {
        "shuffled-labels": "PASS",
        "blank-input": "FAIL",
    }
    assert found["shuffled-labels"].contrast == contrast_of(scored, "control-shuffled-labels", "base")


def test_a_control_that_learned_the_commonest_answer_is_held_against_that_answer() -> None:
    n = 50
    right = {
        "base": flags(n, range(5)),
        "majority": flags(n, range(20)),
        "control-blank-input": flags(n, range(20)),
    }
    scored = scored_of(right)
    control = controls_of(scored, scored.results["base"])[0]
    assert (control.contrast.against, control.outcome) == ("majority", "INCONCLUSIVE")
    leak = scored_of(right | {"control-blank-input": flags(n, range(40))})
    assert controls_of(leak, leak.results["base"])[0].outcome == "PASS"


def test_a_file_whose_whole_interval_lies_below_f16_has_a_loss_and_not_none_seen() -> None:
    # 2 won and 10 lost of 200, two of them in one group: 57 of 2,048 sign flips go as far, above 2.5 %.
    smaller, f16 = pair(2, 10, 188, 200)
    groups = [f"g{3 if i == 2 else i}" for i in range(200)]
    scored = scored_of({"f16": f16, "q4_k_m": smaller}, groups=groups)
    step = file_steps(scored, [scored.results["q4_k_m"]], "f16", 0.03)[0]
    assert not step.equality.worse and step.contrast.wider.high < 0
    assert step.claim == "loss"
