"""Arms with a rate and a cost or a time → the plot of quality against it, as SVG for a page.

Labels are put at the first free place around their points, so that none covers another; a label that had to
move away keeps a thin line to its point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from tuneproof.artifacts.comparison import ArmKind, Interval
from tuneproof.plots_style import (
    KIND_INK,
    KIND_MARKER,
    QUIET,
    kind_handles,
    page_svg,
    plot_style,
    visible,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

MOST_POINTS = 12
"""Points beyond which labels would cover the plot."""
_DIRECTIONS = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))
_DISTANCES = (8, 16, 26, 38, 52, 68, 86, 106, 128)
"""In points of a 72nd of an inch, from the nearest outwards."""
_TITLE = 30
"""Characters of a label."""
_LETTERS = 8.5
"""Their size in points."""


class TradePoint(NamedTuple):
    """One arm in the plot."""

    title: str
    kind: ArmKind
    rate: float
    """Share of right replies."""
    interval: Interval
    """Of `rate`."""
    x: float
    """US dollars or milliseconds; above 0."""


def trade_plot_svg(points: Sequence[TradePoint], *, name: str, x_label: str, confidence: float) -> str:
    """Draw quality against a logarithmic axis, with intervals and the Pareto front.

    Args:
        points: at most `MOST_POINTS`, each with an `x` above 0.
        name: of the plot, for its ids; plots of one page need different names.
        x_label: what `x` is, with its unit.
        confidence: level of the intervals.

    Raises:
        ValueError: there is no point, there are too many, or one has an `x` of 0 or less.
    """
    with plot_style(name):
        label = f"Share of right replies against {x_label}"
        return page_svg(trade_figure(points, x_label=x_label, confidence=confidence)[0], name, label)


def _tick(value: float) -> str:
    """`1,000`, `0.01`, and a power of ten where zeros would need counting."""
    return f"10^{math.log10(value):.0f}" if value < 0.001 else f"{value:,.10f}".rstrip("0").rstrip(".")


def pareto_front(points: Sequence[TradePoint]) -> list[TradePoint]:
    """Return the points that no other one beats on both axes, from the smallest `x` up."""
    front: list[TradePoint] = []
    for point in sorted(points, key=lambda p: (p.x, -p.rate)):
        if not front or point.rate > front[-1].rate:
            front.append(point)
    return front


def trade_figure(
    points: Sequence[TradePoint], *, x_label: str, confidence: float
) -> tuple[Figure, list[Bbox]]:
    """Draw the figure; the boxes of its labels, in pixels, come with it.

    Raises:
        ValueError: as `trade_plot_svg`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _check(points)
    figure = Figure(figsize=(6.8, 4.6))
    # Fixed margins, so that the boxes that were measured are the boxes that are drawn.
    figure.subplots_adjust(left=0.125, right=0.97, bottom=0.13, top=0.9)
    canvas: Any = FigureCanvasAgg(figure)  # its renderer has no types
    axes = figure.subplots()
    _set_axes(axes, points, x_label)
    _draw_front(axes, pareto_front(points))
    for point in points:
        _draw_point(axes, point)
    axes.set_ylabel(f"right replies, {100 * confidence:g} % interval")
    handles = kind_handles(point.kind for point in points)
    figure.legend(handles=handles, loc="upper center", ncols=min(len(handles), 4), handlelength=1.8)
    sheet = _Sheet(axes, canvas.get_renderer(), figure.dpi / 72)
    return figure, _place_labels(sheet, points)


def _check(points: Sequence[TradePoint]) -> None:
    if not 1 <= len(points) <= MOST_POINTS:
        raise ValueError(f"a trade-off plot takes 1 to {MOST_POINTS} arms; got {len(points)}")
    bad = [point.title for point in points if not (math.isfinite(point.x) and point.x > 0)]
    if bad:
        raise ValueError(f"a logarithmic axis has no place for {', '.join(bad)}")


def _set_axes(axes: Axes, points: Sequence[TradePoint], x_label: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = min(p.x for p in points), max(p.x for p in points)
    decades = math.log10(high / low)
    # At least two decades, so that a small difference does not look like a large one.
    pad = 10 ** max((2 - decades) / 2, 0.06 * decades, 0.25)
    axes.set_xscale("log")
    axes.set(xlim=(low / pad, high * pad), ylim=(-3, 103), xlabel=x_label)
    axes.set_yticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="both")
    axes.set_axisbelow(True)


def _draw_front(axes: Axes, front: Sequence[TradePoint]) -> None:
    xs = [point.x for point in front] + [axes.get_xlim()[1]]
    ys = [100 * point.rate for point in front] + [100 * front[-1].rate]
    axes.plot(
        xs, ys, color=QUIET.light, linewidth=0.8, linestyle=(0, (4, 3)), drawstyle="steps-post", zorder=1.5
    )


