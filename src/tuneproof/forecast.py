"""The project as it stands → what `tuneproof run` would do, how long it takes, and what it costs.

The steps before training are cheap and pure, so they are made in memory: whatever is wrong with the pairs is
said here, before an hour is spent. Times are scaled from speeds that were measured: on this machine if a
project was finished here, else those of the demo in docs/evidence, with the machine's name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tuneproof.artifacts import Adapter, Case, Comparison, Serving, Split, TaskFile
from tuneproof.artifacts.case import TuningSection
from tuneproof.artifacts.curves import curves_from_csv
from tuneproof.errors import NotReady
from tuneproof.making import Bench, Outside, frozen_lock
from tuneproof.outside import machine
from tuneproof.outside.files import atomic_write
from tuneproof.paid_calls import CHARS_A_TOKEN, Paid, paid_calls, search_calls
from tuneproof.reply_shelf import replies_of
from tuneproof.review_desk import decided
from tuneproof.shelves import kept_locks, kept_test_rows, take, take_case, take_drafts, take_split
from tuneproof.statistics import minimum_detectable_gain
from tuneproof.steps import STEPS, step_of
from tuneproof.steps.draft import draft
from tuneproof.steps.freeze import freeze
from tuneproof.steps.init import init
from tuneproof.steps.review import review
from tuneproof.steps.serve import TIMED
from tuneproof.workspace import Workspace

SPEEDS = "speeds.json"
FRESH = "nothing: it is fresh"


class Speeds(NamedTuple):
    """What was measured once, for one base on one machine."""

    where: str
    tokens_per_s: float
    """Training, without padding."""
    base_s: float
    """A call of the base, mean over its arms."""
    tuned_s: float
    """A call of a tuned GGUF file, mean over the ladder."""
    quantize_s: float
    """Merging, converting and quantizing, all files."""


REFERENCE = Speeds(
    "the demo in docs/evidence: SmolLM2-135M-Instruct on AMD EPYC with 2 cores", 244.4, 0.604, 0.159, 16.4
)
"""For the default base on a machine on which no project was finished yet.

