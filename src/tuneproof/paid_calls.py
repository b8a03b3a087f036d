"""Endpoints of task.yaml → how many calls a comparison pays for, and what they cost at today's prices."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from tuneproof.artifacts import Case, PriceUsed, Split
from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.prompt_variants import Variant, rungs, variants

CHARS_A_TOKEN = 3.5
"""English text and code under the tokenizers of language models: three to four characters a token."""


class Paid(NamedTuple):
    """The calls of one endpoint, beforehand."""

    arm: str
    model: str
    calls: int
    usd: float | None
    """None: its price is not known."""
    why: str
    """Why not."""


def search_calls(shots: tuple[int, ...], dev_items: int) -> int:
    """Count the dev calls of one search for a prompt: every model has the same budget."""
    calls = done = 0
    for keep, upto in rungs(dev_items, len(variants(shots))):
        calls += keep * (upto - done)
        done = upto
    return calls


def paid_calls(
    case: Case,
    split: Split,
    price_of: Callable[[EndpointSection], PriceUsed | str],
    recorded: Collection[str],
) -> tuple[Paid, ...]:
    """Estimate what the endpoints of task.yaml will cost; recorded ones cost nothing.

    Tokens are estimated from characters and from the longest prompt variant, so the estimate is on the high
    side; reasoning tokens cannot be known and are not in it.
    """
    comparison = case.task_file.comparison
    named: dict[str, EndpointSection] = {each.name: each for each in comparison.endpoints}
    if comparison.frontier is not None:
        named = {"frontier": comparison.frontier, **named}
    return tuple(
        _paid(case, split, name, each, price_of) for name, each in named.items() if name not in recorded
    )


def _paid(
    case: Case,
    split: Split,
    name: str,
    section: EndpointSection,
    price_of: Callable[[EndpointSection], PriceUsed | str],
) -> Paid:
    comparison = case.task_file.comparison
    dev = min(len(split.dev.pairs), comparison.shots_dev_items)
    searched = 0 if section.prompt else search_calls(comparison.shots, dev)
    calls = searched + len(split.test.items) * section.repeats
    price = price_of(section)
    if isinstance(price, str):
        return Paid(name, section.model, calls, None, price)
    longest = max(variants(comparison.shots), key=lambda v: v.shots)
    tokens_in, tokens_out = _tokens(case, split, longest)
    usd = calls * (tokens_in * price.price.input_mtok + tokens_out * price.price.output_mtok) / 1e6
    return Paid(name, section.model, calls, usd, "")


def _tokens(case: Case, split: Split, variant: Variant) -> tuple[float, float]:
    """Mean tokens of a prompt with this variant's examples, and of a reply."""
    pairs = split.train.pairs
    text_in = sum(len(pair.input) for pair in pairs) / len(pairs)
    text_out = sum(len(pair.output) for pair in pairs) / len(pairs)
    system = len(case.task_file.task.system_prompt)
    prompt = system + text_in + variant.shots * (text_in + text_out)
    return prompt / CHARS_A_TOKEN, text_out / CHARS_A_TOKEN + 1
