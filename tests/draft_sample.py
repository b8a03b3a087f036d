"""A project with real inputs, twenty examples and a teacher on the loopback, and a way to draft in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from compare_sample import DAY
from fake_api import FakeApi
from fakes import fake_outside, fake_task, label_of
from tuneproof.artifacts import Drafts, EndpointSection
from tuneproof.commands_draft import Asking, draft_pairs
from tuneproof.commands_terms import run_accept_terms
from tuneproof.console import Tell
from tuneproof.making import Bench
from tuneproof.outside.endpoints import endpoint_for
from tuneproof.outside.endpoints.asking import Patience
from tuneproof.outside.prices import price_of
from tuneproof.outside.protocols import Endpoint
from tuneproof.outside.spend import SpendLedger
from tuneproof.steps.draft import draft
from tuneproof.steps.init import init
from tuneproof.workspace import Workspace

TERMS = "https://example.org/terms"
INPUT = 'notice {n} of the "sample", to be labelled'
PRICE = {"input_mtok": 1.0, "output_mtok": 4.0}


def answer(text: str) -> str:
    """What the teacher answers to the last message: the label, or the word that stands in its fence."""
    lines = text.splitlines()
    return label_of(lines[1]) if len(lines) > 2 else "mit"


def project(root: Path, address: str, *, count: int = 40, examples: int = 20, **drafting: Any) -> Workspace:
    """Write a project; `drafting` replaces keys of that section, None among them."""
    document = yaml.safe_load(fake_task())
    document["data"] = {"source": "in.jsonl", "licence": "CC0-1.0"}
    document["drafting"] = {
        "teacher": {"model": "teacher", "base_url": f"{address}/v1", "price": PRICE},
        "cap_usd": 5.0,
        "count": count,
        "terms_url": TERMS,
    } | drafting
    root.mkdir(parents=True)
    (root / "task.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    inputs = [{"input": INPUT.format(n=n)} for n in range(count)]
    (root / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in inputs), encoding="utf-8")
    write_examples(root, examples)
    return Workspace(root)


def write_examples(root: Path, count: int, *, output: str = "mit") -> None:
    rows = [{"input": f"an example notice, number {n}", "output": output} for n in range(count)]
    (root / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def change(workspace: Workspace, section: str, **values: Any) -> None:
    path = workspace.root / "task.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    document[section] |= values
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def accept(workspace: Workspace) -> None:
    run_accept_terms(workspace.root, "Ada", as_json=True)


def ready(root: Path, api: FakeApi, **how: Any) -> Workspace:
    workspace = project(root / "project", api.address, **how)
    accept(workspace)
    return workspace


def impatient(section: EndpointSection, ledger: SpendLedger) -> Endpoint:
    return endpoint_for(section, Patience(calls=4, sleep=lambda _: None), ledger)


def drafts_of(workspace: Workspace, tell: Tell | None = None, *, again: bool = False) -> Drafts:
    """Draft as the step does."""
    case = init(workspace.task_file())
    outside = fake_outside(workspace.root.parent)._replace(price_of=lambda section: price_of(section, DAY))
    tell = tell or Tell(quiet=True)
    bench = Bench(workspace, outside, case.task_file, tell)
    return draft(
        case,
        outside.sources,
        bench.pairs,
        bench.problem_of,
        lambda: draft_pairs(workspace, outside, case, bench, tell, Asking(impatient, again)),
    )


if __name__ == "__main__":
    drafts_of(Workspace(Path(sys.argv[1])))
