"""The artifacts of a finished run → the model card of the GGUF repository, in Markdown with a YAML head.

Every number is read from an artifact; the template holds only words. A missing value stops the card, since
a card with blanks says less than no card.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from tuneproof.artifacts import (
    Adapter,
    ArmResult,
    Case,
    ChangedItem,
    FileRef,
    GgufFile,
    Ladder,
    Provenance,
    Serving,
    Split,
    Verdict,
)
from tuneproof.artifacts.desk import ReviewFigures
from tuneproof.card_metric import Published, head_of, metric_words, result_words, share_name
from tuneproof.card_text import Markdown, fenced, interval_of, printed, table_of
from tuneproof.errors import NotReady
from tuneproof.names import check_name
from tuneproof.review_words import review_facts
from tuneproof.scan import scan_text

SHOWN_FAILURES = 5
_BLANKS = re.compile(r"(?i)none|nan|null|undefined|n/?a|inf|")
_PLACEHOLDERS = re.compile(r"\[More Information Needed\]|\bTODO\b|\bTBD\b|\bFIXME\b|\{\{")

_NEEDED = (
    "case.task_file.title", "case.task_file.task.input", "case.task_file.task.output", "adapter.settings",
    "case.task_file.task.system_prompt", "adapter.base.name", "adapter.base.source", "adapter.base.licence",
    "adapter.base.source_sha256", "adapter.device", "ladder.converter", "ladder.quantizer", "serving.runtime",
    "serving.machine", "verdict.headline", "verdict.paragraph", "provenance.source", "provenance.licence",
    "provenance.attribution", "statement", "files", "table", "tuneproof_version", "hub_id",
)  # fmt: skip


class CardInput(NamedTuple):
    """Everything that the card prints."""

    case: Case
    split: Split
    adapter: Adapter
    ladder: Ladder
    serving: Serving
    verdict: Verdict
    provenance: Provenance
    statement: str
    """Who vouches for the labels, for example `labelled by the support team, not reviewed here`."""
    files: tuple[FileRef, ...]
    """The GGUF files that go up, in the ladder's order."""
    example: tuple[str, str, str]
    """A test input, the expected output, and the real reply of the served file."""
    failures: tuple[ChangedItem, ...]
    """Test items that the served file has wrong; `tuned_reply` is its reply."""
    table: str
    """The report's table, in Markdown."""
    tuneproof_version: str
    hub_id: str
    """For example `USER/licenses-GGUF`."""
    review: ReviewFigures | None = None
    """How the decisions on drafted pairs were made, where they were made here."""
    override: str = ""
    """Why files go up whose gate is not passed; a person wrote it."""


def render_card(data: CardInput) -> str:
    """Write the card.

    Raises:
        NotReady: a value is missing, an example holds personal data, or the finished card has a blank.
    """
    _refuse_blanks(data)
    published = _published(data)
    served = _served(data, published)
    environment = Environment(
        loader=PackageLoader("tuneproof", "templates"),
        undefined=StrictUndefined,
        finalize=printed,  # it escapes: Jinja's own escaping is for HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template("model_card.md.j2").render(
        **data._asdict()
        | {
            "reviewed": review_facts(data.provenance, data.review),
            "head": _head(data, published),
            "table": Markdown(data.table.strip()),
        }
        | _short_names(data, served.arm)
        | metric_words(data.case.task_file, served.arm)
        | _tables(data, published)
        | _run(data, served.gguf)
        | _examples(data, served.arm)
    )
    complaints = lint_card(text)
    if complaints:
        raise NotReady(
            "The model card has blanks: " + "; ".join(complaints),
            remedy="Run the step that makes the missing value again, then `tuneproof publish`.",
        )
    return text


def without_findings(items: Iterable[ChangedItem]) -> tuple[ChangedItem, ...]:
    """Keep the items whose texts hold no secret and no personal data, so that a card may show them."""
    texts = ((item, "\n".join((item.input, item.expected, item.tuned_reply))) for item in items)
    return tuple(item for item, text in texts if not scan_text(text, where=item.item_id))


def lint_card(text: str) -> tuple[str, ...]:
    """Name every empty section, placeholder and blank table cell outside fenced blocks."""
    lines = _outside_fences(_without_head(text))
    found = [(number, match.group()) for number, line in lines for match in _PLACEHOLDERS.finditer(line)]
    placeholders = [f"placeholder {text!r} in line {number}" for number, text in found]
    return (*_empty_sections(lines), *_blank_cells(lines), *placeholders)


