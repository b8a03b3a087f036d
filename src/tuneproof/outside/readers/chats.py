"""Chat messages of one row → the system prompt, the input and the output in it.

Formats: OpenAI's fine-tuning `messages`, TRL's conversational prompt-completion, and ShareGPT's
`conversations` with `from` and `value`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
_TOOL_KEYS = ("tool_calls", "function_call", "tool_call_id")


class Turn(NamedTuple):
    """One message."""

    role: str
    content: str
    weight: Any = 1


class Chat(NamedTuple):
    """What one row asks and answers."""

    system: str | None
    input: str
    output: str


class NoPair(Exception):
    """This row holds no pair; the text is the reason."""


def is_turns(value: Any) -> bool:
    """Whether a value is a list of messages with roles."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) and "role" in v for v in value)


def chat_of(turns: list[Turn]) -> Chat:
    """Take the one question and the one answer of a chat.

    Raises:
        NoPair: it has not exactly one user turn and then one assistant turn, or is not to be trained on.
    """
    system = None
    if turns and turns[0].role == "system":
        system, turns = turns[0].content, turns[1:]
    roles = [turn.role for turn in turns]
    if roles.count("user") > 1:
        raise NoPair(f"several user turns: {roles.count('user')}; a pair has one")
    if roles != ["user", "assistant"]:
        raise NoPair(f"not one user turn and then one assistant turn: {', '.join(roles[:6]) or 'no turn'}")
    if turns[1].weight != 1:
        raise NoPair(f"its answer is not to be trained on: weight {turns[1].weight!r}")
    return Chat(system, turns[0].content, turns[1].content)


def openai_turns(messages: Any, key: str) -> list[Turn]:
    """Read messages with `role` and `content`.

    Raises:
        NoPair: something else is in the list, or a tool is called.
    """
    turns = []
    for message in _list_of_objects(messages, key):
        if any(message.get(name) for name in _TOOL_KEYS) or message.get("role") in ("tool", "function"):
            raise NoPair("calls a tool: a pair is text in, text out")
        role = "system" if message.get("role") == "developer" else message.get("role")
        if role not in ("system", "user", "assistant"):
            raise NoPair(f"a message of an unknown role: {role!r}")
        weight = message.get("weight")
        turns.append(Turn(role, _content(message.get("content")), 1 if weight is None else weight))
    return turns


def sharegpt_turns(conversations: Any, key: str) -> list[Turn]:
    """Read turns with `from` and `value`.

    Raises:
        NoPair: something else is in the list.
    """
    turns = []
    for turn in _list_of_objects(conversations, key):
        role = _SHAREGPT_ROLES.get(turn["from"]) if isinstance(turn.get("from"), str) else None
        if role is None:
            raise NoPair(f"a message of an unknown role: {turn.get('from')!r}")
        turns.append(Turn(role, _content(turn.get("value"))))
    return turns


def _list_of_objects(value: Any, key: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise NoPair(f"not a list of messages: {key!r}")
    return value


def _content(value: Any) -> str:
    """Return a message's text; text parts are joined as they are."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        texts = [part.get("text") for part in value if part.get("type") == "text"]
        if len(texts) == len(value) > 0 and all(isinstance(text, str) for text in texts):
            return "".join(str(text) for text in texts)
        others = [str(part.get("type")) for part in value if part.get("type") != "text"]
        raise NoPair(f"a message holds more than text: {', '.join(others[:5]) or 'a part without text'}")
    raise NoPair(f"a message without text: content is {type(value).__name__}")
