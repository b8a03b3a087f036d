"""Rows → pairs: every shape, and every way in which a row of it holds no pair."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.artifacts.case import DataSection
from tuneproof.artifacts.pairs import LeftOut, Pair
from tuneproof.errors import BadInput
from tuneproof.outside.readers import Row, kind_of, pairs_from, row_system_prompts, shape_of

PROMPT = "Answer with the licence only."
COLUMNS = {"input": "the text", "output": "mit"}


def rows_of(*values: dict[str, Any]) -> tuple[Row, ...]:
    return tuple(Row(f"p.jsonl:{number}", row) for number, row in enumerate(values, start=1))


def taken(*values: dict[str, Any], **fields: Any) -> tuple[tuple[Pair, ...], tuple[LeftOut, ...]]:
    section = DataSection.model_validate({"source": "p.jsonl", "licence": "MIT"} | fields)
    return pairs_from(rows_of(*values), section, PROMPT)


def pair_of(values: dict[str, Any], **fields: Any) -> tuple[str, str]:
    pairs, rejected = taken(values, **fields)
    assert rejected == ()
    return pairs[0].input, pairs[0].output


def reason_for(values: dict[str, Any], **fields: Any) -> str:
    good = {"id": "good", **GOOD[fields["shape"]]}
    pairs, rejected = taken(good, {"id": "bad", **values}, **fields)
    assert [pair.id for pair in pairs] == ["good"]
    assert [row.place for row in rejected] == ["p.jsonl:2"]
    return rejected[0].reason


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def said(who: str, value: Any) -> dict[str, Any]:
    return {"from": who, "value": value}


def chat(*turns: Any) -> dict[str, Any]:
    return {"messages": list(turns)}


def talk(*turns: Any) -> dict[str, Any]:
    return {"conversations": list(turns)}


QUESTION, ANSWER = turn("user", "the text"), turn("assistant", "mit")
HUMAN, GPT = said("human", "the text"), said("gpt", "mit")
GOOD: dict[str, dict[str, Any]] = {
    "columns": COLUMNS,
    "messages": chat(QUESTION, ANSWER),
    "sharegpt": talk(HUMAN, GPT),
    "alpaca": {"instruction": "the text", "output": "mit"},
}


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ("columns", COLUMNS),
        ("columns", {"prompt": "the text", "completion": "mit", "note": 1}),
        ("columns", {"prompt": [QUESTION], "completion": [ANSWER]}),
        ("columns", {"prompt": [turn("system", PROMPT), QUESTION], "completion": "mit"}),
        ("messages", chat(QUESTION, ANSWER)),
        ("messages", chat(turn("system", f" {PROMPT}\n"), QUESTION, ANSWER)),
        ("messages", chat(turn("developer", PROMPT.replace(" ", "  ")), QUESTION, ANSWER)),
        ("messages", chat(QUESTION, turn("assistant", "mit", weight=1, tool_calls=None))),
        ("messages", chat(turn("user", "the text", weight=0), turn("assistant", "mit", weight=None))),
        ("messages", {"messages": [
            turn("user", [{"type": "text", "text": "the "}, {"type": "text", "text": "text"}]), ANSWER]}),
        ("sharegpt", talk(HUMAN, GPT)),
        ("sharegpt", talk(HUMAN, said("assistant", "mit"))),
        ("sharegpt", talk(said("system", PROMPT), said("user", "the text"), GPT)),
        ("sharegpt", {"conversations": [HUMAN, GPT], "system": PROMPT}),
        ("sharegpt", {"conversations": [HUMAN, GPT], "system": ""}),
        ("sharegpt", {"conversations": [said("system", PROMPT), HUMAN, GPT], "system": "Be brief."}),
        ("alpaca", {"instruction": "the text", "input": "", "output": "mit"}),
        ("alpaca", {"instruction": "the text", "input": None, "output": "mit"}),
        ("alpaca", {"instruction": "the text", "output": "mit"}),
        ("alpaca", {"instruction": f"{PROMPT} ", "input": "the text", "output": "mit"}),
        ("alpaca", {"instruction": "", "input": "the text", "output": "mit"}),
    ],
)  # fmt: skip
def test_every_shape_gives_its_pair_found_by_its_keys_or_named(shape: str, values: dict[str, Any]) -> None:
    assert shape_of(rows_of(values)) == shape
    assert pair_of(values) == pair_of(values, shape=shape) == ("the text", "mit")


def test_an_alpaca_input_follows_an_instruction_that_is_not_the_system_prompt() -> None:
    assert pair_of({"instruction": "Name it.", "input": "the text", "output": "mit"}) == (
        "Name it.\n\nthe text",
        "mit",
    )


@pytest.mark.parametrize(
    ("shape", "values", "reason"),
    [
        ("columns", {"input": "a"}, "has no 'output': its keys are 'id', 'input'"),
        ("columns", {"input": 3, "output": "a"}, "'input' is not a text: it is a number"),
        ("columns", {"input": {"a": 1}, "output": "a"}, "'input' is not a text: it is an object"),
        ("columns", {"input": ["a"], "output": "a"}, "'input' is not a text: it is a list"),
        ("columns", {"input": "a", "output": None}, "'output' is not a text: it is null"),
        ("columns", {"input": "a", "output": True}, "'output' is not a text: it is true or false"),
        ("columns", {"input": "a", "output": b"a"}, "'output' is not a text: it is a bytes"),
        ("columns", {"input": "a", "output": {"n": float("nan")}}, "'output' cannot be written as JSON"),
        ("columns", {"input": "a", "output": [b"a"]}, "'output' cannot be written as JSON"),
        ("columns", {"input": [QUESTION], "output": 3}, "not a list of messages: 'output'"),
        ("messages", {"messages": "a"}, "not a list of messages: 'messages'"),
        ("messages", chat("a"), "not a list of messages: 'messages'"),
        ("messages", {"message": []}, "not a list of messages: 'messages'"),
        ("messages", chat(), "not one user turn and then one assistant turn: no turn"),
        ("messages", chat(QUESTION), "not one user turn and then one assistant turn: user"),
        ("messages", chat(ANSWER, QUESTION), "then one assistant turn: assistant, user"),
        ("messages", chat(QUESTION, ANSWER, ANSWER), "turn: user, assistant, assistant"),
        ("messages", chat(QUESTION, turn("system", PROMPT), ANSWER), "turn: user, system, assistant"),
        ("messages", chat(QUESTION, ANSWER, QUESTION, ANSWER), "several user turns: 2"),
        ("messages", chat(QUESTION, turn("assistant", "mit", weight=0)), "not to be trained on: weight 0"),
        ("messages", chat(QUESTION, turn("assistant", None, tool_calls=[{}])), "calls a tool"),
        ("messages", chat(QUESTION, turn("assistant", "", function_call={"name": "f"})), "calls a tool"),
        ("messages", chat(QUESTION, turn("tool", "42"), ANSWER), "calls a tool"),
        ("messages", chat(QUESTION, turn("bot", "mit")), "a message of an unknown role: 'bot'"),
        ("messages", chat(QUESTION, {"content": "mit"}), "a message of an unknown role: None"),
        ("messages", chat(QUESTION, {"role": ["user"]}), "a message of an unknown role"),
        ("messages", chat(QUESTION, turn("assistant", None)), "a message without text"),
        ("messages", chat(turn("user", []), ANSWER), "a message holds more than text"),
        ("messages", chat(turn("user", [{"type": "image_url"}]), ANSWER), "more than text: image_url"),
        ("messages", chat(turn("user", [{"type": "text"}]), ANSWER), "a part without text"),
        ("messages", chat(turn("system", "Be brief."), QUESTION, ANSWER),
         "its system message is not task.system_prompt: 'Be brief.'"),
        ("messages", chat(turn("system", PROMPT.lower()), QUESTION, ANSWER), "not task.system_prompt"),
        ("messages", chat(turn("system", ""), QUESTION, ANSWER), "not task.system_prompt"),
        ("sharegpt", talk(HUMAN, said("observation", "x"), GPT), "unknown role: 'observation'"),
        ("sharegpt", talk(HUMAN, said("gpt", 3)), "a message without text"),
        ("sharegpt", talk(HUMAN, {"from": {}}), "a message of an unknown role"),
        ("sharegpt", talk(HUMAN, GPT, HUMAN, GPT), "several user turns: 2"),
        ("sharegpt", {"conversations": [HUMAN, GPT], "system": "Be brief."}, "not task.system_prompt"),
        ("alpaca", {"instruction": 3, "output": "a"}, "'instruction' is not a text"),
        ("alpaca", {"instruction": "a", "input": 3, "output": "a"}, "'input' is not a text"),
        ("alpaca", {"instruction": "a"}, "'output' is not a text: it is null"),
    ],
)  # fmt: skip
def test_a_row_without_a_pair_is_named_with_its_place_and_reason(
    shape: str, values: dict[str, Any], reason: str
) -> None:
    assert reason in reason_for(values, shape=shape)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"b": 1, "a": [1.5, None, "ä"]}, '{"b":1,"a":[1.5,null,"ä"]}'),
        (["x", {"y": True}], '["x",{"y":true}]'),
        ([], "[]"),
        (" as it is ", " as it is "),
    ],
)
def test_an_output_of_json_becomes_compact_text_in_its_own_order(output: Any, text: str) -> None:
    assert pair_of({"input": "a", "output": output}) == ("a", text)


def test_named_columns_are_taken_before_everything_else() -> None:
    values = {"messages": "note", "input": "wrong", "q": "right", "output": "x", "a": "y"}
    assert pair_of(values, input_column="q", output_column="a") == ("right", "y")
    assert pair_of(values, input_column="q") == ("right", "x")
    both = {"prompt": "p", "completion": "c", "input": "i"}
    assert pair_of(both) == ("p", "c")
    assert pair_of({"prompt": "p", "label": "l"}, output_column="label") == ("p", "l")


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        ({"input_column": "inptu"}, ["data.input_column: no row has a column 'inptu'. Near: 'input'"]),
        ({"output_column": "zzz"}, ["data.output_column: no row has a column 'zzz'.\n"]),
        ({"input_column": "q", "output_column": "r"}, ["no row has a column 'q'", "no row has a column 'r'"]),
        ({"shape": "messages"}, ["data.shape: messages: no row has a column 'messages'"]),
        ({"shape": "sharegpt"}, ["no row has a column 'conversations'"]),
        ({"shape": "alpaca"}, ["no row has a column 'instruction'"]),
        ({"id_column": "number"}, ["data.id_column: no row has a column 'number'"]),
        ({"group_column": "customer"}, ["data.group_column: no row has a column 'customer'"]),
    ],
)
def test_a_column_that_no_row_has_is_refused_with_the_columns_there_are(
    fields: dict[str, str], messages: list[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        taken(COLUMNS, {**COLUMNS, "extra": 1}, **fields)
    for message in messages:
        assert message in caught.value.problem
    assert "Columns there are: 'input', 'output', 'extra'." in caught.value.problem


def test_mixed_shapes_are_refused_with_how_many_rows_of_which() -> None:
    mixed = [*[GOOD["messages"]] * 3, COLUMNS, {"prompt": "a", "completion": "b"}]
    with pytest.raises(BadInput) as caught:
        shape_of(rows_of(*mixed))
    assert caught.value.problem.splitlines()[1:] == [
        "3 × messages, first at p.jsonl:1",
        "1 × columns input and output, first at p.jsonl:4",
        "1 × columns prompt and completion, first at p.jsonl:5",
    ]
    assert "data.shape" in caught.value.remedy
    pairs, rejected = taken(*mixed, shape="messages")
    assert (len(pairs), len(rejected)) == (3, 2)


def test_rows_of_no_known_shape_are_refused_with_their_keys_unless_others_have_one() -> None:
    with pytest.raises(BadInput, match=r"Keys: 'text', 'label'\.") as caught:
        taken({"text": "a", "label": "b"}, {"text": "c"})
    assert "data.input_column" in caught.value.remedy
    pairs, rejected = taken(COLUMNS, {"text": "a"})
    assert (len(pairs), [row.place for row in rejected]) == (1, ["p.jsonl:2"])


def test_ids_are_the_rows_own_or_their_number() -> None:
    assert [pair.id for pair in taken(COLUMNS, COLUMNS)[0]] == ["row-00001", "row-00002"]
    pairs, rejected = taken({"id": 7, **COLUMNS}, {"id": " a ", **COLUMNS}, COLUMNS, {"id": 1.5, **COLUMNS})
    assert [pair.id for pair in pairs] == ["7", "a"]
    assert [row.reason for row in rejected] == ["has no 'id': it is None", "has no 'id': it is 1.5"]
    assert [p.id for p in taken({"id": "x", "key": "k", **COLUMNS}, id_column="key")[0]] == ["k"]
    assert taken({"id": True, **COLUMNS})[0] == ()


def test_a_number_stays_with_its_row_when_an_earlier_row_is_no_pair() -> None:
    assert [pair.id for pair in taken(COLUMNS, {"input": "a"}, COLUMNS)[0]] == ["row-00001", "row-00003"]


def test_the_group_column_becomes_the_group_and_must_not_be_empty() -> None:
    pairs, rejected = taken(
        {"who": "ann", **COLUMNS}, {"who": 3, **COLUMNS}, {"who": " ", **COLUMNS}, COLUMNS, group_column="who"
    )
    assert [pair.group for pair in pairs] == ["ann", "3"]
    assert [row.place for row in rejected] == ["p.jsonl:3", "p.jsonl:4"]
    assert {kind_of(row.reason) for row in rejected} == {"has no 'who'"}
    assert taken(COLUMNS)[0][0].group is None


def test_the_system_prompts_of_rows_are_counted_for_a_guess() -> None:
    one = {"messages": [turn("system", "A"), QUESTION, ANSWER]}
    other = {"messages": [turn("system", "B"), QUESTION, ANSWER]}
    broken = {"messages": [turn("system", "C"), QUESTION]}
    found = row_system_prompts(rows_of(one, other, one, broken, GOOD["messages"]), "messages")
    assert found == {"A": 2, "B": 1}
    beside = {"conversations": [HUMAN, GPT], "system": "S"}
    assert row_system_prompts(rows_of(beside, GOOD["sharegpt"]), "sharegpt") == {"S": 1}
    prompt = {"prompt": [turn("system", "P"), QUESTION], "completion": [ANSWER]}
    assert row_system_prompts(rows_of(prompt, COLUMNS), "columns") == {"P": 1}


def test_an_instruction_is_a_system_prompt_only_if_most_rows_share_it() -> None:
    shared = [{"instruction": "Do it.", "input": str(n), "output": "x"} for n in range(3)]
    lone = {"instruction": "Other.", "output": "x"}
    assert row_system_prompts(rows_of(*shared, lone), "alpaca") == {"Do it.": 3}
    assert row_system_prompts(rows_of(*shared[:1], lone), "alpaca") == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "type", "text"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["input", "output", "messages", "conversations", "instruction", "prompt", "completion", "id"]
)


@given(
    st.lists(st.dictionaries(KEYS, JSON, max_size=5), min_size=1, max_size=6), st.sampled_from(sorted(GOOD))
)
def test_every_row_is_a_pair_or_rejected_whatever_it_holds(rows: list[dict[str, Any]], shape: str) -> None:
    pairs, rejected = taken({"id": 1, **GOOD[shape]}, *rows, shape=shape)
    assert len(pairs) + len(rejected) == len(rows) + 1
    assert sorted([p.source for p in pairs] + [r.place for r in rejected]) == [
        f"p.jsonl:{n}" for n in range(1, len(rows) + 2)
    ]
    assert sum(row_system_prompts(rows_of(*rows), shape).values()) <= len(rows)
