"""Finished steps → the pages that people read: curves, Modelfile, report, model card, release folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tuneproof import __version__
from tuneproof.arms import scores_of
from tuneproof.artifacts import (
    Adapter,
    ArmResult,
    Case,
    ChangedItem,
    Comparison,
    EvalPlan,
    Ladder,
    Release,
    Reviewed,
    Serving,
    Split,
    Verdict,
)
from tuneproof.artifacts.curves import curves_from_csv
from tuneproof.card import CardInput, render_card, without_findings
from tuneproof.data_report import data_report
from tuneproof.data_report_text import data_report_markdown
from tuneproof.errors import NotReady
from tuneproof.outside.files import file_ref
from tuneproof.plots import loss_curve_png
from tuneproof.reply_shelf import every_reply, in_test_order, ledger, replies_of
from tuneproof.report import ReportInput, render_html, render_markdown, table_markdown
from tuneproof.scoring import Scorer
from tuneproof.shelves import (
    kept_locks,
    kept_test_rows,
    put,
    put_split,
    take,
    take_case,
    take_reviewed,
    take_split,
)
from tuneproof.steps.freeze import shown_in
from tuneproof.steps.judge import served_arm
from tuneproof.steps.publish import ReleasePlan, plan_release, publish, release_texts
from tuneproof.thaw import thaw
from tuneproof.workspace import Workspace


class write_pages:
    """What is written beside a step's main file."""

    @staticmethod
    def after_tuning(workspace: Workspace, adapter: Adapter) -> None:
        """Draw the loss curve from the rows that training stored."""
        folder = workspace.folder("tune")
        curves = curves_from_csv((folder / "curves.csv").read_text(encoding="utf-8"))
        (folder / "curves.png").write_bytes(loss_curve_png(curves))
        put(workspace, "tune", adapter)

    @staticmethod
    def after_quantizing(workspace: Workspace, ladder: Ladder) -> None:
        """Keep the GGUF files and drop the merged model, which they contain."""
        shutil.rmtree(workspace.folder("quantize") / "merged", ignore_errors=True)
        put(workspace, "quantize", ladder)

    @staticmethod
    def after_serving(workspace: Workspace, serving: Serving) -> None:
        """Write the Modelfile."""
        workspace.write("serve", "Modelfile", serving.modelfile)
        put(workspace, "serve", serving)

    @staticmethod
    def after_freezing(
        workspace: Workspace,
        case: Case,
        reviewed: Reviewed,
        split: Split,
        examples: Sequence[tuple[str, str]],
    ) -> None:
        """Write the split, what was found in its pairs, and what became of earlier test rows."""
        report = data_report(case, split, shown=shown_in(case, examples))
        found = thaw(split.lock, reviewed.pairs, kept_locks(workspace), kept_test_rows(workspace))
        workspace.write("freeze", "data_report.json", report.model_dump_json(indent=1) + "\n")
        workspace.write("freeze", "data_report.md", data_report_markdown(report, found))
        if found:
            workspace.write("freeze", "thaw.json", found.model_dump_json(indent=1) + "\n")
        put_split(workspace, split)

    @staticmethod
    def after_judging(workspace: Workspace, verdict: Verdict) -> None:
        """Write the report as HTML and Markdown."""
        data = report_input(workspace, verdict)
        workspace.write("judge", "report.html", render_html(data))
        workspace.write("judge", "report.md", render_markdown(data))
        put(workspace, "judge", verdict)


def report_input(workspace: Workspace, verdict: Verdict) -> ReportInput:
    """Collect everything that the report prints."""
    reviewed, split = take_reviewed(workspace), take_split(workspace)
    return ReportInput(
        case=take_case(workspace),
        split=split,
        adapter=take(workspace, "tune", Adapter),
        comparison=take(workspace, "compare", Comparison),
        ladder=take(workspace, "quantize", Ladder),
        serving=take(workspace, "serve", Serving),
        verdict=verdict,
        plan=workspace.parsed(
            workspace.read("compare", "eval_plan.json"), EvalPlan, workspace.folder("compare")
        ),
        ledger=ledger(workspace),
        replies=every_reply(workspace, split.test),
        curves=curves_from_csv(workspace.read("tune", "curves.csv")),
        provenance=reviewed.provenance,
        statement=reviewed.statement,
        tuneproof_version=__version__,
        review=reviewed.figures,
    )


