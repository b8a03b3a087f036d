"""Step 6 · compare: TestSet + arms → Comparison: the base, the cheap rivals, the adapter, and every API.

The plan is hashed and stored before the first test item is read. The prompt of the base and of each endpoint
is chosen on dev, within one budget. The adapter answers in the trainer's own engine here; the files made from
it are measured in step 8, in the engine that ships.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tuneproof.answering import Asker, answer_in_batches, answer_in_turns, answer_one_by_one, asked_key
from tuneproof.api_arms import Answered, ApiArm, Ask, Questions, answer_of, chat_for
from tuneproof.arms import Table, check_parity, failed_items, result_of
from tuneproof.artifacts import (
    Arm,
    Case,
    Comparison,
    EvalPlan,
    PriceUsed,
    PromptTrial,
    Reply,
    Split,
    SplitRow,
)
from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.constraint import Constraint, constraint_of
from tuneproof.outside.machine import describe
from tuneproof.outside.protocols import Base, BatchModel, Engine, Progress, Runtime, TestRecords
from tuneproof.prompt import Message, messages_for
from tuneproof.prompt_search import Dev, Found, log_name, search
from tuneproof.prompt_variants import Variant, budget_sentence, variants
from tuneproof.rivals import answer_with, fit_rivals, not_fitted, rule_rival
from tuneproof.scoring import Scorer

MOST_CUT = 0.1
"""Share of an API's replies that may be cut or empty; beyond it the arm counts as not measured."""
Rule = Callable[[str], object]
"""The user's own function: input → answer, or None for no answer."""


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

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON Schema of an answer, where the metric has one."""
        return self.scorer.options.schema


class ExtraArm(NamedTuple):
    """A tune beside the adapter: another seed, or a null control."""

    arm: Arm
    model: Callable[[], BatchModel]
    asked: Callable[[str], str]
    """Input → what is asked: a blank one, for the control that sees no input."""
    adapter: str
    """Digest of the adapter."""


class Rest(NamedTuple):
    """The arms beside base, adapter and rivals."""

    apis: Sequence[ApiArm] = ()
    price_of: Callable[[EndpointSection], PriceUsed | str] = lambda _: "no price list"
    """The price of a model today, or why it is not known."""
    extras: Sequence[ExtraArm] = ()


class _Measured(NamedTuple):
    arms: list[Arm]
    replies: dict[str, Sequence[Reply]]
    not_measured: dict[str, str]


def compare(
    case: Case,
    split: Split,
    *,
    local: tuple[Base, Engine, BatchModel],
    desk: Desk,
    rest: Rest,
) -> Comparison:
    """Measure every arm that is no GGUF file of ours on the test items.

    Args:
        case: the settings.
        split: dev to choose prompts on, test to measure on.
        local: the base, the engine that runs it, and the adapter on it.
        desk: plan, records, scorer.
        rest: endpoints, prices, and tunes beside the adapter.

    Raises:
        TuneproofError: the runtime would send another prompt than training saw.
        OutsideFailed: an API that task.yaml names answers nothing.
    """
    desk.records.keep_plan(desk.plan)
    base, engine, adapted = local
    constraint = constraint_of(case.task_file, desk.schema)
    measured = _Measured([], {}, not_fitted(split.train.pairs))
    chosen, trials, prices, unknown = _api_arms(case, split, desk, rest, measured)
    runtime = engine.load(base.gguf, num_ctx=case.task_file.serving.num_ctx)
    try:
        parity = check_parity(case, split.test, runtime, adapted)
        asked = _Asked(case, split, runtime, base.identity.digest, constraint, desk)
        found = _searched(asked)
        for group in _by_prompt(_base_arms(base, runtime.name, found)):
            for arm, variant in group:
                chosen[arm.name] = variant.name
                desk.records.accessed(arm.name, desk.plan.digest)
            _answer_together(asked, group, measured)
    finally:
        runtime.close()
    if isinstance(constraint, str):
        measured.not_measured["base-constrained"] = constraint
    _batch_arms(case, split, adapted, desk, rest, measured)
    _rival_arms(case, split, desk, measured)
    table = Table(case, split, desk.scorer, failed_items(measured.replies))
    return Comparison(
        plan_digest=desk.plan.digest,
        arms=tuple(result_of(table, a, measured.replies, price=prices.get(a.name)) for a in measured.arms),
        trials=(*found.trials, *trials),
        chosen=chosen,
        budget=budget_sentence(
            variants(case.task_file.comparison.shots),
            len(_dev_rows(case, split)),
            found.constrained is not None,
        ),
        parity=parity,
        not_measured=measured.not_measured,
        machine=describe(),
        excluded=tuple(sorted(table.excluded)),
        prices=prices,
        price_unknown=unknown,
        constraint=constraint if isinstance(constraint, str) else f"held to its {constraint.kind}",
    )


def _add(measured: _Measured, arm: Arm, replies: Sequence[Reply]) -> None:
    measured.arms.append(arm)
    measured.replies[arm.name] = replies


def _by_prompt(arms: list[tuple[Arm, Variant]]) -> list[list[tuple[Arm, Variant]]]:
    """Put arms with one prompt together: the second finds it read."""
    names = dict.fromkeys(variant.name for _, variant in arms)
    return [[(arm, variant) for arm, variant in arms if variant.name == name] for name in names]


def _answer_together(asked: _Asked, group: list[tuple[Arm, Variant]], measured: _Measured) -> None:
    """Ask all arms of one prompt item by item; only the first one's times count."""
    items = asked.split.test.items
    askers = [
        asked.asker(arm.name, variant, arm.constrained, items)._replace(timed=number == 0)
        for number, (arm, variant) in enumerate(group)
    ]
    progress = asked.desk.progress(" and ".join(arm.title for arm, _ in group))
    answered = answer_in_turns(items, askers, progress, seed=None, warm_up=asked.split.dev.pairs)
    for number, ((arm, _), replies) in enumerate(zip(group, answered, strict=True)):
        note = "" if number == 0 else "no time: it is asked right after the free one, with the prompt read"
        _add(measured, arm.model_copy(update={"note": note or arm.note}), replies)


