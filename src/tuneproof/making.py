"""What a pass works with: the outside, the making of one step, and the parts that several steps share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from tuneproof.api_arms import api_arms
from tuneproof.artifacts import (
    Adapter,
    Arm,
    Artifact,
    BaseModelIdentity,
    Case,
    Drafts,
    EndpointSection,
    EvalPlan,
    PriceUsed,
    Reviewed,
    Split,
    SplitLock,
    TaskFile,
)
from tuneproof.artifacts.case import TuningSection
from tuneproof.console import Tell
from tuneproof.draft_locks import read_examples
from tuneproof.errors import GateNotPassed, MissingArtifact, NotReady
from tuneproof.eval_plan import plan_of
from tuneproof.extra_kinds import asked_input, control_of
from tuneproof.extra_tunes import ExtraTune, extras_of
from tuneproof.outside.anchors import check_anchor, check_locks_there
from tuneproof.outside.base_licence import licence_text_of
from tuneproof.outside.machine import seconds
from tuneproof.outside.own_code import references
from tuneproof.outside.protocols import Base, BatchModel, Endpoint, Engine, GgufTools, Trainer
from tuneproof.reply_shelf import TestDesk
from tuneproof.rivals import answer_with, rule_rival
from tuneproof.scoring import Scorer, expected_problem
from tuneproof.shelves import keep_lock, kept_lock, kept_locks
from tuneproof.steps import step_of
from tuneproof.steps.compare import Desk, ExtraArm, Rest, Rule
from tuneproof.steps.draft import BUNDLED, Source
from tuneproof.workspace import Workspace

A = TypeVar("A", bound=Artifact)


class Outside(NamedTuple):
    """Everything that is not us, as arguments: real in the command, small stand-ins in tests."""

    sources: dict[str, Source]
    read_pairs: Callable[[TaskFile, Path], Drafts]
    """The user's own file or folder of pairs, named in task.yaml, seen from the project folder."""
    base: Callable[[TuningSection, Path], Base]
    scorer: Callable[[TaskFile, Path], Scorer]
    """The metric, with the schema or the function of the project folder that task.yaml names."""
    rule: Callable[[TaskFile, Path], Rule | None]
    trainer: Trainer
    tools: GgufTools
    engine: Engine
    adapted: Callable[[Base, Path], BatchModel]
    """Base + adapter in the trainer's own engine."""
    connect: Callable[[EndpointSection], Endpoint]
    """Opens a model behind an API."""
    price_of: Callable[[EndpointSection], PriceUsed | str]
    """The price of a model today, or why it is not known."""
    frozen_before: Callable[[str, int], SplitLock | None]
    """Case name and split version → the lock that was frozen with it, for bundled cases."""
    licence_text: Callable[[str], str]
    """SPDX id → full text."""
    cache: Path | None = None
    """Where measured speeds are kept for the next forecast; None keeps none."""


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
        if not wanted and verb != "init":  # the case follows from task.yaml at once, and costs nothing
            raise MissingArtifact(
                f"`tuneproof {self._only}` needs {step.folder}, which is {state.state} ({state.why}).",
                remedy=f"tuneproof {verb} --project {self._workspace.shown(self._workspace.root)}",
            )
        # A half made one goes on, also when it was begun with `again`; others stay until the new is there.
        if state.state == "fresh" and step.in_folder:
            self._workspace.forget(verb)
        return self._made(verb, work, save, say)

    def _made(
        self, verb: str, work: Callable[[Path], A], save: Callable[[A], None], say: Callable[[A], str]
    ) -> A:
        step, workspace = step_of(verb), self._workspace
        with self._tell.step(f"{step.number:>2} {verb}: {step.sentence}"):
            began, inputs = seconds(), workspace.inputs_of(verb)
            try:
                # A step without files of its own may fail and leave what was made before untouched.
                artifact = work(workspace.begin(verb, inputs) if step.in_folder else workspace.folder(verb))
            except GateNotPassed:
                workspace.forget(verb)  # nothing was interrupted, so there is nothing to continue
                raise
            if not step.in_folder:
                workspace.begin(verb, inputs)
            save(artifact)
            workspace.finish(verb, artifact.digest, record=artifact.record_digest, seconds=seconds() - began)
            self._tell.note(f"  {say(artifact)}", style=None)
        return artifact


