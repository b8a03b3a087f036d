"""Replies made elsewhere count only where item, prompt, model and date are beyond doubt."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneproof.errors import BadInput
from tuneproof.export import custom_id, hidden_id
from tuneproof.prompt import messages_for
from tuneproof.recorded import Recorded, read_recorded, to_own_format
from tuneproof.recorded_lines import RecordedLine
from tuneproof.request import Request

Row = dict[str, Any]


def request(item_id: str, text: str) -> Request:
    return Request(item_id, tuple(messages_for("Name the licence.", text)), 48)


REQUESTS = [request("row-1", "MIT …"), request("Zeile 2/ü", "Apache …"), request("3", "GPL …")]
TEXTS = ["mit", "apache-2.0\u2028OR mit", "gpl-2.0"]


def own(asked: Request, text: str, **more: Any) -> Row:
    row = {
        "item_id": asked.item_id,
        "prompt_sha256": asked.sha256,
        "text": text,
        "model": "gpt-4.1-mini-2025-04-14",
        "at": "2026-11-23T22:04:00+02:00",
        "prompt_tokens": 31,
        "output_tokens": 5,
    }
    return row | more


def openai(asked: Request, text: str | None, *, repeat: int = 1, **message: Any) -> Row:
    """As in the Batch API's reference, with what chat completions return today."""
    body = {
        "id": "chatcmpl-BxYz0123456789",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "gpt-4.1-mini-2025-04-14",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": text,
                    "refusal": None,
                    "annotations": [],
                    **message,
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 1131,
            "completion_tokens": 205,
            "total_tokens": 1336,
            "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 192,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_123abc",
    }
    return {
        "id": "batch_req_6742a1b2c3d4",
        "custom_id": custom_id(asked, repeat),
        "response": {"status_code": 200, "request_id": "5f3e0a", "body": body},
        "error": None,
    }


def anthropic(asked: Request, text: str, *, repeat: int = 1, stop_reason: str = "end_turn") -> Row:
    """As in the reference of message-batch results, with a thinking block before the text."""
    message = {
        "id": "msg_014VwiXbi91y3JMjcpyGBHX5",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [
            {"type": "thinking", "thinking": "A notice …", "signature": "Ep4B"},
            {"type": "text", "text": text[:2]},
            {"type": "text", "text": text[2:]},
        ],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 11,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 1000,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 36,
            "output_tokens_details": {"thinking_tokens": 30},
            "service_tier": "batch",
        },
    }
    return {"custom_id": custom_id(asked, repeat), "result": {"type": "succeeded", "message": message}}


