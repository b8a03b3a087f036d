"""Step 9 · judge: Comparison + Serving + replies → Verdict.

Pure: every number is computed again from the replies, and a stored number that differs stops the run.
The paragraph is put together from a closed list of sentences; each number carries its n and interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tuneproof.arms import result_of, scores_of
from tuneproof.artifacts import (
    Adapter,
    ArmResult,
    Case,
    ChangedItem,
    Comparison,
    Contrast,
    Gate,
    Ladder,
    Reply,
    Serving,
    Split,
    Verdict,
)
from tuneproof.errors import LockBroken
from tuneproof.scoring import Scorer
from tuneproof.statistics import gate, mid_p_mcnemar, minimum_detectable_gain, tango
from tuneproof.steps.compare import plan_of
from tuneproof.verdict_text import gate_reason, headline_and_decision, paragraph_of

Replies = Mapping[str, Sequence[Reply]]


class Evidence(NamedTuple):
    """What the verdict is made from."""

    comparison: Comparison
    serving: Serving
    ladder: Ladder
    replies: Replies
    """Arm → its replies, in the order of the test items."""
    rounds: int
    """Distinct plans in the test access ledger."""
    adapter: Adapter
    files: Mapping[str, str]
    """Digests of the code and schema files that task.yaml names; part of the plan too."""
    scorer: Scorer


def judge(case: Case, split: Split, evidence: Evidence) -> Verdict:
    """Decide from the whole table.

    Raises:
        LockBroken: a stored number cannot be computed again from the stored replies, or the plan changed.
    """
    arms = _recomputed(case, split, evidence)
    scored = {name: _right(evidence.scorer, split, evidence.replies[name]) for name in evidence.replies}
    best_base = max((a for a in arms if a.arm.kind == "base"), key=_standing)
    served = next(a for a in arms if a.arm.file == evidence.serving.model_file)
    gates = tuple(_gate(case, arm, best_base, scored) for arm in evidence.serving.arms)
    rivals = tuple(_contrast(case, served, a, scored) for a in arms if a.arm.kind == "rival")
    served_gate = next(g for g in gates if g.file == evidence.serving.model_file)
    decision, headline = headline_and_decision(
        case, served_gate, rivals, arms, dict(evidence.comparison.not_measured)
    )
    changed = _changed(split, best_base, served, evidence.replies, scored)
    trained_on = (evidence.adapter.train_rows, len(split.train.pairs))
    verdict = Verdict(
        gate=served_gate.outcome,
        decision=decision,
        headline=headline,
        paragraph="",
        arms=arms,
        gates=gates,
        rivals=rivals,
        quant_steps=_stages(case, arms, scored),
        fixed=changed[0],
        broken=changed[1],
        not_measured=evidence.comparison.not_measured,
        test_accesses=evidence.rounds,
        minimum_detectable_gain=minimum_detectable_gain(served.n, alpha=case.task_file.gate.alpha),
        plan_digest=evidence.comparison.plan_digest,
        thresholds_digest=case.task_file.gate.digest,
    )
    return verdict.model_copy(
        update={"paragraph": paragraph_of(case, verdict, best_base, served, trained_on=trained_on)}
    )


def _standing(arm: ArmResult) -> tuple[int, float, int]:
    return arm.correct, arm.mean_value or 0.0, arm.arm.shots


def _recomputed(case: Case, split: Split, evidence: Evidence) -> tuple[ArmResult, ...]:
    plan = plan_of(case, split, evidence.adapter, files=evidence.files).digest
    if not plan == evidence.comparison.plan_digest == evidence.serving.plan_digest:
        raise LockBroken(
            f"The replies were made under plan {evidence.comparison.plan_digest[:19]}… and "
            f"{evidence.serving.plan_digest[:19]}…; the case now gives {plan[:19]}….",
            remedy="Run `tuneproof compare` and `tuneproof serve` again under one plan.",
        )
    arms = (*evidence.comparison.arms, *evidence.serving.arms)
    for stored in arms:
        again = result_of(case, evidence.scorer, stored.arm, split, evidence.replies[stored.arm.name])
        if again != stored:
            raise LockBroken(
                f"The stored row of {stored.arm.name} ({stored.correct}/{stored.n} right) cannot be computed "
                f"again from its replies ({again.correct}/{again.n} right).",
                remedy="Someone changed the replies or the table: run `tuneproof compare --again`.",
            )
    return arms


def _right(scorer: Scorer, split: Split, replies: Sequence[Reply]) -> tuple[bool, ...]:
    return tuple(s.correct for s in scores_of(scorer, split.test.items, replies))


Scored = Mapping[str, Sequence[bool]]


def _contrast(case: Case, arm: ArmResult, against: ArmResult, scored: Scored) -> Contrast:
    pairs = list(zip(scored[arm.arm.name], scored[against.arm.name], strict=True))
    wins = sum(a and not b for a, b in pairs)
    losses = sum(b and not a for a, b in pairs)
    return Contrast(
        arm=arm.arm.name,
        against=against.arm.name,
        n=len(pairs),
        wins=wins,
        losses=losses,
        difference=(wins - losses) / len(pairs),
        interval=tango(wins, losses, len(pairs), confidence=case.task_file.gate.confidence),
        p_one_sided=mid_p_mcnemar(wins, losses),
    )


def _gate(case: Case, arm: ArmResult, base: ArmResult, scored: Scored) -> Gate:
    contrast = _contrast(case, arm, base, scored)
    section = case.task_file.gate
    outcome = gate(
        contrast.wins, contrast.losses, contrast.n, alpha=section.alpha, confidence=section.confidence
    )
    return Gate(
        file=arm.arm.file or arm.arm.name,
        contrast=contrast,
        outcome=outcome,
        reason=gate_reason(contrast, outcome, section.alpha),
    )


def _stages(case: Case, arms: Sequence[ArmResult], scored: Scored) -> tuple[Contrast, ...]:
    """Each file against the one it was made from; quants are all made from f16."""
    tuned = [a for a in arms if a.arm.kind == "tuned"]
    adapter = next(a for a in tuned if a.arm.name == "adapter")
    f16 = next(a for a in tuned if a.arm.name == "tuned-f16")
    quants = [a for a in tuned if a.arm.name not in {"adapter", "tuned-f16"}]
    return (_contrast(case, f16, adapter, scored), *(_contrast(case, q, f16, scored) for q in quants))


def _changed(
    split: Split, base: ArmResult, served: ArmResult, replies: Replies, scored: Scored
) -> tuple[tuple[ChangedItem, ...], tuple[ChangedItem, ...]]:
    fixed: list[ChangedItem] = []
    broken: list[ChangedItem] = []
    rows = zip(
        split.test.items,
        replies[base.arm.name],
        replies[served.arm.name],
        scored[base.arm.name],
        scored[served.arm.name],
        strict=True,
    )
    for item, base_reply, tuned_reply, base_right, tuned_right in rows:
        if base_right == tuned_right:
            continue
        changed = ChangedItem(
            item_id=item.id,
            input=item.input,
            expected=item.output,
            base_reply=base_reply.text,
            tuned_reply=tuned_reply.text,
        )
        (fixed if tuned_right else broken).append(changed)
    return tuple(fixed), tuple(broken)
