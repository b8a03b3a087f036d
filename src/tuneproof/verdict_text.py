"""Contrasts → sentences: a closed list with slots, so that no verdict says more than its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneproof.artifacts import ArmResult, Case, Contrast, Gate, Interval, Verdict
from tuneproof.artifacts.verdict import Decision, GateOutcome
from tuneproof.metrics import metric_of

FRONTIER = "frontier"


def percent(share: float) -> str:
    """`0.575` → `57.5 %`."""
    return f"{share * 100:.1f} %"


def points(share: float) -> str:
    """`0.56` → `+56.0 points`, with a real minus sign."""
    return f"{share * 100:+.1f} points".replace("-", "−")


def span(interval: Interval, *, signed: bool = False) -> str:
    """An interval in percent or points, `50.6 to 64.1`."""
    form = "+.1f" if signed else ".1f"
    return f"{interval.low * 100:{form}} to {interval.high * 100:{form}}".replace("-", "−")


def p_value(p: float) -> str:
    """`p < 0.001` or three digits."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def gate_reason(contrast: Contrast, outcome: GateOutcome, alpha: float) -> str:
    """Say why the gate came out as it did."""
    numbers = (
        f"{contrast.wins} won and {contrast.losses} lost of {contrast.n} items, "
        f"{points(contrast.difference)} ({span(contrast.interval, signed=True)}), mid-p McNemar "
        f"{p_value(contrast.p_one_sided)} one-sided against {alpha:g}"
    )
    return {
        "PASS": f"better than its best base: {numbers}",
        "FAIL": f"not better than its best base: {numbers}",
        "INCONCLUSIVE": f"not shown to be better than its best base: {numbers}",
    }[outcome]


def headline_and_decision(
    case: Case,
    served: Gate,
    rivals: Sequence[Contrast],
    arms: Sequence[ArmResult],
    not_measured: Mapping[str, str],
) -> tuple[Decision, str]:
    """Decide by the first rule that applies: the gate, a cheap rival, a missing frontier."""
    titles = {a.arm.name: a.arm.title for a in arms}
    strongest = min(rivals, key=lambda c: c.difference)
    # Not always the same: a rival further behind can disagree on more items and be less surely beaten.
    least_sure = max(rivals, key=lambda c: c.p_one_sided)
    if served.outcome == "FAIL":
        return "stay", "Stay: the tuned model is not better than its own base."
    if served.outcome == "INCONCLUSIVE":
        return (
            "not_enough_evidence",
            "Not enough evidence: the tuned model is not shown to beat its own base.",
        )
    if strongest.difference < 0:
        ahead = titles[strongest.against]
        return "stay", f"Stay: the tuned model passes the gate, but a cheap rival is ahead of it ({ahead})."
    if least_sure.p_one_sided > case.task_file.gate.alpha:
        return (
            "not_enough_evidence",
            f"Not enough evidence: the gate is passed, but a cheap rival is not shown to be worse "
            f"({titles[least_sure.against]}).",
        )
    beaten = "every cheap rival" if set(not_measured) <= {FRONTIER} else "every cheap rival that was fitted"
    if FRONTIER in not_measured:
        return (
            "not_enough_evidence",
            f"Not enough evidence to move: the tuned model passes the gate and beats {beaten}; "
            "the frontier was not measured.",
        )
    return "move", f"Move: the tuned model passes the gate and beats {beaten}."


