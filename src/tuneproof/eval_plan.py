"""What will be measured and decided → EvalPlan, written down and hashed before the first test access."""

from __future__ import annotations

from collections.abc import Mapping

from tuneproof.artifacts import Adapter, Case, EvalPlan, Split, canonical_json, sha256_of
from tuneproof.prompt_search import PROMPTS_RULE
from tuneproof.rivals import RIVALS_RULE

EXCLUSION_RULE = (
    "an item to which some API gave no reply after all retries is left out of every arm; above 2 % of the "
    "items the run is not valid; a cut, malformed, empty or refused reply is wrong unless it matches"
)
TESTS = (
    "gate, rivals and frontier: one-sided mid-p McNemar and Tango's interval; where items come in groups, "
    "sign flips of whole groups and the wider of Tango's interval and a bootstrap over groups; rates: the "
    "wider of Wilson's interval and that bootstrap; equality: Tango's one-sided 95 % bound and the margin; "
    "smaller files in a fixed sequence from the largest down; rivals and endpoints: Holm within each family"
)
_NOT_ASKED = {"price", "key", "timeout_s", "concurrency"}
"""Settings of an endpoint that change no reply."""


def plan_of(
    case: Case,
    split: Split,
    adapter: Adapter,
    *,
    files: Mapping[str, str],
    extra_tunes: Mapping[str, str],
) -> EvalPlan:
    """Write down what will be measured and decided, before anything is.

    Args:
        case: the settings.
        split: the test.
        adapter: what is under test.
        files: digests of the code and schema files that task.yaml names, by place.
        extra_tunes: seeds and null controls that stand beside the adapter: name → digest of its record.
    """
    task_file = case.task_file
    return EvalPlan(
        metric=task_file.task.metric,
        scoring=sha256_of(canonical_json({"section": task_file.scoring.digest, "files": dict(files)})),
        comparison=sha256_of(canonical_json(_asked(case))),
        serving=task_file.serving.digest,
        task=task_file.task.digest,
        thresholds=task_file.gate.digest,
        train_digest=split.lock.train.sha256,
        dev_digest=split.lock.dev.sha256,
        contrast="each tuned file against the base arm with most right replies, in the same engine",
        alpha=task_file.gate.alpha,
        confidence=task_file.gate.confidence,
        adapter=adapter.digest,
        test_digest=split.lock.test.sha256,
        prompt_sha256=split.lock.prompt_sha256,
        arms=_arms(case, extra_tunes),
        rivals_rule=RIVALS_RULE,
        prompts_rule=PROMPTS_RULE,
        exclusion_rule=EXCLUSION_RULE,
        max_new_tokens=task_file.task.max_new_tokens,
        seed=task_file.tuning.seed,
        extra_tunes=dict(extra_tunes),
        frontier_margin=task_file.gate.frontier_margin_points / 100,
        quant_margin=task_file.gate.quant_margin_points / 100,
        tests=TESTS,
    )


def _asked(case: Case) -> dict[str, object]:
    """Return the comparison section without what changes no reply: a new price is no new plan."""
    section = case.task_file.comparison.model_dump(mode="json")
    frontier = section["frontier"]
    section["frontier"] = frontier and _without(frontier)
    section["endpoints"] = [_without(each) for each in section["endpoints"]]
    return section


def _without(endpoint: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in endpoint.items() if name not in _NOT_ASKED}


def _arms(case: Case, extra_tunes: Mapping[str, str]) -> tuple[str, ...]:
    task_file = case.task_file
    ladder = ("f16", *(quant.lower() for quant in task_file.quantization.ladder))
    return (
        "base-0-shot",
        "base-best",
        "base-constrained",
        "adapter",
        *extra_tunes,
        "majority",
        "nearest-neighbour",
        "tfidf-logistic",
        *(["rule"] if task_file.comparison.rule else []),
        *(f"tuned-{name}" for name in ladder),
        "tuned-constrained",
        "base-again",
        f"load-{task_file.comparison.load_calls}",
        "frontier",
        *(endpoint.name for endpoint in task_file.comparison.endpoints),
    )
