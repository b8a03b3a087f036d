"""The data report counts what was planted, warns first, and prints texts of pairs as text only."""

from __future__ import annotations

import io
import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.test_freeze import case, reviewed, singles
from tuneproof.artifacts import Pair, SplitRow
from tuneproof.artifacts.data_report import DataReport
from tuneproof.cases.licenses import licence_pairs
from tuneproof.commands_freeze import tell_data_report
from tuneproof.console import Tell
from tuneproof.data_report import buckets, contradictions, data_report, rare_labels
from tuneproof.data_report_text import data_report_markdown
from tuneproof.grouping import Shown
from tuneproof.outside import licensedcode
from tuneproof.steps.freeze import freeze, shown_in
from tuneproof.thaw import thaw

EMAIL = "jane" + "@" + "example.org"


def report_of(pairs: list[Pair], shown: Shown | None = None) -> DataReport:
    made = case()
    split = freeze(made, reviewed(pairs))
    return data_report(made, split, shown=shown or shown_in(made, ()))


def said(report: DataReport) -> str:
    return "\n".join((*report.warnings, *report.notes))


def test_clean_pairs_give_a_report_without_findings() -> None:
    report = report_of(singles(310))
    assert report.warnings == () and report.notes == ()
    assert (report.train, report.dev, report.test) == (250, 10, 50)
    assert [layer.rows for layer in report.layers] == [0] * 9
    assert not report.found and not report.contradictions and not report.rare_labels
    assert DataReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(("count", "warned", "noted"), [(299, 1, 0), (300, 0, 0), (1000, 0, 0), (1001, 0, 1)])
def test_few_pairs_are_warned_of_and_many_are_noted(count: int, warned: int, noted: int) -> None:
    report = report_of(singles(count))
    assert (len(report.warnings), len(report.notes)) == (warned, noted)
    if warned:
        assert report.detectable_gain is not None
        assert f"only a gain of {report.detectable_gain * 100:.1f} points or more" in report.warnings[0]


def test_personal_data_is_counted_by_kind_part_and_pair_and_masked() -> None:
    pairs = singles(320)
    for number in range(0, 320, 2):
        text = f"{pairs[number].input} {EMAIL}"
        pairs[number] = pairs[number].model_copy(update={"input": text})
    pairs[0] = pairs[0].model_copy(update={"output": f"{EMAIL} or +44 20 7946" + " 0958"})
    report = report_of(pairs)
    assert sum(row.found for row in report.found if row.kind == "email address") == 161
    assert sum(row.pairs for row in report.found if row.kind == "email address") == 160
    assert {row.part for row in report.found if row.kind == "email address"} == {"train", "dev", "test"}
    assert [row.where for row in report.found_rows if row.pair_id == pairs[0].id] == [
        "input",
        "output",
        "output",
    ]
    assert "160 pairs hold personal data (161 × email address, 1 × phone number)" in said(report)
    assert (
        EMAIL
        not in data_report_markdown(report).replace("\\", "").split("## Where they are")[1].split("##")[0]
    )


def row(row_id: str, text: str, output: str) -> SplitRow:
    return SplitRow(id=row_id, group=row_id, input=text, output=output)


def test_near_twins_with_different_outputs_are_listed_most_similar_first() -> None:
    base = "one two three four five six seven eight nine ten"
    rows = [
        row("a", base, "x"),
        row("b", f"{base} eleven twelve", "y"),
        row("c", f"{base}!", "z"),
        row("d", base.upper(), "x"),
        row("e", "something else altogether", "y"),
    ]
    found = contradictions(rows)
    assert [(c.first_id, c.second_id) for c in found] == [
        ("a", "c"), ("c", "d"), ("a", "b"), ("b", "c"), ("b", "d"),
    ]  # fmt: skip
    assert [c.similarity for c in found] == [1, 1, 0.8333, 0.8333, 0.8333]
    assert (found[0].first_output, found[0].second_output) == ("x", "z")


def test_a_planted_contradiction_is_warned_of_with_both_ids() -> None:
    pairs = singles(310)
    pairs.append(pairs[5].model_copy(update={"id": "twin", "output": "another"}))
    report = report_of(pairs)
    assert report.contradicting == 1
    assert "1 pairs of near twins have different outputs (1 with the same words)" in said(report)
    assert "'twin'" in said(report) and repr(pairs[5].id) in said(report)