def _without_head(text: str) -> str:
    """Blank the YAML head, so that line numbers stay those of the file."""
    match = re.match(r"---\n.*?\n---\n", text, re.DOTALL)
    return text if match is None else "\n" * match.group().count("\n") + text[match.end() :]


def _outside_fences(text: str) -> list[tuple[int, str]]:
    """Number the lines; a fenced block becomes one line that says whether it holds anything."""
    lines: list[tuple[int, str]] = []
    fence = ""
    filled = False
    for number, line in enumerate(text.split("\n"), start=1):
        opening = re.match(r"`{3,}", line)
        if fence:
            if line.strip() == fence:
                lines.append((number, "(block)" if filled else ""))
                fence = ""
            filled = filled or bool(line.strip())
        elif opening:
            fence, filled = opening.group(), False
        else:
            lines.append((number, line))
    return lines


def _empty_sections(lines: Sequence[tuple[int, str]]) -> list[str]:
    """A section is empty when a heading of its level or above, or the end, follows with nothing between."""
    complaints: list[str] = []
    open_level, open_title = 0, ""
    for _, line in [*lines, (0, "# end")]:
        heading = re.match(r"(#{1,6}) +(.*)", line)
        if heading:
            level = len(heading[1])
            if open_level and level <= open_level:
                complaints.append(f"empty section {open_title!r}")
            open_level, open_title = level, heading[2]
        elif line.strip():
            open_level = 0
    return complaints


