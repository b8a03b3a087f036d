"""Asking: stored before the next question, seeded turns, nothing asked twice, nothing paid for lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from compare_sample import ListLog, Quiet, reply_to, rows
from tuneproof.answering import (
    WARM_UP,
    Asker,
    answer_at_once,
    answer_by_api,
    answer_in_batches,
    answer_in_turns,
    answer_one_by_one,
    asked_key,
)
from tuneproof.artifacts import Reply, SplitRow
from tuneproof.constraint import Constraint
from tuneproof.errors import OutsideFailed
from tuneproof.outside.protocols import Answer
from tuneproof.prompt import Message
from tuneproof.request import Request


class Runtime:
    """Answers in capitals and notes every question in the list that its log shares."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name, self.events = name, events
        self.held: list[Constraint | None] = []

    def ask(
        self, messages: Sequence[Message], *, max_new_tokens: int, constraint: Constraint | None = None
    ) -> Answer:
        self.events.append(f"ask {self.name} {messages[-1]['content']}")
        self.held.append(constraint)
        return Answer(messages[-1]["content"].upper(), "stop", 4, 2, first_ms=0.5)

    def render(self, messages: Sequence[Message]) -> str:
        return messages[-1]["content"]

    def tokens(self, text: str) -> list[int]:
        return list(text.encode())

    def close(self) -> None:
        return None


