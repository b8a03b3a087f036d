"""The files of a base → which ones we take, and what refuses it before anything large is fetched or trained.

Nothing here runs code of the base: weights are safetensors only, and of a repository's Python no file is
taken. https://github.com/huggingface/safetensors#format says how a weights file begins.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from tuneproof.errors import BadInput
from tuneproof.modelfile import check_template
from tuneproof.outside.llama_cpp import supported_architectures
from tuneproof.prompt import TemplateError, render_chat

SUGGESTED = (
    "Qwen/Qwen3-0.6B",
    "Qwen/Qwen3-1.7B",
    "HuggingFaceTB/SmolLM2-135M-Instruct",
    "HuggingFaceTB/SmolLM2-360M-Instruct",
    "HuggingFaceTB/SmolLM2-1.7B-Instruct",
    "meta-llama/Llama-3.2-1B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct",
    "google/gemma-3-270m-it",
    "google/gemma-3-1b-it",
)
"""Small instruct models on the Hub whose templates we know. Llama and Gemma ask for their terms first."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
)
TEMPLATE_FILE = "chat_template.jinja"
INDEX_FILE = "model.safetensors.index.json"
_SMALL = (*TOKENIZER_FILES, TEMPLATE_FILE, INDEX_FILE, "config.json", "generation_config.json", "README.md")
_LICENCE = re.compile(r"(?i)licen[cs]e(?:\.(?:md|txt))?")
_WEIGHTS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_DENSE = {"F32": 4, "F16": 2, "BF16": 2}
"""Types of trainable weights, with their bytes. Others (F8, I8, packed) are quantized already."""
_LONGEST_HEADER = 100_000_000
"""Bytes; safetensors' own limit."""
_ANOTHER = f"Set tuning.base in task.yaml to another model, for example {SUGGESTED[0]}."


def is_small_file(name: str) -> bool:
    """Tell whether a file is one that we take beside the weights: never Python, never a pickle."""
    return name in _SMALL or is_licence_file(name)


def is_licence_file(name: str) -> bool:
    """Tell whether a file holds the text of the licence."""
    return _LICENCE.fullmatch(name) is not None


def check_names(names: Collection[str], *, label: str) -> None:
    """Refuse a base by the names of its files alone.

    Args:
        names: the files at its top level.
        label: how messages call it, for example `Qwen/Qwen3-0.6B`.

    Raises:
        BadInput: lists everything that is missing.
    """
    if "adapter_config.json" in names and "config.json" not in names:
        raise BadInput(
            f"{label} is a LoRA adapter, not a whole model.",
            remedy="Set tuning.base in task.yaml to the model that it was trained on.",
        )
    found = ", ".join(sorted(names)[:8]) or "nothing"
    missing = [f"no {name}" for name in ("config.json", "tokenizer.json") if name not in names]
    if INDEX_FILE not in names and "model.safetensors" not in names:
        pickles = sorted(name for name in names if name.endswith(_PICKLES))
        why = f" but {pickles[0]}, a pickle, which can run code when it is read" if pickles else ""
        missing.append(f"no model.safetensors{why}")
    if missing:
        raise BadInput(
            f"{label} cannot be a base: {'; '.join(missing)}. It holds {found}.",
            remedy=f"{_ANOTHER} A model in another format is saved anew with Transformers: "
            "`model.save_pretrained(FOLDER)` and `tokenizer.save_pretrained(FOLDER)`.",
        )


def weight_names(folder: Path, *, label: str) -> tuple[str, ...]:
    """Return the names of the weights files: `model.safetensors`, or those of its index.

    Raises:
        BadInput: the index is broken or names a file elsewhere.
    """
    if not (folder / INDEX_FILE).exists():
        return ("model.safetensors",)
    named = read_json(folder / INDEX_FILE, label=label).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    if not names or not all(isinstance(n, str) and _WEIGHTS.fullmatch(n) for n in names):
        raise BadInput(f"{label}: {INDEX_FILE} does not list plain .safetensors files.", remedy=_ANOTHER)
    return tuple(sorted(set(names)))


def check_config(folder: Path, *, label: str) -> None:
    """Refuse a base by its config files, with everything that is wrong.

    Raises:
        BadInput: code of its own, no causal language model, weights quantized already, or an architecture
            that Transformers or the GGUF converter does not know.
    """
    config = read_json(folder / "config.json", label=label)
    tokenizer = read_json(folder / "tokenizer_config.json", label=label, optional=True)
    problems = [
        f"{name} has auto_map: it runs Python code of its own, which tuneproof never loads"
        for name, read in (("config.json", config), ("tokenizer_config.json", tokenizer))
        if "auto_map" in read
    ]
    if "quantization_config" in config:
        problems.append("its weights are quantized already; training needs them whole")
    problems += _architecture_problems(config)
    if problems:
        raise BadInput(f"{label} cannot be a base: {'; '.join(problems)}.", remedy=_ANOTHER)


def _architecture_problems(config: dict[str, Any]) -> list[str]:
    listed = config.get("architectures")
    names = [n for n in listed if isinstance(n, str)] if isinstance(listed, list) else []
    if len(names) != 1 or not names[0].endswith("ForCausalLM"):
        shown = ", ".join(names) or "nothing"
        return [f"config.json names {shown} as architecture; a causal language model is …ForCausalLM"]
    problems = []
    if names[0] not in supported_architectures():
        problems.append(f"the GGUF converter does not know {names[0]}")
    if not _transformers_knows(config.get("model_type")):
        problems.append(f"this version of Transformers does not know model_type {config.get('model_type')!r}")
    return problems


