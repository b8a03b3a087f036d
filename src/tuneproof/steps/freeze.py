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
from tuneproof.artifacts.case import wanted_sizes
from tuneproof.errors import LockBroken, NotReady
from tuneproof.prompt import prompts_hash
from tuneproof.statistics import minimum_detectable_gain
from tuneproof.twins import NEAR, groups, nearest, similar_pairs, templates, words

METHOD = (
    f"groups = chains of word-set Jaccard >= {NEAR} or equal template; whole groups in SHA-256 order; "
    "test first, then dev, rest train; groups above 1/20 of a part stay in train"
)
_NEAREST_SHOWN = 10
_LEAST_TRAIN, _LEAST_TEST = 10, 50
_SHARES = (20, 10, 5)
"""The largest group that a part takes, as a fraction of it: the first that fills it."""


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
    wanted_test, wanted_dev = wanted_sizes(sizes, len(rows))
    test, rest, test_share = _take(rows, wanted_test)
    dev, train, dev_share = _take(rest, wanted_dev)
    _check_sizes(case, (test, dev, train), rows)
    leaks = _leaks(test, dev, train)
    split = Split(
        train=TrainSet(pairs=tuple(train)),
        dev=DevSet(pairs=tuple(dev)),
        test=TestSet(items=tuple(Item(**row.model_dump()) for row in test)),
        lock=_lock(case, _method(case, reviewed, (test_share, dev_share)), (test, dev, train)),
        leaks=leaks,
    )
    _check_leaks(leaks, by_template=sizes.same_template == "together")
    _check_frozen_before(case, split.lock, frozen_before)
    return split


def _method(case: Case, reviewed: Reviewed, shares: tuple[int, int]) -> str:
    """Say how the rows were divided; the words of a bundled lock must not change."""
    larger = [
        f"{name} takes groups up to 1/{share}"
        for name, share in zip(("test", "dev"), shares, strict=True)
        if share != _SHARES[0]
    ]
    declared = "; rows of one declared group together" if any(p.group for p in reviewed.pairs) else ""
    apart = case.task_file.split.same_template == "apart"
    method = METHOD.replace(" or equal template", " or equal text") if apart else METHOD
    return "; ".join([method + declared, *larger])


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


def _take(rows: list[SplitRow], wanted: int) -> tuple[list[SplitRow], list[SplitRow], int]:
    """Take whole groups from the front until `wanted` rows are taken; return them, the rest, and the share.

    A group larger than a twentieth of the part is passed over, so that no template is the test; where the
    part would be short without them, a tenth, then a fifth.
    """
    for share in _SHARES:
        taken, rest = _take_up_to(rows, wanted, largest=max(1, wanted // share))
        if len(taken) == wanted:
            break
    return taken, rest, share


def _take_up_to(rows: list[SplitRow], wanted: int, *, largest: int) -> tuple[list[SplitRow], list[SplitRow]]:
    taken: set[str] = set()
    room = wanted
    for group, size in _sizes_of(rows).items():
        if size <= min(room, largest):
            taken.add(group)
            room -= size
    return [r for r in rows if r.group in taken], [r for r in rows if r.group not in taken]


def _sizes_of(rows: list[SplitRow]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.group] = sizes.get(row.group, 0) + 1
    return sizes


def _check_sizes(
    case: Case, parts: tuple[list[SplitRow], list[SplitRow], list[SplitRow]], rows: list[SplitRow]
) -> None:
    test, dev, train = map(len, parts)
    wanted_test, wanted_dev = wanted_sizes(case.task_file.split, len(rows))
    spare = min(_sizes_of(parts[2]).values(), default=1) - 1  # a part may be short by less than one group
    enough = test >= max(_LEAST_TEST, wanted_test - spare) and dev >= max(1, wanted_dev - spare)
    if enough and train >= _LEAST_TRAIN:
        return
    raise NotReady(
        f"{len(rows)} reviewed pairs give {test} test, {dev} dev and {train} train rows; the case asks for "
        f"{wanted_test} test and {wanted_dev} dev.{_largest_group(case, rows)}{_detectable(case, test)}",
        remedy="Add pairs, or lower split.test (not below 50) and split.dev in task.yaml.",
    )


def _largest_group(case: Case, rows: list[SplitRow]) -> str:
    task_file = case.task_file
    sizes, most = _sizes_of(rows), max(1, wanted_sizes(task_file.split, len(rows))[0] // _SHARES[-1])
    name, largest = max(sizes.items(), key=lambda item: item[1], default=("", 0))
    if largest <= most:
        return ""
    column, together = task_file.data.group_column, task_file.split.same_template == "together"
    causes = [f"inputs with a word-set Jaccard of {NEAR} or more"]
    if together:
        causes.append(
            "inputs that differ only in numbers or in words of their answer (`split.same_template: apart`"
        )
        causes[-1] += " parts those, if that is what the task is)"
    if column:
        causes.append(f"one value of {column!r} (data.group_column)")
    return (
        f" Groups: {len(sizes)}; the largest, around {name!r}, has {largest} rows, and a group of more than "
        f"{most} stays in train. What joins rows, also in chains: {'; '.join(causes)}."
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


def _check_frozen_before(case: Case, lock: SplitLock, before: SplitLock | None) -> None:
    if before is None or before == lock:
        return
    is_bundled = case.task_file.data.source.startswith("bundled:")
    bundled = " (or install the pinned licensedcode-data==32.1.0)" if is_bundled else ""
    changed = [
        name
        for name in ("case", "version", "method", "prompt_sha256", "train", "dev", "test")
        if getattr(lock, name) != getattr(before, name)
    ]
    raise LockBroken(
        f"The split of case {lock.case!r} was frozen as version {before.version}; "
        f"these pairs and settings give another {', '.join(changed)}.",
        remedy=f"Undo the change to the pairs, the system prompt or `split:`{bundled}. If it is wanted, set "
        f"split.version: {before.version + 1} in task.yaml: results on the old test do not carry over.",
    )


def _hash_order(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8")).digest()
