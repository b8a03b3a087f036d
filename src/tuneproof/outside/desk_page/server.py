"""Desk → a server on 127.0.0.1 that ends when the review is done and the reviewer has left."""

from __future__ import annotations

import asyncio
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tuneproof.errors import BadInput, MissingPart
from tuneproof.outside.desk_page.app import INSTALL, Presence, ReviewDesk, page_app
from tuneproof.outside.desk_page.guard import Guard, Keys, new_keys

if TYPE_CHECKING:
    import uvicorn

_LOOK_S = 0.1


def serve_desk(
    desk: ReviewDesk,
    *,
    reviewer: str,
    port: int = 0,
    open_browser: bool,
    on_ready: Callable[[str], None],
    until: Callable[[], bool],
) -> None:
    """Serve the review page until `until()` is true and the page was left, or until Ctrl-C.

    The desk is asked in the calling thread alone, one request after the other.

    Args:
        desk: what is reviewed.
        reviewer: in whose name the decisions of this page are made.
        port: of 127.0.0.1; 0 takes a free one. What was typed and not sent is kept by the browser for this
            port alone.
        open_browser: open the page in the user's browser.
        on_ready: gets the address with its token, once the server answers.
        until: whether all batches are closed.

    Raises:
        MissingPart: starlette or uvicorn is not installed.
        BadInput: the port cannot be had.
    """
    listening = _listening(port)
    try:
        port = listening.getsockname()[1]
        keys, presence = new_keys(), Presence()
        server = _server(Guard(page_app(desk, reviewer, presence), port=port, keys=keys))
        ready = _ready(keys, port, open_browser=open_browser, on_ready=on_ready)
        asyncio.run(_run(server, listening, ready, lambda: presence.gone(done=until)))
    except KeyboardInterrupt:
        return
    finally:
        listening.close()


async def _run(
    server: uvicorn.Server, listening: socket.socket, ready: Callable[[], None], over: Callable[[], bool]
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():
        await asyncio.sleep(_LOOK_S / 10)
    if not serving.done():
        ready()
    while not serving.done():
        if over():
            server.should_exit = True
        await asyncio.wait([serving], timeout=_LOOK_S)
    await serving


def usual_port(wanted: int, path: Path) -> int:
    """Return the port of the last time where it is free: a browser keeps unsent text by port.

    Args:
        wanted: what the user named; 0 for none.
        path: where the last port was written.
    """
    if wanted or not path.is_file():
        return wanted
    text = path.read_text("utf-8", errors="replace").strip()
    if not (text.isdecimal() and 1024 <= int(text) <= 65_535):
        return 0
    try:
        _listening(int(text)).close()
    except BadInput:
        return 0
    return int(text)


def _listening(port: int) -> socket.socket:
    """Take the port before anything is shown: the address on the screen is certainly ours."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise BadInput(
            f"Port {port} of 127.0.0.1 cannot be had: {error}.",
            remedy="Name another port, or none: then a free one is taken.",
        ) from error
    return listening


def _ready(
    keys: Keys, port: int, *, open_browser: bool, on_ready: Callable[[str], None]
) -> Callable[[], None]:
    def ready() -> None:
        on_ready(f"http://127.0.0.1:{port}/?token={keys.token}")
        if open_browser:
            address = f"http://127.0.0.1:{port}/?token={next(iter(keys.tickets))}"
            # Some browsers answer only when they are closed.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    return ready


def _server(app: Guard) -> uvicorn.Server:
    try:
        import uvicorn

        from tuneproof.outside.desk_page.protocol import TimedProtocol
    except ImportError as error:
        raise MissingPart("The review page needs uvicorn: not installed.", remedy=INSTALL) from error
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=TimedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            access_log=False,
            log_config=None,
            # Errors of ours reach the terminal with their traceback; a stranger's broken request does not.
            log_level="error",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
    )
