"""Every mistake of the error page: exit code 1, what is wrong, the next step, and no traceback."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from error_cases import CASES, HOLDERS, WITH_WEIGHTS, Case, message, run

EVIDENCE = Path(__file__).parents[1] / "docs" / "evidence"
PAGE = (EVIDENCE / "errors.md").read_text("utf-8")


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("errors_page", EVIDENCE / "errors.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    yield
    while HOLDERS:
        HOLDERS.pop()()


def check(case: Case, root: Path, page: ModuleType) -> None:
    said = run(case, root)
    assert said.code == 1 and not said.out.strip(), said
    assert "Traceback" not in said.err and "\n  → " in said.err
    assert page.row(case, message(said, root)) in PAGE, "run docs/evidence/errors.py"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_mistake_is_told_as_the_page_says(case: Case, tmp_path: Path, page: ModuleType) -> None:
    check(case, tmp_path, page)


@pytest.mark.model
@pytest.mark.parametrize("case", WITH_WEIGHTS, ids=lambda case: case.title)
def test_a_mistake_that_only_the_tokenizer_sees_is_told_before_training(
    case: Case, tmp_path: Path, page: ModuleType
) -> None:
    check(case, tmp_path, page)
    assert not list((tmp_path / "5-adapter").glob("*.safetensors"))


def test_the_page_holds_no_other_mistakes() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        case.title for case in (*CASES, *WITH_WEIGHTS)
    ]
