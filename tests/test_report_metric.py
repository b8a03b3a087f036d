"""The report and the card of a graded metric: what a reader of JSON, labels and numbers relies on."""

from __future__ import annotations

import re

import pytest
import yaml

from graded_sample import GRADED, LABELLED, TEAMS, graded_card, graded_report
from sample import arm_result, sample_report
from test_report import HOSTILE, Page, cells, table_lines
from tuneproof.artifacts import ArmResult, Confusion, Figure, Interval
from tuneproof.card import render_card
from tuneproof.report import ReportInput, render_html, render_markdown, table_markdown
from tuneproof.report_metric import FEW_FIGURES, FEW_LABELS, confusion_table, figures_table, silence_table

JSON_REPORT = graded_report(GRADED)
JSON_TEXT = render_markdown(JSON_REPORT)
LABEL_REPORT = graded_report(LABELLED)
LABEL_TEXT = render_markdown(LABEL_REPORT)


def served(data: ReportInput) -> ArmResult:
    return next(a for a in data.verdict.arms if a.arm.file == data.serving.model_file)


def table_under(heading: str, text: str) -> list[list[str]]:
    """The first table after a heading, as rows of cells."""
    block = re.search(rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
    assert block, heading
    lines = table_lines(block[1])
    assert len(lines) > 2
    return [[cell.strip() for cell in cells(line)] for line in lines]


def header_of(arms: list[ArmResult], metric: str, right_at: float | None = None) -> list[str]:
    text = table_markdown(arms, not_measured={"frontier": "no key"}, metric=metric, right_at=right_at)
    lines = text.splitlines()
    assert len({len(cells(line)) for line in lines}) == 1
    return [cell.strip() for cell in cells(lines[0])]


@pytest.mark.parametrize(
    ("metric", "right_at", "share", "mean"),
    [
        ("json fields", None, "All fields right (95 %)", "Mean field F1 (95 %)"),
        ("json fields", 0.9, "Field F1 ≥ 0.9 (95 %)", "Mean field F1 (95 %)"),
        ("set match", 1.0, "Equal sets (95 %)", "Mean member F1 (95 %)"),
        ("labelled lines", None, "All lines right (95 %)", "Mean line F1 (95 %)"),
        ("chrF", 0.6, "chrF ≥ 0.6 (95 %)", "Mean chrF (95 %)"),
        ("grading:f", 0.5, "grading:f ≥ 0.5 (95 %)", "Mean grading:f (95 %)"),
    ],
)
def test_the_share_column_of_a_graded_metric_says_from_which_value_on_a_reply_is_right(
    metric: str, right_at: float | None, share: str, mean: str
) -> None:
    graded = {"mean_value": 0.8125, "mean_interval": Interval(low=0.75, high=0.875)}
    arm = arm_result("tuned", "Tuned", "tuned", 115, **graded)
    assert header_of([arm], metric, right_at)[2:4] == [share, mean]
    line = table_markdown([arm], not_measured={}, metric=metric, right_at=right_at).splitlines()[2]
    assert cells(line)[3].strip() == "0.812 (0.750–0.875)"


@pytest.mark.parametrize(
    ("metric", "share"),
    [
        ("exact match", "Exact match (95 %)"),
        ("label accuracy", "Label accuracy (95 %)"),
        ("numeric tolerance", "Within tolerance (95 %)"),
    ],
)
def test_a_metric_that_knows_nothing_between_has_no_mean_column(metric: str, share: str) -> None:
    header = header_of([arm_result("tuned", "Tuned", "tuned", 115)], metric)
    assert header[2:4] == [share, "Parse failures"]


def test_the_report_of_an_exact_match_without_empty_replies_has_none_of_the_new_parts() -> None:
    for text in (render_markdown(sample_report()), render_html(sample_report())):
        assert "What the metric says" not in text
        assert "Empty replies" not in text
        assert "bootstrap" not in text


def test_empty_replies_and_refusals_are_counted_for_every_arm_as_soon_as_one_has_some() -> None:
    rows = table_under("Empty replies and refusals", JSON_TEXT)
    assert rows[0] == ["Arm", "Items", "Parse failures", "Empty", "Refusals", "Cut by limit"]
    assert [row[2:5] for row in rows[2:]] == [
        [str(a.parse_failures), str(a.empty), str(a.refusals)] for a in JSON_REPORT.verdict.arms
    ]
    assert (
        sum(a.empty for a in JSON_REPORT.verdict.arms) > 0 < sum(a.refusals for a in JSON_REPORT.verdict.arms)
    )
    clean = arm_result("a", "A", "tuned", 1)
    assert silence_table([clean]).rows == ()
    assert len(silence_table([clean, clean.model_copy(update={"refusals": 1})]).rows) == 2


def test_a_long_table_of_figures_shows_the_arms_that_decide() -> None:
    rows = table_under("What the metric says", JSON_TEXT)
    assert rows[0][2:] == [
        "Base, 5 examples",
        "Most frequent answer",
        "Nearest neighbour",
        "Word counts + logistic regression",
        "Tuned Q8_0",
    ]
    figures = served(JSON_REPORT).figures
    assert len(figures) > FEW_FIGURES
    assert [row[-1] for row in rows[2:]] == [f"{figure.value:.3f}" for figure in figures]
    assert "Shown for 5 of 9 arms" in JSON_TEXT


def test_a_short_table_of_figures_shows_every_arm_and_says_where_the_items_differ() -> None:
    error = "median absolute error"
    arms = [
        arm_result("a", "A", "base", 1, figures=(Figure(name=error, value=1234.5, n=180),)),
        arm_result("b", "B", "tuned", 1, figures=(Figure(name=error, value=0.25, n=200),)),
    ]
    silent = arm_result("no", "Without figures", "rival", 1)
    table = figures_table([*arms, silent], deciding=["b"])
    assert table.header == ("Figure", "Items", "A", "B")
    assert table.rows == (("Median absolute error", "differ", "1,234 (n = 180)", "0.250 (n = 200)"),)
    other = arm_result("c", "C", "tuned", 1, figures=(Figure(name="share", value=1, n=200),))
    assert figures_table([arms[0], other], deciding=[]).rows == (
        ("Median absolute error", "180", "1,234", "–"),
        ("Share", "200", "–", "1.000"),
    )


def test_the_matrix_of_the_served_file_marks_its_commonest_mistakes() -> None:
    confusion = served(LABEL_REPORT).confusion
    assert confusion is not None
    rows = table_under("Confusion of the served file", LABEL_TEXT)
    assert rows[0] == ["Expected", *map(str, range(1, len(TEAMS) + 1)), "(other)"]
    assert len(TEAMS) > FEW_LABELS
    body = rows[2:]
    assert [row[0].split(" · ")[0] for row in body] == rows[0][1:-1]
    assert [[re.sub(r"\D", "", cell) or "0" for cell in row[1:]] for row in body] == [
        [str(count) for count in counts] for counts in confusion.counts[:-1]
    ]
    bold = [int(cell.strip("*")) for row in body for cell in row if cell.startswith("**")]
    mistakes = [n for i, counts in enumerate(confusion.counts) for j, n in enumerate(counts) if i != j]
    assert sorted(bold) == sorted(mistakes)[-5:]
    assert Page(render_html(LABEL_REPORT)).attributes.count(("td", "class", "number marked")) == 5


def test_a_small_matrix_names_its_columns_and_a_flawless_one_marks_nothing() -> None:
    perfect = Confusion(labels=("yes", "no", "(other)"), counts=((3, 0, 0), (0, 4, 0), (0, 0, 0)))
    table = confusion_table(perfect, "Tuned")
    assert table.header == ("Expected", "yes", "no", "(other)")
    assert table.rows == (("yes", "3", "·", "·"), ("no", "·", "4", "·"))
    assert table.marked_cells == frozenset()
    assert "mistakes" not in table.caption
    flawed = Confusion(labels=("yes", "no", "(other)"), counts=((3, 2, 0), (0, 4, 1), (0, 0, 0)))
    assert (
        "yes answered as no (2 of 5), no answered as (other) (1 of 5)."
        in confusion_table(flawed, "Tuned").caption
    )


def test_hostile_labels_and_figures_stay_text() -> None:
    confusion = Confusion(labels=(HOSTILE, "no", "(other)"), counts=((3, 2, 0), (0, 4, 1), (0, 0, 0)))
    figures = (Figure(name=HOSTILE, value=0.5, n=3),)
    hostile = {"confusion": confusion, "figures": figures, "empty": 1}
    arms = tuple(a.model_copy(update=hostile) for a in LABEL_REPORT.verdict.arms)
    data = LABEL_REPORT._replace(verdict=LABEL_REPORT.verdict.model_copy(update={"arms": arms}))
    page, text = Page(render_html(data)), render_markdown(data)
    assert set(page.tags) == set(Page(render_html(LABEL_REPORT)).tags)
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert "<script>alert(1)</script>" in page.words
    assert "<script" not in text and "\u202e" not in text
    blocks = [table_lines(block) for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) >= 8
    assert [b[0] for b in blocks if len({len(cells(line)) for line in b}) != 1] == []


def test_the_settings_say_what_is_set_for_scoring_and_how_examples_were_tried() -> None:
    assert "- scoring.right_at: 0.9" in JSON_TEXT
    assert re.search(r"- scoring\.json_schema: inline, sha256:[0-9a-f]{64}", JSON_TEXT)
    assert "- scoring.normalise: case" in LABEL_TEXT
    rows = table_under("Prompts, chosen on dev", JSON_TEXT)
    assert rows[0][3:5] == ["Right on dev", "Mean value"]
    assert rows[2] == ["base", "0-shot", "0", "0/40", "0.125", "12", "no", "no", "plain"]
    assert rows[3][-2] == "**yes**"
    assert rows[4][3:] == [
        *("–", "–", "–", "no", "no", "not tried: does not fit the context beside the longest input")
    ]
    assert "scoring." not in render_markdown(sample_report())


def test_both_forms_link_and_head_the_new_section() -> None:
    page = Page(render_html(JSON_REPORT))
    assert ("h2", "id", "metric") in page.attributes
    assert ("a", "href", "#metric") in page.attributes
    assert "percentile bootstrap" in page.words and "percentile bootstrap" in JSON_TEXT


def test_the_card_gives_mean_share_and_figures_of_the_served_file() -> None:
    data = graded_card(GRADED)
    text = render_card(data)
    arm = next(a for a in data.verdict.arms if a.arm.file == data.serving.model_file)
    assert arm.mean_value is not None and arm.mean_interval is not None
    low, high = arm.mean_interval.low, arm.mean_interval.high
    assert f"| Mean field F1 (95 % interval) | {arm.mean_value:.3f} [{low:.3f}, {high:.3f}] | 200 |" in text
    assert f"| F1 of buyer.city | {arm.figures[7].value:.3f} | 200 |" in text
    assert "| Field F1 ≥ 0.9 | Gate |" in text
    assert f"{arm.correct}/200 = {100 * arm.rate:.1f} % [" in text
    assert f"; mean field F1 {arm.mean_value:.3f} [" in text
    assert f"has {200 - arm.correct} of 200 test items wrong (field F1 below 0.9);" in text
    assert f"the form of an answer ({arm.empty} empty, {arm.refusals} refusals)." in text
    assert "- Set for scoring: scoring.normalise = case; " in text
    metrics = yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"][0]["metrics"]
    assert [m["type"] for m in metrics] == ["json_fields", "accuracy"] * 2
    assert [m["value"] for m in metrics[:2]] == [round(arm.mean_value, 4), round(arm.rate, 4)]
    assert metrics[0]["name"].startswith("Mean field F1 of Q8_0 (95 % interval ")


def test_the_card_of_a_label_task_names_the_commonest_mistakes() -> None:
    text = render_card(graded_card(LABELLED))
    assert re.search(r"^Most often confused: .+ answered as .+ \(\d+ of \d+\)", text, re.MULTILINE)
    assert "<teams>" not in text
    (result,) = yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"]
    assert {metric["type"] for metric in result["metrics"]} == {"accuracy"}
    assert "; mean " not in text and "F1 of" not in text.replace("Macro-F1 of", "")


def test_the_card_of_an_exact_match_has_none_of_this() -> None:
    from card_sample import card_input

    text = render_card(card_input())
    assert not [w for w in ("What the metric", "Most often", "Set for scoring", "; mean ") if w in text]
