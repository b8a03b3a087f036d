"""Step 7 · quantize: Adapter → Ladder: merged model, GGUF f16, and its quantized copies."""

from __future__ import annotations

from tuneproof.artifacts import Adapter, Case, FileRef, GgufFile, Ladder
from tuneproof.names import gguf_name
from tuneproof.outside.protocols import Base, Folder, GgufTools, Progress

_K_QUANT_TYPES = {"Q4_K_M": "Q4_K", "Q5_K_M": "Q5_K", "Q6_K": "Q6_K"}
"""Quant → the tensor type that most of its matrices should have."""
_KEPT_TYPES = frozenset({"F32", "F16", "Q6_K"})
"""Types that a K-quant recipe uses on purpose: norms, and the more sensitive matrices."""


def quantize(
    case: Case,
    adapter: Adapter,
    *,
    base: Base,
    tools: GgufTools,
    folders: tuple[Folder, Folder, Folder],
    progress: Progress,
) -> Ladder:
    """Merge, convert and quantize into the last of `folders`.

    Args:
        case: the wanted quants.
        adapter: its record; its files are in the first folder.
        base: the base that it was trained on.
        tools: merges, converts, quantizes, inspects.
        folders: of the adapter, of the merged model, of the GGUF files.
        progress: told after every file.

    Raises:
        OutsideFailed: the adapter is not in the merged model, or a tool stopped.
    """
    adapter_folder, merged_folder, out = folders
    quants = case.task_file.quantization.ladder
    merged = tools.merge(base, adapter_folder, merged_folder)
    name = _name(case, adapter, "F16")
    files = [_described(tools, out, "F16", tools.convert(merged_folder, out / name))]
    progress.update(1, 1 + len(quants), name)
    for number, quant in enumerate(quants, 2):
        quant_name = _name(case, adapter, quant)
        files.append(_described(tools, out, quant, tools.quantize(out / name, quant, out / quant_name)))
        progress.update(number, 1 + len(quants), quant_name)
    return Ladder(
        merged_changed_modules=merged.changed_modules,
        target_modules=merged.target_modules,
        files=tuple(files),
        converter=tools.converter,
        quantizer=tools.quantizer,
    )


def _name(case: Case, adapter: Adapter, quant: str) -> str:
    task_file = case.task_file
    return gguf_name(adapter.base.name, task_file.name, quant, str(task_file.split.version))


def _described(tools: GgufTools, out: Folder, quant: str, file: FileRef) -> GgufFile:
    holds = tools.inspect(out / file.name)
    wanted = _K_QUANT_TYPES.get(quant)
    fallback = sum(t.tensors for t in holds if wanted and t.type not in {wanted, *_KEPT_TYPES})
    return GgufFile(quant=quant, file=file, holds=holds, fallback_tensors=fallback)