class Bench:
    """Base, scorer and rule of one pass, each made when a step first needs it.

    Making the base ready takes a minute, and a project that is only looked at runs no code of its own.
    """

    def __init__(self, workspace: Workspace, outside: Outside, task_file: TaskFile, tell: Tell) -> None:
        self._workspace, self._outside, self._task_file, self._tell = workspace, outside, task_file, tell
        self._base: Base | None = None
        self._scorer: Scorer | None = None
        self._scored_with: dict[str, str] = {}
        self._records: TestDesk

    def base(self) -> Base:
        """Return the base."""
        if self._base is None:
            began = seconds()
            self._base = self._outside.base(self._task_file.tuning, self._workspace.root)
            identity: BaseModelIdentity = self._base.identity
            took = seconds() - began
            made = f"made ready in {took:.0f} s, kept for next time" if took > 2 else "ready"
            weights = f" ({identity.weights_note})" if identity.weights_note else ""
            self._tell.note(f"  base {identity.name}{weights}: {made}", style=None)
            for note in self._base.notes:
                self._tell.note(f"  {note}", style=None)
        return self._base

    def checked_base(self, split: Split) -> Base:
        """Return the base, once all else that later steps need is known to be there: training is long."""
        self.check_own_code(split)
        return self.base()

    def check_own_code(self, split: Split) -> None:
        """Load the metric and the rule, and try the rule on dev, before anything is spent."""
        self.scorer()
        rule, reference = (
            self._outside.rule(self._task_file, self._workspace.root),
            self._task_file.comparison.rule,
        )
        if rule is not None and reference is not None:
            answer_with(rule_rival(reference, rule), split.dev.pairs)

    def same_base(self, adapter: Adapter) -> Base:
        """Return the base, which must be the one that the adapter was trained on.

        Raises:
            NotReady: it was changed since: another commit, another folder, or made into other files.
        """
        base = self.base()
        if base.identity == adapter.base:
            return base
        raise NotReady(
            f"5-adapter was trained on {_named(adapter.base)}; tuning.base is now {_named(base.identity)}.",
            remedy=f"tuneproof tune --again --project {self._workspace.shown(self._workspace.root)}",
        )

    def licence_text(self, licence: str) -> str:
        """Return the text of the base's licence: ours, or the one beside its weights, or where to look."""
        try:
            return self._outside.licence_text(licence)
        except NotReady:
            base = self.base()
            return licence_text_of(base.folder) or (
                f"The weights are under the licence {licence!r} of {base.identity.source}; no text of it was "
                "found beside them.\n"
            )

    def adapted(self, adapter: Adapter) -> BatchModel:
        """Return the base with the adapter, in the trainer's own engine."""
        return self._outside.adapted(self.same_base(adapter), self._workspace.folder("tune"))

    def scorer(self) -> Scorer:
        """Return the metric with what it needs."""
        found = self.files()
        if self._scorer is None or found != self._scored_with:  # own code may be edited during a long run
            self._scorer = self._outside.scorer(self._task_file, self._workspace.root)
            self._scored_with = found
        return self._scorer

    def problem_of(self, output: str) -> str:
        """Say why a text cannot be an expected output; empty if it can."""
        return expected_problem(output, self.scorer())

    def well_formed(self, reviewed: Reviewed) -> Reviewed:
        """Return the pairs that go on, if the metric can accept each of their outputs.

        Raises:
            NotReady: an output is none; the pairs are named.
        """
        if reviewed.figures is None:  # imported ones were checked when they were read
            return reviewed
        found = [(pair, problem) for pair in reviewed.pairs if (problem := self.problem_of(pair.output))]
        if not found:
            return reviewed
        named = "".join(f"\n{pair.id}: {pair.output!r:.120}: {problem}" for pair, problem in found[:20])
        more = f"\n… and {len(found) - 20:,} more" if len(found) > 20 else ""
        raise NotReady(
            f"{len(found):,} reviewed outputs are none that the metric can accept:{named}{more}",
            remedy=f"Fix or delete each: tuneproof review --pair {found[0][0].id} --project "
            f"{self._workspace.shown(self._workspace.root)}",
        )

    def pairs(self) -> Drafts:
        """Read the user's own pairs."""
        return self._outside.read_pairs(self._task_file, self._workspace.root)

    def examples(self) -> tuple[tuple[str, str], ...]:
        """Return input and output of the examples that the teacher was shown; empty without a teacher."""
        if self._task_file.drafting.teacher is None:
            return ()
        found = read_examples(self._task_file, self._workspace.root, self.problem_of)
        return tuple((pair.input, pair.output) for pair in found)

    def plan(self, case: Case, split: Split, adapter: Adapter) -> EvalPlan:
        """Write down what will be measured, with the files and the extra tunes that shape it."""
        extras = self.extras(case, split, adapter)
        digests = {name: extra.adapter.digest for name, extra in extras.items()}
        return plan_of(case, split, adapter, files=self.files(), extra_tunes=digests)

    def extras(self, case: Case, split: Split, adapter: Adapter) -> dict[str, ExtraTune]:
        """Return the seeds and null controls that were trained beside the adapter."""
        found = extras_of(self._workspace.root, case, split.train, split.dev, adapter.base)
        for name, why in found.stale.items():
            self._tell.note(f"  tunes/{name} does not count: {why}", style="yellow")
        return found.fresh

    def rest(self, case: Case, split: Split, adapter: Adapter) -> Rest:
        """Return the arms beside base, adapter and rivals: APIs, recorded replies, seeds, controls."""
        return Rest(
            apis=api_arms(case, self._outside.connect, self._workspace.recorded()),
            price_of=self._outside.price_of,
            extras=[self._extra_arm(e, adapter) for e in self.extras(case, split, adapter).values()],
        )

    def _extra_arm(self, extra: ExtraTune, adapter: Adapter) -> ExtraArm:
        kind = control_of(extra.name)
        title = f"null control, {kind}" if kind else f"tuned, {extra.name.replace('-', ' ')}"
        return ExtraArm(
            Arm(name=extra.name, title=title, kind=extra.kind, engine=""),
            lambda: self._outside.adapted(self.same_base(adapter), extra.folder),
            lambda text: asked_input(kind, text),
            extra.adapter.digest,
        )

    def files(self) -> dict[str, str]:
        """Return the digests of the code and schema files that task.yaml names."""
        return references(self._task_file, self._workspace.root)

    def desk(self, verb: str, plan: EvalPlan) -> Desk:
        """Return what a comparison works with."""
        rule = self._outside.rule(self._task_file, self._workspace.root) if verb == "compare" else None
        self._records = TestDesk(self._workspace, verb)
        return Desk(self._records, self._tell.progress, plan, self.scorer(), rule)

    def kept(self, write: Callable[[], None]) -> None:
        """Store a comparison, and keep its replies for the next one."""
        write()
        self._records.keep()


def _named(identity: BaseModelIdentity) -> str:
    return (
        f"{identity.source} (weights {identity.weights_sha256[:12]}…, revision {identity.revision or 'none'})"
    )


def keep_anchored_lock(workspace: Workspace, lock: SplitLock) -> None:
    """Keep a copy of a frozen lock, and stop where that copy or an anchor says otherwise."""
    keep_lock(workspace, lock)
    check_anchor(workspace.root, lock)


def frozen_lock(workspace: Workspace, outside: Outside, task_file: TaskFile) -> SplitLock | None:
    """Return the lock that the split must equal: of a bundled case, or of this project's own version."""
    version = task_file.split.version
    locked = {lock.version for lock in kept_locks(workspace)}
    check_locks_there(workspace.root, task_file.name, version, locked)
    bundled = None
    if task_file.data.source.startswith(BUNDLED):
        bundled = outside.frozen_before(task_file.name, version)
    return bundled or kept_lock(workspace, version)
