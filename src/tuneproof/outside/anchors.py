"""A frozen lock → a git tag or an SSH signature of it, and whether they still hold.

A lock in the project folder proves nothing against someone who can write there. A tag proves something once
it is pushed to where they cannot; a signature does because the key lies elsewhere, not because of the file in
`locks/`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Literal, NamedTuple

from tuneproof.artifacts import SplitLock
from tuneproof.errors import BadInput, LockBroken, MissingPart, NotReady, OutsideFailed
from tuneproof.outside.files import atomic_write

NAMESPACE = "tuneproof"
"""Of the signature: one made for another purpose does not count (`ssh-keygen -Y sign -n`)."""
_SECONDS = 30
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class Anchor(NamedTuple):
    """Whether a lock is what was anchored."""

    state: Literal["holds", "differs", "none"]
    says: str
    """One sentence for a person."""


def tag_name(lock: SplitLock) -> str:
    """Name of the tag of a lock.

    git allows neither `..` nor `.lock` at the end of a part (git-check-ref-format). `+`, which no case name
    holds, stands for what it does not allow, so two cases never share a tag.
    """
    return f"tuneproof/{_part(lock.case)}/split-v{lock.version}"


def _part(case: str) -> str:
    case = re.sub(r"(?<=\.)\.", "+", case)
    return f"{case}{'+' if case.endswith('.lock') else ''}"


def signature_path(root: Path, lock: SplitLock) -> Path:
    """Place of a lock's signature in the project folder."""
    return root / "locks" / f"split-v{lock.version}.lock.json.sig"


def lock_bytes(lock: SplitLock) -> bytes:
    """The lock as `split.lock.json` holds it: what is signed."""
    return (lock.model_dump_json(indent=1) + "\n").encode("utf-8")


def anchor_in_git(root: Path, lock: SplitLock) -> Anchor:
    """Make an annotated tag with the lock's digest in the repository that holds `root`.

    Raises:
        MissingPart: git is not installed.
        NotReady: `root` is in no git repository.
        LockBroken: the tag is there, with another digest.
        OutsideFailed: git refused, for example a repository without a commit.
    """
    name, digest = tag_name(lock), lock.digest
    if _git(root, "rev-parse", "--git-dir").returncode:
        raise NotReady(
            f"{root} is in no git repository, so there is no place for a tag.",
            remedy="git init, commit, run this again; or sign with a key: tuneproof freeze --anchor KEYFILE",
        )
    found = _tagged(root, name)
    if found is not None and found != digest:
        raise LockBroken(
            f"The tag {name} is there with {found or 'no digest'}; the lock is {digest}.",
            remedy="Put back the files that were frozen then; a wanted change needs a new split.version. "
            f"`git show {name}` tells who made the tag, and when.",
        )
    if found is None:
        text = f"Split version {lock.version} of {lock.case}, frozen by tuneproof\n\nlock {digest}"
        done = _git(root, "tag", "--annotate", "--no-sign", "--message", text, name)
        if done.returncode:
            raise OutsideFailed(f"git made no tag {name}: {_last_line(done)}", remedy=_tag_remedy(root, name))
    return Anchor("holds", f"the git tag {name} holds the lock's digest; push it: git push origin {name}")


