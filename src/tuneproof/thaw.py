"""Earlier locks and the pairs of today → the rows that must stay test rows, and what became of the others.

Of the test rows of a version, hashes of inputs and outputs are kept beside its lock, so a row whose output
was written anew is told from one whose id names another text. Locks of older versions hold hashes of whole
rows alone. Such a hash covers the name of the row's group, which is the id of a row of the same part, so a
lock and a text suffice to say whether the text is the one that was frozen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tuneproof.artifacts import Pair, PartLock, SplitLock, SplitRow, canonical_json, sha256_of
from tuneproof.artifacts.data_report import KeptRow, KeptRows, Moved, Part, Resembled, Thaw
from tuneproof.errors import NotReady
from tuneproof.twins import NEAR, nearest, words

THAWED = "test rows of earlier versions stay test"
"""In a lock's `method`, where that was so."""
_FEW = 5
"""Rows with another text that are no sign of renumbering."""
_BESIDE = 3
"""Places of a lock within which a row's group is looked for when its text has another id."""
_MOST_WORDS = 256


class Pins(NamedTuple):
    """What the earlier tests ask of this split."""

    kept: tuple[str, ...] = ()
    relabelled: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Pairs of today that must be test rows."""
        return frozenset({*self.kept, *self.relabelled, *self.changed, *(row.new_id for row in self.moved)})


class _Frozen(NamedTuple):
    """A row of an earlier test: its hash, its lock, and what else was kept of it."""

    sha256: str
    lock: SplitLock
    row: KeptRow | None


def kept_rows(lock: SplitLock, test: Sequence[SplitRow], places: Mapping[str, str]) -> KeptRows:
    """Return what a later freeze needs of the test rows of `lock`; `places` are files and lines by id."""
    rows = [
        KeptRow(
            id=row.id,
            input=sha256_of(row.input),
            output=sha256_of(row.output),
            words=_word_hashes(row.input),
            place=places.get(row.id, ""),
        )
        for row in test
    ]
    return KeptRows(version=lock.version, test_sha256=lock.test.sha256, rows=tuple(rows))


def _word_hashes(text: str) -> tuple[str, ...]:
    """The least hashes stand for the whole set (Broder 1997, On the resemblance of documents)."""
    hashes = {hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:8] for word in words(text)}
    return tuple(sorted(hashes)[:_MOST_WORDS])


def earlier_than(locks: Sequence[SplitLock], version: int) -> tuple[SplitLock, ...]:
    """Return the locks of versions before `version`, oldest first."""
    return tuple(sorted((lock for lock in locks if lock.version < version), key=lambda lock: lock.version))


def pins(pairs: Sequence[Pair], locks: Sequence[SplitLock], known: Sequence[KeptRows] = ()) -> Pins:
    """Find the test rows of `locks` among `pairs`.

    A row is kept where its id holds the text that was frozen, relabelled where the input is the same and the
    output another, changed where the id holds another input, moved where the text stands under another id
    (without `known`: groups of up to 4 rows), and gone where neither is there. A row of several locks counts
    as in the latest one.

    Args:
        pairs: of today.
        locks: of earlier versions, oldest first.
        known: what was kept of their test rows; a version without it is judged by hashes of whole rows, and
            its relabelled rows count as changed.

    Raises:
        NotReady: most earlier ids name other texts now, so the rows were numbered anew.
    """
    here, frozen = {pair.id: pair for pair in pairs}, _frozen(locks, known)
    there = {row_id: row for row_id, row in frozen.items() if row_id in here}
    fates = {row_id: _fate(here[row_id], row) for row_id, row in there.items()}
    kept, relabelled, changed = (sorted(i for i in fates if fates[i] == fate) for fate in range(3))
    held = {*kept, *relabelled}
    strange = [i for i in changed if not _is_mended(here[i], frozen[i].row)]
    if len(strange) > max(_FEW, len(there) - len(strange)):
        _refuse_renumbered(strange, frozen)
    lost = {row_id: row for row_id, row in frozen.items() if row_id not in held}
    moved = _moved(lost, [pair for pair in pairs if pair.id not in held])
    followed = {row.old_id for row in moved}
    gone = sorted(i for i in lost if i not in here and i not in followed)
    return Pins(tuple(kept), tuple(relabelled), tuple(changed), tuple(moved), tuple(gone))


def _frozen(locks: Sequence[SplitLock], known: Sequence[KeptRows]) -> dict[str, _Frozen]:
    rows = {(each.version, each.test_sha256): {row.id: row for row in each.rows} for each in known}
    found = {}
    for lock in locks:
        own = rows.get((lock.version, lock.test.sha256), {})
        found.update({row.id: _Frozen(row.sha256, lock, own.get(row.id)) for row in lock.test.rows})
    return found


_KEPT, _RELABELLED, _CHANGED = range(3)


def _fate(pair: Pair, frozen: _Frozen) -> int:
    row = frozen.row
    if row is None:
        return _KEPT if _is_frozen(pair, frozen) else _CHANGED
    if sha256_of(pair.input) != row.input:
        return _CHANGED
    return _KEPT if sha256_of(pair.output) == row.output else _RELABELLED


def _is_frozen(pair: Pair, frozen: _Frozen) -> bool:
    """Whether some group of the lock's test gives this pair the frozen hash; its own name comes first."""
    rest = _texts(pair)
    names = [pair.id, *(row.id for row in frozen.lock.test.rows if row.id != pair.id)]
    return any(sha256_of(_head(name, pair.id) + rest) == frozen.sha256 for name in names)


