"""What must be there before a teacher is paid: cap, price, terms, examples, the prompt of the first draft."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compare_sample import no_waiting_for_the_disk
from draft_sample import PRICE, TERMS, answer, change, drafts_of, project, ready, write_examples
from fake_api import FakeApi
from tuneproof.artifacts import Drafts
from tuneproof.commands_terms import LEDGER, run_accept_terms
from tuneproof.errors import BadInput, LockBroken, NotReady


@pytest.fixture(autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk():
        yield


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(answer) as running:
        yield running


def told_cost(made: Drafts) -> float:
    return sum(row.usd for row in made.rows)


UNREADY = [
    ("no cap", {"cap_usd": None}, "drafting.cap_usd is null", "Set drafting.cap_usd"),
    ("no terms", {"terms_url": None}, "drafting.terms_url is null", "Set drafting.terms_url"),
    ("other terms", {"terms_url": "https://example.org/new"}, "are not acknowledged yet", "--accept-terms"),
]


@pytest.mark.parametrize(
    ("drafting", "problem", "remedy"), [u[1:] for u in UNREADY], ids=[u[0] for u in UNREADY]
)
def test_nothing_is_sent_while_something_is_missing(
    tmp_path: Path, api: FakeApi, drafting: dict[str, Any], problem: str, remedy: str
) -> None:
    workspace = ready(tmp_path, api)
    change(workspace, "drafting", **drafting)
    with pytest.raises(NotReady) as caught:
        drafts_of(workspace)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
    assert api.requests == []
    assert not (workspace.root / LEDGER).exists()


def test_an_unknown_price_is_refused_and_an_explicit_nothing_is_an_answer(
    tmp_path: Path, api: FakeApi
) -> None:
    workspace = ready(tmp_path, api)
    teacher = {"model": "teacher", "base_url": f"{api.address}/v1"}
    change(workspace, "drafting", teacher=teacher)
    with pytest.raises(NotReady) as caught:
        drafts_of(workspace)
    assert "drafting.teacher.price" in caught.value.problem
    assert "frontier" not in str(caught.value)
    assert "drafting.teacher.price: {input_mtok: …, output_mtok: …}" in caught.value.remedy
    change(workspace, "drafting", teacher=teacher | {"price": {"input_mtok": 0, "output_mtok": 0}})
    made = drafts_of(workspace)
    assert (len(made.pairs), told_cost(made)) == (40, 0)


def test_all_that_is_missing_is_named_at_once_with_the_hint_of_the_provider(
    tmp_path: Path, api: FakeApi
) -> None:
    workspace = ready(tmp_path, api)
    change(workspace, "drafting", teacher="claude-unheard-of", cap_usd=None, terms_url=None)
    with pytest.raises(NotReady) as caught:
        drafts_of(workspace)
    assert len(caught.value.problem.splitlines()) == 3
    assert len(caught.value.remedy.splitlines()) == 3
    assert "https://www.anthropic.com/legal/commercial-terms on 20" in caught.value.problem


def test_terms_are_acknowledged_once_by_name_and_for_this_teacher_alone(
    tmp_path: Path, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = project(tmp_path / "project", api.address)
    with pytest.raises(NotReady, match="are not acknowledged yet"):
        drafts_of(workspace)
    run_accept_terms(workspace.root, "Ada", as_json=False)
    assert TERMS in capsys.readouterr().out
    run_accept_terms(workspace.root, None, as_json=False)
    lines = (workspace.root / "terms.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 1
    assert set(json.loads(lines[0])) == {"teacher", "host", "path", "provider", "url", "at", "by"}
    assert json.loads(lines[0])["by"] == "Ada"
    change(workspace, "drafting", teacher={"model": "other", "base_url": f"{api.address}/v1", "price": PRICE})
    with pytest.raises(NotReady, match=r"The terms of other at .* are not acknowledged yet"):
        drafts_of(workspace)
    change(workspace, "drafting", terms_url=None)
    with pytest.raises(NotReady, match=r"drafting\.terms_url is null"):
        run_accept_terms(workspace.root, "Ada", as_json=False)


def test_nineteen_examples_are_too_few(tmp_path: Path, api: FakeApi) -> None:
    workspace = ready(tmp_path, api, examples=19)
    with pytest.raises(NotReady, match=r"examples\.jsonl holds 19 examples; 20 are needed"):
        drafts_of(workspace)
    (workspace.root / "examples.jsonl").unlink()
    with pytest.raises(NotReady, match=r"examples\.jsonl does not exist"):
        drafts_of(workspace)
    assert api.requests == []


def test_bad_examples_are_named_all_at_once(tmp_path: Path, api: FakeApi) -> None:
    workspace = ready(tmp_path, api, examples=25)
    with (workspace.root / "examples.jsonl").open("a", encoding="utf-8") as handle:
        handle.write('{"input": "AN EXAMPLE  notice, number 3", "output": "mit"}\n')
        handle.write('{"input": "new", "output": "Not A Label"}\n{"input": "half"}\n')
    with pytest.raises(BadInput) as caught:
        drafts_of(workspace)
    told = caught.value.problem
    assert "examples.jsonl:26: its input is that of examples.jsonl:4" in told
    assert "examples.jsonl:27: its output 'Not A Label' does not match" in told
    assert "examples.jsonl:28: has no 'output'" in told


CHANGES = [
    ("the examples", lambda w: write_examples(w.root, 20, output="zlib"), "examples changed"),
    ("the conventions", lambda w: change(w, "drafting", conventions="x"), "drafting.conventions changed"),
    ("the prompt", lambda w: change(w, "task", system_prompt="x"), "task.system_prompt changed"),
    ("the metric", lambda w: change(w, "task", metric="set match"), "task.metric changed"),
]


@pytest.mark.parametrize(("edit", "words"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_what_the_teacher_is_told_is_locked_with_the_first_draft(
    tmp_path: Path, api: FakeApi, edit: Any, words: str
) -> None:
    workspace = ready(tmp_path, api, count=10)
    before = {path.name: path.read_bytes() for path in workspace.root.iterdir() if path.is_file()}
    drafts_of(workspace)
    assert (workspace.root / "locks" / "drafting-v1.lock.json").exists()
    edit(workspace)
    with pytest.raises(LockBroken) as caught:
        drafts_of(workspace)
    assert words in caught.value.problem
    assert "drafting.version: 2" in caught.value.remedy
    assert len(api.requests) == 10
    change(workspace, "drafting", version=2)
    assert len(drafts_of(workspace).pairs) == 10
    for name in ("task.yaml", "examples.jsonl"):
        (workspace.root / name).write_bytes(before[name])
    paid = len(api.requests)
    assert len(drafts_of(workspace).pairs) == 10
    assert len(api.requests) == paid
