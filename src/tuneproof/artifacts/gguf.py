"""GGUF files: what was made, and what is really inside."""

from __future__ import annotations

from tuneproof.artifacts.base import Artifact, FileRef, Record


class TensorTypes(Record):
    """How many tensors, and bytes of them, one type holds."""

    type: str
    """Encoding, for example `Q8_0`."""
    tensors: int
    """How many have it."""
    bytes: int
    """Their size."""


class GgufFile(Record):
    """One rung of the ladder."""

    quant: str
    """What was asked for: `F16`, `Q8_0`, `Q4_K_M`…"""
    file: FileRef
    """Name, size and hash."""
    holds: tuple[TensorTypes, ...]
    """What the file really holds: K-quants fall back where a row is no multiple of 256 wide."""
    fallback_tensors: int
    """Tensors that wanted a K-quant and hold another type."""


class Ladder(Artifact):
    """The merged model and its GGUF files, largest first."""

    merged_changed_modules: int
    """Target modules whose merged weight differs from the base's; must be all of them."""
    target_modules: int
    """Modules that the adapter changes."""
    files: tuple[GgufFile, ...]
    """f16 first."""
    converter: str
    """Name and version."""
    quantizer: str
    """Name and version."""
