"""What every artifact is: a frozen, typed record with a digest of its content."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

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

    @property
    def digest(self) -> str:
        """Tagged SHA-256 of the canonical JSON form; equal content, equal digest."""
        return sha256_of(canonical_json(self.model_dump(mode="json")))


class Artifact(Record):
    """A record that one step makes, the project folder stores, and a later step reads."""

    schema_version: Literal[1] = 1


class FileRef(Record):
    """A large file, by name, size and content; the bytes stay on disk."""

    name: str
    bytes: int
    """Size in bytes."""
    sha256: str
    """64 hex digits."""


class Setting(Record):
    """A resolved setting, with where its value came from."""

    name: str
    value: str | int | float | bool | None
    origin: str
    """For example `task.yaml`, `default`, or `this machine: no bf16 instructions`."""
