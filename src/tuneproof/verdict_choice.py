"""A tune that is proven → whether to leave the frontier for it: the rules of frontier, pressures and cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tuneproof.artifacts import Contrast
from tuneproof.artifacts.verdict import Advice, Decision
from tuneproof.verdict_facts import FRONTIER, Facts, arm_of, medians, shorter_call
from tuneproof.verdict_words import (
    BILLS,
    HEADLINES,
    PRESSURES,
    RIVALS,
    STANDINGS,
    milliseconds,
    of_contrast,
    points,
    size,
    usd,
    where,
    whole_calls,
)


class Decided(NamedTuple):
    """What to do."""

    decision: Decision
    """The advice in three words."""
    advice: Advice
    """Of the closed list."""
    headline: str
    """One of `HEADLINES`, filled."""


Rule = Callable[[Facts], Decided | None]
"""None where the rule does not apply."""


def fill(headline: str, **slots: object) -> str:
    """Fill the slots of one of `HEADLINES`.

    Raises:
        KeyError: no such headline, or a slot without a value.
    """
    return HEADLINES[headline].format(**slots)


def undecided(headline: str, **slots: object) -> Decided:
    """Say that the evidence does not decide."""
    return Decided("not_enough_evidence", "not enough evidence", fill(headline, **slots))


def move(headline: str, **slots: object) -> Decided:
    """Say that the task should move to the tuned model."""
    return Decided("move", "move", fill(headline, **slots))


def numbers_of(contrast: Contrast) -> dict[str, object]:
    """Slots `difference`, `span` and `n`."""
    return {"difference": points(contrast.difference), **of_contrast(contrast)}


def endpoint_far_ahead(facts: Facts) -> Decided | None:
    """Another endpoint is shown ahead by more than gate.most_points_for_cost; privacy rules them all out."""
    ahead = [c for c in facts.verdict.endpoints if c.wider.high < 0 and -c.difference > facts.most_points]
    if not ahead or facts.case.task_file.pressures.privacy:
        return None
    best = min(ahead, key=lambda c: c.difference)
    title = arm_of(facts.verdict, best.against).arm.title
    headline = fill("endpoint", title=title, most=size(facts.most_points), **numbers_of(best))
    return Decided("stay", "use the frontier", headline)


def frontier_not_measured(facts: Facts) -> Decided | None:
    """Without it there is nothing to leave; where inputs must stay in the house, it is no option at all."""
    if facts.frontier is not None:
        return None
    if facts.case.task_file.pressures.privacy:
        return move("no frontier, privacy", rivals=_rivals(facts))
    return undecided("no frontier", rivals=_rivals(facts))


def inputs_must_stay(facts: Facts) -> Decided | None:
    """Privacy: the frontier is no option, so what it has right is stated and does not decide."""
    if not facts.case.task_file.pressures.privacy:
        return None
    return move("privacy", rivals=_rivals(facts), standing=_standing(facts))


def far_behind(facts: Facts) -> Decided | None:
    """More points behind the frontier than gate.most_points_for_cost."""
    contrast = facts.verdict.frontier
    if contrast is None or facts.standing != "far behind":
        return None
    headline = fill(
        "far behind", where=where(contrast), most=size(facts.most_points), **of_contrast(contrast)
    )
    return Decided("stay", "use the frontier", headline)


def faster(facts: Facts) -> Decided | None:
    """Low latency is a pressure, and the median call was measured to be shorter than the frontier's."""
    own, api = medians(facts)
    if not facts.case.task_file.pressures.low_latency or not shorter_call(facts):
        return None
    slots = {"own": milliseconds(own or 0.0), "api": milliseconds(api or 0.0)}
    return move("faster", standing=_standing(facts), **slots)


def cost_pays(facts: Facts) -> Decided | None:
    """The calls a month reach the break-even."""
    usage, contrast = facts.usage, facts.verdict.frontier
    if usage.answer != "pays" or contrast is None or usage.break_even is None or usage.saves_usd is None:
        return None
    even = usage.break_even
    slots: dict[str, object] = {
        "calls": f"{usage.calls:,}",
        "even": whole_calls(even.calls_per_month),
        "usd": usd(max(0.0, usage.saves_usd)),
    }
    if facts.standing != "behind":
        return move("pays", standing=_standing(facts), **slots)
    slots |= {"share": _share(even.own_usd_per_call, even.api_usd_per_call), **numbers_of(contrast)}
    if contrast.difference >= 0:
        return move("ship", **slots)
    return move("ship, each", each=usd(usage.saves_usd / (-100 * contrast.difference)), **slots)


