"""Where the answers to commands are shown: first where Discord shows "thinking", then like all others."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import discord

from bot.chat.base import Address
from bot.chat.discord.faults import plain_errors
from bot.chat.discord.place import LIMIT, ChannelPlace, GetClient, view_of
from bot.chat.discord.render import render
from bot.chat.place import Button, Gone

TOKEN_SECONDS = 14 * 60.0
"""An interaction can be answered for 15 minutes
(https://discord.com/developers/docs/interactions/receiving-and-responding#followup-messages); one is kept for the clocks."""


class AnswerPlace(ChannelPlace):
    """The place of an interaction that was deferred.

    What only the person sees (`private`), and everything where the bot cannot see the channel, goes by the interaction's
    webhook; the rest are messages like all others as soon as the first one is there, and outlive the webhook.
    """

    def __init__(self, client: GetClient, address: Address, interaction: discord.Interaction[Any], *, private: bool) -> None:
        super().__init__(client, address, person=str(interaction.user.id))
        self._interaction = interaction
        self._private = private
        self._open = private or not _sees(interaction)
        """Whether everything goes by the webhook."""
        self._until = time.monotonic() + TOKEN_SECONDS
        self._answered = False

    async def acknowledge(self) -> None:
        """Discord shows "thinking" already."""

    async def busy(self) -> None:
        if self._answered and not self._open:
            await super().busy()

    async def send(self, text: str, buttons: Sequence[Button] = ()) -> str:
        if self._expired:
            return await self._sent_openly(text, buttons)
        content, view = render(text, LIMIT), view_of(buttons)
        try:
            if not self._answered:
                async with plain_errors():
                    message: discord.Message = await self._interaction.edit_original_response(content=content, view=view)
                self._answered = True
                return str(message.id)
            if self._open:
                more: dict[str, Any] = {"view": view} if view else {}
                async with plain_errors():
                    message = await self._interaction.followup.send(
                        content, wait=True, ephemeral=self._private, suppress_embeds=True, **more
                    )
                return str(message.id)
        except Gone:
            self._answered = True  # somebody deleted the "thinking"
        return await self._sent_openly(text, buttons)

    async def edit(self, message_id: str, text: str, buttons: Sequence[Button] = ()) -> None:
        if not self._open or (self._expired and not self._private):
            await super().edit(message_id, text, buttons)
            return
        self._check_not_expired()
        async with plain_errors():
            await self._interaction.followup.edit_message(int(message_id), content=render(text, LIMIT), view=view_of(buttons))

    async def delete(self, message_id: str) -> None:
        if not self._open or (self._expired and not self._private):
            await super().delete(message_id)
            return
        with suppress(Gone):
            self._check_not_expired()
            async with plain_errors():
                await self._interaction.followup.delete_message(int(message_id))

    async def send_file(self, name: str, data: bytes, text: str) -> bool:
        if not self._private or self._expired:
            return await super().send_file(name, data, text)
        async with plain_errors():
            await self._interaction.followup.send(text, file=discord.File(io.BytesIO(data), name), ephemeral=True, wait=True)
        self._answered = True
        return True

    async def send_picture(self, name: str, data: bytes, text: str) -> None:
        if not self._open or (self._expired and not self._private):
            await super().send_picture(name, data, text)
            return
        self._check_not_expired()
        shown = discord.File(io.BytesIO(data), name)
        async with plain_errors():
            await self._interaction.followup.send(render(text, LIMIT), file=shown, ephemeral=self._private, wait=True)

    @property
    def _expired(self) -> bool:
        return time.monotonic() > self._until

    def _check_not_expired(self) -> None:
        if self._expired:
            raise Gone("the interaction has expired")

    async def _sent_openly(self, text: str, buttons: Sequence[Button]) -> str:
        """An ordinary message, unless it is for one person's eyes."""
        if self._private:
            raise Gone("the interaction has expired")
        self._answered = True
        return await super().send(text, buttons)


def _sees(interaction: discord.Interaction[Any]) -> bool:
    """Whether the bot can write there as itself: commands also work in channels that it cannot see."""
    if interaction.guild_id is None:
        return True
    rights = interaction.app_permissions
    sends = rights.send_messages_in_threads if isinstance(interaction.channel, discord.Thread) else rights.send_messages
    return rights.view_channel and sends
