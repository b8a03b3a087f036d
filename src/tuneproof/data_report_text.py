"""The data report → tables and Markdown for a person; warnings first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneproof.artifacts.data_report import Crossing, DataReport, Layer, Lengths, Thaw
from tuneproof.report_text import Table, escaped, markdown, prose
from tuneproof.scan import PERSONAL
from tuneproof.thaw import thaw_lines

_CELL = 160


def data_report_markdown(report: DataReport, found: Thaw | None = None) -> str:
    """Write the report, and what a thaw kept, as Markdown in which no text of a pair can start markup."""
    blocks = ["# Data report", f"{report.train} train, {report.dev} dev and {report.test} test pairs."]
    if found is not None:
        blocks += ["## Thaw", *(str(prose(line)) for line in thaw_lines(found))]
    for title, lines in (("Warnings", report.warnings), ("Notes", report.notes)):
        if lines:
            blocks += [f"## {title}", "\n".join(f"- {prose(line)}" for line in lines)]
    for table in all_tables(report):
        blocks += [f"## {table.name}", escaped(table.caption)]
        blocks += [str(markdown(table))] if table.rows else []
    return "\n\n".join(blocks) + "\n"


def all_tables(report: DataReport) -> tuple[Table, ...]:
    """Return every table of the report."""
    shown = [layer for layer in report.layers if layer.pairs]
    return (
        layer_table(report.layers, report.test),
        *(_crossing_table(f"Layer {layer.name}", layer.rule, layer.pairs) for layer in shown),
        nearest_table(report),
        found_table(report),
        _places_table(report),
        contradiction_table(report),
        _label_table(report),
        length_table(report.lengths),
        *(_histogram(each) for each in report.lengths if each.unit == "characters"),
    )


def layer_table(layers: Sequence[Layer], test: int) -> Table:
    """Leaks by layer."""
    return Table(
        f"Test rows, of {test}, that resemble a train or dev row, an example or the prompt.",
        ("layer", "rule", "test rows", "what happens"),
        tuple(
            (layer.name, layer.rule, str(layer.rows), "stops the freeze" if layer.refuses else "shown")
            for layer in layers
        ),
        numeric=frozenset({2}),
        name="Leaks",
    )


def nearest_table(report: DataReport) -> Table:
    """Nearest neighbours across the sides."""
    caption = (
        "TF-IDF cosine of words and characters. Read every row: the same question in other words is a leak "
        "that no rule finds."
    )
    return _crossing_table("Nearest across the sides", caption, report.nearest)


def _crossing_table(name: str, caption: str, pairs: Sequence[Crossing]) -> Table:
    return Table(
        caption,
        ("alike", "test row", "its input", "beside", "its input or text"),
        tuple(
            (
                f"{pair.similarity:.2f}",
                pair.test_id,
                pair.test_text[:_CELL],
                f"{pair.other_part} {pair.other_id}".strip(),
                pair.other_text[:_CELL],
            )
            for pair in pairs
        ),
        numeric=frozenset({0}),
        name=name,
    )


def found_table(report: DataReport) -> Table:
    """Secrets and personal data by kind and part."""
    return Table(
        "Found in inputs and outputs." if report.found else "Nothing was found in inputs or outputs.",
        ("kind", "", "part", "found", "pairs"),
        tuple(
            (
                row.kind,
                "personal" if row.kind in PERSONAL else "secret",
                row.part,
                str(row.found),
                str(row.pairs),
            )
            for row in report.found
        ),
        numeric=frozenset({3, 4}),
        name="Secrets and personal data",
    )


def _places_table(report: DataReport) -> Table:
    rows = tuple((r.pair_id, r.part, r.where, r.kind, r.excerpt) for r in report.found_rows)
    return Table(
        "At most three characters of each are shown.",
        ("pair", "part", "side", "kind", "excerpt"),
        rows,
        name="Where they are",
    )


def contradiction_table(report: DataReport) -> Table:
    """Near twins with different outputs."""
    return Table(
        f"{report.contradicting} pairs of near twins, most similar first; {len(report.contradictions)} are "
        "shown.",
        ("alike", "first", "its input", "its output", "second", "its input", "its output"),
        tuple(
            (
                f"{c.similarity:.2f}",
                c.first_id,
                c.first_input[:_CELL],
                c.first_output,
                c.second_id,
                c.second_input[:_CELL],
                c.second_output,
            )
            for c in report.contradictions
        ),
        numeric=frozenset({0}),
        name="Near twins with different outputs",
    )


def _label_table(report: DataReport) -> Table:
    return Table(
        "Labels with fewer than 3 rows, where the outputs are labels.",
        ("rows", "label"),
        tuple((str(row.rows), row.output) for row in report.rare_labels),
        numeric=frozenset({0}),
        name="Rare labels",
    )


def length_table(lengths: Sequence[Lengths]) -> Table:
    """Quantiles of the lengths, and the longest rows."""
    return Table(
        "Nearest-rank quantiles over all parts.",
        ("side", "unit", "least", "10 %", "median", "90 %", "99 %", "most", "longest rows"),
        tuple(tuple(_length_row(each)) for each in lengths),
        numeric=frozenset(range(2, 8)),
        name="Lengths",
    )


def _length_row(each: Lengths) -> Iterator[str]:
    yield from (each.side, each.unit)
    yield from map(str, (each.least, each.p10, each.median, each.p90, each.p99, each.most))
    yield ", ".join(f"{row.pair_id} ({row.length})" for row in each.longest)


def _histogram(each: Lengths) -> Table:
    largest = max(bucket.rows for bucket in each.buckets)
    return Table(
        f"Rows by {each.unit} of the {each.side}.",
        (each.unit, "rows", ""),
        tuple((f"{b.low}–{b.high}", str(b.rows), "█" * round(30 * b.rows / largest)) for b in each.buckets),
        numeric=frozenset({1}),
        name=f"Histogram of {each.side}s",
    )
