"""Sections of task.yaml for models behind an API: the frontier, and any other endpoint."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from tuneproof.artifacts.base import Record

Provider = Literal["openai", "anthropic", "ollama"]

USUAL_KEYS: dict[Provider, str | None] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "ollama": None,
}
"""Environment variable in which each provider's users keep their key."""


class Price(Record):
    """US dollars for a million tokens."""

    input_mtok: float = Field(ge=0, allow_inf_nan=False)
    """Of the prompt, not read from a cache."""
    output_mtok: float = Field(ge=0, allow_inf_nan=False)
    """Of the reply, reasoning among it."""
    cache_read_mtok: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of prompt tokens that a cache held; null takes the price of the prompt."""
    cache_write_mtok: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of prompt tokens that are put into a cache; null takes the price of the prompt."""
    batch_discount: float | None = Field(default=None, ge=0, lt=1)
    """Share of the price that a batch saves; null: no batch, or its price is unknown."""


class EndpointSection(Record):
    """A model behind an API."""

    model: str = Field(min_length=1)
    """Its id, as the API wants it."""
    provider: Provider = "openai"
    """`openai` is every server that speaks its chat completions: vLLM, llama-server, OpenRouter, Gemini."""
    base_url: str | None = Field(default=None, pattern="^https?://")
    """Where it answers; null is the provider's own address."""
    key: str | None = Field(default=None, pattern="^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable with its key, never the key; null takes the provider's usual name."""
    price: Price | None = None
    """Overrides the price list of genai-prices."""
    prompt: str | None = None
    """Name of a prompt variant; null chooses the one that does best on dev."""
    repeats: int = Field(default=3, ge=1, le=20)
    """How often every test item is asked: temperature 0 is no promise of equal replies."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Calls at once, after the first repeat, which is asked one call at a time for its latency."""
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """Longest wait for one reply, in seconds."""
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    """null leaves it out, for models that take none."""
    max_output_tokens: int | None = Field(default=None, ge=1, le=200_000)
    """Limit of a reply with its reasoning; null takes task.max_new_tokens."""
    reasoning_effort: str | None = None
    """Sent where it is set, for models that reason."""

    @model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, value: Any) -> Any:
        """Take a bare model id; one that begins with `claude` is Anthropic's."""
        if isinstance(value, str):
            value = {"model": value}
        if not isinstance(value, dict) or value.keys() & {"provider", "base_url"}:
            return value
        if str(value.get("model", "")).startswith("claude"):
            return value | {"provider": "anthropic"}
        return value

    @property
    def key_name(self) -> str | None:
        """Name of the environment variable that holds the key; None where none is needed."""
        if self.key:
            return self.key
        # A server of one's own, named by its address, usually wants no key.
        return None if self.base_url else USUAL_KEYS[self.provider]


_TAKEN = re.compile(r"(base|tuned|dev|seed|control|load)-.*|.*-r\d+|adapter|majority|rule|frontier|.*-again")


class NamedEndpoint(EndpointSection):
    """One more endpoint in the table, beside the frontier."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")
    """Of its arm."""

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if _TAKEN.fullmatch(name) or name in {"nearest-neighbour", "tfidf-logistic"}:
            raise ValueError("this name belongs to another arm; choose one of the model, such as `mistral`")
        return name
