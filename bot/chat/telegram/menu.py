"""The commands as Telegram lists them, in every language that we speak."""

from __future__ import annotations

from pathlib import Path

import structlog
from telegram import Bot, BotCommand
from telegram.error import TelegramError

from bot.chat.registered import Registered
from bot.commands import COMMANDS
from bot.texts import DEFAULT, LANGUAGES, say

FILE = "telegram-commands.json"
"""In JNANA_HOME: what was set last. Telegram keeps it, and floods bots that set it at each start."""

log = structlog.get_logger(__name__)


async def set_commands(bot: Bot, home: Path) -> None:
    """Tell Telegram the commands, if they have changed. That it takes none is no reason not to answer people."""
    menus = {
        code: [(name, say(code or DEFAULT, command.description)) for name, command in COMMANDS.items()]
        for code in ("", *LANGUAGES)
    }
    registered = Registered(home / FILE, bot.id, menus)
    if await registered.is_current():
        return
    try:
        for code, menu in menus.items():
            await bot.set_my_commands([BotCommand(name, what) for name, what in menu], language_code=code or None)
        await registered.note()
    except (TelegramError, OSError) as error:
        log.warning("commands not set", error=type(error).__name__)
