"""The world behind the wire: who and what exists. Setting a scene (`channel`, `member`, `kick_bot`) is a plain call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .channel import Channel
from .interactions import SLASH, Interaction
from .model import Attachment, Message, User
from .protocol import (
    ADMINISTRATOR,
    APPLICATION_FLAGS,
    DM,
    EVERYONE,
    GUILDS,
    MEMBERS,
    TEXT,
    THREAD,
    Event,
    Payload,
    now,
    snowflake,
)


@dataclass
class World:
    """All that exists, and who wants to hear of what happens in it."""

    clock: Callable[[], float] = time.monotonic
    url: str = ""
    bot: User = field(default_factory=lambda: User("jnana", bot=True))
    disallowed_intents: int = 0
    users: dict[int, User] = field(default_factory=dict)
    guilds: dict[int, Guild] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    attachments: dict[int, Attachment] = field(default_factory=dict)
    interactions: dict[str, Interaction] = field(default_factory=dict)
    commands: list[Payload] = field(default_factory=list)
    guild_commands: dict[int, list[Payload]] = field(default_factory=dict)
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    change: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.users[self.bot.id] = self.bot

    @property
    def gateway_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/gateway"

    @property
    def application_flags(self) -> int:
        """Tells a bot which privileged intents are on in the developer portal."""
        return sum(flag for intent, flag in APPLICATION_FLAGS.items() if not intent & self.disallowed_intents)

    def changed(self) -> None:
        self.change.set()

    def dispatch(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)
        self.changed()

    def command(self, kind: int, name: str, guild: Guild | None) -> Payload:
        """The registered command, as a person would find it in the menu."""
        known = [*self.commands, *(self.guild_commands.get(guild.id, []) if guild else [])]
        for command in known:
            if command["name"] == name and command.get("type", SLASH) == kind:
                return command
        raise AssertionError(f"no command {name!r} of type {kind} is registered; there are {[c['name'] for c in known]}")

    def dm(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        return Channel(self, name="", type=DM, recipient=user)


@dataclass(eq=False)
class Role:
    name: str
    permissions: int = 0
    id: int = field(default_factory=snowflake)

    def payload(self) -> Payload:
        looks = {"color": 0, "colors": {"primary_color": 0}, "hoist": False, "position": 0, "managed": False}
        rights = {"permissions": str(self.permissions), "mentionable": True, "flags": 0}
        return {"id": str(self.id), "name": self.name, **looks, **rights}


@dataclass(eq=False)
class Member:
    user: User
    guild: Guild
    roles: tuple[Role, ...] = ()

    @property
    def permissions(self) -> int:
        bits = EVERYONE
        for role in self.roles:
            bits |= role.permissions
        return bits

    def payload(self, *, with_user: bool = True) -> Payload:
        payload: Payload = {
            "nick": None,
            "avatar": None,
            "roles": [str(role.id) for role in self.roles],
            "joined_at": self.guild.created,
            "deaf": False,
            "mute": False,
            "flags": 0,
            "pending": False,
        }
        return {**payload, "user": self.user.payload()} if with_user else payload


@dataclass(eq=False)
class Guild:
    """A server that the bot is in, until `kick_bot`."""

    world: World
    name: str
    id: int = field(default_factory=snowflake)
    members: dict[int, Member] = field(default_factory=dict)
    roles: list[Role] = field(default_factory=list)
    created: str = field(default_factory=now)

    def __post_init__(self) -> None:
        self.roles.append(Role("@everyone", EVERYONE, self.id))
        self.members[self.world.bot.id] = Member(self.world.bot, self)
        self.invite_bot()

    @property
    def channels(self) -> list[Channel]:
        return [channel for channel in self.world.channels.values() if channel.guild is self]

    def channel(self, name: str) -> Channel:
        channel = Channel(self.world, name, guild=self)
        self.world.dispatch(Event("CHANNEL_CREATE", channel.payload(), GUILDS))
        return channel

    def thread(self, channel: Channel, owner: User, name: str = "thread", message: Message | None = None) -> Channel:
        """A public thread; one that starts at `message` has its id."""
        id_ = message.id if message is not None else snowflake()
        thread = Channel(self.world, name, THREAD, id_, guild=self, parent=channel, owner=owner)
        self.world.dispatch(Event("THREAD_CREATE", {**thread.payload(), "newly_created": True}, GUILDS))
        return thread

    def role(self, name: str, permissions: int = 0) -> Role:
        role = Role(name, permissions)
        self.roles.append(role)
        self.world.dispatch(Event("GUILD_ROLE_CREATE", {"guild_id": str(self.id), "role": role.payload()}, GUILDS))
        return role

    def member(self, user: User, roles: Sequence[Role] = (), *, administrator: bool = False) -> Member:
        if administrator:
            roles = (*roles, self.role("administrators", ADMINISTRATOR))
        member = self.members[user.id] = Member(user, self, tuple(roles))
        joined = {**member.payload(), "guild_id": str(self.id)}
        self.world.dispatch(Event("GUILD_MEMBER_ADD", joined, MEMBERS))
        return member

    def entered(self, user: User) -> Member:
        """Who acts in a guild is a member of it."""
        return self.members.get(user.id) or self.member(user)

    def invite_bot(self) -> None:
        """The bot joins, or the guild is back after an outage."""
        self.world.guilds[self.id] = self
        self.world.dispatch(Event("GUILD_CREATE", self.event(), GUILDS))

    def kick_bot(self) -> None:
        del self.world.guilds[self.id]
        self.world.dispatch(Event("GUILD_DELETE", {"id": str(self.id)}, GUILDS))

    def outage(self) -> None:
        self.world.dispatch(Event("GUILD_DELETE", {"id": str(self.id), "unavailable": True}, GUILDS))

    def event(self) -> Payload:
        """GUILD_CREATE: everything that a client caches at its start."""
        channels = self.channels
        empty = ("emojis", "stickers", "features", "presences", "voice_states", "stage_instances", "soundboard_sounds")
        return {
            "id": str(self.id),
            "name": self.name,
            "owner_id": "1",
            "icon": None,
            "large": False,
            "joined_at": self.created,
            "preferred_locale": "en-US",
            "member_count": len(self.members),
            "roles": [role.payload() for role in self.roles],
            "members": [member.payload() for member in self.members.values()],
            "channels": [channel.payload() for channel in channels if channel.type == TEXT],
            "threads": [channel.payload() for channel in channels if channel.type == THREAD],
            "guild_scheduled_events": [],
            **{name: [] for name in empty},
        }
