"""A request → its reply, over any API: streamed, timed, and asked again where that can help."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, NoReturn, Protocol

from tuneproof.artifacts import Reply
from tuneproof.errors import OutsideFailed
from tuneproof.outside.endpoints.faults import Failed, action_of, hide, remedy_for
from tuneproof.outside.machine import now, seconds
from tuneproof.request import Request

Finish = Literal["stop", "length", "refused", "failed"]

_LONGEST_WISH_S = 600.0
"""A wait that an API may ask for; beyond it a person should decide, not a sleeping program."""


class Usage(NamedTuple):
    """Tokens of one call, as the API counts them."""

    prompt: int = 0
    """All of them, read from a cache or not."""
    output: int = 0
    """Reasoning among them."""
    cached: int = 0
    reasoning: int = 0


class Piece(NamedTuple):
    """One event of a streamed reply."""

    text: str = ""
    finish: Finish | None = None
    model: str = ""
    usage: Usage | None = None


class Adjustment(NamedTuple):
    """A parameter that some servers refuse, and what is done then, once."""

    name: str
    refusal: str
    """Regular expression that finds the parameter in the API's refusal."""
    note: str
    """What a reader of the table should know."""
    of_schema: bool = False
    """Only requests with a schema send it."""


class Broken(Exception):
    """A reply of status 200 that is no reply: an error page, cut JSON, another schema."""


class Api(NamedTuple):
    """One provider's way of talking."""

    name: str
    model: str
    key_name: str | None
    key: str | None
    stream: Callable[[Request, frozenset[str]], Iterator[Piece]]
    """Asks once, with the named adjustments."""
    failed: Callable[[Exception], Failed]
    """Reads one of `errors`."""
    errors: tuple[type[Exception], ...]
    adjustments: tuple[Adjustment, ...]
    close: Callable[[], None]


class Patience(NamedTuple):
    """How often and how long a failure is borne."""

    calls: int = 6
    """Calls for one reply in all."""
    first_s: float = 1.0
    """Wait before the second call at most; it doubles each time, and a random half of it may be left out."""
    longest_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
    """0 to 1."""

    def wait_s(self, call: int, wish_s: float | None) -> float:
        """Return the seconds to wait after call number `call`; what the API wishes is a minimum."""
        backoff = min(self.longest_s, self.first_s * 2.0 ** (call - 1))
        return max(backoff * (0.5 + self.random() / 2), wish_s or 0.0)


class Heard(NamedTuple):
    """A whole reply."""

    text: str
    finish: Finish
    ms: float
    first_ms: float | None = None
    model: str = ""
    usage: Usage = Usage()
    error: str = ""


class Meter(Protocol):
    """Who keeps the account of what calls cost."""

    def reserve(self, request: Request) -> int:
        """Set one call's worst case aside before it is sent, and return the call's number."""

    def settle(self, place: int, usage: Usage, reply: Reply) -> None:
        """Store a whole reply and what it cost, before anyone sees it."""

    def release(self, place: int) -> None:
        """Give the reservation back: the call was certainly not billed."""

    def leave(self, place: int, reply: Reply | None = None) -> None:
        """Let the call stand at its worst case; the reply, if any, is what the API made of the item."""


Bill = Literal["counted", "none", "unknown"]
"""What one call costs: by its token counts, certainly nothing, or nobody knows."""

_UNBILLED = frozenset((*range(300, 400), 400, 401, 402, 403, 404, 405, 413, 415, 422, 429))
"""HTTP statuses of requests that no model has worked on.

Not 408, 409, 425 and those from 500: a gateway sends them too when it gave up on a model that did work
(docs/decisions/0023-spend-cap.md).
"""


