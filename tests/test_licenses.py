"""The pairs of the bundled case: by hand on a few rules, and once on the real data, down to the lock."""

from __future__ import annotations

import random
import re
import string

import pytest
import yaml

from tuneproof.artifacts import Drafts, TaskFile
from tuneproof.cases.licenses import (
    COMMONEST_KEYS,
    DROP_AT,
    LONGEST,
    MOST_PER_EXPRESSION,
    SHORTEST,
    clean,
    expression_of,
    licence_pairs,
)
from tuneproof.outside import licensedcode
from tuneproof.outside.licensedcode import Rule
from tuneproof.outside.real import bundled_lock, example_task
from tuneproof.steps.freeze import freeze
from tuneproof.steps.init import init
from tuneproof.steps.review import review
from tuneproof.twins import similar_pairs, words


def notice(name: str, expression: str = "mit", *, text: str | None = None, **head: str) -> Rule:
    """A rule that passes every filter; its words occur in no other."""
    rng = random.Random(name)
    own = " ".join("".join(rng.choices(string.ascii_lowercase, k=7)) for _ in range(8))
    fields = {"license_expression": expression, "is_license_notice": "yes", "relevance": "100"} | head
    return Rule(name, fields, own if text is None else text)


def build(*rules: Rule, limit: int = 1000) -> Drafts:
    return licence_pairs(rules, version="0", limit=limit)


def ids(drafts: Drafts) -> list[str]:
    return sorted(pair.id for pair in drafts.pairs)


def test_a_good_notice_becomes_a_pair_with_its_source() -> None:
    (pair,) = build(notice("mit_1", text="{{Licensed  under}} the\nMIT license, see below")).pairs
    assert pair.input == "Licensed under the MIT license, see below"
    assert (pair.id, pair.output, pair.source) == ("mit_1", "mit", "mit_1.RULE")


@pytest.mark.parametrize(
    ("reason", "bad"),
    [
        ("not a notice", notice("bad", is_license_notice="no")),
        ("not a notice", Rule("bad", {"is_license_notice": "yes"}, "one two three four five six seven")),
        ("not a notice", Rule("bad", {"license_expression": "mit"}, "one two three four five six seven")),
        ("relevance below 100", notice("bad", relevance="99")),
        ("deprecated, or not in English", notice("bad", is_deprecated="yes")),
        ("deprecated, or not in English", notice("bad", language="de")),
        (f"not {SHORTEST} to {LONGEST} words", notice("bad", text="only five words are here")),
        (f"not {SHORTEST} to {LONGEST} words", notice("bad", text=" ".join(["word"] * (LONGEST + 1)))),
    ],
)
def test_what_is_no_clean_notice_is_left_out_and_counted(reason: str, bad: Rule) -> None:
    drafts = build(notice("good"), bad)
    assert ids(drafts) == ["good"]
    assert drafts.left_out[reason] == 1


@pytest.mark.parametrize("count", [SHORTEST, LONGEST])
def test_the_shortest_and_the_longest_notice_are_kept(count: int) -> None:
    assert ids(build(notice("edge", text=" ".join(["word"] * count)))) == ["edge"]


def test_braces_of_required_phrases_neither_join_words_nor_stay() -> None:
    assert clean("{{The MIT}} license\n  {{applies}}") == "The MIT license applies"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("mit", "mit"),
        ("mit OR apache-2.0", "apache-2.0 OR mit"),
        ("mit AND bsd-new AND apache-2.0", "apache-2.0 AND bsd-new AND mit"),
        ("(mit OR apache-2.0)", "apache-2.0 OR mit"),
        ("mit AND mit", "mit"),
        ("mit OR gpl WITH exc", "gpl WITH exc OR mit"),
        ("mit AND (apache-2.0 OR bsd-new)", None),
        ("mit OR rare", None),
        ("gpl WITH rare", None),
    ],
)
def test_operands_are_sorted_and_mixed_or_rare_expressions_dropped(raw: str, expected: str | None) -> None:
    allowed = frozenset({"mit", "apache-2.0", "bsd-new", "gpl", "exc"})
    assert expression_of(notice("n", raw), allowed) == expected


def test_a_mixed_expression_is_left_out_and_counted() -> None:
    drafts = build(notice("a"), notice("b", "mit AND (mit OR bsd-new)"))
    assert ids(drafts) == ["a"]
    assert drafts.left_out["expression with a rarer key or mixed AND/OR"] == 1


