"""The verdict: decided from the whole table, by numbers that come out of the replies again."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from sample import MACHINE, N, sample_adapter, sample_case, sample_ladder, sample_split
from tuneproof.arms import Table, result_of
from tuneproof.artifacts import (
    Arm,
    Case,
    Comparison,
    Parity,
    Price,
    PriceUsed,
    Reply,
    Serving,
    Split,
    TaskFile,
    Verdict,
)
from tuneproof.errors import LockBroken, TuneproofError
from tuneproof.eval_plan import plan_of
from tuneproof.resampling import cluster_difference_interval, sign_flip_p
from tuneproof.scoring import scorer_of
from tuneproof.statistics import gate, mid_p_mcnemar, tango, wilson
from tuneproof.steps.judge import Evidence, judge
from tuneproof.timings import timing_of
from tuneproof.verdict_text import percent, points, span


def each_its_own_group(split: Split) -> Split:
    """The sample without twins: then mid-p McNemar and Tango's interval decide, as computed below."""
    items = tuple(item.model_copy(update={"group": item.id}) for item in split.test.items)
    return split.model_copy(update={"test": split.test.model_copy(update={"items": items})})


CASE, SPLIT = sample_case(), each_its_own_group(sample_split())
ADAPTER = sample_adapter().model_copy(update={"train_rows": len(SPLIT.train.pairs)})
PLAN = plan_of(CASE, SPLIT, ADAPTER, files={}, extra_tunes={})
SCORER = scorer_of(CASE.task_file)
ARMS = {
    "base-0-shot": ("base", "base.gguf", 0),
    "base-best": ("base", "base.gguf", 5),
    "base-constrained": ("base", "base.gguf", 5),
    "adapter": ("tuned", "adapter_model.safetensors", 0),
    "majority": ("rival", None, 0),
    "nearest-neighbour": ("rival", None, 0),
    "tfidf-logistic": ("rival", None, 0),
    "tuned-f16": ("tuned", "sample-f16.gguf", 0),
    "tuned-q8_0": ("tuned", "sample-Q8_0.gguf", 0),
    "tuned-q4_k_m": ("tuned", "sample-Q4_K_M.gguf", 0),
    "tuned-constrained": ("tuned", "sample-Q8_0.gguf", 0),
}
SERVED = "tuned-q8_0"
FRONTIER = PriceUsed(model="m", price=Price(input_mtok=300.0, output_mtok=1_500.0), source="task.yaml")
GOOD: dict[str, Collection[int]] = {
    "base-0-shot": (),
    "base-best": range(10),
    "base-constrained": range(9),
    "adapter": range(120),
    "majority": range(15),
    "nearest-neighbour": range(60),
    "tfidf-logistic": range(80),
    "tuned-f16": range(121),
    "tuned-q8_0": range(2, 120),
    "tuned-q4_k_m": range(2, 110),
    "tuned-constrained": range(2, 121),
}
"""Arm → places of the items it has right: the gate is passed and every rival beaten."""


def replies(arm: str, right: Collection[int]) -> tuple[Reply, ...]:
    where, rng = set(right), random.Random(arm)
    return tuple(
        Reply(
            item_id=item.id,
            text=f" {item.output}\n" if i in where else f"wrong by {arm}",
            finish="length" if i == N - 1 else "stop",
            prompt_tokens=40,
            output_tokens=5 + i % 3,
            ms=None if arm == "adapter" else round(100 + 50 * rng.random(), 3),
        )
        for i, item in enumerate(SPLIT.test.items)
    )


