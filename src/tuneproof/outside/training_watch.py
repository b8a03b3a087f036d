"""The trainer's log lines → curve rows on disk and progress for a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneproof.artifacts.curves import CurveRow, curves_to_csv
from tuneproof.outside.checkpoints import mark_complete
from tuneproof.outside.files import atomic_write
from tuneproof.outside.machine import seconds
from tuneproof.outside.protocols import Progress


class Curves:
    """The curve so far, kept on disk after every step, and the speed for a person.

    Args:
        folder: where `curves.csv` goes.
        batch: pairs a step.
        progress: told after every step.
        known: rows of an interrupted run; those after the checkpoint are dropped.
    """

    def __init__(self, folder: Path, batch: int, progress: Progress, known: Sequence[CurveRow]) -> None:
        self._folder, self._batch, self._progress = folder, batch, progress
        self._rows = list(known)
        self._seen = self._first_step = 0
        self._began = self._last = seconds()

    def start(self, step: int) -> None:
        """Begin after `step` finished steps."""
        self._rows = [row for row in self._rows if row.step <= step]
        self._first_step = step
        self._began = self._last = seconds()

    def dev_loss(self, loss: float) -> None:
        """Add the loss on dev to the last step; the time it took is no training time."""
        self._rows[-1] = self._rows[-1]._replace(dev_loss=loss)
        self._began += seconds() - self._last
        self._last = seconds()
        self._keep()

    def add(self, step: int, of: int, logs: dict[str, Any]) -> None:
        """Add a step from the trainer's log line."""
        at, seen = seconds(), int(logs["num_tokens"])
        tokens, self._seen = seen - self._seen, seen
        self._rows.append(
            CurveRow(
                step=step,
                epoch=round(float(logs["epoch"]), 4),
                rows=self._batch,
                tokens=tokens,
                loss=float(logs["loss"]),
                dev_loss=None,
                learning_rate=float(logs["learning_rate"]),
                grad_norm=float(logs["grad_norm"]),
                tokens_per_s=round(tokens / max(at - self._last, 1e-9), 1),
            )
        )
        self._last = at
        self._keep()
        took = max(at - self._began, 1e-9)
        left = took / (step - self._first_step) * (of - step)
        note = f"loss {float(logs['loss']):.3f}, {seen / took:.0f} tokens/s, {left:.0f} s left"
        self._progress.update(step, of, note)

    def _keep(self) -> None:
        atomic_write(self._folder / "curves.csv", curves_to_csv(self._rows).encode())


def make_watch(curves: Curves) -> Any:
    """Return a trainer callback that feeds `curves` and marks whole checkpoints.

    Made in a function: its base class is in transformers, which must not load before it is used.
    """
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            curves.start(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "eval_loss" in logs:
                curves.dev_loss(float(logs["eval_loss"]))
            elif logs and "loss" in logs:
                curves.add(state.global_step, state.max_steps, logs)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    return Watch()
