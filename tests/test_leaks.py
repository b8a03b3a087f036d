"""Planted leaks are found by their layer and never cross a split; clean rows raise no alarm."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneproof.artifacts import SplitRow
from tuneproof.artifacts.data_report import Layer
from tuneproof.grouping import Shown, beside_examples, group_rows, quoted
from tuneproof.leaks import layers, nearest_by_tfidf

NOTHING = Shown()


def word(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=7))


def text(rng: random.Random, count: int = 20) -> str:
    return " ".join(word(rng) for _ in range(count))


def row(row_id: str, text: str, output: str = "mit") -> SplitRow:
    return SplitRow(id=row_id, group=row_id, input=text, output=output)


def clean(count: int, seed: int = 0, length: int = 20) -> list[SplitRow]:
    rng = random.Random(seed)
    return [row(f"c{seed}-{i}", text(rng, length)) for i in range(count)]


def found(test: list[SplitRow], others: list[SplitRow], shown: Shown = NOTHING) -> dict[str, Layer]:
    made = layers(test, others, dev=len(others) // 3, shown=shown, by_template=True)
    return {layer.name: layer for layer in made}


# What is planted: the twin of a text of 20 words that ends in a number.

Plant = Callable[[str, random.Random], str]


def same(source: str, rng: random.Random) -> str:
    return source


def case_and_space(source: str, rng: random.Random) -> str:
    return "\u00a0 ".join(rng.choice([str.upper, str.title])(w) + rng.choice(",.;") for w in source.split())


def compatibility_forms(source: str, rng: random.Random) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in source)


def other_number(source: str, rng: random.Random) -> str:
    return source.replace("12", str(rng.randint(100, 999)))


def other_answer(source: str, rng: random.Random) -> str:
    """The template: the words of the answer are masked."""
    return source.replace("mit", "zlib")


def run_of_13(source: str, rng: random.Random) -> str:
    return f"{text(rng, 9)} {' '.join(source.split()[3:16])} {text(rng, 9)}"


def half_of_it(source: str, rng: random.Random) -> str:
    """15 of 25 words in common: Jaccard 0.6."""
    return f"{' '.join(source.split()[:15])} {text(rng, 5)}"


def other_word(source: str, rng: random.Random) -> str:
    tokens = source.split()
    tokens[rng.randrange(len(tokens) - 2)] = word(rng)
    return " ".join(tokens)


PLANTS: tuple[tuple[Plant, str], ...] = (
    (same, "exact"),
    (case_and_space, "exact"),
    (compatibility_forms, "exact"),
    (other_number, "number-masked"),
    (other_answer, "template"),
    (other_word, "near"),
    (run_of_13, "13 words"),
    (half_of_it, "close"),
)


@pytest.mark.parametrize(("plant", "name"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_every_planted_leak_is_found_by_its_layer_with_its_pair(plant: Plant, name: str) -> None:
    rng = random.Random(77)
    train, test = clean(100, 1), clean(100, 2)
    for i in range(50):
        source = f"{text(rng, 18)} mit 12"
        train.append(row(f"source-{i}", source))
        output = "zlib" if plant is other_answer else "mit"
        test.append(row(f"planted-{i}", plant(source, rng), output))
    layer = found(test, train)[name]
    assert layer.rows == 50, "recall 100 %, and no clean row"
    assert len(layer.pairs) == 20
    for pair in layer.pairs:
        assert pair.test_id.replace("planted", "source") == pair.other_id


def test_half_of_the_runs_of_8_words_in_one_row_is_found_also_without_a_run_of_13() -> None:
    rng = random.Random(3)
    pieces = [text(rng, 12) for _ in range(3)]
    test = [row("t", " ".join(pieces))]
    train = [row("other", f" {text(rng, 2)} ".join(pieces))]
    layer = found(test, [*clean(9), *train])
    assert layer["13 words"].rows == 0
    # 36 words have 29 runs of 8; three pieces of 12 share 5 each: 15 of 29.
    assert [round(pair.similarity, 3) for pair in layer["8 words"].pairs] == [round(15 / 29, 3)]


@pytest.mark.parametrize(
    ("one", "other", "twins"),
    [
        ("please refund my order", "please refund my orders", True),
        ("cannot log in since yesterday evening", "cannot log-in since yesterday evenings", True),
        ("please refund my order", "please cancel my order", False),
        ("where is my parcel", "where is your parcel now", False),
    ],
)
def test_short_inputs_are_compared_by_their_characters(one: str, other: str, twins: bool) -> None:
    layer = found([row("t", one)], [*clean(9, length=6), row("o", other)])["characters"]
    assert layer.rows == int(twins)
    first = group_rows([one, other], ["a", "b"])
    assert (first == [0, 0]) is twins


def test_clean_rows_raise_no_alarm_in_any_layer() -> None:
    alarms = 0
    for seed in range(10):
        length = (6, 20)[seed % 2]
        made = found(clean(100, seed, length), clean(300, seed + 100, length))
        assert len(made) == 9
        alarms += sum(layer.rows for layer in made.values())
    assert alarms == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=2, max_size=12), st.integers(1, 11))
def test_any_texts_can_be_layered_and_grouped(texts: list[str], cut: int) -> None:
    rows = [row(str(i), t) for i, t in enumerate(texts)]
    cut = min(cut, len(rows) - 1)
    made = found(rows[:cut], rows[cut:], Shown([(texts[0], "x")], texts[-1]))
    assert all(0 <= pair.similarity <= 1 for layer in made.values() for pair in layer.pairs)
    first = group_rows(texts, ["a"] * len(texts))
    assert all(first[i] <= i and first[first[i]] == first[i] for i in range(len(texts)))
    assert all(0 < c.similarity <= 1 for c in nearest_by_tfidf(rows[:cut], rows[cut:], dev=0))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_what_grouping_joined_never_crosses(seed: int) -> None:
    """Whole groups on one side leave nothing for a layer that stops the freeze."""
    rng = random.Random(seed)
    rows = clean(12, seed, 8)
    for i in range(12):
        source = rng.choice(rows)
        plant = rng.choice((same, case_and_space, compatibility_forms, other_number, other_word))
        rows.append(row(f"p{i}", plant(f"{source.input} 12", rng)))
    first = group_rows([r.input for r in rows], [r.output for r in rows])
    tested = {root for root in first if rng.random() < 0.5}
    test = [r for r, root in zip(rows, first, strict=True) if root in tested]
    others = [r for r, root in zip(rows, first, strict=True) if root not in tested]
    crossing = {name: layer.rows for name, layer in found(test, others).items() if layer.refuses}
    assert len(crossing) == 6
    assert not any(crossing.values()), crossing


# Examples and prompt


def test_rows_beside_a_few_shot_example_or_quoted_in_the_prompt_are_found() -> None:
    rng = random.Random(5)
    example, said = f"{text(rng, 18)} mit 12", text(rng, 6)
    prompt = f"Answer with the licence. For example: «{said.upper()}» is mit. {text(rng, 30)}"
    test = [
        row("near", other_word(example, rng)),
        row("number", other_number(example, rng)),
        row("quoted", said),
        row("partly", f"{text(rng, 9)} {' '.join(prompt.split()[-14:])} {text(rng, 9)}"),
        *clean(20),
    ]
    layer = found(test, clean(30, 9), Shown([(text(rng), "x"), (example, "mit")], prompt))["shown"]
    assert {pair.test_id for pair in layer.pairs} == {"near", "number", "quoted", "partly"}
    beside = {pair.test_id: (pair.other_part, pair.other_id) for pair in layer.pairs}
    assert beside["near"] == ("example", "2")
    assert beside["quoted"] == ("prompt", "")
    assert layer.refuses and layer.rows == 4


@pytest.mark.parametrize("short", ["yes", "no", "a b", "the"])
def test_a_short_word_of_the_prompt_is_no_quote(short: str) -> None:
    assert quoted([short], f"Answer yes or no, a b or the like: {short}.") == set()


def test_without_examples_nothing_is_beside_them() -> None:
    assert beside_examples(["a b c"], ["x"], NOTHING, by_template=True) == set()


# Paraphrases: no rule finds them, the list of nearest rows must.

PARAPHRASES = (
    ("I was charged twice for the same order, please refund one payment",
     "There are two payments for one order on my card; give one of them back"),
    ("The reset link in the password mail has expired before I could use it",
     "My password reset mail holds a link that is no longer valid"),
    ("Your courier says the parcel was delivered but nothing is at my door",
     "Tracking claims delivery, yet there is no parcel in front of my door"),
    ("These shoes are too small, how can I send them back for a larger size",
     "I need the shoes one size larger; what is the way to return this pair"),
    ("The invoice still shows the old address of our company",
     "Our company moved, please put the new address on the invoice"),
    ("I cannot sign in since I changed my phone number",
     "Since my phone number is a new one, signing in fails"),
    ("Can the parcel go to a pick-up point instead of my home",
     "Please deliver my parcel to a pick-up point rather than to my house"),
    ("The zip of the jacket broke after one day, I want a new one",
     "After a single day my jacket's zip is broken; send me another jacket"),
    ("How do I delete my account and all of my data",
     "I want all my data erased and the account closed"),
    ("The app crashes every time I open the camera",
     "Opening the camera makes your app crash each time"),
)  # fmt: skip
TICKETS = """
Where can I find the serial number of my coffee machine?
My voucher code is rejected at checkout although it is valid until May.
The screen protector arrived scratched.
Do you ship to Norway, and what does customs cost?
I never subscribed to your newsletter, take me off the list.
Which charger fits the older model of the vacuum cleaner?
The gift wrapping was missing although I paid for it.
Can I change the delivery date to next Friday?
The manual in the box is only in Italian.
One screw is missing from the shelf kit.
How long does the battery of the headphones last?
I would like a copy of last year's receipts for my tax office.
Is the blue one coming back into stock before Christmas?
Your chat robot keeps answering in German.
My student discount was not applied.
The lamp flickers when the dimmer is below half.
Please merge my two customer numbers.
Why is the price higher than it was in the basket?
The colour of the curtains is nothing like the picture.
I entered the wrong house number when ordering.
Can the table top be cut to a smaller size in the store?
What are the opening hours of the Porto branch on Sundays?
The bank says the direct debit was returned.
My loyalty points have vanished since the update.
Does the warranty cover water damage?
The engineer did not show up between eight and twelve.
I want to pay by invoice rather than by credit card.
How do I export my list of orders to a spreadsheet?
The kettle leaks at the handle.
Please cancel the yearly plan at the end of this term.
The video tutorial stops after ten seconds.
Is there a spare lid for the blender?
My neighbour signed for a package that I have not seen.
The font in the app is too small for me to read.
Two chairs came instead of four.
Can I use the adapter in the United States?
The wardrobe smells of glue even after a week.
Your site logs me out whenever I open a second tab.
Who do I call about a recall of the pressure cooker?
I was promised a price match with another shop.
The bicycle helmet has no CE mark.
Could you confirm that the mattress is free of latex?
The delivery man was rude to my father.
My company needs a quote for forty desks.
The watch strap is for a left-handed person, is there another?
How can I turn off notifications at night?
The rug is two centimetres shorter than ordered.
Is the toaster repairable, or only to be replaced?
The e-book does not open on my reader.
I want to become a supplier; whom may I write to?
The paint dried darker than on the card.
When will the summer sale begin?
The tracking number you sent does not exist.
Can the sofa be carried through a door of seventy centimetres?
The printer asks for ink that it already has.
Please send the safety data sheet of the cleaning agent.
My review was removed without a reason.
The microphone of the headset is silent in calls.
Which filter bags do I need for the small model?
The stove was delivered with the wrong plug.
""".strip().splitlines()


def test_four_in_five_planted_paraphrases_are_among_the_20_nearest() -> None:
    rows = [row(f"ticket-{i}", ticket) for i, ticket in enumerate(TICKETS)]
    assert len(rows) == 60
    test = [*rows[::2], *(row(f"planted-{i}", other) for i, (_, other) in enumerate(PARAPHRASES))]
    train = [*rows[1::2], *(row(f"source-{i}", one) for i, (one, _) in enumerate(PARAPHRASES))]
    stopped = [layer for layer in found(test, train).values() if layer.refuses]
    assert not any(layer.rows for layer in stopped), "a rule would have found them"
    nearest = nearest_by_tfidf(test, train, dev=0)
    assert len(nearest) == 20
    hits = [c for c in nearest if c.test_id.replace("planted", "source") == c.other_id]
    assert len(hits) >= 0.8 * len(PARAPHRASES), [c.test_id for c in nearest]


def test_rows_equal_but_for_numbers_share_a_group_also_where_their_answers_are_no_template() -> None:
    texts, answers = ["order 12 mit", "order 13 mit"], ["mit", "zlib"]
    assert group_rows(texts, answers, closer=False) == [0, 1]
    assert group_rows(texts, answers) == [0, 0]
    assert group_rows(texts, answers, by_template=False) == [0, 1], "there the number is the task"
