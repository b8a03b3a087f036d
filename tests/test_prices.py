"""Prices of models behind an API: whose price is found, from where, and when there is none."""

from __future__ import annotations

import copy
import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelPrice, TieredPrices

from tuneproof.artifacts import EndpointSection, NamedEndpoint, Price, PriceUsed
from tuneproof.outside.prices import is_own_host, price_of

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VERSION = genai_prices.__version__


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a price was looked up on the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def found(section: EndpointSection, at: datetime = AT) -> PriceUsed:
    used = price_of(section, at)
    assert isinstance(used, PriceUsed), used
    return used


def listed(provider_id: str, model_id: str) -> Any:
    """The prices as the package's own data has them, read without its lookup."""
    provider = next(p for p in providers if p.id == provider_id)
    return next(m for m in provider.models if m.id == model_id).prices


@pytest.mark.parametrize(
    ("section", "provider", "expected"),
    [
        # Checked by hand against genai_prices/data.py of 0.2.3.
        (EndpointSection(model="gpt-5-mini"), "openai", (0.25, 2.0, 0.025, None)),
        (
            EndpointSection(model="claude-haiku-4-5", provider="anthropic"),
            "anthropic",
            (1.0, 5.0, 0.1, 1.25),
        ),
    ],
)
def test_two_models_have_the_prices_of_the_list(
    section: EndpointSection, provider: str, expected: tuple[float, ...]
) -> None:
    used = found(section)
    price = used.price
    assert (price.input_mtok, price.output_mtok, price.cache_read_mtok, price.cache_write_mtok) == expected
    assert price.batch_discount == 0.5
    assert used.model == section.model
    assert used.source == f"genai-prices {VERSION}, prices of 2026-11-24 for {provider} {section.model}"
    data = listed(provider, section.model)
    assert (price.input_mtok, price.output_mtok) == (float(data.input_mtok), float(data.output_mtok))


def test_the_price_in_task_yaml_wins_over_the_list() -> None:
    price = Price(input_mtok=7.0, output_mtok=9.0)
    section = EndpointSection(model="gpt-5-mini", price=price)
    assert found(section) == PriceUsed(model="gpt-5-mini", price=price, source="task.yaml")


def test_the_price_in_task_yaml_counts_for_an_own_server_too() -> None:
    price = Price(input_mtok=0.0, output_mtok=0.0)
    section = EndpointSection(model="mine", base_url="http://127.0.0.1:8000/v1", price=price)
    assert found(section).price == price


def test_a_tiered_price_is_the_one_of_short_prompts_and_says_so() -> None:
    section = EndpointSection(
        model="gemini-2.5-pro", base_url="https://generativelanguage.googleapis.com/v1beta/openai/"
    )
    data = listed("google", "gemini-2.5-pro").input_mtok
    assert isinstance(data, TieredPrices) and float(data.tiers[0].price) > float(data.base)
    used = found(section)
    assert used.price.input_mtok == float(data.base) == 1.25
    assert used.price.output_mtok == 10.0
    assert used.source.endswith(
        "google gemini-2.5-pro; of prompts up to 200,000 tokens, longer ones cost more"
    )


def test_a_price_that_changes_within_the_day_says_which_hour_it_is_of() -> None:
    section = EndpointSection(model="deepseek-chat", base_url="https://api.deepseek.com")
    assert found(section).source.endswith("; they change within the day, these are those of 12:00 UTC")


def test_the_address_names_the_provider() -> None:
    section = EndpointSection(model="openai/gpt-5-mini", base_url="https://openrouter.ai/api/v1")
    assert " for openrouter openai/gpt-5-mini" in found(section).source


def test_no_batch_price_is_no_discount_and_not_a_discount_of_zero() -> None:
    section = EndpointSection(model="openai/gpt-5-mini", base_url="https://openrouter.ai/api/v1")
    assert found(section).price.batch_discount is None
    before = datetime(2026, 10, 1, tzinfo=UTC)
    assert found(EndpointSection(model="gpt-5-mini"), before).price.batch_discount is None


