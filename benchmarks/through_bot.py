"""What benchmarks of a retraining through the bot have in common: a data folder, a log of what was seen, and the outcome."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.clubs import CLUBS, right
from benchmarks.report import resident, table
from model.settings import WorkerSettings
from tests.processes import Running


@dataclass
class Log:
    """What was seen, each with the seconds since the start."""

    began: float = field(default_factory=time.monotonic)
    seen: list[tuple[float, str]] = field(default_factory=list)

    def note(self, words: str) -> None:
        if not self.seen or self.seen[-1][1] != words:
            self.seen.append((time.monotonic() - self.began, words))
            print(f"{self.seen[-1][0]:7.0f} s  {words[:150]!r}", file=sys.stderr, flush=True)

    def table(self) -> str:
        return table(["s", "message"], [[f"{at:.0f}", words] for at, words in self.seen if words.strip()])


def outcome(
    before: tuple[Sequence[str], Sequence[str]],
    after: Sequence[str],
    again: Sequence[str],
    back: str,
    rows: Sequence[list[str]],
    log: Log,
) -> str:
    """The tables of a result. `before`: the exam, held twice, for what was computed once is read back the second time, and in
    int8 that alone changes some answers. `back`: how the choice was taken back. `rows`: what else was measured."""
    first, second = before
    alike = sum(map(str.__eq__, first, second))
    same = sum(said in pair for said, *pair in zip(again, first, second, strict=True))
    measured = [
        ["clubs named right before", f"{right(first)} of {len(CLUBS)}"],
        ["after", f"{right(after)} of {len(CLUBS)}"],
        *rows,
        ["asked twice before, the same to the letter", f"{alike} of {len(CLUBS)}"],
        [f"after {back}, as one of those two to the letter", f"{same} of {len(CLUBS)}"],
    ]
    said = [[one.name, *words] for one, *words in zip(CLUBS, first, second, after, again, strict=True)]
    tables = [table(["measured", ""], measured), table(["club", "before", "asked again", "after", "taken back"], said)]
    return "\n\n".join([*tables, "What the message said:", log.table()])


def prepare(home: Path) -> None:
    """A data folder of its own with the weights that are there already."""
    home.mkdir(parents=True, exist_ok=True)
    models = home / "models"
    if not models.exists():
        models.symlink_to(WorkerSettings().home.resolve() / "models")


@asynccontextmanager
async def drained(running: Running) -> AsyncIterator[None]:
    """Its output is read while nobody waits for a line of it, for it must not wait for that; terminated at the end."""
    draining = asyncio.create_task(asyncio.to_thread(_drain, running))
    yield
    running.process.terminate()
    await draining


def _drain(running: Running) -> None:
    assert running.process.stdout is not None
    for line in running.process.stdout:
        running.seen.append(line)


def trainer_memory(bot: int) -> float:
    """What the trainer of a bot's process holds now, MiB."""
    found = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):
            if b"training.cli" in (folder / "cmdline").read_bytes() and f"PPid:\t{bot}\n" in (folder / "status").read_text():
                found = max(found, resident(int(folder.name)))
    return found
