"""Real inputs without outputs: every row, line and file is an input once, or is told by place and reason."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneproof.artifacts.case import DataSection, DraftingSection
from tuneproof.errors import BadInput
from tuneproof.outside.readers.input_kinds import inputs_digest
from tuneproof.outside.readers.inputs import Inputs, read_inputs
from tuneproof.outside.readers.log_lines import message_of
from tuneproof.teacher_prompt import folded_input, id_of


def read(root: Path, source: str, *, inputs_as: str = "auto", **data: Any) -> Inputs:
    section = DataSection(source=source, licence="CC0-1.0", **data)
    return read_inputs(section, DraftingSection.model_validate({"inputs_as": inputs_as}), root)


def put(root: Path, name: str, data: bytes | str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def texts(found: Inputs) -> list[str]:
    return [each.text for each in found.inputs]


def told(found: Inputs) -> list[str]:
    return [f"{row.place}: {row.reason}" for row in found.left_out]


ROWS = [{"text": "one", "who": "a"}, {"text": "two", "who": "b"}]
TABLES = {
    "x.jsonl": "\n".join(map(json.dumps, ROWS)) + "\n",
    "x.json": json.dumps(ROWS),
    "x.csv": "text,who\none,a\ntwo,b\n",
    "x.tsv": "text\twho\none\ta\ntwo\tb\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gives_the_column_text_with_places_and_groups(tmp_path: Path, name: str) -> None:
    put(tmp_path, name, TABLES[name])
    found = read(tmp_path, name, group_column="who")
    assert texts(found) == ["one", "two"]
    assert [each.group for each in found.inputs] == ["a", "b"]
    assert all(each.source.startswith(f"{name}:") for each in found.inputs)
    assert [each.id for each in found.inputs] == [id_of("one"), id_of("two")]
    assert id_of("one") == "in-7692c3ad3540"


def test_parquet_is_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"body": ["one", "two"], "n": [1, 2]}), tmp_path / "x.parquet")
    found = read(tmp_path, "x.parquet")
    assert [(each.text, each.source) for each in found.inputs] == [
        ("one", "x.parquet:row 1"),
        ("two", "x.parquet:row 2"),
    ]


def test_the_input_column_is_named_usual_or_the_only_text(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", '{"n": 1, "mail": "hello", "id": "m1"}\n{"n": 2, "mail": "bye", "id": "m2"}\n')
    found = read(tmp_path, "a.jsonl")
    assert [(each.id, each.text) for each in found.inputs] == [("m1", "hello"), ("m2", "bye")]
    put(tmp_path, "b.jsonl", '{"subject": "s", "mail": "hello"}\n')
    with pytest.raises(BadInput, match=r"several columns could be the input\. Columns: 'subject', 'mail'"):
        read(tmp_path, "b.jsonl")
    assert texts(read(tmp_path, "b.jsonl", input_column="mail")) == ["hello"]
    with pytest.raises(BadInput, match=r"data\.input_column is 'mial'.* Near: 'mail'"):
        read(tmp_path, "b.jsonl", input_column="mial")


def test_rows_that_are_no_input_are_told_one_by_one(tmp_path: Path) -> None:
    lines = [
        '{"input": "ok"}',
        '{"input": 3}',
        '{"other": "x"}',
        '{"input": " "}',
        "not json",
        '{"input": "\\u0000"}',
    ]
    put(tmp_path, "a.jsonl", "\n".join(lines))
    found = read(tmp_path, "a.jsonl")
    assert texts(found) == ["ok"]
    reasons = sorted(told(found))
    assert [line.partition(": ")[0] for line in reasons] == [f"a.jsonl:{n}" for n in (2, 3, 4, 5, 6)]
    assert "is not a text: it is int" in reasons[0]
    assert "its input is empty" in reasons[2]


def test_an_id_that_two_inputs_share_is_told_and_a_repeat_is_counted(tmp_path: Path) -> None:
    rows = [("a", "one"), ("a", "two"), ("b", " ONE "), ("c", "three"), ("d", "ｏｎｅ")]
    put(tmp_path, "a.jsonl", "".join(json.dumps({"key": k, "input": t}) + "\n" for k, t in rows))
    found = read(tmp_path, "a.jsonl", id_column="key")
    assert [(each.id, each.text) for each in found.inputs] == [("a", "one"), ("c", "three")]
    assert told(found) == ["a.jsonl:2: its id occurs twice: 'a' is also the id of a.jsonl:1"]
    assert found.repeats == 2
    assert [(row.place, row.reason) for row in found.repeated] == [
        (f"a.jsonl:{n}", "repeats an input: that of a.jsonl:1") for n in (3, 5)
    ]


def test_an_input_whose_first_row_had_a_taken_id_is_not_lost(tmp_path: Path) -> None:
    rows = [(1, "A"), (1, "B"), (3, "B"), (4, "B")]
    put(tmp_path, "a.jsonl", "".join(json.dumps({"key": k, "input": t}) + "\n" for k, t in rows))
    found = read(tmp_path, "a.jsonl", id_column="key")
    assert [(each.id, each.text) for each in found.inputs] == [("1", "A"), ("3", "B")]
    assert told(found) == ["a.jsonl:2: its id occurs twice: '1' is also the id of a.jsonl:1"]
    assert [row.reason for row in found.repeated] == ["repeats an input: that of a.jsonl:3"]


def test_repeats_beyond_a_number_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneproof.outside.readers.inputs.MOST_LISTED", 3)
    put(tmp_path, "x.txt", "same\n" * 9)
    found = read(tmp_path, "x.txt")
    assert (len(found.inputs), found.repeats) == (1, 8)
    assert [row.place for row in found.repeated] == ["x.txt:2", "x.txt:3", "x.txt:4"]


@pytest.mark.parametrize(("ending", "how"), [("log", "auto"), ("txt", "lines")])
def test_lines_of_one_file_of_a_folder_are_one_group(tmp_path: Path, ending: str, how: str) -> None:
    for name in ("a", "deep/b"):
        put(tmp_path, f"chats/{name}.{ending}", f"hello from {name}\nbye from {name}\n")
    found = read(tmp_path, "chats", inputs_as=how)
    a, b = f"chats/a.{ending}", f"chats/deep/b.{ending}"
    assert [each.group for each in found.inputs] == [a, a, b, b]
    assert "groups: 2, one a file: all lines of a file stay on one side of the split" in found.notes


GROUPLESS = [
    ("one.txt", "a\nb\n", "only twins stay on one side of the split; if its lines belong together"),
    ("one.jsonl", '{"input": "a"}\n', "only twins stay on one side of the split; data.group_column names"),
    ("texts/a.md", "a", "a file is one input; only twins stay on one side of the split"),
    ("logs/a.log", "a\nb\n", "only twins stay on one side of the split; if its lines belong together"),
]


@pytest.mark.parametrize(("name", "data", "words"), GROUPLESS, ids=[g[0] for g in GROUPLESS])
def test_a_single_file_says_that_only_twins_are_grouped(
    tmp_path: Path, name: str, data: str, words: str
) -> None:
    put(tmp_path, name, data)
    found = read(tmp_path, name.partition("/")[0])
    assert [each.group for each in found.inputs] == [None] * len(found.inputs) != []
    assert found.notes[-1].startswith(f"groups: none, {words}")


def test_a_group_column_wins(tmp_path: Path) -> None:
    for name in "ab":
        put(tmp_path, f"mails/{name}.jsonl", json.dumps({"input": f"text {name}", "who": "ada"}) + "\n")
    found = read(tmp_path, "mails", group_column="who")
    assert [each.group for each in found.inputs] == ["ada", "ada"]
    assert found.notes[-1] == "groups: 1, by data.group_column"


EVIL = [
    ("a byte order mark", b"\xef\xbb\xbfone\ntwo\n", ["one", "two"], []),
    ("CRLF and CR", b"one\r\ntwo\rthree", ["one", "two", "three"], []),
    ("blank lines", b"\n one\n\n\t\n", [" one"], []),
    ("NUL", b"one\ntw\0o\n", ["one"], ["x.txt:2: holds a NUL character: at column 3"]),
    ("invalid UTF-8", b"one\nb\xe4d\nthree\n", ["one", "three"], ["x.txt:2: not UTF-8: byte 0xe4 at byte 2"]),
    ("U+2028 is no line end", "one\u2028more\ntwo".encode(), ["one\u2028more", "two"], []),
    ("UTF-16", "one\ntwo".encode("utf-16"), ["one", "two"], []),
]


@pytest.mark.parametrize(("data", "good", "bad"), [e[1:] for e in EVIL], ids=[e[0] for e in EVIL])
def test_lines_are_read_strictly(tmp_path: Path, data: bytes, good: list[str], bad: list[str]) -> None:
    put(tmp_path, "x.txt", data)
    found = read(tmp_path, "x.txt")
    assert (texts(found), told(found)) == (good, bad)
    put(tmp_path, "y.txt.gz", gzip.compress(data))
    assert texts(read(tmp_path, "y.txt.gz")) == good


def test_cp1252_is_read_when_task_yaml_says_so(tmp_path: Path) -> None:
    put(tmp_path, "x.txt", "Größe\n".encode("cp1252"))
    assert texts(read(tmp_path, "x.txt", encoding="cp1252")) == ["Größe"]


def test_a_folder_of_texts_is_one_input_a_file(tmp_path: Path) -> None:
    for name, text in {"b.txt": "two\r\nlines\r\n", "a/x.md": "# one", "e.txt": " \n", "c.pdf": "no"}.items():
        put(tmp_path, f"mails/{name}", text)
    put(tmp_path, "mails/.hidden.txt", "no")
    put(tmp_path, "mails/bad.txt", b"ok\n\xff")
    found = read(tmp_path, "mails")
    assert [(each.source, each.text) for each in found.inputs] == [
        ("mails/a/x.md", "# one"),
        ("mails/b.txt", "two\nlines"),
    ]
    assert sorted(told(found)) == [
        "mails/bad.txt: not UTF-8: byte 0xff at byte 1 of line 2",
        "mails/e.txt: is empty",
    ]
    before = inputs_digest(DataSection(source="mails", licence="x"), DraftingSection(), tmp_path)
    put(tmp_path, "mails/b.txt", "other")
    assert before != inputs_digest(DataSection(source="mails", licence="x"), DraftingSection(), tmp_path)


def test_a_folder_that_could_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "both/a.txt", "one")
    put(tmp_path, "both/b.jsonl", '{"input": "x"}\n')
    with pytest.raises(BadInput, match=r"both may be the inputs"):
        read(tmp_path, "both")
    assert texts(read(tmp_path, "both", inputs_as="files")) == ["one"]
    assert texts(read(tmp_path, "both", inputs_as="rows")) == ["x"]


REFUSED = [
    ("no such file", "gone.jsonl", {}, r"gone\.jsonl does not exist"),
    ("an unknown ending", "x.dat", {}, r"the ending \.dat does not say"),
    ("an empty file", "empty.txt", {}, r"empty\.txt: holds no input"),
    ("a column of lines", "x.txt", {"group_column": "who"}, r"data\.group_column names a column"),
]


@pytest.mark.parametrize(("name", "data", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_source_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, data: dict[str, str], words: str
) -> None:
    for file in ("x.dat", "x.txt"):
        put(tmp_path, file, "one\n")
    put(tmp_path, "empty.txt", "\n")
    with pytest.raises(BadInput, match=words):
        read(tmp_path, name, **data)


LOG = {
    "2026-11-24T10:00:00.123Z INFO  Order 1182 was charged": "Order 1182 was charged",
    "2026-11-24 10:00:00,123 ERROR [main] com.foo.Bar - cannot open": "cannot open",
    "2026-11-24 10:00:00.123  INFO 1234 --- [nio-8080-exec-1] c.f.Bar : started": "started",
    "2026-11-24 10:00:00,123 - my.logger - WARNING - disk is full: 97 %": "disk is full: 97 %",
    "INFO:root:hello world": "hello world",
    "Nov 24 10:00:00 host sshd[123]: Failed password for root": "Failed password for root",
    "<34>1 2026-11-24T10:00:00Z host app 123 ID47 - message here": "message here",
    '127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326': '"GET /a HTTP/1.0" 200 2326',
    "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 43] [client 72.15.9.1] No": "No",
    "2026/11/24 10:00:00 [error] 123#0: *1 open() failed": "open() failed",
    "I1124 10:00:00.123456    1234 file.go:12] up": "up",
    "2026-11-24T10:00:00.000000000Z stdout F of a container": "of a container",
    "[12345.678901] usb 1-1: new device": "usb 1-1: new device",
    'time="2026-11-24T10:00:00Z" level=info msg="hello"': 'msg="hello"',
    "11-24 10:00:00.123  1234  5678 E ActivityManager: ANR in app": "ANR in app",
    "\x1b[32m[INFO]\x1b[0m Building jar": "Building jar",
    "Error: cannot reach the host": "Error: cannot reach the host",
    "error while loading": "error while loading",
    "payment: refused by the bank": "payment: refused by the bank",
    "0123456789 is my number": "0123456789 is my number",
    "2026-11-24 the report is due": "2026-11-24 the report is due",
}


def test_the_header_of_a_log_line_is_stripped_and_nothing_else() -> None:
    assert {line: message_of(line).text for line in LOG} == LOG


def test_a_log_says_what_was_stripped_and_counts_repeats(tmp_path: Path) -> None:
    lines = [f"2026-11-24 10:00:{n:02} INFO user {n % 5} cannot log in" for n in range(60)]
    put(tmp_path, "app.log", "\n".join([*lines, "no header here", "2026-11-24 10:01:00 INFO"]))
    found = read(tmp_path, "app.log")
    assert texts(found) == [*[f"user {n} cannot log in" for n in range(5)], "no header here"]
    assert found.repeats == 55
    assert told(found) == ["app.log:62: nothing but a header: '2026-11-24 10:01:00 INFO'"]
    assert "stripped: time of 61 lines, level of 61 lines; 1 lines had no header that is known" in found.notes
    put(tmp_path, "logs/a.log.1", "WARN one")
    put(tmp_path, "logs/b.log", "WARN two")
    assert texts(read(tmp_path, "logs")) == ["one", "two"]


LINE = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n\0"), max_size=12)


@given(
    st.lists(st.one_of(LINE.map(str.encode), st.just(b"\xff"), st.just(b"a\0"), st.just(b" ")), max_size=30)
)
def test_every_line_is_an_input_a_repeat_blank_or_told(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        put(Path(folder), "x.txt", b"\n".join([*lines, b"last one here"]))
        found = read(Path(folder), "x.txt")
    blank = sum(int(note.removeprefix("blank lines: ")) for note in found.notes if note.startswith("blank"))
    assert len(found.inputs) + len(found.left_out) + found.repeats + blank == len(lines) + 1
    folded = [folded_input(each.text) for each in found.inputs]
    assert len(set(folded)) == len(folded) == len({each.id for each in found.inputs})