def _tag_remedy(root: Path, name: str) -> str:
    if _git(root, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        return "Make the repository's first commit, then run this again."
    if _git(root, "var", "GIT_COMMITTER_IDENT").returncode:
        return "git config user.name and user.email say who makes the tag; set both, then run this again."
    return f"Try by hand: git tag --annotate {name}; or sign with a key: tuneproof freeze --anchor KEYFILE"


def anchor_by_key(root: Path, lock: SplitLock, key: Path) -> Anchor:
    """Sign the lock with an SSH key and keep the signature in `locks/`.

    Args:
        root: the project folder.
        lock: what is signed.
        key: private key without a passphrase, or the public half of a key that ssh-agent holds.

    Raises:
        MissingPart: ssh-keygen is not installed.
        BadInput: there is no such key, or it cannot be used.
        LockBroken: there is a signature already, and it is not of this lock.
    """
    if not key.is_file():
        raise BadInput(
            f"There is no key file {key}.",
            remedy="tuneproof freeze --anchor ~/.ssh/id_ed25519, or: --anchor git",
        )
    path = signature_path(root, lock)
    before = _signature(path, lock)
    if before.state == "differs":
        raise LockBroken(
            f"{path} is not a signature of this lock: {before.says}.",
            remedy="Put back the files that were frozen then; a wanted change needs a new split.version.",
        )
    if before.state == "none":
        done = _keygen("sign", "-f", str(key), "-n", NAMESPACE, data=lock_bytes(lock))
        if done.returncode or b"BEGIN SSH SIGNATURE" not in done.stdout:
            raise BadInput(
                f"{key} cannot sign: {_last_line(done)}",
                remedy="A key with a passphrase goes through ssh-agent: ssh-add KEY, then --anchor KEY.pub",
            )
        path.parent.mkdir(exist_ok=True)
        atomic_write(path, done.stdout)
    return _signature(path, lock)


def verify_anchor(root: Path, lock: SplitLock) -> Anchor:
    """Say whether the anchors of `lock` hold; `differs` if any of them does not. Changes nothing.

    Without git or ssh-keygen on this machine, what they anchored cannot be seen and counts as none.
    """
    found = [check for check in (_git_anchor(root, lock), _key_anchor(root, lock)) if check.state != "none"]
    for state in ("differs", "holds"):
        said = [anchor.says for anchor in found if anchor.state == state]
        if said:
            return Anchor(state, "; ".join(said))
    return Anchor("none", "no anchor outside the folder (`tuneproof freeze --anchor git`, or a key file)")


def check_anchor(root: Path, lock: SplitLock) -> Anchor:
    """Return what the anchors of `lock` say; no anchor is no reason to stop.

    Raises:
        LockBroken: an anchor is of another lock.
    """
    found = verify_anchor(root, lock)
    if found.state == "differs":
        raise LockBroken(
            f"The split is not the one that was anchored as version {lock.version}: {found.says}.",
            remedy="Put back the files that were frozen then; a wanted change needs a new split.version. "
            "Results on another split than the anchored one prove nothing.",
        )
    return found


def anchored_versions(root: Path, case: str) -> frozenset[int]:
    """Return the versions of a case that were anchored; without git, those with a signature."""
    signed = (path.name for path in (root / "locks").glob("split-v*.lock.json.sig"))
    found = {int(number[1]) for name in signed if (number := re.match(r"split-v(\d+)\.", name))}
    if shutil.which("git") and root.is_dir():
        pattern = f"refs/tags/tuneproof/{_part(case)}/split-v*"
        said = _git(root, "for-each-ref", "--format=%(refname)", pattern).stdout.decode("utf-8", "replace")
        found |= {int(number[1]) for name in said.split() if (number := re.search(r"split-v(\d+)$", name))}
    return frozenset(found)


def check_locks_there(root: Path, case: str, version: int, locked: Collection[int]) -> None:
    """Stop where an earlier version was anchored and its lock is gone: its test rows could be trained on.

    Args:
        root: the project folder.
        case: its name.
        version: of the split that is frozen now.
        locked: versions whose locks are there.

    Raises:
        LockBroken: such a lock is gone.
    """
    gone = sorted(v for v in anchored_versions(root, case) if v < version and v not in locked)
    if gone:
        raise LockBroken(
            f"Version {gone[0]} of the split was anchored, and locks/split-v{gone[0]}.lock.json is gone: "
            "nobody can say which rows were its test.",
            remedy="Put the files of locks/ back, from a backup or from git.",
        )


def _git_anchor(root: Path, lock: SplitLock) -> Anchor:
    found = _tagged(root, tag_name(lock)) if shutil.which("git") and root.is_dir() else None
    if found is None:
        return Anchor("none", "")
    if found == lock.digest:
        return Anchor("holds", f"the git tag {tag_name(lock)} holds the lock's digest")
    return Anchor("differs", f"the git tag {tag_name(lock)} holds {found or 'no digest'}, not the lock's")


def _key_anchor(root: Path, lock: SplitLock) -> Anchor:
    return _signature(signature_path(root, lock), lock) if shutil.which("ssh-keygen") else Anchor("none", "")


def _tagged(root: Path, name: str) -> str | None:
    """Digest in a tag's message; empty if it holds none; None without such a tag."""
    done = _git(root, "for-each-ref", "--format=%(objecttype)%0a%(contents)", f"refs/tags/{name}")
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode or not text.strip():
        return None
    found = _DIGEST.findall(text)
    return found[0] if text.startswith("tag\n") and len(found) == 1 else ""


def _signature(path: Path, lock: SplitLock) -> Anchor:
    if not path.exists():
        return Anchor("none", "")
    done = _keygen("check-novalidate", "-n", NAMESPACE, "-s", str(path), data=lock_bytes(lock))
    key = _FINGERPRINT.search(done.stdout.decode("utf-8", "replace"))
    if done.returncode or key is None:
        return Anchor("differs", f"locks/{path.name} is not a signature of the lock")
    return Anchor("holds", f"signed with the key {key[0]}: compare it with yours (ssh-keygen -lf KEY.pub)")


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return _run(["git", "-C", str(root), *words])


def _keygen(verb: str, *words: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return _run(["ssh-keygen", "-Y", verb, *words], data)


def _run(command: list[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    # GIT_DIR and its like would point git at another repository than the one that holds the project.
    keep = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        # In a session of its own nothing can ask for a passphrase and wait.
        return subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=_SECONDS,
            env=keep | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "SSH_ASKPASS_REQUIRE": "never"},
            start_new_session=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingPart(
            f"{command[0]} is not installed.", remedy="Install git, or OpenSSH for ssh-keygen."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise OutsideFailed(
            f"{command[0]} did not answer in {_SECONDS} s.", remedy="Try the same by hand to see why."
        ) from error


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
