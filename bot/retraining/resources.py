"""What a run takes of this machine, and what it may take: memory is counted, and the kernel is told whom to end first.

Linux tells both in /proc; elsewhere nothing is bounded.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GB = 1e9
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
KB = 1024
"""Bytes of what /proc calls a kB."""
KEPT_PART = 0.1
"""Of the machine's memory, that a run leaves free unless RETRAIN_MEMORY_GB says otherwise: people are answered beside it."""
HELD = ("RssAnon", "RssShmem", "VmSwap")
"""What only the end of a process gives back; pages of files, such as frozen weights, the kernel drops by itself."""
OOM_SCORE = "800"
"""Of at most 1000: when memory runs out all the same, the kernel ends the trainer, not the bot or the worker."""
SESSION = 3
"""Where /proc/PID/stat has the session, counted from behind the name (proc_pid_stat(5))."""
LAST = (("nice", "-n", "15"), ("ionice", "-c", "3"))
"""Whoever asks something comes first: for the processor, and for the disk."""


def last_in_line() -> tuple[str, ...]:
    """What to put before a command so that everybody else comes first; of what this system has."""
    return tuple(word for command in LAST if shutil.which(command[0]) for word in command)


def ended_first(pid: int) -> None:
    """Blocking, short."""
    with suppress(OSError):  # no Linux, or gone already
        (PROC / str(pid) / "oom_score_adj").write_text(OOM_SCORE)


def may_take(gigabytes: float) -> float:
    """Bytes of memory that a run that begins now may hold; infinite where nobody knows. `gigabytes`: RETRAIN_MEMORY_GB; 0:
    what is free. Blocking, short."""
    if gigabytes:
        return gigabytes * GB
    sizes = _table(PROC / "meminfo")
    if "MemAvailable" not in sizes:
        return float("inf")
    total, free = float(sizes["MemTotal"]), float(sizes["MemAvailable"])
    for most, rest in _containers():
        total, free = min(total, most), min(free, rest)
    return max(0.0, free - KEPT_PART * total)


def held(session: int) -> int:
    """Bytes of memory that the processes of a session hold together. Blocking, short."""
    found = 0
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # gone meanwhile
            stat = (folder / "stat").read_text("utf-8", "replace")
            if int(stat.rpartition(")")[2].split()[SESSION]) == session:
                sizes = _table(folder / "status")
                found += sum(sizes.get(name, 0) for name in HELD)
    return found


def _containers() -> Iterator[tuple[float, float]]:
    """Most memory and what is free of it, of each control group that bounds this process (cgroup v2)."""
    with suppress(OSError, ValueError):
        name = (PROC / "self" / "cgroup").read_text("utf-8").rpartition("::")[2].strip()
        folder = CGROUPS / name.lstrip("/")
        while folder.is_relative_to(CGROUPS):
            with suppress(OSError, ValueError):  # "max" is no number
                most, used = (float((folder / f"memory.{what}").read_text()) for what in ("max", "current"))
                stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                yield most, most - used + float(stat["inactive_file"])
            folder = folder.parent


def _table(file: Path) -> dict[str, int]:
    """Bytes by name, of a file such as /proc/meminfo."""
    sizes: dict[str, int] = {}
    with suppress(OSError):
        for line in file.read_text("utf-8", "replace").splitlines():
            name, _, size = line.partition(":")
            if size.endswith(" kB"):
                sizes[name] = int(size.removesuffix(" kB")) * KB
    return sizes
