"""The blocks of a report → GitHub Markdown, in which no text from outside can start markup."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from tuneproof.report_blocks import Block, Example, Examples, Facts, Heading, Lines, Plot, Text
from tuneproof.report_text import Table, code, escaped, fenced, markdown, prose, shown_in_markdown


def written(block: Block) -> Markup:
    """Write one block, without a blank line after it."""
    return Markup("\n".join(_lines(block)))


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Heading(title):
            yield f"### {escaped(title)}"
        case Text(text, note, links):
            yield f"{'> ' if note else ''}{escaped(text) if links else prose(text)}"
        case Lines(lines):
            yield from (f"- {prose(line)}" for line in lines)
        case Facts(pairs):
            yield from (f"- {escaped(name)}: {shown_in_markdown(value)}" for name, value in pairs)
        case Plot():
            yield f"{escaped(block.name)}: the plot is in report.html. {escaped(block.caption)}"
        case Table():
            yield f"{markdown(block)}\n\n{escaped(block.caption)}"
        case Examples():
            yield "\n\n".join(_examples(block))


def _examples(block: Examples) -> Iterator[str]:
    yield from map(_example, block.items[: block.shown])
    folded = block.items[block.shown :]
    if folded:
        yield f"<details><summary>{len(folded)} more</summary>"
        yield from map(_example, folded)
        yield "</details>"


def _example(item: Example) -> str:
    (_, first), *others = item.texts
    said = "\n".join(f"- {name}: {code(text)}" for name, text in others)
    return f"#### {escaped(item.title)}\n\n{fenced(first)}\n\n{said}"
