"""A verdict without its decision → decision, advice and headline, by the first rule that applies.

The first rules ask whether the tune is worth anything; only a tune that is proven comes to the others, where
frontier, pressures and cost decide. `docs/verdict.md` holds the same table in words.
"""

from __future__ import annotations

from tuneproof.artifacts import ArmResult, Case, Verdict
from tuneproof.artifacts.verdict import Advice
from tuneproof.verdict_choice import CHOICE, Decided, Rule, fill, numbers_of, undecided
from tuneproof.verdict_facts import (
    MOST_EXCLUDED,
    MOST_ROUNDS,
    NEARLY_ALWAYS,
    RULE,
    Facts,
    arm_of,
    excluded_share,
    facts_of,
    shown_better,
)
from tuneproof.verdict_words import INSTEAD, SEEDS, control_name, percent, points, size, span, where

__all__ = ["RULES", "WORTH", "Decided", "decide"]


def decide(case: Case, verdict: Verdict, *, base: ArmResult, served: ArmResult) -> Decided:
    """Decide by the first rule of `RULES` that applies.

    Args:
        case: thresholds, pressures, calls a month.
        verdict: everything but advice, decision, headline and paragraph.
        base: the best base.
        served: the arm of the file that would be served.
    """
    facts = facts_of(case, verdict, base=base, served=served)
    decided = next(decided for rule in RULES if (decided := rule(facts)) is not None)
    seeds = _seeds(facts)
    if not seeds or decided.headline.endswith(seeds):
        return decided
    return decided._replace(headline=decided.headline + seeds)


def control_passes(facts: Facts) -> Decided | None:
    """A tune that must not work passes the gate: no other number means anything."""
    passed = [control for control in facts.verdict.controls if control.outcome == "PASS"]
    return undecided("control", control=control_name(passed[0].name)) if passed else None


def too_many_excluded(facts: Facts) -> Decided | None:
    """More than 2 % of the items are missing: what is missing is not missing by chance."""
    if excluded_share(facts) <= MOST_EXCLUDED:
        return None
    excluded = facts.served.excluded
    return undecided(
        "excluded",
        excluded=excluded,
        total=facts.served.n + excluded,
        most=f"{MOST_EXCLUDED * 100:g} %",
    )


def rule_does_it(facts: Facts) -> Decided | None:
    """The user's own rule is level or ahead, or right on nearly everything and not shown worse.

    A rule that is right on nothing, or on less than the base, is no alternative: then the gate speaks.
    """
    contrast = next((c for c in facts.verdict.rivals if c.against == RULE), None)
    if contrast is None:
        return None
    rule = arm_of(facts.verdict, RULE)
    if rule.correct == 0 or rule.rate < facts.base.rate:
        return None
    if contrast.difference <= 0:
        return _stay("rule", facts, rule, where=where(contrast), **numbers_of(contrast))
    if rule.wider.low >= NEARLY_ALWAYS and not shown_better(contrast, facts.alpha):
        return _stay("rule, unsure", facts, rule, **numbers_of(contrast))
    return None


def not_better_than_base(facts: Facts) -> Decided | None:
    """The gate is FAIL: a gain is excluded."""
    if facts.gate.outcome != "FAIL":
        return None
    return _stay("fail", facts, _best_alternative(facts), **numbers_of(facts.gate.contrast))


def rival_shown_ahead(facts: Facts) -> Decided | None:
    """A rival's whole interval lies above the tuned model: more useful to know than an open gate."""
    ahead = [c for c in facts.verdict.rivals if c.wider.high < 0]
    if not ahead:
        return None
    strongest = min(ahead, key=lambda c: c.difference)
    title = arm_of(facts.verdict, strongest.against).arm.title
    return _stay("rival", facts, _best_alternative(facts), title=title, **numbers_of(strongest))


