"""Scored replies of two arms on the same items → what is shown of the difference.

One rule for every comparison: items of one group are not independent, so where there are groups whole groups
change sign, and the wider of two intervals decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tuneproof.arms import Replies, Table, clusters_of, repeats_of
from tuneproof.artifacts import (
    ArmResult,
    ClassLoss,
    Contrast,
    Control,
    Equality,
    FileStep,
    Gate,
    SeedSpread,
)
from tuneproof.artifacts.verdict import GateOutcome
from tuneproof.planning import holm, items_needed_for_equality, items_needed_for_gain
from tuneproof.resampling import bca_interval, cluster_difference_interval, sign_flip_p
from tuneproof.statistics import mid_p_mcnemar, tango, wilson

ONE_SIDED = 0.90
"""Two-sided confidence whose lower end is the one-sided 95 % bound."""
CLASS_ITEMS, CLASS_POINTS = 10, 0.20
"""An expected output with so many items must not lose more than this unnoticed."""


class Scored(NamedTuple):
    """Everything that comparisons are computed from."""

    table: Table
    replies: Replies
    right: Mapping[str, Sequence[bool]]
    """Arm → whether each item is right, in the order of the items that count."""
    results: Mapping[str, ArmResult]

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The group of each item, or None where none is shared."""
        groups = clusters_of(self.table.items)
        return groups if groups is not None and len(set(groups)) > 1 else None

    @property
    def alpha(self) -> float:
        """One-sided level of the gate."""
        return self.table.case.task_file.gate.alpha

    @property
    def confidence(self) -> float:
        """Two-sided level of the intervals."""
        return self.table.case.task_file.gate.confidence


def contrast_of(scored: Scored, arm: str, against: str) -> Contrast:
    """Compare two arms on the same items.

    Without groups: one-sided mid-p McNemar and Tango's interval. With groups: sign flips of whole groups, and
    a bootstrap over groups beside Tango's interval (reference S3).
    """
    ours, theirs = scored.right[arm], scored.right[against]
    wins = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    losses = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    groups = scored.groups
    differences = [float(a) - float(b) for a, b in zip(ours, theirs, strict=True)]
    return Contrast(
        arm=arm,
        against=against,
        n=len(ours),
        wins=wins,
        losses=losses,
        difference=(wins - losses) / len(ours),
        interval=tango(wins, losses, len(ours), confidence=scored.confidence),
        p_one_sided=mid_p_mcnemar(wins, losses) if groups is None else sign_flip_p(differences, groups),
        test="mid-p McNemar" if groups is None else "sign flips of groups",
        clusters=0 if groups is None else len(set(groups)),
        cluster_interval=None
        if groups is None
        else cluster_difference_interval(ours, theirs, groups, confidence=scored.confidence),
        **_value_fields(scored, arm, against),
    )


def _value_fields(scored: Scored, arm: str, against: str) -> dict[str, Any]:
    """Means of a graded metric, or over repeats: a paired bootstrap and sign flips (reference A2)."""
    graded = scored.table.scorer.metric.graded
    if not graded and not any(repeats_of(name, scored.replies) for name in (arm, against)):
        return {}
    ours, theirs = _values(scored, arm), _values(scored, against)
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    if len(differences) < 2:
        return {}
    return {
        "value_difference": sum(differences) / len(differences),
        "value_interval": bca_interval(differences, scored.groups, confidence=scored.confidence),
        "value_p": sign_flip_p(differences, scored.groups),
    }


def _values(scored: Scored, arm: str) -> list[float]:
    """Return the value of each item, the mean over repeats."""
    runs = [scored.replies[arm], *repeats_of(arm, scored.replies)]
    values = [[s.value for s in scored.table.scores(each)] for each in runs]
    return [sum(each) / len(values) for each in zip(*values, strict=True)]


def outcome_of(contrast: Contrast, alpha: float) -> GateOutcome:
    """PASS: p at most `alpha` and the interval above 0; FAIL: the interval at or below 0; else open."""
    if contrast.p_one_sided <= alpha and contrast.wider.low > 0:
        return "PASS"
    return "FAIL" if contrast.wider.high <= 0 else "INCONCLUSIVE"


def reversed_p(scored: Scored, contrast: Contrast) -> float:
    """The p-value of the opposite claim."""
    return contrast_of(scored, contrast.against, contrast.arm).p_one_sided


def equality_of(scored: Scored, contrast: Contrast, margin: float) -> Equality:
    """Say whether `contrast.arm` is shown to be at most `margin` worse (reference S5).

    Never from a p-value above its level: from the one-sided 95 % bound of the difference alone.
    """
    low = _bound(scored, contrast)
    flips = (contrast.wins + contrast.losses) / contrast.n
    back = contrast_of(scored, contrast.against, contrast.arm)
    shown = low > -margin
    return Equality(
        arm=contrast.arm,
        against=contrast.against,
        n=contrast.n,
        margin=margin,
        low=low,
        shown=shown,
        better=outcome_of(contrast, scored.alpha) == "PASS",
        worse=outcome_of(back, scored.alpha) == "PASS",
        items_needed=None if shown else items_needed_for_equality(flips, margin),
    )


