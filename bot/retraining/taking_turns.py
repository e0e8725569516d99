"""Where the worker and a retraining do not fit into the GPU's memory together, they take turns in the quiet hours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path

import structlog

from bot.retraining.hours import Hours
from bot.retraining.trainer import Heard, NoRoom, Trainer, TrainerError, Verdict
from bot.texts import text

Resting = Callable[[datetime], AbstractAsyncContextManager[None]]
"""No worker runs in the block; it is back at the given time at the latest (bot.supervisor.Supervisor.resting)."""

log = structlog.get_logger(__name__)


class TakingTurns:
    """Implements `Trainer` with another one, and with a worker that can rest. Who sets quiet hours says by that when people may
    go without answers; without them nobody said so."""

    def __init__(self, trainer: Trainer, hours: Hours, resting: Resting) -> None:
        self._trainer = trainer
        self._hours = hours
        self._resting = resting

    async def retrain(self, lessons: Path, folder: Path, start: str, heard: Heard) -> Verdict:
        """To be called within the hours."""
        try:
            return await self._trainer.retrain(lessons, folder, start, heard)
        except NoRoom as error:
            over, reason = self._hours.over(), str(error.sentence)
        if over is None:
            raise TrainerError(text("retrain-no-room", reason=reason))
        log.info("retraining takes the worker's place", reason=reason)
        async with self._resting(over):
            return await self._trainer.retrain(lessons, folder, start, heard)

    async def install(self, artefact: Path) -> str:
        return await self._trainer.install(artefact)
