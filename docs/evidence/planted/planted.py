#!/usr/bin/env python3
"""One small invented task, planted four ways → what the gate and the verdict make of each.

    .venv/bin/python docs/evidence/planted/planted.py --projects runs/planted     # about 15 minutes

Real weights and the real commands. A note of random words names two of twelve goods; the answer is the code
of the one that comes first. The four projects differ in what is written in `CASES`.
Writes `docs/evidence/planted.md`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TUNEPROOF = [sys.executable, "-m", "tuneproof"]

CODES = {
    "copper": "K7", "timber": "Q2", "cement": "B9", "cotton": "M4", "barley": "T1", "marble": "Z5",
    "rubber": "H3", "silver": "W8", "walnut": "D6", "pepper": "X0", "leather": "P2", "sulphur": "V9",
}  # fmt: skip
"""An own scheme: nothing in the name says the code."""
PAIRS, WORDS = 360, 600
CASES: dict[str, dict[str, str]] = {
    "worse": {"rows": "40", "epochs": "1", "learning_rate": "0.0003"},
    "tie": {"rows": "60", "epochs": "2"},
    "win": {},
    "not-needed": {"rule": "rule:answer"},
}
"""Case → what differs from the task.yaml below."""
RULE = '''"""Five lines that do the job."""

CODES = {codes}


def answer(text: str) -> str | None:
    found = [word for word in text.rstrip(".").split() if word in CODES]
    return CODES[found[0]] if found else None
'''


def main() -> None:
    """Make the projects, run them, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--projects", type=Path, required=True)
    parser.add_argument("--only", choices=tuple(CASES))
    chosen = parser.parse_args()
    for name in [chosen.only] if chosen.only else CASES:
        project = (chosen.projects / name).resolve()
        if name == "not-needed" and not project.exists():
            # The same tune, and a rule beside it: only what is new is measured.
            shutil.copytree(chosen.projects / "win", project)
        prepare(project, CASES[name])
        done = subprocess.run([*TUNEPROOF, "run", "--project", str(project)], check=False)
        (project / "exit.txt").write_text(f"{done.returncode}\n", "utf-8")
    if not chosen.only:
        (HERE.parent / "planted.md").write_text(page(chosen.projects), "utf-8")


def pairs() -> list[dict[str, str]]:
    """Invent the pairs: the same ones each time."""
    chance = random.Random(4)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(chance.choices(syllables, k=3)) for _ in range(WORDS)]
    goods = list(CODES)
    made = []
    for number in range(PAIRS):
        first = goods[number % len(goods)]
        second = chance.choice([good for good in goods if good != first])
        text = chance.sample(words, 5)
        text.insert(chance.randrange(3), first)
        text.insert(chance.randrange(3, 7), second)
        made.append({"input": " ".join(text) + ".", "output": CODES[first]})
    return made


def prepare(project: Path, edits: dict[str, str]) -> None:
    """Write pairs, rule and task.yaml, once."""
    project.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs())
    (project / "pairs.jsonl").write_text(lines, "utf-8")
    (project / "rule.py").write_text(RULE.format(codes=json.dumps(CODES, indent=4)), "utf-8")
    (project / "task.yaml").write_text(task_yaml(edits), "utf-8")


def task_yaml(edits: dict[str, str]) -> str:
    """Return the task.yaml of one case."""
    value = {"rows": "null", "epochs": "3", "learning_rate": "0.001", "rule": "null"} | edits
    return f"""\
name: goods
title: The code of the good that a note names first
task:
  input: a note of seven words, two of them goods
  output: the code of the good that comes first, a letter and a digit
  system_prompt: Answer with the code of the first good in this note, a letter and a digit.
  metric: exact match
  answer_pattern: '[A-Z][0-9]'
  max_new_tokens: 8
pressures:
  own_label_scheme: true
data:
  source: pairs.jsonl
  reviewed_by: the script that invented them
  licence: CC0-1.0
split:
  test: 60
  dev: 30
tuning:
  rows: {value["rows"]}
  epochs: {value["epochs"]}
  learning_rate: {value["learning_rate"]}
comparison:
  shots: [0, 5, 20]
  shots_dev_items: 20
  rule: {value["rule"]}
serving:
  model_name: goods
  num_ctx: 2048
  machine_usd_per_hour: 0.10
"""


def page(projects: Path) -> str:
    """Write what came out, from the records."""
    rows = []
    for name, edits in CASES.items():
        verdict = json.loads((projects / name / "9-verdict" / "verdict.json").read_text("utf-8"))
        gate = next(g for g in verdict["gates"] if "Q8_0" in g["file"])
        contrast = gate["contrast"]
        changed = ", ".join(f"`{key}: {value}`" for key, value in edits.items()) or "nothing"
        code = (projects / name / "exit.txt").read_text("utf-8").strip()
        rows.append(
            f"| {name} | {changed} | {contrast['wins']} : {contrast['losses']} of {contrast['n']} "
            f"| {verdict['gate']} | {code} | {verdict['advice']} | {verdict['headline']} |"
        )
    return "\n".join(
        [
            "# Planted cases",
            "",
            "Made by [planted/planted.py](planted/planted.py): one invented task with real weights,",
            "planted four ways. Won : lost is the served file against its best base. Exit codes: 0 done,",
            "3 the gate is not passed.",
            "",
            "| case | changed in task.yaml | won : lost | gate | exit code | advice | verdict |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