def chat(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def asker(
    name: str, events: list[str], *, known: Sequence[Reply] = (), only: frozenset[str] | None = None
) -> Asker:
    return Asker(Runtime(name, events), chat, ListLog(known, events), 8, only=only)


def asked_of(events: Sequence[str], name: str) -> list[str]:
    return [event.removeprefix(f"ask {name} ") for event in events if event.startswith(f"ask {name} ")]


# One by one, and in turns


def test_a_reply_is_stored_before_the_next_question_is_asked() -> None:
    events: list[str] = []
    items = rows(6)
    replies = answer_one_by_one(items, asker("a", events), Quiet())
    counted = events[WARM_UP:]
    assert counted == [word for row in items for word in (f"ask a {row.input}", f"store {row.id}")], (
        "question and store must alternate"
    )
    assert [reply.item_id for reply in replies] == [row.id for row in items]
    assert replies[0].ms is not None and replies[0].first_ms == 0.5


def test_the_warm_up_is_not_counted_and_not_stored() -> None:
    events: list[str] = []
    one = asker("a", events)
    answer_one_by_one(rows(6), one, Quiet())
    assert len(asked_of(events, "a")) == 6 + WARM_UP
    assert len([e for e in events if e.startswith("store")]) == 6


def test_what_the_log_holds_is_not_asked_again_and_a_whole_log_asks_nothing() -> None:
    items, events = rows(9), []
    known = [reply_to(row.id, "kept") for row in items[:4]]
    replies = answer_one_by_one(items, asker("a", events, known=known), Quiet())
    assert [r.text for r in replies[:4]] == ["kept"] * 4 and replies[4].text == items[4].input.upper()
    assert len(asked_of(events, "a")) == 5 + WARM_UP

    events.clear()
    whole = [reply_to(row.id, "kept") for row in items]
    answer_one_by_one(items, asker("a", events, known=whole), Quiet())
    assert events == []


def order_of(events: Sequence[str]) -> list[str]:
    return [e for e in events if e.startswith("ask")]


def test_turns_are_seeded_mixed_and_different_at_each_item() -> None:
    items = rows(40)

    def run(seed: int | None) -> list[str]:
        events: list[str] = []
        answer_in_turns(items, [asker(name, events) for name in "abc"], Quiet(), seed=seed)
        return order_of(events)[3 * WARM_UP :]

    first, again, other, plain = run(1), run(1), run(2), run(None)
    assert first == again and first != other
    assert plain == [f"ask {name} {row.input}" for row in items for name in "abc"]
    triples = [first[at : at + 3] for at in range(0, len(first), 3)]
    assert len(triples) == 40
    assert all(len({t.split(" ", 2)[2] for t in triple}) == 1 for triple in triples), "item by item"
    turns = Counter("".join(t.split()[1] for t in triple) for triple in triples)
    # All six orders are missed with a chance below 6 · (5/6)^40 = 0.4 %, and the seed is fixed.
    assert set(turns) == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert [t[0].split(" ", 2)[2] for t in triples] != [row.input for row in items], "items are mixed too"


def test_an_arm_that_answers_some_rows_gets_only_those_and_the_others_get_all() -> None:
    items, events = rows(20), []
    only = frozenset({items[3].id, items[11].id})
    whole, part = answer_in_turns(items, [asker("a", events), asker("b", events, only=only)], Quiet(), seed=5)
    assert [r.item_id for r in part] == [items[3].id, items[11].id]
    assert [r.item_id for r in whole] == [row.id for row in items]
    assert len(asked_of(events, "b")) == 2 + WARM_UP


def test_an_arm_whose_rows_are_all_known_is_not_even_warmed_up() -> None:
    items, events = rows(10), []
    only = frozenset({items[0].id})
    known = [reply_to(items[0].id, "kept")]
    answer_in_turns(items, [asker("b", events, known=known, only=only)], Quiet(), seed=5)
    assert events == []


def test_an_interrupt_keeps_what_was_answered_and_the_next_run_asks_the_rest() -> None:
    items = rows(30)

    class Stops(Runtime):
        def ask(
            self,
            messages: Sequence[Message],
            *,
            max_new_tokens: int,
            constraint: Constraint | None = None,
        ) -> Answer:
            if len(self.events) > 50:
                raise KeyboardInterrupt
            return super().ask(messages, max_new_tokens=max_new_tokens, constraint=constraint)

    events: list[str] = []
    log = ListLog(events=events)
    with pytest.raises(KeyboardInterrupt):
        answer_in_turns(items, [Asker(Stops("a", events), chat, log, 8)], Quiet(), seed=3)
    kept = len(log.stored)
    assert 10 < kept < 30
    events.clear()
    replies = answer_in_turns(items, [Asker(Runtime("a", events), chat, log, 8)], Quiet(), seed=3)[0]
    assert len(asked_of(events, "a")) == 30 - kept + WARM_UP and len(replies) == 30
    assert len(log.stored) == 30, "no reply twice"


def test_the_constraint_reaches_the_runtime() -> None:
    events: list[str] = []
    runtime, held = Runtime("a", events), Constraint("pattern", grammar='root ::= "x"')
    answer_one_by_one(rows(2), Asker(runtime, chat, ListLog(), 8, held), Quiet())
    assert runtime.held and set(runtime.held) == {held}


def test_the_key_of_stored_replies_changes_with_everything_that_decides_them() -> None:
    def key(
        engine: str = "e",
        model: str = "m",
        said: str = "x",
        limit: int = 8,
        held: Constraint | None = None,
    ) -> str:
        return asked_key(engine, model, [chat(said)], limit, held)

    keys = [
        key(),
        key(engine="e2"),
        key(model="m2"),
        key(said="y"),
        key(limit=9),
        key(held=Constraint("pattern", grammar="a")),
        key(held=Constraint("pattern", grammar="b")),
    ]
    assert len(set(keys)) == len(keys) and key() == keys[0]


# Several at once, and in batches


def test_at_once_never_runs_more_calls_than_asked_for_and_really_runs_several() -> None:
    running, most, lock = 0, 0, threading.Lock()

    class Slow(Runtime):
        def ask(
            self,
            messages: Sequence[Message],
            *,
            max_new_tokens: int,
            constraint: Constraint | None = None,
        ) -> Answer:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.005)
            with lock:
                running -= 1
            return super().ask(messages, max_new_tokens=max_new_tokens, constraint=constraint)

    items, log = rows(24), ListLog()
    replies, took = answer_at_once(items, Asker(Slow("a", []), chat, log, 8), Quiet(), calls=4)
    assert most == 4 and took > 24 / 4 * 0.004
    assert [r.item_id for r in replies] == [row.id for row in items] == [r.item_id for r in log.stored]


