"""A Telegram message, or the messages of an album, as the bot understands it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from telegram import Bot, ExternalReplyInfo, Message, User
from telegram.constants import FileSizeLimit, MessageEntityType
from telegram.error import BadRequest, NetworkError

from bot.calling import Heard, Quoted
from bot.chat.base import Address, Incoming, IncomingFile, Sender
from bot.chat.telegram.place import PLATFORM
from bot.commands import COMMANDS
from bot.errors import MediaRefused
from bot.texts import LANGUAGES, say, text

COMMAND = re.compile(r"/([a-z0-9_]{1,32})(?:@(\w+))?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)
"""https://core.telegram.org/bots/features#commands; "/usr/bin" is none."""

WISH = re.compile(r"(.+) #(\d+)", re.DOTALL)
"""The end of our question for a better answer, with the turn that it is about."""

TOO_BIG = "file is too big"
DOWNLOAD_PAUSES = (0.5, 2.0)
"""Seconds before a file that could not be fetched is asked for again."""

Source = Message | ExternalReplyInfo


@dataclass(frozen=True, slots=True)
class Understood:
    """`command`: one of `COMMANDS`, "" if there is none. `better_for`: the turn for which this is a better answer."""

    heard: Heard
    command: str = ""
    argument: str = ""
    better_for: int | None = None


