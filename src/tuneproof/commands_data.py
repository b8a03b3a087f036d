"""`tuneproof lint` and `tuneproof export`: what is wrong with the pairs, and the pairs in other formats."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from tuneproof import __version__
from tuneproof.artifacts import Case, LeftOut, Pair, Split, SplitRow, TaskFile
from tuneproof.commands import real
from tuneproof.console import Tell
from tuneproof.dataset_card import UNKNOWN, CardOf, found_in, render_dataset_card
from tuneproof.errors import BadInput, LockBroken, NotReady
from tuneproof.lint import Finding, Room, Rules, counts_of, estimated, lint
from tuneproof.making import Bench, Outside
from tuneproof.metrics.text import folded
from tuneproof.outside.cached_tokenizer import cached_counter
from tuneproof.outside.export_folder import write_export
from tuneproof.outside.readers import Rows, pairs_from, read_rows
from tuneproof.pair_formats import FORMATS, lines_in
from tuneproof.prompt import prompts_hash
from tuneproof.shelves import PARTS, take_case, take_drafts, take_reviewed, take_split
from tuneproof.steps.draft import ALL
from tuneproof.workspace import Workspace

Of = Literal["source", "drafts", "reviewed"]
SHOWN = 10
"""Findings of a kind that are printed; `--json` has all."""
_VALUE = 80
_END = 2
"""Tokens that end a turn: the mark, and in ChatML a line end."""
_TEMPLATE = 20
"""Tokens of a chat template's marks around system prompt, input and reply, at most."""


class Looked(NamedTuple):
    """What lint looked at."""

    name: str
    """As a person would call it."""
    task_file: TaskFile
    pairs: Sequence[Pair]
    rejected: Sequence[LeftOut]
    notes: tuple[str, ...] = ()
    has_outputs: bool = True
    are_drafts: bool = False


def run_lint(
    project: Path,
    path: Path | None,
    *,
    of: str | None = None,
    as_json: bool,
    outside: Callable[[], Outside] = real,
) -> None:
    """List what is wrong with pairs, errors first.

    Args:
        project: its task.yaml says what a good pair is; without one, a file is looked at by guesses.
        path: a file or folder; None takes the project's own pairs.
        of: `source`, `drafts` or `reviewed`; None takes the last of them that is fresh.
        as_json: print every finding as JSON.
        outside: what the metric, the source and the cache come from.

    Raises:
        NotReady: at the very end, if there is an error.
        BadInput: no such file, or no pairs in it.
    """
    tell, workspace, there = Tell(as_json=as_json), Workspace(project), outside()
    looked = _looked(workspace, path, of, there)
    bench = Bench(workspace, there, looked.task_file, tell)
    room, counted = _room(looked.task_file, there)
    found = lint(looked.pairs, looked.rejected, _rules(looked, bench, room))
    errors = sum(finding.severity == "error" for finding in found)
    notes = (*looked.notes, _lengths_note(counted, looked.task_file))
    _tell_findings(tell, looked, found, notes)
    tell.json(
        {
            "looked_at": looked.name,
            "pairs": len(looked.pairs),
            "no_pairs": len(looked.rejected),
            "lengths": "counted" if counted else "estimated",
            "errors": errors,
            "warnings": len(found) - errors,
            "counts": counts_of(found),
            "notes": notes,
            "findings": [finding._asdict() for finding in found],
        }
    )
    if errors:
        raise NotReady(
            f"{_number(errors, 'error')} in {looked.name}.",
            remedy="Mend these rows and run `tuneproof lint` again; it says what to do for each kind.",
        )


def _looked(workspace: Workspace, path: Path | None, of: str | None, there: Outside) -> Looked:
    if of is not None and of not in ("source", "drafts", "reviewed"):
        raise BadInput(f"--of is {of!r}.", remedy="Write --of source, --of drafts or --of reviewed.")
    if path is not None:
        if of is not None:
            raise BadInput(
                "A file and --of name two things to look at.", remedy="Give one: tuneproof lint --help"
            )
        return _of_file(path, workspace.task_file()) if workspace.has_task() else _by_guess(path)
    task_file = workspace.task_file()
    fresh = [verb for verb in ("review", "draft") if workspace.state(verb).state == "fresh"]
    if of == "reviewed" or (of is None and fresh[:1] == ["review"]):
        return Looked(f"{_folder(workspace, 'review')}, the reviewed pairs", task_file,
                      take_reviewed(workspace).pairs, (), _stale(workspace, "review"))  # fmt: skip
    if of == "drafts" or (of is None and fresh):
        drafts = take_drafts(workspace)
        return Looked(_folder(workspace, "draft"), task_file, drafts.pairs, drafts.rejected,
                      _stale(workspace, "draft"), are_drafts=drafts.provenance.kind == "drafted")  # fmt: skip
    return _of_source(workspace, task_file, there)


def _folder(workspace: Workspace, verb: str) -> str:
    return workspace.shown(workspace.folder(verb))


