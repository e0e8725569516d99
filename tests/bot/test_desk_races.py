"""Two things at once: edits, presses and reconnections while an answer is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot.access import Access
from bot.chat.base import IncomingFile
from bot.chat.place import Button
from bot.desk import Desk
from bot.presses import Presser
from bot.settings import Settings
from bot.turn import Turns
from tests.bot.fake_model import FakeModel
from tests.bot.fake_place import FakePlace
from tests.bot.room import ANN, ROOM, Room
from tests.bot.samples import encoded, photo


class SlowPlace(FakePlace):
    """Takes a new message at once, and tells its id when it is let."""

    def __init__(self) -> None:
        super().__init__(ROOM)
        self.let = asyncio.Event()

    async def send(self, text: str, buttons: Sequence[Button] = ()) -> str:
        message_id = await super().send(text, buttons)
        await self.let.wait()
        return message_id


async def edit(room: Room, words: str) -> None:
    heard, place = room.heard(words, message_id="q")
    await room.desk.edited(heard, place)


async def test_a_caption_that_is_edited_while_the_photo_arrives_keeps_the_photo(room: Room, model: FakeModel) -> None:
    arrived = asyncio.Event()

    async def fetch() -> bytes:
        await arrived.wait()
        return encoded(photo(), "JPEG")

    place = await room.say("Waht is that?", ANN, IncomingFile("p.jpg", None, fetch), message_id="q")
    await edit(room, "What is that?")
    arrived.set()
    await place.until(lambda place: "again" in place.actions)
    assert place.texts == ["ok"]
    [(_, parts)] = [message for message in model.prompt() if message[0] == "user"]
    assert [part["type"] for part in parts] == ["image_url", "text"]
    assert parts[1]["text"] == "Ann: What is that?"


async def test_an_edit_beyond_the_limit_leaves_the_running_answer_alone(
    room: Room, turns: Turns, settings: Settings, model: FakeModel
) -> None:
    turns.access = Access(settings.model_copy(update={"guest_per_minute": 1}), room.store.turns_since)
    held = model.say("A whole", " answer.", hold=True)
    place = await room.say("helo", message_id="q")
    await held.wait_begun()
    await edit(room, "hello")
    held.release()
    held.release()
    await place.until(lambda place: "A whole answer." in place.texts)
    assert any("1 messages a minute" in text for text in place.texts)


async def test_an_answer_whose_first_message_is_under_way_is_not_doubled(room: Room, desk: Desk, model: FakeModel) -> None:
    place = room.places["q"] = SlowPlace()
    model.say("Lyon")
    await room.say("capital of Frence?", message_id="q")
    await place.until(lambda place: bool(place.shown))
    model.say("Paris")
    editing = asyncio.create_task(edit(room, "capital of France?"))
    await asyncio.sleep(0.05)
    place.let.set()
    await editing
    await place.until(lambda place: place.texts == ["Paris"] and "again" in place.actions)
    await desk.close(5)
    assert [what for what, _, _ in place.history].count("send") == 1


async def test_reconnections_at_once_show_an_answer_once(
    room: Room, desk: Desk, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, _ = room.heard("?", message_id="q")
    live = await turns.start(heard.incoming)
    async for _ in live.events():
        pass
    places: list[FakePlace] = []
    look = room.store.turn

    async def slowly(turn_id: int) -> object:
        await asyncio.sleep(0.05)
        return await look(turn_id)

    monkeypatch.setattr(room.store, "turn", slowly)

    def make(*_: object) -> FakePlace:
        places.append(FakePlace(ROOM))
        return places[-1]

    await asyncio.gather(*(desk.resume("discord", make) for _ in range(3)))
    await desk.close(5)
    assert [place.texts for place in places] == [["ok"]]


async def test_servers_on_the_deny_list_have_no_buttons(room: Room, desk: Desk, turns: Turns, settings: Settings) -> None:
    place = await room.answered("?")
    turns.access = Access(settings.model_copy(update={"deny": ("discord:server:9",)}), room.store.turns_since)
    for verb in ("again", "good"):
        pressed = await desk.press(place.press(verb), Presser(ROOM, ANN, server_id="9"), lambda *_: place)
        assert "everybody" in pressed.toast
