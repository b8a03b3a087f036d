#!/usr/bin/env python3
"""A finished planted project, asked through APIs and with recorded replies → `endpoints.md` beside this page.

    .venv/bin/python docs/evidence/endpoints.py --project runs/planted/win     # a few minutes

The APIs are two loopback servers with planted faults (`tests/fake_api.py`), which answer from a table, and a
real llama.cpp server with the base. What these two know is invented; what the commands make of it is not.
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

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))
sys.path.insert(0, str(HERE / "planted"))

from planted import CODES  # noqa: E402

from fake_api import FakeApi  # noqa: E402

TUNEPROOF = [sys.executable, "-m", "tuneproof"]
FAULTS = ["429", "ok", "500", "ok", "garbage", "ok", "502", "truncated", "ok", "reset"]
WRONG_EVERY = 33
"""One input in so many is answered wrongly."""
PRICE = "{input_mtok: 0.25, output_mtok: 2.0}"
COSTS = (
    "costs:\n  drafting_usd: 0\n  review_hours: 6\n  usd_per_review_hour: 60\n  training_usd_per_hour: 0.10\n"
    "  evaluation_usd: 0\n"
)


def main() -> None:
    """Ask, record, import, and write down what was said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--project", type=Path, required=True)
    chosen = parser.parse_args()
    lines = [
        "# APIs and recorded replies",
        "",
        "Made by `endpoints.py` beside this page, on the planted case `win` (real weights). Two loopback",
        "servers answer from a table that this script invents, so the quality of these arms means nothing;",
        "that the faults end as they should, and what the verdict makes of prices and volume, does.",
        "",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        at = Path(scratch)
        live(shutil.copytree(chosen.project, at / "live"), at, lines)
        recorded(shutil.copytree(chosen.project, at / "recorded"), at, lines)
    text = "\n".join(line.rstrip() for line in lines).replace(scratch + "/", "")
    (HERE / "endpoints.md").write_text(text.rstrip() + "\n", "utf-8")


def knows(text: str) -> str:
    """Answer as a good model would, and wrongly for one input in `WRONG_EVERY`."""
    right = next((CODES[word] for word in text.rstrip(".").split() if word in CODES), "?")
    return "A0" if sum(text.encode()) % WRONG_EVERY == 0 else right


def live(project: Path, at: Path, lines: list[str]) -> None:
    """Ask three endpoints: two with faults, one a real llama.cpp server."""
    from tuneproof.outside.llama_cpp import LlamaEngine

    base = next(Path(os.environ["TUNEPROOF_CACHE"]).glob("**/*F16.gguf"), None)
    assert base is not None, "the base is not in the cache"
    server = LlamaEngine().load(base, num_ctx=2048)
    with FakeApi(knows, FAULTS) as first, FakeApi(knows, FAULTS[::-1]) as second:
        task = (project / "task.yaml").read_text("utf-8")
        task = task.replace("  rule: null\n", endpoints(first.address, second.address, server.address))
        task = task.replace("own_label_scheme: true", "high_volume: true\n  calls_per_month: 400000")
        task = task.replace("machine_usd_per_hour: 0.10\n", "machine_usd_per_hour: 0.10\n" + COSTS)
        (project / "task.yaml").write_text(task, "utf-8")
        lines += ["## Asked here", "", "What is added to task.yaml:", "", "```yaml", COSTS.rstrip()]
        lines += [
            endpoints("http://127.0.0.1:…", "http://127.0.0.1:…", "http://127.0.0.1:…").rstrip(),
            "```",
            "",
        ]
        lines += [f"Planted faults of the first calls: {', '.join(FAULTS)}.", ""]
        environment = {"OPENAI_API_KEY": "sk-loopback", "ANTHROPIC_API_KEY": "sk-ant-loopback"}
        run(at, lines, "run", "--project", "live", "--dry-run", keep=4, more=environment)
        run(at, lines, "run", "--project", "live", keep=9, more=environment, table=True)
        calls = len(first.requests) + len(second.requests)
        lines += [f"The two loopback servers were called {calls:,} times, faults among them.", ""]
        run(at, lines, "report", "--verify", "--project", "live", keep=1)
    server.close()


def endpoints(first: str, second: str, llama: str) -> str:
    """Return the keys of the comparison section."""
    return f"""\
  rule: null
  frontier:
    model: invented-frontier
    provider: openai
    base_url: {first}/v1
    key: OPENAI_API_KEY
    price: {PRICE}
  endpoints:
    - name: second
      model: invented-second
      provider: anthropic
      base_url: {second}
      key: ANTHROPIC_API_KEY
      price: {PRICE}
    - name: llama-server
      model: SmolLM2-135M-Instruct
      base_url: {llama}/v1
      repeats: 1
"""


def recorded(project: Path, at: Path, lines: list[str]) -> None:
    """Export, have it answered in both batch formats, import, judge."""
    lines += ["## Recorded elsewhere", ""]
    run(at, lines, "compare", "--export", "frontier", "--project", "recorded", keep=7)
    requests = project / "requests" / "frontier"
    made = {
        "openai-output.jsonl": (openai_output(requests / "openai-batch.jsonl"), ()),
        "anthropic-output.jsonl": (
            anthropic_output(requests / "anthropic-batch.json"),
            ("--date", "2026-11-24"),
        ),
    }
    for name, (text, options) in made.items():
        (at / name).write_text(text, "utf-8")
        given = ("--arm", "frontier", "--by", "docs/evidence/endpoints.py", *options)
        run(at, lines, "compare", "--import", name, *given, "--project", "recorded", keep=3)
    run(at, lines, "run", "--project", "recorded", keep=9, table=True)
    lines += ["The same file with one prompt's hash changed, and with one line missing:", ""]
    text = made["openai-output.jsonl"][0].splitlines(keepends=True)
    broken = re.sub(r'("custom_id": "[0-9a-f]{24}-)[0-9a-f]{4}', r"\g<1>0000", text[0])
    (at / "changed.jsonl").write_text(broken + "".join(text[1:]), "utf-8")
    (at / "short.jsonl").write_text("".join(text[1:]), "utf-8")
    for name in ("changed.jsonl", "short.jsonl"):
        run(at, lines, "compare", "--import", name, "--arm", "frontier", "--project", "recorded", keep=3)


def asked(line: dict[str, object]) -> str:
    """Return the last user message of a request."""
    messages = line["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])


def openai_output(requests: Path) -> str:
    """Answer an OpenAI batch, as its output file would."""
    lines = []
    for number, text in enumerate(requests.read_text("utf-8").splitlines()):
        request = json.loads(text)
        if request["custom_id"].count("-") > 1:
            continue  # one repeat is enough to show
        reply = {"role": "assistant", "content": knows(asked(request["body"])), "refusal": None}
        body = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_795_500_000 + number,
            "model": "invented-frontier",
            "choices": [{"index": 0, "message": reply, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 210, "completion_tokens": 3, "total_tokens": 213},
        }
        response = {"status_code": 200, "request_id": f"req-{number}", "body": body}
        line = {
            "id": f"batch-{number}",
            "custom_id": request["custom_id"],
            "response": response,
            "error": None,
        }
        lines.append(json.dumps(line) + "\n")
    return "".join(lines)


def anthropic_output(requests: Path) -> str:
    """Answer an Anthropic message batch, as its results file would."""
    lines = []
    for request in json.loads(requests.read_text("utf-8"))["requests"]:
        if request["custom_id"].count("-") > 1:
            continue
        message = {
            "id": "msg",
            "type": "message",
            "role": "assistant",
            "model": "invented-frontier",
            "content": [{"type": "text", "text": knows(asked(request["params"]))}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 220, "output_tokens": 4},
        }
        line = {"custom_id": request["custom_id"], "result": {"type": "succeeded", "message": message}}
        lines.append(json.dumps(line) + "\n")
    return "".join(lines)


def run(
    at: Path,
    lines: list[str],
    *arguments: str,
    keep: int,
    more: dict[str, str] | None = None,
    table: bool = False,
) -> None:
    """Run a command and write down its last lines, and the table of arms if it prints one."""
    done = subprocess.run(
        [*TUNEPROOF, *arguments],
        cwd=at,
        env=os.environ | (more or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout if table else done.stdout + done.stderr
    said = [line.rstrip() for line in told.splitlines() if line.strip()]
    shown = said[-keep:]
    if table:
        start = next(i for i, line in enumerate(said) if line.lstrip().startswith("Arm"))
        shown = [
            line for line in said[start:] if not line.startswith(("Report:", "Curves:", "Release:", "Ask"))
        ]
    shell = " ".join(f"'{a}'" if " " in a else a for a in arguments)
    lines += ["```", f"$ tuneproof {shell}", *shown, f"exit {done.returncode}", "```", ""]


if __name__ == "__main__":
    main()
