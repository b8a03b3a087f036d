"""Train and dev → tunes beside the declared one: other seeds, and null controls that must not work.

They lie in `tunes/NAME/`, beside the steps' folders. As there, `made.json` is written last and says what the
tune was made from, and a half-made one holds `begun.json` and continues.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import ValidationError

from tuneproof import __version__
from tuneproof.artifacts import (
    Adapter,
    Artifact,
    BaseModelIdentity,
    Case,
    DevSet,
    FileRef,
    Record,
    Setting,
    SplitRow,
    TrainSet,
    canonical_json,
    row_hash,
    sha256_of,
)
from tuneproof.artifacts.case import TuningSection
from tuneproof.errors import MissingArtifact, NotReady
from tuneproof.extra_kinds import CONTROLS, Ingredients, control_of, ingredients_of, is_extra_name
from tuneproof.outside.files import atomic_write, file_ref
from tuneproof.outside.machine import now
from tuneproof.steps.tune import Workshop, tune

if TYPE_CHECKING:
    from tuneproof.console import Tell
    from tuneproof.making import Bench, Outside
    from tuneproof.workspace import Workspace

TUNES = "tunes"
_MADE, _BEGUN, _ADAPTER = "made.json", "begun.json", "adapter.json"


class ExtraInputs(Record):
    """What an extra tune is made from; another value makes it stale."""

    tuning: TuningSection
    """With the seed of this tune."""
    control: str
    """`shuffled-labels`, `blank-input`, or empty for another seed."""
    system_prompt: str
    """Digest of the system prompt."""
    train: str
    """Digest of the rows trained on, after shuffling or blanking, in order."""
    dev: str
    """The same of the rows that the loss is watched on."""
    base: str
    """Digest of the base's identity."""


class ExtraMade(Artifact):
    """`made.json` of an extra tune: written last, so its existence means that the tune is complete."""

    made_from: ExtraInputs
    """What it was made from."""
    adapter: str
    """Digest of the adapter's record, without times."""
    files: tuple[FileRef, ...]
    """What is in the folder, by size and hash."""
    tuneproof: str
    """Version that made it."""
    made_at: str
    """UTC, ISO 8601."""


class ExtraTune(NamedTuple):
    """A complete extra tune."""

    name: str
    """Of its folder in `tunes/`, and of its arm."""
    kind: Literal["seed", "control"]
    """Another seed, or a tune that must not work."""
    adapter: Adapter
    folder: Path


class Extras(NamedTuple):
    """What lies in `tunes/`."""

    fresh: dict[str, ExtraTune]
    """Complete and made from what the project holds now, by name."""
    stale: dict[str, str]
    """Name → why it does not count."""


def folder_of(root: Path, name: str) -> Path:
    """Return the folder of an extra tune in the project at `root`."""
    return root / TUNES / name


def train_extra(name: str, case: Case, train: TrainSet, dev: DevSet, workshop: Workshop) -> Adapter:
    """Train one extra tune in `workshop.folder`, which is `folder_of(root, name)`.

    A complete one that is still right is read back; a half-made one continues.

    Raises:
        NotReady: all training pairs have one output, so a shuffle changes nothing; or as `tune` says.
        MissingPart: the trainer is not installed.
    """
    used = ingredients_of(name, case, train, dev)
    inputs = _inputs(name, used, workshop.base.identity)
    found = _look(name, workshop.folder, inputs)
    if isinstance(found, ExtraTune):
        return found.adapter
    _check_control(name, used)
    _begin(workshop.folder, inputs)
    adapter = _told_apart(name, tune(used.case, used.train, used.dev, workshop))
    _finish(workshop.folder, inputs, adapter)
    return adapter


