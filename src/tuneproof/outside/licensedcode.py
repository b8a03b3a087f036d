"""The wheel `licensedcode-data` → raw licence rules, as the ScanCode project wrote them.

Format: a `.RULE` file is a YAML head between two `---` lines, then the text; see the data's README
(https://github.com/aboutcode-org/scancode-toolkit, `src/licensedcode/data`).
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tuneproof.errors import BadInput, MissingPart

PACKAGE = "licensedcode-data"
LICENCE = "CC-BY-4.0"
ATTRIBUTION = (
    "Licence notices and expert labels from ScanCode LicenseDB, copyright nexB Inc. and others, "
    "https://github.com/aboutcode-org/scancode-toolkit, under CC-BY-4.0; selected, cleaned and deduplicated."
)

_HEAD = re.compile(r"---[ \t]*\n(.*?)\n---[ \t]*\n(.*)", re.DOTALL)


class Rule(NamedTuple):
    """One rule file."""

    name: str
    """File name without `.RULE`."""
    head: dict[str, str]
    """The YAML head; values that are not plain text are left out."""
    text: str


def version() -> str:
    """Return the installed version of the data package.

    Raises:
        MissingPart: the package is not installed.
    """
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingPart(
            f"The data package {PACKAGE} is not installed.", remedy=f"pip install {PACKAGE}==32.1.0"
        ) from error


def rules() -> Iterator[Rule]:
    """Yield every rule with a text, in the order of file names."""
    version()
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    for path in sorted(_folder().glob("*.RULE"), key=lambda p: p.name):
        match = _HEAD.fullmatch(path.read_text(encoding="utf-8"))
        if match is None:
            continue  # a head without a text: the rule's text is its licence's
        head = yaml.load(match[1], Loader=loader)
        yield Rule(path.stem, {k: v for k, v in head.items() if isinstance(v, str)}, match[2])


def _folder() -> Path:
    files = importlib.metadata.files(PACKAGE) or []
    for file in files:
        if file.suffix == ".RULE" and file.parent.name == "rules" and file.parent.parent.name == "data":
            return Path(str(file.locate())).parent
    raise BadInput(
        f"The package {PACKAGE} {version()} holds no .RULE file.",
        remedy=f"pip install --force-reinstall {PACKAGE}==32.1.0",
    )
