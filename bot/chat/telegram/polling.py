"""Asking Telegram for updates, and noticing when nobody answers any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from telegram import Bot, Update
from telegram.constants import UpdateType
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

POLL_SECONDS = 10
"""How long Telegram waits with an answer while nothing happens."""

POLL_STALE_SECONDS = 120.0
"""Seconds without a getUpdates that came back after which the connection is made anew."""

CONFLICT_SECONDS, CONFLICT_PAUSE = 90.0, 3.0
"""How long another poller is put up with: Telegram may hold the poll of a process that has just ended for half a minute."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between polls that fail: doubled every time."""

UPDATES = (
    UpdateType.MESSAGE,
    UpdateType.EDITED_MESSAGE,
    UpdateType.CALLBACK_QUERY,
    UpdateType.MESSAGE_REACTION,
    UpdateType.MY_CHAT_MEMBER,
)
"""Reactions only come when they are named here, and in groups only to administrators
(https://core.telegram.org/bots/api#update)."""

log = structlog.get_logger(__name__)


class Polling:
    """Goes on from run to run with the update after the last one."""

    def __init__(self, bot: Bot, stale_seconds: float, conflict_seconds: float) -> None:
        self._bot = bot
        self._stale_seconds = stale_seconds
        self._conflict_seconds = conflict_seconds
        self._offset: int | None = None

    async def run(self, take: Callable[[Update], None], recovered: Callable[[], Awaitable[None]]) -> None:
        """Hand updates to `take`; `recovered` is called when it works again after it did not.

        Raises:
            InvalidToken: the token was revoked.
            Conflict: another program polls, and goes on with it.
            ConnectionError: nothing came back for too long.
        """
        now = asyncio.get_running_loop().time
        alive = now()
        conflict_since: float | None = None
        broken, pause = False, FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout_at(alive + self._stale_seconds):
                    updates = await self._bot.get_updates(self._offset, timeout=POLL_SECONDS, allowed_updates=UPDATES)
            except InvalidToken:
                raise
            except Conflict:
                alive = now()
                conflict_since = conflict_since or alive
                if alive - conflict_since >= self._conflict_seconds:
                    log.error("another program polls with this token")  # noqa: TRY400  # one sentence
                    raise
                await asyncio.sleep(min(CONFLICT_PAUSE, self._conflict_seconds / 2))
            except RetryAfter as flood:
                alive = now()
                after = flood.retry_after
                await asyncio.sleep(after.total_seconds() if isinstance(after, timedelta) else after)
            except (TelegramError, TimeoutError) as error:
                if now() - alive >= self._stale_seconds:
                    log.warning("no updates to be had", error=type(error).__name__, seconds=self._stale_seconds)
                    raise ConnectionError("Telegram does not answer") from None
                broken = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                alive, conflict_since, pause = now(), None, FIRST_PAUSE
                for update in updates:
                    take(update)
                    self._offset = update.update_id + 1
                if broken:
                    broken = False
                    await recovered()
