"""The adapters that requests may ask for: each is put into the mind when it is first asked for, by whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from model import shelf
from model.adapters import Adapter
from model.attached import Attached
from model.engine import Engine, OutOfMemory
from model.files import MANIFEST, sha256
from model.mind import Mind
from model.settings import WorkerSettings
from model.weights import WeightsError

MOST_ATTACHED = 8
"""Adapters that stay in the mind beside the default, more only while more are asked for at once. One of phi2's takes up to
200 MB, of pocket's 10."""

ROOM_SECONDS = 60.0
"""After which a new default that found no memory is tried again: each time takes seconds, in which nobody's answer grows."""

log = structlog.get_logger(__name__)


class NoRoom(WeightsError):  # noqa: N818 - the name of the condition reads better than ...Error where it is caught
    """There is no memory for an adapter now; later there may be."""


@dataclass(frozen=True)
class Wanted:
    """An adapter on disk, by where it is and what it holds; without a folder the plain base."""

    folder: Path | None = None
    content: str = ""

    @classmethod
    def at(cls, folder: Path | None) -> Wanted:
        """Blocking."""
        file = None if folder is None else folder / MANIFEST
        return cls(folder, sha256(file) if file is not None and file.is_file() else "")


class AdapterPool:
    """Which adapter answers whom. All methods belong to one event loop.

    The default is what `jnana adapters use` or MODEL_ADAPTER say at the moment. Answers go on with what they began with.
    """

    def __init__(self, settings: WorkerSettings, mind: Mind, engine: Engine, loaded: Path | None) -> None:
        """`loaded`: the folder of the mind's default. Blocking, short."""
        self._settings = settings
        self._mind = mind
        self._engine = engine
        self._default = Wanted.at(loaded)
        self._broken: Wanted | None = None
        """What could not become it; not tried again before it changes, or there may be memory."""
        self._complaint = ""
        self._try_again = 0.0
        """Monotonic seconds, of what is broken for lack of memory."""
        self._attached: OrderedDict[Wanted, Attached] = OrderedDict({self._default: mind.default})
        """The one used last at the end."""
        self._users: Counter[Wanted] = Counter()
        self._coming: dict[Wanted, asyncio.Task[None]] = {}
        """Being put in: for everybody who waits, whoever asked first and went away."""
        self._one = asyncio.Lock()
        self._choosing = asyncio.Lock()

    @property
    def default(self) -> Attached:
        return self._attached[self._default]

    async def names(self) -> list[str]:
        """Of all that may be asked for."""
        there = await asyncio.to_thread(shelf.installed, self._mind.preset, self._settings.home)
        return [shelf.NONE, *there]

    async def origins(self) -> dict[str, shelf.Origin]:
        """Where they come from, by name."""
        return await asyncio.to_thread(shelf.origins, self._mind.preset, self._settings.home)

    @contextlib.asynccontextmanager
    async def hold(self, name: str | None) -> AsyncIterator[Attached]:
        """An adapter for as long as an answer takes; None: the default. Raises WeightsError: it is not there, or unfit."""
        wanted = await self._current() if name is None else await asyncio.to_thread(self._find, name)
        async with self._pinned(wanted) as attached:
            yield attached

    async def set_default(self, name: str) -> None:
        """Answer with it from now on, after the next start as well; what is being written goes on as it began.

        Raises WeightsError, and leaves all as it was, when it cannot be used.
        """
        if self._settings.adapter:
            raise WeightsError(f"MODEL_ADAPTER={self._settings.adapter} is set and wins: take it out of the settings first.")
        async with self._choosing:
            wanted = await asyncio.to_thread(self._find, name)
            async with self._pinned(wanted):
                await asyncio.to_thread(shelf.set_default, name, self._mind.preset, self._settings.home)
                self._become_default(wanted)

    async def _current(self) -> Wanted:
        """The default. One that has just been chosen is put in first; if it is broken, the old one goes on."""
        chosen: Wanted | None = None
        try:
            if self._is_settled(await asyncio.to_thread(self._chosen)):
                return self._default
            async with self._choosing:
                chosen = await asyncio.to_thread(self._chosen)  # now: it may have been chosen otherwise meanwhile
                if not self._is_settled(chosen):
                    async with self._pinned(chosen):
                        self._become_default(chosen)
        except WeightsError as error:
            self._broken = chosen
            self._try_again = time.monotonic() + ROOM_SECONDS if isinstance(error, NoRoom) else math.inf
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("default_adapter_refused", reason=self._complaint)  # noqa: TRY400 - a sentence for the owner
        return self._default

    def _is_settled(self, chosen: Wanted) -> bool:
        """Whether it answers already, or cannot."""
        return chosen == self._default or (chosen == self._broken and time.monotonic() < self._try_again)

    def _become_default(self, wanted: Wanted) -> None:
        if wanted != self._default:
            self._default, self._broken, self._complaint = wanted, None, ""
            self._mind.default = self.default
            log.info("default_adapter", name=self.default.name)

    @contextlib.asynccontextmanager
    async def _pinned(self, wanted: Wanted) -> AsyncIterator[Attached]:
        """Put in if need be, and kept there inside the block."""
        while wanted not in self._attached:  # again, should it have to make room before its turn comes
            await asyncio.shield(self._task(wanted))
        self._attached.move_to_end(wanted)
        self._users[wanted] += 1
        try:
            yield self._attached[wanted]
        finally:
            self._users[wanted] -= 1
            if not self._users[wanted]:
                del self._users[wanted]

    def _task(self, wanted: Wanted) -> asyncio.Task[None]:
        if wanted not in self._coming:
            task = asyncio.create_task(self._put_in(wanted), name="attach")
            self._coming[wanted] = task
            task.add_done_callback(lambda done: self._came(wanted, done))
        return self._coming[wanted]

    def _came(self, wanted: Wanted, task: asyncio.Task[None]) -> None:
        del self._coming[wanted]
        if not task.cancelled():
            task.exception()  # whoever still waits raises it

    async def _put_in(self, wanted: Wanted) -> None:
        async with self._one:
            if wanted.folder is None:
                self._attached[wanted] = self._mind.plain
                return
            adapter = await asyncio.to_thread(Adapter.open, wanted.folder)
            try:
                self._attached[wanted] = await self._engine.compute(self._mind.attach, adapter)
            except OutOfMemory as error:
                raise NoRoom(f"There is no memory for the adapter {adapter.name} now.") from error
            await self._make_room(wanted)

    async def _make_room(self, newest: Wanted) -> None:
        """Let go of those that nobody has used for longest."""
        while len(self._attached) > 1 + MOST_ATTACHED:
            kept = (newest, self._default, Wanted())
            idle = next((one for one in self._attached if one not in kept and not self._users[one]), None)
            if idle is None:
                return
            await self._engine.detach(self._attached.pop(idle))

    def _chosen(self) -> Wanted:
        """Blocking. Raises WeightsError."""
        return Wanted.at(shelf.chosen(self._settings.adapter, self._mind.preset, self._settings.home))

    def _find(self, name: str) -> Wanted:
        """Blocking. Of those that are installed: a request must not name folders. Raises WeightsError."""
        if name == shelf.NONE:
            return Wanted()
        there = shelf.installed(self._mind.preset, self._settings.home)
        if name not in there:
            names = f"there are {', '.join(there)}" if there else "there is none yet"
            raise WeightsError(f"There is no adapter '{name}' for {self._mind.preset.name}: {names}.")
        return Wanted.at(there[name])
