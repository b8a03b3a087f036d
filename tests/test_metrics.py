"""Each metric against known values, against other implementations, and against its own rules."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneproof.artifacts import Figure
from tuneproof.artifacts.case import METRICS, ScoringSection
from tuneproof.errors import BadInput
from tuneproof.metrics import BUNDLED, metric_of
from tuneproof.metrics.base import Options
from tuneproof.metrics.label_accuracy import MOST_LABELS, OTHER
from tuneproof.metrics.overlap import MOST_NAMES
from tuneproof.metrics.text import folded
from tuneproof.outside.own_code import load_function

DOC = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text("utf-8")


def options(schema: dict[str, Any] | None = None, own: Any = None, **section: Any) -> Options:
    return Options(ScoringSection.model_validate(section), schema, own)


def value(name: str, reply: str, expected: str, **section: Any) -> float:
    return metric_of(name).grade(reply, expected, options(**section)).value


def parsed(name: str, reply: str, expected: str, **section: Any) -> bool:
    return metric_of(name).grade(reply, expected, options(**section)).parsed


def problem(name: str, expected: str, **section: Any) -> str:
    return metric_of(name).problem(expected, options(**section))


def figures(name: str, texts: list[tuple[str, str]], **section: Any) -> dict[str, Figure]:
    found = {f.name: f for f in metric_of(name).figures(texts, options(**section))}
    assert found
    return found


def test_the_registry_holds_every_name_that_task_yaml_may_use_and_no_other() -> None:
    assert tuple(metric.name for metric in BUNDLED) == METRICS
    assert [metric_of(name).name for name in METRICS] == list(METRICS)


# text


@pytest.mark.parametrize(
    ("rules", "one", "other", "same"),
    [
        ((), "a  b\n", "a b", True),
        ((), "A", "a", False),
        (("case",), "STRASSE", "straße", True),
        (("accents",), "Crème brûlée", "Creme brulee", True),
        (("accents",), "कि", "क", False),
        (("unicode",), "ﬁle ２", "file 2", True),
        (("punctuation",), "Hello, world!", "hello world", False),
        (("punctuation", "case"), "Hello, world!", "hello world", True),
        (("punctuation",), "e-mail", "e mail", True),
        (("punctuation",), "e-mail", "email", False),
        (("punctuation",), "3.5", "35", False),
        (("punctuation",), "-5", "5", False),
        (("punctuation",), "(5)", "5.", True),
        (("punctuation",), "5 %", "5", False),
        (("punctuation",), "C#", "C", False),
    ],
)
def test_only_declared_differences_are_none(rules: tuple[str, ...], one: str, other: str, same: bool) -> None:
    assert (folded(one, rules) == folded(other, rules)) is same


# sets


@pytest.mark.parametrize(
    ("reply", "expected", "f1"),
    [
        ("a, b", "b,a", 1.0),
        ("a", "a, b", 2 / 3),
        ("a, a, ,a", "a", 1.0),
        ("a, c", "a, b", 0.5),
        ("", "a", 0.0),
        ("", "", 1.0),
        ("ab", "a", 0.0),
    ],
)
def test_set_match_is_the_f1_of_two_sets(reply: str, expected: str, f1: float) -> None:
    assert value("set match", reply, expected) == pytest.approx(f1, abs=1e-15)


def test_the_separator_may_be_a_word_or_a_line_break() -> None:
    assert value("set match", "mit\nOR gpl", "gpl OR  mit", separator=" OR ") == 1
    assert value("set match", "b c\r\na", "a\nb c", separator="\n") == 1
    assert value("set match", "a b", "a\nb", separator="\n") == 0


def test_members_of_the_whole_test_are_counted_together() -> None:
    found = figures("set match", [("a, b, c", "a"), ("", "a, b")])
    assert found["precision of members"].value == pytest.approx(1 / 3)
    assert found["recall of members"].value == pytest.approx(1 / 3)
    assert found["F1 of members"] == Figure(name="F1 of members", value=1 / 3, n=2)
    assert figures("set match", [("", "a")])["precision of members"].value == 0


@given(st.lists(st.sampled_from("abcdefg ")), st.lists(st.sampled_from("abcdefg"), min_size=1), st.randoms())
def test_the_order_of_members_does_not_matter(
    ours: list[str], theirs: list[str], luck: random.Random
) -> None:
    before = value("set match", ",".join(ours), ",".join(theirs))
    luck.shuffle(ours), luck.shuffle(theirs)
    assert value("set match", ",".join(ours), ",".join(theirs)) == before
    assert 0 <= before <= 1
    assert (before == 1) == ({m for m in ours if m.strip()} == set(theirs))


# labelled lines


@pytest.mark.parametrize(
    ("reply", "f1"),
    [
        ("Name: Ann\nAge: 7", 1.0),
        ("Age: 7\r\n\r\n  Name:   Ann ", 1.0),
        ("Name: Ann", 2 / 3),
        ("Name: Ann\nName: Ann\nAge: 7", 0.8),
        ("Name: Ann\nAge: 8", 0.5),
        ("name: Ann\nAge: 7", 0.5),
        ("Ann: Name\n7: Age", 0.0),
    ],
)
def test_labelled_lines_are_counted_in_any_order_and_with_duplicates(reply: str, f1: float) -> None:
    assert value("labelled lines", reply, "Name: Ann\nAge: 7") == pytest.approx(f1, abs=1e-15)


@pytest.mark.parametrize(
    "reply", ["Ann", "Name: Ann\nthat is all", "at 12:30", "https://x.example", "", ": x"]
)
def test_other_lines_are_not_parsed(reply: str) -> None:
    assert metric_of("labelled lines").grade(reply, "Name: Ann", options()) == (0.0, False)
    assert problem("labelled lines", reply)


def test_a_label_ends_at_the_first_colon_before_white_space_and_may_have_no_value() -> None:
    assert value("labelled lines", "At: 12:30\nNote:", "Note:\nAt: 12:30") == 1
    assert value("labelled lines", "a:b: c", "a:b: c") == 1
    assert figures("labelled lines", [("", "a:b: c")])["F1 of a:b"].value == 0


def test_a_closed_list_of_labels_holds_for_lines_too() -> None:
    assert parsed("labelled lines", "NAME: x", "Name: x", labels=["Name"], normalise=["case"])
    assert not parsed("labelled lines", "Age: x", "Name: x", labels=["Name"])
    assert "'Age', which is not in scoring.labels: Name" in problem(
        "labelled lines", "Age: 1", labels=["Name"]
    )


def test_every_label_has_its_f1() -> None:
    texts = [
        ("Name: Ann\nAge: 7", "Name: Ann\nAge: 7"),
        ("Name: Bob\nAge: 8", "Name: Ann"),
        ("no", "Name: Cid"),
    ]
    found = figures("labelled lines", texts)
    assert found["replies made of such lines"].value == pytest.approx(2 / 3)
    assert found["F1 of Name"] == Figure(name="F1 of Name", value=2 * 1 / (2 + 3), n=3)
    assert found["F1 of Age"] == Figure(name="F1 of Age", value=2 * 1 / (2 + 1), n=1)
    assert found["precision of lines"].value == pytest.approx(2 / 4)
    assert found["recall of lines"].value == pytest.approx(2 / 4)


def test_only_the_commonest_names_have_a_figure() -> None:
    texts = [("", f"Every: 1\nOnce {i}: 1") for i in range(50)]
    names = [
        name for name in figures("labelled lines", texts) if name.startswith("F1 of ") and "lines" not in name
    ]
    assert len(names) == MOST_NAMES
    assert names[0] == "F1 of Every"


lines = st.lists(
    st.tuples(st.sampled_from(["A", "B b", "C"]), st.sampled_from(["", "x", "y: z"])), min_size=1
)


@given(lines, lines, st.randoms())
def test_the_order_of_lines_does_not_matter(ours: Any, theirs: Any, luck: random.Random) -> None:
    def text(pairs: list[tuple[str, str]]) -> str:
        return "\n".join(f"{label}: {content}" for label, content in pairs)

    before = value("labelled lines", text(ours), text(theirs))
    assert (before == 1) == (sorted(ours) == sorted(theirs))
    luck.shuffle(ours)
    assert value("labelled lines", text(ours), text(theirs)) == before


# labels


def label_texts() -> list[tuple[str, str]]:
    luck = random.Random(5)
    wanted = luck.choices(["mit", "gpl", "bsd", "rare"], weights=[50, 30, 19, 1], k=200)
    return [(luck.choice([w, w, "mit", "gpl", "elsewhere", ""]), w) for w in wanted]


def test_macro_f1_and_recall_are_the_ones_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score, recall_score

    texts = label_texts()
    replies, expected = zip(*texts, strict=True)
    labels = sorted(set(expected))
    found = figures("label accuracy", texts)
    macro = f1_score(expected, replies, labels=labels, average="macro", zero_division=0)
    total = found.pop("macro-F1 of the labels in the test")
    assert (total.value, total.n) == (pytest.approx(macro), 200)
    recalls = recall_score(expected, replies, labels=labels, average=None, zero_division=0)
    many = {
        label: recall for label, recall in zip(labels, recalls, strict=True) if expected.count(label) >= 10
    }
    assert 0 < len(many) < len(labels)
    assert {name: f.value for name, f in found.items()} == {
        f"recall of {label}": pytest.approx(recall) for label, recall in many.items()
    }
    assert [f.n for f in found.values()] == [expected.count(label) for label in many]


def test_a_label_has_a_recall_of_its_own_from_ten_items_on() -> None:
    texts = [("often", "often")] * 10 + [("often", "seldom")] * 9
    names = list(figures("label accuracy", texts))
    assert names == ["macro-F1 of the labels in the test", "recall of often"]


def test_the_confusion_matrix_is_the_one_of_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix

    texts = label_texts()
    found = metric_of("label accuracy").confusion(texts, options())
    assert found is not None
    assert found.labels == ("bsd", "gpl", "mit", "rare", OTHER)
    known = [(reply if reply in found.labels else OTHER, expected) for reply, expected in texts]
    matrix = confusion_matrix([e for _, e in known], [r for r, _ in known], labels=list(found.labels))
    assert [list(row) for row in found.counts] == matrix.tolist()
    assert sum(map(sum, found.counts)) == 200


def test_labels_follow_the_closed_list_and_its_spelling() -> None:
    section = {"labels": ["Zebra", "Ant", "Never"], "normalise": ["case"]}
    texts = [("ant", "ANT"), ("zebra", "ant"), ("dog", "Zebra")]
    found = metric_of("label accuracy").confusion(texts, options(**section))
    assert found is not None and found.labels == ("Zebra", "Ant", OTHER)
    assert found.counts == ((0, 0, 1), (1, 1, 0), (0, 0, 0))
    assert metric_of("label accuracy").grade("dog", "Ant", options(**section)) == (0.0, False)
    assert metric_of("label accuracy").grade("ZEBRA", "Ant", options(**section)) == (0.0, True)
    assert problem("label accuracy", "dog", **section) == "is not in scoring.labels: Zebra, Ant, Never"
    assert problem("label accuracy", "never", **section) == ""


def test_too_many_labels_give_no_matrix() -> None:
    def matrix(count: int) -> Any:
        return metric_of("label accuracy").confusion([("x", str(i)) for i in range(count)], options())

    assert matrix(MOST_LABELS) is not None
    assert matrix(MOST_LABELS + 1) is None
    assert matrix(0) is None


# chrF


def test_chrf_is_the_one_of_sacrebleu() -> None:
    from sacrebleu.metrics import CHRF

    texts = [
        ("the cat sat", "the cat sat down"),
        ("", "x"),
        ("Grüße aus Wien", "Grüsse aus Wien"),
        ("a b", "ab"),
    ]
    for reply, expected in texts:
        known = CHRF().sentence_score(reply, [expected]).score / 100
        assert value("chrF", reply, expected) == pytest.approx(known)
        assert 0 <= known <= 1
    corpus = CHRF().corpus_score([r for r, _ in texts], [[e for _, e in texts]]).score / 100
    assert figures("chrF", texts)["chrF2 of the whole test"].value == pytest.approx(corpus)
    assert value("chrF", "CAT", "cat") == 0
    assert value("chrF", "CAT", "cat", normalise=["case"]) == 1


# numbers


@pytest.mark.parametrize(
    "text",
    [
        "1234.5",
        "+1234.50",
        "1,234.5",
        "1 234.5",
        "1\u00a0234.5",
        "1\u202f234.5",
        " 1234.5\n",
        "1.2345e3",
        "12345E-1",
    ],
)
def test_declared_notations_are_one_number(text: str) -> None:
    assert metric_of("numeric tolerance").grade(text, "1234.5", options()) == (1.0, True)
    assert problem("numeric tolerance", text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "", "1,5", "1.234,5", "12,34", "1,23,456", "1,234 567", "5 %", "$5", "5 kg", "five", "1 or 2",
        "1e999", "nan", "inf", "0x10", "1_000", "٣", "²", "1.", ".5", "--1", "1e", "9" * 5000,
    ],
)  # fmt: skip
def test_anything_else_is_no_number(text: str) -> None:
    assert metric_of("numeric tolerance").grade(text, "5", options()) == (0.0, False)
    assert problem("numeric tolerance", text)


@pytest.mark.parametrize(
    ("reply", "expected", "section", "right"),
    [
        ("1.1", "1.0", {"tolerance": 0.1}, True),
        ("0.3", "0.1", {"tolerance": 0.2}, True),
        ("1.3", "1.0", {"tolerance": 0.3}, True),
        ("1.1001", "1.0", {"tolerance": 0.1}, False),
        ("-102", "-100", {"relative_tolerance": 0.02}, True),
        ("103", "100", {"relative_tolerance": 0.02}, False),
        ("103", "100", {"relative_tolerance": 0.02, "tolerance": 3}, True),
        ("−5", "-5.0", {}, True),
        ("5", "-5", {}, False),
        ("0.1", "0", {"relative_tolerance": 0.9}, False),
        ("12345678901234567890123456789012345", "12345678901234567890123456789012346", {}, False),
    ],
)
def test_a_number_is_right_within_either_tolerance(
    reply: str, expected: str, section: dict[str, float], right: bool
) -> None:
    assert value("numeric tolerance", reply, expected, **section) == float(right)


def test_the_error_is_the_median_over_what_was_read() -> None:
    texts = [("1", "2"), ("1e99", "3"), ("x", "4"), ("5.5", "5")]
    found = figures("numeric tolerance", texts)["median absolute error of replies that are a number"]
    assert (found.value, found.n) == (1.0, 3)
    assert metric_of("numeric tolerance").figures([("x", "4")], options()) == ()


# own


@pytest.mark.parametrize(("returned", "expected"), [(True, 1.0), (0, 0.0), (0.25, 0.25)])
def test_a_function_of_the_users_own_gives_the_value(returned: object, expected: float) -> None:
    grade = metric_of("grading:f").grade("a", "b", options(own=lambda reply, wanted: returned))
    assert grade == (expected, True)


@pytest.mark.parametrize("returned", [None, "1", 1.5, -0.1, math.nan, math.inf, 10**400, [1]])
def test_anything_else_it_returns_is_named_with_both_texts(returned: object) -> None:
    with pytest.raises(BadInput) as stop:
        metric_of("grading:f").grade("the reply", "the wish", options(own=lambda reply, wanted: returned))
    assert "grading:f returned" in stop.value.problem
    assert repr(returned)[:80] in stop.value.problem
    assert "'the reply'" in stop.value.problem and "'the wish'" in stop.value.problem
    assert "0 to 1" in stop.value.remedy


def test_what_it_raises_is_named_with_both_texts(tmp_path: Path) -> None:
    (tmp_path / "grading.py").write_text("def f(reply, expected):\n    return 1 / 0\n", "utf-8")
    own = load_function(tmp_path, "grading:f", place="task.metric")
    with pytest.raises(
        BadInput, match=r"grading:f stopped at 'the reply', 'the wish': ZeroDivisionError.*line 2"
    ):
        metric_of("grading:f").grade("the reply", "the wish", options(own=own))


# all


EXAMPLES = {
    "exact match": ["a", " A b\n", "é"],
    "set match": ["a", "b, a, ,a", "x,"],
    "json fields": ["{}", "[]", '"x"', "null", '{"a": [1, [2, "é"], {}], "b.c": -0.0, "": []}', "1e300"],
    "labelled lines": ["A: 1", "A: 1\nA: 1\n\nB:", "A:B: C"],
    "label accuracy": ["a", "B c"],
    "chrF": ["a", "abc def", "."],
    "numeric tolerance": ["0", "-1,234.5", "1e-99"],
}


@pytest.mark.parametrize("name", METRICS)
def test_an_expected_output_is_right_when_it_is_the_reply(name: str) -> None:
    assert EXAMPLES[name]
    for text in EXAMPLES[name]:
        assert problem(name, text) == ""
        assert metric_of(name).grade(text, text, options()) == (1.0, True)


anything = st.text() | st.sampled_from([text for texts in EXAMPLES.values() for text in texts])


@pytest.mark.parametrize("name", METRICS)
@given(
    reply=anything,
    expected=anything,
    rules=st.sets(st.sampled_from(["case", "punctuation", "accents", "unicode"])),
)
@settings(max_examples=80, deadline=None)
def test_any_two_texts_have_a_value_and_an_unread_reply_has_none(
    name: str, reply: str, expected: str, rules: set[str]
) -> None:
    metric, chosen = metric_of(name), options(normalise=sorted(rules))
    grade = metric.grade(reply, expected, chosen)
    assert 0 <= grade.value <= 1
    assert grade.parsed or grade.value == 0
    if not metric.graded:
        assert grade.value in (0, 1)
    if not metric.problem(expected, chosen):
        assert metric.grade(expected, expected, chosen) == (1.0, True)
    for figure in metric.figures([(reply, expected)], chosen):
        assert math.isfinite(figure.value) and figure.value >= 0 and figure.n == 1
    confusion = metric.confusion([(reply, expected)], chosen)
    assert confusion is None or sum(map(sum, confusion.counts)) == 1
    assert metric.figures([], chosen) == ()


# the document


def block(mark: str) -> str:
    match = re.search(rf"<!-- {mark} -->\n```python\n(.*?)```", DOC, re.DOTALL)
    assert match, mark
    return match[1]


def test_the_documented_metric_works_as_written_and_is_as_short_as_promised() -> None:
    source = block("bundled: common_start.py")
    module = SimpleNamespace()
    exec(compile(source, "common_start.py", "exec"), module.__dict__)
    metric = module.__dict__["COMMON_START"]
    assert metric.grade("Hello you", "Hello!", options()) == (5 / 6, True)
    assert metric.grade("hello", "HELLO", options(normalise=["case"])) == (1.0, True)
    assert len([line for line in source.splitlines() if line and not line.startswith(("from", '"""'))]) <= 10


