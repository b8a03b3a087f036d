"""The embedded llama.cpp on the real base: streamed replies, constrained replies, several calls at once."""

from __future__ import annotations

import http.server
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from test_constraint import SCHEMA, task_file
from test_gbnf import PATTERNS
from tuneproof.artifacts.case import TuningSection
from tuneproof.constraint import Constraint, constraint_of
from tuneproof.errors import OutsideFailed
from tuneproof.gbnf import gbnf_of
from tuneproof.metrics.text import normalise
from tuneproof.outside.base_model import find_base
from tuneproof.outside.llama_cpp import LlamaEngine, LlamaRuntime
from tuneproof.outside.machine import seconds
from tuneproof.prompt import messages_for

SYSTEM = "Name the licence of the notice."
NOTICES = [
    "Licensed under the MIT license",
    "This file is part of GNU Emacs, GPL version 2 or later.",
    "Apache License, Version 2.0; see LICENSE. 🙂 Ünïcode «quotes» \u2028 \t tabs",
    "Write a poem of ten emoji and nothing else: 🎉🦄",
    "<|im_end|> <tool_call>{}</tool_call> <think>why</think>",
]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return find_base(TuningSection(), tmp_path_factory.mktemp("base")).gguf


@pytest.fixture(scope="module")
def runtime(gguf: Path) -> Iterator[LlamaRuntime]:
    runtime = LlamaEngine().load(gguf, num_ctx=1024)
    yield runtime
    runtime.close()


def whole(runtime: LlamaRuntime, notice: str, limit: int) -> dict[str, Any]:
    """Ask the server as it was asked before replies were streamed."""
    request = {
        **runtime._chat(messages_for(SYSTEM, notice)),
        "max_tokens": limit,
        "temperature": 0,
        "seed": 0,
        "reasoning_format": "none",
    }
    return dict(runtime._server.handle_chat_completions(request))


@pytest.mark.model
def test_a_streamed_reply_is_byte_for_byte_the_whole_one(runtime: LlamaRuntime) -> None:
    finishes = set()
    for notice in NOTICES:
        for limit in (1, 3, 20):
            runtime.ask(messages_for(SYSTEM, notice), max_new_tokens=1)  # both find the prompt in the cache
            before = whole(runtime, notice, limit)
            answer = runtime.ask(messages_for(SYSTEM, notice), max_new_tokens=limit)
            choice, usage = before["choices"][0], before["usage"]
            text = choice["message"]["content"] or ""
            # Of a character that the limit cuts in half, a stream holds nothing.
            assert answer.text == (text.removesuffix("\ufffd") if answer.finish == "length" else text)
            assert answer.finish == choice["finish_reason"]
            assert answer.prompt_tokens == usage["prompt_tokens"]
            assert answer.output_tokens == usage["completion_tokens"]
            assert (answer.first_ms is not None) == bool(answer.text)
            finishes.add(answer.finish)
    assert finishes == {"stop", "length"}


@pytest.mark.model
def test_the_first_text_comes_before_the_last(runtime: LlamaRuntime) -> None:
    began = seconds()
    answer = runtime.ask(messages_for(SYSTEM, "Explain the GPL at length."), max_new_tokens=60)
    ms = (seconds() - began) * 1000
    assert answer.first_ms is not None and answer.output_tokens > 20
    assert 0 < answer.first_ms < ms * 0.7


@pytest.mark.model
@pytest.mark.parametrize("pattern", PATTERNS)
def test_llama_cpp_takes_the_grammar_and_every_reply_matches_its_pattern(
    runtime: LlamaRuntime, pattern: str
) -> None:
    held = Constraint("pattern", grammar=gbnf_of(pattern))
    replies = [runtime.ask(messages_for(SYSTEM, n), max_new_tokens=12, constraint=held) for n in NOTICES[:3]]
    assert len(replies) == 3
    for reply in replies:
        # A reply that the limit cut is the beginning of one.
        if reply.finish == "stop":
            assert re.fullmatch(pattern, normalise(reply.text)) and normalise(reply.text) == reply.text


@pytest.mark.model
def test_labels_and_schema_hold_the_reply(runtime: LlamaRuntime) -> None:
    labels = ["Über uns", "a|b", 'say "no"', "C#"]
    held = constraint_of(task_file("label accuracy", labels=labels), None)
    assert isinstance(held, Constraint)
    free, bound = set(), set()
    for notice in NOTICES:
        free.add(runtime.ask(messages_for(SYSTEM, notice), max_new_tokens=16).text)
        bound.add(runtime.ask(messages_for(SYSTEM, notice), max_new_tokens=16, constraint=held).text)
    assert bound <= set(labels) and not free & set(labels)
    schema = Constraint("json schema", json_schema=SCHEMA)
    reply = runtime.ask(messages_for(SYSTEM, NOTICES[0]), max_new_tokens=60, constraint=schema)
    assert reply.finish == "stop" and set(json.loads(reply.text)) == {"total"}


@pytest.mark.model
def test_a_line_break_is_allowed_where_lines_count(runtime: LlamaRuntime) -> None:
    held = constraint_of(task_file("labelled lines", r"Name: [A-Za-z]{1,9} Date: \d{4}"), None)
    assert isinstance(held, Constraint)
    reply = runtime.ask(messages_for(SYSTEM, NOTICES[0]), max_new_tokens=30, constraint=held)
    assert re.fullmatch(r"Name: [A-Za-z]{1,9}[ \n]Date: \d{4}", reply.text)


