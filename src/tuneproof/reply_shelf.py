"""The replies, the plan and the test access ledger of the comparing steps, on disk as they come."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tuneproof.artifacts import Comparison, EvalPlan, LedgerEntry, Reply, TestSet, canonical_json
from tuneproof.errors import LockBroken, MissingArtifact
from tuneproof.outside.files import append_line, atomic_write
from tuneproof.outside.machine import now
from tuneproof.shelves import rows_of
from tuneproof.workspace import Workspace
from tuneproof.workspace_inputs import KEPT

LEDGER, PAID = "ledger.jsonl", "paid"


class Replies:
    """The replies of one arm, a line each, on disk before the next question is asked; a `ReplyLog`."""

    def __init__(self, path: Path, kept: Path | None = None) -> None:
        self._path, self._kept = path, kept

    def replies(self) -> dict[str, Reply]:
        """Return the replies that are whole; a line torn by a crash is dropped from the file."""
        text = _whole(self._path).decode("utf-8", errors="replace")
        return {reply.item_id: reply for reply in rows_of(text, Reply, self._path.name)}

    def append(self, reply: Reply) -> None:
        """Store one reply durably, and once more where a comparison that is begun anew finds it."""
        line = canonical_json(reply.model_dump(mode="json", exclude_defaults=True))
        for path in filter(None, (self._path, self._kept)):
            append_line(path, line)


def _whole(path: Path) -> bytes:
    """Return the lines of a file that are whole; one torn by a crash is dropped from the file."""
    data = path.read_bytes() if path.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]  # bytes: a line can be torn inside a character
    if whole != data:
        atomic_write(path, whole)
    return whole


class TestDesk:
    """Plan, ledger and reply files of one step's comparison; a `TestRecords`."""

    __test__ = False  # pytest would collect a class of this name

    def __init__(self, workspace: Workspace, verb: str) -> None:
        self._workspace, self._verb = workspace, verb
        self._kept_at: dict[str, Path] = {}
        (workspace.folder(verb) / "replies").mkdir(exist_ok=True)

    def keep_plan(self, plan: EvalPlan) -> None:
        """Store the plan before the first access."""
        self._workspace.write(self._verb, "eval_plan.json", plan.model_dump_json(indent=1) + "\n")

    def accessed(self, arm: str, plan_digest: str) -> None:
        """Append to the ledger, chained to the entry before."""
        record_access(self._workspace, f"tuneproof {self._verb}", arm, plan_digest)

    def log(self, arm: str, key: str = "", *, paid: bool = False) -> Replies:
        """Open an arm's replies, with those that were kept under the same key.

        Each is kept as it comes: after a wrong key or a spend limit task.yaml may change, which empties the
        step's folder, and what was answered is paid for.
        """
        path = self._path(arm)
        if not key:
            return Replies(path)
        kept = self._kept_at[arm] = self._kept(arm, key, PAID if paid else self._verb)
        kept.parent.mkdir(parents=True, exist_ok=True)
        there, other = (path, kept) if path.exists() else (kept, path)
        if found := _whole(there):
            atomic_write(other, found)
        return Replies(path, kept)

    def keep(self) -> None:
        """Keep the replies for a comparison that is made again: a new metric asks no model again."""
        for arm, kept in self._kept_at.items():
            if self._path(arm).exists():
                atomic_write(kept, self._path(arm).read_bytes())

    def _path(self, arm: str) -> Path:
        return self._workspace.folder(self._verb) / "replies" / f"{arm}.jsonl"

    def _kept(self, arm: str, key: str, under: str) -> Path:
        return self._workspace.root / KEPT / under / f"{arm}-{key.removeprefix('sha256:')[:16]}.jsonl"


def record_access(workspace: Workspace, who: str, arm: str, plan_digest: str) -> None:
    """Append an access to the ledger, chained to the entry before.

    Args:
        workspace: the project.
        who: the command.
        arm: what was or will be measured.
        plan_digest: its plan; empty for an export or a first import, which measure nothing and are no
            round; the digest of the file for an import in place of another, which is one.
    """
    entries = ledger(workspace)
    previous = entries[-1].digest if entries else "genesis"
    entry = LedgerEntry(at=now(), who=who, arm=arm, plan_digest=plan_digest, previous=previous)
    append_line(workspace.root / LEDGER, canonical_json(entry.model_dump(mode="json")))


