"""The project folder: the only module that reads and writes it.

Each step's folder holds `made.json`, written last, so its existence means that the step is complete. A
folder in the making holds `begun.json` instead; the same step with the same inputs continues there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import ValidationError

from tuneproof import __version__
from tuneproof.artifacts import Artifact, Case, FileRef, Record, TaskFile, canonical_json, sha256_of
from tuneproof.errors import Busy, LockBroken, MissingArtifact
from tuneproof.outside.files import atomic_write, file_ref
from tuneproof.outside.machine import now
from tuneproof.steps import Step, step_of
from tuneproof.task_file import read_task
from tuneproof.workspace_inputs import BESIDE, beside, named_files, recorded_replies

R = TypeVar("R", bound=Record)

MADE, BEGUN, TASK, HELD = "made.json", "begun.json", "task.yaml", ".lock"
_SMALL = 64_000_000
"""Bytes up to which a file's hash is checked even for a status."""


class Made(Artifact):
    """`made.json`: what a finished step made, and from what."""

    step: str
    """The step's command."""
    artifact: str
    """Digest of the step's artifact, without times: the same work again gives the same digest."""
    record: str = ""
    """Digest of the artifact with the times in it."""
    made_from: dict[str, str]
    """Folder → digest of its artifact; with its times for a step that prints them."""
    settings: dict[str, str]
    """Dotted place in task.yaml → hash of its value; `file of …` → hash of the file that is named there."""
    files: tuple[FileRef, ...]
    """What is in the folder, by size and hash."""
    tuneproof: str
    """Version that made it."""
    made_at: str
    """UTC, ISO 8601."""
    seconds: float
    """How long the last run of the step took."""


class Begun(Artifact):
    """`begun.json`: a step in the making."""

    made_from: dict[str, str]
    """Folder → digest of its artifact."""
    settings: dict[str, str]
    """Dotted place in task.yaml → hash of its value."""


class State(Artifact):
    """Whether a step is fresh, stale, missing or half made, and why."""

    step: str
    state: str
    why: str


