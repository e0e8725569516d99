"""The connection to Discord, and what comes from it."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.chat.base import Address
from bot.chat.discord.commands import Commands
from bot.chat.discord.hearing import PLATFORM, Hearing, Interaction, address_of
from bot.chat.discord.place import ChannelPlace
from bot.chat.discord.presses import Presses
from bot.desk import Desk
from bot.errors import StartError
from bot.reactions import react
from bot.settings import Settings

LONGEST_FLOOD = 30.0
"""Seconds of flood control that discord.py waits out by itself (it takes no less); longer ones become `Flooded`."""

WRONG_TOKEN = 4004
"""Close code of the gateway (https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway)."""

SHARDS_NEEDED = 4011

PORTAL = "https://discord.com/developers/applications"
TOKEN_REFUSED = f"Discord refuses DISCORD_TOKEN: copy the token again from {PORTAL} > Bot > Reset Token"
INTENT_MISSING = (
    f"Discord lets this bot read no messages: switch on Message Content Intent at {PORTAL} > Bot > Privileged Gateway Intents"
)
MORE_SHARDS = "This bot is in too many servers for its connections: set DISCORD_SHARDS to one for every 1,000 servers"

log = structlog.get_logger(__name__)


class Discord:
    """Implements `bot.connections.Connection`. Places outlive the client, which is made anew when a connection breaks."""

    name = "Discord"

    def __init__(self, settings: Settings, desk: Desk) -> None:
        self._settings = settings
        self._desk = desk
        self._client: discord.Client | None = None

    async def run(self, up: Callable[[str], None]) -> None:
        point_at(self._settings)
        client = self.make_client()
        events = Events(client, self._desk, self, up)
        commands = Commands(client, self._desk, events.hearing, self.client)
        try:
            await client.login(self._settings.discord_token.get_secret_value())
            self._client = client
            await commands.sync(self._settings.jnana_home)
            await client.connect()
        except discord.LoginFailure:
            raise StartError(TOKEN_REFUSED) from None
        except discord.PrivilegedIntentsRequired:
            raise StartError(INTENT_MISSING) from None
        except discord.ConnectionClosed as error:
            if error.code == WRONG_TOKEN:
                raise StartError(TOKEN_REFUSED) from None
            if error.code == SHARDS_NEEDED:
                raise StartError(MORE_SHARDS) from None
            raise
        finally:
            self._client = None
            await client.close()

    def client(self) -> discord.Client | None:
        """The one that is logged in now."""
        return self._client

    def make_client(self) -> discord.Client:
        options = self.options()
        shards = self._settings.discord_shards
        return discord.AutoShardedClient(shard_count=shards, **options) if shards else discord.Client(**options)

    def options(self) -> dict[str, Any]:
        return {
            "intents": discord.Intents(
                guilds=True,
                guild_messages=True,
                dm_messages=True,
                message_content=True,
                guild_reactions=True,
                dm_reactions=True,
            ),
            "allowed_mentions": discord.AllowedMentions.none(),
            "max_messages": None,
            "max_ratelimit_timeout": LONGEST_FLOOD,
        }

    def make_place(self, address: Address, message_id: str) -> ChannelPlace:
        return ChannelPlace(self.client, address, message_id)


class Events:
    """What the gateway tells a client. discord.py makes a task of every event."""

    def __init__(self, client: discord.Client, desk: Desk, owner: Discord, up: Callable[[str], None]) -> None:
        self.hearing = Hearing(client, owner._settings.own_chats)
        self._client = client
        self._desk = desk
        self._owner = owner
        self._up = up
        self._is_up = False
        self._presses = Presses(desk, owner.make_place)
        self._lanes: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()
        for event in (
            self.on_ready,
            self.on_resumed,
            self.on_message,
            self.on_raw_message_edit,
            self.on_raw_message_delete,
            self.on_raw_bulk_message_delete,
            self.on_raw_reaction_add,
            self.on_raw_reaction_remove,
            self.on_interaction,
            self.on_guild_remove,
            self.on_error,
        ):
            client.event(event)

    # --- The connection ---

    async def on_ready(self) -> None:
        if not self._is_up:
            self._is_up = True
            servers = len(self._client.guilds)
            self._up(f"Discord: @{self._client.user} in {servers} server{'' if servers == 1 else 's'}")
        await self._desk.resume(PLATFORM, self._owner.make_place)

    async def on_resumed(self) -> None:
        await self._desk.resume(PLATFORM, self._owner.make_place)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        log.info("left a server", server=guild.id)

    async def on_error(self, event: str, *_arguments: Any, **_more: Any) -> None:
        """Only the kind and the place: libraries put addresses with tokens into their messages."""
        kind, _, trace = sys.exc_info()
        where = traceback.extract_tb(trace)[-1:] if trace else []
        at = f"{where[0].filename.rpartition('/')[2]}:{where[0].lineno}" if where else ""
        log.error("event failed", event_name=event, error=kind.__name__ if kind else "", at=at)

    # --- Messages: in the order in which they were written, which reading what they reply to must not change ---

    async def on_message(self, message: discord.Message) -> None:
        if message.author.id == self.hearing.me:
            return
        async with self._lane(message.channel.id):
            heard = await self.hearing.message(message)
            address, person = heard.incoming.address, heard.incoming.sender.platform_id
            await self._desk.hear(heard, ChannelPlace(self._owner.client, address, str(message.id), person))

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        message = payload.message
        # Link previews and pins come as edits, too, but without the time of one.
        if message.author.id == self.hearing.me or message.edited_at is None:
            return
        async with self._lane(message.channel.id):
            heard = await self.hearing.message(message)
            if not heard.from_machine:
                await self._desk.edited(heard, self._owner.make_place(heard.incoming.address, str(message.id)))

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        await self._deleted(payload.channel_id, payload.message_id)

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        for message_id in payload.message_ids:
            await self._deleted(payload.channel_id, message_id)

    async def _deleted(self, channel_id: int, message_id: int) -> None:
        async with self._lane(channel_id):
            channel = self._client.get_channel(channel_id)
            address = Address(PLATFORM, str(channel_id)) if channel is None else address_of(channel)
            await self._desk.deleted(address, str(message_id))

    def _lane(self, channel_id: int) -> asyncio.Lock:
        """First come, first served; forgotten when nobody waits."""
        return self._lanes.setdefault(channel_id, asyncio.Lock())

    # --- Reactions: no form can be opened for one, so nobody is asked for a better answer; the button asks ---

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        await self._reacted(payload)

    async def on_raw_reaction_remove(self, payload: discord.RawReactionActionEvent) -> None:
        await self._reacted(payload)

    async def _reacted(self, payload: discord.RawReactionActionEvent) -> None:
        async with self._lane(payload.channel_id):
            if (reacted := self.hearing.reaction(payload)) is not None:
                await react(self._desk, reacted)

    # --- Buttons and forms; commands go to their tree ---

    async def on_interaction(self, interaction: Interaction) -> None:
        await self._presses.hear(interaction)


def point_at(settings: Settings) -> None:
    """Where Discord is. Its library keeps that for the whole process, warns with addresses that hold tokens, and of what only
    voice calls need."""
    if settings.discord_api_url:
        Route.BASE = settings.discord_api_url
    if settings.discord_gateway_url:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
    for name in ("discord.http", "discord.webhook.async_", "discord.client"):
        logging.getLogger(name).setLevel(logging.ERROR)
