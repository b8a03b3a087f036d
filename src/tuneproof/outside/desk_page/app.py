"""Requests of the page → calls of the desk, and their answers as JSON."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from pydantic import Field, ValidationError

from tuneproof.artifacts.base import Record
from tuneproof.artifacts.desk import BatchSummary, Card, Decision, ReviewFigures, Standing, Wish
from tuneproof.desk import Conflict
from tuneproof.errors import BadInput, MissingPart, NotReady, TuneproofError
from tuneproof.outside.desk_page.guard import CHANGES

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

Step = Literal["here", "next", "previous", "open"]
Handler = Callable[["Request"], Awaitable["Response"]]
Body = TypeVar("Body", bound=Record)

INSTALL = 'pip install "tuneproof[desk]"'
SCRIPTS = ("desk", "draw", "keys", "kept", "link", "sight", "text", "wish")
STATIC = {
    "/": ("page.html", "text/html"),
    "/desk.css": ("desk.css", "text/css"),
    "/desk.svg": ("desk.svg", "image/svg+xml"),
} | {f"/{name}.js": (f"{name}.js", "text/javascript") for name in SCRIPTS}
"""Path → file and type: nothing else of the disk can be asked for."""
_STEPS: dict[str, Step] = {"here": "here", "next": "next", "previous": "previous", "open": "open"}
_SEEN_S = 45.0
"""Seconds without a request after which a page counts as left; an open one asks every ten."""
_LEFT_S = 2.0
"""Seconds after which a page that said goodbye does not come back: a reload says it too."""


class ReviewDesk(Protocol):
    """What the page asks of the desk."""

    def standing(self, reviewer: str) -> Standing:
        """Return how far `reviewer` is."""

    def card(self, reviewer: str, pair_id: str | None = None, *, step: Step = "open") -> Card | None:
        """Return a card of the open batch, seen from `pair_id`; None where there is none."""

    def decide(self, reviewer: str, wish: Wish, *, driven: bool = False) -> Decision:
        """Write a decision to the disk, then return it."""

    def undo(self, reviewer: str, *, driven: bool = False) -> Card | None:
        """Take back the last decision and return its card."""

    def check(self, pair_id: str, output: str) -> tuple[str, ...]:
        """Return what the metric finds wrong with the form of `output`."""

    def summary(self, reviewer: str) -> BatchSummary:
        """Return what the open batch came to."""

    def close(self, reviewer: str, note: str, *, driven: bool = False) -> BatchSummary:
        """Close the open batch."""

    def cards(self, reviewer: str) -> tuple[tuple[str, str], ...]:
        """Return the pair and the state of each card of the open batch."""

    def figures(self) -> ReviewFigures:
        """Return how all decisions were made."""


class Deciding(Record):
    """A decision as the page sends it."""

    wish: Wish
    driven: bool


class Looking(Record):
    """Show a card; for ids that are too long for an address."""

    pair_id: str = Field(min_length=1)
    step: Step


class Undoing(Record):
    """Take back the last decision."""

    driven: bool


class Checking(Record):
    """Look at an output that is not sent yet."""

    pair_id: str = Field(min_length=1)
    output: str = Field(max_length=1_000_000)


class Closing(Record):
    """Close the open batch."""

    note: str = Field(max_length=2_000)
    driven: bool


class Leaving(Record):
    """The page goes away; `finish` says that the reviewer asked for the end."""

    finish: bool


class Presence:
    """Whether a page is open, so that the server does not stop under it and does not outlive it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._gone_at: float | None = None
        self._finished = False

    def seen(self) -> None:
        """A page asked for something."""
        self._gone_at = self._clock() + _SEEN_S

    def left(self, *, finish: bool) -> None:
        """A page said goodbye; after `finish` no other page keeps the server."""
        self._finished = self._finished or finish
        self._gone_at = self._clock() + _LEFT_S

    def gone(self, *, done: Callable[[], bool]) -> bool:
        """Say whether every page was left and nothing is left to do; `done` is asked only then."""
        late = self._gone_at is not None and self._clock() >= self._gone_at
        return (late or self._finished) and done()


