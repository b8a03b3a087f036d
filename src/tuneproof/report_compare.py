"""Contrasts of the verdict → the sections that set one arm against another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneproof.artifacts import Contrast, Control, Equality, FileStep, Gate, PromptTrial, SeedSpread
from tuneproof.report_blocks import Block, Facts, Heading, Lines, ReportInput, Section, Text
from tuneproof.report_text import NOTHING, Table, level, p_value, percent, points, rated, signed, span

_LENGTHS = (0.9, 1.1)
"""Length ratios outside which a file talks more or less than f16."""
_TESTS = {"mid-p McNemar": "mid-p McNemar test", "sign flips of groups": "sign flips of whole groups"}


def contrast_table(data: ReportInput, contrasts: Sequence[Contrast], caption: str, name: str) -> Table:
    """Lay out contrasts; columns that none of them fills are left out."""
    holm = any(c.p_holm is not None for c in contrasts)
    values = any(c.value_difference is not None for c in contrasts)
    within = level(data.confidence)
    header = (
        *("Arm", "Against", "n", "Wins", "Losses", f"Difference, points ({within})", "p"),
        *(["p, Holm"] if holm else []),
        *([f"Mean value ({within})", "p, values"] if values else []),
    )
    rows = tuple(_cells(data, c, holm=holm, values=values) for c in contrasts)
    return Table(caption, header, rows, frozenset(range(2, len(header))), name=name)


def _cells(data: ReportInput, c: Contrast, *, holm: bool, values: bool) -> tuple[str, ...]:
    return (
        data.title(c.arm),
        data.title(c.against),
        str(c.n),
        str(c.wins),
        str(c.losses),
        f"{signed(c.difference)} ({span(c.wider)})",
        p_value(c.p_one_sided),
        *([NOTHING if c.p_holm is None else p_value(c.p_holm)] if holm else []),
        *(_value_cells(c) if values else []),
    )


def _value_cells(c: Contrast) -> tuple[str, str]:
    if c.value_difference is None:
        return NOTHING, NOTHING
    interval = c.value_interval
    within = f" ({interval.low:+.3f} to {interval.high:+.3f})" if interval else ""
    p = NOTHING if c.value_p is None else p_value(c.value_p)
    return f"{c.value_difference:+.3f}{within}".replace("-", "−"), p


def how(contrasts: Sequence[Contrast]) -> str:
    """Say which interval and which test these contrasts have."""
    tests = dict.fromkeys(_TESTS.get(c.test, c.test) for c in contrasts)
    wide = any(c.cluster_interval for c in contrasts)
    interval = "the wider of Tango's score interval and the bootstrap over groups" if wide else "Tango score"
    values = any(c.value_difference is not None for c in contrasts)
    tail = " Mean value: BCa bootstrap, paired; its p from sign flips." if values else ""
    return (
        f"Interval of the difference: {interval}. p: one-sided, that the first arm is better, by "
        f"{' or '.join(tests) or _TESTS['mid-p McNemar']}.{tail}"
    )


def gate_section(data: ReportInput) -> Section:
    """Each file against its best base."""
    gates = data.verdict.gates
    caption = "Wins: items that the file has right and its best base wrong. "
    table = contrast_table(
        data, [g.contrast for g in gates], caption + how([g.contrast for g in gates]), "Gate"
    )
    pairs = zip(gates, table.rows, strict=True)
    rows = tuple((gate.file, *cells[1:], gate.outcome) for gate, cells in pairs)
    table = table._replace(header=("File", *table.header[1:], "Gate"), rows=rows)
    lines = tuple(line for gate in gates for line in _gate_lines(gate))
    blocks: tuple[Block, ...] = (table, Lines(lines)) if lines else (table,)
    return Section("gate", "Gate", "The gate: each file against its best base", blocks)


def _gate_lines(gate: Gate) -> Iterator[str]:
    if gate.outcome != "PASS":
        needed = gate.items_needed
        more = "" if needed is None else f" The seen difference would pass with about {needed:,} items."
        yield f"{gate.file}: {gate.reason.rstrip('.')}.{more}"
    for loss in gate.class_losses:
        yield (
            f"{gate.file} on {loss.label} ({loss.n} items): base {loss.base_right} right, file "
            f"{loss.tuned_right} right."
        )


def frontier_section(data: ReportInput) -> Section:
    """The served file against the frontier and against every other endpoint."""
    verdict = data.verdict
    blocks: list[Block] = []
    if verdict.frontier is None:
        why = verdict.not_measured.get("frontier", "")
        blocks.append(
            Text(
                f"The frontier was not measured{f' ({why})' if why else ''}. Name it in task.yaml under "
                "`comparison.frontier`, or bring replies that were made elsewhere: "
                "`tuneproof compare --import FILE --arm frontier`."
            )
        )
    else:
        caption = "The served file against the frontier, on the same items. " + how([verdict.frontier])
        blocks.append(contrast_table(data, [verdict.frontier], caption, "Against the frontier"))
    if verdict.frontier_equality:
        blocks.append(Facts(tuple(_claims(verdict.frontier_equality))))
    if verdict.endpoints:
        caption = "The served file against every other endpoint. " + how(verdict.endpoints)
        blocks += [Heading("Other endpoints"), contrast_table(data, verdict.endpoints, caption, "Endpoints")]
    return Section("frontier", "Frontier", "Against the frontier", tuple(blocks))


def _claims(e: Equality) -> Iterator[tuple[str, str]]:
    yield "Better", "shown, by the test of the gate" if e.better else "not shown"
    yield (
        "Equal enough",
        f"{'shown' if e.shown else 'not shown'}: the one-sided 95 % lower bound is {signed(e.low)} points, "
        f"the margin {points(e.margin)}, fixed before the first score",
    )
    yield "Worse", "shown, by the test of the gate" if e.worse else "not shown"
    if not e.shown:
        needed = e.items_needed
        yield (
            "Items needed",
            "not known" if needed is None else f"about {needed:,}, to show a true difference of 0 as equal "
            "enough with 80 % power at this share of flips",
        )  # fmt: skip


def rival_section(data: ReportInput) -> Section:
    """The served file against cheap rivals."""
    rivals = data.verdict.rivals
    caption = "The served file against cheap rivals and a rule, if there is one, on the same items. "
    if any(c.p_holm is not None for c in rivals):
        caption += "p, Holm: corrected for looking at all of them. "
    block: Block = Text("No cheap rival was measured.")
    if rivals:
        block = contrast_table(data, rivals, caption + how(rivals), "Cheap rivals")
    return Section("rivals", "Cheap rivals", "Against cheap rivals", (block,))


def files_table(data: ReportInput) -> Table:
    """What each smaller file loses against f16."""
    header = (
        *("File", "Won / lost", f"Difference, points ({level(data.confidence)})"),
        *(
            "Flips",
            "Claim",
            "Could hide, points",
            "Same text",
            "Length ratio",
            "Parse failures",
            "In sequence",
        ),
    )
    steps = data.verdict.files
    odd = [
        i for i, s in enumerate(steps) if s.length_ratio and not _LENGTHS[0] <= s.length_ratio <= _LENGTHS[1]
    ]
    margin = steps[0].equality.margin if steps else 0.0
    caption = (
        "Each smaller file against the f16 one. Flips: items on which one is right and the other wrong. No "
        f"loss worth noting: a loss of {points(margin)} or more is excluded (one-sided 95 %). Could hide: "
        "the largest loss that is not excluded. Files are tested from the largest down, and the first "
        "failure ends the sequence; a claim after it does not count. Length ratio: output tokens against "
        "f16's, in bold outside 0.9 to 1.1."
    )
    numeric = frozenset({1, 2, 3, 5, 6, 7, 8})
    marked = frozenset((row, header.index("Length ratio")) for row in odd)
    return Table(
        caption, header, tuple(map(_file_cells, steps)), numeric, marked_cells=marked, name="Smaller files"
    )


def _file_cells(step: FileStep) -> tuple[str, ...]:
    more = step.parse_failures_more
    return (
        step.quant,
        f"{step.contrast.wins} / {step.contrast.losses}",
        f"{signed(step.contrast.difference)} ({span(step.contrast.wider)})",
        rated(step.flips, step.flips_interval),
        step.claim,
        f"{100 * step.could_hide:.1f}",
        percent(step.same_text),
        NOTHING if step.length_ratio is None else f"{step.length_ratio:.2f}",
        "same" if not more else f"{more:+d}".replace("-", "−"),
        "yes" if step.in_sequence else "no",
    )


def prompt_section(data: ReportInput) -> Section:
    """Every prompt that was tried on dev, and what the form alone is worth."""
    comparison = data.comparison
    blocks: list[Block] = []
    if comparison.trials:
        blocks += [Text(_sentence(comparison.budget)), _trials_table(data), Lines(tuple(_spreads(data)))]
    else:
        blocks.append(Text("No prompt was tried on dev."))
    blocks.append(Heading("What the form alone is worth"))
    if comparison.constraint:
        blocks.append(Text(_sentence(comparison.constraint)))
    gain = data.verdict.format_gain
    if gain is None:
        blocks.append(
            Text("Not measured: no base arm was asked both free and held to the form of an answer.")
        )
    else:
        caption = "The best base, its replies held to the form of an answer, against the same base free. "
        blocks.append(contrast_table(data, [gain], caption + how([gain]), "Gain of the form"))
    return Section("prompts", "Prompts", "Prompts, chosen on dev", tuple(blocks))


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else text + "."


def _trials_table(data: ReportInput) -> Table:
    graded = any(t.mean_value is not None for t in data.comparison.trials)
    header = ("Model", "Prompt", "Examples", "Right on dev", *(["Mean value"] if graded else []))
    header = (*header, "Parse failures", "Held to the form", "Chosen", "Style")
    rows = tuple(_trial_cells(data, trial, graded) for trial in data.comparison.trials)
    numeric = frozenset(range(2, 6 if graded else 5))
    chosen = frozenset(i for i, row in enumerate(rows) if row[-2] == "yes")
    return Table(
        "Every prompt on the same dev pairs; the test set has no part in the choice. In bold: chosen.",
        header, rows, numeric, chosen, name="Prompts", look="wordy",
    )  # fmt: skip


def _trial_cells(data: ReportInput, t: PromptTrial, graded: bool) -> tuple[str, ...]:
    missing = "not tried: does not fit the context beside the longest input"
    mean = NOTHING if t.mean_value is None else f"{t.mean_value:.3f}"
    return (
        data.title(t.arm),
        t.prompt,
        str(t.shots),
        f"{t.correct}/{t.n}" if t.fits else NOTHING,
        *([mean] if graded else []),
        str(t.parse_failures) if t.fits else NOTHING,
        "yes" if t.constrained else "no",
        "yes" if data.comparison.chosen.get(t.arm) == t.prompt else "no",
        t.style if t.fits else missing,
    )


def _spreads(data: ReportInput) -> Iterator[str]:
    """How much the prompt alone decides, for each model."""
    for arm in dict.fromkeys(t.arm for t in data.comparison.trials):
        rates = [t.correct / t.n for t in data.comparison.trials if t.arm == arm and t.fits and t.n]
        if len(rates) > 1:
            yield (
                f"{data.title(arm)}, {len(rates)} prompts: from {percent(min(rates))} to "
                f"{percent(max(rates))} right on dev, a spread of {points(max(rates) - min(rates))}."
            )


def chance_section(data: ReportInput) -> Section:
    """Other seeds, and tunes that must not work."""
    verdict = data.verdict
    blocks: list[Block] = [Heading("Seeds")]
    if verdict.seeds is None:
        blocks.append(
            Text(
                "One seed was trained, so the noise of training is not measured: another seed may score "
                "differently. `tuneproof tune --seeds 3` measures it."
            )
        )
    else:
        blocks += [_seed_table(data, verdict.seeds), Facts(tuple(_seed_facts(verdict.seeds)))]
    blocks.append(Heading("Null controls"))
    if not verdict.controls:
        blocks.append(
            Text(
                "No control was trained. `tuneproof tune --control shuffled-labels` trains on labels that "
                "are dealt out anew; if such a tune passes the gate, something leaks."
            )
        )
    else:
        blocks.append(_control_table(data))
    return Section("chance", "Seeds and controls", "Seeds and null controls", tuple(blocks))


def _seed_table(data: ReportInput, seeds: SeedSpread) -> Table:
    pairs = zip(seeds.arms, seeds.rates, strict=True)
    rows = tuple((data.title(arm), percent(rate)) for arm, rate in pairs)
    caption = "The same training with other seeds. The gate uses the first one, which the plan names."
    return Table(caption, ("Arm", "Right"), rows, frozenset({1}), name="Seeds")


def _seed_facts(seeds: SeedSpread) -> Iterator[tuple[str, str]]:
    yield "Mean and range", f"{percent(seeds.mean)} ({100 * seeds.low:.1f}–{100 * seeds.high:.1f})"
    yield "Mean gain over the best base", f"{signed(seeds.gain)} points"
    yield (
        "Range wider than the gain",
        "yes: the seed decides as much as the tune" if seeds.exceeds_gain else "no",
    )


def _as_expected(control: Control) -> str:
    """Not the outcome alone: here, FAIL is what a reader wants to see."""
    return "PASS: it must not" if control.outcome == "PASS" else f"{control.outcome}, as it must be"


def _control_table(data: ReportInput) -> Table:
    controls = data.verdict.controls
    contrasts = [c.contrast for c in controls]
    caption = "Tunes that must not work, each against the best base. Anything but PASS is as it must be. "
    table = contrast_table(data, contrasts, caption + how(contrasts), "Null controls")
    pairs = zip(controls, table.rows, strict=True)
    rows = tuple((control.name, *row[1:], _as_expected(control)) for control, row in pairs)
    return table._replace(header=("Control", *table.header[1:], "Gate"), rows=rows)