def jsonl(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def all_of(make: Callable[..., Row], **more: Any) -> list[Row]:
    return [make(asked, text, **more) for asked, text in zip(REQUESTS, TEXTS, strict=True)]


def read(rows: list[Row] | bytes, **given: Any) -> Recorded:
    data = rows if isinstance(rows, bytes) else jsonl(rows)
    return read_recorded(data, REQUESTS, where="replies.jsonl", **given)


def refused(rows: list[Row] | bytes, **given: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read(rows, **given)
    assert caught.value.remedy
    return caught.value


DATED = {"made_at": "2026-11-24"}
FORMATS = [
    pytest.param(own, {}, id="own"),
    pytest.param(openai, {}, id="openai"),
    pytest.param(anthropic, DATED, id="anthropic"),
]
every_format = pytest.mark.parametrize(("make", "needs"), FORMATS)


def test_our_own_format_keeps_every_field() -> None:
    rows = all_of(
        own, ms=812.5, first_ms=300, cached_tokens=20, reasoning_tokens=2, made_by="Ada", attempts=2
    )
    found = read(rows)
    assert (found.model, found.made_at, found.made_by) == ("gpt-4.1-mini-2025-04-14", "2026-11-23", "Ada")
    assert (found.format, found.tokens_known, found.failed) == ("tuneproof", True, ())
    reply = found.replies[0][1]
    assert (reply.item_id, reply.text, reply.finish) == ("Zeile 2/ü", TEXTS[1], "stop")
    assert (reply.prompt_tokens, reply.output_tokens, reply.cached_tokens, reply.reasoning_tokens) == (
        31,
        5,
        20,
        2,
    )
    assert (reply.ms, reply.first_ms, reply.attempts) == (812.5, 300, 2)
    assert reply.at == "2026-11-23T20:04:00+00:00"
    assert reply.prompt_sha256 == REQUESTS[1].sha256


def test_an_openai_batch_is_read_with_its_cached_and_reasoning_tokens() -> None:
    found = read(all_of(openai))
    assert (found.model, found.made_at) == ("gpt-4.1-mini-2025-04-14", "2025-11-24")
    assert (found.format, found.made_by, found.tokens_known) == ("OpenAI Batch", "", True)
    assert [reply.text for reply in found.replies[0]] == TEXTS
    reply = found.replies[0][0]
    assert (reply.prompt_tokens, reply.cached_tokens, reply.output_tokens, reply.reasoning_tokens) == (
        1131,
        1024,
        205,
        192,
    )
    assert (reply.at, reply.ms, reply.model) == ("2025-11-24T16:00:00+00:00", None, found.model)


def test_an_anthropic_batch_counts_cached_tokens_among_those_of_the_prompt() -> None:
    found = read(all_of(anthropic), made_at="2026-11-24", made_by="Ada")
    assert (found.model, found.made_at, found.made_by) == ("claude-haiku-4-5-20251001", "2026-11-24", "Ada")
    assert found.format == "Anthropic Message Batches"
    assert [reply.text for reply in found.replies[0]] == TEXTS
    reply = found.replies[0][0]
    assert (reply.prompt_tokens, reply.cached_tokens, reply.output_tokens, reply.reasoning_tokens) == (
        1111,
        1000,
        36,
        30,
    )


@every_format
def test_the_order_of_the_lines_means_nothing(make: Callable[..., Row], needs: Row) -> None:
    rows = all_of(make)
    shuffled = read(rows[::-1], **needs)
    assert shuffled == read(rows, **needs)
    assert [reply.item_id for reply in shuffled.replies[0]] == [asked.item_id for asked in REQUESTS]


@every_format
def test_a_byte_order_mark_crlf_and_blank_lines_mean_nothing(make: Callable[..., Row], needs: Row) -> None:
    data = jsonl(all_of(make))
    marked = b"\xef\xbb\xbf\r\n" + data.replace(b"\n", b"\r\n  \r\n")
    assert read(marked, **needs) == read(data, **needs) == read(data.rstrip(b"\n"), **needs)


@every_format
def test_repeats_come_out_apart(make: Callable[..., Row], needs: Row) -> None:
    rows = [*all_of(make, repeat=2), *all_of(make)]
    rows[0] = make(REQUESTS[0], "other", repeat=2)
    found = read(rows, **needs)
    assert [[reply.text for reply in each] for each in found.replies] == [TEXTS, ["other", *TEXTS[1:]]]
    error = refused([*rows[:2], *rows[3:]], **needs)
    assert "repeat 2 has no line for 1 of 3 items; the first is '3'" in error.problem


@every_format
def test_reading_back_what_was_written_gives_the_same(make: Callable[..., Row], needs: Row) -> None:
    found = read([*all_of(make), *all_of(make, repeat=2)], **needs)
    assert read(to_own_format(found).encode()) == found


def test_a_refusal_a_cut_and_a_call_of_a_tool_are_told_apart() -> None:
    rows = [
        openai(REQUESTS[0], None, refusal="I cannot."),
        openai(REQUESTS[1], "apa"),
        openai(REQUESTS[2], None),
    ]
    rows[1]["response"]["body"]["choices"][0]["finish_reason"] = "length"
    rows[2]["response"]["body"]["choices"][0]["finish_reason"] = "tool_calls"
    first, second, third = read(rows).replies[0]
    assert (first.finish, first.text) == ("refused", "I cannot.")
    assert (second.finish, second.text) == ("length", "apa")
    assert (third.finish, third.text, third.error) == (
        "failed",
        "",
        "finish_reason 'tool_calls': no text reply",
    )


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refused"),
        ("tool_use", "failed"),
        ("pause_turn", "failed"),
        ("something new", "failed"),
    ],
)
def test_every_stop_reason_of_anthropic_has_its_finish(stop_reason: str, finish: str) -> None:
    rows = [anthropic(REQUESTS[0], "mit", stop_reason=stop_reason), *all_of(anthropic)[1:]]
    assert read(rows, **DATED).replies[0][0].finish == finish


def test_what_a_batch_could_not_answer_is_a_failed_reply_in_the_apis_words() -> None:
    rows = all_of(openai)
    rows[0] |= {"response": None, "error": {"code": "batch_expired", "message": "Not executed in time."}}
    body = {"error": {"message": "Bad schema.", "type": "invalid_request_error", "param": None, "code": None}}
    rows[1]["response"] = {"status_code": 400, "request_id": "a", "body": body}
    found = read(rows)
    assert [reply.error for reply in found.replies[0]] == [
        "batch_expired: Not executed in time.",
        "HTTP 400: invalid_request_error: Bad schema.",
        "",
    ]
    assert found.failed == ("row-1", "Zeile 2/ü")
    assert {reply.model for reply in found.replies[0]} == {found.model}
    assert found.replies[0][0].at == "2025-11-24"
    assert found.tokens_known
    assert read(to_own_format(found).encode()) == found


