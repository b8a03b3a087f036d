"""`compare --export`, `compare --import` and `report`: replies made elsewhere, the proof of numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tuneproof.api_arms import Questions, asked_with, exported
from tuneproof.artifacts import EndpointSection, Verdict, sha256_of
from tuneproof.commands import real, tell_verdict
from tuneproof.console import Tell
from tuneproof.errors import BadInput
from tuneproof.export import export_texts
from tuneproof.making import Bench, Outside
from tuneproof.outside.files import atomic_write
from tuneproof.recorded import read_recorded, to_own_format
from tuneproof.reply_shelf import record_access
from tuneproof.shelves import take, take_case, take_split
from tuneproof.verify import verify
from tuneproof.workspace import Workspace
from tuneproof.workspace_inputs import RECORDED

REQUESTS = "requests"


class Made(NamedTuple):
    """What a person says of a file of replies that does not say it itself."""

    model: str | None = None
    """Id of the model."""
    date: str | None = None
    """ISO 8601."""
    by: str | None = None
    """Who made them."""


def run_export(arm: str, project: Path, *, as_json: bool, outside: Callable[[], Outside] = real) -> None:
    """Write the exact requests of an arm, to be answered on another machine.

    Raises:
        BadInput: task.yaml names no such arm.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    of, section = _questions(workspace, outside(), tell), _section(workspace, arm)
    variant, requests = exported(of, section)
    texts = export_texts(
        requests,
        model=section.model,
        temperature=section.temperature,
        reasoning_effort=section.reasoning_effort,
        repeats=section.repeats,
    )
    folder = workspace.root / REQUESTS / arm
    folder.mkdir(parents=True, exist_ok=True)
    with workspace.alone():
        record_access(workspace, "tuneproof compare --export", arm, "")
        for name, text in texts.items():
            atomic_write(folder / name, text.encode())
    shown = workspace.shown(folder)
    often = "once" if section.repeats == 1 else f"{section.repeats} times"
    tell.line(f"{len(requests)} items, each asked {often}, with the prompt {variant.name}:")
    for name in texts:
        tell.line(f"  {shown}/{name}")
    tell.line("These are the test inputs: whoever answers them must not tune on them.")
    tell.line(
        f"Next: tuneproof compare --import FILE --arm {arm} --project {workspace.shown(workspace.root)}"
    )
    tell.json({"arm": arm, "prompt": variant.name, "requests": len(requests), "files": list(texts)})


def run_import(
    file: Path, arm: str, project: Path, made: Made, *, as_json: bool, outside: Callable[[], Outside] = real
) -> None:
    """Check replies that were made elsewhere and keep them; the next comparison reads them.

    Raises:
        BadInput: the file is not there, or is not a whole set of replies to exactly our requests.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    if not file.is_file():
        raise BadInput(
            f"{file} does not exist.", remedy=f"tuneproof compare --export {arm}, and have it answered"
        )
    data = file.read_bytes()
    of, section = _questions(workspace, outside(), tell), _section(workspace, arm)
    variant, requests = asked_with(of, section, data)
    recorded = read_recorded(
        data, requests, where=str(file), model=made.model, made_at=made.date, made_by=made.by
    )
    path = workspace.root / RECORDED / f"{arm}.jsonl"
    text = to_own_format(recorded)
    # The first recording is the arm that the plan named; taking another in its place is another look.
    replaces = path.exists() and path.read_bytes() != text.encode()
    with workspace.alone():
        record_access(workspace, "tuneproof compare --import", arm, sha256_of(text) if replaces else "")
        path.parent.mkdir(exist_ok=True)
        atomic_write(path, text.encode())
    repeats = len(recorded.replies)
    noise = "" if repeats > 1 else " One reply an item: run-to-run noise is not measured."
    tell.line(
        f"{len(requests)} replies of {recorded.model}, {recorded.made_at[:10]}, {repeats} an item, prompt "
        f"{variant.name}, from {recorded.format}: {workspace.shown(path)}.{noise}"
    )
    if not recorded.tokens_known:
        tell.line("They say nothing of tokens, so what they cost is unknown.")
    tell.line(f"Next: tuneproof run --project {workspace.shown(workspace.root)}")
    tell.json({"arm": arm, "model": recorded.model, "replies": len(requests), "repeats": repeats})


def run_report(
    project: Path, *, verified: bool, as_json: bool, outside: Callable[[], Outside] = real
) -> None:
    """Print the verdict again, or compute every number of it again from the stored replies.

    Raises:
        LockBroken: a number, a sentence or a byte of the report does not follow from the replies.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    if not verified:
        tell_verdict(workspace, take_case(workspace), take(workspace, "judge", Verdict), tell)
        return
    done = verify(workspace, outside(), tell)
    tell.line(
        f"{', '.join(done.files)}: equal byte for byte to what {done.replies:,} stored replies of "
        f"{done.arms} arms give."
    )
    tell.json(done._asdict())


def _questions(workspace: Workspace, outside: Outside, tell: Tell) -> Questions:
    case, split = take_case(workspace), take_split(workspace)
    scorer = Bench(workspace, outside, case.task_file, tell).scorer()
    return Questions(case, split, scorer.options.schema)


def _section(workspace: Workspace, arm: str) -> EndpointSection:
    comparison = workspace.task_file().comparison
    named: dict[str, EndpointSection] = {each.name: each for each in comparison.endpoints}
    # Whoever records the frontier elsewhere need not name it before; its replies say which model it was.
    named["frontier"] = comparison.frontier or EndpointSection(model="MODEL", repeats=1)
    if arm in named:
        return named[arm]
    raise BadInput(
        f"There is no endpoint {arm!r}; there are {', '.join(sorted(named))}.",
        remedy="Add it to comparison.endpoints in task.yaml.",
    )
