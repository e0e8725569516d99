"""A group chat with a desk behind it, for the tests of the desk."""

from __future__ import annotations

from typing import Any

from bot.calling import Heard
from bot.chat.base import Address, Incoming, IncomingFile, Sender
from bot.desk import Desk
from bot.presses import Pressed, Presser
from bot.store import Store
from tests.bot.fake_place import FakePlace

ROOM = Address("discord", "100")
ANN, BOB = Sender("1", "Ann", "en"), Sender("2", "Bob", "de")


class Room:
    """A group chat with a desk behind it."""

    def __init__(self, desk: Desk, store: Store, address: Address = ROOM) -> None:
        self.desk = desk
        self.store = store
        self.address = address
        self.messages = 0
        self.places: dict[str, FakePlace] = {}

    def heard(self, words: str, sender: Sender = ANN, *files: IncomingFile, **how: Any) -> tuple[Heard, FakePlace]:
        self.messages += 1
        message_id = how.pop("message_id", f"m{self.messages}")
        place = self.places.setdefault(message_id, FakePlace(self.address))
        incoming = Incoming(self.address, sender, words, files, group=True, message_id=message_id)
        return Heard(incoming, **{"mentioned": True} | how), place

    async def say(self, words: str, sender: Sender = ANN, *files: IncomingFile, **how: Any) -> FakePlace:
        heard, place = self.heard(words, sender, *files, **how)
        await self.desk.hear(heard, place)
        return place

    async def answered(self, words: str, sender: Sender = ANN, *files: IncomingFile, **how: Any) -> FakePlace:
        place = await self.say(words, sender, *files, **how)
        await place.until(lambda place: bool(place.shown) and "again" in place.actions)
        return place

    async def command(self, line: str, sender: Sender = ANN, *files: IncomingFile, **how: Any) -> FakePlace:
        name, _, argument = line.partition(" ")
        heard, place = self.heard(line, sender, *files, command=True, **how)
        await self.desk.command(name, argument, heard, place)
        return place

    def make(self, address: Address, message_id: str) -> FakePlace:
        """The place of a message, as adapters make it."""
        return self.places.setdefault(message_id, FakePlace(address))

    async def press(self, action: str, sender: Sender = ANN, **how: Any) -> Pressed:
        return await self.desk.press(action, Presser(self.address, sender, **how), self.make)
