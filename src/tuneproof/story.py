"""The whole pass on one page: task.yaml → case → pairs → split → adapter → GGUF → verdict → release.

Read `story` as a paragraph: each line is one step. It pauses after every step, so that a caller can stop
there. A step that is fresh is read from the project folder instead of being made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from tuneproof.artifacts import (
    Adapter,
    Artifact,
    BaseModelIdentity,
    Comparison,
    Ladder,
    Release,
    Serving,
    SplitLock,
    TestSet,
    Verdict,
)
from tuneproof.console import Tell
from tuneproof.errors import GateNotPassed, MissingArtifact
from tuneproof.outside.machine import seconds
from tuneproof.outside.protocols import Base, BatchModel, Engine, GgufTools, Trainer
from tuneproof.pages import release_of, write_pages
from tuneproof.shelves import (
    TestDesk,
    in_test_order,
    put,
    put_drafts,
    put_reviewed,
    put_split,
    replies_of,
    rounds,
    take,
    take_case,
    take_drafts,
    take_reviewed,
    take_split,
)
from tuneproof.steps import step_of
from tuneproof.steps.compare import Desk, compare, plan_of
from tuneproof.steps.draft import Source, draft
from tuneproof.steps.freeze import freeze
from tuneproof.steps.init import init
from tuneproof.steps.judge import Evidence, judge
from tuneproof.steps.quantize import quantize
from tuneproof.steps.review import review
from tuneproof.steps.serve import Kitchen, serve
from tuneproof.steps.tune import Workshop, tune
from tuneproof.workspace import Workspace

A = TypeVar("A", bound=Artifact)


class Outside(NamedTuple):
    """Everything that is not us, as arguments: real in the command, small stand-ins in tests."""

    sources: dict[str, Source]
    base: Callable[[str], Base]
    trainer: Trainer
    tools: GgufTools
    engine: Engine
    adapted: Callable[[Base, Path], BatchModel]
    """Base + adapter in the trainer's own engine."""
    frozen_before: Callable[[str, int], SplitLock | None]
    """Case name and split version → the lock that was frozen with it, for bundled cases."""
    licence_text: Callable[[str], str]
    """SPDX id → full text."""


class Maker:
    """Makes a step, or reads it back if it is fresh."""

    def __init__(self, workspace: Workspace, tell: Tell, *, only: str | None, again: bool) -> None:
        self._workspace, self._tell, self._only, self._again = workspace, tell, only, again

    def make(
        self,
        verb: str,
        work: Callable[[Path], A],
        *,
        save: Callable[[A], None],
        load: Callable[[], A],
        say: Callable[[A], str],
    ) -> A:
        """Return the artifact of a step.

        Args:
            verb: the step.
            work: makes the artifact, given the step's folder.
            save: writes its files.
            load: reads it back and checks it.
            say: one line for a person.

        Raises:
            MissingArtifact: only one step was asked for, and one before it is not fresh.
        """
        step, state = step_of(verb), self._workspace.state(verb)
        wanted = self._only is None or self._only == verb
        if state.state == "fresh" and not (self._again and self._only == verb):
            artifact = load()
            if wanted:
                self._tell.note(f"{step.number:>2} {verb}: fresh. {say(artifact)}")
            return artifact
        if not wanted:
            raise MissingArtifact(
                f"`tuneproof {self._only}` needs {step.folder}, which is {state.state} ({state.why}).",
                remedy=f"tuneproof {verb} --project {self._workspace.shown(self._workspace.root)}",
            )
        if state.state == "fresh":  # a half made one goes on, also when it was begun with `again`
            self._workspace.forget(verb)
        return self._made(verb, work, save, say)

    def _made(
        self, verb: str, work: Callable[[Path], A], save: Callable[[A], None], say: Callable[[A], str]
    ) -> A:
        step = step_of(verb)
        with self._tell.step(f"{step.number:>2} {verb}: {step.sentence}"):
            began = seconds()
            try:
                artifact = work(self._workspace.begin(verb))
            except GateNotPassed:
                self._workspace.forget(verb)  # nothing was interrupted, so there is nothing to continue
                raise
            save(artifact)
            self._workspace.finish(verb, artifact.digest, seconds=seconds() - began)
            self._tell.note(f"  {say(artifact)}", style=None)
        return artifact


