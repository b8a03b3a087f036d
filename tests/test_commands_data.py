"""`lint` and `export` on whole projects: what is looked at, what is written, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from compare_sample import copied, new_project, no_waiting_for_the_disk, set_task, walk
from fakes import SYSTEM_PROMPT, fake_outside, fake_task
from test_pair_formats import loaded
from tuneproof.commands_data import SHOWN, run_export_pairs, run_lint
from tuneproof.errors import BadInput, LockBroken, MissingArtifact, NotReady, TuneproofError
from tuneproof.making import Outside
from tuneproof.outside.export_folder import MANIFEST
from tuneproof.outside.readers import read_rows
from tuneproof.pair_formats import FORMATS, lines_in
from tuneproof.reply_shelf import ledger
from tuneproof.shelves import take_split
from tuneproof.workspace import Workspace

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk():
        yield


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = new_project(tmp_path_factory.mktemp("data") / "project")
    walk(workspace, until="freeze")
    return workspace.root


@pytest.fixture
def workspace(frozen: Path, tmp_path: Path) -> Workspace:
    return copied(frozen, tmp_path / "project")


def stand_ins(root: Path) -> Callable[[], Outside]:
    return lambda: fake_outside(root)._replace(cache=None)


def linted(capsys: Capture, project: Path, path: Path | None = None, **how: Any) -> dict[str, Any]:
    """What `lint --json` says; errors must stop it in the end."""
    stopped = ""
    try:
        run_lint(project, path, as_json=True, outside=stand_ins(project), **how)
    except NotReady as error:
        stopped = error.problem
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert bool(said["errors"]) == bool(stopped)
    return said


def own_project(root: Path, lines: list[dict[str, str]], **changes: Any) -> Path:
    task = yaml.safe_load(fake_task())
    task["data"] |= {"source": "p.jsonl", "pairs": None}
    for place, value in changes.items():
        task[place] = task.get(place, {}) | value
    root.mkdir()
    (root / "task.yaml").write_text(yaml.safe_dump(task), "utf-8")
    (root / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return root


GOOD = [{"input": f"notice {word} of its own", "output": "mit"} for word in ("abel", "cain", "seth")]


def test_lint_of_a_source_names_file_line_and_what_to_do(tmp_path: Path, capsys: Capture) -> None:
    root = own_project(tmp_path / "p", [*GOOD, {"input": "", "output": "mit"}, {"x": "y"}])
    said = linted(capsys, root)
    assert said["looked_at"] == "p.jsonl" and said["pairs"] == 4 and said["no_pairs"] == 1
    assert [(f["kind"], f["place"]) for f in said["findings"] if f["severity"] == "error"] == [
        ("no pair", "p.jsonl:5"),
        ("empty side", "p.jsonl:4"),
    ]
    assert all(f["do"] for f in said["findings"])


def test_the_metric_and_the_pattern_of_the_task_are_asked(tmp_path: Path, capsys: Capture) -> None:
    rows = [*GOOD, {"input": "something else entirely here", "output": "NOT a key!"}]
    root = own_project(tmp_path / "p", rows, task={"answer_pattern": "[a-z0-9.+-]+"})
    said = linted(capsys, root)
    (found,) = [f for f in said["findings"] if f["kind"] == "format"]
    assert found["place"] == "p.jsonl:4" and "task.answer_pattern" in found["why"]


def test_lint_looks_at_the_last_step_that_is_fresh_and_says_at_which(
    workspace: Workspace, capsys: Capture
) -> None:
    said = linted(capsys, workspace.root)
    assert "3-review" in said["looked_at"] and said["pairs"] == 170
    assert "2-drafts" in linted(capsys, workspace.root, of="drafts")["looked_at"]
    assert linted(capsys, workspace.root, of="source")["looked_at"] == "fake"
    shutil.rmtree(workspace.folder("review"))
    assert "2-drafts" in linted(capsys, workspace.root)["looked_at"]
    shutil.rmtree(workspace.folder("draft"))
    assert linted(capsys, workspace.root)["looked_at"] == "fake"
    with pytest.raises(MissingArtifact):
        run_lint(workspace.root, None, of="drafts", as_json=True, outside=stand_ins(workspace.root))


def test_a_file_is_looked_at_without_a_project_by_guesses(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [{"q": f"a question number {n * 7919}", "a": ("yes", "no")[n % 2]} for n in range(40)]
    text = "".join(json.dumps(line) + "\n" for line in [*lines, {"q": "another", "a": "perhaps"}])
    Path("t.jsonl").write_text(text + '{"q":', "utf-8")
    said = linted(capsys, Path(), Path("t.jsonl"))
    kinds = {f["kind"]: f["place"] for f in said["findings"]}
    assert kinds["no pair"] == "t.jsonl:42" and kinds["rare label"] == "t.jsonl:41"
    assert any("guessed" in note for note in said["notes"])
    assert not Path("task.yaml").exists()


def test_printed_findings_are_capped_and_json_has_all(tmp_path: Path, capsys: Capture) -> None:
    root = own_project(tmp_path / "p", [*GOOD, *({"input": " ", "output": "mit"} for _ in range(25))])
    with pytest.raises(NotReady, match="25 errors"):
        run_lint(root, None, as_json=False, outside=stand_ins(root))
    printed = capsys.readouterr().out
    assert printed.count("nothing to read") == SHOWN and "… and 15 more" in printed
    assert len([f for f in linted(capsys, root)["findings"] if f["kind"] == "empty side"]) == 25


def test_rows_that_may_be_left_out_stop_nothing(tmp_path: Path, capsys: Capture) -> None:
    root = own_project(tmp_path / "p", [*GOOD, {"input": "", "output": "m"}], data={"bad_rows": "leave out"})
    said = linted(capsys, root)
    assert said["errors"] == 0 and said["counts"]["empty side"] == 1


@pytest.mark.parametrize(
    ("path", "of", "words"),
    [(None, "everything", "--of source"), ("p.jsonl", "drafts", "Give one"), ("no.jsonl", None, "")],
)
def test_what_lint_cannot_look_at_is_said(
    path: str | None, of: str | None, words: str, workspace: Workspace
) -> None:
    with pytest.raises(BadInput) as caught:
        run_lint(workspace.root, Path(path) if path else None, of=of, as_json=True)
    assert words in caught.value.remedy and caught.value.remedy


def test_inputs_for_a_teacher_are_looked_at_without_outputs(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("tuneproof.outside.readers.inputs")
    rows = [{"input": "please close my account number 17 today"}, {"input": " "}]
    rows.append({"input": "please close my account number 18 today"})
    teacher = {"teacher": {"model": "m", "base_url": "http://127.0.0.1:9/v1"}}
    said = linted(capsys, own_project(tmp_path / "p", rows, drafting=teacher))
    assert [(f["kind"], f["place"]) for f in said["findings"]] == [
        ("no pair", "p.jsonl:2"),
        ("near twin", "p.jsonl:3"),
    ]
    assert any("no output was checked" in note for note in said["notes"])


def test_lint_and_export_load_no_torch(tmp_path: Path) -> None:
    root = own_project(tmp_path / "p", GOOD)
    program = (
        "import sys; from pathlib import Path; from tuneproof.commands_data import run_lint;"
        f"run_lint(Path({str(root)!r}), None, as_json=True);"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules); sys.exit(len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr


def test_the_tokens_of_the_cached_base_are_those_that_training_counts() -> None:
    from tuneproof.artifacts.case import TuningSection
    from tuneproof.outside.base_model import cache_folder
    from tuneproof.outside.cached_tokenizer import cached_counter

    counter = cached_counter(TuningSection(), "Answer.", cache_folder())
    if counter is None:
        pytest.skip("the default base was not made ready on this machine")
    # <|im_start|>system\nAnswer.<|im_end|>\n<|im_start|>user\n…<|im_end|>\n<|im_start|>assistant\n
    assert (counter.around, counter.end) == (16, 2)
    assert counter.count("3 33 333") == 8
    assert cached_counter(TuningSection(base="org/none"), "Answer.", cache_folder()) is None


# Export


@pytest.mark.parametrize("form", FORMATS)
def test_train_and_dev_are_written_and_read_back(
    form: str, workspace: Workspace, tmp_path: Path, capsys: Capture
) -> None:
    to = tmp_path / "out"
    run_export_pairs(workspace.root, to, form, (), as_json=True)
    said = json.loads(capsys.readouterr().out)
    split = take_split(workspace)
    assert said["rows"] == {"train": len(split.train.pairs), "dev": len(split.dev.pairs)}
    assert said["lock"] == split.lock.digest
    assert not [name for name in said["files"] if "test" in name]
    folder = to / "data" if form == "hf" else to
    text = (folder / "train.jsonl").read_text("utf-8")
    assert text == lines_in(form, SYSTEM_PROMPT, split.train.pairs)
    assert len(read_rows(folder / "dev.jsonl", shown="d").rows) == len(split.dev.pairs)
    run_export_pairs(workspace.root, to, form, (), as_json=True)
    assert (folder / "train.jsonl").read_text("utf-8") == text


def test_the_test_is_written_only_when_it_is_named_and_with_a_warning(
    workspace: Workspace, tmp_path: Path, capsys: Capture
) -> None:
    before = ledger(workspace)
    for parts, names in ((("test",), {"test"}), (("all",), {"train", "dev", "test"})):
        run_export_pairs(workspace.root, tmp_path / "out", "trl", parts, as_json=False)
        written = {path.stem for path in (tmp_path / "out").glob("*.jsonl")}
        assert written == names
        assert "Nothing may be trained on it" in capsys.readouterr().err
    assert ledger(workspace) == before
    run_export_pairs(workspace.root, tmp_path / "out", "trl", (), as_json=False)
    assert "trained" not in capsys.readouterr().err
    assert not (tmp_path / "out" / "test.jsonl").exists(), "what an earlier export wrote is gone"


def test_a_folder_that_is_not_ours_is_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    def export() -> None:
        run_export_pairs(workspace.root, tmp_path / "out", "trl", (), as_json=True)

    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(BadInput, match=r"not empty.*mine\.txt"):
        export()
    (out / "mine.txt").unlink()
    export()
    (out / "train.jsonl").write_text("edited\n", "utf-8")
    with pytest.raises(BadInput, match=r"changed since: train\.jsonl"):
        export()
    assert (out / "train.jsonl").read_text("utf-8") == "edited\n"
    (out / "train.jsonl").unlink()
    (out / "data").symlink_to(tmp_path)
    with pytest.raises(BadInput, match="data"):
        export()
    (out / "data").unlink()
    (out / ".train.jsonl.new").write_text("half", "utf-8")
    export()
    assert sorted(path.name for path in out.iterdir()) == ["dev.jsonl", "train.jsonl", MANIFEST]
    with pytest.raises(BadInput, match="not a folder"):
        run_export_pairs(workspace.root, out / "dev.jsonl", "trl", (), as_json=True)
    with pytest.raises(BadInput, match="not empty"):
        run_export_pairs(workspace.root, workspace.root, "trl", (), as_json=True)


def test_an_export_that_was_killed_can_be_made_again(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuneproof.outside import export_folder

    real, written = export_folder.atomic_write, []
    for last in range(5):
        done: list[Path] = []

        def write(path: Path, data: bytes, done: list[Path] = done, last: int = last) -> None:
            if len(done) == last:
                raise KeyboardInterrupt
            done.append(path)
            real(path, data)

        monkeypatch.setattr(export_folder, "atomic_write", write)
        try:
            run_export_pairs(workspace.root, tmp_path / "out", "hf", (), as_json=True)
        except KeyboardInterrupt:
            written.append(last)
    assert written == [0, 1, 2, 3]
    assert (tmp_path / "out" / "README.md").exists()


def test_a_changed_split_or_prompt_is_not_written(workspace: Workspace, tmp_path: Path) -> None:
    path = workspace.folder("freeze") / "test.jsonl"
    text = path.read_text("utf-8")
    path.write_text(text.replace("mit", "isc", 1), "utf-8")
    with pytest.raises(LockBroken):
        run_export_pairs(workspace.root, tmp_path / "out", "trl", (), as_json=True)
    path.write_text(text, "utf-8")
    set_task(workspace, fake_task().replace(SYSTEM_PROMPT, "Answer otherwise."))
    walk(workspace, only="init")
    with pytest.raises(LockBroken, match="system_prompt"):
        run_export_pairs(workspace.root, tmp_path / "out", "trl", (), as_json=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "parts", "near"), [("trll", (), "--format trl"), ("trl", ("tset",), "--part test")]
)
def test_a_wrong_word_is_told_with_a_near_one(
    form: str, parts: tuple[str, ...], near: str, workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(TuneproofError) as caught:
        run_export_pairs(workspace.root, tmp_path / "out", form, parts, as_json=True)
    assert caught.value.remedy == near


def test_nothing_is_exported_before_a_freeze(tmp_path: Path) -> None:
    workspace = new_project(tmp_path / "project")
    walk(workspace, until="review")
    with pytest.raises(MissingArtifact):
        run_export_pairs(workspace.root, tmp_path / "out", "trl", (), as_json=True)


def test_the_hub_folder_loads_with_its_splits(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_export_pairs(workspace.root, tmp_path / "out", "hf", ("all",), as_json=True)
    found = loaded(tmp_path, monkeypatch, str(tmp_path / "out"))
    split = take_split(workspace)
    held = {"train": split.train.pairs, "validation": split.dev.pairs, "test": split.test.items}
    assert {name: list(rows) for name, rows in found.items()} == {
        name: [{"id": r.id, "group": r.group, "input": r.input, "output": r.output} for r in rows]
        for name, rows in held.items()
    }
