"""`draft` with a teacher on the loopback: what it makes and keeps, and that nothing is paid for twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from compare_sample import no_waiting_for_the_disk
from draft_sample import INPUT, PRICE, TERMS, answer, change, drafts_of, ready
from fake_api import FakeApi, Seen
from fakes import label_of
from tuneproof.artifacts import Drafts
from tuneproof.commands_draft import asked_as
from tuneproof.commands_terms import LEDGER, run_spend
from tuneproof.errors import BadInput, NotReady, OutsideFailed
from tuneproof.outside.spend_costs import costs_by_request
from tuneproof.steps.draft import draft
from tuneproof.steps.init import init
from tuneproof.steps.review import review


@pytest.fixture(autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk():
        yield


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(answer) as running:
        yield running


def asked(api: FakeApi) -> Counter[str]:
    """How often each whole request arrived."""
    return Counter(json.dumps(seen.body["messages"]) for seen in api.requests)


def told_cost(drafts: Drafts) -> float:
    return sum(row.usd for row in drafts.rows)


def test_every_input_is_drafted_with_its_record_and_its_cost(tmp_path: Path, api: FakeApi) -> None:
    workspace = ready(tmp_path, api)
    made = drafts_of(workspace)
    assert [pair.input for pair in made.pairs] == [INPUT.format(n=n) for n in range(40)]
    assert all(pair.output == label_of(pair.input) for pair in made.pairs)
    assert [pair.source for pair in made.pairs[:2]] == ["in.jsonl:1", "in.jsonl:2"]
    assert [row.id for row in made.rows] == [pair.id for pair in made.pairs]
    assert all(pair.id.startswith("in-") and len(pair.id) == 15 for pair in made.pairs)
    assert {row.model for row in made.rows} == {"teacher-2026-01-01"}
    assert {(row.calls, row.repaired, row.problem) for row in made.rows} == {(1, False, "")}
    origin = made.provenance
    assert (origin.kind, origin.source, origin.terms_url) == ("drafted", "in.jsonl", TERMS)
    assert origin.teacher == f"teacher at {api.address.removeprefix('http://')}"
    assert origin.terms_accepted_at.endswith(" by Ada")
    assert len(api.requests) == 40
    # The fake counts words: 2 of them from a cache, which has no price of its own.
    first = made.rows[0]
    expected = (first.prompt_tokens * PRICE["input_mtok"] + first.output_tokens * PRICE["output_mtok"]) / 1e6
    assert first.usd == pytest.approx(expected, abs=1e-9)
    with pytest.raises(NotReady, match="no person has seen them"):
        review(init(workspace.task_file()), made)


def test_the_ledger_is_the_sum_of_the_records(
    tmp_path: Path, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = ready(tmp_path, api)
    made = drafts_of(workspace)
    capsys.readouterr()
    run_spend(workspace.root, as_json=True)
    spent = json.loads(capsys.readouterr().out)
    assert spent["calls"] == 40
    assert spent["settled_usd"] == pytest.approx(told_cost(made), abs=1e-9)
    run_spend(workspace.root, as_json=False)
    assert "spent, 40 calls in all; " in capsys.readouterr().out


def test_another_run_asks_nothing_and_gives_the_same_drafts(tmp_path: Path, api: FakeApi) -> None:
    workspace = ready(tmp_path, api)
    assert drafts_of(workspace).digest == drafts_of(workspace).digest
    assert len(api.requests) == 40


def test_a_larger_count_asks_for_the_new_inputs_alone(tmp_path: Path, api: FakeApi) -> None:
    workspace = ready(tmp_path, api, count=150)
    change(workspace, "drafting", count=110)
    first = drafts_of(workspace)
    assert (len(first.pairs), first.left_out) == (110, {"beyond the wanted number": 40})
    change(workspace, "drafting", count=150)
    assert len(drafts_of(workspace).pairs) == 150
    assert set(asked(api).values()) == {1}
    assert len(api.requests) == 150


def test_faults_are_borne_and_what_stays_broken_is_told(tmp_path: Path) -> None:
    faults = ["429", "500", "garbage", "cut", "truncated", "wrong-schema", "529", "empty"]
    with FakeApi(answer, faults, retry_after="1") as api:
        workspace = ready(tmp_path, api, count=30)
        made = drafts_of(workspace)
    assert len(made.pairs) == 30
    assert sum(row.calls for row in made.rows) == 38
    assert all(pair.output == label_of(pair.input) for pair in made.pairs)


class Stubborn(FakeApi):
    """Answers some inputs in one way only."""

    ways: dict[str, str] = {}

    def next_fault(self, seen: Seen) -> str:
        fault = super().next_fault(seen)
        text = seen.body["messages"][41]["content"].split("\n")[1]
        return self.ways.get(text, fault)


def test_refused_failed_and_empty_replies_are_left_out_with_their_reason(tmp_path: Path) -> None:
    with Stubborn(answer) as api:
        texts = [INPUT.format(n=n) for n in range(5)]
        api.ways = dict(zip(texts, ("refusal", "500", "nothing", "400-filter", "400-long"), strict=True))
        workspace = ready(tmp_path, api, count=12)
        made = drafts_of(workspace)
        assert [pair.input for pair in made.pairs] == [INPUT.format(n=n) for n in range(5, 12)]
        reasons = {row.place: row.reason for row in made.rejected}
        assert reasons["in.jsonl:1"].startswith("the teacher refused")
        assert reasons["in.jsonl:2"].startswith("the teacher did not answer after 4 calls")
        assert reasons["in.jsonl:3"] == "the teacher's reply is empty"
        assert reasons["in.jsonl:4"].startswith("the teacher refused")
        assert reasons["in.jsonl:5"].startswith("the teacher cannot take an input of this length")
        assert sum(made.left_out.values()) == 5
        before = len(api.requests)
        api.ways = {}
        again = drafts_of(workspace)
        # Only the one that failed is worth another call; a refusal was an answer.
        assert len(api.requests) == before + 1
        assert len(again.pairs) == 8


def test_a_wrong_form_is_repaired_and_a_stubborn_one_is_kept_with_its_problem(tmp_path: Path) -> None:
    last: list[str] = []

    def wrong(text: str) -> str:
        if "cannot be used" not in text:
            last.append(text.split("notice ")[1].split(" ")[0])
            return {"0": "No Answer.", "1": "STILL WRONG!"}.get(last[-1], "zlib")
        return "STILL WRONG!" if last[-1] == "1" else "mit"

    with FakeApi(wrong) as api:
        workspace = ready(tmp_path, api, count=10)
        teacher = {"model": "teacher", "base_url": f"{api.address}/v1", "price": PRICE, "concurrency": 1}
        change(workspace, "drafting", teacher=teacher)
        made = drafts_of(workspace)
    assert [pair.output for pair in made.pairs[:3]] == ["mit", "STILL WRONG!", "zlib"]
    assert [row.repaired for row in made.rows[:3]] == [True, True, False]
    assert "task.answer_pattern" in made.rows[1].problem
    assert [row.calls for row in made.rows[:3]] == [2, 2, 1]
    assert made.rows[0].usd > made.rows[2].usd


def test_a_killed_run_goes_on_and_settled_replies_are_not_asked_for_again(tmp_path: Path) -> None:
    with FakeApi(answer, piece_s=0.005) as api:
        workspace = ready(tmp_path, api, count=150)
        command = [sys.executable, str(Path(__file__).with_name("draft_sample.py")), str(workspace.root)]
        running = subprocess.Popen(command)
        until = time.monotonic() + 60
        while len(api.requests) < 40 and running.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        path = workspace.root / LEDGER
        task = workspace.task_file().drafting.teacher
        assert task is not None
        before = len(api.requests)
        assert 40 <= before < 150
        made = drafts_of(workspace)
        counts = asked(api)
    assert len(made.pairs) == 150
    # Only what was on its way when the process died may have been asked twice: one a worker.
    twice = [sent for sent, count in counts.items() if count > 1]
    assert len(twice) <= task.concurrency
    assert max(counts.values()) <= 2
    costs = costs_by_request(path, purpose="draft", model=asked_as(task))
    assert sum(cost.calls for cost in costs.values()) >= 150


def test_at_the_cap_the_drafts_so_far_are_kept_and_a_higher_cap_goes_on(
    tmp_path: Path, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    from tuneproof.console import Tell

    workspace = ready(tmp_path, api, cap_usd=0.01)
    some = drafts_of(workspace, Tell())
    told = capsys.readouterr().err
    assert 1 <= len(some.pairs) < 40
    assert some.left_out == {"not drafted: the spend cap was reached": 40 - len(some.pairs)}
    assert f"{len(some.pairs)} inputs are drafted, {40 - len(some.pairs)} are not" in told
    assert "raise drafting.cap_usd" in told and "tuneproof review" in told
    assert told_cost(some) <= 0.01
    first = len(api.requests)
    assert drafts_of(workspace).pairs == some.pairs
    assert len(api.requests) == first
    change(workspace, "drafting", cap_usd=5.0)
    assert len(drafts_of(workspace).pairs) == 40
    assert set(asked(api).values()) == {1}


def test_a_cap_below_one_call_drafts_nothing_and_says_so(tmp_path: Path, api: FakeApi) -> None:
    workspace = ready(tmp_path, api, cap_usd=0.000_001)
    with pytest.raises(NotReady, match="Not one draft could be paid for"):
        drafts_of(workspace)
    assert api.requests == []


def test_before_anything_was_answered_the_prompt_may_still_change(tmp_path: Path) -> None:
    with FakeApi(answer, ["401"] * 4) as api:
        workspace = ready(tmp_path, api, count=10)
        with pytest.raises(OutsideFailed):
            drafts_of(workspace)
        change(workspace, "task", system_prompt="Name the licence, please.")
        assert len(drafts_of(workspace).pairs) == 10


def test_repeats_and_inputs_of_the_examples_are_not_drafted_and_bad_rows_stop_before_a_call(
    tmp_path: Path, api: FakeApi
) -> None:
    workspace = ready(tmp_path, api, count=10)
    with (workspace.root / "in.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps({"input": INPUT.format(n=3).upper()}) + "\n")
        handle.write('{"input": "an example notice, number 7"}\n{"input": 3}\n')
    with pytest.raises(BadInput, match=r"in\.jsonl:13: 'input' is not a text"):
        drafts_of(workspace)
    assert api.requests == []
    change(workspace, "data", bad_rows="leave out")
    made = drafts_of(workspace)
    assert len(made.pairs) == 10
    assert made.left_out == {
        "repeats an input": 1,
        "is an input of the examples": 1,
        "'input' is not a text": 1,
    }
    assert [(row.place, row.reason) for row in made.rejected] == [
        ("in.jsonl:13", "'input' is not a text: it is int"),
        ("in.jsonl:11", "repeats an input: that of in.jsonl:4"),
        ("in.jsonl:12", "is an input of the examples: examples.jsonl:8"),
    ]


def test_drafted_pairs_never_take_the_path_of_labelled_ones(tmp_path: Path, api: FakeApi) -> None:
    workspace = ready(tmp_path, api)
    change(workspace, "data", reviewed_by="the support team")
    with pytest.raises(BadInput, match=r"data\.reviewed_by is 'the support team'"):
        drafts_of(workspace)
    change(workspace, "data", reviewed_by=None, source="bundled:licenses")
    with pytest.raises(BadInput, match="brings its own outputs"):
        drafts_of(workspace)
    change(workspace, "data", source="in.jsonl")
    with pytest.raises(NotReady, match="are not drafted yet"):
        draft(init(workspace.task_file()), {}, lambda: pytest.fail("read as pairs"))
    assert api.requests == []


def test_contradictions_among_drafts_are_for_the_reviewer(tmp_path: Path) -> None:
    with FakeApi(lambda text: "wrong form, always") as api:
        workspace = ready(tmp_path, api, count=10)
        made = drafts_of(workspace)
    assert len(made.pairs) == 10
    assert all(row.problem for row in made.rows)
