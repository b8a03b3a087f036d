"""Step 4 · freeze: Reviewed → Split.

The held-out groups are the first ones in hash order, so the choice depends on their names alone:
not on review order, on the clock, or on a seed that someone could retry. Twins share a group, and a
group that would be more than a twentieth of a part stays in train: one template must not be the test.
"""

from __future__ import annotations

import hashlib

from tuneproof.artifacts import (
    Case,
    DevSet,
    Item,
    LeakReport,
    Reviewed,
    Split,
    SplitLock,
    SplitRow,
    TestSet,
    TrainSet,
    Twin,
    lock_part,
)
from tuneproof.errors import LockBroken, NotReady
from tuneproof.prompt import prompts_hash
from tuneproof.twins import NEAR, groups, nearest, similar_pairs, template, words

METHOD = (
    f"groups = chains of word-set Jaccard >= {NEAR} or equal template; whole groups in SHA-256 order; "
    "test first, then dev, rest train; groups above 1/20 of a part stay in train"
)
_NEAREST_SHOWN = 10


def freeze(case: Case, reviewed: Reviewed, *, frozen_before: SplitLock | None = None) -> Split:
    """Divide `reviewed` into train, dev and test, whole groups at a time, and lock it by hash.

    Args:
        case: sizes and the system prompt.
        reviewed: the pairs that may go on.
        frozen_before: the lock of an earlier freeze of the same rows; the new one must equal it.

    Raises:
        NotReady: too few rows for the wanted test and dev, or a twin would cross the split.
        LockBroken: the split differs from `frozen_before`.
    """
    rows = _grouped(reviewed)
    sizes = case.task_file.split
    test, rest = _take(rows, sizes.test)
    dev, train = _take(rest, sizes.dev)
    _check_sizes(case, test=len(test), dev=len(dev), train=len(train), reviewed=len(rows))
    leaks = _leaks(test, dev, train)
    split = Split(
        train=TrainSet(pairs=tuple(train)),
        dev=DevSet(pairs=tuple(dev)),
        test=TestSet(items=tuple(Item(**row.model_dump()) for row in test)),
        lock=_lock(case, test, dev, train),
        leaks=leaks,
    )
    _check_leaks(leaks)
    _check_frozen_before(split.lock, frozen_before)
    return split


def _grouped(reviewed: Reviewed) -> list[SplitRow]:
    # A group is named after its first row, so the rows need an order of their own. It must not be the
    # one in which groups are taken: large groups would then come first, and the test would be full of them.
    pairs = sorted(reviewed.pairs, key=lambda p: _hash_order(f"0 {p.id}"))
    first = groups([p.input for p in pairs], [p.output for p in pairs])
    rows = [
        SplitRow(id=p.id, group=pairs[g].id, input=p.input, output=p.output)
        for p, g in zip(pairs, first, strict=True)
    ]
    return sorted(rows, key=lambda row: (_hash_order(row.group), _hash_order(row.id)))


def _take(rows: list[SplitRow], wanted: int) -> tuple[list[SplitRow], list[SplitRow]]:
    """Take whole groups from the front until exactly `wanted` rows are taken, if their sizes allow it."""
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.group] = sizes.get(row.group, 0) + 1
    taken: set[str] = set()
    room = wanted
    for group, size in sizes.items():
        if size <= min(room, max(1, wanted // 20)):
            taken.add(group)
            room -= size
    return [r for r in rows if r.group in taken], [r for r in rows if r.group not in taken]


def _check_sizes(case: Case, *, test: int, dev: int, train: int, reviewed: int) -> None:
    sizes = case.task_file.split
    if test < sizes.test or dev < sizes.dev or train < 10:
        raise NotReady(
            f"{reviewed} reviewed pairs give {test} test, {dev} dev and {train} train rows; "
            f"the case asks for {sizes.test} test and {sizes.dev} dev.",
            remedy="Add pairs, or lower split.test (not below 50) and split.dev in task.yaml.",
        )


def _leaks(test: list[SplitRow], dev: list[SplitRow], train: list[SplitRow]) -> LeakReport:
    others = [(row, "dev") for row in dev] + [(row, "train") for row in train]
    seen_inputs = {" ".join(words(row.input)) for row, _ in others}
    seen_templates = {template(row.input, row.output) for row, _ in others}
    close = nearest([r.input for r in test], [r.input for r, _ in others], count=_NEAREST_SHOWN)
    counts: dict[str, int] = {}
    for row in [*test, *dev, *train]:
        counts[row.group] = counts.get(row.group, 0) + 1
    trained_outputs = {row.output for row in train}
    return LeakReport(
        exact=sum(" ".join(words(r.input)) in seen_inputs for r in test),
        same_template=sum(template(r.input, r.output) in seen_templates for r in test),
        near=_crossing(test, [row for row, _ in others]),
        straddling_groups=len({r.group for r in test} & {r.group for r, _ in others}),
        near_threshold=NEAR,
        groups=len(counts),
        largest_group=max(counts.values()),
        unseen_outputs=sum(r.output not in trained_outputs for r in test),
        nearest=tuple(
            Twin(
                test_id=test[s.first].id,
                other_id=others[s.second][0].id,
                other_part=others[s.second][1],
                similarity=round(s.similarity, 4),
            )
            for s in close
        ),
    )


def _crossing(test: list[SplitRow], others: list[SplitRow]) -> int:
    texts = [row.input for row in [*test, *others]]
    return len({s.first for s in similar_pairs(texts, threshold=NEAR) if s.first < len(test) <= s.second})


def _check_leaks(leaks: LeakReport) -> None:
    if leaks.exact or leaks.same_template or leaks.near or leaks.straddling_groups:
        raise NotReady(
            f"The split leaks: {leaks.exact} exact, {leaks.near} near, {leaks.same_template} same-template "
            f"test rows and {leaks.straddling_groups} straddling groups.",
            remedy="This is a fault of grouping; report it with your task.yaml and the version of tuneproof.",
        )


def _lock(case: Case, test: list[SplitRow], dev: list[SplitRow], train: list[SplitRow]) -> SplitLock:
    task_file = case.task_file
    return SplitLock(
        case=task_file.name,
        version=task_file.split.version,
        method=METHOD,
        prompt_sha256=prompts_hash(task_file.task.system_prompt, [row.input for row in test]),
        train=lock_part(tuple(train)),
        dev=lock_part(tuple(dev)),
        test=lock_part(tuple(test)),
    )


def _check_frozen_before(lock: SplitLock, before: SplitLock | None) -> None:
    if before is None or before == lock:
        return
    changed = [
        name
        for name in ("case", "version", "method", "prompt_sha256", "train", "dev", "test")
        if getattr(lock, name) != getattr(before, name)
    ]
    raise LockBroken(
        f"The split of case {lock.case!r} was frozen as version {before.version}; "
        f"these pairs and settings give another {', '.join(changed)}.",
        remedy="Install the pinned data package (licensedcode-data==32.1.0) and undo changes to the prompt "
        "and to split: in task.yaml; a wanted change needs a new split.version and a lock of its own.",
    )


def _hash_order(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8")).digest()
