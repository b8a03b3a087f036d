"""Everything a project has made, to one verdict report as an HTML page or as Markdown.

Each table is built once, as rows of text, and written by both templates. Every value that a template
prints passes through `finalize`, so escaping cannot be forgotten at one place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tuneproof.artifacts import (
    Adapter,
    ArmResult,
    Case,
    Comparison,
    Contrast,
    Interval,
    Ladder,
    Parity,
    Provenance,
    Serving,
    Split,
    SplitRow,
    Verdict,
)
from tuneproof.artifacts.curves import CurveRow
from tuneproof.plots import loss_curve_svg, quality_plot_svg, visible

NOTHING = "–"
SHOWN_CHANGES = 12
_TWIN_CHARACTERS = 240
_RIVAL_CAPTION = "The served file against rivals that cost next to nothing, on the same items."


class ReportInput(NamedTuple):
    """Everything the report prints."""

    case: Case
    split: Split
    adapter: Adapter
    comparison: Comparison
    ladder: Ladder
    serving: Serving
    verdict: Verdict
    curves: tuple[CurveRow, ...]
    provenance: Provenance
    statement: str
    """Who vouches for the labels, for example `expert-labelled by the source, not reviewed here`."""
    made_at: str
    """UTC, ISO 8601."""
    tuneproof_version: str


class Table(NamedTuple):
    """Rows of text; `numeric` columns are set right, `marked` rows are set bold."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    marked: frozenset[int] = frozenset()


def table_markdown(
    arms: Sequence[ArmResult], *, not_measured: Mapping[str, str], metric: str, confidence: float = 0.95
) -> str:
    """Write the main table in GitHub Markdown, one row an arm, measured or not."""
    header = _arm_header(metric, confidence)
    rows = (*map(_arm_cells, arms), *_missing_rows(not_measured, len(header)))
    return _markdown(Table("", header, rows, numeric=frozenset(range(1, len(header)))))


def render_markdown(data: ReportInput) -> str:
    """Write the report in GitHub Markdown; the plots are in the HTML form only."""
    environment = _environment(autoescape=False)
    return environment.get_template("report.md.j2").render(_context(data)).strip() + "\n"


def render_html(data: ReportInput) -> str:
    """Write the report as one page that loads nothing from elsewhere."""
    environment = _environment(autoescape=True)
    plots = {
        "quality_svg": Markup(quality_plot_svg(data.verdict.arms, confidence=_confidence(data))),
        "curves_svg": Markup(loss_curve_svg(data.curves)) if data.curves else None,
    }
    return environment.get_template("report.html.j2").render(_context(data), **plots).strip() + "\n"


def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("tuneproof", "templates"),
        autoescape=autoescape,
        finalize=_shown if autoescape else _shown_in_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for text_filter in (_code, _count, _duration, _fenced, _level, _markdown, _megabytes, visible):
        environment.filters[text_filter.__name__.lstrip("_")] = text_filter
    return environment


def _context(data: ReportInput) -> dict[str, object]:
    verdict, split = data.verdict, data.split
    return {
        **data._asdict(),
        "task_file": data.case.task_file,
        "decision": verdict.decision.replace("_", " "),
        "shown_changes": SHOWN_CHANGES,
        "files": (*data.adapter.files, *(rung.file for rung in data.ladder.files)),
        "test_items": len(split.test.items),
        "parity_lines": (
            _parity_line(data.serving.runtime, data.serving.parity),
            _parity_line("Comparison step", data.comparison.parity),
        ),
        "arms_table": _arms_table(data),
        "gate_table": _gate_table(data),
        "rival_table": _contrast_table(data, verdict.rivals, _RIVAL_CAPTION),
        "stage_table": _stage_table(data),
        "gguf_table": _gguf_table(data.ladder),
        "parts_table": _parts_table(split),
        "leak_table": _leak_table(split),
        "twin_table": _twin_table(split),
        "unseen_table": _unseen_table(verdict.arms),
    }


def _confidence(data: ReportInput) -> float:
    return data.case.task_file.gate.confidence


