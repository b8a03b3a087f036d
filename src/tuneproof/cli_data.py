"""Command line → the steps of the dataset: advise, draft, review, freeze, lint, export; no logic."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

Project = Annotated[Path, typer.Option("--project", "-p", file_okay=False, help="Project folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else.")]
Again = Annotated[bool, typer.Option("--again", help="Make it even if it is fresh.")]
HERE = Path()


def in_use(*commands: str) -> str:
    """Write examples as they stand below a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def advise(
    project: Annotated[
        Path | None, typer.Option("--project", "-p", file_okay=False, help="Project folder, if there is one.")
    ] = None,
    goal: Annotated[
        str | None, typer.Option("--goal", metavar="TEXT", help="Why a tune, in your own words.")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option("--answers", metavar="FILE", help="The answers as YAML or JSON: keys of `pressures:`."),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask every question, also if --goal answers one of them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether to fine-tune, retrieve, prompt better, rent a bigger model, or wait; needs no data."""
    from tuneproof.commands_advise import run_advise

    run_advise(project, goal=goal, answers=answers, ask=ask, as_json=as_json, stdin=sys.stdin)


def draft(
    project: Project = HERE,
    again: Again = False,
    accept_terms: Annotated[
        bool,
        typer.Option("--accept-terms", help="Record that you read the teacher's terms (drafting.terms_url)."),
    ] = False,
    by: Annotated[
        str | None, typer.Option("--by", help="With --accept-terms: who read them; else the machine's user.")
    ] = None,
    spend: Annotated[bool, typer.Option("--spend", help="Print what drafting has cost so far.")] = False,
    as_json: AsJson = False,
) -> None:
    """Step 2: read real pairs, or draft outputs for real inputs under a spend cap, with their provenance."""
    from tuneproof.commands import run_step
    from tuneproof.commands_terms import run_accept_terms, run_spend

    if accept_terms:
        run_accept_terms(project, by, as_json=as_json)
    elif spend:
        run_spend(project, as_json=as_json)
    else:
        run_step("draft", project, again=again, as_json=as_json)


def review(  # noqa: PLR0913 - one parameter an option
    project: Project = HERE,
    again: Again = False,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", help="Who decides; else the machine's user.")
    ] = None,
    tty: Annotated[bool, typer.Option("--tty", help="Review in this terminal, not in a browser.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the page; 0: a free one.")] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the page's address, and open no browser.")
    ] = False,
    pair: Annotated[
        str | None,
        typer.Option("--pair", metavar="ID", help="Decide once more on one pair, in the terminal."),
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write all decisions, as JSON Lines.")
    ] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Take decisions made elsewhere.")
    ] = None,
    reread: Annotated[
        int | None,
        typer.Option("--reread", metavar="N", help="Print N random training pairs for a person to read."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="With --reread: other pairs.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Step 3: decide on every drafted pair, in batches of 50, or name who vouches for imported ones."""
    from tuneproof.commands_review import How, run_review
    from tuneproof.commands_tune import run_reread

    if reread is not None:
        run_reread(reread, seed, project, as_json=as_json)
        return
    how = How(reviewer, tty, port, not no_browser, pair, export, import_)
    run_review(project, how, again=again, as_json=as_json)


def freeze(
    project: Project = HERE,
    again: Again = False,
    anchor: Annotated[
        str | None,
        typer.Option(
            "--anchor",
            metavar="git|KEY",
            help="Anchor the lock outside the folder: a git tag, or a signature with an SSH key file.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Step 4: split by group, report leaks and personal data, and lock the split by hash."""
    from tuneproof.commands_freeze import run_anchor, run_freeze

    if anchor is None:
        run_freeze(project, again=again, as_json=as_json)
    else:
        run_anchor(project, anchor, as_json=as_json)


def lint(
    path: Annotated[
        Path | None, typer.Argument(help="A file or folder of pairs; without it, those of the project.")
    ] = None,
    project: Project = HERE,
    of: Annotated[
        str | None,
        typer.Option(
            "--of", metavar="STAGE", help="source, drafts or reviewed; else the last that is fresh."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what is wrong with pairs: repeats, contradictions, gaps, length, rare labels, form."""
    from tuneproof.commands_data import run_lint

    run_lint(project, path, of=of, as_json=as_json)


def export(
    to: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or one of an earlier export.")],
    project: Project = HERE,
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="trl, openai, alpaca, sharegpt or hf.")
    ] = "trl",
    part: Annotated[
        list[str] | None,
        typer.Option("--part", help="train, dev, test or all; may be repeated. Without it: train and dev."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the frozen pairs in a format of other trainers, or as a Hugging Face data set with its card."""
    from tuneproof.commands_data import run_export_pairs

    run_export_pairs(project, to, format_, part or (), as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands of the dataset to the command line, in the order of the work."""
    app.command(
        short_help="whether a tune is what the task needs, without any data",
        epilog=in_use(
            'tuneproof advise --goal "so it knows our product docs"', "tuneproof advise --project my-task"
        ),
    )(advise)
    app.command(
        short_help="read real pairs, or draft outputs under a spend cap",
        epilog=in_use(
            "tuneproof draft --project my-task", "tuneproof draft --accept-terms --project my-task"
        ),
    )(draft)
    app.command(
        short_help="decide on every drafted pair, in batches of 50",
        epilog=in_use(
            "tuneproof review --project my-task",
            "tuneproof review --tty --reviewer Ana --project my-task",
            "tuneproof review --reread 50 --project my-task",
        ),
    )(review)
    app.command(
        short_help="split by group and lock the split by hash",
        epilog=in_use(
            "tuneproof freeze --project my-task", "tuneproof freeze --anchor git --project my-task"
        ),
    )(freeze)
    app.command(
        short_help="list what is wrong with the pairs",
        epilog=in_use("tuneproof lint --project my-task", "tuneproof lint tickets.jsonl"),
    )(lint)
    app.command(
        short_help="write the frozen pairs for other trainers",
        epilog=in_use(
            "tuneproof export pairs-trl --format trl --project my-task",
            "tuneproof export pairs-hf --format hf --part all --project my-task",
        ),
    )(export)
