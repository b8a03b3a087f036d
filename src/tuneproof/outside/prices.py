"""A model behind an API → its dated list price, from task.yaml or from the list inside genai-prices.

The list is the one that the installed package carries. Nothing is fetched: a report made again on the same
day with the same lock names the same price.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from tuneproof.artifacts import EndpointSection, NamedEndpoint, Price, PriceUsed

BATCH = {"processing": "batch"}
"""How genai-prices is asked for the price of a batch; where it knows none, it gives the standard price."""
FRONTIER_KEY = "comparison.frontier.price"
"""Key of task.yaml that the sentences of `price_of` name, unless the endpoint has a name of its own."""
OWN_NAMES = (".local", ".localhost", ".internal", ".lan", ".home.arpa")
NOT_BY_THE_TOKEN = {"requests_kcount": "every request", "output_reasoning_mtok": "reasoning tokens"}
"""What a few models bill apart, and a `Price` cannot hold."""


def price_of(section: EndpointSection, at: datetime) -> PriceUsed | str:
    """Look up what a million tokens of this model cost.

    Args:
        section: the endpoint; its own `price` wins over every list.
        at: when the calls were made; a time without a zone is UTC.

    Returns:
        The price with its source, or one sentence why there is none and which key of task.yaml gives it.
        An unknown price is never 0.
    """
    if section.price is not None:
        return PriceUsed(model=section.model, price=section.price, source="task.yaml")
    host = _host(section)
    if host is not None and is_own_host(host):
        return (
            f"{section.model} answers on a server of your own ({host}), where no token has a price; "
            f"to count it as a paid model, write {_key(section)}."
        )
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    listed = _listed(section, at)
    if isinstance(listed, str):
        return f"{listed}; write {_key(section)}."
    return _used(section, at, *listed)


def is_own_host(host: str) -> bool:
    """Whether a host name or address is this machine or a private network; asks no name server."""
    host = host.lower().rstrip(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        # A name without a dot is resolved inside one's own network: `localhost`, a container, a neighbour.
        return "." not in host or host.endswith(OWN_NAMES)


def _listed(section: EndpointSection, at: datetime) -> tuple[Any, Any] | str:
    """Return the standard and the batch calculation of genai-prices, or why there is no price."""
    from genai_prices import Usage
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    # Not `calc_price`: that one reads prices that another library in this process may have downloaded.
    snapshot = DataSnapshot(providers=providers, from_auto_update=False)
    provider_id = None if section.base_url else section.provider
    address = _address(section.base_url) if section.base_url else None
    try:
        snapshot.find_provider(None, provider_id, address)
    except LookupError:
        return f"{_source()} lists no provider at {_host(section) or section.provider}"
    asked = (Usage(input_tokens=1, output_tokens=1), section.model, provider_id, address, at)
    try:
        standard, batch = snapshot.calc(*asked), snapshot.calc(*asked, BATCH)
    except LookupError:
        return f"{_source()} lists no model {section.model} of {_host(section) or section.provider}"
    prices = standard.model_price
    if prices.input_mtok is None or prices.output_mtok is None:
        return f"{_source()} lists no price by the token for {section.model}"
    for key, what in NOT_BY_THE_TOKEN.items():
        if getattr(prices, key, None):
            return f"{section.model} bills {what} apart, which a price by the token does not hold"
    return standard, batch


def _used(section: EndpointSection, at: datetime, standard: Any, batch: Any) -> PriceUsed:
    prices = standard.model_price
    price = Price(
        input_mtok=float(_short(prices.input_mtok)),
        output_mtok=float(_short(prices.output_mtok)),
        cache_read_mtok=_optional(prices.cache_read_mtok),
        cache_write_mtok=_optional(prices.cache_write_mtok),
        batch_discount=_discount(prices, batch.model_price),
    )
    # The list matches names loosely, so the reader is told which of its models was meant.
    named = f"{_source()}, prices of {at:%Y-%m-%d} for {standard.provider.id} {standard.model.id}"
    return PriceUsed(model=section.model, price=price, source=named + _conditions(standard, at))


def _conditions(standard: Any, at: datetime) -> str:
    """Say which of several listed prices was taken."""
    prices, said = standard.model_price, ""
    tiered = (prices.input_mtok, prices.output_mtok, prices.cache_read_mtok)
    starts = [tier.start for value in tiered for tier in getattr(value, "tiers", ())]
    if starts:
        said += f"; of prompts up to {min(starts):,} tokens, longer ones cost more"
    listed = standard.model.prices
    constraints = [entry.constraint for entry in listed] if isinstance(listed, list) else []
    if any(hasattr(constraint, "start_time") for constraint in constraints):
        said += f"; they change within the day, these are those of {at:%H:%M} UTC"
    return said


def _discount(standard: Any, batch: Any) -> float | None:
    """Share that a batch saves; the smaller one where prompt and reply differ, so it is not overstated."""
    shares = [
        1 - _short(getattr(batch, key)) / _short(getattr(standard, key))
        for key in ("input_mtok", "output_mtok")
        if _short(getattr(standard, key)) > 0
    ]
    # Equal prices are what genai-prices answers where it knows no batch.
    return float(min(shares)) if shares and 0 < min(shares) < 1 else None


def _short(value: Any) -> Any:
    """Return the price of short prompts: the base of a tiered price."""
    return getattr(value, "base", value)


def _optional(value: Any) -> float | None:
    return None if value is None else float(_short(value))


def _source() -> str:
    import genai_prices

    return f"genai-prices {genai_prices.__version__}"


def _key(section: EndpointSection) -> str:
    if isinstance(section, NamedEndpoint):
        return f"`price` of `{section.name}` under comparison.endpoints"
    return FRONTIER_KEY


def _host(section: EndpointSection) -> str | None:
    """Host of the server; never the whole address, which may hold a password."""
    if section.base_url is None:
        return "localhost" if section.provider == "ollama" else None
    try:
        return urlsplit(section.base_url).hostname or "an address without a host"
    except ValueError:
        return "an address that cannot be read"


def _address(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
