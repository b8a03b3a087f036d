"""Items behind the rates → the sections on parts of the test, wrong replies, and what the tune changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneproof.artifacts import ChangedItem, Item, Slice
from tuneproof.report_blocks import Block, Example, Examples, Heading, Lines, ReportInput, Section, Text
from tuneproof.report_text import Table, percent, signed, span
from tuneproof.slices import gap_between

SHOWN_CHANGES = 12
EXAMPLES = 3
"""Of each group of wrong replies; the page folds up all but the first."""
_KINDS = {
    "label": ("By expected output", "Outputs with ten test items or more."),
    "length": ("By length of the input", "Quarters of the test; inputs of equal length stay together."),
    "distance": (
        "By distance to train",
        "Word-set Jaccard to the nearest train row; far lies below the median of the test items. An arm that "
        "is much better on near items may answer from rows that it has nearly seen.",
    ),
    "seen": ("By output seen in train", "Whether the expected output occurs in train."),
    "gold": (
        "By how the expected output was labelled",
        "People follow the drafts that they are shown. An arm that does better where drafts were shown than "
        "where they were hidden may be measured against its own kind of mistakes.",
    ),
}

_GAPS = {"distance": "far − near", "gold": "draft shown − labelled blind (anchoring gap)"}


def slice_section(data: ReportInput) -> Section:
    """Parts of the test, each with the arms that decide."""
    slices = data.verdict.slices
    if not slices:
        text = "The test was not cut into parts. `tuneproof judge` cuts it from the stored replies."
        return Section("slices", "Parts of the test", "Parts of the test", (Text(text),))
    blocks: list[Block] = [
        Text(
            "Parts are small, and looking at many of them finds differences by chance: they explain, they "
            "prove nothing."
        )
    ]
    for kind, (title, caption) in _KINDS.items():
        parts = [part for part in slices if part.kind == kind]
        if parts:
            blocks += [Heading(title), _slice_table(data, parts, caption, title)]
        if parts and kind in _GAPS:
            blocks.append(Lines(tuple(_gaps(data, parts, kind))))
    return Section("slices", "Parts of the test", "Parts of the test", tuple(blocks))


def _slice_table(data: ReportInput, parts: Sequence[Slice], caption: str, title: str) -> Table:
    arms = tuple(dict.fromkeys(arm for part in parts for arm in part.right))
    rows = tuple(
        (part.name, str(part.n), *(f"{part.right[a]} ({percent(part.right[a] / part.n)})" for a in arms))
        for part in parts
    )
    header = ("Part", "n", *map(data.title, arms))
    return Table(caption, header, rows, frozenset(range(1, len(header))), name=title)


def _gaps(data: ReportInput, parts: Sequence[Slice], kind: str) -> Iterator[str]:
    """The probes for leaks that no text comparison finds, and for gold that follows its drafts."""
    for arm in parts[0].right:
        gap = gap_between(parts, arm, kind=kind, confidence=data.confidence)
        if gap:
            difference, interval = gap
            sides = f"{data.title(arm)}, {_GAPS[kind]}"
            yield f"{sides}: {signed(difference)} points ({span(interval)}, Newcombe)."


def failure_section(data: ReportInput) -> Section:
    """What the served file's wrong replies have in common, with examples."""
    groups, served = data.verdict.failures, data.served
    title = "What the wrong replies have in common"
    if not groups or served is None:
        none = served is not None and served.correct == served.n
        text = "There is no wrong reply." if none else "Wrong replies were not grouped: `tuneproof judge`."
        return Section("failures", "Wrong replies", title, (Text(text),))
    wrong = sum(group.n for group in groups)
    rows = tuple((group.name, str(group.n), percent(group.n / wrong)) for group in groups)
    caption = (
        f"The {wrong} wrong replies of {served.arm.title}; each is in one group, the first that fits. For "
        "training data, read failures on dev: these are test items."
    )
    table = Table(caption, ("Group", "Replies", "Share"), rows, frozenset({1, 2}), name=title)
    items = {item.id: item for item in data.split.test.items}
    replies = {reply.item_id: reply.text for reply in data.replies.get(served.arm.name, ())}
    blocks: list[Block] = [table]
    for group in groups:
        known = [items[i] for i in group.items if i in items and i in replies][:EXAMPLES]
        if known:
            examples = Examples(tuple(_failed(item, replies[item.id]) for item in known), 1)
            blocks += [Heading(f"{group.name}: {group.n}"), examples]
    return Section("failures", "Wrong replies", title, tuple(blocks))


def _failed(item: Item, reply: str) -> Example:
    return Example(item.id, (("Input", item.input), ("Expected", item.output), ("Tuned", reply)))


def change_section(data: ReportInput) -> Section:
    """Rows that the tune broke, then rows that it fixed."""
    blocks: list[Block] = []
    for word, items in (("Broken", data.verdict.broken), ("Fixed", data.verdict.fixed)):
        number = f"{len(items)} {'item' if len(items) == 1 else 'items'}"
        blocks.append(Heading(f"{word}: {number}"))
        if items:
            blocks.append(Examples(tuple(map(_changed, items)), SHOWN_CHANGES))
    return Section("changes", "Broken and fixed", "What the tune broke and fixed", tuple(blocks))


def _changed(item: ChangedItem) -> Example:
    return Example(
        item.item_id,
        (
            ("Input", item.input),
            ("Expected", item.expected),
            ("Base", item.base_reply),
            ("Tuned", item.tuned_reply),
        ),
    )
