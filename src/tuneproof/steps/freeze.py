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
from tuneproof.artifacts.data_report import KeptRows
from tuneproof.errors import LockBroken, NotReady
from tuneproof.grouping import (
    CHAR_RUN,
    CHARS_ALIKE,
    SHARES,
    SHORT,
    Division,
    Fixed,
    Parts,
    Shown,
    beside_examples,
    divide,
    group_rows,
    larger_groups,
    largest_group,
    quoted,
    sizes_of,
)
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


class _Rules(NamedTuple):
    """What holds beside `METHOD`. A split that was frozen without a rule must come out as it was."""

    by_template: bool
    closer: bool
    shown: bool
    thawed: bool


def freeze(
    case: Case,
    reviewed: Reviewed,
    *,
    frozen_before: SplitLock | None = None,
    shown: Sequence[tuple[str, str]] = (),
    thawed: Sequence[SplitLock] | None = None,
    known: Sequence[KeptRows] = (),
) -> Split:
    """Divide `reviewed` into train, dev and test, whole groups at a time, and lock it by hash.

    Args:
        case: sizes and the system prompt.
        reviewed: the pairs that may go on.
        frozen_before: the lock of an earlier freeze of the same rows; the new one must equal it.
        shown: input and output of each few-shot example; their twins never become test or dev rows.
        thawed: locks of earlier versions; their test rows stay test rows.
        known: what was kept of their test rows, which tells another output from another input.

    Raises:
        NotReady: too few rows for the wanted test and dev, a twin would cross the split, a pair holds a
            secret, or a row that is or was a test row is shown by an example or the prompt.
        LockBroken: the split differs from `frozen_before`.
    """
    before = earlier_than(thawed or (), case.task_file.split.version)
    rules = _rules(case, frozen_before)
    if frozen_before is None:
        _check_secrets(case, reviewed.pairs)
    rows, joined = _grouped(reviewed, rules)
    tested = pins(reviewed.pairs, before, known).ids if before and rules.thawed else frozenset()
    fixed = _fixed(rows, _held(case, rows, shown, rules), tested, frozen_before)
    if not rules.shown:
        fixed = fixed._replace(held={})
    division = divide(rows, fixed, case.task_file.split, frozen_before)
    _check_sizes(case, division, rows, fixed, reviewed.pairs)
    test, dev, train = division.parts
    leaks = leak_report(test, dev, train)
    told = bool(fixed.held or shown or case.task_file.drafting.conventions)
    later = {CLOSER: joined, SHOWN: told, THAWED: bool(before)}
    if frozen_before is not None:
        later = {text: text in frozen_before.method for text in later}
    method = [
        _method(case, reviewed),
        *larger_groups(division.shares),
        *(text for text in later if later[text]),
    ]
    split = Split(
        train=TrainSet(pairs=tuple(train)),
        dev=DevSet(pairs=tuple(dev)),
        test=TestSet(items=tuple(Item(**row.model_dump()) for row in test)),
        lock=_lock(case, "; ".join(method), division.parts),
        leaks=leaks,
    )
    _check_leaks(leaks, by_template=rules.by_template)
    _check_layers(division.parts, shown_in(case, shown), rules)
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


def _method(case: Case, reviewed: Reviewed) -> str:
    """Say how the rows were divided; the words of a bundled lock must not change."""
    declared = "; rows of one declared group together" if any(p.group for p in reviewed.pairs) else ""
    apart = case.task_file.split.same_template == "apart"
    method = METHOD.replace(" or equal template", " or equal text") if apart else METHOD
    return method + declared


def _grouped(reviewed: Reviewed, rules: _Rules) -> tuple[list[SplitRow], bool]:
    """Return the rows in the order of taking, and whether a rule beside `METHOD` joined any."""
    # A group is named after its first row, so the rows need an order of their own. It must not be the
    # one in which groups are taken: large groups would then come first, and the test would be full of them.
    pairs = sorted(reviewed.pairs, key=lambda p: _hash_order(f"0 {p.id}"))
    texts, answers = [p.input for p in pairs], [p.output for p in pairs]
    declared = [p.group for p in pairs]
    plain = groups(texts, answers, declared=declared, by_template=rules.by_template)
    first = group_rows(texts, answers, by_template=rules.by_template, first=plain) if rules.closer else plain
    rows = [
        SplitRow(id=p.id, group=pairs[g].id, input=p.input, output=p.output)
        for p, g in zip(pairs, first, strict=True)
    ]
    return sorted(rows, key=lambda row: (_hash_order(row.group), _hash_order(row.id))), first != plain


def _held(
    case: Case, rows: list[SplitRow], examples: Sequence[tuple[str, str]], rules: _Rules
) -> dict[str, str]:
    """Return the groups that are shown, and why; of a split without that rule, by what may have come later.

    Its system prompt has no part in that: the lock proves that it is the one of then.
    """
    seen = shown_in(case, examples)
    prompt = seen.prompt if rules.shown else case.task_file.drafting.conventions
    texts = [row.input for row in rows]
    near = beside_examples(texts, [row.output for row in rows], seen, by_template=rules.by_template)
    held = {rows[i].group: f"{rows[i].id!r} is quoted in the prompt" for i in quoted(texts, prompt)}
    return held | {rows[i].group: f"{rows[i].id!r} is a twin of a few-shot example" for i in near}


def _fixed(
    rows: list[SplitRow], held: dict[str, str], tested: frozenset[str], frozen_before: SplitLock | None
) -> Fixed:
    frozen = {row.id for row in frozen_before.test.rows} if frozen_before else set()
    for row in rows:
        if row.group in held and (row.id in tested or row.id in frozen):
            when = "is a test row" if row.id in frozen else "was a test row in an earlier version"
            again = ", and freeze under a higher split.version" if row.id in frozen else ""
            raise NotReady(
                f"{row.id!r} {when}, and {held[row.group]}.",
                remedy="Take the example or the quote out (drafting.examples, drafting.conventions, "
                f"task.system_prompt), or delete the pair{again}: a row cannot be shown and tested.",
            )
    return Fixed(frozenset(row.group for row in rows if row.id in tested), held)


def _check_sizes(
    case: Case, division: Division, rows: list[SplitRow], fixed: Fixed, pairs: Sequence[Pair]
) -> None:
    test, dev, train = map(len, division.parts)
    wanted_test, wanted_dev = division.wanted
    free = [row for row in division.parts[2] if row.group not in fixed.held]
    spare = min(sizes_of(free).values(), default=1) - 1  # a part may be short by less than one group
    enough = test >= max(_LEAST_TEST, wanted_test - spare) and dev >= max(1, wanted_dev - spare)
    if enough and train >= _LEAST_TRAIN:
        return
    held = sum(row.group in fixed.held for row in division.parts[2])
    kept = f" {held} rows stay in train because an example or the prompt shows them." if held else ""
    joined, remedy = largest_group(case, rows, wanted_test // SHARES[-1], pairs)
    raise NotReady(
        f"{len(rows)} reviewed pairs give {test} test, {dev} dev and {train} train rows; the case asks for "
        f"{wanted_test} test and {wanted_dev} dev.{kept}{joined}{_detectable(case, test)}",
        remedy=f"Add pairs, or lower split.test (not below 50) and split.dev in task.yaml{remedy}.",
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


def _check_layers(parts: Parts, seen: Shown, rules: _Rules) -> None:
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


def _lock(case: Case, method: str, parts: Parts) -> SplitLock:
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
