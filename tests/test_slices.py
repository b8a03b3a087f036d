"""Parts of the test and groups of wrong replies: what a reader counts on."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sample import sample_split
from tuneproof.artifacts import DevSet, FailureCluster, Item, Reply, Score, Split, SplitRow, TestSet, TrainSet
from tuneproof.slices import LEAST_OF_A_LABEL, failures_of, gap_between, nearest_rows, slices_of

Rows = list[tuple[str, str]]


def split_of(train: Rows, test: Rows) -> Split:
    """A split with these (input, output) rows; its lock is another one's, and nothing here reads it."""
    pairs = tuple(
        SplitRow(id=f"train-{i}", group=f"t{i}", input=a, output=b) for i, (a, b) in enumerate(train)
    )
    items = tuple(Item(id=f"test-{i}", group=f"e{i}", input=a, output=b) for i, (a, b) in enumerate(test))
    sets = {"train": TrainSet(pairs=pairs), "dev": DevSet(pairs=()), "test": TestSet(items=items)}
    return sample_split().model_copy(update=sets)


def reply_of(item_id: str, text: str, finish: str = "stop") -> Reply:
    fields = {"item_id": item_id, "text": text, "finish": finish, "prompt_tokens": 1, "output_tokens": 1}
    return Reply.model_validate(fields | {"ms": 1.0})


def score_of(item_id: str, **fields: Any) -> Score:
    values = {"correct": False, "parse_failure": False, "value": 0.0, "empty": False, "refusal": False}
    return Score.model_validate({"item_id": item_id} | values | fields)


def clusters(
    split: Split, texts: list[str], *, finishes: dict[int, str] | None = None, **signs: dict[int, bool]
) -> tuple[FailureCluster, ...]:
    """Group these replies; `signs` sets fields of the scores by place."""
    items = split.test.items
    finish = finishes or {}
    replies = [
        reply_of(item.id, text, finish.get(i, "stop"))
        for i, (item, text) in enumerate(zip(items, texts, strict=True))
    ]
    scores = [
        score_of(
            item.id,
            correct=text == item.output,
            empty=not text,
            **{k: v.get(i, False) for k, v in signs.items()},
        )
        for i, (item, text) in enumerate(zip(items, texts, strict=True))
    ]
    return failures_of(split, replies, scores, {row.output for row in split.train.pairs})


def counts(found: tuple[FailureCluster, ...]) -> dict[str, int]:
    return {cluster.name: cluster.n for cluster in found}


TRAIN = [("the red fox runs", "fox"), ("a blue whale swims deep", "whale"), ("one grey owl flies", "owl")]


def test_gold_written_blind_is_a_part_of_its_own_and_the_anchoring_gap_is_its_difference() -> None:
    split = split_of(TRAIN, TRAIN)
    n = len(split.test.items)
    blind = {split.test.items[0].id}
    right = [i > 0 for i in range(n)]
    slices = slices_of(split, {"a": right}, arms=["a"], blind=blind)
    parts = [(p.name, p.n, p.right["a"]) for p in slices if p.kind == "gold"]
    assert parts == [("draft shown to the reviewer", n - 1, n - 1), ("labelled blind to the draft", 1, 0)]
    gap = gap_between(slices, "a", kind="gold")
    assert gap is not None and gap[0] == 1.0 and gap[1].low < 1.0
    assert not [p for p in slices_of(split, {"a": right}, arms=["a"]) if p.kind == "gold"]


def test_a_label_with_ten_items_is_a_part_and_one_with_nine_is_not() -> None:
    split = split_of(TRAIN, [(f"text {i}", "fox") for i in range(LEAST_OF_A_LABEL)] + [("t", "owl")] * 9)
    right = [True] * 4 + [False] * 15
    parts = [part for part in slices_of(split, {"a": right}, arms=["a"]) if part.kind == "label"]
    assert [(part.name, part.n, part.right) for part in parts] == [("fox", 10, {"a": 4})]


