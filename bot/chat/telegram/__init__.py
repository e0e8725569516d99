"""The Telegram adapter (https://core.telegram.org/bots/api), on python-telegram-bot's client without its dispatcher."""

from bot.chat.telegram.client import Telegram

__all__ = ["Telegram"]
