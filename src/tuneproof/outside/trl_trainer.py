"""Training pairs → LoRA adapter, with TRL and PEFT.

Loss on the answer only; no row is ever cut; the end-of-turn token is trained in every row. A checkpoint
counts only with its `complete.json`, written last, so a killed run continues from the last whole one.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneproof.artifacts import Setting, SplitRow
from tuneproof.artifacts.curves import CurveRow, curves_from_csv, curves_to_csv
from tuneproof.errors import NotReady
from tuneproof.outside import machine
from tuneproof.outside.base_files import TEMPLATE_FILE, context_tokens, end_tokens
from tuneproof.outside.checkpoints import last_complete
from tuneproof.outside.files import atomic_write, file_ref
from tuneproof.outside.parts import quiet, require
from tuneproof.outside.protocols import Base, Progress, Trained, TrainPlan
from tuneproof.outside.tokenizer import load_tokenizer
from tuneproof.outside.training_watch import Curves, make_watch
from tuneproof.prompt import messages_for, template_switches

DEV_ROWS = 48
"""Most dev pairs on which the loss is measured during training."""
LOOKS = 4
"""How often the dev loss is measured and a checkpoint kept."""
_NO_LOSS = -100
"""PyTorch's label for a token that carries no loss."""
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json", TEMPLATE_FILE)
_SHOWN = 20
"""Most rows that a message names."""


class TrlTrainer:
    """Implements `Trainer` with TRL's SFTTrainer."""

    def train(self, plan: TrainPlan, base: Base, folder: Path, progress: Progress) -> Trained:
        """Train and leave the adapter in `folder`; continue from its last complete checkpoint.

        Raises:
            MissingPart: TRL or what it needs is not installed.
            NotReady: a row does not fit the model, or its end-of-turn token would not be trained.
        """
        require("tune")
        with quiet(folder / "run.log"):
            settings = resolve(plan)
            trainer = _build(plan, base, folder)
            answer_tokens, longest = _check_rows(trainer, plan, base)
            known = _known_curves(folder)
            resume = last_complete(folder / "checkpoints")
            trainer.add_callback(make_watch(Curves(folder, plan.batch, progress, known if resume else ())))
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
            _keep_adapter(trainer, base, folder)
            curves = _known_curves(folder)
        return Trained(
            files=tuple(file_ref(folder / name) for name in ADAPTER_FILES),
            settings=settings,
            curves=curves,
            steps=trainer.state.global_step,
            tokens=sum(row.tokens for row in curves),
            answer_tokens=answer_tokens * plan.epochs,
            longest_row_tokens=longest,
            device=_device_name(),
            versions={
                name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl", "peft")
            },
        )


def resolve(plan: TrainPlan) -> tuple[Setting, ...]:
    """Return every setting that shapes the run, with its origin."""
    precision, why = _precision()
    chosen = {
        "epochs": plan.epochs,
        "learning_rate": plan.learning_rate,
        "batch": plan.batch,
        "lora_rank": plan.lora_rank,
        "lora_alpha": plan.lora_alpha,
        "seed": plan.seed,
    }
    fixed: dict[str, tuple[str | int | float | bool, str]] = {
        "precision": (precision, why),
        "lora_targets": ("all linear layers", "default: the layers that matter (LoRA Without Regret, 2025)"),
        "lora_dropout": (0.0, "default: few steps, little to drop"),
        "loss_on": ("the answer and its end-of-turn token", "default"),
        "schedule": ("linear after 5 warm-up steps", "default"),
        "batches": ("rows of like length together", "default: less padding on short rows"),
        "gradient_checkpointing": (False, "default: short rows fit; recomputing costs a third of the time"),
        "longest_row": ("never cut", "default: a cut answer is a wrong answer"),
    }
    return tuple(
        [Setting(name=name, value=value, origin="task.yaml") for name, value in chosen.items()]
        + [Setting(name=name, value=value, origin=origin) for name, (value, origin) in fixed.items()]
    )


def _precision() -> tuple[str, str]:
    """Choose the arithmetic by what the hardware really has: emulated bf16 is slow (unsloth#501)."""
    import torch

    if torch.cuda.is_available():
        capability = torch.cuda.get_device_capability()
        if capability >= (8, 0):
            return (
                "bf16 autocast, float32 LoRA weights",
                f"this GPU: capability {capability[0]}.{capability[1]}",
            )
        return (
            "fp16 autocast, float32 LoRA weights",
            f"this GPU: capability {capability[0]}.{capability[1]} < 8.0",
        )
    if machine.cpu_has_bf16():
        return "bf16 autocast, float32 LoRA weights", "this processor: has bf16 instructions"
    return "float32", "this processor: no bf16 instructions"


def _device_name() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else machine.describe()


