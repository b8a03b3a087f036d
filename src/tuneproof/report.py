"""Everything a project has made, to one verdict report as an HTML page or as Markdown.

Each section is built once, of blocks, and written by both templates. Every value that a template prints
passes through `finalize`, so escaping cannot be forgotten at one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tuneproof.artifacts import ArmResult
from tuneproof.plots import quality_plot_svg
from tuneproof.plots_style import visible
from tuneproof.report_access import access_section, how_section
from tuneproof.report_blocks import Block, Heading, Lines, Plot, ReportInput, Section
from tuneproof.report_compare import (
    chance_section,
    frontier_section,
    gate_section,
    prompt_section,
    rival_section,
)
from tuneproof.report_markdown import written
from tuneproof.report_metric import (
    arm_lines,
    confusion_table,
    figures_table,
    groups_table,
    main_table,
    silence_table,
)
from tuneproof.report_parts import change_section, failure_section, slice_section
from tuneproof.report_run import (
    data_section,
    missing_section,
    provenance_section,
    settings_section,
    stage_section,
    training_section,
)
from tuneproof.report_text import (
    Table,
    markdown,
    prose_html,
    shown,
    shown_in_markdown,
)
from tuneproof.report_top import badges, first_texts
from tuneproof.report_trade import cost_section, latency_section, trade_blocks

__all__ = ["ReportInput", "render_html", "render_markdown", "table_markdown"]


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
    environment.filters["written"] = written
    return environment.get_template("report.md.j2").render(_context(data)).strip() + "\n"


def render_html(data: ReportInput) -> str:
    """Write the report as one page that loads nothing from elsewhere."""
    environment = _environment(autoescape=True)
    for text_filter in (visible, prose_html, kind_of, drawn):
        environment.filters[text_filter.__name__] = text_filter
    return environment.get_template("report.html.j2").render(_context(data)).strip() + "\n"


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("tuneproof", "templates"),
        autoescape=autoescape,
        finalize=shown if autoescape else shown_in_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def kind_of(block: Block) -> str:
    """Name a block's class, by which a template chooses how to write it."""
    return type(block).__name__


def drawn(plot: Plot) -> Markup:
    """Draw a plot; its SVG is ours, with every text in it escaped."""
    return Markup(plot.draw())


def _context(data: ReportInput) -> dict[str, object]:
    return {
        "title": data.case.task_file.title,
        "verdict": data.verdict,
        "made_at": _minutes(data.verdict.made_at),
        "badges": badges(data.verdict),
        "first_texts": first_texts(data),
        "sections": _sections(data),
        "tuneproof_version": data.tuneproof_version,
    }


def _minutes(moment: str) -> str:
    """`2026-11-24T13:57:48+00:00` → `2026-11-24 13:57 UTC`."""
    return f"{moment[:16].replace('T', ' ')} UTC" if moment else "time not recorded"


def _sections(data: ReportInput) -> tuple[Section, ...]:
    metric = _metric_section(data)
    return (
        _table_section(data),
        *([metric] if metric.blocks else []),
        gate_section(data),
        frontier_section(data),
        rival_section(data),
        stage_section(data),
        prompt_section(data),
        chance_section(data),
        cost_section(data),
        latency_section(data),
        slice_section(data),
        failure_section(data),
        change_section(data),
        training_section(data),
        data_section(data),
        settings_section(data),
        access_section(data),
        how_section(data),
        provenance_section(data),
        missing_section(data),
    )


def _table_section(data: ReportInput) -> Section:
    arms, lines = data.verdict.arms, arm_lines(data.verdict.arms)
    plot = Plot(
        lambda: quality_plot_svg(arms, confidence=data.confidence),
        "Quality",
        "The same rates and intervals as in the table, in the same order.",
    )
    groups, silence = groups_table(arms), silence_table(arms)
    blocks: list[Block] = [_arms_table(data), *([Lines(lines)] if lines else []), plot, *trade_blocks(data)]
    if groups.rows:
        blocks += [Heading("Groups among the items"), groups]
    if silence.rows:
        blocks += [Heading("Empty replies and refusals"), silence]
    return Section("table", "Table", "Quality, latency and cost", tuple(blocks))


def _arms_table(data: ReportInput) -> Table:
    verdict, task_file = data.verdict, data.case.task_file
    table = main_table(
        verdict.arms,
        verdict.not_measured,
        metric=task_file.task.metric,
        confidence=data.confidence,
        right_at=task_file.scoring.right_at,
    )
    graded = any(result.mean_value is not None for result in verdict.arms)
    grouped = any(result.cluster_interval for result in verdict.arms)
    interval = "Wilson score" + (", or the bootstrap over groups where that is wider" if grouped else "")
    interval += "; of a mean, percentile bootstrap" if graded else ""
    served = {
        i
        for i, a in enumerate(verdict.arms)
        if a.arm.file == data.serving.model_file and not a.arm.constrained
    }
    caption = (
        f"Every arm on the same frozen test items. Interval: {interval}. Latency: wall time at the client, "
        f"one call at a time. USD for 1,000 calls: an API's list price, or the machine at "
        f"{task_file.costs.utilisation * 100:g} % of its hours. In bold: the served file, "
        f"{data.serving.model_file}."
    )
    return table._replace(caption=caption, marked=frozenset(served), name="Arms")


def _metric_section(data: ReportInput) -> Section:
    verdict, served = data.verdict, data.served
    bases = {gate.contrast.against for gate in verdict.gates}
    beside = {result.arm.name for result in verdict.arms if result.arm.kind in {"rival", "frontier"}}
    deciding = (*bases, *beside, *([served.arm.name] if served else []))
    figures = figures_table(verdict.arms, deciding=deciding)
    blocks: list[Block] = [figures] if figures.rows else []
    if served and served.confusion:
        blocks += [
            Heading("Confusion of the served file"),
            confusion_table(served.confusion, served.arm.title),
        ]
    return Section("metric", "Metric", "What the metric says", tuple(blocks))
