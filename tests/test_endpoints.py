"""Models behind an API, on a loopback server: every fault ends in its class, and no key gets out."""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from fake_api import FakeApi
from tuneproof.artifacts import Reply
from tuneproof.artifacts.case import ComparisonSection
from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.errors import MissingPart, NotReady, OutsideFailed
from tuneproof.outside import endpoints
from tuneproof.outside.endpoints import Patience, asking, endpoint_for
from tuneproof.outside.endpoints.asking import ApiEndpoint, Piece
from tuneproof.outside.endpoints.faults import Failed, action_of, retry_after
from tuneproof.outside.endpoints.http_client import host_of, is_loopback
from tuneproof.request import Request

Who = Literal["openai", "anthropic", "ollama"]
PROVIDERS: tuple[Who, ...] = ("openai", "anthropic", "ollama")
KEY = "sk-test-0123456789-secret"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "maxLength": 9}},
    "required": ["a"],
    "additionalProperties": False,
}
ASKED = Request(
    "i1",
    ({"role": "system", "content": "Shout it."}, {"role": "user", "content": "mit license, please"}),
    64,
)
WITH_SCHEMA = ASKED._replace(json_schema=SCHEMA)

# The class in which a call that fails this way must end.
MENDED = [
    "429", "500", "502", "503", "529", "408", "409", "reset", "cut", "html", "garbage", "truncated",
    "wrong-schema", "list", "empty", "200-error", "overloaded-inside",
]  # fmt: skip
SLOW = ["timeout", "drip"]
FATAL = ["429-spend", "429-forever", "400", "401", "402", "403", "404", "301"]


