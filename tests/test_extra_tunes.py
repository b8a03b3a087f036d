"""Tunes beside the declared one: other seeds and null controls, killed, stale, damaged and fresh."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneproof import extra_kinds
from tuneproof.artifacts import Adapter, BaseModelIdentity, Case, DevSet, Setting, SplitRow, TrainSet, Triage
from tuneproof.artifacts.curves import CurveRow, curves_to_csv
from tuneproof.console import Tell
from tuneproof.errors import BadInput, MissingArtifact, NotReady
from tuneproof.extra_kinds import (
    BLANK,
    CONTROLS,
    asked_input,
    control_of,
    control_rows,
    extra_names,
    ingredients_of,
    is_extra_name,
)
from tuneproof.extra_tunes import (
    ExtraTune,
    extras_of,
    folder_of,
    train_extra,
    train_extras,
    tunes_digest,
)
from tuneproof.outside.files import file_ref
from tuneproof.outside.protocols import Base, Progress, Trained, TrainPlan
from tuneproof.shelves import take, take_case
from tuneproof.steps.tune import Workshop
from tuneproof.task_file import read_task
from tuneproof.workspace import Workspace

STEPS = 8
LABELS = ("bsd-new", "mit", "apache-2.0", "gpl-2.0", "lgpl-2.1", "mpl-2.0", "isc", "zlib")
TASK = """\
name: notices
title: Name the licence of a notice
task:
  input: a notice
  output: a licence
  system_prompt: Answer with the licence only.
  answer_pattern: '[a-z0-9.-]+'
  max_new_tokens: 12
pressures:
  high_volume: true
data:
  source: pairs.jsonl
  pairs: 150
  reviewed_by: the test suite
  licence: CC-BY-4.0
  attribution: Invented by the test suite, https://example.org
split:
  test: 50
  dev: 20
serving:
  model_name: notices
  machine_usd_per_hour: 0.1
