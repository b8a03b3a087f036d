"""The spend ledger → what the calls with each request cost, for the record of every draft."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tuneproof.drafting import Cost
from tuneproof.outside.spend_file import open_ledger, said
from tuneproof.spend import usd

_BY_REQUEST = """SELECT request_sha256,
    sum(CASE state WHEN 'settled' THEN settled WHEN 'released' THEN 0 ELSE reserved END), count(*)
    FROM calls WHERE purpose = ? AND model = ? GROUP BY request_sha256"""

_ANSWERED = "SELECT EXISTS (SELECT 1 FROM calls WHERE purpose = ? AND state != 'released' AND id > ?)"
_LAST = "SELECT coalesce(max(id), 0) FROM calls"


def costs_by_request(path: Path, *, purpose: str, model: str) -> dict[str, Cost]:
    """Return hash of a request → US dollars and calls, over all runs and processes.

    As in the ledger's sums, a call whose cost is not known stands at its worst case, and one that was
    certainly not billed costs nothing.

    Raises:
        BadInput: the ledger is damaged.
        Busy: another process holds it.
    """
    with said(path), contextlib.closing(open_ledger(path)) as db:
        return {sha: Cost(usd(cost), calls) for sha, cost, calls in db.execute(_BY_REQUEST, (purpose, model))}


def has_answered(path: Path, *, purpose: str, after: int = 0) -> bool:
    """Whether a call may have been answered, in this or an earlier run. Raises as `costs_by_request`.

    Args:
        path: the ledger.
        purpose: whose calls.
        after: number of a call; only later ones count. One that the ledger never reached says nothing.
    """
    if not path.exists():
        return False
    with said(path), contextlib.closing(open_ledger(path)) as db:
        last = db.execute(_LAST).fetchone()[0]
        return bool(db.execute(_ANSWERED, (purpose, after if after <= last else 0)).fetchone()[0])


def last_call(path: Path) -> int:
    """Return the number of the last call of any purpose; 0 before the first. Raises as `costs_by_request`."""
    if not path.exists():
        return 0
    with said(path), contextlib.closing(open_ledger(path)) as db:
        return int(db.execute(_LAST).fetchone()[0])
