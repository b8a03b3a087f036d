"""Numbers → their written form, and the closed lists of headlines and sentences that a verdict is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tuneproof.artifacts import Contrast, Interval

HEADLINES: Mapping[str, str] = {
    "control": "Nothing is proven: {control} passes the gate too.",
    "excluded": "Not enough evidence: {excluded} of {total} items have no reply of some API, more than "
    "{most}, so the run is invalid.",
    "rule": "Stay: fine-tuning is not needed, the tuned model is {where} a rule ({difference}, {span}, n = "
    "{n}); {instead}.",
    "rule, unsure": "Stay: fine-tuning is not needed, the tuned model is not shown better than a rule "
    "({difference}, {span}, n = {n}); {instead}.",
    "fail": "Stay: the tuned model is not better than its own base ({difference}, {span}, n = {n}); "
    "{instead}.",
    "rival": "Stay: a cheap rival is shown ahead of the tuned model ({title}: {difference}, {span}, n = "
    "{n}); {instead}.",
    "inconclusive": "Not enough evidence: the tuned model is not shown to beat its own base ({difference}, "
    "{span}, n = {n}).",
    "inconclusive, items": "Not enough evidence: the tuned model is not shown to beat its own base "
    "({difference}, {span}, n = {n}); with {items} items this difference would pass with 80 % power.",
    "rival, passed": "Stay: the tuned model passes the gate, but is {where} a cheap rival ({title}: "
    "{difference}, {span}, n = {n}); {instead}.",
    "rival, unsure": "Not enough evidence: the gate is passed, but a cheap rival is not shown to be worse "
    "({title}): {difference}, {span}, n = {n}.",
    "seeds": "Not enough evidence: the seed decides as much as the tune.{seeds}",
    "spent": "Not enough evidence: the test was read in {rounds} rounds, more than {most}, and is spent; "
    "freeze another one (split.version).",
    "endpoint": "Stay: the endpoint {title} is shown ahead of the tuned model ({difference}, {span}, n = "
    "{n}), more than the {most} that a price can pay for.",
    "no frontier": "Not enough evidence to move: the tuned model passes the gate {rivals}; the frontier was "
    "not measured.",
    "no frontier, privacy": "Move: the tuned model passes the gate {rivals}; the frontier was not measured, "
    "and the inputs must not leave the house.",
    "privacy": "Move: the tuned model passes the gate {rivals}, and the inputs must not leave the house; "
    "{standing}.",
    "far behind": "Stay: use the frontier, the tuned model is {where} it ({span}, n = {n}), more than the "
    "{most} that a price can pay for.",
    "faster": "Move: {standing}, and a call takes {own} ms at the median against {api} ms.",
    "ship": "Move: ship it at {difference} ({span}, n = {n}) and {share} of the cost: at {calls} calls a "
    "month, against a break-even of {even}, it saves {usd} USD a month.",
    "ship, each": "Move: ship it at {difference} ({span}, n = {n}) and {share} of the cost: at {calls} "
    "calls a month, against a break-even of {even}, it saves {usd} USD a month, {each} USD for each point.",
    "pays": "Move: {standing}; at {calls} calls a month, against a break-even of {even}, it saves {usd} USD "
    "a month.",
    "quality": "Move: {standing}, and {pressure}; {bill}.",
    "no times": "Not enough evidence to move: {standing}; answers are needed faster than an API gives them, "
    "and the time of a call was not measured on both sides.",
    "does not pay": "Stay: use the frontier; {standing}, and at {calls} calls a month, against a break-even "
    "of {even}, the tuned model costs {usd} USD a month more.",
    "never pays": "Stay: use the frontier; {standing}, and no number of calls makes it cheaper (1,000 "
    "calls: {own} USD on its machine, {api} USD at the frontier).",
    "no calls": "Not enough evidence to move: {standing}; the calls a month decide (break-even: {even}), "
    "and pressures.calls_per_month is not in task.yaml.",
    "cost open": "Not enough evidence to move: {standing}; the break-even decides, and it is not known: "
    "{missing}.",
}
"""Every headline, with its slots; a rule of `verdict_rules` fills one."""

SEEDS = " The rates of {k} seeds span {range}, and the gain is {gain} (n = {n})."
"""Follows every headline where the range of the seeds is wider than the gain."""

INSTEAD: Mapping[str, str] = {
    "use the base with a better prompt": "use the base with its best prompt",
    "use the cheap rival": "use the cheap rival",
    "fine-tuning not needed": "keep the rule",
    "use the frontier": "use the frontier",
}
"""Slot `instead`, followed by the arm, its rate, interval and n."""

STANDINGS: Mapping[str, str] = {
    "better": "it is shown better than the frontier ({difference}, {span}, n = {n})",
    "equal": "it is shown as good as the frontier within {margin} ({difference}, {span}, n = {n})",
    "behind": "it is not shown as good as the frontier within {margin} ({difference}, {span}, n = {n})",
    "worse": "the frontier is shown better ({difference}, {span}, n = {n})",
}
"""Slot `standing`."""

BILLS: Mapping[str, str] = {
    "saves": "at {calls} calls a month it saves {usd} USD",
    "costs more": "at {calls} calls a month it costs {usd} USD more",
    "dearer": "a call of it costs more than one of the frontier",
    "no calls": "it is cheaper from {even} calls a month on",
    "open": "what it saves is not known",
}
"""Slot `bill`."""

PRESSURES: Mapping[str, str] = {
    "exact_format": "the output must have one exact form",
    "own_label_scheme": "the labels follow a scheme of your own",
}
"""Slot `pressure`: reasons of quality, where nothing is said of the cost."""

RIVALS: Mapping[str, str] = {
    "all": "and beats every cheap rival",
    "fitted": "and beats every cheap rival that was fitted",
    "none": "(no cheap rival was fitted)",
}
"""Slot `rivals`."""

SENTENCES: Mapping[str, str] = {
    "rates": "On {n} held-out items the tuned model ({title}) has {rate} {share_name} ({level} interval "
    "{span}) and its best base ({base}) {base_rate} ({base_span}).",
    "mean": "The mean value of {metric} is {mean} ({span}) for the tuned model and {base_mean}{around} for "
    "that base.",
    "format": "Held to the form of an answer, the base has {difference} against its free replies ({span}, n "
    "= {n}): that is what the form alone is worth.",
    "gate": "The gate of {file} is {outcome}: {reason}.",
    "items": "With {items} items the seen difference would pass with 80 % power.",
    "class losses": "Of expected outputs with ten items or more, it loses more than 20 points against that "
    "base on {count}: {classes}.",
    "seeds": "Trained with {k} seeds it has {mean} on the mean, {low} to {high}, and gains {gain} on the "
    "base (n = {n}).",
    "seed decides": "That range is wider than the gain: the seed decides as much as the tune.",
    "control": "A control, {control}, has {difference} against {against} ({span}, n = {n}): {outcome}, "
    "{as_it_must}.",
    "rival": "The best cheap rival, {title}, has {rate} ({rate_span}): the tuned model is {where} it "
    "({span}, n = {n}, {p}).{use}",
    "endpoint": "The endpoint {title} has {rate} ({rate_span}): the tuned model is {where} it ({span}, n = "
    "{n}).",
    "rival not fitted": "The rival {name} was not fitted ({why}).",
    "not measured": "The arm {name} was not measured ({why}).",
    "remedy": "First: `tuneproof review --reread 50` (50 random training pairs, read by a person), before "
    "any setting is changed.",
    "rows": "The tuned model has seen {used} of the {available} training pairs and the rivals all of them, "
    "so more training may change this.",
    "frontier": "The frontier, {title}, has {rate} ({rate_span}): the tuned model is {where} it ({span}, n "
    "= {n}).",
    "recorded": "Its replies were made elsewhere ({recorded}).",
    "one reply": "It gave one reply an item: its run-to-run noise was not measured.",
    "repeats": "Asked {k} times, it had {low} to {high}.",
    "better": "The tuned model is shown better than it.",
    "worse": "It is shown better than the tuned model.",
    "equal": "The tuned model is shown as good within {margin} (one-sided 95 % lower bound {low}, n = {n}).",
    "not equal": "As good within {margin} is not shown (one-sided 95 % lower bound {low}, n = {n}).",
    "not equal, items": "As good within {margin} is not shown (one-sided 95 % lower bound {low}, n = {n}); "
    "with {items} items a true difference of 0 would be shown with 80 % power.",
    "no frontier": "The frontier was not measured ({why}): whether it answers better, and what leaving it "
    "would save, stays open until that arm is measured.",
    "cost": "1,000 calls cost {own} USD on the machine of the tuned model and {api} USD at {title}.",
    "break-even": "The break-even is {calls} calls a month, with {once} USD once over {months} months and "
    "{fixed} USD a month beside the calls.",
    "never": "No number of calls makes the tuned model cheaper.",
    "sensitivity": "With half or twice each price the break-even goes from {low} to {high}; {turned} of {k} "
    "such prices turn the answer around.",
    "sensitivity, no calls": "With half or twice each price the break-even goes from {low} to {high}.",
    "saves": "At {calls} calls a month it saves {usd} USD a month.",
    "costs more": "At {calls} calls a month it costs {usd} USD a month more.",
    "no calls": "The calls a month decide, and pressures.calls_per_month is not in task.yaml.",
    "cost open": "The break-even is not known: {missing}.",
    "times": "A call of {title} took {p50} ms at the median{p50_span}{p95} over {n} calls.",
    "median": "A call of {title} took {p50} ms at the median{p95} on the machine of this run.",
    "unseen": "{n} items have an answer that never occurs in training; {right} of them are right.",
    "rounds": "The test was read in {rounds} rounds.",
    "optimism": "The test was read in {rounds} rounds, so the best of them is expected to look {optimism} "
    "too good.",
    "excluded": "{excluded} of {total} items were left out of every arm, because an API gave no reply to "
    "them.",
    "deviations": "The run differs from its plan: {deviations}.",
    "pick: none": "Nothing measured here makes the tuned model the right pick.",
    "pick: frontier missing": "The tuned model is the right pick where the inputs must not leave the house; "
    "elsewhere the frontier decides, once it is measured.",
    "pick: far behind": "The tuned model is the right pick only where the inputs must not leave the house.",
    "pick: from": "The tuned model is the right pick from {calls} calls a month on, or {others}; else the "
    "frontier is.",
    "pick: never": "The tuned model costs more a call, so it is the right pick only {others}; else the "
    "frontier is.",
    "pick: open": "The tuned model is the right pick {others}; elsewhere the break-even decides.",
}
"""Every sentence of a paragraph, with its slots; `docs/verdict.md` says when each is used."""


OTHERS: Mapping[str, str] = {
    "privacy": "where the inputs must not leave the house",
    "latency": "where answers are needed faster",
    "quality": "where an exact form or labels of your own are the reason to move",
}
"""Slot `others`, joined by `or`: the second where a call was measured shorter, the third where it is shown
better, or as good while the cost is open."""

CONTROLS = {"shuffled-labels": "a tune on shuffled labels", "blank-input": "a tune on blanked inputs"}


def say(sentence: str, **slots: object) -> str:
    """Fill the slots of one of `SENTENCES`.

    Raises:
        KeyError: no such sentence, or a slot without a value.
    """
    return SENTENCES[sentence].format(**slots)


def percent(share: float) -> str:
    """`0.575` → `57.5 %`."""
    return f"{share * 100:.1f} %"


def points(share: float) -> str:
    """`0.56` → `+56.0 points`, with a real minus sign."""
    return f"{share * 100:+.1f} points".replace("-", "−")


def size(share: float) -> str:
    """`-0.04` → `4.0 points`, without a sign."""
    return f"{abs(share) * 100:.1f} points"


def span(interval: Interval, *, signed: bool = False) -> str:
    """An interval in percent or points, `50.6 to 64.1`."""
    form = "+.1f" if signed else ".1f"
    return f"{interval.low * 100:{form}} to {interval.high * 100:{form}}".replace("-", "−")


def p_value(p: float) -> str:
    """`p < 0.001` or three digits."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def usd(amount: float) -> str:
    """US dollars: whole ones from 100, cents from 1, else two digits that are not 0; never an exponent."""
    if abs(amount) >= 100:
        return f"{amount:,.0f}"
    if abs(amount) >= 1 or amount == 0:
        return f"{amount:.2f}"
    places = 1 - int(f"{amount:.1e}".split("e")[1])
    return f"{amount:.{places}f}"


def milliseconds(ms: float) -> str:
    """Whole ones from 10, else two digits behind the point: a rule answers in microseconds."""
    return f"{ms:,.0f}" if ms >= 10 else f"{ms:.2f}"


def whole_calls(calls: float | None) -> str:
    """`12000.2` → `12,001`: the first whole call from which it pays; None → `never`."""
    # A volume computed to be 12000.000000001 is 12,000 calls.
    return "never" if calls is None else f"{math.ceil(round(calls, 6)):,}"


def control_name(name: str) -> str:
    """Say what a null control was trained on."""
    return CONTROLS.get(name, f"the control {name}")


def where(contrast: Contrast) -> str:
    """Say where the arm stands, by the difference alone: `4.0 points behind`, or `level with`."""
    if contrast.difference == 0:
        return "level with"
    return f"{size(contrast.difference)} {'ahead of' if contrast.difference > 0 else 'behind'}"


def of_contrast(contrast: Contrast) -> dict[str, object]:
    """Slots `span` and `n` of a difference: its wider interval in points, and its items."""
    return {"span": span(contrast.wider, signed=True), "n": contrast.n}
