"""A finished project → the proof that every number of its report follows from its stored replies."""

from __future__ import annotations

from typing import NamedTuple

from tuneproof.arms import scores_of
from tuneproof.artifacts import Adapter, Case, Comparison, Ladder, Serving, Split, Verdict
from tuneproof.console import Tell
from tuneproof.errors import LockBroken
from tuneproof.making import Bench, Outside
from tuneproof.pages import report_input
from tuneproof.prompt_search import log_name, trial_of
from tuneproof.prompt_variants import variants
from tuneproof.reply_shelf import dev_replies, every_reply, ledger, replies_of, rounds
from tuneproof.report import render_html, render_markdown
from tuneproof.scoring import Scorer
from tuneproof.shelves import take, take_case, take_reviewed, take_split
from tuneproof.steps.judge import Evidence, judge
from tuneproof.workspace import Workspace


class Verified(NamedTuple):
    """What was computed again."""

    arms: int
    replies: int
    """Read from the reply files of all arms."""
    files: tuple[str, ...]
    """Equal to the stored ones byte for byte."""


def verify(workspace: Workspace, outside: Outside, tell: Tell) -> Verified:
    """Judge again from the per-item replies, write the report again, and compare both byte for byte.

    Raises:
        LockBroken: a number, a sentence or a byte differs; the first place is named.
        MissingArtifact: the project has no verdict yet.
    """
    stored = take(workspace, "judge", Verdict)
    for name in ("report.html", "report.md"):  # what was edited is said before the long way round
        workspace.read("judge", name)
    case, split = take_case(workspace), take_split(workspace)
    adapter = take(workspace, "tune", Adapter)
    comparison, serving = take(workspace, "compare", Comparison), take(workspace, "serve", Serving)
    bench = Bench(workspace, outside, case.task_file, tell)
    plan = bench.plan(case, split, adapter)
    _check_trials(workspace, case, split, comparison, bench.scorer())
    replies = every_reply(workspace, split.test)
    again = judge(
        case,
        split,
        Evidence(
            comparison=comparison,
            serving=serving,
            ladder=take(workspace, "quantize", Ladder),
            replies=replies,
            dev_replies=dev_replies(workspace, [a.arm.name for a in comparison.arms]),
            rounds=rounds(workspace, [a.arm.name for a in (*comparison.arms, *serving.arms)], plan.digest),
            adapter=adapter,
            plan=plan,
            scorer=bench.scorer(),
            made_at=stored.made_at,
            blind=take_reviewed(workspace).blind,
        ),
    )
    # What was read of the test since, for example by an export, is no part of what was judged.
    then = tuple(entry for entry in ledger(workspace) if entry.at <= stored.made_at)
    data = report_input(workspace, again)._replace(ledger=then)
    texts = {
        "verdict.json": again.model_dump_json(indent=1) + "\n",
        "report.html": render_html(data),
        "report.md": render_markdown(data),
    }
    for name, text in texts.items():
        _same(workspace, name, text)
    return Verified(len(again.arms), sum(map(len, replies.values())), tuple(texts))


def _check_trials(
    workspace: Workspace, case: Case, split: Split, comparison: Comparison, scorer: Scorer
) -> None:
    """Count again what each model had right on dev, by which its prompt was chosen."""
    every = {variant.name: variant for variant in variants(case.task_file.comparison.shots)}
    for trial in comparison.trials:
        if not trial.fits:
            continue
        name = log_name(trial.arm, every[trial.prompt], constrained=trial.constrained)
        known = {reply.item_id: reply for reply in replies_of(workspace, "compare", [name])[name]}
        rows = split.dev.pairs[: trial.n]
        scores = scores_of(scorer, rows, [known[row.id] for row in rows if row.id in known])
        again = trial_of(trial.arm, every[trial.prompt], scores, constrained=trial.constrained)
        if again != trial:
            raise LockBroken(
                f"{trial.arm} with the prompt {trial.prompt}: {trial.correct} of {trial.n} right on dev is "
                f"not what the stored replies give, {again.correct} of {again.n}.",
                remedy="Someone changed the replies or the table: run `tuneproof compare --again`.",
            )


def _same(workspace: Workspace, name: str, text: str) -> None:
    stored = workspace.read("judge", name)
    if stored == text:
        return
    lines = zip(stored.split("\n"), text.split("\n"), strict=False)
    number, (before, after) = next(
        ((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1]), (0, ("", ""))
    )
    where, root = workspace.shown(workspace.folder("judge") / name), workspace.shown(workspace.root)
    raise LockBroken(
        f"{where}:{number} is not what the stored replies give.\n"
        f"  stored:   {before.strip()[:160]}\n  computed: {after.strip()[:160]}",
        remedy=f"tuneproof judge --again --project {root}, and look at what changed.",
    )
