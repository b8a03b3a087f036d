"""Cost of 1,000 calls and the break-even: values computed by hand, laws, and what is unknown."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.artifacts import (
    Arm,
    ArmResult,
    Case,
    Costs,
    Interval,
    Price,
    PriceUsed,
    Reply,
    TaskFile,
    Triage,
)
from tuneproof.call_costs import (
    Measured,
    Prices,
    api_usd,
    cost_lines,
    local_usd_per_1000,
    machine_usd_per_hour,
    retry_rate,
    usd_text,
    utilisation_at,
)
from tuneproof.costs import (
    MachineMonth,
    break_even_calls,
    costs_of,
    dedicated_calls,
    one_offs,
    saved_usd,
    verdict_facts,
)

DOCS = Path(__file__).parents[1] / "docs" / "costs.md"
PRICE = Price(input_mtok=2.0, output_mtok=10.0, cache_read_mtok=0.5, batch_discount=0.5)
FULL = {
    "shared_machine": True,
    "drafting_usd": 12.0,
    "review_hours": 10.0,
    "usd_per_review_hour": 60.0,
    "training_usd_per_hour": 2.0,
    "fixed_usd_per_month": 20.0,
    "months": 12.0,
}
WHOLE = st.integers(0, 100_000)
USD = st.floats(1e-6, 1e6)
ALONE = FULL | {"shared_machine": False}


def reply(prompt: int = 1_000, output: int = 100, **more: Any) -> Reply:
    values = {"item_id": "i", "text": "x", "finish": "stop", "ms": None}
    return Reply(**values | {"prompt_tokens": prompt, "output_tokens": output} | more)


def row(name: str, kind: str) -> ArmResult:
    return ArmResult(
        arm=Arm.model_validate({"name": name, "title": name, "kind": kind, "engine": "e"}),
        n=1,
        correct=1,
        rate=1.0,
        interval=Interval(low=0.0, high=1.0),
        parse_failures=0,
        over_limit=0,
        output_tokens_mean=None,
        p50_ms=None,
        p95_ms=None,
        usd_per_1000=None,
        unseen_n=0,
        unseen_correct=0,
    )


ROWS = (row("base", "base"), row("tuned", "tuned"), row("knn", "rival"), row("frontier", "frontier"))


def case_with(
    costs: dict[str, Any], usd_per_hour: float | None = 0.36, calls_per_month: int | None = None
) -> Case:
    task_file = TaskFile.model_validate(
        {
            "name": "notices",
            "title": "Notices",
            "task": {"input": "a notice", "output": "an expression", "system_prompt": "Answer."},
            "pressures": {"high_volume": True, "calls_per_month": calls_per_month},
            "data": {"source": "bundled:licenses", "licence": "CC-BY-4.0"},
            "serving": {"model_name": "notices", "machine_usd_per_hour": usd_per_hour},
            "costs": costs,
        }
    )
    return Case(task_file=task_file, triage=Triage(advice="fine-tune", reasons=()), paragraph="")


def measured(replies: tuple[Reply, ...] = (reply(), reply()), **seconds: float | None) -> Measured:
    times = {"base": 0.2, "tuned": 0.1} | seconds
    return Measured(ROWS, {"frontier": replies}, times, adapter_seconds=1_800.0)


def prices(price: Price | None = PRICE) -> Prices:
    if price is None:
        return Prices({}, {"frontier": "no list has it; write comparison.frontier.price."})
    return Prices({"frontier": PriceUsed(model="m", price=price, source="task.yaml")}, {})


def costs(
    section: dict[str, Any] | None = None, seen: Measured | None = None, known: Prices | None = None
) -> Costs:
    case = case_with(FULL if section is None else section)
    return costs_of(case, seen or measured(), known or prices(), served="tuned", against="frontier")


def test_fresh_cached_and_output_tokens_have_each_their_price() -> None:
    # (1,000 − 400) · $2 + 400 · $0.5 + 100 · $10 = 1,200 + 200 + 1,000 millionths.
    assert api_usd([reply(cached_tokens=400)], PRICE) == pytest.approx(0.0024, rel=1e-15)


def test_without_a_price_of_its_own_the_cache_costs_what_the_prompt_costs() -> None:
    price = Price(input_mtok=2.0, output_mtok=10.0)
    assert api_usd([reply(cached_tokens=400)], price) == api_usd([reply()], price) == 0.003


def test_reasoning_tokens_are_paid_once_as_output() -> None:
    assert api_usd([reply(reasoning_tokens=90)], PRICE) == api_usd([reply()], PRICE)


def test_retries_are_counted_and_not_billed() -> None:
    calls = [reply(attempts=3), reply(), reply(), reply()]
    assert retry_rate(calls) == 0.5
    assert api_usd(calls, PRICE) == api_usd([reply()] * 4, PRICE)
    assert (
        "50.0 retries in 100 calls, taken as not billed" in costs(seen=measured(tuple(calls))).lines[2].basis
    )
    with pytest.raises(ValueError, match="at least one reply"):
        retry_rate([])


def test_more_cached_than_prompt_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="more tokens from a cache"):
        api_usd([reply(prompt=10, cached_tokens=11)], PRICE)


@given(
    st.lists(st.tuples(WHOLE, WHOLE), max_size=20), st.floats(0, 1e3), st.floats(0, 1e3), st.floats(0, 1e3)
)
def test_the_cost_is_linear_in_the_price(
    tokens: list[tuple[int, int]], prompt_usd: float, output_usd: float, times: float
) -> None:
    calls = [reply(prompt, output, cached_tokens=prompt // 3) for prompt, output in tokens]
    once = Price(input_mtok=prompt_usd, output_mtok=output_usd, cache_read_mtok=prompt_usd / 4)
    scaled = Price(
        input_mtok=times * prompt_usd,
        output_mtok=times * output_usd,
        cache_read_mtok=times * prompt_usd / 4,
    )
    assert math.isclose(api_usd(calls, scaled), times * api_usd(calls, once), rel_tol=1e-12, abs_tol=1e-12)
    parts = (
        api_usd(calls, once.model_copy(update={"output_mtok": 0.0})),
        api_usd(calls, Price(input_mtok=0.0, output_mtok=output_usd)),
    )
    assert math.isclose(sum(parts), api_usd(calls, once), rel_tol=1e-12, abs_tol=1e-12)


@given(WHOLE, WHOLE, st.integers(1, 1_000))
def test_one_more_token_never_makes_a_call_cheaper(prompt: int, output: int, more: int) -> None:
    before = api_usd([reply(prompt, output)], PRICE)
    assert api_usd([reply(prompt + more, output)], PRICE) > before
    assert api_usd([reply(prompt, output + more)], PRICE) > before
    assert api_usd([reply(prompt + more, output, cached_tokens=more)], PRICE) > before


def test_a_thousand_api_calls_cost_a_thousand_times_the_mean_call() -> None:
    line = costs(seen=measured((reply(1_000, 100), reply(3_000, 300)))).lines[2]
    # Means: 2,000 · $2 + 200 · $10 = 6,000 millionths a call.
    assert (line.arm, line.kind, line.usd_per_1000) == ("frontier", "api", pytest.approx(6.0, rel=1e-15))
    assert "2,000.0 prompt tokens (0.0 from a cache), 200.0 output tokens" in line.basis
    assert "(task.yaml)" in line.basis


def test_the_best_price_takes_the_batch_and_what_was_seen_in_the_cache() -> None:
    line = costs(seen=measured((reply(cached_tokens=800), reply()))).lines[2]
    # List: (200·2 + 800·0.5 + 1,000 + 2,000 + 1,000) / 2 = 2,400; best: (400 + 400 + 1,000) · ½ = 900.
    assert line.usd_per_1000 == pytest.approx(2.4, rel=1e-15)
    assert line.best_usd_per_1000 == pytest.approx(0.9, rel=1e-15)
    assert line.basis.endswith("; best: a batch saves 50 %, 800 tokens from a cache")


def test_a_batch_that_saves_a_fifth_leaves_four_fifths() -> None:
    fifth = prices(PRICE.model_copy(update={"batch_discount": 0.2}))
    assert costs(known=fifth).lines[2].best_usd_per_1000 == pytest.approx(2.4, rel=1e-15)


def test_no_call_reads_more_from_the_cache_than_the_shortest_prompt_holds() -> None:
    seen = measured((reply(2_000, cached_tokens=2_000), reply(500, cached_tokens=0)))
    assert costs(seen=seen).lines[2].basis.endswith("500 tokens from a cache")


def test_without_a_batch_or_cache_price_there_is_no_best_price() -> None:
    plain = prices(Price(input_mtok=2.0, output_mtok=10.0))
    assert costs(seen=measured((reply(cached_tokens=800),)), known=plain).lines[2].best_usd_per_1000 is None


@given(st.lists(st.tuples(st.integers(1, 5_000), st.floats(0, 1)), min_size=1, max_size=10))
def test_the_best_price_is_never_above_the_list_price(calls: list[tuple[int, float]]) -> None:
    seen = measured(tuple(reply(p, cached_tokens=int(p * share)) for p, share in calls))
    line = costs(seen=seen).lines[2]
    assert line.usd_per_1000 is not None and line.best_usd_per_1000 is not None
    assert line.best_usd_per_1000 <= line.usd_per_1000


def test_failed_calls_and_calls_without_counts_do_not_thin_the_mean() -> None:
    lost = (reply(0, 0, finish="failed", attempts=5), reply(0, 0))
    line = costs(seen=measured((reply(), reply(), *lost))).lines[2]
    assert line.usd_per_1000 == pytest.approx(3.0, rel=1e-15)
    assert line.basis.startswith("mean of 2 calls")
    assert "2 calls failed or came without token counts, not in the mean" in line.basis


def test_an_owned_machine_is_written_off_and_draws_power() -> None:
    owned = {"usd": 3_000, "salvage_usd": 372, "life_hours": 26_280, "watts": 400, "usd_per_kwh": 0.25}
    case = case_with({"owned": owned | {"pue": 1.5, "ops_usd_per_hour": 0.05}})
    usd, how = machine_usd_per_hour(case.task_file)
    # 2,628 / 26,280 + 0.4 · 0.25 · 1.5 + 0.05
    assert usd == pytest.approx(0.1 + 0.15 + 0.05, rel=1e-15)
    assert how == "owned at $0.3 an hour ($0.1 written off, $0.15 power, $0.05 ops)"


def test_a_rented_machine_costs_its_rent_and_no_machine_is_not_free() -> None:
    assert machine_usd_per_hour(case_with({}).task_file) == (0.36, "rented at $0.36 an hour")
    usd, why = machine_usd_per_hour(case_with({}, None).task_file)
    assert usd is None and "serving.machine_usd_per_hour" in why


def test_a_machine_sold_for_more_than_it_cost_is_no_source_of_money() -> None:
    owned = {"usd": 100, "salvage_usd": 200, "watts": 10, "usd_per_kwh": 0.1}
    usd, why = machine_usd_per_hour(case_with({"owned": owned}).task_file)
    assert usd is None and why.startswith("costs.owned.salvage_usd: $200.00")


def test_a_quarter_of_the_time_busy_costs_four_times_as_much() -> None:
    # $0.36 an hour are $0.0001 a second: 0.1 s a call, 1,000 calls: 1 cent.
    full = local_usd_per_1000(0.1, 0.36, utilisation=1.0, parallel_calls=1)
    assert full == pytest.approx(0.01, rel=1e-12)
    quarter = local_usd_per_1000(0.1, 0.36, utilisation=0.25, parallel_calls=1)
    assert quarter == pytest.approx(0.04, rel=1e-12)
    assert local_usd_per_1000(0.1, 0.36, utilisation=0.25, parallel_calls=4) == pytest.approx(0.01, rel=1e-12)


@given(st.floats(1e-4, 1e3), USD, st.floats(0.01, 1), st.floats(0.01, 1), st.integers(1, 64))
def test_utilisation_divides(seconds: float, usd: float, one: float, other: float, parallel: int) -> None:
    costs_one, costs_other = (
        local_usd_per_1000(seconds, usd, utilisation=share, parallel_calls=parallel) for share in (one, other)
    )
    assert math.isclose(costs_one * one, costs_other * other, rel_tol=1e-12)
    if one < other:
        assert costs_one >= costs_other


@pytest.mark.parametrize(("utilisation", "parallel"), [(0.0, 1), (1.1, 1), (-0.5, 1), (0.5, 0)])
def test_a_machine_that_cannot_be_is_refused(utilisation: float, parallel: int) -> None:
    with pytest.raises(ValueError, match="no machine is busy"):
        local_usd_per_1000(1.0, 1.0, utilisation=utilisation, parallel_calls=parallel)


def test_a_local_line_shows_three_utilisations_and_plans_with_one() -> None:
    line = costs({"utilisation": 0.5}).lines[1]
    assert (line.arm, line.kind, line.usd_per_1000) == ("tuned", "local", pytest.approx(0.02, rel=1e-12))
    shown = {at.utilisation: at.usd_per_1000 for at in line.at}
    assert shown == {
        0.05: pytest.approx(0.2, rel=1e-12),
        0.25: pytest.approx(0.04, rel=1e-12),
        1.0: pytest.approx(0.01, rel=1e-12),
    }
    assert line.basis == "0.1 s a call, 1 at once, machine rented at $0.36 an hour, busy 50 % of its hours"


@given(st.integers(1, 10**9), st.floats(1e-3, 60), st.integers(1, 64))
def test_at_the_utilisation_of_its_volume_a_machine_costs_its_whole_month(
    calls: int, seconds: float, parallel: int
) -> None:
    share = utilisation_at(calls, seconds, parallel_calls=parallel)
    if share <= 1:
        usd = local_usd_per_1000(seconds, 0.36, utilisation=share, parallel_calls=parallel)
        assert math.isclose(usd * calls / 1000, 0.36 * 730, rel_tol=1e-9)


def test_a_local_line_says_how_much_of_the_machine_the_volume_fills() -> None:
    case = case_with(FULL, calls_per_month=262_800)
    line = costs_of(case, measured(), prices(), served="tuned", against="frontier").lines[1]
    # 262,800 · 0.1 s are 7.3 of 730 hours.
    assert line.basis.endswith("; 262,800 calls a month fill 1 % of one machine's hours")


def test_rivals_have_a_line_only_if_they_were_timed_and_controls_have_none() -> None:
    rows = (*ROWS, row("seed-1", "seed"), row("shuffled", "control"))
    task_file = case_with(FULL).task_file
    names = [line.arm for line in cost_lines(task_file, measured()._replace(results=rows), prices())]
    assert names == ["base", "tuned", "frontier"]
    timed = measured(knn=0.001)._replace(results=rows)
    assert "knn" in [line.arm for line in cost_lines(task_file, timed, prices())]


def test_the_parts_of_the_move_are_added_up() -> None:
    parts = {part.name: part.usd for part in one_offs(case_with(FULL).task_file, measured(), prices())}
    # Training: half an hour at $2. Evaluation: two replies at 3,000 millionths.
    assert parts == {
        "drafting": 12.0,
        "review": 600.0,
        "training": 1.0,
        "evaluation": pytest.approx(0.006, rel=1e-15),
    }


def test_training_without_a_price_of_its_own_takes_the_machine_that_answers() -> None:
    section = {key: value for key, value in FULL.items() if key != "training_usd_per_hour"}
    part = one_offs(case_with(section).task_file, measured(), prices())[2]
    assert (part.usd, part.basis) == (pytest.approx(0.18, rel=1e-15), "0.5 hours at $0.36")


def test_a_given_zero_is_zero_and_not_unknown() -> None:
    section = {"drafting_usd": 0, "review_hours": 0, "training_usd_per_hour": 0, "evaluation_usd": 0}
    section |= {"shared_machine": True}
    found = costs(section)
    assert found.unknown == () and found.break_even is not None
    assert found.break_even.one_off_usd == 0.0 and found.break_even.calls_per_month == 0.0


def test_the_evaluation_counts_every_arm_behind_an_api() -> None:
    rows = (*ROWS, row("second", "endpoint"))
    seen = measured()._replace(results=rows, replies={"frontier": [reply()], "second": [reply()] * 3})
    both = Prices(dict.fromkeys(("frontier", "second"), prices().known["frontier"]), {})
    assert one_offs(case_with(FULL).task_file, seen, both)[3].usd == pytest.approx(0.012, rel=1e-15)
    assert one_offs(case_with(FULL).task_file, seen, prices())[3].usd is None


def test_the_break_even_is_the_one_computed_by_hand() -> None:
    even = costs().break_even
    assert even is not None
    assert even.api_usd_per_call == pytest.approx(0.003, rel=1e-15)
    assert even.own_usd_per_call == pytest.approx(0.00004, rel=1e-12)
    assert even.one_off_usd == pytest.approx(613.006, rel=1e-15)
    assert even.calls_per_month == pytest.approx((20 + 613.006 / 12) / 0.00296, rel=1e-12)
    assert {entry.what: entry.calls_per_month for entry in even.sensitivity} == {
        "API price × 0.5": pytest.approx((20 + 613.006 / 12) / (0.0015 - 0.00004), rel=1e-12),
        "API price × 2": pytest.approx((20 + 613.006 / 12) / (0.006 - 0.00004), rel=1e-12),
        "own cost × 0.5": pytest.approx((20 + 613.006 / 12) / (0.003 - 0.00002), rel=1e-12),
        "own cost × 2": pytest.approx((20 + 613.006 / 12) / (0.003 - 0.00008), rel=1e-12),
        "one-off costs × 0.5": pytest.approx((20 + 306.503 / 12) / 0.00296, rel=1e-12),
        "one-off costs × 2": pytest.approx((20 + 1226.012 / 12) / 0.00296, rel=1e-12),
    }


def test_a_machine_kept_for_this_task_alone_pays_for_its_idle_hours_too() -> None:
    even = costs(ALONE).break_even
    assert even is not None
    assert even.machine_usd_per_month == pytest.approx(730 * 0.36, rel=1e-12)
    assert even.calls_per_month == pytest.approx((262.8 + 20 + 613.006 / 12) / 0.003, rel=1e-12)
    shared = costs().break_even
    assert shared is not None and shared.calls_per_month is not None
    assert even.calls_per_month > shared.calls_per_month


def test_one_machine_answers_no_more_calls_than_its_hours_hold() -> None:
    # 730 h hold 105,120 calls of 25 s, and 111,294 would be needed: two machines pay from 198,894 calls on.
    even = costs(ALONE, seen=measured(tuned=25.0)).break_even
    assert even is not None and even.machine_calls_per_month == pytest.approx(105_120)
    assert even.calls_per_month == pytest.approx((2 * 262.8 + 20 + 613.006 / 12) / 0.003, rel=1e-12)
    even = costs(ALONE, seen=measured(tuned=23.0)).break_even
    assert even is not None
    assert even.calls_per_month == pytest.approx((262.8 + 20 + 613.006 / 12) / 0.003, rel=1e-12)


def test_a_machine_that_costs_more_than_the_calls_it_can_answer_never_pays() -> None:
    # A call of 31 s: 730 h hold 84,774 of them, 254 USD at the API, and the machine costs 263.
    even = costs(ALONE, seen=measured(tuned=31.0)).break_even
    assert even is not None and even.calls_per_month is None


@given(st.floats(1e-4, 1), st.floats(1, 1e3), st.floats(1e3, 1e7), st.floats(0, 1e4))
def test_at_the_break_even_of_whole_machines_nothing_is_saved_and_nothing_lost(
    api: float, usd: float, calls: float, monthly: float
) -> None:
    machine = MachineMonth(usd, calls)
    found = dedicated_calls(api, machine, monthly=monthly)
    if found is None:
        assert api * calls <= usd * (1 + 1e-9)
        return
    machines = max(1, math.ceil(found / calls - 1e-6))
    assert found * api == pytest.approx(machines * usd + monthly, rel=1e-6)


def test_what_is_saved_is_nothing_at_the_break_even_and_grows_with_the_volume() -> None:
    for section in (FULL, ALONE):
        even = costs(section).break_even
        assert even is not None and even.calls_per_month is not None
        assert saved_usd(even, even.calls_per_month) == pytest.approx(0.0, abs=1e-9)
        assert saved_usd(even, 0.5 * even.calls_per_month) < 0 < saved_usd(even, 2 * even.calls_per_month)
    alone = costs(ALONE).break_even
    # 20,000 calls at 0.003 are 60 dollars, and the idle machine costs 262.80.
    assert alone is not None
    assert saved_usd(alone, 20_000) == pytest.approx(60 - 262.8 - 20 - 613.006 / 12, rel=1e-12)


def test_every_paid_reply_is_part_of_the_evaluation_and_only_the_first_ones_of_the_price_of_a_call() -> None:
    seen = measured()._replace(paid={"frontier": [reply()] * 10})
    found = costs(seen=seen)
    assert one_offs(case_with(FULL).task_file, seen, prices())[3].usd == pytest.approx(0.03, rel=1e-15)
    assert [line.usd_per_1000 for line in found.lines if line.arm == "frontier"] == [pytest.approx(3.0)]


@given(st.floats(1e-6, 10), st.floats(0, 0.99), st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0.1, 120))
def test_at_the_break_even_both_sides_cost_the_same(
    api: float, share: float, one_off: float, fixed: float, months: float
) -> None:
    own = api * share
    calls = break_even_calls(api, own, one_off=one_off, fixed_per_month=fixed, months=months)
    assert calls is not None
    assert math.isclose(calls * api, calls * own + fixed + one_off / months, rel_tol=1e-9, abs_tol=1e-9)


@given(st.floats(1e-6, 10), st.floats(0, 0.9), st.floats(1, 1e6), st.floats(0.1, 120))
def test_dearer_moves_and_cheaper_apis_need_more_calls(
    api: float, share: float, one_off: float, months: float
) -> None:
    def calls(api: float, own: float, one_off: float, fixed: float = 1.0) -> float:
        found = break_even_calls(api, own, one_off=one_off, fixed_per_month=fixed, months=months)
        return math.inf if found is None else found

    own = api * share
    now = calls(api, own, one_off)
    assert calls(api, own, 2 * one_off) > now
    assert calls(api, own, one_off, fixed=2.0) > now
    assert calls(2 * api, own, one_off) < now
    assert calls(api, own + 0.05 * api, one_off) > now


@pytest.mark.parametrize("own", [0.003, 0.0031, 5.0])
def test_an_own_call_that_costs_as_much_or_more_never_pays(own: float) -> None:
    assert break_even_calls(0.003, own, one_off=100, fixed_per_month=0, months=12) is None


def test_never_is_told_apart_from_unknown() -> None:
    slow = costs(seen=measured(tuned=30.0))
    assert slow.unknown == () and slow.break_even is not None
    assert slow.break_even.calls_per_month is None
    assert costs({}).break_even is None and costs({}).unknown


@pytest.mark.parametrize(
    ("left_out", "key"),
    [
        ("drafting_usd", "costs.drafting_usd"),
        ("review_hours", "costs.review_hours"),
        ("usd_per_review_hour", "costs.usd_per_review_hour"),
    ],
)
def test_a_part_that_nobody_gave_is_named_with_its_key(left_out: str, key: str) -> None:
    found = costs({name: value for name, value in FULL.items() if name != left_out})
    assert found.break_even is None
    assert len(found.unknown) == 1 and found.unknown[0].startswith(f"{key}:")


def test_everything_that_is_missing_is_named_at_once() -> None:
    case = case_with({}, None)
    found = costs_of(case, measured(), prices(None), served="tuned", against="frontier")
    assert found.break_even is None
    assert all(line.usd_per_1000 is None and line.unknown for line in found.lines) and len(found.lines) == 3
    text = "\n".join(found.unknown)
    for key in (
        "costs.drafting_usd",
        "costs.review_hours and costs.usd_per_review_hour",
        "costs.training_usd_per_hour",
        "costs.evaluation_usd",
        "serving.machine_usd_per_hour",
        "comparison.frontier.price",
    ):
        assert key in text, key
    assert len(set(found.unknown)) == len(found.unknown) == 6


def test_calls_that_were_not_timed_cost_nothing_known() -> None:
    found = costs(seen=measured(tuned=None))
    line = found.lines[1]
    assert (line.usd_per_1000, line.at, line.unknown) == (None, (), "tuned: its calls were not timed")
    assert found.break_even is None and found.unknown == ("tuned: its calls were not timed",)


def test_replies_without_token_counts_are_unknown_and_not_free() -> None:
    found = costs(seen=measured((reply(0, 0), reply(0, 0))))
    assert found.lines[2].usd_per_1000 is None
    assert found.lines[2].unknown == "frontier: none of its 2 replies came with token counts"
    assert any(why.startswith("costs.evaluation_usd") for why in found.unknown)


def test_impossible_counts_of_a_server_are_unknown_and_no_traceback() -> None:
    assert costs(seen=measured((reply(10, 1, cached_tokens=11),))).lines[2].usd_per_1000 is None


def test_without_a_frontier_there_is_nothing_to_break_even_with() -> None:
    found = costs_of(case_with(FULL), measured(), prices(), served="tuned", against=None)
    assert found.break_even is None
    assert found.unknown == ("comparison.frontier: no frontier was measured",)
    gone = costs_of(case_with(FULL), measured(), prices(), served="tuned-q8", against="frontier")
    assert gone.unknown == ("tuned-q8: was not measured",)


def test_the_facts_answer_four_points_behind_at_a_sliver_of_the_cost() -> None:
    facts = verdict_facts(costs(), 100_000, 4.0, served="tuned", against="frontier")
    assert facts.own_over_api == pytest.approx(0.04 / 3, rel=1e-12)
    assert facts.never is False
    assert facts.calls_saving_usd == pytest.approx(296.0, rel=1e-12)
    saving = 296 - 20 - 613.006 / 12
    assert facts.saving_usd == pytest.approx(saving, rel=1e-12)
    assert facts.usd_per_point == pytest.approx(saving / 4, rel=1e-12)
    assert facts.break_even_calls == pytest.approx((20 + 613.006 / 12) / 0.00296, rel=1e-12)


def test_at_the_break_even_nothing_is_saved_and_one_call_less_loses() -> None:
    even = costs().break_even
    assert even is not None and even.calls_per_month is not None
    below, above = (
        verdict_facts(
            costs(), round_(even.calls_per_month), 4.0, served="tuned", against="frontier"
        ).saving_usd
        for round_ in (math.floor, math.ceil)
    )
    assert below is not None and above is not None and below < 0 < above


def test_facts_that_nobody_knows_are_none() -> None:
    no_volume = verdict_facts(costs(), None, 4.0, served="tuned", against="frontier")
    assert no_volume.saving_usd is None and no_volume.calls_saving_usd is None
    assert no_volume.own_over_api is not None and no_volume.break_even_calls is not None
    ahead = verdict_facts(costs(), 100_000, -2.0, served="tuned", against="frontier")
    assert ahead.usd_per_point is None and ahead.saving_usd is not None
    one_off_open = verdict_facts(costs({}), 100_000, 4.0, served="tuned", against="frontier")
    assert one_off_open.saving_usd is None and one_off_open.calls_saving_usd == pytest.approx(296.0)
    alone = verdict_facts(costs(), 100_000, 4.0, served="tuned", against=None)
    assert set(alone) == {None}


def test_an_own_model_that_costs_more_is_said_never_to_pay() -> None:
    facts = verdict_facts(costs(seen=measured(tuned=30.0)), 100_000, 4.0, served="tuned", against="frontier")
    assert facts.never is True and facts.break_even_calls is None
    assert facts.saving_usd is not None and facts.saving_usd < 0


def test_money_is_printed_without_powers_of_ten() -> None:
    assert [usd_text(value) for value in (0.0, 0.36, 99.5, 12_345.678)] == [
        "$0",
        "$0.36",
        "$99.5",
        "$12,345.68",
    ]


def test_the_worked_example_of_the_page_is_computed_from_its_own_settings() -> None:
    page = DOCS.read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert blocks, "no settings on the page"
    given_ = yaml.safe_load(blocks[0])
    case = case_with(given_["costs"], given_["serving"]["machine_usd_per_hour"], 400_000)
    price = Price.model_validate(given_["comparison"]["frontier"]["price"])
    seen = measured((reply(600, 12),) * 600, tuned=0.2)._replace(adapter_seconds=5_400.0)
    found = costs_of(case, seen, prices(price), served="tuned", against="frontier")
    even, own, api = found.break_even, found.lines[1], found.lines[2]
    assert even is not None and even.calls_per_month is not None
    facts = verdict_facts(found, 400_000, 4.0, served="tuned", against="frontier")
    own_machine = case_with(given_["costs"] | {"shared_machine": False}, 0.36, 400_000)
    kept = costs_of(own_machine, seen, prices(price), served="tuned", against="frontier").break_even
    assert kept is not None and kept.calls_per_month is not None
    share = utilisation_at(400_000, 0.2, parallel_calls=1)
    alone = local_usd_per_1000(0.2, 0.36, utilisation=share, parallel_calls=1)
    numbers = {
        f"Alone, it would be ${alone:.4f}.",
        f"API: **${api.usd_per_1000:.4f}**",
        f"in batches **${api.best_usd_per_1000:.4f}**",
        f"own: **${own.usd_per_1000:.4f}**",
        *(f"${at.usd_per_1000:.4f} at {100 * at.utilisation:.0f} %" for at in own.at),
        *(f"{part.name} ${part.usd:.2f}" for part in even.one_off),
        f"together ${even.one_off_usd:.2f}",
        f"break-even: **{math.ceil(even.calls_per_month):,} calls a month**",
        *(
            f"{entry.what}: {math.ceil(entry.calls_per_month):,}"
            for entry in even.sensitivity
            if entry.calls_per_month is not None
        ),
        own.basis.split("; ")[1],
        f"1/{1 / (facts.own_over_api or math.nan):.0f} of the cost",
        f"saves ${facts.saving_usd:.2f} a month",
        f"it would take {math.ceil(kept.calls_per_month):,} calls a month",
        f"${facts.usd_per_point:.2f} for each of the 4 points",
    }
    assert len(numbers) >= 20
    flat = " ".join(page.split())
    assert not {number for number in numbers if number not in flat}


def test_the_owned_machine_of_the_page_can_be_written_like_that() -> None:
    block = re.findall(r"```text\n(costs:.*?)```", DOCS.read_text("utf-8"), flags=re.DOTALL)
    assert len(block) == 1
    usd, _ = machine_usd_per_hour(case_with(yaml.safe_load(block[0])["costs"]).task_file)
    assert usd == pytest.approx(2_000 / 26_280 + 0.35 * 0.3 * 1.2 + 0.02, rel=1e-12)
