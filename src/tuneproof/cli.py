"""Command line → steps: parse, load, call, tell; no logic."""

from __future__ import annotations

import errno
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from tuneproof import __version__
from tuneproof.cli_data import HERE, Again, AsJson, Project, in_use, register
from tuneproof.errors import GateNotPassed, TuneproofError

app = typer.Typer(
    name="tuneproof",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Decide whether one narrow LLM task should move to a small model you own; build it and prove it.\n\n"
    "Start with `tuneproof demo`, or `tuneproof init --example licenses --project my-task`.",
)

INTERRUPTED = 130
FULL_OR_FORBIDDEN = {
    errno.ENOSPC: "Free some space (`tuneproof doctor` shows how much there is), then run the command again.",
    errno.EDQUOT: "Free some space or raise your quota, then run the command again.",
    errno.EACCES: "Change the rights, or choose another folder with --project.",
    errno.EPERM: "Change the rights, or choose another folder with --project.",
    errno.ENOTDIR: "A part of that path is a file: choose another folder with --project.",
    errno.ENAMETOOLONG: "Shorten that name, in task.yaml or on the command line.",
    errno.EROFS: "Choose a folder that can be written with --project.",
}
"""What the machine can refuse and a person can repair: not a bug of ours."""


def main() -> None:
    """Run the command; turn an expected stop into a message, and our own bug into a report."""
    try:
        # Typer returns the code of its own exits, and of an interrupt: no error is raised for them.
        code = app(prog_name="tuneproof", standalone_mode=False)
    except TuneproofError as error:
        _say(f"{error.problem}\n  → {error.remedy}")
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where everything ends
        code = _unexpected(error)
    if code == INTERRUPTED:
        _say("Interrupted. The same command continues where it stopped.")
    sys.exit(code)


def _unexpected(error: Exception) -> int:
    """Show click's own errors its way (exit 2), a full disk with a remedy (1), the rest as a bug (70)."""
    if hasattr(error, "exit_code") and hasattr(error, "format_message"):
        show = getattr(error, "show", None)
        if callable(show):
            show()
        return int(error.exit_code)
    if type(error).__name__ in {"Abort", "Exit"}:
        return int(getattr(error, "exit_code", INTERRUPTED))
    if isinstance(error, OSError) and error.errno in FULL_OR_FORBIDDEN:
        _say(f"{error.strerror}: {error.filename or 'a file of this run'}")
        _say(f"  → {FULL_OR_FORBIDDEN[error.errno]}")
        return TuneproofError.exit_code
    _say("".join(traceback.format_exception(error)))
    _say("This is a bug in tuneproof. Please report it with the lines above: see CONTRIBUTING.md.")
    return 70


