"""Files as they really come, and worse: what each holds, and what must be said about it."""

from __future__ import annotations

import gzip
from typing import NamedTuple

A, B = b'{"input":"a","output":"x"}', b'{"input":"b","output":"y"}'
TWO = "input,output\na,x\nb,y\n"
DEEP = 10_000


class Evil(NamedTuple):
    """A file, how many rows it has, and what is wrong with each of the others: line → words of the reason."""

    name: str
    file: str
    data: bytes
    accepted: int
    rejected: dict[int, str] = {}


def object_with(value: str) -> bytes:
    return b'{"input":"a","output":' + value.encode("utf-8", "surrogatepass") + b"}"


ROWS_OF_JSON_LINES = [
    Evil("an empty file", "p.jsonl", b"", 0),
    Evil("only a byte order mark", "p.jsonl", b"\xef\xbb\xbf", 0),
    Evil("only line ends", "p.jsonl", b"\n\r\n\r", 0),
    Evil("one row without a line end", "p.jsonl", A, 1),
    Evil("a trailing line end is no row", "p.jsonl", A + b"\n", 1),
    Evil("a blank line in the middle is no row", "p.jsonl", A + b"\n \t\n" + B + b"\n", 2),
    Evil("lines end in CRLF", "p.jsonl", A + b"\r\n" + B + b"\r\n", 2),
    Evil("lines end in CR", "p.jsonl", A + b"\r" + B + b"\r", 2),
    Evil("all three line ends at once", "p.jsonl", A + b"\r" + A + b"\n" + b"[]\r\n" + A, 3, {3: "a list"}),
    Evil("a byte order mark", "p.jsonl", b"\xef\xbb\xbf" + A + b"\n" + B, 2),
    Evil("a byte order mark in the middle", "p.jsonl", A + b"\n\xef\xbb\xbf" + B, 1, {2: "not JSON"}),
    Evil("UTF-16 little endian", "p.jsonl", b"\xff\xfe" + (A + b"\n" + B).decode().encode("utf-16-le"), 2),
    Evil("UTF-16 big endian", "p.jsonl", b"\xfe\xff" + (A + b"\n" + B).decode().encode("utf-16-be"), 2),
    Evil("UTF-32 little endian", "p.jsonl", b"\xff\xfe\0\0" + A.decode().encode("utf-32-le"), 1),
    Evil(
        "a lone unit in UTF-16",
        "p.jsonl",
        "\ufeff".encode("utf-16-le")
        + object_with('"z"').decode().replace("z", "\ud800").encode("utf-16-le", "surrogatepass"),
        0,
        {1: "half a surrogate pair: U+D800"},
    ),
    Evil("a torn last line", "p.jsonl", A + b'\n{"input":"b","outp', 1, {2: "it may be cut off"}),
    Evil("a torn line in the middle", "p.jsonl", b'{"input":"b","outp\n' + A + b"\n", 1, {1: "not JSON"}),
    Evil(
        "two objects on a line", "p.jsonl", A + B + b"\n" + A, 1, {1: "more text after the value, at column"}
    ),
    Evil("a comma after the object", "p.jsonl", A + b",\n" + B, 1, {1: "more text after the value"}),
    Evil("single quotes", "p.jsonl", b"{'input':'a'}\n" + A, 1, {1: "not JSON: Expecting property name"}),
    Evil("a comment", "p.jsonl", b"// pairs\n" + A, 1, {1: "not JSON"}),
    Evil("a trailing comma", "p.jsonl", b'{"input":"a",}\n' + A, 1, {1: "not JSON"}),
    Evil("an unknown escape", "p.jsonl", object_with(r'"\x41"') + b"\n" + A, 1, {1: "escape"}),
    Evil("a raw tab in a string", "p.jsonl", object_with('"a\tb"') + b"\n" + A, 1, {1: "control character"}),
    Evil("a raw NUL", "p.jsonl", object_with('"a\0b"') + b"\n" + A, 1, {1: "NUL character: at column 25"}),
    Evil(
        "an escaped NUL", "p.jsonl", object_with(r'"a\u0000b"') + b"\n" + A, 1, {1: "holds a NUL character"}
    ),
    Evil("an escaped NUL in a key", "p.jsonl", b'{"\\u0000":"a"}\n' + A, 1, {1: "holds a NUL character"}),
    Evil("half a pair", "p.jsonl", object_with(r'"\ud800"') + b"\n" + A, 1, {1: "surrogate pair: U+D800"}),
    Evil("half a pair inside a list", "p.jsonl", object_with(r'[["\udfff"]]') + b"\n" + A, 1, {1: "U+DFFF"}),
    Evil(
        "a pair in the wrong order", "p.jsonl", object_with(r'"\ude00\ud83d"') + b"\n" + A, 1, {1: "U+DE00"}
    ),
    Evil("a whole pair", "p.jsonl", object_with(r'"\ud83d\ude00"'), 1),
    Evil("a byte that is no UTF-8", "p.jsonl", A + b'\n{"input":"\xff"}', 1, {2: "byte 0xff at byte 11"}),
    Evil("bytes after an umlaut", "p.jsonl", b'{"\xc3\xa4":"\xe4"}\n' + A, 1, {1: "byte 0xe4 at byte 8"}),
    Evil("an overlong slash", "p.jsonl", b'{"input":"\xc0\xaf"}\n' + A, 1, {1: "not UTF-8: byte 0xc0"}),
    Evil("a surrogate in UTF-8", "p.jsonl", object_with('"\ud800"') + b"\n" + A, 1, {1: "byte 0xed"}),
    Evil("a cut character", "p.jsonl", A + b'\n{"input":"\xe2\x82', 1, {2: "not UTF-8: byte 0xe2"}),
    Evil("a key twice", "p.jsonl", b'{"input":"a","input":"b"}\n' + A, 1, {1: "twice: 'input'"}),
    Evil("a key twice inside", "p.jsonl", object_with('{"k":1,"k":1}') + b"\n" + A, 1, {1: "twice: 'k'"}),
    Evil("a key twice by escape", "p.jsonl", b'{"a":1,"\\u0061":2}\n' + A, 1, {1: "twice: 'a'"}),
    Evil("NaN", "p.jsonl", object_with("NaN") + b"\n" + A, 1, {1: "no number in JSON: NaN"}),
    Evil("minus infinity", "p.jsonl", object_with("-Infinity") + b"\n" + A, 1, {1: "no number in JSON: -I"}),
    Evil(
        "too large a float", "p.jsonl", object_with("1e999") + b"\n" + A, 1, {1: "too large a number: 1e999"}
    ),
    Evil(
        "too large an integer", "p.jsonl", object_with("9" * 5000) + b"\n" + A, 1, {1: "number: 5000 digits"}
    ),
    Evil("lists", "p.jsonl", A + b"\n[1]\n[]", 1, {2: "not an object with keys: a list", 3: "a list"}),
    Evil(
        "other values",
        "p.jsonl",
        A + b'\n1\n"a"\nnull\ntrue',
        1,
        {2: "a number", 3: "a text", 4: "null", 5: "true or false"},
    ),
    Evil("an object without a key", "p.jsonl", b"{}", 1),
    Evil(
        "very deep lists", "p.jsonl", object_with("[" * DEEP + "]" * DEEP) + b"\n" + A, 1, {1: "too deeply"}
    ),
    Evil(
        "very deep objects", "p.jsonl", object_with('{"a":' * DEEP + "1" + "}" * DEEP), 0, {1: "too deeply"}
    ),
    Evil("deep enough for most parsers", "p.jsonl", object_with("[" * 200 + "]" * 200), 0, {1: "too deeply"}),
    Evil("a hundred levels", "p.jsonl", object_with("[" * 99 + '"a"' + "]" * 99), 1),
    Evil(
        "a hundred and one levels",
        "p.jsonl",
        object_with("[" * 100 + '"a"' + "]" * 100),
        0,
        {1: "100 levels"},
    ),
    Evil(
        "a line of 50 MB",
        "p.jsonl",
        object_with('"' + "a" * 50_000_000 + '"') + b"\n" + B,
        1,
        {1: "too long a row: 50,000,025 characters, more than 1,000,000"},
    ),
    Evil(
        "5 MB without an end",
        "p.jsonl",
        A + b"\n" + b'{"input":"' + b"a" * 5_000_000,
        1,
        {2: "too long a row: 5,000,010 characters"},
    ),
    Evil("5 MB of spaces are a blank line", "p.jsonl", b" " * 5_000_000 + b"\n" + A, 1),
    Evil(
        "as long as a row may be", "p.jsonl", object_with('"' + "a" * (1_000_000 - 25) + '"') + b"\n" + B, 2
    ),
    Evil(
        "one character longer",
        "p.jsonl",
        object_with('"' + "a" * (1_000_000 - 24) + '"') + b"\n" + B,
        1,
        {1: "1,000,001 characters"},
    ),
    Evil("right to left signs", "p.jsonl", object_with('"\u202eabc\u202c\u2066d\u2069"'), 1),
    Evil("zero-width signs", "p.jsonl", object_with('"a\u200bb\u200cc\u2060d\ufeffe"'), 1),
    Evil(
        "emoji joined by zero-width joiners", "p.jsonl", object_with('"👩\u200d👩\u200d👧 👋🏽 🏳️\u200d🌈"'), 1
    ),
    Evil("combining signs and old letters", "p.jsonl", object_with('"e\u0301 \U00012000 \uffff"'), 1),
    Evil("a private letter and the replacement sign", "p.jsonl", object_with('"\ue000 \ufffd"'), 1),
    Evil("a byte order mark twice", "p.jsonl", b"\xef\xbb\xbf" * 2 + A + b"\n" + B, 1, {1: "not JSON"}),
    Evil("a file of NULs", "p.jsonl", b"\0" * 20 + b"\n" + A * 40, 0, {1: "NUL", 2: "more text"}),
    Evil("infinity", "p.jsonl", object_with("Infinity") + b"\n" + A, 1, {1: "no number in JSON: Infinity"}),
    Evil("minus 1e999", "p.jsonl", object_with("-1e999") + b"\n" + A, 1, {1: "large a number: -1e999"}),
    Evil("a number too small to hold is 0", "p.jsonl", object_with("1e-999"), 1),
    Evil("a number with a leading zero", "p.jsonl", object_with("007") + b"\n" + A, 1, {1: "not JSON"}),
    Evil("an empty key", "p.jsonl", b'{"":"a","input":"b"}', 1),
    Evil(
        "a key twice, apart only in its form",
        "p.jsonl",
        '{"\u00e9":1,"e\u0301":2}'.encode(),
        1,
    ),
    Evil("form feeds are letters", "p.jsonl", A + b"\n\x0c\n" + B, 2, {2: "not JSON"}),
    Evil("an escape sequence for terminals", "p.jsonl", b"\x1b[31m" + A, 0, {1: "not JSON"}),
    Evil(
        "U+2028 in a string", "p.jsonl", object_with('"a\u2028b\u2029c\u0085d\u000be"'.replace("\v", " ")), 1
    ),
    Evil("U+2028 between rows", "p.jsonl", A + "\u2028".encode() + B, 0, {1: "more text after the value"}),
    Evil("no-break spaces are no blank line", "p.jsonl", A + "\n\u00a0\n".encode() + B, 2, {2: "not JSON"}),
    Evil("packed", "p.jsonl.gz", gzip.compress(A + b"\n1\n"), 1, {2: "a number"}),
    Evil("another ending", "p.NDJSON", A, 1),
]

