"""A lock anchored by a git tag or an SSH key: made once, held, and told apart from every other lock."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steps.test_freeze import case, reviewed, singles
from tuneproof.artifacts import SplitLock
from tuneproof.errors import BadInput, LockBroken, MissingPart, NotReady, OutsideFailed, TuneproofError
from tuneproof.outside import anchors
from tuneproof.outside.anchors import (
    anchor_by_key,
    anchor_in_git,
    anchored_versions,
    check_anchor,
    check_locks_there,
    lock_bytes,
    signature_path,
    tag_name,
    verify_anchor,
)
from tuneproof.steps.freeze import freeze


@pytest.fixture(scope="module")
def lock() -> SplitLock:
    return freeze(case(), reviewed(singles(90))).lock


def other(lock: SplitLock) -> SplitLock:
    return lock.model_copy(update={"prompt_sha256": "sha256:0"})


def git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *words], check=True, capture_output=True, text=True, timeout=20
    ).stdout


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's git settings nor a repository above the folder may decide."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings = tmp_path / ".gitconfig"
    settings.write_text("[user]\n\tname = A\n\temail = a" + "@" + "example.org\n[tag]\n\tgpgSign = true\n")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository" / "my project"
    root.mkdir(parents=True)
    git(root.parent, "init", "-q")
    git(root.parent, "commit", "-q", "--allow-empty", "-m", "first")
    return root


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return made_key(tmp_path / "key")


def made_key(path: Path, passphrase: str = "") -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, timeout=20)
    return path


def test_a_lock_that_was_anchored_and_is_gone_stops_the_next_version(
    repository: Path, lock: SplitLock
) -> None:
    first = lock
    anchor_in_git(repository, first)
    assert anchored_versions(repository, first.case) == {1}
    check_locks_there(repository, first.case, 2, {1})
    check_locks_there(repository, first.case, 1, set())
    check_locks_there(repository, "another", 2, set())
    with pytest.raises(
        LockBroken, match=r"Version 1 .* was anchored, and locks/split-v1\.lock\.json is gone"
    ):
        check_locks_there(repository, first.case, 2, set())


def test_a_tag_in_the_repository_above_holds_the_digest(repository: Path, lock: SplitLock) -> None:
    assert verify_anchor(repository, lock).state == "none"
    made = anchor_in_git(repository, lock)
    assert made.state == "holds" and f"git push origin {tag_name(lock)}" in made.says
    assert git(repository, "cat-file", "-t", tag_name(lock)).strip() == "tag"
    assert lock.digest in git(repository, "show", tag_name(lock))
    assert tag_name(lock) == f"tuneproof/{lock.case}/split-v1"
    assert verify_anchor(repository, lock).state == "holds"
    assert anchor_in_git(repository, lock) == made, "once more changes nothing"


def test_another_lock_differs_and_is_not_tagged_over(repository: Path, lock: SplitLock) -> None:
    anchor_in_git(repository, lock)
    before = git(repository, "show", tag_name(lock))
    found = verify_anchor(repository, other(lock))
    assert found.state == "differs" and lock.digest in found.says
    with pytest.raises(LockBroken, match=r"tuneproof/sample-notices/split-v1 is there with sha256:"):
        anchor_in_git(repository, other(lock))
    assert git(repository, "show", tag_name(lock)) == before


def test_a_further_version_has_a_tag_of_its_own(repository: Path, lock: SplitLock) -> None:
    second = lock.model_copy(update={"version": 2})
    anchor_in_git(repository, lock)
    anchor_in_git(repository, second)
    assert verify_anchor(repository, lock).state == verify_anchor(repository, second).state == "holds"


@pytest.mark.parametrize(
    "words",
    [["tag", "--no-sign", "NAME"], ["tag", "-a", "--no-sign", "-m", "no digest", "NAME"]],
    ids=["light", "empty"],
)
def test_a_tag_that_holds_no_digest_is_no_anchor(repository: Path, lock: SplitLock, words: list[str]) -> None:
    git(repository, *(tag_name(lock) if word == "NAME" else word for word in words))
    assert verify_anchor(repository, lock).state == "differs"
    with pytest.raises(LockBroken, match="with no digest"):
        anchor_in_git(repository, lock)


def test_a_commit_message_with_the_digest_does_not_make_a_plain_tag_an_anchor(
    repository: Path, lock: SplitLock
) -> None:
    git(repository, "commit", "-q", "--allow-empty", "-m", lock.digest)
    git(repository, "tag", "--no-sign", tag_name(lock))
    assert verify_anchor(repository, lock).state == "differs"


def test_without_a_repository_it_is_said_what_to_do(tmp_path: Path, lock: SplitLock) -> None:
    with pytest.raises(NotReady, match="in no git repository") as caught:
        anchor_in_git(tmp_path, lock)
    assert "git init" in caught.value.remedy and "--anchor KEYFILE" in caught.value.remedy
    assert verify_anchor(tmp_path, lock).state == "none"


def test_a_repository_without_a_commit_is_refused_in_gits_words(tmp_path: Path, lock: SplitLock) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(OutsideFailed, match="git made no tag") as caught:
        anchor_in_git(tmp_path, lock)
    assert "first commit" in caught.value.remedy


def test_a_repository_named_in_the_environment_is_not_meant(
    repository: Path, tmp_path: Path, lock: SplitLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "elsewhere")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere" / ".git"))
    anchor_in_git(repository, lock)
    monkeypatch.delenv("GIT_DIR")
    assert verify_anchor(repository, lock).state == "holds"


@pytest.mark.parametrize("name", ["a..b", "a...b", "a.lock", "a..lock", "a.", "a", "a.b.c", "0--_"])
def test_every_name_of_a_case_gives_a_tag(repository: Path, lock: SplitLock, name: str) -> None:
    named = lock.model_copy(update={"case": name})
    assert anchor_in_git(repository, named).state == "holds"
    assert verify_anchor(repository, named).state == "holds"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.from_regex(r"[a-b0-9][ab.lock_-]{0,9}", fullmatch=True), min_size=2))
def test_no_two_cases_share_a_tag(lock: SplitLock, names: set[str]) -> None:
    assert len({tag_name(lock.model_copy(update={"case": name})) for name in names}) == len(names)


def test_a_repository_without_a_user_is_told_to_name_one(
    repository: Path, tmp_path: Path, lock: SplitLock
) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    with pytest.raises(OutsideFailed, match="git made no tag") as caught:
        anchor_in_git(repository, lock)
    assert "user.name" in caught.value.remedy and "first commit" not in caught.value.remedy


def test_a_split_that_an_anchor_contradicts_is_refused(repository: Path, lock: SplitLock, key: Path) -> None:
    assert check_anchor(repository, lock).state == "none"
    anchor_in_git(repository, lock)
    assert check_anchor(repository, lock).state == "holds"
    with pytest.raises(LockBroken, match=r"anchored as version 1: the git tag .* holds sha256:") as caught:
        check_anchor(repository, other(lock))
    assert "new split.version" in caught.value.remedy
    anchor_by_key(repository, lock, key)
    signature_path(repository, lock).write_bytes(b"x")
    with pytest.raises(LockBroken, match="not a signature of the lock"):
        check_anchor(repository, lock)


# Keys


def test_a_signature_holds_for_its_lock_and_names_the_key(tmp_path: Path, lock: SplitLock, key: Path) -> None:
    made = anchor_by_key(tmp_path, lock, key)
    shown = subprocess.run(["ssh-keygen", "-lf", str(key)], capture_output=True, text=True, timeout=20).stdout
    assert made.state == "holds" and shown.split()[1] in made.says
    assert signature_path(tmp_path, lock).name == "split-v1.lock.json.sig"
    assert b"PRIVATE" not in signature_path(tmp_path, lock).read_bytes()
    assert verify_anchor(tmp_path, lock) == made
    assert verify_anchor(tmp_path, other(lock)).state == "differs"
    before = signature_path(tmp_path, lock).read_bytes()
    assert anchor_by_key(tmp_path, lock, key) == made
    assert signature_path(tmp_path, lock).read_bytes() == before


def test_the_signature_can_be_proved_with_openssh_alone(tmp_path: Path, lock: SplitLock, key: Path) -> None:
    anchor_by_key(tmp_path, lock, key)
    public = key.with_suffix(".pub").read_text("utf-8").split()
    allowed = tmp_path / "allowed"
    allowed.write_text(f"me {public[0]} {public[1]}\n")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "me", "-n", "tuneproof"]
    command += ["-s", str(signature_path(tmp_path, lock))]
    assert subprocess.run(command, input=lock_bytes(lock), capture_output=True, timeout=20).returncode == 0
    assert subprocess.run(command, input=b"x", capture_output=True, timeout=20).returncode != 0


def test_an_edited_or_foreign_signature_differs_and_is_not_written_over(
    tmp_path: Path, lock: SplitLock, key: Path
) -> None:
    path = signature_path(tmp_path, lock)
    anchor_by_key(tmp_path, lock, key)
    good = path.read_bytes()
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", "mail"]
    foreign = subprocess.run(command, input=lock_bytes(lock), capture_output=True, timeout=20).stdout
    assert b"SIGNATURE" in foreign
    tried = 0
    for bad in (foreign, good[:-40], b"", good.replace(b"A", b"B")):
        path.write_bytes(bad)
        assert verify_anchor(tmp_path, lock).state == "differs"
        with pytest.raises(LockBroken, match="is not a signature of this lock"):
            anchor_by_key(tmp_path, lock, key)
        assert path.read_bytes() == bad
        tried += 1
    assert tried == 4


def test_one_anchor_that_differs_is_not_hidden_by_one_that_holds(
    repository: Path, lock: SplitLock, key: Path
) -> None:
    anchor_in_git(repository, lock)
    anchor_by_key(repository, lock, key)
    found = verify_anchor(repository, lock)
    assert found.state == "holds" and "git tag" in found.says and "SHA256:" in found.says
    signature_path(repository, lock).write_bytes(b"x")
    found = verify_anchor(repository, lock)
    assert found.state == "differs" and "git tag" not in found.says


def test_a_key_that_cannot_sign_is_refused(tmp_path: Path, lock: SplitLock, key: Path) -> None:
    locked, text = made_key(tmp_path / "locked", "secret phrase"), tmp_path / "text"
    text.write_text("no key")
    refused = 0
    for bad, said in ((tmp_path / "none", "There is no key file"), (locked, "cannot sign"), (text, "cannot")):
        with pytest.raises(BadInput, match=said):
            anchor_by_key(tmp_path, lock, bad)
        assert not signature_path(tmp_path, lock).exists()
        refused += 1
    assert refused == 3


def test_a_missing_program_is_named(tmp_path: Path, lock: SplitLock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPart, match="git is not installed"):
        anchor_in_git(tmp_path, lock)
    assert verify_anchor(tmp_path, lock).state == "none"


def test_a_program_that_hangs_is_given_up(
    repository: Path, lock: SplitLock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text("#!/bin/sh\nexec sleep 20\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(anchors, "_SECONDS", 0.3)
    with pytest.raises(TuneproofError, match="did not answer"):
        anchor_in_git(repository, lock)
