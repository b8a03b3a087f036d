"""A small made-up project to a `ReportInput`. Every number here is invented; none was measured."""

from __future__ import annotations

import math

from access_sample import DIGEST, sample_ledger, sample_plan
from tuneproof.artifacts import (
    Adapter,
    Arm,
    ArmResult,
    BaseModelIdentity,
    Case,
    ChangedItem,
    Comparison,
    Contrast,
    DevSet,
    FileRef,
    Gate,
    GgufFile,
    Interval,
    Item,
    Ladder,
    LeakReport,
    Parity,
    PromptTrial,
    Provenance,
    Serving,
    Setting,
    Split,
    SplitLock,
    SplitRow,
    TaskFile,
    TensorTypes,
    TestSet,
    TrainSet,
    Triage,
    Twin,
    Verdict,
    lock_part,
)
from tuneproof.artifacts.curves import CurveRow
from tuneproof.report import ReportInput

N = 200
HEX = DIGEST.removeprefix("sha256:")
MACHINE = "sample machine, 2 cores, no GPU"


def sample_report() -> ReportInput:
    """Build the same sample every time: a tune that passes its gate, and no part that may be missing."""
    arms = sample_arms()
    return ReportInput(
        case=sample_case(),
        split=sample_split(),
        adapter=sample_adapter(),
        comparison=sample_comparison(arms),
        ladder=sample_ladder(),
        serving=sample_serving(arms),
        verdict=sample_verdict(arms),
        curves=sample_curves(),
        provenance=sample_provenance(),
        statement="expert-labelled by the source, not reviewed here",
        plan=sample_plan(),
        ledger=sample_ledger(arms),
        replies={},
        tuneproof_version="0.0.0+sample",
    )


def sample_case() -> Case:
    task_file = TaskFile.model_validate(
        {
            "name": "sample-notices",
            "title": "Sample data: licence notice to licence expression",
            "task": {
                "input": "a licence notice as found in a source file",
                "output": "a ScanCode licence expression",
                "system_prompt": "Answer with the licence expression only.",
            },
            "pressures": {"exact_format": True, "high_volume": True, "calls_per_month": 400_000},
            "data": {
                "source": "bundled:licenses",
                "reviewed_by": "Sample Experts",
                "licence": "CC-BY-4.0",
                "attribution": "Sample Experts, https://example.org/sample",
            },
            "serving": {"model_name": "sample-notices", "machine_usd_per_hour": 0.04},
        }
    )
    reasons = ("The output has an exact format.", "400,000 calls a month.")
    paragraph = "Sample data. Every source file carries a notice; the scanner needs one expression for each."
    return Case(task_file=task_file, triage=Triage(advice="fine-tune", reasons=reasons), paragraph=paragraph)


NOTICES = (
    ("Redistribution and use in source and binary forms are permitted (sample {i}).", "bsd-new"),
    ("This sample file {i} may be used under the GPL, version 1 or later, or the MIT licence.",
     "gpl-1.0-plus OR mit"),
    ("Licensed under the Apache License, Version 2.0. Sample {i}.\nSee the NOTICE file.", "apache-2.0"),
)  # fmt: skip


def _row(part: str, i: int) -> dict[str, str]:
    text, label = NOTICES[i % len(NOTICES)]
    return {"id": f"{part}-{i:03}", "group": f"{part}-g{i // 2}", "input": text.format(i=i), "output": label}


def sample_split() -> Split:
    train = tuple(SplitRow(**_row("train", i)) for i in range(1_412))
    dev = tuple(SplitRow(**_row("dev", i)) for i in range(100))
    test = tuple(Item(**_row("test", i)) for i in range(N))
    lock = SplitLock(
        case="sample-notices",
        version=1,
        method="groups, seed 0",
        prompt_sha256=DIGEST,
        train=lock_part(train),
        dev=lock_part(dev),
        test=lock_part(test),
    )
    leaks = LeakReport(
        exact=0,
        same_template=0,
        near=0,
        straddling_groups=0,
        near_threshold=0.75,
        groups=856,
        largest_group=2,
        unseen_outputs=9,
        nearest=(
            Twin(test_id="test-003", other_id="train-012", other_part="train", similarity=0.71),
            Twin(test_id="test-001", other_id="dev-004", other_part="dev", similarity=0.66),
        ),
    )
    return Split(
        train=TrainSet(pairs=train), dev=DevSet(pairs=dev), test=TestSet(items=test), lock=lock, leaks=leaks
    )


