"""Which inputs are drafted for: a few of every kind, the same ones every time."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneproof.diversity import choose, clusters_of

BILLING = "charged twice invoice refund card payment amount bank receipt fee order money"
LOGIN = "password reset link account sign phone code expired email locked user browser"
LEGAL = "court subpoena attorney evidence hearing witness lawsuit counsel judge motion filing"
WORDS = {"billing": BILLING, "login": LOGIN, "legal": LEGAL}


def mails(counts: dict[str, int], seed: int = 3) -> list[tuple[str, str]]:
    chance = random.Random(seed)
    made = [
        (kind, " ".join(chance.choices(WORDS[kind].split(), k=9)) + f" {chance.randrange(10_000)}")
        for kind, count in counts.items()
        for _ in range(count)
    ]
    chance.shuffle(made)
    return made


def test_rare_kinds_are_over_represented_and_every_cluster_is_hit() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(5):
        made = mails({"billing": 960, "login": 30, "legal": 10}, seed)
        texts = [text for _, text in made]
        chosen = choose(texts, 60, seed)
        kinds.update(made[index][0] for index in chosen)
        clusters = clusters_of(texts, 60, seed)
        assert len(set(clusters)) > 10
        assert {clusters[index] for index in chosen} == set(clusters)
    # Uniform sampling would give 9 and 3 of these in five choices.
    assert kinds["login"] >= 15
    assert kinds["legal"] >= 8


def test_each_beginning_of_the_choice_is_diverse_too() -> None:
    texts = [text for _, text in mails({"billing": 480, "login": 15, "legal": 5})]
    clusters = clusters_of(texts, 60, 0)
    first = choose(texts, 60, 0)[: len(set(clusters))]
    assert {clusters[index] for index in first} == set(clusters)


def test_the_same_seed_gives_the_same_choice_in_another_process_and_another_seed_another() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); from test_diversity import mails; "
        "from tuneproof.diversity import choose; "
        "print(choose([t for _, t in mails({'billing': 200, 'login': 20})], 40, 7))"
    )
    texts = [text for _, text in mails({"billing": 200, "login": 20})]
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=".")
    assert other.stdout.strip() == str(choose(texts, 40, 7))
    assert set(choose(texts, 40, 8)) != set(choose(texts, 40, 7))


def test_a_larger_count_adds_to_a_smaller_one() -> None:
    texts = [text for _, text in mails({"billing": 500, "login": 50})]
    assert choose(texts, 200, 0)[:100] == choose(texts, 100, 0)


@pytest.mark.parametrize(
    "texts", [["!!!", "???", "..."], ["same"] * 5, ["請求書が届かない", "請求書を再送", "ログインできない"]]
)
def test_texts_without_words_equal_texts_and_other_scripts_are_chosen_from(texts: list[str]) -> None:
    chosen = choose(texts, 2, 0)
    assert len(set(chosen)) == 2
    assert set(chosen) <= set(range(len(texts)))


@settings(max_examples=25)
@given(st.lists(st.text(max_size=20), max_size=30), st.integers(1, 40), st.integers(0, 5))
def test_the_choice_holds_as_many_different_texts_as_asked_for(
    texts: list[str], count: int, seed: int
) -> None:
    chosen = choose(texts, count, seed)
    assert len(chosen) == len(set(chosen)) == min(count, len(texts))
    assert all(0 <= index < len(texts) for index in chosen)
    assert choose(texts, count, seed) == chosen
