"""The run behind the numbers → the sections on files, training, data, settings and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneproof.artifacts import ArmResult, Ladder, Parity, Split, SplitRow
from tuneproof.plots import loss_curve_svg
from tuneproof.report_blocks import Block, Facts, Heading, Lines, Plot, ReportInput, Section, Text
from tuneproof.report_compare import contrast_table, files_table, how
from tuneproof.report_metric import scoring_facts
from tuneproof.report_text import NOTHING, Table, count, duration, level, marked_title, megabytes
from tuneproof.review_words import review_facts

TWIN_CHARACTERS = 240
"""Shown of each twin."""


def stage_section(data: ReportInput) -> Section:
    """Where quality is lost between the adapter and the smallest file."""
    steps = data.verdict.quant_steps
    margin = data.case.task_file.gate.quant_margin_points
    caption = (
        "Each file against the one that it was made from. p: that the later file is better. "
        f"The plan accepts a loss of up to {margin:g} points: compare it with the lower end of the interval. "
    )
    parity = (
        _parity_line(data.serving.runtime, data.serving.parity),
        _parity_line("Comparison step", data.comparison.parity),
    )
    blocks: list[Block] = [contrast_table(data, steps, caption + how(steps), "Quality by stage")]
    if data.verdict.files:
        blocks += [Heading("Smaller files against f16"), files_table(data)]
    blocks += [Heading("What each file holds"), _gguf_table(data.ladder)]
    blocks += [Heading("Prompt parity"), Lines(parity)]
    return Section("stages", "Quality by stage", "Where quality is lost", tuple(blocks))


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
    return Table(
        caption,
        ("Asked for", "File", "Size", "Holds", "Fell back"),
        rows,
        frozenset({2, 4}),
        name="What each file holds",
    )


def _parity_line(name: str, parity: Parity) -> str:
    same = f"text equal in {parity.text_equal}, tokens equal in {parity.tokens_equal}"
    bos = "one BOS token in each" if parity.one_bos else "NOT one BOS token in each"
    return f"{name}: of {parity.prompts} prompts, {same}; {bos}."


def training_section(data: ReportInput) -> Section:
    """How the adapter was trained."""
    curves: Block = Text("No curve was logged.")
    if data.curves:
        caption = (
            "Dashed lines: ends of epochs. A falling loss says that training ran; only the table above says "
            "what it is worth."
        )
        curves = Plot(lambda: loss_curve_svg(data.curves), "Loss curve", caption)
    return Section("training", "Training", "Training", (curves, Facts(tuple(_training_facts(data)))))


def _training_facts(data: ReportInput) -> Iterator[tuple[str, object]]:
    a = data.adapter
    dev = "not measured on dev" if a.final_dev_loss is None else f"{a.final_dev_loss:.3f} on dev"
    yield "Pairs used", f"{count(a.train_rows)} of {count(a.train_rows_available)}"
    yield "Epochs and steps", f"{a.epochs} epochs, {count(a.steps)} steps"
    yield "Tokens", f"{count(a.tokens)} seen, {count(a.answer_tokens)} of them carried loss"
    yield "Longest pair", f"{count(a.longest_row_tokens)} tokens"
    yield "Loss at the end", f"{a.final_loss:.3f} nats per answer token on train, {dev}"
    yield "Time", duration(a.seconds)
    yield "Device", a.device


def data_section(data: ReportInput) -> Section:
    """Where the pairs come from, how they were divided, and what was checked across the parts."""
    made, split = data.provenance, data.split
    unseen = split.leaks.unseen_outputs
    blocks: list[Block] = [
        Text(data.case.paragraph),
        Text(
            f"Labels: {data.statement}. Source: {made.source} {made.source_version}, {made.kind}. Licence: "
            f"{made.licence}. Attribution: {made.attribution}",
            links=True,
        ),
        *([Facts(facts)] if (facts := review_facts(made, data.review)) else []),
        _parts_table(split),
        _leak_table(split),
        *([_twin_table(split)] if split.leaks.nearest else []),
        Heading("Outputs not seen in training"),
        Text(
            f"{unseen} test {'item has' if unseen == 1 else 'items have'} an expected output that never "
            "occurs in train."
        ),
        _unseen_table(data.verdict.arms),
    ]
    return Section("data", "Data", "Data", tuple(blocks))


def _parts_table(split: Split) -> Table:
    parts: tuple[tuple[str, Sequence[SplitRow]], ...]
    parts = (("train", split.train.pairs), ("dev", split.dev.pairs), ("test", split.test.items))
    rows = tuple((name, count(len(part)), count(len({r.group for r in part}))) for name, part in parts)
    caption = f"Whole groups move together. Split version {split.lock.version}, {split.lock.method}."
    return Table(caption, ("Part", "Rows", "Groups"), rows, frozenset({1, 2}), name="Parts of the split")


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
    return Table(caption, ("Leak check", "Found", "Must be"), rows, frozenset({1, 2}), name="Leak checks")


def _twin_table(split: Split) -> Table:
    parts = (*split.train.pairs, *split.dev.pairs, *split.test.items)
    limit = TWIN_CHARACTERS
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
    header = ("Similarity", "Test input", "Train or dev input")
    return Table(caption, header, rows, name="Nearest twins", look="twins")


def _unseen_table(arms: Sequence[ArmResult]) -> Table:
    rows = tuple(
        (
            marked_title(a.arm),
            f"{a.correct - a.unseen_correct}/{a.n - a.unseen_n}",
            f"{a.unseen_correct}/{a.unseen_n}",
        )
        for a in arms
    )
    caption = (
        "Test items whose expected output never occurs in train, reported apart; both kinds count above."
    )
    header = ("Arm", "Right, output in train", "Right, output not in train")
    return Table(caption, header, rows, frozenset({1, 2}), name="Outputs not seen in training")


def settings_section(data: ReportInput) -> Section:
    """Settings of the training, and thresholds."""
    rows = tuple(
        (s.name, NOTHING if s.value is None else str(s.value), s.origin) for s in data.adapter.settings
    )
    caption = "Training settings as resolved, and where each value came from."
    blocks = (
        Table(caption, ("Setting", "Value", "Origin"), rows, name="Training settings"),
        Heading("Thresholds, fixed before the first score"),
        Facts(tuple(_threshold_facts(data))),
    )
    return Section("settings", "Settings", "Settings", blocks)


def _threshold_facts(data: ReportInput) -> Iterator[tuple[str, object]]:
    gate = data.case.task_file.gate
    yield "Metric", data.case.task_file.task.metric
    yield "One-sided level of the gate", gate.alpha
    yield "Confidence of intervals", level(gate.confidence)
    yield "Margin to the frontier", f"{gate.frontier_margin_points:g} points"
    yield "Margin of a quantized file", f"{gate.quant_margin_points:g} points"
    yield "Most points that a lower cost can pay for", f"{gate.most_points_for_cost:g} points"
    yield "Digest", data.verdict.thresholds_digest
    yield from scoring_facts(data.case.task_file)


def provenance_section(data: ReportInput) -> Section:
    """What everything was made of, by hash."""
    files = (*data.adapter.files, *(rung.file for rung in data.ladder.files))
    blocks = (
        Facts(tuple(_provenance_facts(data))),
        Heading("Versions"),
        Facts(tuple(sorted(data.adapter.versions.items()))),
        Heading("Files"),
        Facts(tuple((file.name, f"{megabytes(file.bytes)}, SHA-256 {file.sha256}") for file in files)),
    )
    return Section("provenance", "Provenance", "Provenance", blocks)


def _provenance_facts(data: ReportInput) -> Iterator[tuple[str, object]]:
    base, ladder = data.adapter.base, data.ladder
    yield "Base", f"{base.name}, {count(base.parameters)} parameters, {base.licence}"
    yield "Base source", base.source
    yield "Base source, SHA-256", base.source_sha256
    yield "Base weights, SHA-256", f"{base.weights_sha256} ({base.weights_note})"
    yield "Base on the Hub", base.hub_id
    merged, targets = ladder.merged_changed_modules, ladder.target_modules
    yield "Merge", f"weights changed in {merged} of {targets} target modules"
    yield "Converter", ladder.converter
    yield "Quantizer", ladder.quantizer
    yield "Runtime", data.serving.runtime
    yield "Served file", data.serving.model_file
    yield "Machine, comparison", data.comparison.machine
    yield "Machine, serving", data.serving.machine
    yield "Plan digest", data.verdict.plan_digest
    yield "Test digest", data.split.lock.test.sha256
    yield "Train digest", data.adapter.train_digest
    yield "Rounds of test access", data.verdict.test_accesses
    yield "Verdict made", data.verdict.made_at or None
    yield "tuneproof", data.tuneproof_version


def missing_section(data: ReportInput) -> Section:
    """What was not measured, and why."""
    return Section("missing", "Not measured", "What was not measured", (Lines(tuple(_missing(data))),))


def _missing(data: ReportInput) -> Iterator[str]:
    verdict = data.verdict
    for arm, why in verdict.not_measured.items():
        yield f"{arm}: {why}."
    no_p95 = ", ".join(a.arm.title for a in verdict.arms if a.p95_ms is None)
    if no_p95:
        yield f"p95 latency of {no_p95}: fewer than 59 timed calls, or calls were batched."
    no_price = ", ".join(a.arm.title for a in verdict.arms if a.usd_per_1000 is None)
    if no_price:
        yield f"Cost of {no_price}: the price is unknown, or calls were batched."
    excluded = data.comparison.excluded
    if excluded:
        items = "1 item" if len(excluded) == 1 else f"{len(excluded)} items"
        yield f"{items} without a reply of some API, left out of every arm: {', '.join(excluded)}."
    if verdict.seeds is None:
        yield "Training noise: this is one training run; another seed may score differently."
