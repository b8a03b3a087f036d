"""Step 8 · serve: Ladder → Serving: every GGUF file on the same test, in the engine that ships.

Refuses when the runtime would send another prompt than training saw, or when the model does not stop.
"""

from __future__ import annotations

from typing import NamedTuple

from tuneproof.arms import answer_one_by_one, check_parity, result_of
from tuneproof.artifacts import Arm, ArmResult, Case, GgufFile, Ladder, Parity, Serving, Split
from tuneproof.errors import NotReady
from tuneproof.modelfile import Parameters, render_modelfile
from tuneproof.outside.machine import describe, seconds
from tuneproof.outside.protocols import BatchModel, Engine, Folder, Runtime
from tuneproof.prompt import Message, messages_for
from tuneproof.steps.compare import Desk


class Kitchen(NamedTuple):
    """What serving works with, beside its data."""

    engine: Engine
    adapted: BatchModel
    """Says what training saw, for the parity check."""
    gguf_folder: Folder
    chat_template: str
    """Jinja template stored with the adapter."""
    licence_text: str
    stops: tuple[str, ...]
    """Texts of the tokens that end a turn."""


def serve(case: Case, split: Split, ladder: Ladder, *, kitchen: Kitchen, desk: Desk) -> Serving:
    """Measure every file of the ladder and write the Modelfile of the one that is served.

    Raises:
        TuneproofError: prompt parity does not hold.
        NotReady: more than half of a file's replies had to be cut.
    """
    served = served_file(ladder)
    results: list[ArmResult] = []
    parity, cold, name = None, 0.0, ""
    for gguf in ladder.files:
        began = seconds()
        runtime = kitchen.engine.load(
            kitchen.gguf_folder / gguf.file.name, num_ctx=case.task_file.serving.num_ctx
        )
        runtime.ask(_chat(case, split.dev.pairs[0].input), max_new_tokens=1)
        if gguf == served:
            cold = round((seconds() - began) * 1000, 1)
        parity, name = check_parity(case, split.test, runtime, kitchen.adapted), runtime.name
        results.append(_measured(case, split, gguf, runtime, desk))
        runtime.close()
    assert isinstance(parity, Parity)
    return Serving(
        runtime=name,
        model_file=served.file.name,
        modelfile=_modelfile(case, served, kitchen),
        parity=parity,
        arms=tuple(results),
        cold_start_ms=cold,
        plan_digest=desk.plan.digest,
        machine=describe(),
    )


def served_file(ladder: Ladder) -> GgufFile:
    """Choose Q8_0 where there is one: the default where n is too small to show that less loses nothing."""
    return next((gguf for gguf in ladder.files if gguf.quant == "Q8_0"), ladder.files[0])


def _chat(case: Case, text: str) -> list[Message]:
    return messages_for(case.task_file.task.system_prompt, text)


def _measured(case: Case, split: Split, gguf: GgufFile, runtime: Runtime, desk: Desk) -> ArmResult:
    arm = Arm(
        name=f"tuned-{gguf.quant.lower()}",
        title=f"tuned, GGUF {gguf.quant}",
        kind="tuned",
        engine=runtime.name,
        file=gguf.file.name,
    )
    desk.records.accessed(arm.name, desk.plan.digest)
    replies = answer_one_by_one(
        split.test.items,
        runtime,
        lambda text: _chat(case, text),
        desk.records.log(arm.name),
        limit=case.task_file.task.max_new_tokens,
        progress=desk.progress(arm.title),
    )
    result = result_of(case, desk.scorer, arm, split, replies)
    if result.over_limit * 2 > result.n:
        raise NotReady(
            f"{gguf.file.name} does not stop: {result.over_limit} of {result.n} replies were cut at "
            f"{case.task_file.task.max_new_tokens} tokens.",
            remedy="Train longer (tuning.epochs, tuning.rows in task.yaml), then `tuneproof tune`.",
        )
    return result


def _modelfile(case: Case, served: GgufFile, kitchen: Kitchen) -> str:
    return render_modelfile(
        gguf_name=served.file.name,
        system_prompt=case.task_file.task.system_prompt,
        template=kitchen.chat_template,
        parameters=Parameters(
            num_ctx=case.task_file.serving.num_ctx,
            stops=kitchen.stops,
            num_predict=case.task_file.task.max_new_tokens,
        ),
        licence_text=kitchen.licence_text,
    )