def page_app(desk: ReviewDesk, reviewer: str, presence: Presence) -> Starlette:
    """Make the application behind the page of one reviewer; it trusts whoever asks: see guard.py.

    Raises:
        MissingPart: starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route
    except ImportError as error:
        raise MissingPart("The review page needs starlette: not installed.", remedy=INSTALL) from error

    routes = [Route(path, _static(*STATIC[path])) for path in STATIC]
    routes += [Route(path, handler) for path, handler in _looks(desk, reviewer, presence).items()]
    routes += [
        Route(CHANGES + name, handler, methods=["POST"])
        for name, handler in _changes(desk, reviewer, presence).items()
    ]
    handlers: dict[Any, Any] = {TuneproofError: _stopped, HTTPException: _unknown, Exception: _broken}
    return Starlette(routes=routes, exception_handlers=handlers)


def _looks(desk: ReviewDesk, reviewer: str, presence: Presence) -> dict[str, Handler]:
    """What only reads."""

    async def view(request: Request) -> Response:
        presence.seen()
        asked = request.query_params
        step = _STEPS.get(asked.get("step", "open"))
        if step is None:
            raise BadInput(
                f"There is no step {asked['step']!r:.80}.", remedy="Use here, next, previous or open."
            )
        return _json(_view(desk, reviewer, desk.card(reviewer, asked.get("pair"), step=step)))

    async def summary(_request: Request) -> Response:
        return _json({"summary": _plain(desk.summary(reviewer))})

    async def figures(_request: Request) -> Response:
        return _json({"figures": _plain(desk.figures())})

    return {"/api/view": view, "/api/summary": summary, "/api/figures": figures}


def _changes(desk: ReviewDesk, reviewer: str, presence: Presence) -> dict[str, Handler]:
    """What is written down, and what is too long for an address."""

    async def decide(request: Request) -> Response:
        presence.seen()
        asked = await _body(request, Deciding)
        desk.decide(reviewer, asked.wish, driven=asked.driven)
        return _json(_view(desk, reviewer, desk.card(reviewer, asked.wish.pair_id, step="here")))

    async def look(request: Request) -> Response:
        presence.seen()
        asked = await _body(request, Looking)
        return _json(_view(desk, reviewer, desk.card(reviewer, asked.pair_id, step=asked.step)))

    async def undo(request: Request) -> Response:
        presence.seen()
        asked = await _body(request, Undoing)
        return _json(_view(desk, reviewer, desk.undo(reviewer, driven=asked.driven)))

    async def check(request: Request) -> Response:
        asked = await _body(request, Checking)
        return _json({"problems": desk.check(asked.pair_id, asked.output)})

    async def close(request: Request) -> Response:
        presence.seen()
        asked = await _body(request, Closing)
        summary = desk.close(reviewer, asked.note, driven=asked.driven)
        return _json({"summary": _plain(summary)} | _view(desk, reviewer, desk.card(reviewer)))

    async def leave(request: Request) -> Response:
        presence.left(finish=(await _body(request, Leaving)).finish)
        return _json({})

    return {"decide": decide, "look": look, "undo": undo, "check": check, "close": close, "leave": leave}


def _view(desk: ReviewDesk, reviewer: str, card: Card | None) -> dict[str, Any]:
    cells = [{"pair_id": pair_id, "state": state} for pair_id, state in desk.cards(reviewer)]
    return {"standing": _plain(desk.standing(reviewer)), "cells": cells, "card": card and _plain(card)}


def _plain(record: Record) -> Any:
    return record.model_dump(mode="json")


async def _body(request: Request, kind: type[Body]) -> Body:
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise BadInput(
            f"{where[:80]}: {first['msg'][:200]}.", remedy="Reload the page: it may be of another version."
        ) from error


def _json(content: Any, status: int = 200) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(content, status_code=status)


def _static(name: str, kind: str) -> Handler:
    content = files("tuneproof.outside.desk_page").joinpath("static", name).read_bytes()

    async def answer(_request: Request) -> Response:
        from starlette.responses import Response

        return Response(content, media_type=kind)

    return answer


async def _stopped(_request: Request, error: Exception) -> Response:
    stop = cast(TuneproofError, error)
    said: dict[str, Any] = {"problem": stop.problem, "remedy": stop.remedy}
    if isinstance(stop, Conflict):
        return _json(said | {"card": stop.card and _plain(stop.card)}, 409)
    if isinstance(stop, NotReady):
        return _json(said, 409)
    # A full disk or a locked file: nothing was saved, and the page must say so.
    return _json(said, 400 if isinstance(stop, BadInput) else 503)


async def _unknown(request: Request, _error: Exception) -> Response:
    return _json({"problem": f"Nothing lies at {request.url.path:.80}.", "remedy": "Use the page."}, 404)


async def _broken(_request: Request, error: Exception) -> Response:
    problem = f"The desk stumbled over {type(error).__name__}; nothing was saved."
    return _json(
        {"problem": problem, "remedy": "The terminal says more. Reload the page and try again."}, 500
    )
