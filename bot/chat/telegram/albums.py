"""The order of what is heard: one lane a chat, and albums, whose pictures come one by one, put together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable

import structlog
from telegram import Message

ALBUM_QUIET, ALBUM_LONGEST = 1.0, 5.0
"""Seconds without another picture after which an album is whole, and seconds that one may take at most: Telegram sends its
2 to 10 items as updates of their own and does not say how many will come."""

Work = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


class Lanes:
    """Work of one lane is done in order, that of different lanes at the same time. Owns their tasks."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Work]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, lane: Hashable, work: Work) -> None:
        if lane in self._waiting:
            self._waiting[lane].append(work)
            return
        self._waiting[lane] = deque([work])
        task = asyncio.create_task(self._run(lane), name="telegram-lane")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: Hashable) -> None:
        waiting = self._waiting[lane]
        try:
            while waiting:
                work = waiting.popleft()
                try:
                    await work()
                except Exception:
                    log.exception("update failed")
        finally:
            del self._waiting[lane]

    async def close(self, patience: float) -> None:
        """Seconds for what was put already: Telegram has been told that it arrived, and does not send it again."""
        if self._tasks and patience:
            await asyncio.wait(set(self._tasks), timeout=patience)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Albums:
    """Messages by album. The first one of an album takes its place in the lane; the others join it while it waits there."""

    def __init__(self, quiet: float = ALBUM_QUIET, longest: float = ALBUM_LONGEST) -> None:
        self._quiet = quiet
        self._longest = longest
        self._collecting: dict[tuple[int, str], _Album] = {}

    def joined(self, message: Message) -> bool:
        """Whether the message belongs to an album that is being collected."""
        album = self._collecting.get(_key(message))
        if album is not None:
            album.add(message)
        return album is not None

    def begin(self, message: Message) -> Callable[[], Awaitable[list[Message]]]:
        """Returns what waits for the whole album, in the order of its messages."""
        album = self._collecting[_key(message)] = _Album(message)

        async def whole() -> list[Message]:
            try:
                while (left := album.ends(self._quiet, self._longest) - _now()) > 0:  # noqa: ASYNC110  # the end moves
                    await asyncio.sleep(left)
            finally:
                del self._collecting[_key(message)]
            return sorted(album.messages, key=lambda one: one.message_id)

        return whole


class _Album:
    def __init__(self, first: Message) -> None:
        self.messages = [first]
        self._began = self._latest = _now()

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self._latest = _now()

    def ends(self, quiet: float, longest: float) -> float:
        return min(self._latest + quiet, self._began + longest)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _key(message: Message) -> tuple[int, str]:
    return message.chat_id, message.media_group_id or ""
