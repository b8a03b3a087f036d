"""The guess at task.yaml from a data file: columns, words, sizes, and what is left to a person."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guess_sample import (
    TEAMS,
    chat_rows,
    exact_rows,
    free_rows,
    json_rows,
    label_rows,
    line_rows,
    number_rows,
    order,
    rows_of,
    set_rows,
)
from tuneproof.artifacts import Setting
from tuneproof.artifacts.pairs import LeftOut
from tuneproof.errors import BadInput
from tuneproof.guess import Guess, guess_task, told, value_of
from tuneproof.guess.columns import Texts, group_column, id_column, pair_columns
from tuneproof.guess.sizes import reply_tokens, shots_and_context, split_sizes, training_size
from tuneproof.guess.words import slug
from tuneproof.outside.readers import Rows


def guessed(rows: Rows, **more: Any) -> Guess:
    return guess_task(rows, source="pairs.jsonl", name="pairs", **more)


def values(guess: Guess) -> dict[str, Any]:
    return {each.name: value_of(each) for each in guess.settings}


def origins(guess: Guess) -> dict[str, str]:
    return {each.name: each.origin for each in guess.settings}


ALL = {
    "json": json_rows,
    "labels": label_rows,
    "lines": line_rows,
    "sets": set_rows,
    "numbers": number_rows,
    "exact": exact_rows,
    "free": free_rows,
    "chat": chat_rows,
}


@pytest.mark.parametrize("kind", ALL)
def test_the_same_rows_give_the_same_guess_and_every_value_says_where_it_came_from(kind: str) -> None:
    guess = guessed(ALL[kind]())
    assert guess == guessed(ALL[kind]())
    assert len(guess.settings) > 20
    assert all(each.origin for each in guess.settings)
    names = [each.name for each in guess.settings]
    assert len(set(names)) == len(names)


def test_columns_are_found_by_their_names() -> None:
    found = values(guessed(label_rows()))
    assert found["data.shape"] == "columns"
    assert found["data.input_column"] == "text"
    assert found["data.output_column"] == "category"
    assert found["data.id_column"] == "ticket_id"
    assert found["data.group_column"] is None
    assert found["task.input"] == "a text (column `text`)"
    assert found["task.output"] == "one of 5 labels (column `category`)"


def test_columns_without_a_telling_name_are_a_guess_that_asks_to_be_checked() -> None:
    rows = rows_of([{"b": TEAMS[i % 5], "a": order(i)} for i in range(100)])
    guess = guessed(rows)
    assert values(guess)["data.input_column"] == "a"
    assert values(guess)["data.output_column"] == "b"
    assert any(note.startswith("CHECK: which keys hold the pair is a guess: a → b") for note in guess.notes)


@pytest.mark.parametrize(
    ("keys", "pair"),
    [
        (("id", "question", "answer"), ("question", "answer")),
        (("document", "text", "label"), ("text", "label")),
        (("ticketText", "expectedCategory"), ("ticketText", "expectedCategory")),
        (("source", "target"), ("source", "target")),
        (("label", "notice"), ("notice", "label")),
        (("customer_id", "text", "x"), ("text", "x")),
        (("Label", "Text "), ("Text ", "Label")),
    ],
)
def test_the_names_of_teams_columns_are_understood(keys: tuple[str, ...], pair: tuple[str, str]) -> None:
    found = pair_columns(Texts([{key: f"{key} {i}" for key in keys} for i in range(10)]))
    assert (found.input.name, found.output.name) == pair


def test_a_column_that_keeps_rows_together_is_the_group_and_others_are_named() -> None:
    rows = [
        {
            "text": order(i),
            "label": TEAMS[i % 5],
            "customer_id": f"C{i // 4}",
            "lang": "enfr"[i % 2 * 2 :][:2],
        }
        for i in range(200)
    ]
    guess = guessed(rows_of(rows))
    assert values(guess)["data.group_column"] == "customer_id"
    assert origins(guess)["data.group_column"] == "named like a group: 50 values over all rows"
    assert any(note.startswith("Not taken as group: lang (2 values)") for note in guess.notes)


@pytest.mark.parametrize(
    ("distinct", "group"), [(1, None), (19, None), (20, "thread"), (250, "thread"), (251, None), (300, None)]
)
def test_a_group_repeats_clearly_and_there_are_enough_of_them(distinct: int, group: str | None) -> None:
    rows = [{"text": order(i), "label": "x", "thread": f"t{i % distinct}"} for i in range(300)]
    column, notes = group_column(Texts(rows), taken=["text", "label"])
    assert column.name == group
    assert bool(notes) == (distinct == 19)


def test_of_two_groups_the_one_that_keeps_more_together_is_taken() -> None:
    rows = [{"thread": i // 2, "customer": i // 10} for i in range(400)]
    column, notes = group_column(Texts(rows), taken=[])
    assert column.name == "customer"
    assert "thread (200 values)" in notes[0]


def test_groups_too_large_for_the_test_are_pointed_out_before_the_freeze() -> None:
    rows = [{"text": order(i), "label": TEAMS[i % 5], "customer": f"C{i % 25}"} for i in range(400)]
    note = next(note for note in guessed(rows_of(rows)).notes if note.startswith("CHECK"))
    assert note.startswith("CHECK: only 0 of 400 pairs are in groups of at most 5.")
    fine = [{**row, "customer": f"C{i // 4}"} for i, row in enumerate(rows)]
    assert not any(note.startswith("CHECK") for note in guessed(rows_of(fine)).notes)


def test_an_id_that_repeats_is_no_id() -> None:
    assert id_column(Texts([{"id": i} for i in range(9)]), taken=[]).name == "id"
    assert id_column(Texts([{"id": i // 2} for i in range(9)]), taken=[]).name is None
    assert id_column(Texts([{"id": 1}, {}]), taken=[]).name is None


def test_a_system_prompt_that_the_rows_bring_is_taken_and_other_ones_are_counted() -> None:
    guess = guessed(chat_rows(200, odd=3))
    assert values(guess)["data.shape"] == "messages"
    assert values(guess)["data.input_column"] is None
    assert values(guess)["task.system_prompt"] == "Name the team.\nOne word only."
    assert origins(guess)["task.system_prompt"] == "197 of 200 rows bring it"
    assert guess.notes[0].startswith("3 rows hold no pair (3 × ")


def test_alpaca_rows_with_one_instruction_make_it_the_system_prompt() -> None:
    rows = [{"instruction": "Name the team.", "input": order(i), "output": TEAMS[i % 5]} for i in range(150)]
    found = values(guessed(rows_of(rows)))
    assert found["data.shape"] == "alpaca"
    assert found["task.system_prompt"] == "Name the team."


def test_a_drafted_prompt_names_the_form_and_quotes_no_output_of_a_single_pair() -> None:
    prompt = values(guessed(json_rows()))["task.system_prompt"]
    assert prompt.startswith('Answer with one JSON object with the keys "team", "order", "amount"')
    looked = 0
    for kind in ("json", "lines", "exact", "sets", "free"):
        rows = ALL[kind]()
        prompt = values(guessed(rows))["task.system_prompt"]
        counts = Counter(text for row in rows.rows for text in row.values.values() if isinstance(text, str))
        quoted = [text for text, times in counts.items() if times < 5 and len(text) > 3 and text in prompt]
        assert not quoted, kind
        looked += len(counts)
    assert looked > 100
    assert "draft" in origins(guessed(json_rows()))["task.system_prompt"]
    labels = values(guessed(label_rows()))["task.system_prompt"]
    assert labels.endswith("account, billing, delivery, returns, warranty.")


def test_the_metric_comes_with_its_options() -> None:
    assert values(guessed(label_rows()))["scoring.labels"] == sorted(TEAMS)
    assert values(guessed(json_rows()))["scoring.json_schema"]["type"] == "object"
    assert values(guessed(set_rows()))["scoring.separator"] == ","
    assert values(guessed(number_rows()))["scoring.tolerance"] == 0.005
    assert values(guessed(free_rows()))["scoring.right_at"] == 0.6


def test_outputs_that_draft_will_refuse_are_counted_with_the_first_place_and_reason() -> None:
    guess = guessed(json_rows(300, broken=12))
    assert origins(guess)["task.metric"] == "288 of 300 outputs are JSON objects"
    note = next(note for note in guess.notes if "do not fit" in note)
    assert note.startswith("12 of 300 outputs do not fit `json fields` (first: pairs.jsonl:1 is not JSON")


@pytest.mark.parametrize(
    ("kind", "bound"), [("json", True), ("labels", True), ("exact", False), ("free", False)]
)
def test_only_the_pressure_that_outputs_can_show_is_claimed(kind: str, bound: bool) -> None:
    guess = guessed(ALL[kind]())
    claimed = {name: value for name, value in values(guess).items() if name.startswith("pressures.")}
    assert claimed == {"pressures.exact_format": bound}
    note = next(note for note in guess.notes if note.startswith("pressures:"))
    assert ("not yet" in note) != bound


def test_a_licence_and_a_reviewer_are_asked_for_and_never_made_up() -> None:
    guess = guessed(label_rows())
    assert values(guess)["data.licence"] == "unknown"
    assert values(guess)["data.reviewed_by"] is None
    assert [note.split(":")[0] for note in guess.notes[-3:]] == [
        "pressures",
        "data.licence",
        "data.reviewed_by",
    ]
    known = guessed(label_rows(), reviewed_by="the support team")
    assert values(known)["data.reviewed_by"] == "the support team"
    assert not any(note.startswith("data.reviewed_by") for note in known.notes)


def test_an_empty_file_is_refused_with_what_the_reader_found() -> None:
    with pytest.raises(BadInput, match=r"pairs.jsonl holds no rows\.\n  → Give a file"):
        guessed(rows_of([]))
    broken = Rows((), (LeftOut(place="pairs.jsonl:1", reason="is no JSON: line 1"),), "JSON Lines", ())
    with pytest.raises(BadInput, match=r"holds no rows \(pairs.jsonl:1: is no JSON: line 1\)"):
        guessed(broken)


def test_rows_with_one_key_are_refused() -> None:
    with pytest.raises(BadInput, match="the rows have one key, text; a pair needs an input and an output"):
        guessed(rows_of([{"text": "a"}, {"text": "b"}]))


def test_rows_whose_outputs_are_all_empty_are_refused() -> None:
    with pytest.raises(BadInput, match="a pair needs an input and an output"):
        guessed(rows_of([{"input": "a", "output": ""}, {"input": "b", "output": None}]))


def test_one_row_gives_a_whole_guess_that_says_what_is_missing() -> None:
    guess = guessed(rows_of([{"input": "où est mon colis ? 📦", "output": "livraison"}]))
    assert values(guess)["task.metric"] == "exact match"
    assert values(guess)["split.test"] == 50
    assert any(note.startswith("TOO FEW: 1 pairs; at least 120 are needed") for note in guess.notes)


@pytest.mark.parametrize(
    ("n", "test", "dev"),
    [
        (1, 50, 20),
        (120, 50, 20),
        (150, 50, 20),
        (240, 80, 24),
        (300, 100, 30),
        (812, 162, 81),
        (5000, 200, 100),
    ],
)
def test_the_split_takes_a_fifth_but_never_more_than_a_third(n: int, test: int, dev: int) -> None:
    split = split_sizes(n)
    assert (split.test.value, split.dev.value) == (test, dev)
    assert split.train == max(0, n - test - dev)
    assert bool(split.notes) == (n < 120)


@given(st.integers(min_value=120, max_value=10**6))
def test_enough_pairs_always_leave_training_pairs(n: int) -> None:
    split = split_sizes(n)
    assert split.train >= 50
    assert 50 <= (split.test.value or 0) <= 200
    assert (split.test.value or 0) <= max(50, n // 3)


@pytest.mark.parametrize(
    ("output", "tokens"), [("a" * 100, 64), ("1" * 100, 112), ("é" * 100, 208), ("", 8), ("x" * 5000, 1024)]
)
def test_the_limit_of_a_reply_is_an_upper_bound_of_the_longest_output(output: str, tokens: int) -> None:
    sized, notes = reply_tokens(["short", output])
    assert sized.value == max(16, tokens)
    assert bool(notes) == (len(output) == 5000)


def test_few_short_pairs_are_all_trained_and_many_long_ones_are_cut_to_ten_minutes() -> None:
    rows, epochs = training_size([("a" * 350, "b" * 35)] * 10, "s" * 35, train=300)
    assert (rows.value, epochs.value) == (None, 3)
    rows, epochs = training_size([("a" * 350, "b" * 35)] * 10, "s" * 35, train=500)
    assert (rows.value, epochs.value) == (None, 2)
    rows, epochs = training_size([("a" * 350, "b" * 35)] * 10, "s" * 35, train=5000)
    assert (rows.value, epochs.value) == (528, 2)
    assert "on a GPU take null" in rows.why
    tokens = (350 + 35 + 35) / 3.5 + 20
    assert 528 * tokens * 2 <= 150_000 < 536 * tokens * 2


@pytest.mark.parametrize(
    ("characters", "shots", "context"),
    [
        (100, (0, 5, 20), 4096),
        (800, (0, 5, 10), 4096),
        (1500, (0, 5), 4096),
        (2500, (0, 3), 4096),
        (5000, (0, 1), 4096),
        (8000, (0,), 4096),
        (15000, (0,), 8192),
    ],
)
def test_examples_fit_into_the_context_beside_the_longest_input(
    characters: int, shots: tuple[int, ...], context: int
) -> None:
    pairs = [("short", "x"), ("a" * characters, "b" * 20)]
    (chosen, _), sized, notes = shots_and_context(pairs, "s" * 90, reply=32, train=100)
    assert (chosen, sized.value) == (shots, context)
    used = 30 + 32 + 20 + math.ceil(characters / 3) + chosen[-1] * (math.ceil(characters / 3) + 7 + 20)
    assert used <= context
    assert notes == ()


def test_an_input_beyond_the_context_of_the_base_is_pointed_out() -> None:
    (shots, _), context, notes = shots_and_context([("a" * 40_000, "b"), ("a", "b")], "s", reply=8, train=9)
    assert (shots, context.value) == ((0,), 8192)
    assert notes[0].startswith("1 of 2 inputs may be longer than 8,192 tokens")


def test_there_are_never_more_examples_than_training_pairs() -> None:
    (shots, _), _, _ = shots_and_context([("a", "b")], "s", reply=8, train=5)
    assert shots == (0, 5)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Tickets 2024 (final)", "tickets-2024-final"),
        ("Übersetzung", "ubersetzung"),
        ("--..x", "x"),
        ("訳", "task"),
        ("", "task"),
        ("a" * 99, "a" * 64),
    ],
)
def test_any_file_name_becomes_a_name(text: str, name: str) -> None:
    assert slug(text) == name


@given(st.text())
def test_every_name_is_one_that_task_yaml_takes(text: str) -> None:
    guess = guess_task(label_rows(10), source="x", name=text)
    assert values(guess)["name"] == values(guess)["serving.model_name"] == slug(text)


def test_what_is_told_is_short_and_on_one_line() -> None:
    table = told(guessed(json_rows()))
    assert len(table) > 20
    assert all(len(value) <= 60 and "\n" not in value + origin for _, value, origin in table)
    assert ("data.group_column", "null", "no key is named like a group with values that repeat") in table
    assert ("comparison.shots", "[0, 5, 20]") in [row[:2] for row in table]


def test_a_list_is_kept_as_json_and_read_back() -> None:
    setting = next(s for s in guessed(label_rows()).settings if s.name == "scoring.labels")
    assert isinstance(setting.value, str)
    assert value_of(setting) == sorted(TEAMS)
    assert value_of(Setting(name="data.source", value="[1]", origin="x")) == "[1]"