ROWS_OF_JSON = [
    Evil("an empty file", "p.json", b" \n", 0),
    Evil("an empty list", "p.json", b"[]", 0),
    Evil("a list over many lines", "p.json", b"[\n" + A + b",\n\n" + B + b"\n]\n", 2),
    Evil("a list with CRLF", "p.json", b"[\r\n1,\r\n" + B + b"\r\n]\r\n", 1, {2: "a number"}),
    Evil("two elements on one line", "p.json", b"[\n" + A + b", [ ]]", 1, {2: "a list"}),
    Evil("a list inside an object", "p.json", b'{"version": 1,\n "data": [' + A + b",\n2\n]}", 1,
         {3: "a number"}),
    Evil("an empty list inside an object", "p.json", b'{"data": [], "n": 0}', 0),
    Evil("a key twice in one row", "p.json", b'[{"a":1,"a":2},\n' + A + b"]", 1, {1: "a key occurs twice"}),
    Evil("NaN in one row", "p.json", b"[" + A + b",\n" + object_with("NaN") + b"]", 1,
         {2: "no number in JSON"}),
    Evil("an invalid byte in one row", "p.json", b"[" + A + b',\n{"input":"\xff"}]', 1,
         {2: "not UTF-8: byte 0xff"}),
    Evil("an invalid byte late in a row", "p.json", b'[{"input":\n"\xff"}]', 0,
         {1: "at byte 2 of line 2 of the row"}),
    Evil("half a pair in one row", "p.json", b"[" + object_with(r'"\ud800"') + b"," + A + b"]", 1,
         {1: "U+D800"}),
    Evil("a row of 200 levels", "p.json", b"[" + object_with("[" * 200 + "]" * 200) + b"," + A + b"]", 1,
         {1: "too deeply"}),
    Evil("a row of 2 MB", "p.json", b"[" + object_with('"' + "a" * 2_000_000 + '"') + b"," + A + b"]", 1,
         {1: "too long a row"}),
    Evil("JSON Lines by another name", "p.json", A + b"\n1\n" + B, 2, {2: "a number"}),
]  # fmt: skip

