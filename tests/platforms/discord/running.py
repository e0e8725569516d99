"""The bot's Discord side as it runs: adapter, desk, turns and store, against the loopback Discord and the fake model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from bot.chat.base import Address
from bot.chat.discord import Discord
from bot.desk import Desk
from bot.personas import load_personas
from bot.privacy import Privacy
from bot.settings import Settings
from bot.store import Store
from bot.turn import Turns
from bot.worker import ModelClient

from .channel import Channel
from .model import Message
from .server import DiscordServer


class Quick(Discord):
    """Does not wait for more servers after READY."""

    def options(self) -> dict[str, Any]:
        return super().options() | {"guild_ready_timeout": 0.05}


@dataclass
class RunningBot:
    server: DiscordServer
    settings: Settings
    store: Store
    turns: Turns
    desk: Desk
    task: asyncio.Task[None] | None = None
    ups: list[str] = field(default_factory=list)

    async def answer(self, channel: Channel, text: str, number: int = 0) -> Message:
        """The bot's message with that number (from 0), once it says `text`, with the buttons of an ended answer."""
        return await self.server.until(lambda: self._ended(channel, text, number))

    def _ended(self, channel: Channel, text: str, number: int) -> Message | None:
        said = channel.bot_messages()[number : number + 1]
        return (
            said[0]
            if said and text in said[0].content and any(verb in ("again", "forget") for verb in verbs(said[0]))
            else None
        )

    async def says(self, channel: Channel, text: str) -> Message:
        return await self.server.until(lambda: next((m for m in channel.bot_messages() if text in m.content), None))


def actions(message: Message) -> list[str]:
    return [button["custom_id"] for row in message.components for button in row["components"]]


def verbs(message: Message) -> list[str]:
    return [action.split(":")[1] for action in actions(message)]


def action(message: Message, verb: str) -> str:
    return next(action for action in actions(message) if action.split(":")[1] == verb)


@asynccontextmanager
async def bot_on(
    server: DiscordServer, settings: Settings, model_url: str, *, connect: bool = True
) -> AsyncIterator[RunningBot]:
    store = await Store.open(settings.database, settings.attachments)
    client = ModelClient(model_url)
    personas = load_personas()
    turns = Turns(store, client, settings, personas)
    desk = Desk(turns, store, Privacy([store], settings.attachments), personas, lambda: "ready", "1")
    bot = RunningBot(server, settings, store, turns, desk)
    try:
        desk.recovered(await turns.recover(["discord"]))
        if connect:
            bot.task = asyncio.create_task(Quick(settings, desk).run(bot.ups.append))
            await until(lambda: bot.ups or (bot.task and bot.task.done()))
            assert bot.ups, bot.task
        yield bot
    finally:
        await turns.drain(0)
        await desk.close(0.2)
        if bot.task is not None:
            bot.task.cancel()
            await asyncio.gather(bot.task, return_exceptions=True)
        await client.close()
        await store.close()


def for_discord(settings: Settings, server: DiscordServer, **changes: Any) -> Settings:
    there = {
        "discord_token": SecretStr(server.token),
        "discord_api_url": server.api,
        "discord_gateway_url": server.gateway,
    }
    return settings.model_copy(update=there | changes)


async def until(condition: Callable[[], Any]) -> Any:
    """For what happens in the bot alone; the server's own `until` sees its calls."""
    async with asyncio.timeout(10):
        while not (found := condition()):  # noqa: ASYNC110 (what happens in the bot sets no event)
            await asyncio.sleep(0.005)
    return found


def address(channel: Channel) -> Address:
    if channel.parent is not None:
        return Address("discord", str(channel.parent.id), str(channel.id))
    return Address("discord", str(channel.id))