"""
SHUFFLED, BLANKED = "control-shuffled-labels", "control-blank-input"


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)
        yield


def rows_of(count: int, *, start: int = 0) -> tuple[SplitRow, ...]:
    texts = [f"notice {number}" for number in range(start, start + count)]
    return tuple(
        SplitRow(id=f"n{i}", group=f"n{i}", input=text, output=LABELS[i * 5 % 8])
        for i, text in enumerate(texts)
    )


def case_of(text: str = "", **tuning: object) -> Case:
    task_file = read_task((text or TASK).encode(), "task.yaml")
    changed = task_file.tuning.model_copy(update=tuning)
    return Case(
        task_file=task_file.model_copy(update={"tuning": changed}),
        triage=Triage(advice="fine-tune", reasons=("volume",)),
        paragraph="A case.",
    )


TRAIN, DEV = TrainSet(pairs=rows_of(30)), DevSet(pairs=rows_of(6, start=100))


def base_at(root: Path) -> Base:
    identity = BaseModelIdentity(
        name="Small-Instruct",
        source="package:small 1.0",
        source_sha256="ab" * 32,
        weights_sha256="cd" * 32,
        weights_note="",
        licence="Apache-2.0",
        parameters=1000,
        hub_id=None,
    )
    return Base(identity, root.parent / "base", root.parent / "base.gguf")


class StepTrainer:
    """Saves after every step, can be cut off at one, and leaves weights that name what was trained on."""

    def __init__(self, *, cut_at: int | None = None) -> None:
        self.cut_at = cut_at
        self.plans: list[TrainPlan] = []
        self.began_at: list[int] = []

    def train(self, plan: TrainPlan, base: Base, folder: Path, progress: Progress) -> Trained:
        checkpoint = folder / "checkpoints" / "step"
        first = int(checkpoint.read_text("utf-8")) if checkpoint.exists() else 0
        self.plans.append(plan)
        self.began_at.append(first)
        checkpoint.parent.mkdir(exist_ok=True)
        for step in range(first + 1, STEPS + 1):
            checkpoint.write_text(str(step), encoding="utf-8")
            progress.update(step, STEPS, "steps")
            if step == self.cut_at:
                raise KeyboardInterrupt
        shutil.rmtree(checkpoint.parent)
        weights = f"{plan.seed} {[(row.input, row.output) for row in plan.rows]}"
        (folder / "adapter_model.safetensors").write_text(weights, encoding="utf-8")
        (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
        (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
        curves = tuple(curve_row(step) for step in range(1, STEPS + 1))
        (folder / "curves.csv").write_text(curves_to_csv(curves), encoding="utf-8")
        names = ("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja")
        return Trained(
            files=tuple(file_ref(folder / name) for name in names),
            settings=(Setting(name="seed", value=plan.seed, origin="task.yaml"),),
            curves=curves,
            steps=STEPS,
            tokens=800,
            answer_tokens=90,
            longest_row_tokens=64,
            device="a fake processor",
            versions={"torch": "0.0"},
        )


def curve_row(step: int) -> CurveRow:
    return CurveRow(
        step=step,
        epoch=step / STEPS,
        rows=8,
        tokens=100,
        loss=2.0 / step,
        dev_loss=3.0 / step,
        learning_rate=1e-3,
        grad_norm=1.0,
        tokens_per_s=100.0,
    )


class Silent:
    def update(self, done: int, total: int, note: str) -> None:
        """Say nothing."""


def train(root: Path, name: str, trainer: StepTrainer, case: Case | None = None) -> Adapter:
    shop = Workshop(base_at(root), trainer, folder_of(root, name), Silent())
    return train_extra(name, case or case_of(), TRAIN, DEV, shop)


def look(
    root: Path, case: Case | None = None, train_set: TrainSet = TRAIN
) -> tuple[set[str], dict[str, str]]:
    found = extras_of(root, case or case_of(), train_set, DEV, base_at(root).identity)
    return set(found.fresh), found.stale


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "project"


# Names


def test_seeds_count_on_from_the_declared_one_and_stand_for_so_many_in_all() -> None:
    assert extra_names(3, None, case_of()) == ("seed-1", "seed-2")
    assert extra_names(4, "blank-input", case_of(seed=6)) == ("seed-7", "seed-8", "seed-9", BLANKED)
    assert extra_names(None, "shuffled-labels", case_of()) == (SHUFFLED,)
    assert extra_names(None, None, case_of()) == ()
    assert extra_names(3, None, case_of(seed=2**32 - 2)) == (f"seed-{2**32 - 1}", "seed-0")


@pytest.mark.parametrize("seeds", [2, 1, 0, -3])
def test_fewer_than_three_seeds_are_refused_with_the_command_that_works(seeds: int) -> None:
    with pytest.raises(BadInput, match=f"--seeds {seeds}: .*at least 3") as stopped:
        extra_names(seeds, None, case_of())
    assert stopped.value.remedy == "tuneproof tune --seeds 3"


def test_an_unknown_control_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(BadInput, match="no control 'blank'") as stopped:
        extra_names(None, "blank", case_of())
    assert stopped.value.remedy == "tuneproof tune --control blank-input"


def test_only_names_that_we_give_count_as_extra_tunes() -> None:
    ours = ("seed-0", "seed-12", f"seed-{2**32 - 1}", SHUFFLED, BLANKED)
    others = ("seed-", "seed-01", "seed--1", f"seed-{2**32}", "seed-1x", "control-", "control-other", "x")
    assert all(map(is_extra_name, ours))
    assert not any(map(is_extra_name, others))
    assert [control_of(name) for name in ours] == [None, None, None, *CONTROLS]


# Rows of a control


@given(outputs=st.lists(st.sampled_from("abcde"), max_size=40), seed=st.integers(0, 2**32 - 1))
def test_a_shuffle_keeps_the_inputs_and_the_multiset_of_outputs(outputs: list[str], seed: int) -> None:
    rows = tuple(SplitRow(id=str(i), group=str(i), input=f"t{i}", output=o) for i, o in enumerate(outputs))
    shuffled = control_rows(rows, "shuffled-labels", seed)
    assert Counter(row.output for row in shuffled) == Counter(outputs)
    assert [(r.id, r.group, r.input) for r in shuffled] == [(r.id, r.group, r.input) for r in rows]
    assert shuffled == control_rows(rows, "shuffled-labels", seed)


@given(count=st.integers(2, 60), seed=st.integers(0, 2**32 - 1))
def test_no_row_keeps_its_own_output(count: int, seed: int) -> None:
    rows = tuple(SplitRow(id=str(i), group="g", input=f"t{i}", output=f"o{i}") for i in range(count))
    shuffled = control_rows(rows, "shuffled-labels", seed)
    assert not [row.id for row in shuffled if row.output == f"o{row.id}"]


def test_with_two_labels_a_shuffle_does_not_teach_the_inverse() -> None:
    """Half of 400 rows keep their label by chance; outside 150 to 250 is a false alarm once in a million."""
    rows = tuple(SplitRow(id=str(i), group=str(i), input=f"t{i}", output="ny"[i % 2]) for i in range(400))
    kept = sum(
        before.output == after.output
        for before, after in zip(rows, control_rows(rows, "shuffled-labels", 3), strict=True)
    )
    assert 150 <= kept <= 250


def test_another_seed_shuffles_otherwise() -> None:
    first, second = (control_rows(TRAIN.pairs, "shuffled-labels", seed) for seed in (0, 1))
    assert first != second


def test_blanked_rows_all_ask_the_same_and_keep_their_outputs() -> None:
    blanked = control_rows(TRAIN.pairs, "blank-input", 0)
    assert {row.input for row in blanked} == {BLANK} and BLANK.strip()
    assert [row.output for row in blanked] == [row.output for row in TRAIN.pairs]
    assert asked_input("blank-input", "a notice") == BLANK
    assert asked_input("shuffled-labels", "a notice") == asked_input(None, "a notice") == "a notice"


def test_an_extra_tune_changes_one_thing_and_only_in_the_rows_that_are_used() -> None:
    case = case_of(rows=10)
    seed = ingredients_of("seed-5", case, TRAIN, DEV)
    assert seed.case.task_file.tuning == case.task_file.tuning.model_copy(update={"seed": 5})
    assert (seed.train, seed.dev) == (TRAIN, DEV)
    shuffled = ingredients_of(SHUFFLED, case, TRAIN, DEV)
    used = shuffled.train.pairs[:10]
    assert shuffled.case == case and shuffled.dev == DEV
    assert Counter(r.output for r in used) == Counter(r.output for r in TRAIN.pairs[:10])
    assert shuffled.train.pairs[10:] == TRAIN.pairs[10:]
    blanked = ingredients_of(BLANKED, case, TRAIN, DEV)
    assert {row.input for row in (*blanked.train.pairs[:10], *blanked.dev.pairs)} == {BLANK}
    assert len(blanked.train.pairs) == len(TRAIN.pairs)


# Training one


def test_an_extra_tune_leaves_its_files_its_record_and_the_marker(root: Path) -> None:
    adapter = train(root, "seed-2", StepTrainer())
    folder = folder_of(root, "seed-2")
    assert {p.name for p in folder.iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "chat_template.jinja",
        "curves.csv",
        "adapter.json",
        "made.json",
    }
    assert folder == root / "tunes" / "seed-2"
    assert Adapter.model_validate_json((folder / "adapter.json").read_text("utf-8")) == adapter
    assert adapter.settings == (Setting(name="seed", value=2, origin="tune --seeds"),)
    found = extras_of(root, case_of(), TRAIN, DEV, adapter.base).fresh["seed-2"]
    assert found == ExtraTune("seed-2", "seed", adapter, folder)


def test_a_control_really_trains_on_other_rows_and_its_record_says_so(root: Path) -> None:
    trainer = StepTrainer()
    adapters = {name: train(root, name, trainer) for name in (SHUFFLED, BLANKED, "seed-1")}
    plans = dict(zip(adapters, trainer.plans, strict=True))
    moved = [a.id for a, b in zip(plans[SHUFFLED].rows, TRAIN.pairs, strict=True) if a.output != b.output]
    assert len(moved) > 15, "eight labels: about 26 of 30 rows get another one"
    assert plans[SHUFFLED].dev == DEV.pairs
    assert {row.input for row in (*plans[BLANKED].rows, *plans[BLANKED].dev)} == {BLANK}
    assert plans["seed-1"].rows == TRAIN.pairs and plans["seed-1"].seed == 1
    assert {plans[name].seed for name in (SHUFFLED, BLANKED)} == {0}
    assert len({adapter.digest for adapter in adapters.values()}) == 3
    kinds = [s.value for name in (SHUFFLED, BLANKED) for s in adapters[name].settings if s.name == "control"]
    assert kinds == ["shuffled-labels", "blank-input"]


def test_a_fresh_one_is_read_back_and_not_trained(root: Path) -> None:
    trainer = StepTrainer()
    first = train(root, "seed-1", trainer)
    assert train(root, "seed-1", trainer) == first
    assert len(trainer.plans) == 1


@pytest.mark.parametrize("cut_at", range(1, STEPS + 1))
def test_killed_in_the_middle_it_does_not_count_and_continues(
    root: Path, tmp_path: Path, cut_at: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(root, "seed-1", StepTrainer(cut_at=cut_at))
    fresh, stale = look(root)
    assert (fresh, stale) == (set(), {"seed-1": "interrupted; the same command continues"})
    assert tunes_digest(root) == ""
    trainer = StepTrainer()
    continued = train(root, "seed-1", trainer)
    assert trainer.began_at == [cut_at]
    assert continued.digest == train(tmp_path / "other", "seed-1", StepTrainer()).digest
    assert look(root) == ({"seed-1"}, {})


def test_a_half_made_one_with_other_inputs_begins_anew(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(root, "seed-1", StepTrainer(cut_at=4))
    trainer = StepTrainer()
    train(root, "seed-1", trainer, case_of(epochs=5))
    assert trainer.began_at == [0]


def test_killed_before_the_marker_is_written_it_does_not_count(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuneproof import extra_tunes

    real = extra_tunes.atomic_write

    def killed_at_the_marker(path: Path, data: bytes) -> None:
        if path.name == "made.json":
            raise KeyboardInterrupt
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(extra_tunes, "atomic_write", killed_at_the_marker)
        with pytest.raises(KeyboardInterrupt):
            train(root, "seed-1", StepTrainer())
    assert (folder_of(root, "seed-1") / "adapter.json").exists()
    assert look(root)[0] == set()
    train(root, "seed-1", StepTrainer())
    assert look(root) == ({"seed-1"}, {})


CHANGES: dict[str, tuple[Case, TrainSet, str]] = {
    "epochs": (case_of(epochs=7), TRAIN, "changed since: tuning.epochs"),
    "rows": (case_of(rows=12), TRAIN, "changed since: tuning.rows, the training pairs"),
    "prompt": (
        case_of(TASK.replace("Answer with", "Reply with")),
        TRAIN,
        "changed since: task.system_prompt",
    ),
    "train": (case_of(), TrainSet(pairs=rows_of(30, start=5)), "changed since: the training pairs"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["seed-1", SHUFFLED])
def test_one_made_from_something_else_is_stale_says_why_and_is_made_again(
    root: Path, name: str, change: str
) -> None:
    train(root, name, StepTrainer())
    case, train_set, why = CHANGES[change]
    assert look(root, case, train_set) == (set(), {name: why})
    trainer = StepTrainer()
    shop = Workshop(base_at(root), trainer, folder_of(root, name), Silent())
    train_extra(name, case, train_set, DEV, shop)
    assert trainer.began_at == [0]
    assert look(root, case, train_set) == ({name}, {})


def test_another_declared_seed_makes_the_controls_stale_and_the_other_seeds_stay(root: Path) -> None:
    for name in ("seed-1", "seed-2", SHUFFLED):
        train(root, name, StepTrainer())
    fresh, stale = look(root, case_of(seed=1))
    assert fresh == {"seed-2"}
    assert stale["seed-1"] == "tuning.seed declares this seed now, so 5-adapter holds it"
    assert stale[SHUFFLED] == "changed since: tuning.seed, the training pairs"


def test_another_base_makes_it_stale(root: Path) -> None:
    adapter = train(root, "seed-1", StepTrainer())
    other = adapter.base.model_copy(update={"weights_sha256": "ef" * 32})
    assert extras_of(root, case_of(), TRAIN, DEV, other).stale == {"seed-1": "changed since: the base"}


def test_what_is_not_ours_in_the_folder_is_left_alone(root: Path) -> None:
    (root / "tunes" / "notes").mkdir(parents=True)
    (root / "tunes" / "seed-3").write_text("a file", encoding="utf-8")
    assert look(root) == (set(), {})
    assert look(root.parent / "no-project") == (set(), {})


DAMAGES = {
    "made.json": (b"{}", "made.json is damaged"),
    "made.json ": (b"\xff not JSON", "made.json is damaged"),
    "adapter.json": (b"{}", "adapter.json was changed"),
    "adapter_model.safetensors": (b"other weights", "adapter_model.safetensors was changed"),
    "curves.csv": (None, "curves.csv is gone"),
}


@pytest.mark.parametrize("file", DAMAGES)
def test_a_damaged_one_does_not_count_and_is_made_again(root: Path, file: str) -> None:
    train(root, "seed-1", StepTrainer())
    data, why = DAMAGES[file]
    path = folder_of(root, "seed-1") / file.strip()
    path.unlink() if data is None else path.write_bytes(data)
    assert look(root) == (set(), {"seed-1": why})
    trainer = StepTrainer()
    train(root, "seed-1", trainer)
    assert trainer.began_at == [0] and look(root) == ({"seed-1"}, {})


def test_a_marker_with_another_record_does_not_count(root: Path) -> None:
    train(root, "seed-1", StepTrainer())
    path = folder_of(root, "seed-1") / "made.json"
    edited = json.loads(path.read_text("utf-8")) | {"adapter": "sha256:" + "0" * 64}
    path.write_text(json.dumps(edited), encoding="utf-8")
    assert look(root)[1] == {"seed-1": "adapter.json is not the one that was made"}


def test_labels_that_are_all_alike_cannot_be_shuffled_and_nothing_is_begun(root: Path) -> None:
    alike = TrainSet(pairs=tuple(row.model_copy(update={"output": "mit"}) for row in TRAIN.pairs))
    shop = Workshop(base_at(root), StepTrainer(), folder_of(root, SHUFFLED), Silent())
    with pytest.raises(NotReady, match="All 30 training pairs have the same output") as stopped:
        train_extra(SHUFFLED, case_of(), alike, DEV, shop)
    assert stopped.value.remedy == "tuneproof tune --control blank-input"
    assert not folder_of(root, SHUFFLED).exists()


def test_the_digest_of_all_tunes_changes_with_each_and_when_one_is_deleted(root: Path) -> None:
    seen = [tunes_digest(root)]
    for name in ("seed-1", "seed-2"):
        train(root, name, StepTrainer())
        seen.append(tunes_digest(root))
    assert seen[0] == "" and len(set(seen)) == 3
    shutil.rmtree(folder_of(root, "seed-2"))
    assert tunes_digest(root) == seen[1]


# The planted bugs: each of these must be seen by the tests above


def test_a_shuffle_that_moves_nothing_would_be_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extra_kinds, "control_rows", lambda rows, _kind, _seed: tuple(rows))
    with pytest.raises(AssertionError):
        test_a_control_really_trains_on_other_rows_and_its_record_says_so(tmp_path / "project")


# The command


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project walked up to its declared tune."""
    from fakes import fake_outside, fake_task
    from tuneproof.story import story

    at = tmp_path_factory.mktemp("extras")
    workspace = Workspace(at / "project")
    workspace.write_task(fake_task())
    for verb in story(workspace, fake_outside(at), Tell(quiet=True)):
        if verb == "tune":
            break
    return workspace.root


