"""The whole page: both forms say the same, hostile text stays text, and the bytes are always the same."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from full_sample import SERVED
from test_report import HOSTILE, Page, cells, table_lines
from test_report_sections import FULL, PAGE, TEXT, with_verdict
from tuneproof.artifacts import ClassLoss, FailureCluster, Gate, Slice
from tuneproof.report import ReportInput, render_html, render_markdown


def test_html_and_markdown_have_the_same_sections_facts_and_tables() -> None:
    headings = re.findall(r"^##+ (.+)$", TEXT, re.MULTILINE)
    assert len(headings) > 60
    assert [h for h in headings if h.replace("\\", "") not in PAGE.words] == []
    facts = re.findall(r"^- ([^:`]+): ([^`\\\n]+)$", TEXT, flags=re.MULTILINE)
    assert len(facts) > 80
    assert [f for f in facts if not (f[0] in PAGE.words and f[1] in PAGE.words)] == []
    tables = [block for block in TEXT.split("\n\n") if block.startswith("| ")]
    assert PAGE.tags.count("table") == len(tables) > 25
    assert PAGE.tags.count("tr") == sum(len(table_lines(t)) - 1 for t in tables)
    assert PAGE.tags.count("svg") == 4


def test_every_section_is_linked_and_named_once() -> None:
    ids = [value for _, name, value in PAGE.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    linked = [
        value[1:] for tag, name, value in PAGE.attributes if (tag, name) == ("a", "href") and value[0] == "#"
    ]
    assert len(linked) == len(set(linked)) >= 19
    assert set(linked) <= set(ids)


def hostile_full() -> ReportInput:
    verdict = FULL.verdict
    gate = verdict.gates[2]
    assert isinstance(gate, Gate) and verdict.costs is not None and verdict.costs.break_even is not None
    loss = ClassLoss(label=HOSTILE, n=66, base_right=40, tuned_right=22)
    slices = tuple(Slice.model_validate(s.model_dump() | {"name": HOSTILE}) for s in verdict.slices[:1])
    group = FailureCluster(name=HOSTILE, n=1, items=verdict.failures[0].items[:1])
    costs = verdict.costs.model_copy(
        update={
            "unknown": (HOSTILE,),
            "lines": tuple(line.model_copy(update={"basis": HOSTILE}) for line in verdict.costs.lines),
        }
    )
    data = with_verdict(
        FULL, slices=slices, failures=(group,), deviations=(HOSTILE,), costs=costs,
        gates=(gate.model_copy(update={"class_losses": (loss,), "outcome": "FAIL", "reason": HOSTILE}),),
    )  # fmt: skip
    trials = tuple(t.model_copy(update={"style": HOSTILE, "prompt": HOSTILE}) for t in FULL.comparison.trials)
    change = {"trials": trials, "budget": HOSTILE, "constraint": HOSTILE, "price_unknown": {HOSTILE: HOSTILE}}
    replies = tuple(r.model_copy(update={"text": HOSTILE}) for r in FULL.replies[SERVED])
    return data._replace(
        comparison=data.comparison.model_copy(update=change),
        plan=data.plan.model_copy(update={"tests": HOSTILE, "extra_tunes": {HOSTILE: HOSTILE}}),
        ledger=tuple(e.model_copy(update={"arm": HOSTILE, "who": HOSTILE}) for e in data.ledger[:2]),
        replies={SERVED: replies},
    )


def test_hostile_text_in_the_new_parts_stays_text() -> None:
    data = hostile_full()
    page, text = Page(render_html(data)), render_markdown(data)
    assert set(page.tags) <= set(PAGE.tags)
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert page.words.count("<script>alert(1)</script>") > 15
    outside_code = re.sub(r"(`{3,})text\n.*?\n\1|`[^`\n]+`", "", text, flags=re.DOTALL)
    assert set(re.findall(r"</?[a-z]+", outside_code)) <= {"<details", "</details", "<summary", "</summary"}
    assert "\u202e" not in text and "\u202e" not in page.words
    blocks = [table_lines(block) for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) > 20
    assert [b[0] for b in blocks if len({len(cells(line)) for line in b}) != 1] == []


def test_the_page_of_the_full_report_loads_nothing() -> None:
    loads = [a for a in PAGE.attributes if a[1] in {"src", "srcset", "href", "xlink:href", "data", "poster"}]
    assert [a for a in loads if not a[2].startswith("#")] == [("a", "href", "https://example.org/sample")]
    assert not set(PAGE.tags) & {"script", "link", "iframe", "img", "object", "embed", "form"}


def test_two_processes_with_different_hash_seeds_write_the_same_bytes() -> None:
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); from full_sample import full_report;"
        "from tuneproof.report import render_html, render_markdown; data = full_report();"
        "print(hashlib.sha256((render_html(data) + render_markdown(data)).encode()).hexdigest())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(Path(__file__).parent)],
            env=os.environ | {"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True,
        )
        for seed in ("1", "2")
    ]  # fmt: skip
    digests = [process.communicate()[0].strip() for process in processes]
    own = hashlib.sha256((render_html(FULL) + TEXT).encode()).hexdigest()
    assert digests == [own, own]