ROWS_OF_CSV = [
    Evil("an empty file", "p.csv", b"", 0),
    Evil("only a header", "p.csv", b"input,output\n", 0),
    Evil("two rows", "p.csv", TWO.encode(), 2),
    Evil("two rows with a byte order mark and CRLF", "p.csv",
         TWO.replace("\n", "\r\n").encode("utf-8-sig"), 2),
    Evil("lines end in CR", "p.csv", TWO.replace("\n", "\r").encode(), 2),
    Evil("blank lines", "p.csv", b"\n\ninput,output\n\na,x\n  \nb,y\n\n\n", 2),
    Evil("a row of empty cells", "p.csv", b"input,output\na,x\n,\n", 2),
    Evil("too few and too many cells", "p.csv", b"input,output\na\nb,y\nc,z,\n", 1,
         {2: "number of cells than the header: 1, not 2", 4: "header: 3, not 2"}),
    Evil("a cell of three lines", "p.csv", b'input,output\n"a\nb\n\nc",x\nd\n', 1, {6: "1, not 2"}),
    Evil("a quote that is never closed", "p.csv", b'input,output\na,x\n"b,y\nc,z\n', 1,
         {3: "never closed (lines 3 to 4 are one row here)"}),
    Evil("a stray quote that a later row closes", "p.csv", b'input,output\na,"x\nb,y\nc,"z"\nd,w\n', 1,
         {2: "a closing quote is followed by more text (lines 2 to 4"}),
    Evil("a quote inside a word", "p.csv", b'input,output\n5" pipe,x\n', 1),
    Evil("a NUL", "p.csv", b"input,output\na\0,x\nb,y\n", 1, {2: "holds a NUL character: at column 2"}),
    Evil("an invalid byte", "p.csv", b"input,output\n\xe4,x\nb,y\n", 1,
         {2: "not UTF-8: byte 0xe4 at byte 1"}),
    Evil("an invalid byte late in a row", "p.csv", b'input,output\n"a\n\xe4",x\n', 0,
         {2: "of line 2 of the row"}),
    Evil("a cell larger than the csv module likes", "p.csv", b"input,output\n" + b"a" * 200_000 + b",x\n", 1),
    Evil("a cell of 2 MB", "p.csv", b"input,output\n" + b"a" * 2_000_000 + b",x\nb,y\n", 1,
         {2: "too long a row: 2,000,002 characters"}),
    Evil("2 MB after a quote that is never closed", "p.csv", b'input,output\na,x\n"b,' + b"yy\n" * 700_000, 1,
         {3: "never closed (lines 3 to 700002"}),
    Evil("line separators are letters", "p.csv", "input,output\na\u2028b,x\x0by\x0c\x85\n".encode(), 1),
    Evil("a sep= line", "p.csv", b"sep=;\r\ninput;output\r\na,1;x\r\n;;\r\n", 1, {4: "3, not 2"}),
    Evil("semicolons", "p.csv", b"input;output\n1,5;x\n2;y;z\n", 1, {3: "3, not 2"}),
    Evil("semicolons with a quoted name", "p.csv", b'"in,put,s";output\na;x\n', 1),
    Evil("bars", "p.csv", b"input|output\na|x\n", 1),
    Evil("tabs", "p.tsv", b"input\toutput\n\t\na,b\tx\n", 2),
    Evil("tabs below a header with more commas", "p.tsv", b"in,p,ut\toutput\na\tx\n", 1),
    Evil("Excel's Unicode text", "p.txt", "\ufeffinput\toutput\r\nä\t\"x\ny\"\r\n".encode("utf-16-le"), 1),
    Evil("one column", "p.csv", b"input\na\nb,c\n", 1, {3: "2, not 1"}),
    Evil("packed", "p.csv.gz", gzip.compress(TWO.encode()), 2),
]  # fmt: skip

