"""Step 8 · serve: Ladder → Serving: every GGUF file on the same test, in the engine that ships.

Files and the best base are asked item by item in random order in one session, so that their times compare.
Refuses when the runtime would send another prompt than training saw, or when the model does not stop.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tuneproof.answering import Asker, Chat, answer_at_once, answer_in_turns, asked_key
from tuneproof.api_arms import chat_for
from tuneproof.arms import Table, check_parity, result_of
from tuneproof.artifacts import (
    Arm,
    ArmResult,
    Case,
    Comparison,
    GgufFile,
    Ladder,
    Parity,
    Reply,
    Serving,
    Split,
    Timing,
)
from tuneproof.constraint import Constraint, constraint_of
from tuneproof.errors import NotReady
from tuneproof.modelfile import Parameters, render_modelfile
from tuneproof.outside.machine import describe, exactly_now, memory_gib, seconds
from tuneproof.outside.protocols import Base, BatchModel, Engine, Folder, Runtime
from tuneproof.prompt import Message, messages_for
from tuneproof.prompt_variants import variants
from tuneproof.steps.compare import Desk
from tuneproof.timings import taken_in_turns, timing_of

TIMED = 75
"""Items that the base answers again, and calls at the load point: from 72 on a p95 has an interval."""
AGAIN, CONSTRAINED = "base-again", "tuned-constrained"
_MEMORY_SHARE = 0.4
"""Of the machine's memory, what the files of one session may take; beyond it they are asked one by one."""


class Kitchen(NamedTuple):
    """What serving works with, beside its data."""

    engine: Engine
    base: Base
    base_replies: Sequence[Reply]
    """What the best base answered in the comparison: the same question again says how stable replies are."""
    adapted: BatchModel
    """Says what training saw, for the parity check."""
    gguf_folder: Folder
    chat_template: str
    """Jinja template stored with the adapter."""
    licence_text: str
    stops: tuple[str, ...]
    """Texts of the tokens that end a turn."""


class _Asked(NamedTuple):
    """One arm of a file."""

    name: str
    title: str
    chat: Chat
    held: Constraint | None = None
    only: frozenset[str] | None = None


class _Slot(NamedTuple):
    """A file, loaded for one arm: two arms in one runtime would find each other's prompts cached."""

    file: Folder
    identity: str
    """Digest of the weights."""
    bytes: int
    asked: _Asked


class _Session(NamedTuple):
    """What a session left."""

    replies: dict[str, Sequence[Reply]]
    cold: dict[str, float]
    """Milliseconds to load an arm's file and get its first token."""
    parity: list[Parity]
    engine: list[str]
    began: str
    """UTC, ISO 8601, to the microsecond: no two sessions share it."""


def serve(
    case: Case, split: Split, ladder: Ladder, comparison: Comparison, *, kitchen: Kitchen, desk: Desk
) -> Serving:
    """Measure every file of the ladder and write the Modelfile of the one that is served.

    Raises:
        TuneproofError: prompt parity does not hold.
        NotReady: more than half of a file's replies had to be cut.
    """
    served = served_file(ladder)
    slots = _slots(case, split, ladder, comparison, kitchen, desk)
    together = sum(slot.bytes for slot in slots) / 2**30 < _MEMORY_SHARE * memory_gib()
    session = _Session({}, {}, [], [], exactly_now())
    for group in [slots] if together else [[slot] for slot in slots]:
        _ask(case, split, group, kitchen, desk, session)
    table = Table(case, split, desk.scorer, frozenset(comparison.excluded))
    results = tuple(
        result_of(table, _arm(slot, session), session.replies) for slot in slots if slot.asked.name != AGAIN
    )
    _check_stops(case, results)
    load = _load_point(case, split, served, kitchen, desk)
    return Serving(
        runtime=session.engine[-1],
        model_file=served.file.name,
        modelfile=_modelfile(case, served, kitchen),
        parity=session.parity[-1],
        arms=tuple(sorted(results, key=lambda r: r.arm.constrained)),
        cold_start_ms=session.cold[_name(served)],
        plan_digest=desk.plan.digest,
        machine=describe(),
        timings=(*_timings(session, together and taken_in_turns(session.replies)), *([load] if load else [])),
        repeated=len(session.replies[AGAIN]),
        repeated_equal=equal_texts(session.replies[AGAIN], kitchen.base_replies),
    )


def served_file(ladder: Ladder) -> GgufFile:
    """Choose Q8_0 where there is one: the default where n is too small to show that less loses nothing."""
    return next((gguf for gguf in ladder.files if gguf.quant == "Q8_0"), ladder.files[0])


def equal_texts(again: Sequence[Reply], first: Sequence[Reply]) -> int:
    """Count replies that are letter by letter what they were the first time."""
    before = {reply.item_id: reply.text for reply in first}
    return sum(before.get(reply.item_id) == reply.text for reply in again)


def timed_items(case: Case, split: Split) -> frozenset[str]:
    """Choose the items that the base answers again: a seeded sample."""
    ids = [item.id for item in split.test.items]
    return frozenset(random.Random(case.task_file.tuning.seed).sample(ids, min(TIMED, len(ids))))


def _name(gguf: GgufFile) -> str:
    return f"tuned-{gguf.quant.lower()}"


def _chat(case: Case, text: str) -> list[Message]:
    return messages_for(case.task_file.task.system_prompt, text)


