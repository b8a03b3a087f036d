"""Curves and arm results to PNG bytes and SVG text: the same input gives the same bytes."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from tuneproof.artifacts.comparison import ArmResult
from tuneproof.artifacts.curves import CurveRow
from tuneproof.plots_style import (
    GRID,
    KIND_INK,
    KIND_MARKER,
    QUIET,
    TEXT,
    kind_handles,
    page_svg,
    plot_style,
    visible,
)
from tuneproof.report_text import marked_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def loss_curve_png(rows: Sequence[CurveRow]) -> bytes:
    """Draw the training run on white, for the project folder.

    Raises:
        ValueError: there is no row.
    """
    with plot_style("curves"):
        figure = _loss_figure(rows)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def loss_curve_svg(rows: Sequence[CurveRow]) -> str:
    """Draw the training run for a page.

    Raises:
        ValueError: there is no row.
    """
    with plot_style("curves"):
        return page_svg(_loss_figure(rows), "curves", "Training and dev loss by step, and tokens per second")


def quality_plot_svg(arms: Sequence[ArmResult], *, confidence: float) -> str:
    """Draw each arm's rate with its interval, in table order from the top.

    Raises:
        ValueError: there is no arm.
    """
    with plot_style("quality"):
        label = f"Share of right replies of each arm with its {_percent(confidence)} interval"
        return page_svg(_quality_figure(arms, confidence), "quality", label)


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _loss_figure(rows: Sequence[CurveRow]) -> Figure:
    from matplotlib.figure import Figure

    if not rows:
        raise ValueError("a curve needs at least one step; got none")
    figure = Figure(figsize=(6.8, 4.3), layout="constrained")
    loss_axes, speed_axes = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    _draw_losses(loss_axes, rows)
    _draw_line(speed_axes, [(row.step, row.tokens_per_s) for row in rows], color=QUIET.light, linewidth=1.1)
    speed_axes.set(xlabel="optimizer step", ylabel="tokens / s")
    for axes in (loss_axes, speed_axes):
        axes.set_ylim(0, 1.04 * axes.get_ylim()[1])
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        for step in _epoch_ends(rows):
            axes.axvline(step, color=GRID.light, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    return figure


def _draw_losses(axes: Axes, rows: Sequence[CurveRow]) -> None:
    base, tuned = KIND_INK["base"].light, KIND_INK["tuned"].light
    losses = [(row.step, row.loss) for row in rows]
    _draw_line(axes, losses, color=base, linewidth=0.7, alpha=0.55, label="train, each step")
    _draw_line(axes, _smoothed(losses), color=base, linewidth=1.9, label="train, smoothed")
    dev = [(row.step, row.dev_loss) for row in rows if row.dev_loss is not None]
    if dev:
        _draw_line(axes, dev, color=tuned, linewidth=1.1, marker="D", markersize=5.5, label="dev")
    axes.set_ylabel("loss, nats per answer token")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)


def _draw_line(axes: Axes, points: Sequence[tuple[int, float]], **style: object) -> None:
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    axes.plot([x for x, _ in finite], [y for _, y in finite], **style)  # type: ignore[arg-type]


def _smoothed(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Mean over a window around each step, a tenth of the run wide; non-finite losses are left out."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    half = max(1, len(finite) // 20)
    windows = (finite[max(0, i - half) : i + half + 1] for i in range(len(finite)))
    return [(x, sum(y for _, y in w) / len(w)) for (x, _), w in zip(finite, windows, strict=True)]


def _epoch_ends(rows: Sequence[CurveRow]) -> list[int]:
    """Last step of every epoch but the final one; none where lines would crowd the plot."""
    pairs = pairwise(rows)
    ends = [a.step for a, b in pairs if math.ceil(b.epoch - 1e-9) > math.ceil(a.epoch - 1e-9)]
    return ends if len(ends) <= 12 else []


def _quality_figure(arms: Sequence[ArmResult], confidence: float) -> Figure:
    from matplotlib.figure import Figure

    if not arms:
        raise ValueError("a quality plot needs at least one arm; got none")
    heights = _heights(arms)
    figure = Figure(figsize=(6.8, 1.15 + 0.36 * (heights[-1] + 1)), layout="constrained")
    axes = figure.subplots()
    for height, result in zip(heights, arms, strict=True):
        _draw_arm(axes, height, result)
    axes.set_yticks(heights, [_wrapped(marked_title(result.arm)) for result in arms], color=TEXT.light)
    axes.set(xlim=(0, 100), ylim=(heights[-1] + 0.6, -0.6))
    axes.set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.set_xlabel(f"right replies, with the {_percent(confidence)} interval")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, pad=10)
    axes.spines["left"].set_visible(False)
    _add_legend(figure, arms)
    return figure


def _heights(arms: Sequence[ArmResult]) -> list[float]:
    """Arm positions from the top, with a gap where the kind changes."""
    heights = [0.0]
    for before, after in pairwise(arms):
        heights.append(heights[-1] + (1.0 if before.arm.kind == after.arm.kind else 1.45))
    return heights


def _draw_arm(axes: Axes, height: float, result: ArmResult) -> None:
    color = KIND_INK[result.arm.kind].light
    low, high = 100 * result.wider.low, 100 * result.wider.high
    axes.plot([low, high], [height, height], color=color, linewidth=1.8, solid_capstyle="butt", clip_on=False)
    axes.plot(
        [low, high], [height, height], color=color, marker="|", markersize=7, linestyle="", clip_on=False
    )
    marker = KIND_MARKER[result.arm.kind]
    axes.plot([100 * result.rate], [height], color=color, marker=marker, markersize=6.5, clip_on=False)
    fits_right = high < 86
    x, side = (high + 1.4, "left") if fits_right else (low - 1.4, "right")
    axes.text(x, height, f"{100 * result.rate:.1f} %", ha=side, va="center_baseline", fontsize=9)


def _wrapped(title: str) -> str:
    return "\n".join(textwrap.wrap(visible(title), 30)[:2]) or "–"


def _add_legend(figure: Figure, arms: Sequence[ArmResult]) -> None:
    kinds = list(dict.fromkeys(result.arm.kind for result in arms))
    columns = min(len(kinds), 4)
    figure.legend(handles=kind_handles(kinds), loc="outside upper center", ncols=columns, handlelength=1.8)