def _is_mended(pair: Pair, row: KeptRow | None) -> bool:
    return row is not None and _jaccard(_word_hashes(pair.input), row.words) >= NEAR


def _jaccard(one: Sequence[str], other: Sequence[str]) -> float:
    return len({*one} & {*other}) / max(1, len({*one, *other}))


def _moved(lost: Mapping[str, _Frozen], pairs: Sequence[Pair]) -> list[Moved]:
    by_input: dict[str, list[str]] = {}
    for row_id, frozen in lost.items():
        if frozen.row is not None:
            by_input.setdefault(frozen.row.input, []).append(row_id)
    heads = {row_id: _heads(row_id, frozen.lock) for row_id, frozen in lost.items() if frozen.row is None}
    found = []
    for pair in pairs:
        rest = _texts(pair)
        same = by_input.get(sha256_of(pair.input), []) if by_input else []
        whole = [i for i, tops in heads.items() if any(sha256_of(t + rest) == lost[i].sha256 for t in tops)]
        found += [Moved(old_id=row_id, new_id=pair.id) for row_id in (*same, *whole) if row_id != pair.id]
    return sorted(found, key=lambda row: (row.old_id, row.new_id))


def _heads(row_id: str, lock: SplitLock) -> list[str]:
    """Beginnings of the row's canonical JSON: in a group of its own, or in one named after a row beside it.

    Rows of a group stand together in the lock.
    """
    ids = [row.id for row in lock.test.rows]
    at = ids.index(row_id)
    return [_head(name, row_id) for name in ids[max(0, at - _BESIDE) : at + _BESIDE + 1]]


def _head(group: str, row_id: str) -> str:
    return f'{{"group":{canonical_json(group)},"id":{canonical_json(row_id)},'


def _texts(pair: Pair) -> str:
    """What follows `_head` in a row's canonical JSON."""
    return canonical_json({"input": pair.input, "output": pair.output})[1:]


def _refuse_renumbered(strange: Sequence[str], frozen: Mapping[str, _Frozen]) -> None:
    blind = [i for i in strange if frozen[i].row is None]
    version = frozen[strange[0]].lock.version
    anew = "Give the rows ids of their own (data.id_column), or put the rows back in their old order"
    if blind:
        version = frozen[blind[0]].lock.version
        anew += (
            f". If only outputs were written anew: of version {version} only hashes of whole rows were kept, "
            f"so put its pairs back with split.version: {version}, run tuneproof freeze (it keeps hashes of "
            "the inputs), then bring the new outputs and raise split.version again"
        )
    raise NotReady(
        f"{len(strange)} of {len(frozen)} rows of earlier tests have another text under their id now, first "
        f"{strange[0]!r}: the rows seem to be numbered anew, so nobody can say which ones were test rows.",
        remedy=f"{anew}; a new case begins with another `name` in task.yaml.",
    )


