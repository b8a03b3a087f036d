"""The release: exactly what would be uploaded, and what is held back."""

from __future__ import annotations

from tuneproof.artifacts.base import Artifact, FileRef, Record


class Withheld(Record):
    """A file that is not uploaded, and why."""

    name: str
    why: str


class Repo(Record):
    """One Hub repository: the files in upload order."""

    name: str
    kind: str
    """`model` or `dataset`."""
    private: bool
    files: tuple[FileRef, ...]


class Release(Artifact):
    """The dry run's result."""

    repos: tuple[Repo, ...]
    withheld: tuple[Withheld, ...]
    licence: str
    """SPDX id of the published weights."""
    scanned_files: int
    findings: int
    """Secrets or personal data found in the upload; must be 0."""
