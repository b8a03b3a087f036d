"""usaddress's labelled addresses → pairs: one address line → one compact JSON object.

Source: `training/*.xml` in the source archive of the PyPI package usaddress 0.5.16 (pip fetches it; nothing
is installed). People tagged the words of each address. Licence: MIT, copyright 2014 The Atlanta Journal
Constitution; usaddress's repository says that the us50 addresses are Sunita Sarawagi's (IIT Bombay), NCSA.

Selection: rows that name a recipient (it may be a person) or hold words tagged as no address are left out,
and so are rows with fewer than two parts or with a part that another part splits. Of near twins (word-set
Jaccard 0.75 or more) the first in hash order stays. Every value occurs literally in the input; an absent
part has no key. `source` is the street's name (the town's where there is none), so that one street stays on
one side.

    .venv/bin/python docs/evidence/tasks/us-addresses/build.py OUT.jsonl
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tuneproof.twins import similar_pairs

PACKAGE = "usaddress==0.5.16"
SHA256 = "f7e614e2489c159cf85be1b6f86edbfaf329dbeedef4d002a025757afd1ec6c6"
FILES = ("labeled", "us50_messiest_manual_label", "us50_train_tagged", "multi_word_state_addresses")
LEFT_OUT = {"Recipient", "NotAddress", "suffix"}
KEYS = ("street", "unit", "city", "state", "zip")
STARTS = {
    **dict.fromkeys(
        ("AddressNumber", "StreetName", "USPSBox", "IntersectionSeparator", "CornerOf"), "street"
    ),
    **dict.fromkeys(("Occupancy", "Subaddress"), "unit"),
    **{"PlaceName": "city", "StateName": "state", "Zip": "zip"},
}
"""How usaddress's tags start → our key; other tags (buildings, landmarks, countries) are in no field."""
NEAR = 0.75


def archive(folder: Path) -> Path:
    """Let pip fetch the source archive into `folder`; stop when it is not the one we know."""
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--no-binary", "usaddress"]
    subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)
    path = next(folder.glob("usaddress-*.tar.gz"))
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{path.name} is not the archive of {PACKAGE} that this script was written for")
    return path


def addresses(path: Path) -> Iterator[tuple[str, ElementTree.Element]]:
    """Yield every labelled address with an id, file by file."""
    with tarfile.open(path) as tar:
        for name in FILES:
            member = tar.extractfile(f"usaddress-0.5.16/training/{name}.xml")
            if member is None:
                sys.exit(f"the archive holds no {name}.xml")
            for number, element in enumerate(ElementTree.parse(member).getroot()):
                yield f"{name}-{number:04}", element


def parts(element: ElementTree.Element) -> tuple[str, dict[str, str]] | None:
    """Return the text and its parts, or None for a row that is left out."""
    if any(child.tag in LEFT_OUT for child in element):
        return None
    text = (element.text or "").lstrip()
    spans: dict[str, tuple[int, int]] = {}
    last = ""
    for child in element:
        key = next((key for start, key in STARTS.items() if child.tag.startswith(start)), "")
        start, text = len(text), text + (child.text or "")
        if key:
            if key in spans and key != last:
                return None
            spans[key] = (spans.get(key, (start, 0))[0], len(text))
        last = key
        text += child.tail or ""
    text = " ".join(text.split("\n")).rstrip()
    found = {key: text[slice(*spans[key])].strip(" ,;()#") for key in KEYS if key in spans}
    return (text, found) if len(found) > 1 and all(found.values()) else None


def main(out: Path) -> None:
    """Write the pairs to `out`."""
    rows: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for row_id, element in addresses(archive(Path(folder))):
            if (pair := parts(element)) is None:
                continue
            street = [c.text or "" for c in element if c.tag == "StreetName"] or [pair[1].get("city", "")]
            answer = json.dumps(pair[1], ensure_ascii=False, separators=(",", ":"))
            group = " ".join(street).casefold().strip(" ,.")
            rows.append({"id": row_id, "input": pair[0], "output": answer, "source": group or row_id})
    rows.sort(key=lambda row: hashlib.sha256(f"0:{row['id']}".encode()).hexdigest())
    dropped: set[int] = set()
    for twin in similar_pairs([row["input"] for row in rows], threshold=NEAR):
        if twin.first not in dropped:
            dropped.add(twin.second)
    kept = [row for i, row in enumerate(rows) if i not in dropped]
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8")
    sys.stderr.write(f"{len(kept)} pairs in {out}; {len(dropped)} near twins dropped\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
