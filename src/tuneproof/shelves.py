"""Artifacts ⇄ the files of their step's folder: how each record is laid out on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from tuneproof.artifacts import (
    Artifact,
    Case,
    DevSet,
    DraftRow,
    Drafts,
    Item,
    LeakReport,
    LeftOut,
    Pair,
    Provenance,
    Record,
    Reviewed,
    Split,
    SplitLock,
    SplitRow,
    TestSet,
    TrainSet,
    canonical_json,
    lock_part,
    sha256_of,
)
from tuneproof.artifacts.data_report import KeptRows
from tuneproof.errors import LockBroken, TuneproofError
from tuneproof.outside.files import atomic_write
from tuneproof.outside.machine import now
from tuneproof.steps import step_of
from tuneproof.thaw import kept_rows
from tuneproof.workspace import Workspace

R = TypeVar("R", bound=Record)
A = TypeVar("A", bound=Artifact)

LOCKS = "locks"
CALLS, REVIEWED = "calls.jsonl", "reviewed.jsonl"
"""How each output was drafted, in `2-drafts`; the pairs that go on, in `3-review`."""
PARTS = ("train", "dev", "test")


def put(workspace: Workspace, verb: str, artifact: Artifact) -> None:
    """Write a step's main file: the artifact as JSON."""
    workspace.write(verb, step_of(verb).makes, artifact.model_dump_json(indent=1) + "\n")


def take(workspace: Workspace, verb: str, kind: type[A]) -> A:
    """Read a step's main file back."""
    return _parsed(workspace, verb, step_of(verb).makes, kind)


def _parsed(workspace: Workspace, verb: str, name: str, kind: type[R]) -> R:
    return workspace.parsed(workspace.read(verb, name), kind, workspace.folder(verb) / name)


def take_case(workspace: Workspace) -> Case:
    """Read the case."""
    return take(workspace, "init", Case)


def lines_of(records: Sequence[Record]) -> str:
    """Write records as canonical JSON, one a line."""
    return "".join(canonical_json(record.model_dump(mode="json")) + "\n" for record in records)


def rows_of(text: str, kind: type[R], where: str) -> tuple[R, ...]:
    """Read records, one a line; `where` is how messages call the file.

    Raises:
        LockBroken: a line is no such record.
    """
    rows = []
    # Not splitlines(): inside a JSON text, U+2028 and its like are letters.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise LockBroken(
                f"{where}:{number}: not a {kind.__name__}: {line[:80]!r}",
                remedy="Put the file back as it was made.",
            ) from error
    return tuple(rows)


def put_drafts(workspace: Workspace, drafts: Drafts) -> None:
    """Write the pairs, one a line, and beside them where they came from."""
    workspace.write("draft", drafts_file(drafts.provenance), lines_of(drafts.pairs))
    if drafts.rows:
        workspace.write("draft", CALLS, lines_of(drafts.rows))
    if drafts.rejected:
        workspace.write("draft", "left_out.jsonl", lines_of(drafts.rejected))
    head = {"provenance": drafts.provenance.model_dump(), "left_out": drafts.left_out}
    workspace.write("draft", "provenance.json", json.dumps(head, indent=1, ensure_ascii=False) + "\n")


def take_drafts(workspace: Workspace) -> Drafts:
    """Read the pairs back."""
    head = json.loads(workspace.read("draft", "provenance.json"))
    provenance = Provenance.model_validate(head["provenance"])
    name = drafts_file(provenance)
    pairs = rows_of(workspace.read("draft", name), Pair, f"2-drafts/{name}")
    rows: tuple[DraftRow, ...] = ()
    if (workspace.folder("draft") / CALLS).exists():
        rows = rows_of(workspace.read("draft", CALLS), DraftRow, f"2-drafts/{CALLS}")
    rejected: tuple[LeftOut, ...] = ()
    if (workspace.folder("draft") / "left_out.jsonl").exists():
        rejected = rows_of(workspace.read("draft", "left_out.jsonl"), LeftOut, "2-drafts/left_out.jsonl")
    return Drafts(
        provenance=provenance,
        pairs=pairs,
        left_out=head["left_out"],
        rejected=rejected,
        rows=rows,
    )


