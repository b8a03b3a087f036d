"""Finished projects of stand-ins to compare in, and small logs and rows for the parts of a comparison."""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import Calls, fake_outside, fake_task, label_of
from tuneproof import pages, verify
from tuneproof.artifacts import Reply, SplitRow
from tuneproof.console import Tell
from tuneproof.outside.endpoints import endpoint_for
from tuneproof.outside.endpoints.asking import Patience
from tuneproof.outside.prices import price_of
from tuneproof.story import Outside, story
from tuneproof.workspace import Workspace

DAY = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)


@contextmanager
def no_waiting_for_the_disk() -> Iterator[None]:
    """Syncing is for a power loss, which no test here has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


@contextmanager
def no_plots() -> Iterator[None]:
    """The page in HTML is half of the time of a pass; tests that do not look at it leave it out."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (pages, verify):
            patch.setattr(module, "render_html", lambda _data: "")
        yield


def impatient(outside: Outside) -> Outside:
    """The same outside, whose endpoints do not sleep between two tries."""
    patience = Patience(calls=4, sleep=lambda _: None)
    return outside._replace(
        connect=lambda section: endpoint_for(section, patience),
        price_of=lambda section: price_of(section, DAY),
    )


def walk(
    workspace: Workspace, *, calls: Calls | None = None, only: str | None = None, **how: object
) -> Calls:
    """Walk the story, or one step of it, as the commands do."""
    noted, again = calls or Calls(), bool(how.pop("again", False))
    override = str(how.pop("override", ""))
    until = how.pop("until", only)
    outside = impatient(fake_outside(workspace.root.parent, calls=noted, **how))
    for done in story(workspace, outside, Tell(quiet=True), only=only, again=again, override=override):
        if done == until:
            break
    return noted


def new_project(root: Path, text: str | None = None) -> Workspace:
    workspace = Workspace(root)
    workspace.write_task(text or fake_task())
    return workspace


def copied(source: Path, to: Path) -> Workspace:
    """A copy that may be changed; hard links in the release are broken up."""
    return Workspace(Path(shutil.copytree(source, to)))


def set_task(workspace: Workspace, text: str) -> None:
    (workspace.root / "task.yaml").write_text(text, encoding="utf-8")


class ListLog:
    """A reply log in memory that says what was stored, and when."""

    def __init__(self, replies: Sequence[Reply] = (), events: list[str] | None = None) -> None:
        self.stored = list(replies)
        self.events = [] if events is None else events

    def replies(self) -> dict[str, Reply]:
        return {reply.item_id: reply for reply in self.stored}

    def append(self, reply: Reply) -> None:
        self.events.append(f"store {reply.item_id}")
        self.stored.append(reply)


class Quiet:
    """A progress display that only counts."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def update(self, done: int, total: int, note: str) -> None:
        self.seen.append((done, total))


def rows(count: int, *, prefix: str = "i") -> tuple[SplitRow, ...]:
    return tuple(
        SplitRow(id=f"{prefix}{n:03}", group=f"g{n:03}", input=f"text {n}", output=label_of(f"text {n}"))
        for n in range(count)
    )


def reply_to(item_id: str, text: str = "mit", **fields: object) -> Reply:
    values: dict[str, object] = {
        "item_id": item_id,
        "text": text,
        "finish": "stop",
        "prompt_tokens": 10,
        "output_tokens": 3,
        "ms": 5.0,
    }
    return Reply.model_validate(values | fields)
