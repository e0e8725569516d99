"""Who is next: a bounded queue that serves conversations in turn, so that none of them keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

PositionCallback = Callable[[int], None]
"""Called on the event loop with the place in the queue (1 = next) whenever it changes."""


class QueueFull(Exception):  # noqa: N818 - the name of the condition reads better than ...Error where it is caught
    """Too many requests wait already. `waiting`: how many."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} requests are waiting already.")
        self.waiting = waiting


class QueueClosed(Exception):  # noqa: N818
    """The worker is shutting down: nobody is let in any more."""


@dataclass(eq=False)
class _Waiting:
    granted: asyncio.Future[None]
    on_position: PositionCallback | None
    position: int = 0


class FairQueue:
    """Hands out `slots` places round robin over the keys of conversations; at most `limit` requests wait.

    All methods belong to one event loop. A request stops waiting when its task is cancelled.
    """

    def __init__(self, limit: int, *, slots: int = 1) -> None:
        self.limit = limit
        self.running = 0
        self._slots = slots
        self._closed = False
        # Conversations in the order in which they are served; each has its own line, first come, first served.
        self._lines: OrderedDict[str, deque[_Waiting]] = OrderedDict()

    @property
    def waiting(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def check(self) -> None:
        """Raises QueueFull or QueueClosed when `slot` would: to turn a request away before work is put into it."""
        if self._closed:
            raise QueueClosed
        if self.running >= self._slots and self.waiting >= self.limit:
            raise QueueFull(self.waiting)

    @contextlib.asynccontextmanager
    async def slot(self, key: str, on_position: PositionCallback | None = None) -> AsyncIterator[None]:
        """Wait for a place and hold it inside the block. Raises QueueFull and QueueClosed."""
        self.check()
        if self.running < self._slots:
            self.running += 1
        else:
            await self._wait(key, on_position)
        try:
            yield
        finally:
            self._release()

    def close(self) -> None:
        """Let nobody in any more and send away (QueueClosed) all who wait; those who hold a place keep it."""
        self._closed = True
        for waiting in self._order():
            if not waiting.granted.done():
                waiting.granted.set_exception(QueueClosed())
        self._lines.clear()

    async def _wait(self, key: str, on_position: PositionCallback | None) -> None:
        waiting = _Waiting(asyncio.get_running_loop().create_future(), on_position)
        self._lines.setdefault(key, deque()).append(waiting)
        self._report()
        try:
            await waiting.granted
        except asyncio.CancelledError:
            if waiting.granted.cancelled():
                self._leave(key, waiting)
            elif waiting.granted.exception() is None:
                self._release()  # the place was handed over in the very instant of the cancellation: pass it on
            raise

    def _release(self) -> None:
        """Give the place to who is next; the conversation served goes to the back."""
        self.running -= 1
        while self._lines and self.running < self._slots:
            key, line = next(iter(self._lines.items()))
            waiting = line.popleft()
            self._lines.move_to_end(key)
            if not line:
                del self._lines[key]
            if not waiting.granted.done():
                waiting.granted.set_result(None)
                self.running += 1
        self._report()

    def _leave(self, key: str, waiting: _Waiting) -> None:
        line = self._lines.get(key)
        if line and waiting in line:
            line.remove(waiting)
            if not line:
                del self._lines[key]
            self._report()

    def _order(self) -> Iterator[_Waiting]:
        """All who wait, in the order in which they will be served if nobody else comes."""
        lines = [list(line) for line in self._lines.values()]
        for turn in range(max(map(len, lines), default=0)):
            for line in lines:
                if turn < len(line):
                    yield line[turn]

    def _report(self) -> None:
        for position, waiting in enumerate(self._order(), start=1):
            if position != waiting.position:
                waiting.position = position
                if waiting.on_position:
                    waiting.on_position(position)