def _build(plan: TrainPlan, base: Base, folder: Path) -> Any:
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, PrinterCallback
    from trl import SFTTrainer

    torch.set_num_threads(machine.cores())
    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32, use_safetensors=True)
    lora = LoraConfig(
        r=plan.lora_rank,
        lora_alpha=plan.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    tokenizer = load_tokenizer(base.folder)
    dev = sorted(plan.dev[:DEV_ROWS], key=lambda row: len(row.input))
    switches = _switches(base)
    trainer = SFTTrainer(
        model=model,
        args=_arguments(plan, folder),
        train_dataset=_dataset(plan.rows, plan.system_prompt, switches),
        eval_dataset=_dataset(dev, plan.system_prompt, switches),
        processing_class=tokenizer,
        peft_config=lora,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(plan: TrainPlan, folder: Path) -> Any:
    import torch
    from trl import SFTConfig

    precision, _ = _precision()
    steps = -(-len(plan.rows) // plan.batch) * plan.epochs
    every = max(1, -(-steps // LOOKS))
    return SFTConfig(
        output_dir=str(folder / "checkpoints"),
        per_device_train_batch_size=plan.batch,
        per_device_eval_batch_size=plan.batch,
        num_train_epochs=plan.epochs,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=min(5, steps // 2),
        bf16=precision.startswith("bf16"),
        fp16=precision.startswith("fp16"),
        use_cpu=not torch.cuda.is_available(),
        activation_checkpointing=False,
        train_sampling_strategy="group_by_length",
        max_length=None,
        completion_only_loss=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=min(every, 20),
        save_total_limit=2,
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=plan.seed,
        data_seed=plan.seed,
        report_to="none",
        disable_tqdm=True,
    )


def _switches(base: Base) -> dict[str, bool | str]:
    return template_switches((base.folder / TEMPLATE_FILE).read_text(encoding="utf-8"))


def _dataset(rows: Sequence[SplitRow], system_prompt: str, switches: dict[str, bool | str]) -> Any:
    from datasets import Dataset

    # TRL renders every row with its own `chat_template_kwargs`; a column of nothing is no column in Arrow.
    kwargs = {"chat_template_kwargs": switches} if switches else {}
    return Dataset.from_list(
        [
            {
                "prompt": messages_for(system_prompt, row.input),
                "completion": [{"role": "assistant", "content": row.output}],
                **kwargs,
            }
            for row in rows
        ]
    )


def _check_rows(trainer: Any, plan: TrainPlan, base: Base) -> tuple[int, int]:
    """Return answer tokens in all rows and the longest row; refuse rows that would teach something else.

    Raises:
        NotReady: names every row that is too long, does not train its end, or whose prompt changes once it
            is answered.
    """
    limit, ends = context_tokens(base.folder), frozenset(end_tokens(base.folder))
    prompts = _prompt_tokens(trainer.processing_class, plan, _switches(base))
    rows = trainer.train_dataset
    answers, longest, problems = 0, 0, []
    for row, prompt, tokens, labels in zip(
        plan.rows, prompts, rows["input_ids"], rows["labels"], strict=True
    ):
        answer = [label for label in labels if label != _NO_LOSS]
        if limit is not None and len(tokens) > limit:
            problems.append(f"{row.id}: {len(tokens)} tokens, over {limit}")
        elif len(answer) > plan.max_new_tokens:
            most = f"task.max_new_tokens ({plan.max_new_tokens})"
            problems.append(f"{row.id}: its answer is {len(answer)} tokens, over {most}")
        elif len(prompt) + plan.max_new_tokens > plan.num_ctx:
            most = f"a reply of {plan.max_new_tokens} over serving.num_ctx ({plan.num_ctx})"
            problems.append(f"{row.id}: its prompt is {len(prompt)} tokens, with {most}")
        elif tokens[: len(prompt)] != prompt or len(answer) != len(tokens) - len(prompt):
            problems.append(f"{row.id}: its prompt is rendered otherwise once it is answered")
        elif not ends & set(answer):
            problems.append(f"{row.id}: no end of turn is trained")
        answers, longest = answers + len(answer), max(longest, len(tokens))
    _stop_at(problems, len(plan.rows))
    return answers, longest


def _prompt_tokens(tokenizer: Any, plan: TrainPlan, switches: dict[str, bool | str]) -> list[list[int]]:
    """Return what the runtime will see of every row: TRL only warns, once, where training saw another one."""
    chats = [messages_for(plan.system_prompt, row.input) for row in plan.rows]
    texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True, **switches)
    return [list(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]


def _stop_at(problems: list[str], rows: int) -> None:
    if not problems:
        return
    more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise NotReady(
        f"{len(problems)} of {rows} training rows cannot be trained:\n  "
        + "\n  ".join(problems[:_SHOWN])
        + more,
        remedy="Raise the limit in task.yaml that is named, or shorten or delete those pairs and freeze a "
        "new version of the split.",
    )


def _known_curves(folder: Path) -> tuple[CurveRow, ...]:
    path = folder / "curves.csv"
    return curves_from_csv(path.read_text(encoding="utf-8")) if path.exists() else ()


def _keep_adapter(trainer: Any, base: Base, folder: Path) -> None:
    """Leave the adapter and its template; the base is named by what it is, not by a path here."""
    final = folder / "checkpoints" / "final"
    trainer.model.save_pretrained(str(final), save_embedding_layers=False)
    config = json.loads((final / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base.identity.hub_id or base.identity.name
    # PEFT keeps the targets as a set: sorted, the same adapter has the same file.
    config["target_modules"] = sorted(config["target_modules"])
    atomic_write(
        folder / "adapter_config.json", (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
    )
    shutil.move(final / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    shutil.copyfile(base.folder / TEMPLATE_FILE, folder / TEMPLATE_FILE)
    shutil.rmtree(folder / "checkpoints")
    atomic_write(folder / "curves.csv", curves_to_csv(_known_curves(folder)).encode())
