"""What the steps ask of the outside world: small Protocols, so that tests can answer instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from tuneproof.artifacts import (
    BaseModelIdentity,
    EvalPlan,
    FileRef,
    Reply,
    Setting,
    SplitRow,
    TensorTypes,
)
from tuneproof.artifacts.curves import CurveRow
from tuneproof.constraint import Constraint
from tuneproof.prompt import Message
from tuneproof.request import Request

Folder = Path
"""An empty or half-filled folder that the workspace hands out; steps only pass it on."""


class Answer(NamedTuple):
    """One generated reply."""

    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    output_tokens: int
    first_ms: float | None = None
    """Milliseconds to the first non-empty text, where the reply was streamed."""


class Runtime(Protocol):
    """A loaded model that answers chats one at a time, at temperature 0."""

    name: str

    def ask(
        self, messages: Sequence[Message], *, max_new_tokens: int, constraint: Constraint | None = None
    ) -> Answer:
        """Answer one chat, streamed; with a constraint, no token can leave the form of an answer."""

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt text that the runtime makes of `messages`."""

    def tokens(self, text: str) -> list[int]:
        """Return the token ids that the runtime makes of a prompt text."""

    def close(self) -> None:
        """Free the model."""


class Engine(Protocol):
    """Loads GGUF files."""

    name: str

    def load(self, file: Path, *, num_ctx: int, parallel: int = 1) -> Runtime:
        """Load `file` with a context of `num_ctx` tokens for each of `parallel` calls at once."""


class Endpoint(Protocol):
    """A model behind an API."""

    name: str
    """For example `OpenAI-compatible API at api.openai.com`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the API refused and was left out, a sentence each."""

    def ask(self, request: Request) -> Reply:
        """Answer one request, with its times, tokens and attempts.

        A reply that no retry could get comes back with `finish="failed"` and its `error`.

        Raises:
            OutsideFailed: no item could be answered: key, model name, spend limit, address.
        """

    def close(self) -> None:
        """Close its connections."""


class Base(NamedTuple):
    """A base model on disk: dense weights with tokenizer and template, and the same as GGUF f16."""

    identity: BaseModelIdentity
    folder: Path
    gguf: Path
    stops: tuple[str, ...] = ("<|im_end|>",)
    """Texts of the tokens that end a reply, the template's own first."""
    notes: tuple[str, ...] = ()
    """Sentences that a person should read, for example which commit a branch was taken to mean."""


class BatchModel(Protocol):
    """The adapter on its base in the trainer's own engine; answers in batches."""

    name: str

    def answer(self, chats: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Answer]:
        """Answer several chats together."""

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt text that training saw for `messages`."""

    def tokens(self, text: str) -> list[int]:
        """Return the token ids that training saw for a prompt text."""

    def close(self) -> None:
        """Free the model."""


class Progress(Protocol):
    """Tells a person how far a long piece of work is."""

    def update(self, done: int, total: int, note: str) -> None:
        """Show `done` of `total` and a short note such as the speed."""


class TrainPlan(NamedTuple):
    """Everything that decides the adapter."""

    rows: tuple[SplitRow, ...]
    dev: tuple[SplitRow, ...]
    system_prompt: str
    epochs: int
    learning_rate: float
    batch: int
    lora_rank: int
    lora_alpha: int
    seed: int
    max_new_tokens: int = 4096
    """Limit of a reply: a longer answer could never be right."""
    num_ctx: int = 1_000_000
    """Context of the runtime: prompt and reply must fit."""


class Trained(NamedTuple):
    """What the trainer left in its folder, and what it measured."""

    files: tuple[FileRef, ...]
    settings: tuple[Setting, ...]
    curves: tuple[CurveRow, ...]
    steps: int
    tokens: int
    answer_tokens: int
    longest_row_tokens: int
    device: str
    versions: dict[str, str]


class Trainer(Protocol):
    """Trains a LoRA adapter."""

    def train(self, plan: TrainPlan, base: Base, folder: Folder, progress: Progress) -> Trained:
        """Train and leave the adapter in `folder`; continue from its last complete checkpoint."""


class Merged(NamedTuple):
    """A merged model in a folder."""

    changed_modules: int
    target_modules: int


class GgufTools(Protocol):
    """Merges, converts, quantizes and inspects."""

    @property
    def converter(self) -> str:
        """Name and version of the converter."""

    @property
    def quantizer(self) -> str:
        """Name and version of the quantizer."""

    def merge(self, base: Base, adapter: Folder, out: Folder) -> Merged:
        """Write base + adapter as one dense model."""

    def convert(self, model: Folder, out: Path) -> FileRef:
        """Write a dense model as GGUF f16."""

    def quantize(self, f16: Path, quant: str, out: Path) -> FileRef:
        """Write a quantized copy of a GGUF f16 file."""

    def inspect(self, file: Path) -> tuple[TensorTypes, ...]:
        """Count the tensor types that a GGUF file really holds."""


class ReplyLog(Protocol):
    """Replies of one arm, on disk as they come."""

    def replies(self) -> dict[str, Reply]:
        """Return the replies that are already there, by item id."""

    def append(self, reply: Reply) -> None:
        """Store one reply durably."""


class TestRecords(Protocol):
    """Where a comparison keeps its plan, its accesses and its replies."""

    def keep_plan(self, plan: EvalPlan) -> None:
        """Store the plan; must be called before the first access."""

    def accessed(self, arm: str, plan_digest: str) -> None:
        """Append an entry to the test access ledger."""

    def log(self, arm: str, key: str = "", *, paid: bool = False) -> ReplyLog:
        """Open the reply log of an arm.

        `key` is the digest of everything that decides its replies; replies that were stored under it before,
        in a comparison that was made again since, are taken over. Without a key nothing is. `paid` ones
        are kept even if everything local is asked again.
        """
