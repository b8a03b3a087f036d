"""Case, train and dev → what an extra tune trains on: another seed, or a null control that must not work."""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tuneproof.artifacts import Case, DevSet, SplitRow, TrainSet
from tuneproof.errors import BadInput

ControlKind = Literal["shuffled-labels", "blank-input"]
CONTROLS: tuple[ControlKind, ...] = ("shuffled-labels", "blank-input")
BLANK = "(blank)"
"""What the blanked control sees instead of an input. Visible: some templates drop an empty user turn."""
LEAST_SEEDS = 3
"""A range of two says next to nothing (S4 of our reference on honest evaluation)."""
_SEED, _CONTROL = re.compile(r"seed-(0|[1-9][0-9]{0,9})"), "control-"
_SEEDS = 2**32
"""Seeds run from 0 to one less; after the last comes 0."""


class Ingredients(NamedTuple):
    """What an extra tune trains on: the declared tune's case and rows with one thing changed."""

    case: Case
    train: TrainSet
    dev: DevSet


def extra_names(seeds: int | None, control: str | None, case: Case) -> tuple[str, ...]:
    """Return the names of the tunes that `--seeds` and `--control` ask for, beside the declared one.

    Args:
        seeds: number of seeds in all, the declared one among them; None asks for none.
        control: a null control; None asks for none.
        case: its `tuning.seed` is the declared one; the others count on from there.

    Raises:
        BadInput: too few seeds, or an unknown control.
    """
    names: list[str] = []
    if seeds is not None:
        if seeds < LEAST_SEEDS:
            raise BadInput(
                f"--seeds {seeds}: a spread needs at least {LEAST_SEEDS} seeds, the declared one among them.",
                remedy=f"tuneproof tune --seeds {LEAST_SEEDS}",
            )
        names += [f"seed-{(case.task_file.tuning.seed + i) % _SEEDS}" for i in range(1, seeds)]
    if control is not None:
        if control not in CONTROLS:
            near = difflib.get_close_matches(control, CONTROLS, n=1, cutoff=0.3)
            raise BadInput(
                f"There is no control {control!r}; the controls are {' and '.join(CONTROLS)}.",
                remedy=f"tuneproof tune --control {near[0] if near else CONTROLS[0]}",
            )
        names.append(_CONTROL + control)
    return tuple(names)


def control_of(name: str) -> ControlKind | None:
    """Return which control a tune is; None for another seed."""
    return next((kind for kind in CONTROLS if name == _CONTROL + kind), None)


def is_extra_name(name: str) -> bool:
    """Whether an extra tune can have this name."""
    seed = _SEED.fullmatch(name)
    return control_of(name) is not None or (seed is not None and int(seed[1]) < _SEEDS)


def control_rows(rows: Sequence[SplitRow], kind: ControlKind, seed: int) -> tuple[SplitRow, ...]:
    """Take from training rows what a tune could learn.

    `shuffled-labels` moves every row's output to another row, in one random cycle (Sattolo, Inf. Process.
    Lett. 22, 1986). Equal outputs may meet: if they never did, two labels would teach the inverse.

    Args:
        rows: those that are trained on.
        kind: the control.
        seed: of the shuffle.
    """
    if kind == "blank-input":
        return tuple(row.model_copy(update={"input": BLANK}) for row in rows)
    chance, outputs = random.Random(seed), [row.output for row in rows]
    for last in range(len(outputs) - 1, 0, -1):
        other = chance.randrange(last)
        outputs[last], outputs[other] = outputs[other], outputs[last]
    return tuple(row.model_copy(update={"output": output}) for row, output in zip(rows, outputs, strict=True))


def asked_input(kind: ControlKind | None, text: str) -> str:
    """Return what the arm of an extra tune is asked for an input: the blanked control sees none."""
    return BLANK if kind == "blank-input" else text


def ingredients_of(name: str, case: Case, train: TrainSet, dev: DevSet) -> Ingredients:
    """Return what the tune called `name` trains on."""
    tuning, kind = case.task_file.tuning, control_of(name)
    if kind is None:
        other = tuning.model_copy(update={"seed": int(name.removeprefix("seed-"))})
        task_file = case.task_file.model_copy(update={"tuning": other})
        return Ingredients(case.model_copy(update={"task_file": task_file}), train, dev)
    used, rest = train.pairs[: tuning.rows], train.pairs[tuning.rows or len(train.pairs) :]
    rows = control_rows(used, kind, tuning.seed)
    watched = control_rows(dev.pairs, kind, tuning.seed) if kind == "blank-input" else dev.pairs
    return Ingredients(case, TrainSet(pairs=rows + rest), DevSet(pairs=watched))
