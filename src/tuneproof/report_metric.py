"""Measured arms, and the metric that graded them → the tables of quality in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneproof.artifacts import ArmResult, Confusion, Figure, TaskFile, sha256_of
from tuneproof.artifacts.base import canonical_json
from tuneproof.metrics import metric_of
from tuneproof.report_text import NOTHING, Table, dollars, level, marked_title, milliseconds, percent, rated

FEW_FIGURES = 8
"""Up to so many figures, every arm is shown with them; beyond, only the arms that decide."""
FEW_LABELS = 6
"""Up to so many labels, the columns of a confusion matrix carry their names; beyond, numbers."""
MOST_CONFUSED = 5
"""Pairs of labels that are named under a confusion matrix, and marked in it."""


def main_table(
    arms: Sequence[ArmResult],
    not_measured: Mapping[str, str],
    *,
    metric: str,
    confidence: float,
    right_at: float | None = None,
) -> Table:
    """Build the table of all arms, without a caption.

    Args:
        arms: the measured ones, in the order of the rows.
        not_measured: arm → reason.
        metric: its name, as in task.yaml.
        confidence: two-sided level of every interval.
        right_at: value from which a reply of a graded metric counts as right; None is 1.
    """
    graded = any(result.mean_value is not None for result in arms)
    header = (
        "Arm",
        "Right",
        f"{capitalised(metric_of(metric).share_name(right_at or 1.0))} ({level(confidence)})",
        *([f"Mean {value_name(metric)} ({level(confidence)})"] if graded else []),
        *("Parse failures", "Cut by limit", "Output tokens", "p50", "p95", "USD / 1,000"),
    )
    rows = (*(_cells(result, graded) for result in arms), *_missing_rows(not_measured, len(header)))
    return Table("", header, rows, numeric=frozenset(range(1, len(header))))


def value_name(metric: str) -> str:
    """Return what the value of one reply is called."""
    return metric_of(metric).value_name or metric


def capitalised(text: str) -> str:
    """Begin with a capital letter, except where the letters are a name: chrF, or `module:function`."""
    return text if ":" in text or text == "chrF" or text.startswith("chrF ") else text[:1].upper() + text[1:]


def _cells(result: ArmResult, graded: bool) -> tuple[str, ...]:
    tokens = result.output_tokens_mean
    return (
        marked_title(result.arm),
        f"{result.correct}/{result.n}",
        rated(result.rate, result.wider),
        *([mean_cell(result)] if graded else []),
        str(result.parse_failures),
        str(result.over_limit),
        NOTHING if tokens is None else f"{tokens:.1f}",
        milliseconds(result.p50_ms),
        milliseconds(result.p95_ms),
        dollars(result.usd_per_1000),
    )


def mean_cell(result: ArmResult) -> str:
    """Write the mean value with its interval, as shares of 1."""
    if result.mean_value is None:
        return NOTHING
    interval = result.mean_interval
    return f"{result.mean_value:.3f}" + (f" ({interval.low:.3f}–{interval.high:.3f})" if interval else "")


def _missing_rows(not_measured: Mapping[str, str], width: int) -> tuple[tuple[str, ...], ...]:
    blanks = (NOTHING,) * (width - 2)
    return tuple((arm, f"not measured: {why}", *blanks) for arm, why in not_measured.items())


def silence_table(arms: Sequence[ArmResult]) -> Table:
    """Count what kept replies from being an answer; no row where no arm was empty or refused."""
    header = ("Arm", "Items", "Parse failures", "Empty", "Refusals", "Cut by limit")
    some = any(result.empty or result.refusals for result in arms)
    rows = tuple(
        (marked_title(a.arm), str(a.n), *map(str, (a.parse_failures, a.empty, a.refusals, a.over_limit)))
        for a in arms
        if some
    )
    caption = (
        "An empty reply is a parse failure. A refusal is a reply that is not right and in which "
        "scoring.refusal_pattern is found; it may be a parse failure too."
    )
    return Table(caption, header, rows, numeric=frozenset(range(1, len(header))), name="Empty replies")


def groups_table(arms: Sequence[ArmResult]) -> Table:
    """Set the interval over groups beside Wilson's; no row where every item is a group of its own."""
    header = ("Arm", "Items", "Groups", "ICC", "Design effect", "Wilson", "Bootstrap over groups")
    rows = tuple(
        (
            marked_title(a.arm),
            str(a.n),
            str(a.clusters),
            NOTHING if a.icc is None else f"{a.icc:.2f}",
            NOTHING if a.design_effect is None else f"{a.design_effect:.2f}",
            rated(a.rate, a.interval),
            rated(a.rate, a.cluster_interval),
        )
        for a in arms
        if a.clusters and a.cluster_interval
    )
    caption = (
        "Items of one group are alike, so they count for less than as many items of different groups. ICC: "
        "intraclass correlation of being right within a group. Design effect: how many times larger the "
        "variance is. The table above prints the wider of the two intervals."
    )
    return Table(caption, header, rows, frozenset(range(1, len(header))), name="Groups")