def test_the_documented_function_works_as_written(tmp_path: Path) -> None:
    (tmp_path / "grading.py").write_text(block("own: grading.py"), "utf-8")
    own: Callable[..., Any] = load_function(tmp_path, "grading:same_words", place="task.metric")
    assert metric_of("grading:same_words").grade("Red or blue", "blue green", options(own=own)) == (0.5, True)
    assert "`metric: grading:same_words`" in DOC


def test_every_metric_and_every_setting_is_in_the_document() -> None:
    first, settings_table = DOC.split("## Which one")[0], DOC.split("## Settings")[1].split("\n\n")[1]
    assert [name for name in METRICS if f"| `{name}` |" not in first] == []
    assert [name for name in ScoringSection.model_fields if f"| `{name}` |" not in settings_table] == []


@pytest.mark.parametrize("name", METRICS)
def test_two_hundred_replies_are_scored_well_under_a_second(name: str) -> None:
    import time

    text = (
        json.dumps({f"k{i}": f"some words {i}" for i in range(20)})
        if name == "json fields"
        else EXAMPLES[name][-1]
    )
    began = time.process_time()
    grades = [metric_of(name).grade(text, text, options(schema={"type": "object"})) for _ in range(200)]
    metric_of(name).figures([(text, text)] * 200, options())
    assert len(grades) == 200
    assert time.process_time() - began < 0.8
