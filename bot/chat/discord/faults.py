"""What goes wrong at Discord, in the words of `bot.chat.place`.

Codes: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import discord

from bot.chat.place import Flooded, Gone, Hiccup, Refused, Shut

REQUEST_SECONDS = 90.0
"""The longest that a request may take, with discord.py's own retries and its waiting for up to 30 s of flood control."""

BANNED_SECONDS = 60.0
"""Pause after a 429 that does not say how long: Cloudflare's answer to too many invalid requests."""

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
ALREADY_ACKNOWLEDGED = 40060
MISSING_ACCESS, CANNOT_DM, MISSING_PERMISSIONS, TOKEN_EXPIRED = 50001, 50007, 50013, 50027
NO_HISTORY = 160002
"""Replying needs the permission to read the history."""

SHUT = (UNKNOWN_CHANNEL, MISSING_ACCESS, CANNOT_DM, MISSING_PERMISSIONS)
EXPIRED = (UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION, TOKEN_EXPIRED)
"""An interaction whose three seconds or fifteen minutes are over."""


@asynccontextmanager
async def plain_errors() -> AsyncIterator[None]:
    """Raises `PlaceError` instead of what discord.py and aiohttp raise; their texts may hold addresses with tokens."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            yield
    except discord.RateLimited as error:
        raise Flooded(error.retry_after) from None
    except discord.HTTPException as error:
        raise translated(error) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Hiccup(type(error).__name__) from None
    except RuntimeError as error:  # "Session is closed": the connection is being made anew
        raise Hiccup(type(error).__name__) from None


def translated(error: discord.HTTPException) -> Flooded | Gone | Hiccup | Refused | Shut:
    said = f"Discord's error {error.code} ({error.status})"
    if error.code == UNKNOWN_MESSAGE or error.code in EXPIRED:
        return Gone(said)
    if error.code in SHUT or isinstance(error, discord.Forbidden):
        return Shut(said)
    if error.status == 429:
        return Flooded(BANNED_SECONDS)
    return Hiccup(said) if error.status >= 500 else Refused(said)
