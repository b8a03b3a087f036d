"""The evil files as a whole: no line is lost, no mark counts, 50 MB cost little, bytes come back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evil.files import BROKEN, EVIL, ROWS_OF_JSON_LINES, A, B, Evil, object_with
from tuneproof.artifacts import Pair, SplitRow, lock_part
from tuneproof.artifacts.case import DataSection
from tuneproof.errors import TuneproofError
from tuneproof.outside.readers import Rows, read_pairs, read_rows
from tuneproof.outside.readers.text import LONGEST_ROW
from tuneproof.shelves import lines_of, rows_of

SECTION = DataSection(source="p.jsonl", licence="unknown")
PROMPT = "Answer."


def read(folder: Path, name: str, data: bytes) -> Rows:
    (folder / name).write_bytes(data)
    return read_rows(folder / name, shown=name)


def pairs_of(folder: Path, data: bytes, name: str = "p.jsonl") -> tuple[Pair, ...]:
    (folder / name).write_bytes(data)
    return read_pairs(SECTION.model_copy(update={"source": name}), folder, PROMPT).pairs


def split_hash(pairs: tuple[Pair, ...]) -> str:
    """The hash that a frozen part of these pairs would have."""
    rows = (SplitRow(id=p.id, group="g", input=p.input, output=p.output) for p in pairs)
    return lock_part(tuple(rows)).sha256


def test_the_corpus_covers_what_goes_wrong_in_real_files() -> None:
    names = " ".join(evil.name for evil in EVIL)
    assert len(EVIL) >= 110 and len({(evil.file, evil.name) for evil in EVIL}) == len(EVIL)
    wanted = (
        "byte order mark", "CRLF", "in CR", "NUL", "half a pair", "no UTF-8", "key twice", "NaN", "infinity",
        "too large a float", "50 MB", "very deep", "an empty file", "torn last line", "U+2028",
        "right to left", "zero-width", "emoji", "UTF-16", "overlong", "packed",
        "trailing comma", "comment", "combining",
    )  # fmt: skip
    assert not [word for word in wanted if word not in names]
    assert len(BROKEN) >= 25


def is_blank(line: bytes) -> bool:
    return not line.strip(b" \t")


@pytest.mark.parametrize("evil", ROWS_OF_JSON_LINES, ids=[evil.name for evil in ROWS_OF_JSON_LINES])
def test_accepted_and_rejected_lines_are_all_lines_that_are_not_blank(evil: Evil, tmp_path: Path) -> None:
    found = read(tmp_path, evil.file, evil.data)
    numbers = [int(each.place.removeprefix(f"{evil.file}:")) for each in (*found.rows, *found.rejected)]
    assert len(set(numbers)) == len(numbers) == evil.accepted + len(evil.rejected)
    assert all(": " in row.reason or row.reason for row in found.rejected)
    if evil.data[:2] in (b"\xff\xfe", b"\xfe\xff") or evil.file.endswith(".gz"):
        return  # counted above; the lines of these are not the file's bytes
    body = evil.data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert sorted(numbers) == [n for n, line in enumerate(body.split(b"\n"), 1) if not is_blank(line)]


def test_a_byte_order_mark_changes_no_hash_of_the_data(tmp_path: Path) -> None:
    texts = [
        evil.data
        for evil in ROWS_OF_JSON_LINES
        if evil.file == "p.jsonl" and evil.data[:1] == b"{" and len(evil.data) < 1_000_000
    ]
    assert len(texts) > 40
    compared = 0
    for data in (*texts, b'{"input":"\xc3\xa4","output":"\xe2\x82\xac"}\n' + A + b"\n" + B):
        try:
            plain = pairs_of(tmp_path, data)
        except TuneproofError:
            with pytest.raises(TuneproofError):
                pairs_of(tmp_path, b"\xef\xbb\xbf" + data)
            continue
        marked = pairs_of(tmp_path, b"\xef\xbb\xbf" + data)
        assert plain == marked
        assert lines_of(plain) == lines_of(marked) and split_hash(plain) == split_hash(marked)
        compared += bool(plain)
    assert compared > 20


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.jsonl", object_with('"' + "a" * 50_000_000 + '"') + b"\n" + B),
        ("p.jsonl", b'{"input":"' + b'\\"' * 25_000_000),
        ("p.jsonl", b"[" * 50_000_000 + b"\n" + B),
        ("p.jsonl", b"\xff" * 50_000_000 + b"\n" + B),
        ("p.csv", b"input,output\na,x\n" + b"b" * 50_000_000 + b",y\n"),
    ],
    ids=["one text", "never closed", "brackets", "no text", "a cell"],
)
def test_a_line_of_50_mb_costs_little_time_and_memory_and_says_why(
    name: str, data: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    size = len(data)
    del data
    tracemalloc.start()
    began = time.process_time()
    found = read_rows(tmp_path / name, shown=name)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (reject,) = found.rejected
    assert reject.reason.startswith("too long a row: ") and f"more than {LONGEST_ROW:,}" in reject.reason
    # The csv module holds a cell with four bytes a character while it reads it.
    assert took < 10 and peak < (12 if name.endswith(".csv") else 5) * size, (took, peak / size)


NASTY = st.sampled_from(
    [*"aZ0 \t\n\r\"\\/'<>&{}[]:,;", "\x01", "\x1f", "\x7f", "\x85", "\xa0", "\u00ad", "\u0301", "\u200b",
     "\u200d", "\u200e", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\ufffd", "\uffff", "\ue000",
     "é", "ß", "İ", "漢", "👩\u200d👧", "\U0010ffff", "\U00012000", "\\u0041", "\\ud800", "</script>"]
)  # fmt: skip
TEXTS = st.lists(NASTY, min_size=1, max_size=4).map("".join).filter(str.strip)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=50, max_size=50)
SEEN: list[int] = []


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(ROWS)
def test_what_is_written_read_and_written_again_is_the_same_bytes(
    tmp_path: Path, rows: list[tuple[str, str]]
) -> None:
    pairs = tuple(
        Pair(id=f"r{number}", input=given, output=wanted, source=f"p.jsonl:{number}")
        for number, (given, wanted) in enumerate(rows, 1)
    )
    once = lines_of(pairs)
    again = pairs_of(tmp_path, once.encode())
    assert again == pairs and lines_of(again) == once
    assert rows_of(once, Pair, "p.jsonl") == pairs
    SEEN.append(len(pairs))


def test_ten_thousand_rows_went_out_and_back() -> None:
    if not SEEN:
        pytest.skip("counts the rows of the test before it")
    assert sum(SEEN) >= 10_000


def test_hashes_depend_on_no_hash_seed_no_locale_and_no_order_of_keys(tmp_path: Path) -> None:
    rows = [{"input": "ä 漢\u2028", "output": "x", "id": "b"}, {"input": "é", "output": "İ", "id": "a"}]
    digests = set()
    for number, (seed, locale) in enumerate((("1", "C"), ("4242", "C.UTF-8"))):
        ordered = [dict(sorted(row.items(), reverse=bool(number))) for row in rows]
        text = "".join(json.dumps(row, ensure_ascii=bool(number)) + "\n" for row in ordered)
        (tmp_path / "p.jsonl").write_text(text, encoding="utf-8")
        program = (
            "from pathlib import Path; from test_evil_corpus import *;"
            "pairs = read_pairs(SECTION, Path('.'), PROMPT).pairs;"
            "print(split_hash(pairs), sha256_of(lines_of(pairs)))"
        ).replace("from pathlib", "from tuneproof.artifacts import sha256_of; from pathlib")
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "PYTHONUTF8": str(number)}
        environment["PYTHONPATH"] = str(Path(__file__).parent)
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, check=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1 and b"sha256:" in digests.pop()
