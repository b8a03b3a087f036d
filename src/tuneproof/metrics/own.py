"""Reply × expected output → the value that a function of the user's own returns."""

from __future__ import annotations

from numbers import Real
from typing import Any

from tuneproof.errors import BadInput
from tuneproof.metrics.base import Grade, Metric, Options


def own_metric(reference: str) -> Metric:
    """Make a metric of `module:function`; the function itself comes in `Options.own`.

    It takes (reply, expected output) and returns a number from 0 to 1, or a bool: the value of the reply.
    The mean is reported too. What the function raises is turned into `BadInput` where it is loaded.
    """

    def grade(reply: str, expected: str, options: Options) -> Grade:
        if options.own is None:
            raise ValueError(f"{reference} was not loaded: pass `own` to scorer_of")
        return Grade(_checked(options.own(reply, expected), reference, (reply, expected)))

    return Metric(reference, grade, graded=True, all_right="value 1")


def _checked(value: object, reference: str, texts: tuple[str, str]) -> float:
    number: Any = value
    if isinstance(value, Real) and 0 <= number <= 1:
        return float(number)
    reply, expected = (repr(text[:80]) for text in texts)
    raise BadInput(
        f"{reference} returned {value!r:.80} for the reply {reply} to the expected output {expected}.",
        remedy=f"Mend {reference} in the project folder: a metric returns a number from 0 to 1, or a bool.",
    )
