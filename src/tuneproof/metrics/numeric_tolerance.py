"""Reply × expected output → 1 if both are one number and near enough to each other, else 0.

What is read as a number: an optional sign (`+`, `-` or `−`), digits, an optional point with decimals, an
optional exponent of up to three digits (`1.5e-3`). Thousands may be grouped by threes, all by a comma or all
by a space (also the no-break and the narrow one): `1,234.5`, `1 234.5`. Nothing else: no decimal comma, no
unit, no `%`, no currency and no word beside it, since each could mean another number than the one compared.
"""

from __future__ import annotations

import re
import statistics
from decimal import Decimal

from tuneproof.artifacts import Figure
from tuneproof.metrics.base import Grade, Metric, Options, Texts

LARGEST = Decimal("1e100")
"""Numbers beyond it, on either side of zero, are not read."""
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+|[0-9]{1,3}(?P<group>[, ])[0-9]{3}(?:(?P=group)[0-9]{3})*)"
    r"(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
)
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-"})


def _number(text: str) -> Decimal | None:
    plain = text.strip().translate(_SPACES)
    if not _NUMBER.fullmatch(plain):
        return None
    number = Decimal(plain.replace(",", "").replace(" ", ""))
    return number if abs(number) <= LARGEST else None


def _grade(reply: str, expected: str, options: Options) -> Grade:
    number, wanted = _number(reply), _number(expected)
    if number is None or wanted is None:
        return Grade(0.0, parsed=number is not None)
    # In decimals, so that 1.1 is within 0.1 of 1.0, as everyone expects.
    absolute, relative = (
        Decimal(repr(tolerance))
        for tolerance in (options.section.tolerance, options.section.relative_tolerance)
    )
    return Grade(float(abs(number - wanted) <= max(absolute, relative * abs(wanted))))


def _problem(expected: str, _options: Options) -> str:
    return "" if _number(expected) is not None else "is not one plain number such as 1234.5 or 1,234.5"


def _figures(texts: Texts, _options: Options) -> tuple[Figure, ...]:
    """The median, because one absurd reply would be the whole mean."""
    pairs = [(_number(reply), _number(expected)) for reply, expected in texts]
    errors = [abs(a - b) for a, b in pairs if a is not None and b is not None]
    if not errors:
        return ()
    name = "median absolute error of replies that are a number"
    return (Figure(name=name, value=float(statistics.median(errors)), n=len(errors)),)


NUMERIC_TOLERANCE = Metric(
    "numeric tolerance", _grade, all_right="within tolerance", problem=_problem, figures=_figures
)
