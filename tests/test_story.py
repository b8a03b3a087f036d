"""The whole story with stand-ins: the exact files, an idle second run, every way to be cut off."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fakes import LABELS, Calls, fake_outside, fake_task, is_lucky, label_of
from tuneproof.answering import WARM_UP
from tuneproof.artifacts import Comparison, Reply, Serving, Verdict
from tuneproof.commands import run_ask, run_status
from tuneproof.console import Tell
from tuneproof.errors import (
    BadInput,
    GateNotPassed,
    LockBroken,
    MissingArtifact,
    NotReady,
    TuneproofError,
)
from tuneproof.outside.files import file_ref
from tuneproof.pages import served_path
from tuneproof.reply_shelf import forget_replies, ledger
from tuneproof.shelves import take, take_split
from tuneproof.status import standing
from tuneproof.steps import STEPS
from tuneproof.story import story
from tuneproof.workspace import Workspace

VERBS = [step.verb for step in STEPS]
GGUF = [f"Fake-135M-Instruct-notices-v1-{quant}.gguf" for quant in ("F16", "Q8_0", "Q4_K_M")]
RIVALS = ("majority", "nearest-neighbour", "tfidf-logistic")
ASKED = ("base-0-shot", "base-best", "base-constrained", "adapter")
"""Arms of the comparison that ask a model."""
TRIED = {
    "plain-0": 3,
    "described-0": 3,
    "described-5": 3,
    "retrieved-5": 6,
    "turns-5": 10,
    "listed-5": 10,
    "turns-5-constrained": 10,
    "listed-5-constrained": 10,
}
"""Prompt → dev pairs that it answered: successive halving by what the stand-ins have right."""
SERVED = ("tuned-f16", "tuned-q8_0", "tuned-q4_k_m", "tuned-constrained", "base-again")
KEPT = (*ASKED, *(f"dev-base-{name}" for name in TRIED), *SERVED)
LOAD = WARM_UP + 50
"""Calls of the load point, which is asked again as a whole."""
FILES = {
    "task.yaml",
    "ledger.jsonl",
    ".lock",
    "locks/split-v1.lock.json",
    "locks/split-v1.inputs.json",
    *(f"{step.folder}/{name}" for step in STEPS for name in ("made.json", step.makes)),
    "2-drafts/provenance.json",
    "3-review/events.jsonl",
    *(f"4-split/{name}" for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "leaks.json")),
    *(f"4-split/data_report.{ending}" for ending in ("json", "md")),
    *(
        f"5-adapter/{name}"
        for name in (
            "adapter_model.safetensors",
            "adapter_config.json",
            "chat_template.jinja",
            "curves.csv",
            "curves.png",
            "run.log",
        )
    ),
    "6-comparison/eval_plan.json",
    *(f"6-comparison/replies/{name}.jsonl" for name in (*ASKED, *RIVALS)),
    *(f"6-comparison/replies/dev-base-{name}.jsonl" for name in TRIED),
    *(f"replies/{'serve' if name in SERVED else 'compare'}/{name}-KEY.jsonl" for name in KEPT),
    *(f"7-gguf/{name}" for name in GGUF),
    "8-serve/Modelfile",
    *(f"8-serve/replies/{name}.jsonl" for name in (*SERVED, "load-4")),
    "9-verdict/report.html",
    "9-verdict/report.md",
    *(f"10-release/gguf/{name}" for name in GGUF),
    *(
        f"10-release/gguf/{name}"
        for name in ("LICENSE", "NOTICE", "Modelfile", "template", "system", "params", "README.md")
    ),
}


class Places(NamedTuple):
    """One run of the story, copied at three moments."""

    tuned: Path
    quantized: Path
    finished: Path
    calls: Calls


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Syncing is for a power loss, which no test here has; it is two thirds of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    at, calls = tmp_path_factory.mktemp("story"), Calls()
    workspace = Workspace(at / "finished")
    workspace.write_task(fake_task())
    with workspace.alone():
        for verb in story(workspace, fake_outside(at, calls=calls), quiet()):
            if verb in {"tune", "quantize"}:
                shutil.copytree(workspace.root, at / verb)
    return Places(at / "tune", at / "quantize", workspace.root, calls)


@pytest.fixture
def finished(places: Places, tmp_path: Path) -> Workspace:
    return copied(places.finished, tmp_path)


def copied(source: Path, to: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(source, to / "project")))


def quiet() -> Tell:
    return Tell(quiet=True)


def walk(
    workspace: Workspace, *, calls: Calls | None = None, only: str | None = None, **how: object
) -> Calls:
    """Walk the story, or one step of it, as the command does."""
    noted, again = calls or Calls(), bool(how.pop("again", False))
    outside = fake_outside(workspace.root.parent, calls=noted, **how)
    if again and only in {"compare", "serve"}:
        [forget_replies(workspace, verb) for verb in ("compare", "serve")]
    for done in story(workspace, outside, quiet(), only=only, again=again):
        if done == only:
            break
    return noted


def files_of(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def listed(root: Path) -> list[str]:
    """Every file, sorted; the digest in the name of kept replies is not shown."""
    names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return sorted(re.sub(r"^(replies/.+)-[0-9a-f]{16}\.jsonl$", r"\1-KEY.jsonl", name) for name in names)


def replies_in(workspace: Workspace) -> dict[str, list[Reply]]:
    return {
        path.stem: [Reply.model_validate_json(line) for line in path.read_text("utf-8").splitlines()]
        for folder in ("6-comparison", "8-serve")
        for path in sorted((workspace.root / folder / "replies").glob("*.jsonl"))
    }


def timeless(workspace: Workspace) -> dict[str, list[Reply]]:
    return {
        arm: [reply.model_copy(update={"ms": None, "first_ms": None, "at": ""}) for reply in replies]
        for arm, replies in replies_in(workspace).items()
    }


# The whole of it


def test_the_story_leaves_exactly_these_files(places: Places) -> None:
    assert listed(places.finished) == sorted(FILES)
    folders = {p.name for p in places.finished.iterdir() if p.is_dir()}
    assert folders == {step.folder for step in STEPS} | {"locks", "replies"} and len(folders) == 12
    assert places.calls.open == 0, "a loaded model was not closed"


def test_a_second_run_changes_nothing_and_asks_nothing(finished: Workspace) -> None:
    before = files_of(finished.root)
    calls = walk(finished)
    assert files_of(finished.root) == before and len(before) == len(FILES) - 1
    assert calls.count == 0 and calls.base == 0


def test_every_single_step_of_a_finished_project_changes_nothing(finished: Workspace) -> None:
    before = files_of(finished.root)
    for verb in VERBS:
        assert walk(finished, only=verb).count == 0, verb
    assert files_of(finished.root) == before


def test_step_by_step_makes_what_the_whole_story_makes(places: Places, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "project")
    workspace.write_task(fake_task())
    for verb in VERBS:
        walk(workspace, only=verb)
    assert listed(workspace.root) == sorted(FILES - {".lock"})
    assert timeless(workspace) == timeless(Workspace(places.finished))


def test_the_verdict_is_what_the_replies_say(finished: Workspace) -> None:
    verdict, test = take(finished, "judge", Verdict), take_split(finished).test
    expected = {item.id: item.output for item in test.items}
    right = {
        arm: {reply.item_id for reply in replies if reply.text == expected.get(reply.item_id)}
        for arm, replies in replies_in(finished).items()
        if not arm.startswith("dev-")
    }
    again, load = right.pop("base-again"), right.pop("load-4")
    assert again == right["base-best"] and load == right["tuned-q8_0"]
    assert {a.arm.name: a.correct for a in verdict.arms} == {arm: len(ids) for arm, ids in right.items()}
    assert len(right) == 11 and all(a.n == len(expected) == 50 for a in verdict.arms)
    assert right["tuned-q8_0"] == {i.id for i in test.items if is_lucky(i.input, 85, salt="tuned")}
    base = right["base-best"]
    assert len(verdict.gates) == 3
    for gate, arm in zip(verdict.gates, ("tuned-f16", "tuned-q8_0", "tuned-q4_k_m"), strict=True):
        found = (gate.contrast.arm, gate.contrast.against, gate.contrast.wins, gate.contrast.losses)
        assert found == (arm, "base-best", len(right[arm] - base), len(base - right[arm]))
        assert gate.outcome == "PASS"
    assert {c.item_id for c in verdict.fixed} == right["tuned-q8_0"] - base
    assert {c.item_id for c in verdict.broken} == base - right["tuned-q8_0"] != set()
    assert (verdict.gate, verdict.decision) == ("PASS", "not_enough_evidence"), "no frontier was measured"
    assert verdict.test_accesses == 1 and len(ledger(finished)) == 13


def test_the_prompt_is_chosen_on_dev_and_the_test_is_asked_with_it(finished: Workspace) -> None:
    comparison, split = take(finished, "compare", Comparison), take_split(finished)
    chosen = {"base-0-shot": "plain-0", "base-best": "turns-5", "base-constrained": "turns-5"}
    assert comparison.chosen == chosen
    names = {trial.prompt + "-constrained" * trial.constrained: trial for trial in comparison.trials}
    assert {name: trial.n for name, trial in names.items()} == TRIED
    replies = replies_in(finished)
    for name, trial in names.items():
        tried = [reply.item_id for reply in replies[f"dev-base-{name}"]]
        assert tried == [pair.id for pair in split.dev.pairs[: trial.n]], name
    assert {arm.arm.name: arm.arm.shots for arm in comparison.arms if arm.arm.kind == "base"} == {
        "base-0-shot": 0,
        "base-best": 5,
        "base-constrained": 5,
    }
    for arm, examples in (("base-0-shot", 0), ("base-best", 5)):
        expected = {
            i.id
            for i in split.test.items
            if is_lucky(i.input, 36 if examples else 6, salt=f"base, {examples} examples")
        }
        assert {r.item_id for r in replies[arm] if r.text in LABELS} == expected != set(), arm


def test_what_is_served_was_asked_in_turns_and_the_base_once_more(finished: Workspace) -> None:
    serving = take(finished, "serve", Serving)
    assert [(t.arm, t.n, t.concurrency, t.interleaved) for t in serving.timings] == [
        ("tuned-f16", 50, 1, True),
        ("tuned-q8_0", 50, 1, True),
        ("tuned-constrained", 50, 1, True),
        ("tuned-q4_k_m", 50, 1, True),
        ("base-again", 50, 1, True),
        ("load-4", 50, 4, False),
    ]
    assert (serving.repeated, serving.repeated_equal) == (50, 50)
    assert [a.arm.name for a in serving.arms][-1] == "tuned-constrained" and len(serving.arms) == 4


def test_training_and_the_examples_never_see_a_test_item(places: Places) -> None:
    split = take_split(Workspace(places.finished))
    test, dev = {item.input for item in split.test.items}, {pair.input for pair in split.dev.pairs}
    asked = [text for _, text, _ in places.calls.asked]
    first = next(number for number, text in enumerate(asked) if text in test)
    # Every trial and its warm-up: 3 × 6, 3 × 3 and 5 × 3, 4 × 2 and 5 × 2, then 10 × 2 and 5 × 2 constrained.
    # Then the warm-up of the first arm of the test, which asks dev rows too.
    assert first == sum(TRIED.values()) + 3 * 6 + 5 * 3 + 5 * 2 + 5 * 2 + WARM_UP == 113
    assert set(asked[:first]) <= dev and set(asked) <= test | dev
    # Two base arms with one prompt; the first call and the warm-up of every served arm; the load point.
    assert sum(text in dev for text in asked[first:]) == 2 * WARM_UP + 5 * (1 + WARM_UP) + WARM_UP == 45
    shown = "\n".join(places.calls.shown)
    train = [pair.input for pair in split.train.pairs if pair.input in shown]
    assert len(train) > 5, "examples were shown"
    assert not [text for text in test | dev if text in shown]


def test_no_file_names_a_path_of_this_machine(places: Places) -> None:
    looked = 0
    for path in places.finished.rglob("*"):
        if path.is_file() and path.name != ".lock":
            assert str(places.finished.parent).encode() not in path.read_bytes(), path
            looked += 1
    assert looked == len(FILES) - 1


def test_the_served_file_is_the_measured_one_or_refused(finished: Workspace) -> None:
    serving = take(finished, "serve", Serving)
    path = served_path(finished, serving)
    assert path.name == "Fake-135M-Instruct-notices-v1-Q8_0.gguf"
    data = path.read_bytes()
    path.unlink()  # a new file: the release holds a link to the old one
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(NotReady, match="not the file that was measured"):
        served_path(finished, serving)


# Cut off


@pytest.mark.parametrize("at", [1, 5, 14, 24, 60, 108, 109, 114, 131, 164, 175, 200, 273])
def test_interrupted_in_compare_the_next_run_asks_only_what_is_missing(
    places: Places, tmp_path: Path, at: int
) -> None:
    workspace = copied(places.tuned, tmp_path)
    check_continues(places, workspace, "compare", interrupt_ask=at)


@pytest.mark.parametrize("at", [1, 2, 7])
def test_interrupted_in_a_batch_of_the_adapter_the_next_run_goes_on(
    places: Places, tmp_path: Path, at: int
) -> None:
    workspace = copied(places.tuned, tmp_path)
    check_continues(places, workspace, "compare", interrupt_batch=at)


# The first calls end at 5, the warm-ups at 30, the items at 280, the load point at 335.
@pytest.mark.parametrize("at", [1, 5, 6, 30, 31, 55, 120, 280, 281, 335])
def test_interrupted_in_serve_the_next_run_asks_only_what_is_missing(
    places: Places, tmp_path: Path, at: int
) -> None:
    workspace = copied(places.quantized, tmp_path)
    check_continues(places, workspace, "serve", interrupt_ask=at)


def check_continues(places: Places, workspace: Workspace, verb: str, **switch: int) -> None:
    calls = Calls()
    with pytest.raises(KeyboardInterrupt):
        walk(workspace, only=verb, calls=calls, **switch)
    assert calls.open == 0, "an interrupted step closes what it opened"
    assert workspace.state(verb).state == "half made" and "continues" in workspace.state(verb).why
    kept = {arm: len(replies) for arm, replies in replies_in(workspace).items()}
    calls = walk(workspace, only=verb)
    assert workspace.state(verb).state == "fresh"

    whole = timeless(Workspace(places.finished))
    found = timeless(workspace)
    assert found == {arm: whole[arm] for arm in found} and found
    ours, theirs = workspace.made(verb), Workspace(places.finished).made(verb)
    assert ours and theirs and ours.artifact == theirs.artifact

    asked = [arm for arm in found if arm.startswith("dev-") or arm in ASKED] if verb == "compare" else SERVED
    sizes = {arm: len(found[arm]) for arm in asked if arm != "adapter"}
    missing = sum(size - kept.get(arm, 0) for arm, size in sizes.items())
    warm_up = sum(warm_ups(arm, size, kept.get(arm, 0)) for arm, size in sizes.items())
    # The first call of every arm, for each has its file loaded for itself; the load point.
    beside = len(SERVED) + LOAD if verb == "serve" else 0
    assert len(calls.asked) == missing + warm_up + beside
    if verb == "compare":
        assert sum(len(batch) for batch in calls.batches) == 50 - kept.get("adapter", 0)
    assert len({entry.plan_digest for entry in ledger(workspace)}) == 1, "going on is not another round"


def warm_ups(arm: str, size: int, kept: int) -> int:
    """Calls before the clock counts: at each rung of the search, and once for the test."""
    halving = arm.startswith("dev-") and not arm.endswith("-constrained")
    rungs = [upto for upto in (3, 6, 10) if upto <= size] if halving else [size]
    return sum(min(WARM_UP, upto) for upto in rungs if upto > kept)


def test_a_story_interrupted_again_and_again_ends_with_the_same_verdict(
    places: Places, tmp_path: Path
) -> None:
    workspace, interrupts = copied(places.tuned, tmp_path), 0
    for _ in range(30):
        try:
            walk(workspace, interrupt_ask=90)
            break
        except KeyboardInterrupt:
            interrupts += 1
    assert 6 <= interrupts < 30
    assert timeless(workspace) == timeless(Workspace(places.finished))
    counts = Counter(reply.item_id for reply in replies_in(workspace)["base-0-shot"])
    assert set(counts.values()) == {1}
    ours, whole = (take(w, "judge", Verdict) for w in (workspace, Workspace(places.finished)))
    assert ours.gates == whole.gates and ours.fixed == whole.fixed and ours.test_accesses == 1


def test_interrupted_in_training_the_trainer_finds_its_folder_as_it_left_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "project")
    workspace.write_task(fake_task())
    with pytest.raises(KeyboardInterrupt):
        walk(workspace, interrupt_training=True)
    assert workspace.state("tune").state == "half made"
    calls = walk(workspace, only="tune")
    assert (calls.trained, calls.resumed) == (1, 1)
    assert not (workspace.folder("tune") / "checkpoints").exists()


def test_interrupted_in_training_with_other_settings_it_begins_anew(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "project")
    workspace.write_task(fake_task())
    with pytest.raises(KeyboardInterrupt):
        walk(workspace, interrupt_training=True)
    (workspace.root / "task.yaml").write_text(fake_task(epochs=3), encoding="utf-8")
    walk(workspace, only="init")
    calls = walk(workspace, only="tune")
    assert (calls.trained, calls.resumed) == (1, 0)


def test_interrupted_with_again_the_same_command_continues(finished: Workspace) -> None:
    with pytest.raises(KeyboardInterrupt):
        walk(finished, only="serve", again=True, interrupt_ask=80)
    kept = sum(len(replies_in(finished)[arm]) for arm in SERVED)
    calls = walk(finished, only="serve", again=True)
    before = 5 + 5 * WARM_UP  # the first call and the warm-up of every arm
    assert kept == 79 - before == 49
    assert len(calls.asked) == 250 - kept + before + LOAD == 286


# Refusals


@pytest.mark.parametrize("verb", [*VERBS[VERBS.index("freeze") :], "the whole story", "ask"])
def test_after_a_changed_test_item_every_command_refuses(finished: Workspace, verb: str) -> None:
    path = finished.folder("freeze") / "test.jsonl"
    text = path.read_text("utf-8")
    label = json.loads(text.splitlines()[0])["output"]
    other = next(known for known in LABELS if known != label)
    path.write_text(text.replace(f'"output":"{label}"', f'"output":"{other}"', 1), encoding="utf-8")
    before, calls = files_of(finished.root), Calls()
    with pytest.raises(LockBroken, match=r"test\.jsonl") as stop:
        if verb == "ask":
            outside = fake_outside(finished.root.parent, calls=calls)
            run_ask("some text", finished.root, as_json=False, outside=lambda: outside)
        else:
            walk(finished, only=None if verb == "the whole story" else verb, calls=calls)
    assert stop.value.remedy and "1 row changed" in stop.value.problem
    assert calls.count == 0 and files_of(finished.root) == before
    with pytest.raises(SystemExit, match="1"):
        run_status(finished.root, as_json=True)


@pytest.mark.parametrize("part", ["train.jsonl", "dev.jsonl", "test.jsonl", "split.lock.json", "leaks.json"])
def test_a_lost_file_of_the_split_is_not_made_again_in_silence(finished: Workspace, part: str) -> None:
    (finished.folder("freeze") / part).unlink()
    with pytest.raises(LockBroken, match=part.replace(".", r"\.")):
        walk(finished)
    assert not (finished.folder("freeze") / part).exists()


@pytest.mark.parametrize(("verb", "kind"), [("compare", "base"), ("serve", "tuned")])
def test_a_runtime_that_sends_another_prompt_is_refused_by_the_items_name(
    places: Places, tmp_path: Path, verb: str, kind: str
) -> None:
    workspace = copied(places.quantized if verb == "serve" else places.tuned, tmp_path)
    item = take_split(workspace).test.items[17]
    calls = Calls()
    with pytest.raises(TuneproofError, match=item.id) as stop:
        walk(workspace, only=verb, calls=calls, break_parity_at=item.input, break_parity_of=kind)
    assert "another prompt than training saw" in stop.value.problem and "tuneproof" in stop.value.remedy
    asked = {text for _, text, _ in calls.asked}
    assert not asked & {i.input for i in take_split(workspace).test.items}, "no test item may be answered"
    assert workspace.made(verb) is None


def test_a_model_that_does_not_stop_is_refused(places: Places, tmp_path: Path) -> None:
    workspace = copied(places.quantized, tmp_path)
    with pytest.raises(NotReady, match=r"does not stop: 50 of 50 replies were cut at 12 tokens"):
        walk(workspace, never_stops=True)
    assert workspace.made("serve") is None and not (workspace.folder("serve") / "Modelfile").exists()


def test_without_a_pass_there_is_a_report_and_no_release(places: Places, tmp_path: Path) -> None:
    workspace = copied(places.tuned, tmp_path)
    with pytest.raises(GateNotPassed, match=r"No GGUF file passed its own gate") as stop:
        walk(workspace, tuned_share=8)
    assert stop.value.exit_code == 3
    verdict = take(workspace, "judge", Verdict)
    assert verdict.gate in {"FAIL", "INCONCLUSIVE"} and verdict.decision != "move"
    assert (workspace.folder("judge") / "report.html").exists()
    assert not workspace.folder("publish").exists(), "nothing that could be taken for a release"
    assert workspace.state("publish").state == "missing", "it was refused, not interrupted"


def test_a_release_of_an_earlier_pass_does_not_outlive_a_gate_that_is_not_passed(
    finished: Workspace,
) -> None:
    walk(finished, only="tune", again=True, weights="worse ")
    with pytest.raises(GateNotPassed):
        walk(finished, tuned_share=8)
    assert not finished.folder("publish").exists()


def test_a_number_that_the_replies_do_not_give_is_refused_also_with_a_forged_hash(
    finished: Workspace,
) -> None:
    path, record = (finished.folder("compare") / name for name in ("comparison.json", "made.json"))
    comparison = take(finished, "compare", Comparison)
    forged = tuple(
        a.model_copy(update={"correct": a.correct - 1}) if a.arm.kind == "base" else a
        for a in comparison.arms
    )
    before = file_ref(path).sha256
    path.write_text(comparison.model_copy(update={"arms": forged}).model_dump_json(), encoding="utf-8")
    made = json.loads(record.read_text("utf-8"))
    for ref in made["files"]:
        if ref["sha256"] == before:
            ref |= {"sha256": file_ref(path).sha256, "bytes": path.stat().st_size}
    record.write_text(json.dumps(made), encoding="utf-8")
    with pytest.raises(LockBroken, match="cannot be computed again from its replies"):
        walk(finished, only="judge", again=True)


@pytest.mark.parametrize("verb", VERBS[2:])
def test_a_step_before_its_turn_names_the_command_that_is_missing(tmp_path: Path, verb: str) -> None:
    workspace = Workspace(tmp_path / "project")
    workspace.write_task(fake_task())
    done: list[str] = []
    for before in VERBS[: min(3, VERBS.index(verb) - 1) + 1][:-1]:
        walk(workspace, only=before)
        done.append(before)
    wanted, calls = VERBS[len(done)], Calls()
    with pytest.raises(MissingArtifact, match=f"tuneproof {verb}` needs") as stop:
        walk(workspace, only=verb, calls=calls)
    assert stop.value.remedy.startswith(f"tuneproof {wanted} --project ")
    assert calls.count == 0 and not workspace.folder(verb).exists()


def test_an_unknown_source_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "project")
    workspace.write_task(fake_task().replace("source: fake", "source: bundled:licences"))
    with pytest.raises(BadInput, match=r"'bundled:licences'"):
        walk(workspace)
    assert workspace.made("draft") is None


# Stale


def test_other_weights_make_everything_that_came_from_them_stale(finished: Workspace) -> None:
    before = files_of(finished.root)
    calls = walk(finished, only="tune", again=True, weights="other ")
    assert calls.trained == 1 and calls.count == 1
    states = {s.step: s.state for s in standing(finished).states}
    stale = {"compare", "quantize", "serve", "judge", "publish"}
    assert states == {verb: "stale" if verb in stale else "fresh" for verb in VERBS}
    assert standing(finished).next_command.startswith("tuneproof compare ")
    after = files_of(finished.root)
    assert {n for n in before if after[n] != before[n]} == {n for n in FILES if n.startswith("5-adapter/")}
    walk(finished)
    assert [s.state for s in standing(finished).states] == ["fresh"] * 10


def test_the_same_step_again_with_the_same_result_leaves_the_later_ones_fresh(finished: Workspace) -> None:
    for verb, costs in (("init", False), ("draft", False), ("freeze", False), ("quantize", True)):
        before = finished.made(verb)
        calls = walk(finished, only=verb, again=True)
        assert (calls.count > 0) is costs, verb
        assert (before is not None and finished.made(verb) != before) or verb != "quantize"
        assert [s.state for s in standing(finished).states] == ["fresh"] * 10, verb


def test_a_changed_setting_makes_stale_what_read_it_and_says_so(finished: Workspace) -> None:
    (finished.root / "task.yaml").write_text(fake_task(epochs=3), encoding="utf-8")
    states = {s.step: s for s in standing(finished).states}
    assert {verb for verb in VERBS if states[verb].state == "fresh"} == {"draft", "review", "freeze"}
    assert states["tune"].why == "task.yaml changed: tuning"
    calls = walk(finished)
    assert calls.trained == 1 and [s.state for s in standing(finished).states] == ["fresh"] * 10


def test_other_thresholds_are_another_round_on_the_test_and_the_verdict_counts_it(
    finished: Workspace,
) -> None:
    (finished.root / "task.yaml").write_text(fake_task(extra="gate:\n  alpha: 0.01\n"), encoding="utf-8")
    walk(finished)
    assert take(finished, "judge", Verdict).test_accesses == 2


def test_the_tuned_answers_follow_the_rule_of_the_stand_ins(finished: Workspace) -> None:
    """If this fails, the stand-ins are at fault and not the story."""
    items = take_split(finished).test.items
    assert all(item.output == label_of(item.input) for item in items) and len(items) == 50
