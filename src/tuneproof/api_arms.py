"""Models behind an API, and replies made elsewhere → arms of the table.

A live endpoint gets the base's budget of prompts on dev, answers the test one call at a time for its latency,
and answers it again for the run-to-run noise. Recorded replies must be replies to exactly our requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tuneproof.answering import Chat, answer_by_api
from tuneproof.arms import repeat_name
from tuneproof.artifacts import Arm, Case, PromptTrial, Reply, Split, SplitRow, canonical_json, sha256_of
from tuneproof.artifacts.endpoints import EndpointSection
from tuneproof.errors import BadInput, NotReady
from tuneproof.export import short_hash
from tuneproof.outside.protocols import Endpoint, Progress, TestRecords
from tuneproof.prompt_search import Dev, log_name, search
from tuneproof.prompt_variants import Variant, chat_maker, form_sentence, variants
from tuneproof.recorded import read_recorded
from tuneproof.request import Request
from tuneproof.scoring import Scorer


class ApiArm(NamedTuple):
    """An endpoint that task.yaml names, or whose replies were recorded."""

    name: str
    section: EndpointSection
    open: Callable[[], Endpoint]
    """Connects; raises NotReady where there is no key."""
    recorded: bytes | None
    """Replies made elsewhere, in our own format."""


class Answered(NamedTuple):
    """What an arm answered."""

    arm: Arm
    replies: dict[str, tuple[Reply, ...]]
    """Name of the arm or of a repeat → replies in the order of the items."""
    trials: tuple[PromptTrial, ...]
    prompt: str
    """Name of the variant that was asked on the test."""


class Questions(NamedTuple):
    """What requests are made of."""

    case: Case
    split: Split
    schema: dict[str, Any] | None
    """JSON Schema of the answer, which APIs are held to as the local engine is."""


class Ask(NamedTuple):
    """What all endpoints of one comparison share."""

    of: Questions
    scorer: Scorer
    records: TestRecords
    plan_digest: str
    progress: Callable[[str], Progress]


def answer_of(ask: Ask, api: ApiArm) -> Answered | str:
    """Measure an endpoint, or take its recorded replies.

    Returns:
        What it answered, or why it was not measured.

    Raises:
        OutsideFailed: the API answers no item at all.
        BadInput: the recorded replies are not replies to our requests.
    """
    if api.recorded is not None:
        return _recorded(ask, api, api.recorded)
    try:
        endpoint = api.open()
    except NotReady as error:
        return error.problem.rstrip(".")
    try:
        return _live(ask, api, endpoint)
    finally:
        endpoint.close()


def requests_for(
    of: Questions, section: EndpointSection, variant: Variant, rows: Sequence[SplitRow]
) -> list[Request]:
    """Write the requests that `rows` become with a prompt variant."""
    chat = chat_for(of.case, of.split, variant, of.schema)
    limit = section.max_output_tokens or of.case.task_file.task.max_new_tokens
    return [
        Request(item_id=row.id, messages=tuple(chat(row.input)), max_tokens=limit, json_schema=of.schema)
        for row in rows
    ]


def chat_for(case: Case, split: Split, variant: Variant, schema: dict[str, Any] | None) -> Chat:
    """Return what turns an input into the chat of a prompt variant; examples come from train alone."""
    return chat_maker(
        variant,
        system_prompt=case.task_file.task.system_prompt,
        train=split.train.pairs,
        form=form_sentence(case.task_file, schema),
    )


def exported(of: Questions, section: EndpointSection) -> tuple[Variant, list[Request]]:
    """Choose the prompt of an arm that is asked elsewhere, and write its requests.

    Without a search on dev the variant is the one that shows most: retrieved examples, unless task.yaml
    names another.

    Raises:
        BadInput: task.yaml names a variant that there is not.
    """
    every = variants(of.case.task_file.comparison.shots)
    named = section.prompt
    if named is not None and named not in {v.name for v in every}:
        raise BadInput(
            f"task.yaml: there is no prompt {named!r}; there are {', '.join(v.name for v in every)}.",
            remedy="Name one of them in `prompt`, or null.",
        )
    chosen = next((v for v in every if v.name == named), None)
    chosen = chosen or next((v for v in every if v.style == "retrieved"), every[-1])
    return chosen, requests_for(of, section, chosen, of.split.test.items)


def _recorded(ask: Ask, api: ApiArm, data: bytes) -> Answered:
    where = f"recorded/{api.name}.jsonl"
    variant, requests = asked_with(ask.of, api.section, data)
    recorded = read_recorded(data, requests, where=where)
    replies = {}
    for repeat, each in enumerate(recorded.replies, 1):
        name = repeat_name(api.name, repeat)
        ask.records.accessed(name, ask.plan_digest)
        log = ask.records.log(name)
        for reply in each:
            log.append(reply)
        replies[name] = each
    by = f" by {recorded.made_by}" if recorded.made_by else ""
    arm = _arm(api, variant, recorded.model, f"recorded replies of {recorded.model}")
    said = f"made elsewhere{by}, {recorded.made_at[:10]}"
    return Answered(arm.model_copy(update={"recorded": said}), replies, (), variant.name)


def asked_with(of: Questions, section: EndpointSection, data: bytes) -> tuple[Variant, list[Request]]:
    """Find the requests that recorded replies answer, by the hash that each of them carries.

    Returns:
        Those of the variant that is found; of none, those of an export, so that the difference can be said.
    """
    for variant in variants(of.case.task_file.comparison.shots):
        requests = requests_for(of, section, variant, of.split.test.items)
        if any(short_hash(request.sha256).encode() in data for request in requests):
            return variant, requests
    return exported(of, section)


def _live(ask: Ask, api: ApiArm, endpoint: Endpoint) -> Answered:
    section, comparison = api.section, ask.of.case.task_file.comparison
    rows = ask.of.split.dev.pairs[: comparison.shots_dev_items]

    def answer(variant: Variant, _constrained: bool, some: Sequence[SplitRow]) -> tuple[Reply, ...]:
        return answer_by_api(
            requests_for(ask.of, section, variant, some),
            endpoint,
            ask.records.log(log_name(api.name, variant), _key(section), paid=True),
            calls=section.concurrency,
            progress=ask.progress(f"{api.name}, {variant.name}, on dev"),
        )

    trials: tuple[PromptTrial, ...] = ()
    if section.prompt is None:
        found = search(
            Dev(api.name, rows, comparison.shots, ask.scorer, answer, lambda _: True), constrained=False
        )
        trials, chosen = found.trials, found.free
    else:
        chosen, _ = exported(ask.of, section)
    requests = requests_for(ask.of, section, chosen, ask.of.split.test.items)
    replies = _repeats(ask, api, endpoint, requests)
    model = _shown(next((r.model for r in replies[api.name] if r.model), section.model))
    note = " ".join((_asked_on(replies), *endpoint.notes))
    arm = _arm(api, chosen, model, endpoint.name).model_copy(update={"note": note})
    return Answered(arm, replies, trials, chosen.name)


def _shown(model: str) -> str:
    """Return a model's id without the folder of its file: llama-server answers with a path of its machine."""
    return re.split(r"[/\\]", model)[-1] if model.lower().endswith(".gguf") else model


