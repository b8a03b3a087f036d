"""Reply × expected → Score: the only place that says what counts as correct."""

from __future__ import annotations

import re

from tuneproof.artifacts import Reply, Score


def normalise(text: str) -> str:
    """Strip the ends and fold runs of white space; case and punctuation count."""
    return " ".join(text.split())


def score(reply: Reply, expected: str, *, answer_pattern: str) -> Score:
    """Score one reply by exact match after `normalise`.

    A reply that the token limit cut, that is empty, or that does not match `answer_pattern` in full
    is a parse failure; whether it is correct is still decided by the text alone.
    """
    text = normalise(reply.text)
    well_formed = reply.finish == "stop" and re.fullmatch(answer_pattern, text) is not None
    return Score(
        item_id=reply.item_id, correct=text == normalise(expected), parse_failure=not text or not well_formed
    )