def arm_lines(arms: Sequence[ArmResult]) -> tuple[str, ...]:
    """Say what stands behind the arms of an API, and what else a reader must know of an arm."""
    apis = tuple(_arm_line(result) for result in arms if result.arm.model or result.arm.recorded)
    noted = (r.arm for r in arms if r.arm.kind == "base" and r.arm.note.startswith("no time"))
    return (*apis, *(f"{arm.title}: {arm.note}." for arm in noted))


def _arm_line(result: ArmResult) -> str:
    arm, rates = result.arm, result.repeat_rates
    if rates:
        each = ", ".join(percent(rate) for rate in rates)
        noise = f"{len(rates)} replies an item, the share right of each repeat: {each}"
    else:
        noise = "one reply an item: run-to-run noise not measured"
    who = f"; replies made elsewhere: {arm.recorded}" if arm.recorded else ""
    note = f" {arm.note[0].upper()}{arm.note[1:]}" if arm.note else ""
    return f"{arm.title}: model {arm.model or 'not named'}{who}; {noise}.{note}"


def figures_table(arms: Sequence[ArmResult], *, deciding: Sequence[str]) -> Table:
    """Set the metric's figures against the arms.

    Args:
        arms: all of them.
        deciding: names of the arms that a long table is limited to.
    """
    names = list(dict.fromkeys(figure.name for result in arms for figure in result.figures))
    short = len(names) > FEW_FIGURES
    columns = [a for a in arms if a.figures and (a.arm.name in deciding or not short)]
    known = [{figure.name: figure for figure in result.figures} for result in columns]
    rows = tuple(_figure_row(name, [figures.get(name) for figures in known]) for name in names)
    caption = "What the metric says beside the share of right replies; 1 is best unless it is an error."
    if len(columns) < len(arms):
        caption += f" Shown for {len(columns)} of {len(arms)} arms; verdict.json has the others."
    header = ("Figure", "Items", *(result.arm.title for result in columns))
    return Table(
        caption, header, rows, numeric=frozenset(range(1, len(header))), name="Figures of the metric"
    )


def _figure_row(name: str, figures: Sequence[Figure | None]) -> tuple[str, ...]:
    sizes = {figure.n for figure in figures if figure is not None}
    if len(sizes) == 1:
        return (capitalised(name), str(*sizes), *(figure_cell(f) for f in figures))
    return (capitalised(name), "differ", *(figure_cell(f) + (f" (n = {f.n})" if f else "") for f in figures))


def figure_cell(figure: Figure | None) -> str:
    """Write a figure; three decimals for a share, four digits for what is larger, as an error may be."""
    if figure is None:
        return NOTHING
    return f"{figure.value:.3f}" if abs(figure.value) <= 1 else f"{figure.value:,.4g}"


def confusion_table(confusion: Confusion, title: str) -> Table:
    """Lay out expected labels (rows) against replied ones, with the commonest mistakes marked.

    Args:
        confusion: its last label is no label of the test, so it has a column and no row.
        title: of the arm.
    """
    labels = confusion.labels
    named = len(labels) - 1 <= FEW_LABELS
    columns = labels if named else (*map(str, range(1, len(labels))), labels[-1])
    rows = tuple(
        (label if named else f"{number} · {label}", *(str(k) if k else "·" for k in counts))
        for number, (label, counts) in enumerate(zip(labels[:-1], confusion.counts[:-1], strict=True), 1)
    )
    caption = f"{title}: rows are the expected labels, columns the replied ones" + (
        "." if named else ", in the same order."
    )
    mistakes = most_confused(confusion)
    if mistakes:
        caption += f" In bold, the commonest mistakes: {confusions_text(confusion)}."
    marked = frozenset((row, column + 1) for row, column, _ in mistakes)
    header = ("Expected", *columns)
    return Table(
        caption,
        header,
        rows,
        frozenset(range(1, len(header))),
        marked_cells=marked,
        name="Confusion",
        look="confusion",
    )


def most_confused(confusion: Confusion) -> list[tuple[int, int, int]]:
    """Return (row, column, count) of the commonest mistakes, most first."""
    mistakes = [
        (row, column, count)
        for row, counts in enumerate(confusion.counts)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return sorted(mistakes, key=lambda mistake: (-mistake[2], mistake[:2]))[:MOST_CONFUSED]


def confusions_text(confusion: Confusion) -> str:
    """Name the commonest mistakes in words."""
    labels = confusion.labels
    return ", ".join(
        f"{labels[row]} answered as {labels[column]} ({count} of {sum(confusion.counts[row])})"
        for row, column, count in most_confused(confusion)
    )


def scoring_facts(task_file: TaskFile) -> list[tuple[str, str]]:
    """List what task.yaml says about scoring beyond the defaults."""
    section = task_file.scoring
    facts = section.model_dump(exclude_defaults=True)
    if isinstance(section.json_schema, dict):
        facts["json_schema"] = f"inline, {sha256_of(canonical_json(section.json_schema))}"
    return [
        (f"scoring.{name}", ", ".join(value) if isinstance(value, tuple) else str(value))
        for name, value in facts.items()
    ]
