"""Publishing although a gate is not passed: only with a reason, which the release and the card carry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compare_sample import copied, impatient, new_project, no_plots, no_waiting_for_the_disk, walk
from fakes import fake_outside
from tuneproof.artifacts import Release, Verdict
from tuneproof.commands import run_step
from tuneproof.errors import BadInput, GateNotPassed
from tuneproof.shelves import take
from tuneproof.workspace import Workspace

FAILS = {"tuned_share": 8, "base_share": 50}
REASON = "Pilot with twenty users, whose replies a clerk checks by hand."


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    with no_waiting_for_the_disk(), no_plots():
        yield


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose gate is FAIL."""
    workspace = new_project(tmp_path_factory.mktemp("override") / "project")
    walk(workspace, until="judge", **FAILS)
    assert take(workspace, "judge", Verdict).gate == "FAIL"
    return workspace.root


@pytest.fixture
def workspace(failed: Path, tmp_path: Path) -> Workspace:
    return copied(failed, tmp_path / "project")


def publish(workspace: Workspace, override: str) -> Release:
    outside = impatient(fake_outside(workspace.root.parent, **FAILS))
    run_step(
        "publish",
        workspace.root,
        again=bool(override),
        as_json=True,
        outside=lambda: outside,
        override=override,
    )
    return take(workspace, "publish", Release)


def test_no_reason_is_no_override(workspace: Workspace) -> None:
    with pytest.raises(GateNotPassed) as stop:
        publish(workspace, "")
    assert stop.value.exit_code == 3 and "--override" in stop.value.remedy
    assert not workspace.folder("publish").exists()


@pytest.mark.parametrize("reason", ["   ", "because", "I want it", "go go go go go go", "x"])
def test_a_reason_that_says_nothing_is_refused(workspace: Workspace, reason: str) -> None:
    with pytest.raises(BadInput, match="gives no reason that a reader of the card could weigh") as stop:
        publish(workspace, reason)
    assert stop.value.exit_code == 1 and "words or more" in stop.value.remedy
    folder = workspace.folder("publish")
    assert not (folder / "made.json").exists() and not (folder / "gguf").exists()


def test_a_reason_lets_the_files_up_and_stands_in_the_release_and_on_the_card(workspace: Workspace) -> None:
    release = publish(workspace, f"  {REASON} ")
    assert release.override == REASON
    names = {file.name for repo in release.repos for file in repo.files}
    assert sum(name.endswith(".gguf") for name in names) == 3
    assert all(not each.name.endswith(".gguf") for each in release.withheld)
    assert (workspace.folder("publish") / "release.json").read_text("utf-8").count(REASON) == 1
    card = (workspace.folder("publish") / "gguf" / "README.md").read_text("utf-8")
    assert "FAIL" in card, "the gate's outcome is on the card, whatever the reason says"
    assert REASON in " ".join(card.split()).replace("\\", ""), "the reason is on the card"


def test_the_next_release_needs_its_reason_again(workspace: Workspace) -> None:
    publish(workspace, REASON)
    outside = impatient(fake_outside(workspace.root.parent, **FAILS))
    with pytest.raises(GateNotPassed):
        run_step("publish", workspace.root, again=True, as_json=True, outside=lambda: outside)
    assert not (workspace.folder("publish") / "release.json").exists()


def test_a_release_whose_gate_is_passed_carries_no_override(tmp_path: Path) -> None:
    workspace = new_project(tmp_path / "project")
    walk(workspace)
    assert take(workspace, "publish", Release).override == ""
    card = (workspace.folder("publish") / "gguf" / "README.md").read_text("utf-8")
    assert "override" not in card.lower()