def _stale(workspace: Workspace, verb: str) -> tuple[str, ...]:
    state = workspace.state(verb)
    return () if state.state == "fresh" else (f"`tuneproof {verb}` is {state.state}: {state.why}",)


def _of_source(workspace: Workspace, task_file: TaskFile, there: Outside) -> Looked:
    data = task_file.data
    if data.source in there.sources:
        drafts = there.sources[data.source](data.pairs or ALL)
        return Looked(data.source, task_file, drafts.pairs, drafts.rejected)
    if task_file.drafting.teacher is not None:
        return _inputs(workspace, task_file)
    rows = read_rows(
        workspace.root / data.source, shown=data.source, encoding=data.encoding, delimiter=data.delimiter
    )
    return _of_rows(rows, data.source, task_file)


def _inputs(workspace: Workspace, task_file: TaskFile) -> Looked:
    """Look at inputs whose outputs a teacher will draft: everything but the outputs can be checked."""
    from tuneproof.outside.readers.inputs import read_inputs

    found = read_inputs(task_file.data, task_file.drafting, workspace.root)
    pairs = [Pair(id=each.id, input=each.text, output="-", source=each.source) for each in found.inputs]
    notes = (*found.notes, "inputs only: their outputs are to be drafted, so no output was checked")
    repeats = (f"{found.repeats:,} inputs were there before, and are drafted once",) if found.repeats else ()
    return Looked(task_file.data.source, task_file, pairs, found.left_out, (*notes, *repeats), False)


def _of_file(path: Path, task_file: TaskFile) -> Looked:
    data = task_file.data
    rows = read_rows(path, shown=str(path), encoding=data.encoding, delimiter=data.delimiter)
    return _of_rows(rows, str(path), task_file)


def _of_rows(rows: Rows, name: str, task_file: TaskFile) -> Looked:
    pairs, no_pairs = (
        pairs_from(rows.rows, task_file.data, task_file.task.system_prompt) if rows.rows else ((), ())
    )
    if not rows.rows and not rows.rejected:
        raise BadInput(f"{name}: holds no row.", remedy="Name a file with pairs.")
    return Looked(name, task_file, pairs, (*rows.rejected, *no_pairs), rows.notes)


def _by_guess(path: Path) -> Looked:
    """Look at a file without a project, by the task.yaml that `init --pairs` would write."""
    from tuneproof.guess import guess_task
    from tuneproof.task_file import read_task
    from tuneproof.task_text import task_yaml

    rows = read_rows(path, shown=str(path))
    if not rows.rows and rows.rejected:
        first = rows.rejected[0]
        raise BadInput(
            f"{path}: none of {len(rows.rejected):,} rows can be read; {first.place}: {first.reason}.",
            remedy="Mend the file, or make it again.",
        )
    guess = guess_task(rows, source=path.name, name=path.name.split(".")[0])
    task_file = read_task(task_yaml(guess).encode("utf-8"), "the guessed task.yaml")
    looked = _of_rows(rows, str(path), task_file)
    told = (
        f"no task.yaml: the metric {task_file.task.metric!r} and all other settings are guessed; "
        f"`tuneproof init --pairs {path}` writes them down"
    )
    return looked._replace(notes=(*looked.notes, told))


def _room(task_file: TaskFile, there: Outside) -> tuple[Room, bool]:
    """Return what must fit, and whether its tokens are counted by the base's own tokenizer."""
    prompt = task_file.task.system_prompt
    counter = cached_counter(task_file.tuning, prompt, there.cache) if there.cache else None
    context, reply = task_file.serving.num_ctx, task_file.task.max_new_tokens
    if counter is None:
        fewest, most = estimated(prompt)
        return Room(context, reply, (fewest, most + _TEMPLATE), estimated, _END), False
    count = counter.count
    return Room(context, reply, (counter.around,) * 2, lambda text: (count(text),) * 2, counter.end), True


def _rules(looked: Looked, bench: Bench, room: Room) -> Rules:
    section, metric = looked.task_file.scoring, looked.task_file.task.metric
    leave_out = looked.task_file.data.bad_rows == "leave out"
    if not looked.has_outputs:
        return Rules(lambda _output: "", room, are_labels=False, leave_out=leave_out)
    return Rules(
        bench.problem_of,
        room,
        labels=section.labels if metric == "label accuracy" else (),
        are_labels=True if metric == "label accuracy" else None,
        same=lambda text: folded(text, section.normalise),
        leave_out=leave_out,
        drafted=looked.are_drafts,
    )


def _lengths_note(counted: bool, task_file: TaskFile) -> str:
    if counted:
        return f"lengths: counted with the tokenizer of {task_file.tuning.base}"
    return f"lengths: estimated from bytes; the tokenizer of {task_file.tuning.base} is not in the cache"


