from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_constraint import SCHEMA, task_file
from tuneproof.artifacts import Item, PromptTrial, SplitRow
from tuneproof.prompt_variants import (
    Variant,
    best_of,
    budget_sentence,
    chat_maker,
    form_sentence,
    rungs,
    shots_from,
    variants,
)

OUTPUTS = ["mit", "mit", "mit", "bsd-new", "bsd-new", "apache-2.0"]
TRAIN = [
    SplitRow(id=f"t{n}", group=f"t{n}", input=f"notice number {n} about {output}", output=output)
    for n, output in enumerate(OUTPUTS)
]


def chat(name: str, text: str = "notice about bsd-new number 4", form: str = "Reply with one word.") -> list:
    variant = next(v for v in variants((0, 2, 5)) if v.name == name)
    return chat_maker(variant, system_prompt="Name the licence.", train=TRAIN, form=form)(text)


def test_the_variants_of_the_usual_numbers_are_these_eight() -> None:
    names = [v.name for v in variants((0, 5, 20))]
    assert names == [
        "plain-0",
        "described-0",
        "turns-5",
        "listed-5",
        "retrieved-5",
        "turns-20",
        "listed-20",
        "described-20",
    ]
    assert variants((20, 5, 0, 5)) == variants((0, 5, 20))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_variant_names_are_unique_and_say_style_and_number(shots: list[int]) -> None:
    found = variants(shots)
    assert found and len({v.name for v in found}) == len(found)
    assert all(v.name == f"{v.style}-{v.shots}" for v in found)
    assert {v.shots for v in found} == set(shots)
    assert sum(v.style == "retrieved" for v in found) == (1 if any(shots) else 0)


def test_examples_as_turns_end_with_the_commonest_output() -> None:
    messages = chat("turns-2")
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [m["content"] for m in messages if m["role"] == "assistant"] == ["bsd-new", "mit"]
    assert messages[0]["content"] == "Name the licence."


def test_listed_examples_stand_in_the_system_message_and_nowhere_else() -> None:
    messages = chat("listed-2")
    assert len(messages) == 2 and messages[1]["content"] == "notice about bsd-new number 4"
    assert messages[0]["content"] == (
        "Name the licence.\n\nExamples:\n\nInput: notice number 3 about bsd-new\nOutput: bsd-new\n\n"
        "Input: notice number 0 about mit\nOutput: mit"
    )


def test_a_described_prompt_ends_its_system_message_with_the_form_of_the_answer() -> None:
    assert chat("described-0")[0]["content"] == "Name the licence.\nReply with one word."
    full = chat("described-5")
    assert full[0]["content"] == "Name the licence.\nReply with one word." and len(full) == 12


def test_retrieved_examples_are_the_nearest_ones_with_the_nearest_last() -> None:
    messages = chat("retrieved-2", text=f"{TRAIN[4].input}!")
    assert [m["content"] for m in messages[1:-1]] == [
        TRAIN[3].input,
        TRAIN[3].output,
        TRAIN[4].input,
        TRAIN[4].output,
    ]
    assert messages[-1]["content"] == f"{TRAIN[4].input}!"


def test_the_plain_prompt_is_the_tuned_models_own() -> None:
    assert chat("plain-0", "x") == [
        {"role": "system", "content": "Name the licence."},
        {"role": "user", "content": "x"},
    ]


def test_a_test_item_can_never_be_an_example() -> None:
    item = Item(id="i", group="i", input="x", output="y")
    with pytest.raises(ValueError, match="not from the test"):
        chat_maker(Variant("turns-5", "turns", 5), system_prompt="s", train=[*TRAIN, item], form="")


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(0, 15))
def test_examples_show_as_many_outputs_as_they_can_and_no_pair_twice(outputs: list[str], count: int) -> None:
    train = [SplitRow(id=str(n), group=str(n), input=str(n), output=o) for n, o in enumerate(outputs)]
    shots = shots_from(train, count)
    assert len(shots) == min(count, len(train)) == len({s.id for s in shots})
    assert len({s.output for s in shots}) == min(count, len(set(outputs)))
    if shots:
        assert outputs.count(shots[-1].output) == max(map(outputs.count, outputs)) or count > len(
            set(outputs)
        )


@pytest.mark.parametrize(
    ("file", "schema", "said"),
    [
        (task_file("json fields"), SCHEMA, '{"type": "object", "properties": {"total"'),
        (task_file("label accuracy", labels=["yes", "no"]), None, "nothing else: yes, no"),
        (task_file(pattern="[a-z]+"), None, "regular expression: [a-z]+"),
        (task_file(pattern=r"(\w)\1"), None, r"regular expression: (\w)\1"),
    ],
)
def test_the_form_of_the_answer_is_said_as_the_scorer_reads_it(file, schema, said) -> None:
    assert said in form_sentence(file, schema)


def test_a_pattern_that_holds_nothing_is_not_said() -> None:
    assert form_sentence(task_file(), None) == "Reply with its label and nothing else."


def test_eight_variants_on_forty_pairs_cost_at_most_176_calls() -> None:
    assert rungs(40, 8) == ((8, 12), (4, 24), (2, 40))
    said = budget_sentence(variants((0, 5, 20)), 40, True)
    assert said == (
        "8 prompt variants, at most 176 calls on dev for each model: all on the first 12 pairs, the best 4 "
        "on 24, the best 2 on 40; the base's best 2 again with constrained replies, 80 calls"
    )
    assert budget_sentence(variants((0,)), 40, False) == (
        "2 prompt variants, at most 80 calls on dev for each model: all on 40 pairs"
    )


@given(st.integers(1, 500), st.integers(1, 40))
def test_every_round_has_fewer_variants_and_more_pairs_and_the_last_has_all(items: int, count: int) -> None:
    plan = rungs(items, count)
    assert plan[0][0] == count and plan[-1] == (min(count, 2), items)
    for (more, fewer_pairs), (less, more_pairs) in pairwise(plan):
        assert more >= less and 1 <= fewer_pairs <= more_pairs


def trial(prompt: str, correct: int, n: int = 40, **more) -> PromptTrial:
    return PromptTrial(
        arm="base",
        prompt=prompt,
        style="turns",
        n=n,
        correct=correct,
        **({"shots": 5, "parse_failures": 0} | more),
    )


def test_the_best_is_sought_among_those_that_answered_every_pair() -> None:
    assert best_of([trial("lucky", 24, n=24), trial("whole", 20)]).prompt == "whole"
    unfit = trial("unfit", 40, fits=False)
    assert best_of([unfit, trial("whole", 20)]).prompt == "whole"


def test_ties_go_to_mean_value_then_parse_failures_then_examples_then_the_earlier() -> None:
    a = trial("a", 20, mean_value=0.5, parse_failures=3)
    b = trial("b", 20, mean_value=0.6, parse_failures=9)
    assert best_of([a, b]).prompt == "b"
    assert best_of([a, trial("c", 20, mean_value=0.5, parse_failures=2)]).prompt == "c"
    assert best_of([a, trial("d", 20, mean_value=0.5, parse_failures=3, shots=20)]).prompt == "d"
    assert best_of([a, trial("e", 20, mean_value=0.5, parse_failures=3)]).prompt == "a"


def test_with_nothing_tried_there_is_no_best() -> None:
    with pytest.raises(ValueError, match="no variant was tried"):
        best_of([trial("a", 0, n=0, fits=False)])
