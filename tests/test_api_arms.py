"""Arms behind an API: measured over a loopback server, with faults between, left out where unmeasured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from compare_sample import copied, new_project, no_plots, no_waiting_for_the_disk, set_task, walk
from fake_api import FakeApi, Seen
from fakes import Calls, fake_task, hashed, label_of, wrong_label_of
from tuneproof.api_arms import api_arms
from tuneproof.artifacts import Comparison, Reply, Split, Verdict
from tuneproof.errors import BadInput, OutsideFailed
from tuneproof.prompt_variants import budget_sentence, variants
from tuneproof.reply_shelf import all_replies_of, ledger
from tuneproof.shelves import take, take_case, take_split
from tuneproof.workspace import Workspace

ITEMS, DEV, REPEATS = 50, 10, 3
BUDGET = 35
"""Dev calls for six variants on ten pairs: 6 · 3 + 3 · 3 + 2 · 4."""


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk(), no_plots():
        yield


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = new_project(tmp_path_factory.mktemp("api") / "project")
    walk(workspace, until="tune")
    return workspace.root


@pytest.fixture
def workspace(tuned: Path, tmp_path: Path) -> Workspace:
    return copied(tuned, tmp_path / "project")


def answer(text: str) -> str:
    """A model that is right on nine of ten."""
    return label_of(text) if hashed(text, salt="api") % 10 else wrong_label_of(text)


class Stubborn(FakeApi):
    """Answers some inputs with 500, whatever is tried."""

    never: frozenset[str] = frozenset()

    def next_fault(self, seen: Seen) -> str:
        fault = super().next_fault(seen)
        return "500" if seen.body["messages"][-1]["content"] in self.never else fault


class Stormy(FakeApi):
    """Every third request goes wrong the first time; which one depends on what is asked, not on the order."""

    def __init__(self) -> None:
        super().__init__(answer)
        self.times: Counter[str] = Counter()
        self.went_wrong: Counter[str] = Counter()
        self.last: set[str] = set()

    def next_fault(self, seen: Seen) -> str:
        super().next_fault(seen)
        asked = seen.path + json.dumps(seen.body["messages"])
        self.times[asked] += 1
        if asked in self.last or hashed(asked, salt=str(self.times[asked])) % 3:
            self.last.discard(asked)
            return "ok"
        self.last.add(asked)
        kind = ("429", "500", "garbage", "cut", "529", "truncated", "wrong-schema")[hashed(asked) % 7]
        self.went_wrong[kind] += 1
        return kind


def task(comparison: str) -> str:
    return fake_task().replace("  shots_dev_items: 10\n", f"  shots_dev_items: 10\n{comparison}")


def frontier(address: str, *, more: str = "", repeats: int = REPEATS) -> str:
    return f"""\
  frontier:
    model: big-1
    base_url: {address}/v1
    repeats: {repeats}
    price: {{input_mtok: 3.0, output_mtok: 15.0}}
{more}"""


def three(address: str) -> str:
    return (
        frontier(address)
        + f"""\
  endpoints:
    - name: clod
      provider: anthropic
      base_url: {address}
      model: clod-2
      repeats: 1
    - name: own-server
      provider: ollama
      base_url: {address}
      model: small:1b
      prompt: turns-5
      repeats: 2
