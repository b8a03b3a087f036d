"""The plan, the ledger and the kinds of number → what a sceptic needs to check the report."""

from __future__ import annotations

from collections.abc import Iterator

from tuneproof.artifacts import Contrast, Verdict
from tuneproof.report_blocks import Block, Facts, Heading, Lines, ReportInput, Section, Text
from tuneproof.report_text import NOTHING, Table, level, points
from tuneproof.report_top import MANY_ROUNDS

_DIGEST = len("sha256:") + 12
_OPEN_ROWS = 30
"""Ledger entries up to which the table is open."""


def access_section(data: ReportInput) -> Section:
    """What was fixed beforehand, where the run differs from it, and every access to the test set."""
    verdict, plan = data.verdict, data.plan
    deviations: Block = Text("The run differs from its plan in no place that tuneproof checks.")
    if verdict.deviations:
        deviations = Lines(verdict.deviations)
    blocks = (
        Text(f"Fixed and hashed before the first access to the test set; digest `{plan.digest}`."),
        Facts(tuple(_plan_facts(data))),
        Heading("Deviations from the plan"),
        deviations,
        Heading("Access to the test set"),
        Text(_rounds(verdict)),
        _ledger_table(data),
    )
    return Section("access", "Plan and test access", "The plan, and every access to the test set", blocks)


def _plan_facts(data: ReportInput) -> Iterator[tuple[str, object]]:
    plan = data.plan
    yield "Metric", plan.metric
    yield "Contrast of the gate", plan.contrast
    yield "One-sided level of the gate", plan.alpha
    yield "Confidence of intervals", level(plan.confidence)
    yield "Tests", plan.tests or NOTHING
    yield "What makes items dependent", plan.cluster_key
    yield "Margin to the frontier", points(plan.frontier_margin)
    yield "Margin of a smaller file", points(plan.quant_margin)
    yield "Prompts", plan.prompts_rule
    yield "Rivals", plan.rivals_rule or NOTHING
    yield "Left out", plan.exclusion_rule
    yield "Limit of a reply", f"{plan.max_new_tokens} tokens"
    yield "Seed of the training", plan.seed
    for name, digest in sorted(plan.extra_tunes.items()):
        yield f"Extra tune {name}", digest
    yield "Arms", ", ".join(plan.arms)


def _rounds(verdict: Verdict) -> str:
    rounds = verdict.test_accesses
    said = "1 round" if rounds == 1 else f"{rounds} rounds"
    if verdict.optimism is None:
        return f"{said} of test access: all arms of one plan are one round."
    worth = f"The best of them is expected to look too good by about {points(verdict.optimism)}"
    return f"{said} of test access. {worth}; above {MANY_ROUNDS} rounds this stands at the top of the report."


def _ledger_table(data: ReportInput) -> Table:
    rows = tuple(
        (entry.at, entry.who, data.title(entry.arm), entry.plan_digest[:_DIGEST]) for entry in data.ledger
    )
    caption = (
        "Each entry carries the hash of the one before it, so none can be taken out unseen. The digest is "
        "that of the plan under which the test was read."
    )
    fold = f"{len(rows)} entries" if len(rows) > _OPEN_ROWS else ""
    header = ("Time, UTC", "Command", "Arm", "Plan")
    return Table(caption, header, rows, name="Ledger", folded=fold)


def how_section(data: ReportInput) -> Section:
    """Where each kind of number comes from."""
    rows = tuple(_made(data))
    caption = "Paths are seen from the project folder. All resampling is seeded."
    table = Table(
        caption, ("Number", "Made from", "How"), rows, name="How each number was made", look="wordy"
    )
    text = (
        "Every number is computed from the stored replies; `tuneproof report --verify` computes all of them "
        "again and compares them byte for byte."
    )
    return Section("how", "How numbers were made", "How each number was made", (Text(text), table))


_REPLIES = "6-comparison/replies/ARM.jsonl, 8-serve/replies/ARM.jsonl"
_TEST = "4-split/test.jsonl"
_VERDICT = "9-verdict/verdict.json"


def _made(data: ReportInput) -> Iterator[tuple[str, str, str]]:
    yield (
        "Right, parse failures, cut, empty, refusals",
        f"{_REPLIES}, {_TEST}",
        f"{data.plan.metric}, counted",
    )
    yield "Interval of a share", "right and n", "Wilson score (Wilson 1927)"
    yield from _made_of_arms(data.verdict)
    yield from _made_of_contrasts(data.verdict)
    yield "Minimum detectable gain", "n and alpha of the plan", "exact power of the mid-p McNemar test, 80 %"
    if data.verdict.optimism is not None:
        yield "Optimism of the rounds", "ledger.jsonl", "E[max of k] · √(flips / 2n), normal approximation"
    yield "p50, p95", "times in the reply files", "order statistics; one-sided 95 % bound from 59 calls"
    if data.verdict.costs is not None:
        yield (
            "USD for 1,000 calls",
            "tokens and times of the replies, task.yaml",
            "tokens × price, or hours × price",
        )
        yield "Break-even", "costs, one-off parts", "(once / months + fixed) / (API call − own call)"
    yield "Prompt chosen", "6-comparison/comparison.json", "most right on dev; ties by the plan's rule"
    if data.verdict.slices:
        yield "Parts of the test", f"{_VERDICT}, {_TEST}, 4-split/train.jsonl", "counted"
        yield "Far − near", "parts by distance", "Newcombe's hybrid score interval (1998, method 10)"
    if data.verdict.failures:
        yield "Groups of wrong replies", _REPLIES, "first rule that fits; no model"
    yield "Losses", "5-adapter/curves.csv", "mean nats per answer token of a step"


def _made_of_arms(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    if any(a.clusters for a in verdict.arms):
        yield "Interval over groups", "group of each item", "BCa bootstrap of whole groups (Efron 1987)"
    if any(a.mean_value is not None for a in verdict.arms):
        yield "Mean value", "value of each reply", "mean; percentile bootstrap"
    if verdict.seeds:
        yield "Seeds", "replies of each seed", "mean, lowest and highest share right"


def _made_of_contrasts(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    contrasts = _contrasts(verdict)
    yield "Difference", "wins, losses, n", "(wins − losses) / n; Tango score interval (Tango 1998)"
    if any(c.test == "mid-p McNemar" for c in contrasts):
        yield "p", "wins, losses", "mid-p McNemar, one-sided (Fagerland 2013)"
    if any(c.test != "mid-p McNemar" for c in contrasts):
        yield "p where items come in groups", "wins and losses of each group", "sign flips of whole groups"
    if any(c.p_holm is not None for c in contrasts):
        yield "p, Holm", "all p of a family", "Holm 1979"
    if any(c.value_difference is not None for c in contrasts):
        yield "Difference of mean values", "pairs of values", "BCa bootstrap (Efron 1987); sign flips"
    if verdict.files or verdict.frontier_equality:
        yield (
            "Equal enough, no loss worth noting",
            "wins, losses, n",
            "one-sided 95 % Tango lower bound > −margin",
        )
    if verdict.files:
        yield "Flips", "wins + losses, n", "Wilson score"


def _contrasts(verdict: Verdict) -> list[Contrast]:
    optional = (verdict.frontier, verdict.format_gain)
    return [
        *(gate.contrast for gate in verdict.gates),
        *verdict.rivals,
        *verdict.endpoints,
        *(step.contrast for step in verdict.files),
        *(control.contrast for control in verdict.controls),
        *(contrast for contrast in optional if contrast is not None),
    ]
