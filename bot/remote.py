"""Looks after a model server that is somebody else's (`MODEL_URL`, or a worker that serves already): is it there?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bot.errors import WorkerError
from bot.worker import ModelClient

LOOK_EVERY = 10.0
"""Seconds between two looks."""

log = structlog.get_logger(__name__)


class RemoteModel:
    """Has what `bot.supervisor.Supervisor` has for a worker of ours.

    Args:
        say: told once, when the server does not answer at the start.
    """

    def __init__(self, client: ModelClient, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._problem = ""
        self._loading = False
        self._task: asyncio.Task[None] | None = None

    async def launch(self) -> None:
        """Nothing: it runs elsewhere."""

    async def start(self) -> None:
        """Look once, then again and again until `stop`. A server that is not there yet may come."""
        await self._look()
        if self._problem:
            self._say(f"MODEL_URL: {self._problem} Questions wait for it for some minutes.")
        self._task = asyncio.create_task(self._watch(), name="watch-model-server")

    def status(self) -> tuple[str, bool]:
        """How the model is, in words for people, and whether it can answer now."""
        if self._problem:
            return "The model server does not answer", False
        return ("The model is being loaded", False) if self._loading else ("Ready", True)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            before = self._problem
            await self._look()
            if self._problem != before:
                log.warning("model server", problem=self._problem or None)

    async def _look(self) -> None:
        try:
            self._loading = await self._client.look()
            self._problem = ""
        except WorkerError as error:
            self._problem = error.sentence