def _shown(value: object) -> object:
    if value is None:
        return NOTHING
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def _shown_in_markdown(value: object) -> object:
    value = _shown(value)
    return value if isinstance(value, Markup) or not isinstance(value, str) else _escaped(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _rate(rate: float, interval: Interval) -> str:
    return f"{_percent(rate)} ({100 * interval.low:.1f}–{100 * interval.high:.1f})"


def _level(confidence: float) -> str:
    return f"{100 * confidence:g} %"


def _signed(share: float) -> str:
    value = round(100 * share, 1)
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{abs(value):.1f}"


def _count(number: int) -> str:
    return f"{number:,}"


def _ms(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.1f} ms" if value < 9.95 else f"{value:,.0f} ms"


def _usd(value: float | None) -> str:
    """Three significant digits, never in scientific notation."""
    if value is None or value < 0.0001:
        return NOTHING if value is None else "< 0.0001" if value else "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _escaped(text: str) -> str:
    """One line of Markdown that shows `text` and starts no markup, no HTML and no new cell."""
    text = " ".join(visible(text).split())
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*|\[\]~$])", r"\\\1", text)
    # Inside a word, as in Q4_K_M, GitHub reads an underscore as itself.
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    return re.sub(r"^(\d+)(?=[.)]\s)", r"\1\\", re.sub(r"^(#|[+-](?=[\s-]))", r"\\\1", text))


def _code(text: str) -> Markup:
    """A code span on one line; newlines are shown as ⏎."""
    if not text.strip():
        return Markup("(empty)")
    text = visible(text).replace("\n", " ⏎ ")
    fence = "`" * (_longest_run(text) + 1)
    return Markup(f"{fence} {text} {fence}") if "`" in text else Markup(f"`{text}`")


