"""A folder that a person names → a base: the weights stay where they are, the rest is copied to the cache.

The cache's folder is named by the hash of every file that is used, so an edited folder is another base.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tuneproof.outside.base_files import check_names, check_weights, is_small_file, weight_names
from tuneproof.outside.base_ready import (
    Origin,
    check_disk,
    check_small_files,
    digest_of,
    make_ready,
    move_in,
    one_at_a_time,
)
from tuneproof.outside.files import file_ref


def folder_base(source: Path, cache: Path) -> Path:
    """Return the prepared folder of a local base under `cache`, made on first use.

    Args:
        source: the person's folder; nothing is written there.
        cache: see `cache_folder`.

    Raises:
        BadInput: the folder cannot be a base.
        NotReady: the disk is too small.
    """
    label = f"The folder {source}"
    names = {path.name for path in source.iterdir() if path.is_file()}
    check_names(names, label=label)
    weights = weight_names(source, label=label)
    # Headers first: a renamed pickle or a cut file is refused before gigabytes are hashed.
    parameters = check_weights(source, weights, label=label)
    taken = sorted([*filter(is_small_file, names), *weights])
    hashes = {name: file_ref(source / name).sha256 for name in taken}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.resolve().name).strip("-._") or "base"
    origin = Origin(
        label=label,
        name=name,
        source=f"local folder {name}",
        hashes=hashes,
        weights=weights,
        weights_note="read from a local folder",
    )
    home = cache / "folders"
    folder = home / f"{name}-{digest_of(hashes)[:12]}"
    with one_at_a_time(home):
        if not (folder / "base.json").exists():
            _make(source, folder, origin, parameters)
        _point_at(source, folder, weights)
    return folder


def _make(source: Path, folder: Path, origin: Origin, parameters: int) -> None:
    making = folder.with_name(f"{folder.name}.making-{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        for name in origin.hashes.keys() - set(origin.weights):
            shutil.copyfile(source / name, making / name)
        check_small_files(making, label=origin.label)
        size = sum((source / name).stat().st_size for name in origin.weights)
        check_disk(making, download=0, weights=size, label=origin.label)
        _point_at(source, making, origin.weights)
        make_ready(making, origin, parameters=parameters)
        move_in(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _point_at(source: Path, folder: Path, weights: tuple[str, ...]) -> None:
    """Link the weights: the same ones may lie elsewhere than the last time."""
    for name in weights:
        link, target = folder / name, (source / name).resolve()
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
