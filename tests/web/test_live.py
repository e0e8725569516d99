"""A watch that was replaced draws nothing any more."""

from __future__ import annotations

import asyncio

from bot.chat.base import Address, TurnView
from bot.chat.web.live import Watch
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