def test_errored_canceled_and_expired_requests_of_anthropic_are_failed_replies() -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "No."}, "request_id": "r"}
    rows = all_of(anthropic)
    rows[0]["result"] = {"type": "errored", "error": error}
    rows[1]["result"] = {"type": "expired"}
    found = read(rows, **DATED)
    assert [reply.error for reply in found.replies[0]] == [
        "errored: invalid_request_error: No.",
        "expired",
        "",
    ]
    rows[2]["result"] = {"type": "canceled"}
    assert "no line names the model" in refused(rows, **DATED).problem
    assert len(read(rows, **DATED, model="claude-haiku-4-5").failed) == 3


def test_without_tokens_the_cost_is_unknown_and_not_zero() -> None:
    rows = all_of(own)
    for key in ("prompt_tokens", "output_tokens"):
        del rows[1][key]
    found = read(rows)
    assert not found.tokens_known
    assert (found.replies[0][1].prompt_tokens, found.replies[0][0].prompt_tokens) == (0, 31)
    batch = all_of(openai)
    del batch[0]["response"]["body"]["usage"]
    assert not read(batch).tokens_known
    assert read(to_own_format(found).encode()) == found


def test_a_script_may_leave_the_request_in_its_line_but_not_change_it() -> None:
    rows = all_of(
        own, messages=None, max_tokens=48, temperature=0.0, json_schema=None, reasoning_effort="low"
    )
    for row, asked in zip(rows, REQUESTS, strict=True):
        row["messages"] = list(asked.messages)
    assert read(rows) == read(all_of(own))
    rows[2]["messages"] = list(REQUESTS[0].messages)
    assert refused(rows).problem.startswith("replies.jsonl:3: item '3': this is the reply to another prompt")


def test_a_model_may_be_named_by_its_alias_and_by_nothing_else() -> None:
    assert read(all_of(openai), model="gpt-4.1-mini").model == "gpt-4.1-mini-2025-04-14"
    assert read(all_of(anthropic), model="claude-haiku-4-5", **DATED).model == "claude-haiku-4-5-20251001"
    for other in ("gpt-4.1", "gpt-4.1-mini-2025-04", "gpt-4.1-mini-2025-04-15"):
        assert f"--model says '{other}'" in refused(all_of(openai), model=other).problem


def test_the_day_of_the_replies_must_be_known_and_must_not_contradict_the_file() -> None:
    error = refused(all_of(anthropic))
    assert error.problem == "replies.jsonl:1: nothing says when this reply was made."
    assert "--date" in error.remedy
    assert "--date says 2026-11-24" in refused(all_of(own), **DATED).problem
    assert read(all_of(own), made_at="2026-11-23").made_at == "2026-11-23"
    assert "no ISO 8601 date" in refused(all_of(anthropic), made_at="24.11.2026").problem
    rows = all_of(own)
    rows[0]["at"] = "2026-11-22"
    del rows[1]["at"]
    assert "replies.jsonl:2" in refused(rows).problem
    assert [reply.at[:10] for reply in read(rows, **DATED).replies[0]] == [
        "2026-11-22",
        "2026-11-24",
        "2026-11-23",
    ]


def changed(rows: list[Row], index: int, **fields: Any) -> list[Row]:
    return [row | fields if at == index else row for at, row in enumerate(rows)]


def without(rows: list[Row], index: int, key: str) -> list[Row]:
    return [{k: v for k, v in row.items() if at != index or k != key} for at, row in enumerate(rows)]


