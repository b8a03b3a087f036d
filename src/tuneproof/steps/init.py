"""Step 1 · init: task.yaml → Case.

Prompting rents behaviour, retrieval supplies knowledge, a tune installs behaviour. So the triage asks
what presses, and says RAG, a bigger model or "not yet" before anything is spent.
"""

from __future__ import annotations

from tuneproof.artifacts import Case, TaskFile, Triage
from tuneproof.artifacts.case import Advice, PressureSection

_PRESSURES = {
    "exact_format": "the output must have one exact form",
    "high_volume": "the task is called at volume, where the price of a call adds up",
    "low_latency": "answers are needed faster than an API gives them",
    "privacy": "the inputs must not leave the house",
    "own_label_scheme": "the labels follow a scheme of your own that a prompt conveys badly",
}

_ADVICE: dict[Advice, str] = {
    "fine-tune": "A tune can pay here; the comparison decides whether it does.",
    "RAG": "A tune installs behaviour and not knowledge: supply the facts by retrieval instead.",
    "better prompt": "A prompt with examples and a schema gives a form without training: try that first.",
    "rent a bigger model": "Rent the biggest model you can: open-ended reasoning is what small ones lack.",
    "not yet": "Nothing presses: improve the prompt first and come back when one of the pressures is real.",
}


def init(task_file: TaskFile) -> Case:
    """Judge from the pressures whether a tune makes sense, and write the case as one paragraph."""
    triage = triage_of(task_file.pressures)
    task = task_file.task
    paragraph = (
        f"{task_file.title}. In: {task.input}. Out: {task.output}. A reply counts by {task.metric}. "
        f"Advice before any data: {triage.advice}, because {'; '.join(triage.reasons)}. "
        f"{_ADVICE[triage.advice]}"
    )
    return Case(task_file=task_file, triage=triage, paragraph=paragraph)


def triage_of(pressures: PressureSection) -> Triage:
    """Decide by the first rule that applies: fresh facts, broad reasoning, no pressure, else fine-tune."""
    if pressures.fresh_facts:
        return Triage(
            advice="RAG", reasons=("the right answer depends on facts that change or differ by user",)
        )
    if pressures.broad_reasoning:
        return Triage(advice="rent a bigger model", reasons=("the task needs open-ended reasoning",))
    reasons = tuple(why for name, why in _PRESSURES.items() if getattr(pressures, name))
    if not reasons:
        return Triage(advice="not yet", reasons=("no pressure applies",))
    return Triage(advice="fine-tune", reasons=reasons)
