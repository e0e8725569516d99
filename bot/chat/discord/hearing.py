"""From Discord's messages and interactions to `Heard`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import discord
import structlog

from bot.calling import Heard, Quoted
from bot.chat.base import Address, Incoming, IncomingFile, Sender
from bot.presses import Presser
from bot.reactions import Reacted

PLATFORM = "discord"

SPOKEN = (discord.MessageType.default, discord.MessageType.reply)
"""What people write; everything else (joins, pins, boosts, thread starters) is Discord's own."""

PICTURES = (discord.StickerFormatType.png, discord.StickerFormatType.apng)
"""Stickers that are a picture; APNG shows its first frame. Lottie is a vector animation, and GIFs move."""

MENTION = re.compile(r"<(@[!&]?|#)(\d+)>|<a?(:\w+:)\d+>")
"""https://discord.com/developers/docs/reference#message-formatting"""

COMMUNITY = "COMMUNITY"
"""Only such servers say which language they speak; the others are "en-US" whatever it is."""

Interaction = discord.Interaction[Any]

log = structlog.get_logger(__name__)


class Hearing:
    """Understands messages on behalf of the bot that `client` is. `own_chats`: see `Settings`."""

    def __init__(self, client: discord.Client, own_chats: Collection[str]) -> None:
        self._client = client
        self._own_chats = frozenset(own_chats)

    @property
    def me(self) -> int:
        return self._client.user.id if self._client.user else 0

    async def message(self, message: discord.Message) -> Heard:
        channel = await self._known(message.channel)
        text, mentioned = self.text(message)
        incoming = Incoming(
            address_of(channel),
            _sender(message.author, _server_language(message.guild)),
            text,
            files_of(message),
            group=message.guild is not None,
            message_id=str(message.id),
            server_id=str(message.guild.id) if message.guild else "",
        )
        return Heard(
            incoming,
            mentioned=mentioned,
            our_place=self._is_ours(channel),
            from_machine=message.author.bot or message.webhook_id is not None or message.type not in SPOKEN,
            chat_admin=_manages(message.author, channel),
            community_admin=isinstance(message.author, discord.Member) and message.author.guild_permissions.manage_guild,
            quoted=await self._replied_to(message),
        )

    def interaction(
        self, interaction: Interaction, text: str = "", files: Sequence[IncomingFile] = (), quoted: Quoted | None = None
    ) -> Heard:
        """A slash command or a context menu; it has no message that could be answered or edited."""
        presser = presser_of(interaction)
        incoming = Incoming(
            presser.address,
            presser.sender,
            text,
            tuple(files),
            group=interaction.guild_id is not None,
            server_id=presser.server_id,
        )
        return Heard(
            incoming, command=True, chat_admin=presser.chat_admin, community_admin=presser.community_admin, quoted=quoted
        )

    def reaction(self, payload: discord.RawReactionActionEvent) -> Reacted | None:
        """None: a machine's. Who takes one back, or reacts in a private chat, comes as an id alone."""
        person = payload.member or self._client.get_user(payload.user_id)
        if payload.user_id == self.me or (person is not None and person.bot):
            return None
        guild = payload.member.guild if payload.member is not None else None
        sender = Sender(str(payload.user_id), "") if person is None else _sender(person, _server_language(guild))
        emoji = (payload.emoji.name,) if payload.emoji.is_unicode_emoji() else ()
        added = payload.event_type == "REACTION_ADD"
        channel = str(payload.channel_id)  # a thread's own id, and nothing of its parent
        return Reacted(
            PLATFORM,
            channel,
            str(payload.message_id),
            sender,
            before=() if added else emoji,
            after=emoji if added else (),
            thread_id=channel,
            server_id=str(payload.guild_id or ""),
        )

    def quote(self, message: discord.Message) -> Quoted:
        return Quoted(self.text(message)[0], files_of(message), ours=message.author.id == self.me)

    def text(self, message: discord.Message) -> tuple[str, bool]:
        """What was written, with names instead of ids and without the bot's own, and whether that was there."""
        text = "\n".join(part for part in (message.content, *(old.content for old in message.message_snapshots)) if part)
        ours = message.guild.self_role if message.guild else None
        mentioned = False

        def name(found: re.Match[str]) -> str:
            nonlocal mentioned
            kind, number, emoji = found[1], int(found[2] or 0), found[3]
            if emoji:
                return emoji
            if (kind in ("@", "@!") and number == self.me) or (kind == "@&" and ours is not None and number == ours.id):
                mentioned = True
                return ""
            return _name(message, kind, number) or found[0]

        named = MENTION.sub(name, text)
        return (re.sub(r"(?<=\S) {2,}(?=\S)", " ", named) if mentioned else named).strip(), mentioned

    async def _replied_to(self, message: discord.Message) -> Quoted | None:
        reference = message.reference
        if reference is None or message.type is not discord.MessageType.reply or reference.message_id is None:
            return None
        target = reference.resolved
        if target is None:
            try:
                target = await message.channel.fetch_message(reference.message_id)
            except Exception as error:  # answered without it: deleted, or without the permission to read the history
                log.info("replied-to message not fetched", error=type(error).__name__)
        return self.quote(target) if isinstance(target, discord.Message) else None

    async def _known(self, channel: Any) -> Any:
        """Threads that are not in the cache come without their parent, which belongs to the address."""
        if not isinstance(channel, discord.PartialMessageable) or channel.guild_id is None:
            return channel
        try:
            return await self._client.fetch_channel(channel.id)
        except Exception as error:
            log.info("channel not fetched", error=type(error).__name__)
            return channel

    def _is_ours(self, channel: Any) -> bool:
        ids = [channel.id]
        if isinstance(channel, discord.Thread):
            if channel.owner_id == self.me:
                return True
            ids.append(channel.parent_id)
        return any(f"{PLATFORM}:chat:{number}" in self._own_chats for number in ids)