def trained_by_command(workspace: Workspace, trainer: StepTrainer, *names: str) -> tuple[ExtraTune, ...]:
    return command(workspace, trainer, Tell(), names)


def command(
    workspace: Workspace, trainer: StepTrainer, tell: Tell, names: Sequence[str]
) -> tuple[ExtraTune, ...]:
    from fakes import fake_outside
    from tuneproof.making import Bench

    outside = fake_outside(workspace.root.parent)._replace(trainer=trainer)
    bench = Bench(workspace, outside, take_case(workspace).task_file, tell)
    return train_extras(workspace, bench, outside, tell, names)


def test_the_command_trains_what_is_missing_and_names_the_next_command(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(Path(shutil.copytree(tuned, tmp_path / "project")))
    before = (workspace.folder("tune") / "made.json").read_bytes()
    trainer = StepTrainer()
    made = trained_by_command(workspace, trainer, "seed-1", SHUFFLED)
    assert [extra.name for extra in made] == ["seed-1", SHUFFLED]
    assert len(trainer.plans) == 2
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("seed-1: 100 pairs, 2 epochs, ") and "loss 0.250" in said[0]
    assert said[-1] == f"Next: tuneproof compare --project {workspace.root}"
    again = trained_by_command(workspace, trainer, "seed-1", "seed-2", SHUFFLED)
    assert len(trainer.plans) == 3, "only seed-2 was missing"
    assert (again[0], again[2]) == made
    assert workspace.state("tune").state == "fresh"
    assert (workspace.folder("tune") / "made.json").read_bytes() == before
    assert again[1].adapter.base == take(workspace, "tune", Adapter).base


def test_the_command_as_json_prints_one_value(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(Path(shutil.copytree(tuned, tmp_path / "project")))
    command(workspace, StepTrainer(), Tell(as_json=True), [BLANKED])
    told = json.loads(capsys.readouterr().out)
    assert told["tunes"][BLANKED]["folder"] == f"tunes/{BLANKED}"
    assert told["next"].startswith("tuneproof compare")


@pytest.mark.parametrize("edit", [("epochs: 2", "epochs: 9"), ("shots: [0, 5]", "shots: [0]")])
def test_the_command_needs_a_fresh_tune_and_a_fresh_case(
    tuned: Path, tmp_path: Path, edit: tuple[str, str]
) -> None:
    workspace = Workspace(Path(shutil.copytree(tuned, tmp_path / "project")))
    path = workspace.root / "task.yaml"
    before = path.read_text("utf-8")
    path.write_text(before.replace(*edit), encoding="utf-8")
    assert path.read_text("utf-8") != before
    trainer = StepTrainer()
    with pytest.raises(MissingArtifact, match="stale") as stopped:
        trained_by_command(workspace, trainer, "seed-1")
    assert stopped.value.remedy == f"tuneproof run --until tune --project {workspace.root}"
    assert trainer.plans == [] and not (workspace.root / "tunes").exists()


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), seeds=st.integers(3, 9))
def test_all_names_differ_and_none_is_the_declared_seed(seed: int, seeds: int) -> None:
    names = extra_names(seeds, None, case_of(seed=seed))
    assert len(set(names)) == seeds - 1 and f"seed-{seed}" not in names
    assert all(map(is_extra_name, names))
