"""One question to a model behind an API, and the hash by which its reply is recognised."""

from __future__ import annotations

from typing import Any, NamedTuple

from tuneproof.artifacts import canonical_json, sha256_of
from tuneproof.prompt import Message


class Request(NamedTuple):
    """What is asked, whoever answers."""

    item_id: str
    messages: tuple[Message, ...]
    max_tokens: int
    """Limit of the reply; for models that reason, of reasoning and reply together."""
    json_schema: dict[str, Any] | None = None
    """The reply must meet it, where the API can hold it to that."""

    @property
    def sha256(self) -> str:
        """Tagged SHA-256 of everything but the item's id: a changed prompt is another request."""
        return sha256_of(
            canonical_json(
                {
                    "messages": list(self.messages),
                    "max_tokens": self.max_tokens,
                    "json_schema": self.json_schema,
                }
            )
        )
