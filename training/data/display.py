"""How far tokenising is: a bar on a terminal, a line every so often elsewhere; both on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from training.data.pack import Packed, Progress

LINE_SECONDS = 10.0
"""Between two lines where nobody watches a terminal."""


@contextlib.contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """What is to be called with each step."""
    console = Console(stderr=True)
    began = time.monotonic()
    if not console.is_terminal:
        yield _Lines(began)
        return
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.description}"), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("starting", total=None)

        def on_progress(progress: Progress) -> None:
            rate = progress.tokens / (time.monotonic() - began)
            bars.update(task, description=_counts(progress, rate), completed=progress.bytes_done, total=progress.bytes_total)

        yield on_progress


class _Lines:
    def __init__(self, began: float) -> None:
        self._began = self._last = began

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        part = progress.bytes_done / max(1, progress.bytes_total)
        left = (now - self._began) * (1 - part) / part if part else 0.0
        counts = _counts(progress, progress.tokens / (now - self._began))
        print(f"{part:.0%}, {counts}, {_clock(left)} left", file=sys.stderr, flush=True)


def summary(packed: Packed, seconds: float) -> str:
    """What was written, a line a folder, and how quick that was."""
    lines = [
        f"{folder}: {manifest.tokens:,} tokens of {manifest.documents:,} documents in {len(manifest.shards)} "
        f"{'shard' if len(manifest.shards) == 1 else 'shards'}"
        for folder, manifest in packed.folders.items()
    ]
    tokens = sum(manifest.tokens for manifest in packed.folders.values())
    return "\n".join([*lines, f"{_clock(seconds)} ({tokens / seconds:,.0f} tokens/s)"])


def _counts(progress: Progress, rate: float) -> str:
    return f"{progress.documents:,} documents, {progress.tokens / 1e6:,.1f} M tokens, {rate / 1e6:.2f} M tokens/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
