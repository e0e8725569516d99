"""Turns over a restart of the bot: finished or apologised for, each exactly once; nothing lost at shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.chat.base import Address, Failed, Finished
from bot.errors import ShuttingDown
from bot.settings import Settings
from bot.store import Store
from bot.turn import MAX_ATTEMPTS, Turns
from bot.worker import ModelClient
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, photo
from tests.bot.sending import BOB, ELSEWHERE, HERE, end_of, file, message


@pytest.fixture
async def restarted(settings: Settings, client: ModelClient) -> AsyncIterator[Turns]:
    """The bot after a restart, on the same files."""
    store = await Store.open(settings.database, settings.attachments)
    turns = Turns(store, client, settings)
    yield turns
    await turns.drain(0)
    await store.close()


async def test_unfinished_turns_are_answered_once_in_their_order(
    turns: Turns, store: Store, restarted: Turns, model: FakeModel
) -> None:
    held = model.say("half", hold=True)
    one = await turns.start(message("1", message_id="m-1"))
    await held.wait_begun()
    two = await turns.start(message("2"))
    other = await turns.start(message("3", address=ELSEWHERE, sender=BOB))
    await end_of(other)
    await turns.drain(0)
    assert [view.state for view in await store.turns(HERE)] == ["running", "received"]
    recovered = await restarted.recover(["web"])
    assert [(live.turn_id, live.address) for live in recovered] == [(one.turn_id, HERE), (two.turn_id, HERE)]
    assert recovered[0].message_id == "m-1"
    assert [await end_of(live) for live in recovered] == [Finished("ok"), Finished("ok")]
    assert [(view.answer, view.state) for view in await store.turns(HERE)] == [("ok", "finished")] * 2
    assert await restarted.recover(["web"]) == []


async def test_a_question_of_a_closed_terminal_is_not_answered(turns: Turns, restarted: Turns, model: FakeModel) -> None:
    held = model.say("half", hold=True)
    await turns.start(message("1", address=Address("terminal", "ann", "1")))
    await held.wait_begun()
    await turns.drain(0)
    assert await restarted.recover(["web"]) == []
    assert len(model.chats) == 1


async def test_an_interrupted_regeneration_gives_another_answer(turns: Turns, restarted: Turns, model: FakeModel) -> None:
    first = await turns.start(message("1"))
    await end_of(first)
    held = model.say("half", hold=True)
    await turns.regenerate(first.turn_id, HERE)
    await held.wait_begun()
    await turns.drain(0)
    [live] = await restarted.recover(["web"])
    await end_of(live)
    assert [chat["temperature"] > 0 for chat in model.chats] == [False, True, True]


async def test_files_are_not_sent_again(turns: Turns, restarted: Turns, model: FakeModel) -> None:
    held = model.say("half", hold=True)
    await turns.start(message("", file("p.jpg", encoded(photo(), "JPEG")), file("v.txt", b"text")))
    await held.wait_begun()
    await turns.drain(0)
    [live] = await restarted.recover(["web"])
    assert await end_of(live) == Finished("ok")
    assert model.prompt()[-1][1][0]["type"] == "image_url"


async def test_a_turn_whose_files_had_not_arrived_is_apologised_for(turns: Turns, store: Store, restarted: Turns) -> None:
    async def never() -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    incoming = message("What is this?", file("p.jpg", b""))
    await turns.start(type(incoming)(HERE, incoming.sender, "What?", (type(incoming.files[0])("p.jpg", None, never),)))
    await asyncio.sleep(0.05)
    await turns.drain(0)
    [live] = await restarted.recover(["web"])
    sorry = await end_of(live)
    assert isinstance(sorry, Failed)
    assert "send them again" in sorry.sentence
    assert (await store.turns(HERE))[0].failure == sorry.sentence
    assert await restarted.recover(["web"]) == []


async def test_a_turn_that_brings_the_bot_down_does_not_do_so_for_ever(turns: Turns, store: Store, restarted: Turns) -> None:
    turn = await store.receive(message("boom"), "r")
    for _ in range(MAX_ATTEMPTS):
        await store.begin(turn.turn_id, "r")
    [live] = await restarted.recover(["web"])
    sorry = await end_of(live)
    assert isinstance(sorry, Failed)
    assert "more than once" in sorry.sentence
    assert (await store.turns(HERE))[0].state == "failed"


async def test_draining_finishes_running_turns_and_refuses_new_ones(turns: Turns, store: Store, model: FakeModel) -> None:
    held = model.say("slow", " answer", hold=True)
    turn = await turns.start(message("1"))
    await held.wait_begun()
    draining = asyncio.create_task(turns.drain(10))
    await asyncio.sleep(0.05)
    with pytest.raises(ShuttingDown):
        await turns.start(message("2"))
    held.release()
    await draining
    assert await end_of(turn) == Finished("slow answer")
    assert (await store.turns(HERE))[0].state == "finished"


async def test_readers_are_told_when_the_drain_is_over(turns: Turns, model: FakeModel) -> None:
    held = model.say("slow", hold=True)
    turn = await turns.start(message("1"))
    await held.wait_begun()
    await turns.drain(0)
    told = await end_of(turn)
    assert isinstance(told, Failed)
    assert "when I am back" in told.sentence
    assert turns.running(HERE) == ()