def _bound(scored: Scored, contrast: Contrast) -> float:
    low = tango(contrast.wins, contrast.losses, contrast.n, confidence=ONE_SIDED).low
    if scored.groups is None:
        return low
    ours, theirs = scored.right[contrast.arm], scored.right[contrast.against]
    return min(low, cluster_difference_interval(ours, theirs, scored.groups, confidence=ONE_SIDED).low)


def gate_of(scored: Scored, arm: str, base: str, reason: str = "") -> Gate:
    """Make the gate of one file against its best base; `reason` is written by the caller."""
    contrast = contrast_of(scored, arm, base)
    outcome = outcome_of(contrast, scored.alpha)
    needed = None
    if outcome == "INCONCLUSIVE":
        needed = items_needed_for_gain(contrast.wins, contrast.losses, contrast.n, alpha=scored.alpha)
    return Gate(
        file=scored.results[arm].arm.file or arm,
        contrast=contrast,
        outcome=outcome,
        reason=reason,
        class_losses=_class_losses(scored, arm, base),
        items_needed=needed,
    )


def _class_losses(scored: Scored, arm: str, base: str) -> tuple[ClassLoss, ...]:
    labels = [item.output for item in scored.table.items]
    sizes = Counter(labels)
    losses = []
    for label in sorted(label for label, size in sizes.items() if size >= CLASS_ITEMS):
        places = [i for i, each in enumerate(labels) if each == label]
        before = sum(scored.right[base][i] for i in places)
        after = sum(scored.right[arm][i] for i in places)
        if (before - after) / len(places) > CLASS_POINTS:
            losses.append(ClassLoss(label=label, n=len(places), base_right=before, tuned_right=after))
    return tuple(losses)


def family(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """Give every contrast of one family Holm's p-value."""
    adjusted = holm({c.against: c.p_one_sided for c in contrasts})
    return tuple(c.model_copy(update={"p_holm": adjusted[c.against]}) for c in contrasts)


def file_steps(
    scored: Scored, files: Sequence[ArmResult], reference: str, margin: float
) -> tuple[FileStep, ...]:
    """Test each smaller file against f16, from the largest down, until one is not shown (reference S6)."""
    steps: list[FileStep] = []
    going = True
    for result in files:
        contrast = contrast_of(scored, result.arm.name, reference)
        equality = equality_of(scored, contrast, margin)
        steps.append(_file_step(scored, result, contrast, equality, going=going))
        going = going and equality.shown
    return tuple(steps)


def _file_step(
    scored: Scored, result: ArmResult, contrast: Contrast, equality: Equality, *, going: bool
) -> FileStep:
    flips = contrast.wins + contrast.losses
    first = scored.results[contrast.against]
    same = [
        a.text == b.text
        for a, b in zip(scored.replies[contrast.arm], scored.replies[contrast.against], strict=True)
    ]
    seen = "loss" if equality.worse or contrast.wider.high < 0 else "no loss seen"
    return FileStep(
        file=result.arm.file or result.arm.name,
        quant=result.arm.title.rpartition(" ")[2],
        contrast=contrast,
        flips=flips / contrast.n,
        flips_interval=wilson(flips, contrast.n, confidence=scored.confidence),
        equality=equality,
        claim="no loss worth noting" if equality.shown and going else seen,  # type: ignore[arg-type]
        in_sequence=going,
        could_hide=max(0.0, -equality.low),
        same_text=sum(same) / len(same),
        length_ratio=_ratio(result.output_tokens_mean, first.output_tokens_mean),
        parse_failures_more=result.parse_failures - first.parse_failures,
    )


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def seed_spread(scored: Scored, best_base: ArmResult) -> SeedSpread | None:
    """Say how much of the result the training's seed decides (reference S4)."""
    arms = ["adapter", *(name for name, r in scored.results.items() if r.arm.kind == "seed")]
    if len(arms) < 2:
        return None
    rates = [scored.results[name].rate for name in arms]
    mean = sum(rates) / len(rates)
    gain = mean - best_base.rate
    return SeedSpread(
        arms=tuple(arms),
        rates=tuple(rates),
        mean=mean,
        low=min(rates),
        high=max(rates),
        gain=gain,
        exceeds_gain=max(rates) - min(rates) > gain,
    )


def controls_of(scored: Scored, best_base: ArmResult) -> tuple[Control, ...]:
    """Compare every null control with the best base, or with the commonest answer if that is better.

    A tune that saw no input may learn the commonest answer, which can beat a base without any leak; what it
    must not do is beat that answer too. A PASS here means that the pipeline leaks (reference A3.9).
    """
    majority = scored.results.get("majority", best_base)
    bar = max(best_base, majority, key=lambda result: result.correct)
    found = []
    for name, result in scored.results.items():
        if result.arm.kind == "control":
            contrast = contrast_of(scored, name, bar.arm.name)
            outcome = outcome_of(contrast, scored.alpha)
            found.append(Control(name=name.removeprefix("control-"), contrast=contrast, outcome=outcome))
    return tuple(found)
