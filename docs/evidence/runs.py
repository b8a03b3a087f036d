#!/usr/bin/env python3
"""`tuneproof run` killed at every step, and a project that nobody killed → `runs.md` beside this page.

    .venv/bin/python docs/evidence/runs.py          # real weights, about ten minutes on 2 cores

A step is killed with SIGKILL: the long ones once they have stored something (a checkpoint, some replies, a
file), the short ones as soon as their heading is printed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from test_real_model import command, environment, small_task  # noqa: E402

STEPS = ("init", "draft", "review", "freeze", "tune", "compare", "quantize", "serve", "judge")
STORED = {
    "tune": ("5-adapter/checkpoints/checkpoint-*/complete.json", 1),
    "compare": ("6-comparison/replies/base-0-shot.jsonl", 20),
    "quantize": ("7-gguf/merged/*", 1),
    "serve": ("8-serve/replies/tuned-f16.jsonl", 20),
}
"""Step → what it must have on the disk before it is killed: pattern, and lines in its first file."""


def main() -> None:
    """Kill, continue, compare, and write the page."""
    lines = [
        "# A run, killed at each step",
        "",
        "Made by `runs.py` beside this page: real weights, real data, SIGKILL. One project was killed in",
        "each of its nine steps and continued with the same command; the other was left alone.",
        "",
        "| killed in | after | on the disk then | what the next run said of it |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        killed, whole = Path(scratch) / "killed", Path(scratch) / "whole"
        for folder in (killed, whole):
            folder.mkdir()
            (folder / "task.yaml").write_text(small_task(), "utf-8")
        notes, said = zip(*(kill(killed, verb) for verb in STEPS), strict=True)
        following = [*said[1:], run(killed)]
        for verb, note, then in zip(STEPS, notes, following, strict=True):
            lines.append(f"| {verb} | {note} | {fate_of(verb, then)} |")
        run(whole)
        lines += [
            "",
            "Digests of the nine steps' artifacts, times left out:",
            "",
            "| step | killed | left alone | |",
        ]
        lines.append("|---|---|---|---|")
        lines += compare(killed, whole)
        again = run(killed)
        fresh = sum(": fresh." in line for line in again.splitlines())
        lines += ["", f"A further `tuneproof run`: {fresh} of 9 steps fresh, nothing made."]
    (HERE / "runs.md").write_text("\n".join(lines) + "\n", "utf-8")


def kill(project: Path, verb: str) -> tuple[str, str]:
    """Run until `verb` is under way and kill; return when and what was there, and what the run had said."""
    process = subprocess.Popen(
        command("run", "--project", str(project)), env=environment(), stderr=subprocess.PIPE, text=True
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    reader.start()
    heading, began = f"{STEPS.index(verb) + 1:>2} {verb}:", time.monotonic()
    while not (under_way(said, heading) and stored(project, verb)):
        if process.poll() is not None:
            sys.exit("".join(said) + f"\nthe run ended before {verb} could be killed")
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reader.join()
    after = f"{time.monotonic() - began:.1f} s"
    folder = next(project.glob(f"{STEPS.index(verb) + 1}-*"), None)
    files = [path for path in folder.rglob("*") if path.is_file()] if folder else []
    state = "finished" if folder and (folder / "made.json").exists() else "not finished"
    return f"{after} | {len(files)} files in its folder, {state}", "".join(said)


def under_way(said: list[str], heading: str) -> bool:
    """Whether the step's heading was printed, and not because it was fresh."""
    return any(line.startswith(heading) and ": fresh." not in line for line in said)


def stored(project: Path, verb: str) -> bool:
    """Whether a long step has something on the disk."""
    if verb not in STORED:
        return True
    pattern, lines = STORED[verb]
    found = sorted(project.glob(pattern))
    return bool(found) and (lines == 1 or found[0].read_bytes().count(b"\n") >= lines)


def run(project: Path) -> str:
    """Run to the end and return what was said about the work."""
    done = subprocess.run(
        command("run", "--project", str(project)), env=environment(), capture_output=True, text=True
    )
    if done.returncode not in {0, 3}:
        sys.exit(done.stderr)
    return done.stderr


def fate_of(verb: str, said: str) -> str:
    """Say what the run after the kill did with the step."""
    heading = f"{STEPS.index(verb) + 1:>2} {verb}:"
    line = next(line for line in said.splitlines() if line.startswith(heading))
    return "it was fresh" if ": fresh." in line else "made to the end"


def compare(killed: Path, whole: Path) -> list[str]:
    """Return a row a step with both digests."""
    rows, equal = [], 0
    for number, verb in enumerate(STEPS, 1):
        found = [
            json.loads(next(project.glob(f"{number}-*/made.json")).read_bytes())["artifact"]
            for project in (killed, whole)
        ]
        equal += found[0] == found[1]
        shown = " | ".join(f"`{digest.removeprefix('sha256:')[:16]}…`" for digest in found)
        rows.append(f"| {verb} | {shown} | {'equal' if found[0] == found[1] else '**different**'} |")
    return [*rows, "", f"{equal} of {len(STEPS)} equal."]


if __name__ == "__main__":
    main()
