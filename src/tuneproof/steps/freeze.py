"""Step 4 · freeze: Reviewed → Split.

The held-out groups are the first ones in hash order, so the choice depends on their names alone:
not on review order, on the clock, or on a seed that someone could retry. Twins share a group, and a
group that would be more than a twentieth of a part stays in train: one template must not be the test.
Groups of earlier test rows are test again; groups that a prompt or a few-shot example shows never are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from tuneproof.artifacts import (
    Case,
    DevSet,
    Item,
    LeakReport,
    Pair,
    Reviewed,
    Split,
    SplitLock,
    SplitRow,
    TestSet,
    TrainSet,
    lock_part,
)
from tuneproof.artifacts.case import wanted_sizes
from tuneproof.errors import LockBroken, NotReady
from tuneproof.grouping import CHAR_RUN, CHARS_ALIKE, SHORT, Shown, beside_examples, group_rows, quoted
from tuneproof.leaks import later_layers, leak_report
from tuneproof.prompt import prompts_hash
from tuneproof.scan import PERSONAL, scan_text
from tuneproof.statistics import minimum_detectable_gain
from tuneproof.thaw import THAWED, earlier_than, pins
from tuneproof.twins import NEAR, groups

METHOD = (
    f"groups = chains of word-set Jaccard >= {NEAR} or equal template; whole groups in SHA-256 order; "
    "test first, then dev, rest train; groups above 1/20 of a part stay in train"
)
CLOSER = (
    f"rows equal but for numbers, and rows under {SHORT} words with {CHAR_RUN}-character runs of Jaccard >= "
    f"{CHARS_ALIKE}, together"
)
SHOWN = "groups that an example or the prompt shows stay in train"
_LEAST_TRAIN, _LEAST_TEST = 10, 50
_SHARES = (20, 10, 5)
"""The largest group that a part takes, as a fraction of it: the first that fills it."""

_Parts = tuple[list[SplitRow], list[SplitRow], list[SplitRow]]


class _Rules(NamedTuple):
    """What holds beside `METHOD`. A split that was frozen without a rule must come out as it was."""

    by_template: bool
    closer: bool
    shown: bool
    thawed: bool


class _Fixed(NamedTuple):
    """Groups whose side is settled, by name, and why."""

    tested: frozenset[str]
    held: dict[str, str]


def freeze(
    case: Case,
    reviewed: Reviewed,
    *,
    frozen_before: SplitLock | None = None,
    shown: Sequence[tuple[str, str]] = (),
    thawed: Sequence[SplitLock] | None = None,
) -> Split:
    """Divide `reviewed` into train, dev and test, whole groups at a time, and lock it by hash.

    Args:
        case: sizes and the system prompt.
        reviewed: the pairs that may go on.
        frozen_before: the lock of an earlier freeze of the same rows; the new one must equal it.
        shown: input and output of each few-shot example; their twins never become test or dev rows.
        thawed: locks of earlier versions; their test rows stay test rows.

    Raises:
        NotReady: too few rows for the wanted test and dev, a twin would cross the split, a pair holds a
            secret, or an earlier test row is shown by an example or the prompt.
        LockBroken: the split differs from `frozen_before`.
    """
    sizes, before = case.task_file.split, earlier_than(thawed or (), case.task_file.split.version)
    rules = _rules(case, frozen_before)
    if frozen_before is None:
        _check_secrets(case, reviewed.pairs)
    seen = shown_in(case, shown)
    rows, joined = _grouped(reviewed, rules)
    fixed = _fixed(rows, reviewed.pairs, rules, seen, before)
    parts, shares = _divided(rows, fixed, wanted_sizes(sizes, len(rows)))
    _check_sizes(case, parts, rows, fixed)
    test, dev, train = parts
    leaks = leak_report(test, dev, train)
    later = {CLOSER: joined, SHOWN: bool(fixed.held), THAWED: bool(before) and rules.thawed}
    method = "; ".join([_method(case, reviewed, shares), *(text for text, holds in later.items() if holds)])
    split = Split(
        train=TrainSet(pairs=tuple(train)),
        dev=DevSet(pairs=tuple(dev)),
        test=TestSet(items=tuple(Item(**row.model_dump()) for row in test)),
        lock=_lock(case, method, parts),
        leaks=leaks,
    )
    _check_leaks(leaks, by_template=rules.by_template)
    _check_layers(parts, seen, rules)
    _check_frozen_before(case, split.lock, frozen_before)
    return split


def shown_in(case: Case, examples: Sequence[tuple[str, str]]) -> Shown:
    """Return what a model or a teacher of this case is shown: examples, system prompt, conventions."""
    task_file = case.task_file
    return Shown(tuple(examples), f"{task_file.task.system_prompt}\n\n{task_file.drafting.conventions}")


def _rules(case: Case, before: SplitLock | None) -> _Rules:
    later = (before is None or text in before.method for text in (CLOSER, SHOWN, THAWED))
    return _Rules(case.task_file.split.same_template == "together", *later)


def _check_secrets(case: Case, pairs: Sequence[Pair]) -> None:
    found = [
        (pair.id, side, hit)
        for pair in pairs
        for side, text in (("input", pair.input), ("output", pair.output))
        for hit in scan_text(text, where=pair.id)
        if hit.kind not in PERSONAL
    ]
    if not found:
        return
    shown = "; ".join(f"{row}, {side}: {hit.kind} {hit.excerpt}" for row, side, hit in found[:5])
    source = case.task_file.data.source
    raise NotReady(
        f"{len({row for row, _, _ in found})} pairs hold a secret, which a model would learn by heart: "
        f"{shown}{'; …' if len(found) > 5 else ''}.",
        remedy=f"Delete or fix these pairs: in the review, or in {source} where the pairs were imported. "
        "A real secret must be revoked as well.",
    )


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


def _grouped(reviewed: Reviewed, rules: _Rules) -> tuple[list[SplitRow], bool]:
    """Return the rows in the order of taking, and whether a rule beside `METHOD` joined any."""
    # A group is named after its first row, so the rows need an order of their own. It must not be the
    # one in which groups are taken: large groups would then come first, and the test would be full of them.
    pairs = sorted(reviewed.pairs, key=lambda p: _hash_order(f"0 {p.id}"))
    texts, answers = [p.input for p in pairs], [p.output for p in pairs]
    declared = [p.group for p in pairs]
    plain = groups(texts, answers, declared=declared, by_template=rules.by_template)
    first = plain
    if rules.closer:
        first = group_rows(texts, answers, declared=declared, by_template=rules.by_template)
    rows = [
        SplitRow(id=p.id, group=pairs[g].id, input=p.input, output=p.output)
        for p, g in zip(pairs, first, strict=True)
    ]
    return sorted(rows, key=lambda row: (_hash_order(row.group), _hash_order(row.id))), first != plain


def _fixed(
    rows: list[SplitRow], pairs: Sequence[Pair], rules: _Rules, seen: Shown, before: Sequence[SplitLock]
) -> _Fixed:
    texts = [row.input for row in rows]
    near = beside_examples(texts, [row.output for row in rows], seen, by_template=rules.by_template)
    said = quoted(texts, seen.prompt)
    held = {rows[i].group: f"{rows[i].id!r} is quoted in the prompt" for i in said}
    held |= {rows[i].group: f"{rows[i].id!r} is a twin of a few-shot example" for i in near}
    tested = pins(pairs, before).ids if before and rules.thawed else frozenset()
    fixed = _Fixed(frozenset(row.group for row in rows if row.id in tested), held if rules.shown else {})
    for row in rows:
        if row.id in tested and row.group in fixed.held:
            raise NotReady(
                f"{row.id!r} was a test row in an earlier version, and {fixed.held[row.group]}.",
                remedy="Take the example or the quote out (drafting.examples, drafting.conventions, "
                "task.system_prompt), or delete the pair: a row cannot be shown and tested.",
            )
    return fixed


def _divided(rows: list[SplitRow], fixed: _Fixed, wanted: tuple[int, int]) -> tuple[_Parts, tuple[int, int]]:
    """Give the settled groups their side, then take the rest; return the parts and the shares."""
    free = [row for row in rows if row.group not in fixed.tested and row.group not in fixed.held]
    pinned = sum(row.group in fixed.tested for row in rows)
    taken, rest, test_share = _take(free, wanted[0], pinned=pinned)
    more, _, dev_share = _take(rest, wanted[1])
    testing, choosing = fixed.tested | {row.group for row in taken}, {row.group for row in more}
    test = [row for row in rows if row.group in testing]
    dev = [row for row in rows if row.group in choosing]
    train = [row for row in rows if row.group not in testing and row.group not in choosing]
    return (test, dev, train), (test_share, dev_share)


def _take(
    rows: list[SplitRow], wanted: int, *, pinned: int = 0
) -> tuple[list[SplitRow], list[SplitRow], int]:
    """Take whole groups from the front until `wanted` rows are there; return them, the rest, and the share.

    A group larger than a twentieth of the part is passed over, so that no template is the test; where the
    part would be short without them, a tenth, then a fifth. `pinned` rows are there already.
    """
    room = max(0, wanted - pinned)
    for share in _SHARES:
        taken, rest = _take_up_to(rows, room, largest=max(1, wanted // share))
        if len(taken) == room:
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


def _check_sizes(case: Case, parts: _Parts, rows: list[SplitRow], fixed: _Fixed) -> None:
    test, dev, train = map(len, parts)
    wanted_test, wanted_dev = wanted_sizes(case.task_file.split, len(rows))
    free = [row for row in parts[2] if row.group not in fixed.held]
    spare = min(_sizes_of(free).values(), default=1) - 1  # a part may be short by less than one group
    enough = test >= max(_LEAST_TEST, wanted_test - spare) and dev >= max(1, wanted_dev - spare)
    if enough and train >= _LEAST_TRAIN:
        return
    raise NotReady(
        f"{len(rows)} reviewed pairs give {test} test, {dev} dev and {train} train rows; the case asks for "
        f"{wanted_test} test and {wanted_dev} dev.{_held(parts[2], fixed)}{_largest_group(case, rows)}"
        f"{_detectable(case, test)}",
        remedy="Add pairs, or lower split.test (not below 50) and split.dev in task.yaml.",
    )


def _held(train: list[SplitRow], fixed: _Fixed) -> str:
    held = sum(row.group in fixed.held for row in train)
    return f" {held} rows stay in train because an example or the prompt shows them." if held else ""


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


def _check_leaks(leaks: LeakReport, *, by_template: bool) -> None:
    templates = leaks.same_template if by_template else 0
    if leaks.exact or templates or leaks.near or leaks.straddling_groups:
        raise NotReady(
            f"The split leaks: {leaks.exact} exact, {leaks.near} near, {leaks.same_template} same-template "
            f"test rows and {leaks.straddling_groups} straddling groups.",
            remedy="This is a fault of grouping; report it with your task.yaml and the version of tuneproof.",
        )


def _check_layers(parts: _Parts, seen: Shown, rules: _Rules) -> None:
    """Prove that grouping did what it should; an older split is not held to rules that it did not know."""
    test, dev, train = parts
    unknown = {"number-masked": rules.closer, "characters": rules.closer, "shown": rules.shown}
    found = later_layers(test, [*dev, *train], dev=len(dev), shown=seen, by_template=rules.by_template)
    broken = [layer for layer in found if layer.refuses and layer.rows and unknown.get(layer.name, True)]
    if broken:
        named = "; ".join(
            f"{layer.name}: {layer.rows} test rows, first {layer.pairs[0].test_id!r}" for layer in broken
        )
        raise NotReady(
            f"The split leaks by the layers {named}.",
            remedy="This is a fault of grouping; report it with your task.yaml and the version of tuneproof.",
        )


def _lock(case: Case, method: str, parts: _Parts) -> SplitLock:
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