EVIL = [*ROWS_OF_JSON_LINES, *ROWS_OF_JSON, *ROWS_OF_CSV]

BROKEN = [
    ("a list in JSON Lines", "p.jsonl", b"[\n" + A + b",\n" + B + b"\n]\n", r"p\.jsonl:1: a JSON list"),
    ("a list without an end", "p.json", b"[" + A + b",\n" + B, r"p\.json:2: not JSON: .*cut off"),
    ("a comma too many", "p.json", b"[" + A + b",\n]", r"p\.json:2: not JSON"),
    ("no comma", "p.json", b"[" + A + b"\n" + B + b"]", r"p\.json:2: not JSON: ',' or '\]' is expected"),
    ("more after the list", "p.json", b"[" + A + b"]\n\nx", r"p\.json:3: not JSON: more text after the list"),
    ("a word", "p.json", b"\npairs", r"p\.json:2: not JSON: neither a list nor an object"),
    ("a key that is no text", "p.json", b"{1: []}", r"p\.json:1: not JSON: a key and a colon"),
    ("no colon", "p.json", b'{"data" []}', r"p\.json:1: not JSON: a key and a colon"),
    ("two lists", "p.json", b'{"a":[{}],"b":[{}]}', "several lists of objects: 'a', 'b'"),
    (
        "columns as lists",
        "p.json",
        b'{"input":["a"],"output":["b"]}',
        "no list of objects: 'input', 'output'",
    ),
    ("the list twice", "p.json", b'{"data":[{}],"data":[{}]}', "a key that occurs twice: 'data'"),
    ("no key", "p.json", b"{}", "no list of objects: no key at all"),
    ("no end in sight", "p.json", b"[" * DEEP, "too deeply"),
    ("a byte between the rows", "p.json", b"[" + A + b"\xff]", r"p\.json:1: not JSON"),
    ("UTF-16 without a mark", "p.csv", TWO.encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ("half a unit of UTF-16", "p.csv", b"\xff\xfe" + TWO.encode("utf-16-le") + b"x", "is not UTF-16-LE"),
    ("a nameless column", "p.csv", b"input,,output, \na,b,c,d\n", "column 2 has no name"),
    ("a name twice", "p.csv", b"input,output,input\na,b,c\n", "the name 'input' occurs twice"),
    (
        "an invalid byte in the header",
        "p.csv",
        b"inp\xe4t,output\na,b\n",
        r"p\.csv:1: header: not UTF-8: byte 0xe4",
    ),
    ("an open quote in the header", "p.csv", b'"input,output\na,b\n', r"p\.csv:1: header: broken quoting"),
    ("two possible delimiters", "p.csv", b"input,output;note\n", "',' and ';' fit the header equally"),
    ("a spreadsheet", "p.xlsx", b"PK\x03\x04", "a spreadsheet"),
    ("an unknown ending", "p.docx", b"PK", r"the ending \.docx says no format"),
    ("no ending", "pairs", b"", r"the ending \(none\)"),
    ("no gzip", "p.jsonl.gz", A, "cannot be read: Not a gzipped file"),
    ("half a gzip", "p.jsonl.gz", gzip.compress(A * 100)[:-12], "cannot be read"),
    ("a packed Parquet file", "p.parquet.gz", b"", "a packed Parquet file"),
]
