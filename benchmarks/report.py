"""What every result says about where it comes from: the date, the command, the machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def processor() -> str:
    """The processor's name as /proc/cpuinfo gives it, or the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def header(title: str, *packages: str) -> str:
    """The head of a result: title, command, commit, machine and the versions that matter."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    module = Path(sys.argv[0]).stem
    command = shlex.join(["python", "-m", f"benchmarks.{module}", *sys.argv[1:]])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return "\n".join(
        [
            f"# {title}",
            "",
            f"- when: {datetime.now(UTC):%Y-%m-%d}, commit {commit or 'unknown'}",
            f"- command: `{command}`",
            f"- machine: {cores} cores of {processor()}, {memory:.0f} GiB, {platform.system()}",
            f"- versions: Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in packages)}",
            "",
        ]
    )


def resident(pid: int) -> float:
    """Resident memory now, MiB (proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