def test_a_batch_that_saves_less_on_replies_is_not_overstated(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = copy.deepcopy([p for p in providers if p.id == "openai"])
    model = next(m for m in changed[0].models if m.id == "gpt-5-mini")
    batch = next(v for v in model.price_variants or () if v.when == {"processing": "batch"})
    batch.prices = ModelPrice(input_mtok=Decimal("0.125"), output_mtok=Decimal("1.5"))
    monkeypatch.setattr("genai_prices.data.providers", changed)
    assert found(EndpointSection(model="gpt-5-mini")).price.batch_discount == 0.25
    batch.prices = ModelPrice(input_mtok=Decimal("0.5"), output_mtok=Decimal("4"))
    assert found(EndpointSection(model="gpt-5-mini")).price.batch_discount is None


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (EndpointSection(model="gpt-99-xyz"), "lists no model gpt-99-xyz of openai"),
        (
            EndpointSection(model="gpt-5-mini", base_url="https://api.example.com/v1"),
            "lists no provider at api.example.com",
        ),
        (
            EndpointSection(model="gpt-5-mini", base_url="https://ann:hunter2@gate.example.com/v1"),
            "lists no provider at gate.example.com",
        ),
        (EndpointSection(model="m", base_url="https://[1::2"), "an address that cannot be read"),
        (EndpointSection(model="m", base_url="https://"), "an address without a host"),
        (EndpointSection(model="sonar", base_url="https://api.perplexity.ai"), "bills every request apart"),
    ],
)
def test_an_unknown_price_is_a_sentence_with_the_key_that_gives_it(
    section: EndpointSection, said: str
) -> None:
    answer = price_of(section, AT)
    assert isinstance(answer, str) and said in answer
    assert answer.endswith("write comparison.frontier.price.")
    assert "hunter2" not in answer


@pytest.mark.parametrize(
    "section",
    [
        EndpointSection(model="gpt-5-mini", base_url="http://127.0.0.1:8000/v1"),
        EndpointSection(model="gpt-5-mini", base_url="http://localhost:8000/v1"),
        EndpointSection(model="gpt-5-mini", base_url="http://vllm:8000/v1"),
        EndpointSection(model="gpt-5-mini", base_url="http://10.1.2.3/v1"),
        EndpointSection(model="gpt-5-mini", base_url="http://[::1]:8000/v1"),
        EndpointSection(model="llama3.2", provider="ollama"),
    ],
)
def test_a_server_of_ones_own_has_no_token_price_even_for_a_listed_name(section: EndpointSection) -> None:
    answer = price_of(section, AT)
    assert isinstance(answer, str)
    assert "a server of your own" in answer and "comparison.frontier.price" in answer


def test_another_endpoint_is_told_its_own_key() -> None:
    answer = price_of(NamedEndpoint(name="second", model="gpt-99-xyz"), AT)
    assert isinstance(answer, str) and answer.endswith(
        "write `price` of `second` under comparison.endpoints."
    )


def test_public_hosts_are_not_taken_for_ones_own() -> None:
    hosts = ("api.openai.com", "8.8.8.8", "local.example.com", "2606:4700::1111")
    assert not [host for host in hosts if is_own_host(host)]


def test_every_model_of_the_list_gives_a_price_above_nothing_or_a_sentence() -> None:
    """A package update with a new kind of price must not stop a comparison."""
    priced, unpriced = 0, 0
    for provider in (p for p in providers if p.id in {"openai", "anthropic"}):
        for model in provider.models:
            used = price_of(EndpointSection(model=model.id, provider=provider.id), AT)
            if isinstance(used, str):
                unpriced += 1
                continue
            priced += 1
            assert used.price.input_mtok > 0 and used.price.output_mtok >= 0
            assert used.price.batch_discount is None or 0 < used.price.batch_discount < 1
    assert priced > 80 and unpriced > 0


def test_a_time_without_a_zone_is_utc() -> None:
    naive = AT.replace(tzinfo=None)
    assert found(EndpointSection(model="gpt-5-mini"), naive) == found(EndpointSection(model="gpt-5-mini"))


def test_prices_that_somebody_downloaded_in_this_process_are_not_used() -> None:
    from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert found(EndpointSection(model="gpt-5-mini")).price.input_mtok == 0.25
    finally:
        set_custom_snapshot(None)
