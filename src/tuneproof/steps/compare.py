"""Step 6 · compare: TestSet + arms → Comparison: the base, the cheap rivals and the adapter.

The plan is hashed and stored before the first test item is read. The base may use examples; how many is
chosen on dev. The adapter answers in the trainer's own engine here; the files made from it are measured
in step 8, in the engine that ships.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    canonical_json,
    sha256_of,
)
from tuneproof.errors import NotReady
from tuneproof.outside.machine import describe
from tuneproof.outside.protocols import Base, BatchModel, Engine, Progress, Runtime, TestRecords
from tuneproof.prompt import Message, messages_for
from tuneproof.rivals import RIVALS_RULE, answer_with, fit_rivals, not_fitted, rule_rival
from tuneproof.scoring import Scorer

Rule = Callable[[str], object]
"""The user's own function: input → answer, or None for no answer."""

SHOTS_RULE = (
    "the number of examples with most right replies on dev; "
    "ties go to the higher mean value, to fewer parse failures, then to more examples"
)
EXCLUSION_RULE = "none: every item counts in every arm; a cut or malformed reply is wrong unless it matches"


class Desk(NamedTuple):
    """What a comparison works with, beside its data."""

    records: TestRecords
    progress: Callable[[str], Progress]
    """Title → progress display."""
    plan: EvalPlan
    """Fixed before the first access; the steps that share it are one round."""
    scorer: Scorer
    rule: Rule | None = None
    """The user's own function, where task.yaml names one."""


def compare(
    case: Case, split: Split, *, base: Base, engine: Engine, adapted: BatchModel, desk: Desk
) -> Comparison:
    """Measure the base, the rivals, the rule and the adapter on the test items.

    Raises:
        TuneproofError: the runtime would send another prompt than training saw.
    """
    desk.records.keep_plan(desk.plan)
    runtime = engine.load(base.gguf, num_ctx=case.task_file.serving.num_ctx)
    parity = check_parity(case, split.test, runtime, adapted)
    trials = _shot_trials(case, split, runtime, desk)
    chosen = _best(trials).shots
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
        not_measured=not_fitted(split.train.pairs) | _not_measured(case),
        machine=describe(),
    )


def plan_of(case: Case, split: Split, adapter: Adapter, *, files: Mapping[str, str]) -> EvalPlan:
    """Write down what will be measured and decided, before anything is.

    Args:
        case: the settings.
        split: the test.
        adapter: what is under test.
        files: digests of the code and schema files that task.yaml names, by place.
    """
    task_file = case.task_file
    ladder = ("f16", *(quant.lower() for quant in task_file.quantization.ladder))
    return EvalPlan(
        metric=task_file.task.metric,
        scoring=sha256_of(canonical_json({"section": task_file.scoring.digest, "files": dict(files)})),
        comparison=task_file.comparison.digest,
        serving=task_file.serving.digest,
        task=task_file.task.digest,
        train_digest=split.lock.train.sha256,
        dev_digest=split.lock.dev.sha256,
        contrast="each tuned file against the base arm with most right replies, in the same engine",
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
            *(["rule"] if task_file.comparison.rule else []),
            *(f"tuned-{name}" for name in ladder),
            "frontier",
        ),
        rivals_rule=RIVALS_RULE,
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


def _best(trials: Sequence[ShotTrial]) -> ShotTrial:
    tried = [trial for trial in trials if trial.fits]
    return max(tried, key=lambda t: (t.correct, t.mean_value or 0, -t.parse_failures, t.shots))


def _shot_trials(case: Case, split: Split, runtime: Runtime, desk: Desk) -> tuple[ShotTrial, ...]:
    section = case.task_file.comparison
    alone = _chat(case, ())
    longest = max(
        (row.input for row in (*split.test.items, *split.dev.pairs)),
        key=lambda text: len(runtime.tokens(runtime.render(alone(text)))),
    )
    fitting = [count for count in section.shots if _fits(case, split, runtime, count, longest)]
    if not fitting:
        raise NotReady(
            f"The longest input does not fit serving.num_ctx ({case.task_file.serving.num_ctx} tokens) with "
            f"{min(section.shots)} examples and a reply of {case.task_file.task.max_new_tokens} tokens.",
            remedy="Raise serving.num_ctx in task.yaml, or put 0 into comparison.shots.",
        )
    return tuple(
        _shot_trial(case, split, runtime, count, desk)
        if count in fitting
        else ShotTrial(shots=count, correct=0, parse_failures=0, n=0, fits=False)
        for count in section.shots
    )


def _fits(case: Case, split: Split, runtime: Runtime, count: int, text: str) -> bool:
    """Whether the input `text` fits the context with `count` examples and the longest reply."""
    tokens = runtime.tokens(runtime.render(_chat(case, shots_from(split, count))(text)))
    return len(tokens) + case.task_file.task.max_new_tokens <= case.task_file.serving.num_ctx


def _shot_trial(case: Case, split: Split, runtime: Runtime, count: int, desk: Desk) -> ShotTrial:
    rows = split.dev.pairs[: case.task_file.comparison.shots_dev_items]
    replies = answer_one_by_one(
        rows,
        runtime,
        _chat(case, shots_from(split, count)),
        desk.records.log(f"dev-base-{count}-shot"),
        limit=case.task_file.task.max_new_tokens,
        progress=desk.progress(f"base with {count} examples, on dev"),
    )
    scores = scores_of(desk.scorer, rows, replies)
    return ShotTrial(
        shots=count,
        correct=sum(s.correct for s in scores),
        parse_failures=sum(s.parse_failure for s in scores),
        n=len(scores),
        mean_value=sum(s.value for s in scores) / len(scores),
    )


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
    return result_of(case, desk.scorer, arm, split, replies)


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
    return result_of(case, desk.scorer, arm, split, replies)


def _rival_arms(case: Case, split: Split, desk: Desk) -> list[ArmResult]:
    results = []
    reference = case.task_file.comparison.rule
    own = [rule_rival(reference, desk.rule)] if desk.rule and reference else []
    for rival in (*fit_rivals(split.train.pairs), *own):
        desk.records.accessed(rival.arm.name, desk.plan.digest)
        log = desk.records.log(rival.arm.name)
        known = log.replies()
        replies: Sequence[Reply] = answer_with(rival, split.test.items)
        for reply in replies:
            if reply.item_id not in known:
                log.append(reply)
        stored = log.replies()
        results.append(
            result_of(case, desk.scorer, rival.arm, split, [stored[i.id] for i in split.test.items])
        )
    return results


def _not_measured(case: Case) -> dict[str, str]:
    model = case.task_file.comparison.frontier
    return {"frontier": f"this version does not call {model}" if model else "no key"}