def test_quarters_by_length_are_named_with_their_ranges_and_keep_equal_lengths_together() -> None:
    lengths = [1, 2, 2, 2, 3, 4, 5, 1200]
    split = split_of(TRAIN, [("x" * n, "fox") for n in lengths])
    parts = [p for p in slices_of(split, {"a": [True] * 8}, arms=["a"]) if p.kind == "length"]
    assert [(p.name, p.n) for p in parts] == [
        ("1 to 2 characters", 4),
        ("3 to 4 characters", 2),
        ("5 to 1,200 characters", 2),
    ]


def test_the_far_half_lies_below_the_median_similarity_and_the_gap_is_far_minus_near() -> None:
    near = [(f"the red fox runs {i}", "fox") for i in range(20)]
    far = [(f"unlike words {i} {i + 50} red", "fox") for i in range(20)]
    split = split_of(TRAIN, near + far)
    right = [True] * 18 + [False] * 2 + [True] * 4 + [False] * 16
    slices = slices_of(split, {"a": right}, arms=["a"])
    parts = {p.name.split(":")[0]: p for p in slices if p.kind == "distance"}
    assert {name: (p.n, p.right["a"]) for name, p in parts.items()} == {"far": (20, 4), "near": (20, 18)}
    assert parts["near"].name == "near: similarity 0.80 to 0.80"
    gap = gap_between(slices, "a")
    assert gap is not None
    assert gap[0] == pytest.approx(-0.7)
    assert gap[1].low < -0.7 < gap[1].high < 0


def test_the_interval_of_the_gap_is_newcombes() -> None:
    """Newcombe 1998, Statistics in Medicine 17:873, table II, method 10: 56/70 − 48/80 is .0524 to .3339."""
    part = {"kind": "distance", "name": "x"}
    from tuneproof.artifacts import Slice

    slices = [
        Slice.model_validate(part | {"n": 70, "right": {"a": 56}}),
        Slice.model_validate(part | {"n": 80, "right": {"a": 48}}),
    ]
    gap = gap_between(slices, "a")
    assert gap is not None
    assert (round(gap[1].low, 4), round(gap[1].high, 4)) == (0.0524, 0.3339)


def test_a_test_whose_items_are_equally_near_is_not_cut_by_distance() -> None:
    split = split_of(TRAIN, [(f"the red fox runs {i}", "fox") for i in range(12)])
    slices = slices_of(split, {"a": [True] * 12}, arms=["a"])
    assert "distance" not in {part.kind for part in slices}
    assert gap_between(slices, "a") is None


def test_outputs_that_train_lacks_are_a_part_of_their_own() -> None:
    split = split_of(TRAIN, [("a", "fox"), ("b", "bear"), ("c", "owl")])
    seen = {
        p.name: (p.n, p.right["a"])
        for p in slices_of(split, {"a": [True, True, False]}, arms=["a"])
        if p.kind == "seen"
    }
    assert seen == {"output seen in train": (2, 1), "output never in train": (1, 1)}


def test_only_the_named_arms_are_reported_and_every_kind_covers_the_test() -> None:
    split = sample_split()
    n = len(split.test.items)
    slices = slices_of(split, {"a": [True] * n, "b": [False] * n}, arms=["b"])
    assert {arm for part in slices for arm in part.right} == {"b"}
    for kind in ("length", "seen"):
        assert sum(part.n for part in slices if part.kind == kind) == n


def test_scores_that_do_not_match_the_items_are_refused() -> None:
    with pytest.raises(ValueError, match="2 scores for 3 items"):
        slices_of(split_of(TRAIN, TRAIN), {"a": [True, False]}, arms=["a"])


def test_the_nearest_row_is_found_by_its_words() -> None:
    split = split_of(TRAIN, [])
    found = nearest_rows(["deep swims a whale", "owl"], split.train.pairs)
    assert [row for row, _ in found] == [1, 2]
    assert found[0][1] == pytest.approx(4 / 5)
    assert nearest_rows(["owl"], ()) == [(0, 0.0)]


def test_replies_without_the_form_of_an_answer_are_grouped_by_what_is_wrong_with_them() -> None:
    split = split_of(TRAIN, [(f"text {i}", "fox") for i in range(6)])
    found = clusters(
        split,
        ["", "fox fox", "sorry", "??", "withheld", "never"],
        finishes={1: "length", 4: "refused", 5: "failed"},
        refusal={2: True},
        parse_failure={0: True, 1: True, 3: True},
    )
    assert counts(found) == {
        "refusal": 2,
        "cut by the token limit": 1,
        "empty": 1,
        "malformed": 1,
        "no reply after all retries": 1,
    }
    assert found[0].items == ("test-2", "test-4")


