"""A streamed reply against a whole one, on the embedded llama.cpp and the base of the package.

    .venv/bin/python bench/streaming.py

Prints a table and one JSON line: the median over paired calls, turn about, of streamed time / whole time.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

from tuneproof.artifacts.case import TuningSection
from tuneproof.outside.base_model import find_base
from tuneproof.outside.llama_cpp import LlamaEngine
from tuneproof.prompt import messages_for

PAIRS, TOKENS = 24, 16
CHAT = messages_for("Name the licence of the notice.", "Explain the GPL at length.")


def main() -> None:
    """Ask in pairs, one streamed and one whole, and print the median ratio."""
    cache = Path(os.environ.get("TUNEPROOF_CACHE", ".cache"))
    runtime = LlamaEngine().load(find_base(TuningSection(), cache).gguf, num_ctx=1024)
    whole = {
        **runtime._chat(CHAT),
        "max_tokens": TOKENS,
        "temperature": 0,
        "seed": 0,
        "reasoning_format": "none",
    }
    ways = {
        "streamed": lambda: runtime.ask(CHAT, max_new_tokens=TOKENS),
        "whole": lambda: runtime._server.handle_chat_completions(whole),
    }
    runtime.ask(CHAT, max_new_tokens=1)
    times: dict[str, list[float]] = {"streamed": [], "whole": []}
    for number in range(PAIRS):
        for way in ("streamed", "whole") if number % 2 else ("whole", "streamed"):
            began = time.perf_counter()
            ways[way]()
            times[way].append(time.perf_counter() - began)
    runtime.close()
    ratio = statistics.median(s / w for s, w in zip(times["streamed"], times["whole"], strict=True))
    for way, seconds in times.items():
        sys.stdout.write(f"{way:10}{statistics.median(seconds) * 1000:8.0f} ms (median of {PAIRS})\n")
    found = {"pairs": PAIRS, "tokens": TOKENS, "streamed_over_whole": round(ratio, 3)}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