GOOD = all_of(own)
BATCH = all_of(openai)
OTHER_PROMPT = REQUESTS[1]._replace(max_tokens=49)
HALF = jsonl(GOOD)[:-40]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            changed(GOOD, 1, prompt_sha256=OTHER_PROMPT.sha256),
            ":2: item 'Zeile 2/ü': this is the reply to an",
        ),
        (
            changed(BATCH, 1, custom_id=custom_id(OTHER_PROMPT)),
            ":2: item 'Zeile 2/ü': this is the reply to an",
        ),
        (GOOD[:2], ": repeat 1 has no line for 1 of 3 items; the first is '3'"),
        ([*GOOD, own(request("4", "x"), "x")], ":4: item_id '4' is of no request"),
        ([*BATCH, openai(request("4", "x"), "x")], ":4: custom_id"),
        (changed(BATCH, 0, custom_id="request-1"), ":1: custom_id 'request-1' is of no request"),
        (changed(BATCH, 0, custom_id=custom_id(REQUESTS[0]) + "-r1"), ":1: custom_id"),
        ([*GOOD, GOOD[0]], ":4: item 'row-1', repeat 1, is there already in line 1"),
        ([*BATCH, BATCH[2]], ":4: item '3', repeat 1, is there already in line 3"),
        (HALF, ":3: is no JSON: "),
        (changed(GOOD, 2, model="gpt-5"), ":3: model is 'gpt-5', but line 1 has 'gpt-4.1-mini-2025-04-14'"),
        (
            [*changed(GOOD, 0, made_by="Ada"), GOOD[0] | {"repeat": 2, "made_by": "Eve"}],
            ":4: made_by is 'Eve'",
        ),
        ([without(GOOD, at, "model")[at] for at in range(3)], ": no line names the model"),
        ([*GOOD[:2], BATCH[2]], ":3: is of the format 'OpenAI Batch', but line 1 is of 'tuneproof'"),
        (without(GOOD, 1, "text"), ":2: there is no `text`"),
        (changed(GOOD, 1, text=None), ":2: there is no `text`"),
        (changed(GOOD, 1, text=7), ":2: text: Input should be a valid string, not 7"),
        (changed(GOOD, 1, finish="done"), ":2: finish: "),
        (changed(GOOD, 1, finish_reason="stop"), ":2: finish_reason: no field of this format"),
        (changed(GOOD, 1, repeat=0), ":2: repeat: "),
        (changed(GOOD, 1, repeat=True), ":2: repeat: "),
        (
            changed(GOOD, 1, prompt_tokens="31"),
            ":2: prompt_tokens: Input should be a valid integer, not '31'",
        ),
        (changed(GOOD, 1, prompt_tokens=-1), ":2: prompt_tokens: "),
        (changed(GOOD, 1, cached_tokens=32), ":2: a part of the tokens is more than all"),
        (without(GOOD, 1, "output_tokens"), ":2: `prompt_tokens` without `output_tokens`"),
        (without(GOOD, 1, "prompt_tokens"), ":2: `output_tokens` without `prompt_tokens`"),
        (changed(GOOD, 1, ms=-1), ":2: ms: "),
        (changed(GOOD, 1, first_ms=5), ":2: `first_ms` is later than `ms`"),
        (changed(GOOD, 1, at="yesterday"), ":2: 'yesterday' is no ISO 8601 date"),
        (changed(GOOD, 1, text="\ud800"), ":2: half a surrogate pair"),
        (changed(BATCH, 1, response=None), ":2: has neither a reply nor an error"),
        (changed(BATCH, 1, response={"status_code": 200, "body": {}}), ":2: response.body.model: "),
        ([{"custom_id": "a", "method": "POST", "url": "/", "body": {}}], ":1: is a request, not a reply"),
        ([{"custom_id": "a", "params": {}}], ":1: is a request, not a reply"),
        ([{"item_id": "3", "prompt_sha256": "s", "messages": []}], ":1: is a request, not a reply"),
        ([{"input": "a", "output": "b"}], ":1: is of no format that we know: its keys are 'input', 'output'"),
        ([], ": holds no reply"),
        (b"[]\n", ":1: is not one JSON object"),
        (b'{"a": 1} {"b": 2}', ":1: is not one JSON object"),
        (b'{"item_id": "3", "item_id": "3"}', ":1: a key occurs twice"),
        (b'{"item_id": "3", "ms": NaN}', ":1: no number in JSON: NaN"),
        (b'{"item_id": "3", "ms": 1e999}', ":1: too large a number"),
        (b'{"item_id": ' + b"[" * 100_000, ":1: "),
        (b'{"item_id": "' + b"a" * 2_000_001 + b'"}', ":1: has 2,000,016 characters"),
        (b'\n{"item_id": "\xff"}\n', ":2: byte 0xff is not UTF-8"),
    ],
)
def test_a_file_that_leaves_a_doubt_is_refused_with_its_line(rows: list[Row] | bytes, said: str) -> None:
    data = rows if isinstance(rows, bytes) else "".join(json.dumps(row) + "\n" for row in rows).encode()
    error = refused(data)
    assert error.problem.startswith("replies.jsonl" + said)


