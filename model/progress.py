"""Progress of long work, as a person sees it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from model.weights import Progress as OnProgress

PLAIN_STEP = 25
"""Percent between two lines of progress when nobody watches a terminal."""

QUIET_SECONDS = 2.0
"""What is done sooner is not worth a line."""


@contextlib.contextmanager
def progress(*, plain_lines: bool = True) -> Iterator[OnProgress]:
    """Bars on a terminal, a line every PLAIN_STEP percent elsewhere; both on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines() if plain_lines else lambda what, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield on_progress


class _Lines:
    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._shown: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        percent = done * 100 // total if total else 100
        lasts = time.monotonic() - self._began.setdefault(what, time.monotonic()) >= QUIET_SECONDS
        if lasts and percent >= self._shown.get(what, -PLAIN_STEP) + PLAIN_STEP:
            self._shown[what] = percent
            print(f"{what}: {percent} %", file=sys.stderr, flush=True)
