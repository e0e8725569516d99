"""The real `jnana run` as a process, pointed at the loopback platforms and the fake model."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, chdir
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import ROOT, Running, jnana_run

from .discord.server import DiscordServer
from .telegram.server import TelegramServer

STARTS_WITHIN = 120.0
"""Seconds, on a busy machine; not a claim."""

UP = ("^ready:", "^Discord: @", "^Telegram: @")
"""Lines of a bot that is on both platforms."""


@dataclass
class Platforms:
    """Both servers and the settings of a bot that is on them; `home` is its data folder."""

    discord: DiscordServer
    telegram: TelegramServer
    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    def env(self, **more: str) -> dict[str, str]:
        own = {
            "JNANA_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.api,
            "DISCORD_GATEWAY_URL": self.discord.gateway,
            "TELEGRAM_TOKEN": self.telegram.token,
            "TELEGRAM_API_URL": self.telegram.url,
        }
        return {**os.environ, **own, **self.settings, **more}


@asynccontextmanager
async def platforms(home: Path, **settings: str) -> AsyncIterator[Platforms]:
    async with DiscordServer() as discord, TelegramServer() as telegram:
        yield Platforms(discord, telegram, home, settings)


class Process:
    """A running bot. `line` waits for what it says to its owner; `output` is all it has said, once it has ended."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.code: int | None = None

    @property
    def output(self) -> str:
        return "".join(self.running.seen)

    async def line(self, pattern: str) -> str:
        """The next one like that; lines before it are gone."""
        return await asyncio.to_thread(self.running.until, pattern)

    async def lines(self, *patterns: str) -> None:
        """One line for each of them, in whatever order."""
        left = list(patterns)
        while left:
            said = await self.line("|".join(left))
            left = [pattern for pattern in left if not re.search(pattern, said)]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        if self.code is None:
            self.running.process.send_signal(number)
            self.code = await asyncio.to_thread(self.running.end)
        return self.code


@asynccontextmanager
async def running(where: Platforms, *, up: tuple[str, ...] = UP, **more: str) -> AsyncIterator[Process]:
    """Started, and ended in order if it still runs. Whatever it has said holds neither a token nor a traceback."""
    env = where.env(**more)
    with ExitStack() as stack:
        with chdir(where.home):  # where no .env is read
            process = Process(stack.enter_context(jnana_run(env, limit=STARTS_WITHIN)))
        await process.lines(*up)
        yield process
        await process.end()
    for token in (env["DISCORD_TOKEN"], env["TELEGRAM_TOKEN"]):
        assert token not in process.output
    assert "Traceback (most" not in process.output, process.output
