"""Replies that are kept beside the steps: nothing is asked twice, and none is taken for another's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fakes import SYSTEM_PROMPT, Calls, FakeEngine, FakeRuntime, Switches, fake_outside, fake_task
from test_story import LOAD, SERVED, TRIED, copied, replies_in, timeless, walk
from tuneproof.answering import WARM_UP
from tuneproof.artifacts import Comparison, Serving, Verdict
from tuneproof.commands import run_step
from tuneproof.console import Tell
from tuneproof.errors import OutsideFailed, TuneproofError
from tuneproof.reply_shelf import ledger
from tuneproof.shelves import take, take_split
from tuneproof.steps import serve
from tuneproof.story import Outside, story
from tuneproof.workspace import Workspace
from tuneproof.workspace_inputs import KEPT

BASE, RUNTIMES = "base-F16.gguf", len(SERVED)
"""Every served arm has a runtime of its own, so the served file is loaded twice: free and constrained."""
COLD = 1
"""Calls that are no reply of an arm: the first of every runtime (and `LOAD`, those of the load point)."""


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


class Done:
    """A finished project, and what its first pass asked."""

    def __init__(self, at: Path) -> None:
        self.workspace, self.calls = Workspace(at / "project"), Calls()
        self.workspace.write_task(fake_task())
        walk(self.workspace, calls=self.calls)
        self.compared = self.calls.loaded.index("Fake-135M-Instruct-notices-v1-F16.gguf")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def finished(done: Done, tmp_path: Path) -> Workspace:
    return copied(done.workspace.root, tmp_path)


def set_task(workspace: Workspace, text: str) -> None:
    (workspace.root / "task.yaml").write_text(text, encoding="utf-8")


def per_file(calls: Calls) -> Counter[str]:
    return Counter(file for file, _, _ in calls.asked)


def test_another_metric_asks_no_model_again_and_scores_everything_anew(finished: Workspace) -> None:
    before, replies = take(finished, "judge", Verdict), timeless(finished)
    kept = {path.name for path in (finished.root / KEPT).rglob("*.jsonl")}
    set_task(
        finished,
        fake_task(extra="scoring:\n  right_at: 0.2\n").replace("task:\n", "task:\n  metric: chrF\n"),
    )
    calls = walk(finished)
    assert not calls.batches and calls.trained == 0 and not calls.tools
    assert per_file(calls)[BASE] == COLD and len(calls.asked) == RUNTIMES * COLD + LOAD
    assert timeless(finished) == replies
    assert {path.name for path in (finished.root / KEPT).rglob("*.jsonl")} == kept

    after = take(finished, "judge", Verdict)
    scores = {a.arm.name: (a.correct, a.mean_value) for a in after.arms}
    first = {a.arm.name: (a.correct, a.mean_value) for a in before.arms}
    assert list(scores) == list(first) and len(scores) == 11
    assert all(value is None for _, value in first.values())
    assert all(value is not None for _, value in scores.values())
    # A wrong label shares letters with the right one, so more replies reach the new threshold.
    assert sum(correct for correct, _ in scores.values()) > sum(correct for correct, _ in first.values())
    trials = take(finished, "compare", Comparison).trials
    assert {t.prompt + "-constrained" * t.constrained: t.n for t in trials} == TRIED, "the same dev pairs"
    assert take(finished, "serve", Serving).timings[0].interleaved, "they were asked in one session"
    assert after.test_accesses == 2 and len({e.plan_digest for e in ledger(finished)}) == 2


@pytest.mark.parametrize("verb", ["compare", "serve"])
def test_with_again_every_model_of_the_step_is_asked_again(
    finished: Workspace, done: Done, verb: str
) -> None:
    calls = Calls()
    run_step(
        verb,
        finished.root,
        again=True,
        as_json=True,
        outside=lambda: fake_outside(finished.root.parent, calls=calls),
    )
    serving = RUNTIMES * COLD + len(SERVED) * (50 + WARM_UP) + LOAD
    whole = serving if verb == "serve" else len(done.calls.asked) - serving
    assert len(calls.asked) == whole > 200
    assert sum(map(len, calls.batches)) == (50 if verb == "compare" else 0)
    assert timeless(finished) == timeless(done.workspace)


def test_a_step_that_is_made_again_without_again_asks_nothing(finished: Workspace) -> None:
    for verb, asked in (("compare", 0), ("serve", RUNTIMES * COLD + LOAD)):
        finished.forget(verb)
        calls = walk(finished, only=verb)
        assert len(calls.asked) == asked and not calls.batches, verb


def test_another_adapter_reuses_no_reply_of_the_one_before(finished: Workspace) -> None:
    walk(finished, only="tune", again=True, weights="other ")
    calls = walk(finished)
    assert sum(map(len, calls.batches)) == 50
    asked = per_file(calls)
    assert asked.pop(BASE) == COLD, "what the base answered still holds"
    # Two arms of the served file, one of each other file, each in its own runtime, and the load point.
    f16, q8_0, q4_k_m = (f"Fake-135M-Instruct-notices-v1-{quant}.gguf" for quant in ("F16", "Q8_0", "Q4_K_M"))
    arm = 50 + WARM_UP + COLD
    assert asked == {f16: arm, q8_0: 2 * arm + LOAD, q4_k_m: arm}
    # The base answered in an earlier session, so its times and the others' do not compare.
    assert {t.interleaved for t in take(finished, "serve", Serving).timings} == {False}


def test_another_system_prompt_reuses_no_reply_at_all(finished: Workspace) -> None:
    before = {path.name for path in (finished.root / KEPT).rglob("*.jsonl")}
    set_task(finished, fake_task(version=2).replace(SYSTEM_PROMPT, "Name the licence."))
    calls = walk(finished)
    test = {item.input for item in take_split(finished).test.items}
    assert sum(map(len, calls.batches)) == 50
    for name, arms in ((BASE, 4), ("Fake-135M-Instruct-notices-v2-Q8_0.gguf", 2 + 1)):
        asked = Counter(text for file, text, _ in calls.asked if file == name and text in test)
        # The base: zero-shot, best, constrained, again; the served file: free, constrained, the load point.
        # Exactly so often: warm-ups ask dev rows.
        assert len(asked) == 50 and set(asked.values()) == {arms}, name
    after = {path.name for path in (finished.root / KEPT).rglob("*.jsonl")}
    replies = {name: len(found) for name, found in replies_in(finished).items()}
    assert before < after and len(after - before) == len([n for n in replies if n not in NOT_KEPT])


NOT_KEPT = {"majority", "nearest-neighbour", "tfidf-logistic", "load-4"}


# One session, or one file after another


def test_where_memory_is_short_the_files_are_asked_one_after_another(
    finished: Workspace, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "memory_gib", lambda: 1e-9)
    calls = walk(finished, only="serve", again=True)
    files = [file for file, _, _ in calls.asked]
    changes = sum(a != b for a, b in pairwise(files))
    assert changes == 4, "F16, Q8_0 twice, Q4_K_M, the base, then the load point"
    assert calls.loaded == [
        *(f"Fake-135M-Instruct-notices-v1-{quant}.gguf" for quant in ("F16", "Q8_0", "Q8_0", "Q4_K_M")),
        BASE,
        "Fake-135M-Instruct-notices-v1-Q8_0.gguf",
    ]
    assert calls.open == 0 and calls.most_open == 1
    serving = take(finished, "serve", Serving)
    assert len(serving.timings) == 6 and not any(t.interleaved for t in serving.timings)
    assert by_item(finished) == by_item(done.workspace)


def test_where_memory_suffices_all_files_are_open_at_once_and_change_places(done: Done) -> None:
    calls = done.calls
    assert calls.most_open == RUNTIMES
    files = [file for file, _, _ in calls.asked][-(LOAD + 250) : -LOAD]
    changes = sum(a != b for a, b in pairwise(files))
    assert changes > 125, "in turns, in random order"


def by_item(workspace: Workspace) -> dict[str, dict[str, str]]:
    return {arm: {r.item_id: r.text for r in found} for arm, found in replies_in(workspace).items()}


# What is opened is closed


class Failing(FakeEngine):
    """Fails at the n-th load (the sixth is the load point), or at the n-th call of any file."""

    def __init__(self, calls: Calls, *, load: int | None = None, ask: int | None = None) -> None:
        super().__init__(calls, Switches())
        self._noted, self._load, self._ask = calls, load, ask

    def load(self, file: Path, *, num_ctx: int, parallel: int = 1) -> FakeRuntime:
        if len(self._noted.loaded) + 1 == self._load:
            raise OutsideFailed("The file cannot be loaded.", remedy="tuneproof quantize --again")
        runtime = super().load(file, num_ctx=num_ctx, parallel=parallel)
        if self._ask is not None:
            ask, at, noted = runtime.ask, self._ask, self._noted

            def failing(*chat: Any, **how: Any) -> Any:
                if len(noted.asked) >= at:
                    raise OutsideFailed("The engine is gone.", remedy="tuneproof doctor")
                return ask(*chat, **how)

            runtime.ask = failing  # type: ignore[method-assign]
        return runtime


def serve_with(workspace: Workspace, outside: Outside) -> None:
    for verb in story(workspace, outside, Tell(quiet=True), only="serve", again=True):
        if verb == "serve":
            break


@pytest.mark.parametrize(
    "how", [*({"load": n} for n in range(1, 7)), *({"ask": n} for n in (0, 1, 4))], ids=str
)
def test_an_error_in_the_middle_of_serve_closes_every_runtime(
    finished: Workspace, how: dict[str, int]
) -> None:
    calls = Calls()
    outside = fake_outside(finished.root.parent, calls=calls)._replace(engine=Failing(calls, **how))
    with pytest.raises(OutsideFailed):
        serve_with(finished, outside)
    assert calls.open == 0 and (calls.loaded or how == {"load": 1})
    assert finished.made("serve") is None
    walk(finished, only="serve")
    assert finished.state("serve").state == "fresh"


@pytest.mark.parametrize("at", [40, 200, 290, 330])
def test_an_error_while_items_are_asked_closes_every_runtime(finished: Workspace, at: int) -> None:
    (finished.root / KEPT).rename(finished.root / "elsewhere")
    calls = Calls()
    outside = fake_outside(finished.root.parent, calls=calls)._replace(engine=Failing(calls, ask=at))
    with pytest.raises(OutsideFailed, match="engine is gone"):
        serve_with(finished, outside)
    assert calls.open == 0 and len(calls.asked) >= at


def test_a_refused_file_closes_every_runtime(finished: Workspace) -> None:
    item, calls = take_split(finished).test.items[3], Calls()
    with pytest.raises(TuneproofError, match="another prompt"):
        walk(
            finished,
            only="serve",
            again=True,
            calls=calls,
            break_parity_at=item.input,
            break_parity_of="tuned",
        )
    assert calls.loaded and calls.open == 0