def address_of(channel: Any) -> Address:
    if isinstance(channel, discord.Thread):
        return Address(PLATFORM, str(channel.parent_id), str(channel.id))
    return Address(PLATFORM, str(channel.id))


def presser_of(interaction: Interaction) -> Presser:
    channel, rights = interaction.channel, interaction.permissions
    address = Address(PLATFORM, str(interaction.channel_id)) if channel is None else address_of(channel)
    server = interaction.guild_id is not None and (rights.administrator or rights.manage_guild)
    channel_admin = server or (interaction.guild_id is not None and rights.manage_messages)
    sender = _sender(interaction.user, str(interaction.locale))
    return Presser(address, sender, channel_admin, server, str(interaction.guild_id or ""))


def files_of(message: discord.Message) -> tuple[IncomingFile, ...]:
    """Also of what was forwarded: that belongs to the message itself."""
    parts: list[discord.Message | discord.MessageSnapshot] = [message, *message.message_snapshots]
    files = [attached(attachment) for part in parts for attachment in part.attachments]
    stickers = [sticker for part in parts for sticker in part.stickers if sticker.format in PICTURES]
    return (*files, *(IncomingFile(f"{sticker.name}.png", None, sticker.read) for sticker in stickers))


def attached(attachment: discord.Attachment) -> IncomingFile:
    return IncomingFile(attachment.filename, attachment.size, attachment.read)


def _sender(person: discord.User | discord.Member, language: str) -> Sender:
    roles = tuple(str(role.id) for role in person.roles) if isinstance(person, discord.Member) else ()
    return Sender(str(person.id), person.display_name, language, roles)


def _server_language(guild: discord.Guild | None) -> str:
    return str(guild.preferred_locale) if guild is not None and COMMUNITY in guild.features else ""


def _manages(person: discord.User | discord.Member, channel: Any) -> bool:
    if not isinstance(person, discord.Member):
        return False
    if person.guild_permissions.manage_guild:
        return True
    try:
        return bool(channel.permissions_for(person).manage_messages)
    except (discord.ClientException, AttributeError):  # the thread's parent, or the channel itself, is not known
        return person.guild_permissions.manage_messages


def _name(message: discord.Message, kind: str, number: int) -> str | None:
    guild = message.guild
    if kind == "#":
        channel = guild.get_channel_or_thread(number) if guild else None
        return f"#{channel.name}" if channel else None
    if kind == "@&":
        role = guild.get_role(number) if guild else None
        return f"@{role.name}" if role else None
    person = discord.utils.get(message.mentions, id=number)
    return f"@{person.display_name}" if person else None
