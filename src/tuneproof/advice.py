"""Pressures, or the scores of base, tuned and frontier → the advice, its paragraph and what to do next.

Before any data the pressures decide (`triage`). Once the prompted base and the frontier have been scored, the
same question is asked again, and the scores decide; the verdict on the files that ship comes after that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from tuneproof.artifacts import ArmResult, Contrast, Equality, Triage
from tuneproof.artifacts.case import Advice, GateSection, PressureSection
from tuneproof.contrasts import Scored, contrast_of, equality_of, outcome_of
from tuneproof.planning import items_needed_for_gain
from tuneproof.triage import advice_text, triage_of
from tuneproof.verdict_facts import FRONTIER
from tuneproof.verdict_words import percent, points, size, span

Stage = Literal["before data", "after scores"]

GOOD_ENOUGH = 0.9
"""Without a frontier: lower end of the base's interval from which its prompt alone is good enough (0022)."""


class Advised(NamedTuple):
    """What is printed and kept."""

    stage: Stage
    triage: Triage
    paragraph: str


class Scores(NamedTuple):
    """What the advice after the scores goes by: stored rows, and paired contrasts on the same items."""

    base: ArmResult
    """The best base: most items right, with the prompt that did best for it on dev."""
    tuned: ArmResult
    frontier: ArmResult | None
    gain: Contrast
    """Tuned against that base."""
    against: Contrast | None
    """Tuned against the frontier."""
    level: Equality | None
    """That base against the frontier, within gate.frontier_margin_points."""
    gate: GateSection

    @property
    def gained(self) -> bool:
        """Whether the tuned model is shown better than its base, as the gate asks it."""
        return outcome_of(self.gain, self.gate.alpha) == "PASS"


def advice_before(pressures: PressureSection) -> Advised:
    """Advise from the pressures alone."""
    triage = triage_of(pressures)
    goal = " ".join(pressures.goal.split()).rstrip(".")
    wanted = f"Wanted: {goal}. " if goal else ""
    return Advised("before data", triage, wanted + advice_text(pressures, triage))


def scores_from(scored: Scored) -> Scores:
    """Pick the best base, the adapter and the frontier of a comparison, and contrast them (reference S3, S5).

    Args:
        scored: with an arm of the kinds `base` and `tuned`; the frontier may be missing.
    """
    results = scored.results
    base = max((r for r in results.values() if r.arm.kind == "base"), key=_standing)
    tuned = next(r for r in results.values() if r.arm.kind == "tuned")
    gate, frontier = scored.table.case.task_file.gate, results.get(FRONTIER)
    against = level = None
    if frontier is not None:
        against = contrast_of(scored, tuned.arm.name, FRONTIER)
        margin = gate.frontier_margin_points / 100
        level = equality_of(scored, contrast_of(scored, base.arm.name, FRONTIER), margin)
    gain = contrast_of(scored, tuned.arm.name, base.arm.name)
    return Scores(base, tuned, frontier, gain, against, level, gate)


def _standing(result: ArmResult) -> tuple[int, float, int]:
    return result.correct, result.mean_value or 0.0, result.arm.shots


def advice_after(pressures: PressureSection, scores: Scores) -> Advised:
    """Advise from the scores, by the first rule that applies.

    A need for knowledge stands before every score: no test measures what a model does not know yet.
    """
    before = triage_of(pressures)
    if before.advice == "RAG":
        return Advised("after scores", before, advice_before(pressures).paragraph)
    triage = next(found for rule in RULES if (found := rule(pressures, scores)) is not None)
    said = f"Advice after the scores: {triage.advice}, because {'; '.join(triage.reasons)}."
    return Advised("after scores", triage, f"{said} {_AFTER[triage.advice]}")


Rule = Callable[[PressureSection, Scores], Triage | None]


def prompt_is_enough(_pressures: PressureSection, scores: Scores) -> Triage | None:
    """The prompted base is as good as the frontier, or good enough; no gain of the tune is shown."""
    if scores.gained:
        return None
    base, level = scores.base, scores.level
    if level is not None and (level.shown or level.better):
        margin = size(level.margin)
        why = f"the prompted base is shown as good as the frontier within {margin} (n = {level.n})"
    elif scores.frontier is None and base.wider.low >= GOOD_ENOUGH:
        bar = percent(GOOD_ENOUGH)
        why = f"the lower end of the prompted base's interval reaches {bar}, and no frontier was measured"
    else:
        return None
    return Triage(advice="better prompt", reasons=(why, *_rates(scores), _gain(scores)))