def test_all_wrong_lines_are_counted_and_the_first_is_explained() -> None:
    rows = [row | {"prompt_sha256": "sha256:0"} for row in GOOD]
    error = refused(rows)
    assert error.problem.endswith("3 lines are refused in all; the next: 2, 3.")
    assert "tuneproof compare --export ARM" in error.remedy


def planted(rng: random.Random, make: Callable[..., Row]) -> tuple[list[Row], int]:
    """Change one character of one id or hash in one line."""
    rows = all_of(make)
    at = rng.randrange(len(rows))
    row = rows[at]
    key = "custom_id" if "custom_id" in row else rng.choice(["item_id", "prompt_sha256"])
    value = row[key]
    place = rng.randrange(len(value))
    others = [letter for letter in "0123456789abcdefABCDEF-rü " if letter != value[place]]
    kind = rng.choice(["change", "drop", "add"])
    letter = "" if kind == "drop" else rng.choice(others)
    row[key] = value[:place] + letter + value[place + (kind != "add") :]
    if row[key] == value:
        row[key] += "0"
    return rows, at + 1


@every_format
def test_none_of_500_changed_ids_and_hashes_passes(make: Callable[..., Row], needs: Row) -> None:
    rng = random.Random(0)
    caught = 0
    for _ in range(500):
        rows, number = planted(rng, make)
        assert refused(rows, **needs).problem.startswith(f"replies.jsonl:{number}: ")
        caught += 1
    assert caught == 500


def test_the_page_on_recorded_replies_describes_every_field_and_no_other() -> None:
    page = (Path(__file__).parents[1] / "docs" / "recorded-replies.md").read_text("utf-8")
    table = page.split("## Our own format")[1].split("Without tokens")[0]
    described = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(described) == sorted(RecordedLine.model_fields)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
counts = st.integers(0, 10**6)


@st.composite
def own_rows(draw: st.DrawFn) -> tuple[list[Request], list[Row]]:
    ids = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    requests = [request(item_id, draw(texts)) for item_id in ids]
    rows = []
    for repeat in range(1, 1 + draw(st.integers(1, 3))):
        for asked in requests:
            row = own(asked, draw(texts), repeat=repeat, made_by="Ada", at=draw(st.dates()).isoformat())
            row["finish"] = draw(st.sampled_from(["stop", "length", "refused", "failed"]))
            row["prompt_tokens"], row["output_tokens"] = draw(counts) + 1, draw(counts)
            row["cached_tokens"] = draw(st.integers(0, row["prompt_tokens"]))
            row["reasoning_tokens"] = draw(st.integers(0, row["output_tokens"]))
            row["ms"] = draw(st.none() | st.floats(0, 1e9))
            row["error"] = draw(texts)
            if draw(st.booleans()):
                for key in ("prompt_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"):
                    del row[key]
            rows.append(row)
    return requests, draw(st.permutations(rows))


@settings(max_examples=150)
@given(own_rows())
def test_what_is_kept_is_what_was_read(given_rows: tuple[list[Request], list[Row]]) -> None:
    requests, rows = given_rows
    found = read_recorded(jsonl(rows), requests, where="a.jsonl")
    kept = to_own_format(found)
    assert read_recorded(kept.encode(), requests, where="b.jsonl") == found
    assert to_own_format(found) == kept
    replies = {(reply.item_id, at): reply for at, each in enumerate(found.replies, 1) for reply in each}
    assert len(replies) == len(rows)
    for row in rows:
        assert replies[row["item_id"], row["repeat"]].text == row["text"]


@settings(max_examples=200)
@given(st.integers(0, 2**31), st.sampled_from([own, openai, anthropic]))
def test_a_damaged_file_is_read_or_refused_and_never_crashes(seed: int, make: Callable[..., Row]) -> None:
    rng = random.Random(seed)
    data = bytearray(jsonl(all_of(make)))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(3)] = bytes(rng.randrange(256) for _ in range(rng.randrange(3)))
    try:
        found = read(bytes(data), **(DATED if make is anthropic else {}))
    except BadInput as error:
        assert error.problem.startswith(("replies.jsonl", "--date"))
    else:
        assert [reply.item_id for reply in found.replies[0]] == [asked.item_id for asked in REQUESTS]


def test_an_item_is_known_by_its_id_and_by_the_hash_that_the_export_wrote() -> None:
    rows = [own(asked, "mit") for asked in REQUESTS]
    hashed = [row | {"item_id": hidden_id(row["item_id"])} for row in rows]
    assert read(hashed) == read(rows)
    assert [reply.item_id for reply in read(hashed).replies[0]] == [r.item_id for r in REQUESTS]
