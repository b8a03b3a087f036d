"""A verdict with its decision → its paragraph, in sentences of a closed list (`verdict_words.SENTENCES`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneproof.artifacts import ArmResult, Case, Contrast, Timing, Verdict
from tuneproof.artifacts.verdict import ClassLoss, GateOutcome
from tuneproof.metrics import metric_of
from tuneproof.verdict_facts import FRONTIER, RULE, Facts, arm_of, facts_of, proven, shorter_call
from tuneproof.verdict_frontier import cost_sentences, frontier_sentences, latency_sentences
from tuneproof.verdict_words import (
    OTHERS,
    SENTENCES,
    control_name,
    of_contrast,
    p_value,
    percent,
    points,
    say,
    size,
    span,
    where,
    whole_calls,
)

__all__ = [
    "FRONTIER",
    "first_remedy",
    "gate_reason",
    "p_value",
    "paragraph_of",
    "percent",
    "points",
    "share_name",
    "span",
]

MOST_CLASSES = 5
"""Class losses that are named; the gate's record holds all."""


def gate_reason(contrast: Contrast, outcome: GateOutcome, alpha: float) -> str:
    """Say why the gate came out as it did, and by which test."""
    groups = f" in {contrast.clusters} groups" if contrast.clusters else ""
    numbers = (
        f"{contrast.wins} won and {contrast.losses} lost of {contrast.n} items{groups}, "
        f"{points(contrast.difference)} ({span(contrast.wider, signed=True)}), {contrast.test} "
        f"{p_value(contrast.p_one_sided)} one-sided against {alpha:g}"
    )
    return {
        "PASS": f"better than its best base: {numbers}",
        "FAIL": f"not better than its best base: {numbers}",
        "INCONCLUSIVE": f"not shown to be better than its best base: {numbers}",
    }[outcome]


def share_name(case: Case) -> str:
    """Say what a share of right replies is a share of: `exact match`, or `right by json fields`."""
    metric, right_at = case.task_file.task.metric, case.task_file.scoring.right_at
    said = metric_of(metric).share_name(right_at or 1.0)
    return said if said == metric else f"right by {metric} ({said})"


def first_remedy(verdict: Verdict) -> str:
    """What to do first about a tune that is not good enough; empty where its quality is not the reason.

    Bad pairs are the commonest cause, and no setting cures them, so reading comes before any setting.
    """
    equality = verdict.frontier_equality
    good_enough = equality is not None and (equality.shown or equality.better)
    for_quality = verdict.advice in {"use the base with a better prompt", "use the cheap rival"} or (
        verdict.advice == "use the frontier" and not good_enough
    )
    return SENTENCES["remedy"] if verdict.gate == "FAIL" or for_quality else ""


def paragraph_of(
    case: Case,
    verdict: Verdict,
    *,
    base: ArmResult,
    served: ArmResult,
    trained_on: tuple[int, int],
    timings: Sequence[Timing],
) -> str:
    """Put the verdict's paragraph together.

    Args:
        case: the metric, the level of the intervals, the calls a month.
        verdict: everything but the paragraph.
        base: the best base arm.
        served: the arm of the file that is served.
        trained_on: pairs that the model was trained on, and pairs that there are.
        timings: of any arms; only those of one call at a time are used.
    """
    facts = facts_of(case, verdict, base=base, served=served)
    parts = (
        _quality(facts),
        _gate(facts),
        _chance(facts),
        _rivals(facts),
        _training(facts, *trained_on),
        frontier_sentences(facts),
        cost_sentences(facts),
        latency_sentences(facts, timings),
        _test(facts),
        [_pick(facts)],
    )
    return " ".join(sentence for part in parts for sentence in part)


def _quality(facts: Facts) -> Iterator[str]:
    case, base, served = facts.case, facts.base, facts.served
    yield say(
        "rates",
        n=served.n,
        title=served.arm.title,
        rate=percent(served.rate),
        share_name=share_name(case),
        level=f"{case.task_file.gate.confidence * 100:g} %",
        span=span(served.wider),
        base=base.arm.title,
        base_rate=percent(base.rate),
        base_span=span(base.wider),
    )
    if served.mean_value is not None and served.mean_interval is not None and base.mean_value is not None:
        of_base = base.mean_interval
        yield say(
            "mean",
            metric=case.task_file.task.metric,
            mean=f"{served.mean_value:.3f}",
            span=f"{served.mean_interval.low:.3f} to {served.mean_interval.high:.3f}",
            base_mean=f"{base.mean_value:.3f}",
            around=f" ({of_base.low:.3f} to {of_base.high:.3f})" if of_base else "",
        )
    form = facts.verdict.format_gain
    if form is not None:
        yield say("format", difference=points(form.difference), **of_contrast(form))


