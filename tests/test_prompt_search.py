"""The search for a prompt: exactly the stated budget, the same for every model, and ties settled by rule."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from compare_sample import reply_to, rows
from sample import sample_case
from tuneproof.artifacts import Reply, SplitRow
from tuneproof.errors import NotReady
from tuneproof.prompt_search import Dev, Found, search
from tuneproof.prompt_variants import Variant, budget_sentence, rungs, variants
from tuneproof.scoring import scorer_of

SCORER = scorer_of(sample_case().task_file)
RIGHT, WRONG, UNFORMED = "right", "wrong", "unformed"


class Searched(NamedTuple):
    found: Found
    calls: Counter[tuple[str, bool]]
    """(variant, constrained) → calls, where what was asked before is not asked again."""
    seen: dict[tuple[str, bool], list[int]]
    """How many rows each asking was for."""


def run(
    shots: tuple[int, ...],
    items: int,
    *,
    share: Callable[[Variant, bool, int], str] = lambda *_: WRONG,
    fits: Callable[[Variant], bool] = lambda _: True,
    constrained: bool = False,
    arm: str = "base",
) -> Searched:
    """Search with a model whose reply to row number n is decided by `share`."""
    stored: dict[tuple[str, bool], set[str]] = {}
    calls: Counter[tuple[str, bool]] = Counter()
    seen: dict[tuple[str, bool], list[int]] = {}
    known = rows(items)

    def ask(variant: Variant, held: bool, some: Sequence[SplitRow]) -> list[Reply]:
        key = (variant.name, held)
        before = stored.setdefault(key, set())
        calls[key] += sum(row.id not in before for row in some)
        before |= {row.id for row in some}
        seen.setdefault(key, []).append(len(some))
        texts = {RIGHT: lambda row: row.output, WRONG: lambda _: "zzz", UNFORMED: lambda _: ""}
        return [reply_to(row.id, texts[share(variant, held, int(row.id[1:]))](row)) for row in some]

    dev = Dev(arm, known, shots, SCORER, ask, fits)
    return Searched(search(dev, constrained=constrained), calls, seen)


def stated(shots: tuple[int, ...], items: int, constrained: bool) -> tuple[int, int]:
    """The two numbers of the sentence: calls of the search, and calls with constrained replies."""
    said = budget_sentence(variants(shots), items, constrained)
    calls = int(re.findall(r"at most ([\d,]+) calls on dev", said)[0].replace(",", ""))
    again = re.findall(r"constrained replies, ([\d,]+) calls", said)
    return calls, int(again[0].replace(",", "")) if again else 0


CASES = [((0,), 10), ((0, 5), 10), ((0, 5), 40), ((0, 5, 20), 40), ((0, 1, 3, 9), 33), ((4,), 17)]


@pytest.mark.parametrize(("shots", "items"), CASES)
@pytest.mark.parametrize("constrained", [False, True])
def test_a_search_asks_exactly_the_stated_budget(
    shots: tuple[int, ...], items: int, constrained: bool
) -> None:
    done = run(shots, items, constrained=constrained)
    free = sum(count for (_, held), count in done.calls.items() if not held)
    again = sum(count for (_, held), count in done.calls.items() if held)
    assert (free, again) == stated(shots, items, constrained) and free > 0
    assert (again > 0) is constrained


@pytest.mark.parametrize(("shots", "items"), CASES)
def test_the_budget_does_not_depend_on_who_answers_or_on_how_well(shots: tuple[int, ...], items: int) -> None:
    def half(variant: Variant, held: bool, row: int) -> str:
        return RIGHT if (row + variant.shots) % 2 else UNFORMED

    base, endpoint = run(shots, items), run(shots, items, share=half, arm="frontier")
    assert sum(base.calls.values()) == sum(endpoint.calls.values()) == stated(shots, items, False)[0]
    assert {t.prompt for t in base.found.trials} == {t.prompt for t in endpoint.found.trials}
    assert {t.arm for t in endpoint.found.trials} == {"frontier"}


def test_every_variant_answers_the_first_pairs_the_half_more_and_two_all_of_them() -> None:
    every = variants((0, 5, 20))

    def better(variant: Variant, held: bool, row: int) -> str:
        return RIGHT if row < every.index(variant) + 1 else WRONG

    done = run((0, 5, 20), 40, share=better)
    upto = [items for _, items in rungs(40, len(every))]
    by_name = {name: max(lengths) for (name, _), lengths in done.seen.items()}
    assert upto == [12, 24, 40] and len(every) == 8
    assert sorted(by_name.values()) == [12] * 4 + [24] * 2 + [40] * 2
    assert {name for name, most in by_name.items() if most == 40} == {every[-1].name, every[-2].name}
    assert done.found.free == every[-1]
    ns = {t.prompt: t.n for t in done.found.trials}
    assert ns == by_name, "the table says how many pairs each answered"


def test_a_good_start_that_does_not_last_loses_to_the_better_whole() -> None:
    def share(variant: Variant, held: bool, row: int) -> str:
        if variant.name == "plain-0":
            return RIGHT if row < 3 else WRONG
        if variant.name == "turns-5":
            return RIGHT if row in (0, 1) or row >= 3 else WRONG
        return WRONG

    assert run((0, 5), 10, share=share).found.free.name == "turns-5"


def test_a_variant_that_does_not_fit_is_never_asked_and_the_table_says_so() -> None:
    def fits(variant: Variant) -> bool:
        return variant.shots < 20

    def share(variant: Variant, held: bool, row: int) -> str:
        return RIGHT if variant.shots == 20 else WRONG

    done = run((0, 5, 20), 40, fits=fits, share=share, constrained=True)
    not_tried = {t.prompt for t in done.found.trials if not t.fits}
    assert not_tried == {v.name for v in variants((0, 5, 20)) if v.shots == 20} and len(not_tried) == 3
    assert not {name for name, _ in done.calls} & not_tried
    assert all(t.n == 0 and t.correct == 0 for t in done.found.trials if not t.fits)
    assert done.found.free.shots < 20
    assert sum(n for (_, held), n in done.calls.items() if not held) <= stated((0, 5, 20), 40, True)[0]


def test_where_nothing_fits_the_remedy_names_the_context_and_nothing_is_asked() -> None:
    with pytest.raises(NotReady, match=r"serving\.num_ctx with 5 examples") as stop:
        run((5, 20), 10, fits=lambda _: False, share=lambda *_: pytest.fail("asked"))
    assert "serving.num_ctx" in stop.value.remedy


def test_constrained_replies_are_tried_for_the_two_finalists_alone() -> None:
    every = variants((0, 5))

    def share(variant: Variant, held: bool, row: int) -> str:
        rank = every.index(variant)
        if held:  # constrained, the second best free one does better
            return RIGHT if row < 39 - rank else WRONG
        return RIGHT if row % 12 < 2 * rank + 1 else WRONG

    done = run((0, 5), 40, share=share, constrained=True)
    held = {name for (name, constrained) in done.calls if constrained}
    assert held == {every[-1].name, every[-2].name}
    assert all(done.calls[name, True] == 40 for name in held)
    assert done.found.free == every[-1] and done.found.constrained == every[-2]
    assert [t.prompt for t in done.found.trials if t.constrained] == [every[-2].name, every[-1].name]
    assert run((0, 5), 40, share=share).found.constrained is None


def test_a_tie_goes_to_fewer_parse_failures_then_to_more_examples_then_to_the_earlier_one() -> None:
    def formed(variant: Variant, held: bool, row: int) -> str:
        return UNFORMED if variant.shots == 5 else WRONG

    assert run((0, 5), 10, share=formed).found.free.shots == 0, "fewer parse failures"
    assert run((0, 5), 10).found.free.shots == 5, "more examples"
    of_five = [v.name for v in variants((0, 5)) if v.shots == 5]
    assert run((0, 5), 10).found.free.name == of_five[0] == "turns-5", "the earlier one"
    assert run((0, 5), 10) == run((0, 5), 10)


def test_one_right_reply_more_beats_any_number_of_examples() -> None:
    def share(variant: Variant, held: bool, row: int) -> str:
        return RIGHT if variant.name == "plain-0" and row == 0 else WRONG

    assert run((0, 5, 20), 40, share=share).found.free.name == "plain-0"
