"""Places are handed out in turn, whatever happens to those who wait."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.queue import FairQueue, QueueClosed, QueueFull


class Crowd:
    """Requests that ask for a place and hold it until they are let go."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.served: list[str] = []
        self.places: dict[str, list[int]] = defaultdict(list)
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._leave: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def arrive(self, *names: str) -> None:
        """Names are a conversation's letter and a number."""
        for name in names:
            self.tasks[name] = asyncio.create_task(self._ask(name))
            await asyncio.sleep(0)

    async def leave(self, name: str) -> None:
        self._leave[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.wait([self.tasks[name]])
        await asyncio.sleep(0)

    async def serve_all(self) -> list[str]:
        for at in range(len(self.tasks)):
            if at < len(self.served):
                await self.leave(self.served[at])
        return self.served

    async def _ask(self, name: str) -> None:
        async with self.queue.slot(name[0], self.places[name].append):
            self.served.append(name)
            await self._leave[name].wait()


async def test_conversations_take_turns_and_each_keeps_its_order() -> None:
    crowd = Crowd(FairQueue(10))
    await crowd.arrive("a1", "a2", "a3", "b1", "c1", "b2")
    assert await crowd.serve_all() == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert crowd.queue.running == crowd.queue.waiting == 0


async def test_places_are_reported_when_they_change_and_only_then() -> None:
    crowd = Crowd(FairQueue(10))
    await crowd.arrive("a1", "a2", "a3", "b1")
    assert dict(crowd.places) == {"a1": [], "a2": [1, 2], "a3": [2, 3], "b1": [1]}  # a is being answered: b is next
    await crowd.cancel("a2")
    assert crowd.places["a3"] == [2, 3, 2]
    await crowd.serve_all()
    assert crowd.places["a3"] == [2, 3, 2, 1]


async def test_newcomers_cannot_starve_who_came_before() -> None:
    crowd = Crowd(FairQueue(100))
    await crowd.arrive("a1", "a2")
    for newcomer in "bcdef":
        await crowd.arrive(f"{newcomer}1")
        await crowd.leave(crowd.served[-1])
    assert crowd.served[:3] == ["a1", "b1", "a2"]


async def test_waits_that_were_given_up_cost_nothing() -> None:
    crowd = Crowd(FairQueue(10))
    await crowd.arrive("c1")
    for number in range(1, 6):
        await crowd.arrive(f"a{number}")
        await crowd.cancel(f"a{number}")
    await crowd.arrive("a6", "b1", "b2", "b3")
    for served in ("c1", "a6", "b1", "b2", "b3"):
        await crowd.leave(served)
    assert crowd.served == ["c1", "a6", "b1", "b2", "b3"]


async def test_an_idle_queue_remembers_nobody() -> None:
    queue = FairQueue(10)
    for number in range(100):
        async with queue.slot(str(number)):
            pass
    assert queue._served == {}


async def test_it_holds_as_many_as_it_has_slots_and_turns_away_beyond_its_limit() -> None:
    crowd = Crowd(FairQueue(2, slots=2))
    await crowd.arrive("a1", "b1", "c1", "d1")
    assert (crowd.queue.running, crowd.queue.waiting) == (2, 2)
    with pytest.raises(QueueFull):
        crowd.queue.check()
    await crowd.arrive("e1")
    with pytest.raises(QueueFull):
        await crowd.tasks["e1"]
    await crowd.cancel("d1")
    crowd.queue.check()
    assert await crowd.serve_all() == ["a1", "b1", "c1"]


async def test_a_place_handed_over_in_the_instant_of_a_cancellation_is_not_lost() -> None:
    crowd = Crowd(FairQueue(10))
    async with crowd.queue.slot("a"):
        await crowd.arrive("b1", "c1")
    await crowd.cancel("b1")  # it has the place by now, but has not run yet
    assert crowd.served == ["c1"]
    await crowd.leave("c1")
    assert crowd.queue.running == 0


async def test_closing_sends_away_who_waits_and_keeps_who_runs() -> None:
    crowd = Crowd(FairQueue(10))
    await crowd.arrive("a1", "b1", "b2")
    crowd.queue.close()
    await crowd.arrive("c1")
    for name in ("b1", "b2", "c1"):
        with pytest.raises(QueueClosed):
            await crowd.tasks[name]
    await crowd.leave("a1")
    assert crowd.queue.running == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["arrive", "arrive", "leave", "cancel"])), max_size=40))
def test_no_place_is_ever_lost_or_given_twice(steps: list[tuple[str, str]]) -> None:
    async def play() -> None:
        crowd = Crowd(FairQueue(5, slots=2))
        gone: set[str] = set()
        for at, (letter, step) in enumerate(steps):
            present = [name for name in crowd.tasks if name not in gone and not crowd.tasks[name].done()]
            if step == "arrive":
                await crowd.arrive(f"{letter}{at}")
            elif step == "leave" and (running := [name for name in present if name in crowd.served]):
                gone.add(running[0])
                await crowd.leave(running[0])
            elif step == "cancel" and present:
                gone.add(present[-1])
                await crowd.cancel(present[-1])
            assert crowd.queue.running <= 2
            assert crowd.queue.waiting == 0 or crowd.queue.running == 2
        for _ in range(len(steps)):
            for name in [name for name in crowd.served if not crowd.tasks[name].done()]:
                await crowd.leave(name)
        await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
        assert crowd.queue.running == crowd.queue.waiting == 0

    asyncio.run(play())
