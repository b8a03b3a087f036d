"""A file of replies made elsewhere + the requests of this project → replies, one for every request.

Three formats, told apart line by line: our own, OpenAI's batch output and Anthropic's message-batch results.
A reply belongs to a request by item id and prompt hash, never by its place in the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tuneproof.artifacts import Reply
from tuneproof.errors import BadInput
from tuneproof.recorded_batches import anthropic, openai
from tuneproof.recorded_lines import Asked, Format, RecordedLine, asked_of, object_of, own, utc
from tuneproof.request import Request

_REPLY_ONLY = {"text", "finish", "error", "model", "at"}
_OPTIONS = {"model": "--model", "made_by": "--by"}
_SNAPSHOT = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2})")
"""What an API adds to an alias: `gpt-5` answers as `gpt-5-2025-08-07`, `claude-haiku-4-5` as `…-20251001`."""
_SHOWN = 5


class Recorded(NamedTuple):
    """Replies that were made elsewhere, complete and matched."""

    replies: tuple[tuple[Reply, ...], ...]
    """One tuple a repeat, each in the order of the requests."""
    model: str
    """Id that the API answered with."""
    made_at: str
    """Day of the last reply, ISO 8601."""
    made_by: str
    """Who made them; empty where nobody is named."""
    format: Format
    """What they were imported from at first."""

    @property
    def tokens_known(self) -> bool:
        """Whether every reply that came has its tokens; where not, 0 means unknown, and so is the cost."""
        came = [reply for each in self.replies for reply in each if reply.finish != "failed"]
        return bool(came) and all(reply.prompt_tokens for reply in came)

    @property
    def failed(self) -> tuple[str, ...]:
        """Items without a reply (errored, canceled, expired), once for each repeat."""
        return tuple(reply.item_id for each in self.replies for reply in each if reply.finish == "failed")


class _Placed(NamedTuple):
    number: int
    line: RecordedLine


def read_recorded(
    data: bytes,
    requests: Sequence[Request],
    *,
    where: str,
    model: str | None = None,
    made_at: str | None = None,
    made_by: str | None = None,
) -> Recorded:
    """Match a file of recorded replies to the requests.

    Args:
        data: the file.
        requests: all requests of the arm, no item twice.
        where: how messages call the file.
        model: its id, for files that name none; must not contradict one that does.
        made_at: ISO 8601 date of the replies that have none.
        made_by: who made them, for files that do not say.

    Raises:
        BadInput: a line is damaged or of another format than the first; an item is unknown, missing or there
            twice; a prompt was changed since the export; or nothing says which one model answered, or when.
    """
    placed = _read_lines(data, asked_of(requests), where)
    _one(placed, "format", None, where)
    name = _one(placed, "model", model, where)
    if not name:
        raise BadInput(f"{where}: no line names the model.", remedy="Name it: `--model ID`.")
    maker = _one(placed, "made_by", made_by, where)
    day = _day(placed, made_at, where)
    found = _by_item(placed, where)
    repeats = range(1, 1 + max(repeat for _, repeat in found))
    for repeat in repeats:
        _all_there(found, requests, repeat, where)
    replies = tuple(
        tuple(_reply(found[request.item_id, repeat].line, name, day) for request in requests)
        for repeat in repeats
    )
    last = max(reply.at[:10] for each in replies for reply in each)
    return Recorded(replies, name, last, maker, placed[0].line.format)


def to_own_format(recorded: Recorded) -> str:
    """Write replies as JSON Lines in our own format; reading them again gives the same `Recorded`."""
    lines = []
    for repeat, replies in enumerate(recorded.replies, start=1):
        for reply in replies:
            said = {"repeat": repeat, "made_by": recorded.made_by, "format": recorded.format}
            line = RecordedLine.model_validate(reply.model_dump() | said)
            row = line.model_dump(exclude_defaults=True)
            row["text"] = reply.text
            if reply.prompt_tokens:
                row["output_tokens"] = reply.output_tokens
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)


def _read_lines(data: bytes, asked: Asked, where: str) -> list[_Placed]:
    """Read every line, and tell of all that are wrong at once."""
    placed: list[_Placed] = []
    flaws: list[tuple[int, BadInput]] = []
    first: tuple[int, str] | None = None
    for number, text in _texts(data, where):
        try:
            row = object_of(text)
            kind = _kind(row)
            first = first or (number, kind)
            if kind != first[1]:
                raise BadInput(
                    f"is of the format {kind!r}, but line {first[0]} is of {first[1]!r}.",
                    remedy="Import one file of one format an arm.",
                )
            placed.append(_Placed(number, _READERS[kind](row, asked)))
        except BadInput as flaw:
            flaws.append((number, flaw))
    if flaws:
        raise _told(where, flaws)
    if not placed:
        raise BadInput(
            f"{where}: holds no reply.", remedy="Import the output of the batch, not an empty file."
        )
    return placed


def _texts(data: bytes, where: str) -> Iterator[tuple[int, str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise BadInput(
            f"{where}:{number}: byte 0x{data[error.start]:02x} is not UTF-8.",
            remedy="Save the file as UTF-8.",
        ) from error
    # U+2028 and the like are letters of a reply: only LF ends a line, and a CR before it is blank.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip(" \t\r"):
            yield number, line


def _kind(row: dict[str, Any]) -> str:
    keys = row.keys()
    batch = "custom_id" in keys
    if (batch and keys & {"method", "params"}) or ("messages" in keys and not keys & _REPLY_ONLY):
        raise BadInput(
            "is a request, not a reply.", remedy="Import what the model answered to these requests."
        )
    if "item_id" in keys:
        return "tuneproof"
    if batch and "result" in keys:
        return "Anthropic Message Batches"
    if batch and keys & {"response", "error"}:
        return "OpenAI Batch"
    shown = ", ".join(map(repr, list(row)[:_SHOWN])) or "none"
    raise BadInput(
        f"is of no format that we know: its keys are {shown:.120}.",
        remedy="Import the output file of a batch, or write our own format (docs/recorded-replies.md).",
    )


def _told(where: str, flaws: Sequence[tuple[int, BadInput]]) -> BadInput:
    number, first = flaws[0]
    others = [str(other) for other, _ in flaws[1 : 1 + _SHOWN]]
    more = ""
    if others:
        dots = ", …" if len(flaws) > 1 + _SHOWN else ""
        more = f" {len(flaws):,} lines are refused in all; the next: {', '.join(others)}{dots}."
    return BadInput(f"{where}:{number}: {first.problem}{more}", remedy=first.remedy)


def _one(placed: Sequence[_Placed], field: str, given: str | None, where: str) -> str:
    """Return the one value that the lines, and the command, give a field; `""` if none does."""
    found: dict[str, int] = {}
    for number, line in placed:
        if value := getattr(line, field):
            found.setdefault(value, number)
    (one, at), *others = list(found.items()) or [("", 0)]
    if others:
        other, number = others[0]
        raise BadInput(
            f"{where}:{number}: {field} is {other!r:.80}, but line {at} has {one!r:.80}.",
            remedy="One file holds the replies of one model, made by one hand: split it, an arm for each.",
        )
    if one and given and one != given and not (field == "model" and _is_snapshot(one, given)):
        option = _OPTIONS[field]
        raise BadInput(
            f"{where}:{at}: {field} is {one!r:.80}, but {option} says {given!r:.80}.",
            remedy=f"Leave {option} out: the file says it itself. Or import the file that was meant.",
        )
    return one or given or ""


def _is_snapshot(found: str, given: str) -> bool:
    return found.startswith(given) and bool(_SNAPSHOT.fullmatch(found[len(given) :]))


def _day(placed: Sequence[_Placed], made_at: str | None, where: str) -> str:
    """Return the day for replies that have none of their own."""
    try:
        given = utc(made_at)[:10] if made_at else ""
    except BadInput as error:
        raise BadInput(f"--date: {error.problem}", remedy=error.remedy) from error
    dated = [line.at[:10] for _, line in placed if line.at]
    undated = [number for number, line in placed if not line.at and line.finish != "failed"]
    if not given and (undated or not dated):
        number = undated[0] if undated else placed[0].number
        raise BadInput(
            f"{where}:{number}: nothing says when this reply was made.",
            remedy="Say the day: `--date YYYY-MM-DD`. Prices and models change by it.",
        )
    if given and dated and not undated and not min(dated) <= given <= max(dated):
        raise BadInput(
            f"{where}: its replies are of {min(dated)} to {max(dated)}, but --date says {given}.",
            remedy="Leave --date out: the file says it itself.",
        )
    return given or max(dated)


def _by_item(placed: Sequence[_Placed], where: str) -> dict[tuple[str, int], _Placed]:
    found: dict[tuple[str, int], _Placed] = {}
    for each in placed:
        key = each.line.item_id, each.line.repeat
        if key in found:
            raise BadInput(
                f"{where}:{each.number}: item {key[0]!r:.80}, repeat {key[1]}, is there already in line"
                f" {found[key].number}.",
                remedy="Remove one of the two; which reply counts must not be chosen by its score.",
            )
        found[key] = each
    return found


def _all_there(
    found: dict[tuple[str, int], _Placed], requests: Sequence[Request], repeat: int, where: str
) -> None:
    missing = [request.item_id for request in requests if (request.item_id, repeat) not in found]
    if missing:
        raise BadInput(
            f"{where}: repeat {repeat} has no line for {len(missing):,} of {len(requests):,} items; the first"
            f" is {missing[0]!r:.80}.",
            remedy="Add the lines of the batch's error file (`cat output.jsonl errors.jsonl > all.jsonl`), or"
            " ask again: `tuneproof compare --export ARM`.",
        )


def _reply(line: RecordedLine, model: str, day: str) -> Reply:
    fields = line.model_dump(exclude={"repeat", "made_by", "format"})
    return Reply(**fields | {"model": model, "at": line.at or day})


_READERS: dict[str, Callable[[dict[str, Any], Asked], RecordedLine]] = {
    "tuneproof": own,
    "OpenAI Batch": openai,
    "Anthropic Message Batches": anthropic,
}