def _say(text: str) -> None:
    sys.stderr.write(text.rstrip() + "\n")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tuneproof {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before a command."""


@app.command(
    short_help="run the bundled case from nothing to a verdict",
    epilog=in_use(
        "tuneproof demo --project demo",
        "tuneproof demo --project demo-full --full",
    ),
)
def demo(
    project: Project = Path("demo"),
    full: Annotated[
        bool, typer.Option("--full", help="Train on every training pair: about an hour on 2 cores.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the bundled case from nothing to a verdict on real weights and data; continues if interrupted."""
    from tuneproof.commands import run_demo

    run_demo(project, full=full, as_json=as_json)


@app.command(
    short_help="begin: guess task.yaml from pairs, and make the case of it",
    epilog=in_use(
        "tuneproof init --pairs tickets.jsonl --project my-task",
        "tuneproof init --example licenses --project my-task",
        "tuneproof init --project my-task",
    ),
)
def init(
    project: Project = HERE,
    example: Annotated[
        str | None, typer.Option("--example", help="Begin with the task.yaml of a bundled case: licenses.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs", help="File or folder of pairs to guess a task.yaml from: JSONL, CSV, Parquet, …"
        ),
    ] = None,
    reviewed_by: Annotated[
        str | None, typer.Option("--reviewed-by", help="With --pairs: who labelled them.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="With --pairs: of a CSV that is not UTF-8, as cp1252.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Step 1: write a task.yaml if there is none, and make the case, with the advice whether a tune pays."""
    from tuneproof.start import run_init

    run_init(
        project, example=example, pairs=pairs, reviewed_by=reviewed_by, encoding=encoding, as_json=as_json
    )


def _step(verb: str, sentence: str, *examples: str) -> None:
    def command(project: Project = HERE, again: Again = False, as_json: AsJson = False) -> None:
        from tuneproof.commands import run_step

        run_step(verb, project, again=again, as_json=as_json)

    command.__doc__ = sentence
    shown = examples or (f"tuneproof {verb} --project my-task", f"tuneproof {verb} --project my-task --again")
    short = sentence.split(": ", 1)[1].rstrip(".")
    app.command(name=verb, short_help=short, epilog=in_use(*shown))(command)


register(app)


@app.command(
    short_help="train the LoRA adapter; a killed run continues",
    epilog=in_use(
        "tuneproof tune --project my-task",
        "tuneproof tune --seeds 3 --project my-task",
        "tuneproof tune --control shuffled-labels --project my-task",
    ),
)
def tune(
    project: Project = HERE,
    again: Again = False,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", metavar="N", help="Train other seeds too, N in all: how much is chance?"),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            "--control", help="Train a tune that must not pass the gate: shuffled-labels or blank-input."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Step 5: train the LoRA adapter; a killed run continues."""
    from tuneproof.commands import run_step
    from tuneproof.commands_tune import run_extra_tunes

    if seeds is None and control is None:
        run_step("tune", project, again=again, as_json=as_json)
    else:
        run_extra_tunes(seeds, control, project, as_json=as_json)


@app.command(
    short_help="measure base, rivals, adapter and every API on the test",
    epilog=in_use(
        "tuneproof compare --project my-task",
        "tuneproof compare --export frontier --project my-task",
        "tuneproof compare --import replies.jsonl --arm frontier --project my-task",
    ),
)
def compare(  # noqa: PLR0913 - one parameter an option
    project: Project = HERE,
    again: Again = False,
    export: Annotated[
        str | None,
        typer.Option("--export", metavar="ARM", help="Write an arm's requests, to be answered elsewhere."),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Take replies made elsewhere: our own format, OpenAI Batch or Anthropic Message Batches.",
        ),
    ] = None,
    arm: Annotated[str, typer.Option("--arm", help="With --import: whose replies they are.")] = "frontier",
    model: Annotated[
        str | None, typer.Option("--model", help="With --import: the model, if the file names none.")
    ] = None,
    date: Annotated[
        str | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="With --import: when, if the file does not say."),
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="With --import: who made them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Step 6: measure base, rivals, adapter and every API on the test."""
    from tuneproof.commands import run_step
    from tuneproof.commands_compare import Made, run_export, run_import

    if export is not None:
        run_export(export, project, as_json=as_json)
    elif import_ is not None:
        run_import(import_, arm, project, Made(model, date, by), as_json=as_json)
    else:
        run_step("compare", project, again=again, as_json=as_json)


_step("quantize", "Step 7: merge the adapter and make the GGUF files.")
_step("serve", "Step 8: prove prompt parity and measure every GGUF file.")
_step("judge", "Step 9: decide, and write the report.")


@app.command(
    short_help="print the verdict again, or prove every number of it",
    epilog=in_use("tuneproof report --project demo", "tuneproof report --verify --project demo"),
)
def report(
    project: Project = HERE,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compute every number again from the replies, and compare every byte."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the verdict again; with --verify, prove that the report follows from the stored replies."""
    from tuneproof.commands_compare import run_report

    run_report(project, verified=verify, as_json=as_json)


@app.command(
    short_help="write what would be uploaded; a dry run, nothing is sent",
    epilog=in_use(
        "tuneproof publish --project my-task",
        'tuneproof publish --override "pilot with 20 users, replies are checked by hand" --project my-task',
    ),
)
def publish(
    project: Project = HERE,
    again: Again = False,
    override: Annotated[
        str,
        typer.Option("--override", metavar="REASON", help="Publish although a gate is not passed; printed."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Step 10: write what would be uploaded; a dry run, nothing is sent."""
    from tuneproof.commands import run_step

    run_step("publish", project, again=again or bool(override), as_json=as_json, override=override)


@app.command(
    short_help="make every step that is missing or stale, up to the verdict",
    epilog=in_use(
        "tuneproof run --project my-task --dry-run",
        "tuneproof run --project my-task",
        "tuneproof run --project my-task --until freeze",
    ),
)
def run(
    project: Project = HERE,
    until: Annotated[str, typer.Option("--until", metavar="STEP", help="Stop after this step.")] = "judge",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan with time and money; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make every step that is missing or stale and skip the fresh ones; continues if interrupted.

    It stops where a person is needed: at review, and before publish.
    """
    from tuneproof.commands import run_dry, run_run

    (run_dry if dry_run else run_run)(project, until=until, as_json=as_json)


@app.command(
    short_help="answer one input with the served model",
    epilog=in_use(
        'tuneproof ask "Licensed under the MIT license" --project demo',
        "tuneproof ask - --project demo < NOTICE",
    ),
)
def ask(
    text: Annotated[str, typer.Argument(help="The input; `-` reads it from stdin.")],
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Answer one input with the served model, in the embedded runtime."""
    from tuneproof.commands import run_ask

    run_ask(text, project, as_json=as_json)


@app.command(
    short_help="what is fresh, what is stale and why, what is next",
    epilog=in_use("tuneproof status --project demo", "tuneproof status --project demo --json"),
)
def status(project: Project = HERE, as_json: AsJson = False) -> None:
    """Say of each step whether it is fresh or stale and why, and name the next command."""
    from tuneproof.commands import run_status

    run_status(project, as_json=as_json)


@app.command(
    short_help="what is installed, what is missing",
    epilog=in_use("tuneproof doctor", "tuneproof doctor --json"),
)
def doctor(project: Project = HERE, as_json: AsJson = False) -> None:
    """Say what is installed, what is missing, and the command that adds it."""
    from tuneproof.commands import run_doctor

    run_doctor(project, as_json=as_json)


__all__ = ["GateNotPassed", "app", "main"]
