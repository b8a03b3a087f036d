#!/usr/bin/env python3
"""A task's own script → pairs → `init --pairs` → a few edits → `run` → the records kept beside that script.

    .venv/bin/python docs/evidence/tasks/evidence.py run us-addresses --project runs/us-addresses
    .venv/bin/python docs/evidence/tasks/evidence.py keep us-addresses --project runs/us-addresses

    .venv/bin/python docs/evidence/tasks/evidence.py page

`run` does what a new user does and goes on if it was stopped; `keep` copies the records of the finished
project: the task.yaml, what `init` said, the table, every reply, and for each test item its id and expected
output. The inputs stay where they came from, but for the few that the report shows. `page` writes
`docs/evidence/tasks.md` from the kept records.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[2]
sys.path.insert(0, str(HERE.parent))

TUNEPROOF = [sys.executable, "-m", "tuneproof"]
REVIEWED_BY = {
    "us-addresses": "the people who tagged usaddress's training data",
    "debtags": "Debian's maintainers and the volunteers of debtags",
}
EDITS: dict[str, dict[str, str]] = {
    "us-addresses": {
        "title": "Split a US address line into its parts",
        "input": "one US address as somebody typed it",
        "output": "a JSON object with the parts that are there",
        "licence": "MIT",
        "attribution": '"Tagged US addresses of usaddress 0.5.16, https://github.com/datamade/usaddress '
        '(MIT; a part from US50 data, NCSA); regrouped into JSON and deduplicated."',
        "privacy": "true",
        "high_volume": "true",
        "rule": "rule:answer",
        "machine_usd_per_hour": "0.10",
    },
    "debtags": {
        "title": "Section, interface and use of a Debian package from its description",
        "input": "name and description of a Debian package",
        "output": "three lines, its section, interface and use",
        "licence": "unknown",
        "attribution": "\"Package descriptions, sections and debtags of Debian 12, by Debian's maintainers "
        'and volunteers, https://www.debian.org; selected and shortened."',
        "own_label_scheme": "true",
        "group_column": "source",
        "high_volume": "true",
        "machine_usd_per_hour": "0.10",
    },
}
"""What a person changes in the guessed task.yaml, by the last part of the key."""
KEPT = (
    "task.yaml",
    "9-verdict/report.md",
    "5-adapter/settings.json",
    "5-adapter/curves.csv",
    "5-adapter/curves.png",
    "6-comparison/comparison.json",
    "7-gguf/ladder.json",
    "8-serve/serve.json",
    "4-split/leaks.json",
    "ledger.jsonl",
)
_EARLIER = (
    "The same test was measured by an earlier version, whose table stood here; this project's ledger "
    "begins anew and counts what was measured in it."
)
REMARKS = {
    "us-addresses": (
        "Read this table with three reservations. Base, adapter, seeds and controls were answered on the 16 "
        "cores of the GPU's machine, the GGUF files on two cores that also did other work, so the times and "
        "dollars of the base are not those of the machine that is named; the session in which the files took "
        "turns has the base's own. The rule was written for this page and revised once after "
        "a look at its failures on all of these addresses, test items among them, so its score is "
        f"flattered. {_EARLIER}"
    ),
    "debtags": (
        "Read this table with two reservations. In an earlier round TF-IDF + logistic regression was left "
        "out by a limit of 400 different answers (there are 551); after its scores on this test were "
        "known, the limit was raised to 1,000 for that reason, which speaks against the tune. "
        f"{_EARLIER}"
    ),
}
"""What a reader of a table must know beside it."""
_SHOWN = 5
"""Changed items kept of the verdict's: the texts belong to others."""