def _blank_cells(lines: Sequence[tuple[int, str]]) -> list[str]:
    """Body cells of tables that are empty or say `None`; a header may leave its corner free."""
    complaints: list[str] = []
    in_body = False
    for number, line in lines:
        if not line.startswith("|"):
            in_body = False
        elif re.fullmatch(r"[|\s:-]+-[|\s:-]*", line):
            in_body = True
        elif in_body:
            cells = [cell.strip(" *`") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            complaints += [
                f"blank cell {cell!r} in line {number}" for cell in cells if _BLANKS.fullmatch(cell)
            ]
    return complaints


def _published(data: CardInput) -> tuple[Published, ...]:
    """Join each file with its rung, its arm and its gate."""
    rungs = {rung.file.name: rung for rung in data.ladder.files}
    arms = {arm.arm.file: arm for arm in data.verdict.arms if not arm.arm.constrained}
    gates = {gate.file: gate for gate in data.verdict.gates}
    for file in data.files:
        known = file.name in rungs and file.name in arms and file.name in gates
        if not known or rungs[file.name].file != file:
            raise NotReady(
                f"{file.name} is not in the ladder with this content, or has no measured arm or no gate.",
                remedy="Run `tuneproof quantize`, then `tuneproof serve` and `tuneproof judge`.",
            )
    return tuple(Published(rungs[f.name], arms[f.name], gates[f.name]) for f in data.files)


def _head(data: CardInput, published: Sequence[Published]) -> Markdown:
    base, name = data.adapter.base, data.hub_id.rsplit("/", 1)[-1]
    return head_of(data.case.task_file, data.split, base, published, model_name=name)


def _short_names(data: CardInput, served: ArmResult) -> dict[str, object]:
    dev_loss = data.adapter.final_dev_loss
    return {
        "task": data.case.task_file.task,
        "gate": data.case.task_file.gate,
        "base": data.adapter.base,
        "leaks": data.split.leaks,
        "parity": data.serving.parity,
        "served": served,
        "test_used": _tests_used(data.verdict),
        "not_passed": [gate.file for gate in data.verdict.gates if gate.outcome != "PASS"],
        "confidence": f"{100 * data.case.task_file.gate.confidence:g} %",
        "dev_loss": "not measured" if dev_loss is None else f"{dev_loss:.4f}",
    }


def _tests_used(verdict: Verdict) -> str:
    return " or ".join(sorted({gate.contrast.test for gate in verdict.gates}))


def _tables(data: CardInput, published: Sequence[Published]) -> dict[str, object]:
    files = [
        (
            one.gguf.file.name,
            one.gguf.quant,
            f"{one.gguf.file.bytes:,} bytes",
            one.gguf.file.sha256,
            _held(one.gguf),
            result_words(data.case.task_file, one.arm),
            f"{one.gate.outcome}: {one.gate.reason}",
        )
        for one in published
    ]
    settings = [
        (s.name, "not used" if s.value is None else str(s.value), s.origin) for s in data.adapter.settings
    ]
    share = share_name(data.case.task_file)
    header = ("File", "Asked for", "Size", "sha256", "Tensors held", share, "Gate")
    return {
        "files_table": table_of(header, files),
        "settings_table": table_of(("Setting", "Value", "From"), settings),
        "gate_table": _gate_table(published),
    }


def _held(gguf: GgufFile) -> str:
    types = ", ".join(f"{held.tensors} {held.type} ({held.bytes:,} bytes)" for held in gguf.holds)
    if not types:
        return ""
    fallback = f"; {gguf.fallback_tensors} fell back" if gguf.fallback_tensors else ""
    return types + fallback


def _run(data: CardInput, served: GgufFile) -> dict[str, object]:
    hub_id = "/".join(check_name(part, what="part of the Hub id") for part in data.hub_id.split("/"))
    name, num_ctx = data.case.task_file.serving.model_name, data.case.task_file.serving.num_ctx
    return {
        "ollama_commands": fenced(f"ollama create {name} -f Modelfile\nollama run {name}", "sh"),
        "hub_command": fenced(f"ollama run hf.co/{hub_id}:{served.quant}", "sh"),
        "server_command": fenced(f"llama-server -m {served.file.name} -c {num_ctx} --jinja --temp 0", "sh"),
        "system_prompt": fenced(data.case.task_file.task.system_prompt, "text"),
    }


def _examples(data: CardInput, served: ArmResult) -> dict[str, object]:
    """Fence the example and the failures, none of which may hold personal data."""
    if served.correct < served.n and not data.failures:
        raise NotReady(
            f"{data.serving.model_file} has {served.n - served.correct} of {served.n} items wrong, "
            "and the card shows none of them.",
            remedy="Pass failures from the stored replies of the served file, without personal data.",
        )
    shown = data.failures[:SHOWN_FAILURES]
    _refuse_findings("example", data.example)
    for item in shown:
        _refuse_findings(f"failure {item.item_id}", (item.input, item.expected, item.tuned_reply))
    return {
        "example": _fenced_texts(*data.example),
        "failures": [_fenced_texts(item.input, item.expected, item.tuned_reply) for item in shown],
    }


def _fenced_texts(text: str, expected: str, reply: str) -> dict[str, str]:
    return {
        "input": fenced(text, "text"),
        "expected": fenced(expected, "text"),
        "reply": fenced(reply if reply.strip() else "(empty reply)", "text"),
    }


def _gate_table(published: Sequence[Published]) -> Markdown:
    rows = [
        (
            gate.file,
            gate.contrast.against,
            f"{gate.contrast.wins} won, {gate.contrast.losses} lost of {gate.contrast.n}",
            f"{100 * gate.contrast.difference:+.1f} points {interval_of(gate.contrast.wider, '+')}",
            f"{gate.contrast.p_one_sided:.2g}",
            gate.outcome,
        )
        for gate in (one.gate for one in published)
    ]
    return table_of(("File", "Against", "Items", "Difference", "p", "Gate"), rows)


def _served(data: CardInput, published: Sequence[Published]) -> Published:
    for one in published:
        if one.gguf.file.name == data.serving.model_file:
            return one
    raise NotReady(
        f"The card describes the served file {data.serving.model_file}, which does not go up.",
        remedy="Serve a file whose own gate is PASS: `tuneproof serve`, then `tuneproof judge`.",
    )


def _refuse_blanks(data: CardInput) -> None:
    """Name every blank value at once; the finished card's lint is the second net."""
    blank = [path for path in _NEEDED if not str(attrgetter(path)(data) or "").strip()]
    blank += [
        name for name, text in zip(("input", "output"), data.example[:2], strict=True) if not text.strip()
    ]
    if blank:
        raise NotReady(
            f"The model card has no value for: {', '.join(blank)}.",
            remedy="Fill it in task.yaml, or run the step that makes it again; then `tuneproof publish`.",
        )


def _refuse_findings(what: str, texts: Sequence[str]) -> None:
    found = scan_text("\n".join(texts), where=what)
    if found:
        kinds = ", ".join(sorted({finding.kind for finding in found}))
        raise NotReady(
            f"The {what} of the card would show: {kinds}.",
            remedy="Choose another test item; `without_findings` keeps the ones that may be shown.",
        )