def drafts_file(provenance: Provenance) -> str:
    """Return the name of the file of pairs in `2-drafts`."""
    return "drafts.jsonl" if provenance.kind == "drafted" else "imported.jsonl"


def put_reviewed(workspace: Workspace, reviewed: Reviewed, decisions: str = "") -> None:
    """Write the decisions, and the reviewed set without pairs that 2-drafts already holds.

    Args:
        workspace: the project.
        reviewed: what goes on.
        decisions: the desk's, as JSON Lines; empty where an authority vouches for all pairs.
    """
    event = {
        "kind": "authority",
        "at": now(),
        "statement": reviewed.statement,
        "pairs": len(reviewed.pairs),
        "pairs_sha256": sha256_of(lines_of(reviewed.pairs)),
    }
    workspace.write("review", "events.jsonl", decisions or canonical_json(event) + "\n")
    if reviewed.figures is not None:
        workspace.write("review", REVIEWED, lines_of(reviewed.pairs))
    workspace.write("review", "reviewed.json", reviewed.model_dump_json(indent=1, exclude={"pairs"}) + "\n")


def take_reviewed(workspace: Workspace) -> Reviewed:
    """Read the reviewed set; pairs that an authority vouches for are all accepted as they are."""
    head = json.loads(workspace.read("review", "reviewed.json"))
    if head.get("figures") is None:
        return Reviewed.model_validate(head | {"pairs": take_drafts(workspace).pairs})
    pairs = rows_of(workspace.read("review", REVIEWED), Pair, f"3-review/{REVIEWED}")
    return Reviewed.model_validate(head | {"pairs": pairs})


def put_split(workspace: Workspace, split: Split) -> None:
    """Write the three parts, the lock and the leak report."""
    for name, rows in zip(PARTS, (split.train.pairs, split.dev.pairs, split.test.items), strict=True):
        workspace.write("freeze", f"{name}.jsonl", lines_of(rows))
    workspace.write("freeze", "leaks.json", split.leaks.model_dump_json(indent=1) + "\n")
    put(workspace, "freeze", split.lock)


def keep_lock(workspace: Workspace, lock: SplitLock) -> None:
    """Keep a copy of a frozen lock beside the steps' folders; one that is there already must equal it.

    Beside it go hashes of its test rows' inputs, for the freezes of later versions.

    Raises:
        LockBroken: this version was frozen otherwise, or its test rows are not those of the lock.
    """
    path = _kept_lock_path(workspace, lock.version)
    if path.exists():
        if workspace.parsed(path.read_bytes(), SplitLock, path) != lock:
            raise LockBroken(
                f"{workspace.shown(workspace.folder('freeze'))} is not the split that was frozen as version "
                f"{lock.version}: {workspace.shown(path)} says otherwise.",
                remedy="Put the frozen files back; a wanted change needs a new split.version in task.yaml.",
            )
    else:
        path.parent.mkdir(exist_ok=True)
        atomic_write(path, (lock.model_dump_json(indent=1) + "\n").encode())
    _keep_test_rows(workspace, lock)


def _keep_test_rows(workspace: Workspace, lock: SplitLock) -> None:
    path = workspace.root / LOCKS / f"split-v{lock.version}.inputs.json"
    if path.exists() or not (workspace.folder("freeze") / "test.jsonl").exists():
        return
    test = _locked_rows(workspace, "test", lock)
    try:
        pairs = {pair.id: pair for pair in take_reviewed(workspace).pairs}
    except (TuneproofError, OSError):  # places are only told to a person; the split stands without them
        pairs = {}
    # The review may be a later one already: a pair of another input came from somewhere else.
    places = {r.id: pairs[r.id].source for r in test if r.id in pairs and pairs[r.id].input == r.input}
    atomic_write(path, (kept_rows(lock, test, places).model_dump_json(indent=1) + "\n").encode())


