#!/usr/bin/env python3
"""100 real licence notices → drafted, reviewed in Chromium, frozen → `desk.md` and `desk/` beside this page.

    .venv/bin/python docs/evidence/desk.py --project demo-full        # a finished `demo --full`; some minutes

The teacher is a llama.cpp server with that project's tuned GGUF file, behind its OpenAI route: many of its
drafts are really wrong. The reviewer is a script that presses keys in headless Chromium. Its answers
(`desk/answers.jsonl`) were written from reading the notices alone; the expert labels only score the outcome.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KEPT = HERE / "desk"
sys.path.insert(0, str(HERE / "desk"))

from driving import kill_during_decisions, review_by_keyboard  # noqa: E402

TUNEPROOF = [sys.executable, "-m", "tuneproof"]
NOTICES = 100
EXAMPLES = 20
TASK = """\
name: notices
title: Name the licence expression of a notice found in source code
task:
  input: a licence notice of 6 to 90 words
  output: its ScanCode licence expression
  system_prompt: >-
    Answer with the ScanCode license expression of this notice only,
    for example bsd-new or gpl-1.0-plus OR mit.
  metric: exact match
  answer_pattern: '[a-z0-9][a-z0-9.+-]*(?: (?:AND|OR|WITH) [a-z0-9][a-z0-9.+-]*)*'
  max_new_tokens: 36
pressures:
  exact_format: true
  own_label_scheme: true
data:
  source: notices.jsonl
  input_column: text
  licence: CC-BY-4.0
  attribution: Notices from ScanCode LicenseDB, nexB Inc. and others, CC-BY-4.0.
drafting:
  teacher:
    model: licenses-teacher
    base_url: {address}/v1
    price: {{input_mtok: 0.15, output_mtok: 0.60}}
  count: {count}
  cap_usd: {cap}
  terms_url: https://www.apache.org/licenses/LICENSE-2.0
split:
  test: 50
  dev: 10
serving:
  model_name: notices
"""


def main() -> None:
    """Do it all, and write down what was said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--project", type=Path, required=True, help="a finished `demo --full`")
    chosen = parser.parse_args()
    lines = ["# The dataset desk", "", *(__doc__ or "").split("\n\n")[2].strip().splitlines(), ""]
    with tempfile.TemporaryDirectory() as scratch:
        at = Path(scratch)
        advice(at, lines)
        gold = notices_of(chosen.project, at / "notices")
        drafted(chosen.project, at, lines)
        reviewed(at, lines, gold)
        frozen(at, lines)
        lines += kill_during_decisions(at / "kills")
    text = "\n".join(line.rstrip() for line in lines).replace(scratch + "/", "")
    (HERE / "desk.md").write_text(text.rstrip() + "\n", "utf-8")