class Workspace:
    """A project folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    # Places

    def folder(self, verb: str) -> Path:
        """Return the folder of a step."""
        return self.root / step_of(verb).folder

    def shown(self, path: Path) -> str:
        """Return a path as a person would type it from where they are; a project quoted for a shell."""
        try:
            text = str(path.relative_to(Path.cwd()))
        except ValueError:
            text = str(path)
        return shlex.quote(text) if path == self.root else text

    # The file that a person writes

    def task_file(self) -> TaskFile:
        """Read `task.yaml`.

        Raises:
            MissingArtifact: there is none.
            BadInput: it is not valid; every problem is named.
        """
        path = self.root / TASK
        if not path.exists():
            raise MissingArtifact(
                f"{self.shown(path)} does not exist.",
                remedy=f"tuneproof init --example licenses --project {self.shown(self.root)}, or with pairs "
                f"of your own: tuneproof init --pairs FILE --project {self.shown(self.root)}",
            )
        return read_task(path.read_bytes(), self.shown(path))

    def has_task(self) -> bool:
        """Whether there is a `task.yaml`."""
        return (self.root / TASK).exists()

    def write_task(self, text: str) -> None:
        """Write `task.yaml` into a new project; an existing one is kept."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / TASK
        if not path.exists():
            atomic_write(path, text.encode("utf-8"))

    def replace_task(self, text: str) -> None:
        """Write `task.yaml` over one that no person has filled in yet."""
        atomic_write(self.root / TASK, text.encode("utf-8"))

    # Freshness

    def state(self, verb: str) -> State:
        """Say whether a step is fresh, stale, half made or missing."""
        folder = self.folder(verb)
        made = self.made(verb)
        if made is None:
            half = (folder / BEGUN).exists()
            why = "interrupted; the same command continues" if half else "not made yet"
            return State(step=verb, state="half made" if half else "missing", why=why)
        why = self._why_stale(step_of(verb), made)
        return State(step=verb, state="stale" if why else "fresh", why=why)

    def _why_stale(self, step: Step, made: Made) -> str:
        settings, made_from = self._inputs(step)
        if changed := [
            name for name in settings | made.settings if settings.get(name) != made.settings.get(name)
        ]:
            return _what_changed(self._sections() if changed == [""] else changed)
        for folder, digest in made_from.items():
            if digest != made.made_from.get(folder):
                return f"{folder} was made again" if digest else f"{folder} is missing"
        for need in step.needs:
            if self.state(need).state != "fresh":
                return f"{step_of(need).folder} is {self.state(need).state}"
        return self._changed_file(step, made)

    def _sections(self) -> list[str]:
        """Return the sections of task.yaml that differ from the case's."""
        path = self.folder("init") / step_of("init").makes
        if not path.exists():
            return [""]
        before = self.parsed(path.read_bytes(), Case, path).task_file.model_dump(mode="json")
        after = self.task_file().model_dump(mode="json")
        return [name for name in after if after[name] != before.get(name)] or [""]

    def _changed_file(self, step: Step, made: Made) -> str:
        for ref in made.files:
            path = self.root / step.folder / ref.name
            if not path.exists():
                return f"{ref.name} is gone"
            if path.stat().st_size != ref.bytes or (ref.bytes <= _SMALL and _hash(path) != ref.sha256):
                return f"{ref.name} was changed"
        return ""

    def made(self, verb: str) -> Made | None:
        """Return what a finished step recorded, or None.

        Raises:
            LockBroken: the record was damaged.
        """
        path = self.folder(verb) / MADE
        if not path.exists():
            return None
        made = self.parsed(path.read_bytes(), Made, path)
        if made.step == verb:
            return made
        raise LockBroken(
            f"{self.shown(path)} is the record of `tuneproof {made.step}`.", remedy="Put the file back."
        )

    def parsed(self, data: str | bytes, kind: type[R], path: Path) -> R:
        """Read a record of `kind` from the JSON text of `path`.

        Raises:
            LockBroken: it is not one.
        """
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            raise LockBroken(
                f"{self.shown(path)} is damaged: it is not the {kind.__name__} that was written there.",
                remedy=f"Put the file back, or delete {self.shown(path.parent)} and make that step again.",
            ) from error

    def _inputs(self, step: Step, task_file: TaskFile | None = None) -> tuple[dict[str, str], dict[str, str]]:
        task_file = task_file or self.task_file()
        document = task_file.model_dump(mode="json")
        settings = {place: sha256_of(canonical_json(_at(document, place))) for place in step.settings}
        for place, digest in named_files(step, task_file, self.root).items():
            settings[f"file of {place}"] = digest
        settings |= beside(step.verb, self.root)
        made_from = {step_of(need).folder: self._digest(need, step.prints_times) for need in step.needs}
        return settings, made_from

    def recorded(self) -> dict[str, bytes]:
        """Return the replies that were made elsewhere: arm → file in `recorded/`."""
        return recorded_replies(self.root)

    def _digest(self, verb: str, with_times: bool) -> str:
        made = self.made(verb)
        if made is None:
            return ""
        return (made.record or made.artifact) if with_times else made.artifact

    # Making a step

    def inputs_of(self, verb: str) -> Begun:
        """Note what a step is about to work from."""
        settings, made_from = self._inputs(step_of(verb), self._read_by(verb))
        return Begun(made_from=made_from, settings=settings)

    def begin(self, verb: str, inputs: Begun | None = None) -> Path:
        """Return the step's folder, ready to write to: kept if the same work was interrupted, else empty.

        Args:
            verb: the step.
            inputs: what it works from, if that was noted before; else what there is now.
        """
        folder = self.folder(verb)
        begun = (inputs or self.inputs_of(verb)).model_dump_json().encode()
        path = folder / BEGUN
        interrupted = path.exists() and not (folder / MADE).exists()
        if not (interrupted and path.read_bytes() == begun):
            # First: a kill in between must not leave a step that counts as made.
            (folder / MADE).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            atomic_write(path, begun)
        return folder

    def _read_by(self, verb: str) -> TaskFile | None:
        """Return the settings that a step works with.

        Those of the case, which may be older than a task.yaml that was edited during a long run.
        """
        made, path = self.made("init"), self.folder("init") / step_of("init").makes
        if verb == "init" or made is None or not path.exists():
            return None
        return self.parsed(path.read_bytes(), Case, path).task_file

    def finish(self, verb: str, digest: str, *, record: str = "", seconds: float) -> None:
        """Record the step as complete, with what it began from: `made.json` is written last.

        Args:
            verb: the step.
            digest: of its artifact, without times.
            record: of its artifact with times; the same where it has none.
            seconds: how long it took.
        """
        folder = self.folder(verb)
        begun = self.parsed((folder / BEGUN).read_bytes(), Begun, folder / BEGUN)
        made = Made(
            step=verb,
            artifact=digest,
            record=record or digest,
            made_from=begun.made_from,
            settings=begun.settings,
            files=tuple(
                file_ref(path).model_copy(update={"name": str(path.relative_to(folder))})
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path != folder / BEGUN
            ),
            tuneproof=__version__,
            made_at=now(),
            seconds=round(seconds, 1),
        )
        atomic_write(folder / MADE, (made.model_dump_json(indent=1) + "\n").encode())
        (folder / BEGUN).unlink()

    def forget(self, verb: str) -> None:
        """Make a step count as not made, so that it is made again."""
        (self.folder(verb) / MADE).unlink(missing_ok=True)
        shutil.rmtree(self.folder(verb), ignore_errors=True)

    # Reading and writing files of a step

    def write(self, verb: str, name: str, text: str) -> None:
        """Write a small file of a step, whole or not at all."""
        atomic_write(self.folder(verb) / name, text.encode("utf-8"))

    def read(self, verb: str, name: str) -> str:
        """Read a finished step's file and check it against its recorded hash.

        Raises:
            MissingArtifact: the step is not complete.
            LockBroken: the file is not the one that the step made.
        """
        made, step = self.made(verb), step_of(verb)
        if made is None:
            raise MissingArtifact(
                f"{step.folder} is not made yet.",
                remedy=f"tuneproof {verb} --project {self.shown(self.root)}",
            )
        path = self.folder(verb) / name
        ref = next((r for r in made.files if r.name == name), None)
        data = path.read_bytes() if path.is_file() else b""
        if ref is None or not path.is_file() or sha256(data).hexdigest() != ref.sha256:
            raise LockBroken(
                f"{self.shown(path)} is not the file that `tuneproof {verb}` made.",
                remedy=f"Put the file back, or make it again: tuneproof {verb} --again",
            )
        return data.decode("utf-8")

    # One process at a time

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the project for this process.

        Raises:
            Busy: another process holds it; its host and process id are named.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / HELD).open("a+", encoding="utf-8") as handle:
            _hold(handle, self.shown(self.root))
            handle.truncate(0)
            handle.write(f"{socket.gethostname()}, process {os.getpid()}")
            handle.flush()
            yield
            handle.truncate(0)


def _hold(handle: IO[str], shown: str) -> None:
    import fcntl

    try:
        # The kernel lets go when the process dies, so a killed run leaves nothing to clean up.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        raise Busy(
            f"{shown} is in use by {handle.read() or 'another process'}.",
            remedy="Wait until it ends, or stop it; this command can then be run again.",
        ) from error


def _hash(path: Path) -> str:
    return file_ref(path).sha256


def _what_changed(places: list[str]) -> str:
    files = [place.removeprefix("file of ") for place in places if place.startswith("file of ")]
    beside = [place for place in places if place.startswith(BESIDE)]
    named = [
        place or "some setting"
        for place in places
        if place not in beside and not place.startswith("file of ")
    ]
    parts = [f"task.yaml changed: {', '.join(named)}"] if named else []
    parts += [f"the file of {place} changed" for place in files]
    return "; ".join(parts + [f"there are other {place}" for place in beside])


def _at(document: dict[str, Any], place: str) -> Any:
    value: Any = document
    for part in filter(None, place.split(".")):
        value = value[part]
    return value
