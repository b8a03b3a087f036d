"""The sample with everything measured that can be: frontier, endpoint, seeds, controls, costs, times.

Every number is invented; slices and groups of wrong replies are computed from the invented replies.
"""

from __future__ import annotations

import random

from access_sample import DIGEST, sample_ledger
from sample import N, contrast, sample_report
from sample import arm_result as arm
from tuneproof.artifacts import (
    ArmResult,
    BreakEven,
    ClassLoss,
    Comparison,
    Control,
    CostLine,
    Costs,
    Equality,
    FileStep,
    Interval,
    Item,
    Price,
    PriceUsed,
    PromptTrial,
    Reply,
    Score,
    SeedSpread,
    Split,
    Timing,
    Verdict,
)
from tuneproof.artifacts.costs import OneOff, Sensitivity, UsdAt
from tuneproof.artifacts.plan import EvalPlan
from tuneproof.report import ReportInput
from tuneproof.slices import failures_of, slices_of

SERVED, BASE, RIVAL = "tuned-Q8_0", "base-5-shot", "word-model"
RIGHT = {BASE: 4, SERVED: 115, RIVAL: 97, "frontier": 182}


def full_report() -> ReportInput:
    """Build the same sample every time, with nothing missing."""
    data = sample_report()
    data = data._replace(split=full_split(data.split))
    arms = full_arms(data.verdict.arms)
    replies = served_replies(data.split)
    return data._replace(
        comparison=full_comparison(data.comparison, arms),
        serving=data.serving.model_copy(
            update={"timings": full_timings(), "repeated": N, "repeated_equal": N}
        ),
        verdict=full_verdict(data.verdict, arms, data.split, replies),
        plan=full_plan(data.plan, arms),
        ledger=sample_ledger(arms),
        replies={SERVED: replies},
    )


def full_split(split: Split) -> Split:
    """The sample's split with some inputs far from train, and nine outputs that train lacks."""

    def changed(i: int, item: Item) -> Item:
        words = " Kept apart by the warehouse of the fourth sample district." if i % 3 == 0 else ""
        output = "zlib-acknowledgement" if i % 22 == 7 else item.output
        return item.model_copy(update={"input": item.input + words, "output": output})

    items = tuple(changed(i, item) for i, item in enumerate(split.test.items))
    return split.model_copy(update={"test": split.test.model_copy(update={"items": items})})


def grouped(result: ArmResult) -> ArmResult:
    """The arm with an interval over groups, the wider one."""
    half = (result.interval.high - result.interval.low) * 0.62
    wide = Interval(low=max(0.0, result.rate - half), high=min(1.0, result.rate + half))
    update = {"clusters": 100, "icc": 0.31, "design_effect": 1.31, "cluster_interval": wide}
    return result.model_copy(update=update)


def full_arms(arms: tuple[ArmResult, ...]) -> tuple[ArmResult, ...]:
    timed = {"p50_ms": 142.0, "p95_ms": 231.0, "output_tokens_mean": 6.1}
    local = {**timed, "usd_per_1000": None}
    api = {"engine": "API", "output_tokens_mean": 7.3, "prompt_tokens_mean": 1_840.0}
    more = (
        arm("base-5-shot-held", "Base, 5 examples", "base", 9, constrained=True, **local),
        arm("frontier", "Frontier", "frontier", 182, model="sample-large-2026-01", p50_ms=None, p95_ms=None,
            usd_per_1000=5.61, recorded="imported 2026-01-02 from replies.jsonl", **api),
        arm("mistral", "Small model at an API", "endpoint", 141, model="sample-small", p50_ms=410.0,
            p95_ms=905.0, usd_per_1000=0.31, repeat_rates=(0.705, 0.7, 0.715), **api),
        arm("seed-1", "Tuned, seed 1", "seed", 112, **local),
        arm("seed-2", "Tuned, seed 2", "seed", 121, **local),
        arm("control-shuffled-labels", "Tuned on shuffled labels", "control", 9, **local),
    )  # fmt: skip
    return tuple(grouped(result) for result in (*arms[:2], more[0], *arms[2:], *more[1:]))


def full_comparison(comparison: Comparison, arms: tuple[ArmResult, ...]) -> Comparison:
    prompt = {"style": "examples as turns", "n": 40, "mean_value": None}
    trials = (
        *comparison.trials,
        PromptTrial(arm="base", prompt="5-shot", shots=5, constrained=True, correct=3, parse_failures=0,
                    **prompt),
        PromptTrial(arm="frontier", prompt="0-shot", shots=0, correct=21, parse_failures=2, **prompt),
        PromptTrial(
            arm="frontier", prompt="20-nearest", shots=20, correct=37, parse_failures=0,
            **prompt | {"style": "the 20 nearest train pairs, in the system message, with the closed list"},
        ),
        PromptTrial(arm="mistral", prompt="20-nearest", shots=20, correct=29, parse_failures=1, **prompt),
    )  # fmt: skip
    price = Price(input_mtok=3.0, output_mtok=15.0, cache_read_mtok=0.3, batch_discount=0.5)
    return comparison.model_copy(
        update={
            "arms": tuple(a for a in arms if a.arm.file is None),
            "trials": trials,
            "chosen": {"base": "5-shot", "frontier": "20-nearest", "mistral": "20-nearest"},
            "not_measured": {},
            "excluded": tuple(f"test-{i:03}" for i in range(5)),
            "prices": {
                "frontier": PriceUsed(
                    model="sample-large-2026-01",
                    price=price,
                    source="genai-prices 0.0.0, prices of 2026-01-02",
                )
            },
            "price_unknown": {"mistral": "not in the list; set comparison.endpoints[0].price"},
            "constraint": "a grammar made of the closed list of answers",
        }
    )


