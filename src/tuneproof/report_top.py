"""The verdict and its run → what a reader must know before the first table."""

from __future__ import annotations

from collections.abc import Iterator

from tuneproof.artifacts import ArmResult, Verdict
from tuneproof.report_blocks import ReportInput, Text
from tuneproof.report_text import points, signed
from tuneproof.verdict_facts import MOST_EXCLUDED, MOST_ROUNDS

SMALL = 100
"""Items below which a test is called small (S1)."""
MANY_ROUNDS = 5
"""Rounds of test access beyond which the optimism stands at the top (S7)."""


def badges(verdict: Verdict) -> tuple[tuple[str, str, str], ...]:
    """Return (what, word, class) of each badge under the headline."""
    tones = {"move": "good", "PASS": "good", "FAIL": "bad", "stay": "plain"}
    said = {
        "Advice": verdict.advice,
        "Decision": verdict.decision.replace("_", " "),
        "Gate": verdict.gate,
    }
    plain = verdict.decision == "stay" and verdict.advice != "not enough evidence"
    return tuple(
        (what, word, "plain" if what == "Advice" and plain else tones.get(word, "unsure"))
        for what, word in said.items()
    )


def first_texts(data: ReportInput) -> tuple[Text, ...]:
    """Return what stands under the verdict: what the test can see, then every reason to doubt the table."""
    served = data.served
    seen = () if served is None else _detectable(data.verdict, served)
    return (*seen, *(Text(text, note=True) for text in _banners(data)))


def _detectable(verdict: Verdict, served: ArmResult) -> tuple[Text, ...]:
    n, gain = served.n, f"{100 * verdict.minimum_detectable_gain:.1f}"
    observed = verdict.observed_detectable_gain
    seen = (
        ""
        if observed is None
        else f" For the share of items that this tune was seen to break it is {100 * observed:.1f} points."
    )
    grouped = ", taken as independent although some come in groups" if served.clusters else ""
    if n < SMALL:
        small = (
            f"Small test: with {n} items, a true difference under about {gain} points is missed more than "
            f"one time in five.{seen}"
        )
        return (Text(small, note=True),)
    return (
        Text(
            f"Minimum detectable gain: {gain} points. A smaller gain would often be missed with {n} test "
            f"items (80 % power, if the tune breaks 5 % of them{grouped}).{seen}"
        ),
    )


def _banners(data: ReportInput) -> Iterator[str]:
    yield from _of_the_gate(data)
    yield from _of_the_rounds(data.verdict)
    yield from _of_the_training(data.verdict)
    yield from _of_the_run(data)


def _of_the_gate(data: ReportInput) -> Iterator[str]:
    if data.verdict.gate == "FAIL":
        yield (
            "The gate failed. Before any setting of the training: read 50 random training pairs again, "
            "`tuneproof review --reread 50`."
        )
    gate = data.served_gate
    losses = gate.class_losses if gate else ()
    if losses:
        named = "; ".join(f"{c.label} (base {c.base_right}, file {c.tuned_right} of {c.n})" for c in losses)
        yield f"Whatever the gate says, the served file loses more than 20 points on: {named}."


def _of_the_rounds(verdict: Verdict) -> Iterator[str]:
    rounds = verdict.test_accesses
    if rounds <= MANY_ROUNDS:
        return
    by = "" if verdict.optimism is None else f", by about {points(verdict.optimism)}"
    last = " It is spent: freeze a new one before the next claim." if rounds > MOST_ROUNDS else ""
    yield (
        f"The test set was read in {rounds} rounds. The best of them is expected to look too good{by}.{last}"
    )


def _of_the_training(verdict: Verdict) -> Iterator[str]:
    for control in verdict.controls:
        if control.outcome == "PASS":
            yield (
                f"The control {control.name} passed the gate, and it must not: something leaks, and no "
                "number here can be trusted until it is found."
            )
    seeds = verdict.seeds
    if seeds and seeds.exceeds_gain:
        yield (
            f"The seed decides as much as the tune: across {len(seeds.arms)} seeds the share of right "
            f"replies spans {points(seeds.high - seeds.low)}, and the gain over the best base is "
            f"{signed(seeds.gain)}."
        )


def _of_the_run(data: ReportInput) -> Iterator[str]:
    excluded, items = len(data.comparison.excluded), len(data.split.test.items)
    if excluded > MOST_EXCLUDED * items:
        yield (
            f"{excluded} of {items} items ({100 * excluded / items:.1f} %) are left out of every arm, "
            "because an API gave no reply to them after all retries."
        )
    deviations = len(data.verdict.deviations)
    if deviations:
        places = "1 place" if deviations == 1 else f"{deviations} places"
        yield f"The run differs from its plan in {places}: see the section on the plan."
