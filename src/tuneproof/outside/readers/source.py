"""`data.source` of task.yaml → drafts with their provenance, and a digest that tells a changed source."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from tuneproof.artifacts.case import DataSection
from tuneproof.artifacts.pairs import Drafts, Provenance
from tuneproof.errors import BadInput
from tuneproof.outside.readers.files import data_files, read_rows
from tuneproof.outside.readers.rows import kind_of
from tuneproof.outside.readers.shapes import pairs_from


def read_pairs(section: DataSection, root: Path, system_prompt: str) -> Drafts:
    """Import the pairs of a file or folder of the user's own.

    Rows that are no pair come back in `rejected`, counted in `left_out`. Whether they stop the run
    (`data.bad_rows`) is decided by the draft step, which names them with every other problem in one message.

    Args:
        section: what task.yaml says about the data.
        root: the project folder, from which `data.source` is seen.
        system_prompt: what a row's own system message must say.

    Raises:
        BadInput: no such file, a broken or empty file, an unclear shape, a missing column.
        MissingPart: Parquet and Arrow need `pip install "tuneproof[data]"`.
    """
    found = read_rows(
        root / section.source, shown=section.source, encoding=section.encoding, delimiter=section.delimiter
    )
    if not found.rows and not found.rejected:
        raise BadInput(f"{section.source}: holds no row.", remedy="Name a file with pairs in data.source.")
    pairs, no_pairs = pairs_from(found.rows, section, system_prompt) if found.rows else ((), ())
    rejected = (*found.rejected, *no_pairs)
    return Drafts(
        provenance=Provenance(
            kind="imported",
            source=Path(section.source).name,  # where it lies on this machine is nobody's business
            source_version=source_digest(section, root)[: len("sha256:") + 12],
            licence=section.licence,
            attribution=section.attribution,
        ),
        pairs=pairs,
        left_out=dict(Counter(kind_of(row.reason) for row in rejected)),
        rejected=rejected,
    )


def source_digest(section: DataSection, root: Path) -> str:
    """Return `sha256:<64 hex digits>` over the file or files of the source.

    One file: its own SHA-256. A folder: names and SHA-256s of its data files, so a renamed file counts too.
    `""` for a bundled source, `"missing"` where there is no such file. Never raises for the user's mistakes.
    """
    if section.source.startswith("bundled:"):
        return ""
    source = root / section.source
    try:
        files = data_files(source)
        digests = [_sha256(file) for file in files]
    except OSError:
        return "missing"
    if not source.is_dir():
        return f"sha256:{digests[0]}" if digests else "missing"
    names = [file.relative_to(source).as_posix() for file in files]
    listing = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return "sha256:" + hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
