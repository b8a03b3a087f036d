"""Twins: the exact all-pairs search agrees with brute force, and groups do not depend on row order."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneproof.twins import NEAR, groups, nearest, similar_pairs, template, templates, words

FEW_WORDS = st.lists(
    st.sampled_from(["red", "green", "blue", "7", "42", "mit", "gpl", "ÄPFEL", "ß"]), max_size=8
).map(" ".join)
TEXTS = st.lists(FEW_WORDS | st.text(max_size=30), max_size=12)


def jaccard(one: str, other: str) -> float:
    a, b = set(words(one)), set(words(other))
    return len(a & b) / len(a | b) if a | b else 0.0


def partition(texts: list[str], answers: list[str]) -> set[frozenset[tuple[str, str]]]:
    found = groups(texts, answers)
    rows = list(zip(texts, answers, strict=True))
    return {frozenset(rows[i] for i in range(len(rows)) if found[i] == g) for g in found}


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("The MIT License", "the mit, license!"),
        ("a  b\n\tc", "A-B.C"),
        ("ﬁle \uff11\uff12", "file 12"),  # a ligature and full-width digits
        ("STRASSE", "Straße"),
        ("«naïve»", "NAÏVE"),
        ("...", ""),
    ],
)
def test_case_space_and_punctuation_do_not_tell_texts_apart(text: str, same_as: str) -> None:
    assert words(text) == words(same_as)


def test_different_words_tell_texts_apart() -> None:
    assert words("under the MIT license") != words("under the BSD license")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("See LICENSE-2.0 of 2019", "x"), ("See LICENSE-3.1 of 2024", "x")),
        (("Under the MIT license", "mit"), ("Under the Zlib license", "zlib")),
        (("Under GPL 2.0 terms", "gpl-2.0"), ("Under AGPL 3 terms", "agpl-3.0")),
        (("Read https://a.example/x?y=1 first", "x"), ("Read www.b.example first", "x")),
        (("under the mit license", "mit"), ("Under THE (MIT) License.", "mit")),
    ],
)
def test_numbers_addresses_and_the_words_of_the_answer_leave_one_template(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert template(*one) == template(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Under the MIT license", "mit"), ("Under the MIT license", "zlib")),
        (("Under the MIT license", "mit"), ("Subject to the MIT license", "mit")),
    ],
)
def test_other_words_leave_another_template(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert template(*one) != template(*other)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from([0.05, 0.2, 1 / 3, 0.5, NEAR, 0.75, 1.0]))
def test_similar_pairs_are_those_of_brute_force(texts: list[str], threshold: float) -> None:
    expected = [
        (i, j, jaccard(texts[i], texts[j]))
        for i, j in itertools.combinations(range(len(texts)), 2)
        if jaccard(texts[i], texts[j]) >= threshold
    ]
    assert [tuple(pair) for pair in similar_pairs(texts, threshold=threshold)] == expected


def test_similar_pairs_are_found_across_blocks() -> None:
    """More rows than one block of the matrix product holds; twins lie far apart."""
    rng = random.Random(5)
    texts = [" ".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(620)]
    texts += [f"only here {texts[3]}", texts[600].upper()]
    found = {(p.first, p.second) for p in similar_pairs(texts, threshold=0.8)}
    expected = {
        (i, j) for i, j in itertools.combinations(range(len(texts)), 2) if jaccard(texts[i], texts[j]) >= 0.8
    }
    assert found == expected
    assert (600, 621) in found
    assert any(i < 512 <= j for i, j in found)


def test_texts_without_words_are_not_similar_to_anything() -> None:
    assert list(similar_pairs(["...", "!!!", "", "word"], threshold=0.01)) == []


def test_no_texts_give_no_pairs_and_no_groups() -> None:
    assert list(similar_pairs([], threshold=0.5)) == []
    assert groups([], []) == []


def test_a_chain_of_near_twins_is_one_group() -> None:
    tokens = [f"w{chr(97 + i)}" for i in range(26)]
    chain = [" ".join(tokens[start : start + 12]) for start in (0, 2, 4, 6, 8)]
    assert jaccard(chain[0], chain[1]) >= NEAR > jaccard(chain[0], chain[2])
    assert jaccard(chain[0], chain[4]) < 0.3
    assert groups([*chain, "nothing like it at all"], ["x"] * 6) == [0, 0, 0, 0, 0, 5]


def test_a_row_that_is_a_twin_of_two_groups_makes_them_one() -> None:
    tokens = [f"w{chr(97 + i)}" for i in range(16)]
    left, right, between = (" ".join(tokens[start : start + 12]) for start in (0, 4, 2))
    assert jaccard(left, right) < NEAR <= min(jaccard(left, between), jaccard(right, between))
    assert groups([left, right, "no twin of any other", between], ["x"] * 4) == [0, 0, 2, 0]


def test_equal_templates_share_a_group_however_few_words_they_share() -> None:
    texts = ["alpha beta 1", "MIT", "zlib", "alpha beta 2", "gamma delta", "epsilon zeta"]
    assert groups(texts, ["x", "mit", "zlib", "x", "y", "z"]) == [0, 1, 1, 0, 4, 5]


def test_in_an_extraction_task_the_words_of_the_answer_are_no_gap_in_a_template() -> None:
    texts = ["12 Oak Street, Salem", "9 Elm Road, Troy", "77 Oak Street, Salem", "4 Pine Lane, Reno"]
    answers = [text.split(" ", 1)[1].replace(",", " |") for text in texts]
    assert templates(texts, answers)[1] == "# elm road troy"
    assert groups(texts, answers) == [0, 1, 0, 3]


def test_rows_of_one_declared_group_share_a_group_and_none_is_no_name() -> None:
    texts = ["red apple pie", "blue whale song", "green tea cup", "old iron gate"]
    assert groups(texts, ["a", "b", "c", "d"], declared=["x", None, "x", None]) == [0, 1, 0, 3]


def test_templates_can_be_told_apart_but_equal_texts_stay_together() -> None:
    texts = ["order 12 is late", "order 77 is late", "order 12 is late"]
    assert groups(texts, ["a", "b", "a"], threshold=0.9) == [0, 0, 0]
    assert groups(texts, ["a", "b", "a"], threshold=0.9, by_template=False) == [0, 1, 0]


def test_a_template_and_a_near_twin_chain_into_one_group() -> None:
    long = "one two three four five six seven eight nine ten"
    texts = [f"{long} mit", f"{long} zlib", f"{long} mit eleven"]
    assert groups(texts, ["mit", "zlib", "other"]) == [0, 0, 0]


def test_unrelated_rows_are_groups_of_one() -> None:
    texts = ["alpha beta gamma", "delta epsilon zeta", "eta theta iota"]
    assert groups(texts, ["x"] * 3) == [0, 1, 2]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(FEW_WORDS, st.sampled_from(["mit", "gpl", "red"])), max_size=10), st.randoms())
def test_the_partition_does_not_depend_on_row_order(
    rows: list[tuple[str, str]], chance: random.Random
) -> None:
    before = partition([t for t, _ in rows], [a for _, a in rows])
    chance.shuffle(rows)
    assert partition([t for t, _ in rows], [a for _, a in rows]) == before


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(FEW_WORDS, st.sampled_from(["mit", "gpl", "red"])), min_size=1, max_size=10))
def test_no_two_groups_hold_twins_and_each_is_named_after_its_first_row(rows: list[tuple[str, str]]) -> None:
    texts, answers = [t for t, _ in rows], [a for _, a in rows]
    alike = templates(texts, answers)
    found = groups(texts, answers)
    assert all(found[g] == g <= i for i, g in enumerate(found))
    for i, j in itertools.combinations(range(len(rows)), 2):
        if jaccard(texts[i], texts[j]) >= NEAR or alike[i] == alike[j]:
            assert found[i] == found[j]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(FEW_WORDS, min_size=1, max_size=6),
    st.lists(FEW_WORDS, min_size=1, max_size=6),
    st.integers(1, 8),
)
def test_nearest_gives_each_text_its_best_other_most_similar_first(
    texts: list[str], others: list[str], count: int
) -> None:
    best = {i: max(jaccard(text, other) for other in others) for i, text in enumerate(texts)}
    expected = sorted((-value, i) for i, value in best.items() if value >= 0.05)[:count]
    found = nearest(texts, others, count=count)
    assert [(-s.similarity, s.first) for s in found] == expected
    assert all(jaccard(texts[s.first], others[s.second]) == s.similarity for s in found)
