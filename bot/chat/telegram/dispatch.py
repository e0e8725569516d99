"""Who gets an update: the desk, each chat's in their order, different chats' at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from telegram import ChatMemberUpdated, Message, Update
from telegram.constants import ChatMemberStatus

from bot.chat.base import Address
from bot.chat.place import Place
from bot.chat.telegram.albums import Albums, Lanes
from bot.chat.telegram.hearing import Hearing, address_of
from bot.chat.telegram.members import Members
from bot.chat.telegram.place import PLATFORM
from bot.chat.telegram.pressing import Pressing
from bot.desk import Desk
from bot.presses import Presser

OUT = (ChatMemberStatus.LEFT, ChatMemberStatus.BANNED)
"""Also what a private chat says when its person blocks the bot."""

MakePersonsPlace = Callable[[Address, str, str], Place]
"""The place that answers a message (its id) of a person (theirs)."""


class Dispatch:
    """`take` returns at once. Presses have lanes of their own: who stops an answer does not wait for an album."""

    def __init__(
        self, desk: Desk, hearing: Hearing, members: Members, pressing: Pressing, make_place: MakePersonsPlace
    ) -> None:
        self._desk = desk
        self._hearing = hearing
        self._members = members
        self._pressing = pressing
        self._make_place = make_place
        self._lanes = Lanes()
        self._albums = Albums()

    def take(self, update: Update) -> None:
        if (message := update.message) is not None:
            self._take_message(message)
        elif (edited := update.edited_message) is not None:
            self._lanes.put(address_of(edited), lambda: self._edited(edited))
        elif (query := update.callback_query) is not None:
            chat = query.message.chat.id if query.message else query.from_user.id
            self._lanes.put(("press", chat), lambda: self._pressing.press(query))
        elif (reaction := update.message_reaction) is not None:
            self._lanes.put(("press", reaction.chat.id), lambda: self._pressing.react(reaction))
        elif (change := update.my_chat_member) is not None:
            self._lanes.put(Address(PLATFORM, str(change.chat.id)), lambda: self._changed(change))

    async def close(self, patience: float) -> None:
        """Seconds for the updates that were taken."""
        await self._lanes.close(patience)

    def _take_message(self, message: Message) -> None:
        lane = address_of(message)
        if message.media_group_id is None:
            self._lanes.put(lane, lambda: self._heard([message]))
        elif not self._albums.joined(message):
            whole = self._albums.begin(message)

            async def album() -> None:
                await self._heard(await whole())

            self._lanes.put(lane, album)

    async def _heard(self, messages: Sequence[Message]) -> None:
        if await self._moved(messages[0]):
            return
        understood = self._hearing.understand(messages)
        if understood is None:
            return
        heard, incoming = understood.heard, understood.heard.incoming
        place = self._place(incoming.address, incoming.message_id, incoming.sender.platform_id)
        if understood.better_for is not None:
            presser = Presser(incoming.address, incoming.sender)
            said = await self._desk.better(understood.better_for, presser, incoming.text)
            await self._desk.say(place, said.words, said.buttons)
            await self._desk.ask_asker(
                understood.better_for, presser, lambda address, message_id: self._place(address, message_id, "")
            )
        elif understood.command:
            admin = await self._members.is_admin(incoming.address, incoming.sender)
            heard = replace(heard, chat_admin=admin, community_admin=admin)
            await self._desk.command(understood.command, understood.argument, heard, place)
        else:
            await self._desk.hear(heard, place)

    async def _edited(self, message: Message) -> None:
        understood = self._hearing.understand([message])
        if understood is not None and understood.better_for is None:
            incoming = understood.heard.incoming
            place = self._place(incoming.address, incoming.message_id, incoming.sender.platform_id)
            await self._desk.edited(understood.heard, place)

    async def _moved(self, message: Message) -> bool:
        """Whether the message says that a group became a supergroup. Either chat says so; whichever is heard first counts."""
        here = str(message.chat_id)
        if message.migrate_to_chat_id is not None:
            await self._desk.moved(PLATFORM, here, str(message.migrate_to_chat_id))
        elif message.migrate_from_chat_id is not None:
            await self._desk.moved(PLATFORM, str(message.migrate_from_chat_id), here)
        else:
            return False
        return True

    async def _changed(self, change: ChatMemberUpdated) -> None:
        if change.new_chat_member.status in OUT:
            await self._desk.closed(PLATFORM, str(change.chat.id), change.new_chat_member.status)

    def _place(self, address: Address, message_id: str, person: str) -> Place:
        return self._make_place(address, message_id, person)
