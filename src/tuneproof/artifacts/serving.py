"""The served model: the runtime, its prompt parity, and the same test in the engine that ships."""

from __future__ import annotations

from typing import ClassVar

from tuneproof.artifacts.base import Artifact
from tuneproof.artifacts.comparison import ArmResult, Parity


class Serving(Artifact):
    """GGUF files as answered by the runtime."""

    measured: ClassVar[frozenset[str]] = frozenset({"cold_start_ms", "machine"})

    runtime: str
    model_file: str
    """The file that `tuneproof ask` uses and the Modelfile names."""
    modelfile: str
    """Text of the Modelfile."""
    parity: Parity
    arms: tuple[ArmResult, ...]
    cold_start_ms: float
    plan_digest: str
    machine: str
