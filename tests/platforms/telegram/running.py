"""The bot on the loopback Telegram, in this process: the real store, turns, desk and adapter, and a fake model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from bot.chat.base import Address
from bot.chat.telegram import Telegram
from bot.desk import Desk
from bot.privacy import Privacy
from bot.settings import Settings
from bot.store import Store
from bot.turn import Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.platforms.telegram.chat import Chat
from tests.platforms.telegram.messages import Answer, Message, Person
from tests.platforms.telegram.server import TelegramServer


@dataclass
class Running:
    """`said`: lines for the owner. `task`: the connection."""

    server: TelegramServer
    model: FakeModel
    settings: Settings
    store: Store
    desk: Desk
    telegram: Telegram
    task: asyncio.Task[None]
    said: list[str] = field(default_factory=list)

    async def shows(self, chat: Chat, words: str, *, ended: bool = True) -> Message:
        """The newest message of the bot's that has these words, `ended` with the buttons of an answer that has ended."""

        def found() -> Message | None:
            for message in reversed(chat.bot_messages()):
                if words in message.text and (not ended or any(a.startswith("again:") for a in actions(message))):
                    return message
            return None

        message = await self.server.until(found)
        assert message is not None
        return message

    async def answers(self, chat: Chat, person: Person, text: str, words: str, *, shown: str = "", **how: Any) -> Message:
        """Ask, and have it answered with these words, which read `shown` without their Markdown."""
        self.model.say(words)
        await chat.say(person, text, **how)
        return await self.shows(chat, shown or words)

    async def told(self, chat: Chat, words: str) -> Message:
        """A message without an answer's buttons."""
        return await self.shows(chat, words, ended=False)

    async def press(self, chat: Chat, person: Person, message: Message, verb: str) -> Answer:
        press = await chat.press(person, message, next(data for data in actions(message) if data.startswith(f"{verb}:")))
        return await press.answered()

    @property
    def questions(self) -> list[str]:
        """The newest question of every chat request, its words only."""
        return [_words(chat["messages"][-1]["content"]) for chat in self.model.chats]

    def pictures(self, number: int = -1) -> int:
        content = self.model.chats[number]["messages"][-1]["content"]
        return 0 if isinstance(content, str) else sum(part["type"] == "image_url" for part in content)


def actions(message: Message) -> list[str]:
    return [button["callback_data"] for button in message.buttons]


def _words(content: Any) -> str:
    return content if isinstance(content, str) else " ".join(part["text"] for part in content if part["type"] == "text")


def address(chat: Chat, topic: int | None = None) -> Address:
    return Address("telegram", str(chat.id), "" if topic is None else str(topic))


def on(server: TelegramServer, settings: Settings, **more: Any) -> Settings:
    """The settings of a bot on this server."""
    token = SecretStr(server.token)
    return settings.model_copy(update={"telegram_token": token, "telegram_api_url": server.url} | more)


@asynccontextmanager
async def running(
    server: TelegramServer, model: FakeModel, settings: Settings, *, ready: bool = True, **options: Any
) -> AsyncIterator[Running]:
    """As bot.app puts it together; `ready`: wait until it is connected. Leaving it is being stopped without any time."""
    store = await Store.open(settings.database, settings.attachments)
    client = ModelClient(model.url)
    turns = Turns(store, client, settings)
    desk = Desk(turns, store, Privacy([store], settings.attachments), {"poet": "Rhyme."}, lambda: "ready", "1.0")
    desk.recovered(await turns.recover(["telegram"]))
    telegram = Telegram(settings, desk, **options)
    said: list[str] = []
    task = asyncio.create_task(telegram.run(said.append))
    try:
        if ready:
            await server.until(lambda: said or task.done())
            assert not task.done(), task.exception()
        yield Running(server, model, settings, store, desk, telegram, task, said)
    finally:
        await turns.drain(0)
        await desk.close(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()
        await store.close()
