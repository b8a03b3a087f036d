"""A base's folder → its tokenizer, exactly as tokenizer.json says.

AutoTokenizer builds some classes anew from vocabulary and merges: under transformers 5 a `GPT2Tokenizer`
loses the digit splitting that SmolLM2's tokenizer.json asks for, and " ½" gets other tokens than llama.cpp's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tuneproof.outside.files import atomic_write

READABLE = "PreTrainedTokenizerFast"
"""A class that reads tokenizer.json as it stands, in transformers 4 and 5 and in llama.cpp's converter."""


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a base with its special tokens and chat template; imports transformers."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)


def split_digits(folder: Path) -> None:
    """Put back what a tokenizer read from a GGUF file lacks: every digit is a piece of its own.

    llama.cpp's pre-tokenizer `smollm` does so (src/llama-vocab.cpp); transformers' reader of GGUF files
    writes the byte-level part alone.
    """
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    before = tokenizer["pre_tokenizer"]
    digits = {"type": "Digits", "individual_digits": True}
    if digits not in before.get("pretokenizers", []):
        tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, before]}
    atomic_write(path, (json.dumps(tokenizer, ensure_ascii=False) + "\n").encode())


def name_readable_class(folder: Path) -> None:
    """Name a tokenizer class that every reader knows: transformers 5 writes one of its own (unsloth#8444)."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"tokenizer_class": READABLE}
    atomic_write(path, (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())
