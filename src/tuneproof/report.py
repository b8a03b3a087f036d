"""Everything a project has made, to one verdict report as an HTML page or as Markdown.

Each table is built once, as rows of text, and written by both templates. Every value that a template
prints passes through `finalize`, so escaping cannot be forgotten at one place.
"""

from __future__ import annotations

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
from tuneproof.report_metric import (
    confusion_table,
    figures_table,
    main_table,
    scoring_facts,
    shot_line,
    silence_table,
)
from tuneproof.report_text import (
    NOTHING,
    Table,
    code,
    count,
    duration,
    fenced,
    level,
    markdown,
    megabytes,
    p_value,
    shown,
    shown_in_markdown,
    signed,
)

SHOWN_CHANGES = 12
_TWIN_CHARACTERS = 240
_RIVAL_CAPTION = "The served file against cheap rivals and a rule, if there is one, on the same items."


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
    """Who vouches for the labels, for example `labelled by the support team, not reviewed here`."""
    made_at: str
    """UTC, ISO 8601."""
    tuneproof_version: str


def table_markdown(
    arms: Sequence[ArmResult],
    *,
    not_measured: Mapping[str, str],
    metric: str,
    confidence: float = 0.95,
    right_at: float | None = None,
) -> str:
    """Write the main table in GitHub Markdown, one row an arm, measured or not."""
    return markdown(main_table(arms, not_measured, metric=metric, confidence=confidence, right_at=right_at))


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
        finalize=shown if autoescape else shown_in_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for text_filter in (code, count, duration, fenced, level, markdown, megabytes, visible):
        environment.filters[text_filter.__name__] = text_filter
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
        **_metric_tables(data),
        "scoring_facts": scoring_facts(data.case.task_file),
        "shot_lines": [
            shot_line(trial, data.comparison.chosen_shots) for trial in data.comparison.shot_trials
        ],
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


def _arms_table(data: ReportInput) -> Table:
    verdict, plan = data.verdict, data.case.task_file
    table = main_table(
        verdict.arms,
        verdict.not_measured,
        metric=plan.task.metric,
        confidence=_confidence(data),
        right_at=plan.scoring.right_at,
    )
    graded = any(result.mean_value is not None for result in verdict.arms)
    interval = "Wilson score; of a mean, percentile bootstrap" if graded else "Wilson score"
    served = {i for i, a in enumerate(verdict.arms) if a.arm.file == data.serving.model_file}
    caption = (
        f"Every arm on the same frozen test items. Interval: {interval}. Latency: wall time at the client, "
        f"one call at a time. USD for 1,000 calls. In bold: the served file, {data.serving.model_file}."
    )
    return table._replace(caption=caption, marked=frozenset(served))


def _metric_tables(data: ReportInput) -> dict[str, Table | None]:
    verdict = data.verdict
    served = next((a for a in verdict.arms if a.arm.file == data.serving.model_file), None)
    bases = {gate.contrast.against for gate in verdict.gates}
    rivals = {result.arm.name for result in verdict.arms if result.arm.kind in {"rival", "frontier"}}
    deciding = (*bases, *rivals, *([served.arm.name] if served else []))
    figures = figures_table(verdict.arms, deciding=deciding)
    confusion = served.confusion if served else None
    return {
        "silence_table": silence_table(verdict.arms),
        "figures_table": figures if figures.rows else None,
        "confusion_table": confusion_table(confusion, served.arm.title) if served and confusion else None,
    }


def _contrast_table(data: ReportInput, contrasts: Sequence[Contrast], caption: str) -> Table:
    header = (
        "Arm",
        "Against",
        "n",
        "Wins",
        "Losses",
        f"Difference, points ({level(_confidence(data))})",
        "p",
    )
    rows = tuple(_contrast_cells(data, contrast) for contrast in contrasts)
    return Table(caption, header, rows, frozenset(range(2, len(header))))


def _contrast_cells(data: ReportInput, contrast: Contrast) -> tuple[str, ...]:
    titles = {result.arm.name: result.arm.title for result in data.verdict.arms}
    interval = f"{signed(contrast.interval.low)} to {signed(contrast.interval.high)}"
    return (
        titles.get(contrast.arm, contrast.arm),
        titles.get(contrast.against, contrast.against),
        str(contrast.n),
        str(contrast.wins),
        str(contrast.losses),
        f"{signed(contrast.difference)} ({interval})",
        p_value(contrast.p_one_sided),
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
            megabytes(rung.file.bytes),
            ", ".join(f"{h.type} × {h.tensors} ({megabytes(h.bytes)})" for h in rung.holds),
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
    rows = tuple((name, count(len(part)), count(len({r.group for r in part}))) for name, part in parts)
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
    apart = "equal text" in split.lock.method  # split.same_template: apart
    rows = tuple(
        (check, str(found), "allowed" if apart and "template" in check else "0")
        for check, found in checks.items()
    )
    caption = f"{count(leaks.groups)} groups, the largest of {leaks.largest_group} rows."
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
