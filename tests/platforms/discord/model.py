"""What Discord keeps: users, uploads and messages, and the JSON that they are sent as."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from .protocol import EPHEMERAL, LOADING, Payload, now, snowflake

if TYPE_CHECKING:
    from .channel import Channel
    from .interactions import Interaction


@dataclass(eq=False)
class User:
    """A person, or the bot. `accepts_dms=False` is someone whose direct messages are closed (50007)."""

    name: str
    id: int = field(default_factory=snowflake)
    locale: str = "en-US"
    bot: bool = False
    accepts_dms: bool = True

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def payload(self) -> Payload:
        return {
            "id": str(self.id),
            "username": self.name,
            "global_name": self.name,
            "discriminator": "0",
            "avatar": None,
            "bot": self.bot,
        }


class Upload(NamedTuple):
    """A file on its way up. `size` is announced instead of the true one (a huge file need not be made)."""

    name: str
    data: bytes
    content_type: str
    size: int | None = None


@dataclass(eq=False)
class Attachment:
    """A file of a message, which the CDN serves under `url`."""

    upload: Upload
    base: str
    channel_id: int
    id: int = field(default_factory=snowflake)
    duration: float | None = None

    @property
    def url(self) -> str:
        return f"{self.base}/attachments/{self.channel_id}/{self.id}/{quote(self.upload.name)}"

    @property
    def data(self) -> bytes:
        return self.upload.data

    def payload(self) -> Payload:
        payload: Payload = {
            "id": str(self.id),
            "filename": self.upload.name,
            "size": self.upload.size if self.upload.size is not None else len(self.data),
            "url": self.url,
            "proxy_url": self.url,
            "content_type": self.upload.content_type,
        }
        if self.duration is not None:
            payload |= {"duration_secs": self.duration, "waveform": base64.b64encode(bytes(32)).decode()}
        if size := _picture_size(self.upload):
            payload |= {"width": size[0], "height": size[1]}
        return payload


def _picture_size(upload: Upload) -> tuple[int, int] | None:
    """Discord announces the size of what its own reader takes for a picture."""
    if not upload.content_type.startswith("image/"):
        return None
    try:
        with Image.open(io.BytesIO(upload.data)) as picture:
            return picture.size
    except UnidentifiedImageError:
        return None


@dataclass
class Mentions:
    """Whom a message pings, after allowed_mentions."""

    users: list[User] = field(default_factory=list)
    roles: list[int] = field(default_factory=list)
    everyone: bool = False


@dataclass
class Edit:
    """One later state of a message; `at` is the server's clock."""

    at: float
    content: str
    embeds: list[Payload]
    components: list[Payload]


