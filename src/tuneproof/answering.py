"""Rows × a way to answer → stored replies: one by one, in batches, in turns with other arms, or by an API."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Lock
from typing import NamedTuple

from tuneproof.artifacts import Reply, SplitRow, canonical_json, sha256_of
from tuneproof.constraint import Constraint
from tuneproof.outside.machine import seconds
from tuneproof.outside.protocols import Answer, BatchModel, Endpoint, Progress, ReplyLog, Runtime
from tuneproof.prompt import Message
from tuneproof.request import Request

WARM_UP = 5
"""Calls before the clock counts: the first ones fill caches."""
_BATCH = 8
Chat = Callable[[str], list[Message]]


class Asker(NamedTuple):
    """One local arm, ready to answer."""

    runtime: Runtime
    chat: Chat
    """Input text → chat."""
    log: ReplyLog
    limit: int
    """Most new tokens a reply."""
    constraint: Constraint | None = None
    only: frozenset[str] | None = None
    """Ids of the rows it answers; None means all of them."""
    session: str = ""
    """When its session began, UTC; stored with every reply."""
    timed: bool = True
    """False: its prompt may be cached by the arm before it, so a time would say nothing."""

    def ask(self, row: SplitRow) -> Reply:
        """Answer one row, timed at the client."""
        began = seconds()
        answer = self.runtime.ask(self.chat(row.input), max_new_tokens=self.limit, constraint=self.constraint)
        if not self.timed:
            return _reply(row, answer._replace(first_ms=None), ms=None, session=self.session)
        return _reply(row, answer, ms=round((seconds() - began) * 1000, 3), session=self.session)


def asked_key(
    engine: str, model: str, chats: Sequence[list[Message]], limit: int, held: Constraint | None
) -> str:
    """Digest of everything that decides the replies of a local arm, by which stored ones are found again.

    Args:
        engine: name and version.
        model: digest of the weights that answer.
        chats: all of them, in order.
        limit: most new tokens a reply.
        held: what constrains the replies.
    """
    content = {
        "engine": engine,
        "model": model,
        "chats": sha256_of(canonical_json(chats)),
        "limit": limit,
        "held": None if held is None else held._asdict(),
    }
    return sha256_of(canonical_json(content))


def answer_one_by_one(
    rows: Sequence[SplitRow], asker: Asker, progress: Progress, *, warm_up: Sequence[SplitRow] = ()
) -> tuple[Reply, ...]:
    """Ask for every row that the log lacks, one call at a time, and store each reply at once."""
    return answer_in_turns(rows, [asker], progress, seed=None, warm_up=warm_up)[0]


def answer_in_turns(
    rows: Sequence[SplitRow],
    askers: Sequence[Asker],
    progress: Progress,
    *,
    seed: int | None,
    warm_up: Sequence[SplitRow] = (),
) -> list[tuple[Reply, ...]]:
    """Ask several arms item by item, so that all of them see the same machine.

    Args:
        rows: what to answer.
        askers: the arms; timed ones have a runtime each, or one would find the other's prompts cached.
        progress: told after every row.
        seed: of the random order of the rows and of the arms at each row; None keeps the given order.
        warm_up: rows to ask before the clock counts, better none of `rows`: a prompt that was asked just
            now is cached. Without them the first of `rows`.

    Returns:
        Each arm's replies, in the order of `rows`; replies of an interrupted run are taken from its log.
    """
    order = list(rows)
    chance = random.Random(seed)
    if seed is not None:
        chance.shuffle(order)
    known = [asker.log.replies() for asker in askers]
    _warm_up(order, askers, known, warm_up or order)
    for number, row in enumerate(order, 1):
        turns = [i for i, asker in enumerate(askers) if asker.only is None or row.id in asker.only]
        if seed is not None:
            chance.shuffle(turns)
        for turn in turns:
            if row.id not in known[turn]:
                known[turn][row.id] = askers[turn].ask(row)
                askers[turn].log.append(known[turn][row.id])
        progress.update(number, len(order), "items")
    return [tuple(found[row.id] for row in rows if row.id in found) for found in known]


def _warm_up(
    rows: Sequence[SplitRow],
    askers: Sequence[Asker],
    known: Sequence[dict[str, Reply]],
    asked: Sequence[SplitRow],
) -> None:
    for asker, found in zip(askers, known, strict=True):
        if any(row.id not in found for row in rows if asker.only is None or row.id in asker.only):
            for row in asked[:WARM_UP]:
                asker.ask(row)


def answer_at_once(
    rows: Sequence[SplitRow],
    asker: Asker,
    progress: Progress,
    *,
    calls: int,
    warm_up: Sequence[SplitRow] = (),
) -> tuple[tuple[Reply, ...], float]:
    """Keep `calls` calls running until every row is answered; the log is not read, only written.

    Returns:
        The replies in the order of `rows`, and how long all of them took, in seconds.
    """
    _warm_up(rows, [asker], [{}], warm_up or rows)
    began = seconds()
    replies = []
    with ThreadPoolExecutor(calls) as pool:
        try:
            for number, reply in enumerate(pool.map(asker.ask, rows), 1):
                replies.append(reply)
                progress.update(number, len(rows), "items")
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C nobody waits for what was not begun
    took = seconds() - began
    for reply in replies:
        asker.log.append(reply)
    return tuple(replies), round(took, 3)


def answer_in_batches(
    rows: Sequence[SplitRow],
    model: BatchModel,
    chat: Chat,
    log: ReplyLog,
    *,
    limit: int,
    progress: Progress,
) -> tuple[Reply, ...]:
    """Like `answer_one_by_one`, but several rows of like length a call; such replies have no own time."""
    known = log.replies()
    open_rows = sorted((row for row in rows if row.id not in known), key=lambda row: (len(row.input), row.id))
    for start in range(0, len(open_rows), _BATCH):
        batch = open_rows[start : start + _BATCH]
        answers = model.answer([chat(row.input) for row in batch], max_new_tokens=limit)
        for row, answer in zip(batch, answers, strict=True):
            known[row.id] = _reply(row, answer, ms=None)
            log.append(known[row.id])
        progress.update(len(known), len(rows), "items")
    return tuple(known[row.id] for row in rows)


def answer_by_api(
    requests: Sequence[Request],
    endpoint: Endpoint,
    log: ReplyLog,
    *,
    calls: int,
    progress: Progress,
) -> tuple[Reply, ...]:
    """Ask an API for every request that the log lacks; each reply is stored before it is counted.

    A reply that failed after all retries is asked for again when the command is run again.

    Args:
        requests: one a row.
        endpoint: the API.
        log: replies of an interrupted run, if their request was the same one.
        calls: calls at once; 1 where the times are to count.
        progress: told after every reply.

    Raises:
        OutsideFailed: no item can be answered: the key, the model's name, a spend limit.
    """
    wanted = {request.item_id: request.sha256 for request in requests}
    known = {
        item: reply
        for item, reply in log.replies().items()
        if reply.finish != "failed" and reply.prompt_sha256 and reply.prompt_sha256 == wanted.get(item)
    }
    one_writer = Lock()

    def ask(request: Request) -> Reply:
        reply = endpoint.ask(request)
        with one_writer:  # here, not where it is counted: a reply that comes beside an error is paid for too
            log.append(reply)
        return reply

    with ThreadPoolExecutor(calls) as pool:
        asked = [pool.submit(ask, request) for request in requests if request.item_id not in known]
        try:
            for answered in as_completed(asked):
                reply = answered.result()
                known[reply.item_id] = reply
                progress.update(len(known), len(requests), "items")
        finally:  # after an error or Ctrl-C, what was not begun must not be paid for
            for each in asked:
                each.cancel()
    return tuple(known[request.item_id] for request in requests)


def _reply(row: SplitRow, answer: Answer, *, ms: float | None, session: str = "") -> Reply:
    return Reply(
        item_id=row.id,
        text=answer.text,
        finish=answer.finish,
        prompt_tokens=answer.prompt_tokens,
        output_tokens=answer.output_tokens,
        ms=ms,
        first_ms=answer.first_ms,
        at=session,
    )
