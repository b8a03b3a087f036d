"""The story on the real 135M weights, small: real data, real training, one GGUF file, fifty items.

Minutes on two cores. It goes through the real command, is killed once while it trains, and must end well.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tuneproof.artifacts import Adapter, Comparison, Serving, Verdict
from tuneproof.artifacts.curves import curves_from_csv
from tuneproof.outside.real import example_task
from tuneproof.steps import STEPS

REPO = Path(__file__).parents[1]
pytestmark = [pytest.mark.model, pytest.mark.timeout(1200)]

SMALL = {
    "name": "licenses-small",  # another name: the bundled lock is for the whole case
    "pairs": "400",
    "test": "50",
    "dev": "12",
    "rows": "96",
    "epochs": "2",
    "shots": "[0]",
    "shots_dev_items": "10",
    "ladder": "[]",
    "max_new_tokens": "20",
}

GGUF = "SmolLM2-135M-Instruct-licenses-small-v1-F16.gguf"
FILES = {
    ".lock",
    "ledger.jsonl",
    "locks/split-v1.lock.json",
    "locks/split-v1.inputs.json",
    "task.yaml",
    "1-case/case.json",
    "2-drafts/imported.jsonl",
    "2-drafts/provenance.json",
    "3-review/events.jsonl",
    "3-review/reviewed.json",
    "4-split/data_report.json",
    "4-split/data_report.md",
    "4-split/dev.jsonl",
    "4-split/leaks.json",
    "4-split/split.lock.json",
    "4-split/test.jsonl",
    "4-split/train.jsonl",
    "5-adapter/adapter_config.json",
    "5-adapter/adapter_model.safetensors",
    "5-adapter/chat_template.jinja",
    "5-adapter/curves.csv",
    "5-adapter/curves.png",
    "5-adapter/run.log",
    "5-adapter/settings.json",
    "6-comparison/comparison.json",
    "6-comparison/eval_plan.json",
    "6-comparison/replies/adapter.jsonl",
    "6-comparison/replies/base-0-shot.jsonl",
    *(
        f"6-comparison/replies/dev-base-{style}-0{held}.jsonl"
        for style in ("plain", "described")
        for held in ("", "-constrained")
    ),
    "6-comparison/replies/base-constrained.jsonl",
    "6-comparison/replies/majority.jsonl",
    "6-comparison/replies/nearest-neighbour.jsonl",
    "6-comparison/replies/tfidf-logistic.jsonl",
    f"7-gguf/{GGUF}",
    "7-gguf/ladder.json",
    "8-serve/Modelfile",
    *(f"8-serve/replies/{name}.jsonl" for name in ("tuned-f16", "tuned-constrained", "base-again", "load-4")),
    "8-serve/serve.json",
    "9-verdict/report.html",
    "9-verdict/report.md",
    "9-verdict/verdict.json",
    "10-release/release.json",
    f"10-release/gguf/{GGUF}",
    *(
        f"10-release/gguf/{name}"
        for name in ("LICENSE", "Modelfile", "NOTICE", "README.md", "params", "system", "template")
    ),
    *(f"{step.folder}/made.json" for step in STEPS),
}


NOT_KEPT = {"majority", "nearest-neighbour", "tfidf-logistic", "load-4"}
"""Replies that cost nothing, or must be made again as a whole."""


def comparison(project: Path) -> Comparison:
    return Comparison.model_validate_json((project / "6-comparison/comparison.json").read_text("utf-8"))


def small_task() -> str:
    text = example_task("licenses")
    for name, value in SMALL.items():
        text, count = re.subn(rf"(?m)^( *){name}: .*$", rf"\g<1>{name}: {value}", text, count=1)
        assert count == 1, f"task.yaml has no {name!r}"
    return text


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tuneproof", *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"TUNEPROOF_CACHE": os.environ.get("TUNEPROOF_CACHE", str(REPO / ".cache"))}


def kill_in_training(project: Path) -> None:
    """Start the command and kill it, with no chance to clean up, once a checkpoint is whole."""
    process = subprocess.Popen(
        command("demo", "--project", str(project)), env=environment(), stderr=subprocess.PIPE, text=True
    )
    limit = time.monotonic() + 600
    while not list(project.glob("5-adapter/checkpoints/checkpoint-*/complete.json")):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < limit, "no checkpoint in ten minutes"
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("story") / "project"
    folder.mkdir()
    (folder / "task.yaml").write_text(small_task(), encoding="utf-8")
    kill_in_training(folder)
    assert not (folder / "5-adapter" / "made.json").exists()
    done = subprocess.run(
        command("demo", "--project", str(folder)), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_story_leaves_exactly_these_files_after_a_kill_in_training(project: Path) -> None:
    found = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    kept = {name for name in found if name.startswith("replies/")}
    # Which prompt is best on ten dev pairs, all wrong, may differ by machine; then one arm more is measured.
    best = {
        f"6-comparison/replies/{name}.jsonl" for name in comparison(project).chosen if name == "base-best"
    }
    assert found - kept == FILES | best
    asked = {Path(name).stem for name in FILES | best if "/replies/" in name} - NOT_KEPT
    assert sorted(Path(name).stem.rpartition("-")[0] for name in kept) == sorted(asked)
    assert {Path(name).parent.name for name in kept} == {"compare", "serve"}


def test_the_curve_has_every_step_once_although_training_was_killed(project: Path) -> None:
    adapter = Adapter.model_validate_json((project / "5-adapter/settings.json").read_text("utf-8"))
    rows = curves_from_csv((project / "5-adapter/curves.csv").read_text("utf-8"))
    assert [row.step for row in rows] == list(range(1, adapter.steps + 1))
    assert adapter.steps == 24
    first, last = sum(r.loss for r in rows[:4]) / 4, sum(r.loss for r in rows[-4:]) / 4
    assert last < first / 2


def test_the_tuned_file_beats_its_base_and_the_runtime_saw_the_prompts_of_training(project: Path) -> None:
    serving = Serving.model_validate_json((project / "8-serve/serve.json").read_text("utf-8"))
    verdict = Verdict.model_validate_json((project / "9-verdict/verdict.json").read_text("utf-8"))
    assert serving.parity.tokens_equal == serving.parity.text_equal == serving.parity.prompts == 50
    assert verdict.gate == "PASS"
    assert verdict.not_measured == {"frontier": "comparison.frontier in task.yaml names none"}


def test_constrained_replies_have_the_form_of_an_answer(project: Path) -> None:
    task = yaml.safe_load((project / "task.yaml").read_text("utf-8"))
    pattern = re.compile(task["task"]["answer_pattern"])
    looked = 0
    for name in ("6-comparison/replies/base-constrained.jsonl", "8-serve/replies/tuned-constrained.jsonl"):
        for reply in map(json.loads, (project / name).read_text("utf-8").splitlines()):
            if reply["finish"] == "stop":  # the limit may cut a reply inside an operator
                assert pattern.fullmatch(reply["text"]), reply
                looked += 1
    assert looked > 50


def test_all_files_were_timed_in_one_session_and_greedy_replies_come_again(project: Path) -> None:
    serving = Serving.model_validate_json((project / "8-serve/serve.json").read_text("utf-8"))
    timings = {t.arm: t for t in serving.timings}
    assert set(timings) == {"tuned-f16", "tuned-constrained", "base-again", "load-4"}
    assert all(t.n == 50 and t.first_p50_ms and t.first_p50_ms < t.p50_ms for t in timings.values())
    assert [arm for arm, t in timings.items() if not t.interleaved] == ["load-4"]
    assert timings["load-4"].concurrency == 4 and timings["load-4"].calls_per_s
    assert serving.repeated == 50 and serving.repeated_equal >= 48


def test_the_adapter_and_its_gguf_file_agree_on_nearly_every_item(project: Path) -> None:
    def texts(path: str) -> dict[str, str]:
        lines = (project / path).read_text("utf-8").splitlines()
        return {reply["item_id"]: reply["text"] for reply in map(json.loads, lines)}

    adapter = texts("6-comparison/replies/adapter.jsonl")
    served = texts("8-serve/replies/tuned-f16.jsonl")
    assert len(adapter) == len(served) == 50
    # float32 against float16 weights may tip a near tie; a wrong template or a lost adapter tips most.
    assert sum(adapter[item] == served[item] for item in adapter) >= 45


def test_every_step_is_fresh_when_the_story_is_over(project: Path) -> None:
    done = subprocess.run(
        command("status", "--project", str(project), "--json"),
        env=environment(),
        capture_output=True,
        text=True,
    )
    standing = json.loads(done.stdout)
    # A library that still writes into a finished step's folder would make that step stale.
    assert [step["state"] for step in standing["steps"]] == ["fresh"] * 10
    assert not standing["lock_broken"]


def test_ask_answers_with_the_served_file(project: Path) -> None:
    done = subprocess.run(
        command("ask", "Licensed under the MIT license", "--project", str(project), "--json"),
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["file"] == GGUF and reply["finish"] == "stop" and reply["text"]


def test_one_flipped_bit_in_the_test_file_is_refused(project: Path) -> None:
    path = project / "4-split" / "test.jsonl"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    try:
        path.write_bytes(bytes(flipped))
        done = subprocess.run(
            command("judge", "--again", "--project", str(project)),
            env=environment(),
            capture_output=True,
            text=True,
        )
    finally:
        path.write_bytes(whole)
    assert done.returncode == 1
    assert "test.jsonl" in done.stderr and "→" in done.stderr and "Traceback" not in done.stderr


def test_nothing_in_the_release_names_this_machine(project: Path) -> None:
    texts = [p for p in (project / "10-release").rglob("*") if p.is_file() and p.suffix != ".gguf"]
    assert texts
    for path in texts:
        assert str(project.parent) not in path.read_text("utf-8", errors="replace"), path
