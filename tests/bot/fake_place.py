"""A chat platform in memory: what is shown, in which order it got there, and the errors that a test wants."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from bot.chat.base import Address
from bot.chat.place import Button, Gone, PlaceError


class FakePlace:
    """Implements `bot.chat.place.Place`; give it a clock of 0.05 s and answers grow fast."""

    def __init__(self, address: Address, *, clock: float = 0.05, limit: int = 2000) -> None:
        self.address = address
        self.clock = clock
        self.limit = limit
        self.busy_seconds = 0.05
        self.shown: dict[str, tuple[str, tuple[Button, ...]]] = {}
        self.history: list[tuple[str, str, str]] = []
        """(send, edit or delete; message id; text), also what was refused."""
        self.times: list[float] = []
        self.acknowledged = self.typed = 0
        self.files: list[tuple[str, bytes]] = []
        self.pictures: list[tuple[str, bytes, str]] = []
        self.errors: deque[PlaceError | None] = deque()
        """One for each coming send or edit; None lets it through."""
        self._news = asyncio.Event()

    def length(self, text: str) -> int:
        return len(text)

    async def acknowledge(self) -> None:
        self.acknowledged += 1

    async def busy(self) -> None:
        self.typed += 1

    async def send(self, text: str, buttons: Sequence[Button] = ()) -> str:
        message_id = f"a{len(self.history)}"
        self._may("send", message_id, text)
        self.shown[message_id] = (text, tuple(buttons))
        return message_id

    async def edit(self, message_id: str, text: str, buttons: Sequence[Button] = ()) -> None:
        self._may("edit", message_id, text)
        if message_id not in self.shown:
            raise Gone(message_id)
        self.shown[message_id] = (text, tuple(buttons))

    async def delete(self, message_id: str) -> None:
        self._may("delete", message_id, "")
        self.shown.pop(message_id, None)

    async def send_file(self, name: str, data: bytes, text: str) -> bool:
        self.files.append((name, data))
        return True

    async def send_picture(self, name: str, data: bytes, text: str) -> None:
        self.pictures.append((name, data, text))

    # --- For tests ---

    @property
    def texts(self) -> list[str]:
        return [text for text, _ in self.shown.values()]

    @property
    def actions(self) -> list[str]:
        """Verbs of the buttons under the last message."""
        buttons = [*self.shown.values()][-1][1] if self.shown else ()
        return [button.action.partition(":")[0] for button in buttons]

    def press(self, verb: str) -> str:
        """The action of a button that is shown."""
        return next(b.action for _, buttons in self.shown.values() for b in buttons if b.action.startswith(f"{verb}:"))

    async def until(self, condition: Callable[[FakePlace], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self):
                self._news.clear()
                await self._news.wait()

    def _may(self, what: str, message_id: str, text: str) -> None:
        self.history.append((what, message_id, text))
        self.times.append(asyncio.get_running_loop().time())
        asyncio.get_running_loop().call_soon(self._news.set)
        error = self.errors.popleft() if self.errors else None
        if error is not None:
            raise error