The first three can be computed from the kept records (`tests/test_docs.py` does); the time to quantize was
read from that run's output, 16.4 s, and is not kept.
"""
NOT_KNOWN = "no project with this base was finished on this machine yet"


class Forecast(NamedTuple):
    """One step of the plan."""

    verb: str
    state: str
    work: str
    seconds: float | None
    """None: nothing to wait for, or not known."""


class Plan(NamedTuple):
    """What a run would do."""

    steps: tuple[Forecast, ...]
    basis: str
    """Where the times come from."""
    seconds: float | None
    """None: no speed of this base is known."""
    usd: float | None
    """At the price of the machine in task.yaml; None where there is none."""
    paid: tuple[Paid, ...] = ()
    """Calls of the endpoints that task.yaml names."""
    detects: str = ""
    """What a test of this size can show."""


def forecast(workspace: Workspace, outside: Outside, bench: Bench, *, until: str) -> Plan:
    """Make the plan; changes nothing.

    Raises:
        TuneproofError: task.yaml, the pairs or their number stand against a run; nothing was spent.
    """
    task_file = workspace.task_file()
    last = step_of(until).number
    speeds = _known(outside.cache, task_file.tuning.base)
    known: dict[str, tuple[str, float | None]] = {}
    paid: tuple[Paid, ...] = ()
    detects = ""
    if workspace.made("freeze"):
        take_split(workspace)  # an edited split stops every command
    if last >= step_of("freeze").number:
        found = _in_memory(workspace, outside, bench)
        if isinstance(found, str):
            return _until_then(workspace, task_file, last, found)
        case, split = found
        if last >= step_of("tune").number:
            bench.check_own_code(split)
        known = _work(case, split, speeds)
        if last >= step_of("compare").number and workspace.state("compare").state != "fresh":
            paid = paid_calls(case, split, outside.price_of, workspace.recorded())
        detects = detectable(case, split)
    steps = []
    for step in STEPS[:last]:
        state = workspace.state(step.verb).state
        work, took = known.get(step.verb, (step.sentence, None))
        fresh = state == "fresh"
        steps.append(Forecast(step.verb, state, FRESH if fresh else work, None if fresh else took))
    price = task_file.serving.machine_usd_per_hour
    if speeds is None:
        return Plan(tuple(steps), NOT_KNOWN, None, None, paid, detects)
    total = sum(step.seconds or 0.0 for step in steps)
    usd = total / 3600 * price if price else None
    return Plan(tuple(steps), speeds.where, total, usd, paid, detects)


def detectable(case: Case, split: Split) -> str:
    """Say which gain a test of this size finds, before anything is trained."""
    n, section = len(split.test.items), case.task_file.gate
    gain = 100 * minimum_detectable_gain(n, alpha=section.alpha)
    return (
        f"{n} test items find a true gain of {gain:.1f} points over the base four times in five, if the tune "
        "breaks 5 % of the items"
    )


def _until_then(workspace: Workspace, task_file: TaskFile, last: int, why: str) -> Plan:
    """Return what can be said before a person has decided on the pairs."""
    drafting, states = task_file.drafting, {step.verb: workspace.state(step.verb).state for step in STEPS}
    work = {step.verb: "known once the pairs are reviewed" for step in STEPS}
    work |= {"init": step_of("init").sentence, "review": "a person decides on every pair: tuneproof review"}
    work["draft"] = step_of("draft").sentence
    paid: tuple[Paid, ...] = ()
    if drafting.teacher is not None and states["draft"] != "fresh":
        cap = "no cap is set" if drafting.cap_usd is None else f"at most {drafting.cap_usd:.2f} USD"
        work["draft"] = f"up to {drafting.count:,} outputs of {drafting.teacher.model}, {cap}"
        paid = (Paid("teacher", drafting.teacher.model, drafting.count, None, f"{cap} (drafting.cap_usd)"),)
    steps = (
        Forecast(s.verb, states[s.verb], FRESH if states[s.verb] == "fresh" else work[s.verb], None)
        for s in STEPS[:last]
    )
    return Plan(tuple(steps), why, None, None, paid)


def _in_memory(workspace: Workspace, outside: Outside, bench: Bench) -> tuple[Case, Split] | str:
    """Return case and split as a run would make them, written nowhere; or what a person must do first."""
    fresh = {step.verb for step in STEPS if workspace.state(step.verb).state == "fresh"}
    case = take_case(workspace) if "init" in fresh else init(workspace.task_file())
    if "freeze" in fresh:
        return case, take_split(workspace)
    if case.task_file.drafting.teacher is not None and "draft" not in fresh:
        return "the outputs are drafted and reviewed first"
    drafts = (
        take_drafts(workspace)
        if "draft" in fresh
        else draft(case, outside.sources, bench.pairs, bench.problem_of)
    )
    before = frozen_lock(workspace, outside, case.task_file)
    leave_out = case.task_file.review.unreviewed == "leave out"
    desk = decided(workspace, case, drafts)
    try:
        reviewed = bench.well_formed(review(case, drafts, desk, closed_only=leave_out))
    except NotReady as error:
        if desk is None and drafts.provenance.kind == "imported":
            raise  # nobody sat down yet: an authority may be what is missing
        return error.problem.rstrip(".")
    split = freeze(
        case,
        reviewed,
        frozen_before=before,
        shown=bench.examples(),
        thawed=kept_locks(workspace),
        known=kept_test_rows(workspace),
    )
    return case, split


def _work(case: Case, split: Split, speeds: Speeds | None) -> dict[str, tuple[str, float | None]]:
    task_file = case.task_file
    test, dev, train = len(split.test.items), len(split.dev.pairs), len(split.train.pairs)
    rows = split.train.pairs[: task_file.tuning.rows]
    tokens = _tokens(task_file, [row.input + row.output for row in rows]) * task_file.tuning.epochs
    items = min(dev, task_file.comparison.shots_dev_items)
    # The search, its best two once more with constrained replies, and three arms of the base.
    calls = search_calls(task_file.comparison.shots, items) + 2 * items + 3 * test
    files = 1 + len(task_file.quantization.ladder)
    again, load = min(TIMED, test), min(TIMED, test) if task_file.comparison.load_calls > 1 else 0
    work = {
        "freeze": f"{train} train, {dev} dev, {test} test rows, locked",
        "tune": f"{len(rows)} of {train} pairs, {task_file.tuning.epochs} epochs, about {tokens:,.0f} tokens",
        "compare": f"{calls} calls of the base, {test} of the adapter, cheap rivals",
        "quantize": f"{files} GGUF files",
        "serve": f"{files} files × {test} items, one also constrained, {again} of the base, {load} at load",
    }
    times = (
        {}
        if speeds is None
        else {
            "tune": tokens / speeds.tokens_per_s,
            "compare": calls * speeds.base_s + test * speeds.tuned_s,
            "quantize": speeds.quantize_s,
            "serve": ((files + 1) * test + load) * speeds.tuned_s + again * speeds.base_s,
        }
    )
    return {verb: (text, times.get(verb)) for verb, text in work.items()}


def _tokens(task_file: TaskFile, texts: Sequence[str]) -> float:
    system = len(task_file.task.system_prompt)
    return sum(system + len(text) for text in texts) / CHARS_A_TOKEN


def learn(workspace: Workspace, cache: Path) -> None:
    """Keep the speeds of a finished project in the cache folder, for the next forecast on this machine."""
    if any(workspace.state(verb).state != "fresh" for verb in ("tune", "compare", "quantize", "serve")):
        return
    case, adapter = take_case(workspace), take(workspace, "tune", Adapter)
    if not _trained_here(adapter):
        return
    curves = curves_from_csv(workspace.read("tune", "curves.csv"))
    took = sum(row.tokens / row.tokens_per_s for row in curves if row.tokens_per_s)
    quantized = workspace.made("quantize")
    speeds = Speeds(
        where=f"the project {workspace.root.name}, finished on this machine ({machine.describe()})",
        tokens_per_s=round(adapter.tokens / took, 1) if took else REFERENCE.tokens_per_s,
        base_s=_mean_call(workspace, "compare", Comparison, "base"),
        tuned_s=_mean_call(workspace, "serve", Serving, "tuned"),
        quantize_s=quantized.seconds if quantized else REFERENCE.quantize_s,
    )
    known = _all(cache) | {_key(case.task_file.tuning.base): list(speeds)}
    cache.mkdir(parents=True, exist_ok=True)
    atomic_write(cache / SPEEDS, (json.dumps(known, indent=1) + "\n").encode())


def _trained_here(adapter: Adapter) -> bool:
    """Whether the adapter's speed can be this machine's; one from a GPU says nothing of a machine without."""
    return adapter.device == machine.describe() or machine.has_nvidia_gpu()


def _mean_call(
    workspace: Workspace, verb: str, kind: type[Comparison] | type[Serving], arm_kind: str
) -> float:
    arms = [result.arm.name for result in take(workspace, verb, kind).arms if result.arm.kind == arm_kind]
    times = [
        reply.ms for replies in replies_of(workspace, verb, arms).values() for reply in replies if reply.ms
    ]
    return round(sum(times) / len(times) / 1000, 4) if times else REFERENCE.tuned_s


def _key(base: str) -> str:
    return f"{base} | {machine.describe()}"


def _known(cache: Path | None, base: str) -> Speeds | None:
    found = _all(cache).get(_key(base)) if cache else None
    if isinstance(found, list) and len(found) == len(Speeds._fields):
        return Speeds(*found)
    return REFERENCE if base == TuningSection().base else None


def _all(cache: Path) -> dict[str, Any]:
    path = cache / SPEEDS
    try:
        found = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError:
        return {}  # torn or edited: it is a convenience, and the next finished project writes it anew
    return found if isinstance(found, dict) else {}