def story(
    workspace: Workspace, outside: Outside, tell: Tell, *, only: str | None = None, again: bool = False
) -> Iterator[str]:
    """Walk the steps in order and yield each verb once it is done.

    Args:
        workspace: the project.
        outside: everything that is not us.
        tell: where a person reads about it.
        only: make this step alone; the ones before it must be fresh.
        again: with `only`, make it even if it is fresh.
    """
    ws, make = workspace, Maker(workspace, tell, only=only, again=again).make
    folder = ws.folder

    case = make(
        "init",
        lambda _: init(ws.task_file()),
        save=lambda a: put(ws, "init", a),
        load=lambda: take_case(ws),
        say=lambda a: f"advice: {a.triage.advice}",
    )
    yield "init"
    task_file = case.task_file

    drafts = make(
        "draft",
        lambda _: draft(case, outside.sources),
        save=lambda a: put_drafts(ws, a),
        load=lambda: take_drafts(ws),
        say=lambda a: f"{len(a.pairs)} pairs from {a.provenance.source} {a.provenance.source_version}",
    )
    yield "draft"

    reviewed = make(
        "review",
        lambda _: review(case, drafts),
        save=lambda a: put_reviewed(ws, a),
        load=lambda: take_reviewed(ws),
        say=lambda a: f"{a.accepted} pairs go on: {a.statement}",
    )
    yield "review"

    _check_lock(ws, redo=again and only == "freeze")
    split = make(
        "freeze",
        lambda _: freeze(
            case, reviewed, frozen_before=outside.frozen_before(task_file.name, task_file.split.version)
        ),
        save=lambda a: put_split(ws, a),
        load=lambda: take_split(ws),
        say=lambda a: (
            f"{len(a.train.pairs)} train, {len(a.dev.pairs)} dev, {len(a.test.items)} test in "
            f"{a.leaks.groups} groups; {a.leaks.exact + a.leaks.near + a.leaks.same_template} twins cross"
        ),
    )
    yield "freeze"

    base = LazyBase(outside, task_file.tuning.base, tell)
    adapter = make(
        "tune",
        lambda at: tune(
            case,
            split.train,
            split.dev,
            Workshop(base.get(), outside.trainer, at, tell.progress("step")),
        ),
        save=lambda a: write_pages.after_tuning(ws, a),
        load=lambda: take(ws, "tune", Adapter),
        say=lambda a: (
            f"{a.train_rows} of {a.train_rows_available} pairs, {a.epochs} epochs, {a.tokens} tokens in "
            f"{a.seconds:.0f} s; loss {a.final_loss:.3f}, on dev {a.final_dev_loss:.3f} nats an answer token"
        ),
    )
    yield "tune"
    plan = plan_of(case, split, adapter)

    def adapted() -> BatchModel:
        return outside.adapted(base.get(), folder("tune"))

    comparison = make(
        "compare",
        lambda _: compare(
            case,
            split,
            base=base.get(),
            engine=outside.engine,
            adapted=adapted(),
            desk=Desk(TestDesk(ws, "compare"), tell.progress, plan),
        ),
        save=lambda a: put(ws, "compare", a),
        load=lambda: take(ws, "compare", Comparison),
        say=lambda a: (
            f"{len(a.arms)} arms on {len(split.test.items)} items; base does best with {a.chosen_shots} shots"
        ),
    )
    yield "compare"

    ladder = make(
        "quantize",
        lambda at: quantize(
            case,
            adapter,
            base=base.get(),
            tools=outside.tools,
            folders=(folder("tune"), at / "merged", at),
            progress=tell.progress("file"),
        ),
        save=lambda a: write_pages.after_quantizing(ws, a),
        load=lambda: take(ws, "quantize", Ladder),
        say=lambda a: ", ".join(f"{f.quant} {f.file.bytes / 1e6:.0f} MB" for f in a.files),
    )
    yield "quantize"

    serving = make(
        "serve",
        lambda _: serve(
            case,
            split,
            ladder,
            kitchen=Kitchen(
                engine=outside.engine,
                adapted=adapted(),
                gguf_folder=folder("quantize"),
                chat_template=ws.read("tune", "chat_template.jinja"),
                licence_text=outside.licence_text(adapter.base.licence),
            ),
            desk=Desk(TestDesk(ws, "serve"), tell.progress, plan),
        ),
        save=lambda a: write_pages.after_serving(ws, a),
        load=lambda: take(ws, "serve", Serving),
        say=lambda a: (
            f"{a.model_file}; {a.parity.tokens_equal} of {a.parity.prompts} prompts equal token by token"
        ),
    )
    yield "serve"

    verdict = make(
        "judge",
        lambda _: judge(case, split, _evidence(ws, split.test, adapter, comparison, ladder, serving)),
        save=lambda a: write_pages.after_judging(ws, a),
        load=lambda: take(ws, "judge", Verdict),
        say=lambda a: f"gate {a.gate}, decision: {a.decision.replace('_', ' ')}",
    )
    yield "judge"

    make(
        "publish",
        lambda _: release_of(ws, verdict, licence_text=outside.licence_text),
        save=lambda a: put(ws, "publish", a),
        load=lambda: take(ws, "publish", Release),
        say=lambda a: f"dry run: {sum(len(r.files) for r in a.repos)} files, {len(a.withheld)} withheld",
    )
    yield "publish"


def _check_lock(workspace: Workspace, *, redo: bool) -> None:
    """Stop at an edited split: it would otherwise count as stale and be made again in silence."""
    if workspace.made("freeze") and not redo:
        take_split(workspace)


def _evidence(
    ws: Workspace, test: TestSet, adapter: Adapter, comparison: Comparison, ladder: Ladder, serving: Serving
) -> Evidence:
    """Collect what the verdict is made from: records, replies in the order of the items, and the ledger."""
    replies = {
        **replies_of(ws, "compare", [a.arm.name for a in comparison.arms]),
        **replies_of(ws, "serve", [a.arm.name for a in serving.arms]),
    }
    return Evidence(
        comparison=comparison,
        serving=serving,
        ladder=ladder,
        replies={name: in_test_order(found, test) for name, found in replies.items()},
        rounds=rounds(ws, list(replies), comparison.plan_digest),
        adapter=adapter,
    )


class LazyBase:
    """The base, made ready when a step first needs it: the first time takes a minute."""

    def __init__(self, outside: Outside, name: str, tell: Tell) -> None:
        self._outside, self._name, self._tell = outside, name, tell
        self._base: Base | None = None

    def get(self) -> Base:
        """Return the base."""
        if self._base is None:
            began = seconds()
            self._base = self._outside.base(self._name)
            identity: BaseModelIdentity = self._base.identity
            took = seconds() - began
            made = f"made ready in {took:.0f} s, kept for next time" if took > 2 else "ready"
            self._tell.note(f"  base {identity.name} ({identity.weights_note}): {made}", style=None)
        return self._base
