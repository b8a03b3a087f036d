"""Small requests, replies and ledgers for the tests of the spend ledger."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from tuneproof.artifacts import Price, Reply
from tuneproof.outside.endpoints.asking import Usage
from tuneproof.outside.spend import SpendLedger
from tuneproof.request import Request
from tuneproof.spend import worst_case

PRICE = Price(input_mtok=1.0, output_mtok=5.0, cache_read_mtok=0.1)


def request(text: str = "mit license", limit: int = 64, **more: Any) -> Request:
    return Request(text[:20], ({"role": "user", "content": text},), limit, **more)


def reply(text: str = "mit", usage: Usage | None = None) -> Reply:
    counts = usage or Usage(9, 2)
    return Reply(
        item_id="i",
        text=text,
        finish="stop",
        prompt_tokens=counts.prompt,
        output_tokens=counts.output,
        cached_tokens=counts.cached,
        ms=1.0,
    )


def opened(path: Path, cap_usd: float = 1.0, **more: Any) -> SpendLedger:
    return SpendLedger(
        path, **({"cap_usd": cap_usd, "price": PRICE, "model": "m", "purpose": "draft"} | more)
    )


def rows(path: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT state, reserved, settled FROM calls ORDER BY id").fetchall()


WORST = worst_case(request(), PRICE)
