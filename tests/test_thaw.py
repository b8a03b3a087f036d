"""A row that was a test row once is a test row for ever, in its whole group, and what changed is listed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steps.test_freeze import case, reviewed, rows_of, sides, singles
from test_lock import frozen
from tuneproof.artifacts import Pair, Split, SplitLock
from tuneproof.artifacts.data_report import KeptRows
from tuneproof.errors import LockBroken, NotReady
from tuneproof.shelves import keep_lock, kept_test_rows
from tuneproof.steps.freeze import freeze
from tuneproof.thaw import THAWED, earlier_than, kept_rows, pins, thaw, thaw_lines

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ids_of_test(split: Split) -> set[str]:
    return {item.id for item in split.test.items}


def twin_of(pair: Pair, number: int) -> Pair:
    return pair.model_copy(update={"id": f"{pair.id}-twin{number}", "input": f"{pair.input} {number}"})


def edited(pairs: list[Pair], rng: random.Random, edits: list[str]) -> list[Pair]:
    """The pairs of the next version: some gone, changed, added, or given a twin."""
    made = list(pairs)
    for number, edit in enumerate(edits):
        at = rng.randrange(len(made))
        if edit == "gone":
            made.pop(at)
        elif edit == "changed":
            made[at] = made[at].model_copy(update={"output": f"other {number}"})
        elif edit == "twin":
            made.append(twin_of(made[at], number))
        else:
            made += singles(4, seed=rng.randrange(10**9))
    return made


EDITS = st.lists(st.sampled_from(["gone", "changed", "twin", "added"]), max_size=25)


@FEW
@given(st.integers(0, 10_000), st.lists(EDITS, min_size=1, max_size=3))
def test_no_row_that_was_ever_a_test_row_is_trained_or_chosen_on(
    seed: int, versions: list[list[str]]
) -> None:
    rng = random.Random(seed)
    pairs = singles(150, seed)
    splits = [freeze(case(), reviewed(pairs))]
    for version, edits in enumerate(versions, start=2):
        pairs = edited(pairs, rng, edits)
        rng.shuffle(pairs)
        locks = [split.lock for split in splits]
        splits.append(freeze(case(version=version), reviewed(pairs), thawed=locks))
        side = sides(splits[-1])
        once = set().union(*map(ids_of_test, splits[:-1]))
        assert {side[row_id] for row_id in once if row_id in side} <= {"test"}
        groups = {(row.group, side[row.id]) for row in rows_of(splits[-1])}
        assert len(groups) == len({group for group, _ in groups}), "whole groups"
        assert sorted(side) == sorted(p.id for p in pairs)
        found = thaw(splits[-1].lock, pairs, locks)
        assert found is not None
        assert set(found.kept) | set(found.changed) == once & set(side)
        assert set(found.gone) == once - set(side)
        assert set(found.added) == ids_of_test(splits[-1]) - once
        assert found.earlier == tuple(range(1, version))
        assert THAWED in splits[-1].lock.method
        # Made once more, from the locks on disk, it is the same split.
        again = freeze(case(version=version), reviewed(pairs), frozen_before=splits[-1].lock, thawed=locks)
        assert again.lock == splits[-1].lock
    assert len(splits) == len(versions) + 1


def test_without_the_earlier_lock_rows_would_change_sides() -> None:
    """What the pinning is for: another size moves rows out of the test, to be trained on."""
    pairs = reviewed(singles(200))
    first = freeze(case(test=90), pairs)
    free, pinned = (
        ids_of_test(freeze(case(test=50, version=2), pairs, thawed=locks)) for locks in (None, [first.lock])
    )
    assert len(ids_of_test(first) - free) == 40
    assert pinned == ids_of_test(first), "more than was asked for, and none of them trained on"


def test_a_group_comes_along_even_where_it_is_larger_than_a_part_would_take() -> None:
    pairs = singles(120)
    first = freeze(case(), reviewed(pairs))
    one = next(p for p in pairs if p.id in ids_of_test(first))
    more = [twin_of(one, number) for number in range(9)]
    second = freeze(case(version=2), reviewed([*pairs, *more]), thawed=[first.lock])
    assert {p.id for p in more} <= ids_of_test(second)
    assert len(second.test.items) == 59


def test_the_sizes_count_what_is_pinned() -> None:
    pairs = singles(200)
    first = freeze(case(test=50), reviewed(pairs))
    second = freeze(case(test=80, version=2), reviewed(pairs), thawed=[first.lock])
    assert len(second.test.items) == 80
    assert ids_of_test(first) < ids_of_test(second)


def test_a_split_that_was_frozen_before_thawing_was_known_comes_out_as_it_was() -> None:
    pairs = reviewed(singles(200))
    one, two = freeze(case(test=90), pairs).lock, freeze(case(test=50, version=2), pairs).lock
    assert THAWED not in two.method
    assert thaw(two, pairs.pairs, [one]) is None, "nothing was kept, so nothing is said to be"
    assert freeze(case(test=50, version=2), pairs, frozen_before=two, thawed=[one]).lock == two
    assert freeze(case(test=50, version=2), pairs, thawed=[one]).lock != two


def test_only_earlier_versions_count() -> None:
    locks = [_lock(version) for version in (3, 1, 2)]
    assert [lock.version for lock in earlier_than(locks, 3)] == [1, 2]
    assert thaw(locks[1], singles(100), locks) is None


def _lock(version: int) -> SplitLock:
    return freeze(case(version=version), reviewed(singles(100))).lock


def test_a_text_under_another_id_is_followed() -> None:
    """Half of the pairs get new ids; a twin's row is found although its hash covers the group's name."""
    pairs = singles(150)
    pairs += [twin_of(pair, 1) for pair in pairs[:40]]
    lock = freeze(case(test=60), reviewed(pairs)).lock
    ids = {row.id for row in lock.test.rows}
    renamed = [p.model_copy(update={"id": f"new-{p.id}"}) for p in pairs]
    found = pins(renamed, [lock])
    assert {row.old_id for row in found.moved} == ids
    assert all(row.new_id == f"new-{row.old_id}" for row in found.moved)
    assert found.gone == () and len(found.ids) == 60
    assert any("-twin" in row_id for row_id in ids)
    second = freeze(case(test=60, version=2), reviewed(renamed), thawed=[lock])
    assert ids_of_test(second) == {f"new-{row_id}" for row_id in ids}


def test_a_row_in_a_group_is_known_again_although_its_hash_covers_the_groups_name() -> None:
    pairs = singles(150)
    pairs += [twin_of(pair, 1) for pair in pairs[:60]]
    lock = freeze(case(test=60), reviewed(pairs)).lock
    found = pins(pairs, [lock])
    assert set(found.kept) == {row.id for row in lock.test.rows}
    assert any("-twin" in row_id for row_id in found.kept)


def test_rows_that_were_numbered_anew_are_refused() -> None:
    pairs = [p.model_copy(update={"id": str(i)}) for i, p in enumerate(singles(150))]
    lock = freeze(case(), reviewed(pairs)).lock
    shifted = [p.model_copy(update={"id": str(int(p.id) + 1)}) for p in pairs]
    with pytest.raises(NotReady, match="seem to be numbered anew") as caught:
        freeze(case(version=2), reviewed(shifted), thawed=[lock])
    assert "data.id_column" in caught.value.remedy


def test_an_earlier_test_row_that_an_example_shows_is_refused() -> None:
    pairs = singles(150)
    lock = freeze(case(), reviewed(pairs)).lock
    one = next(p for p in pairs if p.id == lock.test.rows[0].id)
    with pytest.raises(NotReady, match="was a test row in an earlier version, and"):
        freeze(case(version=2), reviewed(pairs), thawed=[lock], shown=[(one.input, one.output)])


def test_a_person_is_told_what_became_of_the_test() -> None:
    pairs = singles(150)
    lock = freeze(case(), reviewed(pairs)).lock
    gone, changed = lock.test.rows[0].id, lock.test.rows[1].id
    later = [
        p.model_copy(update={"output": "other"}) if p.id == changed else p for p in pairs if p.id != gone
    ]
    second = freeze(case(version=2), reviewed(later), thawed=[lock])
    found = thaw(second.lock, later, [lock])
    assert found is not None
    lines = thaw_lines(found)
    assert (
        "48 are kept, 0 have another output, 1 changed, 0 under another id, 1 gone; 1 test rows are new"
        in lines[0]
    )
    assert f"changed: {changed}" in lines[1] and f"gone: {gone}" in lines[2]


# With what was kept of the inputs


def remembered(pairs: list[Pair], **sizes: int) -> tuple[SplitLock, KeptRows]:
    split = freeze(case(**sizes), reviewed(pairs))
    return split.lock, kept_rows(split.lock, split.test.items, {p.id: p.source for p in pairs})


def relabelled(pairs: list[Pair]) -> list[Pair]:
    return [p.model_copy(update={"output": f"LABEL: {p.output}"}) for p in pairs]


def test_a_new_convention_for_every_output_moves_no_row_out_of_the_test() -> None:
    pairs = singles(150)
    pairs += [twin_of(pair, 1) for pair in pairs[:40]]
    lock, kept = remembered(pairs, test=60)
    later = relabelled(pairs)
    second = freeze(case(test=60, version=2), reviewed(later), thawed=[lock], known=[kept])
    assert ids_of_test(second) == {row.id for row in lock.test.rows}
    found = thaw(second.lock, later, [lock], [kept])
    assert found is not None
    assert len(found.relabelled) == 60 and not (found.kept or found.changed or found.moved or found.gone)
    assert "0 are kept, 60 have another output, 0 changed" in thaw_lines(found)[0]


def test_without_hashes_of_inputs_the_refusal_says_how_to_get_them() -> None:
    pairs = singles(150)
    lock, kept = remembered(pairs)
    other = kept.model_copy(update={"test_sha256": "sha256:0"})
    refused = 0
    for known in ([], [other]):
        with pytest.raises(NotReady, match="50 of 50 rows") as caught:
            freeze(case(version=2), reviewed(relabelled(pairs)), thawed=[lock], known=known)
        assert "split.version: 1, run tuneproof freeze" in caught.value.remedy
        refused += 1
    assert refused == 2


def test_rows_numbered_anew_are_refused_also_with_new_outputs() -> None:
    pairs = [p.model_copy(update={"id": str(i)}) for i, p in enumerate(singles(150))]
    lock, kept = remembered(pairs)
    shifted = [p.model_copy(update={"id": str(int(p.id) + 1)}) for p in relabelled(pairs)]
    with pytest.raises(NotReady, match="seem to be numbered anew") as caught:
        freeze(case(version=2), reviewed(shifted), thawed=[lock], known=[kept])
    assert "whole rows" not in caught.value.remedy


def test_inputs_that_were_all_mended_are_no_renumbering() -> None:
    pairs = singles(150)
    lock, kept = remembered(pairs)
    later = [p.model_copy(update={"input": f"Please: {p.input}"}) for p in pairs]
    found = pins(later, [lock], [kept])
    assert set(found.changed) == {row.id for row in lock.test.rows} and not found.relabelled


def test_an_input_under_another_id_is_followed_also_with_another_output() -> None:
    pairs = singles(150)
    lock, kept = remembered(pairs)
    renamed = [p.model_copy(update={"id": f"new-{p.id}"}) for p in relabelled(pairs)]
    found = pins(renamed, [lock], [kept])
    assert {row.new_id for row in found.moved} == {f"new-{row.id}" for row in lock.test.rows}
    assert not pins(renamed, [lock]).moved, "hashes of whole rows cannot tell"


def test_a_mended_input_whose_id_was_its_hash_is_named_beside_the_row_that_is_gone() -> None:
    pairs = [p.model_copy(update={"source": f"a.csv:{i}"}) for i, p in enumerate(singles(150))]
    lock, kept = remembered(pairs)
    one, other, third = (row.id for row in lock.test.rows[:3])
    at = {p.id: n for n, p in enumerate(pairs)}
    later = list(pairs)
    later[at[one]] = later[at[one]].model_copy(update={"id": "mended", "input": f"{pairs[at[one]].input} x"})
    later[at[other]] = later[at[other]].model_copy(update={"id": "anew", "input": "quite another text now"})
    del later[at[third]]
    second = freeze(case(version=2), reviewed(later), thawed=[lock], known=[kept])
    found = thaw(second.lock, later, [lock], [kept])
    assert found is not None and set(found.gone) == {one, other, third}
    beside = {row.old_id: row for row in found.resembled}
    assert set(beside) == {one, other}
    assert (beside[one].new_id, beside[one].similarity, beside[one].same_place) == ("mended", 0.9231, True)
    assert (beside[other].new_id, beside[other].similarity, beside[other].same_place) == ("anew", 0.0, True)
    assert all(row.part == sides(second)[row.new_id] for row in found.resembled)
    told = "\n".join(thaw_lines(found))
    assert f"{one} → mended (0.92, same place, now in {beside[one].part})" in told


# On disk


def test_hashes_of_the_test_rows_are_kept_beside_the_lock_and_no_text(tmp_path: Path) -> None:
    workspace, split = frozen(tmp_path)
    assert kept_test_rows(workspace) == ()
    keep_lock(workspace, split.lock)
    path = tmp_path / "locks/split-v1.inputs.json"
    (kept,) = kept_test_rows(workspace)
    assert [row.id for row in kept.rows] == [item.id for item in split.test.items]
    assert kept.test_sha256 == split.lock.test.sha256 and {row.place for row in kept.rows} == {"s"}
    text = path.read_text("utf-8")
    named = [word for item in split.test.items for word in item.input.split() if word.isalpha()]
    assert len(named) > 300 and not any(word in text for word in named)
    before = path.read_bytes()
    keep_lock(workspace, split.lock)
    assert path.read_bytes() == before
    path.write_text("{", "utf-8")
    with pytest.raises(LockBroken, match=r"split-v1\.inputs\.json"):
        kept_test_rows(workspace)


def test_a_lock_is_kept_also_where_the_review_cannot_be_read(tmp_path: Path) -> None:
    workspace, split = frozen(tmp_path)
    (workspace.folder("draft") / "provenance.json").unlink()
    keep_lock(workspace, split.lock)
    (kept,) = kept_test_rows(workspace)
    assert {row.place for row in kept.rows} == {""}


def test_rows_that_are_not_the_locks_are_not_kept(tmp_path: Path) -> None:
    workspace, split = frozen(tmp_path)
    path = workspace.folder("freeze") / "test.jsonl"
    path.write_bytes(path.read_bytes().replace(b"mit", b"mat", 1))
    with pytest.raises(LockBroken):
        keep_lock(workspace, split.lock)
    assert kept_test_rows(workspace) == ()
