"""Examples and prompt of the teacher → a lock from before the first draft, kept by every later one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tuneproof.artifacts import Artifact, LeftOut, Pair, TaskFile, canonical_json, sha256_of
from tuneproof.artifacts.case import DataSection
from tuneproof.errors import BadInput, LockBroken, NotReady
from tuneproof.outside.files import atomic_write
from tuneproof.outside.readers import pairs_from, read_rows
from tuneproof.outside.spend_costs import has_answered, last_call
from tuneproof.shelves import LOCKS
from tuneproof.teacher_prompt import folded_input
from tuneproof.workspace import Workspace

LEAST = 20
"""Examples that a person must have written before a teacher may draft."""
_SHOWN = 20


class DraftingLock(Artifact):
    """`locks/drafting-v1.lock.json`: what the teacher was told, by hash."""

    version: int
    """Of drafting, by `drafting.version`."""
    examples: int
    """How many there are."""
    parts: dict[str, str]
    """Key of task.yaml, or `examples` → hash of its value."""
    after_call: int = 0
    """Number of the last call in the spend ledger when it was written; later calls were made under it."""


def read_examples(task_file: TaskFile, root: Path, problem_of: Callable[[str], str]) -> tuple[Pair, ...]:
    """Read the pairs that a person wrote.

    Args:
        task_file: `drafting.examples` names the file, seen from the project folder.
        root: the project folder.
        problem_of: says why the metric cannot accept an output; "" if it can.

    Raises:
        NotReady: there are fewer than 20, or no file.
        BadInput: a row is no pair, its output has not the form of an answer, or an input comes twice; all
            problems are named at once.
    """
    name = task_file.drafting.examples
    if not (root / name).exists():
        raise NotReady(
            f"{name} does not exist: before a teacher drafts, a person writes {LEAST} pairs.",
            remedy=f'Write {LEAST} lines such as {{"input": "…", "output": "…"}} into it, hard cases among '
            "them, or name another file in drafting.examples.",
        )
    found = read_rows(root / name, shown=name)
    section = DataSection(source=name, licence=task_file.data.licence)
    pairs, no_pairs = (
        pairs_from(found.rows, section, task_file.task.system_prompt) if found.rows else ((), ())
    )
    if bad := (*found.rejected, *no_pairs, *_bad(pairs, problem_of)):
        lines = [f"{row.place}: {row.reason}" for row in bad[:_SHOWN]]
        lines += [f"… and {len(bad) - _SHOWN:,} more"] if len(bad) > _SHOWN else []
        raise BadInput("\n".join(lines), remedy=f"Correct these examples in {name}.")
    if len(pairs) < LEAST:
        raise NotReady(
            f"{name} holds {len(pairs)} examples; {LEAST} are needed, written by a person.",
            remedy=f"Write {LEAST - len(pairs)} more, for inputs as they really come.",
        )
    return pairs


def _bad(pairs: Sequence[Pair], problem_of: Callable[[str], str]) -> list[LeftOut]:
    first: dict[str, str] = {}
    bad: list[LeftOut] = []
    for pair in pairs:
        where = first.setdefault(folded_input(pair.input), pair.source)
        if not pair.input.strip():
            bad.append(LeftOut(place=pair.source, reason=f"its input is empty: {pair.input[:40]!r}"))
        elif where != pair.source:
            bad.append(LeftOut(place=pair.source, reason=f"its input is that of {where}"))
        elif problem := problem_of(pair.output):
            bad.append(LeftOut(place=pair.source, reason=f"its output {pair.output[:80]!r} {problem}"))
    return bad


def lock_of(task_file: TaskFile, examples: Sequence[Pair], files: dict[str, str]) -> DraftingLock:
    """Hash what decides the teacher's prompt.

    Args:
        task_file: the task.
        examples: the pairs that a person wrote, in their order.
        files: place in task.yaml → digest of the file that is named there; the teacher sees the schema.
    """
    task = task_file.task
    values = {
        "examples": [[pair.input, pair.output] for pair in examples],
        "task.system_prompt": task.system_prompt,
        "task.output": task.output,
        "task.metric": task.metric,
        "task.answer_pattern": task.answer_pattern,
        "drafting.conventions": task_file.drafting.conventions,
        "scoring": task_file.scoring.model_dump(mode="json"),
    }
    parts = {name: sha256_of(canonical_json(value)) for name, value in values.items()}
    if "scoring.json_schema" in files:
        parts["file of scoring.json_schema"] = files["scoring.json_schema"]
    return DraftingLock(version=task_file.drafting.version, examples=len(examples), parts=parts)


def keep_drafting_lock(workspace: Workspace, lock: DraftingLock, ledger: Path, purpose: str) -> None:
    """Write the lock before the first draft; later it must be the same one.

    Until a call is answered after it was written, nothing that was locked has been used, and it may change.

    Args:
        workspace: the project.
        lock: of what the teacher would be told now.
        ledger: the file that has all calls.
        purpose: whose calls, in the ledger.

    Raises:
        LockBroken: what the teacher is told has changed since the first draft.
    """
    path = workspace.root / LOCKS / f"drafting-v{lock.version}.lock.json"
    if path.exists():
        before = workspace.parsed(path.read_bytes(), DraftingLock, path)
        if before.parts == lock.parts:
            return
        if has_answered(ledger, purpose=purpose, after=before.after_call):
            raise _broken(before, lock, workspace.shown(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = lock.model_copy(update={"after_call": last_call(ledger)})
    atomic_write(path, (lock.model_dump_json(indent=1) + "\n").encode())


def _broken(before: DraftingLock, lock: DraftingLock, shown: str) -> LockBroken:
    names = dict.fromkeys((*before.parts, *lock.parts))
    changed = [name for name in names if before.parts.get(name) != lock.parts.get(name)]
    return LockBroken(
        f"{', '.join(changed)} changed since the first draft: {shown} was written before it.",
        remedy=f"Put it back as it was, or set `drafting.version: {lock.version + 1}` in task.yaml: "
        "then drafts with another prompt are made, and paid for, again.",
    )
