"""The parts of the report, one by one: what each says when it was measured, and when it was not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from full_sample import SERVED, file_step, full_report
from sample import contrast, sample_report
from test_report import Page
from test_report_metric import table_under
from tuneproof.artifacts import BreakEven, Control
from tuneproof.report import ReportInput, render_html, render_markdown

FULL = full_report()
TEXT = render_markdown(FULL)
PAGE = Page(render_html(FULL))
BARE = render_markdown(sample_report())
BARE_PAGE = Page(render_html(sample_report()))


def with_verdict(data: ReportInput, **fields: Any) -> ReportInput:
    return data._replace(verdict=data.verdict.model_copy(update=fields))


def section(heading: str, text: str = TEXT) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


def head(data: ReportInput) -> str:
    text = render_markdown(data)
    return text[: text.index("## Quality, latency and cost")]


def notes(data: ReportInput) -> list[str]:
    return re.findall(r"^> (.+)$", head(data), re.MULTILINE)


def test_the_top_has_advice_decision_gate_and_what_the_test_can_see() -> None:
    top = head(FULL)
    assert "Advice: **use the frontier** · Decision: **stay** · Gate: **PASS**" in top
    assert "Minimum detectable gain: 8.3 points." in top
    assert "For the share of items that this tune was seen to break it is 4.1 points." in top
    assert "2026-01-02 03:04 UTC" in top


def test_a_clean_run_has_no_banner_and_a_doubtful_one_has_each() -> None:
    assert notes(sample_report()) == []
    assert notes(FULL) == [
        "Whatever the gate says, the served file loses more than 20 points on: apache-2.0 (base 40, file 22 "
        "of 66).",
        "The test set was read in 7 rounds. The best of them is expected to look too good, by about 1.8 "
        "points.",
        "5 of 200 items (2.5 %) are left out of every arm, because an API gave no reply to them after all "
        "retries.",
        "The run differs from its plan in 1 place: see the section on the plan.",
    ]


def test_a_control_that_passes_and_a_seed_that_decides_stand_at_the_top() -> None:
    seeds = FULL.verdict.seeds
    assert seeds is not None
    passed = Control(name="blank-input", contrast=contrast("x", "y", 9, 1, 0.01), outcome="PASS")
    data = with_verdict(
        sample_report(),
        controls=(passed,),
        seeds=seeds.model_copy(update={"exceeds_gain": True, "gain": 0.03}),
    )
    first, second = notes(data)
    assert first.startswith("The control blank-input passed the gate, and it must not")
    assert "across 3 seeds the share of right replies spans 4.5 points" in second and "is +3.0" in second
    assert "PASS: it must not" in section("Seeds and null controls", render_markdown(data))


def test_a_failed_gate_sends_the_reader_to_the_pairs_first() -> None:
    (note,) = notes(with_verdict(sample_report(), gate="FAIL"))
    assert "read 50 random training pairs again, `tuneproof review --reread 50`" in note


@pytest.mark.parametrize(("excluded", "noted"), [(4, False), (5, True)])
def test_items_left_out_are_noted_above_two_percent(excluded: int, noted: bool) -> None:
    data = sample_report()
    ids = tuple(f"test-{i:03}" for i in range(excluded))
    data = data._replace(comparison=data.comparison.model_copy(update={"excluded": ids}))
    assert bool(notes(data)) is noted
    assert f"{excluded} items without a reply of some API" in section(
        "What was not measured", render_markdown(data)
    )


def test_the_first_table_prints_the_wider_interval_and_marks_what_is_not_plain() -> None:
    rows = {row[0]: row for row in table_under("Quality, latency and cost", TEXT)[2:]}
    served = FULL.served
    assert served is not None and served.cluster_interval is not None
    low, high = 100 * served.cluster_interval.low, 100 * served.cluster_interval.high
    assert rows["**Tuned Q8_0**"][2] == f"**57.5 % ({low:.1f}–{high:.1f})**"
    assert {"Base, 5 examples (constrained)", "Frontier (recorded)"} <= rows.keys()
    assert "or the bootstrap over groups where that is wider" in TEXT
    groups = {row[0]: row for row in table_under("Groups among the items", TEXT)[2:]}
    assert groups["Tuned Q8_0"][1:6] == ["200", "100", "0.31", "1.31", "57.5 % (50.6–64.1)"]


def test_recorded_and_repeated_arms_say_what_stands_behind_them() -> None:
    lines = section("Quality, latency and cost")
    assert (
        "- Frontier: model sample-large-2026-01; replies made elsewhere: imported 2026-01-02 from "
        "replies.jsonl; "
        "one reply an item: run-to-run noise not measured." in lines
    )
    assert "3 replies an item, the share right of each repeat: 70.5 %, 70.0 %, 71.5 %." in lines


def test_the_gate_says_why_a_file_did_not_pass_and_what_it_loses() -> None:
    said = section("The gate: each file against its best base")
    assert (
        "- sample-Q4_K_M.gguf: the interval spans 0. The seen difference would pass with about 640 items."
        in said
    )
    assert "- sample-Q8_0.gguf on apache-2.0 (66 items): base 40 right, file 22 right." in said


@pytest.mark.parametrize(
    ("better", "shown", "worse", "said"),
    [
        (True, True, False, ("- Better: shown", "- Equal enough: shown", "- Worse: not shown")),
        (False, True, False, ("- Better: not shown", "- Equal enough: shown", "- Worse: not shown")),
        (False, False, True, ("- Better: not shown", "- Equal enough: not shown", "- Worse: shown")),
    ],
)
def test_better_equal_enough_and_worse_are_separate_claims(
    better: bool, shown: bool, worse: bool, said: tuple[str, ...]
) -> None:
    equality = FULL.verdict.frontier_equality
    assert equality is not None
    equality = equality.model_copy(update={"better": better, "shown": shown, "worse": worse})
    text = section("Against the frontier", render_markdown(with_verdict(FULL, frontier_equality=equality)))
    assert [claim for claim in said if claim not in text] == []
    assert ("Items needed: about 1,570" in text) is not shown
    assert "the one-sided 95 % lower bound is −39.0 points, the margin 5 points" in text
    assert "matches" not in text


def test_contrasts_print_the_wider_interval_the_test_and_holms_p() -> None:
    frontier = section("Against the frontier")
    assert "by sign flips of whole groups" in frontier
    (endpoint,) = table_under("Other endpoints", TEXT)[2:]
    assert endpoint[5:] == [
        "−13.0 (+1.0 to +19.0)",
        "0.9990",
        "0.0246",
        "+0.031 (+0.004 to +0.061)",
        "0.0140",
    ]
    rivals = table_under("Against cheap rivals", TEXT)
    assert rivals[0][-1] == "p, Holm"
    assert {row[-1] for row in rivals[2:]} == {"0.0246"}


def test_smaller_files_have_a_claim_what_it_could_hide_and_their_place_in_the_sequence() -> None:
    rows = table_under("Smaller files against f16", TEXT)
    columns = dict(zip(rows[0], rows[3], strict=True))
    assert columns["File"] == "Q4_K_M" and columns["Won / lost"] == "4 / 13"
    assert (columns["Claim"], columns["In sequence"]) == ("no loss seen", "no")
    assert columns["Length ratio"] == "**1.21**" and columns["Parse failures"] == "+3"
    step = FULL.verdict.files[1]
    assert columns["Could hide, points"] == f"{100 * step.could_hide:.1f}"
    assert rows[2][rows[0].index("Length ratio")] == "1.01"
    plain = with_verdict(FULL, files=(file_step("Q8_0", 0, 0, "loss", length_ratio=None),))
    assert "| loss |" in render_markdown(plain)


def test_prompts_are_listed_with_their_budget_and_the_spread_that_they_make() -> None:
    said = section("Prompts, chosen on dev")
    assert "Each model had 120 dev calls." in said
    assert "- base, 4 prompts: from 0.0 % to 7.5 % right on dev, a spread of 7.5 points." in said
    assert "Frontier (recorded), 2 prompts: from 52.5 % to 92.5 %" in said
    rows = table_under("What the form alone is worth", TEXT)
    assert rows[2][:2] == ["Base, 5 examples (constrained)", "Base, 5 examples"]


def test_seeds_and_controls_are_told_with_range_and_outcome() -> None:
    said = section("Seeds and null controls")
    assert "- Mean and range: 58.0 % (56.0–60.5)" in said
    assert "- Mean gain over the best base: +53.5 points" in said
    (control,) = table_under("Null controls", TEXT)[2:]
    assert control[-1] == "FAIL, as it must be"


def test_costs_are_shown_at_each_utilisation_and_an_unknown_one_is_said_to_be() -> None:
    rows = table_under("What 1,000 calls cost", TEXT)
    assert rows[0][1:6] == ["USD / 1,000", "At best", "At 5 % use", "At 25 % use", "At 100 % use"]
    by_arm = {row[0]: row for row in rows[2:]}
    assert by_arm["Tuned Q8_0"][1:6] == ["0.00630", "–", "0.0315", "0.00630", "0.00158"]
    assert by_arm["Small model at an API"][1] == "unknown"
    said = section("What 1,000 calls cost")
    for line in (
        "- Cheaper from: 23,200 calls a month",
        "- Calls a month in task.yaml: 400,000",
        "- Once: 960 USD, spread over 12 months",
        "| evaluation | unknown | set costs.evaluation_usd |",
        "| API price × 0.5 | 46,452 |",
        "| API price × 0.001 | never |",
        "genai-prices 0.0.0, prices of 2026-01-02",
        "- Missing: the price of mistral",
    ):
        assert line in said


def test_a_move_that_never_pays_says_never() -> None:
    costs = FULL.verdict.costs
    assert costs is not None and isinstance(costs.break_even, BreakEven)
    never = costs.model_copy(
        update={"break_even": costs.break_even.model_copy(update={"calls_per_month": None})}
    )
    said = section("What 1,000 calls cost", render_markdown(with_verdict(FULL, costs=never)))
    assert "- Cheaper from: never: the own model costs as much or more at any volume" in said
    unknown = costs.model_copy(update={"break_even": None})
    assert "Not computed: an input is unknown." in render_markdown(with_verdict(FULL, costs=unknown))


def test_latency_has_first_text_and_whole_call_with_intervals_and_the_load_point() -> None:
    rows = {row[0]: row for row in table_under("How long a call takes", TEXT)[2:]}
    assert len(rows) == 4
    assert rows["Tuned Q8_0"][1:7] == [
        "200",
        "57 ms",
        "99 ms",
        "14 ms",
        "142 ms (138–148)",
        "227 ms (213–270)",
    ]
    (load,) = table_under("At the load point", TEXT)[2:]
    assert load == ["Tuned Q8_0", "4", "200", "388 ms (376–404)", "621 ms", "9.70", "20.6 s"]
    assert "200 of 200 replies equal: greedy decoding is stable here" in TEXT
    serving = FULL.serving.model_copy(update={"repeated_equal": 199})
    assert "greedy decoding is NOT stable here" in render_markdown(FULL._replace(serving=serving))


def test_parts_of_the_test_show_every_deciding_arm_and_the_far_near_gap() -> None:
    rows = table_under("By expected output", TEXT)
    assert rows[0] == ["Part", "n", "Base, 5 examples", "Tuned Q8_0", "Word counts + logistic regression",
                       "Frontier (recorded)"]  # fmt: skip
    for part, row in zip([s for s in FULL.verdict.slices if s.kind == "label"], rows[2:], strict=True):
        assert row[:2] == [part.name, str(part.n)]
        assert row[3].startswith(f"{part.right[SERVED]} (")
    kinds = ("By length of the input", "By distance to train", "By output seen in train")
    assert [kind for kind in kinds if f"### {kind}" not in TEXT] == []
    assert len(re.findall(r"far − near: [+−]\d+\.\d points \(.*, Newcombe\)", TEXT)) == 4


def test_groups_of_wrong_replies_come_with_up_to_three_examples_each() -> None:
    said = section("What the wrong replies have in common")
    groups = FULL.verdict.failures
    assert sum(group.n for group in groups) == 85
    replies = {reply.item_id: reply.text for reply in FULL.replies[SERVED]}
    for group in groups:
        part = said.split(f"### {group.name}: {group.n}\n")[1].split("### ", 1)[0] if group.n else ""
        shown = re.findall(
            r"^#### (\S+)$", said.split(f"### {group.name}: {group.n}\n")[1].split("\n### ")[0], re.M
        )
        assert shown == list(group.items[:3]), part
    first = groups[0].items[0]
    assert f"- Tuned: `{replies[first]}`" in said


def test_a_flawless_file_has_no_wrong_replies() -> None:
    arms = tuple(
        a.model_copy(update={"correct": a.n}) if a.arm.name == SERVED else a for a in FULL.verdict.arms
    )
    text = render_markdown(with_verdict(FULL, arms=arms, failures=()))
    assert "There is no wrong reply." in section("What the wrong replies have in common", text)


def test_the_ledger_lists_every_access_with_the_plan_that_it_was_under() -> None:
    rows = table_under("Access to the test set", TEXT)
    assert [row[2] for row in rows[2:]] == [FULL.titles[entry.arm] for entry in FULL.ledger]
    assert {row[3] for row in rows[2:]} == {FULL.ledger[0].plan_digest[:19]}
    assert "7 rounds of test access." in section("The plan, and every access to the test set")
    many = FULL._replace(ledger=FULL.ledger * 3)
    assert Page(render_html(many)).tags.count("summary") == PAGE.tags.count("summary") + 1


def test_the_plan_is_printed_with_its_digest_and_every_deviation() -> None:
    said = section("The plan, and every access to the test set")
    assert f"digest `{FULL.plan.digest}`" in said
    assert "- the frontier answered as sample-large-2026-02, not as named in task.yaml" in said
    assert "- Rivals: majority; nearest neighbour; word counts" in said
    assert "differs from its plan in no place" in BARE


def test_every_kind_of_number_names_its_file_and_its_formula() -> None:
    rows = table_under("How each number was made", TEXT)
    assert rows[0] == ["Number", "Made from", "How"]
    assert len(rows) > 18 > len(table_under("How each number was made", BARE))
    assert [row for row in rows[2:] if not (row[1] and row[2])] == []
    assert "`tuneproof report --verify`" in section("How each number was made")


@pytest.mark.parametrize(
    ("heading", "remedy"),
    [
        ("Against the frontier", "`comparison.frontier`"),
        ("Against the frontier", "`tuneproof compare --import FILE --arm frontier`"),
        ("Seeds and null controls", "`tuneproof tune --seeds 3`"),
        ("Seeds and null controls", "`tuneproof tune --control shuffled-labels`"),
        ("What 1,000 calls cost", "`costs:`"),
        ("How long a call takes", "`tuneproof serve --again`"),
        ("Parts of the test", "`tuneproof judge`"),
    ],
)
def test_a_part_that_was_not_measured_says_what_would_measure_it(heading: str, remedy: str) -> None:
    assert remedy in section(heading, BARE)
    assert remedy not in section(heading)
    assert remedy.strip("`") in BARE_PAGE.words