def main_table(case: Case, verdict: Verdict) -> str:
    """Return the table of all arms in Markdown."""
    return table_markdown(
        verdict.arms,
        not_measured=verdict.not_measured,
        metric=case.task_file.task.metric,
        confidence=case.task_file.gate.confidence,
        right_at=case.task_file.scoring.right_at,
    )


def release_of(
    workspace: Workspace,
    verdict: Verdict,
    *,
    scorer: Scorer,
    licence_text: Callable[[str], str],
    override: str = "",
) -> Release:
    """Write the exact upload folder and return what is in it.

    Raises:
        GateNotPassed: no file passed its gate.
        NotReady: a licence, a scan or the card stands against it.
    """
    case, split = take_case(workspace), take_split(workspace)
    adapter, ladder = take(workspace, "tune", Adapter), take(workspace, "quantize", Ladder)
    serving = take(workspace, "serve", Serving)
    plan = plan_release(case, verdict, ladder=ladder, adapter=adapter, serving=serving, override=override)
    card = _card(workspace, plan, (case, split, adapter, ladder, serving, verdict), scorer)
    texts = release_texts(
        plan,
        case=case,
        serving=serving,
        readme=card,
        licence_text=licence_text(adapter.base.licence),
        template=workspace.read("tune", "chat_template.jinja"),
    )
    release = publish(plan, texts)
    _lay_out(workspace, plan, texts)
    return release


Records = tuple[Case, Split, Adapter, Ladder, Serving, Verdict]


def _card(workspace: Workspace, plan: ReleasePlan, records: Records, scorer: Scorer) -> str:
    case, split, adapter, ladder, serving, verdict = records
    reviewed: Reviewed = take_reviewed(workspace)
    served = served_arm(serving.arms, serving)
    right, wrong = _right_and_wrong(workspace, split, served, scorer)
    if not right:
        raise NotReady(
            f"{serving.model_file} has no right reply without personal data to show on the card.",
            remedy="Train longer; a card needs one real example.",
        )
    return render_card(
        CardInput(
            case=case,
            split=split,
            adapter=adapter,
            ladder=ladder,
            serving=serving,
            verdict=verdict,
            provenance=reviewed.provenance,
            statement=reviewed.statement,
            files=tuple(gguf.file for gguf in plan.files),
            example=(right[0].input, right[0].expected, right[0].tuned_reply),
            failures=wrong,
            table=main_table(case, verdict),
            tuneproof_version=__version__,
            hub_id=f"USER/{plan.model_name}-GGUF",
            override=plan.override,
            review=reviewed.figures,
        )
    )


def _right_and_wrong(
    workspace: Workspace, split: Split, served: ArmResult, scorer: Scorer
) -> tuple[tuple[ChangedItem, ...], tuple[ChangedItem, ...]]:
    name = served.arm.name
    replies = in_test_order(replies_of(workspace, "serve", [name])[name], split.test)
    items = [
        ChangedItem(
            item_id=item.id,
            input=item.input,
            expected=item.output,
            base_reply="",
            tuned_reply=reply.text,
        )
        for item, reply in zip(split.test.items, replies, strict=True)
    ]
    shown = without_findings(items)
    good = {s.item_id for s in scores_of(scorer, split.test.items, replies) if s.correct}
    right = tuple(i for i in shown if i.item_id in good)
    return right, tuple(i for i in shown if i.item_id not in good)


def _lay_out(workspace: Workspace, plan: ReleasePlan, texts: dict[str, str]) -> None:
    folder = workspace.folder("publish") / "gguf"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for gguf in plan.files:
        source = workspace.folder("quantize") / gguf.file.name
        _link(source, folder / gguf.file.name)
        if file_ref(folder / gguf.file.name) != gguf.file:
            raise NotReady(
                f"{gguf.file.name} is not the file that was measured.", remedy="tuneproof quantize --again"
            )
    for name, text in texts.items():
        workspace.write("publish", f"gguf/{name}", text)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)  # another file system, or one without links


def served_path(workspace: Workspace, serving: Serving) -> Path:
    """Return the served GGUF file, checked against what was measured.

    Raises:
        NotReady: the file was changed or is gone.
    """
    ladder = take(workspace, "quantize", Ladder)
    path = workspace.folder("quantize") / serving.model_file
    ref = next(g.file for g in ladder.files if g.file.name == serving.model_file)
    if not path.exists() or file_ref(path) != ref:
        raise NotReady(
            f"{workspace.shown(path)} is not the file that was measured.",
            remedy=f"tuneproof quantize --again --project {workspace.shown(workspace.root)}",
        )
    return path