def sample_adapter() -> Adapter:
    base = BaseModelIdentity(
        name="Sample-135M-Instruct",
        source="package:sample 0.0.0, Sample-135M-Instruct.Q4_1.gguf",
        source_sha256=HEX,
        weights_sha256=HEX[::-1],
        weights_note="dequantized from Q4_1",
        licence="Apache-2.0",
        parameters=134_515_008,
        hub_id=None,
    )
    settings = (
        Setting(name="learning_rate", value=0.001, origin="task.yaml"),
        Setting(name="lora_rank", value=16, origin="default"),
        Setting(name="precision", value="float32", origin="this machine: no bf16 instructions"),
        Setting(name="seed", value=0, origin="default"),
    )
    return Adapter(
        base=base,
        files=(FileRef(name="adapter_model.safetensors", bytes=19_564_032, sha256=HEX),),
        settings=settings,
        train_rows=1_000,
        train_rows_available=1_412,
        train_digest=DIGEST,
        epochs=3,
        steps=120,
        tokens=231_440,
        answer_tokens=18_204,
        longest_row_tokens=171,
        final_loss=0.214,
        final_dev_loss=0.387,
        seconds=203.4,
        device="cpu, 2 threads",
        versions={"torch": "0.0.0", "peft": "0.0.0", "transformers": "0.0.0"},
    )


def _wilson(correct: int, n: int, z: float = 1.959964) -> Interval:
    p, scale = correct / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return Interval(low=max(0.0, centre - half), high=min(1.0, centre + half))


def arm_result(name: str, title: str, kind: str, correct: int, **fields: object) -> ArmResult:
    """One made-up arm; `fields` replaces anything, `file` and `engine` included."""
    arm: dict[str, object] = {"name": name, "title": title, "kind": kind, "engine": "sample engine"}
    arm |= {key: fields.pop(key) for key in Arm.model_fields if key in fields}
    values: dict[str, object] = {
        "arm": Arm.model_validate(arm),
        "n": N,
        "correct": correct,
        "rate": correct / N,
        "interval": _wilson(correct, N),
        "parse_failures": 2,
        "over_limit": 0,
        "output_tokens_mean": 6.2,
        "p50_ms": 142.0,
        "p95_ms": 231.0,
        "usd_per_1000": 0.00158,
        "unseen_n": 9,
        "unseen_correct": 0,
    }
    return ArmResult.model_validate({**values, **fields})


def sample_arms() -> tuple[ArmResult, ...]:
    cheap = {"output_tokens_mean": None, "p50_ms": 0.31, "p95_ms": 0.52, "usd_per_1000": 0.0000034}
    batched = {"p50_ms": None, "p95_ms": None, "usd_per_1000": None}
    return (
        arm_result("base-0-shot", "Base, no examples", "base", 0, parse_failures=61, over_limit=48),
        arm_result(
            "base-5-shot", "Base, 5 examples", "base", 4, parse_failures=17, p50_ms=612.0, p95_ms=871.0
        ),
        arm_result("majority", "Most frequent answer", "rival", 11, **{**cheap, "parse_failures": 0}),
        arm_result("nearest-neighbour", "Nearest neighbour", "rival", 66, unseen_correct=0, **cheap),
        arm_result("word-model", "Word counts + logistic regression", "rival", 97, **cheap),
        arm_result("tuned-adapter", "Tuned adapter", "tuned", 118, engine="transformers", **batched),
        arm_result("tuned-f16", "Tuned f16", "tuned", 117, file="sample-f16.gguf", unseen_correct=1),
        arm_result("tuned-Q8_0", "Tuned Q8_0", "tuned", 115, file="sample-Q8_0.gguf", unseen_correct=1),
        arm_result("tuned-Q4_K_M", "Tuned Q4_K_M", "tuned", 108, file="sample-Q4_K_M.gguf", p50_ms=97.0),
    )


def sample_comparison(arms: tuple[ArmResult, ...]) -> Comparison:
    return Comparison(
        plan_digest=DIGEST,
        arms=tuple(a for a in arms if a.arm.file is None),
        trials=(
            PromptTrial(
                arm="base", prompt="0-shot", shots=0, style="plain", correct=0, parse_failures=12, n=40
            ),
            PromptTrial(
                arm="base", prompt="5-shot", shots=5, style="as turns", correct=2, parse_failures=4, n=40
            ),
            PromptTrial(
                arm="base", prompt="20-shot", shots=20, style="as turns", correct=1, parse_failures=3, n=40
            ),
        ),
        chosen={"base": "5-shot"},
        budget="each model had 120 dev calls",
        parity=Parity(prompts=N, text_equal=N, tokens_equal=N, one_bos=True),
        not_measured={"frontier": "no key"},
        machine=MACHINE,
    )


def _gguf(quant: str, size: int, fallback: int, *holds: tuple[str, int, int]) -> GgufFile:
    return GgufFile(
        quant=quant,
        file=FileRef(name=f"sample-{quant.replace('F16', 'f16')}.gguf", bytes=size, sha256=HEX),
        holds=tuple(TensorTypes(type=t, tensors=n, bytes=b) for t, n, b in holds),
        fallback_tensors=fallback,
    )


def sample_ladder() -> Ladder:
    return Ladder(
        merged_changed_modules=210,
        target_modules=210,
        files=(
            _gguf("F16", 270_885_952, 0, ("F16", 211, 269_000_000), ("F32", 61, 140_544)),
            _gguf("Q8_0", 144_811_072, 0, ("Q8_0", 211, 142_800_000), ("F32", 61, 140_544)),
            _gguf(
                "Q4_K_M", 105_454_144, 181,
                ("Q5_0", 151, 60_100_000), ("Q8_0", 30, 38_200_000),
                ("Q6_K", 30, 5_100_000), ("F32", 61, 140_544),
            ),
        ),
        converter="sample converter 0.0.0",
        quantizer="sample quantizer 0.0.0",
    )  # fmt: skip


