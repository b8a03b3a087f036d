"""The report and its plots: what a reader relies on."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sample import arm_result, sample_changes, sample_curves, sample_report
from tuneproof.artifacts import Setting
from tuneproof.artifacts.curves import CURVE_COLUMNS, CurveRow, curves_from_csv, curves_to_csv
from tuneproof.plots import loss_curve_png, loss_curve_svg, quality_plot_svg
from tuneproof.plots_style import visible
from tuneproof.report import ReportInput, render_html, render_markdown, table_markdown

HOSTILE = (
    "</style></title><script>alert(1)</script>\"'><img src=http://x.example onerror=go()> $x$ a|b \u202etxt"
)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.words += data


def hostile_report() -> ReportInput:
    data = sample_report()
    task_file = data.case.task_file.model_copy(update={"title": HOSTILE})
    arms = tuple(
        a.model_copy(update={"arm": a.arm.model_copy(update={"title": HOSTILE})}) for a in data.verdict.arms
    )
    item = sample_changes("broken", 1)[0].model_copy(
        update=dict.fromkeys(("item_id", "input", "expected", "base_reply", "tuned_reply"), HOSTILE)
    )
    gate = data.verdict.gates[0].model_copy(update={"file": HOSTILE, "reason": HOSTILE})
    verdict = data.verdict.model_copy(
        update={
            "headline": HOSTILE, "paragraph": HOSTILE, "arms": arms, "gates": (gate,), "broken": (item,),
            "not_measured": {HOSTILE: HOSTILE},
        }
    )  # fmt: skip
    adapter = data.adapter.model_copy(
        update={
            "settings": (Setting(name=HOSTILE, value=HOSTILE, origin=HOSTILE),),
            "versions": {HOSTILE: HOSTILE},
        }
    )
    return data._replace(
        case=data.case.model_copy(update={"task_file": task_file, "paragraph": HOSTILE}),
        verdict=verdict,
        adapter=adapter,
        provenance=data.provenance.model_copy(update={"attribution": HOSTILE, "source": HOSTILE}),
        statement=HOSTILE,
    )


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_html(sample_report()))


@pytest.fixture(scope="module")
def hostile_html() -> str:
    return render_html(hostile_report())


def table_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line)[1:-1]


def test_hostile_text_stays_text_in_html(hostile_html):
    page, clean = Page(hostile_html), Page(render_html(sample_report()))
    assert set(page.tags) == set(clean.tags)
    assert page.tags.count("style") == clean.tags.count("style")
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert "<script>alert(1)</script>" in page.words


def test_hostile_text_starts_no_html_in_markdown():
    text = render_markdown(hostile_report())
    outside_code = re.sub(r"(`{3,})text\n.*?\n\1|`[^`\n]+`", "", text, flags=re.DOTALL)
    assert set(re.findall(r"</?[a-z]+", outside_code)) == {"<details", "</details", "<summary", "</summary"}
    assert r"a\|b" in outside_code


def test_direction_changing_characters_are_shown_by_name(hostile_html):
    for text in (hostile_html, render_markdown(hostile_report())):
        assert "\u202e" not in text
        assert "⟨U+202E⟩txt" in text


@pytest.mark.parametrize(
    "character", ["\u200b", "\u2066", "\ufeff", "\x1b", "\x00", "\u3164", "\ud800", "\u2028"]
)
def test_invisible_characters_become_visible(character):
    assert visible(f"a{character}b") == f"a⟨U+{ord(character):04X}⟩b"


def test_newlines_tabs_and_other_scripts_are_left_alone():
    assert visible("é 漢字\n\tمرحبا") == "é 漢字\n\tمرحبا"


def test_every_arm_and_the_unmeasured_one_appear_in_both_forms(page):
    data = sample_report()
    titles = [result.arm.title for result in data.verdict.arms]
    assert len(titles) == 9
    markdown = render_markdown(data)
    for text in (page.words, markdown):
        assert [title for title in titles if title not in text] == []
        assert "not measured: no key" in text


def test_html_and_markdown_print_the_same_facts(page):
    facts = re.findall(r"^- ([^:]+): (.+)$", render_markdown(sample_report()), flags=re.MULTILINE)
    assert len(facts) > 30
    changed = {"Expected", "Base", "Tuned"}
    missing = [f for f in facts if f[0] not in changed and (f[0] not in page.words or f[1] not in page.words)]
    assert missing == []


def test_the_page_loads_nothing_and_says_so_to_the_browser(page):
    assert not set(page.tags) & {"script", "link", "iframe", "img", "object", "embed", "form"}
    loads = [a for a in page.attributes if a[1] in {"src", "srcset", "href", "xlink:href", "data", "poster"}]
    assert loads
    assert [a for a in loads if not a[2].startswith("#")] == [("a", "href", "https://example.org/sample")]
    assert not [a for a in page.attributes if "url(" in a[2] and "url(#" not in a[2]]
    policy = dict(
        (a[1], a[2]) for a in page.attributes if a[0] == "meta" and a[1] == "content" and "src" in a[2]
    )
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_ids_are_unique_and_every_fragment_link_has_its_target(page):
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 10
    targets = {value[1:] for _, name, value in page.attributes if name.endswith("href") and value[0] == "#"}
    assert targets <= set(ids)


def test_the_same_input_gives_the_same_bytes():
    assert render_html(sample_report()) == render_html(sample_report())
    assert render_markdown(sample_report()) == render_markdown(sample_report())
    assert loss_curve_png(sample_curves()) == loss_curve_png(sample_curves())


def test_the_table_prints_the_agreed_forms():
    arm = arm_result("tuned", "Tuned", "tuned", 115, p50_ms=0.31, p95_ms=None, usd_per_1000=None)
    lines = table_markdown([arm], not_measured={"frontier": "no key"}, metric="exact match").splitlines()
    assert lines[0] == (
        "| Arm | Right | Exact match (95 %) | Parse failures | Cut by limit | Output tokens "
        "| p50 | p95 | USD / 1,000 |"
    )
    assert lines[2] == "| Tuned | 115/200 | 57.5 % (50.6–64.1) | 2 | 0 | 6.2 | 0.3 ms | – | – |"
    assert lines[3] == "| frontier | not measured: no key | – | – | – | – | – | – | – |"


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(0.0, "0"), (0.0000034, "< 0.0001"), (0.00158, "0.00158"), (2.413, "2.41"), (1234.5, "1,234")],
)
def test_a_cost_has_three_digits_and_no_exponent(usd, shown):
    arm = arm_result("tuned", "Tuned", "tuned", 115, usd_per_1000=usd)
    line = table_markdown([arm], not_measured={}, metric="exact match").splitlines()[2]
    assert cells(line)[-1].strip() == shown.replace("<", "&lt;")


@given(st.text(), st.text(), st.text())
@settings(max_examples=60, deadline=None)
def test_no_title_can_add_a_cell_or_a_line(title, arm, why):
    result = arm_result("tuned", title, "tuned", 115)
    lines = table_markdown([result], not_measured={arm: why}, metric="exact match").splitlines()
    assert [len(cells(line)) for line in lines] == [9] * 4


def test_every_markdown_table_has_rows_of_one_width():
    blocks = [
        table_lines(block)
        for block in render_markdown(hostile_report()).split("\n\n")
        if block.startswith("|")
    ]
    assert len(blocks) >= 8
    assert [b[0] for b in blocks if len({len(cells(line)) for line in b}) != 1] == []


def test_broken_items_come_first_and_long_lists_are_folded(page):
    assert page.words.index("Broken: 2 items") < page.words.index("Fixed: 15 items")
    assert page.tags.count("details") == 1
    assert "3 more" in page.words


def test_a_small_or_spent_test_set_is_said_at_the_top():
    data = sample_report()
    arms = tuple(a.model_copy(update={"n": 60, "correct": min(a.correct, 60)}) for a in data.verdict.arms)
    data = data._replace(
        verdict=data.verdict.model_copy(update={"test_accesses": 21, "optimism": 0.031, "arms": arms})
    )
    for text in (render_html(data), render_markdown(data)):
        head = text[: text.index("Quality, latency and cost")]
        assert "Small test: with 60 items" in head
        assert "It is spent" in head
        assert "by about 3.1 points" in head


def test_a_run_without_curves_still_has_a_report():
    assert "No curve was logged." in render_html(sample_report()._replace(curves=()))


def test_plots_are_well_formed_and_follow_the_page_colours():
    arms = [arm_result("tuned", f"<b> & $x$ 漢 \x00{HOSTILE}", "tuned", 200)]
    for svg in (loss_curve_svg(sample_curves()), quality_plot_svg(arms, confidence=0.95)):
        ElementTree.fromstring(svg)
        assert "prefers-color-scheme:dark" in svg
        colours = set(re.findall(r"#[0-9a-f]{6}", re.sub(r"<style>.*?</style>", "", svg)))
        assert colours <= {"#ffffff"}
        rules = re.findall(
            r"([^{}]+)\{", "".join(re.findall(r"<style[^>]*>(.*?)</style>", svg, flags=re.DOTALL))
        )
        assert rules
        assert [r for r in rules if not r.strip().startswith((".tuneproof-plot", "@media"))] == []


def test_a_plot_labels_every_arm_with_its_rate():
    svg = quality_plot_svg(sample_report().verdict.arms, confidence=0.95)
    assert [r for r in ("0.0 %", "2.0 %", "48.5 %", "57.5 %", "54.0 %") if f">{r}<" not in svg] == []


def test_a_diverged_run_still_draws():
    rows = [row._replace(loss=float("nan")) if row.step > 60 else row for row in sample_curves()]
    assert loss_curve_png(rows).startswith(b"\x89PNG")
    assert "<svg" in loss_curve_svg([rows[-1]])


def test_plots_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one step"):
        loss_curve_png([])
    with pytest.raises(ValueError, match="at least one arm"):
        quality_plot_svg([], confidence=0.95)


numbers = st.floats(allow_nan=False)
whole = st.integers()
curve_rows = st.tuples(
    whole, numbers, whole, whole, numbers, st.none() | numbers, numbers, numbers, numbers
).map(CurveRow._make)


@given(st.lists(curve_rows))
@settings(deadline=None)
def test_curves_survive_csv_digit_for_digit(rows):
    assert curves_from_csv(curves_to_csv(rows)) == tuple(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("step,", "Step,"), "line 1: header 'Step,epoch"),
        (lambda t: t.replace("600.5", "fast"), "line 2: tokens_per_s is 'fast', not a number"),
        (lambda t: t.replace("\n7,", "\n7.0,"), "line 2: step is '7.0', not a whole number"),
        (lambda t: t.replace("\n7,", "\n 7,"), "line 2: step is ' 7', not a whole number"),
        (lambda t: t.replace(",600.5", ""), "has 8 cells, not 9"),
        (lambda t: t.removesuffix("\n"), "does not end with a newline"),
        (lambda t: "", "line 1: header ''"),
    ],
)
def test_a_damaged_curve_file_is_refused_with_line_and_value(change, message):
    good = curves_to_csv([CurveRow(7, 0.5, 8, 611, 1.25, None, 0.001, 1.5, 600.5)])
    assert good.splitlines()[0] == ",".join(CURVE_COLUMNS)
    with pytest.raises(ValueError, match=re.escape(message)):
        curves_from_csv(change(good))