def test_labels_with_fewer_than_three_rows_are_listed_and_free_text_has_no_labels() -> None:
    found = rare_labels(["a"] * 10 + ["b"] * 2 + ["c"] + ["d"] * 3)
    assert [(label.output, label.rows) for label in found] == [("c", 1), ("b", 2)]
    assert rare_labels([str(i) for i in range(10)]) == ()
    assert rare_labels([]) == ()


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60))
def test_every_length_falls_into_exactly_one_of_at_most_ten_buckets(sizes: list[int]) -> None:
    made = buckets(sizes)
    assert 1 <= len(made) <= 10
    assert (made[0].low, made[-1].high) == (min(sizes), max(sizes))
    assert [bucket.rows for bucket in made] == [sum(b.low <= s <= b.high for s in sizes) for b in made]
    assert all(after.low == before.high + 1 for before, after in itertools.pairwise(made))


def test_lengths_are_quantiles_by_nearest_rank_and_the_longest_rows_are_named() -> None:
    pairs = singles(310)
    pairs[3] = pairs[3].model_copy(update={"input": pairs[3].input + " word" * 500})
    lengths = {(each.side, each.unit): each for each in report_of(pairs).lengths}
    assert set(lengths) == {(s, u) for s in ("input", "output") for u in ("characters", "words")}
    words = lengths["input", "words"]
    assert (words.least, words.median, words.p99, words.most) == (12, 12, 12, 512)
    assert (words.longest[0].pair_id, words.longest[0].length) == (pairs[3].id, 512)
    assert sum(bucket.rows for bucket in words.buckets) == 310


HOSTILE = "</td><script>alert(1)</script> | `x` [a](javascript:b) ![c](d) # \u202e**bold**"


def test_no_text_of_a_pair_starts_markup_in_the_markdown() -> None:
    rng = random.Random(0)
    pairs = singles(310)
    for i in rng.sample(range(310), 200):
        pairs[i] = pairs[i].model_copy(
            update={"input": f"{HOSTILE} {pairs[i].input}", "output": HOSTILE[:30]}
        )
    text = data_report_markdown(report_of(pairs))
    assert "&lt;script&gt;" in text
    assert "<script" not in text and "\u202e" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", text)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) > 20
    for line in tables:
        assert line.endswith(" |")


def test_a_person_reads_warnings_first_and_a_program_reads_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = singles(120)
    lock = freeze(case(), reviewed(pairs)).lock
    second = freeze(case(version=2), reviewed(pairs), thawed=[lock])
    report = data_report(case(), second, shown=Shown())
    tell_data_report(report, Tell(), thaw(second.lock, pairs, [lock]))
    out = capsys.readouterr().out
    assert out.startswith("! 120 pairs are few")
    assert "50 are kept" in out and "4-split/data_report.md" in out and "Leaks" in out
    tell_data_report(report, Tell(as_json=True))
    assert capsys.readouterr().out == ""


def test_an_older_split_that_leaks_by_a_later_rule_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = singles(310)
    split = freeze(case(), reviewed(pairs))
    report = data_report(case(), split, shown=Shown(prompt=f"As in: {split.test.items[0].input}"))
    assert "1 test rows leak by the layer 'shown'" in report.warnings[0]
    assert f"first {split.test.items[0].id!r}" in report.warnings[0]
    assert "delete these pairs, and freeze under a higher split.version" in report.warnings[0]


def test_the_bundled_case_is_clean_and_its_boilerplate_is_shown() -> None:
    drafts = licence_pairs(licensedcode.rules(), version=licensedcode.version(), limit=2000)
    made = case(test=200, dev=100)
    split = freeze(made, reviewed(drafts.pairs))
    report = data_report(made, split, shown=Shown())
    rows = {layer.name: layer.rows for layer in report.layers}
    assert {name: rows[name] for name in rows if rows[name]} == {"13 words": 36, "8 words": 19, "close": 115}
    assert not any(layer.refuses for layer in report.layers if layer.rows), "false alarms that stop: 0 of 200"
    assert len(report.nearest) == 20


def test_the_report_is_the_same_each_time() -> None:
    pairs = singles(150)
    assert report_of(pairs) == report_of(pairs[::-1])
    assert io.StringIO(data_report_markdown(report_of(pairs))).readline() == "# Data report\n"