def better_for_quality(facts: Facts) -> Decided | None:
    """Shown better, and quality is a pressure: worth a price, which is stated."""
    pressure = _quality_pressure(facts)
    if facts.standing != "better" or not pressure:
        return None
    return move("quality", standing=_standing(facts), pressure=pressure, bill=_bill(facts))


def latency_not_measured(facts: Facts) -> Decided | None:
    """Low latency is a pressure, and one of the two times is missing."""
    if not facts.case.task_file.pressures.low_latency or None not in medians(facts):
        return None
    return undecided("no times", standing=_standing(facts))


def cost_does_not_pay(facts: Facts) -> Decided | None:
    """The calls a month stay below the break-even, or no number of calls reaches one."""
    usage = facts.usage
    if usage.answer != "does not pay" or usage.break_even is None:
        return None
    even, standing = usage.break_even, _standing(facts)
    if even.calls_per_month is None:
        own, api = usd(1000 * even.own_usd_per_call), usd(1000 * even.api_usd_per_call)
        headline = fill("never pays", standing=standing, own=own, api=api)
    else:
        more = usd(abs(usage.saves_usd or 0.0))
        calls, volume = f"{usage.calls:,}", whole_calls(even.calls_per_month)
        headline = fill("does not pay", standing=standing, calls=calls, even=volume, usd=more)
    return Decided("stay", "use the frontier", headline)


def equal_for_quality(facts: Facts) -> Decided | None:
    """Shown as good, quality is a pressure, and nothing known of the cost speaks against it."""
    pressure = _quality_pressure(facts)
    if facts.standing != "equal" or not pressure:
        return None
    return move("quality", standing=_standing(facts), pressure=pressure, bill=_bill(facts))


def usage_decides(facts: Facts) -> Decided | None:
    """What is left: the cost decides, and a fact is missing for it, which is named."""
    even = facts.usage.break_even
    if even is None:
        return undecided(
            "cost open",
            standing=_standing(facts),
            missing="; ".join(each.rstrip(".") for each in facts.usage.missing),
        )
    return undecided("no calls", standing=_standing(facts), even=whole_calls(even.calls_per_month))


CHOICE: tuple[Rule, ...] = (
    endpoint_far_ahead,
    frontier_not_measured,
    inputs_must_stay,
    far_behind,
    faster,
    cost_pays,
    better_for_quality,
    latency_not_measured,
    cost_does_not_pay,
    equal_for_quality,
    usage_decides,
)
"""Whether to leave the frontier for it; the last one always applies."""


def _rivals(facts: Facts) -> str:
    if not facts.verdict.rivals:
        return RIVALS["none"]
    endpoints = {endpoint.name for endpoint in facts.case.task_file.comparison.endpoints}
    missing = set(facts.verdict.not_measured) - {FRONTIER} - endpoints
    return RIVALS["fitted" if missing else "all"]


def _standing(facts: Facts) -> str:
    contrast, standing = facts.verdict.frontier, facts.standing
    if contrast is None or standing is None:
        raise ValueError("a frontier that was not measured has no standing")
    equality = facts.verdict.frontier_equality
    margin = equality.margin if equality else facts.case.task_file.gate.frontier_margin_points / 100
    known: str = "behind" if standing == "far behind" else standing
    if known == "behind" and equality is not None and equality.worse:
        known = "worse"
    return STANDINGS[known].format(margin=size(margin), **numbers_of(contrast))


def _quality_pressure(facts: Facts) -> str:
    pressures = facts.case.task_file.pressures
    return " and ".join(words for name, words in PRESSURES.items() if getattr(pressures, name))


def _bill(facts: Facts) -> str:
    usage = facts.usage
    if usage.break_even is None:
        return BILLS["open"]
    if usage.saves_usd is not None:
        name = "saves" if usage.saves_usd >= 0 else "costs more"
        return BILLS[name].format(calls=f"{usage.calls:,}", usd=usd(abs(usage.saves_usd)))
    if usage.break_even.calls_per_month is None:
        return BILLS["dearer"]
    return BILLS["no calls"].format(even=whole_calls(usage.break_even.calls_per_month))


def _share(own: float, api: float) -> str:
    """`1/20` from half on, else percent."""
    return f"1/{api / own:.0f}" if 0 < own <= api / 2 else f"{own / api * 100:.0f} %"