class Clock:
    """Sleeps that take no time, and chance that is always the same."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def patience(self, calls: int = 6) -> Patience:
        return Patience(calls=calls, sleep=self.slept.append, random=lambda: 0.0)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_API_KEY", "OPENAI_ORG_ID", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def section(provider: Who, api: FakeApi | None = None, **more: Any) -> EndpointSection:
    tail = "/v1" if provider != "ollama" else ""
    url = {} if api is None else {"base_url": api.address + tail}
    return EndpointSection(
        model="m", provider=provider, **({"key": "TEST_KEY", "timeout_s": 5.0} | url | more)
    )


def opened(provider: Who, api: FakeApi, clock: Clock, calls: int = 6, **more: Any) -> ApiEndpoint:
    return endpoint_for(section(provider, api, **more), clock.patience(calls))


def ask(endpoint: ApiEndpoint, request: Request = ASKED) -> Reply:
    try:
        return endpoint.ask(request)
    finally:
        endpoint.close()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reply_comes_with_its_text_times_tokens_and_model(provider: Who, clock: Clock) -> None:
    with FakeApi(piece_s=0.005) as api:
        reply = ask(opened(provider, api, clock))
    assert (reply.text, reply.finish, reply.attempts, reply.error) == ("MIT LICENSE, PLEASE", "stop", 1, "")
    assert (reply.prompt_tokens, reply.output_tokens) == (5, 6)
    counted = (reply.cached_tokens, reply.reasoning_tokens)
    assert counted == ((0, 0) if provider == "ollama" else (2, 1))
    assert reply.model == "m-2026-01-01"
    assert reply.prompt_sha256 == ASKED.sha256 and reply.item_id == "i1"
    assert datetime.datetime.fromisoformat(reply.at).utcoffset() == datetime.timedelta(0)
    assert reply.ms is not None and reply.first_ms is not None
    # Five pieces of 5 ms each: the first is long there when the last one comes.
    assert 0 < reply.first_ms <= reply.ms - 15
    assert clock.slept == []


def test_the_first_text_counts_and_not_the_first_event(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1, 99))
    monkeypatch.setattr(asking, "seconds", lambda: float(next(ticks)))
    pieces = [Piece(""), Piece(model="m"), Piece("a"), Piece("b"), Piece(finish="stop")]
    heard = asking._listen(iter(pieces), 0.0)
    # The clock ticks once for the first text and once at the end.
    assert (heard.text, heard.first_ms, heard.ms) == ("ab", 1000.0, 2000.0)
    assert asking._listen(iter([Piece("", finish="stop")]), 0.0).first_ms is None


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", MENDED)
def test_what_another_call_can_mend_is_mended_and_gives_one_reply(
    provider: Who, fault: str, clock: Clock
) -> None:
    with FakeApi(faults=[fault, fault]) as api:
        reply = ask(opened(provider, api, clock))
    assert (reply.text, reply.finish, reply.attempts) == ("MIT LICENSE, PLEASE", "stop", 3)
    assert len(api.requests) == 3 and len(clock.slept) == 2
    assert all(seen.body == api.requests[0].body for seen in api.requests)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", SLOW)
def test_a_reply_that_takes_too_long_is_asked_for_again(provider: Who, fault: str, clock: Clock) -> None:
    with FakeApi(faults=[fault]) as api:
        began = time.monotonic()
        reply = ask(opened(provider, api, clock, timeout_s=0.3))
        # The server itself would give up after five seconds.
        assert time.monotonic() - began < 3
    assert (reply.text, reply.attempts) == ("MIT LICENSE, PLEASE", 2)
    # The time of the call that brought the reply, not of the one before it.
    assert reply.ms is not None and reply.ms < 250


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "fault", ["429", "500", "cut", "html", "truncated", "wrong-schema", "empty", "200-error"]
)
def test_what_never_mends_ends_as_failed_after_the_whole_budget(
    provider: Who, fault: str, clock: Clock
) -> None:
    with FakeApi(faults=[fault] * 9) as api:
        reply = ask(opened(provider, api, clock, calls=4))
    assert (reply.text, reply.finish, reply.attempts, reply.ms) == ("", "failed", 4, None)
    assert reply.error and len(api.requests) == 4 and len(clock.slept) == 3
    if provider != "ollama" and fault in ("html", "200-error"):
        assert {"html": "502 Bad Gateway", "200-error": "Sorry"}[fault] in reply.error


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", FATAL)
def test_what_no_call_can_mend_is_asked_exactly_once_and_stops(
    provider: Who, fault: str, clock: Clock
) -> None:
    with FakeApi(faults=[fault] * 9) as api, pytest.raises(OutsideFailed) as stopped:
        ask(opened(provider, api, clock))
    assert len(api.requests) == 1 and clock.slept == []
    assert stopped.value.remedy
    assert KEY not in str(stopped.value)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_spend_limit_told_inside_a_stream_stops_too(provider: Who, clock: Clock) -> None:
    with FakeApi(faults=["spend-inside"] * 9) as api, pytest.raises(OutsideFailed, match="spend limit"):
        ask(opened(provider, api, clock))
    assert len(api.requests) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_said_about_this_item_alone_is_its_reply(provider: Who, clock: Clock) -> None:
    with FakeApi(faults=["400-filter", "400-long", "length", "nothing"]) as api:
        endpoint = opened(provider, api, clock)
        replies = [endpoint.ask(ASKED) for _ in range(4)]
        endpoint.close()
    assert [r.finish for r in replies] == ["refused", "length", "length", "stop"]
    assert [r.text for r in replies] == ["", "", "MIT LICENSE, PLEASE", ""]
    assert [r.attempts for r in replies] == [1, 1, 1, 1] and clock.slept == []
    assert replies[3].first_ms is None and replies[3].ms is not None


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_refusal_is_a_reply(provider: Who, clock: Clock) -> None:
    with FakeApi(faults=["refusal"]) as api:
        reply = ask(opened(provider, api, clock))
    assert (reply.finish, reply.attempts) == ("refused", 1)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wished_wait_is_a_minimum_and_a_longer_backoff_stays(provider: Who, clock: Clock) -> None:
    with FakeApi(faults=["429"] * 5, retry_after="7") as api:
        reply = ask(opened(provider, api, clock))
    assert reply.attempts == 6
    # Half of 1, 2, 4, 8, 16 s; never under the 7 s of the API.
    assert clock.slept == [7, 7, 7, 7, 8]


def test_without_a_wish_the_waits_double_and_vary() -> None:
    low, high = Patience(random=lambda: 0.0), Patience(random=lambda: 1.0)
    assert [low.wait_s(n, None) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [high.wait_s(n, None) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_retry_after_is_read_in_all_its_forms() -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    date = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert retry_after({"retry-after": "3"}) == 3
    assert retry_after({"retry-after-ms": "250", "retry-after": "3"}) == 0.25
    assert 80 < (retry_after({"retry-after": date}) or 0) <= 90
    assert [retry_after({"retry-after": bad}) for bad in ("soon", "-1", "nan", "")] == [None] * 4
    assert retry_after({}) is None
    assert retry_after({}, [{"error": {"details": [{"retryDelay": "31.5s"}]}}]) == 31.5


@pytest.mark.parametrize(
    ("failed", "action"),
    [
        (Failed("You exceeded your current quota, please check your plan and billing details.", 429), "stop"),
        (Failed("organization_spend_limit_exceeded", 429), "stop"),
        (Failed("credit_balance_exhausted", 429), "stop"),
        (Failed("Your credit balance is too low to access the Anthropic API.", 400), "stop"),
        (Failed("You exceeded your current quota, please check your plan and billing", 429, 31.0), "again"),
        (Failed("enforced_spend_limit_reached", 429, 31.0), "stop"),
        (Failed("Resource has been exhausted (e.g. check quota).", 429, 2.0), "again"),
        (Failed("Rate limit reached for gpt-x on tokens per min", 429), "again"),
        (Failed("prompt is too long: 250000 tokens > 200000 maximum", 400), "too long"),
        (Failed("the request exceeds the available context size", 400), "too long"),
        (Failed("Output blocked by content filtering policy", 400), "refused"),
        (Failed("peer closed connection"), "again"),
        (Failed("", 504), "again"),
        (Failed("", 422), "stop"),
    ],
)
def test_the_words_of_real_apis_fall_into_their_class(failed: Failed, action: str) -> None:
    assert action_of(failed) == action


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nothing_at_the_address_stops_with_the_address(provider: Who, clock: Clock) -> None:
    with FakeApi() as api:
        closed = section(provider, api)
    with pytest.raises(OutsideFailed, match="base_url"):
        ask(endpoint_for(closed, clock.patience(3)))
    assert len(clock.slept) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_server_that_went_away_later_fails_the_item_and_not_the_run(provider: Who, clock: Clock) -> None:
    with FakeApi() as api:
        endpoint = opened(provider, api, clock, calls=2)
        assert endpoint.ask(ASKED).finish == "stop"
    reply = ask(endpoint)
    assert (reply.finish, reply.attempts) == ("failed", 2)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_schema_temperature_and_limit_are_in_what_is_sent(provider: Who, clock: Clock) -> None:
    with FakeApi() as api:
        ask(opened(provider, api, clock, temperature=0.25), WITH_SCHEMA)
        ask(opened(provider, api, clock, temperature=None))
    sent, bare = api.requests[0].body, api.requests[1].body
    # The SDKs tell the limit that they keep; five seconds are httpx's default, which they take for none.
    assert float(api.requests[0].headers.get("x-stainless-read-timeout", 5)) == 5
    assert sent["stream"] is True and sent["model"] == "m"
    if provider == "openai":
        form = {"name": "answer", "strict": True, "schema": SCHEMA}
        assert sent["response_format"] == {"type": "json_schema", "json_schema": form}
        assert (sent["temperature"], sent["max_tokens"]) == (0.25, 64)
        assert sent["stream_options"] == {"include_usage": True}
        assert sent["messages"] == list(ASKED.messages)
    elif provider == "anthropic":
        assert sent["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
        assert (sent["temperature"], sent["max_tokens"], sent["system"]) == (0.25, 64, "Shout it.")
        assert sent["messages"] == [ASKED.messages[1]]
    else:
        assert sent["format"] == SCHEMA
        assert sent["options"] == {"temperature": 0.25, "num_predict": 64, "seed": 0}
        assert (sent["keep_alive"], sent["think"]) == (-1, False)
    assert "temperature" not in str(bare)
    assert not {"response_format", "output_config", "format"} & set(bare)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_reasoning_effort_is_sent_where_it_is_set(provider: Who, clock: Clock) -> None:
    with FakeApi() as api:
        ask(opened(provider, api, clock, reasoning_effort="low"))
    sent = api.requests[0].body
    assert (
        sent.get("reasoning_effort") or sent.get("output_config", {}).get("effort") or sent["think"]
    ) == "low"


@pytest.mark.parametrize(
    ("provider", "refused", "request_", "calls"),
    [
        ("openai", ["temperature"], ASKED, 2),
        ("openai", ["max_tokens"], ASKED, 2),
        ("openai", ["stream_options"], ASKED, 2),
        ("openai", ["strict"], WITH_SCHEMA, 2),
        ("openai", ["max_tokens", "temperature", "strict"], WITH_SCHEMA, 4),
        ("anthropic", ["temperature"], ASKED, 2),
        ("anthropic", ["maxLength"], WITH_SCHEMA, 2),
        ("ollama", ["think"], ASKED, 2),
    ],
)
def test_a_refused_parameter_is_adjusted_once_and_remembered(
    provider: Who, refused: list[str], request_: Request, calls: int, clock: Clock
) -> None:
    with FakeApi(refuses=refused) as api:
        endpoint = opened(provider, api, clock)
        first, second = endpoint.ask(request_), endpoint.ask(request_)
        notes = endpoint.notes
        endpoint.close()
    assert (first.finish, first.attempts, second.attempts) == ("stop", calls, 1)
    assert len(notes) == len(refused) and clock.slept == []
    assert len(api.requests) == calls + 1


def test_a_parameter_that_is_refused_under_both_names_stops(clock: Clock) -> None:
    api = FakeApi(refuses=["max_tokens", "max_completion_tokens"])
    with api, pytest.raises(OutsideFailed, match="max_completion_tokens"):
        ask(opened("openai", api, clock))
    assert len(api.requests) == 2


def test_openai_itself_gets_the_newer_name_of_the_limit() -> None:
    from tuneproof.outside.endpoints.openai_endpoint import _body

    own = _body(section("openai"), ASKED, frozenset(), own=True)
    assert own["max_completion_tokens"] == 64 and "max_tokens" not in own


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["500", "401", "400-filter"])
def test_a_key_that_the_server_says_back_gets_nowhere(provider: Who, fault: str, clock: Clock) -> None:
    said = ""
    with FakeApi(answer=lambda _: f"your key is {KEY}", faults=[fault] * 3 + ["ok"]) as api:
        endpoint = opened(provider, api, clock, calls=3)
        try:
            said += endpoint.ask(ASKED).model_dump_json() + endpoint.ask(ASKED).model_dump_json()
        except OutsideFailed as stopped:
            said += f"{stopped} {stopped!r} {stopped.__cause__!r}"
        said += f"{endpoint.name} {endpoint.notes}"
        api.faults = []
        said += endpoint.ask(ASKED).model_dump_json()
        endpoint.close()
    # It was sent, and it was said back.
    assert KEY in str(api.requests[0].headers) and "***" in said
    assert KEY not in said


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_server_of_ones_own_gets_no_key_of_the_environment(
    provider: Who, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_API_KEY", "OPENAI_ORG_ID"):
        monkeypatch.setenv(name, KEY)
    with FakeApi() as api:
        ask(opened(provider, api, clock, key=None))
    headers = api.requests[0].headers
    assert KEY not in str(headers)
    assert not {"authorization", "x-api-key", "openai-organization"} & set(headers)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    provider: Who, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with FakeApi() as api:
        assert ask(opened(provider, api, clock)).finish == "stop"


@pytest.mark.parametrize(
    ("provider", "name"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")]
)
def test_a_missing_key_names_its_variable_and_the_way_without(provider: Who, name: str) -> None:
    with pytest.raises(NotReady, match=f"(?s){name}.*export {name}=.*--export frontier"):
        endpoint_for(section(provider, key=None))


def test_a_key_with_a_line_break_inside_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "secret-one\nsecret-two")
    with pytest.raises(NotReady) as stopped:
        endpoint_for(section("openai"))
    assert "secret" not in str(stopped.value)


def test_missing_sdks_say_the_command_that_adds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(part: str) -> None:
        raise MissingPart("openai", remedy=f'pip install "tuneproof[{part}]"')

    monkeypatch.setattr(endpoints, "require", absent)
    with pytest.raises(MissingPart, match=r"tuneproof\[api\]"):
        endpoint_for(section("openai"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_the_named_providers_sdk_is_imported(provider: Who) -> None:
    code = f"""
