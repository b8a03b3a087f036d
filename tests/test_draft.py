"""Step 2: which pairs go on, and that whatever is wrong with the others is said at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample import sample_case
from tuneproof.artifacts import Case, Drafts, LeftOut, Pair, Provenance, TaskFile
from tuneproof.errors import BadInput, NotReady
from tuneproof.steps.draft import ALL, draft
from tuneproof.steps.init import init

ORIGIN = Provenance(kind="imported", source="p.jsonl", source_version="1", licence="l", attribution="a")


def case_of(**data: Any) -> Case:
    fields = sample_case().task_file.model_dump()
    fields["data"] |= {"source": "p.jsonl", "pairs": None} | data
    return init(TaskFile.model_validate(fields))


def pair(number: int, text: str, output: str, own: str = "") -> Pair:
    return Pair(id=own or f"r{number}", input=text, output=output, source=f"p.jsonl:{number}")


def drafts_of(*pairs: Pair, rejected: tuple[LeftOut, ...] = ()) -> Drafts:
    left_out = {"not JSON": len(rejected)} if rejected else {}
    return Drafts(provenance=ORIGIN, pairs=pairs, rejected=rejected, left_out=left_out)


def imported(drafts: Drafts, problem_of: Callable[[str], str] = lambda _: "", **data: Any) -> Drafts:
    return draft(case_of(**data), {}, lambda: drafts, problem_of)


def never() -> Drafts:
    raise AssertionError("this source must not be read")


GOOD = drafts_of(pair(1, "text a", "mit"), pair(2, "text b", "zlib"))
NO_ROW = LeftOut(place="p.jsonl:3", reason="not JSON: Expecting value at column 1")


def test_good_pairs_of_a_file_go_on_as_they_are() -> None:
    assert imported(GOOD) == GOOD


def test_a_bundled_source_is_read_by_its_name_and_a_file_is_not() -> None:
    asked: list[int] = []
    sources = {"bundled:licenses": lambda n: asked.append(n) or GOOD}  # type: ignore[func-returns-value]
    assert draft(case_of(source="bundled:licenses", pairs=321), sources, never) == GOOD
    assert draft(case_of(source="bundled:licenses"), sources, never) == GOOD
    assert asked == [321, ALL]


def test_an_unknown_bundled_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"'bundled:licences'; bundled sources: bundled:a, bundled:b\."):
        draft(
            case_of(source="bundled:licences"),
            {f"bundled:{n}": lambda _: GOOD for n in "ba"},
            never,
        )


def test_nothing_is_read_when_a_tune_is_not_advised() -> None:
    fields = case_of().task_file.model_dump()
    fields["pressures"] = {"fresh_facts": True}
    with pytest.raises(NotReady, match="'RAG'"):
        draft(init(TaskFile.model_validate(fields)), {}, never)


BAD = [
    ("an empty input", [pair(9, "", "y")], ["p.jsonl:9: its input is empty: ''"]),
    ("a blank input", [pair(9, " \n\u2003", "y")], ["p.jsonl:9: its input is empty"]),
    ("a blank output", [pair(9, "x", "\t")], ["p.jsonl:9: its output is empty: '\\t'"]),
    ("an id twice", [pair(8, "x", "y", "i"), pair(9, "z", "y", "i")],
     ["p.jsonl:9: its id occurs twice: 'i' is also the id of p.jsonl:8"]),
    ("a contradiction", [pair(8, "x", "y"), pair(9, "x", "z")],
     ["p.jsonl:8: contradicts a row with the same input: 'y' here, 'z' in p.jsonl:9",
      "p.jsonl:9: contradicts a row with the same input: 'z' here, 'y' in p.jsonl:8"]),
    ("a contradiction but for case, space and form",
     [pair(7, "Straße １", "y"), pair(8, "other", "y"), pair(9, " STRASSE\n 1", "z")],
     ["p.jsonl:7: contradicts", "p.jsonl:9: contradicts"]),
    ("a contradiction with repeats", [pair(7, "x", "y"), pair(8, "x", "y"), pair(9, "x", "z")],
     ["p.jsonl:7: ", "p.jsonl:8: contradicts a row with the same input: 'y' here, 'z' in p.jsonl:9",
      "p.jsonl:9: "]),
    ("an output that the metric cannot accept", [pair(9, "x", "bad")],
     ["p.jsonl:9: the metric cannot accept its output: 'bad': not a label"]),
]  # fmt: skip


def says_bad(output: str) -> str:
    return "not a label" if output == "bad" else ""


@pytest.mark.parametrize(("pairs", "lines"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_row_that_cannot_be_learned_is_refused_or_left_out_by_its_place(
    pairs: list[Pair], lines: list[str]
) -> None:
    found = drafts_of(*GOOD.pairs, *pairs, rejected=(NO_ROW,))
    with pytest.raises(BadInput) as caught:
        imported(found, says_bad)
    told = caught.value.problem.splitlines()
    assert told[0] == "p.jsonl:3: not JSON: Expecting value at column 1"
    assert len(told) == len(lines) + 1
    assert all(said.startswith(line) for said, line in zip(told[1:], lines, strict=True))
    assert "data.bad_rows: leave out" in caught.value.remedy

    made = imported(found, says_bad, bad_rows="leave out")
    bad = [f"{row.place}: {row.reason}" for row in made.rejected]
    assert bad == told
    left_out = {row.place for row in made.rejected}
    assert [p.source for p in made.pairs] == [p.source for p in found.pairs if p.source not in left_out]
    assert sum(made.left_out.values()) == len(told)
    assert made.left_out["not JSON"] == 1

    with pytest.raises(BadInput) as bundled:
        draft(case_of(source="s", bad_rows="leave out"), {"s": lambda _: found}, never, says_bad)
    assert bundled.value.problem.splitlines() == told[1:]


def test_a_row_that_the_reader_rejected_stops_the_run_unless_it_may_be_left_out() -> None:
    found = drafts_of(*GOOD.pairs, rejected=(NO_ROW,))
    with pytest.raises(BadInput, match=r"^p\.jsonl:3: not JSON"):
        imported(found)
    assert imported(found, bad_rows="leave out") == found


def test_exact_repeats_of_a_pair_go_on() -> None:
    twins = drafts_of(pair(1, "x", "a b"), pair(2, "X ", "a  b"), pair(3, "x", "a b"))
    assert imported(twins) == twins


def test_a_row_whose_output_is_no_answer_does_not_contradict_its_twin() -> None:
    rows = drafts_of(pair(1, "x", "y"), pair(2, "x", ""), pair(3, "x", "bad"))
    made = imported(rows, says_bad, bad_rows="leave out")
    assert [p.source for p in made.pairs] == ["p.jsonl:1"]


def test_what_was_left_out_comes_in_the_order_of_the_file() -> None:
    rejected = tuple(LeftOut(place=f"p.jsonl:{n}", reason="not JSON: x") for n in (10, 100, 9))
    made = imported(drafts_of(pair(1, "x", "y"), pair(11, "", "y"), rejected=rejected), bad_rows="leave out")
    assert [row.place for row in made.rejected] == [f"p.jsonl:{n}" for n in (9, 10, 11, 100)]


def test_twenty_problems_are_written_out_and_the_rest_is_counted_by_kind() -> None:
    empty = [pair(n, "", "y") for n in range(1, 31)]
    lists = tuple(LeftOut(place=f"p.jsonl:{n}", reason=f"not JSON: at column {n}") for n in range(31, 37))
    with pytest.raises(BadInput) as caught:
        imported(drafts_of(*empty, pair(40, "x", "y"), rejected=lists))
    told = caught.value.problem.splitlines()
    assert [line.partition(": ")[0] for line in told[:20]] == [f"p.jsonl:{n}" for n in range(1, 21)]
    assert told[20:] == ["… and 16 more like these: 10 × its input is empty, 6 × not JSON"]


def test_a_source_without_a_pair_is_refused_also_when_bad_rows_are_left_out() -> None:
    for bad_rows in ("refuse", "leave out"):
        with pytest.raises(BadInput, match="gave no pair"):
            imported(drafts_of(), bad_rows=bad_rows)
    with pytest.raises(BadInput, match=r"(?s)gave no pair\..*p\.jsonl:3: not JSON"):
        imported(drafts_of(rejected=(NO_ROW,)), bad_rows="leave out")
    with pytest.raises(BadInput, match="gave no pair"):
        draft(case_of(source="s"), {"s": lambda _: drafts_of()}, never)


def test_the_metric_is_asked_once_for_each_output() -> None:
    asked: list[str] = []
    imported(drafts_of(*[pair(n, f"t{n}", "ab"[n % 2]) for n in range(50)]), lambda o: asked.append(o) or "")  # type: ignore[func-returns-value]
    assert sorted(asked) == ["a", "b"]


def test_a_limit_takes_some_of_every_class_of_a_sorted_file_in_its_order() -> None:
    rows = [pair(n, f"text {n}", "first" if n < 500 else "last") for n in range(1000)]
    made = imported(drafts_of(*rows), pairs=100)
    assert len(made.pairs) == 100
    assert [p.source for p in made.pairs] == [p.source for p in rows if p in made.pairs]
    assert 30 < sum(p.output == "first" for p in made.pairs) < 70
    assert (made.left_out, made.rejected) == ({"beyond the wanted number": 900}, ())
    shuffled = random.Random(1).sample(rows, len(rows))
    assert set(imported(drafts_of(*shuffled), pairs=100).pairs) == set(made.pairs)
    assert imported(drafts_of(*rows), pairs=1000).left_out == {}


def test_the_limit_counts_good_pairs_only() -> None:
    rows = [*[pair(n, "", "y") for n in range(50)], *[pair(n, f"t{n}", "y") for n in range(50, 110)]]
    made = imported(drafts_of(*rows), pairs=60, bad_rows="leave out")
    assert (len(made.pairs), made.left_out) == (60, {"its input is empty": 50})


TEXTS = st.sampled_from(["", " ", "a", "A", "b", "ﬁ", "fi"])


@given(st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from("xyz")), max_size=12))
def test_what_goes_on_has_two_sides_one_id_and_one_answer(
    rows: list[tuple[str, str, str]],
) -> None:
    pairs = [pair(n, text, output, own + str(n // 2)) for n, (text, output, own) in enumerate(rows)]
    try:
        made = imported(drafts_of(*pairs), bad_rows="leave out")
    except BadInput as error:
        assert "gave no pair" in error.problem
        return
    assert len(made.pairs) + len(made.rejected) == len(pairs)
    assert all(p.input.strip() and p.output.strip() for p in made.pairs)
    assert len({p.id for p in made.pairs}) == len(made.pairs)
    answers = {(p.input.casefold().replace("ﬁ", "fi"), p.output) for p in made.pairs}
    assert len({text for text, _ in answers}) == len(answers)
