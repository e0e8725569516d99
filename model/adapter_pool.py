"""The adapters that requests may ask for: each is put into the mind when it is first asked for, by whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from model import shelf
from model.adapters import Adapter
from model.attached import Attached
from model.engine import Engine
from model.mind import Mind
from model.settings import WorkerSettings
from model.weights import WeightsError

MOST_ATTACHED = 8
"""Adapters that stay in the mind beside the default: those used last. One of phi2's takes up to 200 MB, of pocket's 10."""

log = structlog.get_logger(__name__)


class AdapterPool:
    """Which adapter answers whom. All methods belong to one event loop.

    The default is what `jnana adapters use` or MODEL_ADAPTER say at the moment. Answers go on with what they began with.
    """

    def __init__(self, settings: WorkerSettings, mind: Mind, engine: Engine) -> None:
        self._settings = settings
        self._mind = mind
        self._engine = engine
        self._default = self._chosen()
        self._broken = self._default
        """What could not become it: not tried again before something else is chosen. The default itself: nothing."""
        self._complaint = ""
        self._attached: OrderedDict[Path | None, Attached] = OrderedDict({self._default: mind.default})
        """By folder, None: the plain base; the one used last at the end."""
        self._users: Counter[Attached] = Counter()
        self._attaching = asyncio.Lock()

    @property
    def default(self) -> Attached:
        return self._attached[self._default]

    async def names(self) -> list[str]:
        """Of all that may be asked for."""
        there = await asyncio.to_thread(shelf.installed, self._mind.preset, self._settings.home)
        return [shelf.NONE, *there]

    @contextlib.asynccontextmanager
    async def hold(self, name: str | None) -> AsyncIterator[Attached]:
        """An adapter for as long as an answer takes; None: the default. Raises WeightsError: it is not there, or unfit."""
        folder = await self._current() if name is None else await asyncio.to_thread(self._find, name)
        attached = await self._attach(folder)
        self._users[attached] += 1
        try:
            yield attached
        finally:
            self._users[attached] -= 1

    async def set_default(self, name: str) -> None:
        """Answer with it from now on, after the next start as well; what is being written goes on as it began.

        Raises WeightsError, and leaves all as it was, when it cannot be used.
        """
        if self._settings.adapter:
            raise WeightsError(f"MODEL_ADAPTER={self._settings.adapter} is set and wins: take it out of the settings first.")
        folder = await asyncio.to_thread(self._find, name)
        await self._attach(folder)
        await asyncio.to_thread(shelf.set_default, name, self._mind.preset, self._settings.home)
        self._become_default(folder)

    async def _current(self) -> Path | None:
        """The default's folder. One that has just been chosen is put in first; if it is broken, the old one goes on."""
        chosen = self._default
        try:
            chosen = await asyncio.to_thread(self._chosen)
            if chosen not in (self._default, self._broken):
                await self._attach(chosen)
                self._become_default(chosen)
        except WeightsError as error:
            self._broken = chosen
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("default_adapter_refused", reason=self._complaint)  # noqa: TRY400 - a sentence for the owner
        return self._default

    def _become_default(self, folder: Path | None) -> None:
        if folder != self._default:
            self._default = self._broken = folder
            log.info("default_adapter", name=self.default.name)

    async def _attach(self, folder: Path | None) -> Attached:
        if folder not in self._attached:
            async with self._attaching:
                if folder not in self._attached:  # still
                    self._attached[folder] = await self._put_in(folder)
                    await self._make_room()
        self._attached.move_to_end(folder)
        return self._attached[folder]

    async def _put_in(self, folder: Path | None) -> Attached:
        if folder is None:
            return self._mind.plain
        adapter = await asyncio.to_thread(Adapter.open, folder)
        return await self._engine.compute(self._mind.attach, adapter)

    async def _make_room(self) -> None:
        """Let go of those that nobody has used for longest."""
        while len(self._attached) > 1 + MOST_ATTACHED:
            *older, _ = self._attached  # the newest is about to be used
            idle = [one for one in older if one not in (self._default, None) and not self._users[self._attached[one]]]
            if not idle:
                return
            await self._engine.detach(self._attached.pop(idle[0]))

    def _chosen(self) -> Path | None:
        """Blocking. Raises WeightsError."""
        return shelf.chosen(self._settings.adapter, self._mind.preset, self._settings.home)

    def _find(self, name: str) -> Path | None:
        """Blocking. Of those that are installed: a request must not name folders. Raises WeightsError."""
        if name == shelf.NONE:
            return None
        there = shelf.installed(self._mind.preset, self._settings.home)
        if name not in there:
            names = f"there are {', '.join(there)}" if there else "there is none yet"
            raise WeightsError(f"There is no adapter '{name}' for {self._mind.preset.name}: {names}.")
        return there[name]