def test_a_swap_of_labels_that_occurs_twice_is_a_group_and_a_single_one_is_not() -> None:
    split = split_of(TRAIN, [("the red fox runs", "owl"), ("x", "fox"), ("y", "fox"), ("z", "whale")])
    assert counts(clusters(split, ["fox", "OWL", "owl", "fox"])) == {
        "expected fox, replied owl": 2,
        "copies the answer of the nearest train row": 2,
    }


def test_an_answer_that_train_lacks_is_told_apart_from_a_known_one() -> None:
    split = split_of(TRAIN, [("the red fox runs", "owl"), ("a blue whale swims deep", "fox")])
    assert counts(clusters(split, ["bear", "owl"])) == {
        "an answer never seen in train": 1,
        "another answer that occurs in train": 1,
    }


def test_a_reply_that_differs_only_in_case_or_marks_is_said_to() -> None:
    split = split_of(TRAIN, [("x", "fox"), ("y", "owl")])
    assert counts(clusters(split, ["Fox.", "OWL"])) == {"equal but for case, accents or punctuation": 2}


def test_of_json_replies_the_wrong_fields_are_named_where_two_replies_share_them() -> None:
    def text(**fields: object) -> str:
        return json.dumps({"city": "Lyon", "total": 3, "lines": [1]} | fields)

    split = split_of([("x", text())], [(f"item {i}", text()) for i in range(5)])
    replies = [text(city="Graz"), text(city="Porto"), text(city="Graz", total=4), text(extra=1), "{broken"]
    found = clusters(split, replies, parse_failure={4: True})
    assert counts(found) == {
        "wrong in the object: city": 2,
        "other fields wrong in the object": 2,
        "malformed": 1,
    }


texts = st.sampled_from(
    ["", "fox", "owl", "FOX", "bear", "whale", '{"a": 1}', '{"a": 2, "b": 1}', "{", "[" * 2000]
)


@given(
    st.lists(st.tuples(texts, texts, st.booleans(), st.sampled_from(["stop", "length", "refused", "failed"])))
)
@settings(max_examples=30, deadline=None)
def test_every_wrong_item_is_in_exactly_one_group_and_no_right_one_is(rows: list[Any]) -> None:
    split = split_of(TRAIN, [(f"text {i}", expected) for i, (_, expected, _, _) in enumerate(rows)])
    replies = [reply_of(f"test-{i}", text, finish) for i, (text, _, _, finish) in enumerate(rows)]
    scores = [
        score_of(f"test-{i}", correct=right, empty=not text) for i, (text, _, right, _) in enumerate(rows)
    ]
    found = failures_of(split, replies, scores, {row.output for row in split.train.pairs})
    grouped = [item for cluster in found for item in cluster.items]
    assert sorted(grouped) == sorted(f"test-{i}" for i, (_, _, right, _) in enumerate(rows) if not right)
    assert [cluster.n for cluster in found] == [len(cluster.items) for cluster in found]
    assert [cluster.n for cluster in found] == sorted((cluster.n for cluster in found), reverse=True)
    assert len({cluster.name for cluster in found}) == len(found)


def test_two_thousand_train_rows_and_two_hundred_items_take_less_than_a_second() -> None:
    luck = random.Random(0)
    words = [f"word{i}" for i in range(3_000)]
    train = [(" ".join(luck.choices(words, k=60)), f"label {i % 60}") for i in range(2_000)]
    test = [(" ".join(luck.choices(words, k=60)), f"label {i % 60}") for i in range(200)]
    split = split_of(train, test)
    began = time.perf_counter()
    slices = slices_of(split, {"a": [False] * 200, "b": [True] * 200}, arms=["a", "b"])
    found = clusters(split, [f"label {i % 59}" for i in range(200)])
    assert time.perf_counter() - began < 1.0
    assert slices and found
