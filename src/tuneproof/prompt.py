"""The only place where an input becomes chat messages; every arm, the trainer and the Modelfile use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from tuneproof.artifacts import SplitRow, canonical_json, sha256_of


class Message(TypedDict):
    """One chat turn, in the OpenAI form that all our runtimes accept."""

    role: str
    content: str


def messages_for(system_prompt: str, text: str, *, shots: Sequence[SplitRow] = ()) -> list[Message]:
    """Build the chat for one input.

    The system prompt is always sent: SmolLM2's template would otherwise put one of its own there.
    `shots` become finished turns before the question, in the given order.
    """
    chat: list[Message] = [{"role": "system", "content": system_prompt}]
    for shot in shots:
        chat += [{"role": "user", "content": shot.input}, {"role": "assistant", "content": shot.output}]
    return [*chat, {"role": "user", "content": text}]


def prompts_hash(system_prompt: str, texts: Sequence[str]) -> str:
    """SHA-256 over the zero-shot messages of all `texts`: a changed prompt or input changes it."""
    return sha256_of(canonical_json([messages_for(system_prompt, text) for text in texts]))
