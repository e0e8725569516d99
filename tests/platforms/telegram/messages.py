"""What lies in a chat: people, files, messages, and buttons that somebody pressed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.platforms.telegram.text import Json

if TYPE_CHECKING:
    from tests.platforms.telegram.chat import Chat


@dataclass(frozen=True)
class Person:
    id: int
    name: str
    username: str | None = None
    language_code: str | None = None
    is_bot: bool = False

    def json(self) -> Json:
        optional = {"username": self.username, "language_code": self.language_code}
        user = {"id": self.id, "is_bot": self.is_bot, "first_name": self.name}
        return user | {key: value for key, value in optional.items() if value}


@dataclass(frozen=True)
class StoredFile:
    """`size` is what Telegram announces; a test may let it differ from the bytes."""

    id: str
    unique_id: str
    path: str
    data: bytes
    size: int

    def json(self) -> Json:
        return {"file_id": self.id, "file_unique_id": self.unique_id, "file_size": self.size}


@dataclass(frozen=True)
class Edit:
    at: float
    text: str
    markup: Json | None


@dataclass(eq=False)
class Message:
    """Text and entities are the caption's where there is a file."""

    chat: Chat
    id: int
    sender: Person
    text: str = ""
    entities: list[Json] = field(default_factory=list)
    markup: Json | None = None
    reply_to: Message | None = None
    thread: int | None = None
    content: Json = field(default_factory=dict)  # photo, voice, a service message …: fields as Telegram sends them
    file: StoredFile | None = None
    forwarded: Json = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    reactions: list[str] = field(default_factory=list)
    deleted: bool = False
    at: float = field(default_factory=time.monotonic)
    date: int = field(default_factory=lambda: int(time.time()))

    @property
    def from_bot(self) -> bool:
        return self.sender.is_bot

    @property
    def buttons(self) -> list[Json]:
        return [button for row in (self.markup or {}).get("inline_keyboard", []) for button in row]

    def json(self, *, nested: bool = False) -> Json:
        """As the Bot API shows it: one level of replies, and of keyboards only the inline one."""
        body: Json = {"message_id": self.id, "date": self.date, "chat": self.chat.json(), "from": self.sender.json()}
        text, entities = ("caption", "caption_entities") if self.content else ("text", "entities")
        if self.text:
            body[text] = self.text
        if self.entities:
            body[entities] = self.entities
        if self.buttons:
            body["reply_markup"] = self.markup
        if self.thread is not None:
            body["message_thread_id"] = self.thread
            if self.thread in self.chat.topics:
                body["is_topic_message"] = True
        if self.edits:
            body["edit_date"] = self.date
        if self.reply_to is not None and not self.reply_to.deleted and not nested:
            body["reply_to_message"] = self.reply_to.json(nested=True)
        return body | self.content | self.forwarded

    def rewrite(self, text: str, entities: list[Json], markup: Json | None) -> None:
        self.text, self.entities, self.markup = text, entities, markup
        self.edits.append(Edit(time.monotonic(), text, markup))


@dataclass(frozen=True)
class Answer:
    """What the presser of a button is shown."""

    text: str
    show_alert: bool


@dataclass(eq=False)
class Press:
    """A pressed button; the bot may answer it once, until it expires."""

    id: str
    message: Message
    data: str
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    expired: bool = False

    def expire(self) -> None:
        self.expired = True

    async def answered(self, timeout: float = 10) -> Answer:  # noqa: ASYNC109 - a test says how long it waits
        return await asyncio.wait_for(asyncio.shield(self.answer), timeout)