def sample_serving(arms: tuple[ArmResult, ...]) -> Serving:
    return Serving(
        runtime="sample llama.cpp (embedded) 0.0.0",
        model_file="sample-Q8_0.gguf",
        modelfile="FROM ./sample-Q8_0.gguf\n",
        parity=Parity(prompts=N, text_equal=N, tokens_equal=N, one_bos=True),
        arms=tuple(a for a in arms if a.arm.file is not None),
        cold_start_ms=834.0,
        plan_digest=DIGEST,
        machine=MACHINE,
    )


def contrast(arm: str, against: str, wins: int, losses: int, p: float) -> Contrast:
    difference = (wins - losses) / N
    half = 1.96 * math.sqrt((wins + losses) / N - difference**2) / math.sqrt(N)
    interval = Interval(low=difference - half, high=difference + half)
    return Contrast(
        arm=arm, against=against, n=N, wins=wins, losses=losses,
        difference=difference, interval=interval, p_one_sided=p,
    )  # fmt: skip


def sample_changes(prefix: str, count: int) -> tuple[ChangedItem, ...]:
    rows = [_row("test", i) for i in range(count)]
    return tuple(
        ChangedItem(
            item_id=f"{prefix}-{row['id']}",
            input=row["input"],
            expected=row["output"],
            base_reply=row["output"]
            if prefix == "broken"
            else "The licence of this sample is the BSD licence.",
            tuned_reply="mit" if prefix == "broken" else row["output"],
        )
        for row in rows
    )


def sample_verdict(arms: tuple[ArmResult, ...]) -> Verdict:
    reason = "Sample: p is below 0.025 and the tune is ahead."
    gates = tuple(
        Gate(
            file=file,
            contrast=contrast(arm, "base-5-shot", wins, losses, 1e-9),
            outcome="PASS",
            reason=reason,
        )
        for file, arm, wins, losses in (
            ("adapter_model.safetensors", "tuned-adapter", 115, 1),
            ("sample-f16.gguf", "tuned-f16", 114, 1),
            ("sample-Q8_0.gguf", "tuned-Q8_0", 112, 1),
            ("sample-Q4_K_M.gguf", "tuned-Q4_K_M", 106, 2),
        )
    )
    return Verdict(
        gate="PASS",
        decision="move",
        headline="Sample data: move this task to the tuned model, served as Q8_0",
        paragraph="Sample data. The tuned model has 115 of 200 test items right, its best base 4 of 200 "
        "(difference +55.5 points, 95 % interval +48.3 to +62.7). The cheapest rival worth naming has 97. "
        "No frontier model was measured, so nothing here compares the tune with one.",
        arms=arms,
        gates=gates,
        rivals=(
            contrast("tuned-Q8_0", "majority", 105, 1, 1e-9),
            contrast("tuned-Q8_0", "nearest-neighbour", 62, 13, 1e-8),
            contrast("tuned-Q8_0", "word-model", 41, 23, 0.0123),
        ),
        quant_steps=(
            contrast("tuned-f16", "tuned-adapter", 3, 4, 0.63),
            contrast("tuned-Q8_0", "tuned-f16", 1, 3, 0.81),
            contrast("tuned-Q4_K_M", "tuned-Q8_0", 4, 11, 0.96),
        ),
        fixed=sample_changes("fixed", 15),
        broken=sample_changes("broken", 2),
        not_measured={"frontier": "no key"},
        test_accesses=1,
        minimum_detectable_gain=0.083,
        plan_digest=DIGEST,
        thresholds_digest=DIGEST,
        made_at="2026-01-02T03:04:05Z",
        advice="not enough evidence",
    )


def sample_curves(steps: int = 120) -> tuple[CurveRow, ...]:
    """A falling, wobbling loss over three epochs, with dev measured at each epoch's end."""
    return tuple(
        CurveRow(
            step=step,
            epoch=3 * step / steps,
            rows=8,
            tokens=600 + step % 17,
            loss=round(0.2 + 2.4 * math.exp(-step / 22) + 0.09 * math.sin(step * 2.1), 4),
            dev_loss=round(0.36 + 1.2 * math.exp(-step / 24), 4) if step % 40 == 0 else None,
            learning_rate=0.001 * min(1.0, step / 6) * (1 - (step - 1) / steps),
            grad_norm=1.1,
            tokens_per_s=round(228 + 14 * math.sin(step * 0.9), 2),
        )
        for step in range(1, steps + 1)
    )


def sample_provenance() -> Provenance:
    return Provenance(
        kind="imported",
        source="package:sample-notices",
        source_version="0.0.0",
        licence="CC-BY-4.0",
        attribution="Sample Experts, https://example.org/sample",
    )
