"""What freezing refuses and keeps out of the test: secrets, shown rows; sizes; and splits of older rules."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from steps.test_freeze import case, reviewed, rows_of, sides, singles
from tuneproof.artifacts import Case, Pair
from tuneproof.artifacts.case import SplitSection, wanted_sizes
from tuneproof.errors import LockBroken, NotReady
from tuneproof.steps import freeze as step
from tuneproof.steps.freeze import CLOSER, METHOD, SHOWN, freeze

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def with_prompt(prompt: str, *, conventions: str = "") -> Case:
    made = case(prompt=prompt)
    fields = made.task_file.model_dump()
    fields["drafting"]["conventions"] = conventions
    return made.model_copy(update={"task_file": type(made.task_file).model_validate(fields)})


# Sizes


@FEW
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 14), min_size=30, max_size=60),
    st.integers(50, 70),
    st.integers(10, 25),
)
def test_a_part_is_never_over_and_short_by_less_than_one_group_that_it_may_take(
    seed: int, groups: list[int], test: int, dev: int
) -> None:
    assume(sum(groups) > 140)
    texts = iter(singles(sum(groups), seed))
    pairs = [
        next(texts).model_copy(update={"group": f"g{number}"})
        for number, size in enumerate(groups)
        for _ in range(size)
    ]
    try:
        split = freeze(case(test=test, dev=dev), reviewed(pairs))
    except NotReady as error:
        assert "reviewed pairs give" in error.problem
        return
    sizes = Counter(row.group for row in rows_of(split))
    left = Counter(row.group for row in split.train.pairs)
    for taken, wanted in ((len(split.test.items), test), (len(split.dev.pairs), dev)):
        may = [size for group, size in sizes.items() if group in left and size <= max(1, wanted // 5)]
        assert taken <= wanted
        assert taken == wanted or wanted - taken < min(may, default=wanted)


def test_single_rows_give_exactly_the_wanted_sizes() -> None:
    for count in (70, 99, 310):
        split = freeze(case(test=50, dev=17 if count > 70 else 10), reviewed(singles(count)))
        assert (len(split.test.items), len(split.dev.pairs)) == (50, 17 if count > 70 else 10)


# What is shown is not tested


@FEW
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_twins_of_examples_and_quoted_inputs_never_reach_test_or_dev(seed: int, shown: int) -> None:
    rng = random.Random(seed)
    pairs = singles(200, seed)
    chosen = rng.sample(pairs, shown + 4)
    examples = [(f"{p.input} {rng.randint(0, 99)}", p.output) for p in chosen[:shown]]
    quoted = chosen[shown:]
    made = with_prompt(
        f"Answer. {quoted[0].input.upper()} is one; {quoted[1].input}: two.",
        conventions=f"As in «{quoted[2].input}», {quoted[3].input}",
    )
    split = freeze(made, reviewed(pairs), shown=examples)
    side = sides(split)
    assert {side[p.id] for p in chosen} == {"train"}
    assert SHOWN in split.lock.method
    assert (len(split.test.items), len(split.dev.pairs)) == (50, 10)


def test_the_whole_group_of_a_shown_row_stays_in_train() -> None:
    pairs = singles(120)
    twins = [p.model_copy(update={"id": f"{p.id}-twin", "input": f"{p.input} x"}) for p in pairs[:60]]
    shown = [(p.input, p.output) for p in pairs[:60]]
    before = sides(freeze(case(), reviewed([*pairs, *twins])))
    assert "test" in {before[p.id] for p in twins}
    split = freeze(case(), reviewed([*pairs, *twins]), shown=shown)
    assert {sides(split)[p.id] for p in [*twins, *pairs[:60]]} == {"train"}


def test_too_many_shown_rows_are_refused_with_their_number() -> None:
    pairs = singles(80)
    with pytest.raises(NotReady, match="30 rows stay in train because an example or the prompt shows them"):
        freeze(case(), reviewed(pairs), shown=[(p.input, p.output) for p in pairs[:30]])


def test_a_grouping_that_let_a_twin_cross_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers do not trust the grouping: here it forgets everything but the first version's rules."""
    short = [
        f"refund {a} {b}" for a in ("orders", "parcels", "shoes") for b in ("immediately", "immediatelys")
    ]
    pairs = [Pair(id=f"x{i}", input=t, output="a", source="s") for i, t in enumerate(short)]
    good = freeze(case(), reviewed([*singles(90), *pairs]))
    assert CLOSER in good.lock.method

    def forgetful(texts: list[str], answers: list[str], **_: object) -> list[int]:
        return list(range(len(texts)))

    monkeypatch.setattr(step, "group_rows", forgetful)
    refused = 0
    for seed in range(6):
        named = [p.model_copy(update={"id": f"{seed}-{p.id}"}) for p in pairs]
        try:
            freeze(case(), reviewed([*singles(80), *named]))
        except NotReady as error:
            assert "characters: " in error.problem
            refused += 1
    assert refused > 3


