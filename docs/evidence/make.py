#!/usr/bin/env python3
"""Finished demo projects → the evidence in this folder and the tables in the README.

    .venv/bin/python docs/evidence/make.py tables --demo demo --full demo-full
    .venv/bin/python docs/evidence/make.py pages --demo demo            # needs chromium
    .venv/bin/python docs/evidence/make.py crashes                      # about six minutes

`tables` copies the records and replies of both projects, so that every number in the README can
be computed again, and writes the tables. `pages` renders the report light, dark and narrow. `crashes` kills
a small run in training and in the comparison, continues it, and flips a bit of its test file.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path.insert(0, str(REPO))

DARK, LIGHT = 0, 1
"""Chromium's numbers for a preferred colour scheme."""
KEPT = (
    "9-verdict/verdict.json",
    "9-verdict/report.md",
    "5-adapter/settings.json",
    "5-adapter/curves.csv",
    "5-adapter/curves.png",
    "4-split/leaks.json",
    "6-comparison/comparison.json",
    "7-gguf/ladder.json",
    "8-serve/Modelfile",
    "10-release/release.json",
    "10-release/gguf/README.md",
    "task.yaml",
    "ledger.jsonl",
)


def main() -> None:
    """Parse the command line and make what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("tables", "pages", "crashes"))
    parser.add_argument("--demo", type=Path, default=REPO / "demo")
    parser.add_argument("--full", type=Path, default=REPO / "demo-full")
    chosen = parser.parse_args()
    if chosen.what == "tables":
        for name, project in (("demo", chosen.demo), ("full", chosen.full)):
            keep(project, HERE / name)
        write_readme()
    elif chosen.what == "pages":
        pages(chosen.demo)
    else:
        crashes()


def keep(project: Path, folder: Path) -> None:
    """Copy the records and the replies of a finished project."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in KEPT:
        if name.startswith("10-release") and not (project / name).exists():
            continue  # nothing is published without a PASS
        target = folder / name.replace("10-release/gguf/README.md", "card.md").split("/")[-1]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / name, target)
    replies = folder / "replies"
    replies.mkdir()
    for source in (*project.glob("6-comparison/replies/*"), *project.glob("8-serve/replies/*")):
        shutil.copyfile(source, replies / source.name)


def write_readme() -> None:
    """Put the kept tables between the marks in the README."""
    readme = REPO / "README.md"
    text = readme.read_text("utf-8")
    for mark, content in blocks().items():
        text = re.sub(
            rf"<!-- {mark} -->.*?<!-- /{mark} -->",
            lambda _, m=mark, c=content: f"<!-- {m} -->{c}<!-- /{m} -->",
            text,
            flags=re.DOTALL,
        )
    readme.write_text(text, "utf-8")


def blocks() -> dict[str, str]:
    """Return what stands between the marks of the README, from the kept records alone."""
    from tuneproof.artifacts import Adapter, Comparison

    adapter = Adapter.model_validate_json((HERE / "demo/settings.json").read_text("utf-8"))
    machine = Comparison.model_validate_json((HERE / "demo/comparison.json").read_text("utf-8")).machine
    return {
        "machine": machine,
        "rows": f"{adapter.train_rows:,} of {adapter.train_rows_available:,} pairs",
        "demo": f"\n{verdict_block(HERE / 'demo')}\n",
        "full": f"\n{verdict_block(HERE / 'full')}\n",
    }


def verdict_block(folder: Path) -> str:
    """Return a table, headline and paragraph as the command prints them."""
    import yaml

    from tuneproof.artifacts import Adapter, TaskFile, Verdict
    from tuneproof.pages import main_table
    from tuneproof.steps.init import init

    verdict = Verdict.model_validate_json((folder / "verdict.json").read_text("utf-8"))
    adapter = Adapter.model_validate_json((folder / "settings.json").read_text("utf-8"))
    case = init(TaskFile.model_validate(yaml.safe_load((folder / "task.yaml").read_text("utf-8"))))
    table = main_table(case, verdict).strip()
    trained = (
        f"{adapter.train_rows:,} pairs, {adapter.epochs} epochs: {adapter.tokens:,} tokens in "
        f"{adapter.seconds:.0f} s of training."
    )
    return f"{table}\n\n**{verdict.headline}** {verdict.paragraph} ({trained})"