def _asked_on(replies: Mapping[str, Sequence[Reply]]) -> str:
    """Say on which days an API was asked: kept replies may be older than the comparison."""
    days = sorted(reply.at[:10] for each in replies.values() for reply in each if reply.at)
    if not days:
        return ""
    return f"asked {days[0]}." if days[0] == days[-1] else f"asked {days[0]} to {days[-1]}."


def _repeats(
    ask: Ask, api: ApiArm, endpoint: Endpoint, requests: Sequence[Request]
) -> dict[str, tuple[Reply, ...]]:
    replies = {}
    for repeat in range(1, api.section.repeats + 1):
        name = repeat_name(api.name, repeat)
        ask.records.accessed(name, ask.plan_digest)
        replies[name] = answer_by_api(
            requests,
            endpoint,
            ask.records.log(name, _key(api.section), paid=True),
            calls=1 if repeat == 1 else api.section.concurrency,
            progress=ask.progress(f"{api.name}, repeat {repeat} of {api.section.repeats}"),
        )
    return replies


def _key(section: EndpointSection) -> str:
    """What decides an API's replies beside the request itself, which every stored reply carries."""
    named = ("model", "provider", "base_url", "temperature", "reasoning_effort")
    return sha256_of(canonical_json({name: getattr(section, name) for name in named}))


def _arm(api: ApiArm, variant: Variant, model: str, engine: str) -> Arm:
    return Arm(
        name=api.name,
        title=f"frontier, {model}" if api.name == "frontier" else f"{api.name}, {model}",
        kind="frontier" if api.name == "frontier" else "endpoint",
        engine=engine,
        shots=variant.shots,
        prompt=variant.name,
        model=model,
    )


def api_arms(
    case: Case,
    connect: Callable[[EndpointSection], Endpoint],
    recorded: Mapping[str, bytes],
) -> list[ApiArm]:
    """List the endpoints of task.yaml and the arms whose replies were recorded, the frontier first.

    Args:
        case: the settings.
        connect: opens an endpoint.
        recorded: arm → replies made elsewhere.

    Raises:
        BadInput: replies were recorded for an arm that task.yaml does not know.
    """
    section = case.task_file.comparison
    named: dict[str, EndpointSection] = {each.name: each for each in section.endpoints}
    if section.frontier is not None:
        named = {"frontier": section.frontier, **named}
    elif "frontier" in recorded:
        named = {"frontier": EndpointSection(model="as recorded"), **named}
    if unknown := sorted(set(recorded) - set(named)):
        raise BadInput(
            f"recorded/{unknown[0]}.jsonl: task.yaml has no endpoint {unknown[0]!r}.",
            remedy="Add it to comparison.endpoints in task.yaml, or delete that file.",
        )
    return [
        ApiArm(name, each, lambda each=each: connect(each), recorded.get(name))  # type: ignore[misc]
        for name, each in named.items()
    ]
