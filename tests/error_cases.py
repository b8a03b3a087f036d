"""What a user gets wrong, and what is said then: the cases of `docs/evidence/errors.md`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

Prepare = Callable[[Path], None]
FILE = "tickets.jsonl"


class Case(NamedTuple):
    """One mistake."""

    title: str
    shown: str
    """The input, in a few words or as it is written."""
    prepare: Prepare
    """Makes the mistake in an empty folder."""
    arguments: tuple[str, ...]
    """Of the command that meets it."""


class Said(NamedTuple):
    """What the command said."""

    code: int
    out: str
    err: str


def run(case: Case, root: Path) -> Said:
    """Make the mistake in `root` and run the command there, without its notes about the work."""
    case.prepare(root)
    hidden = NEED_WITHOUT.get(case.title)
    with without(hidden) if hidden else contextlib.nullcontext():
        return command(root, *case.arguments, "--json")


def message(said: Said, root: Path) -> str:
    """What was said, without the place of the test."""
    return said.err.replace(str(root), "…").strip()


def command(root: Path, *arguments: str) -> Said:
    """Run one command in `root`, in this process."""
    from tuneproof import cli

    out, err, before = io.StringIO(), io.StringIO(), (Path.cwd(), sys.argv)
    os.chdir(root)
    sys.argv = ["tuneproof", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        return Said(int(end.code or 0), out.getvalue(), err.getvalue())
    finally:
        os.chdir(before[0])
        sys.argv = before[1]
    raise AssertionError("the command did not end")


def rows(count: int = 200) -> list[dict[str, str]]:
    """Tickets and their queues, no two alike."""
    chance, letters = random.Random(3), "abdeiklmnoprstu"
    words = ["".join(chance.choices(letters, k=6)) for _ in range(400)]
    queues = ("billing", "login", "returns", "shipping")
    return [
        {"id": f"t{i:03}", "input": " ".join(chance.sample(words, 10)), "output": queues[i % 4]}
        for i in range(count)
    ]


def write_rows(root: Path, found: list[dict[str, str]], name: str = FILE) -> None:
    """Write rows as JSON Lines."""
    (root / name).write_text("".join(json.dumps(row) + "\n" for row in found), "utf-8")


def task(**sections: dict[str, object]) -> str:
    """A task.yaml for the tickets; `sections` replaces values."""
    fields: dict[str, dict[str, object] | str] = {
        "name": "tickets",
        "title": "Name the queue of a ticket",
        "task": {
            "input": "a ticket",
            "output": "its queue",
            "system_prompt": "Answer with the queue of this ticket.",
            "metric": "label accuracy",
        },
        "pressures": {"own_label_scheme": True},
        "data": {"source": FILE, "reviewed_by": "the support team", "licence": "CC0-1.0"},
        "split": {"test": 50, "dev": 20},
        "serving": {"model_name": "tickets"},
    }
    for name, values in sections.items():
        section = fields.setdefault(name, {})
        assert isinstance(section, dict)
        section.update(values)
    return yaml.safe_dump(fields, sort_keys=False)


def with_task(text: str | None = None, found: list[dict[str, str]] | None = None) -> Prepare:
    """Write a project of the tickets."""

    def prepare(root: Path) -> None:
        (root / "task.yaml").write_text(task() if text is None else text, "utf-8")
        write_rows(root, rows() if found is None else found)

    return prepare


def edited(*changes: tuple[int, dict[str, str]], count: int = 200) -> list[dict[str, str]]:
    """The tickets with some rows changed; a value of `-` drops the key."""
    found = rows(count)
    for number, values in changes:
        found[number] = {k: v for k, v in (found[number] | values).items() if v != "-"}
    return found


def raw(data: bytes, name: str = FILE, **sections: dict[str, object]) -> Prepare:
    """Write a file of exactly these bytes, and a task.yaml that names it."""

    def prepare(root: Path) -> None:
        (root / name).write_bytes(data)
        (root / "task.yaml").write_text(task(data={"source": name}, **sections), "utf-8")

    return prepare


def frozen(change: Prepare) -> Prepare:
    """Freeze the tickets, then change something."""

    def prepare(root: Path) -> None:
        with_task()(root)
        assert command(root, "run", "--until", "freeze").code == 0
        change(root)

    return prepare


OTHER_REPLY = b'{"item_id": "x", "prompt_sha256": "y", "text": "z", "model": "m", "at": "2026-11-24"}\n'


def other_replies(root: Path) -> None:
    (root / "replies.jsonl").write_bytes(OTHER_REPLY)


def nothing(root: Path) -> None:
    return None


def flip(root: Path) -> None:
    """Flip one bit in the middle of the test file."""
    path = root / "4-split/test.jsonl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def other_rows(root: Path) -> None:
    """Add tickets to the file of pairs."""
    write_rows(root, rows(240))


def other_prompt(root: Path) -> None:
    """Change the system prompt."""
    (root / "task.yaml").write_text(task(task={"system_prompt": "Which queue?"}), "utf-8")


def other_columns(root: Path) -> None:
    """Name a column that the file does not have."""
    (root / "tickets.csv").write_text("text,queue\nfirst,billing\n", "utf-8")
    section: dict[str, object] = {"source": "tickets.csv", "input_column": "txt", "output_column": "queue"}
    (root / "task.yaml").write_text(task(data=section), "utf-8")


def no_rule(root: Path) -> None:
    """Name a rule that is not there."""
    with_task(task(comparison={"rule": "rule:answer"}))(root)
    (root / "rules.py").write_text("def answer(text):\n    return 'billing'\n", "utf-8")


def base_folder(files: dict[str, bytes]) -> Prepare:
    """Name a local base with these files."""

    def prepare(root: Path) -> None:
        with_task(task(tuning={"base": "./base"}))(root)
        (root / "base").mkdir()
        for name, data in files.items():
            (root / "base" / name).write_bytes(data)

    return prepare


def held(root: Path) -> None:
    """Hold the project from another process for as long as this one lives."""
    import subprocess

    with_task()(root)
    program = (
        "import fcntl, os, sys, time; h = open('.lock', 'a+'); fcntl.flock(h, fcntl.LOCK_EX); "
        "h.write('another-host, process 4242'); h.flush(); print('held', flush=True); time.sleep(20)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"

    def end() -> None:
        process.kill()
        process.communicate()

    HOLDERS.append(end)


HOLDERS: list[Callable[[], None]] = []
"""Ends the processes that hold a project."""


@contextlib.contextmanager
def without(module: str) -> Iterator[None]:
    """Let `module` be not installed."""
    saved = {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == module}
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
        sys.modules.update(saved)


CONFIG = json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}).encode()
BROKEN = (
    b'{"input": "first", "output": "billing"}\n'
    b'{"input": "second" "output": "login"}\n'
    b'{"input": "third", "output": NaN}\n'
    b'{"input": "fourth", "input": "again", "output": "login"}\n'
    b'{"input": "caf\xe9", "output": "login"}\n'
    b'["fifth", "login"]\n'
)

NO_BASE = dict.fromkeys(("tokenizer.json", "tokenizer_config.json", "model.safetensors"), b"{}")
CASES: tuple[Case, ...] = (
    Case("no project yet", "an empty folder", lambda root: None, ("run",)),
    Case(
        "a key of task.yaml is misspelt",
        "`tuning: {epoch: 3}`",
        with_task(task(tuning={"epoch": 3})),
        ("run",),
    ),
    Case(
        "several mistakes in task.yaml",
        "`epochs: 0`, `metric: exactmatch`, `test: 20`",
        with_task(task(tuning={"epochs": 0}, task={"metric": "exactmatch"}, split={"test": 20})),
        ("run",),
    ),
    Case("a key occurs twice", "`name:` on two lines", with_task(task() + "name: other\n"), ("run",)),
    Case("task.yaml is no YAML", "`title: [`", with_task("title: ["), ("run",)),
    Case(
        "a metric without its threshold",
        "`metric: chrF`, no `right_at`",
        with_task(task(task={"metric": "chrF"})),
        ("run",),
    ),
    Case("a guess over a task.yaml", "init --pairs in a project", with_task(), ("init", "--pairs", FILE)),
    Case(
        "the file of pairs is missing",
        "`source: ticket.jsonl`, there is tickets.jsonl",
        with_task(task(data={"source": "ticket.jsonl"})),
        ("run",),
    ),
    Case("an Excel workbook", "`source: tickets.xlsx`", raw(b"PK\x03\x04", "tickets.xlsx"), ("run",)),
    Case(
        "a column is missing",
        "a CSV with the header `text,queue`, `input_column: txt`",
        other_columns,
        ("run",),
    ),
    Case("lines that are no rows", "five broken lines of JSON Lines", raw(BROKEN), ("run",)),
    Case(
        "rows of two shapes",
        "a `messages` row among `input`/`output` rows",
        raw(
            b'{"input": "first", "output": "billing"}\n'
            b'{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "login"}]}\n'
        ),
        ("run",),
    ),
    Case(
        "a chat with another system message",
        "`system: You are a poet.`",
        raw(
            b'{"messages": [{"role": "system", "content": "You are a poet."}, '
            b'{"role": "user", "content": "x"}, {"role": "assistant", "content": "login"}]}\n'
        ),
        ("run",),
    ),
    Case("an id occurs twice", "`t004` on two lines", with_task(found=edited((9, {"id": "t004"}))), ("run",)),
    Case(
        "contradictory twins",
        "one input, two outputs",
        with_task(found=edited((7, {"input": rows()[2]["input"].upper()}))),
        ("run",),
    ),
    Case(
        "an empty output and a missing one",
        '`"output": " "`, no `output`',
        with_task(found=edited((3, {"output": " "}), (5, {"output": "-"}))),
        ("run",),
    ),
    Case(
        "an output that the metric cannot read",
        '`metric: json fields`, `"output": "login"`',
        with_task(
            task(task={"metric": "json fields"}),
            [row | {"output": "login" if i == 4 else '{"queue":"login"}'} for i, row in enumerate(rows())],
        ),
        ("run",),
    ),
    Case(
        "a label outside the closed list",
        "`labels: [billing, login, returns]`, an output `shipping`",
        with_task(task(scoring={"labels": ["billing", "login", "returns"]}), rows(60)),
        ("run",),
    ),
    Case(
        "nothing presses for a tune",
        "no pressure is true",
        with_task(task(pressures={"own_label_scheme": False})),
        ("run",),
    ),
    Case(
        "nobody vouches for imported pairs",
        "`reviewed_by: null`",
        with_task(task(data={"reviewed_by": None})),
        ("run",),
    ),
    Case(
        "too few rows", "60 rows, 50 test and 20 dev wanted", with_task(found=rows(60)), ("run", "--dry-run")
    ),
    Case(
        "rows that differ only in a number",
        "`order 17 is late` 200 times",
        with_task(
            found=[
                row | {"input": f"order {i} is late", "output": "shipping"} for i, row in enumerate(rows())
            ]
        ),
        ("run",),
    ),
    Case("the test file was changed", "one bit of 4-split/test.jsonl flipped", frozen(flip), ("run",)),
    Case(
        "other pairs under a frozen version", "40 rows added after the freeze", frozen(other_rows), ("run",)
    ),
    Case(
        "another prompt under a frozen version",
        "`system_prompt` edited after the freeze",
        frozen(other_prompt),
        ("run",),
    ),
    Case("a rule that is not there", "`rule: rule:answer`, there is rules.py", no_rule, ("run",)),
    Case(
        "a base that holds no safetensors",
        "a folder with pytorch_model.bin",
        base_folder({"config.json": CONFIG, "pytorch_model.bin": b"x"}),
        ("run",),
    ),
    Case(
        "a base that brings code",
        "`auto_map` in its config.json",
        base_folder(NO_BASE | {"config.json": CONFIG[:-1] + b', "auto_map": {"AutoModel": "m.M"}}'}),
        ("run",),
    ),
    Case("a base that is no folder", "`base: ./bse`", with_task(task(tuning={"base": "./bse"})), ("run",)),
    Case("an unknown step", "run --until quantise", with_task(), ("run", "--until", "quantise")),
    Case("a second run on one project", "two commands at once", held, ("run",)),
    Case("a missing extra", "a Parquet file without pyarrow", raw(b"PAR1", "tickets.parquet"), ("run",)),
    Case("nothing to answer", 'ask ""', with_task(), ("ask", "")),
    Case("an unknown endpoint", "compare --export x", frozen(nothing), ("compare", "--export", "x")),
    Case(
        "replies to other requests",
        "compare --import of a line with an unknown item",
        frozen(other_replies),
        ("compare", "--import", "replies.jsonl"),
    ),
    Case("too few seeds", "tune --seeds 2", frozen(nothing), ("tune", "--seeds", "2")),
)
"""Every mistake of the page, in its order."""

LONG = "a very long answer " * 3000
WITH_WEIGHTS: tuple[Case, ...] = (
    Case(
        "an answer longer than the model's context",
        "an output of 12,000 words",
        with_task(task(task={"metric": "exact match"}), edited((4, {"output": LONG}), (9, {"output": LONG}))),
        ("run", "--until", "tune"),
    ),
)
"""Mistakes that only the base's own tokenizer can see."""

NEED_WITHOUT = {"a missing extra": "pyarrow"}
"""Cases in which a module must count as not installed."""
