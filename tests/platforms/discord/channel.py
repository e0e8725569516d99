"""A channel: what people do in it, what the bot may do in it, and what has come of both.

What people do (`say`, `press`) is awaited, and is on its way to the bot when it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from .interactions import MESSAGE_MENU, SLASH, Interaction, component_data, open_interaction, option_data
from .model import Attachment, Edit, Mentions, Message, Upload, User, mentions
from .protocol import (
    DIRECT_MESSAGES,
    DIRECT_REACTIONS,
    DM,
    EVERYONE,
    FORWARDED,
    GUILD_MESSAGES,
    GUILD_REACTIONS,
    GUILDS,
    PERMISSIONS,
    REPLY,
    TEXT,
    THREAD,
    VOICE_MESSAGE,
    Event,
    Payload,
    now,
    snowflake,
)

if TYPE_CHECKING:
    from .world import Guild, World

T = TypeVar("T")


@dataclass(eq=False)
class Channel:
    """A text channel, a thread or a direct-message channel."""

    world: World
    name: str
    type: int = TEXT
    id: int = field(default_factory=snowflake)
    guild: Guild | None = None
    parent: Channel | None = None
    owner: User | None = None
    recipient: User | None = None
    messages: list[Message] = field(default_factory=list)
    typing: list[float] = field(default_factory=list)
    joined: bool = False
    allowed: int = 0
    denied: int = 0
    created: str = field(default_factory=now)

    def __post_init__(self) -> None:
        self.world.channels[self.id] = self

    @property
    def is_dm(self) -> bool:
        return self.type == DM

    @property
    def reactions(self) -> list[tuple[Message, str, User]]:
        return [(m, emoji, user) for m in self.messages for emoji, users in m.reactions.items() for user in users]

    def bot_messages(self) -> list[Message]:
        """What the bot has said here and everyone still sees."""
        return [m for m in self.messages if m.author is self.world.bot and not m.deleted and not m.ephemeral]

    def message(self, message_id: int) -> Message | None:
        return next((m for m in self.messages if m.id == message_id and not m.deleted), None)

    # what the bot may do here

    def deny(self, *names: str) -> None:
        """Take permissions (the names of PERMISSIONS) from the bot."""
        for name in names:
            self.denied |= self._bit(name)
            self.allowed &= ~self._bit(name)
        self._updated()

    def allow(self, *names: str) -> None:
        for name in names:
            self.allowed |= self._bit(name)
            self.denied &= ~self._bit(name)
        self._updated()

    @property
    def permissions(self) -> int:
        bits = self.parent.permissions if self.parent else EVERYONE
        return (bits | self.allowed) & ~self.denied

    def permits(self, name: str) -> bool:
        return self.is_dm or bool(self.permissions & self._bit(name))

    def _bit(self, name: str) -> int:
        """To send in a thread is a permission of its own."""
        return PERMISSIONS["send_in_threads" if name == "send" and self.type == THREAD else name]

    def remove(self) -> None:
        """The channel is deleted."""
        del self.world.channels[self.id]
        name = "THREAD_DELETE" if self.type == THREAD else "CHANNEL_DELETE"
        self.world.dispatch(Event(name, self.payload(), GUILDS))

    def _updated(self) -> None:
        name = "THREAD_UPDATE" if self.type == THREAD else "CHANNEL_UPDATE"
        self.world.dispatch(Event(name, self.payload(), GUILDS))

    # what people do here

    async def say(
        self,
        user: User,
        text: str = "",
        *,
        files: Sequence[tuple[Any, ...]] = (),
        reply_to: Message | None = None,
        forward_of: Message | None = None,
        voice: tuple[bytes, float] | None = None,
        sticker: str | None = None,
    ) -> Message:
        """`files`: (name, bytes, content type[, announced size]) or Upload; `voice`: (OGG bytes, seconds)."""
        self._enter(user)
        message = Message(self, user, text, reply_to=reply_to, forward_of=forward_of, at=self.world.clock())
        message.attachments = [self.attach(Upload(*file)) for file in files]
        if voice is not None:
            upload = Upload("voice-message.ogg", voice[0], "audio/ogg")
            message.attachments.append(self.attach(upload, duration=voice[1]))
            message.flags |= VOICE_MESSAGE
        if forward_of is not None:
            message.flags |= FORWARDED
        if reply_to is not None:
            message.type = REPLY
        message.stickers = [sticker] if sticker else []
        message.pinged = self.pinged(message)
        self.post(message)
        return await _gone_out(message)

    async def edit(self, user: User, message: Message, text: str) -> Message:
        assert message.author is user, f"{user.name} cannot edit what {message.author.name} wrote"
        message.content = text
        message.pinged = self.pinged(message)
        self.edited(message)
        return await _gone_out(message)

    async def delete(self, message: Message) -> Message:
        self.erase(message)
        return await _gone_out(message)

    async def react(self, user: User, message: Message, emoji: str) -> Message:
        self._enter(user)
        self.add_reaction(user, message, emoji)
        return await _gone_out(message)

    async def unreact(self, user: User, message: Message, emoji: str) -> Message:
        self.remove_reaction(user, message, emoji)
        return await _gone_out(message)

    async def press(self, user: User, message: Message, custom_id: str, values: Sequence[str] = ()) -> Interaction:
        """Press a button (or choose `values` in a select) of a message that is there for the user."""
        assert not message.deleted, "the message is gone, and its buttons with it"
        data = component_data(message, custom_id, values)
        return await _gone_out(open_interaction(self, user, data, message=message))

    async def slash(self, user: User, name: str, options: dict[str, Any] | None = None) -> Interaction:
        """`options`: str, number, bool, User or a file as in `say`; a subcommand is named "group name"."""
        command = self.world.command(SLASH, name.split()[0], self.guild)
        data = option_data(self, command, name.split()[1:], options or {})
        return await _gone_out(open_interaction(self, user, data))

    async def context_menu(self, user: User, name: str, message: Message) -> Interaction:
        command = self.world.command(MESSAGE_MENU, name, self.guild)
        resolved = {"messages": {str(message.id): message.payload()}}
        target = {"target_id": str(message.id), "resolved": resolved}
        data = {"id": command["id"], "name": name, "type": MESSAGE_MENU, **target}
        return await _gone_out(open_interaction(self, user, data))

    def _enter(self, user: User) -> None:
        if self.guild is not None:
            self.guild.entered(user)

    # what both people and the bot's requests come down to

    def attach(self, upload: Upload, *, duration: float | None = None) -> Attachment:
        attachment = Attachment(upload, self.world.url, self.id, duration=duration)
        self.world.attachments[attachment.id] = attachment
        return attachment

    def pinged(self, message: Message) -> Mentions:
        return mentions(message.content, self.world.users, message.reply_to, message.allowed_mentions)

    def post(self, message: Message) -> None:
        if not message.ephemeral:
            self.messages.append(message)
        self._announce("MESSAGE_CREATE", message)

    def edited(self, message: Message) -> None:
        message.edited_timestamp = now()
        message.edits.append(Edit(self.world.clock(), message.content, list(message.embeds), list(message.components)))
        self._announce("MESSAGE_UPDATE", message)

    def erase(self, message: Message) -> None:
        message.deleted = True
        if not message.ephemeral:
            gone = {"id": str(message.id), **self._where()}
            self.world.dispatch(Event("MESSAGE_DELETE", gone, DIRECT_MESSAGES if self.is_dm else GUILD_MESSAGES))

    def add_reaction(self, user: User, message: Message, emoji: str) -> None:
        users = message.reactions.setdefault(emoji, [])
        if user not in users:
            users.append(user)
            self._reacted("MESSAGE_REACTION_ADD", user, message, emoji)

    def remove_reaction(self, user: User, message: Message, emoji: str) -> None:
        if user in message.reactions.get(emoji, []):
            message.reactions[emoji].remove(user)
            self._reacted("MESSAGE_REACTION_REMOVE", user, message, emoji)

    def _reacted(self, name: str, user: User, message: Message, emoji: str) -> None:
        payload = {"user_id": str(user.id), "message_id": str(message.id), **self._where()}
        payload |= {"emoji": {"id": None, "name": emoji}, "burst": False, "type": 0}
        if self.guild and user.id in self.guild.members and name == "MESSAGE_REACTION_ADD":
            payload["member"] = self.guild.members[user.id].payload()
        self.world.dispatch(Event(name, payload, DIRECT_REACTIONS if self.is_dm else GUILD_REACTIONS))

    def _announce(self, name: str, message: Message) -> None:
        """Tell the bot, unless it cannot see the channel or the message is one person's alone."""
        if message.ephemeral or not self.permits("view"):
            return
        intent = DIRECT_MESSAGES if self.is_dm else GUILD_MESSAGES
        self.world.dispatch(Event(name, message.event(), intent, message.event(redacted=True)))

    def _where(self) -> Payload:
        return {"channel_id": str(self.id), **({"guild_id": str(self.guild.id)} if self.guild else {})}

    def payload(self) -> Payload:
        payload: Payload = {"id": str(self.id), "type": self.type, "flags": 0, "last_message_id": None}
        if self.recipient is not None:
            return payload | {"recipients": [self.recipient.payload()]}
        assert self.guild is not None
        payload |= {"guild_id": str(self.guild.id), "name": self.name, "position": 0, "nsfw": False}
        if self.parent is None or self.owner is None:
            overwrite = {"id": str(self.world.bot.id), "type": 1, "allow": str(self.allowed), "deny": str(self.denied)}
            return payload | {"parent_id": None, "topic": None, "permission_overwrites": [overwrite]}
        archive = {"archived": False, "auto_archive_duration": 1440, "archive_timestamp": self.created, "locked": False}
        counts = {"message_count": len(self.messages), "member_count": 1, "total_message_sent": len(self.messages)}
        return payload | {"parent_id": str(self.parent.id), "owner_id": str(self.owner.id), "thread_metadata": archive} | counts


async def _gone_out(done: T) -> T:
    """Let the sockets' writers run: what a person has done is on its way when the call returns."""
    await asyncio.sleep(0)
    return done