def test_only_the_commonest_keys_stay_and_catch_alls_never_do() -> None:
    common = [notice(f"k{i:02}-{n}", f"key-{i:02}") for i in range(COMMONEST_KEYS) for n in range(2)]
    rare, unknown = notice("rare", "a-rare-key"), [notice(f"u{n}", "free-unknown") for n in range(5)]
    drafts = build(*common, rare, *unknown)
    assert ids(drafts) == sorted(rule.name for rule in common)


def test_of_near_duplicates_one_stays() -> None:
    text = "alpha beta gamma delta epsilon zeta eta theta iota kappa"
    twins = [
        notice("one", text=text),
        notice("two", text=text.upper() + "!"),
        notice("three", text=f"{text} more"),
    ]
    drafts = build(*twins, notice("other"))
    assert len(drafts.pairs) == 2
    assert drafts.left_out["near duplicate"] == 2


def test_a_pair_below_the_threshold_stays() -> None:
    half = "alpha beta gamma delta epsilon zeta"
    assert len(build(notice("a", text=f"{half} one two three"), notice("b", text=f"{half} x y z")).pairs) == 2


def test_no_expression_has_more_pairs_than_the_cap() -> None:
    rules = [notice(f"m{i}") for i in range(MOST_PER_EXPRESSION + 3)] + [notice("b", "bsd-new")]
    drafts = build(*rules)
    outputs = [pair.output for pair in drafts.pairs]
    assert outputs.count("mit") == MOST_PER_EXPRESSION
    assert outputs.count("bsd-new") == 1
    assert drafts.left_out[f"beyond {MOST_PER_EXPRESSION} of one expression"] == 3


def test_a_limit_keeps_the_first_pairs_and_counts_the_rest() -> None:
    rules = [notice(f"m{i}") for i in range(9)]
    everything, some = build(*rules), build(*rules, limit=4)
    assert some.pairs == everything.pairs[:4]
    assert some.left_out["beyond the wanted number"] == 5


def test_the_pairs_do_not_depend_on_the_order_of_the_rules() -> None:
    text = "alpha beta gamma delta epsilon zeta eta theta iota kappa"
    rules = [notice(f"m{i}") for i in range(MOST_PER_EXPRESSION + 9)]
    rules += [notice(f"t{i}", "bsd-new", text=f"{text} {'more ' * (i % 2)}") for i in range(4)]
    before = build(*rules, limit=60)
    for seed in range(5):
        random.Random(seed).shuffle(rules)
        assert build(*rules, limit=60) == before
    assert len(before.pairs) == 60


@pytest.fixture(scope="module")
def real() -> Drafts:
    return licence_pairs(licensedcode.rules(), version=licensedcode.version(), limit=2000)


def bundled_task() -> TaskFile:
    return TaskFile.model_validate(yaml.safe_load(example_task("licenses")))


def test_the_real_data_gives_2000_well_formed_pairs(real: Drafts) -> None:
    pattern = bundled_task().task.answer_pattern
    assert len({pair.id for pair in real.pairs}) == len(real.pairs) == 2000
    assert [pair.output for pair in real.pairs if not re.fullmatch(pattern, pair.output)] == []
    assert {SHORTEST <= len(words(pair.input)) <= LONGEST for pair in real.pairs} == {True}


def test_the_real_data_holds_no_near_duplicates(real: Drafts) -> None:
    texts = [pair.input for pair in real.pairs]
    assert list(similar_pairs(texts, threshold=DROP_AT)) == []
    # The search itself must find something, or the line above would prove nothing.
    assert len(list(similar_pairs(texts, threshold=0.5))) > 100


def test_freezing_the_real_pairs_gives_the_packaged_lock(real: Drafts) -> None:
    case = init(bundled_task())
    packaged = bundled_lock("licenses", 1)
    assert packaged is not None
    split = freeze(case, review(case, real), frozen_before=packaged)
    assert split.lock == packaged
    assert (len(split.test.items), len(split.dev.pairs), len(split.train.pairs)) == (200, 100, 1700)


def test_a_case_that_is_not_bundled_has_no_lock_and_neither_has_another_version() -> None:
    assert bundled_lock("my-own", 1) is None
    assert bundled_lock("licenses", 2) is None
