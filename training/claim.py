"""The lock of a run's folder: one process has it, and one that refuses to begin leaves nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import TextIO

from training.errors import TrainingError

LOCK = ".lock"

LOCK_SECONDS = 1.0
"""How long a writer tries for the lock: `RunFolder.is_running` holds it for an instant."""


def lock(folder: Path) -> TextIO:
    """Held until the stream is closed or the process dies; the holder's id stands in it."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("a+")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip()
            stream.close()
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            who = f"process {holder}" if holder else "another process"
            raise TrainingError(f"{folder} is in use: {who} trains in it. Wait for it, or stop it first.") from None
        if not _is_still(stream, folder / LOCK):  # who had it began nothing, and took the folder away
            stream.close()
            continue
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        return stream


def leave_nothing(folder: Path, *, made: bool) -> None:
    """For who has the lock: where there is nothing but the lock, take it away, and a folder that was `made` for it."""
    with contextlib.suppress(OSError):
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
            if made:
                folder.rmdir()


def _is_still(stream: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False