def kept_test_rows(workspace: Workspace) -> tuple[KeptRows, ...]:
    """Return what was kept of the test rows of all versions that this project froze, by version."""
    paths = (workspace.root / LOCKS).glob("split-v*.inputs.json")
    found = (workspace.parsed(path.read_bytes(), KeptRows, path) for path in paths)
    return tuple(sorted(found, key=lambda rows: rows.version))


def kept_lock(workspace: Workspace, version: int) -> SplitLock | None:
    """Return the lock that this project froze as `version`, if it did.

    It lies beside the steps' folders: neither a new freeze nor a deleted folder makes the project forget
    what its test was.
    """
    path = _kept_lock_path(workspace, version)
    if path.exists():
        return workspace.parsed(path.read_bytes(), SplitLock, path)
    if workspace.made("freeze") is None:
        return None
    lock = take(workspace, "freeze", SplitLock)
    return lock if lock.version == version else None


def kept_locks(workspace: Workspace) -> tuple[SplitLock, ...]:
    """Return the locks of all versions that this project froze, by version."""
    paths = (workspace.root / LOCKS).glob("split-v*.lock.json")
    locks = (workspace.parsed(path.read_bytes(), SplitLock, path) for path in paths)
    return tuple(sorted(locks, key=lambda lock: lock.version))


def _kept_lock_path(workspace: Workspace, version: int) -> Path:
    return workspace.root / LOCKS / f"split-v{version}.lock.json"


def take_split(workspace: Workspace) -> Split:
    """Read the split and prove every row against the lock.

    Raises:
        LockBroken: a row was changed, added, removed or moved, or the lock itself was edited.
    """
    lock = take(workspace, "freeze", SplitLock)
    parts = {name: _locked_rows(workspace, name, lock) for name in PARTS}
    split = Split(
        train=TrainSet(pairs=parts["train"]),
        dev=DevSet(pairs=parts["dev"]),
        test=TestSet(items=tuple(Item(**row.model_dump()) for row in parts["test"])),
        lock=lock,
        leaks=_parsed(workspace, "freeze", "leaks.json", LeakReport),
    )
    made = workspace.made("freeze")
    if made is None or made.artifact != split.digest or made.record not in {"", split.record_digest}:
        where = workspace.shown(workspace.folder("freeze"))
        raise LockBroken(
            f"{where} is not the split that was frozen: its lock or its made.json was edited.",
            remedy="Put the frozen files back; a wanted change needs a new split.version in task.yaml.",
        )
    return split


def _locked_rows(workspace: Workspace, name: str, lock: SplitLock) -> tuple[SplitRow, ...]:
    path = workspace.folder("freeze") / f"{name}.jsonl"
    where = workspace.shown(path)
    if not path.exists():
        raise LockBroken(
            f"{where} is gone.", remedy="Put the frozen file back; without it nothing is proven."
        )
    data = path.read_bytes()
    rows = rows_of(data.decode("utf-8", errors="replace"), SplitRow, where)
    found, frozen = lock_part(rows), getattr(lock, name)
    if found == frozen and data == lines_of(rows).encode("utf-8"):
        return rows
    raise LockBroken(
        f"{where} is not the file that was frozen: {_difference(found.rows, frozen.rows)}.",
        remedy="Put the frozen file back. Wanted changes need a new split.version in task.yaml and a new "
        "freeze; results on the old test do not carry over.",
    )


def _difference(found: Sequence[Record], frozen: Sequence[Record]) -> str:
    before = {r.id: r.sha256 for r in frozen}  # type: ignore[attr-defined]
    after = {r.id: r.sha256 for r in found}  # type: ignore[attr-defined]
    for what, ids in (
        ("added", [i for i in after if i not in before]),
        ("removed", [i for i in before if i not in after]),
        ("changed", [i for i in after if i in before and after[i] != before[i]]),
    ):
        if ids:
            return f"{len(ids)} {'row' if len(ids) == 1 else 'rows'} {what}, first {ids[0]!r}"
    if list(found) == list(frozen):
        return "the same rows are written in another way"
    return "rows repeated" if len(found) != len(frozen) else "rows were reordered"
