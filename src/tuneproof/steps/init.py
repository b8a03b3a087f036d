"""Step 1 · init: task.yaml → Case.

Prompting rents behaviour, retrieval supplies knowledge, a tune installs behaviour. So the triage asks
what presses, and says RAG, a bigger model or "not yet" before anything is spent.
"""

from __future__ import annotations

from tuneproof.artifacts import Case, TaskFile
from tuneproof.triage import advice_text, triage_of

__all__ = ["init", "triage_of"]


def init(task_file: TaskFile) -> Case:
    """Judge from the pressures whether a tune makes sense, and write the case as one paragraph."""
    triage = triage_of(task_file.pressures)
    task = task_file.task
    paragraph = (
        f"{task_file.title}. In: {task.input}. Out: {task.output}. A reply counts by {task.metric}. "
        f"{advice_text(task_file.pressures, triage)}"
    )
    return Case(task_file=task_file, triage=triage, paragraph=paragraph)