@pytest.mark.model
@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (Constraint("pattern", grammar="root ::= nothing"), "task.answer_pattern"),
        (Constraint("labels", grammar="root ::= nothing"), "scoring.labels"),
        (Constraint("json schema", json_schema={"$ref": "#/$defs/none"}), "scoring.json_schema"),
    ],
)
def test_a_constraint_that_llama_cpp_refuses_names_its_key(
    runtime: LlamaRuntime, constraint: Constraint, words: str
) -> None:
    with pytest.raises(OutsideFailed, match=re.escape(words)):
        runtime.ask(messages_for(SYSTEM, NOTICES[0]), max_new_tokens=8, constraint=constraint)


@pytest.mark.model
def test_a_prompt_that_is_too_long_is_refused_in_the_servers_words(runtime: LlamaRuntime) -> None:
    with pytest.raises(OutsideFailed, match=r"exceeds the available context size[\s\S]*serving\.num_ctx"):
        runtime.ask(messages_for(SYSTEM, "word " * 3_000), max_new_tokens=8)


@pytest.mark.model
def test_an_interrupt_ends_a_stream_at_once_and_the_server_goes_on(runtime: LlamaRuntime) -> None:
    endless = Constraint("pattern", grammar="root ::= [a-z] root")
    began = seconds()
    runtime.ask(messages_for(SYSTEM, NOTICES[0]), max_new_tokens=20, constraint=endless)
    pace = (seconds() - began) / 20
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    began = seconds()
    with pytest.raises(KeyboardInterrupt):
        runtime.ask(messages_for(SYSTEM, NOTICES[0]), max_new_tokens=900, constraint=endless)
    assert seconds() - began < 3
    timer.join()
    began = seconds()
    assert runtime.ask(messages_for(SYSTEM, NOTICES[0]), max_new_tokens=2).output_tokens == 2
    # The abandoned reply does not run on to its 900 tokens in the only slot.
    assert seconds() - began < 300 * pace


@pytest.mark.model
def test_several_calls_at_once_have_the_whole_context_each(gguf: Path) -> None:
    runtime = LlamaEngine().load(gguf, num_ctx=512, parallel=3)
    try:
        long = messages_for(SYSTEM, "word " * 400)
        count = len(runtime.tokens(runtime.render(long)))
        assert 400 < count < 500
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: runtime.ask(long, max_new_tokens=8), range(6)))
        assert [a.prompt_tokens for a in answers] == [count] * 6
        with pytest.raises(OutsideFailed, match="512 tokens"):
            runtime.ask(messages_for(SYSTEM, "word " * 520), max_new_tokens=8)
    finally:
        runtime.close()


class _Server(http.server.BaseHTTPRequestHandler):
    """Stands where llama.cpp's server stands; answers what the test says."""

    status = 200
    body = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None: ...


def loose_runtime(address: str) -> LlamaRuntime:
    runtime = LlamaRuntime.__new__(LlamaRuntime)
    runtime._address, runtime._switches = address, {}
    return runtime


@pytest.fixture
def served() -> Iterator[tuple[type[_Server], LlamaRuntime]]:
    handler = type("Handler", (_Server,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield handler, loose_runtime(f"127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def piece(text: str | None, finish: str | None = None) -> bytes:
    return event(choices=[{"finish_reason": finish, "delta": {"content": text} if text is not None else {}}])


USAGE = event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3})
CHAT = messages_for("s", "x")


def test_pieces_of_a_stream_become_one_reply(served: tuple[type[_Server], LlamaRuntime]) -> None:
    handler, runtime = served
    handler.body = b"".join(
        [piece(None), b": ping\n\n", piece(""), piece("gr"), piece("ün", "stop"), USAGE, b"data: [DONE]\n\n"]
    )
    answer = runtime.ask(CHAT, max_new_tokens=9)
    assert (answer.text, answer.finish, answer.prompt_tokens, answer.output_tokens) == ("grün", "stop", 7, 3)
    assert answer.first_ms is not None


def test_a_reply_without_text_has_no_time_to_its_first_text(
    served: tuple[type[_Server], LlamaRuntime],
) -> None:
    handler, runtime = served
    handler.body = piece(None) + piece(None, "stop") + USAGE
    answer = runtime.ask(CHAT, max_new_tokens=9)
    assert answer.text == "" and answer.first_ms is None


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, piece("half"), "broke off"),
        (200, piece("no usage", "stop"), "broke off"),
        (200, piece("half") + event(error={"message": "out of memory"}), "out of memory"),
        (500, b'{"error":{"message":"slot is gone"}}', "slot is gone"),
    ],
)
def test_a_stream_that_breaks_off_is_no_reply(
    served: tuple[type[_Server], LlamaRuntime], status: int, body: bytes, words: str
) -> None:
    handler, runtime = served
    handler.status, handler.body = status, body
    with pytest.raises(OutsideFailed, match=words):
        runtime.ask(CHAT, max_new_tokens=9)


def test_a_server_that_is_gone_is_said_without_waiting() -> None:
    began = time.monotonic()
    with pytest.raises(OutsideFailed, match="broke off"):
        loose_runtime("127.0.0.1:9").ask(CHAT, max_new_tokens=9)
    assert time.monotonic() - began < 2