def _api_arms(
    case: Case, split: Split, desk: Desk, rest: Rest, measured: _Measured
) -> tuple[dict[str, str], list[PromptTrial], dict[str, PriceUsed], dict[str, str]]:
    """First of all arms: a wrong key must be said before an hour is spent."""
    chosen: dict[str, str] = {}
    trials: list[PromptTrial] = []
    prices: dict[str, PriceUsed] = {}
    unknown: dict[str, str] = {}
    ask = Ask(Questions(case, split, desk.schema), desk.scorer, desk.records, desk.plan.digest, desk.progress)
    for api in rest.apis:
        answered = answer_of(ask, api)
        if isinstance(answered, str) or (answered_why := _cut_off(answered, api)):
            measured.not_measured[api.name] = answered if isinstance(answered, str) else answered_why
            continue
        measured.arms.append(answered.arm)
        measured.replies.update(answered.replies)
        chosen[api.name] = answered.prompt
        trials += answered.trials
        price = rest.price_of(_priced(api, answered.arm.model))
        if isinstance(price, str):
            unknown[api.name] = price
        else:
            prices[api.name] = price
    if not any(api.name == "frontier" for api in rest.apis):
        measured.not_measured["frontier"] = "comparison.frontier in task.yaml names none"
    return chosen, trials, prices, unknown


def _priced(api: ApiArm, model: str) -> EndpointSection:
    """Say whose price it is: replies made elsewhere name their model, and so where it is sold."""
    section = api.section
    if api.recorded is None:
        return section
    # The section may say no more than the default: then a bare model id tells its provider.
    bare = section.base_url is None and section.provider == "openai"
    provider = EndpointSection.model_validate(model).provider if bare else section.provider
    return section.model_copy(update={"model": model, "provider": provider})


def _cut_off(answered: Answered, api: ApiArm) -> str:
    """Say why an arm does not count whose replies our own limit cut: losing that way proves nothing."""
    replies = answered.replies[api.name]
    cut = sum(reply.finish == "length" or not reply.text.strip() for reply in replies)
    if cut <= MOST_CUT * len(replies):
        return ""
    return (
        f"{cut} of its {len(replies)} replies were cut or empty at {api.section.max_output_tokens or 'the'} "
        f"tokens; a model that reasons needs more: set max_output_tokens of {api.name} in task.yaml"
    )


def _dev_rows(case: Case, split: Split) -> tuple[SplitRow, ...]:
    return split.dev.pairs[: case.task_file.comparison.shots_dev_items]


