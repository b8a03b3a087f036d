"""What was paid for: whose reply it is, what led to no draft, and what is asked again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compare_sample import no_waiting_for_the_disk
from draft_sample import INPUT, PRICE, TERMS, accept, answer, change, drafts_of, ready
from fake_api import FakeApi, Seen
from fakes import fake_outside
from tuneproof.artifacts import Drafts, EndpointSection
from tuneproof.commands import run_dry
from tuneproof.commands_data import run_lint
from tuneproof.commands_draft import asked_as
from tuneproof.commands_terms import run_accept_terms, run_spend
from tuneproof.console import Tell
from tuneproof.drafting import HOPELESS
from tuneproof.errors import BadInput, LockBroken, NotReady
from tuneproof.shelves import put_drafts
from tuneproof.teacher_terms import acknowledged, acknowledgement, address_of_teacher, host_of_teacher
from tuneproof.workspace import Workspace


@pytest.fixture(autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk():
        yield


class Stubborn(FakeApi):
    """Answers some inputs in one way only."""

    ways: dict[str, str] = {}

    def next_fault(self, seen: Seen) -> str:
        fault = super().next_fault(seen)
        return self.ways.get(seen.body["messages"][41]["content"].split("\n")[1], fault)


def stubborn(*ways: str) -> Stubborn:
    api = Stubborn(answer)
    api.ways = {INPUT.format(n=n): way for n, way in enumerate(ways)}
    return api


def kept(workspace: Workspace, made: Drafts) -> None:
    """Write the drafts as the step does."""
    workspace.begin("draft")
    put_drafts(workspace, made)
    workspace.finish("draft", made.digest, seconds=0.0)


ADDRESSES = [
    ("https://gw/openai/v1", "gw", "gw/openai/v1"),
    ("https://gw/cheap/v1/", "gw", "gw/cheap/v1"),
    ("https://ada:secret@gw:443/v1?key=secret", "gw", "gw/v1"),
    ("http://GW:8080", "gw:8080", "gw:8080"),
    ("http://gw:no/v1", "an address that cannot be read", "an address that cannot be read"),
    (None, "api.openai.com", "api.openai.com/v1"),
]


@pytest.mark.parametrize(("url", "host", "address"), ADDRESSES)
def test_a_teacher_is_known_by_host_and_path_without_secrets(
    url: str | None, host: str, address: str
) -> None:
    teacher = EndpointSection(model="m", base_url=url)
    assert (host_of_teacher(teacher), address_of_teacher(teacher)) == (host, address)
    assert "secret" not in asked_as(teacher) + acknowledgement(teacher, TERMS, at="", by="").model_dump_json()


def test_neither_replies_nor_terms_are_shared_by_two_paths_or_providers() -> None:
    one = EndpointSection(model="m", base_url="https://gw/openai/v1")
    others = [
        one.model_copy(update=change)
        for change in (
            {"base_url": "https://gw/cheap/v1"},
            {"provider": "anthropic"},
            {"model": "n"},
            {"base_url": "https://gw:8443/openai/v1"},
        )
    ]
    line = acknowledgement(one, TERMS, at="2026-11-24T10:00:00+00:00", by="Ada")
    assert acknowledged([line], one, TERMS) == line
    assert acknowledged([line], one, TERMS + "/new") is None
    for other in others:
        assert acknowledged([line], other, TERMS) is None
        assert asked_as(other) != asked_as(one)
    assert asked_as(one.model_copy(update={"temperature": None})) != asked_as(one)
    assert len(others) == 4


def test_the_same_model_behind_another_path_is_asked_and_its_terms_are_its_own(tmp_path: Path) -> None:
    with FakeApi(answer) as api:
        workspace = ready(tmp_path, api, count=5)
        drafts_of(workspace)
        other = {"model": "teacher", "base_url": f"{api.address}/cheap/v1", "price": PRICE}
        change(workspace, "drafting", teacher=other)
        with pytest.raises(NotReady, match=r"/cheap/v1 are not acknowledged yet"):
            drafts_of(workspace)
        assert len(api.requests) == 5
        accept(workspace)
        lines = [
            json.loads(line) for line in (workspace.root / "terms.jsonl").read_text("utf-8").splitlines()
        ]
    assert [line["path"] for line in lines] == ["/v1", "/cheap/v1"]


def test_a_temperature_that_the_api_refuses_is_told_by_every_later_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeApi(answer, refuses=("temperature",)) as api:
        workspace = ready(tmp_path, api, count=5)
        for _ in range(2):
            made = drafts_of(workspace, Tell())
            told = capsys.readouterr().err
            assert "The API does not take all that is asked: temperature left out" in told
            assert told.count("temperature left out") == 1
        teacher = workspace.task_file().drafting.teacher
    assert teacher is not None and "asked for temperature 0.0" in asked_as(teacher)
    assert len(made.pairs) == 5


def test_again_asks_for_empty_and_cut_replies_and_their_new_replies_stay(tmp_path: Path) -> None:
    with stubborn("nothing", "length", "refusal", "400-long") as api:
        workspace = ready(tmp_path, api, count=8)
        first = drafts_of(workspace)
        assert len(first.pairs) == 5 and first.rows[0].problem.startswith("was cut")
        before = len(api.requests)
        api.ways = {}
        assert drafts_of(workspace).digest == first.digest
        assert len(api.requests) == before
        again = drafts_of(workspace, again=True)
        assert len(api.requests) == before + 2
        assert len(again.pairs) == 6
        assert [row.problem for row in again.rows] == [""] * 6
        assert drafts_of(workspace).digest == again.digest
        assert len(api.requests) == before + 2


def test_the_plan_tells_seed_and_choice_and_the_first_ask_of_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeApi(answer) as api:
        workspace = ready(tmp_path, api, count=30)
        change(workspace, "drafting", count=7, seed=3)
        made = drafts_of(workspace, Tell())
        first = capsys.readouterr().err
        drafts_of(workspace, Tell())
        second = capsys.readouterr().err
    assert "chosen: 7 of 30 inputs, so that they differ, seed 3" in first
    assert made.provenance.chosen == "7 of 30 inputs, so that they differ, seed 3"
    assert "to ask: 7 calls, at most $" in first
    assert "to ask: nothing; 7 replies were paid for before" in second


def told_spend(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    run_spend(workspace.root, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_what_led_to_no_draft_is_the_ledger_less_the_records_of_the_drafts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stubborn("nothing", "refusal", "500", "length") as api:
        workspace = ready(tmp_path, api, count=12)
        made = drafts_of(workspace)
    before = told_spend(workspace, capsys)
    assert (before["drafts"], before["usd_a_draft"]) == (0, None)
    kept(workspace, made)
    spent = told_spend(workspace, capsys)
    calls = [json.loads(line) for line in (workspace.root / "2-drafts/calls.jsonl").read_text().splitlines()]
    assert spent["drafts"] == len(calls) == 9
    assert spent["drafts_usd"] == pytest.approx(sum(row["usd"] for row in calls), abs=1e-9)
    assert spent["drafts_calls"] == sum(row["calls"] for row in calls)
    used = spent["settled_usd"] + spent["unsettled_usd"]
    assert spent["no_draft_usd"] + sum(row["usd"] for row in calls) == pytest.approx(used, abs=1e-8)
    assert spent["no_draft_calls"] + spent["drafts_calls"] == spent["calls"]
    # One empty, one refused, four without an answer; the cut one was asked twice and is a draft.
    assert (spent["no_draft_calls"], spent["unsettled"]) == (6, 4)
    assert spent["no_draft_usd"] > spent["unsettled_usd"] > 0
    assert spent["usd_a_draft"] == pytest.approx(used / 9)
    run_spend(workspace.root, as_json=False)
    out = capsys.readouterr().out
    assert ": 6 calls; $" in out and "a draft, all calls counted" in out and "4 calls" in out


def test_a_typo_of_a_new_version_may_be_mended_before_its_first_answer(tmp_path: Path) -> None:
    with FakeApi(answer) as api:
        workspace = ready(tmp_path, api, count=5)
        drafts_of(workspace)
        change(workspace, "drafting", version=2, conventions="of to, the first")
        api.faults = ["401"] * 4
        with pytest.raises(Exception, match="401"):
            drafts_of(workspace)
        change(workspace, "drafting", conventions="Of two, the first.")
        assert len(drafts_of(workspace).pairs) == 5
        change(workspace, "drafting", conventions="Of two, the last.")
        with pytest.raises(LockBroken, match="conventions changed"):
            drafts_of(workspace)
        change(workspace, "drafting", version=1)
        with pytest.raises(LockBroken, match="conventions changed"):
            drafts_of(workspace)


def test_lint_of_drafts_that_nobody_has_reviewed_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeApi(lambda _: "Wrong form, always") as api:
        workspace = ready(tmp_path, api, count=5)
        kept(workspace, drafts_of(workspace))
    capsys.readouterr()
    run_lint(workspace.root, None, of="drafts", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["errors"], said["counts"]["format"]) == (0, 5)


def test_drafting_stops_where_none_of_the_first_drafts_has_the_form_of_an_answer(tmp_path: Path) -> None:
    with FakeApi(lambda text: "NO LABEL AT ALL!") as api:
        workspace = ready(tmp_path, api, count=90)
        change(workspace, "task", answer_pattern="[a-z.-]+")
        with pytest.raises(NotReady, match=r"None of the first 2\d drafts has the form of an answer") as stop:
            drafts_of(workspace)
        assert "'NO LABEL AT ALL!'" in stop.value.problem and "drafting.version + 1" in stop.value.remedy
        # Each was asked twice; the calls that were on their way are all that came after.
        assert len(api.requests) <= 2 * (HOPELESS + 8)


def test_one_good_draft_among_the_first_goes_on(tmp_path: Path) -> None:
    seen: list[str] = []

    def mostly_wrong(text: str) -> str:
        seen.append(text)
        return "mit" if len(seen) == 5 else "NO LABEL AT ALL!"

    with FakeApi(mostly_wrong) as api:
        workspace = ready(tmp_path, api, count=40)
        change(workspace, "task", answer_pattern="[a-z.-]+")
        assert len(drafts_of(workspace).pairs) == 40


def test_another_name_acknowledges_too_and_an_empty_one_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeApi() as api:
        workspace = ready(tmp_path, api)
        run_accept_terms(workspace.root, "Grace", as_json=False)
        assert "Grace acknowledged" in capsys.readouterr().out
        run_accept_terms(workspace.root, None, as_json=False)
        names = [json.loads(line)["by"] for line in (workspace.root / "terms.jsonl").read_text().splitlines()]
        assert names == ["Ada", "Grace"]
        with pytest.raises(BadInput, match="names nobody"):
            run_accept_terms(workspace.root, " ", as_json=False)


def test_a_dry_run_before_the_draft_says_what_drafting_may_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeApi() as api:
        workspace = ready(tmp_path, api, count=33)
        run_dry(workspace.root, until="judge", as_json=False, outside=lambda: fake_outside(tmp_path))
        assert not api.requests
    said = capsys.readouterr().out
    assert "up to 33 outputs of teacher, at most 5.00 USD" in said
    assert "the outputs are drafted and reviewed first" in said