@dataclass(eq=False)
class Message:
    """A message as it stands now; `edits` holds its later states, `deleted` that it is gone."""

    channel: Channel
    author: User
    content: str = ""
    id: int = field(default_factory=snowflake)
    attachments: list[Attachment] = field(default_factory=list)
    embeds: list[Payload] = field(default_factory=list)
    components: list[Payload] = field(default_factory=list)
    stickers: list[str] = field(default_factory=list)
    reply_to: Message | None = None
    forward_of: Message | None = None
    interaction: Interaction | None = None
    type: int = 0
    flags: int = 0
    nonce: str | None = None
    allowed_mentions: Payload | None = None
    pinged: Mentions = field(default_factory=Mentions)
    reactions: dict[str, list[User]] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    deleted: bool = False
    at: float = 0.0
    timestamp: str = field(default_factory=now)
    edited_timestamp: str | None = None

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        return bool(self.flags & LOADING)

    @property
    def empty(self) -> bool:
        return not (self.content.strip() or self.attachments or self.embeds or self.components or self.stickers)

    def payload(self, *, redacted: bool = False) -> Payload:
        """`redacted`: for an application without the message content intent."""
        bot = self.channel.world.bot
        visible = not redacted or self.channel.is_dm or self.author is bot or bot in self.pinged.users
        payload: Payload = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "author": self.author.payload(),
            "timestamp": self.timestamp,
            "edited_timestamp": self.edited_timestamp,
            "tts": False,
            "mention_everyone": self.pinged.everyone,
            "mentions": [user.payload() for user in self.pinged.users],
            "mention_roles": [str(role) for role in self.pinged.roles],
            "pinned": False,
            "type": self.type,
            "flags": self.flags,
            "reactions": self._reactions(),
            **self._body(visible=visible),
        }
        if self.nonce is not None:
            payload["nonce"] = self.nonce
        if self.stickers:
            payload["sticker_items"] = [{"id": str(snowflake()), "name": name, "format_type": 1} for name in self.stickers]
        return payload | self._reference(visible=visible, redacted=redacted) | self._interaction()

    def event(self, *, redacted: bool = False) -> Payload:
        """The payload as the gateway sends it: with the guild and the author's membership."""
        guild = self.channel.guild
        payload = self.payload(redacted=redacted)
        if guild is None:
            return payload
        payload["guild_id"] = str(guild.id)
        if member := guild.members.get(self.author.id):
            payload["member"] = member.payload(with_user=False)
        return payload

    def _body(self, *, visible: bool) -> Payload:
        if not visible:
            return {"content": "", "attachments": [], "embeds": [], "components": []}
        return {
            "content": self.content,
            "attachments": [attachment.payload() for attachment in self.attachments],
            "embeds": self.embeds,
            "components": self.components,
        }

    def _reference(self, *, visible: bool, redacted: bool) -> Payload:
        if self.forward_of is not None:
            source = self.forward_of
            snapshot = {
                "type": 0,
                "flags": source.flags,
                "timestamp": source.timestamp,
                "edited_timestamp": source.edited_timestamp,
                "mentions": [],
                "mention_roles": [],
                **source._body(visible=visible),
            }
            return {"message_reference": {"type": 1, **source.pointer()}, "message_snapshots": [{"message": snapshot}]}
        if self.reply_to is not None:
            target = self.reply_to
            resolved = None if target.deleted else {**target.payload(redacted=redacted), "referenced_message": None}
            return {"message_reference": {"type": 0, **target.pointer()}, "referenced_message": resolved}
        return {}

    def pointer(self) -> Payload:
        pointer = {"message_id": str(self.id), "channel_id": str(self.channel.id)}
        return pointer | ({"guild_id": str(self.channel.guild.id)} if self.channel.guild else {})

    def _interaction(self) -> Payload:
        if self.interaction is None:
            return {}
        return {
            "application_id": str(self.channel.world.bot.id),
            "webhook_id": str(self.channel.world.bot.id),
            "interaction_metadata": {
                "id": str(self.interaction.id),
                "type": self.interaction.type,
                "user": self.interaction.user.payload(),
                "authorizing_integration_owners": {},
            },
        }

    def _reactions(self) -> list[Payload]:
        return [
            {
                "count": len(users),
                "count_details": {"burst": 0, "normal": len(users)},
                "me": self.channel.world.bot in users,
                "me_burst": False,
                "burst_colors": [],
                "emoji": {"id": None, "name": emoji},
            }
            for emoji, users in self.reactions.items()
            if users
        ]


def mentions(content: str, users: dict[int, User], reply_to: Message | None, allowed: Payload | None) -> Mentions:
    """Whom `content` pings under `allowed` (None: everyone whom it names, and the author that it replies to)."""
    rule = allowed or {"parse": ["users", "roles", "everyone"], "replied_user": True}
    parse: Sequence[str] = rule.get("parse", ())
    named = [int(name) for name in re.findall(r"<@!?(\d+)>", content)]
    roles = [int(name) for name in re.findall(r"<@&(\d+)>", content)]
    pinged = [users[name] for name in dict.fromkeys(named) if name in users and _allowed(name, "users", rule)]
    if reply_to is not None and rule.get("replied_user", False) and reply_to.author not in pinged:
        pinged.append(reply_to.author)
    return Mentions(
        users=pinged,
        roles=[role for role in dict.fromkeys(roles) if _allowed(role, "roles", rule)],
        everyone="everyone" in parse and re.search(r"@(everyone|here)\b", content) is not None,
    )


def _allowed(name: int, kind: str, rule: Payload) -> bool:
    return kind in rule.get("parse", ()) or str(name) in map(str, rule.get(kind, ()))
