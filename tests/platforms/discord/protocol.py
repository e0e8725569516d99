"""Discord's numbers: ids, intents, permissions, channel types, and what one dispatch is."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Payload = dict[str, Any]

DISCORD_EPOCH_MS = 1_420_070_400_000
EPHEMERAL, LOADING, VOICE_MESSAGE, FORWARDED = 1 << 6, 1 << 7, 1 << 13, 1 << 14
REPLY, SLASH_ANSWER, CONTEXT_ANSWER = 19, 20, 23

_count = itertools.count()


def snowflake() -> int:
    """An id that tells its time, as discord.py reads it, and grows with every call."""
    return (int(time.time() * 1000) - DISCORD_EPOCH_MS << 22) | next(_count) % (1 << 22)


def now() -> str:
    return datetime.now(UTC).isoformat()


GUILDS, MEMBERS, PRESENCES, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 1, 1 << 8, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS, MESSAGE_CONTENT = 1 << 12, 1 << 13, 1 << 15
# the application's flag (in its form for small bots) that says that a privileged intent is on
APPLICATION_FLAGS = {PRESENCES: 1 << 13, MEMBERS: 1 << 15, MESSAGE_CONTENT: 1 << 19}
TEXT, DM, THREAD = 0, 1, 11

ADMINISTRATOR, MANAGE_SERVER = 1 << 3, 1 << 5
PERMISSIONS = {
    "add_reactions": 1 << 6,
    "view": 1 << 10,
    "send": 1 << 11,
    "manage_messages": 1 << 13,
    "embed": 1 << 14,
    "attach": 1 << 15,
    "read_history": 1 << 16,
    "create_threads": 1 << 35,
    "send_in_threads": 1 << 38,
}
EVERYONE = sum(bits for name, bits in PERMISSIONS.items() if name != "manage_messages")


@dataclass(frozen=True)
class Event:
    """A dispatch: to sessions with any of the `intent` bits (0: all), as `redacted` to those without message content."""

    name: str
    payload: Payload
    intent: int = 0
    redacted: Payload | None = None