def ledger(workspace: Workspace) -> tuple[LedgerEntry, ...]:
    """Read the test access ledger and check its chain.

    It lies beside the steps' folders, so that making a step again does not forget an access.

    Raises:
        LockBroken: an entry was changed, removed or moved.
    """
    path = workspace.root / LEDGER
    if not path.exists():
        return ()
    entries = rows_of(path.read_bytes().decode("utf-8", errors="replace"), LedgerEntry, LEDGER)
    previous = "genesis"
    for number, entry in enumerate(entries, 1):
        if entry.previous != previous:
            raise LockBroken(
                f"{workspace.shown(path)}:{number}: the chain is broken, an entry before it was changed.",
                remedy="Put the ledger back: without it nobody can say how often the test was read.",
            )
        previous = entry.digest
    return entries


def forget_replies(workspace: Workspace, verb: str) -> None:
    """Drop a step's kept replies: `--again` asks every local model again; what was paid for stays."""
    shutil.rmtree(workspace.root / KEPT / verb, ignore_errors=True)


def rounds(workspace: Workspace, arms: Sequence[str], plan_digest: str) -> int:
    """Count the distinct plans in the ledger, which must hold every measured arm under this plan.

    Raises:
        LockBroken: an access is not in the ledger.
    """
    entries = ledger(workspace)
    noted = {entry.arm for entry in entries if entry.plan_digest == plan_digest}
    if missing := [arm for arm in arms if arm not in noted]:
        raise LockBroken(
            f"{workspace.shown(workspace.root / LEDGER)} does not hold the test access of {missing[0]!r}.",
            remedy="Put the ledger back: without it nobody can say how often the test was read."
            + ("" if noted else " If tuneproof was updated since, its plan is another: compare --again."),
        )
    return len({entry.plan_digest for entry in entries if entry.plan_digest})


def replies_of(workspace: Workspace, verb: str, arms: Sequence[str]) -> dict[str, tuple[Reply, ...]]:
    """Read a finished step's replies, each file checked against its recorded hash."""
    return {
        arm: rows_of(workspace.read(verb, f"replies/{arm}.jsonl"), Reply, f"replies/{arm}.jsonl")
        for arm in arms
    }


def all_replies_of(workspace: Workspace, verb: str) -> dict[str, tuple[Reply, ...]]:
    """Read every reply file of a finished step but those of dev, repeats and second answers among them."""
    made = workspace.made(verb)
    names = [ref.name for ref in made.files] if made else []
    arms = [name.removeprefix("replies/").removesuffix(".jsonl") for name in names if "replies/" in name]
    return replies_of(workspace, verb, [arm for arm in arms if not arm.startswith("dev-")])


def every_reply(workspace: Workspace, test: TestSet) -> dict[str, tuple[Reply, ...]]:
    """Collect the replies of all arms of both comparing steps, in the order of the items."""
    found = all_replies_of(workspace, "compare") | all_replies_of(workspace, "serve")
    return {name: known_in_order(replies, test) for name, replies in found.items()}


def dev_replies(workspace: Workspace, arms: Sequence[str]) -> dict[str, list[tuple[Reply, ...]]]:
    """Read what each of `arms` answered on dev, one part a prompt variant."""
    made = workspace.made("compare")
    names = [Path(ref.name).stem for ref in made.files] if made else []
    found = {
        arm: [name for name in names if re.fullmatch(rf"dev-{re.escape(arm)}-[a-z]+-[0-9]+", name)]
        for arm in arms
    }
    return {arm: list(replies_of(workspace, "compare", each).values()) for arm, each in found.items() if each}


def base_replies(workspace: Workspace, comparison: Comparison) -> tuple[Reply, ...]:
    """Read what the best base answered without constraint."""
    name = "base-best" if "base-best" in comparison.chosen else "base-0-shot"
    return replies_of(workspace, "compare", [name])[name]


def in_test_order(replies: Sequence[Reply], test: TestSet) -> tuple[Reply, ...]:
    """Put replies in the order of the items.

    Raises:
        MissingArtifact: an item has no reply.
    """
    known = {reply.item_id: reply for reply in replies}
    if missing := [item.id for item in test.items if item.id not in known]:
        raise MissingArtifact(
            f"{len(missing)} items have no reply, first {missing[0]!r}.", remedy="tuneproof compare --again"
        )
    return known_in_order(replies, test)


def known_in_order(replies: Sequence[Reply], test: TestSet) -> tuple[Reply, ...]:
    """Put the replies to some of the items in the order of the items; of two to one item the later counts."""
    known = {reply.item_id: reply for reply in replies}
    return tuple(known[item.id] for item in test.items if item.id in known)
