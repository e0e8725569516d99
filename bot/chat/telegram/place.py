"""A chat or topic on Telegram where an answer is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, ReplyParameters
from telegram.constants import ChatAction, MessageLimit, ParseMode, ReactionEmoji
from telegram.error import BadRequest, ChatMigrated, Forbidden, NetworkError, RetryAfter, TelegramError

from bot.chat.base import Address
from bot.chat.pages import utf16_length
from bot.chat.place import Button, Flooded, Gone, Hiccup, PlaceError, Refused, Shut
from bot.chat.telegram.render import render

PLATFORM = "telegram"

PRIVATE_CLOCK, GROUP_CLOCK = 1.0, 3.0
"""Telegram takes a message a second in a chat and 20 a minute in a group, edits included
(https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this)."""

BUSY_SECONDS = 4.0
"""Telegram shows "typing" for five (https://core.telegram.org/bots/api#sendchataction)."""

UNPINGED = "\uff20"
"""The full-width @: Telegram finds names behind the other one in plain text, too."""

SAME = "message is not modified"
BROKEN_HTML = "can't parse entities"
GONE = (
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "message thread not found",
    "topic_closed",
    "topic_deleted",
)
"""Messages, and topics with them; the group goes on."""

DELETED = ("message to delete not found", "message can't be deleted", "message identifier is not specified")
SHUT = (
    "chat not found",
    "not enough rights",
    "have no rights to send",
    "chat_write_forbidden",
    "peer_id_invalid",
    "user_is_blocked",
)
"""What Telegram says of a chat, with 400 instead of 403."""

ROW, ROW_AT_MOST = 2, 3
"""Buttons beside each other where there are many, and at most: on a phone more are cut short."""

T = TypeVar("T")
Moved = Callable[[str, str], Awaitable[None]]
"""Told the old and the new id of a group that became a supergroup."""


class TelegramPlace:
    """Implements `bot.chat.place.Place`. `person`: whom `send_file` reaches."""

    limit = int(MessageLimit.MAX_TEXT_LENGTH)
    busy_seconds = BUSY_SECONDS

    def __init__(self, bot: Bot, address: Address, message_id: str, moved: Moved, *, person: str = "") -> None:
        self._bot = bot
        self._address = address
        self._message_id = message_id
        self._moved = moved
        self._person = person
        self._sent_again: dict[str, str] = {}
        """New ids of messages that stayed behind when the group moved."""

    @property
    def address(self) -> Address:
        return self._address

    @property
    def clock(self) -> float:
        return GROUP_CLOCK if is_group(self._address.chat_id) else PRIVATE_CLOCK

    def length(self, text: str) -> int:
        return utf16_length(text)

    async def acknowledge(self) -> None:
        if self._message_id.isdecimal():
            with contextlib.suppress(PlaceError):  # groups choose which reactions they allow
                await self._do(
                    lambda: self._bot.set_message_reaction(self._chat, int(self._message_id), reaction=ReactionEmoji.EYES)
                )

    async def busy(self) -> None:
        await self._do(
            lambda: self._bot.send_chat_action(self._chat, ChatAction.TYPING, message_thread_id=thread_of(self._address))
        )

    async def send(self, text: str, buttons: Sequence[Button] = ()) -> str:
        message = await self._rendered(
            text,
            lambda shown, mode: self._bot.send_message(
                self._chat,
                shown,
                parse_mode=mode,
                message_thread_id=thread_of(self._address),
                reply_parameters=self._replying(),
                reply_markup=keyboard(buttons),
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            ),
        )
        return str(message.message_id)

    async def edit(self, message_id: str, text: str, buttons: Sequence[Button] = ()) -> str | None:
        before = self._address
        try:
            await self._rendered(
                text,
                lambda shown, mode: self._bot.edit_message_text(
                    shown,
                    self._chat,
                    int(self._sent_again.get(message_id, message_id)),
                    parse_mode=mode,
                    reply_markup=keyboard(buttons),
                    link_preview_options=LinkPreviewOptions(is_disabled=True),
                ),
            )
        except Gone:
            if self._address == before:
                raise
            self._sent_again[message_id] = await self.send(text, buttons)
            return self._sent_again[message_id]
        except Refused as error:
            if SAME not in str(error).lower():
                raise
        return None

    async def delete(self, message_id: str) -> None:
        try:
            await self._do(lambda: self._bot.delete_message(self._chat, int(self._sent_again.get(message_id, message_id))))
        except Refused as error:
            if not any(words in str(error).lower() for words in DELETED):
                raise

    async def send_file(self, name: str, data: bytes, text: str) -> bool:
        if not self._person:
            return False
        try:
            await self._do(lambda: self._bot.send_document(int(self._person), data, caption=text, filename=name))
        except (Shut, Refused):  # bots cannot write first, and people block them
            return False
        return True

    async def send_picture(self, name: str, data: bytes, text: str) -> None:
        await self._rendered(
            text,
            lambda shown, mode: self._bot.send_photo(
                self._chat,
                data,
                caption=shown,
                parse_mode=mode,
                message_thread_id=thread_of(self._address),
                filename=name,
            ),
        )

    # --- Inside ---

    @property
    def _chat(self) -> int:
        return int(self._address.chat_id)

    def _replying(self) -> ReplyParameters | None:
        if not self._message_id.isdecimal():
            return None
        return ReplyParameters(int(self._message_id), allow_sending_without_reply=True)

    async def _rendered(self, text: str, call: Callable[[str, str | None], Awaitable[Any]]) -> Any:
        """As HTML; as it is if Telegram cannot read that. Nothing else makes it be sent twice."""
        try:
            return await self._do(lambda: call(render(text), ParseMode.HTML))
        except Refused as error:
            if BROKEN_HTML not in str(error).lower():
                raise
        return await self._do(lambda: call(text.replace("@", UNPINGED), None))

    async def _do(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except ChatMigrated as migrated:
            old, new = self._address.chat_id, str(migrated.new_chat_id)
        except TelegramError as error:
            raise place_error(error, self._bot.token) from None
        await self._moved(old, new)
        self._address = replace(self._address, chat_id=new)
        try:
            return await call()
        except TelegramError as error:
            raise place_error(error, self._bot.token) from None


def place_error(error: TelegramError, token: str) -> PlaceError:
    """What a refusal of Telegram's means."""
    said = error.message.replace(token, "(token)")
    if isinstance(error, RetryAfter):
        after = error.retry_after
        return Flooded(after.total_seconds() if isinstance(after, timedelta) else float(after))
    if isinstance(error, Forbidden):
        return Shut(said)
    if isinstance(error, BadRequest):  # by python-telegram-bot's reckoning a NetworkError
        if any(words in said.lower() for words in GONE):
            return Gone(said)
        return Shut(said) if any(words in said.lower() for words in SHUT) else Refused(said)
    if isinstance(error, NetworkError):
        return Hiccup(said)
    return Refused(said)


def keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    made = [InlineKeyboardButton(button.label, callback_data=button.action) for button in buttons]
    wide = ROW if len(made) > ROW_AT_MOST else ROW_AT_MOST
    return InlineKeyboardMarkup([made[at : at + wide] for at in range(0, len(made), wide)]) if made else None


def is_group(chat_id: str) -> bool:
    """Groups have negative ids, private chats that of their person (https://core.telegram.org/bots/api#chat)."""
    return chat_id.startswith("-")


def thread_of(address: Address) -> int | None:
    return int(address.thread_id) if address.thread_id else None