def extras_of(root: Path, case: Case, train: TrainSet, dev: DevSet, base: BaseModelIdentity) -> Extras:
    """Read what lies in `tunes/`.

    Args:
        root: the project folder.
        case: the settings as they are now.
        train: the frozen training rows.
        dev: the frozen dev rows.
        base: the base of the declared tune.
    """
    fresh: dict[str, ExtraTune] = {}
    stale: dict[str, str] = {}
    declared = f"seed-{case.task_file.tuning.seed}"
    for name in _names_in(root):
        expected = _inputs(name, ingredients_of(name, case, train, dev), base)
        found = _look(name, folder_of(root, name), expected)
        if name == declared:
            stale[name] = "tuning.seed declares this seed now, so 5-adapter holds it"
        elif isinstance(found, ExtraTune):
            fresh[name] = found
        else:
            stale[name] = found
    return Extras(fresh, stale)


def tunes_digest(root: Path) -> str:
    """Return one digest of the complete tunes in `tunes/`, fresh or not; empty if there is none."""
    made = {name: _made(folder_of(root, name)) for name in _names_in(root)}
    known = {name: record.adapter for name, record in made.items() if isinstance(record, ExtraMade)}
    return sha256_of(canonical_json(known)) if known else ""


def train_extras(
    workspace: Workspace, bench: Bench, outside: Outside, tell: Tell, names: Sequence[str]
) -> tuple[ExtraTune, ...]:
    """Train each of `names` that is not fresh, and tell its loss; the caller holds the project.

    Raises:
        MissingArtifact: the case or the declared tune is not fresh.
        NotReady: the base is another one by now, or as `train_extra` says.
    """
    # Here and not above: the project folder may ask `tunes_digest`, and an import cycle would stop it.
    from tuneproof.shelves import take, take_case, take_split

    _need_declared(workspace)
    case, split, declared = take_case(workspace), take_split(workspace), take(workspace, "tune", Adapter)
    done = []
    for name in names:
        folder = folder_of(workspace.root, name)
        expected = _inputs(name, ingredients_of(name, case, split.train, split.dev), declared.base)
        found = _look(name, folder, expected)
        if isinstance(found, str):
            with tell.step(f"{name}: train → LoRA adapter ({found})"):
                shop = Workshop(bench.same_base(declared), outside.trainer, folder, tell.progress("step"))
                adapter = train_extra(name, case, split.train, split.dev, shop)
            found = ExtraTune(name, _kind(name), adapter, folder)
        done.append(found)
        tell.line(_line(found))
    _tell_end(workspace, tell, done)
    return tuple(done)


def _need_declared(workspace: Workspace) -> None:
    for verb in ("init", "tune"):
        state = workspace.state(verb)
        if state.state != "fresh":
            raise MissingArtifact(
                f"Extra tunes stand beside a finished one, and {verb} is {state.state} ({state.why}).",
                remedy=f"tuneproof run --until tune --project {workspace.shown(workspace.root)}",
            )


def _line(extra: ExtraTune) -> str:
    adapter = extra.adapter
    return (
        f"{extra.name}: {adapter.train_rows} pairs, {adapter.epochs} epochs, {adapter.seconds:.0f} s; "
        f"loss {adapter.final_loss:.3f}, on dev {adapter.final_dev_loss:.3f} nats an answer token"
    )


def _tell_end(workspace: Workspace, tell: Tell, done: Sequence[ExtraTune]) -> None:
    following = f"tuneproof compare --project {workspace.shown(workspace.root)}"
    tell.line(f"Next: {following}")
    tunes = {
        extra.name: {
            "folder": f"{TUNES}/{extra.name}",
            "final_loss": extra.adapter.final_loss,
            "final_dev_loss": extra.adapter.final_dev_loss,
            "seconds": extra.adapter.seconds,
        }
        for extra in done
    }
    tell.json({"tunes": tunes, "next": following})


def _kind(name: str) -> Literal["seed", "control"]:
    return "control" if control_of(name) else "seed"


def _names_in(root: Path) -> list[str]:
    folder = root / TUNES
    found = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(filter(is_extra_name, found))


def _inputs(name: str, used: Ingredients, base: BaseModelIdentity) -> ExtraInputs:
    task_file = used.case.task_file
    return ExtraInputs(
        tuning=task_file.tuning,
        control=control_of(name) or "",
        system_prompt=sha256_of(task_file.task.system_prompt),
        train=_rows_digest(used.train.pairs[: task_file.tuning.rows]),
        dev=_rows_digest(used.dev.pairs),
        base=base.digest,
    )


