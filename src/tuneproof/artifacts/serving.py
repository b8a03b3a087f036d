"""The served model: the runtime, its prompt parity, and the same test in the engine that ships."""

from __future__ import annotations

from typing import ClassVar

from tuneproof.artifacts.base import Artifact
from tuneproof.artifacts.comparison import ArmResult, Parity
from tuneproof.artifacts.latency import Timing


class Serving(Artifact):
    """GGUF files as answered by the runtime."""

    measured: ClassVar[frozenset[str]] = frozenset({"cold_start_ms", "machine"})

    runtime: str
    """Name and version of the engine."""
    model_file: str
    """The file that `tuneproof ask` uses and the Modelfile names."""
    modelfile: str
    """Text of the Modelfile."""
    parity: Parity
    """Of the last file that was measured."""
    arms: tuple[ArmResult, ...]
    """One a file."""
    cold_start_ms: float
    """Loading the served file and its first token, in milliseconds."""
    plan_digest: str
    """The plan that all arms share."""
    machine: str
    """Processor, cores, memory."""
    timings: tuple[Timing, ...] = ()
    """Every file and the best base, asked item by item in one session; then the load point."""
    repeated: int = 0
    """Items that the base answered a second time, in that session."""
    repeated_equal: int = 0
    """Of these, replies equal to the first: whether greedy decoding is stable here."""