import sys
import time
from tuneproof.outside.endpoints import endpoint_for
from tuneproof.artifacts.case import ComparisonSection
from tuneproof.artifacts.endpoints import EndpointSection
assert not {{"openai", "anthropic", "ollama"}} & set(sys.modules)
endpoint_for(EndpointSection(model="m", provider="{provider}", base_url="http://127.0.0.1:9"))
print(*sorted({{"openai", "anthropic", "ollama"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == provider


@pytest.mark.parametrize("provider", PROVIDERS)
def test_many_threads_get_each_their_own_reply(provider: Who, clock: Clock) -> None:
    texts = [f"text number {n}" for n in range(40)]
    asked = [ASKED._replace(item_id=text, messages=({"role": "user", "content": text},)) for text in texts]
    with FakeApi(faults=["500", "ok", "429", "cut"] * 5) as api:
        # More calls than there are faults: whichever thread meets them all still gets its reply.
        endpoint = opened(provider, api, clock, calls=21)
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(endpoint.ask, asked))
        endpoint.close()
    assert [(r.item_id, r.text) for r in replies] == [(text, text.upper()) for text in texts]
    assert sum(r.attempts for r in replies) == len(api.requests) == 40 + 15


def test_the_yaml_of_the_page_is_understood() -> None:
    page = (Path(__file__).parents[1] / "docs" / "endpoints.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    read = [ComparisonSection.model_validate(yaml.safe_load(block)["comparison"]) for block in blocks]
    fronts = [(one.frontier.provider, one.frontier.key_name) for one in read if one.frontier]
    assert fronts == [
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("openai", "OPENROUTER_API_KEY"),
    ]
    keys = [(one.name, one.key_name) for one in read[2].endpoints]
    assert keys == [("gemini", "GEMINI_API_KEY"), ("vllm", None), ("llama-server", None), ("ollama", None)]


def test_names_say_the_host_and_never_a_password() -> None:
    with_password = section("openai", base_url="https://me:pw@router.example:8443/v1")
    endpoint = endpoint_for(with_password)
    assert endpoint.name == "OpenAI-compatible API at router.example:8443"
    endpoint.close()
    assert host_of("https://api.openai.com/v1") == "api.openai.com"
    assert [is_loopback(f"http://{h}/") for h in ("localhost", "127.0.0.9:1", "[::1]:80", "a.localhost")] == [
        True
    ] * 4
    assert not is_loopback("http://10.0.0.1/") and not is_loopback("https://localhost.example.com/")
