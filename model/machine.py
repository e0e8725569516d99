"""What of this machine the process may use. A container's bounds count: libraries see the whole host."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Where a container finds its own control group (kernel documentation, cgroup v2)."""


def available_cores() -> int:
    """Cores: the process's affinity, and in a container its quota.

    Without the quota torch would start a thread for every core of the host, and they would wait for each other.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def available_memory() -> int:
    """Bytes of memory, taken or not: the machine's, and in a container its bound."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(memory, int((CGROUP / "memory.max").read_text()))
    except (OSError, ValueError):  # "max" is no number
        return memory
