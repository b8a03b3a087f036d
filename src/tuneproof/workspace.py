"""The project folder: the only module that reads and writes it.

Each step's folder holds `made.json`, written last, so its existence means that the step is complete. A
folder in the making holds `begun.json` instead; the same step with the same inputs continues there.
"""

from __future__ import annotations

import os
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
from tuneproof.errors import BadInput, Busy, LockBroken, MissingArtifact
from tuneproof.outside.files import atomic_write, file_ref
from tuneproof.outside.machine import now
from tuneproof.steps import Step, step_of

R = TypeVar("R", bound=Record)

MADE, BEGUN, TASK, HELD = "made.json", "begun.json", "task.yaml", ".lock"
_SMALL = 64_000_000
"""Bytes up to which a file's hash is checked even for a status."""


class Made(Artifact):
    """`made.json`: what a finished step made, and from what."""

    step: str
    artifact: str
    """Digest of the step's artifact."""
    made_from: dict[str, str]
    """Folder → digest of its artifact."""
    settings: dict[str, str]
    """Dotted place in task.yaml → hash of its value."""
    files: tuple[FileRef, ...]
    tuneproof: str
    made_at: str
    seconds: float


class Begun(Artifact):
    """`begun.json`: a step in the making."""

    made_from: dict[str, str]
    settings: dict[str, str]


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
        """Return a path as a person would type it from where they are."""
        try:
            return str(path.relative_to(Path.cwd()))
        except ValueError:
            return str(path)

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
                remedy=f"tuneproof init --example licenses --project {self.shown(self.root)}",
            )
        try:
            return TaskFile.model_validate(_yaml(path.read_bytes(), self.shown(path)))
        except ValidationError as error:
            raise BadInput(
                f"{self.shown(path)}:\n" + "\n".join(_problems(error)),
                remedy="Mend these places and run the command again.",
            ) from error

    def write_task(self, text: str) -> None:
        """Write `task.yaml` into a new project; an existing one is kept."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / TASK
        if not path.exists():
            atomic_write(path, text.encode("utf-8"))

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
        if changed := [name for name in settings if settings[name] != made.settings.get(name)]:
            return f"task.yaml changed: {', '.join(n or 'some setting' for n in changed)}"
        for folder, digest in made_from.items():
            if digest != made.made_from.get(folder):
                return f"{folder} was made again" if digest else f"{folder} is missing"
        for need in step.needs:
            if self.state(need).state != "fresh":
                return f"{step_of(need).folder} is {self.state(need).state}"
        return self._changed_file(step, made)

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
        document = (task_file or self.task_file()).model_dump(mode="json")
        settings = {place: sha256_of(canonical_json(_at(document, place))) for place in step.settings}
        made_from = {step_of(need).folder: self._digest(need) for need in step.needs}
        return settings, made_from

    def _digest(self, verb: str) -> str:
        made = self.made(verb)
        return made.artifact if made else ""

    # Making a step

    def begin(self, verb: str) -> Path:
        """Return the step's folder, ready to work in: kept if the same work was interrupted, else empty."""
        folder = self.folder(verb)
        settings, made_from = self._inputs(step_of(verb), self._read_by(verb))
        begun = Begun(made_from=made_from, settings=settings).model_dump_json().encode()
        path = folder / BEGUN
        interrupted = path.exists() and not (folder / MADE).exists()
        if not (interrupted and path.read_bytes() == begun):
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

    def finish(self, verb: str, digest: str, *, seconds: float) -> None:
        """Record the step as complete, with what it began from: `made.json` is written last."""
        folder = self.folder(verb)
        begun = self.parsed((folder / BEGUN).read_bytes(), Begun, folder / BEGUN)
        made = Made(
            step=verb,
            artifact=digest,
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


def _yaml(data: bytes, shown: str) -> object:
    import yaml

    try:
        return yaml.safe_load(data.decode("utf-8-sig"))
    except yaml.YAMLError as error:
        problem = str(error)
    except (ValueError, LookupError, AttributeError) as error:
        problem = f"a value in it cannot be read: {error}"  # PyYAML lets 2024-13-01 and `!!int x` through
    except RecursionError:
        problem = "it is nested too deeply"
    raise BadInput(f"{shown} is not YAML: {problem}", remedy="Mend that line and run the command again.")


def _hash(path: Path) -> str:
    return file_ref(path).sha256


def _at(document: dict[str, Any], place: str) -> Any:
    value: Any = document
    for part in filter(None, place.split(".")):
        value = value[part]
    return value


def _problems(error: ValidationError) -> list[str]:
    import difflib
    import reprlib

    lines = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        hint = ""
        if problem["type"] == "extra_forbidden":
            known = _known_keys(problem["loc"][:-1])
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            lines.append(f"  {place}: unknown key{hint}")
        else:
            found = "" if problem["type"] == "missing" else f" (is {reprlib.repr(problem['input'])})"
            lines.append(f"  {place}: {problem['msg']}{found}"[:300])
    return lines


def _known_keys(place: tuple[int | str, ...]) -> list[str]:
    model: Any = TaskFile
    for part in place:
        model = model.model_fields[str(part)].annotation
    return sorted(model.model_fields)