def _fenced(text: str) -> Markup:
    """A code block whose fence is longer than any run of backticks inside."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return Markup(f"{fence}text\n{visible(text)}\n{fence}")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _markdown(table: Table) -> Markup:
    """A GitHub table; Markup, because its cells are escaped already."""
    rule = tuple("---:" if i in table.numeric else "---" for i in range(len(table.header)))
    rows = [tuple(map(_escaped, table.header)), rule]
    for number, cells in enumerate(table.rows):
        shown = map(_escaped, cells)
        rows.append(tuple(f"**{c}**" if number in table.marked else c for c in shown))
    return Markup("\n".join(f"| {' | '.join(cells)} |" for cells in rows))


def _arm_header(metric: str, confidence: float) -> tuple[str, ...]:
    rate = f"{metric[:1].upper()}{metric[1:]} ({_level(confidence)})"
    limits = ("Parse failures", "Cut by limit", "Output tokens", "p50", "p95", "USD / 1,000")
    return ("Arm", "Right", rate, *limits)


def _arm_cells(result: ArmResult) -> tuple[str, ...]:
    tokens = result.output_tokens_mean
    return (
        result.arm.title,
        f"{result.correct}/{result.n}",
        _rate(result.rate, result.interval),
        str(result.parse_failures),
        str(result.over_limit),
        NOTHING if tokens is None else f"{tokens:.1f}",
        _ms(result.p50_ms),
        _ms(result.p95_ms),
        _usd(result.usd_per_1000),
    )


def _missing_rows(not_measured: Mapping[str, str], width: int) -> tuple[tuple[str, ...], ...]:
    blanks = (NOTHING,) * (width - 2)
    return tuple((arm, f"not measured: {why}", *blanks) for arm, why in not_measured.items())


def _arms_table(data: ReportInput) -> Table:
    verdict, plan = data.verdict, data.case.task_file
    header = _arm_header(plan.task.metric, _confidence(data))
    arms = (*map(_arm_cells, verdict.arms), *_missing_rows(verdict.not_measured, len(header)))
    served = {i for i, a in enumerate(verdict.arms) if a.arm.file == data.serving.model_file}
    caption = (
        "Every arm on the same frozen test items. Interval: Wilson score. Latency: wall time at the client, "
        f"one call at a time. USD for 1,000 calls. In bold: the served file, {data.serving.model_file}."
    )
    return Table(caption, header, arms, frozenset(range(1, len(header))), frozenset(served))


def _contrast_table(data: ReportInput, contrasts: Sequence[Contrast], caption: str) -> Table:
    header = (
        "Arm",
        "Against",
        "n",
        "Wins",
        "Losses",
        f"Difference, points ({_level(_confidence(data))})",
        "p",
    )
    rows = tuple(_contrast_cells(data, contrast) for contrast in contrasts)
    return Table(caption, header, rows, frozenset(range(2, len(header))))


def _contrast_cells(data: ReportInput, contrast: Contrast) -> tuple[str, ...]:
    titles = {result.arm.name: result.arm.title for result in data.verdict.arms}
    interval = f"{_signed(contrast.interval.low)} to {_signed(contrast.interval.high)}"
    return (
        titles.get(contrast.arm, contrast.arm),
        titles.get(contrast.against, contrast.against),
        str(contrast.n),
        str(contrast.wins),
        str(contrast.losses),
        f"{_signed(contrast.difference)} ({interval})",
        _p(contrast.p_one_sided),
    )


def _gate_table(data: ReportInput) -> Table:
    gates = data.verdict.gates
    caption = (
        "Wins: items that the file has right and its best base wrong. Interval of the difference: Tango "
        "score. p: one-sided mid-p McNemar test that the file is better."
    )
    table = _contrast_table(data, [gate.contrast for gate in gates], caption)
    pairs = zip(gates, table.rows, strict=True)
    rows = tuple((gate.file, *cells[1:], gate.outcome) for gate, cells in pairs)
    return table._replace(header=("File", *table.header[1:], "Gate"), rows=rows)


def _stage_table(data: ReportInput) -> Table:
    margin = data.case.task_file.gate.quant_margin_points
    caption = (
        "Each file against the one that it was made from. p: that the later file is better. "
        f"The plan accepts a loss of up to {margin:g} points: compare it with the lower end of the interval."
    )
    return _contrast_table(data, data.verdict.quant_steps, caption)


def _gguf_table(ladder: Ladder) -> Table:
    rows = tuple(
        (
            rung.quant,
            rung.file.name,
            _megabytes(rung.file.bytes),
            ", ".join(f"{h.type} × {h.tensors} ({_megabytes(h.bytes)})" for h in rung.holds),
            str(rung.fallback_tensors),
        )
        for rung in ladder.files
    )
    caption = (
        "Tensor types read back from each file. A K-quant needs rows that are a multiple of 256 wide; "
        "a tensor that is not falls back to another type."
    )
    return Table(caption, ("Asked for", "File", "Size", "Holds", "Fell back"), rows, frozenset({2, 4}))


def _parity_line(name: str, parity: Parity) -> str:
    same = f"text equal in {parity.text_equal}, tokens equal in {parity.tokens_equal}"
    bos = "one BOS token in each" if parity.one_bos else "NOT one BOS token in each"
    return f"{name}: of {parity.prompts} prompts, {same}; {bos}."


def _parts_table(split: Split) -> Table:
    parts: tuple[tuple[str, Sequence[SplitRow]], ...]
    parts = (("train", split.train.pairs), ("dev", split.dev.pairs), ("test", split.test.items))
    rows = tuple((name, _count(len(part)), _count(len({r.group for r in part}))) for name, part in parts)
    caption = f"Whole groups move together. Split version {split.lock.version}, {split.lock.method}."
    return Table(caption, ("Part", "Rows", "Groups"), rows, frozenset({1, 2}))


def _leak_table(split: Split) -> Table:
    leaks = split.leaks
    checks = {
        "Test inputs equal to a train or dev input": leaks.exact,
        "Test inputs whose template is in train or dev": leaks.same_template,
        f"Test inputs with a near twin (Jaccard ≥ {leaks.near_threshold:g}) in train or dev": leaks.near,
        "Groups that straddle two parts": leaks.straddling_groups,
    }
    rows = tuple((check, str(found), "0") for check, found in checks.items())
    caption = f"{_count(leaks.groups)} groups, the largest of {leaks.largest_group} rows."
    return Table(caption, ("Leak check", "Found", "Must be"), rows, frozenset({1, 2}))


def _twin_table(split: Split) -> Table:
    parts = (*split.train.pairs, *split.dev.pairs, *split.test.items)
    limit = _TWIN_CHARACTERS
    texts = {row.id: row.input[:limit] + "…" * (len(row.input) > limit) for row in parts}
    rows = tuple(
        (
            f"{twin.similarity:.2f}",
            f"{twin.test_id}: {texts.get(twin.test_id, NOTHING)}",
            f"{twin.other_id} ({twin.other_part}): {texts.get(twin.other_id, NOTHING)}",
        )
        for twin in split.leaks.nearest
    )
    caption = "The most alike inputs on different sides, by word-set Jaccard, for a person to read."
    return Table(caption, ("Similarity", "Test input", "Train or dev input"), rows)


def _unseen_table(arms: Sequence[ArmResult]) -> Table:
    rows = tuple(
        (
            a.arm.title,
            f"{a.correct - a.unseen_correct}/{a.n - a.unseen_n}",
            f"{a.unseen_correct}/{a.unseen_n}",
        )
        for a in arms
    )
    caption = (
        "Test items whose expected output never occurs in train, reported apart; both kinds count above."
    )
    return Table(
        caption, ("Arm", "Right, output in train", "Right, output not in train"), rows, frozenset({1, 2})
    )
