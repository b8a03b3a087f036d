"""Costs and times → the sections that set them against quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tuneproof.artifacts import ArmResult, BreakEven, CostLine, Costs, Interval, Timing
from tuneproof.plots_trade import MOST_POINTS, TradePoint, trade_plot_svg
from tuneproof.report_blocks import Block, Facts, Heading, Lines, Plot, ReportInput, Section, Text
from tuneproof.report_text import NOTHING, Table, count, dollars, milliseconds

_FRONT = (
    "Dashed: the best share to be had for this much or less. A thin line joins a label that had no room to "
    "its point."
)


def trade_blocks(data: ReportInput) -> tuple[Block, ...]:
    """The plots of quality against cost and against time; a sentence where there is nothing to draw."""
    costs, times = cost_of(data), time_of(data)
    share = f"{100 * data.case.task_file.costs.utilisation:g} %"
    cost: Block = Text("Quality against cost is not drawn: no arm has a known cost above 0.")
    if _drawn(data, costs):
        label = f"US dollars for 1,000 calls, own machine {share} used (log scale)"
        cost = _plot(data, costs, "cost", label, "Quality against cost", "no known cost above 0")
    time: Block = Text("Quality against latency is not drawn: no call was timed.")
    if _drawn(data, times):
        label = "median time of a call in milliseconds (log scale)"
        time = _plot(data, times, "latency", label, "Quality against latency", "no time of its own")
    return (cost, time)


def cost_of(data: ReportInput) -> dict[str, float]:
    """Arm → US dollars for 1,000 calls, local arms at the planned utilisation; unknown ones are missing."""
    lines = data.verdict.costs.lines if data.verdict.costs else ()
    return {line.arm: line.usd_per_1000 for line in lines if line.usd_per_1000 is not None}


def time_of(data: ReportInput) -> dict[str, float]:
    """Arm → median milliseconds of a call, one at a time; of the interleaved session where there is one."""
    times = {a.arm.name: a.p50_ms for a in data.verdict.arms if a.p50_ms is not None}
    return times | {t.arm: t.p50_ms for t in data.serving.timings if t.concurrency == 1}


def _drawn(data: ReportInput, xs: Mapping[str, float]) -> list[ArmResult]:
    """Arms in the plot: neither seeds nor controls, and only the best where there are too many."""
    arms = [
        a for a in data.verdict.arms if a.arm.kind not in {"seed", "control"} and xs.get(a.arm.name, 0) > 0
    ]
    best = sorted(arms, key=lambda a: (-a.rate, a.arm.name))[:MOST_POINTS]
    return [a for a in arms if a in best]


def _plot(data: ReportInput, xs: Mapping[str, float], name: str, label: str, title: str, why: str) -> Plot:
    drawn = _drawn(data, xs)
    points = [TradePoint(data.title(a.arm.name), a.arm.kind, a.rate, a.wider, xs[a.arm.name]) for a in drawn]
    shown = {a.arm.name for a in drawn}
    others = [
        a for a in data.verdict.arms if a.arm.kind not in {"seed", "control"} and a.arm.name not in shown
    ]
    missing = [data.title(a.arm.name) for a in others if not xs.get(a.arm.name, 0) > 0]
    crowd = [data.title(a.arm.name) for a in others if xs.get(a.arm.name, 0) > 0]
    caption = f"{title}. {_FRONT}"
    caption += f" Not drawn, {why}: {', '.join(missing)}." if missing else ""
    caption += f" Not drawn, too many arms: {', '.join(crowd)}." if crowd else ""
    confidence = data.confidence
    return Plot(
        lambda: trade_plot_svg(points, name=name, x_label=label, confidence=confidence), title, caption
    )


def cost_section(data: ReportInput) -> Section:
    """What calls cost, what the move costs once, and from how many calls on it pays."""
    costs = data.verdict.costs
    blocks: list[Block] = []
    if costs is None or not costs.lines:
        blocks.append(
            Text(
                "Costs were not computed. Write the price of the machine and of the hours into task.yaml "
                "under `costs:` and `serving.machine_usd_per_hour`, then `tuneproof judge`."
            )
        )
    else:
        blocks.append(_cost_table(data, costs))
    blocks += _price_blocks(data)
    blocks.append(Heading("Break-even"))
    blocks += _break_even(data, costs) if costs else [Text("Not computed: costs are not known.")]
    return Section("costs", "Costs", "What 1,000 calls cost", tuple(blocks))


def _cost_table(data: ReportInput, costs: Costs) -> Table:
    levels = sorted({at.utilisation for line in costs.lines for at in line.at})
    header = ("Arm", "USD / 1,000", "At best", *(f"At {100 * share:g} % use" for share in levels), "How")
    rows = tuple(_cost_cells(data, line, levels) for line in costs.lines)
    share = f"{100 * data.case.task_file.costs.utilisation:g} %"
    caption = (
        f"US dollars for 1,000 calls: an API at its list price, an own machine {share} used, as planned. At "
        "best: with a batch's discount and cacheable tokens read from a cache. An unknown price is never "
        "counted as 0."
    )
    return Table(caption, header, rows, frozenset(range(1, len(header) - 1)), name="Costs", look="wordy")


def _cost_cells(data: ReportInput, line: CostLine, levels: Sequence[float]) -> tuple[str, ...]:
    at = {each.utilisation: each.usd_per_1000 for each in line.at}
    return (
        data.title(line.arm),
        "unknown" if line.usd_per_1000 is None else dollars(line.usd_per_1000),
        dollars(line.best_usd_per_1000),
        *(dollars(at.get(share)) for share in levels),
        f"unknown: {line.unknown}" if line.unknown else line.basis,
    )


def _price_blocks(data: ReportInput) -> Iterator[Block]:
    """The list prices of the models behind APIs, and what is missing."""
    used = data.comparison.prices
    if used:
        header = ("Arm", "Model", "Prompt", "Cached", "Reply", "Source")
        rows = tuple(
            (
                data.title(arm),
                each.model,
                dollars(each.price.input_mtok),
                dollars(each.price.cache_read_mtok),
                dollars(each.price.output_mtok),
                each.source,
            )
            for arm, each in sorted(used.items())
        )
        caption = "List prices on the day of the comparison, US dollars for a million tokens."
        yield Table(caption, header, rows, frozenset({2, 3, 4}), name="Prices", look="wordy")
    unknown = data.comparison.price_unknown
    if unknown:
        yield Lines(
            tuple(f"Price of {data.title(arm)}: unknown, {why}." for arm, why in sorted(unknown.items()))
        )


def _break_even(data: ReportInput, costs: Costs) -> list[Block]:
    missing: list[Block] = (
        [Lines(tuple(f"Missing: {each}" for each in costs.unknown))] if costs.unknown else []
    )
    even = costs.break_even
    if even is None:
        return [Text("Not computed: an input is unknown."), *missing]
    return [Facts(tuple(_even_facts(data, even))), _one_off_table(even), _sensitivity_table(even), *missing]


def _even_facts(data: ReportInput, even: BreakEven) -> Iterator[tuple[str, str]]:
    yield "Cheaper from", _calls(even.calls_per_month)
    planned = data.case.task_file.pressures.calls_per_month
    if planned is not None:
        yield "Calls a month in task.yaml", count(planned)
    yield "Against", data.title(even.against)
    yield "USD for 1,000 of its calls", dollars(1000 * even.api_usd_per_call)
    yield "USD for 1,000 own calls", dollars(1000 * even.own_usd_per_call)
    yield "Once", f"{dollars(even.one_off_usd)} USD, spread over {even.months:g} months"
    yield "Each month beside the calls", f"{dollars(even.fixed_usd_per_month)} USD"
    if even.machine_usd_per_month is not None:
        month = f"{dollars(even.machine_usd_per_month)} USD a month"
        most = f", up to {_calls(even.machine_calls_per_month)}" if even.machine_calls_per_month else ""
        paid = "shared: a call pays for its part" if even.shared else "kept for this task alone, busy or idle"
        yield "The machine", f"{month}{most}; {paid}"


def _calls(calls: float | None) -> str:
    if calls is None:
        return "never: the own model costs as much or more at any volume"
    return f"{count(calls)} calls a month"


def _one_off_table(even: BreakEven) -> Table:
    rows = tuple(
        (part.name, "unknown" if part.usd is None else dollars(part.usd), part.basis) for part in even.one_off
    )
    return Table(
        "What the move costs once.", ("Part", "USD", "How"), rows, frozenset({1}), name="One-off costs"
    )


def _sensitivity_table(even: BreakEven) -> Table:
    rows = tuple(
        (each.what, "never" if each.calls_per_month is None else count(each.calls_per_month))
        for each in even.sensitivity
    )
    caption = "The break-even if one input were another."
    return Table(caption, ("If", "Calls a month"), rows, frozenset({1}), name="Sensitivity")


def latency_section(data: ReportInput) -> Section:
    """Times of calls: one at a time, at the load point, and the cold start."""
    timings = (*data.serving.timings, *data.verdict.api_timings)
    single = [t for t in timings if t.concurrency == 1]
    loaded = [t for t in timings if t.concurrency > 1]
    blocks: list[Block] = [
        _timing_table(data, single)
        if single
        else Text(
            "Calls were timed only as a whole, in the first table: the time to the first text was not "
            "measured. `tuneproof serve --again` measures it."
        )
    ]
    if loaded:
        blocks += [Heading("At the load point"), _load_table(data, loaded)]
    blocks.append(Facts(tuple(_latency_facts(data))))
    return Section("latency", "Latency", "How long a call takes", tuple(blocks))


def _timing_table(data: ReportInput, timings: Sequence[Timing]) -> Table:
    header = (
        *("Arm", "Calls", "First text p50", "First text p95", "Each token p50", "Whole call p50"),
        *("Whole call p95", "Output tokens", "Interleaved"),
    )
    rows = tuple(
        (
            data.title(t.arm),
            str(t.n),
            milliseconds(t.first_p50_ms),
            milliseconds(t.first_p95_ms),
            milliseconds(t.per_token_p50_ms),
            timed(t.p50_ms, t.p50_interval),
            timed(t.p95_ms, t.p95_interval),
            NOTHING if t.output_tokens_mean is None else f"{t.output_tokens_mean:.1f}",
            "yes" if t.interleaved else "no",
        )
        for t in timings
    )
    caption = (
        "At the client, one call at a time, after a warm-up. First text: TTFT. Each token: TPOT, (whole − "
        "first) / (output tokens − 1). In brackets: order-statistic intervals. p95 needs 59 calls, its "
        "interval 72. Interleaved: asked item by item in random order with the other arms, so that all saw "
        "the same machine."
    )
    return Table(caption, header, rows, frozenset(range(1, 8)), name="Latency")


def timed(value: float | None, interval: Interval | None) -> str:
    """Write a time with its interval."""
    if value is None or interval is None:
        return milliseconds(value)
    low, high = (milliseconds(end).removesuffix(" ms") for end in (interval.low, interval.high))
    return f"{milliseconds(value)} ({low}–{high})"


def _load_table(data: ReportInput, timings: Sequence[Timing]) -> Table:
    header = (
        "Arm",
        "Calls at once",
        "Calls",
        "Whole call p50",
        "Whole call p95",
        "Calls a second",
        "Wall time",
    )
    rows = tuple(
        (
            data.title(t.arm),
            str(t.concurrency),
            str(t.n),
            timed(t.p50_ms, t.p50_interval),
            timed(t.p95_ms, t.p95_interval),
            NOTHING if t.calls_per_s is None else f"{t.calls_per_s:.2f}",
            NOTHING if t.wall_s is None else f"{t.wall_s:.1f} s",
        )
        for t in timings
    )
    caption = "The same items with several calls at once."
    return Table(caption, header, rows, frozenset(range(1, len(header))), name="Latency at the load point")


def _latency_facts(data: ReportInput) -> Iterator[tuple[str, str]]:
    serving = data.serving
    yield "Cold start", f"{milliseconds(serving.cold_start_ms)}: loading the served file and its first token"
    cold = [t for t in serving.timings if t.cold_start_ms is not None]
    for timing in cold:
        yield f"Cold start of {data.title(timing.arm)}", milliseconds(timing.cold_start_ms)
    if serving.repeated:
        stable = serving.repeated == serving.repeated_equal
        yield (
            "The same question again",
            f"{serving.repeated_equal} of {serving.repeated} replies equal: greedy decoding is "
            f"{'stable' if stable else 'NOT stable'} here",
        )  # fmt: skip
    yield "Machine", serving.machine
