"""The import rules, as a test: artifacts know nothing, steps never touch the disk, two modules print."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "tuneproof"
LONGEST = 400
"""Lines of a module."""

PRINTERS = {"cli.py", "console.py"}
KNOW_THE_TEST = {
    "artifacts/__init__.py",
    "artifacts/split.py",
    "arms.py",
    "reply_shelf.py",
    "shelves.py",
    "steps/freeze.py",
}
"""Modules that name the type of the test set: they make it, read it back, or measure on it."""

STEPS_MAY_IMPORT_OUTSIDE = {"tuneproof.outside.protocols", "tuneproof.outside.machine"}
NOT_IN_STEPS = {
    "pathlib",
    "os",
    "shutil",
    "io",
    "subprocess",
    "tempfile",
    "typer",
    "rich",
    "torch",
    "transformers",
    "tuneproof.cli",
    "tuneproof.commands",
    "tuneproof.console",
    "tuneproof.pages",
    "tuneproof.shelves",
    "tuneproof.status",
    "tuneproof.story",
    "tuneproof.workspace",
}
PURE = (
    "advice.py",
    "answering.py",
    "answers.py",
    "api_arms.py",
    "arms.py",
    "call_costs.py",
    "constraint.py",
    "contrasts.py",
    "costs.py",
    "data_report.py",
    "dataset_card.py",
    "desk_batches.py",
    "desk_cards.py",
    "desk_figures.py",
    "desk_near.py",
    "desk_state.py",
    "desk_wish.py",
    "diversity.py",
    "drafting.py",
    "eval_plan.py",
    "grouping.py",
    "leaks.py",
    "lint.py",
    "pair_formats.py",
    "planning.py",
    "prompt_search.py",
    "prompt_variants.py",
    "request.py",
    "resampling.py",
    "review_words.py",
    "rivals.py",
    "scoring.py",
    "slices.py",
    "spend.py",
    "teacher_prompt.py",
    "thaw.py",
    "triage.py",
    "timings.py",
    "verdict_rules.py",
    "verdict_text.py",
)
"""Modules between the artifacts and the steps: what goes in decides what comes out."""
OPEN_THE_DISK = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "unlink", "mkdir"}


def modules(under: str = ".", *, pattern: str = "*.py") -> list[Path]:
    found = sorted((SRC / under).rglob(pattern))
    assert found, f"{under}/{pattern} matched no file: the rule would pass without checking anything"
    return found


def name_of(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imports_of(path: Path) -> set[str]:
    """Every module that is imported, at any depth; `from a import b` counts as `a` and as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: a relative import hides its layer"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def under(imported: str, banned: set[str]) -> bool:
    return any(imported == name or imported.startswith(name + ".") for name in banned)


