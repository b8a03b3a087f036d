"""What a step reads beside the artifacts of other steps → digests, by which the workspace tells a change."""

from __future__ import annotations

from pathlib import Path

from tuneproof.artifacts import TaskFile, sha256_of
from tuneproof.extra_tunes import tunes_digest
from tuneproof.outside.desk_store import desk_mark
from tuneproof.outside.files import file_ref
from tuneproof.outside.own_code import references
from tuneproof.outside.readers import source_digest
from tuneproof.outside.readers.input_kinds import inputs_digest
from tuneproof.steps import Step

RECORDED, KEPT = "recorded", "replies"
"""Replies made elsewhere; and replies of earlier comparisons, so that nothing is asked twice."""
DESK = "desk/desk.sqlite"
"""Decisions of the review desk: a step's folder is emptied when its inputs change, they must not be."""
BESIDE = ("recorded replies of ", "seeds and controls", "decisions of the desk")


def beside(verb: str, root: Path) -> dict[str, str]:
    """Return digests of what a step reads beside the steps' folders."""
    if verb == "review":
        mark = desk_mark(root / DESK)
        return {"decisions of the desk": mark} if mark else {}
    if verb != "compare":
        return {}
    found = {
        f"recorded replies of {name}": sha256_of(data.decode("utf-8", "replace"))
        for name, data in recorded_replies(root).items()
    }
    tunes = tunes_digest(root)
    return found | ({"seeds and controls": tunes} if tunes else {})


def recorded_replies(root: Path) -> dict[str, bytes]:
    """Return the replies that were made elsewhere: arm → file in `recorded/`."""
    return {path.stem: path.read_bytes() for path in sorted((root / RECORDED).glob("*.jsonl"))}


def named_files(step: Step, task_file: TaskFile, root: Path) -> dict[str, str]:
    """Return digests of the files named in the settings that a step reads: place in task.yaml → digest."""
    named = references(task_file, root)
    drafting = task_file.drafting
    if drafting.teacher is not None:
        examples = root / drafting.examples
        named["drafting.examples"] = file_ref(examples).sha256 if examples.is_file() else "missing"
    if "data" in step.settings:
        source = (
            source_digest(task_file.data, root)
            if drafting.teacher is None
            else inputs_digest(task_file.data, drafting, root)
        )
        named |= {"data.source": source} if source else {}
    return {place: digest for place, digest in named.items() if _reads(step, place)}


def _reads(step: Step, place: str) -> bool:
    return place in step.settings or place.partition(".")[0] in step.settings
