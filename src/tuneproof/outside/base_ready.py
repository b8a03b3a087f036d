"""The files of a base in one folder → the same folder, ready: GGUF f16, proven prompts, and `base.json`."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tuneproof.artifacts import BaseModelIdentity, canonical_json, sha256_of
from tuneproof.errors import BadInput, NotReady
from tuneproof.modelfile import check_template
from tuneproof.outside import machine
from tuneproof.outside.base_files import TEMPLATE_FILE, check_config, end_of_turn, keep_template
from tuneproof.outside.base_licence import licence_of
from tuneproof.outside.files import atomic_write
from tuneproof.outside.llama_cpp import LlamaRuntime, convert
from tuneproof.outside.parts import quiet, require
from tuneproof.outside.tokenizer import load_tokenizer
from tuneproof.prompt import Message, messages_for, template_switches

_PROBES = (
    ("Answer with one word.", "Which licence? 3 33 333"),
    ("Réponds en français.", "tab\tand emoji 🚀 👩‍👩‍👧 漢字 <b>&amp;</b>\nsecond line  two spaces"),
)
"""System prompt and question of chats that every base must render alike everywhere."""
_MARGIN_GIB = 0.5


class Origin(NamedTuple):
    """What is known of a base before its files are read."""

    label: str
    """How messages call it."""
    name: str
    source: str
    hashes: dict[str, str]
    """Name of every file that we took → its SHA-256."""
    weights: tuple[str, ...]
    """Which of them hold the weights."""
    weights_note: str
    hub_id: str | None = None
    revision: str | None = None


def digest_of(hashes: dict[str, str], names: Sequence[str] | None = None) -> str:
    """Return one digest for several files: a single one keeps its own."""
    chosen = {name: hashes[name] for name in (names if names is not None else hashes)}
    return next(iter(chosen.values())) if len(chosen) == 1 else _hex(chosen)


def _hex(chosen: dict[str, str]) -> str:
    return sha256_of(canonical_json(chosen)).removeprefix("sha256:")


def check_small_files(folder: Path, *, label: str) -> None:
    """Refuse a base by everything but its weights, and leave its template in its one place.

    Raises:
        BadInput: see `check_config`, `keep_template` and `end_of_turn`.
    """
    require("tune")
    require("gguf")
    check_config(folder, label=label)
    keep_template(folder, label=label)
    end_of_turn(folder, label=label)


def check_disk(folder: Path, *, download: int, weights: int, label: str) -> None:
    """Refuse before a download that would not fit, with its GGUF f16 copy.

    Args:
        folder: where both go.
        download: bytes still to be fetched.
        weights: bytes of the weights; as GGUF f16 they take no more.
        label: how messages call the base.

    Raises:
        NotReady: the disk is too small.
    """
    need = (download + weights) / 2**30 + _MARGIN_GIB
    free = machine.free_gib(folder)
    if need > free:
        raise NotReady(
            f"{label} needs {need:.1f} GiB in {folder} (download {download / 2**30:.1f}, GGUF f16 "
            f"{weights / 2**30:.1f}); {free:.1f} GiB are free.",
            remedy="Free space, set TUNEPROOF_CACHE to a folder on another disk, or take a smaller base.",
        )


def make_ready(folder: Path, origin: Origin, *, parameters: int) -> None:
    """Convert, prove the prompts and write `base.json`, last.

    Raises:
        BadInput: the runtime would make another prompt than the trainer does.
        OutsideFailed: the converter or the runtime failed.
    """
    convert(folder, folder / "base-F16.gguf", label=origin.label)
    prove_prompts(folder, folder / "base-F16.gguf", label=origin.label)
    licence = licence_of(folder)
    identity = BaseModelIdentity(
        name=origin.name,
        source=origin.source,
        source_sha256=digest_of(origin.hashes),
        weights_sha256=digest_of(origin.hashes, origin.weights),
        tokenizer_sha256=origin.hashes.get("tokenizer.json", ""),
        weights_note=origin.weights_note,
        licence=licence.spdx,
        licence_source=licence.source,
        parameters=parameters,
        hub_id=origin.hub_id,
        revision=origin.revision,
    )
    atomic_write(folder / "base.json", (identity.model_dump_json(indent=1) + "\n").encode())


def prove_prompts(folder: Path, gguf: Path, *, label: str) -> None:
    """Compare text and tokens of prompts between the trainer's tokenizer and llama.cpp.

    Serving does this for every test prompt; here it saves a training that could not be served.

    Raises:
        BadInput: they differ, or a prompt's tokens change once it is answered; or the template prints a begin
            token that the tokenizer does not add, as it must under Ollama.
    """
    tokenizer = _tokenizer(folder)
    family = check_template((folder / TEMPLATE_FILE).read_text(encoding="utf-8"), model=label)
    runtime = LlamaRuntime(gguf, num_ctx=512)
    try:
        if family.bos and not runtime.bos:
            raise _unlike(label, "its template prints a begin token that its tokenizer does not add", "", "")
        for system, question in _PROBES:
            chat = messages_for(system, question)
            text = tokenizer.text(chat, opening=True)
            ours, theirs = tokenizer.ids(text), runtime.render(chat)
            if text != theirs or ours != runtime.tokens(theirs):
                raise _unlike(label, "llama.cpp would send another prompt than training would", text, theirs)
            answered = tokenizer.text([*chat, {"role": "assistant", "content": "yes"}], opening=False)
            if tokenizer.ids(answered)[: len(ours)] != ours:
                raise _unlike(label, "the tokens of a prompt change once it is answered", text, answered)
    finally:
        runtime.close()


def _unlike(label: str, what: str, ours: str, theirs: str) -> BadInput:
    return BadInput(
        f"{label}: {what}" + (f":\n  {ours[-200:]!r}\n  {theirs[-200:]!r}" if ours else "."),
        remedy="Set tuning.base in task.yaml to another model: this one's template and tokenizer do not fit.",
    )


class _Tokenizer(NamedTuple):
    """What training makes of a chat."""

    loaded: Any
    switches: dict[str, bool | str]

    def text(self, chat: Sequence[Message], *, opening: bool) -> str:
        return str(
            self.loaded.apply_chat_template(
                list(chat), tokenize=False, add_generation_prompt=opening, **self.switches
            )
        )

    def ids(self, text: str) -> list[int]:
        return [int(i) for i in self.loaded(text, add_special_tokens=False)["input_ids"]]


def _tokenizer(folder: Path) -> _Tokenizer:
    with quiet():
        loaded = load_tokenizer(folder)
    return _Tokenizer(loaded, template_switches((folder / TEMPLATE_FILE).read_text(encoding="utf-8")))


@contextlib.contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Wait until no other process makes bases in `home`: two projects may want one base at once."""
    import fcntl

    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def move_in(making: Path, folder: Path) -> None:
    """Put a finished folder in its place."""
    if folder.exists():
        shutil.rmtree(folder)  # half made by an older run: it has no base.json
    making.replace(folder)
