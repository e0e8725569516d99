"""Discord as a chat platform. Translates between discord.py and `bot.desk`; decides nothing."""

from bot.chat.discord.client import Discord

__all__ = ["Discord"]
