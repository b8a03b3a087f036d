"""Debian's package lists → pairs: a package's name and description → `Section`, `Interface` and `Use` lines.

Source: Packages and Translation-en of Debian 12 (bookworm) main, amd64, which apt fetches into a temporary
folder (the machine must be Debian with bookworm among its apt sources; its own lists are not touched). The
archive sets the section, Debian's volunteers the tags (debtags). Licence: the lists state none of their
own; each description is part of its package, under that package's free licence, and the debtags vocabulary
is GPL-2.0. So the pairs are built where they are used and are not kept here.

Selection: packages with exactly one `use::` tag, one or two `interface::` tags (`x11` is left out beside
`graphical`) and no TODO; no value rarer than 15 packages; in hash order at most 60 packages with one and
the same answer, of near twins (word-set Jaccard 0.75 or more) the first, and 1,800 in all. `source` is the
source package, so that its packages stay on one side.

    .venv/bin/python docs/evidence/tasks/debtags/build.py OUT.jsonl
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tuneproof.twins import similar_pairs

WORDS = 40
"""Words of the description's first paragraph that the input keeps."""
RAREST = 15
SAME_ANSWER = 60
NEAR = 0.75
COUNT = 1800

Row = dict[str, str]


def index(folder: Path, kind: str) -> Iterator[Row]:
    """Yield the stanzas of bookworm main's `kind` index; further lines of a field stay lines."""
    path = next(folder.glob(f"*_debian_dists_bookworm_main_{kind}*"))
    shown = subprocess.run(
        ["/usr/lib/apt/apt-helper", "cat-file", str(path)], check=True, capture_output=True
    )
    for stanza in shown.stdout.decode("utf-8").split("\n\n"):
        fields = re.findall(r"^([\w-]+):[ ]?(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        if fields:
            yield dict(fields)


def lists(folder: Path) -> None:
    """Let apt fetch the package lists and the English descriptions into `folder`."""
    (folder / "partial").mkdir()
    options = (f"Dir::State::Lists={folder}", "Acquire::Languages=en", "APT::Sandbox::User=root")
    subprocess.run(["apt-get", "-qq", *(f"-o{option}" for option in options), "update"], check=True)


def description(text: str) -> str:
    """Return the synopsis and the start of the first paragraph."""
    synopsis, *lines = text.split("\n")
    paragraph: list[str] = []
    for line in lines:
        if line.strip() == ".":
            break
        paragraph += line.split()
    cut = paragraph[:WORDS]
    return f"{synopsis.strip()}\n{' '.join(cut)}{' …' if len(cut) < len(paragraph) else ''}".strip()


def answer(package: Row) -> tuple[str, str, str] | None:
    """Return section, interface and use, or None where one is missing, open or has too many values."""
    tags = re.findall(r"(interface|use)::([\w:+-]+)", package.get("Tag", ""))
    interface = {value for facet, value in tags if facet == "interface"}
    use = {value for facet, value in tags if facet == "use"}
    if "graphical" in interface:
        interface.discard("x11")
    if len(use) != 1 or len(interface) not in (1, 2) or "TODO" in use | interface:
        return None
    return package["Section"], ", ".join(sorted(interface)), use.pop()


def main(out: Path) -> None:
    """Write the pairs to `out`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lists(folder)
        texts = {(d["Package"], d["Description-md5"]): d["Description-en"] for d in index(folder, "i18n_Tr")}
        packages = list(index(folder, "binary-amd64_Packages"))
    packages.sort(key=lambda package: hashlib.sha256(f"0:{package['Package']}".encode()).hexdigest())
    found = [(p, a) for p in packages if (a := answer(p)) is not None]
    often = Counter(part for _, labels in found for part in enumerate(labels))
    rows: list[Row] = []
    same: Counter[str] = Counter()
    for package, labels in found:
        text = texts.get((package["Package"], package.get("Description-md5", "")))
        lines = "Section: {}\nInterface: {}\nUse: {}".format(*labels)
        if (
            text is None
            or min(often[part] for part in enumerate(labels)) < RAREST
            or same[lines] == SAME_ANSWER
        ):
            continue
        same[lines] += 1
        name = package["Package"]
        source = package.get("Source", name).split()[0]
        rows.append({"id": name, "input": f"{name}: {description(text)}", "output": lines, "source": source})
    dropped: set[int] = set()
    for twin in similar_pairs([row["input"] for row in rows], threshold=NEAR):
        if twin.first not in dropped:
            dropped.add(twin.second)
    kept = [row for i, row in enumerate(rows) if i not in dropped][:COUNT]
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8")
    sys.stderr.write(f"{len(kept)} pairs in {out}; {len(dropped)} near twins dropped\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