def _tell_findings(tell: Tell, looked: Looked, found: Sequence[Finding], notes: Iterable[str]) -> None:
    rows = f", {_number(len(looked.rejected), 'row')} without a pair" if looked.rejected else ""
    tell.line(f"Looked at {looked.name}: {_number(len(looked.pairs), 'pair')}{rows}.")
    for note in notes:
        tell.line(f"· {note}")
    if not found:
        tell.line("Nothing found.")
        return
    by_kind = [(head, list(group)) for head, group in groupby(found, key=lambda f: (f.severity, f.kind))]
    tell.table(
        ("", "kind", "findings"),
        [(severity, kind, f"{len(group):,}") for (severity, kind), group in by_kind],
        right=(2,),
    )
    for (severity, kind), group in by_kind:
        tell.line(f"{severity}: {kind}", style="red" if severity == "error" else "yellow")
        for finding in group[:SHOWN]:
            value = f"{_short(finding.value)}: " if finding.value else ""
            tell.line(f"  {finding.place}: {value}{finding.why}")
        if len(group) > SHOWN:
            tell.line(f"  … and {len(group) - SHOWN:,} more; --json has all")
        tell.line(f"  → {group[0].do}")


def _short(text: str) -> str:
    return repr(text if len(text) <= _VALUE else text[: _VALUE - 1] + "…")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def run_export_pairs(project: Path, to: Path, format: str, parts: Sequence[str], *, as_json: bool) -> None:
    """Write the frozen pairs in the format of another tool.

    Args:
        project: the project, with a frozen split.
        to: the folder to write; a new one, or one that an earlier export made.
        format: one of `FORMATS`.
        parts: `train`, `dev`, `test` or `all`; none given means train and dev.
        as_json: print what was written as JSON.

    Raises:
        LockBroken: the split, or the system prompt, is not the frozen one.
        BadInput: no such format or part, or the folder is not ours to write.
        MissingArtifact: nothing is frozen yet.
    """
    tell, workspace = Tell(as_json=as_json), Workspace(project)
    _check_word("--format", format, tuple(FORMATS))
    wanted = _parts(parts)
    case, split = take_case(workspace), take_split(workspace)
    _check_prompt(workspace, case, split)
    held = (split.train.pairs, split.dev.pairs, split.test.items)
    rows: dict[str, Sequence[SplitRow]] = {
        name: each for name, each in zip(PARTS, held, strict=True) if name in wanted
    }
    reviewed = take_reviewed(workspace)
    texts = _texts(format, case, rows)
    if format == "hf":
        texts["README.md"] = render_dataset_card(CardOf(case, split, reviewed, rows, __version__))
    numbers = {name: len(each) for name, each in rows.items()}
    about = {
        "made_by": f"tuneproof {__version__}",
        "format": format,
        "case": case.task_file.name,
        "rows": numbers,
        "lock": split.lock.digest,
        "licence": reviewed.provenance.licence,
        "review": reviewed.statement,
    }
    shown = workspace.shown(to.absolute())
    write_export(to, texts, about, shown=shown)
    warnings = _warnings(rows, reviewed.provenance.licence)
    tell.line(f"Wrote {shown}: {', '.join(f'{n:,} {name}' for name, n in numbers.items())} rows as {format}.")
    for warning in warnings:
        tell.note(f"! {warning}", style="yellow")
    tell.json({**about, "to": shown, "files": list(texts), "warnings": warnings})


def _check_word(option: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        near = difflib.get_close_matches(word, known, n=1)
        raise BadInput(
            f"{option} is {word!r}; there are {', '.join(known)}.", remedy=f"{option} {(near or known)[0]}"
        )


def _parts(parts: Sequence[str]) -> tuple[str, ...]:
    for part in parts:
        _check_word("--part", part, (*PARTS, "all"))
    if "all" in parts:
        return PARTS
    return tuple(part for part in PARTS if part in (parts or ("train", "dev")))


def _check_prompt(workspace: Workspace, case: Case, split: Split) -> None:
    """Refuse to write the frozen inputs under another system prompt than the frozen one."""
    asked = [item.input for item in split.test.items]
    if prompts_hash(case.task_file.task.system_prompt, asked) != split.lock.prompt_sha256:
        raise LockBroken(
            f"task.system_prompt is not the one that {_folder(workspace, 'freeze')} was frozen with.",
            remedy="Put the old prompt back, or set a new split.version in task.yaml and freeze again.",
        )


def _texts(form: str, case: Case, rows: dict[str, Sequence[SplitRow]]) -> dict[str, str]:
    prompt, folder = case.task_file.task.system_prompt, "data/" if form == "hf" else ""
    return {f"{folder}{name}.jsonl": lines_in(form, prompt, each) for name, each in rows.items()}


def _warnings(rows: dict[str, Sequence[SplitRow]], licence: str) -> list[str]:
    found = []
    if "test" in rows:
        found.append(
            "The test is in this export. Nothing may be trained on it, or no figure of this project holds."
        )
    if licence.strip().lower() == UNKNOWN:
        found.append(
            "data.licence is unknown: write the SPDX id into task.yaml before anyone gets this data."
        )
    if kinds := found_in(rows):
        listed = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(kinds.items()))
        found.append(f"The rows hold what looks like secrets or personal data: {listed}.")
    return found
