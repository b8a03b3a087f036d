"""Step 2 · draft: Case + source → Drafts.

The bundled source brings its experts' labels; nothing is drafted by a model here, so nothing is spent.
"""

from __future__ import annotations

from collections.abc import Callable

from tuneproof.artifacts import Case, Drafts
from tuneproof.errors import BadInput, NotReady

Source = Callable[[int], Drafts]
"""Takes the wanted number of pairs and reads them from the outside."""


def draft(case: Case, sources: dict[str, Source]) -> Drafts:
    """Read the pairs that the case names.

    Args:
        case: names the source and the wanted number of pairs.
        sources: name → reader.

    Raises:
        NotReady: the triage advises against a tune.
        BadInput: the source is unknown, an id occurs twice, or a side of a pair is empty.
    """
    data = case.task_file.data
    if case.triage.advice != "fine-tune":
        raise NotReady(
            f"The triage says {case.triage.advice!r}: {'; '.join(case.triage.reasons)}.",
            remedy="Change the approach, or correct `pressures:` in task.yaml if they do not fit the task.",
        )
    if data.source not in sources:
        raise BadInput(
            f"task.yaml: data.source is {data.source!r}; known sources: {', '.join(sorted(sources))}.",
            remedy=f"Set data.source to {sorted(sources)[0]!r} in task.yaml.",
        )
    drafts = sources[data.source](data.pairs)
    _check(drafts)
    return drafts


def _check(drafts: Drafts) -> None:
    seen: set[str] = set()
    problems = []
    for pair in drafts.pairs:
        if pair.id in seen:
            problems.append(f"{pair.source}: id {pair.id!r} occurs twice")
        if not pair.input.strip() or not pair.output.strip():
            problems.append(f"{pair.source}: empty {'input' if not pair.input.strip() else 'output'}")
        seen.add(pair.id)
    if problems or not drafts.pairs:
        raise BadInput(
            "\n".join(problems) or f"{drafts.provenance.source} gave no pair.",
            remedy="Repair these rows in the source and run `tuneproof draft` again.",
        )