def _draw_point(axes: Axes, point: TradePoint) -> None:
    color = KIND_INK[point.kind].light
    ends = [100 * point.interval.low, 100 * point.interval.high]
    axes.plot([point.x] * 2, ends, color=color, linewidth=1.4, solid_capstyle="butt")
    axes.plot([point.x] * 2, ends, color=color, marker="_", markersize=6, linestyle="")
    axes.plot([point.x], [100 * point.rate], color=color, marker=KIND_MARKER[point.kind], markersize=6.5)


class _Sheet(NamedTuple):
    """Where labels are put."""

    axes: Axes
    renderer: Any
    unit: float
    """Pixels of a 72nd of an inch."""

    def pixels(self, x: float, rate: float) -> tuple[float, float]:
        left, bottom = self.axes.transData.transform((x, 100 * rate))
        return float(left), float(bottom)


def _place_labels(sheet: _Sheet, points: Sequence[TradePoint]) -> list[Bbox]:
    """Write every label, from the top down."""
    marks = [box for point in points for box in _marks(sheet, point)]
    marks += _front_marks(sheet, pareto_front(points))
    placed: list[Bbox] = []
    for point in sorted(points, key=lambda p: (-p.rate, p.x, p.title)):
        places = list(_places(sheet, point))
        costs = [_cost(sheet, box, marks, placed) for _, box in places]
        distance, box = places[costs.index(min(costs))]
        _write(sheet, point, box, line=distance > _DISTANCES[1])
        placed.append(box)
    return placed


def _marks(sheet: _Sheet, point: TradePoint) -> Iterator[Bbox]:
    """The marker and the interval's bar."""
    from matplotlib.transforms import Bbox

    x, y = sheet.pixels(point.x, point.rate)
    half = 5 * sheet.unit
    yield Bbox([[x - half, y - half], [x + half, y + half]])
    ends = [sheet.pixels(point.x, end)[1] for end in (point.interval.low, point.interval.high)]
    yield Bbox([[x - 1, ends[0]], [x + 1, ends[1]]])


def _front_marks(sheet: _Sheet, front: Sequence[TradePoint]) -> Iterator[Bbox]:
    """The steps of the Pareto front: a label on them is struck through."""
    from matplotlib.transforms import Bbox

    corners = [sheet.pixels(point.x, point.rate) for point in front]
    corners.append((sheet.axes.bbox.x1, corners[-1][1]))
    for (x, y), (next_x, next_y) in pairwise(corners):
        yield Bbox([[x, y - 1], [next_x, y + 1]])
        yield Bbox([[next_x - 1, y], [next_x + 1, next_y]])


def _places(sheet: _Sheet, point: TradePoint) -> Iterator[tuple[int, Bbox]]:
    """Distances and boxes around a point, the nearest first."""
    from matplotlib.transforms import Bbox

    note = sheet.axes.text(point.x, 100 * point.rate, _short(point.title), fontsize=_LETTERS)
    size = note.get_window_extent(sheet.renderer)
    note.remove()
    x, y = sheet.pixels(point.x, point.rate)
    for distance in _DISTANCES:
        for across, up in _DIRECTIONS:
            step = distance * sheet.unit
            left = x + across * step - size.width * (1 - across) / 2
            bottom = y + up * step * (0.75 if across else 1) - size.height * (1 - up) / 2
            yield distance, Bbox.from_bounds(left, bottom, size.width, size.height)


def _cost(sheet: _Sheet, box: Bbox, marks: Sequence[Bbox], placed: Sequence[Bbox]) -> float:
    """0 for a free place. A label on a label cannot be read at all, one on a bar can."""
    frame, wide = sheet.axes.bbox, box.padded(1.5 * sheet.unit)
    inside = wide.x0 >= frame.x0 and wide.x1 <= frame.x1 and wide.y0 >= frame.y0 and wide.y1 <= frame.y1
    on_labels = sum(_shared(wide, other) for other in placed)
    return (0 if inside else 1e9) + 1e3 * on_labels + sum(_shared(wide, mark) for mark in marks)


def _write(sheet: _Sheet, point: TradePoint, box: Bbox, *, line: bool) -> None:
    x, y = sheet.pixels(point.x, point.rate)
    offset = ((box.x0 - x) / sheet.unit, (box.y0 - y) / sheet.unit)
    if line:
        near = (min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1))
        ends = sheet.axes.transData.inverted().transform([(x, y), near])
        sheet.axes.plot(ends[:, 0], ends[:, 1], color=QUIET.light, linewidth=0.6, alpha=0.7, zorder=1.6)
    sheet.axes.annotate(
        _short(point.title),
        (point.x, 100 * point.rate),
        xytext=offset,
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=_LETTERS,
    )


def _short(title: str) -> str:
    title = " ".join(visible(title).split())
    return title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"


def _shared(one: Bbox, other: Bbox) -> float:
    """Area that two boxes share, in square pixels."""
    width = float(min(one.x1, other.x1) - max(one.x0, other.x0))
    height = float(min(one.y1, other.y1) - max(one.y0, other.y0))
    return max(width, 0.0) * max(height, 0.0)