def _slots(
    case: Case, split: Split, ladder: Ladder, comparison: Comparison, kitchen: Kitchen, desk: Desk
) -> list[_Slot]:
    served, constraint = served_file(ladder), constraint_of(case.task_file, desk.schema)
    slots = []
    for gguf in ladder.files:
        file, title = kitchen.gguf_folder / gguf.file.name, f"tuned, GGUF {gguf.quant}"
        free = _Asked(_name(gguf), title, lambda text: _chat(case, text))
        slots.append(_Slot(file, gguf.file.sha256, gguf.file.bytes, free))
        if gguf == served and isinstance(constraint, Constraint):
            held = _Asked(CONSTRAINED, f"{title}, constrained", lambda text: _chat(case, text), constraint)
            slots.append(_Slot(file, gguf.file.sha256, gguf.file.bytes, held))
    prompt = comparison.chosen.get("base-best", comparison.chosen["base-0-shot"])
    variant = next(v for v in variants(case.task_file.comparison.shots) if v.name == prompt)
    chat = chat_for(case, split, variant, desk.schema)
    again = _Asked(AGAIN, f"base, {prompt}, again", chat, only=timed_items(case, split))
    # The base is as large as f16: one file of each shape.
    return [
        *slots,
        _Slot(kitchen.base.gguf, kitchen.base.identity.digest, ladder.files[0].file.bytes, again),
    ]


def _ask(
    case: Case, split: Split, slots: Sequence[_Slot], kitchen: Kitchen, desk: Desk, session: _Session
) -> None:
    askers: dict[str, Asker] = {}
    with _runtimes() as opened:
        for slot in slots:
            began = seconds()
            runtime = kitchen.engine.load(slot.file, num_ctx=case.task_file.serving.num_ctx)
            opened.append(runtime)
            runtime.ask(_chat(case, split.dev.pairs[0].input), max_new_tokens=1)
            cold = round((seconds() - began) * 1000, 1)
            asked = slot.asked
            if asked.name not in {AGAIN, CONSTRAINED}:  # proven in the comparison, and by the same file
                session.parity.append(check_parity(case, split.test, runtime, kitchen.adapted))
            desk.records.accessed(asked.name, desk.plan.digest)
            limit, items = case.task_file.task.max_new_tokens, split.test.items
            chats = [asked.chat(item.input) for item in items if item.id in (asked.only or {item.id})]
            key = asked_key(runtime.name, slot.identity, chats, limit, asked.held)
            log = desk.records.log(asked.name, key)
            askers[asked.name] = Asker(runtime, asked.chat, log, limit, asked.held, asked.only, session.began)
            session.cold[asked.name] = cold
            session.engine.append(runtime.name)
        progress = desk.progress(f"{len(slots)} files in turns" if len(slots) > 1 else slots[0].file.name)
        answered = answer_in_turns(
            split.test.items,
            list(askers.values()),
            progress,
            seed=case.task_file.tuning.seed,
            warm_up=split.dev.pairs,
        )
    session.replies.update(zip(askers, answered, strict=True))


@contextmanager
def _runtimes() -> Iterator[list[Runtime]]:
    opened: list[Runtime] = []
    try:
        yield opened
    finally:
        for runtime in opened:
            runtime.close()


def _arm(slot: _Slot, session: _Session) -> Arm:
    asked = slot.asked
    return Arm(
        name=asked.name,
        title=asked.title,
        kind="tuned",
        engine=session.engine[-1],
        file=slot.file.name,
        constrained=asked.held is not None,
    )


def _timings(session: _Session, together: bool) -> list[Timing]:
    found = [
        timing_of(name, replies, interleaved=together, cold_start_ms=session.cold[name])
        for name, replies in session.replies.items()
    ]
    return [timing for timing in found if timing is not None]


def load_name(calls: int) -> str:
    """Name of the replies at the load point."""
    return f"load-{calls}"


def _load_point(case: Case, split: Split, served: GgufFile, kitchen: Kitchen, desk: Desk) -> Timing | None:
    """Ask the served file several calls at once: what a busy hour looks like."""
    calls = case.task_file.comparison.load_calls
    if calls < 2:
        return None
    wanted = timed_items(case, split)
    rows = [item for item in split.test.items if item.id in wanted]
    name, limit = load_name(calls), case.task_file.task.max_new_tokens
    desk.records.accessed(name, desk.plan.digest)
    with _runtimes() as opened:
        file, context = kitchen.gguf_folder / served.file.name, case.task_file.serving.num_ctx
        opened.append(kitchen.engine.load(file, num_ctx=context, parallel=calls))
        asker = Asker(opened[0], lambda text: _chat(case, text), desk.records.log(name), limit)
        replies, took = answer_at_once(
            rows,
            asker,
            desk.progress(f"{served.quant}, {calls} calls at once"),
            calls=calls,
            warm_up=split.dev.pairs,
        )
    return timing_of(name, replies, concurrency=calls, wall_s=took)


def _check_stops(case: Case, results: Sequence[ArmResult]) -> None:
    for result in results:
        if result.over_limit * 2 > result.n:
            raise NotReady(
                f"{result.arm.file} does not stop: {result.over_limit} of {result.n} replies were cut at "
                f"{case.task_file.task.max_new_tokens} tokens.",
                remedy="Train longer (tuning.epochs, tuning.rows in task.yaml), then `tuneproof tune`.",
            )


def _modelfile(case: Case, served: GgufFile, kitchen: Kitchen) -> str:
    return render_modelfile(
        gguf_name=served.file.name,
        system_prompt=case.task_file.task.system_prompt,
        template=kitchen.chat_template,
        parameters=Parameters(
            num_ctx=case.task_file.serving.num_ctx,
            stops=kitchen.stops,
            num_predict=case.task_file.task.max_new_tokens,
        ),
        licence_text=kitchen.licence_text,
    )
