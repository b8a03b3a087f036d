"""The README and the evidence say what the kept records say, and the records what the replies say."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from typer.main import get_command

from tuneproof.api_arms import Questions, exported
from tuneproof.arms import Table, result_of
from tuneproof.artifacts import (
    Adapter,
    DevSet,
    Drafts,
    EndpointSection,
    Item,
    LeakReport,
    Reply,
    Split,
    SplitLock,
    SplitRow,
    TaskFile,
    TestSet,
    TrainSet,
    Verdict,
    lock_part,
)
from tuneproof.cli import app
from tuneproof.export import export_texts
from tuneproof.forecast import REFERENCE
from tuneproof.outside.real import bundled_lock, example_task, real_outside
from tuneproof.reply_shelf import in_test_order
from tuneproof.scoring import scorer_of
from tuneproof.steps import STEPS
from tuneproof.steps.draft import draft
from tuneproof.steps.freeze import freeze
from tuneproof.steps.init import init
from tuneproof.steps.review import review

REPO = Path(__file__).parents[1]
README = (REPO / "README.md").read_text("utf-8")
EVIDENCE = REPO / "docs" / "evidence"


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_evidence", EVIDENCE / "make.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def no_file() -> Drafts:
    raise AssertionError("the bundled case reads no file of the user's own")


@pytest.fixture(scope="module")
def split() -> Split:
    case = init(TaskFile.model_validate(yaml.safe_load((EVIDENCE / "demo/task.yaml").read_text("utf-8"))))
    drafts = draft(case, real_outside().sources, no_file)
    return freeze(case, review(case, drafts), frozen_before=bundled_lock("licenses", 1))


def test_the_tables_in_the_readme_are_the_ones_of_the_kept_records(make: ModuleType) -> None:
    blocks: dict[str, str] = make.blocks()
    assert set(blocks) == {"demo", "full", "machine", "rows"}
    for mark, content in blocks.items():
        assert f"<!-- {mark} -->{content}<!-- /{mark} -->" in README, f"run docs/evidence/make.py: {mark}"


@pytest.mark.parametrize("name", ["demo", "full"])
def test_every_row_of_the_readme_tables_can_be_computed_again_from_the_kept_replies(
    name: str, split: Split
) -> None:
    folder = EVIDENCE / name
    case = init(TaskFile.model_validate(yaml.safe_load((folder / "task.yaml").read_text("utf-8"))))
    scorer = scorer_of(case.task_file)
    verdict = Verdict.model_validate_json((folder / "verdict.json").read_text("utf-8"))
    assert len(verdict.arms) >= 11
    for stored in verdict.arms:
        lines = (folder / "replies" / f"{stored.arm.name}.jsonl").read_text("utf-8").splitlines()
        replies = in_test_order([Reply.model_validate_json(line) for line in lines], split.test)
        table = Table(case, split, scorer)
        assert result_of(table, stored.arm, {stored.arm.name: replies}) == stored


def kept_split(folder: Path) -> Split:
    """The kept items of a task as a split: inputs stay where they came from, and no score needs them."""
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text("utf-8").split("\n")[:-1]]
    items = tuple(
        Item(id=line["id"], output=line["output"], group=line["group"], input="kept elsewhere")
        for line in lines
    )
    pairs = tuple(SplitRow(**i.model_dump()) for i, at in zip(items, lines, strict=True) if at["trained"])
    empty = lock_part(())
    lock = SplitLock(case="kept", version=1, method="", prompt_sha256="", train=empty, dev=empty, test=empty)
    leaks = LeakReport.model_validate_json((folder / "leaks.json").read_text("utf-8"))
    return Split(
        train=TrainSet(pairs=pairs), dev=DevSet(pairs=()), test=TestSet(items=items), lock=lock, leaks=leaks
    )


@pytest.mark.parametrize("task", sorted(path.parent.name for path in EVIDENCE.glob("tasks/*/result")))
def test_every_row_of_the_other_tasks_can_be_computed_again_from_the_kept_replies(task: str) -> None:
    folder = EVIDENCE / "tasks" / task / "result"
    task_file = TaskFile.model_validate(yaml.safe_load((folder / "task.yaml").read_text("utf-8")))
    case, scorer, kept = init(task_file), scorer_of(task_file), kept_split(folder)
    verdict = Verdict.model_validate_json((folder / "verdict.json").read_text("utf-8"))
    assert len(verdict.arms) >= 8
    for stored in verdict.arms:
        lines = (folder / "replies" / f"{stored.arm.name}.jsonl").read_text("utf-8").split("\n")[:-1]
        replies = in_test_order([Reply.model_validate_json(line) for line in lines], kept.test)
        table = Table(case, kept, scorer)
        assert result_of(table, stored.arm, {stored.arm.name: replies}) == stored


def test_the_kept_requests_of_the_frontier_are_those_that_the_demo_would_send(split: Split) -> None:
    case = init(TaskFile.model_validate(yaml.safe_load(example_task("licenses"))))
    section = EndpointSection(model="MODEL", repeats=1)
    _, requests = exported(Questions(case, split, None), section)
    texts = export_texts(requests, model="MODEL", temperature=0.0, reasoning_effort=None)
    kept = (EVIDENCE / "requests" / "licenses" / "plain.jsonl").read_text("utf-8")
    assert len(requests) == 200 and kept == texts["plain.jsonl"], "export them again"


def test_the_speeds_that_a_first_forecast_goes_by_are_those_of_the_kept_demo() -> None:
    folder = EVIDENCE / "demo"
    adapter = Adapter.model_validate_json((folder / "settings.json").read_text("utf-8"))
    verdict = Verdict.model_validate_json((folder / "verdict.json").read_text("utf-8"))
    assert REFERENCE.tokens_per_s == pytest.approx(adapter.tokens / adapter.seconds, rel=0.03)
    for kind, told in (("base", REFERENCE.base_s), ("tuned", REFERENCE.tuned_s)):
        times = [
            Reply.model_validate_json(line).ms
            for arm in verdict.arms
            if arm.arm.kind == kind and arm.p50_ms is not None
            for line in (folder / "replies" / f"{arm.arm.name}.jsonl").read_text("utf-8").splitlines()
        ]
        assert len(times) >= 400
        assert told == pytest.approx(sum(ms or 0 for ms in times) / len(times) / 1000, rel=0.03)


def test_the_page_of_the_other_tasks_is_the_one_of_the_kept_records() -> None:
    spec = importlib.util.spec_from_file_location("task_evidence", EVIDENCE / "tasks" / "evidence.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (EVIDENCE / "tasks.md").read_text("utf-8") == module.page(), "run tasks/evidence.py page"


def test_both_commands_stand_early_in_the_readme_after_few_words() -> None:
    head = README.splitlines()[:40]
    assert sum(line.startswith("python3 bootstrap.py ") for line in head) == 2
    assert "GB" in "\n".join(head) and "minutes" in "\n".join(head)
    before = README.split("```", 1)[0]
    assert len(before.split()) <= 90


def test_every_command_that_the_readme_names_exists() -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`tuneproof ([a-z]+)", README))
    assert named and named <= known
    assert {step.verb for step in STEPS} <= named


def test_links_in_the_documents_lead_somewhere() -> None:
    pages = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
    seen = 0
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if "://" not in target and page.name not in {"card.md", "report.md"}:
                assert (page.parent / target).exists(), f"{page}: {target}"
                seen += 1
    assert seen


def test_decisions_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in (REPO / "docs" / "decisions").glob("*.md"))
    assert names and [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_no_lock_line_names_an_index() -> None:
    lines = (REPO / "requirements.lock").read_text("utf-8").splitlines()
    assert len(lines) > 100
    assert not [line for line in lines if "://" in line or "index" in line.split("==")[0]]
