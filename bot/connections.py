"""The connections to chat platforms: each has its owner, starts by itself and is made anew when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from bot import metrics
from bot.desk import Desk
from bot.errors import StartError
from bot.settings import Settings

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds before a broken connection is made anew: doubled every time. Discord resets the token of a bot that identifies
1,000 times a day (https://discord.com/developers/docs/events/gateway#session-start-limit); this comes to 300 at most."""

STEADY = 600.0
"""Seconds after which a connection counts as good, and the next pause is the first one again."""

Say = Callable[[str], None]

log = structlog.get_logger(__name__)


class Connection(Protocol):
    """A chat platform's adapter."""

    name: str
    """As people write it: Discord, Telegram."""

    async def run(self, up: Say) -> None:
        """Connect and serve until cancelled; calls `up` with one line for the owner when people can write.

        Raises:
            StartError: only the owner can mend it (a wrong token, a missing intent); it is not tried again.
            Exception: the connection broke, and can be made anew by another `run`.
        """
        ...


def connections(settings: Settings, desk: Desk) -> list[Connection]:
    """The platforms that have a token. Their libraries are loaded only here."""
    found: list[Connection] = []
    if settings.discord_token.get_secret_value():
        from bot.chat.discord import Discord

        found.append(Discord(settings, desk))
    if settings.telegram_token.get_secret_value():
        from bot.chat.telegram import Telegram

        found.append(Telegram(settings, desk))
    return found


@asynccontextmanager
async def connected(connections: Sequence[Connection], say: Say) -> AsyncIterator[None]:
    """All of them, each kept up on its own, until the block ends."""
    tasks = [asyncio.create_task(keep_up(one, say), name=f"keep-{one.name}") for one in connections]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def keep_up(connection: Connection, say: Say) -> None:
    """Run a connection again and again, with pauses that grow. What only the owner can mend is said once, and ends it."""
    loop = asyncio.get_running_loop()
    gauge = metrics.connected.labels(connection.name.lower())
    pause = FIRST_PAUSE

    def up(line: str) -> None:
        gauge.set(1)
        say(line)

    while True:
        began = loop.time()
        try:
            await connection.run(up)
            log.warning("connection ended", platform=connection.name)
        except StartError as error:
            log.error("platform not started", platform=connection.name, reason=error.sentence)  # noqa: TRY400  # one sentence
            say(f"{connection.name}: {error.sentence}")
            return
        except Exception as error:  # whatever a library raises must not silence the platform for good
            # Not the error itself: libraries put addresses with tokens into their messages.
            log.warning("connection broke", platform=connection.name, error=type(error).__name__, again_in=pause)
        finally:
            gauge.set(0)
        pause = FIRST_PAUSE if loop.time() - began >= STEADY else pause
        await asyncio.sleep(pause)
        metrics.reconnects.labels(connection.name.lower()).inc()
        pause = min(pause * 2, LONGEST_PAUSE)