def paragraph_of(
    case: Case, verdict: Verdict, base: ArmResult, served: ArmResult, *, trained_on: tuple[int, int]
) -> str:
    """Put the verdict's paragraph together.

    Args:
        case: the metric and the level of the intervals.
        verdict: everything but the paragraph.
        base: the best base arm.
        served: the arm of the file that is served.
        trained_on: pairs that the model was trained on, and pairs that there are.
    """
    sentences = [
        _rates(case, base, served),
        _mean_sentence(case, base, served),
        f"The gate of {served.arm.file} is {verdict.gate}: {_gate_of(verdict, served).reason}.",
        _rival_sentence(verdict),
        _rows_sentence(*trained_on),
        _unseen_sentence(served),
        _latency_sentence(served),
        *(_not_fitted_sentence(name, why) for name, why in verdict.not_measured.items() if name != FRONTIER),
        *(_missing_sentence(name, why) for name, why in verdict.not_measured.items() if name == FRONTIER),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _rates(case: Case, base: ArmResult, served: ArmResult) -> str:
    level = f"{case.task_file.gate.confidence * 100:g} % interval"
    return (
        f"On {served.n} held-out items the tuned model ({served.arm.title}) has {percent(served.rate)} "
        f"{share_name(case)} ({level} {span(served.interval)}) and its best base "
        f"({base.arm.title}) {percent(base.rate)} ({span(base.interval)})."
    )


def share_name(case: Case) -> str:
    """Say what a share of right replies is a share of: `exact match`, or `right by json fields`."""
    metric, right_at = case.task_file.task.metric, case.task_file.scoring.right_at
    said = metric_of(metric).share_name(right_at or 1.0)
    return said if said == metric else f"right by {metric} ({said})"


def _mean_sentence(case: Case, base: ArmResult, served: ArmResult) -> str:
    if served.mean_value is None or served.mean_interval is None or base.mean_value is None:
        return ""
    low, high = served.mean_interval.low, served.mean_interval.high
    return (
        f"The mean value of {case.task_file.task.metric} is {served.mean_value:.3f} "
        f"({low:.3f} to {high:.3f}) for the tuned model and {base.mean_value:.3f} for that base."
    )


def _not_fitted_sentence(name: str, why: str) -> str:
    return f"The rival {name} was not fitted ({why})."


def _gate_of(verdict: Verdict, served: ArmResult) -> Gate:
    return next(g for g in verdict.gates if g.file == served.arm.file)


_RIVAL_WINS = " Use that rival: it costs nothing to run."
_RULE_WINS = " Keep that rule: it does the job already."


def _rival_sentence(verdict: Verdict) -> str:
    strongest = min(verdict.rivals, key=lambda c: c.difference)
    rival = next(a for a in verdict.arms if a.arm.name == strongest.against)
    numbers = f"{points(abs(strongest.difference))[1:]}"
    side = "ahead of" if strongest.difference > 0 else "behind"
    where = f"{numbers} {side}" if strongest.difference else "level with"
    interval = f"({span(strongest.interval, signed=True)}, {p_value(strongest.p_one_sided)})"
    advice = _RULE_WINS if rival.arm.name == "rule" else _RIVAL_WINS
    advice = advice if strongest.difference < 0 else ""
    return (
        f"The best cheap rival, {rival.arm.title}, has {percent(rival.rate)}: the tuned model is "
        f"{where} it {interval}.{advice}"
    )


def _rows_sentence(used: int, available: int) -> str:
    if used == available:
        return ""
    return (
        f"The tuned model has seen {used:,} of the {available:,} training pairs and the rivals all of them, "
        "so more training may change this."
    )


def _unseen_sentence(served: ArmResult) -> str:
    if not served.unseen_n:
        return ""
    return (
        f"{served.unseen_n} items have an answer that never occurs in training; "
        f"{served.unseen_correct} of them are right."
    )


def _latency_sentence(served: ArmResult) -> str:
    if served.p50_ms is None:
        return ""
    tail = f" and {served.p95_ms:.0f} ms at p95" if served.p95_ms is not None else ""
    return f"A call took {served.p50_ms:.0f} ms at the median{tail} on the machine of this run."


def _missing_sentence(name: str, why: str) -> str:
    return (
        f"The {name} was not measured ({why}): whether it answers better, and what leaving it would save, "
        f"stays open until that arm is measured."
    )
