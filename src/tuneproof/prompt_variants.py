"""Training pairs → the prompts that the base and the frontier may choose from, and what that choice costs.

Every model gets the same variants and the same dev pairs. Examples come from train alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from tuneproof.artifacts import Item, PromptTrial, SplitRow, TaskFile
from tuneproof.gbnf import ANY_TEXT, gbnf_of
from tuneproof.prompt import Message, messages_for

Style = Literal["plain", "described", "turns", "listed", "retrieved"]
Chat = Callable[[str], list[Message]]

KEEP = 2
"""Variants that answer every dev pair."""


class Variant(NamedTuple):
    """One way to prompt a model."""

    name: str
    """Style and number of examples: `turns-5`."""
    style: Style
    """`turns`: examples as finished turns; `listed`: in the system message; `described`: turns, and a
    sentence on the form of the answer; `retrieved`: the pairs nearest to each input; `plain`: none of it."""
    shots: int
    """Examples in the prompt."""


def variants(shots: Sequence[int]) -> tuple[Variant, ...]:
    """Return the variants that stand for these numbers of examples, fewest examples first.

    Without examples: plain, and described. With them: as turns and listed; the smallest number is also
    retrieved for each input, and the largest also described.
    """
    counts = sorted(set(shots))
    examples = [count for count in counts if count]
    found: list[Variant] = []
    for count in counts:
        styles: list[Style] = ["turns", "listed"] if count else ["plain"]
        styles += ["retrieved"] if examples and count == examples[0] else []
        styles += ["described"] if count in (0, counts[-1]) else []
        found += [Variant(f"{style}-{count}", style, count) for style in styles]
    return tuple(found)


def chat_maker(variant: Variant, *, system_prompt: str, train: Sequence[SplitRow], form: str) -> Chat:
    """Return what turns an input into the chat of a variant.

    Args:
        variant: which one.
        system_prompt: the task's own.
        train: the training pairs, and no others: a test item is refused.
        form: the sentence that states the form of an answer, from `form_sentence`.

    Raises:
        ValueError: there is a test item among `train`.
    """
    if any(isinstance(row, Item) for row in train):
        raise ValueError("examples come from train, not from the test")
    if variant.style == "retrieved":
        nearest = _nearest(tuple(train), variant.shots)
        return lambda text: messages_for(system_prompt, text, shots=nearest(text))
    shots = shots_from(train, variant.shots)
    if variant.style == "listed":
        listed = f"{system_prompt}\n\nExamples:\n\n{_listed(shots)}"
        return lambda text: messages_for(listed, text)
    if variant.style == "described":
        described = f"{system_prompt.rstrip()}\n{form}"
        return lambda text: messages_for(described, text, shots=shots)
    return lambda text: messages_for(system_prompt, text, shots=shots)


def _listed(shots: Sequence[SplitRow]) -> str:
    return "\n\n".join(f"Input: {shot.input}\nOutput: {shot.output}" for shot in shots)


def shots_from(train: Sequence[SplitRow], count: int) -> tuple[SplitRow, ...]:
    """Choose `count` training pairs with as many different outputs as there are, commonest first.

    Where there are fewer outputs than examples, each output gets a second pair, then a third.
    """
    by_output: dict[str, list[SplitRow]] = {}
    for row in train:
        by_output.setdefault(row.output, []).append(row)
    common = sorted(by_output, key=lambda output: (-len(by_output[output]), output))
    chosen: list[SplitRow] = []
    turn = 0
    while len(chosen) < min(count, len(train)):
        chosen += [by_output[output][turn] for output in common if turn < len(by_output[output])]
        turn += 1
    # The commonest last: small models copy the nearest example.
    return tuple(reversed(chosen[:count]))


def _nearest(train: tuple[SplitRow, ...], count: int) -> Callable[[str], tuple[SplitRow, ...]]:
    """Find the pairs nearest to a text by the cosine of TF-IDF of character 4-grams, the nearest last."""

    @cache
    def index() -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4), sublinear_tf=True)
        return vectorizer, vectorizer.fit_transform([row.input for row in train])

    def nearest(text: str) -> tuple[SplitRow, ...]:
        vectorizer, known = index()
        # Rows have length 1, so the dot product is the cosine; a stable sort settles ties by order.
        alike = (known @ vectorizer.transform([text]).T).toarray().ravel()
        best = (-alike).argsort(kind="stable")[:count]
        return tuple(train[int(place)] for place in reversed(best))

    return nearest


def form_sentence(task_file: TaskFile, schema: dict[str, Any] | None) -> str:
    """State the form of an answer, as the scorer reads it, to a model.

    Args:
        task_file: the task.
        schema: the JSON Schema, where task.yaml names a file; one that stands inline is taken from there.
    """
    task, section = task_file.task, task_file.scoring
    if schema is None and isinstance(section.json_schema, dict):
        schema = section.json_schema
    if task.metric == "json fields" and schema is not None:
        text = json.dumps(schema, ensure_ascii=False)
        return f"Reply with one JSON value that meets this JSON Schema and nothing else: {text}"
    if task.metric == "label accuracy" and section.labels:
        return f"Reply with one of these labels and nothing else: {', '.join(section.labels)}"
    plain = f"Reply with {task.output} and nothing else."
    if _holds_nothing(task.answer_pattern):
        return plain
    return f"{plain} The whole reply must match this regular expression: {task.answer_pattern}"


def _holds_nothing(pattern: str) -> bool:
    try:
        gbnf_of(pattern)
    except ValueError as problem:
        return str(problem) == ANY_TEXT
    return False


def rungs(items: int, variants: int) -> tuple[tuple[int, int], ...]:
    """Plan a search by successive halving (Jamieson & Talwalkar 2016, AISTATS, algorithm 1).

    All variants answer the first 30 % of the dev pairs, the better half the first 60 %, the best two all of
    them. Where there are no more than two, they answer all at once.

    Args:
        items: dev pairs.
        variants: how many there are.

    Returns:
        (variants that go on, dev pairs that each has answered by then), for every round.
    """
    if variants <= KEEP:
        return ((variants, items),)
    half = max(KEEP, variants // 2)
    return ((variants, -(-items * 3 // 10)), (half, -(-items * 6 // 10)), (KEEP, items))


def budget_sentence(tried: Sequence[Variant], items: int, constrained: bool) -> str:
    """Say how many dev calls each model has for the choice of its prompt.

    Args:
        tried: the variants.
        items: dev pairs.
        constrained: whether the base's best variants are tried with constrained replies too.
    """
    plan = rungs(items, len(tried))
    calls, done = 0, 0
    for keep, upto in plan:
        calls += keep * (upto - done)
        done = upto
    steps = [
        f"all on the first {plan[0][1]} pairs",
        *(f"the best {keep} on {upto}" for keep, upto in plan[1:]),
    ]
    how = ", ".join(steps) if len(plan) > 1 else f"all on {items} pairs"
    again = plan[-1][0] * items
    held = (
        f"; the base's best {plan[-1][0]} again with constrained replies, {again} calls"
        if constrained
        else ""
    )
    return f"{len(tried)} prompt variants, at most {calls} calls on dev for each model: {how}{held}"


def best_of(trials: Sequence[PromptTrial]) -> PromptTrial:
    """Return the trial with most right replies among those that answered the most dev pairs.

    Ties go to the higher mean value, to fewer parse failures, then to more examples, then to the earlier one.

    Raises:
        ValueError: none was tried.
    """
    tried = [trial for trial in trials if trial.fits and trial.n]
    if not tried:
        raise ValueError("no variant was tried")
    most = max(trial.n for trial in tried)
    last = [trial for trial in tried if trial.n == most]
    return max(last, key=lambda t: (t.correct, t.mean_value or 0.0, -t.parse_failures, t.shots))
