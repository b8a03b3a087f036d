"""Code and schema files of the project folder: loaded from there alone, and every failure is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from fakes import fake_task
from tuneproof.artifacts import TaskFile
from tuneproof.errors import BadInput
from tuneproof.outside.own_code import load_function, load_schema, references

PLACE = "comparison.rule"


def test_a_function_of_the_project_folder_is_called(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text(
        "import helper\ndef answer(text):\n    return helper.up(text)\n", "utf-8"
    )
    (tmp_path / "helper.py").write_text("def up(text):\n    return text.upper()\n", "utf-8")
    assert load_function(tmp_path, "rule:answer", place=PLACE)("mit") == "MIT"
    assert str(tmp_path) not in sys.path


def test_a_file_in_a_folder_is_named_with_dots(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/rules.py").write_text("def f(text):\n    return None\n", "utf-8")
    assert load_function(tmp_path, "own.rules:f", place=PLACE)("x") is None


@pytest.mark.parametrize(
    ("source", "reference", "said"),
    [
        (None, "rule:answer", "there is no rule.py beside task.yaml"),
        ("x = 1\n", "rule:answer", "rule.py defines no function 'answer'"),
        ("answer = 3\n", "rule:answer", "rule.py defines no function 'answer'"),
        ("def answer(:\n", "rule:answer", "rule.py cannot be loaded: SyntaxError"),
        (
            "import not_installed_here\n",
            "rule:answer",
            "ModuleNotFoundError: No module named 'not_installed_here'",
        ),
        ("1 / 0\n", "rule:answer", "cannot be loaded: ZeroDivisionError"),
        ("import sys\nsys.exit(0)\n", "rule:answer", "cannot be loaded: SystemExit"),
    ],
)
def test_what_cannot_be_loaded_is_told_with_its_place(
    tmp_path: Path, source: str | None, reference: str, said: str
) -> None:
    if source is not None:
        (tmp_path / "rule.py").write_text(source, "utf-8")
    with pytest.raises(BadInput) as stopped:
        load_function(tmp_path, reference, place=PLACE)
    assert said in stopped.value.problem and PLACE in stopped.value.problem


def test_a_near_file_name_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text("def answer(text): ...\n", "utf-8")
    with pytest.raises(BadInput, match=r"Did you mean rules\.py\?"):
        load_function(tmp_path, "rule:answer", place=PLACE)


def test_an_installed_module_is_never_loaded_by_that_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no json\.py"):
        load_function(tmp_path, "json:loads", place=PLACE)


def test_what_a_function_raises_names_the_text_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text("def answer(text):\n    return {}[text]\n", "utf-8")
    with pytest.raises(BadInput) as stopped:
        load_function(tmp_path, "rule:answer", place=PLACE)("odd text")
    assert stopped.value.problem == "rule:answer stopped at 'odd text': KeyError: 'odd text', line 2"


def test_an_edited_neighbour_is_read_anew_also_when_it_is_imported_late_and_counts_in_the_digest(
    tmp_path: Path,
) -> None:
    (tmp_path / "rule.py").write_text(
        "def answer(text):\n    import beside\n    return beside.SAY\n", "utf-8"
    )
    fields = yaml.safe_load(fake_task())
    fields["comparison"]["rule"] = "rule:answer"
    seen, digests = [], []
    for said in ("mit", "isc"):
        (tmp_path / "beside.py").write_text(f"SAY = {said!r}\n", "utf-8")
        seen.append(load_function(tmp_path, "rule:answer", place=PLACE)("x"))
        digests.append(references(TaskFile.model_validate(fields), tmp_path)["comparison.rule"])
    assert seen == ["mit", "isc"] and digests[0] != digests[1]
    assert not list(tmp_path.rglob("*.pyc")) and "beside" not in sys.modules


@pytest.mark.parametrize("reference", ["/elsewhere/evil:f", "../evil:f", "a b:f", "evil:f\n"])
def test_a_rule_outside_the_project_folder_cannot_be_named(reference: str) -> None:
    fields = yaml.safe_load(fake_task())
    fields["comparison"]["rule"] = reference
    with pytest.raises(ValueError, match="rule"):
        TaskFile.model_validate(fields)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is no JSON Schema: it is a list"),
        ('{"type": "objekt"}', "is no JSON Schema"),
        ('{"$schema": 5}', "$schema is 5, not a text"),
    ],
)
def test_a_schema_file_that_is_none_is_told(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "schema.json").write_text(content, "utf-8")
    with pytest.raises(BadInput) as stopped:
        load_schema(tmp_path, "schema.json")
    assert said in stopped.value.problem and "schema.json" in stopped.value.problem


def test_a_schema_may_stand_in_task_yaml_or_in_a_file(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["a"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema), "utf-8")
    assert load_schema(tmp_path, "schema.json") == load_schema(tmp_path, schema) == schema
    assert load_schema(tmp_path, None) is None


def test_every_named_file_has_a_digest_and_a_missing_one_is_said(tmp_path: Path) -> None:
    fields = yaml.safe_load(fake_task())
    fields["task"]["metric"] = "own:grade"
    fields["comparison"]["rule"] = "rule:answer"
    fields["scoring"] = {"json_schema": "schema.json"}
    task_file = TaskFile.model_validate(fields)
    (tmp_path / "rule.py").write_text("def answer(text): ...\n", "utf-8")
    before = references(task_file, tmp_path)
    assert set(before) == {"task.metric", "comparison.rule", "scoring.json_schema"}
    assert before["task.metric"] == before["scoring.json_schema"] == "missing"
    (tmp_path / "rule.py").write_text("def answer(text): return 'mit'\n", "utf-8")
    after = references(task_file, tmp_path)
    assert len(after["comparison.rule"]) == 64 and after["comparison.rule"] != before["comparison.rule"]
