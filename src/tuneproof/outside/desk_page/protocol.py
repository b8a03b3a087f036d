"""uvicorn's HTTP/1.1 protocol → the same with a limit on how long a request takes to arrive.

uvicorn limits the wait between two requests, but neither the headers nor the body of one.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """Drops a connection whose request is not complete in time, whatever trickles in."""

    slowest_s = 15.0
    """Seconds from the connection, or from the first byte of a later request, to its last byte."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.slowest_s, self._drop)

    def data_received(self, data: bytes) -> None:
        """Take what came, then see whether the request is complete."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._calm()

    def _watch(self) -> None:
        state = self.conn.their_state
        begun = state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))
        if not begun:
            self._calm()
        elif self._late is None:
            self._late = self.loop.call_later(self.slowest_s, self._drop)

    def _calm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _drop(self) -> None:
        self._late = None
        self.transport.abort()