def _gate(facts: Facts) -> Iterator[str]:
    gate = facts.gate
    yield say("gate", file=gate.file, outcome=gate.outcome, reason=gate.reason)
    if gate.outcome == "INCONCLUSIVE" and gate.items_needed is not None:
        yield say("items", items=f"{gate.items_needed:,}")
    if gate.class_losses:
        named = [_class(loss) for loss in gate.class_losses[:MOST_CLASSES]]
        more = len(gate.class_losses) - len(named)
        yield say(
            "class losses",
            count=len(gate.class_losses),
            classes=", ".join(named) + (f" and {more} more" if more else ""),
        )


def _class(loss: ClassLoss) -> str:
    return f"{loss.label} (from {loss.base_right} to {loss.tuned_right} of {loss.n})"


def _chance(facts: Facts) -> Iterator[str]:
    seeds = facts.verdict.seeds
    if seeds is not None:
        yield say(
            "seeds",
            k=len(seeds.rates),
            mean=percent(seeds.mean),
            low=percent(seeds.low),
            high=percent(seeds.high),
            gain=points(seeds.gain),
            n=facts.served.n,
        )
        if seeds.exceeds_gain:
            yield say("seed decides")
    for control in facts.verdict.controls:
        as_it_must = "which must not be" if control.outcome == "PASS" else "as it must be"
        yield say(
            "control",
            control=control_name(control.name),
            against=arm_of(facts.verdict, control.contrast.against).arm.title,
            difference=points(control.contrast.difference),
            outcome=control.outcome,
            as_it_must=as_it_must,
            **of_contrast(control.contrast),
        )


USES = {
    "use the cheap rival": " Use that rival: it needs no model.",
    "fine-tuning not needed": " Keep that rule.",
}
"""What follows the sentence on the best rival, where that rival is what the verdict advises."""


def _rivals(facts: Facts) -> Iterator[str]:
    verdict = facts.verdict
    if verdict.rivals:
        strongest = min(verdict.rivals, key=lambda c: c.difference)
        rival = arm_of(verdict, strongest.against)
        advised = (rival.arm.name == RULE) == (verdict.advice == "fine-tuning not needed")
        yield say(
            "rival",
            title=rival.arm.title,
            rate=percent(rival.rate),
            rate_span=span(rival.wider),
            where=where(strongest),
            p=p_value(strongest.p_one_sided),
            use=USES.get(verdict.advice, "") if advised else "",
            **of_contrast(strongest),
        )
    for contrast in verdict.endpoints:
        endpoint = arm_of(verdict, contrast.against)
        yield say(
            "endpoint",
            title=endpoint.arm.title,
            rate=percent(endpoint.rate),
            rate_span=span(endpoint.wider),
            where=where(contrast),
            **of_contrast(contrast),
        )
    for name, why in verdict.not_measured.items():
        if name != FRONTIER:
            yield say("not measured" if _is_endpoint(facts, name) else "rival not fitted", name=name, why=why)


def _is_endpoint(facts: Facts, name: str) -> bool:
    return name in {endpoint.name for endpoint in facts.case.task_file.comparison.endpoints}


def _training(facts: Facts, used: int, available: int) -> Iterator[str]:
    remedy = first_remedy(facts.verdict)
    if remedy:
        yield remedy
    if used != available:
        yield say("rows", used=f"{used:,}", available=f"{available:,}")


def _test(facts: Facts) -> Iterator[str]:
    verdict, served = facts.verdict, facts.served
    if served.unseen_n:
        yield say("unseen", n=served.unseen_n, right=served.unseen_correct)
    if verdict.test_accesses > 1 and verdict.optimism is None:
        yield say("rounds", rounds=verdict.test_accesses)
    elif verdict.test_accesses > 1:
        yield say("optimism", rounds=verdict.test_accesses, optimism=size(verdict.optimism or 0.0))
    if served.excluded:
        yield say("excluded", excluded=served.excluded, total=served.n + served.excluded)
    if verdict.deviations:
        yield say("deviations", deviations="; ".join(verdict.deviations))


def _pick(facts: Facts) -> str:
    if not proven(facts):
        return say("pick: none")
    if facts.standing is None:
        return say("pick: frontier missing")
    if facts.standing == "far behind":
        return say("pick: far behind")
    even, others = facts.usage.break_even, _others(facts)
    if even is None:
        return say("pick: open", others=others)
    if even.calls_per_month is None:
        return say("pick: never", others=others)
    return say("pick: from", calls=whole_calls(even.calls_per_month), others=others)


def _others(facts: Facts) -> str:
    for_quality = facts.standing == "better" or (
        facts.standing == "equal" and facts.usage.answer == "unknown"
    )
    applies = {"privacy": True, "latency": shorter_call(facts), "quality": for_quality}
    return " or ".join(words for name, words in OTHERS.items() if applies[name])
