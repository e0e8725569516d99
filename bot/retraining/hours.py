"""Quiet hours: when a run may train. Local time; they may go over midnight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta

LOOK_EVERY = 20.0
"""Seconds between two looks at the clock: it is set, and machines sleep."""


def now() -> datetime:
    return datetime.now().astimezone()


@dataclass(frozen=True, slots=True)
class Hours:
    """`Hours.read("")`: any time. Without a beginning there is no end."""

    begin: time | None = None
    end: time | None = None

    @classmethod
    def read(cls, written: str) -> Hours:
        """`written`: such as 01:00-07:00; empty: any time. Raises ValueError."""
        if not written:
            return cls()
        begin, end = (time.fromisoformat(part.strip()) for part in written.split("-"))
        if begin == end:
            raise ValueError(written)
        return cls(begin, end)

    def has(self, moment: datetime) -> bool:
        if self.begin is None or self.end is None:
            return True
        at = moment.time()
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end

    async def wait(self, tell: Callable[[time], Awaitable[None]]) -> None:
        """Until they begin; `tell` hears once when that is, should it not be now."""
        if self.has(now()) or self.begin is None:
            return
        await tell(self.begin)
        while not self.has(now()):  # noqa: ASYNC110  # nothing tells when a clock reaches a time
            await asyncio.sleep(LOOK_EVERY)

    def over(self) -> datetime | None:
        """When they are over; None: never."""
        return None if self.end is None else _next(self.end, now())

    @asynccontextmanager
    async def last(self) -> AsyncIterator[None]:
        """Cancels the block at their end, which raises TimeoutError then."""
        over = self.over()
        async with asyncio.timeout(None if over is None else (over - now()).total_seconds()):
            yield


def _next(end: time, moment: datetime) -> datetime:
    """On this machine's clock, which may be set forward or back between the two."""
    days = (0, 1)
    ends = (datetime.combine(moment.date() + timedelta(days=day), end).astimezone() for day in days)
    return next(at for at in ends if at > moment)
