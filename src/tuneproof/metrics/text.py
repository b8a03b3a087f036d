"""A text → the form in which two texts are compared: white space folded, and what the task declares."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

# Marks of Latin, Greek and Cyrillic; the vowel signs of other scripts are letters, not accents.
_ACCENTS = re.compile("[\u0300-\u036f]")
_MEANINGFUL = frozenset("%‰#@&")
_BEFORE_A_DIGIT = frozenset(".,:/-")


def normalise(text: str) -> str:
    """Strip the ends and fold runs of white space; case and punctuation count."""
    return " ".join(text.split())


def folded(text: str, rules: Sequence[str]) -> str:
    """Normalise, then drop the differences that `scoring.normalise` declares to be none.

    Args:
        text: any text.
        rules: `unicode` (NFKC), `case` (full case folding), `accents` (combining marks U+0300 to U+036F) and
            `punctuation`, in any order; they are always applied in this one.
    """
    if "unicode" in rules:
        text = unicodedata.normalize("NFKC", text)
    if "case" in rules:
        text = text.casefold()
    if "accents" in rules:
        text = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))
    if "punctuation" in rules:
        text = _without_punctuation(text)
    return normalise(text)


def _without_punctuation(text: str) -> str:
    """Put a space for every mark, so that words stay apart; `-5`, `3.5`, `5 %` and `C#` keep theirs."""
    return "".join(
        " " if _is_mark(mark) and not (mark in _BEFORE_A_DIGIT and after.isdigit()) else mark
        for mark, after in pairwise(f"{text} ")
    )


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("P") and character not in _MEANINGFUL