def full_timings() -> tuple[Timing, ...]:
    def timing(name: str, p50: float, **fields: object) -> Timing:
        values = {
            "arm": name, "n": N, "concurrency": 1, "interleaved": True, "p50_ms": p50,
            "p50_interval": Interval(low=0.97 * p50, high=1.04 * p50), "p95_ms": 1.6 * p50,
            "p95_interval": Interval(low=1.5 * p50, high=1.9 * p50), "first_p50_ms": 0.4 * p50,
            "first_p95_ms": 0.7 * p50, "per_token_p50_ms": 14.1, "output_tokens_mean": 6.2,
        }  # fmt: skip
        return Timing.model_validate(values | fields)

    return (
        timing(BASE, 612.0),
        timing("tuned-f16", 171.0),
        timing(SERVED, 142.0, cold_start_ms=834.0),
        timing("tuned-Q4_K_M", 97.0),
        timing(
            SERVED, 388.0, concurrency=4, interleaved=False, calls_per_s=9.7, wall_s=20.6, p95_interval=None
        ),
    )


def full_costs() -> Costs:
    def local(name: str, usd: float) -> CostLine:
        at = tuple(UsdAt(utilisation=u, usd_per_1000=usd * 0.25 / u) for u in (0.05, 0.25, 1.0))
        basis = "0.142 s a call, 0.04 USD an hour, 25 % used"
        return CostLine(arm=name, kind="local", usd_per_1000=usd, at=at, basis=basis)

    lines = (
        local(BASE, 0.0272),
        local("tuned-f16", 0.0076),
        local(SERVED, 0.0063),
        local("tuned-Q4_K_M", 0.0043),
        CostLine(arm="frontier", kind="api", usd_per_1000=5.61, best_usd_per_1000=1.12,
                 basis="1,840 prompt and 7.3 reply tokens a call at the list price"),
        CostLine(arm="mistral", kind="api", usd_per_1000=None, basis="", unknown="no price for sample-small"),
    )  # fmt: skip
    parts = (
        OneOff(name="drafting", usd=0.0, basis="imported pairs: nothing was drafted"),
        OneOff(name="review", usd=960.0, basis="24 h × 40 USD"),
        OneOff(name="training", usd=0.0023, basis="203 s × 0.04 USD an hour"),
        OneOff(name="evaluation", usd=None, basis="set costs.evaluation_usd"),
    )
    break_even = BreakEven(
        against="frontier", api_usd_per_call=0.00561, own_usd_per_call=0.0000063, one_off=parts,
        one_off_usd=960.0023, fixed_usd_per_month=50.0, months=12.0, calls_per_month=23_200.4,
        sensitivity=(
            Sensitivity(what="API price × 0.5", calls_per_month=46_452.0),
            Sensitivity(what="API price × 2", calls_per_month=11_593.0),
            Sensitivity(what="machine price × 2", calls_per_month=23_226.0),
            Sensitivity(what="review × 2", calls_per_month=37_500.0),
            Sensitivity(what="API price × 0.001", calls_per_month=None),
        ),
    )  # fmt: skip
    unknown = ("the price of mistral: comparison.endpoints[0].price in task.yaml",)
    return Costs(lines=lines, break_even=break_even, unknown=unknown)


def file_step(quant: str, wins: int, losses: int, claim: str, **fields: object) -> FileStep:
    step = contrast(f"tuned-{quant}", "tuned-f16", wins, losses, 0.9)
    equality = Equality(
        arm=step.arm, against=step.against, n=N, margin=0.03, low=step.interval.low + 0.005,
        shown=claim == "no loss worth noting", better=False, worse=False, items_needed=380,
    )  # fmt: skip
    values = {
        "file": f"sample-{quant}.gguf", "quant": quant, "contrast": step, "flips": (wins + losses) / N,
        "flips_interval": Interval(low=0.008, high=0.1), "equality": equality, "claim": claim,
        "in_sequence": True,
        "could_hide": -equality.low, "same_text": 0.93, "length_ratio": 1.01, "parse_failures_more": 0,
    }  # fmt: skip
    return FileStep.model_validate(values | fields)


def served_replies(split: Split) -> tuple[Reply, ...]:
    """Invented replies of the served file: some empty, cut, malformed, refused, swapped or new."""
    luck = random.Random("full sample")
    items = split.test.items
    wrong = set(luck.sample(range(len(items)), len(items) - RIGHT[SERVED]))
    return tuple(
        _wrong_reply(item.id, item.output, luck) if i in wrong else _reply(item.id, item.output)
        for i, item in enumerate(items)
    )


