"""`draft` with a teacher: what must be there before money is spent, and then the drafts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tuneproof.artifacts import Case, Drafts, EndpointSection, LeftOut, Pair, PriceUsed, Provenance, TaskFile
from tuneproof.commands_terms import LEDGER, PURPOSE, spent_line, terms_of
from tuneproof.console import Tell
from tuneproof.diversity import choose
from tuneproof.draft_locks import keep_drafting_lock, lock_of, read_examples
from tuneproof.drafting import (
    NOT_BEFORE_THE_CAP,
    Drafted,
    Rules,
    Teacher,
    draft_all,
    is_worth_asking_again,
)
from tuneproof.errors import BadInput, NotReady
from tuneproof.making import Bench, Outside
from tuneproof.outside.machine import seconds
from tuneproof.outside.prices import FRONTIER_KEY
from tuneproof.outside.protocols import Endpoint
from tuneproof.outside.readers import kind_of
from tuneproof.outside.readers.input_kinds import inputs_digest
from tuneproof.outside.readers.inputs import REPEATS, Inputs, read_inputs
from tuneproof.outside.spend import SpendLedger
from tuneproof.outside.spend_costs import costs_by_request
from tuneproof.prompt_variants import form_sentence
from tuneproof.request import Request
from tuneproof.spend import Spent, usd, usd_words, worst_case
from tuneproof.steps.draft import BEYOND, refuse_bad_rows
from tuneproof.teacher_prompt import Input, TeacherPrompt, folded_input, teacher_prompt
from tuneproof.teacher_terms import Acknowledged, address_of_teacher, host_of_teacher
from tuneproof.workspace import Workspace

AN_EXAMPLE = "is an input of the examples"
_OWN_KEY = "drafting.teacher.price"
_STANDING_EVERY_S = 0.5

Connect = Callable[[EndpointSection, SpendLedger], Endpoint]
"""Opens the teacher; every call is reserved and settled in the ledger."""


class Asking(NamedTuple):
    """How the teacher is reached, and what is asked for that was answered before."""

    connect: Connect
    """Opens the teacher."""
    again: bool = False
    """Whether replies that were empty or cut are asked for once more."""


class _Ready(NamedTuple):
    """What may be spent, on whom, and on whose word."""

    teacher: EndpointSection
    price: PriceUsed
    cap_usd: float
    terms: Acknowledged


def metered(section: EndpointSection, ledger: SpendLedger) -> Endpoint:
    """Open a model behind an API whose every call goes through the ledger."""
    from tuneproof.outside.endpoints import endpoint_for  # here and not above: it loads a client library

    return endpoint_for(section, meter=ledger)


ASK = Asking(metered)


def draft_pairs(
    workspace: Workspace, outside: Outside, case: Case, bench: Bench, tell: Tell, asking: Asking = ASK
) -> Drafts:
    """Draft outputs for the chosen inputs, or read back those that were paid for.

    Whatever can be known to fail is checked before the first call.

    Args:
        workspace: the project.
        outside: knows prices.
        case: names teacher, inputs, examples and cap.
        bench: knows the metric.
        tell: where a person reads about it.
        asking: how the teacher is reached.

    Raises:
        NotReady: no cap, no price, terms not acknowledged, fewer than 20 examples, or not one draft could be
            paid for.
        BadInput: inputs or examples are wrong.
        LockBroken: what the teacher is told has changed since the first draft.
        OutsideFailed: the teacher answers nothing; what was paid for is kept.
    """
    task_file = case.task_file
    ready = _ready(workspace, outside, task_file)
    examples = read_examples(task_file, workspace.root, bench.problem_of)
    found = read_inputs(task_file.data, task_file.drafting, workspace.root)
    refuse_bad_rows(found.left_out, task_file.data)
    choice = _chosen(found, examples, task_file)
    prompt = _prompt(bench, task_file, ready, examples)
    path = workspace.root / LEDGER
    keep_drafting_lock(workspace, lock_of(task_file, examples, bench.files()), path, PURPOSE)
    ledger = SpendLedger(
        path, cap_usd=ready.cap_usd, price=ready.price.price, model=asked_as(ready.teacher), purpose=PURPOSE
    )
    try:
        requests = [prompt.request(each) for each in choice.inputs]
        _tell_plan(
            tell, (*found.notes, f"chosen: {choice.said}"), ready, _Plan(requests, ledger, asking.again)
        )
        endpoint = asking.connect(ready.teacher, ledger)
        try:
            teacher = _teacher(ready.teacher, endpoint, ledger, path, tell)._replace(again=asking.again)
            drafted = draft_all(choice.inputs, prompt, teacher, Rules(bench.problem_of, _is_json(task_file)))
        finally:
            endpoint.close()
            ledger.note(endpoint.notes)
        _tell_end(tell, drafted, ledger.standing(), ledger.notes())
    finally:
        ledger.close()
    return _drafts(workspace, task_file, ready, found, drafted, choice)


def _ready(workspace: Workspace, outside: Outside, task_file: TaskFile) -> _Ready:
    """Collect what must be there before money is spent; all that is missing is named at once."""
    drafting = task_file.drafting
    teacher = drafting.teacher
    if teacher is None:
        raise NotReady(
            "task.yaml names no teacher.", remedy="Set drafting.teacher, or give pairs with outputs."
        )
    problems: list[tuple[str, str]] = []
    if drafting.cap_usd is None:
        problems.append(("drafting.cap_usd is null: nothing says how much drafting may cost.",
                         "Set drafting.cap_usd to the most that you will pay, in US dollars."))  # fmt: skip
    price = outside.price_of(teacher)
    if isinstance(price, str):
        problems.append((f"The teacher's price is not known: {price.replace(FRONTIER_KEY, _OWN_KEY)}",
                         f"Set {_OWN_KEY}: {{input_mtok: …, output_mtok: …}}, in US dollars for a million "
                         "tokens; for a server of your own 0 and 0 are an answer."))  # fmt: skip
    terms = terms_of(workspace, teacher, drafting.terms_url)
    if not isinstance(terms, Acknowledged):
        problems.append(terms)
    if drafting.cap_usd is None or isinstance(price, str) or not isinstance(terms, Acknowledged):
        raise NotReady(
            "\n".join(problem for problem, _ in problems), remedy="\n  → ".join(way for _, way in problems)
        )
    return _Ready(teacher, price, drafting.cap_usd, terms)


def asked_as(teacher: EndpointSection) -> str:
    """Name what decides a reply beside the request: an equal request to another server is another one.

    It is what was asked for; what the API refused of it is in the ledger's notes.
    """
    named = f"{teacher.model} at {address_of_teacher(teacher)} ({teacher.provider})"
    heat = "no temperature" if teacher.temperature is None else f"temperature {teacher.temperature}"
    effort = f", effort {teacher.reasoning_effort}" if teacher.reasoning_effort else ""
    return f"{named}, asked for {heat}{effort}"


def _is_json(task_file: TaskFile) -> bool:
    return task_file.task.metric == "json fields"


class _Choice(NamedTuple):
    """The inputs to draft for, and why others are not."""

    inputs: tuple[Input, ...]
    """In the order in which they are asked."""
    said: str
    """How they were chosen."""
    left_out: tuple[LeftOut, ...]
    """Named one by one."""
    counted: Counter[str]
    """Reason → how many more."""


def _chosen(found: Inputs, examples: Sequence[Pair], task_file: TaskFile) -> _Choice:
    drafting = task_file.drafting
    # A person's answer to it is in every prompt: a draft would copy it.
    shown = {folded_input(example.input): example.source for example in examples}
    free = [each for each in found.inputs if folded_input(each.text) not in shown]
    if not free:
        raise BadInput(
            f"{task_file.data.source}: no input is left to draft for.",
            remedy="Name a file with more of them.",
        )
    order = choose([each.text for each in free], drafting.count, drafting.seed)
    of_examples = [
        LeftOut(place=each.source, reason=f"{AN_EXAMPLE}: {where}")
        for each in found.inputs
        if (where := shown.get(folded_input(each.text)))
    ]
    counts = {REPEATS: found.repeats - len(found.repeated), BEYOND: len(free) - len(order)}
    how = f"so that they differ, seed {drafting.seed}" if len(order) < len(free) else "all of them"
    return _Choice(
        inputs=tuple(free[place] for place in order),
        said=f"{len(order):,} of {len(free):,} inputs, {how}",
        left_out=(*found.repeated, *of_examples),
        counted=Counter({why: n for why, n in counts.items() if n}),
    )


def _prompt(bench: Bench, task_file: TaskFile, ready: _Ready, examples: Sequence[Pair]) -> TeacherPrompt:
    schema = bench.scorer().options.schema
    return teacher_prompt(
        system_prompt=task_file.task.system_prompt,
        conventions=task_file.drafting.conventions,
        form=form_sentence(task_file, schema),
        examples=[(example.input, example.output) for example in examples],
        max_tokens=ready.teacher.max_output_tokens or task_file.task.max_new_tokens,
        json_schema=schema,
    )


def _teacher(
    section: EndpointSection, endpoint: Endpoint, ledger: SpendLedger, path: Path, tell: Tell
) -> Teacher:
    name = asked_as(section)
    return Teacher(
        model=section.model,
        ask=endpoint.ask,
        kept=ledger.kept,
        costs=lambda: costs_by_request(path, purpose=PURPOSE, model=name),
        progress=tell.progress("draft"),
        standing=_Standing(ledger),
        stopping=lambda calls: _tell_stop(tell, calls),
        calls=section.concurrency,
    )


class _Standing:
    """What is spent, read from the ledger now and then: every reading adds up all calls."""

    def __init__(self, ledger: SpendLedger) -> None:
        self._ledger, self._text, self._read_at = ledger, "", float("-inf")

    def __call__(self, now: bool) -> str:
        if now or seconds() - self._read_at > _STANDING_EVERY_S:
            spent, self._read_at = self._ledger.standing(), seconds()
            held = f", up to {usd_words(spent.unsettled_usd)} held" if spent.unsettled else ""
            self._text = f"{usd_words(spent.settled_usd)} spent{held}, {usd_words(spent.left_usd)} to the cap"
        return self._text


def _tell_stop(tell: Tell, calls: int) -> None:
    if calls:
        tell.note(
            f"\n  Stopping: no call begins any more; {calls:,} on their way are waited for and kept. Ctrl-C "
            "once more leaves them: each then counts at its worst case, and is asked again by the next run.",
            style="yellow",
        )


class _Plan(NamedTuple):
    requests: Sequence[Request]
    ledger: SpendLedger
    again: bool

    def new(self) -> list[Request]:
        """Return the requests that will be sent: no earlier run has paid for their reply."""
        kept = ((request, self.ledger.kept(request)) for request in self.requests)
        return [
            request
            for request, reply in kept
            if reply is None or (self.again and is_worth_asking_again(reply))
        ]


def _tell_plan(tell: Tell, notes: Sequence[str], ready: _Ready, plan: _Plan) -> None:
    new = plan.new()
    most = usd(sum(worst_case(request, ready.price.price) for request in new))
    for note in notes:
        tell.note(f"  {note}")
    tell.note(
        f"  teacher: {ready.teacher.model} at {address_of_teacher(ready.teacher)}, price from "
        f"{ready.price.source}"
    )
    before = f"{paid:,} replies were paid for before" if (paid := len(plan.requests) - len(new)) else ""
    most_words = f"{len(new):,} calls, at most {usd_words(most)} (worst case, without repairs and retries)"
    tell.note(f"  to ask: {'; '.join(filter(None, (most_words if new else 'nothing', before)))}")
    tell.note(f"  so far: {spent_line(plan.ledger.standing())}")


def _tell_end(tell: Tell, drafted: Drafted, spent: Spent, notes: Sequence[str]) -> None:
    done, repaired = len(drafted.pairs), sum(row.repaired for row in drafted.rows)
    problems = sum(bool(row.problem) for row in drafted.rows)
    tell.note(
        f"  {done:,} drafted, {repaired:,} asked twice, {problems:,} still not in the form of an answer, "
        f"{len(drafted.left_out):,} without a reply; {spent_line(spent)}"
    )
    for note in notes:
        tell.note(f"  The API does not take all that is asked: {note}", style="yellow")
    if spent.warning:
        tell.note(f"  {spent.warning}", style="yellow")
    if any("did not answer" in row.reason for row in drafted.left_out):
        tell.note("  Those without a reply are asked for again by: tuneproof draft --again", style="yellow")
    if drafted.cap is None:
        return
    if not done:
        raise NotReady(
            f"Not one draft could be paid for. {drafted.cap.problem}",
            remedy="Raise drafting.cap_usd in task.yaml, or lower task.max_new_tokens; then run it again.",
        )
    tell.note(
        f"  The cap of {usd_words(spent.cap_usd)} is reached: {done:,} inputs are drafted, "
        f"{drafted.not_reached:,} are not. To go on, raise drafting.cap_usd in task.yaml and run the "
        "same command again: nothing is asked twice. Or take what there is: tuneproof review",
        style="yellow",
    )


def _drafts(
    workspace: Workspace,
    task_file: TaskFile,
    ready: _Ready,
    found: Inputs,
    drafted: Drafted,
    choice: _Choice,
) -> Drafts:
    """Put pairs and their records into the order of the source."""
    place = {each.id: number for number, each in enumerate(found.inputs)}
    rejected = (*found.left_out, *choice.left_out, *drafted.left_out)
    counts = choice.counted + Counter(kind_of(row.reason) for row in rejected)
    if drafted.not_reached:
        counts[NOT_BEFORE_THE_CAP] = drafted.not_reached
    data = task_file.data
    return Drafts(
        provenance=Provenance(
            kind="drafted",
            source=Path(data.source).name,
            source_version=inputs_digest(data, task_file.drafting, workspace.root)[: len("sha256:") + 12],
            licence=data.licence,
            attribution=data.attribution,
            teacher=f"{ready.teacher.model} at {host_of_teacher(ready.teacher)}",
            terms_url=ready.terms.url,
            terms_accepted_at=f"{ready.terms.at} by {ready.terms.by}",
            chosen=choice.said if choice.counted[BEYOND] else "",
        ),
        pairs=tuple(sorted(drafted.pairs, key=lambda pair: place[pair.id])),
        left_out=dict(counts),
        rejected=rejected,
        rows=tuple(sorted(drafted.rows, key=lambda row: place[row.id])),
    )
