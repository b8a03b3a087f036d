"""The records of a frozen data set → the README.md of its Hugging Face folder, with a YAML head.

Every number is read from a record or counted from the rows that are written; a thing that no record says is
said to be unknown. Keys: https://huggingface.co/docs/hub/datasets-cards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tuneproof.artifacts import Case, Provenance, Reviewed, Split, SplitRow
from tuneproof.card import lint_card
from tuneproof.card_text import Markdown, fenced, line_of, table_of
from tuneproof.errors import NotReady
from tuneproof.scan import scan_text

HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
"""Part of the split → its name on the Hub."""
HUB_LICENCES = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsl-1.0",
    "c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
    "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0", "gfdl", "gpl", "gpl-2.0",
    "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by",
    "ofl-1.1", "osl-3.0", "pddl", "unlicense", "wtfpl", "zlib",
})  # fmt: skip
"""Ids that the Hub knows (https://huggingface.co/docs/hub/repositories-licenses); others are `other`."""
UNKNOWN = "unknown"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


class CardOf(NamedTuple):
    """Everything that the card prints."""

    case: Case
    split: Split
    reviewed: Reviewed
    rows: Mapping[str, Sequence[SplitRow]]
    """Part → the rows that are written beside the card."""
    tuneproof_version: str


def render_dataset_card(data: CardOf) -> str:
    """Write the card.

    Raises:
        NotReady: the finished card has an empty section or a blank cell.
    """
    parts = [_head(data), *_about(data), *_origin(data.reviewed.provenance), *_review(data.reviewed)]
    parts += [*_split(data), *_limits(data), *_personal(data), *_licence(data.reviewed.provenance)]
    parts.append(f"Written by tuneproof {line_of(data.tuneproof_version)} from the project's records.")
    text = "\n\n".join(parts) + "\n"
    if complaints := lint_card(text):
        raise NotReady(
            "The card of the data set has blanks: " + "; ".join(complaints),
            remedy="Fill in title, input and output in task.yaml, then run the command again.",
        )
    return text


def found_in(rows: Mapping[str, Sequence[SplitRow]]) -> Counter[str]:
    """Count what looks like a secret or personal data in the rows, by kind."""
    return Counter(
        finding.kind
        for part in rows.values()
        for row in part
        for finding in scan_text(f"{row.input}\n{row.output}", where=row.id)
    )


def hub_licence(licence: str) -> dict[str, str]:
    """Return the licence as the Hub's head wants it."""
    known = licence.strip().lower()
    if known in HUB_LICENCES or known == UNKNOWN:
        return {"license": known}
    return {"license": "other", "license_name": line_of(licence)}


def _head(data: CardOf) -> str:
    import yaml

    total = sum(map(len, data.rows.values()))
    head: dict[str, Any] = {
        "pretty_name": " ".join(data.case.task_file.title.split()),
        **hub_licence(data.reviewed.provenance.licence),
        "annotations_creators": _creators(data.reviewed),
        "size_categories": [next((name for most, name in _SIZES if total < most), "n>1M")],
        "task_categories": ["text-generation"],
        "tags": ["tuneproof"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": HUB_SPLITS[part], "path": f"data/{part}.jsonl"} for part in data.rows
                ],
            }
        ],
    }
    written = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1_000)
    return f"---\n{written.strip()}\n---"


def _creators(reviewed: Reviewed) -> list[str]:
    """Say who made the outputs, in the Hub's words; `other` is a reviewer whose expertise is not known."""
    made = ["machine-generated" if reviewed.provenance.kind == "drafted" else "found"]
    figures = reviewed.figures
    return [*made, "other"] if figures is not None and not figures.driven else made


def _about(data: CardOf) -> list[str]:
    task_file = data.case.task_file
    snippet = (
        "from datasets import load_dataset\n\n"
        'data = load_dataset("json", data_files={'
        + ", ".join(f'"{HUB_SPLITS[part]}": "data/{part}.jsonl"' for part in data.rows)
        + "})"
    )
    return [
        f"# {line_of(task_file.title)}",
        f"Pairs for one narrow task: {line_of(task_file.task.input)} goes in, "
        f"{line_of(task_file.task.output)} comes out.",
        fenced(snippet, "python"),
        table_of(
            ("Column", "Meaning"),
            (
                ("`id`", "names the row"),
                ("`group`", "rows of a group are alike, and all on one side of the split"),
                ("`input`", "what goes in"),
                ("`output`", "what should come out"),
            ),
        ),
        "The system prompt that the task is asked with:",
        fenced(task_file.task.system_prompt, "text"),
    ]


