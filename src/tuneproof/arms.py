"""An arm's replies → its row of the table; and the proof that the runtime sends what training saw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tuneproof.artifacts import (
    Arm,
    ArmResult,
    Case,
    Parity,
    PriceUsed,
    Reply,
    Score,
    Split,
    SplitRow,
    TestSet,
)
from tuneproof.bootstrap import mean_interval
from tuneproof.call_costs import api_usd, counted, local_usd_per_1000, machine_usd_per_hour
from tuneproof.errors import NotReady, TuneproofError
from tuneproof.outside.protocols import BatchModel, Runtime
from tuneproof.prompt import messages_for
from tuneproof.resampling import cluster_interval, design_effect, intraclass_correlation
from tuneproof.scoring import Scorer, confusion_of, figures_of, score
from tuneproof.statistics import p95, percentile, wilson

Replies = Mapping[str, Sequence[Reply]]
"""Arm → its replies in the order of the items; repeats stand beside it as `ARM-r2`, `ARM-r3`, …"""


class Table(NamedTuple):
    """What every row of one table shares."""

    case: Case
    split: Split
    scorer: Scorer
    excluded: frozenset[str] = frozenset()
    """Items that no arm is scored on."""

    @property
    def items(self) -> tuple[SplitRow, ...]:
        """The items that count."""
        return tuple(item for item in self.split.test.items if item.id not in self.excluded)

    @property
    def kept(self) -> Split:
        """The split with the items that count."""
        test = self.split.test.model_copy(update={"items": self.items})
        return self.split.model_copy(update={"test": test})

    def right(self, replies: Sequence[Reply]) -> tuple[bool, ...]:
        """Whether each reply is right, in the order of the items that count."""
        return tuple(s.correct for s in self.scores(replies))

    def scores(self, replies: Sequence[Reply]) -> tuple[Score, ...]:
        """Score the replies to the items that count."""
        return scores_of(self.scorer, self.items, [r for r in replies if r.item_id not in self.excluded])


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


def repeats_of(name: str, replies: Replies) -> list[Sequence[Reply]]:
    """Return an arm's repeats after the first, in order."""
    found: list[Sequence[Reply]] = []
    while (again := repeat_name(name, len(found) + 2)) in replies:
        found.append(replies[again])
    return found


def repeat_name(name: str, repeat: int) -> str:
    """Name of an arm's replies: `frontier` the first time, then `frontier-r2`, …"""
    return name if repeat == 1 else f"{name}-r{repeat}"


def failed_items(replies: Replies) -> frozenset[str]:
    """Items to which some arm got no reply after all retries."""
    return frozenset(r.item_id for each in replies.values() for r in each if r.finish == "failed")


def result_of(table: Table, arm: Arm, replies: Replies, *, price: PriceUsed | None = None) -> ArmResult:
    """Compute an arm's row of the table from stored replies alone.

    Args:
        table: items, scorer and settings.
        arm: whose row it is.
        replies: of all arms; the arm's own and its repeats are read.
        price: of its model, for an arm behind an API.
    """
    case, items = table.case, table.items
    own = [reply for reply in replies[arm.name] if reply.item_id not in table.excluded]
    scores = table.scores(own)
    trained = {pair.output for pair in table.split.train.pairs}
    unseen = [s for s, item in zip(scores, items, strict=True) if item.output not in trained]
    correct = sum(s.correct for s in scores)
    confidence = case.task_file.gate.confidence
    expected = [item.output for item in items]
    return ArmResult(
        arm=arm,
        n=len(scores),
        correct=correct,
        rate=correct / len(scores),
        interval=wilson(correct, len(scores), confidence=confidence),
        parse_failures=sum(s.parse_failure for s in scores),
        over_limit=sum(reply.finish == "length" for reply in own),
        output_tokens_mean=_mean_tokens([reply.output_tokens for reply in own]),
        prompt_tokens_mean=_mean_tokens([reply.prompt_tokens for reply in own]),
        unseen_n=len(unseen),
        unseen_correct=sum(s.correct for s in unseen),
        empty=sum(s.empty for s in scores),
        refusals=sum(s.refusal or r.finish == "refused" for s, r in zip(scores, own, strict=True)),
        figures=figures_of(table.scorer, own, expected),
        confusion=confusion_of(table.scorer, own, expected),
        excluded=len(table.excluded),
        repeat_rates=_repeat_rates(table, arm, replies, correct / len(scores)),
        **_mean(table.scorer, scores, confidence),
        **_grouped(items, scores, confidence),
        **_times(own),
        usd_per_1000=_usd(case, arm, own, price),
    )


def _mean_tokens(tokens: Sequence[int]) -> float | None:
    return sum(tokens) / len(tokens) if any(tokens) else None


def _repeat_rates(table: Table, arm: Arm, replies: Replies, first: float) -> tuple[float, ...]:
    more = [table.right(each) for each in repeats_of(arm.name, replies)]
    return (first, *(sum(right) / len(right) for right in more)) if more else ()


def _mean(scorer: Scorer, scores: Sequence[Score], confidence: float) -> dict[str, Any]:
    if not scorer.metric.graded:
        return {}
    values = [s.value for s in scores]
    return {
        "mean_value": math.fsum(values) / len(values),
        "mean_interval": mean_interval(values, confidence=confidence),
    }


def clusters_of(items: Sequence[SplitRow]) -> tuple[str, ...] | None:
    """Return the group of each item, or None where every item is a group of its own."""
    groups = tuple(item.group for item in items)
    return groups if len(set(groups)) < len(groups) else None


def _grouped(items: Sequence[SplitRow], scores: Sequence[Score], confidence: float) -> dict[str, Any]:
    """Items of one group are not independent: how much that matters, and an interval that knows it."""
    groups = clusters_of(items)
    if groups is None or len(set(groups)) < 2:
        return {}
    right = [s.correct for s in scores]
    values = [float(value) for value in right]
    return {
        "clusters": len(set(groups)),
        "icc": intraclass_correlation(values, groups),
        "design_effect": design_effect(values, groups),
        "cluster_interval": cluster_interval(right, groups, confidence=confidence),
    }


def _times(replies: Sequence[Reply]) -> dict[str, Any]:
    times = [reply.ms for reply in replies if reply.ms is not None]
    if len(times) != len(replies):
        return {"p50_ms": None, "p95_ms": None}
    return {"p50_ms": percentile(times, share=0.5), "p95_ms": p95(times)}


def _usd(case: Case, arm: Arm, replies: Sequence[Reply], price: PriceUsed | None) -> float | None:
    """API: tokens at the list price. Local: the machine's hours at the planned utilisation."""
    if arm.kind in {"frontier", "endpoint"}:
        known = counted(replies)
        return 1000 * api_usd(known, price.price) / len(known) if price and known else None
    usd_per_hour, _ = machine_usd_per_hour(case.task_file)
    times = [reply.ms for reply in replies if reply.ms is not None]
    if usd_per_hour is None or len(times) != len(replies):
        return None
    costs = case.task_file.costs
    return local_usd_per_1000(
        sum(times) / len(times) / 1000,
        usd_per_hour,
        utilisation=costs.utilisation,
        parallel_calls=costs.parallel_calls,
    )


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
