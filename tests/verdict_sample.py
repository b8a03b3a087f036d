"""Counts to a `Verdict` without its decision. Every number here is invented; none was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tuneproof.artifacts import (
    Arm,
    ArmResult,
    Case,
    Contrast,
    Gate,
    Interval,
    TaskFile,
    Triage,
    Verdict,
    sha256_of,
)
from tuneproof.artifacts.costs import BreakEven, Costs, Sensitivity
from tuneproof.artifacts.verdict import Control, Equality, SeedSpread
from tuneproof.statistics import gate, mid_p_mcnemar, tango, wilson
from tuneproof.verdict_rules import Decided, decide
from tuneproof.verdict_text import gate_reason, paragraph_of

N = 200
ALPHA = 0.025
DIGEST = sha256_of("made-up")
Flips = tuple[int, int]
"""Items that the served file has right and the other wrong, and the reverse."""


class Story(NamedTuple):
    """A verdict told in counts; the default passes the gate, beats its rivals, and has no frontier."""

    n: int = N
    served: int = 150
    base: Flips = (90, 10)
    rivals: Mapping[str, Flips] = {"word-model": (60, 10), "majority": (130, 2)}
    frontier: Flips | None = None
    endpoints: Mapping[str, Flips] = {}
    controls: Mapping[str, Flips] = {}
    seeds: tuple[float, ...] = ()
    excluded: int = 0
    rounds: int = 1
    costs: Costs | None = None
    pressures: Mapping[str, Any] = {"high_volume": True}
    gate_section: Mapping[str, Any] = {}
    p50_ms: float | None = 150.0
    frontier_p50_ms: float | None = 900.0
    not_measured: Mapping[str, str] = {"frontier": "no key"}
    optimism: float | None = None

    def with_(self, **changes: Any) -> Story:
        return self._replace(**changes)


def case_of(story: Story) -> Case:
    task_file = TaskFile.model_validate(
        {
            "name": "made-up",
            "title": "Made up",
            "task": {"input": "a notice", "output": "its key", "system_prompt": "Answer."},
            "pressures": dict(story.pressures),
            "data": {"source": "pairs.jsonl", "licence": "unknown"},
            "gate": dict(story.gate_section),
            "serving": {"model_name": "made-up"},
        }
    )
    triage = Triage(advice="fine-tune", reasons=("made up",))
    return Case(task_file=task_file, triage=triage, paragraph="Made up.")


def arm_of(name: str, kind: str, correct: int, *, n: int = N, **fields: Any) -> ArmResult:
    arm = {"name": name, "title": f"the {name}", "kind": kind, "engine": "made up"}
    arm |= {key: fields.pop(key) for key in ("file", "recorded") if key in fields}
    values: dict[str, Any] = {
        "arm": Arm.model_validate(arm),
        "n": n,
        "correct": correct,
        "rate": correct / n,
        "interval": wilson(correct, n),
        "parse_failures": 0,
        "over_limit": 0,
        "output_tokens_mean": None,
        "p50_ms": None,
        "p95_ms": None,
        "usd_per_1000": None,
        "unseen_n": 0,
        "unseen_correct": 0,
    }
    return ArmResult.model_validate(values | fields)


def contrast_of(arm: str, against: str, flips: Flips, n: int = N) -> Contrast:
    wins, losses = flips
    return Contrast(
        arm=arm,
        against=against,
        n=n,
        wins=wins,
        losses=losses,
        difference=(wins - losses) / n,
        interval=tango(wins, losses, n),
        p_one_sided=mid_p_mcnemar(wins, losses),
    )


def equality_of(flips: Flips, n: int, margin: float) -> Equality:
    wins, losses = flips
    low = tango(wins, losses, n, confidence=0.90).low
    return Equality(
        arm="tuned-f16",
        against="frontier",
        n=n,
        margin=margin,
        low=low,
        shown=low > -margin,
        better=gate(wins, losses, n) == "PASS",
        worse=gate(losses, wins, n) == "PASS",
        items_needed=None if low > -margin else 731,
    )


def costs_of(*, own: float = 0.0001, api: float = 0.002, one_off: float = 240.0, fixed: float = 2.8) -> Costs:
    """Costs over twelve months; the defaults break even at 12,000 calls a month."""
    volume = (fixed + one_off / 12) / (api - own) if api > own else None
    swings = (
        Sensitivity(what="API price × 0.5", calls_per_month=None if volume is None else volume * 2.1),
        Sensitivity(what="API price × 2", calls_per_month=None if volume is None else volume / 2.1),
    )
    even = BreakEven(
        against="frontier",
        api_usd_per_call=api,
        own_usd_per_call=own,
        one_off=(),
        one_off_usd=one_off,
        fixed_usd_per_month=fixed,
        months=12.0,
        calls_per_month=volume,
        sensitivity=swings,
    )
    return Costs(lines=(), break_even=even, unknown=())


COSTS_OPEN = Costs(lines=(), break_even=None, unknown=("costs.review_hours is not in task.yaml",))


class Told(NamedTuple):
    """A story as the judge sees it."""

    case: Case
    verdict: Verdict
    base: ArmResult
    served: ArmResult

    def decided(self) -> Decided:
        return decide(self.case, self.verdict, base=self.base, served=self.served)

    def finished(self) -> Verdict:
        return self.verdict.model_copy(update=self.decided()._asdict())

    def paragraph(self, *, trained_on: tuple[int, int] = (500, 500), timings: Any = ()) -> str:
        return paragraph_of(
            self.case,
            self.finished(),
            base=self.base,
            served=self.served,
            trained_on=trained_on,
            timings=timings,
        )


def arms_of(story: Story) -> tuple[ArmResult, ...]:
    """The arms of a story: what the others have right follows from the flips."""

    def other(name: str, kind: str, flips: Flips, **fields: Any) -> ArmResult:
        return arm_of(name, kind, story.served - flips[0] + flips[1], n=story.n, **fields)

    arms = [
        other("base-plain", "base", story.base),
        arm_of(
            "tuned-f16",
            "tuned",
            story.served,
            n=story.n,
            file="made-up-f16.gguf",
            p50_ms=story.p50_ms,
            excluded=story.excluded,
        ),
        *(other(name, "rival", flips) for name, flips in story.rivals.items()),
    ]
    if story.frontier is not None:
        arms.append(other("frontier", "frontier", story.frontier, p50_ms=story.frontier_p50_ms))
    arms += [other(name, "endpoint", flips) for name, flips in story.endpoints.items()]
    return tuple(arms)


def ratio_of(story: Story) -> Interval | None:
    """An interval of 5 % around the ratio of the two medians."""
    if story.p50_ms is None or story.frontier_p50_ms is None or story.frontier is None:
        return None
    ratio = story.p50_ms / story.frontier_p50_ms
    return Interval(low=0.95 * ratio, high=1.05 * ratio)


def seeds_of(story: Story, base: ArmResult) -> SeedSpread | None:
    if not story.seeds:
        return None
    low, high, mean = min(story.seeds), max(story.seeds), sum(story.seeds) / len(story.seeds)
    gain = mean - base.rate
    names = tuple(f"seed-{i}" for i in range(len(story.seeds)))
    return SeedSpread(
        arms=names,
        rates=story.seeds,
        mean=mean,
        low=low,
        high=high,
        gain=gain,
        exceeds_gain=high - low > gain,
    )


def tell(story: Story) -> Told:
    """Build the verdict that the judge would build, but for its decision."""
    case, arms = case_of(story), arms_of(story)
    base, served = arms[0], arms[1]
    contrast = contrast_of("tuned-f16", "base-plain", story.base, story.n)
    outcome = gate(*story.base, story.n)
    margin = case.task_file.gate.frontier_margin_points / 100
    controls = tuple(
        Control(
            name=name, contrast=contrast_of(name, "base-plain", flips, story.n), outcome=gate(*flips, story.n)
        )
        for name, flips in story.controls.items()
    )
    verdict = Verdict(
        gate=outcome,
        decision="not_enough_evidence",
        headline="",
        paragraph="",
        arms=arms,
        gates=(
            Gate(
                file="made-up-f16.gguf",
                contrast=contrast,
                outcome=outcome,
                reason=gate_reason(contrast, outcome, ALPHA),
                items_needed=812 if outcome == "INCONCLUSIVE" else None,
            ),
        ),
        rivals=tuple(contrast_of("tuned-f16", name, flips, story.n) for name, flips in story.rivals.items()),
        quant_steps=(),
        endpoints=tuple(
            contrast_of("tuned-f16", name, flips, story.n) for name, flips in story.endpoints.items()
        ),
        frontier=None if story.frontier is None
        else contrast_of("tuned-f16", "frontier", story.frontier, story.n),
        frontier_equality=None if story.frontier is None else equality_of(story.frontier, story.n, margin),
        latency_ratio=ratio_of(story),
        seeds=seeds_of(story, base),
        controls=controls,
        costs=story.costs,
        optimism=story.optimism,
        fixed=(),
        broken=(),
        not_measured=dict(story.not_measured) if story.frontier is None else {},
        test_accesses=story.rounds,
        minimum_detectable_gain=0.08,
        plan_digest=DIGEST,
        thresholds_digest=DIGEST,
    )  # fmt: skip
    return Told(case, verdict, base, served)
