"""The trainer's log lines → curve rows on disk and progress for a person."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneproof.artifacts.curves import CurveRow, curves_to_csv
from tuneproof.outside.checkpoints import mark_complete
from tuneproof.outside.files import atomic_write
from tuneproof.outside.protocols import Progress


def make_watch(trainer: Any, folder: Path, progress: Progress, known: Sequence[CurveRow]) -> Any:
    """Return a callback for `trainer` that keeps curves, marks checkpoints and reports progress.

    Made in a function because its base class comes from transformers, which must not load before it is used.

    Args:
        trainer: the TRL trainer; its batch size and row count turn steps into rows.
        folder: where `curves.csv` goes.
        progress: told after every step.
        known: rows of an interrupted run; those after the checkpoint are dropped.
    """
    from transformers import TrainerCallback

    batch = trainer.args.per_device_train_batch_size

    class Watch(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: list[CurveRow] = list(known)
            self.seen = 0
            self.last = time.monotonic()
            self.began = self.last
            self.first_step = 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.rows = [row for row in self.rows if row.step <= state.global_step]
            self.seen = 0
            self.first_step = state.global_step
            self.began = self.last = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "eval_loss" in logs and self.rows:
                self.rows[-1] = self.rows[-1]._replace(dev_loss=float(logs["eval_loss"]))
                self.last = time.monotonic()
            elif logs and "loss" in logs:
                self._step(state, logs)
            self._keep()

        def _step(self, state: Any, logs: Any) -> None:
            at = time.monotonic()
            seen = int(logs["num_tokens"])
            new, self.seen = seen - self.seen, seen
            speed = new / max(at - self.last, 1e-9)
            self.last = at
            self.rows.append(
                CurveRow(
                    step=state.global_step,
                    epoch=round(float(logs["epoch"]), 4),
                    rows=batch,
                    tokens=new,
                    loss=float(logs["loss"]),
                    dev_loss=None,
                    learning_rate=float(logs["learning_rate"]),
                    grad_norm=float(logs["grad_norm"]),
                    tokens_per_s=round(speed, 1),
                )
            )
            average = seen / max(at - self.began, 1e-9)
            left = (at - self.began) / max(state.global_step - self.first_step, 1)
            left *= state.max_steps - state.global_step
            progress.update(
                state.global_step,
                state.max_steps,
                f"loss {float(logs['loss']):.3f}, {average:.0f} tokens/s, {left:.0f} s left",
            )

        def _keep(self) -> None:
            atomic_write(folder / "curves.csv", curves_to_csv(self.rows).encode())

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    return Watch()
