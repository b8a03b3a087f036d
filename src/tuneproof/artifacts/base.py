"""What every artifact is: a frozen, typed record with a digest of its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict


def canonical_json(value: Any) -> str:
    """One JSON text for one content: sorted keys, no spaces, no escapes beyond JSON's own.

    Changing this changes every digest that was ever stored.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_of(text: str) -> str:
    """Tagged SHA-256 of `text` in UTF-8, as `sha256:<64 hex digits>`."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


class Record(BaseModel):
    """A frozen part of an artifact; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold times and machines: the same work done twice differs in nothing else."""

    @property
    def digest(self) -> str:
        """Tagged SHA-256 of the content without what was `measured`: the same work, the same digest."""
        return sha256_of(canonical_json(_content(self)))

    @property
    def record_digest(self) -> str:
        """Tagged SHA-256 of everything, times included."""
        return sha256_of(canonical_json(self.model_dump(mode="json")))


def _content(value: Any) -> Any:
    if isinstance(value, Record):
        fields = type(value).model_fields
        return {name: _content(getattr(value, name)) for name in fields if name not in value.measured}
    if isinstance(value, dict):
        return {key: _content(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_content(part) for part in value]
    return value


class Artifact(Record):
    """A record that one step makes, the project folder stores, and a later step reads."""

    schema_version: Literal[1] = 1


class FileRef(Record):
    """A large file, by name, size and content; the bytes stay on disk."""

    name: str
    """File name, without a folder."""
    bytes: int
    """Size in bytes."""
    sha256: str
    """64 hex digits."""


class Setting(Record):
    """A resolved setting, with where its value came from."""

    name: str
    """As in task.yaml or in the trainer."""
    value: str | int | float | bool | None
    """What was used."""
    origin: str
    """For example `task.yaml`, `default`, or `this machine: no bf16 instructions`."""
