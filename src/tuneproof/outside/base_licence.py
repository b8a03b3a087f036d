"""A base's card and LICENSE file → its licence, where that is written, and its text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from tuneproof.outside.base_files import is_licence_file

UNKNOWN = "unknown"
"""Blocks publishing."""

_SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd": "LicenseRef-bsd",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "cc0-1.0": "CC0-1.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
    "gpl-3.0": "GPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "mpl-2.0": "MPL-2.0",
    "isc": "ISC",
    "unlicense": "Unlicense",
    "wtfpl": "WTFPL",
    "unknown": UNKNOWN,
}
"""The Hub's licence names (docs/hub/repositories-licenses) → SPDX ids. Any other is a LicenseRef."""

_TEXTS = (
    (re.compile(r"Apache License\s+Version 2\.0, January 2004"), "Apache-2.0"),
    (re.compile(r"Permission is hereby granted, free of charge, to any person obtaining a copy"), "MIT"),
    (re.compile(r"(?i)LLAMA (\d\.\d) COMMUNITY LICENSE AGREEMENT"), r"LicenseRef-llama\1"),
    (re.compile(r"(?i)Gemma Terms of Use"), "LicenseRef-gemma"),
)
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_LONGEST = 1_000_000
"""Bytes of a card or licence that are read."""


class Licence(NamedTuple):
    """A licence as SPDX id or LicenseRef, and where that is written."""

    spdx: str
    source: str


def licence_of(folder: Path) -> Licence:
    """Read the licence from the card's front matter, else recognise the text of the LICENSE file.

    Returns:
        `unknown` where neither says it; publishing then stops.
    """
    card = _read(folder / "README.md")
    name = card.get("license")
    if isinstance(name, list):
        name = name[0] if len(name) == 1 else None
    if isinstance(name, str) and name.strip():
        return _from_card(name.strip().lower(), card)
    text = licence_text_of(folder) or ""
    for pattern, spdx in _TEXTS:
        if match := pattern.search(text):
            return Licence(match.expand(spdx), "the text of its LICENSE file")
    return Licence(UNKNOWN, "neither its card nor a LICENSE file says it")


def licence_text_of(folder: Path) -> str | None:
    """Return the text of the base's own LICENSE file, if it has one, as a Modelfile can hold it.

    Line ends become line feeds, other odd white space a space; what cannot be printed is left out.
    """
    for path in sorted(folder.iterdir()):
        if is_licence_file(path.name) and path.is_file():
            text = path.read_bytes()[:_LONGEST].decode("utf-8", errors="replace")
            lines = text.replace("\r\n", "\n").replace("\r", "\n")
            return "".join(c if c.isprintable() or c in "\n\t" else " " * c.isspace() for c in lines)
    return None


def _from_card(name: str, card: dict[str, Any]) -> Licence:
    link = card.get("license_link")
    source = f"its card: license: {name}" + (f" ({link})" if isinstance(link, str) else "")
    if name == "other":
        own = card.get("license_name")
        if not isinstance(own, str) or not own.strip():
            return Licence(UNKNOWN, f"{source}, with no license_name")
        name, source = own.strip().lower(), f"{source}, license_name: {own.strip()}"
    return Licence(_SPDX.get(name) or f"LicenseRef-{re.sub(r'[^a-z0-9.]+', '-', name).strip('-')}", source)


def _read(path: Path) -> dict[str, Any]:
    """Return the front matter of a card; `{}` where there is none that can be read."""
    import yaml

    if not path.is_file():
        return {}
    match = _FRONT.match(path.read_bytes()[:_LONGEST].decode("utf-8", errors="replace"))
    try:
        read = yaml.safe_load(match[1]) if match else None
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
