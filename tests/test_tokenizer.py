"""The tokenizers of training and of llama.cpp: the same tokens for any text, numerals of any script."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from tuneproof.artifacts.case import TuningSection
from tuneproof.outside.base_model import find_base
from tuneproof.outside.llama_cpp import LlamaRuntime
from tuneproof.outside.tokenizer import load_tokenizer

pytestmark = pytest.mark.model


def texts() -> list[str]:
    """Every numeral of Unicode in four places, and random mixtures of letters, marks and spaces."""
    chance = random.Random(0)
    characters = [chr(c) for c in range(0x20, 0x3000) if unicodedata.category(chr(c))[0] in "NLPSZM"]
    numerals = [chr(c) for c in range(0x20, 0x1F200) if unicodedata.category(chr(c))[0] == "N"]
    mixed = ["".join(chance.choices([*characters, *"   abcde\n\t'" * 20], k=24)) for _ in range(1_500)]
    return [f"a {n} b{n}{n} 7{n}" for n in numerals] + mixed


def test_training_and_llama_cpp_cut_every_text_into_the_same_tokens(tmp_path: Path) -> None:
    base = find_base(TuningSection(), tmp_path)
    tokenizer, runtime = load_tokenizer(base.folder), LlamaRuntime(base.gguf, num_ctx=256)
    found = texts()
    assert len(found) > 3_000 and any("½" in text for text in found)
    different = [
        text
        for text in found
        if tokenizer(text, add_special_tokens=False)["input_ids"] != runtime.tokens(text)
    ]
    runtime.close()
    assert not different, ascii(different[:5])
