"""Short ways to say what a person sends."""

from __future__ import annotations

from typing import Any

from bot.chat.base import Address, Incoming, IncomingFile, RunningTurn, Sender, TurnEvent

HERE = Address("web", "browser-1", "1")
ELSEWHERE = Address("web", "browser-2", "1")
ANN = Sender("ann", "Ann")
BOB = Sender("bob", "Bob")


def file(name: str, data: bytes | Exception, size: int | None = None) -> IncomingFile:
    async def fetch() -> bytes:
        if isinstance(data, Exception):
            raise data
        return data

    return IncomingFile(name, size, fetch)


def message(text: str = "", *files: IncomingFile, address: Address = HERE, sender: Sender = ANN, **more: Any) -> Incoming:
    return Incoming(address, sender, text, files, **more)


async def events_of(turn: RunningTurn) -> list[TurnEvent]:
    return [event async for event in turn.events()]


async def end_of(turn: RunningTurn) -> TurnEvent:
    return (await events_of(turn))[-1]
