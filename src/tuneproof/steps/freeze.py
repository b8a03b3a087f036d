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
from tuneproof.statistics import minimum_detectable_gain
from tuneproof.twins import NEAR, groups, nearest, similar_pairs, templates, words

METHOD = (
    f"groups = chains of word-set Jaccard >= {NEAR} or equal template; whole groups in SHA-256 order; "
    "test first, then dev, rest train; groups above 1/20 of a part stay in train"
)
_NEAREST_SHOWN = 10
_LEAST_TRAIN = 10


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
    sizes = case.task_file.split
    rows = _grouped(reviewed, by_template=sizes.same_template == "together")
    test, rest = _take(rows, sizes.test)
    dev, train = _take(rest, sizes.dev)
    _check_sizes(case, (len(test), len(dev), len(train)), rows)
    leaks = _leaks(test, dev, train)
    split = Split(
        train=TrainSet(pairs=tuple(train)),
        dev=DevSet(pairs=tuple(dev)),
        test=TestSet(items=tuple(Item(**row.model_dump()) for row in test)),
        lock=_lock(case, _method(case, reviewed), (test, dev, train)),
        leaks=leaks,
    )
    _check_leaks(leaks, by_template=sizes.same_template == "together")
    _check_frozen_before(split.lock, frozen_before)
    return split


def _method(case: Case, reviewed: Reviewed) -> str:
    """Say how the rows were divided; the words of a bundled lock must not change."""
    declared = "; rows of one declared group together" if any(p.group for p in reviewed.pairs) else ""
    apart = case.task_file.split.same_template == "apart"
    return (METHOD.replace(" or equal template", " or equal text") if apart else METHOD) + declared


def _grouped(reviewed: Reviewed, *, by_template: bool) -> list[SplitRow]:
    # A group is named after its first row, so the rows need an order of their own. It must not be the
    # one in which groups are taken: large groups would then come first, and the test would be full of them.
    pairs = sorted(reviewed.pairs, key=lambda p: _hash_order(f"0 {p.id}"))
    first = groups(
        [p.input for p in pairs],
        [p.output for p in pairs],
        declared=[p.group for p in pairs],
        by_template=by_template,
    )
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


def _check_sizes(case: Case, got: tuple[int, int, int], rows: list[SplitRow]) -> None:
    test, dev, train = got
    sizes = case.task_file.split
    if test >= sizes.test and dev >= sizes.dev and train >= _LEAST_TRAIN:
        return
    raise NotReady(
        f"{len(rows)} reviewed pairs give {test} test, {dev} dev and {train} train rows; the case asks for "
        f"{sizes.test} test and {sizes.dev} dev.{_largest_group(sizes.test, rows)}{_detectable(case, test)}",
        remedy="Add pairs, or lower split.test (not below 50) and split.dev in task.yaml.",
    )


def _largest_group(wanted: int, rows: list[SplitRow]) -> str:
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.group] = sizes.get(row.group, 0) + 1
    name, largest = max(sizes.items(), key=lambda item: item[1], default=("", 0))
    if largest <= max(1, wanted // 20):
        return ""
    return (
        f" Groups: {len(sizes)}; the largest, around {name!r}, has {largest} rows, and a group "
        f"of more than {max(1, wanted // 20)} stays in train. Rows that differ only in numbers or in words "
        "of their answer are one group; `split.same_template: apart` parts them, if that is what the task is."
    )


def _detectable(case: Case, test: int) -> str:
    """Say which gain a test of this size could show, so that nobody lowers it without knowing."""
    try:
        gain = minimum_detectable_gain(test, alpha=case.task_file.gate.alpha)
    except ValueError:
        return f" With {test} test items no gain of any size could be shown."
    return (
        f" With {test} test items only a gain of {gain * 100:.1f} points or more would be found (80 % power)."
    )


def _leaks(test: list[SplitRow], dev: list[SplitRow], train: list[SplitRow]) -> LeakReport:
    others = [(row, "dev") for row in dev] + [(row, "train") for row in train]
    seen_inputs = {" ".join(words(row.input)) for row, _ in others}
    everyone = [*test, *(row for row, _ in others)]
    alike = templates([row.input for row in everyone], [row.output for row in everyone])
    seen_templates = set(alike[len(test) :])
    close = nearest([r.input for r in test], [r.input for r, _ in others], count=_NEAREST_SHOWN)
    counts: dict[str, int] = {}
    for row in [*test, *dev, *train]:
        counts[row.group] = counts.get(row.group, 0) + 1
    trained_outputs = {row.output for row in train}
    return LeakReport(
        exact=sum(" ".join(words(r.input)) in seen_inputs for r in test),
        same_template=sum(like in seen_templates for like in alike[: len(test)]),
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


def _check_leaks(leaks: LeakReport, *, by_template: bool) -> None:
    templates = leaks.same_template if by_template else 0
    if leaks.exact or templates or leaks.near or leaks.straddling_groups:
        raise NotReady(
            f"The split leaks: {leaks.exact} exact, {leaks.near} near, {leaks.same_template} same-template "
            f"test rows and {leaks.straddling_groups} straddling groups.",
            remedy="This is a fault of grouping; report it with your task.yaml and the version of tuneproof.",
        )


def _lock(case: Case, method: str, parts: tuple[list[SplitRow], list[SplitRow], list[SplitRow]]) -> SplitLock:
    test, dev, train = parts
    task_file = case.task_file
    return SplitLock(
        case=task_file.name,
        version=task_file.split.version,
        method=method,
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
        remedy="Undo the change to the pairs, the system prompt or `split:` (a bundled case: install the "
        "pinned licensedcode-data==32.1.0). If it is wanted, set "
        f"split.version: {before.version + 1} in task.yaml: results on the old test do not carry over.",
    )


def _hash_order(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8")).digest()
