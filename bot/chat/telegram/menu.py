"""The commands as Telegram lists them, in every language that we speak."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import structlog
from telegram import Bot, BotCommand
from telegram.error import TelegramError

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
    digest = hashlib.sha256(json.dumps([bot.id, menus], ensure_ascii=False).encode()).hexdigest()
    file = home / FILE
    if await asyncio.to_thread(_read, file) == digest:
        return
    try:
        for code, menu in menus.items():
            await bot.set_my_commands([BotCommand(name, what) for name, what in menu], language_code=code or None)
    except TelegramError as error:
        log.warning("commands not set", error=type(error).__name__)
        return
    await asyncio.to_thread(file.write_text, json.dumps({"commands": digest}), "utf-8")


def _read(file: Path) -> str:
    try:
        return str(json.loads(file.read_text("utf-8"))["commands"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
