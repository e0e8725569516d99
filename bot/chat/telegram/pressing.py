"""Buttons and reactions: what they mean is decided by the desk; here it is asked, and told to the person."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Sequence

import structlog
from telegram import (
    Bot,
    CallbackQuery,
    ForceReply,
    Message,
    MessageReactionUpdated,
    ReactionType,
    ReactionTypeEmoji,
    ReplyParameters,
)
from telegram.constants import CallbackQueryLimit, ParseMode
from telegram.error import BadRequest, TelegramError

from bot.chat.base import Address
from bot.chat.place import PlaceError
from bot.chat.telegram.hearing import address_of, sender_of
from bot.chat.telegram.members import Members
from bot.chat.telegram.place import PLATFORM, is_group, thread_of
from bot.desk import Desk
from bot.presses import MakePlace, Presser
from bot.reactions import Reacted, react
from bot.texts import say

TOO_LATE = ("query is too old", "query_id_invalid", "query id is invalid")

log = structlog.get_logger(__name__)


class Pressing:
    def __init__(self, bot: Bot, desk: Desk, members: Members, make_place: MakePlace) -> None:
        self._bot = bot
        self._desk = desk
        self._members = members
        self._make_place = make_place

    async def press(self, query: CallbackQuery) -> None:
        message, action = query.message, query.data
        if message is None or not action:
            await self._answer(query, "")
            return
        # Of messages that are too old to be seen, Telegram tells only the chat.
        address = address_of(message) if isinstance(message, Message) else Address(PLATFORM, str(message.chat.id))
        sender = sender_of(query.from_user)
        admin = await self._members.is_admin(address, sender)
        presser = Presser(address, sender, admin, community_admin=admin)
        pressed = await self._desk.press(action, presser, self._make_place)
        if pressed.instead is not None:
            with contextlib.suppress(PlaceError):
                place = self._make_place(address, "")
                await place.edit(str(message.message_id), pressed.instead.words, pressed.instead.buttons)
                await self._answer(query, "")
                return
        await self._answer(query, pressed.instead.words if pressed.instead else pressed.toast)
        if pressed.better is not None:
            await self._ask_for_better(presser, message.message_id, pressed.better)

    async def react(self, change: MessageReactionUpdated) -> None:
        """Topics are not named. Who reacts as a channel or an anonymous admin is nobody."""
        user = change.user
        if user is None or user.is_bot:
            return
        before, after = _emoji(change.old_reaction), _emoji(change.new_reaction)
        sender = sender_of(user)
        disliked = await react(
            self._desk, Reacted(PLATFORM, str(change.chat.id), str(change.message_id), sender, before, after)
        )
        if disliked is not None:
            await self._ask_for_better(Presser(disliked.address, sender), change.message_id, disliked.turn_id)

    async def _answer(self, query: CallbackQuery, toast: str) -> None:
        try:
            await query.answer(toast[: int(CallbackQueryLimit.ANSWER_CALLBACK_QUERY_TEXT_LENGTH)] or None)
        except BadRequest as error:
            if not any(words in error.message.lower() for words in TOO_LATE):
                log.info("press not answered", error=error.message)
        except TelegramError as error:
            log.info("press not answered", error=type(error).__name__)

    async def _ask_for_better(self, presser: Presser, message_id: int, turn_id: int) -> None:
        """A question that opens the person's reply field. In a group it names them, or it would open nobody's
        (https://core.telegram.org/bots/api#forcereply, `selective`)."""
        language = await self._desk.language_of(PLATFORM, presser.sender)
        words = html.escape(f"{say(language, 'better-reply')} #{turn_id}")
        group = is_group(presser.address.chat_id)
        if group:
            name = html.escape(presser.sender.name)
            words = f'<a href="tg://user?id={presser.sender.platform_id}">{name}</a>\n{words}'
        try:
            await self._bot.send_message(
                int(presser.address.chat_id),
                words,
                parse_mode=ParseMode.HTML,
                message_thread_id=thread_of(presser.address),
                reply_parameters=ReplyParameters(message_id, allow_sending_without_reply=True),
                reply_markup=ForceReply(selective=group),
            )
        except TelegramError as error:
            log.info("not asked for a better answer", error=type(error).__name__)


def _emoji(reactions: Sequence[ReactionType]) -> tuple[str, ...]:
    """Custom and paid ones are nothing that everybody reads alike."""
    return tuple(one.emoji for one in reactions if isinstance(one, ReactionTypeEmoji))
