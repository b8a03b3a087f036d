"""The metric, and what it measured on the published files → the words, tables and head of a model card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tuneproof.artifacts import ArmResult, BaseModelIdentity, Gate, GgufFile, Split, TaskFile
from tuneproof.card_text import Markdown, interval_of, line_of, table_of
from tuneproof.metrics import metric_of
from tuneproof.report_metric import capitalised, confusions_text, figure_cell, scoring_facts, value_name


class Published(NamedTuple):
    """A file that goes up, with what was measured on it."""

    gguf: GgufFile
    arm: ArmResult
    gate: Gate


def share_name(task_file: TaskFile) -> str:
    """Name the share of right replies, as the report does."""
    metric = metric_of(task_file.task.metric)
    return capitalised(metric.share_name(task_file.scoring.right_at or 1.0))


def result_words(task_file: TaskFile, arm: ArmResult) -> str:
    """Write an arm's share of right replies and, for a graded metric, its mean."""
    share = f"{arm.correct}/{arm.n} = {100 * arm.rate:.1f} % {interval_of(arm.wider)}"
    if arm.mean_value is None:
        return share
    return f"{share}; mean {value_name(task_file.task.metric)} {_mean(arm)}"


def _mean(arm: ArmResult) -> str:
    interval = arm.mean_interval
    return f"{arm.mean_value:.3f}" + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")


def metric_words(task_file: TaskFile, served: ArmResult) -> dict[str, object]:
    """Return what the template says about the metric: texts that are empty where there is nothing to say."""
    name, section = task_file.task.metric, task_file.scoring
    rows = [(capitalised(figure.name), figure_cell(figure), str(figure.n)) for figure in served.figures]
    if served.mean_value is not None:
        level = f"{100 * task_file.gate.confidence:g} %"
        mean = f"Mean {value_name(name)} ({level} interval)"
        rows = [(mean, _mean(served), str(served.n)), *rows]
    graded = served.mean_value is not None
    silent = {"empty": served.empty, "refusals": served.refusals}
    return {
        "figures_table": table_of(("Figure", "Value", "Items"), rows) if rows else "",
        "confusions": confusions_text(served.confusion) if served.confusion else "",
        "wrong_means": f"{value_name(name)} below {section.right_at or 1:g}" if graded else "",
        "silent": ", ".join(f"{count} {word}" for word, count in silent.items() if count),
        "scoring": "; ".join(f"{place} = {value}" for place, value in scoring_facts(task_file)),
    }


def head_of(
    task_file: TaskFile,
    split: Split,
    base: BaseModelIdentity,
    published: Sequence[Published],
    *,
    model_name: str,
) -> Markdown:
    """Write the YAML head, with the results of each published file."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=task_file.name,
            dataset_name=f"{line_of(task_file.title)} (frozen split, version {split.lock.version})",
            dataset_split="test",
            dataset_revision=split.lock.test.sha256,
            **measured,
        )
        for one in published
        for measured in _measured(task_file, one)
    ]
    card = ModelCardData(
        license=base.licence.lower(),
        library_name="gguf",
        pipeline_tag="text-generation",
        tags=["gguf", "llama.cpp", "ollama", "lora", "tuneproof"],
        model_name=model_name,
        eval_results=results,
        base_model=base.hub_id,
        base_model_relation="quantized" if base.hub_id else None,
    )
    return Markdown(f"---\n{card.to_yaml().strip()}\n---")


def _measured(task_file: TaskFile, one: Published) -> list[dict[str, Any]]:
    """The share of right replies and, for a graded metric, the mean before it."""
    arm, level = one.arm, f"{100 * task_file.gate.confidence:g} %"
    graded = arm.mean_value is not None
    kind = re.sub(r"\W+", "_", task_file.task.metric).lower()
    share: dict[str, Any] = {
        "metric_type": "accuracy" if graded or kind == "label_accuracy" else kind,
        "metric_value": round(arm.rate, 4),
        "metric_name": f"{share_name(task_file)} of {one.gguf.quant} ({level} interval "
        f"{arm.wider.low:.4f} to {arm.wider.high:.4f}, n = {arm.n})",
    }
    if arm.mean_value is None:
        return [share]
    interval = arm.mean_interval
    within = f"{level} interval {interval.low:.4f} to {interval.high:.4f}, " if interval else ""
    mean = {
        "metric_type": kind,
        "metric_value": round(arm.mean_value, 4),
        "metric_name": f"Mean {value_name(task_file.task.metric)} of {one.gguf.quant} ({within}n = {arm.n})",
    }
    return [mean, share]
