"""Who may manage a group, as Telegram says."""

from __future__ import annotations

import asyncio

import structlog
from telegram import Bot
from telegram.constants import ChatMemberStatus
from telegram.error import TelegramError

from bot.chat.base import Address, Sender
from bot.chat.telegram.place import is_group

REMEMBERED_SECONDS = 300.0
"""How long an answer of Telegram's holds: somebody who presses buttons is not looked up each time."""

REMEMBERED_PEOPLE = 1000

log = structlog.get_logger(__name__)


class Members:
    """Asked only when somebody gives a command or presses a button."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}

    async def is_admin(self, address: Address, sender: Sender) -> bool:
        """Of the group; False in private chats, where nobody needs to be one, and if Telegram does not say."""
        if not is_group(address.chat_id):
            return False
        key, now = (address.chat_id, sender.platform_id), asyncio.get_running_loop().time()
        if key in self._known and self._known[key][0] > now:
            return self._known[key][1]
        try:
            member = await self._bot.get_chat_member(int(address.chat_id), int(sender.platform_id))
        except TelegramError as error:
            log.info("member not looked up", error=type(error).__name__)
            return False
        admin = member.status in (ChatMemberStatus.ADMINISTRATOR, ChatMemberStatus.OWNER)
        if len(self._known) >= REMEMBERED_PEOPLE:
            self._known.clear()
        self._known[key] = (now + REMEMBERED_SECONDS, admin)
        return admin
