"""`jnana train retrain` around a tiny phi2, small enough for tests; run as the bot runs the real one.

    python -m tests.training.small_retrain FOLDER train retrain LESSONS --to RUN ...

Files in FOLDER tell it what to meet: `full` with a number, a disk that takes no file of more bytes than that from the second
checkpoint on.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from training import checkpoint
from training.cli import app
from training.loop import Loop
from training.retrain import judge, keepsakes

STEP_SECONDS = 0.15
"""At least, so that a test can look at steps while they are done."""
QUICK = (
    "max_length=400",
    "validation.samples=0",
    "batch.size=4",
    "batch.micro=4",
    "optimizer.warmup_steps=1",
    "optimizer.lr=0.01",
)


def fewer_questions(patch: pytest.MonkeyPatch) -> None:
    """A tiny mind knows none of the answers."""
    real = keepsakes.unpack

    def cut(to: Path) -> Any:
        kept = real(to)
        for file in (kept.replay, kept.vqa, kept.captions):
            file.write_text("".join(line + "\n" for line in file.read_text().splitlines()[:6]))
        return kept

    patch.setattr("training.retrain.run.unpack", cut)
    patch.setattr("training.preflight._machine", lambda run: [])  # phi2 wants a GPU; a tiny one does not
    patch.setattr("training.evaluate.chat.QUESTIONS", ("Hello!", "Who are you?"))
    patch.setattr(judge, "MAX_TOKENS", 4)
    patch.setattr(judge, "SHOWN", 2)


def full(disk: Path) -> None:
    if disk.exists():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = int(disk.read_text())
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def main(folder: Path, *arguments: str) -> None:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        fewer_questions(patch)
        step, save = Loop._one_step, checkpoint.save

        def slowly(*all_of_it: Any) -> None:
            step(*all_of_it)
            time.sleep(STEP_SECONDS)

        def saved(to: Path, *all_of_it: Any, **more: Any) -> None:
            if checkpoint.steps(to):
                full(folder / "full")
            save(to, *all_of_it, **more)

        patch.setattr(Loop, "_one_step", slowly)
        patch.setattr(checkpoint, "save", saved)
        app([*arguments, *(word for change in QUICK for word in ("--set", change))])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
