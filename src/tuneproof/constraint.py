"""What holds a reply to the form of an answer while it is generated: a JSON Schema or a grammar."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple


class Constraint(NamedTuple):
    """The form of an answer, as the local engine enforces it."""

    kind: Literal["json schema", "labels", "pattern"]
    json_schema: dict[str, Any] | None = None
    """Of `json schema`; APIs get the same one."""
    grammar: str | None = None
    """GBNF of `labels` and `pattern`, llama.cpp's own notation (grammars/README.md there)."""
