#!/usr/bin/env python3
"""The artifacts' fields and the commands' options → `artifacts.md` and `cli.md` beside this file.

.venv/bin/python docs/generate.py           # write both pages
.venv/bin/python docs/generate.py --check   # exit 1 if one is stale
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

PAGES: dict[str, tuple[str, ...]] = {
    "init": ("Case", "Triage"),
    "draft": ("Drafts", "Pair", "Provenance", "DraftRow", "LeftOut"),
    "review": ("Reviewed", "ReviewFigures", "BatchSummary", "Agreement", "Decision"),
    "freeze": (
        "Split", "SplitLock", "PartLock", "RowLock", "SplitRow", "Item", "LeakReport", "Twin", "DataReport",
        "Layer", "Crossing", "FoundCount", "FoundRow", "Contradiction", "RareLabel", "Lengths", "Bucket",
        "Longest", "Thaw", "Moved", "Resembled", "KeptRows", "KeptRow",
    ),
    "tune": ("Adapter", "BaseModelIdentity", "Setting", "FileRef"),
    "compare": (
        "Comparison", "ArmResult", "Arm", "Reply", "Score", "Interval", "Figure", "Confusion", "PromptTrial",
        "PriceUsed", "EvalPlan", "LedgerEntry", "Parity",
    ),
    "quantize": ("Ladder", "GgufFile", "TensorTypes"),
    "serve": ("Serving", "Timing"),
    "judge": (
        "Verdict", "Gate", "ClassLoss", "Contrast", "Equality", "FileStep", "SeedSpread", "Control", "Costs",
        "CostLine", "UsdAt", "BreakEven", "OneOff", "Sensitivity", "Slice", "FailureCluster", "ChangedItem",
    ),
    "publish": ("Release", "Repo", "Withheld"),
}  # fmt: skip
"""Step → the records that its folder holds."""

VALUES = {
    "project": "DIRECTORY",
    "example": "NAME",
    "pairs": "PATH",
    "reviewed_by": "NAME",
    "encoding": "NAME",
    "control": "NAME",
    "arm": "ARM",
    "model": "ID",
    "by": "NAME",
    "seed": "N",
    "path": "PATH",
    "to": "DIR",
    "reviewer": "NAME",
    "port": "N",
    "part": "PART",
    "of": "SET",
    "format": "FORMAT",
}
"""Option → what to write for its value."""

SUBSECTIONS = {
    "comparison": ("EndpointSection", "NamedEndpoint", "Price"),
    "costs": ("OwnedMachine",),
}
"""Section of task.yaml → the records that its keys hold."""

STORED = {
    "Pair": "A line of `imported.jsonl`; of `drafts.jsonl` where a teacher drafted the outputs.",
    "Provenance": "In `provenance.json`, beside the counts of `left_out`.",
    "DraftRow": "A line of `calls.jsonl`.",
    "Decision": "A line of `events.jsonl` and of `review --export`; kept in `desk/desk.sqlite`.",
    "DataReport": "The whole of `data_report.json`; `data_report.md` says it in words.",
    "KeptRows": "The whole of `locks/split-vN.inputs.json`.",
    "Thaw": "The whole of `thaw.json`, where an earlier version was frozen.",
    "LeftOut": "A line of `left_out.jsonl`.",
    "SplitRow": "A line of `train.jsonl` or `dev.jsonl`.",
    "Item": "A line of `test.jsonl`.",
    "LeakReport": "The whole of `leaks.json`.",
    "Reply": "A line of `replies/ARM.jsonl`; on dev, of `replies/dev-ARM-PROMPT.jsonl`. Fields at their "
    "default are left out.",
    "Score": "Computed from a reply each time; stored nowhere.",
    "EvalPlan": "The whole of `eval_plan.json`.",
    "LedgerEntry": "A line of `ledger.jsonl` at the project's top.",
}
"""Record → where it lies, if that is not the step's main file."""