# Secrets


def test_a_secret_in_a_pair_stops_the_freeze_and_is_not_repeated() -> None:
    token = "gh" + "p_" + "Ab3" * 12
    pairs = singles(90)
    pairs[7] = pairs[7].model_copy(update={"input": f"{pairs[7].input} token {token}"})
    with pytest.raises(NotReady, match=r"1 pairs hold a secret.*s0-0007, input: GitHub token") as caught:
        freeze(case(), reviewed(pairs))
    assert token[6:] not in str(caught.value)
    assert "review" in caught.value.remedy


def test_personal_data_does_not_stop_the_freeze() -> None:
    pairs = singles(90)
    pairs[7] = pairs[7].model_copy(update={"input": f"{pairs[7].input} jane" + "@" + "example.org"})
    freeze(case(), reviewed(pairs))


# Splits of older rules


def old_lock(pairs: list[Pair], made: Case, monkeypatch: pytest.MonkeyPatch) -> object:
    """The lock of a version that knew neither closer twins nor shown rows."""
    with monkeypatch.context() as patch:
        patch.setattr(step, "_rules", lambda case, before: step._Rules(True, False, False, False))
        return freeze(made, reviewed(pairs)).lock


def test_a_split_frozen_under_older_rules_comes_out_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    short = [
        f"refund {a} {b}" for a in ("orders", "parcels", "shoes") for b in ("immediately", "immediatelys")
    ]
    pairs = [Pair(id=f"x{i}", input=t, output="a", source="s") for i, t in enumerate(short)]
    pairs += singles(90)
    made = with_prompt(f"Answer. For example {pairs[20].input} is one.")
    lock = old_lock(pairs, made, monkeypatch)
    assert lock.method == METHOD  # type: ignore[attr-defined]
    assert freeze(made, reviewed(pairs), frozen_before=lock).lock == lock  # type: ignore[arg-type]
    today = freeze(made, reviewed(pairs)).lock
    assert today != lock and CLOSER in today.method and SHOWN in today.method
    assert freeze(made, reviewed(pairs), frozen_before=today).lock == today
    with pytest.raises(LockBroken):
        freeze(made, reviewed(pairs[1:]), frozen_before=today)


def test_where_no_later_rule_changed_anything_the_method_is_told_as_before() -> None:
    assert freeze(case(), reviewed(singles(90))).lock.method == METHOD


# Sizes that are not named


def unnamed(**named: int) -> Case:
    made = case()
    fields = made.task_file.model_dump() | {"split": named}
    return made.model_copy(update={"task_file": type(made.task_file).model_validate(fields)})


