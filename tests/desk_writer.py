"""Writes decisions and says after each that it is kept, to be killed at any moment.

Called as `desk_writer.py FILE TOTAL SEED ROUNDS`.

Forks one writer a round and kills it (SIGKILL) after a random number of acknowledgements and a random pause;
prints every acknowledged pair as JSON. The last round is left to finish.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tuneproof.artifacts.desk import Decision
from tuneproof.outside.desk_store import DeskStore, StaleVersion


def write_on(path: Path, total: int, pipe: int) -> None:
    """Decide on every pair that has no decision yet; the first is sent twice, as after a lost answer."""
    store = DeskStore(path)
    done = {event.pair_id for event in store.events()}
    resent = f"p{max(len(done) - 1, 0)}"
    try:
        store.append(decision(resent))
        os.write(pipe, f"{resent}\n".encode())
    except StaleVersion:
        pass
    for i in range(total):
        if f"p{i}" in done or f"p{i}" == resent:
            continue
        store.append(decision(f"p{i}"))
        os.write(pipe, f"p{i}\n".encode())


def decision(pair_id: str) -> Decision:
    return Decision(
        seq=0,
        at="2026-01-01T00:00:00+00:00",
        reviewer="Ana",
        kind="fix",
        batch=1,
        pair_id=pair_id,
        output=f"answer to {pair_id} " * 40,
    )


def round_of(path: Path, total: int, chance: random.Random, *, kill: bool) -> tuple[list[str], bool]:
    """Run one writer; return what it acknowledged, and whether it was killed before its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        write_on(path, total, writing)
        os._exit(0)
    os.close(writing)
    wanted, heard = chance.randrange(0, 9), b""
    while kill and heard.count(b"\n") < wanted and (more := os.read(reading, 4096)):
        heard += more
    if kill:
        time.sleep(chance.random() * 0.004)
        os.kill(child, signal.SIGKILL)
    while more := os.read(reading, 4096):
        heard += more
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return heard.decode().split("\n")[:-1], os.WIFSIGNALED(status)


def main() -> None:
    path, total, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(seed)
    acknowledged: list[str] = []
    killed = 0
    for n in range(rounds + 1):
        heard, was_killed = round_of(path, total, chance, kill=n < rounds)
        acknowledged += heard
        killed += was_killed
    sys.stdout.write(json.dumps({"acknowledged": acknowledged, "killed": killed}))


if __name__ == "__main__":
    main()