BESIDE = {
    "draft": "`provenance.json` holds the rest of the record, `left_out.jsonl` the rows that became no pair.",
    "review": "`events.jsonl` holds each decision of the desk and `reviewed.jsonl` the pairs that go on. "
    "Where an authority vouches, `events.jsonl` is one line: `kind`, `at`, `statement`, number and hash of "
    "the pairs, which are those of `2-drafts`.",
    "freeze": "`train.jsonl`, `dev.jsonl` and `test.jsonl` hold the rows, `leaks.json` the leak report. A "
    "copy of each version's lock is kept in `locks/`.",
    "tune": "Beside it: the adapter's files, `chat_template.jinja`, `curves.csv` (a line an optimizer step), "
    "`curves.png`, `run.log`.",
    "compare": "`eval_plan.json` is written first; `replies/ARM.jsonl` holds a reply a line, and repeats are "
    "`replies/ARM-r2.jsonl` and so on. At the project's top, `ledger.jsonl` holds every test access, "
    "`recorded/ARM.jsonl` replies made elsewhere, `requests/` what was exported, `tunes/` other seeds and "
    "null controls, `replies/` what need not be asked twice.",
    "quantize": "Beside it: the GGUF files.",
    "serve": "`Modelfile` lies beside it, and `replies/ARM.jsonl` as in the comparison.",
    "judge": "`report.html` and `report.md` show it.",
    "publish": "`gguf/` holds exactly what would be uploaded.",
}
"""Step → what lies beside its main file."""


def main() -> None:
    """Write the pages, or say that they are stale."""
    made = pages()
    stale = [name for name, text in made.items() if not is_fresh(HERE / name, text)]
    if "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(stale)}; run docs/generate.py" if stale else 0)
    for name in stale:
        (HERE / name).write_text(made[name], "utf-8")


def pages() -> dict[str, str]:
    """Return the pages by name."""
    return {"artifacts.md": artifacts_page(), "cli.md": cli_page()}


def is_fresh(path: Path, text: str) -> bool:
    """Whether a page holds this text."""
    return path.exists() and path.read_text("utf-8") == text


def artifacts_page() -> str:
    """Return the reference of task.yaml and of every artifact."""
    from tuneproof import artifacts
    from tuneproof.artifacts import TaskFile
    from tuneproof.steps import STEPS
    from tuneproof.workspace import Begun, Made

    lines = [
        "# Every file and field",
        "",
        "Made by `docs/generate.py` from the docstrings. A project is a folder that a person can read; each",
        "step's folder holds `made.json`, written last.",
        "",
        "## task.yaml",
        "",
        *record(TaskFile, level=None),
    ]
    for name, field in TaskFile.model_fields.items():
        lines += section(name, field)
    for step in STEPS:
        lines += ["", f"## {step.folder}/{step.makes}", "", f"`tuneproof {step.verb}`: {step.sentence}."]
        if step.verb in BESIDE:
            lines[-1] += f" {BESIDE[step.verb]}"
        for name in PAGES[step.verb]:
            lines += ["", *record(getattr(artifacts, name), level=3)]
    lines += ["", "## made.json and begun.json", ""]
    for kind in (Made, Begun):
        lines += [*record(kind, level=3), ""]
    return "\n".join(lines).rstrip() + "\n"


def section(name: str, field: Any) -> Iterator[str]:
    """Yield a section of task.yaml, with the records that its keys hold."""
    from tuneproof import artifacts
    from tuneproof.artifacts.case import METRICS

    if is_section(field.annotation):
        yield from ("", f"### {name}:", "", *record(field.annotation, level=None))
    for extra in SUBSECTIONS.get(name, ()):
        yield from ("", f"#### {extra}", "", *record(getattr(artifacts, extra), level=None))
    if name == "task":
        names = ", ".join(code(metric) for metric in METRICS)
        yield from ("", f"Metrics: {names}, or `module:function`; [which one](metrics.md).")


def is_section(annotation: Any) -> bool:
    """Whether a field of task.yaml is a section with keys of its own."""
    return inspect.isclass(annotation) and hasattr(annotation, "model_fields")


def record(kind: Any, *, level: int | None) -> Iterator[str]:
    """Yield the heading, the sentence and the table of one record."""
    if level:
        yield f"{'#' * level} {kind.__name__}"
        yield ""
    yield " ".join(text for text in (cell(inspect.getdoc(kind) or ""), STORED.get(kind.__name__, "")) if text)
    yield ""
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    said, written = docs_of(kind), annotations_of(kind)
    for name, field in kind.model_fields.items():
        if name == "schema_version":
            continue
        default = ("" if level else "required") if field.is_required() else default_of(field)
        meaning = said.get(name, "")
        if name in getattr(kind, "measured", ()):
            meaning = f"{meaning} Not in the digest: it was measured.".strip()
        yield f"| `{name}` | {code(written[name] + limits(field))} | {default} | {cell(meaning)} |"


def classes_of(kind: Any) -> Iterator[ast.ClassDef]:
    """Yield the syntax of a record's class and of the records that it extends, the oldest first."""
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("tuneproof"):
            tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(each)))
            yield next(node for node in tree.body if isinstance(node, ast.ClassDef))