def thaw(
    lock: SplitLock,
    pairs: Sequence[Pair],
    locks: Sequence[SplitLock],
    known: Sequence[KeptRows] = (),
) -> Thaw | None:
    """Say what became of the test rows of `locks` in the split of `lock`.

    None where there was none before, or where `lock` was frozen before earlier tests were kept.

    Raises:
        NotReady: as `pins`.
    """
    before = earlier_than(locks, lock.version)
    if not before or THAWED not in lock.method:
        return None
    found = pins(pairs, before, known)
    return Thaw(
        version=lock.version,
        earlier=tuple(earlier.version for earlier in before),
        kept=found.kept,
        relabelled=found.relabelled,
        changed=found.changed,
        moved=found.moved,
        gone=found.gone,
        resembled=tuple(_resembled(found.gone, _frozen(before, known), pairs, lock)),
        added=tuple(sorted({row.id for row in lock.test.rows} - found.ids)),
    )


def _resembled(
    gone: Sequence[str], frozen: Mapping[str, _Frozen], pairs: Sequence[Pair], lock: SplitLock
) -> Iterable[Resembled]:
    """Find the row of today most like each gone one: `NEAR` in its words, or from the same place."""
    rows = [row for row in (frozen[i].row for i in gone) if row is not None]
    if not rows or not pairs:
        return
    side = {row.id: part for part, rows in _sides(lock) for row in rows.rows}
    at_place = {pair.source: n for n, pair in enumerate(pairs) if pair.id in side}
    hashed = [" ".join(_word_hashes(pair.input)) for pair in pairs]
    texts = [" ".join(row.words) for row in rows]
    alike = {s.first: s for s in nearest(texts, hashed, count=len(texts), at_least=NEAR)}
    for number, row in enumerate(rows):
        here = at_place.get(row.place) if row.place else None
        at = alike[number].second if number in alike else here
        if at is not None and pairs[at].id in side:
            yield Resembled(
                old_id=row.id,
                new_id=pairs[at].id,
                similarity=round(_jaccard(row.words, hashed[at].split()), 4),
                same_place=at == here,
                part=side[pairs[at].id],
            )


def _sides(lock: SplitLock) -> tuple[tuple[Part, PartLock], ...]:
    return ("train", lock.train), ("dev", lock.dev), ("test", lock.test)


_SHOWN = 5


def thaw_lines(found: Thaw) -> list[str]:
    """Say it in a few lines for a person."""
    versions = ", ".join(map(str, found.earlier))
    lines = [
        f"Version {found.version} after {versions}: of the earlier test rows {len(found.kept)} are kept, "
        f"{len(found.relabelled)} have another output, {len(found.changed)} changed, "
        f"{len(found.moved)} under another id, {len(found.gone)} gone; {len(found.added)} test rows are new."
    ]
    for what, ids in (
        ("another output", found.relabelled),
        ("changed", found.changed),
        ("gone", found.gone),
        ("gone, but a row of today resembles it", [_told(row) for row in found.resembled]),
    ):
        if ids:
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            lines.append(f"  {what}: {', '.join(ids[:_SHOWN])}{more}")
    if any(row.part != "test" for row in found.resembled):
        lines.append(
            "  If such a row is the earlier one with a mended input, it is trained or chosen on now: give it "
            "its old id (data.id_column), or delete it."
        )
    if found.relabelled or found.changed or found.gone or found.added:
        lines.append("  Results on the earlier test do not carry over; compare arms on this one anew.")
    return lines


def _told(row: Resembled) -> str:
    why = f"{row.similarity:.2f}{', same place' if row.same_place else ''}"
    return f"{row.old_id} → {row.new_id} ({why}, now in {row.part})"