def _rows_digest(rows: Sequence[SplitRow]) -> str:
    return sha256_of(canonical_json([row_hash(row) for row in rows]))


def _look(name: str, folder: Path, expected: ExtraInputs) -> ExtraTune | str:
    """Return the tune in `folder`, or why there is none that counts."""
    made = _made(folder)
    if isinstance(made, str):
        return made
    if changed := _changed(made.made_from, expected):
        return f"changed since: {', '.join(changed)}"
    for ref in made.files:
        path = folder / ref.name
        if not path.is_file() or file_ref(path).sha256 != ref.sha256:
            return f"{ref.name} {'was changed' if path.is_file() else 'is gone'}"
    try:
        adapter = Adapter.model_validate_json((folder / _ADAPTER).read_bytes())
    except (OSError, ValidationError):
        return f"{_ADAPTER} is damaged"
    if adapter.digest != made.adapter:
        return f"{_ADAPTER} is not the one that was made"
    return ExtraTune(name, _kind(name), adapter, folder)


def _made(folder: Path) -> ExtraMade | str:
    path = folder / _MADE
    if not path.is_file():
        half = (folder / _BEGUN).exists()
        return "interrupted; the same command continues" if half else "not made yet"
    try:
        return ExtraMade.model_validate_json(path.read_bytes())
    except ValidationError:
        return f"{_MADE} is damaged"


def _changed(before: ExtraInputs, after: ExtraInputs) -> list[str]:
    old, new = before.tuning.model_dump(), after.tuning.model_dump()
    parts = {"train": "the training pairs", "dev": "the dev pairs", "base": "the base"}
    parts |= {"system_prompt": "task.system_prompt", "control": "the control"}
    return [f"tuning.{key}" for key in new if new[key] != old[key]] + [
        said for part, said in parts.items() if getattr(before, part) != getattr(after, part)
    ]


def _check_control(name: str, used: Ingredients) -> None:
    rows = used.train.pairs[: used.case.task_file.tuning.rows]
    if control_of(name) == "shuffled-labels" and len({row.output for row in rows}) < 2:
        raise NotReady(
            f"All {len(rows)} training pairs have the same output: shuffled, they are what they were.",
            remedy=f"tuneproof tune --control {CONTROLS[1]}",
        )


def _begin(folder: Path, inputs: ExtraInputs) -> None:
    """Make the folder ready: kept if the same work was interrupted, else empty."""
    begun, path = inputs.model_dump_json().encode(), folder / _BEGUN
    interrupted = path.is_file() and not (folder / _MADE).exists()
    if interrupted and path.read_bytes() == begun:
        return
    # First: a kill in between must not leave a tune that counts as made.
    (folder / _MADE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    atomic_write(path, begun)


def _told_apart(name: str, adapter: Adapter) -> Adapter:
    """Say in the record what this tune is: its seed is not the one of task.yaml, or it is a control."""
    kind = control_of(name)
    if kind:
        extra = Setting(name="control", value=kind, origin="tune --control")
        return adapter.model_copy(update={"settings": (*adapter.settings, extra)})
    settings = (
        s.model_copy(update={"origin": "tune --seeds"}) if s.name == "seed" else s for s in adapter.settings
    )
    return adapter.model_copy(update={"settings": tuple(settings)})


def _finish(folder: Path, inputs: ExtraInputs, adapter: Adapter) -> None:
    atomic_write(folder / _ADAPTER, (adapter.model_dump_json(indent=1) + "\n").encode())
    made = ExtraMade(
        made_from=inputs,
        adapter=adapter.digest,
        files=tuple(
            file_ref(path).model_copy(update={"name": str(path.relative_to(folder))})
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path != folder / _BEGUN
        ),
        tuneproof=__version__,
        made_at=now(),
    )
    atomic_write(folder / _MADE, (made.model_dump_json(indent=1) + "\n").encode())
    (folder / _BEGUN).unlink()
