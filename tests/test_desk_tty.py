"""The review desk in a terminal: what is pressed, what is read, what is kept."""

from __future__ import annotations

import io
import os
import pty
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from desk_sample import answer_batch, made_desk, made_drafts
from tuneproof.artifacts import Pair
from tuneproof.desk import Desk
from tuneproof.desk_tty import HELP, review_tty
from tuneproof.outside.desk_keys import TerminalKeys


class Hands:
    """Presses the keys it was given; gives lines and edits in their order; its clock goes a second a look."""

    def __init__(
        self, keys: str, *, lines: Sequence[str] = (), edits: Sequence[str | None] = (), terminal: bool = True
    ) -> None:
        self.keys, self.lines, self.edits = list(keys), list(lines), list(edits)
        self.edited: list[str] = []
        self.is_terminal = terminal
        self.ticks = 0

    def key(self) -> str | None:
        return self.keys.pop(0) if self.keys else None

    def line(self, prompt: str) -> str | None:
        return self.lines.pop(0) if self.lines else None

    def edit(self, text: str) -> str | None:
        self.edited.append(text)
        return self.edits.pop(0)

    def seconds(self) -> float:
        self.ticks += 1
        return float(self.ticks)


def sat(desk: Desk, hands: Hands) -> list[str]:
    said: list[str] = []
    review_tty(desk, "Ana", hands, said.append)
    return said


def kinds(desk: Desk) -> list[str]:
    return [event.kind for event in desk._store.events()]


def test_a_whole_review_by_keys_ends_with_every_batch_closed(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(4))
    hands = Hands("aedaa", lines=["two words", "all four were read"], edits=["label-5"])
    said = sat(desk, hands)
    assert kinds(desk) == ["accept", "fix", "delete", "accept", "close"]
    assert said[-1] == "All batches are closed. Next: tuneproof freeze"
    assert any("fewer than 3 words" in line for line in said)
    assert hands.edited == [desk._store.events()[1].output.replace("label-5", hands.edited[0])]
    assert all(event.seconds > 0 and not event.driven for event in desk._store.events()[:4])
    assert any(line.startswith("Added: label-5") for line in said)


def test_undo_flag_help_moves_and_unknown_keys(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(5))
    said = sat(desk, Hands("?zuafpnnnnno suq", lines=["ask Bo"]))
    assert HELP in said and "Nothing of yours to undo in this batch." in said
    assert any(line.startswith("No such key: z") for line in said)
    assert "This is the last pair." in said
    assert kinds(desk) == ["accept", "flag", "undo"]
    assert any(line.startswith("Batch 1: 1 decided, 1 accepted") for line in said)


def test_a_hidden_draft_is_written_first_and_shown_afterwards(tmp_path: Path) -> None:
    drafts = made_drafts(3)
    marked = tuple(p.model_copy(update={"output": "label-hidden"}) for p in drafts.pairs)
    desk = made_desk(tmp_path, drafts.model_copy(update={"pairs": marked}), blind_share=1)
    hands = Hands("aq", edits=["label-mine"])
    said = sat(desk, hands)
    first = said.index("The draft was: label-hidden")
    assert not any("label-hidden" in line for line in said[:first]) and hands.edited == [""]
    assert "Draft: hidden until you have answered." in said[:first]
    assert desk._store.events()[0].blind


def test_a_pair_shown_again_is_answered_as_such(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(60))
    answer_batch(desk, "Ana")
    desk.close("Ana", "fifty plain labels")
    said = sat(desk, Hands("a" * 15, lines=["ten more of them"]))
    assert kinds(desk)[51:].count("again") == 5 and kinds(desk)[-1] == "close"
    assert "Shown again: 5 of 5 answered as before." in said
    assert any("Standards drift" in line for line in said)


def test_hidden_and_turning_characters_are_shown_and_never_sent_raw(tmp_path: Path) -> None:
    drafts = made_drafts(1)
    evil = Pair(
        id="e\x1b]0;x",
        input="pay \u202eevil\u202c\x1b[2J\x07 now\u200b",
        output="label-\x1b[31m",
        source="a\x1b.jsonl",
    )
    desk = made_desk(tmp_path, drafts.model_copy(update={"pairs": (evil,)}))
    said = sat(desk, Hands("efadq", lines=["\x1bnote"], edits=["label-\u202ex"]))
    text = "\n".join(said)
    assert "⟨U+202E⟩" in text and "⟨U+001B⟩[2J" in text
    assert not {c for c in text if ord(c) < 32} - {"\n"} and "\u202e" not in text and "\u200b" not in text


def test_a_decision_that_came_too_late_is_said_and_not_taken(tmp_path: Path) -> None:
    desk, other = made_desk(tmp_path, made_drafts(2)), made_desk(tmp_path, made_drafts(2))

    class Late(Hands):
        def key(self) -> str | None:
            if self.keys == ["a", "q"]:
                answer_batch(other, "Bo")
                self.keys = ["d", "q"]
                return self.keys.pop(0)
            return super().key()

    said = sat(desk, Late("aq"))
    assert any(line.startswith("Not taken: The pair") and "by Bo" in line for line in said)
    assert kinds(desk) == ["accept", "accept"]


def test_a_pipe_decides_as_a_program(tmp_path: Path) -> None:
    desk = made_desk(tmp_path, made_drafts(2))
    said: list[str] = []
    review_tty(desk, "Ana", TerminalKeys(io.StringIO("aaall of it right\n"), said.append), said.append)
    events = desk._store.events()
    assert [event.kind for event in events] == ["accept", "accept", "close"]
    assert all(event.driven for event in events) and desk.figures().driven


def test_a_terminal_gives_single_keys_and_an_editor_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nprintf "%s\\n" "$(cat "$1") more" > "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r", encoding="utf-8") as source:
        keys = TerminalKeys(source, lambda _: None)
        assert keys.is_terminal
        timer = threading.Timer(0.2, os.write, (ours, b"A"))
        timer.start()
        assert keys.key() == "a"
        timer.join()
        monkeypatch.setenv("EDITOR", str(editor))
        monkeypatch.delenv("VISUAL", raising=False)
        assert keys.edit("label-1") == "label-1 more"
        monkeypatch.setenv("EDITOR", "false")
        assert keys.edit("label-1") is None
        monkeypatch.setenv("EDITOR", str(tmp_path / "missing"))
        assert keys.edit("label-1") is None
    os.close(ours)
