"""The lengths of all pairs → sizes of the split, of training, of the prompt and of a reply.

No tokenizer is loaded: a token has about 3.5 bytes of English. What must not be too small (the longest
reply, the longest prompt) is estimated from above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

CPU_TOKENS_PER_S = 250
"""Training speed of the default base on 2 cores, rounded."""
CPU_MINUTES = 10
EPOCHS = 3
FEWEST_TEST, FEWEST_DEV, FEWEST_TRAIN = 50, 20, 50
MOST_REPLY_TOKENS = 1024
CONTEXT, LONG_CONTEXT = 4096, 8192
"""Tokens of a prompt and its reply; the default base knows no more than the second."""
TEMPLATE_TOKENS = 20
"""Marks that the chat template puts around system prompt, input and reply."""


class Sized(NamedTuple):
    """A number and what it rests on."""

    value: int | None
    why: str


class Split(NamedTuple):
    """Sizes in pairs; `notes` says what is missing."""

    test: Sized
    dev: Sized
    train: int
    """Pairs that are left for training."""
    notes: tuple[str, ...] = ()


def split_sizes(n: int) -> Split:
    """Divide `n` pairs: a fifth to the test, 100 to 200 but never above a third; a tenth to dev."""
    test = max(FEWEST_TEST, min(200, max(100, n // 5), n // 3))
    dev = min(100, max(FEWEST_DEV, n // 10))
    needed = FEWEST_TEST + FEWEST_DEV + FEWEST_TRAIN
    notes = (
        (
            f"TOO FEW: {n:,} pairs; at least {needed} are needed ({FEWEST_TEST} test, {FEWEST_DEV} dev, "
            f"{FEWEST_TRAIN} train), which is {needed - n:,} more.",
        )
        if n < needed
        else ()
    )
    share = f"{test / n:.0%} of {n:,} pairs" if test < n else f"the least that can be judged; {n:,} pairs"
    return Split(Sized(test, share), Sized(dev, "a tenth, 20 to 100"), max(0, n - test - dev), notes)


def reply_tokens(outputs: Sequence[str]) -> tuple[Sized, tuple[str, ...]]:
    """Bound the tokens of the longest output from above, in steps of 8."""
    longest = max(map(_most_tokens, outputs))
    wanted = math.ceil((longest + 8) / 8) * 8
    length = max(map(len, outputs))
    notes = (
        (
            f"The longest output has {length:,} characters, which may be more than {MOST_REPLY_TOKENS:,} "
            "tokens: longer replies are cut. Raise task.max_new_tokens, or leave such pairs out.",
        )
        if wanted > MOST_REPLY_TOKENS
        else ()
    )
    why = f"an upper bound for the longest output ({length:,} characters; a token has about 2 to 4)"
    return Sized(min(wanted, MOST_REPLY_TOKENS), why), notes


def training_size(pairs: Sequence[tuple[str, str]], system_prompt: str, train: int) -> tuple[Sized, Sized]:
    """Choose rows and epochs that 2 cores train in about ten minutes; None rows are all of them.

    Args:
        pairs: (input, output) of every pair.
        system_prompt: trained with every pair.
        train: pairs that are left for training after the split.
    """
    mean = (
        sum(_tokens(i) + _tokens(o) for i, o in pairs) / len(pairs) + _tokens(system_prompt) + TEMPLATE_TOKENS
    )
    budget = CPU_MINUTES * 60 * CPU_TOKENS_PER_S
    speed = f"about {mean:,.0f} tokens a pair, {CPU_TOKENS_PER_S} tokens/s on 2 cores"
    if train <= 0:
        return Sized(None, "no pair is left for training"), Sized(EPOCHS, "default")
    for epochs in (EPOCHS, 2):
        if train * mean * epochs <= budget:
            minutes = max(1, math.ceil(train * mean * epochs / CPU_TOKENS_PER_S / 60))
            why = f"all {train:,} training pairs take about {minutes} min ({speed})"
            return Sized(None, why), Sized(epochs, why)
    rows = max(8, int(budget / 2 / mean) // 8 * 8)
    why = f"what 2 cores train in about {CPU_MINUTES} min, of {train:,} ({speed}); on a GPU take null"
    return Sized(rows, why), Sized(2, "with 2 epochs the same time covers fewer pairs, each seen twice")


def shots_and_context(
    pairs: Sequence[tuple[str, str]], system_prompt: str, *, reply: int, train: int
) -> tuple[tuple[tuple[int, ...], str], Sized, tuple[str, ...]]:
    """Choose numbers of examples that fit into the context with the longest pair, and the context.

    Args:
        pairs: (input, output) of every pair.
        system_prompt: sent before the examples.
        reply: tokens kept for the reply.
        train: pairs that examples can be taken from.
    """
    fixed = _prompt_tokens(system_prompt) + reply + TEMPLATE_TOKENS
    alone = fixed + max(_prompt_tokens(text) for text, _ in pairs)
    context = CONTEXT if alone <= CONTEXT else LONG_CONTEXT
    longest = max(_prompt_tokens(i) + _prompt_tokens(o) + TEMPLATE_TOKENS for i, o in pairs)
    most = min((context - alone) // longest if context > alone else 0, train)
    shots = next(
        (tried for tried in ((0, 5, 20), (0, 5, 10), (0, 5), (0, 3), (0, 1)) if tried[-1] <= most), (0,)
    )
    why = f"up to {shots[-1]} of the longest pair ({longest:,} tokens at most) fit into {context:,}"
    size = "default" if context == CONTEXT else f"the longest prompt has up to {alone:,} tokens"
    return (shots, why), Sized(context, size), _too_long(pairs, fixed, context)


def _too_long(pairs: Sequence[tuple[str, str]], fixed: int, context: int) -> tuple[str, ...]:
    count = sum(fixed + _prompt_tokens(text) > context for text, _ in pairs)
    if not count:
        return ()
    return (
        f"{count:,} of {len(pairs):,} inputs may be longer than {context:,} tokens, which is all that the "
        "default base reads: shorten them, leave them out, or choose a base with a longer context.",
    )


def _tokens(text: str) -> float:
    return len(text.encode("utf-8", "replace")) / 3.5


def _prompt_tokens(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "replace")) / 3)


def _most_tokens(text: str) -> int:
    """Count digits and bytes beyond ASCII whole, as tokenizers split them, and the rest as half a token."""
    plain = len(text.encode("ascii", "ignore"))
    digits = sum(text.count(digit) for digit in "0123456789")
    beyond = len(text.encode("utf-8", "replace")) - plain
    return digits + beyond + math.ceil((plain - digits) / 2)