def evidence(
    right: dict[str, Collection[int]] | None = None,
    *,
    not_measured: dict[str, str] | None = None,
    case: Case = CASE,
    split: Split = SPLIT,
) -> Evidence:
    """What the steps before would have stored, were these the right answers of each arm.

    An arm `frontier` among them is one behind an API, with a price.
    """
    plan = plan_of(case, split, ADAPTER, files={}, extra_tunes={})
    stored = {name: replies(name, places) for name, places in (GOOD | (right or {})).items()}
    prices = {"frontier": FRONTIER} if "frontier" in stored else {}
    arms = ARMS | {name: ("frontier", None, 0) for name in prices}
    results = {
        name: result_of(
            Table(case, split, SCORER),
            Arm.model_validate(
                {
                    "name": name,
                    "title": f"the {name}",
                    "kind": kind,
                    "engine": "e",
                    "file": file,
                    "shots": shots,
                    "constrained": name.endswith("-constrained"),
                }
            ),
            stored,
            price=prices.get(name),
        )
        for name, (kind, file, shots) in arms.items()
    }
    parity = Parity(prompts=N, text_equal=N, tokens_equal=N, one_bos=True)
    comparison = Comparison(
        plan_digest=plan.digest,
        arms=tuple(result for name, result in results.items() if not name.startswith("tuned-")),
        trials=(),
        chosen={"base-0-shot": "plain-0", "base-best": "turns-5", "base-constrained": "turns-5"},
        budget="2 prompt variants",
        parity=parity,
        not_measured={"frontier": "no key"} if not_measured is None else not_measured,
        machine=MACHINE,
        prices=prices,
    )
    stored |= {"base-again": stored["base-best"], "load-4": stored[SERVED]}
    timings = [
        timing_of(SERVED, stored[SERVED], interleaved=True, cold_start_ms=1.0),
        timing_of("base-again", stored["base-again"], interleaved=True),
        timing_of("load-4", stored["load-4"], concurrency=4, wall_s=9.0),
    ]
    serving = Serving(
        runtime="r",
        model_file="sample-Q8_0.gguf",
        modelfile="FROM x\n",
        parity=parity,
        arms=tuple(result for name, result in results.items() if name.startswith("tuned-")),
        cold_start_ms=1.0,
        plan_digest=plan.digest,
        machine=MACHINE,
        timings=tuple(timing for timing in timings if timing is not None),
        repeated=N,
        repeated_equal=N,
    )
    return Evidence(
        comparison=comparison,
        serving=serving,
        ladder=sample_ladder(),
        replies=stored,
        dev_replies={},
        rounds=3,
        adapter=ADAPTER,
        plan=plan,
        scorer=SCORER,
        made_at="2026-11-24T12:00:00+00:00",
    )


@cache
def honest_evidence() -> Evidence:
    return evidence()


def verdict(right: dict[str, Collection[int]] | None = None, **fields: dict[str, str]) -> Verdict:
    return judge(CASE, SPLIT, evidence(right, **fields))


def case_with(**changes: dict[str, object]) -> Case:
    fields = CASE.task_file.model_dump()
    for section, values in changes.items():
        fields[section] |= values
    return CASE.model_copy(update={"task_file": TaskFile.model_validate(fields)})


# The decision


def test_a_missing_frontier_leaves_too_little_evidence_to_move() -> None:
    made = verdict()
    assert (made.gate, made.decision) == ("PASS", "not_enough_evidence")
    assert "the frontier was not measured" in made.headline
    assert "The frontier was not measured (no key)" in made.paragraph


def test_with_nothing_missing_and_everything_beaten_the_decision_is_to_move() -> None:
    made = verdict({"frontier": GOOD[SERVED]}, not_measured={})
    assert (made.gate, made.decision) == ("PASS", "move")
    assert "as good as the frontier" in made.headline
    assert "The frontier was not measured" not in made.paragraph and not made.deviations


def test_a_frontier_far_ahead_means_stay() -> None:
    made = verdict({"frontier": range(190)}, not_measured={})
    assert (made.gate, made.decision, made.advice) == ("PASS", "stay", "use the frontier")


def test_where_inputs_must_stay_in_the_house_a_frontier_is_not_needed() -> None:
    case = case_with(pressures={"privacy": True})
    made = judge(case, SPLIT, evidence(case=case))
    assert (made.gate, made.decision) == ("PASS", "move")
    assert "must not leave the house" in made.headline


