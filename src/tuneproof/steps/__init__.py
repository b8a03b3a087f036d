"""The ten steps in order: a table to print and to check, not to dispatch by name."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """One step: its command, its folder, and what makes it stale."""

    number: int
    verb: str
    folder: str
    makes: str
    """Main file of the folder."""
    needs: tuple[str, ...]
    """Verbs of the steps whose artifacts it reads."""
    settings: tuple[str, ...]
    """Dotted places in task.yaml that it reads, with the files that are named there."""
    sentence: str
    in_folder: bool = False
    """It leaves files in its folder while it works; others touch the disk only once their record is made."""
    prints_times: bool = False
    """It shows the times of the steps it reads, so it is stale as soon as one of them was measured again."""


STEPS: tuple[Step, ...] = (
    Step(1, "init", "1-case", "case.json", (), ("",), "task.yaml → the case and the triage verdict"),
    Step(
        2,
        "draft",
        "2-drafts",
        "imported.jsonl",
        (),
        (
            "data",
            "drafting",
            "pressures",
            "scoring",
            "task.metric",
            "task.answer_pattern",
            "task.system_prompt",
        ),
        "source, or inputs and a teacher → pairs with provenance",
    ),
    Step(
        3,
        "review",
        "3-review",
        "reviewed.json",
        ("draft",),
        ("data.reviewed_by", "review", "split.test"),
        "pairs → reviewed pairs",
    ),
    Step(
        4,
        "freeze",
        "4-split",
        "split.lock.json",
        ("review",),
        ("name", "split", "task.system_prompt", "drafting.examples", "drafting.conventions"),
        "reviewed pairs → train, dev and test, locked by hash",
    ),
    Step(
        5,
        "tune",
        "5-adapter",
        "settings.json",
        ("freeze",),
        ("tuning", "task.system_prompt"),
        "train → LoRA adapter",
        in_folder=True,
    ),
    Step(
        6,
        "compare",
        "6-comparison",
        "comparison.json",
        ("freeze", "tune"),
        ("task", "scoring", "comparison", "gate", "quantization", "tuning.base", "tuning.seed", "serving"),
        "test + base, rivals, adapter → replies and scores",
        in_folder=True,
    ),
    Step(
        7,
        "quantize",
        "7-gguf",
        "ladder.json",
        ("tune",),
        ("name", "quantization", "split.version"),
        "adapter → merged GGUF f16 and its quants",
        in_folder=True,
    ),
    Step(
        8,
        "serve",
        "8-serve",
        "serve.json",
        ("freeze", "tune", "compare", "quantize"),
        ("task", "scoring", "serving", "gate", "quantization", "comparison"),
        "GGUF → prompt parity, the same test in the engine that ships, Modelfile",
        in_folder=True,
    ),
    Step(
        9,
        "judge",
        "9-verdict",
        "verdict.json",
        ("review", "freeze", "tune", "compare", "quantize", "serve"),
        ("",),
        "everything → verdict and report",
        prints_times=True,
    ),
    Step(
        10,
        "publish",
        "10-release",
        "release.json",
        ("review", "freeze", "tune", "quantize", "serve", "judge"),
        ("",),
        "everything → exactly what would be uploaded (dry run)",
        in_folder=True,
        prints_times=True,
    ),
)


def step_of(verb: str) -> Step:
    """Return the step with this verb."""
    return next(step for step in STEPS if step.verb == verb)
