"""Test items × a way to answer → replies, and replies → one row of the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tuneproof.artifacts import Arm, ArmResult, Case, Parity, Reply, Score, Split, SplitRow, TestSet
from tuneproof.bootstrap import mean_interval
from tuneproof.errors import NotReady, TuneproofError
from tuneproof.outside.machine import seconds
from tuneproof.outside.protocols import Answer, BatchModel, Progress, ReplyLog, Runtime
from tuneproof.prompt import Message, messages_for
from tuneproof.scoring import Scorer, confusion_of, figures_of, score
from tuneproof.statistics import cost_per_1000, p95, percentile, wilson

WARM_UP = 3
"""Calls before the clock counts: the first ones fill caches."""
_BATCH = 8


def answer_one_by_one(
    rows: Sequence[SplitRow],
    runtime: Runtime,
    chat: Callable[[str], list[Message]],
    log: ReplyLog,
    *,
    limit: int,
    progress: Progress,
) -> tuple[Reply, ...]:
    """Ask `runtime` for every row that `log` lacks, one call at a time, and store each reply at once.

    Args:
        rows: what to answer, in order.
        runtime: the loaded model.
        chat: input text → chat.
        log: replies of an interrupted run are taken from here.
        limit: most new tokens a reply.
        progress: told after every reply.
    """
    known = log.replies()
    if any(row.id not in known for row in rows):
        for row in rows[:WARM_UP]:
            runtime.ask(chat(row.input), max_new_tokens=limit)
    for number, row in enumerate(rows, 1):
        if row.id not in known:
            began = seconds()
            answer = runtime.ask(chat(row.input), max_new_tokens=limit)
            known[row.id] = _reply(row, answer, ms=round((seconds() - began) * 1000, 3))
            log.append(known[row.id])
        progress.update(number, len(rows), "items")
    return tuple(known[row.id] for row in rows)


def answer_in_batches(
    rows: Sequence[SplitRow],
    model: BatchModel,
    chat: Callable[[str], list[Message]],
    log: ReplyLog,
    *,
    limit: int,
    progress: Progress,
) -> tuple[Reply, ...]:
    """Like `answer_one_by_one`, but several rows of like length a call; such replies have no own time."""
    known = log.replies()
    open_rows = sorted((row for row in rows if row.id not in known), key=lambda row: (len(row.input), row.id))
    for start in range(0, len(open_rows), _BATCH):
        batch = open_rows[start : start + _BATCH]
        answers = model.answer([chat(row.input) for row in batch], max_new_tokens=limit)
        for row, answer in zip(batch, answers, strict=True):
            known[row.id] = _reply(row, answer, ms=None)
            log.append(known[row.id])
        progress.update(len(known), len(rows), "items")
    return tuple(known[row.id] for row in rows)


def _reply(row: SplitRow, answer: Answer, *, ms: float | None) -> Reply:
    return Reply(
        item_id=row.id,
        text=answer.text,
        finish=answer.finish,
        prompt_tokens=answer.prompt_tokens,
        output_tokens=answer.output_tokens,
        ms=ms,
    )


def scores_of(scorer: Scorer, rows: Iterable[SplitRow], replies: Sequence[Reply]) -> tuple[Score, ...]:
    """Score the replies in the order of `rows`.

    Raises:
        NotReady: a row has no reply, or a reply has no row.
    """
    expected = {row.id: row.output for row in rows}
    if [reply.item_id for reply in replies] != list(expected):
        raise NotReady(
            f"{len(replies)} replies do not match {len(expected)} items one to one.",
            remedy="Run `tuneproof compare` again.",
        )
    return tuple(score(reply, expected[reply.item_id], scorer) for reply in replies)


def result_of(case: Case, scorer: Scorer, arm: Arm, split: Split, replies: Sequence[Reply]) -> ArmResult:
    """Compute an arm's row of the table from its replies alone."""
    items = split.test.items
    scores = scores_of(scorer, items, replies)
    trained = {pair.output for pair in split.train.pairs}
    unseen = [s for s, item in zip(scores, items, strict=True) if item.output not in trained]
    correct = sum(s.correct for s in scores)
    confidence = case.task_file.gate.confidence
    tokens = [reply.output_tokens for reply in replies]
    expected = [item.output for item in items]
    return ArmResult(
        arm=arm,
        n=len(scores),
        correct=correct,
        rate=correct / len(scores),
        interval=wilson(correct, len(scores), confidence=confidence),
        parse_failures=sum(s.parse_failure for s in scores),
        over_limit=sum(reply.finish == "length" for reply in replies),
        output_tokens_mean=sum(tokens) / len(tokens) if any(tokens) else None,
        unseen_n=len(unseen),
        unseen_correct=sum(s.correct for s in unseen),
        empty=sum(s.empty for s in scores),
        refusals=sum(s.refusal for s in scores),
        figures=figures_of(scorer, replies, expected),
        confusion=confusion_of(scorer, replies, expected),
        **_mean(scorer, scores, confidence),
        **_times(replies, case.task_file.serving.machine_usd_per_hour),
    )


def _mean(scorer: Scorer, scores: Sequence[Score], confidence: float) -> dict[str, Any]:
    if not scorer.metric.graded:
        return {}
    values = [s.value for s in scores]
    return {
        "mean_value": math.fsum(values) / len(values),
        "mean_interval": mean_interval(values, confidence=confidence),
    }


def _times(replies: Sequence[Reply], usd_per_hour: float | None) -> dict[str, Any]:
    times = [reply.ms for reply in replies if reply.ms is not None]
    if len(times) != len(replies):
        return {"p50_ms": None, "p95_ms": None, "usd_per_1000": None}
    mean_s = sum(times) / len(times) / 1000
    return {
        "p50_ms": percentile(times, share=0.5),
        "p95_ms": p95(times),
        "usd_per_1000": cost_per_1000(mean_s, usd_per_hour=usd_per_hour) if usd_per_hour else None,
    }


def check_parity(case: Case, test: TestSet, runtime: Runtime, trained: BatchModel) -> Parity:
    """Prove that the runtime sends the model what training saw, for every test prompt.

    Raises:
        TuneproofError: the text or the token ids of a prompt differ, or it begins with two BOS tokens.
    """
    system = case.task_file.task.system_prompt
    texts_equal = tokens_equal = 0
    one_start = True
    for item in test.items:
        chat = messages_for(system, item.input)
        ours, theirs = trained.render(chat), runtime.render(chat)
        our_tokens, their_tokens = trained.tokens(ours), runtime.tokens(theirs)
        texts_equal += ours == theirs
        tokens_equal += our_tokens == their_tokens
        one_start = one_start and their_tokens[0] not in their_tokens[1:2]
        if ours != theirs or our_tokens != their_tokens or not one_start:
            raise TuneproofError(
                f"Item {item.id}: {runtime.name} would send another prompt than training saw.\n"
                f"  training: {ours[:160]!r}\n  runtime:  {theirs[:160]!r}",
                remedy="The GGUF file has another chat template or tokenizer: `tuneproof quantize --again`.",
            )
    return Parity(
        prompts=len(test.items), text_equal=texts_equal, tokens_equal=tokens_equal, one_bos=one_start
    )
