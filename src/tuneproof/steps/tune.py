"""Step 5 · tune: TrainSet + DevSet → Adapter.

The test set cannot be opened here: it is another type, and it is not passed in.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tuneproof.artifacts import Adapter, Case, DevSet, TrainSet, canonical_json, row_hash, sha256_of
from tuneproof.artifacts.curves import CurveRow
from tuneproof.errors import NotReady
from tuneproof.outside.machine import seconds
from tuneproof.outside.protocols import Base, Folder, Progress, Trained, Trainer, TrainPlan


class Workshop(NamedTuple):
    """What tuning works with, beside its data."""

    base: Base
    trainer: Trainer
    folder: Folder
    progress: Progress


def tune(case: Case, train: TrainSet, dev: DevSet, workshop: Workshop) -> Adapter:
    """Train a LoRA adapter on the first `tuning.rows` pairs and leave its files in `folder`.

    Raises:
        NotReady: a row does not fit the model, or the loss is no number any more.
        MissingPart: the trainer is not installed.
    """
    tuning = case.task_file.tuning
    rows = train.pairs[: tuning.rows]
    plan = TrainPlan(
        rows=rows,
        dev=dev.pairs,
        system_prompt=case.task_file.task.system_prompt,
        epochs=tuning.epochs,
        learning_rate=tuning.learning_rate,
        batch=tuning.batch,
        lora_rank=tuning.lora_rank,
        lora_alpha=tuning.lora_alpha,
        seed=tuning.seed,
        max_new_tokens=case.task_file.task.max_new_tokens,
        num_ctx=case.task_file.serving.num_ctx,
    )
    began = seconds()
    trained = workshop.trainer.train(plan, workshop.base, workshop.folder, workshop.progress)
    return Adapter(
        base=workshop.base.identity,
        files=trained.files,
        settings=trained.settings,
        train_rows=len(rows),
        train_rows_available=len(train.pairs),
        train_digest=sha256_of(canonical_json([row_hash(row) for row in rows])),
        epochs=tuning.epochs,
        steps=trained.steps,
        tokens=trained.tokens,
        answer_tokens=trained.answer_tokens,
        longest_row_tokens=trained.longest_row_tokens,
        final_loss=_final_loss(trained),
        final_dev_loss=_last_dev_loss(trained.curves),
        seconds=round(max(seconds() - began, _seconds_of(trained.curves)), 1),
        device=trained.device,
        versions=trained.versions,
    )


def _seconds_of(curves: tuple[CurveRow, ...]) -> float:
    """Time in optimizer steps, those before an interruption among them."""
    return sum(row.tokens / row.tokens_per_s for row in curves if row.tokens_per_s)


def _final_loss(trained: Trained) -> float:
    """Mean loss of the last tenth of the steps: one step is too noisy to quote."""
    last = trained.curves[-max(1, len(trained.curves) // 10) :]
    loss = sum(row.loss for row in last) / len(last)
    if not math.isfinite(loss):
        raise NotReady(
            f"Training diverged: the loss of the last {len(last)} steps is {loss}.",
            remedy="Lower tuning.learning_rate in task.yaml and run `tuneproof tune` again.",
        )
    return round(loss, 4)


def _last_dev_loss(curves: tuple[CurveRow, ...]) -> float:
    return next(row.dev_loss for row in reversed(curves) if row.dev_loss is not None)