def test_a_cheap_rival_ahead_means_stay_and_is_named_and_recommended() -> None:
    made = verdict({"nearest-neighbour": range(130)}, not_measured={})
    assert (made.gate, made.decision) == ("PASS", "stay")
    assert "the nearest-neighbour" in made.headline
    assert "Use that rival" in made.paragraph
    assert "behind it" in made.paragraph


def test_a_cheap_rival_level_with_the_tune_is_not_beaten_and_costs_nothing() -> None:
    made = verdict({"tfidf-logistic": GOOD[SERVED], "frontier": GOOD[SERVED]}, not_measured={})
    assert (made.gate, made.decision, made.advice) == ("PASS", "stay", "use the cheap rival")
    assert "level with a cheap rival (the tfidf-logistic" in made.headline
    assert "level with it" in made.paragraph
    assert "Use that rival" in made.paragraph


def test_a_cheap_rival_slightly_behind_is_not_shown_to_be_worse() -> None:
    made = verdict({"tfidf-logistic": range(1, 118), "frontier": GOOD[SERVED]}, not_measured={})
    assert made.decision == "not_enough_evidence"
    assert "Use that rival" not in made.paragraph
    assert "not shown to be worse (the tfidf-logistic)" in made.headline


def test_every_rival_must_be_beaten_and_not_only_the_one_that_is_closest() -> None:
    """10 : 0 is a sure win by 5 points, 60 : 49 an unsure one by 5.5."""
    served = range(120)
    closest, unsure = range(10, 120), [*range(60, 120), *range(120, 169)]
    made = verdict({SERVED: served, "tfidf-logistic": closest, "nearest-neighbour": unsure}, not_measured={})
    by_name = {c.against: c for c in made.rivals}
    assert by_name["tfidf-logistic"].difference < by_name["nearest-neighbour"].difference
    assert by_name["tfidf-logistic"].p_one_sided < 0.025 < by_name["nearest-neighbour"].p_one_sided
    assert made.decision == "not_enough_evidence"
    assert "the nearest-neighbour" in made.headline


@pytest.mark.parametrize("missing", [{}, {"frontier": "no key"}])
def test_a_gate_that_is_not_decided_leaves_too_little_evidence(missing: dict[str, str]) -> None:
    made = verdict({"base-best": range(1, 118)}, not_measured=missing)
    assert (made.gate, made.decision) == ("INCONCLUSIVE", "not_enough_evidence")
    assert "not shown to beat its own base" in made.headline


@pytest.mark.parametrize("rival", [range(15), range(190)])
def test_a_tune_worse_than_its_base_means_stay_whatever_else_is_true(rival: Collection[int]) -> None:
    made = verdict({"base-best": range(170), "majority": rival})
    assert (made.gate, made.decision) == ("FAIL", "stay")
    assert "not better than its own base" in made.headline


def test_the_gate_of_the_served_file_decides_and_each_file_has_its_own() -> None:
    made = verdict({"tuned-q4_k_m": range(10)})
    assert {g.file: g.outcome for g in made.gates} == {
        "sample-f16.gguf": "PASS",
        "sample-Q8_0.gguf": "PASS",
        "sample-Q4_K_M.gguf": "INCONCLUSIVE",
    }
    assert made.gate == "PASS"
    assert verdict({SERVED: range(10)}).gate == "INCONCLUSIVE"


@pytest.mark.parametrize("best", ["base-0-shot", "base-best"])
def test_the_tune_is_held_against_the_base_that_did_best(best: str) -> None:
    made = verdict({"base-0-shot": range(20), "base-best": range(20), best: range(40)})
    assert {g.contrast.against for g in made.gates} == {best}


def test_a_tune_that_learned_shuffled_labels_never_passes() -> None:
    """Its replies are right as often as the labels repeat; twenty shuffles, none may pass."""
    outputs = [item.output for item in SPLIT.test.items]
    chance = [i for i, output in enumerate(outputs) if output == outputs[0]]
    outcomes = []
    for seed in range(20):
        shuffled = random.Random(seed).sample(outputs, N)
        right = [i for i, output in enumerate(outputs) if shuffled[i] == output]
        outcomes.append(verdict({SERVED: right, "base-best": chance}).gate)
    assert len(outcomes) == 20
    assert "PASS" not in outcomes


