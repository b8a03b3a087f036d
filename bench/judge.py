"""Statistics, verdict and report of a finished project, timed as whole steps in one process.

    .venv/bin/python bench/judge.py demo

Prints a table and one JSON line. The target is under 5 s for 200 items and 8 arms on 2 cores; the
ratio to the time of reading the same replies says how much of it is arithmetic.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path

from tuneproof.artifacts import Adapter, Comparison, Ladder, Serving, Verdict
from tuneproof.console import Tell
from tuneproof.making import Bench
from tuneproof.outside.real import real_outside
from tuneproof.pages import report_input
from tuneproof.reply_shelf import dev_replies, every_reply, rounds
from tuneproof.report import render_html, render_markdown
from tuneproof.shelves import take, take_case, take_split
from tuneproof.steps.judge import Evidence, judge
from tuneproof.workspace import Workspace


def main() -> None:
    """Time reading, judging and writing, and print them."""
    workspace = Workspace(Path(sys.argv[1]))
    began = time.perf_counter()
    case, split = take_case(workspace), take_split(workspace)
    adapter, ladder = take(workspace, "tune", Adapter), take(workspace, "quantize", Ladder)
    comparison, serving = take(workspace, "compare", Comparison), take(workspace, "serve", Serving)
    bench = Bench(workspace, real_outside(), case.task_file, Tell(quiet=True))
    evidence = Evidence(
        comparison=comparison,
        serving=serving,
        ladder=ladder,
        replies=every_reply(workspace, split.test),
        dev_replies=dev_replies(workspace, [a.arm.name for a in comparison.arms]),
        rounds=rounds(workspace, [], comparison.plan_digest),
        adapter=adapter,
        plan=bench.plan(case, split, adapter),
        scorer=bench.scorer(),
        made_at=take(workspace, "judge", Verdict).made_at,
    )
    read = time.perf_counter()
    verdict = judge(case, split, evidence)
    judged = time.perf_counter()
    data = report_input(workspace, verdict)
    sizes = [len(render_html(data)), len(render_markdown(data))]
    written = time.perf_counter()
    seconds = {"read": read - began, "judge": judged - read, "report": written - judged}
    for name, took in seconds.items():
        sys.stdout.write(f"{name:8}{took:8.2f} s\n")
    found = {
        "items": len(split.test.items),
        "arms": len(verdict.arms),
        "seconds": {name: round(took, 3) for name, took in seconds.items()},
        "judge_and_report_s": round(seconds["judge"] + seconds["report"], 3),
        "report_characters": sizes,
        "machine": platform.processor() or platform.machine(),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
