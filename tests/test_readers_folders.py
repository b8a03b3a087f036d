"""Parquet, Arrow, folders, and the source as task.yaml names it: read_pairs and its digest."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneproof.artifacts.case import DataSection
from tuneproof.errors import BadInput, MissingPart, TuneproofError
from tuneproof.outside.readers import read_pairs, read_rows, source_digest

ROWS = [{"input": f"text {n}", "output": "mit" if n % 2 else "zlib"} for n in range(1, 6)]
FEATURES = {"output": {"names": ["mit", "zlib"], "_type": "ClassLabel"}, "input": {"_type": "Value"}}


def parquet(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def lines(path: Path, rows: list[Any] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def section(source: str, **fields: Any) -> DataSection:
    return DataSection.model_validate({"source": source, "licence": "MIT", "attribution": "me"} | fields)


def saved_by_datasets(folder: Path, splits: tuple[str, ...] = ()) -> None:
    import datasets

    one = datasets.Dataset.from_list(ROWS)
    if splits:
        datasets.DatasetDict({name: one for name in splits}).save_to_disk(str(folder))
    else:
        one.save_to_disk(str(folder), num_shards=2)


def test_a_parquet_file_gives_its_rows_numbered_from_one(tmp_path: Path) -> None:
    found = read_rows(parquet(tmp_path / "p.parquet"), shown="in/p.parquet")
    assert [row.values for row in found.rows] == ROWS
    assert [row.place for row in found.rows] == [f"in/p.parquet:row {n}" for n in range(1, 6)]
    assert (found.rejected, found.format) == ((), "Parquet")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_written_as_parquet_or_arrow_is_read_again(tmp_path: Path, data: st.DataObject) -> None:
    texts = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
    numbers = st.integers(-(2**63), 2**63 - 1)
    row = st.fixed_dictionaries({"a": texts, "b": numbers, "c": st.lists(texts, max_size=2)})
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    types = [("a", pa.string()), ("b", pa.int64()), ("c", pa.list_(pa.string()))]
    table = pa.Table.from_pylist(rows, schema=pa.schema(types))
    pq.write_table(table, tmp_path / "p.parquet")
    with pa.ipc.new_stream(str(tmp_path / "s.arrow"), table.schema) as out:
        out.write_table(table)
    with pa.ipc.new_file(str(tmp_path / "f.arrow"), table.schema) as out:
        out.write_table(table)
    for name in ("p.parquet", "s.arrow", "f.arrow"):
        found = read_rows(tmp_path / name, shown=name)
        assert ([r.values for r in found.rows], found.rejected) == (rows, ()), name


def test_one_value_that_is_no_text_costs_its_row_only(tmp_path: Path) -> None:
    bad = pa.array([b"good", b"\xff\xfe", b"also good"], pa.binary()).view(pa.binary())
    texts = pa.StringArray.from_buffers(3, bad.buffers()[1], bad.buffers()[2])
    far = pa.array([0, 0, 10**9], pa.date32())
    table = pa.table({"input": texts, "when": far, "nested": [{"a": "x"}, {"a": "y"}, {"a": "z"}]})
    pq.write_table(table, tmp_path / "p.parquet")
    found = read_rows(tmp_path / "p.parquet", shown="p.parquet")
    assert [row.place for row in found.rows] == ["p.parquet:row 1"]
    assert [row.place for row in found.rejected] == ["p.parquet:row 2", "p.parquet:row 3"]
    assert "column 'input'" in found.rejected[0].reason
    assert "column 'when'" in found.rejected[1].reason


def test_a_nul_anywhere_in_a_parquet_row_costs_that_row(tmp_path: Path) -> None:
    path = parquet(tmp_path / "p.parquet", [{"a": {"b": ["x\0"]}}, {"a": {"b": ["x"]}}])
    found = read_rows(path, shown="p.parquet")
    assert [row.place for row in found.rejected] == ["p.parquet:row 1"]
    assert len(found.rows) == 1


def test_the_numbers_of_a_class_label_become_their_names(tmp_path: Path) -> None:
    table = pa.table({"input": ["a", "b", "c", "d"], "output": [0, 1, -1, 7]})
    noted = json.dumps({"info": {"features": FEATURES}})
    pq.write_table(table.replace_schema_metadata({"huggingface": noted}), tmp_path / "p.parquet")
    found = read_rows(tmp_path / "p.parquet", shown="p")
    assert [row.values["output"] for row in found.rows] == ["mit", "zlib", None, 7]


@pytest.mark.parametrize(
    "noted", ["{", "[]", '{"info":{"features":[]}}', '{"info":{"features":{"output":1}}}']
)
def test_a_note_of_datasets_that_cannot_be_read_leaves_numbers_alone(tmp_path: Path, noted: str) -> None:
    table = pa.table({"input": ["a"], "output": [0]}).replace_schema_metadata({"huggingface": noted})
    pq.write_table(table, tmp_path / "p.parquet")
    assert read_rows(tmp_path / "p.parquet", shown="p").rows[0].values["output"] == 0


def test_a_parquet_or_arrow_file_that_is_cut_off_is_refused_with_its_name(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "p.parquet").read_bytes()
    with pa.ipc.new_stream(str(tmp_path / "s.arrow"), pa.schema([("a", pa.string())])) as out:
        out.write_table(pa.table({"a": ["x"] * 100}))
    stream = (tmp_path / "s.arrow").read_bytes()
    refused = 0
    for name, data in (("p.parquet", whole), ("s.arrow", stream[:-8])):
        for size in range(0, len(data), max(1, len(data) // 40)):
            (tmp_path / name).write_bytes(data[:size])
            try:
                read_rows(tmp_path / name, shown="pairs")
            except BadInput as error:
                assert "pairs" in error.problem
                refused += 1
    assert refused > 60


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([["a"], ["b"]], names=["x", "x"]), tmp_path / "p.parquet")
    with pytest.raises(BadInput, match="column 'x' occurs twice"):
        read_rows(tmp_path / "p.parquet", shown="p")


def test_without_pyarrow_the_command_that_adds_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "p.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # what Python itself does for a module that is absent
    with pytest.raises(MissingPart, match="needs pyarrow") as caught:
        read_rows(path, shown="p.parquet")
    assert caught.value.remedy == 'pip install "tuneproof[data]"'


def test_a_folder_of_datasets_is_read_shard_by_shard(tmp_path: Path) -> None:
    saved_by_datasets(tmp_path / "set")
    found = read_rows(tmp_path / "set", shown="set/")
    assert [row.values for row in found.rows] == ROWS
    assert found.rows[0].place == "set/data-00000-of-00002.arrow:row 1"
    assert found.rows[-1].place == "set/data-00001-of-00002.arrow:row 2"


def test_a_folder_with_several_splits_names_them_and_the_folder_to_point_at(tmp_path: Path) -> None:
    saved_by_datasets(tmp_path / "set", ("train", "test"))
    with pytest.raises(BadInput, match="the splits train, test") as caught:
        read_rows(tmp_path / "set", shown="my/set")
    assert "my/set/train" in caught.value.remedy
    assert len(read_rows(tmp_path / "set" / "test", shown="test").rows) == 5


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("{", "not the JSON object"),
        ("[]", "not the JSON object"),
        ("{}", "lists no data files"),
        ('{"_data_files": [{"filename": "gone.arrow"}]}', "lists gone.arrow, which is not there"),
        ('{"_data_files": [], "_indices_files": {"a": 1}}', "a selection of rows"),
        ('{"_data_files": [{"filename": "../../secret.arrow"}]}', "secret.arrow, which is not there"),
    ],
)
def test_a_saved_folder_that_is_not_whole_is_refused(tmp_path: Path, state: str, message: str) -> None:
    (tmp_path / "a" / "set").mkdir(parents=True)
    (tmp_path / "secret.arrow").write_bytes(b"")
    (tmp_path / "a" / "set" / "state.json").write_text(state)
    with pytest.raises(BadInput, match=message):
        read_rows(tmp_path / "a" / "set", shown="set")


def test_the_data_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    lines(tmp_path / "data" / "b.jsonl", [{"n": 3}, 4])
    lines(tmp_path / "data" / "a.jsonl", [{"n": 1}, {"n": 2}])
    (tmp_path / "README.md").write_text("notes")
    (tmp_path / "dataset_infos.json").write_text("{}")
    lines(tmp_path / "data" / ".hidden.jsonl", [{"n": 0}])
    found = read_rows(tmp_path, shown="in")
    assert [(row.place, row.values["n"]) for row in found.rows] == [
        ("in/data/a.jsonl:1", 1),
        ("in/data/a.jsonl:2", 2),
        ("in/data/b.jsonl:1", 3),
    ]
    assert [row.place for row in found.rejected] == ["in/data/b.jsonl:2"]
    assert found.notes[0] == "files: 2"


def test_a_folder_without_data_or_with_two_formats_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no data file in this folder"):
        read_rows(tmp_path, shown="in")
    lines(tmp_path / "p.jsonl")
    parquet(tmp_path / "data" / "p.parquet")
    with pytest.raises(BadInput, match=r"several formats \(\.jsonl, \.parquet\)"):
        read_rows(tmp_path, shown="in")


def test_a_missing_file_is_told_with_the_names_near_it(tmp_path: Path) -> None:
    lines(tmp_path / "pairs.jsonl")
    for name, hint in (("pair.jsonl", r"Near: pairs\.jsonl"), ("zzz", r"There: pairs\.jsonl")):
        with pytest.raises(BadInput, match=hint):
            read_rows(tmp_path / name, shown=name)
    with pytest.raises(BadInput, match="nor does its folder"):
        read_rows(tmp_path / "no" / "pairs.jsonl", shown="no/pairs.jsonl")


def test_pairs_come_with_their_provenance_and_what_was_left_out(tmp_path: Path) -> None:
    lines(tmp_path / "p.jsonl", [*ROWS, 1, {"input": "no answer"}, {"input": 1, "output": "x"}])
    drafts = read_pairs(section("p.jsonl"), tmp_path, "prompt")
    assert [(p.id, p.input, p.output, p.source) for p in drafts.pairs] == [
        (f"row-{n:05d}", row["input"], row["output"], f"p.jsonl:{n}") for n, row in enumerate(ROWS, 1)
    ]
    assert [row.place for row in drafts.rejected] == ["p.jsonl:6", "p.jsonl:7", "p.jsonl:8"]
    assert sum(drafts.left_out.values()) == 3
    origin = drafts.provenance
    assert (origin.kind, origin.source, origin.licence, origin.attribution) == (
        "imported",
        "p.jsonl",
        "MIT",
        "me",
    )
    digest = source_digest(section("p.jsonl"), tmp_path)
    assert origin.source_version == digest[:19]


def test_a_file_with_and_without_a_byte_order_mark_gives_the_same_pairs(tmp_path: Path) -> None:
    text = "input;output\r\nä;x\r\nb;y\r\n"
    made = []
    for codec in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "p.csv").write_bytes(text.encode(codec))
        drafts = read_pairs(section("p.csv"), tmp_path, "prompt")
        made.append(drafts.model_copy(update={"provenance": None}).model_dump_json(exclude={"provenance"}))
    assert made[0] == made[1] == made[2]


def test_an_empty_source_is_refused_and_one_of_bad_rows_only_is_not_yet(tmp_path: Path) -> None:
    for name in ("p.jsonl", "p.json", "p.csv"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(BadInput, match=f"{name}: holds no row"):
            read_pairs(section(name), tmp_path, "prompt")
    lines(tmp_path / "p.jsonl", [1, 2])
    assert read_pairs(section("p.jsonl"), tmp_path, "prompt").left_out == {"not an object with keys": 2}


def test_a_source_has_a_new_digest_when_a_byte_or_a_name_of_it_changes(tmp_path: Path) -> None:
    assert source_digest(section("bundled:licenses"), tmp_path) == ""
    assert source_digest(section("p.jsonl"), tmp_path) == "missing"
    lines(tmp_path / "p.jsonl")
    seen = {source_digest(section("p.jsonl"), tmp_path)}
    (tmp_path / "set").mkdir()
    seen.add(source_digest(section("set"), tmp_path))
    lines(tmp_path / "set" / "a.jsonl")
    seen.add(source_digest(section("set"), tmp_path))
    (tmp_path / "set" / "README.md").write_text("no data")
    seen.add(source_digest(section("set"), tmp_path))
    (tmp_path / "set" / "a.jsonl").rename(tmp_path / "set" / "b.jsonl")
    seen.add(source_digest(section("set"), tmp_path))
    lines(tmp_path / "set" / "b.jsonl", ROWS[:-1])
    seen.add(source_digest(section("set"), tmp_path))
    (tmp_path / "set" / "state.json").write_text("{}")
    seen.add(source_digest(section("set"), tmp_path))
    assert len(seen) == 6
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in seen)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=12), st.binary(max_size=40))
def test_no_name_and_no_content_of_a_source_breaks_it(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / "p.parquet").write_bytes(data)
    (tmp_path / "p.arrow").write_bytes(data)
    for source in (f"./{name}", "p.parquet", "p.arrow"):
        with pytest.raises(TuneproofError):
            read_pairs(section(source), tmp_path, "prompt")
        assert source_digest(section(source), tmp_path)
