"""Training pairs to read again: drawn by a seed, whole, from train only."""

from __future__ import annotations

import inspect
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof import reread as module
from tuneproof.artifacts import SplitRow, TrainSet
from tuneproof.errors import BadInput
from tuneproof.reread import HEADER, reread, reread_lines, reread_table

TRAIN = TrainSet(
    pairs=tuple(SplitRow(id=f"n{i}", group=f"n{i}", input=f"text {i}", output="mit") for i in range(80))
)


@given(count=st.integers(1, 120), seed=st.integers(0, 2**32 - 1))
def test_the_same_seed_draws_the_same_pairs_and_none_twice(count: int, seed: int) -> None:
    drawn = reread(TRAIN, count, seed)
    assert drawn == reread(TRAIN, count, seed)
    assert len(drawn) == len({row.id for row in drawn}) == min(count, 80)
    assert set(row.id for row in drawn) <= {row.id for row in TRAIN.pairs}


@given(few=st.integers(1, 80), more=st.integers(0, 40))
def test_a_larger_count_adds_pairs_after_the_same_ones(few: int, more: int) -> None:
    assert reread(TRAIN, few + more, 0)[:few] == reread(TRAIN, few, 0)


def test_the_draw_is_random_and_another_seed_draws_others() -> None:
    """Both would be equal, or the first 20, once in more than 10^18 draws."""
    first, second = reread(TRAIN, 20, 0), reread(TRAIN, 20, 1)
    assert {row.id for row in first} != {row.id for row in second}
    assert {row.id for row in first} != {row.id for row in TRAIN.pairs[:20]}


def test_every_pair_can_be_drawn() -> None:
    """One pair is missed by 200 draws of 20 of 80 once in 10^25."""
    seen = {row.id for seed in range(200) for row in reread(TRAIN, 20, seed)}
    assert seen == {row.id for row in TRAIN.pairs}


@pytest.mark.parametrize("count", [0, -5])
def test_nothing_to_read_is_refused(count: int) -> None:
    with pytest.raises(BadInput, match=f"--reread {count}") as stopped:
        reread(TRAIN, count, 0)
    assert stopped.value.remedy == "tuneproof review --reread 50"


def test_only_train_goes_in() -> None:
    assert get_type_hints(reread)["train"] is TrainSet
    text = inspect.getsource(module)
    assert not [word for word in ("TestSet", "DevSet", "Split,", "take_split") if word in text]


def test_a_pair_is_shown_whole_with_what_hides_in_it() -> None:
    long = "word " * 200 + "end"
    row = SplitRow(id="n1", group="n1", input=f"{long}\x1b[2J\u202e", output="mit\nor apache")
    table = reread_table([row, row])
    assert table[0] == ("1", "n1", f"{long}⟨U+001B⟩[2J⟨U+202E⟩", "mit\nor apache")
    assert [line[0] for line in table] == ["1", "2"]
    assert len(HEADER) == len(table[0])


def test_below_the_table_stands_what_to_look_for_and_how_to_mend_it() -> None:
    look_for, mend = reread_lines(reread(TRAIN, 5, 0), 5, source="pairs.jsonl", version=2)
    for fault in ("wrong label", "one text with two labels", "does not follow from the input"):
        assert fault in look_for
    assert "pairs.jsonl" in mend and "split.version: 3" in mend and "tuneproof run" in mend


def test_bundled_pairs_are_mended_in_a_copy() -> None:
    *_, mend = reread_lines(reread(TRAIN, 5, 0), 5, source="bundled:licenses", version=1)
    assert "2-drafts/imported.jsonl" in mend and "data.source" in mend


def test_more_than_there_are_gives_all_and_says_so() -> None:
    rows = reread(TRAIN, 500, 0)
    assert reread_lines(rows, 500, source="pairs.jsonl", version=1)[0] == (
        "Train has 80 pairs, so these are all of them."
    )
    assert len(reread_lines(rows, 80, source="pairs.jsonl", version=1)) == 2
