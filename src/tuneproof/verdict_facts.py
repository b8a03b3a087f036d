"""A verdict without its decision → the facts that its rules and sentences go by: numbers, no words."""

from __future__ import annotations

from typing import Literal, NamedTuple

from tuneproof.artifacts import ArmResult, Case, Contrast, Gate, Verdict
from tuneproof.artifacts.costs import BreakEven
from tuneproof.costs import saved_usd

FRONTIER = "frontier"
"""Name of the arm of the API that is paid today."""

RULE = "rule"
"""Name of the arm that is the user's own function; its kind is `rival`."""

MOST_EXCLUDED = 0.02
"""Share of items without a reply of some API above which a run is invalid."""

MOST_ROUNDS = 20
"""Rounds after which a test set is spent: the best of so many is too good by chance."""

NEARLY_ALWAYS = 0.9
"""Lower end of the interval from which a rule counts as right on nearly everything."""

Standing = Literal["better", "equal", "behind", "far behind"]
Answer = Literal["pays", "does not pay", "unknown"]


class Usage(NamedTuple):
    """What the number of calls a month says about the cost."""

    calls: int | None
    """pressures.calls_per_month."""
    break_even: BreakEven | None
    """None where an input is unknown."""
    missing: tuple[str, ...]
    """What is unknown, with the key of task.yaml that would give it."""
    saves_usd: float | None
    """US dollars a month against the frontier, one-off costs spread over the months; below 0: more."""
    answer: Answer
    """Whether the own model is cheaper at that volume."""


class Facts(NamedTuple):
    """What is decided from."""

    case: Case
    verdict: Verdict
    base: ArmResult
    """The best base."""
    served: ArmResult
    """The file that would be served."""
    gate: Gate
    """Of that file."""
    alpha: float
    """One-sided level of every test."""
    most_points: float
    """Share of items behind an arm that a lower cost can pay for."""
    frontier: ArmResult | None
    """None where it was not measured."""
    standing: Standing | None
    """Against the frontier."""
    usage: Usage


def facts_of(case: Case, verdict: Verdict, *, base: ArmResult, served: ArmResult) -> Facts:
    """Collect them; `verdict` needs everything but advice, decision, headline and paragraph."""
    section = case.task_file.gate
    most_points = section.most_points_for_cost / 100
    contrast = verdict.frontier
    return Facts(
        case=case,
        verdict=verdict,
        base=base,
        served=served,
        gate=next(g for g in verdict.gates if g.file == (served.arm.file or served.arm.name)),
        alpha=section.alpha,
        most_points=most_points,
        frontier=arm_of(verdict, contrast.against) if contrast else None,
        standing=standing_of(verdict, contrast, alpha=section.alpha, most=most_points) if contrast else None,
        usage=usage_of(case, verdict),
    )


def arm_of(verdict: Verdict, name: str) -> ArmResult:
    """Return the row of the table with this name."""
    return next(a for a in verdict.arms if a.arm.name == name)


def shown_better(contrast: Contrast, alpha: float) -> bool:
    """Say whether the arm is shown better, as the gate asks it: the test and the whole interval."""
    return contrast.p_one_sided <= alpha and contrast.wider.low > 0


def standing_of(verdict: Verdict, contrast: Contrast, *, alpha: float, most: float) -> Standing:
    """Place the served file against the frontier.

    `better` and `equal` need to be shown, the second within the margin of the plan; `far behind` is a
    difference beyond `most`, a share of items.
    """
    equality = verdict.frontier_equality
    if shown_better(contrast, alpha) or (equality is not None and equality.better):
        return "better"
    if equality is not None and equality.shown:
        return "equal"
    # 0.06 + 0.04 is above 0.1 in floats; ten points must count as ten points.
    return "far behind" if round(-contrast.difference - most, 9) > 0 else "behind"


def usage_of(case: Case, verdict: Verdict) -> Usage:
    """Hold the calls a month against the break-even.

    What is saved a month is 0 at the break-even of `costs.BreakEven`. Where a call of the own model costs as
    much or more, no volume pays.
    """
    calls, costs = case.task_file.pressures.calls_per_month, verdict.costs
    even = costs.break_even if costs else None
    if even is None:
        missing = costs.unknown if costs and costs.unknown else ("no costs were computed",)
        return Usage(calls, None, missing, None, "unknown")
    saves = None if calls is None else saved_usd(even, calls)
    return Usage(calls, even, (), saves, _answer(calls, even))


def _answer(calls: int | None, even: BreakEven) -> Answer:
    if even.calls_per_month is None:
        return "does not pay"
    if calls is None:
        return "unknown"
    return "pays" if calls >= even.calls_per_month else "does not pay"


def turned_around(usage: Usage) -> int:
    """Count the prices of the sensitivity range with which `usage.answer` would be the other one."""
    even = usage.break_even
    if even is None or usage.answer == "unknown" or usage.calls is None:
        return 0
    others = (even.model_copy(update={"calls_per_month": s.calls_per_month}) for s in even.sensitivity)
    return sum(_answer(usage.calls, other) != usage.answer for other in others)


def proven(facts: Facts) -> bool:
    """Say whether the tune's worth is shown: only then do frontier, cost and pressures decide.

    A valid run on a test that is not spent, a passed gate, no control that passes, every rival shown to be
    worse, and seeds that differ by less than the gain.
    """
    verdict = facts.verdict
    return (
        facts.gate.outcome == "PASS"
        and all(control.outcome != "PASS" for control in verdict.controls)
        and all(shown_better(contrast, facts.alpha) for contrast in verdict.rivals)
        and not (verdict.seeds is not None and verdict.seeds.exceeds_gain)
        and excluded_share(facts) <= MOST_EXCLUDED
        and verdict.test_accesses <= MOST_ROUNDS
    )


def medians(facts: Facts) -> tuple[float | None, float | None]:
    """Median milliseconds of a call of the served file and of the frontier; None where not measured."""
    return facts.served.p50_ms, facts.frontier.p50_ms if facts.frontier else None


def shorter_call(facts: Facts) -> bool:
    """Say whether the served file's median call is shown shorter: the whole interval of the ratio below 1."""
    ratio = facts.verdict.latency_ratio
    return ratio is not None and ratio.high < 1


def excluded_share(facts: Facts) -> float:
    """Share of the test's items that were left out of every arm."""
    return facts.served.excluded / (facts.served.n + facts.served.excluded)
