"""Made-up replies of made-up arms → a report and a card under a graded metric, and one with labels.

The replies are invented; every score, figure and matrix is computed from them, as in a real run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from card_sample import card_input, case, file_name, serving, verdict
from sample import N, arm_result, sample_report
from tuneproof.artifacts import ArmResult, Case, Interval, Reply
from tuneproof.card import CardInput
from tuneproof.report import ReportInput
from tuneproof.scoring import Scorer, confusion_of, figures_of, score, scorer_of

SCHEMA = {
    "type": "object",
    "required": ["invoice", "total"],
    "properties": {"invoice": {"type": "string"}, "total": {"type": "number"}},
}
TEAMS = ("billing", "delivery", "returns", "account & login", "legal", "press", "other <teams>", "spam")
GRADED = {"metric": "json fields", "scoring": {"json_schema": SCHEMA, "right_at": 0.9, "normalise": ["case"]}}
LABELLED = {"metric": "label accuracy", "scoring": {"normalise": ["case"]}}
SKILL = {"base": 0.25, "rival": 0.6, "tuned": 0.9}


def reply(text: str, *, finish: str = "stop", item_id: str = "i") -> Reply:
    fields = {"item_id": item_id, "text": text, "finish": finish, "prompt_tokens": 1, "output_tokens": 1}
    return Reply.model_validate(fields | {"ms": 1.0})


def invoice(i: int) -> dict[str, Any]:
    lines = [{"sku": f"A-{i % 7}", "quantity": i % 5}, {"sku": f"B-{i % 3}", "quantity": 1}]
    address = {"city": ("Lyon", "Graz", "Porto")[i % 3], "postcode": f"{10_000 + i}"}
    return {"invoice": f"R-{i:04}", "total": i * 1.25, "currency": "EUR", "buyer": address, "lines": lines}


def _json_reply(expected: str, luck: random.Random, skill: float) -> str:
    draw = luck.random()
    if draw > skill + (1 - skill) * 0.7:
        return luck.choice(
            ["", "I'm sorry, I cannot read this invoice.", expected[:-2], f"Here it is: {expected}"]
        )
    fields = json.loads(expected)
    for key in list(fields):
        if luck.random() > skill + 0.08:
            fields[key] = "?" if isinstance(fields[key], str) else 0
    return json.dumps(fields)


def _label_reply(expected: str, luck: random.Random, skill: float) -> str:
    if luck.random() < skill:
        return expected.upper()
    return luck.choice(
        [TEAMS[(TEAMS.index(expected) + 1) % len(TEAMS)], "billing", "Sorry, I can't tell", ""]
    )


Replier = Callable[[str, random.Random, float], str]


def with_metric(whole: Case, change: dict[str, Any]) -> Case:
    task_file = whole.task_file.model_dump()
    task_file["task"]["metric"] = change["metric"]
    task_file["scoring"] = change["scoring"]
    return Case.model_validate(whole.model_dump() | {"task_file": task_file})


def measured(result: ArmResult, scorer: Scorer, expected: list[str], answer: Replier) -> ArmResult:
    """The arm with everything that its invented replies give; times and tokens stay."""
    luck = random.Random(result.arm.name)
    replies = [reply(answer(text, luck, SKILL[result.arm.kind])) for text in expected]
    scores = [score(r, text, scorer) for r, text in zip(replies, expected, strict=True)]
    correct, mean = sum(s.correct for s in scores), sum(s.value for s in scores) / len(scores)
    graded = scorer.metric.graded
    fields = result.model_dump() | {
        "correct": correct, "rate": correct / N,
        "interval": arm_result("x", "x", "tuned", correct).interval,
        "parse_failures": sum(s.parse_failure for s in scores), "unseen_correct": 0,
        "empty": sum(s.empty for s in scores), "refusals": sum(s.refusal for s in scores),
        "mean_value": mean if graded else None,
        "mean_interval": Interval(low=mean - 0.02, high=mean + 0.02) if graded else None,
        "figures": figures_of(scorer, replies, expected),
        "confusion": confusion_of(scorer, replies, expected),
    }  # fmt: skip
    return ArmResult.model_validate(fields)


def _measured_all(results: tuple[ArmResult, ...], whole: Case) -> tuple[ArmResult, ...]:
    scorer = scorer_of(whole.task_file)
    graded = scorer.metric.graded
    teams = [TEAMS[int((i / N) ** 1.5 * len(TEAMS))] for i in range(N)]
    expected = [json.dumps(invoice(i)) for i in range(N)] if graded else teams
    return tuple(measured(r, scorer, expected, _json_reply if graded else _label_reply) for r in results)


def graded_report(change: dict[str, Any]) -> ReportInput:
    data = sample_report()
    whole = with_metric(data.case, change)
    arms = _measured_all(data.verdict.arms, whole)
    comparison = data.comparison.model_copy(
        update={
            "trials": (
                data.comparison.trials[0].model_copy(update={"mean_value": 0.125}),
                data.comparison.trials[1],
                data.comparison.trials[2].model_copy(update={"fits": False, "n": 0, "correct": 0}),
            )
        }
    )
    return data._replace(
        case=whole, comparison=comparison, verdict=data.verdict.model_copy(update={"arms": arms})
    )


def graded_card(change: dict[str, Any]) -> CardInput:
    whole = with_metric(case(), change)
    arms = _measured_all(verdict().arms, whole)
    assert any(arm.arm.file == file_name("Q8_0") for arm in arms)
    return card_input(
        case=whole, verdict=verdict().model_copy(update={"arms": arms}), serving=serving(arms=arms)
    )
