"""Who is next: a bounded queue that serves conversations in turn, so that none of them keeps the others waiting."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
from collections.abc import AsyncIterator, Callable
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
    key: str
    round: int
    granted: asyncio.Future[None]
    on_position: PositionCallback | None
    position: int = 0


class FairQueue:
    """Hands out `slots` places in rounds, in which every conversation gets one; at most `limit` requests wait.

    After start-time fair queueing (Goyal, Vin and Cheng 1996), with requests of equal cost: who asks for the first time joins
    the round that is being served, who asks again the one after their last. Inside a round: first come, first served.

    All methods belong to one event loop. A request stops waiting when its task is cancelled.
    """

    def __init__(self, limit: int, *, slots: int = 1) -> None:
        self.limit = limit
        self.running = 0
        self._slots = slots
        self._closed = False
        self._waiting: list[_Waiting] = []
        """In the order in which they will be served if nobody else comes."""
        self._round = 0
        self._served: dict[str, int] = {}
        """By conversation, the round in which it was served last, where that is not over."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

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
        turn = self._turn(key)
        if self.running < self._slots:
            self._take(key, turn)
        else:
            await self._wait(key, turn, on_position)
        try:
            yield
        finally:
            self._release()

    def close(self) -> None:
        """Let nobody in any more and send away (QueueClosed) all who wait; those who hold a place keep it."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.granted.done():
                waiting.granted.set_exception(QueueClosed())
        self._waiting.clear()

    def _turn(self, key: str) -> int:
        """The round after that of its last request. One that was given up before its turn counts for nothing."""
        rounds = [waiting.round for waiting in self._waiting if waiting.key == key]
        last = max(rounds, default=self._served.get(key, -1))
        return max(self._round, last + 1)

    async def _wait(self, key: str, turn: int, on_position: PositionCallback | None) -> None:
        waiting = _Waiting(key, turn, asyncio.get_running_loop().create_future(), on_position)
        bisect.insort(self._waiting, waiting, key=lambda other: other.round)
        self._report()
        try:
            await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                self._report()
            elif not waiting.granted.cancelled() and waiting.granted.exception() is None:
                self._release()  # the place was handed over in the very instant of the cancellation: pass it on
            raise

    def _take(self, key: str, turn: int) -> None:
        self.running += 1
        # Up to who waits in front: whoever comes from now on cannot overtake them.
        self._round = max([self._round, turn, *(waiting.round for waiting in self._waiting[:1])])
        self._served = {**{other: last for other, last in self._served.items() if last >= self._round}, key: turn}

    def _release(self) -> None:
        self.running -= 1
        while self._waiting and self.running < self._slots:
            waiting = self._waiting.pop(0)
            if not waiting.granted.done():
                waiting.granted.set_result(None)
                self._take(waiting.key, waiting.round)
        if not self.running:
            self._served.clear()
        self._report()

    def _report(self) -> None:
        for position, waiting in enumerate(self._waiting, start=1):
            if position != waiting.position:
                waiting.position = position
                if waiting.on_position:
                    waiting.on_position(position)