def pages(project: Path) -> None:
    """Render the report with Chromium: light, dark and narrow."""
    report = (project / "9-verdict/report.html").read_text("utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"
        page.write_text(report, "utf-8")
        for name, scheme, width, height in (
            ("report-light", LIGHT, 1100, 2400),
            ("report-dark", DARK, 1100, 2400),
            ("report-narrow", LIGHT, 500, 1800),
        ):
            shoot(page, HERE / f"{name}.png", (width, height), scheme, scratch)
    assert (HERE / "report-dark.png").read_bytes() != (HERE / "report-light.png").read_bytes()


def shoot(page: Path, picture: Path, size: tuple[int, int], scheme: int, scratch: str) -> None:
    """Take one picture in a colour scheme and make it small with a palette."""
    width, height = size
    subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--hide-scrollbars", f"--user-data-dir={scratch}/profile",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri(),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    from PIL import Image

    with Image.open(picture) as image:
        image.convert("RGB").quantize(32).save(picture, optimize=True)


def crashes() -> None:
    """Kill, continue, flip a bit; write down the commands and what they said."""
    from tests.test_real_model import command, environment, kill_in_training, small_task

    lines = [
        "# Killed and continued",
        "",
        "Made by `docs/evidence/make.py crashes`; real weights, real data.",
        "",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        killed, whole = Path(scratch) / "killed", Path(scratch) / "whole"
        for folder in (killed, whole):
            folder.mkdir()
            (folder / "task.yaml").write_text(small_task(), "utf-8")

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                command(*arguments), cwd=scratch, env=environment(), capture_output=True, text=True
            )
            said = (done.stdout + done.stderr).strip().splitlines()
            shown = [line for line in said if line.strip()][-4:]
            lines.extend(
                ["```", f"$ tuneproof {' '.join(arguments)}", *shown, f"exit {done.returncode}", "```", ""]
            )
            return done

        kill_in_training(killed)
        lines += ["`kill -9` in training, after a checkpoint:", ""]
        run("status", "--project", "killed")
        replies = kill_in_comparison(killed, command("demo", "--project", str(killed)), environment())
        lines += [f"The same command, then `kill -9` in the comparison, after {replies} replies:", ""]
        run("status", "--project", "killed")
        lines += ["The same command again, and a project that nobody killed:", ""]
        run("demo", "--project", "killed")
        run("demo", "--project", "whole")
        same = [
            name
            for name in ("5-adapter/adapter_model.safetensors", "4-split/split.lock.json")
            if (killed / name).read_bytes() == (whole / name).read_bytes()
        ]
        lines += [f"Byte for byte equal in both projects: {', '.join(same) or 'nothing'}.", ""]
        path = killed / "4-split/test.jsonl"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
        lines += ["One bit flipped in the middle of `4-split/test.jsonl`:", ""]
        for verb in ("tune", "compare", "quantize", "serve", "judge", "publish", "status"):
            run(verb, "--project", "killed")
    (HERE / "crashes.md").write_text(
        "\n".join(line.rstrip() for line in lines).replace(scratch, "…") + "\n", "utf-8"
    )


def kill_in_comparison(project: Path, command: list[str], environment: dict[str, str]) -> int:
    """Continue, and kill after some replies of the base; return how many were on the disk."""
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    path = project / "6-comparison/replies/base-0-shot.jsonl"
    while not path.exists() or len(path.read_bytes().splitlines()) < 20:
        if process.poll() is not None:
            raise SystemExit("the run ended before it could be killed")
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return len(path.read_bytes().splitlines())


if __name__ == "__main__":
    os.chdir(REPO)
    main()