class ApiEndpoint:
    """A model behind an API; safe to ask from several threads."""

    def __init__(self, api: Api, patience: Patience, meter: Meter | None = None) -> None:
        self.name = api.name
        self._api = api
        self._patience = patience
        self._meter = meter
        self._adjusted: frozenset[str] = frozenset()
        self._answered = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What the API refused and was therefore left out, for the table."""
        return tuple(a.note for a in self._api.adjustments if a.name in self._adjusted)

    def ask(self, request: Request) -> Reply:
        """Answer one request, with its times, tokens and attempts.

        `ms` and `first_ms` are those of the call that brought the reply. A prompt beyond the model's
        context is a reply without text, cut by the limit.

        Raises:
            OutsideFailed: no item could be answered: key, model name, spend limit, address, parameter.
            NotReady: the meter allows no further call.
        """
        failed = Failed("never asked")
        for call in range(1, self._patience.calls + 1):
            adjusted = self._adjusted
            answer = self._once(request, adjusted, call)
            if isinstance(answer, Reply):
                self._answered = True
                return answer
            failed = answer
            if self._adjust(request, failed, adjusted):
                continue
            if action_of(failed) == "stop" or (failed.retry_after_s or 0) > _LONGEST_WISH_S:
                self._stop(failed)
            if call < self._patience.calls:
                self._patience.sleep(self._patience.wait_s(call, failed.retry_after_s))
        if not failed.connected and not self._answered:
            self._stop(failed)
        error = self._clean(f"{_status(failed)}{failed.text}")
        return self._reply(request, Heard("", "failed", 0.0, error=error), self._patience.calls)

    def close(self) -> None:
        """Close its connections."""
        self._api.close()

    def _once(self, request: Request, adjusted: frozenset[str], call: int) -> Reply | Failed:
        """Send one call; its reply is settled before it is returned."""
        if self._meter is None:
            heard, _ = self._send(request, adjusted)
            return self._reply(request, heard, call) if isinstance(heard, Heard) else heard
        place, answer = self._meter.reserve(request), None
        try:
            heard, bill = self._send(request, adjusted)
            answer = self._reply(request, heard, call) if isinstance(heard, Heard) else heard
        finally:
            if answer is None:
                # Interrupted, or a fault of ours: the call may have been served.
                self._meter.leave(place)
        if bill == "none":
            self._meter.release(place)
        elif isinstance(heard, Heard) and isinstance(answer, Reply) and bill == "counted":
            self._meter.settle(place, heard.usage, answer)
        else:
            self._meter.leave(place, answer if isinstance(answer, Reply) else None)
        return answer

    def _send(self, request: Request, adjusted: frozenset[str]) -> tuple[Heard | Failed, Bill]:
        began = seconds()
        try:
            return _listen(self._api.stream(request, adjusted), began), "counted"
        except Broken as error:
            return Failed(str(error)), "unknown"
        except self._api.errors as error:
            failed = self._api.failed(error)
            bill = _bill(failed, error)
        ms = _ms_since(began)
        match action_of(failed):
            case "refused":
                return Heard("", "refused", ms, error=self._clean(failed.text)), bill
            case "too long":
                return Heard("", "length", ms, error=self._clean(failed.text)), bill
        return failed, bill

    def _adjust(self, request: Request, failed: Failed, adjusted: frozenset[str]) -> bool:
        """Remember which parameter was refused; False if it is none that can be left out."""
        if failed.status not in (400, 422):
            return False
        for one in self._api.adjustments:
            if one.name in adjusted or (one.of_schema and request.json_schema is None):
                continue
            if re.search(one.refusal, failed.text, re.IGNORECASE):
                self._adjusted |= {one.name}
                return True
        return False

    def _stop(self, failed: Failed) -> NoReturn:
        wish = failed.retry_after_s or 0
        wait = f" It asks to wait {wish:,.0f} s." if wish > _LONGEST_WISH_S else ""
        raise OutsideFailed(
            self._clean(f"{self.name} does not answer: {_status(failed)}{failed.text}{wait}"),
            remedy=remedy_for(failed, key_name=self._api.key_name, model=self._api.model),
        ) from None

    def _clean(self, text: str) -> str:
        return hide(_writable(text), self._api.key)

    def _reply(self, request: Request, heard: Heard, calls: int) -> Reply:
        return Reply(
            item_id=request.item_id,
            text=self._clean(heard.text),
            finish=heard.finish,
            prompt_tokens=heard.usage.prompt,
            output_tokens=heard.usage.output,
            cached_tokens=heard.usage.cached,
            reasoning_tokens=heard.usage.reasoning,
            ms=None if heard.finish == "failed" else heard.ms,
            first_ms=heard.first_ms,
            attempts=calls,
            model=self._clean(heard.model or self._api.model),
            at=now(),
            prompt_sha256=request.sha256,
            error=heard.error,
        )


def _listen(pieces: Iterator[Piece], began: float) -> Heard:
    """Gather a streamed reply; the call ends when the stream does.

    Raises:
        Broken: it ended before the API said that the reply is complete.
    """
    texts: list[str] = []
    first_ms: float | None = None
    finish: Finish | None = None
    model, usage = "", Usage()
    for piece in pieces:
        if piece.text and first_ms is None:
            first_ms = _ms_since(began)
        texts.append(piece.text)
        finish = "refused" if "refused" in (finish, piece.finish) else piece.finish or finish
        model, usage = piece.model or model, piece.usage or usage
    if finish is None:
        raise Broken("the stream ended before the reply was complete")
    return Heard("".join(texts), finish, _ms_since(began), first_ms, model, usage)


def _writable(text: str) -> str:
    """Join characters that came in two halves; half a one alone, which no file holds, becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bill(failed: Failed, error: Exception) -> Bill:
    """Tell whether a failed call was certainly not billed.

    A refused or too long prompt was read, and Azure bills that. An error inside a stream comes after a status
    of 200, whatever status it stands for.
    """
    if not failed.connected:
        return "none"
    # The SDKs' errors have the status themselves, Ollama's in what was read from it.
    status = getattr(error, "status_code", getattr(getattr(error, "failed", None), "status", None))
    return "none" if status in _UNBILLED and action_of(failed) in ("again", "stop") else "unknown"


def _ms_since(began: float) -> float:
    return round((seconds() - began) * 1000, 3)


def _status(failed: Failed) -> str:
    return f"HTTP {failed.status}: " if failed.status else ""
