"""Prompt variants × dev pairs → the prompt of an arm, within one budget that every model gets.

Successive halving (Jamieson & Talwalkar 2016, AISTATS): every variant answers the first dev pairs, the better
half some more, the best two all of them. The best two are then tried with constrained replies too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tuneproof.arms import scores_of
from tuneproof.artifacts import PromptTrial, Reply, Score, SplitRow
from tuneproof.errors import NotReady
from tuneproof.prompt_variants import Variant, best_of, rungs, variants
from tuneproof.scoring import Scorer

PROMPTS_RULE = (
    "for the base and for each endpoint: the same variants (examples as turns, listed, retrieved; the form "
    "of the answer described or not) on the same dev pairs by successive halving (all on the first 30 %, the "
    "better half on 60 %, the best two on all); most right replies on dev, then the higher mean value, fewer "
    "parse failures, more examples; the base's best two are tried again with constrained replies; a variant "
    "whose longest prompt, of test and dev, does not fit the context is not tried"
)


class Dev(NamedTuple):
    """What a search is made on."""

    arm: str
    """`base`, or the endpoint's arm."""
    rows: tuple[SplitRow, ...]
    """Dev pairs, in order."""
    shots: tuple[int, ...]
    """Numbers of examples from task.yaml."""
    scorer: Scorer
    ask: Callable[[Variant, bool, Sequence[SplitRow]], Sequence[Reply]]
    """Variant, whether constrained, rows → replies; those that are stored are not asked again."""
    fits: Callable[[Variant], bool]
    """Whether a variant's longest prompt fits the context."""


class Found(NamedTuple):
    """The outcome of a search."""

    trials: tuple[PromptTrial, ...]
    free: Variant
    """Best with free replies."""
    constrained: Variant | None
    """Best with constrained replies; None where nothing constrains them."""


def search(dev: Dev, *, constrained: bool) -> Found:
    """Choose the prompt variant that does best on dev.

    Args:
        dev: the model and the pairs.
        constrained: try the best two with constrained replies too.

    Raises:
        NotReady: no variant fits the context.
    """
    every = variants(dev.shots)
    left = [variant for variant in every if dev.fits(variant)]
    if not left:
        raise NotReady(
            f"The longest input does not fit serving.num_ctx with {min(dev.shots)} examples and the reply.",
            remedy="Raise serving.num_ctx in task.yaml, or put 0 into comparison.shots.",
        )
    trials = {v.name: _not_tried(dev, v) for v in every if v not in left}
    for keep, upto in rungs(len(dev.rows), len(left)):
        best = [t.prompt for t in _ranked([trials[v.name] for v in left if v.name in trials])]
        left = [v for v in left if v.name in best[:keep]] if best else left
        for variant in left:
            trials[variant.name] = _trial(dev, variant, upto, constrained=False)
    free = _variant(left, best_of([trials[v.name] for v in left]))
    held = [_trial(dev, v, len(dev.rows), constrained=True) for v in left] if constrained else []
    return Found(
        trials=(*(trials[v.name] for v in every), *held),
        free=free,
        constrained=_variant(left, best_of(held)) if held else None,
    )


def _ranked(trials: Sequence[PromptTrial]) -> list[PromptTrial]:
    left, ranked = list(trials), []
    while left:
        ranked.append(best_of(left))
        left.remove(ranked[-1])
    return ranked


def _variant(among: Sequence[Variant], trial: PromptTrial) -> Variant:
    return next(v for v in among if v.name == trial.prompt)


def _not_tried(dev: Dev, variant: Variant) -> PromptTrial:
    return PromptTrial(
        arm=dev.arm,
        prompt=variant.name,
        shots=variant.shots,
        style=variant.style,
        correct=0,
        parse_failures=0,
        n=0,
        fits=False,
    )


def _trial(dev: Dev, variant: Variant, upto: int, *, constrained: bool) -> PromptTrial:
    rows = dev.rows[:upto]
    scores = scores_of(dev.scorer, rows, dev.ask(variant, constrained, rows))
    return trial_of(dev.arm, variant, scores, constrained=constrained)


def trial_of(arm: str, variant: Variant, scores: Sequence[Score], *, constrained: bool) -> PromptTrial:
    """Count what a model had right on dev with a prompt variant."""
    return PromptTrial(
        arm=arm,
        prompt=variant.name,
        shots=variant.shots,
        style=variant.style,
        constrained=constrained,
        correct=sum(s.correct for s in scores),
        parse_failures=sum(s.parse_failure for s in scores),
        n=len(scores),
        mean_value=sum(s.value for s in scores) / len(scores),
    )


def log_name(arm: str, variant: Variant, *, constrained: bool = False) -> str:
    """Name of the replies of a model on dev with a prompt variant."""
    return f"dev-{arm}-{variant.name}{'-constrained' if constrained else ''}"
