"""Where answers are shown on Discord: a channel, a thread, a private chat. Implements `bot.chat.place.Place`."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import discord
import structlog

from bot.chat.base import Address
from bot.chat.discord.faults import NO_HISTORY, plain_errors
from bot.chat.discord.render import render
from bot.chat.place import Button, Gone, Hiccup, Shut

LIMIT = 2000
"""Characters of a message (https://discord.com/developers/docs/resources/message#create-message)."""

CLOCK = 1.0
"""Seconds between two edits: a channel takes about 5 requests in 5 seconds; only response headers tell."""

BUSY_SECONDS = 8.0
"""Typing is shown for 10 (https://discord.com/developers/docs/resources/channel#trigger-typing-indicator)."""

SEEN = "👀"
PREFIX = "jnana:"
"""Custom ids that are ours begin with it; what follows is the button's action."""

GetClient = Callable[[], discord.Client | None]
"""The client of now: connections are made anew while answers go on."""

log = structlog.get_logger(__name__)


class ChannelPlace:
    """Works without anything cached, and so after a restart. `person`: whom `send_file` may write to privately."""

    def __init__(self, client: GetClient, address: Address, message_id: str = "", person: str = "") -> None:
        self._client = client
        self._address = address
        self._message_id = message_id
        self._person = person
        self._replied = not message_id
        self._nonce = 0

    @property
    def address(self) -> Address:
        return self._address

    @property
    def clock(self) -> float:
        return CLOCK

    @property
    def limit(self) -> int:
        return LIMIT

    @property
    def busy_seconds(self) -> float:
        return BUSY_SECONDS

    def length(self, text: str) -> int:
        return len(text)

    async def acknowledge(self) -> None:
        if not self._message_id or not self._may("add_reactions", "read_message_history"):
            return
        async with plain_errors():
            await self._channel.get_partial_message(int(self._message_id)).add_reaction(SEEN)

    async def busy(self) -> None:
        if self._may(self._send_permission()):
            async with plain_errors():
                await self._channel.typing()

    async def send(self, text: str, buttons: Sequence[Button] = ()) -> str:
        """A resend after a lost answer carries the same nonce: Discord then hands out the message that is there already."""
        content, view, again = render(text, LIMIT), view_of(buttons), self._nonce != 0
        self._nonce = self._nonce or secrets.randbits(63)
        try:
            async with plain_errors():
                message = await self._sent(content, view)
        except Shut:
            self._tell_missing()
            raise
        self._nonce, self._replied = 0, True
        if again and message.content != content.strip():
            await self.edit(str(message.id), text, buttons)
        return str(message.id)

    async def edit(self, message_id: str, text: str, buttons: Sequence[Button] = ()) -> None:
        content, view = render(text, LIMIT), view_of(buttons)
        async with plain_errors():
            await self._channel.get_partial_message(int(message_id)).edit(content=content, view=view)

    async def delete(self, message_id: str) -> None:
        with suppress(Gone):
            async with plain_errors():
                await self._channel.get_partial_message(int(message_id)).delete()

    async def send_file(self, name: str, data: bytes, text: str) -> bool:
        if not self._person:
            return False
        try:
            async with plain_errors():
                chat = await self._connected.create_dm(discord.Object(int(self._person)))
                await chat.send(text, file=discord.File(io.BytesIO(data), name))
        except Shut:
            return False
        return True

    async def send_picture(self, name: str, data: bytes, text: str) -> None:
        async with plain_errors():
            await self._channel.send(render(text, LIMIT), file=discord.File(io.BytesIO(data), name))

    # --- Inside ---

    async def _sent(self, content: str, view: discord.ui.View | None) -> discord.Message:
        """A reply the first time, without a ping; a plain message where replies are not allowed."""
        channel: Any = self._channel  # its overloads know no None
        reference = None
        if not self._replied:
            where = {"message_id": int(self._message_id), "channel_id": channel.id}
            reference = discord.MessageReference(**where, fail_if_not_exists=False)
        try:
            message: discord.Message = await channel.send(
                content, reference=reference, view=view, nonce=self._nonce, suppress_embeds=True
            )
        except discord.HTTPException as error:
            if error.code != NO_HISTORY or reference is None:
                raise
            self._replied = True
            return await self._sent(content, view)
        return message

    @property
    def _connected(self) -> discord.Client:
        client = self._client()
        if client is None:
            raise Hiccup("not connected")
        return client

    @property
    def _channel(self) -> discord.PartialMessageable:
        return self._connected.get_partial_messageable(int(self._address.thread_id or self._address.chat_id))

    def _send_permission(self) -> str:
        return "send_messages_in_threads" if self._address.thread_id else "send_messages"

    def _missing(self, *permissions: str) -> list[str]:
        """Of these permissions, as far as the cache knows."""
        channel = self._connected.get_channel(int(self._address.thread_id or self._address.chat_id))
        if channel is None or isinstance(channel, discord.abc.PrivateChannel):
            return []
        try:
            have = channel.permissions_for(channel.guild.me)
        except discord.ClientException:  # the thread's parent is not known
            return []
        return [name for name in permissions if not getattr(have, name)]

    def _may(self, *permissions: str) -> bool:
        return not self._missing("view_channel", *permissions)

    def _tell_missing(self) -> None:
        with suppress(Hiccup):
            missing = self._missing("view_channel", self._send_permission())
            log.warning("Discord does not let me write", channel=self._address.chat_id, missing=missing or "unknown")


def view_of(buttons: Sequence[Button]) -> discord.ui.View | None:
    """Stopped at once: discord.py would keep a view that waits for presses for good, and `presses` hears them anyway."""
    if not buttons:
        return None
    view = discord.ui.View(timeout=None)
    for button in buttons:
        view.add_item(discord.ui.Button(label=button.label, custom_id=PREFIX + button.action))
    view.stop()
    return view