class Hearing:
    """`me`: the bot's own account. `own_chats`: entries of OWN_CHATS. `unlimited`: an API server of our own hands out files of
    any size."""

    def __init__(self, bot: Bot, me: User, own_chats: Collection[str], *, unlimited: bool) -> None:
        self._bot = bot
        self._me = me
        self._own_chats = frozenset(own_chats)
        self._limit = None if unlimited else int(FileSizeLimit.FILESIZE_DOWNLOAD)

    def understand(self, messages: Sequence[Message]) -> Understood | None:
        """One message, or an album. None: nothing in it concerns us, whoever is meant."""
        first = next((message for message in messages if message.caption), messages[0])
        sender = first.from_user
        if sender is None or self._is_machine(first):
            return None
        group = first.chat.type != first.chat.PRIVATE
        files = [file for message in messages for file in self._files(message)]
        written = first.text or first.caption or ""
        if not written and not files and (group or first.effective_attachment is None):
            return None  # a contact, a place, somebody who joined
        words, mentioned = self._without_mention(first)
        command, argument = self._command(words, private=not group)
        if command is None:
            return None
        replied = next((message for message in messages if message.reply_to_message or message.external_reply), first)
        incoming = Incoming(
            address_of(first),
            sender_of(sender),
            argument if command else words,
            files,
            group=group,
            message_id=str(first.message_id),
        )
        heard = Heard(
            incoming,
            mentioned=mentioned,
            our_place=self._is_our_place(first),
            command=bool(command),
            quoted=self._quoted(replied),
        )
        return Understood(heard, command, argument, None if command else self._wish(replied))

    def _is_machine(self, message: Message) -> bool:
        """Bots, and channels and groups that write as themselves: nobody is there who could be answered."""
        sender, through = message.from_user, message.via_bot
        if sender is None or sender.is_bot or message.sender_chat is not None or message.is_automatic_forward:
            return True
        return through is not None and through.id == self._me.id

    # --- What is meant ---

    def _without_mention(self, message: Message) -> tuple[str, bool]:
        """The words without our name, and whether it was among them."""
        written = message.text or message.caption or ""
        found = message.parse_entities() if message.text else message.parse_caption_entities()
        name = f"@{self._me.username}".lower()
        spans = [
            (entity.offset, entity.length)
            for entity, words in found.items()
            if (entity.type == MessageEntityType.MENTION and words.lower() == name)
            or (entity.type == MessageEntityType.TEXT_MENTION and entity.user is not None and entity.user.id == self._me.id)
        ]
        return _cut(written, spans), bool(spans)

    def _command(self, words: str, *, private: bool) -> tuple[str | None, str]:
        """The command's name and argument; "" if there is none, None if the message is for another bot or for nobody."""
        match = COMMAND.fullmatch(words)
        if match is None:
            return "", ""
        name, to, argument = match[1].lower(), match[2], (match[3] or "").strip()
        if to and to.lower() != (self._me.username or "").lower():
            return None, ""
        if name in COMMANDS:
            return name, argument
        return ("help" if private or name == "start" else None), ""

    def _is_our_place(self, message: Message) -> bool:
        chat = f"{PLATFORM}:chat:{message.chat_id}"
        if chat in self._own_chats:
            return True
        if not message.is_topic_message:
            return False
        root = message.reply_to_message
        ours = root is not None and root.forum_topic_created is not None and self._is_me(root.from_user)
        return ours or f"{chat}/{message.message_thread_id}" in self._own_chats

    # --- What is replied to ---

    def _quoted(self, message: Message) -> Quoted | None:
        partly = message.quote.text if message.quote else ""
        if message.external_reply is not None:
            return Quoted(partly, tuple(self._files(message.external_reply)))
        replied = _replied(message)
        if replied is None:
            return None
        said = partly or replied.text or replied.caption or ""
        return Quoted(said, tuple(self._files(replied)), ours=self._is_me(replied.from_user))

    def _wish(self, message: Message) -> int | None:
        """The turn of our question for a better answer, if that is what is replied to. It is in the text: so a restart is no
        matter."""
        replied = _replied(message)
        if replied is None or not self._is_me(replied.from_user):
            return None
        match = WISH.fullmatch(replied.text or "")
        return int(match[2]) if match and any(match[1].endswith(wish) for wish in _wishes()) else None

    def _is_me(self, user: User | None) -> bool:
        return user is not None and user.id == self._me.id

    # --- Files ---

    def _files(self, source: Source) -> Iterator[IncomingFile]:
        if source.photo:
            yield self._file("photo.jpg", source.photo[-1])  # Telegram lists the largest size last
        if source.document and not source.animation:  # old clients get animations as documents, too
            yield self._file(source.document.file_name or "file", source.document)
        if source.sticker and not source.sticker.is_animated and not source.sticker.is_video:
            yield self._file("sticker.webp", source.sticker)
        if source.voice:
            yield self._file("voice.ogg", source.voice)
        if source.audio:
            yield self._file(source.audio.file_name or "audio", source.audio)
        if source.video:
            yield self._file(source.video.file_name or "video.mp4", source.video)
        if source.video_note:
            yield self._file("video.mp4", source.video_note)
        if source.animation:
            yield self._file(source.animation.file_name or "animation.mp4", source.animation)

    def _file(self, name: str, medium: Any) -> IncomingFile:
        """`medium`: anything with a `file_id`."""
        return IncomingFile(name, medium.file_size, self._fetcher(name, medium.file_id, medium.file_size), limit=self._limit)

    def _fetcher(self, name: str, file_id: str, size: int | None) -> Callable[[], Awaitable[bytes]]:
        async def fetch() -> bytes:
            for pause in (*DOWNLOAD_PAUSES, None):
                try:
                    return bytes(await (await self._bot.get_file(file_id)).download_as_bytearray())
                except BadRequest as error:
                    if TOO_BIG not in error.message.lower():
                        raise
                    limit = int(FileSizeLimit.FILESIZE_DOWNLOAD)
                    shown = f"{max(size or 0, limit) / 2**20:.0f}"
                    raise MediaRefused(text("file-too-large", name=name, size=shown, limit=limit // 2**20)) from None
                except NetworkError:
                    if pause is None:
                        raise
                    await asyncio.sleep(pause)
            raise AssertionError("the last attempt returns or raises")

        return fetch


def address_of(message: Message) -> Address:
    """Only topics are conversations of their own: replies in ordinary groups carry a thread id as well."""
    thread = message.message_thread_id if message.is_topic_message else None
    return Address(PLATFORM, str(message.chat_id), "" if thread is None else str(thread))


def sender_of(user: User) -> Sender:
    return Sender(str(user.id), user.full_name, user.language_code or "")


def _replied(message: Message) -> Message | None:
    """The message that a person replied to. In topics, every message replies to the one that made the topic."""
    replied = message.reply_to_message
    if replied is None or replied.forum_topic_created is not None:
        return None
    root = message.is_topic_message and replied.message_id == message.message_thread_id
    return None if root else replied


def _wishes() -> list[str]:
    return [say(language, "better-reply") for language in LANGUAGES]


def _cut(written: str, spans: Sequence[tuple[int, int]]) -> str:
    """Without these spans, which count in UTF-16 units (https://core.telegram.org/api/entities#entity-length)."""
    data = written.encode("utf-16-le")
    for offset, length in sorted(spans, reverse=True):
        before, after = data[: offset * 2].decode("utf-16-le"), data[(offset + length) * 2 :].decode("utf-16-le")
        # "@bot: hello", "Hey @bot, what is this?" and "Well, @bot?" read on without a hole.
        after = after.lstrip(" ,:") if not before.strip() else after
        before = before.rstrip(" ,") if after[:1] in tuple(",.:;!?") else before.rstrip(" ") if after[:1] == " " else before
        data = (before + after).encode("utf-16-le")
    return data.decode("utf-16-le").strip()
