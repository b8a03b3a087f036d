"""`import tuneproof` and `--help` are quick, because nothing heavy is loaded for them."""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "xllamacpp",
    "cyllama",
    "gguf",
    "sklearn",
    "scipy",
    "matplotlib",
    "numpy",
    "datasets",
    "huggingface_hub",
)
LIMIT_S = 0.3
WAYS = {
    "import tuneproof": "import tuneproof",
    "import tuneproof.cli": "import tuneproof.cli",
    "tuneproof --help": "import sys; sys.argv[1:] = ['--help']\nfrom tuneproof.cli import main\n"
    "try: main()\nexcept SystemExit as end: assert not end.code",
    "tuneproof --version": "import sys; sys.argv[1:] = ['--version']\nfrom tuneproof.cli import main\n"
    "try: main()\nexcept SystemExit as end: assert not end.code",
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_heavy_is_loaded(way: str) -> None:
    code = f"{WAYS[way]}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "tuneproof" in loaded
    assert not loaded & set(HEAVY), sorted(loaded & set(HEAVY))


def test_the_list_of_heavy_modules_is_not_out_of_date() -> None:
    installed = [name for name in HEAVY if importlib.util.find_spec(name)]
    assert len(installed) >= 6, "names that exist nowhere would prove nothing"


@pytest.mark.parametrize("arguments", [("-c", "import tuneproof"), ("-m", "tuneproof", "--help")])
def test_the_answer_comes_at_once(arguments: tuple[str, ...]) -> None:
    """Best of five, in processor time: a busy machine makes it wait, and waiting is not our slowness."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert 0 < min(times) < LIMIT_S, f"best of {len(times)}: {min(times):.2f} s of processor time"