"""
    )


def replies_of(workspace: Workspace) -> dict[str, tuple[Reply, ...]]:
    return all_replies_of(workspace, "compare")


def timeless(workspace: Workspace) -> dict[str, list[tuple[str, str, str]]]:
    return {
        name: sorted((r.item_id, r.text, r.finish) for r in {r.item_id: r for r in replies}.values())
        for name, replies in replies_of(workspace).items()
    }


def inputs_of(split: Split, count: int) -> list[str]:
    return [item.input for item in split.test.items[:count]]


def test_three_providers_are_rows_with_repeats_prices_prompts_and_times(workspace: Workspace) -> None:
    with FakeApi(answer) as api:
        set_task(workspace, task(three(api.address)))
        walk(workspace, until="judge")
        paths = Counter(seen.path.rpartition("/")[2] for seen in api.requests)
    comparison, split = take(workspace, "compare", Comparison), take_split(workspace)
    arms = {a.arm.name: a for a in comparison.arms}
    right = sum(answer(item.input) == item.output for item in split.test.items)
    assert 40 <= right < 50
    for name, kind, repeats in (
        ("frontier", "frontier", 3),
        ("clod", "endpoint", 1),
        ("own-server", "endpoint", 2),
    ):
        result = arms[name]
        assert (result.arm.kind, result.correct, result.n) == (kind, right, ITEMS), name
        assert result.repeat_rates == ((right / ITEMS,) * repeats if repeats > 1 else ()), name
        assert result.p50_ms is not None and result.p50_ms > 0 and result.arm.model.endswith("-2026-01-01")
    # The trials: the same budget for the base and for each endpoint that searches.
    budget = sum(Counter(t.arm for t in comparison.trials if not t.constrained).values())
    trials = {arm: [t for t in comparison.trials if t.arm == arm] for arm in ("base", "frontier", "clod")}
    assert budget == 3 * 6 and {t.arm for t in comparison.trials} == set(trials)
    assert f"at most {BUDGET} calls" in comparison.budget
    assert comparison.budget == budget_sentence(variants((0, 5)), DEV, True)
    assert paths == {
        "completions": BUDGET + REPEATS * ITEMS,
        "messages": BUDGET + ITEMS,
        "chat": 2 * ITEMS,
    }
    # Every variant is equally right, so the tie goes to most examples, and turns come first.
    assert comparison.chosen["frontier"] == comparison.chosen["clod"] == "turns-5"
    assert comparison.chosen["own-server"] == "turns-5"
    # The price of the task file, by hand over every stored reply; the others' are unknown, and not 0.
    own = replies_of(workspace)["frontier"]
    usd = sum((r.prompt_tokens * 3.0 + r.output_tokens * 15.0) / 1e6 for r in own) / ITEMS * 1000
    assert arms["frontier"].usd_per_1000 == pytest.approx(usd, rel=0.2) and usd > 0
    assert arms["clod"].usd_per_1000 is None and set(comparison.price_unknown) == {"clod", "own-server"}
    assert "under comparison.endpoints" in comparison.price_unknown["clod"]
    check_verdict(take(workspace, "judge", Verdict))
    noted = [entry.arm for entry in ledger(workspace)]
    assert noted[:3] == ["frontier", "frontier-r2", "frontier-r3"], "asked before any local model"


def check_verdict(verdict: Verdict) -> None:
    """The frontier is a contrast that the plan names, the other endpoints are a family."""
    assert verdict.frontier is not None and [c.against for c in verdict.endpoints] == ["clod", "own-server"]
    assert all(c.p_holm is not None for c in verdict.endpoints) and verdict.frontier.p_holm is None
    assert verdict.frontier_equality is not None and verdict.costs is not None


def test_faults_in_between_change_no_row(tuned: Path, tmp_path: Path) -> None:
    found = []
    for api in (FakeApi(answer), Stormy()):
        at = copied(tuned, tmp_path / type(api).__name__)
        with api:
            set_task(at, task(three(api.address)))
            walk(at, until="compare")
        comparison = take(at, "compare", Comparison)
        rows = {a.arm.name: (a.correct, a.n, a.parse_failures, a.excluded) for a in comparison.arms}
        trials = sorted((t.arm, t.prompt, t.constrained, t.correct, t.n) for t in comparison.trials)
        found.append((rows, comparison.chosen, timeless(at), trials))
        attempts = [r.attempts for each in replies_of(at).values() for r in each]
        assert max(attempts) == (2 if isinstance(api, Stormy) else 1)
    assert len(api.went_wrong) == 7 and sum(api.went_wrong.values()) > 80
    assert found[0] == found[1]


def test_an_item_that_always_fails_is_left_out_of_every_arm_and_counted(workspace: Workspace) -> None:
    split = take_split(workspace)
    with Stubborn(answer) as api:
        api.never = frozenset(inputs_of(split, 1))
        set_task(workspace, task(frontier(api.address, repeats=1)))
        walk(workspace, until="judge")
    comparison, verdict = take(workspace, "compare", Comparison), take(workspace, "judge", Verdict)
    gone = split.test.items[0].id
    assert comparison.excluded == (gone,)
    assert {(a.n, a.excluded) for a in verdict.arms} == {(49, 1)} and len(verdict.arms) == 12
    changed = {c.item_id for c in (*verdict.fixed, *verdict.broken)}
    assert gone not in changed and verdict.gates[0].contrast.n == 49
    assert any("1 items are left out" in each for each in verdict.deviations)
    assert verdict.gate == "PASS"  # 2 % of 50 items: not more
    assert "not valid" not in verdict.headline + verdict.paragraph


def test_more_than_2_percent_without_a_reply_is_no_valid_run_and_the_next_run_asks_only_those(
    workspace: Workspace,
) -> None:
    split = take_split(workspace)
    with Stubborn(answer) as api:
        api.never = frozenset(inputs_of(split, 2))
        set_task(workspace, task(frontier(api.address, repeats=1)))
        walk(workspace, until="judge")
        verdict = take(workspace, "judge", Verdict)
        assert {(a.n, a.excluded) for a in verdict.arms} == {(48, 2)}
        assert verdict.decision == "not_enough_evidence" and verdict.advice == "not enough evidence"
        assert "2 of 50" in verdict.headline and "2 %" in verdict.headline
        # The API recovers: only what failed is asked, and every item counts again.
        api.never = frozenset()
        before, calls = len(api.requests), Calls()
        walk(workspace, calls=calls, only="compare", again=True)
        asked = [seen.body["messages"][-1]["content"] for seen in api.requests[before:]]
        assert sorted(asked) == sorted(inputs_of(split, 2))
        assert calls.asked == [] and calls.batches == [], "no local model was asked again"
        walk(workspace, until="judge")
    verdict = take(workspace, "judge", Verdict)
    assert {(a.n, a.excluded) for a in verdict.arms} == {(50, 0)} and verdict.test_accesses == 1


def test_a_missing_key_is_a_row_that_was_not_measured_with_the_variables_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("CLOD_KEY", raising=False)
    set_task(
        workspace,
        task("  frontier: gpt-5\n  endpoints:\n    - {name: clod, model: claude-opus-4-5, key: CLOD_KEY}\n"),
    )
    walk(workspace, until="judge")
    verdict = take(workspace, "judge", Verdict)
    assert "OPENAI_API_KEY is not set" in verdict.not_measured["frontier"]
    assert "CLOD_KEY is not set" in verdict.not_measured["clod"]
    assert not {"frontier", "clod"} & {a.arm.name for a in verdict.arms}
    report = (workspace.folder("judge") / "report.md").read_text("utf-8")
    assert "OPENAI_API_KEY" in report and "CLOD_KEY" in report
    assert {"frontier", "clod"}.isdisjoint(entry.arm for entry in ledger(workspace))


@pytest.mark.parametrize("fault", ["401", "402", "404", "429-spend"])
def test_an_api_that_can_answer_nothing_stops_before_any_local_model_is_asked(
    workspace: Workspace, fault: str
) -> None:
    calls = Calls()
    with FakeApi(answer, [fault] * 500) as api:
        set_task(workspace, task(frontier(api.address)))
        with pytest.raises(OutsideFailed) as stop:
            walk(workspace, until="judge", calls=calls)
        assert len(api.requests) <= 8, "concurrency 4: what was under way, and no more"
    assert stop.value.exit_code == 1 and stop.value.remedy
    assert calls.asked == [] and calls.batches == [] and calls.loaded == []
    assert workspace.made("compare") is None


def test_after_a_spend_limit_nothing_that_was_answered_is_asked_again_also_with_another_address(
    workspace: Workspace,
) -> None:
    with FakeApi(answer, ["ok"] * 100 + ["402"] * 400) as api:
        set_task(workspace, task(frontier(api.address)))
        with pytest.raises(OutsideFailed, match="402"):
            walk(workspace, until="compare")
        answered = 100
        api.faults.clear()
        # A person mends another part of the section meanwhile, which begins the step anew.
        more = "  endpoints:\n    - {name: clod, provider: ollama, model: x, base_url: %s, prompt: plain-0}\n"
        set_task(workspace, task(frontier(api.address) + more % api.address))
        before = len(api.requests)
        walk(workspace, until="compare")
        paths = Counter(seen.path for seen in api.requests[before:])
    assert paths["/v1/chat/completions"] == BUDGET + REPEATS * ITEMS - answered


def test_an_interrupted_pass_asks_the_api_for_what_is_missing_only(workspace: Workspace) -> None:
    with FakeApi(answer) as api:
        set_task(workspace, task(frontier(api.address)))
        with pytest.raises(KeyboardInterrupt):
            walk(workspace, until="judge", interrupt_ask=60)
        assert len(api.requests) == BUDGET + REPEATS * ITEMS
        walk(workspace, until="judge")
        assert len(api.requests) == BUDGET + REPEATS * ITEMS, "nothing paid for was asked twice"
    assert take(workspace, "judge", Verdict).test_accesses == 1


def test_another_model_or_temperature_is_asked_anew_and_another_price_is_not(workspace: Workspace) -> None:
    with FakeApi(answer) as api:
        text = task(frontier(api.address, repeats=1))
        set_task(workspace, text)
        walk(workspace, until="judge")
        whole = len(api.requests)
        first = take(workspace, "judge", Verdict)
        set_task(workspace, text.replace("output_mtok: 15.0", "output_mtok: 30.0"))
        walk(workspace, until="judge")
        assert len(api.requests) == whole, "a new price asks nobody"
        second = take(workspace, "judge", Verdict)
        assert second.plan_digest == first.plan_digest and second.test_accesses == 1
        set_task(workspace, text.replace("model: big-1", "model: big-1\n    temperature: 0.7"))
        walk(workspace, until="judge")
        assert len(api.requests) == 2 * whole
    costs = [next(a.usd_per_1000 for a in v.arms if a.arm.name == "frontier") or 0.0 for v in (first, second)]
    assert costs[1] > costs[0] > 0
    assert take(workspace, "judge", Verdict).test_accesses == 2


def test_replies_recorded_for_an_arm_that_task_yaml_does_not_know_are_refused(workspace: Workspace) -> None:
    case = take_case(workspace)
    with pytest.raises(
        BadInput, match=r"recorded/nobody\.jsonl: task\.yaml has no endpoint 'nobody'"
    ) as stop:
        api_arms(case, lambda _: pytest.fail("connected"), {"nobody": b"{}"})
    assert "comparison.endpoints" in stop.value.remedy
    assert [a.name for a in api_arms(case, lambda _: pytest.fail("connected"), {"frontier": b"{}"})] == [
        "frontier"
    ]
    assert api_arms(case, lambda _: pytest.fail("connected"), {}) == []
    (workspace.root / "recorded").mkdir()
    (workspace.root / "recorded" / "nobody.jsonl").write_text("{}\n", encoding="utf-8")
    calls = Calls()
    with pytest.raises(BadInput, match="'nobody'"):
        walk(workspace, until="judge", calls=calls)
    assert calls.asked == [] and calls.loaded == []
