"""Generated pages are fresh and without gaps; what the pages say to type works."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer import TyperException
from typer.main import get_command

from error_cases import command
from fakes import fake_outside, fake_task
from tuneproof.cli import app
from tuneproof.outside.own_code import load_function
from tuneproof.workspace import Workspace

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
GROUP: Any = get_command(app)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return loaded(DOCS / "generate.py")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def block(page: str, mark: str, fence: str) -> str:
    """Return the code between two marks of a page."""
    found = re.search(
        rf"<!-- {mark} -->\n```{fence}\n(.*?)```\n<!-- /{mark} -->|<!-- {mark} -->\n```{fence}\n(.*?)```",
        (DOCS / page).read_text("utf-8"),
        re.DOTALL,
    )
    assert found, f"{page} has no block {mark}"
    return found[1] or found[2]


def test_both_generated_pages_are_fresh(generate: ModuleType) -> None:
    for name, text in generate.pages().items():
        assert (DOCS / name).read_text("utf-8") == text, "run docs/generate.py"


def test_check_says_which_page_is_stale_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DOCS / "generate.py", tmp_path)
    module = loaded(tmp_path / "generate.py")
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    module.main()
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as stopped:
        module.main()
    assert stopped.value.code == 0
    (tmp_path / "cli.md").write_text("# Commands\n", "utf-8")
    with pytest.raises(SystemExit) as stopped:
        module.main()
    assert "cli.md" in str(stopped.value) and "artifacts.md" not in str(stopped.value)
    assert (tmp_path / "cli.md").read_text("utf-8") == "# Commands\n"


def test_every_field_has_a_meaning_and_no_table_is_broken() -> None:
    rows = [line for line in (DOCS / "artifacts.md").read_text("utf-8").splitlines() if line.startswith("|")]
    assert len(rows) > 250
    for row in rows:
        cells = re.split(r"(?<!\\)\|", row)
        assert len(cells) == 6, row
        assert cells[4].strip(), f"no meaning: {row}"


def test_every_field_of_every_stored_record_is_on_the_page(generate: ModuleType) -> None:
    from tuneproof import artifacts

    pages = (*generate.PAGES.values(), *generate.SUBSECTIONS.values())
    shown = {name for names in pages for name in names}
    left = (
        set(artifacts.__all__) - shown - {"Artifact", "Record", "TaskFile", "TrainSet", "DevSet", "TestSet"}
    )
    assert left == {"canonical_json", "lock_part", "row_hash", "sha256_of"}
    sections = dict(
        re.findall(r"(?ms)^####? (\w+)\n(.*?)(?=^##|\Z)", (DOCS / "artifacts.md").read_text("utf-8"))
    )
    assert shown <= set(sections)
    for name in shown:
        fields = set(getattr(artifacts, name).model_fields) - {"schema_version"}
        assert fields == set(re.findall(r"(?m)^\| `(\w+)` \|", sections[name])), name


def test_types_and_defaults_are_told_in_words_and_nothing_is_of_this_machine() -> None:
    page = (DOCS / "artifacts.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| `\w+` \| (.*?) \| (.*?) \|", page)
    assert len(rows) > 200
    for kind, default in rows:
        for odd in ("tuple", "Annotated", "Literal", "Field(", "None", " dict", "str", "Section", "('"):
            assert odd not in f" {kind}" and odd not in default, (odd, kind, default)
    assert (
        '| `shape` | `"auto" or "columns" or' in page
        and "| `test` | `whole number or null, from 50` | `null` |" in page
    )
    assert '| `decision` | `"move" or "stay" or "not_enough_evidence"` |' in page
    for each in (page, (DOCS / "cli.md").read_text("utf-8")):
        assert str(DOCS.parent) not in each and str(Path.home()) + "/" not in each


def test_the_page_of_commands_names_every_command_and_every_option() -> None:
    page = (DOCS / "cli.md").read_text("utf-8")
    sections = dict(re.findall(r"(?ms)^## tuneproof (\w+)\n(.*?)(?=^## |\Z)", page))
    assert list(sections) == list(GROUP.commands)
    for name, each in GROUP.commands.items():
        for parameter in each.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert f"`{option}`" in sections[name], f"{name} {option}"


def typed(page: Path) -> list[str]:
    """Return every command that a page says to type: a line of its own, or code in a line."""
    text = page.read_text("utf-8")
    lines = re.findall(r"(?m)^(tuneproof [a-z-].*?)(?: {2,}#.*)?$", text)
    return [
        line.split(" < ")[0].replace("\\|", "|")
        for line in lines + re.findall(r"`(tuneproof [^`\n]+)`", text)
    ]


def problem_of(line: str) -> str:
    """Parse a command as the command line would, without running it."""
    name, *words = shlex.split(line)[1:]
    if name.startswith("--"):
        return "" if name in {"--version", "--help", "--install-completion"} else f"no option {name}"
    if name not in GROUP.commands:
        return f"no command {name}"
    try:
        GROUP.commands[name].make_context(name, words)
    except TyperException as error:
        named_only = type(error).__name__ == "MissingParameter" and not words  # as `tuneproof ask`
        return "" if named_only else str(error)
    return ""


def test_every_command_that_a_page_says_to_type_is_understood() -> None:
    seen = [(page.name, line) for page in PAGES for line in typed(page)]
    assert len(seen) > 60
    assert not [(name, line, why) for name, line in seen if (why := problem_of(line))]


@pytest.mark.parametrize(
    "line", ["tuneproof jugde", "tuneproof run --dryrun", "tuneproof init --pair x.csv now"]
)
def test_a_command_that_does_not_exist_would_be_noticed(line: str) -> None:
    assert problem_of(line)


def test_the_pairs_of_the_walk_through_are_read_and_are_too_few_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "tickets.jsonl").write_text(block("your-task.md", "pairs", "json"), "utf-8")
    begun = command(tmp_path, "init", "--pairs", "tickets.jsonl", "--project", ".", "--reviewed-by", "us")
    assert begun.code == 0 and "guessed" in begun.out, begun
    notes = block("your-task.md", "notes", "").splitlines()
    assert notes and set(notes) <= set(begun.out.splitlines())
    refused = command(tmp_path, "run", "--dry-run", "--json")
    assert refused.code == 1 and refused.err.startswith("The triage says 'not yet'")
    text = (tmp_path / "task.yaml").read_text("utf-8")
    text, changed = re.subn("own_label_scheme: false", "own_label_scheme: true", text)
    assert changed == 1
    (tmp_path / "task.yaml").write_text(text, "utf-8")
    assert command(tmp_path, "run", "--until", "draft").code == 0
    for how in (("--dry-run",), ("--until", "freeze")):
        refused = command(tmp_path, "run", *how, "--json")
        assert refused.code == 1 and refused.err == block("your-task.md", "refusal", "")


def test_the_rule_of_the_walk_through_answers_its_own_pairs(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text(block("your-task.md", "rule", "python"), "utf-8")
    rule = load_function(tmp_path, "rule:answer", place="comparison.rule")
    pairs = re.findall(r'"input": "(.*?)", "output": "(.*?)"', block("your-task.md", "pairs", "json"))
    answers = [(rule(text), output) for text, output in pairs]
    assert len(answers) == 8
    assert sum(answer == output for answer, output in answers) == 5
    assert all(answer in (output, None) for answer, output in answers)


def test_the_snippets_for_python_run_on_stand_ins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("my-task", "another-task"):
        Workspace(tmp_path / name).write_task(fake_task())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tuneproof.outside.real.real_outside", lambda: fake_outside(tmp_path))
    names: dict[str, Any] = {}
    for mark in ("snippet", "alone", "trainer"):
        exec(compile(block("python.md", mark, "python"), f"python.md, {mark}", "exec"), names)
    first, *others = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"PASS not_enough_evidence \d\d of 50 right", first)
    assert others == ["the same split: True", "right: True", "[100]"]
    assert not Workspace(tmp_path / "my-task").made("publish")


def test_the_snippet_says_what_a_person_can_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"task.yaml does not exist"):
        exec(compile(block("python.md", "snippet", "python"), "python.md", "exec"), {})


def test_every_shape_that_the_walk_through_names_is_read(tmp_path: Path) -> None:
    page = (DOCS / "your-task.md").read_text("utf-8")
    lines = re.findall(r"`(\{\"(?:input|prompt|messages|conversations|instruction)\".*?\})`", page)
    assert len(lines) == 5
    for number, line in enumerate(lines):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = [line.replace("…", f"text {i} of many {i * 7}") for i in range(8)]
        (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
        said = command(folder, "init", "--pairs", "rows.jsonl", "--project", ".")
        assert said.code == 0, (line, said)
