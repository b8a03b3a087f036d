"""Exported pairs: our own readers, and `datasets`, read every format back to the same pairs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from test_evil_corpus import TEXTS
from tuneproof.artifacts import SplitRow
from tuneproof.artifacts.case import DataSection
from tuneproof.outside.readers import read_pairs, read_rows
from tuneproof.pair_formats import FORMATS, lines_in

PROMPT = "Answer with one word.\nNo more."
ROW = SplitRow(id="a", group="g", input="Which?", output="this")


def one(form: str) -> dict[str, Any]:
    (line,) = lines_in(form, PROMPT, [ROW]).splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_each_format_is_exactly_the_documented_one() -> None:
    system, user = {"role": "system", "content": PROMPT}, {"role": "user", "content": "Which?"}
    answer = {"role": "assistant", "content": "this"}
    assert {form: one(form) for form in FORMATS} == {
        "trl": {"prompt": [system, user], "completion": [answer]},
        "openai": {"messages": [system, user, answer]},
        "alpaca": {"instruction": PROMPT, "input": "Which?", "output": "this"},
        "sharegpt": {
            "conversations": [
                {"from": "system", "value": PROMPT},
                {"from": "human", "value": "Which?"},
                {"from": "gpt", "value": "this"},
            ]
        },
        "hf": {"id": "a", "group": "g", "input": "Which?", "output": "this"},
    }


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=30), TEXTS)
def test_our_readers_read_every_format_back(
    form: str, tmp_path: Path, texts: list[tuple[str, str]], prompt: str
) -> None:
    rows = [SplitRow(id=f"r{n}", group="g", input=i, output=o) for n, (i, o) in enumerate(texts)]
    text = lines_in(form, prompt, rows)
    (tmp_path / "p.jsonl").write_bytes(text.encode())
    section = DataSection(source="p.jsonl", licence="unknown")
    drafts = read_pairs(section, tmp_path, prompt)
    assert [(p.input, p.output) for p in drafts.pairs] == texts and not drafts.rejected
    assert len(text.splitlines()) == len(rows), "no letter may pass for the end of a line"
    if form == "hf":
        again = [SplitRow(id=p.id, group="g", input=p.input, output=p.output) for p in drafts.pairs]
        assert lines_in(form, prompt, again) == text


def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *args: Any, **how: Any) -> Any:
    """`load_dataset`, with everything it keeps below the test's own folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = pytest.importorskip("datasets")
        datasets.disable_progress_bars()
        return datasets.load_dataset(*args, cache_dir=str(tmp_path / "cache"), **how)


@pytest.mark.parametrize("form", FORMATS)
def test_datasets_loads_every_format(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [ROW, ROW.model_copy(update={"id": "b", "input": "a\u2028b\n\x85 👩\u200d👧", "output": "{}"})]
    (tmp_path / "p.jsonl").write_bytes(lines_in(form, PROMPT, rows).encode())
    found = loaded(tmp_path, monkeypatch, "json", data_files=str(tmp_path / "p.jsonl"), split="train")
    expected = [json.loads(line) for line in lines_in(form, PROMPT, rows).split("\n")[:-1]]
    assert list(found) == expected
    if form == "trl":
        assert found[1]["prompt"][1]["content"] == rows[1].input


def test_a_folder_of_parts_is_read_as_one_source(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for part in ("train", "dev"):
        row = ROW.model_copy(update={"id": part})
        (tmp_path / "data" / f"{part}.jsonl").write_text(lines_in("hf", PROMPT, [row]), "utf-8")
    (tmp_path / "README.md").write_text("# card\n", "utf-8")
    (tmp_path / "tuneproof-export.json").write_text("{}", "utf-8")
    found = read_rows(tmp_path, shown="out")
    assert [row.values["id"] for row in found.rows] == ["dev", "train"]
