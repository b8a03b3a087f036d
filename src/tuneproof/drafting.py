"""Inputs × a teacher → drafted pairs, each with its record; asks, checks the form, asks once more."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from tuneproof.artifacts import DraftRow, LeftOut, Pair, Reply
from tuneproof.errors import NotReady
from tuneproof.outside.protocols import Progress
from tuneproof.request import Request
from tuneproof.spend import SpendCapReached
from tuneproof.teacher_prompt import Input, TeacherPrompt, repair

NOT_BEFORE_THE_CAP = "not drafted: the spend cap was reached"
"""Why inputs were left out that the money did not reach."""
UNUSABLE = "the teacher gave no usable reply"
HOPELESS = 20
"""First inputs of which at least one must give a draft in the form of an answer: the rest costs money too."""
_FENCE = "```"
_LANGUAGE = re.compile(r"[\w+-]*")
_TOKEN_OR_SPACE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[ \t\r\n]+')
_NO_TEXT = re.compile("[\ud800-\udfff\0]")


class Cost(NamedTuple):
    """What calls cost, as the ledger has it."""

    usd: float
    calls: int


class Teacher(NamedTuple):
    """How the teacher is asked; `ask` and `kept` are called from several threads."""

    model: str
    """Id for the record where a reply names none."""
    ask: Callable[[Request], Reply]
    """Asks and pays; raises `SpendCapReached` where one more call could pass the cap."""
    kept: Callable[[Request], Reply | None]
    """A reply that an earlier run paid for."""
    costs: Callable[[], Mapping[str, Cost]]
    """Hash of a request → what all calls with it cost so far."""
    progress: Progress
    standing: Callable[[bool], str]
    """What is spent and what is left of the cap, for the progress line; True: as it is now."""
    stopping: Callable[[int], None]
    """Told after Ctrl-C how many calls are waited for."""
    calls: int = 1
    """Calls at once."""
    again: bool = False
    """Whether replies that were empty or cut are asked for once more."""


class Rules(NamedTuple):
    """What counts as a draft that can go on."""

    problem_of: Callable[[str], str]
    """Says why the metric cannot accept an output; "" if it can."""
    compact_json: bool = False
    """Outputs are JSON: written without spaces, as imported ones are."""


class Drafted(NamedTuple):
    """What the teacher made of the inputs."""

    pairs: tuple[Pair, ...]
    """In the order of the inputs."""
    rows: tuple[DraftRow, ...]
    """One a pair, in the same order."""
    left_out: tuple[LeftOut, ...]
    """Inputs without a usable reply."""
    not_reached: int
    """Inputs that were not drafted before the spend cap was reached."""
    cap: SpendCapReached | None
    """What the ledger said then."""


class _Draft(NamedTuple):
    pair: Pair
    asked: tuple[Request, ...]
    replies: tuple[Reply, ...]
    """One a request."""
    best: int
    """Place of the reply that is the draft."""
    problem: str


def draft_all(inputs: Sequence[Input], prompt: TeacherPrompt, teacher: Teacher, rules: Rules) -> Drafted:
    """Draft an output for every input, several at once.

    Replies of earlier runs are taken from the ledger. At the cap no further call begins, what is on its way
    is waited for, and all drafts that are paid for are returned.

    Args:
        inputs: in the order in which they are asked: at the cap the rest is missing.
        prompt: what the teacher is told.
        teacher: how it is asked.
        rules: what a draft must be.

    Raises:
        OutsideFailed: the API answers nothing at all; what was paid for is in the ledger.
        NotReady: none of the first drafts has the form of an answer.
    """
    made: dict[int, _Draft | LeftOut] = {}
    queue = deque(range(len(inputs)))
    running: dict[Future[_Draft | LeftOut], int] = {}
    cap: SpendCapReached | None = None
    room = teacher.calls
    with ThreadPoolExecutor(teacher.calls) as pool:
        try:
            while queue or running:
                who = teacher if cap is None else teacher._replace(ask=_refuses(cap))
                while queue and len(running) < room:
                    place = queue.popleft()
                    running[pool.submit(_draft, inputs[place], prompt, who, rules)] = place
                room = teacher.calls
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    place = running.pop(done)
                    try:
                        made[place] = done.result()
                    except SpendCapReached as reached:
                        if reached.final:
                            cap = cap or reached
                        else:
                            # It may fit once calls on their way came cheaper than their worst case.
                            queue.appendleft(place)
                            room = max(1, len(running))
                _told(made, len(inputs), teacher, last=not (queue or running))
        except KeyboardInterrupt:
            teacher.stopping(_cancelled(running))
            raise
        finally:  # after an error or Ctrl-C, what was not begun must not be paid for
            _cancelled(running)
    return _sorted(made, inputs, teacher, cap)


def _told(made: Mapping[int, _Draft | LeftOut], wanted: int, teacher: Teacher, *, last: bool) -> None:
    _check_hopeful(made)
    teacher.progress.update(len(made), wanted, f"drafts, {teacher.standing(last)}")


def _check_hopeful(made: Mapping[int, _Draft | LeftOut]) -> None:
    """Stop where a setting, and not an input, must be what is wrong."""
    if len(made) < HOPELESS or any(isinstance(each, _Draft) and not each.problem for each in made.values()):
        return
    first = made[min(made)]
    what = f"{first.pair.output!r:.200}: {first.problem}" if isinstance(first, _Draft) else first.reason
    raise NotReady(
        f"None of the first {len(made)} drafts has the form of an answer, so drafting stopped. The first: "
        f"{what}",
        remedy="Compare task.system_prompt, drafting.conventions, the examples and the metric with what the "
        "teacher answers; a changed prompt needs drafting.version + 1. What was paid for is kept.",
    )


def _cancelled(running: Iterable[Future[_Draft | LeftOut]]) -> int:
    """Cancel what was not begun, and return how many calls are on their way."""
    return sum(not each.done() for each in running if not each.cancel())


def _refuses(cap: SpendCapReached) -> Callable[[Request], Reply]:
    def ask(_: Request) -> Reply:
        raise cap

    return ask


def _sorted(
    made: Mapping[int, _Draft | LeftOut],
    inputs: Sequence[Input],
    teacher: Teacher,
    cap: SpendCapReached | None,
) -> Drafted:
    in_order = [made[place] for place in sorted(made)]
    drafts = [each for each in in_order if isinstance(each, _Draft)]
    costs = teacher.costs()
    return Drafted(
        pairs=tuple(each.pair for each in drafts),
        rows=tuple(_row(each, teacher.model, costs) for each in drafts),
        left_out=tuple(each for each in in_order if isinstance(each, LeftOut)),
        not_reached=len(inputs) - len(made),
        cap=cap,
    )


def _draft(each: Input, prompt: TeacherPrompt, teacher: Teacher, rules: Rules) -> _Draft | LeftOut:
    if f"</{prompt.tag}>" in each.text:
        return LeftOut(place=each.source, reason=f"{UNUSABLE}: the input holds the mark that fences it in")
    request = prompt.request(each)
    reply = _reply(request, teacher)
    if unusable := _unusable(reply, prompt.max_tokens):
        return LeftOut(place=each.source, reason=unusable)
    output = tidied(reply.text, rules)
    pair = Pair(id=each.id, input=each.text, output=output, source=each.source, group=each.group)
    problem = _problem(output, reply, prompt.max_tokens, rules)
    draft = _Draft(pair, (request,), (reply,), 0, problem)
    return _mended(draft, prompt.max_tokens, teacher, rules) if problem else draft


def _mended(draft: _Draft, limit: int, teacher: Teacher, rules: Rules) -> _Draft:
    """Ask once more; a second reply that is no output leaves the first one, with its problem."""
    again = repair(draft.asked[0], draft.replies[0], draft.problem)
    try:
        reply = _reply(again, teacher)
    except SpendCapReached as reached:
        if reached.final:
            return draft  # it is paid for: the reviewer can mend it
        raise
    both = draft._replace(asked=(*draft.asked, again), replies=(*draft.replies, reply))
    if _unusable(reply, limit):
        return both
    output = tidied(reply.text, rules)
    pair = draft.pair.model_copy(update={"output": output})
    return both._replace(pair=pair, best=1, problem=_problem(output, reply, limit, rules))


def _reply(request: Request, teacher: Teacher) -> Reply:
    kept = teacher.kept(request)
    # A call that failed brought nothing: it is worth another try.
    if kept is None or kept.finish == "failed":
        return teacher.ask(request)
    if not (teacher.again and is_worth_asking_again(kept)):
        return kept
    try:
        reply = teacher.ask(request)
    except SpendCapReached as reached:
        if reached.final:
            return kept
        raise
    return kept if reply.finish == "failed" else reply


def is_worth_asking_again(reply: Reply) -> bool:
    """Whether a paid reply was empty or cut: another call may bring more. A refusal is an answer."""
    if reply.finish == "length":
        return not reply.error  # with one, the input is too long, and stays it
    return reply.finish == "stop" and not reply.text.strip()


def _unusable(reply: Reply, limit: int) -> str:
    """Say why a reply is no output at all; empty if it is one."""
    error = f": {' '.join(reply.error.split())[:200]}" if reply.error else ""
    if reply.finish == "failed":
        return f"the teacher did not answer after {reply.attempts} calls{error}"
    if reply.finish == "refused":
        return f"the teacher refused{error or ': ' + repr(reply.text[:120])}"
    if not reply.text.strip():
        if reply.finish == "length" and reply.error:
            return f"the teacher cannot take an input of this length{error}"
        cut = f" before the limit of {limit:,} tokens" if reply.finish == "length" else ""
        return f"the teacher's reply is empty{cut}"
    return f"{UNUSABLE}: it holds what is no text" if _NO_TEXT.search(reply.text) else ""


def tidied(text: str, rules: Rules) -> str:
    """Take off what is no part of an output: white space and a code fence around it.

    With `compact_json` an object or list is written without spaces, its keys in their own order and its
    numbers as the teacher wrote them.
    """
    text = _without_fence(text.replace("\r\n", "\n").strip())
    if not rules.compact_json:
        return text
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, (dict, list)):
        return text
    return _TOKEN_OR_SPACE.sub(_compact, text)


def _without_fence(text: str) -> str:
    """Take off a code fence around the whole text; where more fences stand inside, none is taken off."""
    head, _, rest = text.partition("\n")
    if not (head.startswith(_FENCE) and rest.endswith(_FENCE)):
        return text
    inside = rest.removesuffix(_FENCE)
    if _FENCE in inside or not _LANGUAGE.fullmatch(head.removeprefix(_FENCE).rstrip()):
        return text
    return inside.strip() or text


def _compact(found: re.Match[str]) -> str:
    """Drop white space between tokens; write a string's letters as letters, as imported JSON has them."""
    token = found[0]
    if not token.startswith('"'):
        return ""
    written = json.dumps(json.loads(token), ensure_ascii=False)
    # Half of a surrogate pair can be escaped in JSON, and is no text.
    return token if _NO_TEXT.search(written) else written


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(members)) < len(members):
        raise ValueError("a key occurs twice: which one counts is for a person to say")
    return dict(members)


def _no_constant(name: str) -> None:
    raise ValueError(f"no JSON: {name}")


def _problem(output: str, reply: Reply, limit: int, rules: Rules) -> str:
    if reply.finish == "length":
        return f"was cut at the limit of {limit:,} tokens"
    return rules.problem_of(output)


def _row(draft: _Draft, model: str, costs: Mapping[str, Cost]) -> DraftRow:
    paid = [costs.get(request.sha256, Cost(0.0, 0)) for request in draft.asked]
    reply = draft.replies[draft.best]
    model = reply.model or model
    if model.lower().endswith(".gguf"):  # llama-server answers with a path of its machine
        model = re.split(r"[/\\]", model)[-1]
    return DraftRow(
        id=draft.pair.id,
        model=model,
        at=reply.at,
        prompt_sha256=draft.asked[draft.best].sha256,
        prompt_tokens=sum(each.prompt_tokens for each in draft.replies),
        output_tokens=sum(each.output_tokens for each in draft.replies),
        usd=sum(cost.usd for cost in paid),
        calls=sum(cost.calls for cost in paid),
        repaired=len(draft.asked) > 1,
        problem=draft.problem,
    )