def docs_of(kind: Any) -> dict[str, str]:
    """Return the text under each field."""
    found = {}
    for node in classes_of(kind):
        for field, below in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[ast.unparse(field.target)] = str(ast.literal_eval(below.value))
    return found


def annotations_of(kind: Any) -> dict[str, str]:
    """Return each field's type in words."""
    found = {}
    for node in classes_of(kind):
        names = vars(sys.modules[next(k for k in kind.__mro__ if k.__name__ == node.name).__module__])
        for field in node.body:
            if isinstance(field, ast.AnnAssign):
                found[ast.unparse(field.target)] = words_of(field.annotation, names)
    return found


WORDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "None": "null",
}
"""Python's types in words."""


def words_of(node: ast.expr, names: dict[str, Any]) -> str:
    """Say a type in words: `list of text`, `"a" or "b"`, `number or null`.

    Args:
        node: the type as it is written.
        names: of its module, where `Decision = Literal[…]` is looked up.
    """
    if isinstance(node, ast.BinOp):
        return f"{words_of(node.left, names)} or {words_of(node.right, names)}"
    if not isinstance(node, ast.Subscript):
        return word_of(ast.unparse(node), names)
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    kind = ast.unparse(node.value)
    if kind == "Literal":
        return " or ".join(ast.unparse(each).replace("'", '"') for each in inside)
    if kind == "tuple":
        return f"list of {words_of(inside[0], names)}"
    if kind == "dict":
        held = ast.unparse(inside[1])
        return "object" if held == "Any" else f"object of {words_of(inside[1], names)}"
    return words_of(inside[0], names)  # Annotated, ClassVar


def word_of(name: str, names: dict[str, Any]) -> str:
    """Say a plain type, and the choices of one that is a name for them."""
    if name.endswith("Section"):
        return "section"
    choices = getattr(names.get(name), "__args__", ())
    return " or ".join(f'"{choice}"' for choice in choices) or WORDS.get(name, name)


def limits(field: Any) -> str:
    """Return a field's limits, for example `, from 50`."""
    words = {"ge": "from {}", "gt": "above {}", "le": "up to {}", "lt": "below {}"}
    found = [
        form.format(getattr(each, name))
        for each in field.metadata
        for name, form in words.items()
        if getattr(each, name, None) is not None
    ]
    return "".join(f", {text}" for text in found)


def default_of(field: Any) -> str:
    """Return a field's default as task.yaml or JSON would hold it."""
    value = field.get_default(call_default_factory=True)
    if is_section(type(value)):
        return "see below"
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return code(shown) if shown else "empty"


def code(text: str) -> str:
    """Show text as code in a cell."""
    return "`" + text.replace("|", "\\|") + "`"


def cell(text: str) -> str:
    """Put a text into one line of a table or a page."""
    return " ".join(text.split()).replace("|", "\\|")


def cli_page() -> str:
    """Return the reference of the commands."""
    from typer.main import get_command

    from tuneproof.cli import app

    group = get_command(app)
    lines = [
        "# Commands",
        "",
        "Made by `docs/generate.py` from the commands themselves. Exit codes: 0 done, 1 your input, 2 usage,",
        "3 the gate is not passed, 70 our bug, 130 interrupted. `tuneproof --version` prints the version,",
        "`tuneproof --install-completion` adds completion to your shell.",
    ]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        lines += ["", f"## tuneproof {name}", "", cell(command.help or ""), ""]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        lines += [f"- `{p.name.upper()}`: {cell(getattr(p, 'help', '') or '')}" for p in arguments]
        lines += [option(p) for p in command.params if p.param_type_name == "option"]
        lines += ["", "```sh", *examples(command.epilog or ""), "```"]
    return "\n".join(lines) + "\n"


def option(parameter: Any) -> str:
    """Return one option with its value, its default and what it does."""
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    meant = parameter.metavar or VALUES.get(parameter.name, "VALUE")
    value = "" if parameter.is_flag else f" `{meant}`"
    default = parameter.default
    shown = f" Default: `{default}`." if default not in (None, False, "") and not callable(default) else ""
    return f"- {names}{value}: {cell(parameter.help or '')}{shown}"


def examples(epilog: str) -> list[str]:
    """Return the commands of a help text's end."""
    return [line.strip() for line in epilog.splitlines() if line.strip().startswith("tuneproof ")]


if __name__ == "__main__":
    main()