def _transformers_knows(model_type: object) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def check_weights(folder: Path, names: Iterable[str], *, label: str) -> int:
    """Read the headers of the weights files and return the number of parameters.

    Raises:
        BadInput: a file is missing, cut, no safetensors (a renamed pickle is never read), or quantized.
    """
    parameters, problems = 0, []
    for name in names:
        try:
            parameters += _parameters(folder / name)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise BadInput(
            f"{label} has weights that cannot be used:\n  " + "\n  ".join(problems[:20]), remedy=_ANOTHER
        )
    return parameters


def _parameters(path: Path) -> int:
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise ValueError("not a safetensors file (its header does not fit)")
        header = json.loads(handle.read(length))
    tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
    odd = sorted({str(tensor["dtype"]) for tensor in tensors} - _DENSE.keys())
    if odd:
        raise ValueError(f"holds {', '.join(odd)} tensors; training needs F32, F16 or BF16")
    if not tensors or 8 + length + max(tensor["data_offsets"][1] for tensor in tensors) != size:
        raise ValueError("the file is cut: it is shorter or longer than its header says")
    return sum(math.prod(tensor["shape"]) for tensor in tensors)


def keep_template(folder: Path, *, label: str) -> str:
    """Leave the chat template as `chat_template.jinja`, its one place, and return it.

    Older repositories hold it in tokenizer_config.json, as a text or as a list of named ones.

    Raises:
        BadInput: there is none, or it is of a kind that cannot be trained and served.
    """
    config = read_json(folder / "tokenizer_config.json", label=label, optional=True)
    inside = config.pop("chat_template", None)
    if isinstance(inside, list):
        named = [entry for entry in inside if isinstance(entry, dict)]
        inside = next((t.get("template") for t in named if t.get("name") == "default"), None)
    path = folder / TEMPLATE_FILE
    template = path.read_text(encoding="utf-8") if path.exists() else inside
    if not isinstance(template, str) or not template.strip():
        raise BadInput(
            f"{label} has no chat template: it is a base that was never taught to answer.",
            remedy=f"Set tuning.base in task.yaml to its instruct model{_sibling(label)}.",
        )
    check_template(template, model=label)
    # Written anew, never through a link: the person's own folder stays as it is.
    for name, text in (
        (TEMPLATE_FILE, template),
        ("tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n"),
    ):
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return template


def _sibling(label: str) -> str:
    near = difflib.get_close_matches(label, SUGGESTED, n=1, cutoff=0.75)
    return f", for example {near[0]}" if near else " (its name often ends in -Instruct or -it)"


def end_of_turn(folder: Path, *, label: str = "the base") -> tuple[str, ...]:
    """Return the texts of the tokens that end a reply, the one that the template writes first.

    Generation and model config each name one id or several; the tokenizer's own end token counts too.

    Args:
        folder: a prepared base, with its template in `chat_template.jinja`.
        label: how messages call it.

    Raises:
        BadInput: the template ends a turn with none of them, so the model would never stop.
    """
    texts = tuple(end_tokens(folder).values())
    template = (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    tail = _tail(template, label=label)
    first = [text for text in texts if tail.startswith(text)]
    if not first:
        raise BadInput(
            f"The chat template of {label} ends a turn with {tail[:40]!r}, and the model stops at "
            f"{', '.join(map(repr, texts)) or 'nothing'}: it would never stop.",
            remedy="Add the id of that end token to eos_token_id in the base's generation_config.json, in a "
            "folder that tuning.base names.",
        )
    return (*first, *(text for text in texts if text not in first))


def _tail(template: str, *, label: str) -> str:
    """Return what the template writes after an answer."""
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    try:
        prompt = render_chat(template, chat)
        whole = render_chat(template, [*chat, {"role": "assistant", "content": "answer"}], opening=False)
    except TemplateError as error:
        raise BadInput(f"The chat template of {label} breaks: {error}", remedy=_ANOTHER) from error
    if not whole.startswith(prompt + "answer"):
        raise BadInput(
            f"The chat template of {label} renders a prompt ({prompt[-60:]!r}) otherwise once it is "
            "answered: training would see another prompt than the runtime sends.",
            remedy=_ANOTHER,
        )
    return whole.removeprefix(prompt + "answer")


def end_tokens(folder: Path) -> dict[int, str]:
    """Return id and text of every token that ends a reply."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids: list[int] = []
    for name in ("generation_config.json", "config.json"):
        named = read_json(folder / name, label=folder.name, optional=True).get("eos_token_id")
        ids += [i for i in (named if isinstance(named, list) else [named]) if isinstance(i, int)]
    named = read_json(folder / "tokenizer_config.json", label=folder.name, optional=True).get("eos_token")
    text = named.get("content") if isinstance(named, dict) else named
    if isinstance(text, str) and (own := tokenizer.token_to_id(text)) is not None:
        ids.append(own)
    texts = {i: tokenizer.id_to_token(i) for i in ids}
    return {i: text for i, text in texts.items() if text}


def context_tokens(folder: Path) -> int | None:
    """Return the longest sequence that the model was made for, in tokens; None if its config does not say."""
    config = read_json(folder / "config.json", label=folder.name)
    found = (config.get(name) for name in ("max_position_embeddings", "n_positions", "n_ctx"))
    return next((value for value in found if isinstance(value, int) and value > 0), None)


def read_json(path: Path, *, label: str, optional: bool = False) -> dict[str, Any]:
    """Read a JSON object of the base; `{}` where an optional file is missing.

    Raises:
        BadInput: the file is no JSON object.
    """
    if optional and not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise BadInput(f"{label}: {path.name} cannot be read: {error}", remedy=_ANOTHER) from error
    if not isinstance(value, dict):
        raise BadInput(f"{label}: {path.name} holds no JSON object.", remedy=_ANOTHER)
    return value
