"""Step 6 · compare: TestSet + arms → Comparison: the base, the cheap rivals and the adapter.

The plan is hashed and stored before the first test item is read. The base may use examples; how many is
chosen on dev. The adapter answers in the trainer's own engine here; the files made from it are measured
in step 8, in the engine that ships.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tuneproof.arms import answer_in_batches, answer_one_by_one, check_parity, result_of, scores_of
from tuneproof.artifacts import (
    Adapter,
    Arm,
    ArmResult,
    Case,
    Comparison,
    EvalPlan,
    Reply,
    ShotTrial,
    Split,
    SplitRow,
)
from tuneproof.outside.machine import describe
from tuneproof.outside.protocols import Base, BatchModel, Engine, Progress, Runtime, TestRecords
from tuneproof.prompt import Message, messages_for
from tuneproof.rivals import answer_with, fit_rivals

SHOTS_RULE = (
    "the number of examples with most exact matches on dev; "
    "ties go to fewer parse failures, then to more examples"
)
EXCLUSION_RULE = "none: every item counts in every arm; a cut or malformed reply is wrong unless it matches"


class Desk(NamedTuple):
    """What a comparison works with, beside its data."""

    records: TestRecords
    progress: Callable[[str], Progress]
    """Title → progress display."""
    plan: EvalPlan
    """Fixed before the first access; the steps that share it are one round."""


def compare(
    case: Case, split: Split, *, base: Base, engine: Engine, adapted: BatchModel, desk: Desk
) -> Comparison:
    """Measure the base, the rivals and the adapter on the test items.

    Raises:
        TuneproofError: the runtime would send another prompt than training saw.
    """
    desk.records.keep_plan(desk.plan)
    runtime = engine.load(base.gguf, num_ctx=case.task_file.serving.num_ctx)
    parity = check_parity(case, split.test, runtime, adapted)
    trials = _shot_trials(case, split, runtime, desk)
    chosen = max(trials, key=lambda t: (t.correct, -t.parse_failures, t.shots)).shots
    results = [_base_arm(case, split, runtime, base, shots=shots, desk=desk) for shots in sorted({0, chosen})]
    runtime.close()
    results.append(_adapter_arm(case, split, adapted, desk))
    results += _rival_arms(case, split, desk)
    return Comparison(
        plan_digest=desk.plan.digest,
        arms=tuple(results),
        shot_trials=trials,
        chosen_shots=chosen,
        parity=parity,
        not_measured=_not_measured(case),
        machine=describe(),
    )


def plan_of(case: Case, split: Split, adapter: Adapter) -> EvalPlan:
    """Write down what will be measured and decided, before anything is."""
    task_file = case.task_file
    ladder = ("f16", *(quant.lower() for quant in task_file.quantization.ladder))
    return EvalPlan(
        metric=task_file.task.metric,
        contrast="each tuned file against the base arm with most exact matches, in the same engine",
        alpha=task_file.gate.alpha,
        confidence=task_file.gate.confidence,
        adapter=adapter.digest,
        test_digest=split.lock.test.sha256,
        prompt_sha256=split.lock.prompt_sha256,
        arms=(
            "base-0-shot",
            "base-best-shots",
            "adapter",
            "majority",
            "nearest-neighbour",
            "tfidf-logistic",
            *(f"tuned-{name}" for name in ladder),
            "frontier",
        ),
        shots_rule=SHOTS_RULE,
        exclusion_rule=EXCLUSION_RULE,
        max_new_tokens=task_file.task.max_new_tokens,
        seed=task_file.tuning.seed,
    )


def shots_from(split: Split, count: int) -> tuple[SplitRow, ...]:
    """Choose `count` training pairs with as many different outputs as there are, commonest first."""
    pairs = split.train.pairs
    counts: dict[str, int] = {}
    for pair in pairs:
        counts[pair.output] = counts.get(pair.output, 0) + 1
    first = {pair.output: pair for pair in reversed(pairs)}
    common = sorted(first, key=lambda output: (-counts[output], output))
    # The commonest last: small models copy the nearest example.
    return tuple(first[output] for output in reversed(common[:count]))


def _chat(case: Case, shots: Sequence[SplitRow]) -> Callable[[str], list[Message]]:
    system = case.task_file.task.system_prompt
    return lambda text: messages_for(system, text, shots=shots)


def _shot_trials(case: Case, split: Split, runtime: Runtime, desk: Desk) -> tuple[ShotTrial, ...]:
    section = case.task_file.comparison
    rows = split.dev.pairs[: section.shots_dev_items]
    trials = []
    for count in section.shots:
        name = f"dev-base-{count}-shot"
        replies = answer_one_by_one(
            rows,
            runtime,
            _chat(case, shots_from(split, count)),
            desk.records.log(name),
            limit=case.task_file.task.max_new_tokens,
            progress=desk.progress(f"base with {count} examples, on dev"),
        )
        scores = scores_of(case, rows, replies)
        trials.append(
            ShotTrial(
                shots=count,
                correct=sum(s.correct for s in scores),
                parse_failures=sum(s.parse_failure for s in scores),
                n=len(scores),
            )
        )
    return tuple(trials)


def _base_arm(case: Case, split: Split, runtime: Runtime, base: Base, *, shots: int, desk: Desk) -> ArmResult:
    arm = Arm(
        name=f"base-{shots}-shot",
        title=f"base, {shots} examples" if shots else "base, zero-shot",
        kind="base",
        engine=runtime.name,
        file=base.gguf.name,
        shots=shots,
        note="examples chosen on dev; their prompt prefix stays in the runtime's cache" if shots else "",
    )
    desk.records.accessed(arm.name, desk.plan.digest)
    replies = answer_one_by_one(
        split.test.items,
        runtime,
        _chat(case, shots_from(split, shots)),
        desk.records.log(arm.name),
        limit=case.task_file.task.max_new_tokens,
        progress=desk.progress(arm.title),
    )
    return result_of(case, arm, split.test, split.train, replies)


def _adapter_arm(case: Case, split: Split, adapted: BatchModel, desk: Desk) -> ArmResult:
    arm = Arm(
        name="adapter",
        title="tuned, adapter in Transformers",
        kind="tuned",
        engine=adapted.name,
        file="adapter_model.safetensors",
        note="parity row: float32, batched, so no time a call",
    )
    desk.records.accessed(arm.name, desk.plan.digest)
    replies = answer_in_batches(
        split.test.items,
        adapted,
        _chat(case, ()),
        desk.records.log(arm.name),
        limit=case.task_file.task.max_new_tokens,
        progress=desk.progress(arm.title),
    )
    return result_of(case, arm, split.test, split.train, replies)


def _rival_arms(case: Case, split: Split, desk: Desk) -> list[ArmResult]:
    results = []
    for rival in fit_rivals(split.train.pairs):
        desk.records.accessed(rival.arm.name, desk.plan.digest)
        log = desk.records.log(rival.arm.name)
        known = log.replies()
        replies: Sequence[Reply] = answer_with(rival, split.test.items)
        for reply in replies:
            if reply.item_id not in known:
                log.append(reply)
        stored = log.replies()
        results.append(
            result_of(case, rival.arm, split.test, split.train, [stored[i.id] for i in split.test.items])
        )
    return results


def _not_measured(case: Case) -> dict[str, str]:
    model = case.task_file.comparison.frontier
    return {"frontier": f"no key for {model}" if model else "no key"}
