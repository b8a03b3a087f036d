"""Drafting without the drafting: a process that asks a list of items under a ledger, and may be killed.

Started with a JSON object on the command line, it reads rounds from stdin, one JSON object a line. A round
forks `processes` children of `threads` threads each, which share the items out and ask them until all are
answered or the cap is reached. The next line says whether they are killed or waited for; then their ends are
answered. The forking parent has the SDK loaded: a round takes a tenth of a second, not two.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import openai  # noqa: F401

from spend_sample import PRICE
from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.outside.endpoints import Patience, endpoint_for
from tuneproof.outside.spend import SpendLedger
from tuneproof.request import Request
from tuneproof.spend import SpendCapReached

PATIENCE = Patience(calls=99, sleep=lambda _: time.sleep(0.001))


def item_of(number: int) -> Request:
    """Make item `number`: a request of its own size and limit."""
    words = f"notice {number} " + "word " * (number * 7 % 23)
    return Request(f"i{number}", ({"role": "user", "content": words},), 40 + number * 13 % 160)


def work(job: dict[str, Any], todo: queue.SimpleQueue[Request], ledger: SpendLedger, endpoint: Any) -> None:
    """Ask for what no run has a reply to."""
    while True:
        try:
            request = todo.get_nowait()
        except queue.Empty:
            return
        if ledger.kept(request) is not None:
            continue
        try:
            endpoint.ask(request)
        except SpendCapReached:
            with contextlib.suppress(FileExistsError):
                Path(job["reached"]).touch(exist_ok=False)
            return


def child(job: dict[str, Any], turn: dict[str, Any], number: int) -> None:
    """Be one drafting process."""
    ledger = SpendLedger(Path(job["path"]), cap_usd=turn["cap_usd"], price=PRICE, model="m", purpose="draft")
    section = EndpointSection(model="m", base_url=job["url"], timeout_s=20)
    endpoint = endpoint_for(section, PATIENCE, ledger)
    todo: queue.SimpleQueue[Request] = queue.SimpleQueue()
    for each in range(number, job["items"], turn["processes"]):
        todo.put(item_of(each))
    threads = [
        threading.Thread(target=work, args=(job, todo, ledger, endpoint)) for _ in range(turn["threads"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()


def forked(job: dict[str, Any], turn: dict[str, Any], number: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        child(job, turn, number)
        status = 0
    finally:
        # Not `sys.exit`: the parent's buffers must not be written twice.
        os._exit(status)


def main() -> None:
    job = json.loads(sys.argv[1])
    for line in sys.stdin:
        turn = json.loads(line)
        pids = [forked(job, turn, number) for number in range(turn["processes"])]
        if sys.stdin.readline() == "kill\n":
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        sys.stdout.write(json.dumps(ends) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
