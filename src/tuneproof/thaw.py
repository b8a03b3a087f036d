"""Earlier locks and the pairs of today → the rows that must stay test rows, and what became of the others.

A lock holds ids and hashes, not texts. A row's hash covers its group's name, which is the id of a row of the
same part, so a lock and a text suffice to say whether the text is the one that was frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tuneproof.artifacts import Pair, SplitLock, SplitRow, canonical_json, row_hash, sha256_of
from tuneproof.artifacts.data_report import Moved, Thaw
from tuneproof.errors import NotReady

THAWED = "test rows of earlier versions stay test"
"""In a lock's `method`, where that was so."""
_FEW = 5
"""Changed rows that are no sign of renumbering."""
_BESIDE = 3
"""Places of a lock within which a row's group is looked for when its text has another id."""


class Pins(NamedTuple):
    """What the earlier tests ask of this split."""

    kept: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Pairs of today that must be test rows."""
        return frozenset({*self.kept, *self.changed, *(row.new_id for row in self.moved)})


def earlier_than(locks: Sequence[SplitLock], version: int) -> tuple[SplitLock, ...]:
    """Return the locks of versions before `version`, oldest first."""
    return tuple(sorted((lock for lock in locks if lock.version < version), key=lambda lock: lock.version))


def pins(pairs: Sequence[Pair], locks: Sequence[SplitLock]) -> Pins:
    """Find the test rows of `locks` among `pairs`.

    A row is kept where its id holds the text that was frozen, changed where the id holds another text, moved
    where the text stands under another id (groups of up to 4 rows), and gone where neither is there.
    A row of several locks counts as in the latest one.

    Raises:
        NotReady: most earlier ids name other texts now, so the rows were numbered anew.
    """
    here = {pair.id: pair for pair in pairs}
    frozen = {row.id: (row.sha256, lock) for lock in locks for row in lock.test.rows}
    there = [row_id for row_id in frozen if row_id in here]
    kept = [i for i in there if _is_frozen(here[i], *frozen[i])]
    held = set(kept)
    changed = sorted(set(there) - held)
    lost = [i for i in frozen if i not in held]
    if len(changed) > max(_FEW, len(kept)):
        _refuse_renumbered(changed, len(frozen))
    moved = _moved(lost, frozen, [pair for pair in pairs if pair.id not in held])
    followed = {row.old_id for row in moved}
    gone = [i for i in lost if i not in here and i not in followed]
    return Pins(tuple(sorted(kept)), tuple(changed), tuple(moved), tuple(sorted(gone)))


def _is_frozen(pair: Pair, sha256: str, lock: SplitLock) -> bool:
    """Whether some group of the lock's test gives this pair the frozen hash; its own name comes first."""
    names = [pair.id, *(row.id for row in lock.test.rows if row.id != pair.id)]
    return any(_hash(pair, name) == sha256 for name in names)


def _moved(
    lost: Sequence[str], frozen: Mapping[str, tuple[str, SplitLock]], pairs: Sequence[Pair]
) -> list[Moved]:
    heads = {row_id: _heads(row_id, frozen[row_id][1]) for row_id in lost}
    found = []
    for pair in pairs:
        text = canonical_json({"input": pair.input, "output": pair.output})[1:]
        for row_id in lost:
            sha256 = frozen[row_id][0]
            if row_id != pair.id and any(sha256_of(head + text) == sha256 for head in heads[row_id]):
                found.append(Moved(old_id=row_id, new_id=pair.id))
    return sorted(found, key=lambda row: (row.old_id, row.new_id))


def _heads(row_id: str, lock: SplitLock) -> list[str]:
    """Beginnings of the row's canonical JSON: in a group of its own, or in one named after a row beside it.

    Rows of a group stand together in the lock.
    """
    ids = [row.id for row in lock.test.rows]
    at = ids.index(row_id)
    return [
        f'{{"group":{canonical_json(name)},"id":{canonical_json(row_id)},'
        for name in ids[max(0, at - _BESIDE) : at + _BESIDE + 1]
    ]


def _hash(pair: Pair, group: str) -> str:
    return row_hash(SplitRow(id=pair.id, group=group, input=pair.input, output=pair.output))


def _refuse_renumbered(changed: Sequence[str], tested: int) -> None:
    raise NotReady(
        f"{len(changed)} of {tested} rows of earlier tests have another text under their id now, first "
        f"{changed[0]!r}: the rows seem to be numbered anew, so nobody can say which ones were test rows.",
        remedy="Give the rows ids of their own (data.id_column), or put the rows back in their old order; "
        "a new case begins with another `name` in task.yaml.",
    )


def thaw(lock: SplitLock, pairs: Sequence[Pair], locks: Sequence[SplitLock]) -> Thaw | None:
    """Say what became of the test rows of `locks` in the split of `lock`.

    None where there was none before, or where `lock` was frozen before earlier tests were kept.

    Raises:
        NotReady: as `pins`.
    """
    before = earlier_than(locks, lock.version)
    if not before or THAWED not in lock.method:
        return None
    found = pins(pairs, before)
    return Thaw(
        version=lock.version,
        earlier=tuple(earlier.version for earlier in before),
        kept=found.kept,
        changed=found.changed,
        moved=found.moved,
        gone=found.gone,
        added=tuple(sorted({row.id for row in lock.test.rows} - found.ids)),
    )


def thaw_lines(found: Thaw) -> list[str]:
    """Say it in a few lines for a person."""
    versions = ", ".join(map(str, found.earlier))
    lines = [
        f"Version {found.version} after {versions}: of the earlier test rows {len(found.kept)} are kept, "
        f"{len(found.changed)} changed, {len(found.moved)} under another id, {len(found.gone)} gone; "
        f"{len(found.added)} test rows are new."
    ]
    for what, ids in (("changed", found.changed), ("gone", found.gone)):
        if ids:
            more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
            lines.append(f"  {what}: {', '.join(ids[:5])}{more}")
    if found.changed or found.gone or found.added:
        lines.append("  Results on the earlier test do not carry over; compare arms on this one anew.")
    return lines
