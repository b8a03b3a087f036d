"""A base that was made ready before → a count of tokens; without torch, and without making anything ready."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tuneproof.artifacts.case import TuningSection
from tuneproof.outside.base_files import TEMPLATE_FILE
from tuneproof.outside.base_package import MADE_AS, PACKAGE, SOURCE_SHA256
from tuneproof.prompt import TemplateError, messages_for, render_chat

_PROBE = "x"


class Counted(NamedTuple):
    """How a base counts."""

    around: int
    """Tokens of the system prompt and of the template's marks, up to where the reply begins."""
    end: int
    """Tokens that end a reply: training puts them into the answer."""
    count: Callable[[str], int]
    """Tokens of a text by itself; within a chat a token or two may be joined otherwise."""


def cached_counter(section: TuningSection, system_prompt: str, cache: Path) -> Counted | None:
    """Return a count with the base's own tokenizer, or None where the base is not in the cache.

    A folder of the user's own is not looked up: its place in the cache is known only by hashing its weights.

    Args:
        section: names the base.
        system_prompt: counted once, with the template.
        cache: see `cache_folder`.
    """
    folder = _ready_folder(section, cache)
    if folder is None or importlib.util.find_spec("tokenizers") is None:
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    try:
        template = (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
        chat = [{"role": t["role"], "content": t["content"]} for t in messages_for(system_prompt, _PROBE)]
        asked = count(render_chat(template, chat))
        answer = {"role": "assistant", "content": _PROBE}
        answered = count(render_chat(template, [*chat, answer], opening=False))
    except (OSError, TemplateError):
        return None
    probe = count(_PROBE)
    return Counted(asked - probe, max(0, answered - asked - probe), count)


def _ready_folder(section: TuningSection, cache: Path) -> Path | None:
    """Find a folder with `base.json`, which is written last."""
    if section.base == f"package:{PACKAGE}":
        found = sorted(cache.glob(f"*-{SOURCE_SHA256[:12]}-{MADE_AS}/base.json"))
    elif section.base.count("/") == 1 and not section.base.startswith((".", "/", "~")):
        home = cache / "hub" / section.base.replace("/", "--")
        found = sorted(home.glob("*/base.json"))
    else:
        return None
    # Several commits of one base may count differently; which one is meant is only known online.
    return found[0].parent if len(found) == 1 and (found[0].parent / "tokenizer.json").is_file() else None
