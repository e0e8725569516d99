"""`jnana serve` with tiny weights, killed at a moment of a switch: `python -m tests.model.tiny_worker serve`.

The file MOMENT in JNANA_HOME names the moment, once. The process kills itself: that is exact about when, and SIGKILL is the
same whoever sends it. PID has its number.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from model import shelf, worker
from model.cli import app
from tests.model.fake_mind import DeafSpeech

MOMENT, PID = "killed-at", "pid"
HALF_WRITTEN, KEPT = "half written", "kept"
"""The name of the new default is being written beside the old one; it is where the next start looks."""

_replace = Path.replace


def _killed_at(moment: str, file: Path) -> bool:
    return file.exists() and file.read_text() == moment


def _die(file: Path) -> None:
    file.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


def _dangerous(self: Path, target: str | os.PathLike[str]) -> Path:
    """`Path.replace`, with which a default is kept."""
    moment = Path(os.environ["JNANA_HOME"], MOMENT)
    keeps = Path(target).name == shelf.DEFAULT
    if keeps and _killed_at(HALF_WRITTEN, moment):
        self.write_text(self.read_text()[:2])
        _die(moment)
    replaced = _replace(self, target)
    if keeps and _killed_at(KEPT, moment):
        _die(moment)
    return replaced


if __name__ == "__main__":
    Path.replace = _dangerous  # type: ignore[assignment,method-assign]
    worker.Speech = DeafSpeech  # type: ignore[assignment,misc]  # the tiny speech model is none
    Path(os.environ["JNANA_HOME"], PID).write_text(str(os.getpid()))
    app()
