"""Frozen rows → the lines of a training format: TRL, OpenAI, Alpaca, ShareGPT, and plain columns for HF.

Formats: https://huggingface.co/docs/trl/dataset_formats (conversational prompt-completion),
https://platform.openai.com/docs/guides/supervised-fine-tuning (`messages`), Stanford Alpaca (`instruction`,
`input`, `output`) and ShareGPT (`conversations` of `from` and `value`). `outside/readers` reads them back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tuneproof.artifacts import SplitRow
from tuneproof.prompt import Message, messages_for

Line = Callable[[str, SplitRow], dict[str, Any]]
"""(system prompt, row) → the object of its line."""

_LINE_ENDS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "\x85\u2028\u2029"}
"""Letters to JSON, line ends to Python's `splitlines` and to old JavaScript: written as escapes."""
_FROM = {"system": "system", "user": "human", "assistant": "gpt"}


def _answer(row: SplitRow) -> Message:
    return {"role": "assistant", "content": row.output}


def _trl(system_prompt: str, row: SplitRow) -> dict[str, Any]:
    return {"prompt": messages_for(system_prompt, row.input), "completion": [_answer(row)]}


def _openai(system_prompt: str, row: SplitRow) -> dict[str, Any]:
    return {"messages": [*messages_for(system_prompt, row.input), _answer(row)]}


def _alpaca(system_prompt: str, row: SplitRow) -> dict[str, Any]:
    return {"instruction": system_prompt, "input": row.input, "output": row.output}


def _sharegpt(system_prompt: str, row: SplitRow) -> dict[str, Any]:
    turns = _openai(system_prompt, row)["messages"]
    return {"conversations": [{"from": _FROM[turn["role"]], "value": turn["content"]} for turn in turns]}


def _columns(_system_prompt: str, row: SplitRow) -> dict[str, Any]:
    return {"id": row.id, "group": row.group, "input": row.input, "output": row.output}


FORMATS: dict[str, Line] = {
    "trl": _trl,
    "openai": _openai,
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
    "hf": _columns,
}
"""Name of a format → how it writes a row."""


def lines_in(form: str, system_prompt: str, rows: Sequence[SplitRow]) -> str:
    """Write rows as JSON Lines in one of `FORMATS`.

    Args:
        form: name of the format.
        system_prompt: `task.system_prompt`; `hf` has it on the card instead.
        rows: in the order of the split.
    """
    write = FORMATS[form]
    texts = (json.dumps(write(system_prompt, row), ensure_ascii=False) for row in rows)
    return "".join(text.translate(_LINE_ENDS) + "\n" for text in texts)
