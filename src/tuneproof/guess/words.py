"""Columns, metric and the form of the outputs → drafts of the words that a person must rewrite."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tuneproof.guess.metric import MetricGuess

_LONGEST_EXAMPLE = 60
"""Characters of an output that is quoted in the drafted prompt."""
_COMMON = 5
"""Times that an output must occur to be quoted there."""
_SAYS_NOTHING = frozenset(
    {"output", "completion", "expected", "target", "answer", "response", "result", "reply", "gold", "truth"}
    | {"json", "label", "labels", "expected output", "assistant"}
)
"""Names of columns that do not say what the outputs are."""
_NAME = 64
"""Characters of a name."""


def slug(text: str) -> str:
    """Turn any text into a name that task.yaml takes: lower-case letters, digits, dots, hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._]+", "-", plain).lstrip("-._")[:_NAME].rstrip("-._") or "task"


def input_phrase(column: str | None) -> str:
    """Draft task.input."""
    return f"a text (column `{column}`)" if column else "a text (what the user says)"


def output_phrase(column: str | None, guess: MetricGuess) -> str:
    """Draft task.output."""
    labels = len(_option(guess, "labels") or ())
    what = {
        "json fields": "a JSON object",
        "labelled lines": "lines of the form `Label: value`",
        "label accuracy": f"one of {labels} labels",
        "numeric tolerance": "a number",
        "set match": "a list of names",
        "exact match": "a short text",
    }.get(guess.metric, "a text")
    return f"{what} (column `{column}`)" if column else f"{what} (what the assistant answers)"


def system_prompt(guess: MetricGuess, outputs: Sequence[str], column: str | None) -> str:
    """Draft the system prompt from the metric, the column of the outputs, and the form that outputs share.

    No output of a single pair is quoted: it could be one of the test, and the prompt is part of every arm.
    """
    what = " ".join(re.findall(r"[^\W_]+", column or "")).lower()
    thing = f"the {what} of this text" if what and what not in _SAYS_NOTHING else "the expected output"
    order = {
        "json fields": f"Answer with one JSON object{_keys(guess)} and nothing else",
        "labelled lines": f"Answer with lines of the form `Label: value` and nothing else{_lines(outputs)}",
        "label accuracy": f"Answer with one of these labels and nothing else: {_labels(guess)}",
        "numeric tolerance": f"Answer with {thing}, as one number and nothing else",
        "set match": f"Answer with the names that apply, separated by `{_option(guess, 'separator')}`, and "
        "nothing else",
    }.get(guess.metric, f"Answer with {thing} and nothing else")
    common = _common(outputs) if guess.metric in {"set match", "exact match"} else []
    if common:
        return f"{order}, for example {' or '.join(common)}"
    return order if order.endswith("…") else f"{order}."


def _common(outputs: Sequence[str]) -> list[str]:
    """Take the commonest outputs: they belong to the scheme, and to no single pair."""
    counts = Counter(" ".join(text.split()) for text in outputs)
    often = [text for text, times in counts.items() if times >= _COMMON and 0 < len(text) <= _LONGEST_EXAMPLE]
    return sorted(often, key=lambda text: (-counts[text], text))[:2]


def _lines(outputs: Sequence[str]) -> str:
    """Return the labels that outputs begin their lines with, in the commonest order."""
    orders = Counter(
        tuple(line.partition(":")[0].strip() for line in text.splitlines() if ":" in line) for text in outputs
    )
    labels, times = max(orders.items(), key=lambda item: (item[1], item[0]), default=((), 0))
    if times < _COMMON or not labels:
        return ""
    return ":\n\n" + "\n".join(f"{label}: …" for label in labels)


def _keys(guess: MetricGuess) -> str:
    schema = _option(guess, "json_schema")
    keys = list(schema.get("properties", {})) if isinstance(schema, dict) else []
    if not keys or len(keys) > 20:
        return ""
    return f" with the keys {', '.join(json.dumps(key, ensure_ascii=False) for key in keys)}"


def _labels(guess: MetricGuess) -> str:
    return ", ".join(_option(guess, "labels") or ())


def _option(guess: MetricGuess, name: str) -> Any:
    return next((value for option, value, _ in guess.scoring if option == name), None)