def base_not_beaten(facts: Facts) -> Decided | None:
    """The gate is INCONCLUSIVE."""
    if facts.gate.outcome != "INCONCLUSIVE":
        return None
    numbers = numbers_of(facts.gate.contrast)
    if facts.gate.items_needed is None:
        return undecided("inconclusive", **numbers)
    return undecided("inconclusive, items", items=f"{facts.gate.items_needed:,}", **numbers)


def rival_level_or_ahead(facts: Facts) -> Decided | None:
    """The gate is passed, and a rival that costs nothing to run has as many right or more."""
    strongest = min(facts.verdict.rivals, key=lambda c: c.difference, default=None)
    if strongest is None or strongest.difference > 0:
        return None
    rival = arm_of(facts.verdict, strongest.against)
    numbers = numbers_of(strongest)
    return _stay("rival, passed", facts, rival, where=where(strongest), title=rival.arm.title, **numbers)


def rival_not_beaten(facts: Facts) -> Decided | None:
    """Some rival is not shown to be worse. "Beats every rival" needs each at alpha, so none is corrected.

    Berger (1982), Technometrics 24:295-300: a claim that needs all of its tests keeps its level.
    """
    unsure = [c for c in facts.verdict.rivals if not shown_better(c, facts.alpha)]
    if not unsure:
        return None
    least_sure = max(unsure, key=lambda c: c.p_one_sided)
    title = arm_of(facts.verdict, least_sure.against).arm.title
    return undecided("rival, unsure", title=title, **numbers_of(least_sure))


def seed_decides(facts: Facts) -> Decided | None:
    """The rates of the seeds differ by more than the tune gains."""
    seeds = _seeds(facts)
    return undecided("seeds", seeds=seeds) if seeds else None


def too_many_rounds(facts: Facts) -> Decided | None:
    """So many rounds were read that the best of them is too good by chance."""
    rounds = facts.verdict.test_accesses
    return undecided("spent", rounds=rounds, most=MOST_ROUNDS) if rounds > MOST_ROUNDS else None


WORTH: tuple[Rule, ...] = (
    control_passes,
    too_many_excluded,
    rule_does_it,
    not_better_than_base,
    rival_shown_ahead,
    base_not_beaten,
    rival_level_or_ahead,
    rival_not_beaten,
    seed_decides,
    too_many_rounds,
)
"""Whether the tune is worth anything: exactly where none applies, `verdict_facts.proven` is true."""

RULES = (*WORTH, *CHOICE)
"""In the order in which they are asked; the first that applies decides."""


def _stay(headline: str, facts: Facts, choice: ArmResult, **slots: object) -> Decided:
    """Advise `choice`, or an arm that is further ahead of it than a price can pay for."""
    others = [a for a in facts.verdict.arms if a.arm.kind == "rival"]
    if facts.frontier is not None and not facts.case.task_file.pressures.privacy:
        others.append(facts.frontier)
    best = max(others, key=lambda a: a.rate, default=choice)
    if round(best.rate - choice.rate - facts.most_points, 9) > 0:
        choice = best
    advice = _advice(choice)
    rate = f"{percent(choice.rate)} ({span(choice.wider)}, n = {choice.n})"
    instead = f"{INSTEAD[advice]}, {choice.arm.title}: {rate}"
    return Decided("stay", advice, fill(headline, instead=instead, **slots))


def _advice(choice: ArmResult) -> Advice:
    if choice.arm.name == RULE:
        return "fine-tuning not needed"
    if choice.arm.kind == "frontier":
        return "use the frontier"
    return "use the base with a better prompt" if choice.arm.kind == "base" else "use the cheap rival"


def _best_alternative(facts: Facts) -> ArmResult:
    rivals = [a for a in facts.verdict.arms if a.arm.kind == "rival"]
    return max((facts.base, *rivals), key=lambda a: a.rate)


def _seeds(facts: Facts) -> str:
    seeds = facts.verdict.seeds
    if seeds is None or not seeds.exceeds_gain:
        return ""
    range_, gain = size(seeds.high - seeds.low), points(seeds.gain)
    return SEEDS.format(k=len(seeds.rates), range=range_, gain=gain, n=facts.served.n)
