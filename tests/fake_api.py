"""A loopback server that speaks OpenAI chat completions, Anthropic messages and Ollama chat, with faults.

By hand, so that the CLI can be tried against it:

    python tests/fake_api.py --port 8123 --faults 429,500,garbage

and in task.yaml `base_url: http://127.0.0.1:8123/v1`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

# fmt: off
FAULTS = [
    "429", "429-forever", "429-spend", "500", "502", "503", "529", "400", "400-filter",
    "400-long", "401", "402", "403", "404", "408", "409", "301", "timeout",
    "reset", "cut", "drip", "html", "garbage", "truncated", "wrong-schema", "list", "empty",
    "refusal", "200-error", "spend-inside", "overloaded-inside", "nothing", "length",
]
# fmt: on
HTML = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
DRIP_S, DRIPS = 0.05, 100


class Seen(NamedTuple):
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class FakeApi:
    """The server; a context manager.

    Args:
        answer: the last user message → the reply.
        faults: what goes wrong in the first, second … call; "ok" is nothing. Afterwards all goes well.
        refuses: parameters that end in a 400 naming them: temperature, max_tokens, strict, think ….
        piece_s: seconds between two pieces of a reply.
        retry_after: what a 429 sends.
    """

    def __init__(
        self,
        answer: Callable[[str], str] = str.upper,
        faults: Iterable[str] = (),
        *,
        refuses: Iterable[str] = (),
        piece_s: float = 0.0,
        retry_after: str | None = "7",
        port: int = 0,
    ) -> None:
        self.answer, self.faults, self.refuses = answer, list(faults), tuple(refuses)
        unknown = set(self.faults) - set(FAULTS) - {"ok"}
        assert not unknown, f"no such fault: {unknown}"
        self.piece_s, self.retry_after = piece_s, retry_after
        self.requests: list[Seen] = []
        self.done = threading.Event()
        self.connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Bound", (Handler,), {"api": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def next_fault(self, seen: Seen) -> str:
        with self._lock:
            self.requests.append(seen)
            return self.faults.pop(0) if self.faults else "ok"

    def __enter__(self) -> FakeApi:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Told(NamedTuple):
    """What a reply says, whatever the language."""

    model: str
    pieces: list[str]
    finish: str
    prompt: int
    output: int


def told(api: FakeApi, body: dict[str, Any], fault: str) -> Told:
    text = api.answer(body["messages"][-1]["content"])
    finish = {"refusal": "refusal", "length": "length"}.get(fault, "stop")
    pieces = [] if fault == "nothing" else [text[at : at + 4] for at in range(0, len(text), 4)]
    prompt = sum(len(m["content"].split()) for m in body["messages"]) + len(
        str(body.get("system", "")).split()
    )
    return Told(body["model"] + "-2026-01-01", pieces, finish, prompt, len(pieces) + 1)


def openai_events(reply: Told) -> list[str]:
    def chunk(choices: list[dict[str, Any]], **more: Any) -> str:
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": reply.model}
        return "data: " + json.dumps(head | {"choices": choices} | more) + "\n\n"

    def delta(content: dict[str, Any], reason: str | None = None) -> str:
        return chunk([{"index": 0, "delta": content, "finish_reason": reason}])

    word = "refusal" if reply.finish == "refusal" else "content"
    usage = {
        "prompt_tokens": reply.prompt,
        "completion_tokens": reply.output,
        "total_tokens": reply.prompt + reply.output,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    return [
        delta({"role": "assistant", "content": ""}),
        *(delta({word: piece}) for piece in reply.pieces),
        delta({}, "length" if reply.finish == "length" else "stop"),
        chunk([], usage=usage),
        "data: [DONE]\n\n",
    ]


def anthropic_events(reply: Told) -> list[str]:
    def event(kind: str, **more: Any) -> str:
        return f"event: {kind}\ndata: " + json.dumps({"type": kind} | more) + "\n\n"

    reason = {"refusal": "refusal", "length": "max_tokens", "stop": "end_turn"}[reply.finish]
    usage = {
        "input_tokens": reply.prompt - 2,
        "cache_read_input_tokens": 2,
        "cache_creation_input_tokens": 0,
        "output_tokens": 1,
    }
    message = {"id": "m1", "type": "message", "role": "assistant", "model": reply.model, "content": []}
    block = {"type": "text", "text": ""}
    return [
        event("message_start", message=message | {"stop_reason": None, "usage": usage}),
        event("content_block_start", index=0, content_block=block),
        event("ping"),
        *(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": p})
            for p in reply.pieces
        ),
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": reason, "stop_sequence": None},
            usage={"output_tokens": reply.output, "output_tokens_details": {"thinking_tokens": 1}},
        ),
        event("message_stop"),
    ]


def ollama_events(reply: Told) -> list[str]:
    def line(text: str, done: bool, **more: Any) -> str:
        head = {"model": reply.model, "created_at": "2026-01-01T00:00:00Z", "done": done}
        return json.dumps(head | {"message": {"role": "assistant", "content": text}} | more) + "\n"

    reason = "length" if reply.finish == "length" else "stop"
    counts = {"prompt_eval_count": reply.prompt, "eval_count": reply.output}
    return [*(line(piece, False) for piece in reply.pieces), line("", True, done_reason=reason, **counts)]


SPEECH = {"/chat/completions": openai_events, "/messages": anthropic_events, "/api/chat": ollama_events}
WRONG = {
    "/chat/completions": "data: %s\n\n",
    "/messages": "event: message_x\ndata: %s\n\n",
    "/api/chat": "%s\n",
}
INSIDE = {"/chat/completions": "data: %s\n\n", "/messages": "event: error\ndata: %s\n\n", "/api/chat": "%s\n"}


def error_body(way: str, kind: str, code: str, message: str) -> str:
    if way == "/api/chat":
        return json.dumps({"error": f"{message} ({code})"})
    error = {"type": kind, "code": code, "message": message, "details": {"error_code": code}, "param": None}
    return json.dumps({"type": "error", "error": error})


def refused_parameter(api: FakeApi, body: dict[str, Any]) -> str | None:
    form = body.get("response_format", {}).get("json_schema", {})
    strict = form.get("strict") is True
    schema = body.get("output_config", {}).get("format", {}).get("schema", {})
    present = (
        set(body)
        | ({"strict"} if strict else set())
        | ({"maxLength"} if "maxLength" in str(schema) else set())
    )
    # The SDK's own subset keeps such limits in a description.
    if "{maxLength" in str(schema):
        present.discard("maxLength")
    return next((name for name in api.refuses if name in present), None)


# Fault → status, kind, code, message.
STATUSES = {
    "429": (429, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached for requests"),
    "429-forever": (
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "Rate limit reached for requests per day",
    ),
    "429-spend": (429, "rate_limit_error", "enforced_spend_limit_reached", "You reached your limit"),
    "500": (500, "api_error", "server_error", "Internal error"),
    "503": (503, "api_error", "unavailable", "Loading model"),
    "529": (529, "overloaded_error", "overloaded", "Overloaded"),
    "400": (400, "invalid_request_error", "invalid_value", "Invalid value: 'top_k'"),
    "400-filter": (400, "invalid_request_error", "content_filter", "The prompt was filtered"),
    "400-long": (400, "invalid_request_error", "context_length_exceeded", "Too many tokens"),
    "401": (401, "authentication_error", "invalid_api_key", "Incorrect API key"),
    "402": (402, "billing_error", "payment_required", "Insufficient credits"),
    "403": (403, "permission_error", "forbidden", "Not allowed"),
    "404": (404, "not_found_error", "model_not_found", "No such model"),
    "408": (408, "timeout_error", "timeout", "Took too long"),
    "409": (409, "conflict_error", "conflict", "Busy"),
}


WHOLE = {
    "502": (502, "text/html", HTML),
    "html": (200, "text/html", HTML),
    "garbage": (200, "text/html", HTML),
    "301": (301, "text/plain", "moved"),
    "200-error": (200, "application/json", ""),
}
"""Fault → status, content type, text."""
ERRORS_INSIDE = {
    "spend-inside": ("billing_error", "insufficient_quota", "Nothing left"),
    "overloaded-inside": ("overloaded_error", "overloaded", "Overloaded"),
}
WRONG_JSON = {"wrong-schema": '{"hello": "world", "choices": {"a": 1}, "message": 3}', "list": "[1, 2]"}


class Handler(BaseHTTPRequestHandler):
    api: FakeApi
    # Nagle's algorithm would add 40 ms to every reply.
    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.api.connections.append(self.connection)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.said_key = self.headers.get("authorization") or self.headers.get("x-api-key") or ""
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.api.next_fault(Seen(self.path, headers, body))
        self.way = next((way for way in SPEECH if self.path.endswith(way)), "")
        if not self.way:
            self.whole(404, "text/plain", "404 page not found")
        elif fault in STATUSES:
            self.status_fault(fault)
        elif (name := refused_parameter(self.api, body)) is not None:
            text = f"Unsupported parameter: '{name}' is not supported with this model."
            if name == "maxLength":
                text = f"output_config.format.schema: For 'string' type, property '{name}' is not supported"
            self.whole(400, "application/json", error_body(self.way, "invalid_request_error", "x", text))
        else:
            self.reply(fault, body)

    def status_fault(self, fault: str) -> None:
        status, kind, code, message = STATUSES[fault]
        more = {}
        if fault == "429" and self.api.retry_after is not None:
            more = {"retry-after": self.api.retry_after}
        if fault == "429-forever":
            more = {"retry-after": "86400"}
        # A careless server says the key back.
        text = error_body(self.way, kind, code, f"{message}: {self.said_key}")
        self.whole(status, "application/json", text, more)

    def reply(self, fault: str, body: dict[str, Any]) -> None:
        if fault in WHOLE:
            status, kind, text = WHOLE[fault]
            more = {"Location": "http://127.0.0.1:9/"} if status == 301 else {}
            self.whole(status, kind, text or error_body(self.way, "server_error", "oops", "Sorry"), more)
        elif fault in ERRORS_INSIDE:
            self.stream([INSIDE[self.way] % error_body(self.way, *ERRORS_INSIDE[fault])])
        elif fault in WRONG_JSON:
            self.stream([WRONG[self.way] % WRONG_JSON[fault]])
        elif fault == "empty":
            self.stream([])
        elif fault == "timeout":
            self.close_connection = True
            self.api.done.wait(5)
        else:
            self.speak(fault, SPEECH[self.way](told(self.api, body, fault)))

    def speak(self, fault: str, events: list[str]) -> None:
        half = events[: len(events) // 2]
        if fault == "truncated":
            self.stream([*half, events[len(half)][: len(events[len(half)]) // 2] + "\n\n"])
        elif fault in ("cut", "reset"):
            self.stream(half, end=False)
            self.break_off(fault)
        elif fault == "drip":
            self.stream(half, end=False)
            self.drip()
        else:
            self.stream(events)

    def whole(self, status: int, kind: str, text: str, more: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            **(more or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events: list[str], *, end: bool = True) -> None:
        self.send_response(200)
        kind = "application/x-ndjson" if self.way == "/api/chat" else "text/event-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            time.sleep(self.api.piece_s)
            self.chunk(event)
        if end:
            self.wfile.write(b"0\r\n\r\n")

    def chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def break_off(self, fault: str) -> None:
        self.close_connection = True
        if fault == "reset":
            # The kernel sends RST in place of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def drip(self) -> None:
        """Keep the line busy with comments, as gateways do while a model is queued."""
        self.close_connection = True
        for _ in range(DRIPS):
            if self.api.done.wait(DRIP_S):
                return
            try:
                self.chunk(" " if self.way == "/api/chat" else ": PROCESSING\n\n")
            except OSError:
                return

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--faults", default="", help="comma-separated, one a call: " + " ".join(FAULTS))
    parser.add_argument("--refuses", default="", help="parameters that end in a 400, comma-separated")
    parser.add_argument(
        "--answer", help="a JSON file: last message → reply; what it lacks comes back in capitals"
    )
    options = parser.parse_args()
    known: dict[str, str] = {}
    if options.answer:
        with open(options.answer, encoding="utf-8") as file:  # noqa: PTH123
            known = json.load(file)
    faults = [one for one in options.faults.split(",") if one]
    refuses = [one for one in options.refuses.split(",") if one]
    answer = lambda text: known.get(text, text.upper())  # noqa: E731
    with FakeApi(answer, faults, refuses=refuses, port=options.port) as api:
        sys.stdout.write(f"{api.address}/v1 (OpenAI, Anthropic), {api.address} (Ollama); Ctrl-C ends it\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