@pytest.mark.parametrize("groups_of", [1, 11], ids=["single rows", "short of the wanted size"])
def test_a_split_of_the_sizes_that_were_usual_once_comes_out_as_it_was(groups_of: int) -> None:
    pairs = [p.model_copy(update={"group": f"g{i // groups_of}"}) for i, p in enumerate(singles(770))]
    lock = freeze(case(test=200, dev=100), reviewed(pairs)).lock
    assert (len(lock.test.rows) == 200) is (groups_of == 1)
    frozen = 0
    for named in ({}, {"test": 200}, {"dev": 100}):
        assert freeze(unnamed(**named), reviewed(pairs), frozen_before=lock).lock == lock
        frozen += 1
    assert frozen == 3
    assert len(freeze(unnamed(), reviewed(pairs)).test.items) < 170, "a new one follows the number of pairs"
    with pytest.raises(LockBroken, match="train, dev"):
        freeze(unnamed(dev=60), reviewed(pairs), frozen_before=lock)


@pytest.mark.parametrize("count", [700, 1500])
def test_a_split_of_computed_sizes_comes_out_as_it_was(count: int) -> None:
    pairs = reviewed(singles(count))
    lock = freeze(unnamed(), pairs).lock
    assert freeze(unnamed(), pairs, frozen_before=lock).lock == lock
    with pytest.raises(LockBroken):
        freeze(unnamed(), reviewed([*pairs.pairs, *singles(3, seed=9)]), frozen_before=lock)


def test_one_large_source_file_is_named_with_what_to_do() -> None:
    pairs = [p.model_copy(update={"group": ("faq.md", "a.md")[i > 100]}) for i, p in enumerate(singles(150))]
    with pytest.raises(NotReady, match=r"has 101 rows, 101 of them of 'faq\.md'") as caught:
        freeze(case(), reviewed(pairs))
    assert "one source file, whose rows stay together" in caught.value.problem
    assert "cut a large source file" in caught.value.remedy


# What is shown later


@pytest.mark.parametrize("first_shown", [0, 1], ids=["no example at first", "an example at first"])
def test_a_test_row_that_is_shown_later_is_refused_by_name(first_shown: int) -> None:
    pairs = singles(120)
    other = [(p.input, p.output) for p in singles(first_shown, seed=77)]
    split = freeze(case(), reviewed(pairs), shown=other)
    assert (SHOWN in split.lock.method) is bool(first_shown)
    item, trained = split.test.items[3], split.train.pairs[0]
    prompt = case().task_file.task.system_prompt
    tried = 0
    for made, shown in (
        (case(), [(f"{item.input} now", item.output)]),
        (with_prompt(prompt, conventions=f"For {item.input} say mit."), []),
    ):
        with pytest.raises(NotReady, match=rf"^'{item.id}' is a test row, and '{item.id}' is") as caught:
            freeze(made, reviewed(pairs), frozen_before=split.lock, shown=[*other, *shown])
        assert "higher split.version" in caught.value.remedy
        tried += 1
    assert tried == 2
    # A training row may be shown, and an example may go again: the split is the same.
    shown = [*other, (trained.input, trained.output)]
    assert freeze(case(), reviewed(pairs), frozen_before=split.lock, shown=shown).lock == split.lock
    assert freeze(case(), reviewed(pairs), frozen_before=split.lock).lock == split.lock


def test_the_rule_is_named_wherever_something_is_shown_even_if_it_held_nothing() -> None:
    pairs = reviewed(singles(90))
    shown = [("quite another text", "mit")]
    prompt = case().task_file.task.system_prompt
    assert SHOWN in freeze(case(), pairs, shown=shown).lock.method
    assert SHOWN in freeze(with_prompt(prompt, conventions="Lower case."), pairs).lock.method
    assert SHOWN not in freeze(case(), pairs).lock.method


@pytest.mark.parametrize(
    ("pairs", "test", "dev"),
    [(60, 50, 10), (150, 50, 15), (299, 99, 29), (300, 100, 30), (700, 140, 70), (5000, 1000, 500)],
)
def test_sizes_that_are_left_open_leave_something_to_train_on(pairs: int, test: int, dev: int) -> None:
    assert wanted_sizes(SplitSection(), pairs) == (test, dev)
    assert wanted_sizes(SplitSection(test=70, dev=20), pairs) == (70, 20)
    assert pairs < 110 or pairs - test - dev >= pairs // 2