def frontier_far_ahead(pressures: PressureSection, scores: Scores) -> Triage | None:
    """The frontier is shown ahead by more than a price can pay for, and the inputs may go there."""
    against = scores.against
    if against is None or pressures.privacy or not _far_behind(against, scores.gate):
        return None
    most = size(scores.gate.most_points_for_cost / 100)
    why = f"the frontier is shown ahead of the tuned model by more than the {most} that a price can pay for"
    return Triage(advice="rent a bigger model", reasons=(why, _against(against), *_rates(scores)))


def gain_not_shown(_pressures: PressureSection, scores: Scores) -> Triage | None:
    """The tuned model is not shown better than its base."""
    if scores.gained:
        return None
    reasons = [_gain(scores), *_rates(scores)]
    gain = scores.gain
    if outcome_of(gain, scores.gate.alpha) == "INCONCLUSIVE":
        needed = items_needed_for_gain(gain.wins, gain.losses, gain.n, alpha=scores.gate.alpha)
        if needed is not None:
            reasons.append(f"with {needed:,} items this difference would be shown with 80 % power")
    return Triage(advice="not yet", reasons=tuple(reasons))


def tune_pays_so_far(pressures: PressureSection, scores: Scores) -> Triage:
    """What is left."""
    reasons = [_gain(scores), *_rates(scores)]
    if scores.against is None:
        reasons.append("the frontier was not measured")
    else:
        reasons.append(_against(scores.against))
        if pressures.privacy and _far_behind(scores.against, scores.gate):
            reasons.append("the inputs must not leave the house, so the frontier is no choice")
    return Triage(advice="fine-tune", reasons=tuple(reasons))


RULES: tuple[Rule, ...] = (prompt_is_enough, frontier_far_ahead, gain_not_shown, tune_pays_so_far)
"""In the order in which they are asked; the last one always applies."""

_AFTER: dict[Advice, str] = {
    "better prompt": "Use the base with that prompt; what the tune adds to it is not shown.",
    "rent a bigger model": "Use the frontier; or come back with more pairs, which may close the gap.",
    "not yet": "Read some training pairs before any setting is changed: a wrong pair is an installed bug.",
    "fine-tune": "Cheap rivals, cost, latency and the files that ship are weighed by the verdict.",
}


def _far_behind(against: Contrast, gate: GateSection) -> bool:
    # 0.06 + 0.04 is above 0.1 in floats; ten points must count as ten points.
    far = round(-against.difference - gate.most_points_for_cost / 100, 9) > 0
    return far and against.wider.high < 0


def _rates(scores: Scores) -> tuple[str, ...]:
    arms = [("base", scores.base), ("tuned", scores.tuned), ("frontier", scores.frontier)]
    return tuple(
        f"{word} {percent(arm.rate)} ({span(arm.wider)}, n = {arm.n}; {arm.arm.title})"
        for word, arm in arms
        if arm is not None
    )


def _gain(scores: Scores) -> str:
    shown = "is shown better" if scores.gained else "is not shown better"
    return f"the tuned model {shown} than its best base ({_numbers(scores.gain)})"


def _against(contrast: Contrast) -> str:
    return f"tuned against frontier: {_numbers(contrast)}"


def _numbers(contrast: Contrast) -> str:
    return f"{points(contrast.difference)}, {span(contrast.wider, signed=True)}, n = {contrast.n}"


def next_step(advised: Advised, *, project: str, open_task: bool, following: str) -> str:
    """Say what to do next.

    Args:
        advised: the advice.
        project: the folder as a person types it; empty where there is none.
        open_task: it holds a task.yaml with values to fill in.
        following: the next command of a project whose task.yaml is complete; else empty.
    """
    again = f"tuneproof advise --project {project}" if project else "tuneproof advise"
    advice = advised.triage.advice
    if advised.stage == "after scores" and advice != "RAG":
        reread = f"tuneproof review --reread 50 --project {project}"
        return reread if advice == "not yet" else following
    if advice == "fine-tune":
        if open_task:
            return (
                f"fill in the empty values of {project}/task.yaml, then tuneproof init --project {project}; "
                "with a file of pairs, tuneproof init --pairs FILE fills in most of it in a new folder"
            )
        return following or "tuneproof init --pairs FILE --project my-task"
    where = f"in {project}/task.yaml" if project else "in the answers"
    return _INSTEAD[advice].format(again=again, where=where)


_INSTEAD: dict[Advice, str] = {
    "RAG": "put the facts into the prompt by retrieval; then ask again for what is left: {again}",
    "better prompt": "try a prompt with examples and a schema; if it falls short, set prompt_tried: true "
    "{where}, then {again}",
    "rent a bigger model": "try the biggest model you can rent; if one narrow part of the task repeats, ask "
    "again for that part: {again}",
    "not yet": "improve the prompt; when a pressure is real, set it {where}, then {again}",
}
