"""The machine we run on: processor, memory, what its arithmetic can do, and the clock."""

from __future__ import annotations

import datetime
import getpass
import os
import platform
import shutil
import time
from pathlib import Path

from tuneproof.errors import BadInput


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def exactly_now() -> str:
    """Return the time in UTC, ISO 8601, to the microsecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def seconds() -> float:
    """Return a monotonic clock, in seconds."""
    return time.monotonic()


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """Name the processor, its cores and the memory, for records."""
    return f"{_cpu_name()}, {cores()} cores, {memory_gib():.0f} GiB, {platform.system()}"


def user(option: str) -> str:
    """Return the name of this machine's user.

    Args:
        option: of the command, with which a person can name themselves.

    Raises:
        BadInput: the user has no name, as in some containers.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise BadInput("This machine's user has no name.", remedy=f'Say who: {option} "YOUR NAME"') from error


def has_nvidia_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU is loaded; loads nothing itself."""
    return Path("/proc/driver/nvidia/version").exists()


def memory_gib() -> float:
    """Return the machine's memory in GiB, 0 if unknown."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return 0.0


def free_gib(folder: Path) -> float:
    """Return the free disk space at `folder` in GiB."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 2**30


def cpu_has_bf16() -> bool:
    """Tell whether the processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    flags = _cpu_info().get("flags", "").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _cpu_name() -> str:
    return _cpu_info().get("model name") or platform.processor() or platform.machine()


def _cpu_info() -> dict[str, str]:
    """Return the first processor's entry of /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text(encoding="utf-8").split("\n\n", 1)[0]
    return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in first.splitlines())}