def main() -> None:
    """Parse the command line and do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("run", "keep", "page"))
    parser.add_argument("task", choices=sorted(EDITS), nargs="?")
    parser.add_argument("--project", type=Path)
    chosen = parser.parse_args()
    if chosen.what == "page":
        (HERE.parent / "tasks.md").write_text(page(), "utf-8")
    elif chosen.task is None or chosen.project is None:
        parser.error("a task and --project are needed")
    else:
        (run if chosen.what == "run" else keep)(chosen.task, chosen.project.absolute())


def run(task: str, project: Path) -> None:
    """Build the pairs, begin the project from them, edit, and run up to the verdict."""
    project.mkdir(parents=True, exist_ok=True)
    if not (project / "task.yaml").exists():
        pairs = project / f"{task}.jsonl"
        subprocess.run([sys.executable, str(HERE / task / "build.py"), str(pairs)], check=True)
        command = ["init", "--pairs", pairs.name, "--project", ".", "--reviewed-by", REVIEWED_BY[task]]
        said = subprocess.run([*TUNEPROOF, *command], cwd=project, check=True, capture_output=True, text=True)
        (project / "init.txt").write_text(f"$ tuneproof {' '.join(command)}\n{said.stdout}", "utf-8")
        if (HERE / task / "rule.py").exists():
            shutil.copyfile(HERE / task / "rule.py", project / "rule.py")
        edit(project / "task.yaml", EDITS[task])
    code = subprocess.run([*TUNEPROOF, "run", "--project", str(project)], check=False).returncode
    if code not in {0, 3}:
        sys.exit(code)


def edit(path: Path, changes: dict[str, str]) -> None:
    """Set keys of a task.yaml as a person would, each line once."""
    text = path.read_text("utf-8")
    for key, value in changes.items():
        text, count = re.subn(
            rf"(?m)^( *){key}: (?:[>|]-?\n(?:\1 +.*\n?)+|.*\n)",
            lambda m, k=key, v=value: f"{m[1]}{k}: {v}\n",
            text,
            count=1,
        )
        if not count:
            sys.exit(f"{path.name} has no key {key!r}")
    path.write_text(text, "utf-8")


def keep(task: str, project: Path) -> None:
    """Copy the records of a finished project beside the task's script."""
    from tuneproof.artifacts import Verdict

    folder = HERE / task / "result"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "replies").mkdir(parents=True)
    for name in KEPT:
        shutil.copyfile(project / name, folder / Path(name).name)
    text = (project / "init.txt").read_text("utf-8")
    (folder / "init.txt").write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", "utf-8")
    for source in (*project.glob("6-comparison/replies/*"), *project.glob("8-serve/replies/*")):
        if not source.name.startswith("dev-"):
            shutil.copyfile(source, folder / "replies" / source.name)
    verdict = Verdict.model_validate_json((project / "9-verdict/verdict.json").read_text("utf-8"))
    short = verdict.model_copy(update={"fixed": verdict.fixed[:_SHOWN], "broken": verdict.broken[:_SHOWN]})
    (folder / "verdict.json").write_text(short.model_dump_json(indent=1) + "\n", "utf-8")
    (folder / "items.jsonl").write_text(items(project), "utf-8")
    picture(project, folder)


def page() -> str:
    """Return the page of all kept tasks."""
    lines = [
        "# Another real task",
        "",
        "Made by `tasks/evidence.py` from the kept records. Each task was begun with",
        "`tuneproof init --pairs`, a few lines of the guessed `task.yaml` were edited (`EDITS` there), and",
        "`tuneproof run` did the rest: SmolLM2-135M-Instruct, trained on one GPU by `tuneproof tune`, all",
        "else on two cores.",
        "Every reply is kept, and `tests/test_docs.py` computes each row again.",
    ]
    for task in sorted(EDITS):
        if (HERE / task / "result").exists():
            lines += ["", *section(task)]
    return "\n".join(lines) + "\n"


def section(task: str) -> list[str]:
    """Return the part of one task."""
    import yaml

    from tuneproof.artifacts import Adapter, Serving, TaskFile, Verdict
    from tuneproof.pages import main_table
    from tuneproof.steps.init import init

    folder = HERE / task / "result"
    verdict = Verdict.model_validate_json((folder / "verdict.json").read_text("utf-8"))
    adapter = Adapter.model_validate_json((folder / "settings.json").read_text("utf-8"))
    serving = Serving.model_validate_json((folder / "serve.json").read_text("utf-8"))
    case = init(TaskFile.model_validate(yaml.safe_load((folder / "task.yaml").read_text("utf-8"))))
    at = f"tasks/{task}"
    return [
        f"## {case.task_file.title}",
        "",
        f"{case.task_file.task.input} → {case.task_file.task.output}; metric: {case.task_file.task.metric}. "
        f"{adapter.train_rows:,} of {adapter.train_rows_available:,} pairs, {adapter.epochs} epochs, "
        f"{adapter.tokens:,} tokens in {adapter.seconds:.0f} s on {adapter.device}; measured on "
        f"{serving.machine}.",
        "",
        f"[pairs]({at}/build.py) · [what `init` said]({at}/result/init.txt) · "
        f"[task.yaml]({at}/result/task.yaml) · [report]({at}/result/report.md) · "
        f"[its picture]({at}/result/report.png) · [replies]({at}/result/replies/)",
        "",
        main_table(case, verdict).strip(),
        "",
        f"**{verdict.headline}** {verdict.paragraph}",
        "",
        REMARKS[task],
    ]


def items(project: Path) -> str:
    """Return one line a test item: id, group, expected output, and whether training has that output."""
    rows = {
        part: [
            json.loads(line)
            for line in (project / f"4-split/{part}.jsonl").read_text("utf-8").split("\n")[:-1]
        ]
        for part in ("train", "test")
    }
    trained = {row["output"] for row in rows["train"]}
    lines = [
        {"id": row["id"], "group": row["group"], "output": row["output"], "trained": row["output"] in trained}
        for row in rows["test"]
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def picture(project: Path, folder: Path) -> None:
    """Render the report with Chromium."""
    import tempfile

    from make import LIGHT, shoot  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"
        shutil.copyfile(project / "9-verdict/report.html", page)
        shoot(page, folder / "report.png", (1100, 2600), LIGHT, scratch)


if __name__ == "__main__":
    main()