def test_a_copy_of_the_base_does_not_pass() -> None:
    made = verdict({SERVED: range(77), "base-best": range(77)})
    assert (made.gate, made.decision) == ("INCONCLUSIVE", "not_enough_evidence")


# The numbers


def test_every_contrast_comes_from_the_replies() -> None:
    made, looked = verdict(), 0
    for contrast in (*(g.contrast for g in made.gates), *made.rivals, *made.quant_steps):
        ours, theirs = set(GOOD[contrast.arm]), set(GOOD[contrast.against])
        wins, losses = len(ours - theirs), len(theirs - ours)
        assert (contrast.n, contrast.wins, contrast.losses) == (N, wins, losses)
        assert contrast.difference == (wins - losses) / N
        assert contrast.interval == tango(wins, losses, N)
        assert contrast.p_one_sided == mid_p_mcnemar(wins, losses)
        looked += 1
    assert looked == 3 + 3 + 3


def test_gates_and_rates_are_those_of_the_statistics() -> None:
    made = verdict()
    assert {g.outcome == gate(g.contrast.wins, g.contrast.losses, N) for g in made.gates} == {True}
    found = {a.arm.name: (a.correct, a.rate, a.interval) for a in made.arms}
    assert found == {name: (len(r), len(r) / N, wilson(len(r), N)) for name, r in GOOD.items()}
    assert {a.over_limit for a in made.arms} == {1}
    assert made.thresholds_digest == CASE.task_file.gate.digest
    assert (made.plan_digest, made.test_accesses) == (PLAN.digest, 3)


def test_files_are_held_against_the_one_that_they_were_made_from() -> None:
    steps = [(c.arm, c.against) for c in verdict().quant_steps]
    assert steps == [("tuned-f16", "adapter"), ("tuned-q8_0", "tuned-f16"), ("tuned-q4_k_m", "tuned-f16")]


def test_fixed_and_broken_items_are_all_shown_with_both_replies() -> None:
    made = verdict()
    served, base = set(GOOD[SERVED]), set(GOOD["base-best"])
    ids = [item.id for item in SPLIT.test.items]
    assert [c.item_id for c in made.fixed] == [ids[i] for i in sorted(served - base)]
    assert [c.item_id for c in made.broken] == [ids[i] for i in sorted(base - served)] == ids[:2]
    for changed in made.broken:
        assert changed.tuned_reply == f"wrong by {SERVED}"
        assert changed.base_reply.strip() == changed.expected
    assert {c.base_reply for c in made.fixed} == {"wrong by base-best"}


def test_the_paragraph_says_the_numbers_of_the_table() -> None:
    made = verdict()
    arms = {a.arm.name: a for a in made.arms}
    served, base = arms[SERVED], arms["base-best"]
    gate_of = next(g for g in made.gates if g.file == "sample-Q8_0.gguf").contrast
    closest = min(made.rivals, key=lambda c: c.difference)
    said = [
        f"On {N} held-out items the tuned model (the tuned-q8_0) has {percent(served.rate)} exact match",
        f"(95 % interval {span(served.interval)}) and its best base (the base-best) {percent(base.rate)}",
        f"({span(base.interval)})",
        f"The gate of sample-Q8_0.gguf is PASS: better than its best base: {gate_of.wins} won and "
        f"{gate_of.losses} lost of {N} items, {points(gate_of.difference)}",
        f"The best cheap rival, the tfidf-logistic, has {percent(arms['tfidf-logistic'].rate)}",
        f"{points(closest.difference)[1:]} ahead of it",
        f"A call of the tuned-q8_0 took {served.p50_ms:.0f} ms at the median",
        f"and {served.p95_ms:.0f} ms at p95",
        f"over {N} calls",
    ]
    assert [part for part in said if part not in made.paragraph] == []


