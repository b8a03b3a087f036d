"""Step 9 · judge: Comparison + Serving + replies → Verdict.

Pure: every number is computed again from the replies, and a stored number that differs stops the run.
The paragraph is put together from a closed list of sentences; each number carries its n and interval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from tuneproof.arms import Replies, Table, failed_items, repeats_of, result_of
from tuneproof.artifacts import (
    Adapter,
    Arm,
    ArmResult,
    Case,
    ChangedItem,
    Comparison,
    Contrast,
    Costs,
    EvalPlan,
    Gate,
    Ladder,
    Reply,
    Serving,
    Split,
    Verdict,
)
from tuneproof.call_costs import API_KINDS, Measured, Prices
from tuneproof.contrasts import (
    Scored,
    contrast_of,
    controls_of,
    equality_of,
    family,
    file_steps,
    gate_of,
    seed_spread,
)
from tuneproof.costs import costs_of
from tuneproof.errors import LockBroken
from tuneproof.planning import optimism
from tuneproof.resampling import ratio_interval
from tuneproof.scoring import Scorer
from tuneproof.slices import failures_of, slices_of
from tuneproof.statistics import minimum_detectable_gain
from tuneproof.steps.serve import AGAIN, equal_texts
from tuneproof.timings import timing_of
from tuneproof.verdict_rules import decide
from tuneproof.verdict_text import FRONTIER, gate_reason, paragraph_of

CANDIDATES_DIFFER = 0.10
"""Share of items on which candidates of different rounds are taken to differ, for the optimism."""


class Evidence(NamedTuple):
    """What the verdict is made from."""

    comparison: Comparison
    serving: Serving
    ladder: Ladder
    replies: Replies
    """Arm → its replies, in the order of the test items; repeats, and the second answers, beside them."""
    dev_replies: Mapping[str, Sequence[Sequence[Reply]]]
    """Endpoint → its replies on dev, one part a prompt variant: they were paid for too."""
    rounds: int
    """Distinct plans in the test access ledger."""
    adapter: Adapter
    plan: EvalPlan
    """As the case, the files and the tunes of the project give it now."""
    scorer: Scorer
    made_at: str
    """UTC, ISO 8601."""
    blind: Collection[str] = ()
    """Ids of the pairs whose output was written without seeing a draft."""


def judge(case: Case, split: Split, evidence: Evidence) -> Verdict:
    """Decide from the whole table.

    Raises:
        LockBroken: a stored number cannot be computed again from the stored replies, or the plan changed.
    """
    comparison, serving = evidence.comparison, evidence.serving
    table = Table(case, split, evidence.scorer, frozenset(comparison.excluded))
    arms = _recomputed(table, evidence)
    scored = Scored(
        table=table,
        replies=evidence.replies,
        right={a.arm.name: table.right(evidence.replies[a.arm.name]) for a in arms},
        results={a.arm.name: a for a in arms},
    )
    base = max((a for a in arms if a.arm.kind == "base"), key=_standing)
    served = served_arm(arms, serving)
    files = [a for a in serving.arms if not a.arm.constrained]
    gates = tuple(_gate(scored, a.arm.name, base.arm.name) for a in files)
    served_gate = next(g for g in gates if g.file == serving.model_file)
    changed = _changed(scored, base.arm, served.arm)
    draft = Verdict(
        gate=served_gate.outcome,
        decision="not_enough_evidence",
        headline="",
        paragraph="",
        arms=arms,
        gates=gates,
        rivals=_against(scored, served, "rival"),
        quant_steps=_stages(scored, files),
        fixed=changed[0],
        broken=changed[1],
        not_measured=comparison.not_measured,
        test_accesses=evidence.rounds,
        minimum_detectable_gain=minimum_detectable_gain(served.n, alpha=scored.alpha),
        plan_digest=comparison.plan_digest,
        thresholds_digest=case.task_file.gate.digest,
        endpoints=_against(scored, served, "endpoint"),
        format_gain=_format_gain(scored),
        seeds=seed_spread(scored, base),
        controls=controls_of(scored, base),
        costs=_costs(scored, evidence, served),
        made_at=evidence.made_at,
        **_latency(scored, served),
        **_frontier(scored, served, evidence.plan),
        **_files_and_parts(scored, files, evidence, base, served),
        **_banners(scored, evidence, served_gate.contrast),
    )
    decided = decide(case, draft, base=base, served=served)
    verdict = draft.model_copy(update=decided._asdict())
    trained_on = (evidence.adapter.train_rows, len(split.train.pairs))
    paragraph = paragraph_of(
        case,
        verdict,
        base=base,
        served=served,
        trained_on=trained_on,
        timings=(*serving.timings, *draft.api_timings),
    )
    return verdict.model_copy(update={"paragraph": paragraph})


def served_arm(arms: Sequence[ArmResult], serving: Serving) -> ArmResult:
    """Return the row of the served file, its free replies."""
    return next(a for a in arms if a.arm.file == serving.model_file and not a.arm.constrained)


def _standing(arm: ArmResult) -> tuple[int, float, int]:
    return arm.correct, arm.mean_value or 0.0, arm.arm.shots


def _recomputed(table: Table, evidence: Evidence) -> tuple[ArmResult, ...]:
    comparison, serving, plan = evidence.comparison, evidence.serving, evidence.plan.digest
    if not plan == comparison.plan_digest == serving.plan_digest:
        raise LockBroken(
            f"The replies were made under plan {comparison.plan_digest[:19]}… and "
            f"{serving.plan_digest[:19]}…; the case now gives {plan[:19]}….",
            remedy="Run `tuneproof compare` and `tuneproof serve` again under one plan.",
        )
    if failed_items(evidence.replies) != table.excluded:
        raise LockBroken(
            f"{len(table.excluded)} items are left out, and {len(failed_items(evidence.replies))} have no "
            "reply of an API: only those may be.",
            remedy="Someone changed the replies or the table: run `tuneproof compare --again`.",
        )
    arms = (*comparison.arms, *serving.arms)
    for stored in arms:
        price = comparison.prices.get(stored.arm.name)
        again = result_of(table, stored.arm, evidence.replies, price=price)
        if again != stored:
            raise LockBroken(
                f"The stored row of {stored.arm.name} ({stored.correct}/{stored.n} right) cannot be computed "
                f"again from its replies ({again.correct}/{again.n} right).",
                remedy="Someone changed the replies or the table: run `tuneproof compare --again`.",
            )
    _check_times(evidence)
    return arms


def _check_times(evidence: Evidence) -> None:
    serving, replies = evidence.serving, evidence.replies
    for stored in serving.timings:
        again = timing_of(
            stored.arm,
            replies[stored.arm],
            concurrency=stored.concurrency,
            interleaved=stored.interleaved,
            cold_start_ms=stored.cold_start_ms,
            wall_s=stored.wall_s,
        )
        if again != stored:
            raise LockBroken(
                f"The stored times of {stored.arm} cannot be computed again from its replies.",
                remedy="Someone changed the replies or the times: run `tuneproof serve --again`.",
            )
    first = replies[_best_free(evidence.comparison)]
    counted = (len(replies[AGAIN]), equal_texts(replies[AGAIN], first))
    if (serving.repeated, serving.repeated_equal) != counted:
        raise LockBroken(
            f"The stored count of equal second answers, {serving.repeated_equal} of {serving.repeated}, "
            "cannot be computed again from the replies.",
            remedy="Someone changed the replies: run `tuneproof serve --again`.",
        )


def _best_free(comparison: Comparison) -> str:
    return "base-best" if "base-best" in comparison.chosen else "base-0-shot"


def _gate(scored: Scored, arm: str, base: str) -> Gate:
    found = gate_of(scored, arm, base)
    return found.model_copy(update={"reason": gate_reason(found.contrast, found.outcome, scored.alpha)})


def _against(scored: Scored, served: ArmResult, kind: str) -> tuple[Contrast, ...]:
    others = [name for name, result in scored.results.items() if result.arm.kind == kind]
    return family([contrast_of(scored, served.arm.name, other) for other in others])


def _format_gain(scored: Scored) -> Contrast | None:
    """Compare constrained and free replies to one prompt; with two prompts it would be more than the form."""
    held = scored.results.get("base-constrained")
    bases = [name for name in ("base-best", "base-0-shot") if name in scored.results]
    free = [name for name in bases if held and scored.results[name].arm.prompt == held.arm.prompt]
    return contrast_of(scored, "base-constrained", free[0]) if free else None


def _latency(scored: Scored, served: ArmResult) -> dict[str, Any]:
    """Times of the APIs that were asked here, and how much shorter a call of the served file is."""
    here = [r.arm for r in scored.results.values() if r.arm.kind in API_KINDS and not r.arm.recorded]
    timings = [timing_of(arm.name, scored.replies[arm.name]) for arm in here]
    ratio = None
    if any(arm.name == FRONTIER for arm in here):
        own = {r.item_id: r.ms for r in scored.replies[served.arm.name] if r.ms is not None}
        both = [
            (own[r.item_id], r.ms) for r in scored.replies[FRONTIER] if r.ms is not None and r.item_id in own
        ]
        if len(both) > 1:
            ratio = ratio_interval([a for a, _ in both], [b for _, b in both], confidence=scored.confidence)
    return {"api_timings": tuple(t for t in timings if t is not None), "latency_ratio": ratio}


def _frontier(scored: Scored, served: ArmResult, plan: EvalPlan) -> dict[str, Any]:
    if "frontier" not in scored.results:
        return {}
    contrast = contrast_of(scored, served.arm.name, "frontier")
    return {
        "frontier": contrast,
        "frontier_equality": equality_of(scored, contrast, plan.frontier_margin),
    }


def _stages(scored: Scored, files: Sequence[ArmResult]) -> tuple[Contrast, ...]:
    """Each file against the one it was made from; quants are all made from f16."""
    f16, *quants = (file.arm.name for file in files)
    return (contrast_of(scored, f16, "adapter"), *(contrast_of(scored, q, f16) for q in quants))


def _files_and_parts(
    scored: Scored, files: Sequence[ArmResult], evidence: Evidence, base: ArmResult, served: ArmResult
) -> dict[str, Any]:
    f16, *quants = files
    split = scored.table.kept
    strongest = max((r for r in scored.results.values() if r.arm.kind == "rival"), key=lambda r: r.correct)
    shown = [base.arm.name, served.arm.name, strongest.arm.name]
    shown += ["frontier"] if "frontier" in scored.results else []
    own = [r for r in scored.replies[served.arm.name] if r.item_id not in scored.table.excluded]
    return {
        "files": file_steps(scored, quants, f16.arm.name, evidence.plan.quant_margin),
        "slices": slices_of(split, scored.right, arms=shown, blind=evidence.blind),
        "failures": failures_of(
            split, own, scored.table.scores(own), {pair.output for pair in split.train.pairs}
        ),
    }


def _costs(scored: Scored, evidence: Evidence, served: ArmResult) -> Costs:
    seconds = {}
    for name in scored.results:
        times = [reply.ms for reply in evidence.replies[name] if reply.ms is not None]
        seconds[name] = sum(times) / len(times) / 1000 if times else None
    apis = [name for name, result in scored.results.items() if result.arm.kind in API_KINDS]
    measured = Measured(
        results=tuple(scored.results.values()),
        replies=evidence.replies,
        seconds=seconds,
        adapter_seconds=evidence.adapter.seconds,
        paid={name: _paid(name, evidence) for name in apis},
    )
    prices = Prices(known=evidence.comparison.prices, unknown=evidence.comparison.price_unknown)
    against = "frontier" if "frontier" in scored.results else None
    return costs_of(scored.table.case, measured, prices, served=served.arm.name, against=against)


def _paid(name: str, evidence: Evidence) -> list[Reply]:
    """Every reply that an API was asked for: on the test, again, and on dev for its prompt."""
    found = [*evidence.replies[name]]
    for each in (*repeats_of(name, evidence.replies), *evidence.dev_replies.get(name, ())):
        found += each
    return found


def _banners(scored: Scored, evidence: Evidence, gate: Contrast) -> dict[str, Any]:
    try:
        gain = minimum_detectable_gain(gate.n, breaks=gate.losses / gate.n, alpha=scored.alpha)
    except ValueError:  # so many items are broken that no gain is left to find
        gain = None
    many = evidence.rounds > 1
    return {
        "observed_detectable_gain": gain,
        "optimism": optimism(evidence.rounds, gate.n, CANDIDATES_DIFFER) if many else None,
        "deviations": _deviations(scored, evidence),
    }


def _deviations(scored: Scored, evidence: Evidence) -> tuple[str, ...]:
    comparison = evidence.comparison
    missing = [name for name in evidence.plan.arms if name not in evidence.replies]
    said = [f"{name} was planned and not measured: {_why(name, comparison)}" for name in missing]
    if comparison.excluded:
        said.append(f"{len(comparison.excluded)} items are left out of every arm: no reply from an API")
    for name, result in scored.results.items():
        if result.arm.recorded and not any(t.arm == name for t in comparison.trials):
            said.append(f"the prompt of {name} was not chosen on dev: its replies were recorded elsewhere")
    return tuple(said)


def _why(name: str, comparison: Comparison) -> str:
    if name in comparison.not_measured:
        return comparison.not_measured[name]
    if name == "base-best":
        return "the zero-shot prompt did best on dev"
    return comparison.constraint if name.endswith("-constrained") else "no reason is recorded"


def _changed(
    scored: Scored, base: Arm, served: Arm
) -> tuple[tuple[ChangedItem, ...], tuple[ChangedItem, ...]]:
    fixed: list[ChangedItem] = []
    broken: list[ChangedItem] = []
    texts: dict[str, Mapping[str, str]] = {
        arm.name: {r.item_id: r.text for r in scored.replies[arm.name]} for arm in (base, served)
    }
    rows = zip(scored.table.items, scored.right[base.name], scored.right[served.name], strict=True)
    for item, base_right, tuned_right in rows:
        if base_right == tuned_right:
            continue
        changed = ChangedItem(
            item_id=item.id,
            input=item.input,
            expected=item.output,
            base_reply=texts[base.name][item.id],
            tuned_reply=texts[served.name][item.id],
        )
        (fixed if tuned_right else broken).append(changed)
    return tuple(fixed), tuple(broken)