class _Asked(NamedTuple):
    """The base in its engine, and what it may be asked."""

    case: Case
    split: Split
    runtime: Runtime
    identity: str
    constraint: Constraint | str
    desk: Desk

    def asker(self, name: str, variant: Variant, constrained: bool, rows: Sequence[SplitRow]) -> Asker:
        """Make the base ready to answer `rows` with a prompt variant."""
        held = self.constraint if constrained and isinstance(self.constraint, Constraint) else None
        chat = chat_for(self.case, self.split, variant, self.desk.schema)
        limit = self.case.task_file.task.max_new_tokens
        key = asked_key(self.runtime.name, self.identity, [chat(row.input) for row in rows], limit, held)
        return Asker(self.runtime, chat, self.desk.records.log(name, key), limit, held)


def _searched(asked: _Asked) -> Found:
    case, split, desk, runtime = asked.case, asked.split, asked.desk, asked.runtime
    limit, every = case.task_file.task.max_new_tokens, _dev_rows(case, split)

    def ask(variant: Variant, constrained: bool, rows: Sequence[SplitRow]) -> tuple[Reply, ...]:
        name = log_name("base", variant, constrained=constrained)
        asker = asked.asker(name, variant, constrained, every)
        return answer_one_by_one(rows, asker, desk.progress(f"base, {variant.name}, on dev"))

    def fits(variant: Variant) -> bool:
        chat = chat_for(case, split, variant, desk.schema)
        longest = max(
            (chat(row.input) for row in (*split.test.items, *split.dev.pairs)),
            key=lambda messages: sum(len(m["content"]) for m in messages),
        )
        tokens = runtime.tokens(runtime.render(longest))
        return len(tokens) + limit <= case.task_file.serving.num_ctx

    shots = case.task_file.comparison.shots
    dev = Dev("base", every, shots, desk.scorer, ask, fits)
    return search(dev, constrained=isinstance(asked.constraint, Constraint))


def _base_arms(base: Base, engine: str, found: Found) -> list[tuple[Arm, Variant]]:
    plain = Variant("plain-0", "plain", 0)
    arms = [("base-0-shot", "base, zero-shot", plain, False)]
    if found.free.name != plain.name:
        arms.append(("base-best", f"base, {found.free.name}", found.free, False))
    if found.constrained is not None:
        title = f"base, {found.constrained.name}, constrained"
        arms.append(("base-constrained", title, found.constrained, True))
    return [
        (
            Arm(
                name=name,
                title=title,
                kind="base",
                engine=engine,
                file=base.gguf.name,
                shots=variant.shots,
                prompt=variant.name,
                constrained=constrained,
                note="" if name == "base-0-shot" else "prompt chosen on dev",
            ),
            variant,
        )
        for name, title, variant, constrained in arms
    ]


def _batch_arms(
    case: Case, split: Split, adapted: BatchModel, desk: Desk, rest: Rest, measured: _Measured
) -> None:
    """The adapter, then every tune beside it, each in the trainer's own engine."""
    arm = Arm(
        name="adapter",
        title="tuned, adapter in Transformers",
        kind="tuned",
        engine=adapted.name,
        file="adapter_model.safetensors",
        note="parity row: float32, batched, so no time a call",
    )
    extras = [ExtraArm(arm, lambda: adapted, lambda text: text, desk.plan.adapter), *rest.extras]
    system, limit = case.task_file.task.system_prompt, case.task_file.task.max_new_tokens
    for extra in extras:
        model = extra.model()

        def chat(text: str, asked: Callable[[str], str] = extra.asked) -> list[Message]:
            return messages_for(system, asked(text))

        chats = [chat(item.input) for item in split.test.items]
        key = asked_key(model.name, extra.adapter, chats, limit, None)
        desk.records.accessed(extra.arm.name, desk.plan.digest)
        replies = answer_in_batches(
            split.test.items,
            model,
            chat,
            desk.records.log(extra.arm.name, key),
            limit=limit,
            progress=desk.progress(extra.arm.title),
        )
        _add(measured, extra.arm.model_copy(update={"engine": model.name}), replies)
        model.close()


def _rival_arms(case: Case, split: Split, desk: Desk, measured: _Measured) -> None:
    reference = case.task_file.comparison.rule
    own = [rule_rival(reference, desk.rule)] if desk.rule and reference else []
    for rival in (*fit_rivals(split.train.pairs, split.dev.pairs), *own):
        desk.records.accessed(rival.arm.name, desk.plan.digest)
        log = desk.records.log(rival.arm.name)
        known = log.replies()
        for reply in answer_with(rival, split.test.items):
            if reply.item_id not in known:
                log.append(reply)
        stored = log.replies()
        _add(measured, rival.arm, [stored[item.id] for item in split.test.items])
