"""Train → a few of its pairs, drawn by a seed, for a person to read again, and what to look for.

Only training pairs: a person who reads the test, and then changes the task, tunes against it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tuneproof.artifacts import SplitRow, TrainSet
from tuneproof.errors import BadInput
from tuneproof.plots_style import visible
from tuneproof.steps.draft import BUNDLED

HEADER = ("", "pair", "input", "expected")
LOOK_FOR = (
    "Look for: a wrong label, one text with two labels, a label that does not follow from the input alone. "
    "Every bad pair is an installed bug."
)


def reread(train: TrainSet, count: int, seed: int) -> tuple[SplitRow, ...]:
    """Draw training pairs at random, without replacement; a larger `count` adds pairs after the same ones.

    Args:
        train: the pairs to draw from.
        count: how many; all of them if there are fewer.
        seed: of the draw: the same seed draws the same pairs.

    Raises:
        BadInput: `count` is below 1.
    """
    if count < 1:
        raise BadInput(f"--reread {count}: there is nothing to read.", remedy="tuneproof review --reread 50")
    rows = list(train.pairs)
    random.Random(seed).shuffle(rows)
    return tuple(rows[:count])


def reread_table(rows: Sequence[SplitRow]) -> list[tuple[str, str, str, str]]:
    """Return number, id, input and expected output of each pair, whole, with hidden characters shown."""
    return [
        (str(number), visible(row.id), visible(row.input), visible(row.output))
        for number, row in enumerate(rows, 1)
    ]


def reread_lines(
    rows: Sequence[SplitRow], asked: int, *, source: str, version: int, desk: bool = False
) -> tuple[str, ...]:
    """Return what to tell below the table.

    Args:
        rows: the drawn pairs.
        asked: how many were asked for.
        source: `data.source`, where a pair is mended.
        version: `split.version`, which a mended pair raises.
        desk: whether the pairs were decided on the review desk.
    """
    few = (f"Train has {len(rows)} pairs, so these are all of them.",) if asked > len(rows) else ()
    return (*few, LOOK_FOR, _mend(source, version, desk))


def _mend(source: str, version: int, desk: bool) -> str:
    where = (
        "decide on it once more (`tuneproof review --pair ID`)"
        if desk
        else "write the pairs of 2-drafts/imported.jsonl to a file of your own, name it as data.source "
        f"instead of {source}, and correct or delete the row there"
        if source.startswith(BUNDLED)
        else f"correct or delete its row in {visible(source)}"
    )
    return (
        f"To mend a pair: {where}, set split.version: {version + 1} in task.yaml, and run `tuneproof run`. "
        "Results on the old test do not carry over."
    )