def names_in(path: Path) -> Iterator[tuple[str, int]]:
    """Every identifier and attribute in the code, not in its texts, with its line."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.alias):
            yield node.name, node.lineno


def comments_of(path: Path) -> list[str]:
    """Comments and docstrings; a text that the program searches for is neither."""
    with path.open("rb") as handle:
        comments = [t.string for t in tokenize.tokenize(handle.readline) if t.type == tokenize.COMMENT]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, documented)]
    return comments + [text for node in nodes if (text := ast.get_docstring(node)) and "U+XXXX" not in text]


def test_artifacts_import_nothing_of_ours_but_artifacts_and_no_disk() -> None:
    files = modules("artifacts")
    assert len(files) >= 10
    for path in files:
        imported = imports_of(path)
        ours = {i for i in imported if under(i, {"tuneproof"}) and not under(i, {"tuneproof.artifacts"})}
        assert not ours, f"{name_of(path)} imports {sorted(ours)}"
        disk = {i for i in imported if under(i, NOT_IN_STEPS)}
        assert not disk, f"{name_of(path)} imports {sorted(disk)}"


def test_steps_never_touch_the_disk_the_terminal_or_the_project_folder() -> None:
    files = modules("steps")
    assert len(files) == 11, "ten steps and their table"
    for path in files:
        imported = imports_of(path)
        broken = {i for i in imported if under(i, NOT_IN_STEPS)}
        outside = {
            i for i in imported if under(i, {"tuneproof.outside"}) and not under(i, STEPS_MAY_IMPORT_OUTSIDE)
        } - {"tuneproof.outside"}
        assert not broken | outside, f"{name_of(path)} imports {sorted(broken | outside)}"
        touched = {(name, line) for name, line in names_in(path) if name in OPEN_THE_DISK}
        assert not touched, f"{name_of(path)} opens files: {sorted(touched)}"


@pytest.mark.parametrize("name", PURE)
def test_what_lies_between_artifacts_and_steps_touches_no_disk_and_no_step(name: str) -> None:
    imported = imports_of(SRC / name)
    broken = {i for i in imported if under(i, NOT_IN_STEPS | {"tuneproof.steps", "tuneproof.reply_shelf"})}
    outside = {
        i for i in imported if under(i, {"tuneproof.outside"}) and not under(i, STEPS_MAY_IMPORT_OUTSIDE)
    } - {"tuneproof.outside"}
    assert not broken | outside, f"{name} imports {sorted(broken | outside)}"
    touched = {(word, line) for word, line in names_in(SRC / name) if word in OPEN_THE_DISK}
    # `api.open()` connects to an endpoint, which is handed in.
    if name == "api_arms.py":
        touched = {(word, line) for word, line in touched if word != "open"}
    assert not touched, f"{name} opens files: {sorted(touched)}"


def test_the_outside_knows_no_step_and_no_project_folder() -> None:
    allowed_story = {"outside/real.py"}
    for path in modules("outside"):
        banned = {"tuneproof.workspace", "tuneproof.shelves", "tuneproof.cli", "tuneproof.console"}
        if name_of(path) not in allowed_story:
            banned |= {"tuneproof.steps", "tuneproof.story"}
        broken = {i for i in imports_of(path) if under(i, banned)}
        assert not broken, f"{name_of(path)} imports {sorted(broken)}"


def test_only_the_console_and_the_command_line_write_to_the_terminal() -> None:
    seen = set()
    for path in modules():
        for node in ast.walk(tree_of(path)):
            where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"print", "input"}, where
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {
                f"sys.{name}" for name in ("stdout", "stderr", "__stdout__", "__stderr__")
            }:
                assert name_of(path) in PRINTERS, f"{where}: {node.attr}"
                seen.add(name_of(path))
    assert seen == PRINTERS


def test_only_who_needs_it_names_the_test_set() -> None:
    found = {name_of(path) for path in modules() if any(name == "TestSet" for name, _ in names_in(path))}
    assert found == KNOW_THE_TEST
    for name in ("steps/tune.py", "outside/trl_trainer.py", "outside/training_watch.py", "rivals.py"):
        text = (SRC / name).read_text("utf-8")
        words = {found for found, _ in names_in(SRC / name)}
        assert not words & {"TestSet", "Item", "Split", "take_split", "TestDesk"}, name
        assert "test.jsonl" not in text, name
    # These get a whole split, or refuse an item of the test; they must not read it.
    for name in ("extra_tunes.py", "extra_kinds.py", "reread.py", "prompt_variants.py", "prompt_search.py"):
        words = {found for found, _ in names_in(SRC / name)}
        attributes = {node.attr for node in ast.walk(tree_of(SRC / name)) if isinstance(node, ast.Attribute)}
        assert not words & {"TestSet", "TestDesk"} and "test" not in attributes, name
        assert "test.jsonl" not in (SRC / name).read_text("utf-8"), name


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_is_short_says_what_it_is_and_leaves_nothing_undone(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert ast.get_docstring(tree_of(path)), "no docstring"
    left = [c for c in comments_of(path) if any(word in c for word in ("TODO", "FIXME", "XXX"))]
    assert not left


def test_only_two_places_catch_everything() -> None:
    broad = {
        name_of(path)
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or any(
                isinstance(each, ast.Name) and each.id in {"Exception", "BaseException"}
                for each in ast.walk(node.type)
            )
        )
    }
    assert broad == {"cli.py", "outside/own_code.py"}, "the command, and around code of the user's own"
