"""What people decide about theirs: runs that learn from it end, and adapters that learnt from it are named."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bot.chat.place import Place, PlaceError
from bot.retraining.compare import Tell
from bot.retraining.left import clear
from bot.retraining.lessons import LESSONS, written
from bot.settings import Settings
from bot.store import Store
from bot.store.records import RunState, StoredRun
from bot.store.runs import ENDED
from bot.texts import say

OPEN: tuple[RunState, ...] = ("queued", "running", "judged")
"""Runs that something is still to be done for, by us."""
UNDECIDED: tuple[RunState, ...] = ("preparing", *OPEN, "told", "failed")
EVERY: tuple[RunState, ...] = (*UNDECIDED, "cancelled", "used", "dropped")


FOLDER = "retraining"
"""Below JNANA_HOME; `jnana runs` looks there, too (training/listing.py)."""


class Theirs:
    """Part of `bot.retraining.Retrainings`. Implements `bot.privacy.PersonalData`: what was written out for training is derived
    from what people said."""

    _store: Store
    _settings: Settings
    _changing: asyncio.Lock
    _ways: dict[int, tuple[Place, Tell]]

    async def _stop(self, run_id: int) -> None:
        raise NotImplementedError

    def _folder(self, run: StoredRun) -> Path:
        return self._settings.jnana_home / FOLDER / run.folder

    async def withdrawn(self, platform: str, platform_id: str) -> None:
        """Somebody took back their yes: runs that learn from something of theirs, and nobody decided about yet, end."""
        async with self._changing:
            ended = await self._with_theirs(platform, platform_id, UNDECIDED)
            for run in ended:
                await self._abandon(run)
        await self._tell_ended(ended)

    async def forget(self, platform: str, platform_id: str) -> int:
        """Delete what was made of theirs and, before any other run can begin with it, let the store forget them, too: it alone
        knows which examples were theirs."""
        async with self._changing:
            ended = await self._with_theirs(platform, platform_id, EVERY)
            for run in ended:
                await self._abandon(run)
            count = await self._store.forget(platform, platform_id)
        await self._tell_ended(ended)
        return count

    async def export(self, platform: str, platform_id: str) -> dict[str, Any]:
        """Which adapters learnt from something of theirs."""
        saw = await self.saw(platform, platform_id)
        return {"adapters": saw} if saw else {}

    async def saw(self, platform: str, platform_id: str) -> list[str]:
        """Names of the adapters that learnt from something of a person's, or go on from one that did."""
        theirs = await self._store.examples_of(platform, platform_id)
        used: tuple[RunState, ...] = ("used",)
        saw: list[str] = []
        for run in await self._store.runs(used):  # an adapter is older than those that go on from it
            if run.start in saw or theirs.intersection(run.examples):
                saw.append(run.folder)
        return saw

    async def _with_theirs(self, platform: str, platform_id: str, states: Collection[RunState]) -> list[StoredRun]:
        theirs = await self._store.examples_of(platform, platform_id)
        return [run for run in await self._store.runs(states) if theirs.intersection(run.examples)]

    async def _is_allowed(self, run: StoredRun) -> bool:
        """Whether all that was written out for it may still be learnt from; what cannot be read may not."""
        try:
            out = await asyncio.to_thread(written, self._folder(run) / LESSONS)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return out <= await self._store.allowed()

    async def _abandon(self, run: StoredRun) -> None:
        await self._stop(run.run_id)
        await asyncio.to_thread(clear, self._folder(run))
        if run.state not in ("used", "dropped", "failed"):
            await self._store.set_run(run.run_id, "cancelled")

    async def _tell_ended(self, runs: Sequence[StoredRun]) -> None:
        """Where they were asked for; the message that shows how far one is says it, too. One that had ended before may be tried
        again, or was decided about: nobody waits for it."""
        for run in runs:
            if run.state in ENDED or run.run_id not in self._ways:
                continue
            place, tell = self._ways[run.run_id]
            said = say(run.language, "retrain-withdrawn", number=run.run_id)
            with suppress(PlaceError):
                await place.edit(run.message_id, said)
            await tell(place, said, ())