def test_the_paragraph_says_when_the_tune_saw_fewer_pairs_than_its_rivals() -> None:
    fewer = ADAPTER.model_copy(update={"train_rows": 320})
    other = plan_of(CASE, SPLIT, fewer, files={}, extra_tunes={})
    plan = {"plan_digest": other.digest}
    full = honest_evidence()
    under_plan = full._replace(
        adapter=fewer,
        plan=other,
        comparison=full.comparison.model_copy(update=plan),
        serving=full.serving.model_copy(update=plan),
    )
    some = judge(CASE, SPLIT, under_plan)
    assert "has seen 320 of the 1,412 training pairs and the rivals all of them" in some.paragraph
    assert "training pairs" not in verdict().paragraph


def test_the_paragraph_holds_no_number_that_is_not_in_the_table() -> None:
    """118 of 200 is 59.0 %; 10 is 5.0 %; 80 is 40.0 %; by hand, so that no formatter proves itself."""
    numbers = re.findall(r"\d+\.\d %", verdict().paragraph)
    assert numbers == ["59.0 %", "5.0 %", "40.0 %"]


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "+0.0 points"), (0.055, "+5.5 points"), (-0.1, "−10.0 points")]
)
def test_points_carry_their_sign(share: float, text: str) -> None:
    assert points(share) == text


# Evidence that does not add up


