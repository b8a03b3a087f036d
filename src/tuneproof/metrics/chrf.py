"""Reply × expected output → chrF2, the overlap of their character n-grams, as a share of 1.

Popović (2015), chrF: character n-gram F-score for automatic MT evaluation, as sacrebleu computes it: n-grams
of 1 to 6 characters without white space, recall weighted twice as much as precision.
"""

from __future__ import annotations

from typing import Any

from tuneproof.artifacts import Figure
from tuneproof.metrics.base import Grade, Metric, Options, Texts
from tuneproof.metrics.text import folded


def _scale() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


def _grade(reply: str, expected: str, options: Options) -> Grade:
    ours, theirs = (folded(text, options.section.normalise) for text in (reply, expected))
    return Grade(min(1.0, _scale().sentence_score(ours, [theirs]).score / 100))


def _problem(expected: str, options: Options) -> str:
    return "" if folded(expected, options.section.normalise) else "is nothing after scoring.normalise"


def _figures(texts: Texts, options: Options) -> tuple[Figure, ...]:
    if not texts:
        return ()
    replies, expected = (
        [folded(text, options.section.normalise) for text in side] for side in zip(*texts, strict=True)
    )
    value = _scale().corpus_score(replies, [expected]).score / 100
    return (Figure(name="chrF2 of the whole test", value=min(1.0, value), n=len(texts)),)


CHRF = Metric("chrF", _grade, graded=True, problem=_problem, figures=_figures)