def _origin(provenance: Provenance) -> list[str]:
    source = f"`{line_of(provenance.source)}`, version {line_of(provenance.source_version) or 'not recorded'}"
    if provenance.kind == "imported":
        outputs = "The outputs came with the inputs; no model of this project drafted them."
    else:
        terms = line_of(provenance.terms_url) or "no address recorded"
        # When and by whom; a person's name is not for the card.
        accepted = line_of(provenance.terms_accepted_at.partition(" by ")[0]) or "not recorded"
        outputs = (
            f"The outputs were drafted by the model {line_of(provenance.teacher) or '(not recorded)'}. Its "
            f"terms ({terms}) were acknowledged: {accepted}. What they allow to be done with this data is "
            "for you to check."
        )
    return ["## Where inputs and outputs come from", f"The inputs come from {source}. {outputs}"]


def _review(reviewed: Reviewed) -> list[str]:
    title, figures = "## Review", reviewed.figures
    counts = f"{reviewed.accepted:,} pairs went on as they were, {reviewed.fixed:,} changed; "
    counts += f"{reviewed.deleted:,} were deleted."
    if figures is None:
        return [title, f"On the word of others: {line_of(reviewed.statement)}. {counts}"]
    said = [title, f"{line_of(reviewed.statement)}. {counts}"]
    if figures.driven:
        said.append(
            "**A program made decisions of this review.** The figures below are not those of a person."
        )
    rows = [
        ("Reviewers", str(len(figures.reviewers))),
        ("Closed batches", str(len(figures.batches))),
        ("Median time a pair", f"{figures.median_seconds:.1f} s"),
        ("Draft shown and kept", f"{figures.shown_kept:,} of {figures.shown:,}"),
        ("Draft hidden, the answer was the draft", f"{figures.hidden_equal:,} of {figures.hidden:,}"),
        ("Same pair again, same reviewer, equal answers", _agreement(figures.self_agreement)),
        ("Two reviewers, equal answers", _agreement(figures.between)),
        ("Pairs left out because no closed batch holds them", f"{figures.left_unreviewed:,}"),
    ]
    if gap := figures.anchoring:
        points = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f} points"
        rows.append(("Anchoring gap, 95 % interval", points))
    return [*said, table_of(("Figure", "Value"), rows)]


def _agreement(agreement: Any) -> str:
    if not agreement.n:
        return "not measured"
    kappa = "κ not defined" if agreement.kappa is None else f"κ = {agreement.kappa:.2f}"
    return f"{agreement.equal:,} of {agreement.n:,}, {kappa}"


def _split(data: CardOf) -> list[str]:
    lock, leaks = data.split.lock, data.split.leaks
    locked = {"train": lock.train, "dev": lock.dev, "test": lock.test}
    rows = [
        (
            f"{part} (`{HUB_SPLITS[part]}`)" if part != HUB_SPLITS[part] else part,
            f"{len(each.rows):,}",
            "yes" if part in data.rows else "no",
            each.sha256,
        )
        for part, each in locked.items()
    ]
    said = [
        "## Split",
        f"Frozen as version {lock.version}: {line_of(lock.method)}. {leaks.groups:,} groups, the largest of "
        f"{leaks.largest_group:,} rows. Between the test and the rest: {leaks.exact} equal inputs, "
        f"{leaks.near} with a word-set Jaccard of {leaks.near_threshold:g} or more, "
        f"{leaks.straddling_groups} straddling groups; {leaks.same_template} test inputs share a "
        "template with another row.",
        table_of(("Part", "Rows", "In this folder", "Hash"), rows),
        f"Digest of the lock: `{lock.digest}`.",
    ]
    if "test" in data.rows:
        said.append(
            "**The test is in this folder. Do not train on it:** figures measured on it would prove nothing."
        )
    return said


def _limits(data: CardOf) -> list[str]:
    unseen = data.split.leaks.unseen_outputs
    return [
        "## Limits",
        f"Made for one task and not checked for another. {unseen:,} of {len(data.split.lock.test.rows):,} "
        "test rows have an output that no training row has. Languages, regions and people behind the inputs "
        "are not recorded, so nothing is known of whom the data leaves out.",
    ]


def _personal(data: CardOf) -> list[str]:
    counts = found_in(data.rows)
    listed = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(counts.items()))
    found = f"It found: {listed}." if counts else "It found none."
    return [
        "## Personal data and secrets",
        "The rows of this folder were searched for keys, tokens, email addresses, phone, card and account "
        f"numbers by their form. {found} Names of people and postal addresses have no such form and were not "
        "searched for.",
    ]


def _licence(provenance: Provenance) -> list[str]:
    if provenance.licence.strip().lower() == UNKNOWN:
        licence = "**The licence of this data is unknown.** Do not share it before it is known."
    else:
        licence = f"{line_of(provenance.licence)}, as the project states it."
    credit = line_of(provenance.attribution) or "no attribution is recorded"
    return ["## Licence", Markdown(f"{licence} Attribution: {credit}.")]
