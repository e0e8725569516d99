"""A plain discord.py client for the loopback Discord's own tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import discord
from discord import app_commands

from .server import DiscordServer


class Bot(discord.Client):
    """A client that keeps what it hears and does not wait between two identifies."""

    def __init__(self, intents: discord.Intents, heartbeat_timeout: float = 60) -> None:
        super().__init__(intents=intents, guild_ready_timeout=0.05, heartbeat_timeout=heartbeat_timeout)
        self.tree = app_commands.CommandTree(self)
        self.heard: list[discord.Message] = []
        self.clicked: list[discord.Interaction[Any]] = []
        self.reactions: list[str] = []

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        pass

    async def on_message(self, message: discord.Message) -> None:
        if message.author != self.user:
            self.heard.append(message)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        self.clicked.append(interaction)

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        self.reactions.append(str(payload.emoji))


def all_intents() -> discord.Intents:
    intents = discord.Intents.default()
    intents.message_content = True
    return intents


@asynccontextmanager
async def running(
    server: DiscordServer, intents: discord.Intents | None = None, heartbeat_timeout: float = 60
) -> AsyncIterator[Bot]:
    bot = Bot(intents or all_intents(), heartbeat_timeout)
    running = asyncio.create_task(bot.start(server.token))
    try:
        await server.until(lambda: server.connected)
        await asyncio.wait_for(bot.wait_until_ready(), 10)
        yield bot
    finally:
        await bot.close()
        await running


async def soon(condition: Callable[[], Any]) -> None:
    """Until the client has worked off what it was sent."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (discord.py has no event for all that is waited for here)
            await asyncio.sleep(0.005)