def test_batches_hold_rows_of_like_length_and_skip_what_is_known() -> None:
    class Batches:
        name = "batches"

        def __init__(self) -> None:
            self.seen: list[list[str]] = []

        def answer(self, chats: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Answer]:
            self.seen.append([c[-1]["content"] for c in chats])
            return [Answer(c[-1]["content"].upper(), "stop", 1, 1) for c in chats]

        def render(self, messages: Sequence[Message]) -> str:
            return ""

        def tokens(self, text: str) -> list[int]:
            return []

        def close(self) -> None:
            return None

    items = tuple(
        SplitRow(id=f"i{n:02}", group="g", input="x" * (1 + n * 7 % 20), output="mit") for n in range(20)
    )
    model, log = Batches(), ListLog([reply_to("i00", "kept")])
    replies = answer_in_batches(items, model, chat, log, limit=4, progress=Quiet())
    lengths = [len(text) for batch in model.seen for text in batch]
    assert lengths == sorted(lengths) and len(lengths) == 19 and max(map(len, model.seen)) == 8
    assert [r.item_id for r in replies] == [row.id for row in items]
    assert replies[0].text == "kept" and all(r.ms is None for r in replies[1:])


# By an API


def requests(count: int, *, system: str = "Answer.") -> list[Request]:
    return [
        Request(
            item_id=row.id,
            messages=({"role": "system", "content": system}, {"role": "user", "content": row.input}),
            max_tokens=8,
        )
        for row in rows(count)
    ]


class Api:
    """An endpoint whose replies are decided by a function; it counts calls, and how many ran at once."""

    name = "api"

    def __init__(self, reply: Callable[[Request], Reply] | None = None, *, pause: float = 0.0) -> None:
        self.reply, self.pause = reply or good, pause
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.running = self.most = 0
        self._lock = threading.Lock()

    def ask(self, request: Request) -> Reply:
        with self._lock:
            self.asked.append(request.item_id)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            time.sleep(self.pause)
            reply = self.reply(request)
        finally:
            with self._lock:
                self.running -= 1
        self.answered.append(request.item_id)
        return reply

    def close(self) -> None:
        return None


def good(request: Request) -> Reply:
    return reply_to(request.item_id, "mit", prompt_sha256=request.sha256, model="m-1")


def failed(request: Request) -> Reply:
    return reply_to(
        request.item_id, "", finish="failed", ms=None, error="HTTP 500", prompt_sha256=request.sha256
    )


@pytest.mark.parametrize("calls", [1, 3, 8])
def test_an_api_never_gets_more_calls_at_once_than_asked_for(calls: int) -> None:
    api, wanted = Api(pause=0.004), requests(24)
    replies = answer_by_api(wanted, api, ListLog(), calls=calls, progress=Quiet())
    assert api.most == calls
    assert [r.item_id for r in replies] == [q.item_id for q in wanted], "in the order of the requests"
    assert sorted(api.asked) == sorted(q.item_id for q in wanted)


def test_a_reply_of_an_api_is_stored_before_the_same_caller_asks_the_next() -> None:
    log, seen = ListLog(), []

    def reply(request: Request) -> Reply:
        seen.append(len(log.stored))
        return good(request)

    answer_by_api(requests(10), Api(reply), log, calls=1, progress=Quiet())
    assert seen == list(range(10))


