"""A request → its worst case, token counts → their cost, in whole nano-dollars; and the stop at the cap."""

from __future__ import annotations

import json
import math
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from tuneproof.artifacts import Price
from tuneproof.errors import BadInput, NotReady
from tuneproof.request import Request

NANO = 10**9
"""Nano-dollars of a dollar. Sums are of whole numbers: floats would make their order count."""
REQUEST_TOKENS = 256
"""What a server may put before any prompt: begin marks, a system message of its own (harmony's: some 70)."""
MESSAGE_TOKENS = 64
"""What a chat template may put around one message: role, begin and end marks; rarely more than 8."""
SCHEMA_TOKENS = 1024
"""What a server may say about a schema; Anthropic's own text about tools takes up to some 800."""
SCHEMA_COPIES = 2
"""A schema may be rewritten: limits that an API does not enforce are said in words in its descriptions."""


class SpendCapReached(NotReady):
    """One more call could pass the cap."""

    def __init__(self, spent: Spent, refused_usd: float, *, final: bool) -> None:
        super().__init__(
            f"The spend cap of {usd_words(spent.cap_usd)} is reached: {usd_words(spent.settled_usd)} "
            f"settled, {usd_words(spent.unsettled_usd)} reserved for {spent.unsettled:,} unsettled calls; "
            f"the next call could cost up to {usd_words(refused_usd)}.",
            remedy="Raise drafting.cap_usd in task.yaml and run the same command again, "
            "or go on with what is drafted: tuneproof review",
        )
        self.spent = spent
        self.refused_usd = refused_usd
        self.final = final
        """False: it would fit if calls that this process has on the way cost less than their worst case."""


class Spent(NamedTuple):
    """How much of a cap is used, over all runs and processes."""

    cap_usd: float
    settled_usd: float
    """True cost of the calls that brought a reply with token counts, worst case of those without counts."""
    unsettled: int
    """Calls whose cost is not known: on the way, cut, or of a process that was killed."""
    unsettled_usd: float
    """Their worst case, which counts until the end."""
    calls: int
    """Calls that were sent or about to be, failed ones among them."""
    left_usd: float
    """What new calls may cost at most; 0 where the cap is passed."""
    uncounted: int = 0
    """Settled calls without token counts; they stand at their worst case."""
    overruns: int = 0
    """Settled calls that cost more than their worst case: the API did not keep to the request's limit."""
    overrun_usd: float = 0.0
    """By how much, added up."""

    @property
    def warning(self) -> str:
        """What a person must be told, or an empty text."""
        if not self.overruns:
            return ""
        return (
            f"Calls dearer than could be foreseen: {self.overruns:,}, by {usd_words(self.overrun_usd)} "
            "together. The API counts more tokens than the request allows, so the cap may be passed."
        )


def worst_case(request: Request, price: Price) -> int:
    """Return the most that one call can cost, in nano-dollars, rounded up.

    Input: a token of a byte-level or byte-fallback tokenizer stands for one byte of the text at least, so the
    bytes of messages and schema bound the tokens; the constants above stand for what the server adds. Output:
    the limit that is sent. Both at the highest price that can apply. The exceptions are in
    docs/decisions/0023-spend-cap.md.
    """
    tokens = REQUEST_TOKENS + sum(
        MESSAGE_TOKENS + _bytes(message["role"]) + _bytes(message["content"]) for message in request.messages
    )
    if request.json_schema is not None:
        schema = json.dumps(request.json_schema, ensure_ascii=False)
        tokens += SCHEMA_TOKENS + SCHEMA_COPIES * _bytes(schema)
    of_input = max(price.input_mtok, price.cache_read_mtok or 0.0, price.cache_write_mtok or 0.0)
    return _nano(((tokens, of_input), (request.max_tokens, price.output_mtok)))


def cost_of(prompt: int, output: int, cached: int, price: Price) -> int:
    """Return what one call cost, in nano-dollars, rounded up.

    (prompt − cached) · input + cached · cache read + output · output, as in `call_costs.api_usd`; no call
    asks for a cache to be written.

    Args:
        prompt: tokens of the prompt, cached ones among them.
        output: tokens of the reply, reasoning among them.
        cached: tokens of the prompt that were read from a cache.
        price: in US dollars for a million tokens.

    Raises:
        ValueError: a negative count, or more tokens from a cache than the prompt has.
    """
    if min(prompt, output, cached) < 0 or cached > prompt:
        raise ValueError(f"no count of tokens: prompt {prompt}, of it cached {cached}, output {output}")
    cache_read = price.input_mtok if price.cache_read_mtok is None else price.cache_read_mtok
    return _nano(((prompt - cached, price.input_mtok), (cached, cache_read), (output, price.output_mtok)))


def cap_in_nano(cap_usd: float) -> int:
    """Return a cap in whole nano-dollars, rounded down; at most $4 billion, so that sums fit 64 bits.

    Raises:
        BadInput: it is negative or no finite number.
    """
    if not math.isfinite(cap_usd) or cap_usd < 0:
        raise BadInput(
            f"A spend cap of {cap_usd} dollars is no cap.",
            remedy="Write drafting.cap_usd in task.yaml: the most that drafting may cost, in US dollars.",
        )
    return min(math.floor(_exact(cap_usd) * NANO), 2**62)


def usd(nano: int) -> float:
    """Return nano-dollars as US dollars."""
    return nano / NANO


def usd_words(amount: float) -> str:
    """Write US dollars with cents, or with as many places as a small amount needs."""
    places = 2 if amount == 0 or amount >= 1 else max(2, 1 - math.floor(math.log10(amount)))
    return f"${amount:,.{places}f}"


def _nano(parts: tuple[tuple[int, float], ...]) -> int:
    # Dollars for a million tokens are thousands of nano-dollars for a token.
    return math.ceil(sum((tokens * _exact(mtok) * 1000 for tokens, mtok in parts), Fraction(0)))


def _exact(number: float) -> Fraction:
    """Return the number that a person wrote: 0.1 is a tenth, not the nearest binary fraction."""
    return Fraction(repr(float(number)))


def _bytes(text: str) -> int:
    """Count bytes in the longest form that a tokenizer may bring a text into before it cuts it."""
    forms = (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFKC", text))
    return max(len(form.encode("utf-8", errors="surrogatepass")) for form in forms)
