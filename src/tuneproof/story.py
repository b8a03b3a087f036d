"""The whole pass on one page: task.yaml → case → pairs → split → adapter → GGUF → verdict → release.

Read `story` as a paragraph: each line is one step. It pauses after every step, so that a caller can stop
there. A step that is fresh is read from the project folder instead of being made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tuneproof.artifacts import Adapter, Comparison, Drafts, Ladder, Release, Serving, Verdict
from tuneproof.commands_draft import ASK, draft_pairs
from tuneproof.console import Tell
from tuneproof.drafting import NOT_BEFORE_THE_CAP
from tuneproof.errors import LockBroken
from tuneproof.forecast import detectable
from tuneproof.making import Bench, Maker, Outside, frozen_lock, keep_anchored_lock
from tuneproof.outside.machine import now
from tuneproof.pages import release_of, write_pages
from tuneproof.reply_shelf import base_replies, dev_replies, every_reply, rounds
from tuneproof.review_desk import decided, decisions
from tuneproof.shelves import (
    keep_lock,
    kept_locks,
    kept_test_rows,
    put,
    put_drafts,
    put_reviewed,
    take,
    take_case,
    take_drafts,
    take_reviewed,
    take_split,
)
from tuneproof.steps.compare import compare
from tuneproof.steps.draft import draft
from tuneproof.steps.freeze import freeze
from tuneproof.steps.init import init
from tuneproof.steps.judge import Evidence, judge
from tuneproof.steps.quantize import quantize
from tuneproof.steps.review import review
from tuneproof.steps.serve import Kitchen, serve
from tuneproof.steps.tune import Workshop, tune
from tuneproof.workspace import Workspace

__all__ = ["Outside", "story"]


def story(
    workspace: Workspace,
    outside: Outside,
    tell: Tell,
    *,
    only: str | None = None,
    again: bool = False,
    override: str = "",
) -> Iterator[str]:
    """Walk the steps in order and yield each verb once it is done.

    Args:
        workspace: the project.
        outside: everything that is not us.
        tell: where a person reads about it.
        only: make this step alone; the ones before it must be fresh.
        again: with `only`, make it even if it is fresh.
        override: why files are published whose gate is not passed.
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
    bench = Bench(ws, outside, task_file, tell)

    drafts = make(
        "draft",
        lambda _: draft(
            case,
            outside.sources,
            bench.pairs,
            bench.problem_of,
            lambda: draft_pairs(
                ws, outside, case, bench, tell, ASK._replace(again=again and only == "draft")
            ),
        ),
        save=lambda a: put_drafts(ws, a),
        load=lambda: take_drafts(ws),
        say=lambda a: (
            f"{len(a.pairs)} pairs from {a.provenance.source} {a.provenance.source_version}"
            f"{f', drafted by {a.provenance.teacher}' if a.provenance.teacher else ''}{_left_out(a)}"
        ),
    )
    yield "draft"

    reviewed = make(
        "review",
        lambda _: bench.well_formed(
            review(
                case,
                drafts,
                decided(ws, case, drafts),
                closed_only=task_file.review.unreviewed == "leave out",
            )
        ),
        save=lambda a: put_reviewed(ws, a, decisions(ws) if a.figures else ""),
        load=lambda: take_reviewed(ws),
        say=lambda a: f"{len(a.pairs)} pairs go on: {a.statement}",
    )
    yield "review"

    _check_lock(ws, redo=again and only == "freeze")
    frozen_before = frozen_lock(ws, outside, task_file)
    split = make(
        "freeze",
        lambda _: freeze(
            case,
            reviewed,
            frozen_before=frozen_before,
            shown=bench.examples(),
            thawed=kept_locks(ws),
            known=kept_test_rows(ws),
        ),
        save=lambda a: write_pages.after_freezing(ws, case, reviewed, a, bench.examples()),
        load=lambda: take_split(ws),
        say=lambda a: (
            f"{len(a.train.pairs)} train, {len(a.dev.pairs)} dev, {len(a.test.items)} test in "
            f"{a.leaks.groups} groups; {a.leaks.exact + a.leaks.near + a.leaks.straddling_groups} twins "
            f"cross; {detectable(case, a)}"
        ),
    )
    keep_anchored_lock(ws, split.lock)
    yield "freeze"

    adapter = make(
        "tune",
        lambda at: tune(
            case,
            split.train,
            split.dev,
            Workshop(bench.checked_base(split), outside.trainer, at, tell.progress("step")),
        ),
        save=lambda a: write_pages.after_tuning(ws, a),
        load=lambda: take(ws, "tune", Adapter),
        say=lambda a: (
            f"{a.train_rows} of {a.train_rows_available} pairs, {a.epochs} epochs, {a.tokens} tokens in "
            f"{a.seconds:.0f} s; loss {a.final_loss:.3f}, on dev {a.final_dev_loss:.3f} nats an answer token"
        ),
    )
    yield "tune"
    plan = bench.plan(case, split, adapter)

    comparison = make(
        "compare",
        lambda _: compare(
            case,
            split,
            local=(bench.same_base(adapter), outside.engine, bench.adapted(adapter)),
            desk=bench.desk("compare", plan),
            rest=bench.rest(case, split, adapter),
        ),
        save=lambda a: bench.kept(lambda: put(ws, "compare", a)),
        load=lambda: take(ws, "compare", Comparison),
        say=lambda a: (
            f"{len(a.arms)} arms on {len(split.test.items)} items; the base does best with the prompt "
            f"{a.chosen.get('base-best', a.chosen['base-0-shot'])}"
        ),
    )
    yield "compare"

    ladder = make(
        "quantize",
        lambda at: quantize(
            case,
            adapter,
            base=bench.same_base(adapter),
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
            comparison,
            kitchen=Kitchen(
                engine=outside.engine,
                base=bench.same_base(adapter),
                base_replies=base_replies(ws, comparison),
                adapted=bench.adapted(adapter),
                gguf_folder=folder("quantize"),
                chat_template=ws.read("tune", "chat_template.jinja"),
                licence_text=bench.licence_text(adapter.base.licence),
                stops=bench.same_base(adapter).stops,
            ),
            desk=bench.desk("serve", plan),
        ),
        save=lambda a: bench.kept(lambda: write_pages.after_serving(ws, a)),
        load=lambda: take(ws, "serve", Serving),
        say=lambda a: (
            f"{a.model_file}; {a.parity.tokens_equal} of {a.parity.prompts} prompts equal token by token"
        ),
    )
    yield "serve"

    verdict = make(
        "judge",
        lambda _: judge(
            case,
            split,
            Evidence(
                comparison=comparison,
                serving=serving,
                ladder=ladder,
                replies=every_reply(ws, split.test),
                dev_replies=dev_replies(ws, [a.arm.name for a in comparison.arms]),
                rounds=rounds(ws, [a.arm.name for a in (*comparison.arms, *serving.arms)], plan.digest),
                adapter=adapter,
                plan=plan,
                scorer=bench.scorer(),
                made_at=now(),
                blind=reviewed.blind,
            ),
        ),
        save=lambda a: write_pages.after_judging(ws, a),
        load=lambda: take(ws, "judge", Verdict),
        say=lambda a: f"gate {a.gate}, decision: {a.decision.replace('_', ' ')}",
    )
    yield "judge"

    make(
        "publish",
        lambda _: release_of(
            ws, verdict, scorer=bench.scorer(), licence_text=bench.licence_text, override=override
        ),
        save=lambda a: put(ws, "publish", a),
        load=lambda: take(ws, "publish", Release),
        say=lambda a: f"dry run: {sum(len(r.files) for r in a.repos)} files, {len(a.withheld)} withheld",
    )
    yield "publish"


def _left_out(drafts: Drafts) -> str:
    """Say how many rows of the user's own file were left out, and why."""
    capped = drafts.left_out.get(NOT_BEFORE_THE_CAP, 0)
    rest = f"; {capped} {NOT_BEFORE_THE_CAP}" if capped else ""
    if not drafts.rejected:
        return rest
    counts = Counter(row.reason.partition(": ")[0] for row in drafts.rejected)
    reasons = ", ".join(f"{count} × {reason}" for reason, count in counts.most_common(4))
    return f"; {len(drafts.rejected)} left out ({reasons}): 2-drafts/left_out.jsonl{rest}"


def _check_lock(workspace: Workspace, *, redo: bool) -> None:
    """Stop at an edited split: it would otherwise count as stale and be made again in silence."""
    if workspace.made("freeze") is None:
        return
    try:
        keep_lock(workspace, take_split(workspace).lock)
    except LockBroken:
        if not redo:
            raise