def run(at: Path, lines: list[str], *arguments: str, keep: int = 4, code: int | None = None) -> str:
    """Run a command, and write it down with its last lines and its exit code."""
    done = subprocess.run(
        [*TUNEPROOF, *arguments], cwd=at, capture_output=True, text=True, check=False, env=os.environ
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    lines += ["```console", f"$ tuneproof {' '.join(map(quoted, arguments))}", *said[-keep:]]
    lines += [f"exit {done.returncode}", "```", ""]
    if code is not None and done.returncode != code:
        sys.exit(f"exit {done.returncode}, not {code}: {arguments}\n{done.stdout}{done.stderr}")
    return done.stdout


def quoted(argument: str) -> str:
    """Write an argument as a shell takes it."""
    return f'"{argument}"' if " " in argument else argument


def advice(at: Path, lines: list[str]) -> None:
    """Ask for advice on the six cases of `docs/advise.md`."""
    page = (HERE.parent / "advise.md").read_text("utf-8")
    lines += ["## Advice on six cases, without any data", ""]
    for number, answers in enumerate(re.findall(r"(?ms)^```yaml\n(.*?)^```", page), 1):
        (at / f"case-{number}.yaml").write_text(answers, "utf-8")
        lines += ["```yaml", answers.rstrip(), "```", ""]
        run(at, lines, "advise", "--answers", f"case-{number}.yaml", keep=2, code=0)


def notices_of(project: Path, to: Path) -> dict[str, str]:
    """Write inputs and examples of the demo's dev and train; return the expert label of each notice.

    A pair's id says its label, so the notices get numbers instead.
    """
    to.mkdir()
    dev = rows_of(project / "4-split" / "dev.jsonl")[:NOTICES]
    train = rows_of(project / "4-split" / "train.jsonl")
    numbered = {f"notice-{n:03d}": row for n, row in enumerate(dev, 1)}
    write(to / "notices.jsonl", [{"id": n, "text": row["input"]} for n, row in numbered.items()])
    by_label = {row["output"]: row for row in train}
    shown = [by_label[label] for label in sorted(by_label)[:: len(by_label) // EXAMPLES]][:EXAMPLES]
    write(to / "examples.jsonl", [{"input": row["input"], "output": row["output"]} for row in shown])
    return {name: row["output"] for name, row in numbered.items()}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read JSON Lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def drafted(project: Path, at: Path, lines: list[str]) -> None:
    """Draft with the tuned model as the teacher; what must be refused first is refused."""
    from tuneproof.outside.llama_cpp import LlamaEngine

    gguf = next((project / "7-gguf").glob("*Q8_0.gguf"))
    server = LlamaEngine().load(gguf, num_ctx=4096, parallel=2)
    here = at / "notices"
    lines += ["## Drafted by a teacher on this machine", "", f"The teacher: `{gguf.name}`.", ""]
    wanted = TASK.format(address=server.address, count=NOTICES, cap=0.001)
    (here / "task.yaml").write_text(wanted, "utf-8")
    run(at, lines, "init", "--project", "notices", keep=2, code=0)
    run(at, lines, "draft", "--project", "notices", keep=2, code=1)
    run(at, lines, "draft", "--accept-terms", "--by", "desk.py", "--project", "notices", keep=2, code=0)
    lines += ["A cap of 0.001 USD does not last for 100 notices:", ""]
    run(at, lines, "draft", "--project", "notices", keep=3, code=1)
    (here / "task.yaml").write_text(wanted.replace("cap_usd: 0.001", "cap_usd: 1.0"), "utf-8")
    run(at, lines, "init", "--project", "notices", keep=1, code=0)
    run(at, lines, "draft", "--project", "notices", keep=4, code=0)
    run(at, lines, "draft", "--spend", "--project", "notices", keep=6, code=0)
    server.close()


def reviewed(at: Path, lines: list[str], gold: dict[str, str]) -> None:
    """Review by keyboard in Chromium, and score drafts and outcome against the expert labels."""
    lines += ["## Reviewed in Chromium, by keyboard alone", ""]
    lines += review_by_keyboard(at / "notices", KEPT)
    drafts = {row["id"]: row["output"] for row in rows_of(at / "notices" / "2-drafts" / "drafts.jsonl")}
    run(at, lines, "review", "--project", "notices", keep=3, code=0)
    pairs = {row["id"]: row["output"] for row in rows_of(at / "notices" / "3-review" / "reviewed.jsonl")}
    right = sum(drafts[name] == gold[name] for name in drafts)
    after = sum(pairs[name] == gold[name] for name in pairs)
    lines += [
        f"Against the expert labels: {right} of {len(drafts)} drafts were right, {after} of {len(pairs)} "
        "pairs after the review.",
        "",
    ]
    shutil.copy(at / "notices" / "3-review" / "reviewed.json", KEPT / "reviewed.json")
    shutil.copy(at / "notices" / "3-review" / "events.jsonl", KEPT / "events.jsonl")


def frozen(at: Path, lines: list[str]) -> None:
    """Lint, freeze, export."""
    lines += ["## Linted, frozen, exported", ""]
    run(at, lines, "lint", "--project", "notices", keep=8)
    run(at, lines, "freeze", "--project", "notices", keep=12, code=0)
    for name in ("trl", "openai", "alpaca", "sharegpt", "hf"):
        run(at, lines, "export", f"out-{name}", "--format", name, "--project", "notices", keep=2, code=0)
    shutil.copy(at / "out-hf" / "README.md", KEPT / "dataset-card.md")


if __name__ == "__main__":
    main()
