"""Text formats: every row is kept or named with its line and a reason, whatever the bytes are."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evil.files import BROKEN, EVIL, TWO, A, B, Evil, object_with
from tuneproof.errors import BadInput, TuneproofError
from tuneproof.outside.readers import Rows, kind_of, read_rows
from tuneproof.outside.readers.text import bytes_of, lines_of


def read(folder: Path, name: str, data: bytes, **options: str) -> Rows:
    (folder / name).write_bytes(data)
    return read_rows(folder / name, shown=name, **options)


@pytest.mark.parametrize("evil", EVIL, ids=[f"{evil.file}: {evil.name}" for evil in EVIL])
def test_every_row_is_kept_or_named_with_its_line_and_a_reason(evil: Evil, tmp_path: Path) -> None:
    found = read(tmp_path, evil.file, evil.data)
    assert len(found.rows) == evil.accepted
    assert [row.place for row in found.rejected] == [f"{evil.file}:{line}" for line in evil.rejected]
    for row, words in zip(found.rejected, evil.rejected.values(), strict=True):
        assert words in row.reason
        row.reason.encode("utf-8")  # it goes to the terminal and into a file


def test_the_evil_corpus_is_large_and_covers_all_formats() -> None:
    assert len(EVIL) >= 90
    assert len(BROKEN) >= 25
    assert {evil.file.partition(".")[2].lower() for evil in EVIL} >= {"jsonl", "json", "csv", "tsv", "txt"}


@pytest.mark.parametrize(("file", "data", "message"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_file_that_is_broken_as_a_whole_is_refused(
    file: str, data: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        read(tmp_path, file, data)
    assert caught.value.remedy


def test_all_faults_of_a_header_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, "p.csv", b",a,a, ,b\n")
    assert len(caught.value.problem.splitlines()) == 3


def test_a_reason_has_one_kind_for_all_rows_with_that_fault(tmp_path: Path) -> None:
    data = (
        b'{"a":1,"a":2}\n{"b":1,"b":2}\n{"c\n{"d":\n' + object_with("NaN") + b"\n" + object_with("Infinity")
    )
    kinds = [kind_of(row.reason) for row in read(tmp_path, "p.jsonl", data).rejected]
    assert kinds == ["a key occurs twice"] * 2 + ["not JSON"] * 2 + ["no number in JSON"] * 2


@pytest.mark.parametrize("file", ["p.jsonl", "p.json", "p.csv", "p.tsv"])
def test_the_same_rows_come_with_and_without_a_mark_and_in_every_line_end(file: str, tmp_path: Path) -> None:
    text = {
        "p.jsonl": '{"input":"ä","output":"x\\ny"}\n1\n{"input":"b"}\n',
        "p.json": '[\n{"input":"ä"},\n1,\n{"input":"b"}\n]\n',
        "p.csv": 'input,output\nä,"x\ny"\nb\n',
        "p.tsv": 'input\toutput\nä\t"x\ny"\nb\n',
    }[file]
    forms = [
        end_text.encode(codec)
        for end in ("\n", "\r\n", "\r")
        for end_text in [text.replace("\n", end)]
        for codec in ("utf-8", "utf-8-sig", "utf-16", "utf-32")
    ]
    found = [read(tmp_path, file, data) for data in forms]
    assert len(found) == 12
    assert all(f[:2] == found[0][:2] for f in found)
    assert found[0].rows and found[0].rejected


@pytest.mark.parametrize(
    "text",
    [
        "\u202eabc\u202c",
        "zero\u200bwidth\ufeff",
        "👩\u200d👩\u200d👧",
        "e\u0301",
        "ﬁ\u00a0x",
        "a\u2028b",
        "\t x ",
    ],
)
def test_letters_that_look_odd_are_kept_as_they_are(text: str, tmp_path: Path) -> None:
    as_json = json.dumps({"input": text}, ensure_ascii=False).encode()
    assert read(tmp_path, "p.jsonl", as_json).rows[0].values == {"input": text}
    as_csv = f'input,output\n"{text}",x\n'.encode()
    assert read(tmp_path, "p.csv", as_csv).rows[0].values["input"] == text


def test_what_the_reader_decided_by_itself_is_noted(tmp_path: Path) -> None:
    assert read(tmp_path, "p.csv", b"sep=;\na;b\n\n").notes == (
        "delimiter ; by the sep= line",
        "blank lines: 1",
    )
    assert read(tmp_path, "p.csv", b"a;b\n").notes == ("delimiter ';' by the header",)
    marked = read(tmp_path, "p.txt", "a\tb\n".encode("utf-16"))
    assert (marked.format, marked.notes) == ("TSV", ("encoding: UTF-16-LE by its byte order mark",))
    assert "JSON Lines" in read(tmp_path, "p.json", A + b"\n" + B).notes[0]
    assert read(tmp_path, "p.csv", b'a,b\n"x\n\ny",z\n').notes == ("delimiter ',' by the header",)


def test_an_encoding_and_a_delimiter_of_the_task_file_are_used(tmp_path: Path) -> None:
    found = read(tmp_path, "p.csv", "a:b\nä:x\n".encode("cp1252"), encoding="cp1252", delimiter=":")
    assert found.rows[0].values == {"a": "ä", "b": "x"}
    wide = read(tmp_path, "p.csv", TWO.encode("utf-16-le"), encoding="utf-16-le")
    assert len(wide.rows) == 2
    assert (
        read(tmp_path, "p.csv", b"a,b\n\x81,x\n", encoding="cp1252")
        .rejected[0]
        .reason.startswith("not CP1252")
    )
    assert len(read(tmp_path, "p.csv", TWO.encode("utf-8-sig"), encoding="utf8").rows) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "klingon"}, "no such encoding"),
        ({"encoding": "a\0b"}, "no such encoding"),
        ({"encoding": "hex"}, "is not HEX"),
        ({"encoding": "cp1252"}, "byte order mark of UTF-8"),
        ({"delimiter": '"'}, "cannot divide cells"),
        ({"delimiter": "\n"}, "cannot divide cells"),
    ],
)
def test_an_encoding_or_a_delimiter_that_cannot_be_is_refused(
    options: dict[str, str], message: str, tmp_path: Path
) -> None:
    mark = "" if options.get("encoding") == "hex" else "\ufeff"
    with pytest.raises(BadInput, match=message):
        read(tmp_path, "p.csv", (mark + TWO).encode(), **options)


def test_a_file_too_large_for_the_memory_is_refused_packed_or_not(tmp_path: Path) -> None:
    for name, data in (("p.jsonl", b"a" * 101), ("p.jsonl.gz", gzip.compress(b"a" * 101))):
        (tmp_path / name).write_bytes(data)
        assert len(bytes_of(tmp_path / name, name, most=101)) == 101
        with pytest.raises(BadInput, match="more than 100 bytes"):
            bytes_of(tmp_path / name, name, most=100)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
CELLS = TEXTS.map(lambda text: text.replace("\r\n", "\n").replace("\r", "\n"))
KEYS = st.text(st.characters(categories=["L"]), min_size=1, max_size=5)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=5)
TABLES = st.lists(KEYS, min_size=2, max_size=4, unique=True).flatmap(
    lambda names: st.lists(st.fixed_dictionaries({name: CELLS for name in names}), min_size=1, max_size=5)
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
COMMON = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@COMMON
@given(
    OBJECTS,
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_is_written_as_json_lines_is_read_again(
    tmp_path: Path, rows: list[dict[str, Any]], ascii_only: bool, end: str, codec: str
) -> None:
    text = "".join(json.dumps(row, ensure_ascii=ascii_only) + end for row in rows)
    found = read(tmp_path, "p.jsonl", text.encode(codec))
    assert ([row.values for row in found.rows], found.rejected) == (rows, ())
    assert [row.place for row in found.rows] == [f"p.jsonl:{n}" for n in range(1, len(rows) + 1)]


@COMMON
@given(OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_what_is_written_as_json_is_read_again(
    tmp_path: Path, rows: list[dict[str, Any]], indent: int | None, wrapped: bool
) -> None:
    whole = {"about": {"n": 1}, "data": rows, "end": None} if wrapped else rows
    found = read(tmp_path, "p.json", json.dumps(whole, indent=indent).encode())
    assert ([row.values for row in found.rows], found.rejected) == (rows, ())


@COMMON
@given(TABLES, st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_is_written_as_csv_is_read_again(
    tmp_path: Path, rows: list[dict[str, str]], delimiter: str, end: str, quote_all: bool
) -> None:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(
        out,
        list(rows[0]),
        delimiter=delimiter,
        lineterminator=end,
        quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL,
    )
    writer.writeheader()
    writer.writerows(rows)
    found = read(tmp_path, "p.csv", out.getvalue().encode())
    assert ([row.values for row in found.rows], found.rejected) == (rows, ())
    lines = lines_of(out.getvalue())
    assert all(0 < int(row.place.partition(":")[2]) <= len(lines) for row in found.rows)


GARBAGE = st.lists(
    st.sampled_from([A, B, b"\n", b"\r\n", b"\r", b'"', b",", b"{", b"}", b"[", b"]", b"\xff", b"\0"])
    | st.sampled_from([b"\xef\xbb\xbf", b"\\ud800", b"1e999", b"NaN", b"sep=;", b"\xff\xfe"])
    | st.sampled_from([b";", b"\t", b" ", b'"\n', b'""', "\u2028".encode(), b":", b"null"])
    | st.binary(max_size=8),
    max_size=30,
).map(b"".join)


@settings(COMMON, max_examples=400)
@given(GARBAGE)
@example(b"\n[")
@example(b'"')
def test_no_bytes_break_the_reader_and_no_line_of_json_lines_is_lost(tmp_path: Path, data: bytes) -> None:
    for file in ("p.jsonl", "p.json", "p.csv", "p.tsv"):
        try:
            found = read(tmp_path, file, data)
        except TuneproofError:
            continue
        numbers = [int(row.place.partition(":")[2]) for row in (*found.rows, *found.rejected)]
        if file != "p.json":
            assert len(set(numbers)) == len(numbers)
        if file == "p.jsonl" and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            body = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n").split(b"\n")
            assert len(numbers) == sum(1 for line in body if line.strip(b" \t"))
