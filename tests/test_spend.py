"""The spend ledger: the cap holds in every order of events, and what is on the disk is never lost."""

from __future__ import annotations

import contextlib
import math
import random
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from spend_sample import PRICE, WORST, opened, reply, request, rows
from tuneproof.artifacts import Price
from tuneproof.call_costs import api_usd
from tuneproof.errors import BadInput, NotReady
from tuneproof.outside.endpoints.asking import Usage
from tuneproof.outside.spend import SpendLedger
from tuneproof.request import Request
from tuneproof.spend import (
    MESSAGE_TOKENS,
    NANO,
    REQUEST_TOKENS,
    SpendCapReached,
    Spent,
    cap_in_nano,
    cost_of,
    usd_words,
    worst_case,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spend.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SpendLedger]:
    with contextlib.closing(opened(path)) as one:
        yield one


# --- worst case and cost ---

prices = st.floats(0, 1000, allow_nan=False)
maybe = st.none() | prices


@given(
    texts=st.lists(st.text(max_size=60), min_size=1, max_size=4),
    limit=st.integers(1, 5000),
    price=st.builds(
        Price, input_mtok=prices, output_mtok=prices, cache_read_mtok=maybe, cache_write_mtok=maybe
    ),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_no_call_that_keeps_to_its_bytes_and_its_limit_costs_more_than_its_worst_case(
    texts: list[str], limit: int, price: Price, shares: tuple[float, float, float]
) -> None:
    asked = Request("i", tuple({"role": "user", "content": text} for text in texts), limit)
    most = sum(len(text.encode("utf-8", "surrogatepass")) + MESSAGE_TOKENS for text in texts) + REQUEST_TOKENS
    prompt, output = int(most * shares[0]), int(limit * shares[1])
    cached = int(prompt * shares[2])
    cost = cost_of(prompt, output, cached, price)
    assert cost <= worst_case(asked, price)
    told = api_usd([reply(usage=Usage(prompt, output, cached))], price)
    # Rounded up to a whole nano-dollar; the rest is what floats leave out.
    assert -1e-6 * (1 + told) <= cost / NANO - told <= 1e-9 + 1e-6 * told


def test_a_known_call_costs_what_a_person_calculates() -> None:
    # 1,000 tokens at $1 a million, of them 400 from a cache at $0.10; 200 at $5.
    assert cost_of(1000, 200, 400, PRICE) == 600_000 + 40_000 + 1_000_000
    assert cost_of(3, 0, 0, Price(input_mtok=0.0375, output_mtok=0)) == 113, "112.5 is rounded up"
    assert [cap_in_nano(0.1), cap_in_nano(0.3), cap_in_nano(1e300)] == [10**8, 3 * 10**8, 2**62]


def test_the_dearest_input_price_and_the_schema_are_in_the_worst_case() -> None:
    dear = PRICE.model_copy(update={"cache_write_mtok": 2.0})
    assert worst_case(request(limit=1), dear) - 5000 == 2 * (worst_case(request(limit=1), PRICE) - 5000)
    assert worst_case(request(json_schema={"type": "string"}), PRICE) > WORST + 1024 * 1000


def test_a_text_that_unicode_makes_longer_counts_in_its_longer_form() -> None:
    # One character of 3 bytes, 18 characters of 33 bytes after NFKC.
    plain, long = worst_case(request("abc"), PRICE), worst_case(request("\ufdfa"), PRICE)
    assert long - plain == 30 * 1000
    assert worst_case(request("\ud800bc"), PRICE) > plain


@pytest.mark.parametrize("counts", [(-1, 0, 0), (1, -1, 0), (1, 1, 2)])
def test_what_is_no_count_of_tokens_has_no_cost(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no count"):
        cost_of(*counts, PRICE)


@pytest.mark.parametrize("cap", [-0.01, math.nan, math.inf, -math.inf])
def test_a_cap_that_is_no_amount_is_refused_before_a_file_is_made(cap: float, path: Path) -> None:
    with pytest.raises(BadInput, match=r"drafting\.cap_usd"):
        opened(path, cap)
    assert not path.exists()


def test_small_amounts_are_written_with_the_places_they_need() -> None:
    said = [usd_words(amount) for amount in (0, 12, 1234.5, 0.5, 0.00123, 0.1)]
    assert said == ["$0.00", "$12.00", "$1,234.50", "$0.50", "$0.0012", "$0.10"]


# --- one ledger ---


def test_a_call_is_reserved_at_its_worst_case_and_settled_at_its_cost(
    ledger: SpendLedger, path: Path
) -> None:
    place = ledger.reserve(request())
    assert ledger.standing() == Spent(1.0, 0.0, 1, WORST / NANO, 1, (NANO - WORST) / NANO)
    ledger.settle(place, Usage(9, 2, 4), reply())
    cost = 5000 + 400 + 10_000
    assert ledger.standing() == Spent(1.0, cost / NANO, 0, 0.0, 1, (NANO - cost) / NANO)
    assert rows(path) == [("settled", WORST, cost)]


def test_what_was_not_billed_is_given_back_and_what_is_unknown_is_not(ledger: SpendLedger) -> None:
    ledger.release(ledger.reserve(request()))
    ledger.leave(ledger.reserve(request()))
    assert ledger.standing() == Spent(1.0, 0.0, 1, WORST / NANO, 2, (NANO - WORST) / NANO)


def test_at_the_cap_the_last_call_fits_and_the_next_one_does_not(path: Path) -> None:
    with contextlib.closing(opened(path, 3 * WORST / NANO)) as ledger:
        places = [ledger.reserve(request()) for _ in range(3)]
        with pytest.raises(SpendCapReached) as reached:
            ledger.reserve(request())
        assert isinstance(reached.value, NotReady) and not reached.value.final
        assert reached.value.refused_usd == WORST / NANO and reached.value.spent.unsettled == 3
        assert "drafting.cap_usd" in reached.value.remedy and "tuneproof review" in reached.value.remedy
        assert usd_words(WORST / NANO) in reached.value.problem
        for place in places:
            ledger.leave(place)
        with pytest.raises(SpendCapReached) as reached:
            ledger.reserve(request())
        assert reached.value.final, "nothing is on the way that could still come cheaper"
    assert len(rows(path)) == 3
    with contextlib.closing(opened(path, 4 * WORST / NANO)) as raised:
        raised.reserve(request())


def test_every_run_and_process_counts_against_one_cap_and_another_purpose_does_not(path: Path) -> None:
    cap = 2 * WORST / NANO
    with contextlib.closing(opened(path, cap)) as killed, contextlib.closing(opened(path, cap)) as other:
        killed.reserve(request())
        other.reserve(request())
        with pytest.raises(SpendCapReached) as reached:
            other.reserve(request())
        assert not reached.value.final
    with contextlib.closing(opened(path, cap, model="another")) as later:
        with pytest.raises(SpendCapReached) as reached:
            later.reserve(request())
        assert reached.value.final
        assert later.standing().unsettled == 2 and later.standing().left_usd == 0
    with contextlib.closing(opened(path, cap, purpose="judge")) as judge:
        judge.reserve(request())
        assert judge.standing().calls == 1


def test_a_call_dearer_than_its_worst_case_is_recorded_as_it_is_and_told(ledger: SpendLedger) -> None:
    assert ledger.standing().warning == ""
    ledger.settle(ledger.reserve(request()), Usage(10**9, 5), reply())
    spent = ledger.standing()
    assert spent.settled_usd == 1000.000025 and spent.left_usd == 0
    assert spent.overruns == 1 and spent.overrun_usd == (1_000_000_025_000 - WORST) / NANO
    assert "1, by $1,000.00 together" in spent.warning
    with pytest.raises(SpendCapReached):
        ledger.reserve(request())
    # Counts beyond any sense neither overflow nor get lost.
    with contextlib.closing(opened(ledger._path, 1e12)) as large:
        large.settle(large.reserve(request()), Usage(10**40, 5), reply())
        assert large.standing().overruns == 2


@pytest.mark.parametrize("usage", [Usage(), Usage(9, 0), Usage(0, 3), Usage(3, 3, 4)])
def test_a_reply_without_token_counts_stands_at_its_worst_case(ledger: SpendLedger, usage: Usage) -> None:
    ledger.settle(ledger.reserve(request()), usage, reply())
    spent = ledger.standing()
    assert (spent.settled_usd, spent.uncounted, spent.unsettled) == (WORST / NANO, 1, 0)


def test_an_empty_reply_with_a_counted_prompt_is_counted(ledger: SpendLedger) -> None:
    ledger.settle(ledger.reserve(request()), Usage(9, 0), reply(text=""))
    assert ledger.standing().settled_usd == 9000 / NANO and ledger.standing().uncounted == 0


def test_of_several_replies_to_one_request_the_first_whole_one_is_kept(path: Path) -> None:
    empty, cut = reply(""), reply("mi").model_copy(update={"finish": "length"})
    for order, text in (((empty, cut), "mi"), ((empty, cut, reply("mit"), reply("isc"), cut), "mit")):
        with contextlib.closing(opened(path)) as ledger:
            for each in order:
                ledger.settle(ledger.reserve(request()), Usage(9, 2), each)
            found = ledger.kept(request())
        assert found is not None and found.text == text


def test_what_an_api_refused_is_noted_once_for_its_model_in_old_ledgers_too(path: Path) -> None:
    opened(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE notes")
    for _ in range(2):
        with contextlib.closing(opened(path)) as ledger:
            ledger.note(("temperature left out", "no token counts"))
            ledger.note(())
    with contextlib.closing(opened(path)) as ledger, contextlib.closing(opened(path, model="n")) as other:
        assert ledger.notes() == ("temperature left out", "no token counts")
        assert other.notes() == ()


def test_a_reply_is_kept_for_an_equal_request_to_the_same_model_in_every_run(path: Path) -> None:
    with contextlib.closing(opened(path)) as first:
        assert first.kept(request()) is None
        first.settle(first.reserve(request()), Usage(9, 2), reply("mit\x00 ✓"))
        first.leave(first.reserve(request("filtered")), reply("").model_copy(update={"finish": "refused"}))
        first.leave(first.reserve(request("cut")))
    with contextlib.closing(opened(path)) as later:
        found = later.kept(request()._replace(item_id="twin"))
        assert found == reply("mit\x00 ✓").model_copy(update={"item_id": "twin"})
        assert later.kept(request(), "m") is not None and later.kept(request(), "other") is None
        assert later.kept(request(limit=65)) is None and later.kept(request("cut")) is None
        refused = later.kept(request("filtered"))
        assert refused is not None and refused.finish == "refused"


def test_a_call_ends_once(ledger: SpendLedger, path: Path) -> None:
    place = ledger.reserve(request())
    ledger.release(place)
    ledger.release(place)
    with pytest.raises(ValueError, match="released"):
        ledger.settle(place, Usage(9, 2), reply())
    with pytest.raises(ValueError, match="call 7 is None"):
        ledger.leave(7)
    ledger.settle(ledger.reserve(request()), Usage(9, 2), reply())
    assert [row[0] for row in rows(path)] == ["released", "settled"]


# --- any order of events, over two processes and their deaths ---


class Orders(RuleBasedStateMachine):
    """Two ledgers on one file do anything in any order; a list says what must be true."""

    places = Bundle("places")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "spend.sqlite"
        self.cap = 4 * WORST
        self.open = [opened(self.path, self.cap / NANO) for _ in range(2)]
        self.counts: dict[int, int] = {}
        self.ended: dict[int, str] = {}

    @rule(target=places, who=st.integers(0, 1), size=st.integers(0, 2000), limit=st.integers(1, 300))
    def reserve(self, who: int, size: int, limit: int) -> int:
        asked = request("x" * size, limit)
        worst = worst_case(asked, PRICE)
        fits = sum(self.counts.values()) + worst <= self.cap
        try:
            place = self.open[who].reserve(asked)
        except SpendCapReached:
            assert not fits, "refused although it fits"
            return 0
        assert fits, "let through although it does not fit"
        self.counts[place] = worst
        return place

    @rule(place=consumes(places), who=st.integers(0, 1), share=st.floats(0, 1), kind=st.integers(0, 2))
    def end(self, place: int, who: int, share: float, kind: int) -> None:
        if not place:
            return
        ledger = self.open[who]
        if kind == 0:
            output = int((self.counts[place] - 1000) * share / 5000)
            ledger.settle(place, Usage(1, output), reply("" if not output else "x"))
            self.counts[place] = 1000 + output * 5000
        elif kind == 1:
            ledger.release(place)
            self.counts[place] = 0
        else:
            ledger.leave(place)
        self.ended[place] = ("settled", "released", "unknown")[kind]

    @rule(who=st.integers(0, 1))
    def die(self, who: int) -> None:
        # As a kill leaves it: nothing is written, the connection is gone.
        self.open[who]._db.close()
        self.open[who] = opened(self.path, self.cap / NANO)

    @invariant()
    def sums_agree_and_the_cap_holds(self) -> None:
        spent = self.open[0].standing()
        total = sum(self.counts.values())
        assert round((spent.settled_usd + spent.unsettled_usd) * NANO) == total
        assert total <= self.cap
        assert spent.calls == len(self.counts)
        assert spent.unsettled == sum(self.ended.get(place) in (None, "unknown") for place in self.counts)

    def teardown(self) -> None:
        for ledger in self.open:
            ledger.close()
        self.folder.cleanup()


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_many_threads_with_a_connection_each_never_pass_the_cap(path: Path) -> None:
    cap, refused, kept = 9 * WORST, [], []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        with contextlib.closing(opened(path, cap / NANO)) as one:
            for _ in range(12):
                try:
                    place = one.reserve(request())
                except SpendCapReached:
                    refused.append(seed)
                    continue
                kept.append(place)
                chance.choice([one.release, one.leave, lambda p: one.settle(p, Usage(9, 9), reply())])(place)
                spent = one.standing()
                assert spent.settled_usd + spent.unsettled_usd <= cap / NANO + 1e-12

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) + len(kept) == 96 and refused and kept
    found = rows(path)
    assert len(found) == len(kept) and all(row[0] != "reserved" for row in found)
    assert sum(settled if state == "settled" else 0 if state == "released" else worst
               for state, worst, settled in found) <= cap  # fmt: skip
