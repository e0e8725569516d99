"""The message that shows how far a run is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic

from bot.chat.place import Place, PlaceError
from bot.retraining import words
from bot.retraining.trainer import Progress
from bot.store.records import StoredRun

EDIT_EVERY = 5.0
"""Seconds between two edits: a run is watched for hours."""


class Shown:
    """Edits it now and then; a failed edit is no matter. Owns a task until `close`."""

    def __init__(self, place: Place, run: StoredRun) -> None:
        self._place = place
        self._run = run
        self._newest = Progress()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._show(), name=f"retraining-{run.run_id}-shown")

    def hear(self, progress: Progress) -> None:
        self._newest = progress
        self._news.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _show(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            began = monotonic()
            with suppress(PlaceError):
                shown = words.progress(self._run, self._newest)
                await self._place.edit(self._run.message_id, shown, words.cancel_button(self._run))
            await asyncio.sleep(max(0.0, max(EDIT_EVERY, self._place.clock) - (monotonic() - began)))
