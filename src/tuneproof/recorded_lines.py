"""One line of our own format for recorded replies + the requests → that reply, matched to its request.

The format is described field by field in docs/recorded-replies.md; other formats are translated into it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuneproof.artifacts import Record
from tuneproof.errors import BadInput
from tuneproof.export import CUSTOM_ID, MOST_REPEATS, hidden_id, short_hash
from tuneproof.outside.readers.json_rows import StrictDecoder
from tuneproof.request import Request

LONGEST_LINE = 2_000_000
"""Characters of a line; a reply of 100 thousand tokens has about 400 thousand."""
ASK_AGAIN = "Ask what the project asks now: `tuneproof compare --export ARM`, and import the new replies."

_CARRIED = {"messages", "max_tokens", "json_schema", "temperature", "reasoning_effort"}
"""Of the request; a script that adds its reply to each line of plain.jsonl need not take them out."""

Format = Literal["tuneproof", "OpenAI Batch", "Anthropic Message Batches"]


class RecordedLine(Record):
    """A reply in our own format."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    item_id: str
    """The item."""
    prompt_sha256: str
    """Of the request, as plain.jsonl names it."""
    repeat: int = Field(default=1, ge=1, le=MOST_REPEATS)
    """Which asking of the same item."""
    text: str = ""
    """The reply as it came; may be missing only where it was refused or failed."""
    finish: Literal["stop", "length", "refused", "failed"] = "stop"
    """As in `Reply`."""
    model: str = ""
    """Id that the API answered with."""
    at: str = ""
    """ISO 8601 date, or date and time; UTC where it names no offset."""
    prompt_tokens: int = Field(default=0, ge=0)
    """All of the prompt, cached ones among them; 0: unknown."""
    output_tokens: int = Field(default=0, ge=0)
    """All of the reply, reasoning among them; known where `prompt_tokens` is."""
    cached_tokens: int = Field(default=0, ge=0)
    """Of the prompt tokens, those read from a cache."""
    reasoning_tokens: int = Field(default=0, ge=0)
    """Of the output tokens, those that were reasoning."""
    ms: float | None = Field(default=None, ge=0)
    """Milliseconds of the call; missing for batches."""
    first_ms: float | None = Field(default=None, ge=0)
    """Milliseconds to the first text, of a streamed reply."""
    attempts: int = Field(default=1, ge=1)
    """Calls until there was a reply."""
    error: str = ""
    """Why it failed."""
    made_by: str = ""
    """Who made it."""
    format: Format = "tuneproof"
    """What the replies were imported from at first."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if "text" not in self.model_fields_set and self.finish in {"stop", "length"}:
            raise ValueError("there is no `text`")
        if not self.prompt_tokens and self.output_tokens + self.cached_tokens + self.reasoning_tokens:
            raise ValueError("`output_tokens` without `prompt_tokens`")
        if self.prompt_tokens and "output_tokens" not in self.model_fields_set:
            raise ValueError("`prompt_tokens` without `output_tokens`")
        if self.cached_tokens > self.prompt_tokens or self.reasoning_tokens > self.output_tokens:
            raise ValueError("a part of the tokens is more than all of them")
        if self.first_ms is not None and (self.ms is None or self.first_ms > self.ms):
            raise ValueError("`first_ms` is later than `ms`, or stands without it")
        return self


class Asked(NamedTuple):
    """The requests by the two names that a line can give them."""

    by_id: dict[str, tuple[Request, str]]
    """Item id → request and its hash."""
    by_part: dict[str, tuple[Request, str]]
    """First part of a custom id, and the item of an exported plain line → the same."""


def asked_of(requests: Sequence[Request]) -> Asked:
    """Index the requests; their hashes are computed once."""
    by_id = {request.item_id: (request, request.sha256) for request in requests}
    return Asked(by_id, {hidden_id(item_id): found for item_id, found in by_id.items()})


def utc(moment: str) -> str:
    """Return an ISO 8601 date as it is, and a date with a time in UTC.

    Raises:
        BadInput: it is neither.
    """
    try:
        if len(moment) == len("2026-11-24"):
            return date.fromisoformat(moment).isoformat()
        found = datetime.fromisoformat(moment)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"{moment!r:.60} is no ISO 8601 date.",
            remedy="Write it like 2026-11-24 or 2026-11-24T16:05:00Z.",
        ) from error


def object_of(text: str) -> dict[str, Any]:
    """Parse a line strictly: RFC 8259, no key twice, no NaN, nothing that cannot be written again.

    Raises:
        BadInput: it is not one JSON object, or too long.
    """
    if len(text) > LONGEST_LINE:
        raise BadInput(
            f"has {len(text):,} characters; at most {LONGEST_LINE:,} are read.",
            remedy="Import JSON Lines: one reply a line.",
        )
    text = text.strip(" \t\r")
    try:
        row, end, problem = StrictDecoder().value_at(text, 0)
    except RecursionError:
        row, end, problem = None, len(text), "nested too deeply"
    except json.JSONDecodeError as error:
        said = error.msg.removesuffix(" at")
        row, end, problem = None, len(text), f"is no JSON: {said} at column {error.pos + 1}"
    if not problem and (end < len(text) or not isinstance(row, dict)):
        problem = "is not one JSON object"
    if problem:
        raise BadInput(
            f"{problem}.", remedy="Copy the file again as it was given: one JSON object a line, none cut off."
        )
    return dict(row)


Kind = TypeVar("Kind", bound=BaseModel)


def checked(kind: type[Kind], row: dict[str, Any], under: str = "") -> Kind:
    """Validate an object as `kind`.

    Args:
        kind: what it must be.
        row: the object.
        under: where it stands in its line, for the message.

    Raises:
        BadInput: a field is missing, unknown or of another type.
    """
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in (*filter(None, [under]), *first["loc"]))
        value = first["input"]
        unknown = first["type"] == "extra_forbidden"
        shown = "" if unknown or isinstance(value, dict | list) else f", not {value!r:.60}"
        said = "no field of this format" if unknown else first["msg"].removeprefix("Value error, ")
        remedy = "docs/recorded-replies.md names every field; write the file again with this one mended."
        raise BadInput(f"{place + ': ' if place else ''}{said}{shown}.", remedy=remedy) from error


def _changed(item_id: str) -> BadInput:
    return BadInput(
        f"item {item_id!r:.80}: this is the reply to another prompt; the prompt, the limit of the reply or"
        " the schema was changed since the export.",
        remedy=ASK_AGAIN,
    )


def _unknown(name: str, value: object) -> BadInput:
    return BadInput(
        f"{name} {value!r:.80} is of no request of this arm.",
        remedy="Import the file into the project and the arm it was exported from, or " + _small(ASK_AGAIN),
    )


def _small(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def own(row: dict[str, Any], asked: Asked) -> RecordedLine:
    """Read an object of our own format.

    Raises:
        BadInput: a field is wrong, it names no request of ours, or it answers another prompt.
    """
    line = checked(
        RecordedLine, {key: value for key, value in row.items() if value is not None and key not in _CARRIED}
    )
    known = asked.by_id.get(line.item_id) or asked.by_part.get(line.item_id)
    if known is None:
        raise _unknown("item_id", line.item_id)
    request, sha256 = known
    if line.prompt_sha256 != sha256 or row.get("messages", list(request.messages)) != list(request.messages):
        raise _changed(request.item_id)
    return line.model_copy(update={"item_id": request.item_id} | ({"at": utc(line.at)} if line.at else {}))


def named(custom_id: str, asked: Asked) -> dict[str, Any]:
    """Return item, prompt hash and repeat of a custom id that the export wrote.

    Raises:
        BadInput: it is of no request of ours, or of one whose prompt was changed since.
    """
    match = CUSTOM_ID.fullmatch(custom_id)
    if match is None or match[1] not in asked.by_part:
        raise _unknown("custom_id", custom_id)
    request, sha256 = asked.by_part[match[1]]
    if match[2] != short_hash(sha256):
        raise _changed(request.item_id)
    return {"item_id": request.item_id, "prompt_sha256": sha256, "repeat": int(match[3] or 1)}