@pytest.mark.parametrize("arm", ["base-best", "tfidf-logistic", "adapter", SERVED])
@pytest.mark.parametrize(
    "edit",
    [
        {"correct": 150},
        {"rate": 0.75},
        {"interval": {"low": 0.1, "high": 0.2}},
        {"n": 199},
        {"parse_failures": 7},
        {"over_limit": 0},
        {"output_tokens_mean": 1.5},
        {"p50_ms": 1.0},
        {"p95_ms": 1.0},
        {"usd_per_1000": 0.0},
        {"unseen_n": 3},
        {"unseen_correct": 3},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_a_stored_number_that_the_replies_do_not_give_again_is_refused(
    arm: str, edit: dict[str, object]
) -> None:
    honest = honest_evidence()

    def edited(made: Comparison | Serving) -> tuple[object, ...]:
        return tuple(
            a if a.arm.name != arm else type(a).model_validate(a.model_dump() | edit) for a in made.arms
        )

    forged = honest._replace(
        comparison=honest.comparison.model_copy(update={"arms": edited(honest.comparison)}),
        serving=honest.serving.model_copy(update={"arms": edited(honest.serving)}),
    )
    with pytest.raises(LockBroken, match=f"stored row of {arm} ") as caught:
        judge(CASE, SPLIT, forged)
    assert "tuneproof compare" in caught.value.remedy


@pytest.mark.parametrize("arm", list(ARMS))
def test_a_single_edited_reply_is_noticed(arm: str) -> None:
    honest = honest_evidence()
    rows = list(honest.replies[arm])
    at = next(i for i in range(N) if i not in set(GOOD[arm]))
    rows[at] = rows[at].model_copy(update={"text": SPLIT.test.items[at].output})
    with pytest.raises(LockBroken, match=f"stored row of {arm} "):
        judge(CASE, SPLIT, honest._replace(replies={**honest.replies, arm: tuple(rows)}))


@pytest.mark.parametrize("harm", [lambda r: r[:-1], lambda r: (*r, r[0]), lambda r: (r[1], r[0], *r[2:])])
def test_replies_that_do_not_match_the_items_one_to_one_are_refused(harm: object) -> None:
    honest = honest_evidence()
    forged = {**honest.replies, SERVED: harm(honest.replies[SERVED])}  # type: ignore[operator]
    with pytest.raises(TuneproofError, match="one to one"):
        judge(CASE, SPLIT, honest._replace(replies=forged))


@pytest.mark.parametrize("changed", [{"gate": {"alpha": 0.2}}, {"task": {"max_new_tokens": 9}}])
def test_thresholds_changed_after_the_replies_are_refused(changed: dict[str, dict[str, object]]) -> None:
    other = case_with(**changed)
    plan = plan_of(other, SPLIT, ADAPTER, files={}, extra_tunes={})
    with pytest.raises(LockBroken, match=f"made under plan {PLAN.digest[:19]}"):
        judge(other, SPLIT, evidence()._replace(plan=plan))


@pytest.mark.parametrize("part", ["comparison", "serving"])
def test_a_step_measured_under_another_plan_is_refused(part: str) -> None:
    honest = honest_evidence()
    forged = getattr(honest, part).model_copy(update={"plan_digest": "sha256:" + "0" * 64})
    with pytest.raises(LockBroken, match="under plan"):
        judge(CASE, SPLIT, honest._replace(**{part: forged}))


def test_the_same_evidence_gives_the_same_verdict() -> None:
    assert verdict().digest == verdict().digest


# What is beside the table


def test_where_items_come_in_groups_whole_groups_decide() -> None:
    split = sample_split()
    groups = tuple(item.group for item in split.test.items)
    assert len(set(groups)) == N // 2
    made, looked = judge(CASE, split, evidence(split=split)), 0
    for contrast in (*(g.contrast for g in made.gates), *made.rivals):
        ours, theirs = ([i in set(GOOD[name]) for i in range(N)] for name in (contrast.arm, contrast.against))
        differences = [float(a) - float(b) for a, b in zip(ours, theirs, strict=True)]
        assert contrast.p_one_sided == sign_flip_p(differences, groups)
        assert contrast.cluster_interval == cluster_difference_interval(ours, theirs, groups)
        assert (contrast.test, contrast.clusters) == ("sign flips of groups", N // 2)
        looked += 1
    assert looked == 3 + 3


def test_a_constrained_arm_is_in_the_table_and_gets_no_gate_of_its_own() -> None:
    made = verdict({"tuned-constrained": range(200)})
    assert "tuned-constrained" in {a.arm.name for a in made.arms}
    assert "tuned-constrained" not in {g.contrast.arm for g in made.gates} and len(made.gates) == 3
    assert made.format_gain and (made.format_gain.arm, made.format_gain.against) == (
        "base-constrained",
        "base-best",
    )


def test_a_constrained_base_that_does_best_is_the_one_to_beat() -> None:
    made = verdict({"base-constrained": range(118)})
    assert {g.contrast.against for g in made.gates} == {"base-constrained"}
    assert made.gate == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("place", "edit"),
    [
        (0, {"p50_ms": 1.0}),
        (0, {"p95_ms": 1.0}),
        (0, {"n": 199}),
        (1, {"output_tokens_mean": 1.0}),
        (2, {"calls_per_s": 99.0}),
    ],
)
def test_a_stored_time_that_the_replies_do_not_give_again_is_refused(
    place: int, edit: dict[str, float]
) -> None:
    honest = honest_evidence()
    timings = list(honest.serving.timings)
    timings[place] = timings[place].model_copy(update=edit)
    serving = honest.serving.model_copy(update={"timings": tuple(timings)})
    with pytest.raises(LockBroken, match=f"stored times of {timings[place].arm} "):
        judge(CASE, SPLIT, honest._replace(serving=serving))


def test_a_count_of_equal_second_answers_that_is_made_up_is_refused() -> None:
    honest = honest_evidence()
    assert honest.serving.repeated_equal == N
    serving = honest.serving.model_copy(update={"repeated_equal": N - 1})
    with pytest.raises(LockBroken, match="equal second answers"):
        judge(CASE, SPLIT, honest._replace(serving=serving))


def test_a_planned_arm_without_replies_is_said_to_be_missing() -> None:
    honest = honest_evidence()
    left = {name: found for name, found in honest.replies.items() if name != "load-4"}
    serving = honest.serving.model_copy(update={"timings": honest.serving.timings[:2]})
    made = judge(CASE, SPLIT, honest._replace(replies=left, serving=serving))
    assert [text for text in made.deviations if text.startswith("load-4 was planned and not measured")]
    assert "The run differs from its plan" in made.paragraph