def test_an_api_is_not_asked_again_for_what_is_stored() -> None:
    wanted, log = requests(10), ListLog([good(q) for q in requests(10)[:7]])
    api = Api()
    replies = answer_by_api(wanted, api, log, calls=2, progress=Quiet())
    assert sorted(api.asked) == [q.item_id for q in wanted[7:]] and len(replies) == 10
    again = Api()
    answer_by_api(wanted, again, log, calls=2, progress=Quiet())
    assert again.asked == []


def test_a_failed_reply_is_stored_and_asked_again_the_next_time() -> None:
    wanted, log = requests(6), ListLog()
    bad = {wanted[1].item_id, wanted[4].item_id}
    first = Api(lambda q: failed(q) if q.item_id in bad else good(q))
    replies = answer_by_api(wanted, first, log, calls=2, progress=Quiet())
    assert {r.item_id for r in replies if r.finish == "failed"} == bad and len(log.stored) == 6
    second = Api()
    replies = answer_by_api(wanted, second, log, calls=2, progress=Quiet())
    assert sorted(second.asked) == sorted(bad) and all(r.finish == "stop" for r in replies)
    third = Api()
    answer_by_api(wanted, third, log, calls=2, progress=Quiet())
    assert third.asked == [], "the later of two lines for an item counts"


def test_a_changed_prompt_is_asked_again_and_an_unhashed_reply_is_not_trusted() -> None:
    log = ListLog([good(q) for q in requests(5)])
    api = Api()
    answer_by_api(requests(5, system="Answer briefly."), api, log, calls=1, progress=Quiet())
    assert len(api.asked) == 5
    bare = ListLog([good(q).model_copy(update={"prompt_sha256": ""}) for q in requests(5)])
    api = Api()
    answer_by_api(requests(5), api, bare, calls=1, progress=Quiet())
    assert len(api.asked) == 5


@pytest.mark.parametrize("calls", [1, 4])
def test_a_fatal_error_stops_the_rest_and_loses_no_reply_that_came(calls: int) -> None:
    wanted, log = requests(60), ListLog()
    began = threading.Event()

    def reply(request: Request) -> Reply:
        if request.item_id == wanted[8].item_id:
            began.set()
            raise OutsideFailed("HTTP 402: nothing left", remedy="add credit")
        if began.is_set():
            time.sleep(0.01)  # these were under way when the error came, and are paid for
        return good(request)

    api = Api(reply, pause=0.002)
    with pytest.raises(OutsideFailed, match="nothing left"):
        answer_by_api(wanted, api, log, calls=calls, progress=Quiet())
    assert len(api.asked) < 30, "what was not begun must not be asked"
    assert sorted(r.item_id for r in log.stored) == sorted(api.answered), "every reply that came is stored"
    assert len(log.stored) >= 8
    rest = Api()
    replies = answer_by_api(wanted, rest, log, calls=calls, progress=Quiet())
    assert len(replies) == 60 and sorted(rest.asked + api.answered) == [q.item_id for q in wanted]


def test_an_interrupt_in_the_display_loses_no_reply_that_came() -> None:
    class Breaks(Quiet):
        def update(self, done: int, total: int, note: str) -> None:
            if done == 5:
                raise KeyboardInterrupt

    api, log = Api(pause=0.002), ListLog()
    with pytest.raises(KeyboardInterrupt):
        answer_by_api(requests(60), api, log, calls=4, progress=Breaks())
    assert len(api.asked) < 40
    assert sorted(r.item_id for r in log.stored) == sorted(api.answered) and len(log.stored) >= 5


def test_replies_that_come_at_the_same_moment_are_stored_one_after_the_other() -> None:
    class Careful(ListLog):
        inside = 0

        def append(self, reply: Reply) -> None:
            self.inside += 1
            assert self.inside == 1, "two threads write at once"
            time.sleep(0.0005)
            super().append(reply)
            self.inside -= 1

    log = Careful()
    answer_by_api(requests(40), Api(), log, calls=8, progress=Quiet())
    assert len(log.stored) == 40
