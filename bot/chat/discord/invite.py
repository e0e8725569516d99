"""The link with which an owner brings the bot into a server: `jnana discord invite`."""

from __future__ import annotations

from collections.abc import Callable

import discord

from bot.chat.discord.client import PORTAL, TOKEN_REFUSED, point_at
from bot.errors import StartError
from bot.settings import Settings

PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    attach_files=True,
    read_message_history=True,
    add_reactions=True,
)

SWITCHES = (
    f"Before that, at {PORTAL} > your bot:",
    "  1. Bot > Privileged Gateway Intents: switch Message Content Intent on (without it the bot reads no messages).",
    "  2. Bot > Authorization Flow: Public Bot on if others may invite it, off if only you; Requires OAuth2 Code Grant off.",
)


def invite_url(application_id: int) -> str:
    return discord.utils.oauth_url(application_id, permissions=PERMISSIONS, scopes=("bot", "applications.commands"))


async def invite(settings: Settings, say: Callable[[str], None]) -> None:
    """Raises StartError when there is no token, or a wrong one."""
    token = settings.discord_token.get_secret_value()
    if not token:
        raise StartError(f"DISCORD_TOKEN is not set: make a bot at {PORTAL} and copy its token to .env")
    point_at(settings)
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        try:
            await client.login(token)
        except discord.LoginFailure:
            raise StartError(TOKEN_REFUSED) from None
        except (OSError, discord.HTTPException) as error:
            raise StartError(f"Discord cannot be reached ({type(error).__name__}); try again later") from None
        application = client.application_id or 0
    for line in (*SWITCHES, "Then open this link and choose a server:", invite_url(application)):
        say(line)
