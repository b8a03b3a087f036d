"""The release: exactly what would be uploaded, and what is held back."""

from __future__ import annotations

from tuneproof.artifacts.base import Artifact, FileRef, Record


class Withheld(Record):
    """A file that is not uploaded, and why."""

    name: str
    """The file."""
    why: str
    """The reason."""


class Repo(Record):
    """One Hub repository: the files in upload order."""

    name: str
    """On the Hub."""
    kind: str
    """`model` or `dataset`."""
    private: bool
    """Whether it would be private."""
    files: tuple[FileRef, ...]
    """Exactly these."""


class Release(Artifact):
    """The dry run's result."""

    repos: tuple[Repo, ...]
    """What would be uploaded, by repository."""
    withheld: tuple[Withheld, ...]
    """What is held back, and why."""
    licence: str
    """SPDX id of the published weights."""
    scanned_files: int
    """Texts that were searched for secrets and personal data."""
    findings: int
    """Secrets or personal data found in the upload; must be 0."""
    override: str = ""
    """Why files are published whose gate is not passed; empty where every file passed."""
