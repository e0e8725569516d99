"""A person on each platform, with the same few things that all of them can do, so that one test serves all platforms.

A driver is one person in one new conversation. `shows` tells all that is to be seen of the newest answer: what was heard,
what was left out, and the answer itself over as many messages as it takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

from tests.bot.samples import encoded, photo, sound

from .discord.model import Message as DiscordMessage
from .discord.server import DiscordServer
from .telegram.messages import Message as TelegramMessage
from .telegram.server import TelegramServer

PATIENCE = 60.0
"""Seconds until a test gives up waiting; nothing here should take more than a few."""


@dataclass(frozen=True)
class Sent:
    """A file as people send it."""

    name: str
    data: bytes
    mime: str


PHOTO = Sent("photo.jpg", encoded(photo(), "JPEG"), "image/jpeg")
VOICE = Sent("note.ogg", sound(), "audio/ogg")
PAPER = Sent("paper.pdf", b"%PDF-1.7\n%%EOF\n", "application/pdf")


class Driver(Protocol):
    """A person in a conversation of their own."""

    async def ask(self, text: str = "", *files: Sent) -> None: ...

    async def shows(self, words: str = "", *, ended: bool = True) -> str:
        """All that is shown of the newest answer, once these words are in it; `ended`: and nothing more is to come."""
        ...

    async def press(self, verb: str) -> None:
        """The button "stop" or "again" of the newest answer."""
        ...

    def bold(self) -> list[str]:
        """What stands in bold letters in the newest answer."""
        ...

    def answers(self) -> int:
        """How many answers, or pages of one, the newest question has."""
        ...


class OnDiscord:
    """Implements Driver: direct messages."""

    def __init__(self, server: DiscordServer, name: str = "Ada", patience: float = PATIENCE) -> None:
        self.server = server
        self.patience = patience
        self.person = server.user(name)
        self.channel = server.dm(self.person)
        self.before = 0

    async def ask(self, text: str = "", *files: Sent) -> None:
        self.before = len(self.channel.bot_messages())
        if VOICE.mime in [file.mime for file in files]:
            await self.channel.say(self.person, text, voice=(files[0].data, 1.0))
        else:
            await self.channel.say(self.person, text, files=[(file.name, file.data, file.mime) for file in files])

    async def shows(self, words: str = "", *, ended: bool = True) -> str:
        def found() -> str:
            pages = self.pages()
            text = "\n".join(page.content for page in pages)
            return text if pages and words in text and (not ended or "again" in discord_verbs(pages[-1])) else ""

        return await self.server.until(found, self.patience)

    async def press(self, verb: str) -> None:
        page = self.pages()[-1]
        await self.channel.press(self.person, page, discord_verbs(page)[verb])

    def bold(self) -> list[str]:
        return re.findall(r"\*\*(.+?)\*\*", "\n".join(page.content for page in self.pages()))

    def answers(self) -> int:
        return len(self.pages())

    def pages(self) -> list[DiscordMessage]:
        return self.channel.bot_messages()[self.before :]


class OnTelegram:
    """Implements Driver: a private chat. Several files are an album, as Telegram's apps send them."""

    def __init__(self, server: TelegramServer, name: str = "Ann", patience: float = PATIENCE) -> None:
        self.server = server
        self.patience = patience
        self.chat = server.private(name=name)
        self.before = 0

    async def ask(self, text: str = "", *files: Sent) -> None:
        self.before = len(self.chat.bot_messages())
        if not files:
            await self.chat.say(self.chat.owner, text)
        elif len(files) > 1:
            for file, caption in zip(files, [text] + [""] * len(files), strict=False):
                await self._document(file, caption, album_id=f"album-{self.before}")
        elif files[0].mime == VOICE.mime:
            await self.chat.voice(self.chat.owner, files[0].data, 1, text)
        elif files[0].mime.startswith("image/"):
            await self.chat.photo(self.chat.owner, files[0].data, text)
        else:
            await self._document(files[0], text)

    async def _document(self, file: Sent, caption: str, **more: Any) -> None:
        await self.chat.document(self.chat.owner, file.name, file.data, file.mime, caption, **more)

    async def shows(self, words: str = "", *, ended: bool = True) -> str:
        def found() -> str:
            pages = self.pages()
            text = "\n".join(page.text for page in pages)
            return text if pages and words in text and (not ended or "again" in telegram_verbs(pages[-1])) else ""

        return await self.server.until(found, self.patience)

    async def press(self, verb: str) -> None:
        page = self.pages()[-1]
        press = await self.chat.press(self.chat.owner, page, telegram_verbs(page)[verb])
        await press.answered(self.patience)

    def bold(self) -> list[str]:
        return [bold for page in self.pages() for bold in _marked(page, "bold")]

    def answers(self) -> int:
        return len(self.pages())

    def pages(self) -> list[TelegramMessage]:
        return self.chat.bot_messages()[self.before :]


def discord_verbs(message: DiscordMessage) -> dict[str, str]:
    """What the buttons of a message do, and their ids."""
    ids = [button["custom_id"] for row in message.components for button in row["components"]]
    return {custom_id.split(":")[1]: custom_id for custom_id in ids}


def telegram_verbs(message: TelegramMessage) -> dict[str, str]:
    return {button["callback_data"].split(":")[0]: button["callback_data"] for button in message.buttons}


def _marked(message: TelegramMessage, kind: str) -> list[str]:
    """Telegram counts in UTF-16."""
    text = message.text.encode("utf-16-le")
    spans = [(entity["offset"] * 2, entity["length"] * 2) for entity in message.entities if entity["type"] == kind]
    return [text[start : start + length].decode("utf-16-le") for start, length in spans]
