"""Parquet files and Arrow files of HF `datasets` → rows, numbered from 1.

Formats: Apache Parquet; Arrow IPC as stream (what `datasets` saves) or as file. A `ClassLabel` column of
`datasets` becomes the label's name, which the schema's `huggingface` entry holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuneproof.artifacts.pairs import LeftOut
from tuneproof.errors import BadInput
from tuneproof.outside.parts import require
from tuneproof.outside.readers.json_rows import flaw_inside
from tuneproof.outside.readers.rows import Row, Rows

_IPC_FILE = b"ARROW1"


def read_arrow(path: Path, shown: str) -> Rows:
    """Read a `.parquet` or `.arrow` file.

    Args:
        path: the file.
        shown: its name in places: `shown:row 17`.

    Raises:
        MissingPart: pyarrow is not installed.
        BadInput: the file is broken, or a column name occurs twice.
    """
    require("data")
    import pyarrow as pa

    rows: list[Row] = []
    rejected: list[LeftOut] = []
    try:
        for values, reason in _values(path, shown):
            place = f"{shown}:row {len(rows) + len(rejected) + 1}"
            if reason:
                rejected.append(LeftOut(place=place, reason=reason))
            else:
                rows.append(Row(place, values))
    except (pa.ArrowException, OSError) as error:
        done = len(rows) + len(rejected)
        raise BadInput(
            f"{shown}: broken after row {done}: {' '.join(str(error).split())[:300]}.",
            remedy="Make or download the file again; it may be cut off.",
        ) from error
    return Rows(tuple(rows), tuple(rejected), "Arrow" if path.suffix == ".arrow" else "Parquet", ())


def _values(path: Path, shown: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield every row's values, and why it is none ("" if it is one)."""
    names: dict[str, list[str]] | None = None
    for batch in _batches(path):
        if names is None:
            names = _label_names(batch.schema)
            _check_columns(batch.schema.names, shown)
        for values, reason in _rows_of(batch):
            for column, labels in names.items():
                values[column] = _label(values.get(column), labels)
            yield values, reason or flaw_inside(values)


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() != ".arrow":
        with pq.ParquetFile(path) as table:
            yield from table.iter_batches()
        return
    with pa.memory_map(str(path)) as source:
        whole_file = source.read(len(_IPC_FILE)) == _IPC_FILE
        source.seek(0)
        if whole_file:
            table = pa.ipc.open_file(source)
            yield from (table.get_batch(i) for i in range(table.num_record_batches))
        else:
            yield from pa.ipc.open_stream(source)


def _check_columns(names: list[str], shown: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(
            f"{shown}: the column {', '.join(map(repr, twice))} occurs twice.",
            remedy="Rename one of them and write the file again.",
        )


def _label_names(schema: Any) -> dict[str, list[str]]:
    """Return column → names of a ClassLabel, from what `datasets` writes into the schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        found = {name: f["names"] for name, f in features.items() if f.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # not written by `datasets`: numbers stay numbers
    return {name: labels for name, labels in found.items() if name in schema.names}


def _label(value: Any, labels: list[str]) -> Any:
    """Return the label's name; -1 is how `datasets` writes that there is none."""
    if isinstance(value, int) and -1 <= value < len(labels):
        return None if value == -1 else labels[value]
    return value


def _rows_of(batch: Any) -> Iterator[tuple[dict[str, Any], str]]:
    try:
        yield from ((values, "") for values in batch.to_pylist())
    except (ValueError, OverflowError, KeyError):
        # One value that Python cannot hold (invalid UTF-8, a date of year 20000) must not cost the batch.
        for number in range(batch.num_rows):
            yield _row_of(batch, number)


def _row_of(batch: Any, number: int) -> tuple[dict[str, Any], str]:
    values: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[number].as_py()
        except (ValueError, OverflowError, KeyError) as error:
            return values, f"a value cannot be read: column {name!r}: {str(error)[:120]}"
    return values, ""