def _reply(item_id: str, text: str, finish: str = "stop") -> Reply:
    fields = {"item_id": item_id, "text": text, "finish": finish, "prompt_tokens": 60, "output_tokens": 6}
    return Reply.model_validate(fields | {"ms": 142.0})


def _wrong_reply(item_id: str, expected: str, luck: random.Random) -> Reply:
    labels = [label for label in ("bsd-new", "gpl-1.0-plus OR mit", "apache-2.0") if label != expected]
    draw = luck.random()
    if draw < 0.1:
        return _reply(item_id, "")
    if draw < 0.2:
        return _reply(item_id, f"{expected} {expected} {expected}", "length")
    if draw < 0.3:
        return _reply(item_id, "I'm sorry, I cannot tell the licence.")
    if draw < 0.4:
        return _reply(item_id, expected.upper() + "!")
    return _reply(item_id, luck.choice([*labels, "isc"]))


def scores_of(split: Split, replies: tuple[Reply, ...]) -> tuple[Score, ...]:
    items = zip(split.test.items, replies, strict=True)
    return tuple(
        Score(
            item_id=item.id, correct=reply.text == item.output, parse_failure=not reply.text,
            empty=not reply.text,
            value=float(reply.text == item.output), refusal="sorry" in reply.text,
        )
        for item, reply in items
    )  # fmt: skip


def full_verdict(
    verdict: Verdict, arms: tuple[ArmResult, ...], split: Split, replies: tuple[Reply, ...]
) -> Verdict:
    scores = scores_of(split, replies)
    luck = random.Random("scored")
    scored = {name: [luck.random() < right / N for _ in range(N)] for name, right in RIGHT.items()}
    scored[SERVED] = [score.correct for score in scores]
    loss = ClassLoss(label="apache-2.0", n=66, base_right=40, tuned_right=22)
    frontier = contrast(SERVED, "frontier", 6, 73, 0.9999)
    holm = {"p_holm": 0.0246, "cluster_interval": Interval(low=0.01, high=0.19), "clusters": 100}
    rivals = tuple(c.model_copy(update=holm) for c in verdict.rivals)
    gates = (
        *verdict.gates[:2],
        verdict.gates[2].model_copy(update={"class_losses": (loss,)}),
        verdict.gates[3].model_copy(
            update={"outcome": "INCONCLUSIVE", "reason": "the interval spans 0", "items_needed": 640}
        ),
    )
    values = {"value_difference": 0.031, "value_interval": Interval(low=0.004, high=0.061), "value_p": 0.014}
    return verdict.model_copy(
        update={
            "arms": arms,
            "gates": gates,
            "rivals": rivals,
            "advice": "use the frontier",
            "decision": "stay",
            "paragraph": "Sample data. The tuned model has 115 of 200 test items right, the frontier 182 and "
            "the best base 4. A call of the tuned model costs a sliver of a frontier call, but 33.5 points "
            "are more than the 10 that a lower cost may pay for in this project.",
            "headline": "Sample data: use the frontier, the tuned model is 33.5 points behind it",
            "files": (
                file_step("Q8_0", 1, 3, "no loss worth noting"),
                file_step("Q4_K_M", 4, 13, "no loss seen", length_ratio=1.21, parse_failures_more=3,
                          in_sequence=False, same_text=0.81),
            ),
            "frontier": frontier.model_copy(update={"test": "sign flips of groups"}),
            "frontier_equality": Equality(
                arm=SERVED, against="frontier", n=N, margin=0.05, low=-0.39, shown=False, better=False,
                worse=True, items_needed=1_570,
            ),
            "endpoints": (contrast(SERVED, "mistral", 20, 46, 0.999).model_copy(update=holm | values),),
            "format_gain": contrast("base-5-shot-held", BASE, 6, 1, 0.035),
            "seeds": SeedSpread(
                arms=(SERVED, "seed-1", "seed-2"), rates=(0.575, 0.56, 0.605), mean=0.58, low=0.56,
                high=0.605, gain=0.535, exceeds_gain=False,
            ),
            "controls": (
                Control(
                    name="shuffled-labels", outcome="FAIL",
                    contrast=contrast("control-shuffled-labels", BASE, 7, 2, 0.05),
                ),
            ),
            "slices": slices_of(split, scored, arms=(BASE, SERVED, RIVAL, "frontier")),
            "failures": failures_of(split, replies, scores, {row.output for row in split.train.pairs}),
            "costs": full_costs(),
            "optimism": 0.018,
            "test_accesses": 7,
            "observed_detectable_gain": 0.041,
            "deviations": ("the frontier answered as sample-large-2026-02, not as named in task.yaml",),
            "not_measured": {},
        }
    )  # fmt: skip


def full_plan(plan: EvalPlan, arms: tuple[ArmResult, ...]) -> EvalPlan:
    return plan.model_copy(
        update={
            "arms": tuple(result.arm.name for result in arms),
            "extra_tunes": {"seed-1": DIGEST, "control-shuffled-labels": DIGEST},
        }
    )
