"""The plots of quality against cost and latency: labels that can be read, a front that is right."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from full_sample import full_report
from sample import arm_result
from tuneproof.artifacts import Interval
from tuneproof.artifacts.comparison import ArmKind
from tuneproof.plots import quality_plot_svg
from tuneproof.plots_style import KIND_INK, KIND_MARKER, KIND_TITLE
from tuneproof.plots_trade import MOST_POINTS, TradePoint, pareto_front, trade_figure, trade_plot_svg
from tuneproof.report_trade import cost_of, time_of, trade_blocks

KINDS = get_args(ArmKind)


def point(title: str, x: float, rate: float, *, kind: ArmKind = "tuned", half: float = 0.05) -> TradePoint:
    interval = Interval(low=max(0.0, rate - half), high=min(1.0, rate + half))
    return TradePoint(title, kind, rate, interval, x)


def drawn(points: list[TradePoint]) -> str:
    return trade_plot_svg(points, name="cost", x_label="US dollars", confidence=0.95)


CROWD = [point(f"Tuned file number {i}, constrained", 0.1 + 0.001 * i, 0.55 + 0.004 * i) for i in range(12)]
LINE = [point(f"Arm with a long name {i}", 10.0 ** (i % 4), 0.9) for i in range(12)]
CORNERS = [point(f"Arm {i}", 1e-6 if i % 2 else 1e4, float(i % 3 == 0)) for i in range(12)]


@pytest.mark.parametrize("points", [CROWD, LINE, CORNERS], ids=["crowd", "line", "corners"])
def test_no_label_covers_another_and_none_leaves_the_plot(points: list[TradePoint]) -> None:
    figure, boxes = trade_figure(points, x_label="US dollars", confidence=0.95)
    assert len(boxes) == len(points) == MOST_POINTS
    frame = figure.axes[0].bbox
    overlaps = [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    assert overlaps == []
    outside = [b for b in boxes if b.x0 < frame.x0 or b.x1 > frame.x1 or b.y0 < frame.y0 or b.y1 > frame.y1]
    assert outside == []


def test_the_front_holds_what_no_other_arm_beats_on_both_axes() -> None:
    cheap, middle, best = point("cheap", 1, 0.3), point("middle", 2, 0.5), point("best", 50, 0.9)
    beaten = [
        point("dearer and worse", 3, 0.4),
        point("as good and dearer", 60, 0.9),
        point("same x", 2, 0.2),
    ]
    assert pareto_front([*beaten, best, cheap, middle]) == [cheap, middle, best]


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1)), min_size=1, max_size=12))
@settings(deadline=None)
def test_every_arm_is_on_the_front_or_beaten_by_one_that_is(pairs: list[tuple[float, float]]) -> None:
    points = [point(f"arm {i}", x, rate) for i, (x, rate) in enumerate(pairs)]
    front = pareto_front(points)
    assert front
    for one in points:
        assert one in front or any(f.x <= one.x and f.rate >= one.rate for f in front)
    assert not any(a.x <= b.x and a.rate >= b.rate for a in front for b in front if a != b)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "takes 1 to 12 arms; got 0"),
        ([point("x", 1, 0.5)] * 13, "got 13"),
        ([point("Free arm", 0.0, 0.5), point("b", 1, 0.5)], "no place for Free arm"),
        ([point("Odd", float("nan"), 0.5)], "no place for Odd"),
    ],
)
def test_what_cannot_be_drawn_is_refused(points: list[TradePoint], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        drawn(points)


def test_the_svg_is_well_formed_follows_the_page_and_is_the_same_every_time() -> None:
    points = [point("<b> & $x$ 漢 \x00", 1.0, 0.5, kind=kind) for kind in KINDS]
    svg = drawn(points)
    ElementTree.fromstring(svg)
    assert svg == drawn(points)
    assert "prefers-color-scheme:dark" in svg
    colours = set(re.findall(r"#[0-9a-f]{6}", re.sub(r"<style>.*?</style>", "", svg)))
    assert colours <= {"#ffffff"}
    assert "⟨U+0000⟩" in svg


def test_the_order_of_the_arms_does_not_move_a_label() -> None:
    points = [point(f"arm {i}", 1 + i, 0.1 * i) for i in range(8)]
    shuffled = random.Random(1).sample(points, 8)
    boxes = [sorted(map(str, trade_figure(p, x_label="x", confidence=0.95)[1])) for p in (points, shuffled)]
    assert boxes[0] == boxes[1]


def test_every_kind_of_arm_has_its_ink_and_its_shape() -> None:
    assert len(KINDS) == 7
    for table in (KIND_INK, KIND_MARKER, KIND_TITLE):
        assert set(table) == set(KINDS)
        assert len(set(table.values())) == len(KINDS)
    arms = [arm_result(kind, kind, kind, 90) for kind in KINDS]
    svg = quality_plot_svg(arms, confidence=0.95)
    assert [kind for kind in KINDS if f"--plot-{KIND_INK[kind].name})" not in svg] == []


def test_the_quality_plot_draws_the_wider_interval() -> None:
    narrow = arm_result("a", "A", "tuned", 100)
    wide = narrow.model_copy(update={"cluster_interval": Interval(low=0.1, high=0.9), "clusters": 20})
    assert quality_plot_svg([narrow], confidence=0.95) != quality_plot_svg([wide], confidence=0.95)
    within = narrow.model_copy(update={"cluster_interval": Interval(low=0.49, high=0.51), "clusters": 20})
    assert quality_plot_svg([narrow], confidence=0.95) == quality_plot_svg([within], confidence=0.95)


def test_arms_without_a_cost_stand_in_the_caption_and_not_at_zero() -> None:
    data = full_report()
    cost, latency = trade_blocks(data)
    assert "Not drawn, no known cost above 0: " in cost.caption
    for title in ("Most frequent answer", "Small model at an API", "Tuned adapter"):
        assert title in cost.caption
        assert f">{title}<" not in cost.draw()
    assert ">Tuned Q8_0<" in cost.draw() and ">Frontier (recorded)<" in cost.draw()
    assert "Frontier (recorded)" in latency.caption
    assert ">Small model at an API<" in latency.draw()


def test_seeds_and_controls_are_not_in_the_trade_off() -> None:
    for plot in trade_blocks(full_report()):
        said = plot.caption + plot.draw()
        assert "Tuned, seed" not in said and "shuffled" not in said


def test_local_costs_are_those_at_the_planned_utilisation_and_times_those_of_the_interleaved_session() -> (
    None
):
    data = full_report()
    assert cost_of(data)["tuned-Q8_0"] == 0.0063
    assert "mistral" not in cost_of(data)
    assert time_of(data)["tuned-f16"] == 171.0, "not the 142 ms of the first table"
    assert time_of(data)["tuned-Q8_0"] == 142.0, "not the 388 ms of the load point"


def test_too_many_arms_leave_the_best_and_name_the_others() -> None:
    data = full_report()
    more = tuple(
        arm_result(f"e-{i}", f"Endpoint {i:02}", "endpoint", 10 + i, p50_ms=50.0 + i) for i in range(15)
    )
    data = data._replace(verdict=data.verdict.model_copy(update={"arms": (*data.verdict.arms, *more)}))
    _, latency = trade_blocks(data)
    assert "too many arms: " in latency.caption and "Endpoint 00" in latency.caption
    assert ">Tuned Q8_0<" in latency.draw()
