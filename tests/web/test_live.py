"""A watch that was replaced draws nothing any more."""

from __future__ import annotations

import asyncio

from bot.chat.base import Address, TurnView
from bot.chat.web.live import Watch
from bot.chat.web.view import chat
from bot.store import Store
from bot.turn import Turns
from tests.bot.fake_model import FakeModel
from tests.bot.sending import HERE, end_of, message


class SlowStore:
    """A store whose answer takes until `go`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def turns(self, address: Address, *, limit: int = 100) -> list[TurnView]:
        found = await self._store.turns(address, limit=limit)
        self.asked.set()
        await self.go.wait()
        return found


async def test_a_turn_that_ends_while_it_is_drawn_is_drawn_as_ended(turns: Turns, store: Store, model: FakeModel) -> None:
    answer = model.say("Done", hold=True)
    turn = await turns.start(message("hi"))
    await answer.wait_begun()
    drawn: list[tuple[bool, str]] = []
    async for snapshot in Watch(turns, store, HERE).snapshots():
        drawn.append((snapshot.busy, snapshot.stored[0].state))
        answer.release()
        await end_of(turn)  # drawing takes its time
    assert drawn[0] == (True, "running")
    assert drawn[-1] == (False, "finished")


class BusyStore:
    """A store in which a question arrives while it is read."""

    def __init__(self, turns: Turns, store: Store) -> None:
        self._turns = turns
        self._store = store
        self._asked = False

    async def turns(self, address: Address, *, limit: int = 100) -> list[TurnView]:
        if not self._asked:
            self._asked = True
            await self._turns.start(message("hi"))
        return await self._store.turns(address, limit=limit)


async def test_a_turn_that_begins_while_the_store_is_read_is_not_drawn_as_given_up(turns: Turns, store: Store) -> None:
    watch = Watch(turns, BusyStore(turns, store), HERE)  # type: ignore[arg-type]  # the one read that a watch makes
    drawn = [
        (snapshot.busy, "not been answered" in chat(snapshot).messages[1]["content"]) async for snapshot in watch.snapshots()
    ]
    assert drawn[0] == (True, False)
    assert drawn[-1] == (False, False)


async def test_what_was_read_before_a_newer_watch_is_not_drawn(turns: Turns, store: Store) -> None:
    slow = SlowStore(store)
    watch = Watch(turns, slow, HERE)  # type: ignore[arg-type]  # the one read that a watch makes
    drawn = asyncio.create_task(anext(watch.snapshots(), None))
    await slow.asked.wait()
    ending = asyncio.create_task(watch.end())
    await asyncio.sleep(0)
    slow.go.set()
    assert await drawn is None
    await ending
