"""Only a checkpoint that was saved whole is ever continued from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tuneproof.outside.checkpoints import MARK, last_complete, mark_complete

FILES = ("adapter_model.safetensors", "optimizer.pt", "trainer_state.json")


def save(folder: Path, step: int, *, marked: bool = True) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    for name in FILES:
        (checkpoint / name).write_bytes(f"{name} of step {step}".encode())
    if marked:
        mark_complete(checkpoint)
    return checkpoint


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert last_complete(tmp_path) is None
    assert last_complete(tmp_path / "not there") is None


def test_the_newest_by_number_is_chosen_and_older_ones_stay(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        save(tmp_path, step)
    assert last_complete(tmp_path) == tmp_path / "checkpoint-100"
    assert left(tmp_path) == ["checkpoint-10", "checkpoint-100", "checkpoint-9"]


def test_a_half_written_one_is_deleted_and_the_one_before_it_chosen(tmp_path: Path) -> None:
    save(tmp_path, 5)
    save(tmp_path, 10, marked=False)
    save(tmp_path, 15, marked=False)
    assert last_complete(tmp_path) == tmp_path / "checkpoint-5"
    assert left(tmp_path) == ["checkpoint-5"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x80
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [cut, flip, empty, Path.unlink], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("name", [*FILES, MARK])
def test_harm_to_any_one_file_falls_back_to_the_one_before(
    tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    save(tmp_path, 5)
    harm(save(tmp_path, 10) / name)
    assert last_complete(tmp_path) == tmp_path / "checkpoint-5"
    assert left(tmp_path) == ["checkpoint-5"]


@pytest.mark.parametrize("mark", ["[]", "null", '"x"', "{}", "{", '{"optimizer.pt": 3}'])
def test_a_mark_that_lists_nothing_sensible_is_no_mark(tmp_path: Path, mark: str) -> None:
    (save(tmp_path, 5) / MARK).write_text(mark)
    assert last_complete(tmp_path) is None
    assert left(tmp_path) == []


def test_a_file_that_we_did_not_list_is_never_loaded(tmp_path: Path) -> None:
    """State files are pickles: one put there by someone else would run on load."""
    save(tmp_path, 5)
    (save(tmp_path, 10) / "scheduler.pt").write_bytes(b"someone else's")
    assert last_complete(tmp_path) == tmp_path / "checkpoint-5"


def test_all_broken_leaves_none(tmp_path: Path) -> None:
    save(tmp_path, 5, marked=False)
    cut(save(tmp_path, 10) / FILES[0])
    assert last_complete(tmp_path) is None
    assert left(tmp_path) == []


def test_other_things_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    save(tmp_path, 5)
    (tmp_path / "checkpoint-notes").mkdir()
    (tmp_path / "checkpoint-7").write_text("a file")
    (tmp_path / "final").mkdir()
    assert last_complete(tmp_path) == tmp_path / "checkpoint-5"
    assert left(tmp_path) == ["checkpoint-5", "checkpoint-7", "checkpoint-notes", "final"]


def test_the_mark_lists_every_file_and_marking_again_changes_nothing(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 5)
    before = (checkpoint / MARK).read_bytes()
    mark_complete(checkpoint)
    assert (checkpoint / MARK).read_bytes() == before
    assert sorted(json.loads(before)) == sorted(FILES)
