"""The worker's rest, as other processes with the same data folder see it: `jnana ask` is not to start a worker of its own into
memory that a retraining took the worker's place for."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

MARK = "worker-rests"
"""In the data folder: when the rest is over at the latest. Locked as long as it goes on; the system frees the lock when the
process ends, however that comes about."""


@contextmanager
def marked(home: Path, over: datetime) -> Iterator[None]:
    """The worker of this folder rests in the block. Where it cannot be marked, it rests all the same."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            mark = held.enter_context((home / MARK).open("w"))
            mark.write(over.isoformat())
            mark.flush()
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def rests_until(home: Path) -> datetime | None:
    """When a rest that goes on is over at the latest."""
    with contextlib.suppress(FileNotFoundError), (home / MARK).open() as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return datetime.fromisoformat(mark.read())
    return None
